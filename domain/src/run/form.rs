//! The roster forms: a new fence, ranks by worker id, and the same training state everywhere.

use super::answers::{Answers, Verdict};
use super::phase::Phase;
use super::{Rejection, Roster, Run};
use crate::effect::{Command, Effect, StateSource};
use crate::ids::{Digest, Fence, WorkerId};
use crate::manifest::Manifest;

/// Exit code for a config that does not fit.
pub(super) const BAD_CONFIG: u8 = 78;

impl Run {
    /// Mints a fence and tells every worker its place.
    pub(super) fn start_forming(&mut self, out: &mut Vec<Effect>) {
        if !self.data_fits(out) || !self.checkpoint_fits(out) {
            return;
        }
        self.fence = Fence(self.fence.0 + 1);
        let members: Vec<WorkerId> = self.workers.keys().copied().collect();
        let rendezvous = self.workers.values().next().map(|w| w.hello.rendezvous.clone()).unwrap_or_default();
        let state = match &self.setup.resume {
            Some(m) => StateSource::Checkpoint { key: Manifest::key(m.iteration, m.fence) },
            None => StateSource::Empty,
        };
        let (fence, world) = (self.fence, u32::try_from(members.len()).unwrap_or(u32::MAX));
        self.roster = Some(Roster { fence, members: members.clone() });
        self.enter(Phase::Forming { answers: Answers::default() }, out);
        for (rank, worker) in (0u32..).zip(members) {
            let command = Command::Form { fence, rank, world, rendezvous: rendezvous.clone(), state: state.clone() };
            out.push(Effect::Send { worker, command });
        }
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
        let members = self.members();
        let name = self.phase.name();
        let Phase::Forming { answers } = &mut self.phase else {
            return Err(self.unexpected("a formed roster"));
        };
        answers.add(worker, state, name)?;
        match answers.verdict(&members) {
            Verdict::Waiting => {}
            Verdict::Differ(who) => self.fail(format!("the workers hold different training states: {who}"), 1, out),
            Verdict::Equal(digest) => self.formed(digest, out),
        }
        Ok(())
    }

    fn formed(&mut self, digest: Digest, out: &mut Vec<Effect>) {
        let promised = self.setup.resume.as_ref().map(|m| (Manifest::key(m.iteration, m.fence), m.state_digest));
        if let Some((key, expected)) = promised.filter(|(_, expected)| *expected != digest) {
            let (found, expected) = (digest.to_string(), expected.to_string());
            let reason = format!("{key} gave training state {found:.12}, its manifest promises {expected:.12}");
            return self.fail(reason, 1, out);
        }
        self.state = Some(digest);
        self.proceed(out);
    }

    /// Whether the checkpoint belongs to this run and config; ends the run otherwise.
    fn checkpoint_fits(&mut self, out: &mut Vec<Effect>) -> bool {
        let Some(manifest) = &self.setup.resume else {
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
