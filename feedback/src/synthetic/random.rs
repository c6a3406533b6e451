//! Random numbers of the generator: one ChaCha8 stream for each (seed, purpose, index).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// What a stream is for; streams of different purposes never overlap.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Region = 1,
    Item = 2,
    User = 3,
}

/// A stream of random numbers.
pub(super) struct Stream(ChaCha8Rng);

/// How far a stream has been read; a hundred times smaller than the stream, which it is enough to take up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parked {
    words: u64,
}

impl Stream {
    /// The stream of one region, item or user.
    pub(super) fn new(seed: u64, purpose: Purpose, index: u32) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
        key[16..20].copy_from_slice(&index.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// The same stream from where it was parked.
    pub(super) fn resumed(seed: u64, purpose: Purpose, index: u32, parked: Parked) -> Self {
        let mut stream = Self::new(seed, purpose, index);
        stream.0.set_word_pos(u128::from(parked.words));
        stream
    }

    /// Where the stream stands.
    pub(super) fn parked(&self) -> Parked {
        // 2^64 words would be drawn for longer than anybody waits.
        Parked { words: self.0.get_word_pos() as u64 }
    }

    /// Uniform in [0, 1), with 53 bits.
    pub(super) fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Uniform below `n`, which is at least 1 (the bias is below n / 2^53).
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((self.uniform() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// Nearly standard normal: twelve uniforms minus 6. Only additions, so every machine gets the same bits.
    pub(super) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    /// Poisson distributed (Knuth: uniforms are multiplied until the product falls to exp(-mean)).
    pub(super) fn poisson(&mut self, mean: f64) -> usize {
        // exp(-mean) must not underflow: a large mean is a sum of smaller ones.
        let parts = (mean / 100.0).ceil().max(1.0);
        let limit = (-mean / parts).exp();
        let mut count = 0;
        for _ in 0..parts as usize {
            let mut product = self.uniform();
            while product > limit {
                count += 1;
                product *= self.uniform();
            }
        }
        count
    }

    /// An index drawn by weight, from the running sums of the weights; none if they are all zero.
    pub(super) fn by_weight(&mut self, running_sums: &[f64]) -> Option<usize> {
        let total = *running_sums.last()?;
        let drawn = self.uniform() * total;
        let at = running_sums.partition_point(|&sum| sum <= drawn);
        (at < running_sums.len()).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_purpose_and_index() {
        let first = |seed, purpose, index| Stream::new(seed, purpose, index).uniform();
        let all = [
            first(0, Purpose::User, 0),
            first(1, Purpose::User, 0),
            first(0, Purpose::Item, 0),
            first(0, Purpose::User, 1),
        ];
        assert!((0..4).all(|i| (0..i).all(|j| all[i] != all[j])));
        assert_eq!(all[0], first(0, Purpose::User, 0));
    }

    #[test]
    fn a_parked_stream_goes_on_where_it_stood() {
        for drawn in [0, 1, 7, 8, 31, 32, 33, 1000] {
            let mut whole = Stream::new(3, Purpose::User, 5);
            (0..drawn).for_each(|_| _ = whole.uniform());
            let mut resumed = Stream::resumed(3, Purpose::User, 5, whole.parked());
            assert!((0..100).all(|_| whole.uniform() == resumed.uniform()), "{drawn}");
        }
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut stream = Stream::new(7, Purpose::User, 0);
        let n = 20_000;
        let normals: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
        let mean = normals.iter().sum::<f64>() / f64::from(n);
        let variance = normals.iter().map(|x| x * x).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04, "{mean} {variance}");
        for wanted in [0.0, 0.5, 3.0, 250.0] {
            let mean = (0..n).map(|_| stream.poisson(wanted) as f64).sum::<f64>() / f64::from(n);
            assert!((mean - wanted).abs() <= 0.04 * wanted, "{mean} {wanted}");
        }
    }

    #[test]
    fn weighted_draws_follow_the_weights() {
        let mut stream = Stream::new(7, Purpose::User, 0);
        let mut counts = [0; 3];
        for _ in 0..10_000 {
            counts[stream.by_weight(&[1.0, 1.0, 4.0]).unwrap()] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((2300..2700).contains(&counts[0]), "{counts:?}");
        assert_eq!((stream.by_weight(&[]), stream.by_weight(&[0.0])), (None, None));
    }
}
