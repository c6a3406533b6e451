//! How large a decoder, its adapter and a worker that trains them are, from a config and the shape of its base.

use crate::decoder_shape::DecoderShape;
use crate::spec::{RunSpec, StageKind, StageSpec};

/// Special tokens before the codes from scratch: padding, begin, and the three signs.
const SPECIAL_TOKENS: u64 = 5;

/// Tokens that a pretrained base gets beside the codes: the three signs.
const SIGNS: u64 = 3;

/// What a worker holds before any of the run's own tensors: program, libtorch, prepared data. Measured, rounded up.
const BASE_BYTES: u64 = 250 << 20;

/// Numbers a prompt's token leaves for the backward pass in each layer, in units of the widths below. Measured, rounded up.
const KEPT_HIDDEN: u64 = 12;
const KEPT_MLP: u64 = 4;

/// What a worker with a pretrained base takes over what it counts, as a fraction: pages of the files while they are read,
/// and what the allocator keeps of temporaries. Measured with SmolLM2-135M, rounded up.
const KEPT_PAGES: (u64, u64) = (7, 4);

/// A decoder as its sizes.
pub(super) struct Decoder<'a> {
    spec: &'a RunSpec,
    base: Option<&'a DecoderShape>,
    hidden: u64,
    layers: u64,
    heads: u64,
    queries: u64,
    keys: u64,
    mlp: u64,
}

impl<'a> Decoder<'a> {
    pub(super) fn of(spec: &'a RunSpec, base: Option<&'a DecoderShape>) -> Self {
        let model = &spec.model;
        if model.is_pretrained() {
            let of = |size: fn(&DecoderShape) -> u32| base.map_or(0, |shape| u64::from(size(shape)));
            let (heads, dim) = (of(|s| s.heads), of(|s| s.head_dim));
            let keys = of(|s| s.kv_heads) * dim;
            let (hidden, layers, mlp) = (of(|s| s.hidden), of(|s| s.layers), of(|s| s.intermediate));
            return Self { spec, base, hidden, layers, heads, queries: heads * dim, keys, mlp };
        }
        let hidden = u64::from(model.hidden);
        let heads = u64::from(model.heads);
        let keys = hidden / heads * u64::from(model.kv_heads);
        let (layers, mlp) = (u64::from(model.layers), u64::from(model.intermediate));
        Self { spec, base: None, hidden, layers, heads, queries: hidden, keys, mlp }
    }

    /// Tokens that the policy knows.
    pub(super) fn vocabulary(&self) -> u64 {
        let codes = u64::from(self.spec.semantic_id.id_levels()) * u64::from(self.spec.semantic_id.codes);
        codes
            + u64::from(self.spec.asks_questions())
            + if self.pretrained() {
                SIGNS + self.base.map_or(0, |shape| u64::from(shape.vocab))
            } else {
                SPECIAL_TOKENS
            }
    }

    /// Weights of the base: embedding, layers with two norms each, and the last norm; of a pretrained one all it has.
    pub(super) fn parameters(&self) -> u64 {
        if self.pretrained() {
            return self.base.map_or(0, DecoderShape::parameters);
        }
        let linear: u64 = self.linear_shapes().iter().map(|(inputs, outputs)| inputs * outputs).sum();
        self.vocabulary() * self.hidden + self.layers * (linear + 2 * self.hidden) + self.hidden
    }

    /// A: rank x inputs, B: outputs x rank; and the rows of new tokens, twice where the head is not the embedding.
    pub(super) fn adapter_parameters(&self) -> u64 {
        let a_layer: u64 = self.linear_shapes().iter().map(|(inputs, outputs)| inputs + outputs).sum();
        let rows = self.base.map_or(0, |shape| {
            let new = self.vocabulary() - u64::from(shape.vocab);
            new * self.hidden * if shape.tied { 1 } else { 2 }
        });
        self.layers * u64::from(self.spec.lora.rank) * a_layer + rows
    }

    /// What vocabulary, parameters, adapter and memory are.
    pub(super) fn explanations(&self) -> [&'static str; 4] {
        match (self.pretrained(), self.base) {
            (false, _) => [
                "5 special tokens, a token for each code of each level, one more where alignment questions are asked",
                "trained in supervised stages; head tied to embedding",
                "LoRA on the 7 linear layers of each decoder layer",
                "estimate: weights, moments, copies, exact sums and the activations of the largest lease",
            ],
            (true, Some(_)) => [
                "the base's own, 3 signs, a token for each code of each level, one more where alignment questions are asked",
                "of the pretrained base; they never train",
                "LoRA on the 7 linear layers of each decoder layer, and the rows of new tokens",
                "estimate: base, adapter with moments, copies and exact sums, activations of the largest micro-batch",
            ],
            (true, None) => [
                "3 signs and a token for each code of each level; the base's own are not counted: its config.json is not at hand",
                "the base's config.json is not at hand",
                "not counted: the base's config.json is not at hand",
                "estimate WITHOUT the base and its adapter: the base's config.json is not at hand",
            ],
        }
    }

    /// Estimate of a worker's resident memory. Per weight that trains: itself, gradient, two moments and the kept best (4
    /// bytes each), two exact sums (8 each). Activations: what a layer keeps for its backward.
    pub(super) fn worker_bytes(&self) -> u64 {
        if self.pretrained() {
            return BASE_BYTES + self.pretrained_bytes();
        }
        let (model, adapter) = (self.parameters(), self.adapter_parameters());
        let supervised = self.spec.stage.iter().any(|s| s.kind.is_supervised());
        let trained = if supervised { model.max(adapter) } else { adapter };
        let states = 4 * (model + 2 * adapter) + trained * (4 * 4 + 2 * 8);
        let length = u64::from(self.spec.model.max_prompt_tokens);
        let tokens =
            self.spec.stage.iter().map(|stage| u64::from(stage.prompts_per_lease) * (length + self.branches(stage)));
        BASE_BYTES + states + self.layers * self.kept_a_layer(4) * tokens.max().unwrap_or(0)
    }

    /// A pretrained base once, the adapter seven times (weights, reference, that of the supervised stages, best, gradient,
    /// moments) and as two exact sums, and the activations of one micro-batch: of prompts, and of the branches after them,
    /// whose activations are always kept. Checkpointed prompts leave a layer's input, keys and values, and one layer's
    /// activations at a time.
    fn pretrained_bytes(&self) -> u64 {
        let model = &self.spec.model;
        let (size, length) = (model.dtype.bytes(), u64::from(model.max_prompt_tokens));
        let states = size * self.parameters() + self.adapter_parameters() * (7 * 4 + 2 * 8);
        let kept = self.kept_a_layer(size);
        let a_token = if model.gradient_checkpointing {
            self.layers * size * (self.hidden + 2 * self.keys) * 2 + 2 * kept
        } else {
            self.layers * kept
        };
        let activations = self.spec.stage.iter().map(|stage| {
            let most = (u64::from(model.micro_batch_tokens) / length).max(1);
            let prompts = u64::from(stage.prompts_per_lease).min(most);
            prompts * (length * a_token + self.branches(stage) * self.layers * kept) + self.titles(stage)
        });
        (states + activations.max().unwrap_or(0)) * KEPT_PAGES.0 / KEPT_PAGES.1
    }

    /// Bytes that one token leaves in a layer.
    fn kept_a_layer(&self, size: u64) -> u64 {
        let length = u64::from(self.spec.model.max_prompt_tokens);
        size * (KEPT_HIDDEN * self.hidden + KEPT_MLP * self.mlp + 2 * self.heads * length)
    }

    /// Bytes that the predictions of the titles of a micro-batch leave: logits, log-probabilities and their gradients over
    /// all tokens of the base. A prompt may be little more than its title, so a micro-batch may be nothing but titles.
    fn titles(&self, stage: &StageSpec) -> u64 {
        if stage.kind != StageKind::Translation {
            return 0;
        }
        let vocab = self.base.map_or(0, |shape| u64::from(shape.vocab));
        let of_lease = u64::from(stage.prompts_per_lease) * (u64::from(stage.title_tokens) + 1);
        4 * 4 * vocab * of_lease.min(u64::from(self.spec.model.micro_batch_tokens))
    }

    /// Tokens that follow a prompt in a stage.
    fn branches(&self, stage: &StageSpec) -> u64 {
        let completions = if stage.kind.is_supervised() { 0 } else { stage.completions };
        u64::from(completions) * u64::from(self.spec.semantic_id.id_levels())
    }

    /// Inputs and outputs of the linear layers of one decoder layer: q, k, v, o, gate, up, down.
    fn linear_shapes(&self) -> [(u64, u64); 7] {
        let (hidden, queries, keys, mlp) = (self.hidden, self.queries, self.keys, self.mlp);
        [
            (hidden, queries),
            (hidden, keys),
            (hidden, keys),
            (queries, hidden),
            (hidden, mlp),
            (hidden, mlp),
            (mlp, hidden),
        ]
    }

    fn pretrained(&self) -> bool {
        self.spec.model.is_pretrained()
    }
}
