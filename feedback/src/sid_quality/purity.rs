//! Whether items of one prefix are of one kind: category purity, beside that of shuffled categories.

use super::{Agreement, Groups};
use crate::dataset::Item;
use crate::keyed_random::{shuffle_front, stream};
use std::collections::BTreeMap;

/// Shuffles whose mean is the value by chance.
const SHUFFLES: usize = 20;

/// Share of the items that have the commonest category of their group, over groups of 2 items and more with a category.
/// Lone items would be pure for no reason. Chance: the same groups, the items' categories shuffled over them.
pub(super) fn of(items: &[Item], groups: &Groups, seed: u64) -> Option<Agreement> {
    let mut names: BTreeMap<&str, u32> = BTreeMap::new();
    for name in items.iter().flat_map(|item| &item.categories) {
        let next = names.len() as u32;
        names.entry(name).or_insert(next);
    }
    let categories = |item: &u32| -> Vec<u32> {
        let mut numbers: Vec<u32> = items[*item as usize].categories.iter().map(|name| names[name.as_str()]).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    };
    let mut sizes = Vec::new();
    let mut of_items: Vec<Vec<u32>> = Vec::new();
    for group in &groups.members {
        let known: Vec<Vec<u32>> = group.iter().map(categories).filter(|list| !list.is_empty()).collect();
        if known.len() >= 2 {
            sizes.push(known.len());
            of_items.extend(known);
        }
    }
    if of_items.is_empty() {
        return None;
    }
    let share = purity(&of_items, &sizes, names.len());
    let mut rng = stream(seed, "sid_quality.purity");
    let mut chance = 0.0;
    for _ in 0..SHUFFLES {
        let count = of_items.len();
        shuffle_front(&mut rng, &mut of_items, count);
        chance += purity(&of_items, &sizes, names.len());
    }
    Some(Agreement { share, by_chance: chance / SHUFFLES as f64, cases: of_items.len() })
}

/// The items lie group after group, `sizes` says where one ends.
fn purity(of_items: &[Vec<u32>], sizes: &[usize], categories: usize) -> f64 {
    let mut counts = vec![0u32; categories];
    let (mut from, mut pure) = (0, 0u64);
    for size in sizes {
        let group = &of_items[from..from + size];
        group.iter().flatten().for_each(|category| counts[*category as usize] += 1);
        pure += u64::from(group.iter().flatten().map(|category| counts[*category as usize]).max().unwrap_or(0));
        group.iter().flatten().for_each(|category| counts[*category as usize] = 0);
        from += size;
    }
    pure as f64 / of_items.len().max(1) as f64
}
