//! Randomness for tensors: ChaCha8 streams keyed by (seed, name), normal variates by Box and Muller (1958), orders.
//! Torch's own generators are never used: their state is hidden and their bits change between versions.

pub use conrec_feedback::keyed_random::{below, shuffle_front, stream, uniform};

use rand_chacha::ChaCha8Rng;
use tch::{TchError, Tensor};

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
}
