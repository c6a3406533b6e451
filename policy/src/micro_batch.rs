//! The fixed rule by which a lease's sequences are computed together: by length, up to a number of tokens.

/// Tokens, padding included, that are computed together. Part of what fixes a run's bits.
const TOKENS: usize = 4096;

/// Cuts sequences of these lengths into micro-batches; each is a list of indices. Sequences are sorted by length (a
/// tie keeps its order), so that little is padding.
pub fn micro_batches(lengths: &[usize]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|i| lengths[*i]);
    let mut parts: Vec<Vec<usize>> = Vec::new();
    for index in order {
        match parts.last_mut() {
            Some(part) if (part.len() + 1) * lengths[index] <= TOKENS => part.push(index),
            Some(_) | None => parts.push(vec![index]),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sequence_is_in_one_part_and_parts_fit() {
        let lengths: Vec<usize> = (0..200).map(|i| 2 + (i * 37) % 127).collect();
        let parts = micro_batches(&lengths);
        let mut all: Vec<usize> = parts.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..200).collect::<Vec<_>>());
        for part in &parts {
            let longest = part.iter().map(|i| lengths[*i]).max().unwrap();
            assert!(part.len() * longest <= TOKENS, "{}", part.len() * longest);
        }
        assert!(parts.len() < 10);
    }

    #[test]
    fn a_sequence_longer_than_the_bound_stands_alone() {
        assert_eq!(micro_batches(&[5000, 3, 6000]), [vec![1], vec![0], vec![2]]);
        assert!(micro_batches(&[]).is_empty());
    }
}
