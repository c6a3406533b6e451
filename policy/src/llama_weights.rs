//! A flat tensor of base weights as the pieces that the forward pass multiplies with.

use crate::error::PolicyError;
use crate::llama::LlamaConfig;
use tch::Tensor;

/// The weights of a decoder: leaves of the autograd graph that share the memory of one flat tensor, in its order.
#[derive(Debug)]
pub(crate) struct LlamaWeights {
    /// `[vocab, hidden]`.
    pub embedding: Tensor,
    /// One an entry of the decoder.
    pub layers: Vec<LayerWeights>,
    /// `[hidden]`.
    pub norm: Tensor,
    /// `[vocab, hidden]`; none where the embedding is the head.
    pub head: Option<Tensor>,
}

/// A weight, and a bias where the layer has one.
#[derive(Debug)]
pub(crate) struct Linear {
    /// `[outputs, inputs]`.
    pub weight: Tensor,
    /// `[outputs]`.
    pub bias: Option<Tensor>,
}

/// The weights of one decoder layer.
#[derive(Debug)]
pub(crate) struct LayerWeights {
    /// `[hidden]`.
    pub attention_norm: Tensor,
    /// Query over key over value: `[query_rows + 2 key_rows, hidden]`.
    pub query_key_value: Linear,
    /// Of queries and of keys, each `[head_dim]`.
    pub head_norms: Option<[Tensor; 2]>,
    /// `[hidden, query_rows]`.
    pub output: Linear,
    /// `[hidden]`.
    pub mlp_norm: Tensor,
    /// Gate over up: `[2 intermediate, hidden]`.
    pub gate_up: Linear,
    /// `[hidden, intermediate]`.
    pub down: Linear,
}

impl LlamaWeights {
    /// Cuts a flat tensor into weights; with `trains` they ask for gradients.
    ///
    /// # Errors
    /// When the flat tensor's length is not that of the layout.
    pub(crate) fn cut(config: &LlamaConfig, flat: &Tensor, trains: bool) -> Result<Self, PolicyError> {
        config.layout().check("base weights", flat)?;
        let (d, i, q, k) = (config.hidden, config.intermediate, config.query_rows(), config.key_rows());
        let biases = config.biases;
        let mut cut = Cutter { flat, offset: 0, trains };
        let embedding = cut.next(&[config.vocab, d]);
        // The fields are cut in the order in which they stand: the order of the layout.
        let layers = (0..config.layers)
            .map(|_| LayerWeights {
                attention_norm: cut.next(&[d]),
                query_key_value: cut.linear([q + 2 * k, d], biases.query_key_value),
                head_norms: config.head_norms.then(|| [cut.next(&[config.head_dim]), cut.next(&[config.head_dim])]),
                output: cut.linear([d, q], biases.output),
                mlp_norm: cut.next(&[d]),
                gate_up: cut.linear([2 * i, d], biases.mlp),
                down: cut.linear([d, i], biases.mlp),
            })
            .collect();
        let norm = cut.next(&[d]);
        let head = (!config.tied).then(|| cut.next(&[config.vocab, d]));
        Ok(Self { embedding, layers, norm, head })
    }

    /// All weights in the order of the flat tensor.
    pub(crate) fn leaves(&self) -> Vec<&Tensor> {
        let mut leaves = vec![&self.embedding];
        for l in &self.layers {
            leaves.push(&l.attention_norm);
            l.query_key_value.extend(&mut leaves);
            leaves.extend(l.head_norms.iter().flatten());
            l.output.extend(&mut leaves);
            leaves.push(&l.mlp_norm);
            l.gate_up.extend(&mut leaves);
            l.down.extend(&mut leaves);
        }
        leaves.push(&self.norm);
        leaves.extend(&self.head);
        leaves
    }
}

impl Linear {
    fn extend<'a>(&'a self, leaves: &mut Vec<&'a Tensor>) {
        leaves.push(&self.weight);
        leaves.extend(&self.bias);
    }
}

/// Takes one leaf after another from a flat tensor.
pub(crate) struct Cutter<'a> {
    pub flat: &'a Tensor,
    pub offset: i64,
    pub trains: bool,
}

impl Cutter<'_> {
    /// The next leaf: shares memory with the flat tensor, is no node of its graph.
    pub(crate) fn next(&mut self, shape: &[i64]) -> Tensor {
        let length = shape.iter().product();
        let leaf = self.flat.detach().narrow(0, self.offset, length).view(shape).set_requires_grad(self.trains);
        self.offset += length;
        leaf
    }

    fn linear(&mut self, shape: [i64; 2], biased: bool) -> Linear {
        let weight = self.next(&shape);
        Linear { weight, bias: biased.then(|| self.next(&shape[..1])) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_domain::decoder_shape::Biases;
    use conrec_domain::spec::ModelSpec;

    fn configs() -> [LlamaConfig; 2] {
        let spec = ModelSpec { hidden: 16, layers: 2, heads: 4, kv_heads: 2, intermediate: 24, ..ModelSpec::default() };
        let plain = LlamaConfig::new(&spec, 30).unwrap();
        let biases = Biases { query_key_value: true, output: true, mlp: true };
        let full = LlamaConfig { tied: false, biases, head_norms: true, head_dim: 6, ..plain };
        [plain, full]
    }

    #[test]
    fn leaves_cover_the_flat_tensor_in_order() {
        for config in configs() {
            let layout = config.layout();
            let flat = Tensor::arange(layout.len() as i64, (tch::Kind::Float, tch::Device::Cpu));
            let weights = LlamaWeights::cut(&config, &flat, true).unwrap();
            let parts: Vec<Tensor> = weights.leaves().iter().map(|l| l.detach().reshape([-1])).collect();
            assert!(Tensor::cat(&parts, 0) == flat);
            let begins = |leaf: &Tensor, name: &str| {
                let first = leaf.detach().reshape([-1]).double_value(&[0]);
                assert_eq!(first, layout.find(name).unwrap().offset as f64, "{name}");
            };
            let layer = &weights.layers[1];
            begins(&layer.query_key_value.weight, "model.layers.1.self_attn.q_proj.weight");
            begins(&layer.output.weight, "model.layers.1.self_attn.o_proj.weight");
            begins(&layer.gate_up.weight, "model.layers.1.mlp.gate_proj.weight");
            begins(&layer.down.weight, "model.layers.1.mlp.down_proj.weight");
            let value = &layer.query_key_value.weight.narrow(0, config.query_rows() + config.key_rows(), 1);
            begins(value, "model.layers.1.self_attn.v_proj.weight");
            for (leaf, name) in [
                (&layer.query_key_value.bias, "self_attn.q_proj.bias"),
                (&layer.output.bias, "self_attn.o_proj.bias"),
                (&layer.gate_up.bias, "mlp.gate_proj.bias"),
                (&layer.down.bias, "mlp.down_proj.bias"),
                (&layer.head_norms.as_ref().map(|n| n[1].shallow_clone()), "self_attn.k_norm.weight"),
            ] {
                assert_eq!(leaf.is_some(), config.head_norms, "{name}");
                leaf.iter().for_each(|leaf| begins(leaf, &format!("model.layers.1.{name}")));
            }
            weights.head.iter().for_each(|head| begins(head, "lm_head.weight"));
        }
    }
}
