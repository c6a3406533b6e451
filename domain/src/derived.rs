//! The numbers that follow from a config, for `conrec validate`: each with a name and a sentence that explains it.

mod decoder;

use crate::decoder_shape::DecoderShape;
use crate::spec::{RunSpec, StageSpec, Statistics};
use decoder::Decoder;

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
    /// Weights of the decoder.
    pub model_parameters: u64,
    /// Weights of the LoRA adapter, and of the rows of new tokens.
    pub adapter_parameters: u64,
    /// What these weights are and which of them train.
    explanations: [&'static str; 4],
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
    /// Derives all numbers. `base` is the shape of the spec's pretrained base, where it is at hand: without it, what
    /// follows from it is not counted.
    pub fn of(spec: &RunSpec, base: Option<&DecoderShape>) -> Self {
        let passes = match spec.evaluation.statistics {
            Statistics::Refit => 2,
            Statistics::Frozen => 1,
        };
        let a_pass: u64 = spec.stage.iter().map(|s| u64::from(s.iterations)).sum();
        let retries: u64 = spec.stage.iter().map(|s| u64::from(s.iterations) * u64::from(s.attempts() - 1)).sum();
        let decoder = Decoder::of(spec, base);
        Self {
            passes,
            iterations_at_most: a_pass * u64::from(passes) + retries,
            vocabulary: decoder.vocabulary(),
            semantic_ids_at_most: u64::from(spec.semantic_id.codes).saturating_pow(spec.semantic_id.id_levels()),
            model_parameters: decoder.parameters(),
            adapter_parameters: decoder.adapter_parameters(),
            explanations: decoder.explanations(),
            worker_bytes: decoder.worker_bytes(),
            stages: spec.stage.iter().map(|stage| derive_stage(spec, stage)).collect(),
        }
    }

    /// All numbers in the order of printing.
    pub fn rows(&self) -> Vec<DerivedRow> {
        let [vocabulary, model, adapter, memory] = self.explanations;
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
            row("vocabulary", self.vocabulary.to_string(), vocabulary),
            row("semantic ids at most", self.semantic_ids_at_most.to_string(), "codes ^ levels"),
            row("model parameters", self.model_parameters.to_string(), model),
            row("adapter parameters", self.adapter_parameters.to_string(), adapter),
            row("worker memory", format!("about {} MiB", self.worker_bytes >> 20), memory),
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
