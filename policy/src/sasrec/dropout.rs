//! Dropout from a keyed stream: torch's own generator is never used (see `random_normal`).

use crate::error::PolicyError;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

/// Zeroes a share of activations and scales the rest, so that their mean stays; or does nothing.
pub(super) struct Dropout {
    stream: Option<(ChaCha8Rng, f64)>,
}

impl Dropout {
    /// Draws from `stream`; a share of 0 does nothing.
    pub fn new(stream: ChaCha8Rng, share: f64) -> Self {
        Self { stream: (share > 0.0).then_some((stream, share)) }
    }

    /// Does nothing: for scoring.
    pub fn none() -> Self {
        Self { stream: None }
    }

    /// A fresh mask on `x`.
    pub fn apply(&mut self, x: &Tensor) -> Result<Tensor, PolicyError> {
        let Some((stream, share)) = &mut self.stream else { return Ok(x.shallow_clone()) };
        let kept = (1.0 / (1.0 - *share)) as f32;
        // 16 random bits decide one element: the share is met to 1 in 65,536.
        let below = (*share * 65_536.0).round() as u64;
        let count = x.numel();
        let mut mask = Vec::with_capacity(count + 4);
        while mask.len() < count {
            let word = stream.next_u64();
            for quarter in 0..4 {
                mask.push(if (word >> (16 * quarter)) & 0xffff < below { 0.0f32 } else { kept });
            }
        }
        mask.truncate(count);
        Ok(x.f_mul(&Tensor::f_from_slice(&mask)?.f_view(x.size().as_slice())?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random_normal::stream;
    use tch::{Device, Kind};

    #[test]
    fn the_share_is_zeroed_and_the_mean_stays() {
        let ones = Tensor::ones([200, 501], (Kind::Float, Device::Cpu));
        let mut dropout = Dropout::new(stream(1, "dropout"), 0.3);
        let out = dropout.apply(&ones).unwrap();
        let zeros = 1.0 - out.count_nonzero(None).int64_value(&[]) as f64 / 100_200.0;
        assert!((zeros - 0.3).abs() < 0.006, "{zeros}");
        assert!((out.mean(None).double_value(&[]) - 1.0).abs() < 0.009);
        assert_ne!(out, dropout.apply(&ones).unwrap(), "each mask is fresh");
        assert_eq!(out, Dropout::new(stream(1, "dropout"), 0.3).apply(&ones).unwrap());
        assert_eq!(ones, Dropout::none().apply(&ones).unwrap());
    }
}
