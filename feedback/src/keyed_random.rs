//! Random numbers: ChaCha8 streams keyed by (seed, name), so that a draw depends on what it is for and on nothing else.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest, Sha256};

/// 2^-53: turns the top 53 bits of a word into a number of [0, 1).
const UNIT: f64 = 1.0 / 9_007_199_254_740_992.0;

/// The stream of random words that belongs to `name` under `seed`; different names give independent streams.
pub fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(name.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// A uniform variate of [0, 1) with 53 random bits.
pub fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * UNIT
}

/// A uniform integer of `0..bound` (0 when `bound` is 0). The bias is below bound / 2^64.
pub fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    ((u128::from(rng.next_u64()) * bound as u128) >> 64) as usize
}

/// Moves a uniformly drawn sample of `count` elements, in random order, to the front (Fisher and Yates).
/// With `count` of the slice's length or more this shuffles the whole slice.
pub fn shuffle_front<T>(rng: &mut ChaCha8Rng, values: &mut [T], count: usize) {
    let length = values.len();
    for i in 0..count.min(length.saturating_sub(1)) {
        values.swap(i, i + below(rng, length - i));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_of_three_is_drawn_alike() {
        let mut rng = stream(5, "orders");
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..6000 {
            let mut values = [0, 1, 2];
            shuffle_front(&mut rng, &mut values, 3);
            *seen.entry(values).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 6);
        assert!(seen.values().all(|n| (880..1120).contains(n)), "{seen:?}");
    }

    #[test]
    fn seed_and_name_choose_the_stream() {
        let draw = |seed, name| uniform(&mut stream(seed, name));
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert!(draw(1, "a") != draw(2, "a") && draw(1, "a") != draw(1, "b"));
    }
}
