//! The roster forms: a new fence, ranks by worker id, and the same training state everywhere.

use super::answers::{Answers, Verdict};
use super::phase::Phase;
use super::roster::Then;
use super::{Rejection, Run};
use crate::effect::Effect;
use crate::ids::{Digest, Fence, WorkerId};
use crate::manifest::Manifest;

/// Exit code for a config that does not fit.
pub(super) const BAD_CONFIG: u8 = 78;

impl Run {
    /// Mints a fence and tells every worker its place. `then`: what the roster is for.
    pub(super) fn start_forming(&mut self, then: Then, out: &mut Vec<Effect>) {
        if !self.data_fits(out) || !self.checkpoint_fits(out) {
            return;
        }
        self.recover(out);
        self.mint_roster(&then);
        self.enter(Phase::Forming { answers: Answers::default(), then }, out);
        self.send_places(out);
    }

    /// A worker stands in the roster and holds the state.
    pub(super) fn on_formed(
        &mut self,
        worker: WorkerId,
        fence: Fence,
        state: Digest,
        out: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        self.check_fence(worker, fence)?;
        let name = self.phase.name();
        let Phase::Forming { answers, .. } = &mut self.phase else {
            // A roster that has lost a member since counts for nothing.
            return if self.roster_is_broken() { Ok(()) } else { Err(self.unexpected("a formed roster")) };
        };
        answers.add(worker, state, name)?;
        self.settle_forming(out);
        Ok(())
    }

    /// Goes on once all members have answered.
    pub(super) fn settle_forming(&mut self, out: &mut Vec<Effect>) {
        let members = self.members();
        let Phase::Forming { answers, then } = &self.phase else {
            return;
        };
        let damaged = self.state.map(|state| answers.others_than(state, &members)).unwrap_or_default();
        match answers.verdict(&members) {
            Verdict::Waiting => {}
            // What the roster before held is known: a majority that differs from it is wrong all the same.
            Verdict::Majority(_) | Verdict::Split(_) | Verdict::Equal(_) if !damaged.is_empty() => {
                self.lose_all(&damaged, out);
            }
            Verdict::Failed(message) => {
                let then = then.clone();
                self.try_again(then, &message, out);
            }
            Verdict::Majority(others) => self.lose_all(&others, out),
            Verdict::Split(who) => self.fail(format!("the workers hold different training states: {who}"), 1, out),
            Verdict::Equal(digest) => {
                let then = then.clone();
                self.formed(digest, then, out);
            }
        }
    }

    fn formed(&mut self, digest: Digest, then: Then, out: &mut Vec<Effect>) {
        let fresh = self.resume.as_ref().filter(|_| self.state.is_none());
        let promised = fresh.map(|m| (Manifest::key(m.iteration, m.fence), m.state_digest));
        if let Some((key, expected)) = promised.filter(|(_, expected)| *expected != digest) {
            let (found, expected) = (digest.to_string(), expected.to_string());
            let reason = format!("{key} gave training state {found:.12}, its manifest promises {expected:.12}");
            return self.fail(reason, 1, out);
        }
        self.state = Some(digest);
        self.unloadable = None;
        self.begun = true;
        self.holders = self.members().into_iter().collect();
        match then {
            Then::Reduce { leases, started } if !self.stopping => self.start_reduce(leases, started, out),
            Then::Reduce { .. } | Then::Proceed => self.proceed(out),
        }
    }

    /// Whether the checkpoint belongs to this run and config; ends the run otherwise.
    fn checkpoint_fits(&mut self, out: &mut Vec<Effect>) -> bool {
        let Some(manifest) = &self.resume else {
            return true;
        };
        let problem = match self.setup.spec.digest() {
            Err(error) => Some(error.to_string()),
            Ok(config) if config != manifest.config_digest => Some(format!(
                "the checkpoint was made with config {:.12}, this is config {:.12}: use its config or another run id",
                manifest.config_digest.to_string(),
                config.to_string()
            )),
            Ok(_) if manifest.run_id != self.setup.run_id => {
                Some(format!("the checkpoint belongs to run `{}`, not to `{}`", manifest.run_id, self.setup.run_id))
            }
            Ok(_) => None,
        };
        if let Some(reason) = problem {
            self.fail(reason, BAD_CONFIG, out);
            return false;
        }
        true
    }
}
