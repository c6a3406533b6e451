//! SASRec (Kang and McAuley, "Self-Attentive Sequential Recommendation", 2018, section III): a baseline, not a part of the policy.
//!
//!     E_t = sqrt(d) M[s_t] + P_t (+ S[sign_t]);   F = norm(block(... block(dropout(E))));   r(i, t) = F_t . M[i]
//!
//! with item embeddings M (shared by input and output), positions P, and b attention blocks (`block`). What differs from
//! the paper, and why: a sequence begins with a mark of its own, so that a user without events gets a list too, and the
//! first event teaches; positions count from the beginning of a window, not from its end; events may carry their sign
//! (S, zero-initialised by size like all else); the loss may be a softmax over drawn items ([`training`]).

mod block;
mod dropout;
mod training;

pub use training::{SasRecInput, train};

use crate::error::PolicyError;
use crate::flat_parameters::FlatParameters;
use crate::random_normal::normal_tensor;
use block::BlockWeights;
use conrec_domain::spec::SasRecSpec;
use conrec_feedback::event::Sign;
use dropout::Dropout;
use tch::{Device, Kind, Tensor};

/// Epsilon of all layer norms, as in the authors' program.
const EPS: f64 = 1e-8;
/// Standard deviation of fresh weights.
const SPREAD: f64 = 0.02;
/// The row of the item table that stands for the beginning of a sequence; item `i` of the catalogue has row `i + 1`.
const BEGINNING: i64 = 0;
/// Rows of the sign table: three signs and the beginning.
const SIGN_ROWS: i64 = 4;
/// Sequences that are scored together.
const SCORED_TOGETHER: usize = 128;

/// One event of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Place of the item in the catalogue.
    pub item: u32,
    /// How the user felt.
    pub sign: Sign,
}

/// A SASRec over a catalogue of items.
#[derive(Debug)]
pub struct SasRec {
    spec: SasRecSpec,
    items: usize,
    signed: bool,
    layout: FlatParameters,
    flat: Tensor,
}

/// Views of the flat weights.
struct Weights {
    items: Tensor,
    positions: Tensor,
    signs: Tensor,
    norm: [Tensor; 2],
    blocks: Vec<BlockWeights>,
}

impl SasRec {
    /// Fresh weights for a catalogue, drawn from (seed, name); `signed`: events carry their sign.
    ///
    /// # Errors
    /// When libtorch refuses the shapes.
    pub fn new(spec: &SasRecSpec, items: usize, signed: bool, (seed, name): (u64, &str)) -> Result<Self, PolicyError> {
        let layout = layout(spec, items);
        let flat = normal_tensor(seed, &format!("{name}.weights"), &[layout.len() as i64], SPREAD)?;
        let model = Self { spec: spec.clone(), items, signed, layout, flat };
        tch::no_grad(|| {
            for (place, entry) in model.layout.entries().iter().enumerate() {
                let mut weight = model.layout.view(&model.flat, place);
                if entry.name.ends_with("norm.weight") {
                    let _ = weight.fill_(1.0);
                } else if entry.name.ends_with("bias") {
                    let _ = weight.fill_(0.0);
                }
            }
        });
        Ok(model)
    }

    /// A copy with weights of its own.
    pub fn copied(&self) -> Self {
        Self { spec: self.spec.clone(), layout: self.layout.clone(), flat: self.flat.copy(), ..*self }
    }

    /// Scores of all items of the catalogue for what follows each past (oldest event first; only its end is seen when it
    /// is longer than the model's positions).
    ///
    /// # Errors
    /// When libtorch refuses an operation.
    pub fn scores(&self, pasts: &[Vec<Seen>]) -> Result<Vec<Vec<f32>>, PolicyError> {
        let _no_grad = tch::no_grad_guard();
        let weights = self.weights(&self.leaves(false));
        let window = self.spec.positions as usize - 1;
        let mut scores = Vec::with_capacity(pasts.len());
        for part in pasts.chunks(SCORED_TOGETHER) {
            let ends: Vec<&[Seen]> = part.iter().map(|past| &past[past.len().saturating_sub(window)..]).collect();
            let width = ends.iter().map(|end| end.len()).max().unwrap_or(0) + 1;
            let hidden = self.encode(&weights, &ends, width, &mut Dropout::none())?;
            let rows = ends.iter().enumerate().map(|(i, end)| (i * width + end.len()) as i64).collect::<Vec<_>>();
            let last = hidden.f_index_select(0, &Tensor::from_slice(&rows))?;
            let all = last.f_matmul(&weights.items.f_narrow(0, 1, self.items as i64)?.f_tr()?)?;
            for row in 0..part.len() as i64 {
                scores.push(Vec::<f32>::try_from(all.f_get(row)?)?);
            }
        }
        Ok(scores)
    }

    /// Hidden states F of sequences with the beginning put before each, padded at their ends to `width` positions:
    /// `[sequences * width, hidden]`. Attention is causal, so that what stands behind a position does not reach it.
    fn encode(
        &self,
        weights: &Weights,
        sequences: &[&[Seen]],
        width: usize,
        dropout: &mut Dropout,
    ) -> Result<Tensor, PolicyError> {
        let (count, d) = (sequences.len() as i64, i64::from(self.spec.hidden));
        let padded = |read: &dyn Fn(&Seen) -> i64, first: i64| {
            let mut all = Vec::with_capacity(sequences.len() * width);
            for sequence in sequences {
                all.push(first);
                all.extend(sequence.iter().take(width - 1).map(read));
                all.resize(all.len() + width.saturating_sub(1 + sequence.len()), first);
            }
            Tensor::from_slice(&all)
        };
        let tokens = padded(&|seen| i64::from(seen.item) + 1, BEGINNING);
        let embedded = weights.items.f_index_select(0, &tokens)?.f_mul_scalar((d as f64).sqrt())?;
        let mut x =
            embedded.f_view([count, width as i64, d])?.f_add(&weights.positions.f_narrow(0, 0, width as i64)?)?;
        if self.signed {
            let signs = padded(&|seen| sign_row(seen.sign), SIGN_ROWS - 1);
            x = x.f_add(&weights.signs.f_index_select(0, &signs)?.f_view([count, width as i64, d])?)?;
        }
        x = dropout.apply(&x)?;
        for block in &weights.blocks {
            x = block.forward(&x, i64::from(self.spec.heads), dropout)?;
        }
        let [weight, bias] = &weights.norm;
        Ok(x.f_layer_norm([d], Some(weight), Some(bias), EPS, false)?.f_view([-1, d])?)
    }

    /// The weights as tensors that share the flat one's memory, in the layout's order.
    fn leaves(&self, train: bool) -> Vec<Tensor> {
        (0..self.layout.entries().len())
            .map(|place| self.layout.view(&self.flat, place).detach().set_requires_grad(train))
            .collect()
    }

    /// Names the leaves.
    fn weights(&self, leaves: &[Tensor]) -> Weights {
        let leaf = |place: usize| leaves[place].shallow_clone();
        let blocks = (0..self.spec.layers as usize)
            .map(|i| BlockWeights::of(&leaves[OUTER + i * BlockWeights::COUNT..]))
            .collect();
        Weights { items: leaf(0), positions: leaf(1), signs: leaf(2), norm: [leaf(3), leaf(4)], blocks }
    }
}

/// Weights outside the blocks.
const OUTER: usize = 5;

fn layout(spec: &SasRecSpec, items: usize) -> FlatParameters {
    let d = i64::from(spec.hidden);
    let mut layout = FlatParameters::default();
    layout.push("items".into(), &[items as i64 + 1, d]);
    layout.push("positions".into(), &[i64::from(spec.positions), d]);
    layout.push("signs".into(), &[SIGN_ROWS, d]);
    layout.push("norm.weight".into(), &[d]);
    layout.push("norm.bias".into(), &[d]);
    for i in 0..spec.layers {
        BlockWeights::lay_out(&mut layout, i, d);
    }
    layout
}

fn sign_row(sign: Sign) -> i64 {
    match sign {
        Sign::Negative => 0,
        Sign::Neutral => 1,
        Sign::Positive => 2,
    }
}

/// A zero scalar to begin a sum with.
fn zero() -> Tensor {
    Tensor::zeros([], (Kind::Float, Device::Cpu))
}
