//! A worker joins; the last one expected starts the run, a later one waits for the next roster.

use super::{Rejection, Run, Worker};
use crate::effect::Effect;
use crate::event::Hello;
use crate::ids::WorkerId;

impl Run {
    /// Workers that the run waits for: once it has begun, it goes on with any.
    pub(super) fn expected(&self) -> u32 {
        if self.begun { 1 } else { self.setup.expected_workers.max(1) }
    }

    /// A worker opened its session.
    pub(super) fn on_joined(&mut self, worker: WorkerId, hello: Hello, out: &mut Vec<Effect>) -> Result<(), Rejection> {
        if self.workers.contains_key(&worker) {
            return Err(Rejection::AlreadyJoined { worker });
        }
        if hello.code_version != self.setup.code_version {
            let (found, expected) = (hello.code_version, self.setup.code_version.clone());
            return Err(Rejection::CodeVersion { worker, found, expected });
        }
        self.workers.insert(worker, Worker { hello, joined: self.now, seen: self.now, leaving: false });
        if self.is_superseded(worker, out) {
            return Ok(());
        }
        self.show(out);
        // One that comes later is taken in where the next roster forms: between two iterations.
        self.begin_if_due(out);
        Ok(())
    }
}
