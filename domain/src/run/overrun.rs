//! Preparing the data and the final evaluation are one piece of work each: on a machine that is too slow for them they would
//! be begun again for ever. The third time in a row ends the run with what to set.

use super::Run;
use super::phase::Phase;
use crate::effect::Effect;
use crate::ids::WorkerId;

/// So often in a row the work may take longer than it may before the run ends.
const MOST_OVERRUNS: u32 = 3;

/// Exit code of a run that failed.
const FAILED: u8 = 1;

impl Run {
    /// A worker has not finished the whole piece in its time.
    pub(super) fn on_overrun(&mut self, worker: WorkerId, out: &mut Vec<Effect>) {
        let limit = self.setup.spec.cluster.prepare_seconds;
        self.overruns += 1;
        if self.overruns < MOST_OVERRUNS {
            let what = format!("did not answer within cluster.prepare_seconds = {limit} s");
            return self.lose(worker, &what, out);
        }
        let what = match self.phase {
            Phase::Preparing { .. } => "preparing the data",
            _ => "the final evaluation",
        };
        let (place, times) = (self.place(), self.overruns);
        let who = self.forget(worker);
        let reason = format!(
            "{what} took longer than cluster.prepare_seconds = {limit} for the {times}rd time in a row, last in {who}, {place}: \
             set it higher and start the same run again, which goes on from here (it changes no bit); or look in the \
             worker's log for what it waits for"
        );
        self.fail(reason, FAILED, out);
    }
}
