//! The `Train` lease: the gradient of some prompts of a stage. Its result depends on nothing but the arguments.

use crate::error::WorkerError;
use crate::held_out_questions::{HeldOutQuestion, held_out_questions};
use crate::pass_data::PassData;
use crate::run_folder::RunFolder;
use crate::stage_prompts::LeasePrompts;
use conrec_domain::ids::Iteration;
use conrec_domain::spec::{Objective, RunSpec, StageKind, StageSpec};
use conrec_domain::work::Pass;
use conrec_feedback::evaluation::Evaluation;
use conrec_feedback::prepared::Role;
use conrec_feedback::reward::Targets;
use conrec_policy::grpo::{GroupPrompt, GrpoLease, GrpoSettings};
use conrec_policy::lease_gradient::LeaseGradient;
use conrec_policy::supervised::{SupervisedLease, TargetPrompt};
use conrec_policy::training_state::TrainingState;
use conrec_policy::transformer::Policy;
use conrec_policy::translation::TitlePrompt;
use std::sync::Arc;

/// The pass that is in memory, with its validation window where it has one.
pub struct Loaded {
    /// The pass.
    pub data: PassData,
    validation: Option<Evaluation>,
    /// Of each instance of that window, where a stage asks any.
    questions: Vec<Vec<HeldOutQuestion>>,
}

impl Loaded {
    /// The pass, loaded if another one (or none) is in memory.
    ///
    /// # Errors
    /// Prepared data that is missing or damaged.
    pub fn of(
        slot: &mut Option<Arc<Self>>,
        spec: &RunSpec,
        folder: &RunFolder,
        pass: Pass,
    ) -> Result<Arc<Self>, WorkerError> {
        // A pass that is not this one is given up first: only one is in memory at a time.
        if let Some(loaded) = slot.take().filter(|loaded| loaded.data.prepared.windows.pass == pass) {
            *slot = Some(Arc::clone(&loaded));
            return Ok(loaded);
        }
        let loaded = Arc::new(Self::around(spec, PassData::load(spec, folder, pass)?)?);
        *slot = Some(Arc::clone(&loaded));
        Ok(loaded)
    }

    /// What is measured on a pass's data.
    ///
    /// # Errors
    /// An empty window.
    pub fn around(spec: &RunSpec, data: PassData) -> Result<Self, WorkerError> {
        let limit = spec.evaluation.validation_instances as usize;
        let validation = data.evaluation(spec, Role::Validation)?.map(|window| window.thinned(limit));
        let asked = validation.as_ref().filter(|_| spec.asks_questions());
        let questions = asked.map(|window| held_out_questions(spec, &data, window)).unwrap_or_default();
        Ok(Self { data, validation, questions })
    }

    /// The held-out alignment questions of the validation window's instances.
    pub fn questions(&self) -> &[Vec<HeldOutQuestion>] {
        &self.questions
    }

    /// The validation window.
    ///
    /// # Errors
    /// When this pass is not the one that is validated.
    pub fn validation(&self) -> Result<&Evaluation, WorkerError> {
        self.validation.as_ref().ok_or_else(|| WorkerError::Protocol("this pass has no validation window".to_owned()))
    }
}

/// The policies of a training lease.
pub struct TrainingPolicies {
    policy: Policy,
    /// Only GRPO has one.
    reference: Option<Policy>,
    /// Only the later updates of a rollout have one.
    behaviour: Option<Policy>,
}

impl TrainingPolicies {
    /// What a stage of this kind trains with in an update of its rollout (the first is 0), in the state as it is now.
    ///
    /// # Errors
    /// When no stage has begun, or no rollout that this could be an update of.
    pub fn of(state: &TrainingState, kind: StageKind, update: u32) -> Result<Self, WorkerError> {
        let reference = if kind.is_supervised() { None } else { Some(state.reference()?) };
        let behaviour = (update > 0).then(|| state.behaviour()).transpose()?;
        Ok(Self { policy: state.policy()?, reference, behaviour })
    }
}

/// Where in the run a lease trains.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Index into `[[stage]]`.
    pub stage: u32,
    /// The attempt at the stage, which decides beta.
    pub attempt: u32,
    /// The iteration of the run.
    pub iteration: Iteration,
    /// Which update of its rollout that is; the first is 0.
    pub update: u32,
}

/// The prompts of a training lease.
#[derive(Clone, Debug)]
pub struct Prompts {
    /// As indices into the stage's.
    pub scheduled: Vec<u32>,
    /// Those of them that count the stage's `clean_weight`.
    pub light: Vec<u32>,
    /// Further ones, for groups that teach nothing.
    pub reserve: Vec<u32>,
}

/// The summed gradient of these prompts of a stage. Those that are `light` are computed apart from the others; a GRPO
/// stage may take prompts of the reserve in the place of groups that teach nothing.
///
/// # Errors
/// Prompts and attempts that the stage does not have, and what the policy refuses.
pub fn train(
    spec: &RunSpec,
    data: &PassData,
    policies: &TrainingPolicies,
    place: Place,
    asked: &Prompts,
) -> Result<LeaseGradient, WorkerError> {
    let stage = place.stage;
    let unknown = || WorkerError::Protocol(format!("stage {stage} of a run that has {}", spec.stage.len()));
    let settings = spec.stage.get(stage as usize).ok_or_else(unknown)?;
    if place.attempt >= settings.attempts() {
        let message = format!("attempt {} at stage {stage}, which has {}", place.attempt, settings.attempts());
        return Err(WorkerError::Protocol(message));
    }
    let prompts = asked.scheduled.as_slice();
    let policy = &policies.policy;
    let supervised = SupervisedLease { policy, legal: data.legal() };
    let ids: Vec<u32> = prompts.iter().chain(&asked.reserve).copied().collect();
    match data.prompts(spec, stage, &ids)? {
        LeasePrompts::Sequences(chosen) => {
            let chosen: Vec<&[i64]> = chosen.iter().map(Vec::as_slice).collect();
            Ok(supervised.next_item(&chosen, settings.sign_weight)?)
        }
        LeasePrompts::NextNegatives(chosen) => Ok(supervised.next_negative(&targets(&chosen))?),
        LeasePrompts::Translations { titles, items } => {
            let titles: Vec<TitlePrompt<'_>> =
                titles.iter().map(|one| TitlePrompt { tokens: &one.tokens, answer: one.answer }).collect();
            Ok(supervised.translation(&titles, &targets(&items))?)
        }
        LeasePrompts::Groups(chosen) => {
            let missing = || WorkerError::Protocol(format!("stage {stage} has groups, but no reference policy"));
            let reference = policies.reference.as_ref().ok_or_else(missing)?;
            let weight = settings.clean_weight;
            let settings = grpo_settings(spec, settings, place);
            let behaviour = policies.behaviour.as_ref();
            let lease = GrpoLease { policy, reference, behaviour, legal: data.legal(), settings };
            // A reward may compare with the other users of the lease: it sees all of them, light or not, and those of the
            // reserve, taken or not.
            let targets: Vec<&Targets> = chosen.iter().map(|(_, targets)| targets).collect();
            let group = |i: &usize| {
                let (tokens, targets) = &chosen[*i];
                GroupPrompt { id: u64::from(ids[*i]), tokens, next: targets.next }
            };
            let run = |of: &[usize], reserve: &[usize]| {
                let all = [of, reserve].concat();
                let groups: Vec<GroupPrompt<'_>> = all.iter().map(group).collect();
                let reward = |prompt: usize, cells: &[u32]| data.reward.group(&targets, all[prompt], cells);
                lease.run_refilled(groups.split_at(of.len()), &reward)
            };
            let is_light = |i: &usize| asked.light.contains(&prompts[*i]);
            let (few, full): (Vec<usize>, Vec<usize>) = (0..prompts.len()).partition(is_light);
            let reserve: Vec<usize> = (prompts.len()..ids.len()).collect();
            let full = run(&full, &reserve)?;
            if few.is_empty() { Ok(full) } else { Ok(full.plus(run(&few, &[])?, weight)) }
        }
    }
}

fn targets(prompts: &[(Vec<i64>, u32)]) -> Vec<TargetPrompt<'_>> {
    prompts.iter().map(|(tokens, cell)| TargetPrompt { tokens, cell: *cell }).collect()
}

fn grpo_settings(spec: &RunSpec, stage: &StageSpec, place: Place) -> GrpoSettings {
    GrpoSettings {
        seed: spec.seed,
        // The draws of all updates are those of the first.
        iteration: place.iteration.0.saturating_sub(u64::from(place.update)),
        completions: stage.completions as usize,
        temperature: stage.temperature,
        beta: stage.beta_at(place.attempt),
        nll_weight: stage.nll_weight,
        objective: Objective::of(stage),
    }
}
