//! numpy's `default_rng(seed).permutation(n)`, number for number, so that candidate draws can be checked
//! against independent Python code.
//!
//! Three published parts: `SeedSequence` (O'Neill's seed_seq hashing), PCG64 (XSL-RR 128/64) and numpy's
//! Fisher-Yates shuffle, which draws bounded integers by masked rejection from 32-bit halves.

use rand::Rng;
use rand_pcg::Lcg128Xsl64;

const POOL: usize = 4;

/// numpy's default generator, as far as permutations need it.
#[derive(Clone, Debug)]
pub struct NumpyRandom {
    core: Lcg128Xsl64,
    /// The upper half of the last 64-bit draw, when only its lower half was used.
    spare: Option<u32>,
}

impl NumpyRandom {
    /// The generator that `numpy.random.default_rng(seed)` returns.
    pub fn new(seed: u64) -> Self {
        let words = seed_words(seed);
        let wide = |i: usize| u128::from(words[i]) | u128::from(words[i + 1]) << 32;
        let state = wide(0) << 64 | wide(2);
        let stream = wide(4) << 64 | wide(6);
        Self { core: Lcg128Xsl64::new(state, stream), spare: None }
    }

    /// `permutation(n)`: the numbers `0..n` in random order.
    pub fn permutation(&mut self, n: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n).collect();
        for i in (1..order.len()).rev() {
            let j = self.at_most(i as u32) as usize;
            order.swap(i, j);
        }
        order
    }

    /// A number of `0..n`; `n` is 2 or more. Not what numpy's `integers` would draw.
    pub fn below(&mut self, n: u32) -> u32 {
        self.at_most(n - 1)
    }

    fn next_u32(&mut self) -> u32 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let wide = self.core.next_u64();
        self.spare = Some((wide >> 32) as u32);
        wide as u32
    }

    /// A number of `0..=max`, `max > 0`: masks draws to the bits of `max` and refuses those above it.
    fn at_most(&mut self, max: u32) -> u32 {
        let mask = u32::MAX >> max.leading_zeros();
        loop {
            let value = self.next_u32() & mask;
            if value <= max {
                return value;
            }
        }
    }
}

/// `SeedSequence(seed).generate_state(8)`: eight 32-bit words from a seed.
fn seed_words(seed: u64) -> [u32; 8] {
    let mut factor: u32 = 0x43b0_d7e5;
    let mut hash = |value: u32| {
        let mut value = value ^ factor;
        factor = factor.wrapping_mul(0x931e_8875);
        value = value.wrapping_mul(factor);
        value ^ value >> 16
    };
    let entropy = [seed as u32, (seed >> 32) as u32];
    let mut pool = [0u32; POOL];
    for (i, slot) in pool.iter_mut().enumerate() {
        *slot = hash(entropy.get(i).copied().unwrap_or(0));
    }
    for from in 0..POOL {
        for to in (0..POOL).filter(|to| *to != from) {
            let other = hash(pool[from]);
            let mixed = 0xca01_f9ddu32.wrapping_mul(pool[to]).wrapping_sub(0x4973_f715u32.wrapping_mul(other));
            pool[to] = mixed ^ mixed >> 16;
        }
    }
    let mut factor: u32 = 0x8b51_f9dd;
    std::array::from_fn(|i| {
        let mut value = pool[i % POOL] ^ factor;
        factor = factor.wrapping_mul(0x58f3_8ded);
        value = value.wrapping_mul(factor);
        value ^ value >> 16
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // All expected values were printed by numpy 2.4.6; see tests/golden/numpy_permutation.py.

    #[test]
    fn equals_numpy_for_several_lengths_in_a_row() {
        let mut random = NumpyRandom::new(7);
        assert_eq!(random.permutation(5), [2, 0, 4, 1, 3]);
        assert!(random.permutation(0).is_empty());
        assert_eq!(random.permutation(1), [0]);
        assert_eq!(random.permutation(12), [3, 10, 6, 8, 1, 9, 0, 7, 4, 5, 11, 2]);
    }

    #[test]
    fn equals_numpy_for_a_seed_of_more_than_32_bits() {
        let expected = [12, 3, 7, 13, 18, 2, 9, 16, 17, 10, 1, 5, 6, 0, 19, 8, 14, 4, 15, 11];
        assert_eq!(NumpyRandom::new((1 << 40) + 5).permutation(20), expected);
    }

    #[test]
    fn equals_numpy_after_a_long_permutation() {
        let mut random = NumpyRandom::new(0);
        assert_eq!(random.permutation(3000)[..6], [1432, 2618, 562, 46, 2847, 2986]);
        assert_eq!(random.permutation(9), [1, 4, 0, 2, 3, 6, 7, 5, 8]);
    }
}
