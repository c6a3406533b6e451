//! Rotary position embedding (Su et al., 2021) in the rotate-half convention of Hugging Face, so that exported
//! weights load there.

use crate::llama::LlamaConfig;
use conrec_domain::decoder_shape::{RopeScaling, frequencies};
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
    /// Tables for all positions of a decoder; angle of pair i at position p: p * frequency(i). Where attention is sharpened
    /// for longer texts, both tables are multiplied by the factor, so that products of queries and keys have its square.
    pub(crate) fn new(config: &LlamaConfig, (kind, device): (Kind, Device)) -> Self {
        let (head_dim, positions) = (config.head_dim, config.max_positions);
        let half = head_dim / 2;
        let frequencies = frequencies(config.rope_theta, config.rope_scaling, head_dim as u32);
        let factor = config.rope_scaling.map_or(1.0, RopeScaling::attention_factor);
        let mut cosine = Vec::with_capacity((positions * head_dim) as usize);
        let mut sine = Vec::with_capacity((positions * head_dim) as usize);
        for position in 0..positions {
            for column in 0..head_dim {
                let angle = position as f64 * frequencies[(column % half) as usize];
                let (c, s) = (factor * angle.cos(), factor * angle.sin());
                cosine.push(c);
                sine.push(if column < half { -s } else { s });
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
