//! The numbers that follow from a config, for `conrec validate`: each with a name and a sentence that explains it.

use crate::spec::{RunSpec, StageSpec, Statistics};

/// Special tokens before the codes: padding, begin, and the three signs.
pub const SPECIAL_TOKENS: u64 = 5;

/// What a worker holds before any of the run's own tensors: program, libtorch, prepared data. Measured, rounded up.
const BASE_BYTES: u64 = 250 << 20;

/// The numbers that follow from a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived {
    /// Trainings: 2 where the select pass is repeated.
    pub passes: u32,
    /// Optimiser updates at most, over all passes and stages; the select pass may retry stages, the refit pass does not.
    pub iterations_at_most: u64,
    /// Tokens that the model knows.
    pub vocabulary: u64,
    /// Semantic ids that could exist; saturates.
    pub semantic_ids_at_most: u64,
    /// Weights of the decoder, its head tied to the embedding.
    pub model_parameters: u64,
    /// Weights of the LoRA adapter.
    pub adapter_parameters: u64,
    /// Estimate of a worker's resident memory, in bytes.
    pub worker_bytes: u64,
    /// Stages, in order.
    pub stages: Vec<DerivedStage>,
}

/// The numbers of one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedStage {
    /// Its name.
    pub name: String,
    /// Iterations at most.
    pub iterations: u32,
    /// Prompts an iteration.
    pub prompts: u32,
    /// Leases an iteration.
    pub leases: u32,
    /// Completions sampled an iteration; 0 in supervised stages.
    pub completions: u64,
    /// Prompt tokens an iteration at most.
    pub prompt_tokens_at_most: u64,
    /// Completion codes an iteration at most.
    pub codes_at_most: u64,
    /// Prompts over all iterations of a pass.
    pub prompts_a_pass: u64,
}

/// One number as `conrec validate` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedRow {
    /// Its name.
    pub name: String,
    /// The number, for people.
    pub value: String,
    /// What it means and what it follows from.
    pub explanation: &'static str,
}

impl Derived {
    /// Derives all numbers.
    pub fn of(spec: &RunSpec) -> Self {
        let passes = match spec.evaluation.statistics {
            Statistics::Refit => 2,
            Statistics::Frozen => 1,
        };
        let a_pass: u64 = spec.stage.iter().map(|s| u64::from(s.iterations)).sum();
        let retries: u64 = spec.stage.iter().map(|s| u64::from(s.iterations) * u64::from(s.attempts() - 1)).sum();
        let model_parameters = model_parameters(spec);
        let adapter_parameters = adapter_parameters(spec);
        Self {
            passes,
            iterations_at_most: a_pass * u64::from(passes) + retries,
            vocabulary: vocabulary(spec),
            semantic_ids_at_most: u64::from(spec.semantic_id.codes).saturating_pow(spec.semantic_id.id_levels()),
            model_parameters,
            adapter_parameters,
            worker_bytes: worker_bytes(spec, model_parameters, adapter_parameters),
            stages: spec.stage.iter().map(|stage| derive_stage(spec, stage)).collect(),
        }
    }

    /// All numbers in the order of printing.
    pub fn rows(&self) -> Vec<DerivedRow> {
        let mut rows = vec![
            row(
                "passes",
                self.passes.to_string(),
                "trainings; refit repeats the chosen one on all data before the test",
            ),
            row(
                "iterations at most",
                self.iterations_at_most.to_string(),
                "optimiser updates over all passes and stages, every retry of a stage included",
            ),
            row(
                "vocabulary",
                self.vocabulary.to_string(),
                "5 special tokens, a token for each code of each level, one more where alignment questions are asked",
            ),
            row("semantic ids at most", self.semantic_ids_at_most.to_string(), "codes ^ levels"),
            row(
                "model parameters",
                self.model_parameters.to_string(),
                "trained in supervised stages; head tied to embedding",
            ),
            row(
                "adapter parameters",
                self.adapter_parameters.to_string(),
                "LoRA on the 7 linear layers of each decoder layer",
            ),
            row(
                "worker memory",
                format!("about {} MiB", self.worker_bytes >> 20),
                "estimate: weights, moments, copies, exact sums and the activations of the largest lease",
            ),
        ];
        rows.extend(self.stages.iter().flat_map(DerivedStage::rows));
        rows
    }
}

impl DerivedStage {
    fn rows(&self) -> Vec<DerivedRow> {
        let mut rows = Vec::new();
        let mut add = |what: &str, value: String, explanation| {
            rows.push(row(&format!("{}: {what}", self.name), value, explanation));
        };
        add("iterations", self.iterations.to_string(), "at most; the gate may end the stage earlier");
        add("prompts an iteration", self.prompts.to_string(), "as configured");
        add("leases an iteration", self.leases.to_string(), "prompts / prompts_per_lease, rounded up");
        if self.completions > 0 {
            add("completions an iteration", self.completions.to_string(), "prompts x completions a group");
            add(
                "codes an iteration",
                self.codes_at_most.to_string(),
                "completions x levels; forced codes cost nothing",
            );
        }
        add("prompt tokens an iteration", self.prompt_tokens_at_most.to_string(), "at most: each prompt once a group");
        add(
            "prompts a pass",
            self.prompts_a_pass.to_string(),
            "over all iterations; prompts come again in later epochs",
        );
        rows
    }
}

fn row(name: &str, value: String, explanation: &'static str) -> DerivedRow {
    let name = name.to_owned();
    DerivedRow { name, value, explanation }
}

/// Tokens that the model knows.
pub fn vocabulary(spec: &RunSpec) -> u64 {
    let codes = u64::from(spec.semantic_id.id_levels()) * u64::from(spec.semantic_id.codes);
    SPECIAL_TOKENS + codes + u64::from(spec.asks_questions())
}

fn derive_stage(spec: &RunSpec, stage: &StageSpec) -> DerivedStage {
    let prompts = u64::from(stage.prompts);
    let completions = if stage.kind.is_supervised() { 0 } else { prompts * u64::from(stage.completions) };
    DerivedStage {
        name: stage.name.clone(),
        iterations: stage.iterations,
        prompts: stage.prompts,
        leases: stage.prompts.div_ceil(stage.prompts_per_lease),
        completions,
        prompt_tokens_at_most: prompts * u64::from(spec.model.max_prompt_tokens),
        codes_at_most: completions * u64::from(spec.semantic_id.id_levels()),
        prompts_a_pass: prompts * u64::from(stage.iterations),
    }
}

/// Inputs and outputs of the linear layers of one decoder layer: q, k, v, o, gate, up, down.
fn linear_shapes(spec: &RunSpec) -> [(u64, u64); 7] {
    let hidden = u64::from(spec.model.hidden);
    let keys = hidden / u64::from(spec.model.heads) * u64::from(spec.model.kv_heads);
    let mlp = u64::from(spec.model.intermediate);
    [(hidden, hidden), (hidden, keys), (hidden, keys), (hidden, hidden), (hidden, mlp), (hidden, mlp), (mlp, hidden)]
}

/// Embedding, layers with two norms each, and the last norm.
fn model_parameters(spec: &RunSpec) -> u64 {
    let hidden = u64::from(spec.model.hidden);
    let a_layer: u64 = linear_shapes(spec).iter().map(|(inputs, outputs)| inputs * outputs).sum::<u64>() + 2 * hidden;
    vocabulary(spec) * hidden + u64::from(spec.model.layers) * a_layer + hidden
}

/// A: rank x inputs, B: outputs x rank.
fn adapter_parameters(spec: &RunSpec) -> u64 {
    let a_layer: u64 = linear_shapes(spec).iter().map(|(inputs, outputs)| inputs + outputs).sum();
    u64::from(spec.model.layers) * u64::from(spec.lora.rank) * a_layer
}

/// Per weight that trains: itself, gradient, two moments and the kept best (4 bytes each), two exact sums (8 each).
/// Activations: what a layer keeps for its backward, for the largest lease.
fn worker_bytes(spec: &RunSpec, model: u64, adapter: u64) -> u64 {
    let trained = if spec.stage.iter().any(|s| s.kind.is_supervised()) { model.max(adapter) } else { adapter };
    let states = 4 * (model + 2 * adapter) + trained * (4 * 4 + 2 * 8);
    let (hidden, mlp) = (u64::from(spec.model.hidden), u64::from(spec.model.intermediate));
    let heads = u64::from(spec.model.heads);
    let length = u64::from(spec.model.max_prompt_tokens);
    let a_token = 4 * u64::from(spec.model.layers) * (12 * hidden + 4 * mlp + 2 * heads * length);
    let tokens = spec.stage.iter().map(|stage| {
        let branches = if stage.kind.is_supervised() { 0 } else { stage.completions * spec.semantic_id.id_levels() };
        u64::from(stage.prompts_per_lease) * (length + u64::from(branches))
    });
    BASE_BYTES + states + a_token * tokens.max().unwrap_or(0)
}
