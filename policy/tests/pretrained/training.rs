//! Training on tiny pretrained decoders: what changes, what does not, and what a checkpoint holds.

use conrec_domain::spec::{Objective, RunConfig, RunSpec};
use conrec_domain::work::{Pass, StateChange};
use conrec_feedback::prefix_trie::PrefixTrie;
use conrec_feedback::prompt::Vocabulary;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_policy::base_model::{BaseModel, vocabulary};
use conrec_policy::grpo::{GroupPrompt, GrpoLease, GrpoSettings};
use conrec_policy::lease_gradient::LeaseGradient;
use conrec_policy::legal::Legal;
use conrec_policy::supervised::{SupervisedLease, TargetPrompt};
use conrec_policy::training_state::TrainingState;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::Tensor;

pub const CELLS: [[u16; 2]; 6] = [[0, 1], [0, 3], [1, 0], [1, 2], [2, 2], [3, 0]];

pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pretrained").join(name)
}

/// A supervised stage, then GRPO.
fn spec(name: &str, more: &str) -> RunSpec {
    let stage = "iterations = 2\nprompts = 3\nprompts_per_lease = 3\nlearning_rate = 0.02\n";
    let text = format!(
        "[semantic_id]\nlevels = 2\ncodes = 8\n[lora]\nrank = 3\nalpha = 6.0\n[model]\nbase = {:?}\nmax_prompt_tokens = 64\n\
         {more}\n[[stage]]\nname = \"a\"\nkind = \"next_negative\"\n{stage}[[stage]]\nname = \"b\"\nkind = \"grpo\"\n{stage}",
        folder(name).display()
    );
    RunSpec::check(RunConfig::parse(&text, "test").unwrap()).unwrap()
}

/// A state in memory with what it learns from.
pub struct Trained {
    spec: RunSpec,
    base: BaseModel,
    pub state: TrainingState,
    trie: PrefixTrie,
    pub vocabulary: Vocabulary,
}

impl Trained {
    pub fn begin(name: &str, more: &str) -> Self {
        tch::set_num_threads(1);
        let spec = spec(name, more);
        let base = BaseModel::load(&spec, &folder(name)).unwrap();
        let mut state = TrainingState::new(&spec, &base).unwrap();
        state.apply(StateChange::BeginPass { pass: Pass::Select }, &spec).unwrap();
        state.apply(StateChange::BeginStage { stage: 0 }, &spec).unwrap();
        let of_item = CELLS.iter().flatten().copied().collect();
        let ids = SemanticIds::new(2, 8, of_item, &[true; CELLS.len()]).unwrap();
        let vocabulary = vocabulary(&spec).after(304);
        Self { trie: PrefixTrie::new(&ids), spec, base, state, vocabulary }
    }

    /// The instruction, events, the question and the sign that is asked for, of unequal length.
    fn prompts(&self) -> Vec<Vec<i64>> {
        let frame = self.base.frame();
        let sign = self.vocabulary.first_sign();
        let prompt = |events: usize| {
            let event = |i: usize| {
                let codes = CELLS[(i + events) % CELLS.len()];
                std::iter::once(sign + (i % 3) as i64).chain(self.vocabulary.codes(&codes).collect::<Vec<_>>())
            };
            let events = (0..events).flat_map(event);
            frame.beginning.iter().copied().chain(events).chain(frame.question.iter().copied()).chain([sign]).collect()
        };
        [1, 4, 2].map(prompt).to_vec()
    }

    pub fn legal(&self) -> Legal<'_> {
        Legal { trie: &self.trie, vocabulary: self.vocabulary }
    }

    fn learn(&self) -> LeaseGradient {
        let (policy, prompts) = (self.state.policy().unwrap(), self.prompts());
        let targets: Vec<TargetPrompt<'_>> = prompts.iter().map(|p| TargetPrompt { tokens: p, cell: 4 }).collect();
        SupervisedLease { policy: &policy, legal: self.legal() }.next_negative(&targets).unwrap()
    }

    fn read(&self) -> LeaseGradient {
        let (policy, prompts) = (self.state.policy().unwrap(), self.prompts());
        let sequences: Vec<&[i64]> = prompts.iter().map(Vec::as_slice).collect();
        SupervisedLease { policy: &policy, legal: self.legal() }.next_item(&sequences, 0.3).unwrap()
    }

    fn reinforce(&self) -> LeaseGradient {
        let (policy, reference) = (self.state.policy().unwrap(), self.state.reference().unwrap());
        let settings = GrpoSettings {
            seed: 5,
            iteration: 1,
            completions: 6,
            temperature: 1.0,
            beta: 0.01,
            objective: Objective::paper(),
            nll_weight: 0.0,
        };
        let lease =
            GrpoLease { policy: &policy, behaviour: None, reference: &reference, legal: self.legal(), settings };
        let prompts = self.prompts();
        let groups: Vec<GroupPrompt<'_>> =
            prompts.iter().zip(0u64..).map(|(tokens, id)| GroupPrompt { id, tokens, next: None }).collect();
        lease.run(&groups, &|_, cells| cells.iter().map(|cell| Some(f64::from(*cell))).collect()).unwrap()
    }

    pub fn commit(&mut self, lease: &LeaseGradient) {
        self.state.sum().unwrap().accumulate(lease).unwrap();
        let reduced = Tensor::from_slice(&self.state.sum().unwrap().integers().unwrap().0);
        self.state.commit(&reduced, 3, 0.02, &self.spec.optimizer).unwrap();
    }

    fn begin_grpo(&mut self) {
        self.state.apply(StateChange::BeginStage { stage: 1 }, &self.spec).unwrap();
    }

    /// The adapter's low-rank factors, and its rows of new tokens.
    fn adapter(&self) -> (Tensor, Tensor) {
        let factors = self.state.lora_config().factors(self.state.model()).len() as i64;
        let whole = self.state.lora().copy();
        (whole.narrow(0, 0, factors), whole.narrow(0, factors, whole.numel() as i64 - factors))
    }
}

#[test]
fn gradient_checkpointing_changes_no_gradient_of_factors_and_rows() {
    for name in ["llama", "llama_biased", "qwen2", "qwen3"] {
        let [kept, recomputed] = [false, true].map(|recomputes| {
            let more = format!("gradient_checkpointing = {recomputes}\nrows_in_grpo = true");
            let mut of = Trained::begin(name, &more);
            let learned = of.learn();
            let read = of.read();
            // B is 0 at first: A has a gradient only once that has changed.
            of.commit(&learned);
            of.begin_grpo();
            [learned, read, of.reinforce()]
        });
        for (kept, recomputed) in kept.into_iter().zip(recomputed) {
            let (kept, recomputed) = (kept.gradient.unwrap(), recomputed.gradient.unwrap());
            let largest = kept.abs().max().double_value(&[]);
            let error = (recomputed - kept).abs().max().double_value(&[]) / largest;
            assert!(largest > 1e-3 && error < 1e-5, "{name}: {error} of {largest}");
        }
    }
}

#[test]
fn supervised_stages_train_factors_and_rows_and_grpo_the_factors() {
    for (more, rows_train) in [("", false), ("rows_in_grpo = true", true)] {
        let mut of = Trained::begin("qwen2", more);
        let base = of.state.base().copy();
        let losses: Vec<f64> = (0..4)
            .map(|_| {
                let lease = of.learn();
                of.commit(&lease);
                lease.metrics.loss
            })
            .collect();
        assert!(losses[3] < 0.9 * losses[0], "{losses:?}");
        of.begin_grpo();
        assert!(of.state.is_as_supervised());
        let before = of.adapter();
        let lease = of.reinforce();
        of.commit(&lease);
        let after = of.adapter();
        assert!(before.0 != after.0 && !of.state.is_as_supervised(), "{:?}", lease.metrics);
        assert_eq!(before.1 != after.1, rows_train);
        assert!(of.state.base() == &base, "the base is never trained");
    }
}

#[test]
fn a_state_read_from_its_parts_goes_on_alike_and_holds_no_base() {
    let mut of = Trained::begin("qwen3", "dtype = \"bf16\"");
    let lease = of.learn();
    of.commit(&lease);
    of.begin_grpo();
    let lease = of.reinforce();
    of.commit(&lease);
    let parts: BTreeMap<_, _> = of.state.to_parts().unwrap().into_iter().collect();
    assert!(parts["base.safetensors"].len() < 200, "a checkpoint names the base and does not hold it");
    let part = |name: &str| parts.get(name).map(Vec::as_slice);
    let read = TrainingState::from_parts(&of.spec, &of.base, &part).unwrap();
    assert_eq!(read.digest().unwrap(), of.state.digest().unwrap());
    let mut twin = Trained { state: read, ..Trained::begin("qwen3", "dtype = \"bf16\"") };
    for each in [&mut of, &mut twin] {
        let lease = each.reinforce();
        each.commit(&lease);
    }
    assert_eq!(twin.state.digest().unwrap(), of.state.digest().unwrap());
    // The same shape with other weights.
    let other = spec("qwen3", "dtype = \"f32\"");
    let base = BaseModel::load(&other, &folder("qwen3")).unwrap();
    let error = TrainingState::from_parts(&other, &base, &part).unwrap_err().to_string();
    assert!(error.contains("base_digest") && error.contains("model.base is not what the run began with"), "{error}");
}
