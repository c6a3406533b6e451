//! One attention block (Kang and McAuley, 2018, equations 3 to 7):
//!
//!     S = x + dropout(Attention(norm(x) W_q, norm(x) W_k, norm(x) W_v)),  causal, softmax(Q K^T / sqrt(d / heads)) V
//!     out = S + dropout(ReLU(norm(S) W_1 + b_1) W_2 + b_2)
//!
//! Matrices are kept as `[out, in]`. With several heads each takes a slice of the width; as in the paper no matrix
//! follows their concatenation.

use super::EPS;
use super::dropout::Dropout;
use crate::error::PolicyError;
use crate::flat_parameters::FlatParameters;
use tch::Tensor;

/// Views of one block's weights.
pub(super) struct BlockWeights {
    attention_norm: [Tensor; 2],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    feed_forward_norm: [Tensor; 2],
    first: [Tensor; 2],
    second: [Tensor; 2],
}

impl BlockWeights {
    /// Weights of a block.
    pub const COUNT: usize = 11;

    /// Appends a block's weights; [`BlockWeights::of`] reads them in this order.
    pub fn lay_out(layout: &mut FlatParameters, block: u32, d: i64) {
        let shapes: [(&str, &[i64]); Self::COUNT] = [
            ("attention_norm.weight", &[d]),
            ("attention_norm.bias", &[d]),
            ("query", &[d, d]),
            ("key", &[d, d]),
            ("value", &[d, d]),
            ("feed_forward_norm.weight", &[d]),
            ("feed_forward_norm.bias", &[d]),
            ("first.weight", &[d, d]),
            ("first.bias", &[d]),
            ("second.weight", &[d, d]),
            ("second.bias", &[d]),
        ];
        for (name, shape) in shapes {
            layout.push(format!("blocks.{block}.{name}"), shape);
        }
    }

    /// The first weights of `leaves`, in the order of [`BlockWeights::lay_out`].
    pub fn of(leaves: &[Tensor]) -> Self {
        let leaf = |place: usize| leaves[place].shallow_clone();
        Self {
            attention_norm: [leaf(0), leaf(1)],
            query: leaf(2),
            key: leaf(3),
            value: leaf(4),
            feed_forward_norm: [leaf(5), leaf(6)],
            first: [leaf(7), leaf(8)],
            second: [leaf(9), leaf(10)],
        }
    }

    /// `x` and the result: `[sequences, positions, d]`.
    pub fn forward(&self, x: &Tensor, heads: i64, dropout: &mut Dropout) -> Result<Tensor, PolicyError> {
        let (batch, positions, d) = x.size3()?;
        let normed = norm(x, &self.attention_norm)?;
        let cut = |matrix: &Tensor| -> Result<Tensor, PolicyError> {
            let y = normed.f_linear(matrix, None::<&Tensor>)?;
            Ok(y.f_view([batch, positions, heads, d / heads])?.f_transpose(1, 2)?)
        };
        let (q, k, v) = (cut(&self.query)?, cut(&self.key)?, cut(&self.value)?);
        let none = None::<&Tensor>;
        let attended = Tensor::f_scaled_dot_product_attention(&q, &k, &v, none, 0.0, true, None, false)?;
        let attended = attended.f_transpose(1, 2)?.f_reshape([batch, positions, d])?;
        let s = x.f_add(&dropout.apply(&attended)?)?;
        let [w1, b1] = &self.first;
        let [w2, b2] = &self.second;
        let inner = norm(&s, &self.feed_forward_norm)?.f_linear(w1, Some(b1))?.f_relu()?;
        Ok(s.f_add(&dropout.apply(&inner.f_linear(w2, Some(b2))?)?)?)
    }
}

fn norm(x: &Tensor, [weight, bias]: &[Tensor; 2]) -> Result<Tensor, PolicyError> {
    Ok(x.f_layer_norm(weight.size(), Some(weight), Some(bias), EPS, false)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        heads: i64,
        d: i64,
        weights: Vec<f64>,
        x: Vec<f64>,
        sequences: i64,
        out: Vec<f64>,
    }

    #[test]
    fn a_block_equals_an_independent_one() {
        let cases: Vec<Golden> = serde_json::from_str(include_str!("../../tests/golden/sasrec.json")).unwrap();
        assert_eq!(cases.iter().map(|g| g.heads).collect::<Vec<_>>(), [1, 2]);
        for g in cases {
            let mut layout = FlatParameters::default();
            BlockWeights::lay_out(&mut layout, 0, g.d);
            let flat = Tensor::from_slice(&g.weights);
            layout.check("weights", &flat).unwrap();
            let leaves: Vec<Tensor> = (0..BlockWeights::COUNT).map(|place| layout.view(&flat, place)).collect();
            let x = Tensor::from_slice(&g.x).view([g.sequences, -1, g.d]);
            let out = BlockWeights::of(&leaves).forward(&x, g.heads, &mut Dropout::none()).unwrap();
            let found = Vec::<f64>::try_from(out.flatten(0, -1)).unwrap();
            assert_eq!(found.len(), g.out.len());
            for (f, e) in found.iter().zip(&g.out) {
                assert!((f - e).abs() < 1e-9, "{f} instead of {e}");
            }
        }
    }
}
