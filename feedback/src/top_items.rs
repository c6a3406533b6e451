//! The one rule by which scores become a ranked list, for every model and baseline.

/// The `count` highest-scored items, best first. Ties: the lower index first. An item of `excluded` (sorted), and an
/// item with a score of negative infinity or NaN, is never listed; so the list may be shorter.
pub fn top_items(items: &[u32], scores: &[f64], excluded: &[u32], count: usize) -> Vec<u32> {
    let mut ranked: Vec<(f64, u32)> = items
        .iter()
        .zip(scores)
        .filter(|(item, score)| **score > f64::NEG_INFINITY && excluded.binary_search(item).is_err())
        .map(|(item, score)| (*score, *item))
        .collect();
    let order = |a: &(f64, u32), b: &(f64, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if count == 0 || ranked.is_empty() {
        return Vec::new();
    }
    if ranked.len() > count {
        ranked.select_nth_unstable_by(count - 1, order);
        ranked.truncate(count);
    }
    ranked.sort_unstable_by(order);
    ranked.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_lower_index_and_excluded_items_are_left_out() {
        let items = [2, 3, 5, 7, 9];
        let scores = [1.0, 2.0, 2.0, f64::NEG_INFINITY, 1.0];
        assert_eq!(top_items(&items, &scores, &[], 3), [3, 5, 2]);
        assert_eq!(top_items(&items, &scores, &[3], 9), [5, 2, 9]);
        assert!(top_items(&items, &scores, &[], 0).is_empty());
        assert_eq!(top_items(&[1, 2], &[f64::NAN, 0.0], &[], 2), [2]);
    }
}
