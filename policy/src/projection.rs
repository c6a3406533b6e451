//! One or more linear layers that read the same input, as one matrix product, with the adapter beside it.

use crate::llama_weights::Linear;
use crate::lora::LowRank;
use tch::Tensor;

/// y = x W' + b + scale * [x A_1' B_1', x A_2' B_2', ...].
#[derive(Debug)]
pub(crate) struct Projection {
    /// `[outputs, inputs]`, the modules over one another.
    weight: Tensor,
    /// `[outputs]`.
    bias: Option<Tensor>,
    low_rank: Option<LowRank>,
}

impl Projection {
    pub(crate) fn new(linear: &Linear, low_rank: Option<LowRank>) -> Self {
        Self { weight: linear.weight.shallow_clone(), bias: linear.bias.as_ref().map(Tensor::shallow_clone), low_rank }
    }

    /// The modules whose outputs are rows `from..from + rows` of the weight; `modules` is their range.
    pub(crate) fn part(&self, rows: (i64, i64), modules: (usize, usize)) -> Self {
        let low_rank = self.low_rank.as_ref().map(|l| l.modules(modules.0, modules.1));
        let cut = |t: &Tensor| t.narrow(0, rows.0, rows.1);
        Self { weight: cut(&self.weight), bias: self.bias.as_ref().map(cut), low_rank }
    }

    /// `[rows, inputs]` to `[rows, outputs]`.
    pub(crate) fn apply(&self, x: &Tensor) -> Tensor {
        let y = x.linear(&self.weight, self.bias.as_ref());
        let Some(LowRank { a, b, scale }) = &self.low_rank else { return y };
        // The narrow product is scaled, not the wide one.
        let inner = x.linear(a, None::<&Tensor>) * *scale;
        if let [b] = b.as_slice() {
            return y.addmm(&inner, &b.tr());
        }
        let parts: Vec<Tensor> =
            inner.chunk(b.len() as i64, -1).iter().zip(b).map(|(h, b)| h.matmul(&b.tr())).collect();
        y + Tensor::cat(&parts, -1)
    }
}
