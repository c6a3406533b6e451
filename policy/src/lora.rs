//! LoRA (Hu et al., 2021) on every linear layer of attention and MLP, and the rows of tokens that a pretrained base does
//! not have: layout in one flat tensor (PEFT names), the adapter that training starts from, and its pieces as the
//! forward pass needs them.

use crate::error::PolicyError;
use crate::flat_parameters::FlatParameters;
use crate::llama::{LlamaConfig, pass_name};
use crate::llama_weights::Cutter;
use crate::random_normal::{stream, uniform};
use crate::transformer::Trains;
use conrec_domain::spec::LoraSpec;
use conrec_domain::work::Pass;
use tch::{Kind, Tensor};

/// Rows of the embedding for new tokens, as PEFT names them.
pub const NEW_EMBEDDING: &str = "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta";
/// Rows of the head for new tokens, where the head is not the embedding.
pub const NEW_HEAD: &str = "base_model.model.lm_head.token_adapter.trainable_tokens_delta";

/// The shape of an adapter: y = x W' + (alpha / r) x A' B'.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoraConfig {
    /// r: rows of A, columns of B.
    pub rank: i64,
    /// alpha / r.
    pub scale: f64,
}

impl LoraConfig {
    /// The adapter of a checked spec.
    ///
    /// # Errors
    /// When the rank is 0.
    pub fn new(spec: &LoraSpec) -> Result<Self, PolicyError> {
        if spec.rank == 0 {
            return Err(PolicyError::Shape { key: "rank", found: "0".into(), expected: "at least 1".into() });
        }
        Ok(Self { rank: i64::from(spec.rank), scale: spec.alpha / f64::from(spec.rank) })
    }

    /// Names, shapes and places of the whole adapter: the low-rank factors, then the rows of new tokens.
    pub fn layout(&self, model: &LlamaConfig) -> FlatParameters {
        let mut layout = self.factors(model);
        if model.new_tokens > 0 {
            layout.push(NEW_EMBEDDING.into(), &[model.new_tokens, model.hidden]);
        }
        if model.new_tokens > 0 && !model.tied {
            layout.push(NEW_HEAD.into(), &[model.new_tokens, model.hidden]);
        }
        layout
    }

    /// The part of [`Self::layout`] that holds the factors. Modules that read the same input keep their A matrices side by
    /// side.
    pub fn factors(&self, model: &LlamaConfig) -> FlatParameters {
        let mut layout = FlatParameters::default();
        for layer in 0..model.layers {
            for group in groups(model) {
                let name = |module: &str, half: &str| {
                    format!("base_model.model.model.layers.{layer}.{module}.lora_{half}.weight")
                };
                for (module, _) in &group.modules {
                    layout.push(name(module, "A"), &[self.rank, group.input]);
                }
                for (module, output) in &group.modules {
                    layout.push(name(module, "B"), &[*output, self.rank]);
                }
            }
        }
        layout
    }

    /// The adapter that training starts from, as one flat tensor (f32): A uniform in +-1/sqrt(inputs), which is
    /// PEFT's Kaiming rule with a = sqrt(5), drawn from the stream of (seed, pass, name); B = 0, so that the policy
    /// is the base. The rows of new tokens are 0: they come from the base's own rows ([`crate::new_rows`]).
    pub fn initial_weights(&self, model: &LlamaConfig, seed: u64, pass: Pass) -> Tensor {
        let layout = self.layout(model);
        let mut values = Vec::with_capacity(layout.len());
        for entry in layout.entries() {
            if !entry.name.ends_with("lora_A.weight") {
                values.resize(values.len() + entry.len(), 0.0f32);
                continue;
            }
            let bound = 1.0 / (entry.shape[1] as f64).sqrt();
            let mut rng = stream(seed, &format!("{}/lora/{}", pass_name(pass), entry.name));
            values.extend((0..entry.len()).map(|_| (bound * (2.0 * uniform(&mut rng) - 1.0)) as f32));
        }
        Tensor::from_slice(&values)
    }
}

/// Modules that read the same input.
struct Group {
    input: i64,
    /// Name and number of outputs.
    modules: Vec<(&'static str, i64)>,
}

fn groups(model: &LlamaConfig) -> [Group; 4] {
    let (d, i, q, k) = (model.hidden, model.intermediate, model.query_rows(), model.key_rows());
    [
        Group { input: d, modules: vec![("self_attn.q_proj", q), ("self_attn.k_proj", k), ("self_attn.v_proj", k)] },
        Group { input: q, modules: vec![("self_attn.o_proj", d)] },
        Group { input: d, modules: vec![("mlp.gate_proj", i), ("mlp.up_proj", i)] },
        Group { input: i, modules: vec![("mlp.down_proj", d)] },
    ]
}

/// The adapter of one group of modules that read the same input.
#[derive(Debug)]
pub(crate) struct LowRank {
    /// The A matrices over one another: `[modules * r, inputs]`.
    pub a: Tensor,
    /// One B matrix a module: `[outputs, r]`.
    pub b: Vec<Tensor>,
    /// alpha / r.
    pub scale: f64,
}

impl LowRank {
    /// The adapter of modules `from..to` of this group.
    pub(crate) fn modules(&self, from: usize, to: usize) -> Self {
        let rank = self.b[0].size()[1];
        let a = self.a.narrow(0, from as i64 * rank, (to - from) as i64 * rank);
        Self { a, b: self.b[from..to].iter().map(Tensor::shallow_clone).collect(), scale: self.scale }
    }

    /// All of it, in the kind that the base computes in.
    fn computing(&self, kind: Kind) -> Self {
        Self { a: self.a.to_kind(kind), b: self.b.iter().map(|b| b.to_kind(kind)).collect(), scale: self.scale }
    }
}

/// The rows of new tokens: one a token.
#[derive(Debug)]
pub(crate) struct NewRows {
    /// `[new_tokens, hidden]`.
    pub embedding: Tensor,
    /// `[new_tokens, hidden]`; none where the embedding is the head.
    pub head: Option<Tensor>,
}

/// An adapter: leaves of the autograd graph that share the memory of one flat tensor, in its order.
#[derive(Debug)]
pub(crate) struct LoraWeights {
    layers: Vec<[LowRank; 4]>,
    /// None where the base knows all tokens.
    pub rows: Option<NewRows>,
}

impl LoraWeights {
    /// Cuts a flat tensor into adapters that ask for gradients as `trains` says.
    ///
    /// # Errors
    /// When the flat tensor's length is not that of the layout.
    pub(crate) fn cut(lora: LoraConfig, model: &LlamaConfig, weights: (&Tensor, Trains)) -> Result<Self, PolicyError> {
        let (flat, trains) = weights;
        lora.layout(model).check("adapter", flat)?;
        let mut cut = Cutter { flat, offset: 0, trains: matches!(trains, Trains::Lora | Trains::Adapter) };
        let mut one = |group: Group| {
            let a = cut.next(&[group.modules.len() as i64 * lora.rank, group.input]);
            let b = group.modules.iter().map(|(_, output)| cut.next(&[*output, lora.rank])).collect();
            LowRank { a, b, scale: lora.scale }
        };
        let layers = (0..model.layers).map(|_| groups(model).map(&mut one)).collect();
        cut.trains = trains == Trains::Adapter;
        let shape = [model.new_tokens, model.hidden];
        let rows = (model.new_tokens > 0).then(|| {
            let embedding = cut.next(&shape);
            NewRows { embedding, head: (!model.tied).then(|| cut.next(&shape)) }
        });
        Ok(Self { layers, rows })
    }

    /// The leaves that train, in the order of the flat tensor.
    pub(crate) fn leaves(&self, trains: Trains) -> Vec<&Tensor> {
        let factors = self.layers.iter().flatten().flat_map(|g| std::iter::once(&g.a).chain(&g.b));
        let rows = self.rows.iter().filter(|_| trains == Trains::Adapter);
        factors.chain(rows.flat_map(|r| std::iter::once(&r.embedding).chain(&r.head))).collect()
    }

    /// The adapters of one layer in the kind that the base computes in: query-key-value, output, gate-up, down.
    pub(crate) fn layer(&self, layer: usize, kind: Kind) -> [LowRank; 4] {
        [0, 1, 2, 3].map(|group: usize| self.layers[layer][group].computing(kind))
    }
}

/// The weights with an adapter folded in, W + (alpha / r) B A, as a flat tensor in the base's layout.
///
/// # Errors
/// When one of the flat tensors does not have its layout's length.
pub fn merge(model: &LlamaConfig, lora: LoraConfig, base: &Tensor, adapter: &Tensor) -> Result<Tensor, PolicyError> {
    let (base_layout, lora_layout) = (model.layout(), lora.layout(model));
    base_layout.check("base weights", base)?;
    lora_layout.check("adapter", adapter)?;
    let merged = base.detach().copy();
    let adapter = adapter.detach();
    for (place, entry) in lora_layout.entries().iter().enumerate() {
        let Some(module) = entry.name.strip_suffix(".lora_A.weight") else { continue };
        let b_name = format!("{module}.lora_B.weight");
        let weight_name = format!("{}.weight", module.trim_start_matches("base_model.model."));
        let b_place = lora_layout.entries().iter().position(|e| e.name == b_name);
        let weight_place = base_layout.entries().iter().position(|e| e.name == weight_name);
        if let (Some(b_place), Some(weight_place)) = (b_place, weight_place) {
            let a = lora_layout.view(&adapter, place).to_kind(Kind::Double);
            let b = lora_layout.view(&adapter, b_place).to_kind(Kind::Double);
            let mut weight = base_layout.view(&merged, weight_place);
            let sum = weight.to_kind(Kind::Double) + b.matmul(&a) * lora.scale;
            weight.copy_(&sum);
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_domain::spec::ModelSpec;

    fn model() -> LlamaConfig {
        let spec = ModelSpec { hidden: 16, layers: 2, heads: 4, kv_heads: 2, intermediate: 24, ..ModelSpec::default() };
        LlamaConfig::new(&spec, 30).unwrap()
    }

    #[test]
    fn layout_has_peft_names_and_shapes() {
        let lora = LoraConfig { rank: 4, scale: 2.0 };
        let layout = lora.layout(&model());
        assert_eq!(layout.entries().len(), 2 * 7 * 2);
        let a = layout.find("base_model.model.model.layers.1.self_attn.k_proj.lora_A.weight").unwrap();
        assert_eq!(a.shape, [4, 16]);
        let b = layout.find("base_model.model.model.layers.0.mlp.down_proj.lora_B.weight").unwrap();
        assert_eq!(b.shape, [16, 4]);
    }

    #[test]
    fn leaves_cover_the_flat_tensor_in_order() {
        let lora = LoraConfig { rank: 4, scale: 2.0 };
        let flat = Tensor::arange(lora.layout(&model()).len() as i64, (Kind::Float, tch::Device::Cpu));
        let weights = LoraWeights::cut(lora, &model(), (&flat, Trains::Lora)).unwrap();
        let flattened = |weights: &LoraWeights, trains| {
            Tensor::cat(&weights.leaves(trains).iter().map(|l| l.detach().reshape([-1])).collect::<Vec<_>>(), 0)
        };
        assert!(flattened(&weights, Trains::Lora) == flat);
        for tied in [true, false] {
            let model = LlamaConfig { new_tokens: 5, tied, ..model() };
            let (layout, factors) = (lora.layout(&model), lora.factors(&model).len());
            let flat = Tensor::arange(layout.len() as i64, (Kind::Float, tch::Device::Cpu));
            let weights = LoraWeights::cut(lora, &model, (&flat, Trains::Adapter)).unwrap();
            assert!(flattened(&weights, Trains::Adapter) == flat);
            assert!(flattened(&weights, Trains::Lora) == flat.narrow(0, 0, factors as i64));
            assert_eq!(layout.len(), factors + if tied { 5 * 16 } else { 2 * 5 * 16 });
        }
    }

    #[test]
    fn a_fresh_adapter_changes_nothing_and_is_uniform() {
        let lora = LoraConfig { rank: 4, scale: 2.0 };
        let flat = lora.initial_weights(&model(), 7, Pass::Select);
        let layout = lora.layout(&model());
        for (place, entry) in layout.entries().iter().enumerate() {
            let largest = layout.view(&flat, place).abs().max().double_value(&[]);
            if entry.name.ends_with("lora_B.weight") {
                assert_eq!(largest, 0.0, "{}", entry.name);
            } else {
                let bound = 1.0 / (entry.shape[1] as f64).sqrt();
                assert!(largest <= bound && largest > 0.8 * bound, "{}: {largest}", entry.name);
            }
        }
        let base = model().initial_weights(1, Pass::Select, 0.05);
        assert!(merge(&model(), lora, &base, &flat).unwrap() == base);
    }
}
