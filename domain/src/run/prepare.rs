//! The lowest worker prepares the data; what came out must fit the config and, on a resume, the checkpoint.

use super::form::BAD_CONFIG;
use super::leases::Done;
use super::phase::Phase;
use super::roster::Then;
use super::{Rejection, Run};
use crate::effect::{Command, Effect};
use crate::ids::LeaseId;
use crate::spec::{RunSpec, Statistics};
use crate::status::{Activity, Status};
use crate::work::{Lease, Outcome, Pass, Prepared, Work};

/// Exit code for data that cannot be used.
const BAD_DATA: u8 = 65;

impl Run {
    /// Preparing needs no roster: its lease carries the last fence minted.
    pub(super) fn start_preparing(&mut self, out: &mut Vec<Effect>) {
        let Some(worker) = self.next_members().first().copied() else {
            return;
        };
        self.enter(Phase::Preparing { worker }, out);
        let lease = Lease { id: LeaseId(0), fence: self.fence, work: Work::Prepare };
        out.push(Effect::Send { worker, command: Command::Grant(lease) });
    }

    /// The data is prepared.
    pub(super) fn on_prepared(&mut self, done: Done, out: &mut Vec<Effect>) -> Result<(), Rejection> {
        let Done { worker, lease, outcome, .. } = done;
        if !matches!(self.phase, Phase::Preparing { worker: w } if w == worker) || lease != LeaseId(0) {
            return Err(Rejection::NotHeld { worker, lease });
        }
        match outcome {
            Outcome::Prepared(prepared) => {
                let activity = Activity::Prepared { summary: prepared.summary.clone() };
                out.push(Effect::Show(Status { activity, ..self.status() }));
                self.setup.prepared = Some(prepared);
                self.overruns = 0;
                self.start_forming(Then::Proceed, out);
            }
            Outcome::Trained(_)
            | Outcome::Validated(_)
            | Outcome::Asked(_)
            | Outcome::Cleaned(_)
            | Outcome::Reported => {
                self.lose(worker, "answered the prepare lease with another outcome", out);
            }
        }
        Ok(())
    }

    /// Whether the prepared data can be trained on as the config says; ends the run otherwise.
    pub(super) fn data_fits(&mut self, out: &mut Vec<Effect>) -> bool {
        let problem = match (&self.setup.prepared, &self.resume) {
            (None, _) => Some("no data has been prepared".into()),
            (Some(prepared), Some(manifest)) if manifest.data_digest != prepared.data_digest => Some(format!(
                "the checkpoint was trained on data {:.12}, the prepared data is {:.12}: resume with the same files",
                manifest.data_digest.to_string(),
                prepared.data_digest.to_string()
            )),
            (Some(prepared), _) => misfit(&self.setup.spec, prepared),
        };
        if let Some(reason) = problem {
            self.fail(reason, BAD_DATA, out);
            return false;
        }
        let passes = self.setup.prepared.iter().flat_map(|p| &p.passes);
        let refused = passes.map(|p| self.setup.spec.check_prompts(p.pass, &p.prompts)).find_map(Result::err);
        if let Some(error) = refused {
            self.fail(error.to_string(), BAD_CONFIG, out);
            return false;
        }
        true
    }
}

/// Why the prepared data does not fit the config, if it does not.
fn misfit(spec: &RunSpec, prepared: &Prepared) -> Option<String> {
    let wanted: &[Pass] = match spec.evaluation.statistics {
        Statistics::Refit => &[Pass::Select, Pass::Refit],
        Statistics::Frozen => &[Pass::Select],
    };
    for pass in wanted {
        let Some(found) = prepared.passes.iter().find(|p| p.pass == *pass) else {
            return Some(format!("the prepared data has no part for pass {pass:?}"));
        };
        if found.prompts.len() != spec.stage.len() {
            let (has, needs) = (found.prompts.len(), spec.stage.len());
            return Some(format!("the prepared data of pass {pass:?} has {has} stages, the config has {needs}"));
        }
        let empty = spec.stage.iter().zip(&found.prompts).find(|(_, prompts)| **prompts == 0);
        if let Some((stage, _)) = empty {
            let name = &stage.name;
            return Some(format!("stage `{name}` has no training prompts in pass {pass:?}: widen data or recent_days"));
        }
    }
    let needs_scores = spec.stage.iter().any(|s| !s.kind.is_supervised() || s.validate_every > 0);
    (needs_scores && prepared.validation_instances == 0)
        .then(|| "the validation window holds no instance: the gate has nothing to decide from".into())
}
