//! One pass of the prepared data in memory: what leases of that pass read.

use crate::error::WorkerError;
use crate::prompt_frame::read_frame;
use crate::run_folder::RunFolder;
use crate::stage_prompts::{LeasePrompts, PromptSource, StagePrompts};
use crate::titles::read_titles;
use conrec_domain::spec::{EvaluationSpec, RewardTargets, RunSpec};
use conrec_domain::work::Pass;
use conrec_feedback::cell_ranking::CellShares;
use conrec_feedback::evaluation::Evaluation;
use conrec_feedback::history::History;
use conrec_feedback::instance::Instance;
use conrec_feedback::matrix::Matrix;
use conrec_feedback::outcomes::InstanceKey;
use conrec_feedback::prefix_trie::PrefixTrie;
use conrec_feedback::prepared::{PreparedPass, Role};
use conrec_feedback::prompt::{PromptBuilder, PromptFrame, Vocabulary};
use conrec_feedback::reward::{RewardModel, Targets};
use conrec_feedback::reward_shape::ShapedReward;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_feedback::split::PassWindows;
use conrec_feedback::training_time::TrainingTime;
use conrec_feedback::translation::Titles;
use conrec_policy::legal::Legal;

/// A loaded pass.
pub struct PassData {
    /// What was prepared.
    pub prepared: PreparedPass,
    /// Events by user.
    pub history: History,
    /// Legal codes.
    pub trie: PrefixTrie,
    /// What prompts say around the events.
    pub frame: PromptFrame,
    /// Titles in the base's tokens, where a stage translates and prompts are made.
    pub titles: Option<Titles>,
    /// Numbering of tokens.
    pub vocabulary: Vocabulary,
    /// Rewards of completions.
    pub reward: ShapedReward,
    /// Items' shares of their cells.
    pub shares: CellShares,
    /// Where the training prompts of each stage of the config come from.
    pub stages: Vec<StagePrompts>,
}

impl PassData {
    /// Loads a pass that `prepare` wrote and makes the prompts of its stages.
    ///
    /// # Errors
    /// Files that are missing or damaged.
    pub fn load(spec: &RunSpec, folder: &RunFolder, pass: Pass) -> Result<Self, WorkerError> {
        let mut data = Self::without_prompts(spec, folder, pass)?;
        data.titles = read_titles(spec, folder)?;
        let source = data.prompt_source(spec);
        let stages = spec.stage.iter().map(|stage| source.stage(stage)).collect();
        data.stages = stages;
        Ok(data)
    }

    /// Loads a pass for what does not train: no stage has prompts.
    ///
    /// # Errors
    /// Files that are missing or damaged.
    pub fn without_prompts(spec: &RunSpec, folder: &RunFolder, pass: Pass) -> Result<Self, WorkerError> {
        let place = pass.folder();
        folder.fetch(place)?;
        let prepared = PreparedPass::load(&folder.path(place))?;
        Self::of(spec, prepared, read_frame(spec, folder)?)
    }

    /// The same events and windows under other ids: `spec` is that of the policy that knows them.
    ///
    /// # Errors
    /// Ids that make no reward.
    pub fn with_ids(self, spec: &RunSpec, ids: SemanticIds, cell_vectors: Matrix) -> Result<Self, WorkerError> {
        Self::of(spec, PreparedPass { ids, cell_vectors, ..self.prepared }, self.frame)
    }

    fn of(spec: &RunSpec, prepared: PreparedPass, frame: PromptFrame) -> Result<Self, WorkerError> {
        let history = History::new(&prepared.dataset.events, prepared.dataset.users.len());
        let trie = PrefixTrie::new(&prepared.ids);
        let vocabulary = frame.vocabulary(&prepared.ids);
        let reward = RewardModel::new(&spec.reward, &prepared.cell_vectors, &prepared.ids)?;
        let train_end = prepared.windows.train_end;
        let training = TrainingTime::new(&prepared.dataset, train_end);
        let reward = ShapedReward::new(&spec.reward, reward, &prepared.ids, &training);
        let shares = CellShares::new(&prepared.ids, &prepared.dataset.events, train_end, &spec.evaluation);
        Ok(Self { prepared, history, trie, frame, titles: None, vocabulary, reward, shares, stages: Vec::new() })
    }

    /// The events that a statistic of this pass may see.
    pub fn training_time(&self) -> TrainingTime<'_> {
        TrainingTime::new(&self.prepared.dataset, self.prepared.windows.train_end)
    }

    /// The legal codes as the policy needs them.
    pub fn legal(&self) -> Legal<'_> {
        Legal { trie: &self.trie, vocabulary: self.vocabulary }
    }

    /// The window of this role with its metrics; none if this pass does not evaluate it.
    ///
    /// # Errors
    /// An empty window.
    pub fn evaluation(&self, spec: &RunSpec, role: Role) -> Result<Option<Evaluation>, WorkerError> {
        self.evaluation_by(spec, &spec.evaluation, role)
    }

    /// The same, measured by other settings than the config's.
    ///
    /// # Errors
    /// An empty window.
    pub fn evaluation_by(
        &self,
        spec: &RunSpec,
        settings: &EvaluationSpec,
        role: Role,
    ) -> Result<Option<Evaluation>, WorkerError> {
        let Some(set) = self.prepared.evaluation(role) else {
            return Ok(None);
        };
        let windows = PassWindows { evaluate: set.window, ..self.prepared.windows };
        let of = Evaluation::new(&self.prepared.dataset, &self.history, &windows, &spec.data, settings)?;
        Ok(Some(of))
    }

    /// The prompt that will be served: the context of the last stage that asks for the next item.
    pub fn serving_prompt(&self, spec: &RunSpec, instance: &Instance) -> Vec<i64> {
        let past = self.history.before(instance.user, instance.t0);
        let builder = PromptBuilder::new(&self.prepared.ids, &self.frame, spec.model.max_prompt_tokens as usize);
        builder.prompt(&past, instance.t0, spec.serving_context())
    }

    /// What names these instances in every run on the same data.
    pub fn keys(&self, instances: &[Instance]) -> Vec<InstanceKey> {
        let dataset = &self.prepared.dataset;
        let user = |index: u32| dataset.users.get(index as usize).cloned().unwrap_or_default();
        let item = |index: u32| dataset.items.get(index as usize).map(|item| item.key.clone()).unwrap_or_default();
        let key = |i: &Instance| InstanceKey { user: user(i.user), t0: i.t0, next: item(i.next) };
        instances.iter().map(key).collect()
    }

    /// The prompts `of` a stage in full.
    ///
    /// # Errors
    /// Stages that the config does not have, and prompts that the stage does not have.
    pub fn prompts(&self, spec: &RunSpec, stage: u32, of: &[u32]) -> Result<LeasePrompts, WorkerError> {
        let place = stage as usize;
        let unknown = || WorkerError::Protocol(format!("stage {stage} of a run that has {}", spec.stage.len()));
        let found = spec.stage.get(place).zip(self.stages.get(place)).ok_or_else(unknown)?;
        self.prompt_source(spec).make(found, of)
    }

    /// The reward's targets of an instance.
    pub fn targets(&self, spec: &RunSpec, instance: &Instance) -> Targets {
        self.prompt_source(spec).targets(instance)
    }

    /// What the paper's reward of completions of an instance is measured against: the whole horizon.
    pub fn paper_targets(&self, spec: &RunSpec, instance: &Instance) -> Targets {
        self.prompt_source(spec).targets_by(RewardTargets::Horizon, instance)
    }

    fn prompt_source(&self, spec: &RunSpec) -> PromptSource<'_> {
        PromptSource {
            dataset: &self.prepared.dataset,
            history: &self.history,
            instances: &self.prepared.training,
            ids: &self.prepared.ids,
            frame: &self.frame,
            titles: self.titles.as_ref(),
            swing: &self.prepared.swing,
            train_end: self.prepared.windows.train_end,
            max_prompt_tokens: spec.model.max_prompt_tokens,
            seed: spec.seed,
            exclude: spec.evaluation.exclude,
            targets: spec.reward.targets,
        }
    }
}
