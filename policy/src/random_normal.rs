//! Randomness for tensors: ChaCha8 streams keyed by (seed, name), normal variates by Box and Muller (1958), orders.
//! Torch's own generators are never used: their state is hidden and their bits change between versions.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use tch::{TchError, Tensor};

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

/// `count` standard normal variates, computed in f64 and rounded to f32.
pub fn standard_normals(rng: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(count + 1);
    while out.len() < count {
        // 1 - u lies in (0, 1], so the logarithm is finite.
        let radius = (-2.0 * (1.0 - uniform(rng)).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * uniform(rng)).sin_cos();
        out.push((radius * cosine) as f32);
        out.push((radius * sine) as f32);
    }
    out.truncate(count);
    out
}

/// A CPU tensor of `shape` (f32) with independent normal entries: mean 0, standard deviation `std`.
/// The values depend on (seed, name) alone, and a longer tensor begins with the values of a shorter one.
///
/// # Errors
/// When libtorch refuses the shape.
pub fn normal_tensor(seed: u64, name: &str, shape: &[i64], std: f64) -> Result<Tensor, TchError> {
    let count = shape.iter().map(|n| usize::try_from(*n).unwrap_or(0)).product();
    let mut values = standard_normals(&mut stream(seed, name), count);
    for value in &mut values {
        *value = (f64::from(*value) * std) as f32;
    }
    Tensor::f_from_slice(&values)?.f_reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_a_normal() {
        let values = standard_normals(&mut stream(7, "moments"), 200_001);
        assert_eq!(values.len(), 200_001);
        let n = values.len() as f64;
        let moment = |p: i32| values.iter().map(|v| f64::from(*v).powi(p)).sum::<f64>() / n;
        // Standard errors are 0.0022, 0.0032, 0.0087 and 0.022; four of them are allowed.
        assert!(moment(1).abs() < 0.009, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.013, "variance {}", moment(2));
        assert!(moment(3).abs() < 0.035, "skewness {}", moment(3));
        assert!((moment(4) - 3.0).abs() < 0.09, "fourth moment {}", moment(4));
        let beyond = values.iter().filter(|v| v.abs() > 1.959_964).count() as f64 / n;
        assert!((beyond - 0.05).abs() < 0.002, "tail {beyond}");
    }

    #[test]
    fn neighbours_are_uncorrelated() {
        let values = standard_normals(&mut stream(8, "pairs"), 100_000);
        for lag in [1, 2, 3] {
            let sum: f64 = values.windows(lag + 1).map(|w| f64::from(w[0]) * f64::from(w[lag])).sum();
            assert!((sum / values.len() as f64).abs() < 0.013, "lag {lag}");
        }
    }

    #[test]
    fn name_and_seed_choose_the_stream() {
        let draw = |seed, name| standard_normals(&mut stream(seed, name), 8);
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
    }

    #[test]
    fn tensor_has_shape_and_scale() {
        let tensor = normal_tensor(3, "weights", &[40, 50], 0.05).unwrap();
        assert_eq!(tensor.size(), [40, 50]);
        assert_eq!(tensor.kind(), tch::Kind::Float);
        let flat = Vec::<f32>::try_from(tensor.flatten(0, 1)).unwrap();
        let std = (flat.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / 2000.0).sqrt();
        assert!((std - 0.05).abs() < 0.003, "{std}");
        let plain = standard_normals(&mut stream(3, "weights"), 3);
        assert_eq!(flat[..3], plain.iter().map(|v| (f64::from(*v) * 0.05) as f32).collect::<Vec<_>>());
    }

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
}
