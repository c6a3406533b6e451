//! Which policies of the select pass a finished run still has: untrained weights follow from the config, the supervised
//! stages' from the base of the last checkpoint, others from checkpoints that were kept.

use crate::error::WorkerError;
use crate::execute::load_state;
use crate::run_folder::RunFolder;
use conrec_domain::manifest::Manifest;
use conrec_domain::spec::RunSpec;
use conrec_domain::work::{Pass, StateChange};
use conrec_policy::base_model::BaseModel;
use conrec_policy::training_state::TrainingState;
use conrec_policy::transformer::Policy;
use std::collections::BTreeMap;

/// A moment of the select pass.
pub(super) struct Moment {
    /// The stage that had ended; empty before the first.
    pub name: String,
    from: From,
}

enum From {
    Untrained,
    /// All of a checkpoint's state.
    Checkpoint(String),
    /// Its base alone.
    Base(String),
}

impl Moment {
    /// The policy as it was.
    ///
    /// # Errors
    /// A checkpoint that is missing or damaged.
    pub fn policy(&self, (spec, base): (&RunSpec, &BaseModel), folder: &RunFolder) -> Result<Policy, WorkerError> {
        let load = |key: &String| load_state((spec, base), (folder, &folder.parts()), key);
        Ok(match &self.from {
            From::Untrained => {
                let mut state = TrainingState::new(spec, base)?;
                state.apply(StateChange::BeginPass { pass: Pass::Select }, spec)?;
                state.frozen()?
            }
            From::Checkpoint(key) => load(key)?.frozen()?,
            From::Base(key) => load(key)?.supervised()?,
        })
    }
}

/// The moments, in the order of the stages.
///
/// # Errors
/// Checkpoints that cannot be read.
pub(super) fn moments(spec: &RunSpec, folder: &RunFolder) -> Result<Vec<Moment>, WorkerError> {
    let keys = folder.checkpoints()?;
    let manifests: Vec<(String, Manifest)> =
        keys.into_iter().map(|key| Ok((key.clone(), folder.manifest(&key)?))).collect::<Result<_, WorkerError>>()?;
    let select = manifests.last().and_then(|(_, newest)| newest.cursor.select_checkpoint.clone());
    let mut ended: BTreeMap<usize, From> = BTreeMap::new();
    let last = spec.stage.len().saturating_sub(1);
    for (key, manifest) in &manifests {
        let is_select = select.as_ref() == Some(key);
        if let Some(stage) =
            if is_select { Some(last) } else { manifest.cursor.ended_stage(last as u32).map(|stage| stage as usize) }
        {
            ended.insert(stage, From::Checkpoint(key.clone()));
        }
    }
    if let Some(From::Checkpoint(key)) = ended.get(&last) {
        let base = From::Base(key.clone());
        let supervised = spec.stage.iter().rposition(|stage| stage.kind.is_supervised());
        if let Some(stage) = supervised.filter(|stage| *stage < last) {
            ended.entry(stage).or_insert(base);
        }
    }
    let name = |stage: usize| spec.stage.get(stage).map(|stage| stage.name.clone()).unwrap_or_default();
    let later = ended.into_iter().map(|(stage, from)| Moment { name: name(stage), from });
    Ok(std::iter::once(Moment { name: String::new(), from: From::Untrained }).chain(later).collect())
}
