//! A worker joins; the last one expected starts the run.

use super::phase::Phase;
use super::{Rejection, Run, Worker};
use crate::effect::Effect;
use crate::event::Hello;
use crate::ids::WorkerId;

impl Run {
    /// Workers that the run waits for.
    pub(super) fn expected(&self) -> u32 {
        self.setup.expected_workers.max(1)
    }

    /// A worker opened its session.
    pub(super) fn on_joined(&mut self, worker: WorkerId, hello: Hello, out: &mut Vec<Effect>) -> Result<(), Rejection> {
        let expected = self.expected();
        if self.workers.contains_key(&worker) {
            return Err(Rejection::AlreadyJoined { worker });
        }
        if !matches!(self.phase, Phase::WaitingForWorkers) {
            return Err(Rejection::RosterFull { worker, expected });
        }
        if hello.code_version != self.setup.code_version {
            let (found, expected) = (hello.code_version, self.setup.code_version.clone());
            return Err(Rejection::CodeVersion { worker, found, expected });
        }
        self.workers.insert(worker, Worker { hello, seen: self.now });
        self.show(out);
        if self.workers.len() >= expected as usize {
            if self.setup.prepared.is_some() { self.start_forming(out) } else { self.start_preparing(out) }
        }
        Ok(())
    }
}
