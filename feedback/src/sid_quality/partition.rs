//! How alike two partitions of the same items are, whatever their parts are called, corrected for chance.

use std::collections::BTreeMap;

/// Sizes of the parts and of their intersections.
struct Contingency {
    items: usize,
    first: Vec<usize>,
    second: Vec<usize>,
    /// (part of the first, part of the second, items in both), where there are any.
    both: Vec<(usize, usize, usize)>,
}

impl Contingency {
    fn of<T: Ord>(first: &[T], second: &[T]) -> Self {
        let (a, first_sizes) = numbered(first);
        let (b, second_sizes) = numbered(second);
        let mut both: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for pair in a.iter().zip(&b) {
            *both.entry((*pair.0, *pair.1)).or_default() += 1;
        }
        let both = both.into_iter().map(|((a, b), n)| (a, b, n)).collect();
        Self { items: a.len().min(b.len()), first: first_sizes, second: second_sizes, both }
    }
}

/// Part of each item, numbered, and the sizes of the parts.
fn numbered<T: Ord>(labels: &[T]) -> (Vec<usize>, Vec<usize>) {
    let mut numbers: BTreeMap<&T, usize> = BTreeMap::new();
    let mut sizes = Vec::new();
    let of_item = labels
        .iter()
        .map(|label| {
            let number = *numbers.entry(label).or_insert_with(|| {
                sizes.push(0);
                sizes.len() - 1
            });
            sizes[number] += 1;
            number
        })
        .collect();
    (of_item, sizes)
}

/// Adjusted Rand index (Hubert and Arabie, 1985): 1 for equal partitions, 0 for what random ones agree on average.
/// Label `i` of both lists belongs to item `i`.
pub fn adjusted_rand_index<T: Ord>(first: &[T], second: &[T]) -> f64 {
    let table = Contingency::of(first, second);
    let pairs = |n: usize| n as f64 * (n as f64 - 1.0) / 2.0;
    let together: f64 = table.both.iter().map(|(_, _, n)| pairs(*n)).sum();
    let a: f64 = table.first.iter().map(|n| pairs(*n)).sum();
    let b: f64 = table.second.iter().map(|n| pairs(*n)).sum();
    let expected = a * b / pairs(table.items).max(1.0);
    let most = f64::midpoint(a, b);
    if (most - expected).abs() < f64::EPSILON * most.max(1.0) { 1.0 } else { (together - expected) / (most - expected) }
}

/// Adjusted mutual information (Vinh, Epps and Bailey, 2010), normalised by the mean of the two entropies: 1 for equal
/// partitions, 0 for what random ones of these sizes agree on average.
pub fn adjusted_mutual_information<T: Ord>(first: &[T], second: &[T]) -> f64 {
    let table = Contingency::of(first, second);
    let n = table.items as f64;
    let one_to_one = table.both.len() == table.first.len() && table.both.len() == table.second.len();
    if one_to_one || table.items == 0 {
        return 1.0;
    }
    let entropy =
        |sizes: &[usize]| -> f64 { sizes.iter().map(|size| *size as f64 / n).map(|share| -share * share.ln()).sum() };
    let mutual: f64 = table
        .both
        .iter()
        .map(|(a, b, both)| {
            let both = *both as f64;
            both / n * (n * both / (table.first[*a] as f64 * table.second[*b] as f64)).ln()
        })
        .sum();
    let expected = expected_mutual_information(&table);
    let room = f64::midpoint(entropy(&table.first), entropy(&table.second)) - expected;
    // Parts of one item each leave no room to agree by more than chance.
    if room.abs() < 1e-9 { 0.0 } else { (mutual - expected) / room }
}

/// Mean over all partitions of these sizes: the intersections are hypergeometric. Equal sizes are summed once.
fn expected_mutual_information(table: &Contingency) -> f64 {
    let items = table.items;
    let ln_factorial: Vec<f64> = std::iter::once(0.0)
        .chain((1..=items).scan(0.0, |sum, k| {
            *sum += (k as f64).ln();
            Some(*sum)
        }))
        .collect();
    let ln = |k: usize| ln_factorial[k];
    let counted = |sizes: &[usize]| {
        let mut counts: BTreeMap<usize, f64> = BTreeMap::new();
        sizes.iter().for_each(|size| *counts.entry(*size).or_default() += 1.0);
        counts
    };
    let n = items as f64;
    let second = counted(&table.second);
    let mut sum = 0.0;
    for (a, times_a) in counted(&table.first) {
        for (&b, times_b) in &second {
            let fixed = ln(a) + ln(b) + ln(items - a) + ln(items - b) - ln(items);
            for both in (a + b).saturating_sub(items).max(1)..=a.min(b) {
                let chance = fixed - ln(both) - ln(a - both) - ln(b - both) - ln(items + both - a - b);
                let both = both as f64;
                sum += times_a * times_b * chance.exp() * both / n * (n * both / (a as f64 * b as f64)).ln();
            }
        }
    }
    sum
}
