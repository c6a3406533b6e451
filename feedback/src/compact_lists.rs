//! Many short lists of indices in two arrays: for a million users a vector each would cost more than what it holds.

use rayon::prelude::*;

/// Lists of indices, by dense index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactLists {
    /// List `i` is `values[starts[i]..starts[i + 1]]`.
    starts: Vec<usize>,
    values: Vec<u32>,
}

impl CompactLists {
    /// `lists` lists from pairs (list, value); a list's values stay in the order of the pairs. The pairs are gone over
    /// twice. Every first of a pair must be below `lists`.
    pub fn from_pairs(lists: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut starts = vec![0usize; lists + 1];
        for (list, _) in pairs.clone() {
            starts[list as usize + 1] += 1;
        }
        for list in 0..lists {
            starts[list + 1] += starts[list];
        }
        let mut next = starts.clone();
        let mut values = vec![0; starts[lists]];
        for (list, value) in pairs {
            values[next[list as usize]] = value;
            next[list as usize] += 1;
        }
        Self { starts, values }
    }

    /// The same lists, each ascending and without doubles.
    pub fn sorted_and_distinct(self) -> Self {
        let Self { mut starts, mut values } = self;
        let mut lists = Vec::with_capacity(starts.len());
        let mut rest = values.as_mut_slice();
        for bounds in starts.windows(2) {
            let (list, after) = rest.split_at_mut(bounds[1] - bounds[0]);
            lists.push(list);
            rest = after;
        }
        lists.into_par_iter().for_each(|list| list.sort_unstable());
        let mut kept = 0;
        let mut from = 0;
        for end in starts.iter_mut().skip(1) {
            let first = kept;
            for place in from..*end {
                if kept == first || values[kept - 1] != values[place] {
                    values[kept] = values[place];
                    kept += 1;
                }
            }
            from = *end;
            *end = kept;
        }
        values.truncate(kept);
        values.shrink_to_fit();
        Self { starts, values }
    }

    /// For each value below `values` the lists that hold it, ascending.
    pub fn transposed(&self, values: usize) -> Self {
        self.transposed_of(values, |_| true)
    }

    /// As [`Self::transposed`], of those lists only that `keep` accepts.
    pub fn transposed_of(&self, values: usize, keep: impl Fn(&[u32]) -> bool + Copy) -> Self {
        let kept = self.iter().enumerate().filter(move |(_, list)| keep(list));
        Self::from_pairs(values, kept.flat_map(|(list, of)| of.iter().map(move |value| (*value, list as u32))))
    }

    /// Number of lists.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there is no list.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// List `i`; empty for one that does not exist.
    pub fn of(&self, i: u32) -> &[u32] {
        match (self.starts.get(i as usize), self.starts.get(i as usize + 1)) {
            (Some(from), Some(to)) => &self.values[*from..*to],
            _ => &[],
        }
    }

    /// All lists, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> + Clone {
        self.starts.windows(2).map(|bounds| &self.values[bounds[0]..bounds[1]])
    }

    /// All values, list by list.
    pub fn values(&self) -> &[u32] {
        &self.values
    }

    /// Where each list begins among all values, and after the last one where it ends.
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_keep_the_order_of_their_pairs_until_they_are_sorted() {
        let pairs = [(2, 7), (0, 3), (2, 1), (2, 7), (0, 3)];
        let lists = CompactLists::from_pairs(4, pairs.into_iter());
        assert_eq!(lists.iter().collect::<Vec<_>>(), [&[3, 3][..], &[], &[7, 1, 7], &[]]);
        let lists = lists.sorted_and_distinct();
        assert_eq!(lists.iter().collect::<Vec<_>>(), [&[3][..], &[], &[1, 7], &[]]);
        assert_eq!((lists.len(), lists.of(2), lists.of(3), lists.of(9)), (4, &[1, 7][..], &[][..], &[][..]));
        assert!(CompactLists::default().is_empty() && CompactLists::default().of(0).is_empty());
    }

    proptest! {
        #[test]
        fn sorting_and_transposing_are_those_of_plain_vectors(
            pairs in prop::collection::vec((0u32..6, 0u32..9), 0..60),
        ) {
            let mut plain = vec![Vec::new(); 6];
            pairs.iter().for_each(|(list, value)| plain[*list as usize].push(*value));
            plain.iter_mut().for_each(|list| { list.sort_unstable(); list.dedup(); });
            let lists = CompactLists::from_pairs(6, pairs.iter().copied()).sorted_and_distinct();
            prop_assert!(lists.iter().eq(plain.iter().map(Vec::as_slice)));
            let long = lists.transposed_of(9, |list| list.len() > 1);
            for value in 0..9 {
                let holds = |at_least: usize| -> Vec<u32> {
                    (0..6).filter(|&l| plain[l as usize].len() >= at_least && plain[l as usize].contains(&value)).collect()
                };
                let all = lists.transposed(9);
                prop_assert_eq!(all.of(value), holds(0));
                prop_assert_eq!(long.of(value), holds(2));
            }
        }
    }
}
