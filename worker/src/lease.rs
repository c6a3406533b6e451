//! The `Train` lease: the gradient of some prompts of a stage. Its result depends on nothing but the arguments.

use crate::error::WorkerError;
use crate::held_out_questions::{HeldOutQuestion, held_out_questions};
use crate::pass_data::PassData;
use crate::run_folder::RunFolder;
use crate::stage_prompts::StagePrompts;
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
        let data = PassData::load(spec, folder, pass)?;
        let limit = spec.evaluation.validation_instances as usize;
        let validation = data.evaluation(spec, Role::Validation)?.map(|window| window.thinned(limit));
        let asked = validation.as_ref().filter(|_| spec.asks_questions());
        let questions = asked.map(|window| held_out_questions(spec, &data, window)).unwrap_or_default();
        let loaded = Arc::new(Self { data, validation, questions });
        *slot = Some(Arc::clone(&loaded));
        Ok(loaded)
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
}

impl TrainingPolicies {
    /// What a stage of this kind trains with, in the state as it is now.
    ///
    /// # Errors
    /// When no stage has begun.
    pub fn of(state: &TrainingState, kind: StageKind) -> Result<Self, WorkerError> {
        let reference = if kind.is_supervised() { None } else { Some(state.reference()?) };
        Ok(Self { policy: state.policy()?, reference })
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
}

/// The summed gradient of these prompts of a stage. Those that are `light` count the stage's `clean_weight`; they are
/// computed apart from the others.
///
/// # Errors
/// Prompts and attempts that the stage does not have, and what the policy refuses.
pub fn train(
    spec: &RunSpec,
    data: &PassData,
    policies: &TrainingPolicies,
    place: Place,
    (prompts, light): (&[u32], &[u32]),
) -> Result<LeaseGradient, WorkerError> {
    let stage = place.stage;
    let unknown = || WorkerError::Protocol(format!("stage {stage} of a run that has {}", spec.stage.len()));
    let settings = spec.stage.get(stage as usize).ok_or_else(unknown)?;
    if place.attempt >= settings.attempts() {
        let message = format!("attempt {} at stage {stage}, which has {}", place.attempt, settings.attempts());
        return Err(WorkerError::Protocol(message));
    }
    let policy = &policies.policy;
    let supervised = SupervisedLease { policy, legal: data.legal() };
    match data.stages.get(stage as usize).ok_or_else(unknown)? {
        StagePrompts::Sequences(all) => {
            let chosen: Vec<&[i64]> = pick(all, prompts)?.into_iter().map(Vec::as_slice).collect();
            Ok(supervised.next_item(&chosen, settings.sign_weight)?)
        }
        StagePrompts::NextNegatives(all) => {
            let chosen = pick(all, prompts)?.into_iter();
            let chosen: Vec<TargetPrompt<'_>> =
                chosen.map(|(tokens, cell)| TargetPrompt { tokens, cell: *cell }).collect();
            Ok(supervised.next_negative(&chosen)?)
        }
        StagePrompts::Groups(all) => {
            let chosen = pick(all, prompts)?;
            let missing = || WorkerError::Protocol(format!("stage {stage} has groups, but no reference policy"));
            let reference = policies.reference.as_ref().ok_or_else(missing)?;
            let weight = settings.clean_weight;
            let settings = grpo_settings(spec, settings, place);
            let lease = GrpoLease { policy, reference, behaviour: None, legal: data.legal(), settings };
            // A reward may compare with the other users of the lease: it sees all of them, light or not.
            let targets: Vec<&Targets> = chosen.iter().map(|(_, targets)| targets).collect();
            let run = |of: &[usize]| {
                let group = |i: &usize| GroupPrompt { id: u64::from(prompts[*i]), tokens: &chosen[*i].0 };
                let groups: Vec<GroupPrompt<'_>> = of.iter().map(group).collect();
                lease.run(&groups, &|prompt, cells| data.reward.group(&targets, of[prompt], cells))
            };
            let is_light = |i: &usize| light.contains(&prompts[*i]);
            let (few, full): (Vec<usize>, Vec<usize>) = (0..prompts.len()).partition(is_light);
            let full = run(&full)?;
            if few.is_empty() { Ok(full) } else { Ok(full.plus(run(&few)?, weight)) }
        }
    }
}

fn grpo_settings(spec: &RunSpec, stage: &StageSpec, place: Place) -> GrpoSettings {
    GrpoSettings {
        seed: spec.seed,
        iteration: place.iteration.0,
        completions: stage.completions as usize,
        temperature: stage.temperature,
        beta: stage.beta_at(place.attempt),
        objective: Objective::of(stage),
    }
}

fn pick<'a, T>(all: &'a [T], indices: &[u32]) -> Result<Vec<&'a T>, WorkerError> {
    let one = |index: &u32| {
        all.get(*index as usize)
            .ok_or_else(|| WorkerError::Protocol(format!("prompt {index} of a stage that has {}", all.len())))
    };
    indices.iter().map(one).collect()
}
