//! The source's own ids, each kept once: text to a number counted from 0, and back. Made for tens of millions of keys:
//! about their length and 14 bytes each.

use hashbrown::HashTable;
use std::hash::{DefaultHasher, Hasher};

/// Keys in the order in which they first came.
#[derive(Clone, Debug, Default)]
pub struct KeyTable {
    text: String,
    /// Where each key ends in `text`.
    ends: Vec<usize>,
    /// Numbers of keys, found by the hash of the key. Its order reaches no result.
    numbers: HashTable<u32>,
}

impl KeyTable {
    /// Number of keys.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The key of a number; empty for a number that was never given.
    pub fn key(&self, number: u32) -> &str {
        key_in(&self.text, &self.ends, number)
    }

    /// The number of a key, if it has come before.
    pub fn get(&self, key: &str) -> Option<u32> {
        self.numbers.find(hash(key), |&number| self.key(number) == key).copied()
    }

    /// The number of a key, a new one where it has not come before; none when there are 2^32 - 1 of them already.
    pub fn intern(&mut self, key: &str) -> Option<u32> {
        if let Some(number) = self.get(key) {
            return Some(number);
        }
        let number = u32::try_from(self.ends.len()).ok().filter(|n| *n < u32::MAX)?;
        self.text.push_str(key);
        self.ends.push(self.text.len());
        let Self { text, ends, numbers } = self;
        numbers.insert_unique(hash(key), number, |&n| hash(key_in(text, ends, n)));
        Some(number)
    }

    /// All numbers in the order of their keys: whole numbers first, by value, then other text by its bytes.
    pub fn sorted(&self) -> Vec<u32> {
        let mut order: Vec<(bool, u64, u32)> = (0..self.len() as u32)
            .map(|number| match self.key(number).parse() {
                Ok(value) => (false, value, number),
                Err(_) => (true, 0, number),
            })
            .collect();
        order.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| self.key(a.2).cmp(self.key(b.2))));
        order.into_iter().map(|(_, _, number)| number).collect()
    }
}

fn key_in<'a>(text: &'a str, ends: &[usize], number: u32) -> &'a str {
    let at = number as usize;
    let start = at.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    ends.get(at).and_then(|&end| text.get(start..end)).unwrap_or_default()
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(key.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn numbers_come_before_text_and_by_value() {
        let mut table = KeyTable::default();
        for key in ["b", "10", "9", "a", "10", "007", "7", ""] {
            table.intern(key);
        }
        let sorted: Vec<&str> = table.sorted().into_iter().map(|number| table.key(number)).collect();
        assert_eq!(sorted, ["007", "7", "9", "10", "", "a", "b"]);
        assert_eq!((table.get("9"), table.get("8"), table.key(99)), (Some(2), None, ""));
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(keys in prop::collection::vec("[a-c0-2]{0,3}", 0..200)) {
            let mut table = KeyTable::default();
            let mut map = BTreeMap::new();
            for key in &keys {
                let next = map.len() as u32;
                let expected = *map.entry(key.clone()).or_insert(next);
                prop_assert_eq!(table.intern(key), Some(expected));
            }
            prop_assert_eq!(table.len(), map.len());
            for (key, number) in &map {
                prop_assert_eq!(table.key(*number), key);
                prop_assert_eq!(table.get(key), Some(*number));
            }
        }
    }
}
