//! The fixed rule by which a lease's sequences are computed together: by length, where padding costs least.

/// What one more micro-batch costs beside its tokens, in tokens: the small operations of a forward and backward pass.
const OVERHEAD: usize = 128;

/// Cuts sequences of these lengths into micro-batches; each is a list of indices. Sequences are sorted by length (a
/// tie keeps its order) and cut where the sum of padded tokens and overheads is least, the earliest cut on a tie. No
/// micro-batch has more than `most` tokens, padding included, but for a longer sequence that stands alone. All of that
/// is part of what fixes a run's bits.
pub fn micro_batches(lengths: &[usize], most: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|i| lengths[*i]);
    // best[n] is the least cost of the first n sequences, from[n] where the last of their parts begins.
    let mut best = vec![0usize; order.len() + 1];
    let mut from = vec![0usize; order.len() + 1];
    for end in 1..=order.len() {
        let longest = lengths[order[end - 1]];
        best[end] = usize::MAX;
        for start in (0..end).rev() {
            let padded = (end - start).saturating_mul(longest);
            if padded > most && start + 1 < end {
                break;
            }
            let cost = best[start].saturating_add(padded).saturating_add(OVERHEAD);
            if cost <= best[end] {
                (best[end], from[end]) = (cost, start);
            }
        }
    }
    let mut parts = Vec::new();
    let mut end = order.len();
    while end > 0 {
        parts.push(order[from[end]..end].to_vec());
        end = from[end];
    }
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 4096;

    #[test]
    fn every_sequence_is_in_one_part_and_parts_fit() {
        let lengths: Vec<usize> = (0..200).map(|i| 2 + (i * 37) % 127).collect();
        let parts = micro_batches(&lengths, MOST);
        let mut all: Vec<usize> = parts.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..200).collect::<Vec<_>>());
        for part in &parts {
            let longest = part.iter().map(|i| lengths[*i]).max().unwrap();
            assert!(part.len() * longest <= MOST, "{}", part.len() * longest);
        }
        assert!(parts.len() < 12, "{}", parts.len());
    }

    #[test]
    fn a_sequence_longer_than_the_bound_stands_alone() {
        assert_eq!(micro_batches(&[5000, 3, 6000], MOST), [vec![1], vec![0], vec![2]]);
        assert_eq!(micro_batches(&[10, 9, 10, 2000], MOST), [vec![1, 0, 2], vec![3]]);
        assert!(micro_batches(&[], MOST).is_empty());
    }
}
