//! The plain form of the same model: one full sequence at a time, weights taken by name, adapters folded in, keys
//! and values expanded, attention with an explicit mask, no cache, no padding, no shared prefix.

use crate::fixture::{Fixture, VOCABULARY};
use conrec_feedback::prefix_trie::PrefixTrie;
use conrec_policy::flat_parameters::FlatParameters;
use tch::{Device, Kind, Tensor};

/// Weights by name from flat tensors that may ask for gradients.
pub struct Oracle<'a> {
    pub fixture: &'a Fixture,
    pub base: &'a Tensor,
    pub lora: Option<&'a Tensor>,
}

fn by_name(layout: &FlatParameters, flat: &Tensor, name: &str) -> Tensor {
    let place = layout.entries().iter().position(|e| e.name == name).unwrap();
    layout.view(flat, place)
}

fn norm(x: &Tensor, weight: &Tensor, eps: f64) -> Tensor {
    let mean = x.square().mean_dim(Some([-1i64].as_slice()), true, None);
    x / (mean + eps).sqrt() * weight
}

impl Oracle<'_> {
    fn weight(&self, layer: i64, module: &str) -> Tensor {
        let config = &self.fixture.config;
        let w = by_name(&config.layout(), self.base, &format!("model.layers.{layer}.{module}.weight"));
        let Some(lora) = self.lora else { return w };
        if module.ends_with("layernorm") {
            return w;
        }
        let layout = self.fixture.lora_config.layout(config);
        let half = |h: &str| {
            by_name(&layout, lora, &format!("base_model.model.model.layers.{layer}.{module}.lora_{h}.weight"))
        };
        w + half("B").matmul(&half("A")) * self.fixture.lora_config.scale
    }

    /// `[tokens, hidden]` after the final norm.
    pub fn hidden(&self, tokens: &[i64]) -> Tensor {
        let c = &self.fixture.config;
        let n = tokens.len() as i64;
        let layout = c.layout();
        let mut x =
            by_name(&layout, self.base, "model.embed_tokens.weight").index_select(0, &Tensor::from_slice(tokens));
        let kind = x.kind();
        let future = Tensor::full([n, n], f64::NEG_INFINITY, (kind, Device::Cpu)).triu(1);
        for layer in 0..c.layers {
            let h = norm(&x, &self.weight(layer, "input_layernorm"), c.rms_norm_eps);
            let project = |m: &str, heads: i64| {
                h.matmul(&self.weight(layer, m).tr()).view([n, heads, c.head_dim]).transpose(0, 1)
            };
            let q = rotate(&project("self_attn.q_proj", c.heads), c.rope_theta);
            let k = rotate(&project("self_attn.k_proj", c.kv_heads), c.rope_theta);
            let v = project("self_attn.v_proj", c.kv_heads);
            let repeat = |t: &Tensor| t.repeat_interleave_self_int(c.heads / c.kv_heads, 0, None);
            let scores = q.matmul(&repeat(&k).transpose(1, 2)) / (c.head_dim as f64).sqrt() + &future;
            let out = scores.softmax(-1, None).matmul(&repeat(&v)).transpose(0, 1).reshape([n, -1]);
            x = &x + out.matmul(&self.weight(layer, "self_attn.o_proj").tr());
            let h = norm(&x, &self.weight(layer, "post_attention_layernorm"), c.rms_norm_eps);
            let gate = h.matmul(&self.weight(layer, "mlp.gate_proj").tr());
            let up = h.matmul(&self.weight(layer, "mlp.up_proj").tr());
            x = &x + (&gate * gate.sigmoid() * up).matmul(&self.weight(layer, "mlp.down_proj").tr());
        }
        norm(&x, &by_name(&layout, self.base, "model.norm.weight"), c.rms_norm_eps)
    }

    /// log pi over ALL tokens after a sequence, masked to the legal codes of a level: full logits, then the mask.
    pub fn log_probs(&self, hidden: &Tensor, legal: &[i64], temperature: f64) -> Tensor {
        let embedding = by_name(&self.fixture.config.layout(), self.base, "model.embed_tokens.weight");
        let logits = embedding.matmul(hidden) / temperature;
        let z = logits.index_select(0, &Tensor::from_slice(legal));
        &z - z.logsumexp([0i64], false)
    }
}

fn rotate(x: &Tensor, theta: f64) -> Tensor {
    let (n, dim) = (x.size()[1], x.size()[2]);
    let options = (Kind::Double, Device::Cpu);
    let frequency = (Tensor::arange(dim / 2, options) * (-2.0 / dim as f64) * theta.ln()).exp();
    let angle = Tensor::arange(n, options).unsqueeze(1) * frequency;
    let angle = Tensor::cat(&[&angle, &angle], -1);
    let (first, second) = (x.narrow(-1, 0, dim / 2), x.narrow(-1, dim / 2, dim / 2));
    let turned = Tensor::cat(&[-second, first], -1);
    x * angle.cos().to_kind(x.kind()) + turned * angle.sin().to_kind(x.kind())
}

/// Tokens of the legal codes at a node, and the nodes they lead to.
pub fn legal_tokens(trie: &PrefixTrie, level: usize, node: u32) -> (Vec<i64>, Vec<u32>) {
    trie.children(node).iter().map(|c| (VOCABULARY.code(level, c.code), c.node)).unzip()
}
