//! Rotary position embedding (Su et al., 2021) in the rotate-half convention of Hugging Face, so that exported
//! weights load there.

use crate::llama::LlamaConfig;
use conrec_domain::decoder_shape::Llama3Scaling;
use std::f64::consts::TAU;
use tch::{Device, Kind, Tensor};

/// Cosines and signed sines of every position.
#[derive(Debug)]
pub(crate) struct Rope {
    /// `[positions, head_dim]`.
    cosine: Tensor,
    /// `[positions, head_dim]`; the first half negated, so that swapping halves does the rest.
    sine: Tensor,
    half: i64,
}

/// The angles of some positions, shaped to be broadcast over `[rows, positions, heads, head_dim]`.
#[derive(Debug)]
pub(crate) struct Angles {
    cosine: Tensor,
    sine: Tensor,
}

impl Rope {
    /// Tables for all positions of a decoder; angle of pair i at position p: p * frequency(i).
    pub(crate) fn new(config: &LlamaConfig, (kind, device): (Kind, Device)) -> Self {
        let (head_dim, positions) = (config.head_dim, config.max_positions);
        let half = head_dim / 2;
        let mut cosine = Vec::with_capacity((positions * head_dim) as usize);
        let mut sine = Vec::with_capacity((positions * head_dim) as usize);
        for position in 0..positions {
            for column in 0..head_dim {
                let angle = position as f64 * frequency(config, column % half);
                cosine.push(angle.cos());
                sine.push(if column < half { -angle.sin() } else { angle.sin() });
            }
        }
        let table =
            |values: &[f64]| Tensor::from_slice(values).to_kind(kind).to_device(device).view([positions, head_dim]);
        Self { cosine: table(&cosine), sine: table(&sine), half }
    }

    /// Angles of positions `0..length`, the same in every row.
    pub(crate) fn first(&self, length: i64) -> Angles {
        let cut = |table: &Tensor| table.narrow(0, 0, length).view([1, length, 1, -1]);
        Angles { cosine: cut(&self.cosine), sine: cut(&self.sine) }
    }

    /// Angles of one position a row.
    pub(crate) fn at(&self, positions: &[i64]) -> Angles {
        let index = Tensor::from_slice(positions).to_device(self.cosine.device());
        let rows = positions.len() as i64;
        let pick = |table: &Tensor| table.index_select(0, &index).view([rows, 1, 1, -1]);
        Angles { cosine: pick(&self.cosine), sine: pick(&self.sine) }
    }

    /// Rotates `[rows, positions, heads, head_dim]`.
    pub(crate) fn rotate(&self, x: &Tensor, angles: &Angles) -> Tensor {
        (x * &angles.cosine).addcmul(&x.roll([self.half], [-1]), &angles.sine)
    }

    /// Positions that have angles.
    pub(crate) fn positions(&self) -> i64 {
        self.cosine.size()[0]
    }
}

/// theta^(-2 i / head_dim), rescaled where the decoder was made so.
fn frequency(config: &LlamaConfig, pair: i64) -> f64 {
    let plain = config.rope_theta.powf(-2.0 * pair as f64 / config.head_dim as f64);
    config.rope_scaling.map_or(plain, |scaling| slowed(plain, scaling))
}

/// Llama 3.1's rule: a wave longer than context / low turns `factor` times slower, one shorter than context / high as
/// before, and one between them in between.
fn slowed(frequency: f64, scaling: Llama3Scaling) -> f64 {
    let turns = scaling.original_positions * frequency / TAU;
    let Llama3Scaling { factor, low_freq_factor: low, high_freq_factor: high, .. } = scaling;
    let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
    frequency * (kept + (1.0 - kept) / factor)
}
