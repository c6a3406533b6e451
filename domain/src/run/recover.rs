//! A coordinator that starts while workers of the run live: it asks them where they are, takes the furthest, and goes
//! on from there. The journal's lines that its older self may not have brought to the store come from them too.

use super::phase::Phase;
use super::roster::Then;
use super::{Run, Worker};
use crate::bookmark::{Held, JournalLine};
use crate::curriculum::Cursor;
use crate::effect::Effect;
use crate::ids::{Digest, WorkerId};
use std::time::Duration;

/// Where the run can go on.
struct Found {
    cursor: Cursor,
    state: Digest,
    lines: Vec<JournalLine>,
}

impl Run {
    /// What a worker brought, if it is of this very run.
    pub(super) fn brought<'a>(&self, worker: &'a Worker) -> Option<&'a Held> {
        let config = self.setup.spec.digest().ok()?;
        worker.hello.held.as_deref().filter(|held| held.run_id == self.setup.run_id && held.config_digest == config)
    }

    /// Whether a worker was in a roster that this coordinator never heard of: another has taken over. Ends the run here.
    pub(super) fn is_superseded(&mut self, worker: WorkerId, out: &mut Vec<Effect>) -> bool {
        let newer = self.workers.get(&worker).and_then(|w| self.brought(w)).map(|held| held.fence);
        let Some(newer) = newer.filter(|fence| *fence > self.fence) else {
            return false;
        };
        let own = self.fence;
        let reason = format!(
            "another coordinator has taken over the run: {worker} was in the roster with fence {newer}, the highest here is {own}"
        );
        self.fail(reason, 69, out);
        true
    }

    /// Whether those are here for whom a run that waits has to wait.
    pub(super) fn may_begin(&self) -> bool {
        let staying = || self.workers.iter().filter(|(id, _)| self.stays(**id)).map(|(_, worker)| worker);
        let joined = staying().count();
        let held: Vec<(&Worker, &Held)> = staying().filter_map(|w| Some((w, self.brought(w)?))).collect();
        let newest = held.iter().max_by_key(|(_, held)| held.fence);
        let (Some((_, newest)), Some(first)) = (newest, held.iter().map(|(worker, _)| worker.joined).min()) else {
            return joined >= self.expected() as usize;
        };
        let patience = Duration::from_secs(u64::from(self.setup.spec.cluster.rejoin_seconds));
        joined >= newest.world as usize || self.now.saturating_sub(first) >= patience
    }

    /// Time passed while the run waits: those that came back are not waited for any longer.
    pub(super) fn begin_if_due(&mut self, out: &mut Vec<Effect>) {
        let waits = matches!(self.phase, Phase::WaitingForWorkers) && !self.workers.is_empty();
        if waits && self.may_begin() {
            self.begin(out);
        }
    }

    /// Enough workers are here: the data, or the first roster.
    pub(super) fn begin(&mut self, out: &mut Vec<Effect>) {
        if self.setup.prepared.is_some() {
            self.start_forming(Then::Proceed, out);
        } else {
            self.start_preparing(out);
        }
    }

    /// Before a roster forms of which nobody is known to hold the training state: goes on from what the workers brought
    /// where that is further than the newest checkpoint.
    pub(super) fn recover(&mut self, out: &mut Vec<Effect>) {
        if self.state.is_some() || !self.holders.is_empty() {
            return;
        }
        if let Some(Found { cursor, state, lines }) = self.furthest() {
            let brought = |w: &Worker| self.brought(w).is_some_and(|held| held.state == state);
            self.holders = self.workers.iter().filter(|(_, w)| brought(w)).map(|(id, _)| *id).collect();
            self.worked = self.worked.max(cursor.seconds - self.now.as_secs_f64());
            self.cursor = cursor;
            self.state = Some(state);
            for line in lines {
                self.write_line(line, out);
            }
        }
        // What a worker brought is true only until its first command.
        self.workers.values_mut().for_each(|worker| worker.hello.held = None);
    }

    /// The furthest place that most of the newest roster have reached, where the journal has no gap.
    fn furthest(&self) -> Option<Found> {
        let base = self.resume.as_ref();
        let brought: Vec<&Held> = self.workers.values().filter_map(|worker| self.brought(worker)).collect();
        let newest = brought.iter().map(|held| held.fence).max()?;
        let roster: Vec<&Held> = brought.into_iter().filter(|held| held.fence == newest).collect();
        let held = agreed(&roster)?;
        if base.is_some_and(|manifest| held.bookmark.cursor.place() < manifest.cursor.place()) {
            // The checkpoint is further. Nobody has to load it where it holds just what they hold.
            let same = base.filter(|manifest| manifest.state_digest == held.state)?;
            return Some(Found { cursor: same.cursor.clone(), state: held.state, lines: Vec::new() });
        }
        self.found(held)
    }

    /// A place to go on from; none where lines of the journal between the checkpoint and it are missing.
    fn found(&self, held: &Held) -> Option<Found> {
        let base = self.resume.as_ref().map_or_else(Cursor::start, |manifest| manifest.cursor.clone());
        let mut lines = held.lines();
        lines.retain(|line| line.is_after(&base));
        let ledger = lines.iter().filter_map(|line| match line {
            JournalLine::Ledger(entry) => Some(entry.iteration.0),
            JournalLine::Metrics(_) => None,
        });
        let whole = ledger.eq(base.iteration.0 + 1..=held.bookmark.cursor.iteration.0) && held.follows(&base, &lines);
        whole.then(|| Found { cursor: held.cursor(), state: held.state, lines })
    }
}

/// What most of a roster vouch for, the furthest first: they hold it, or came from it by a command that did not reach all.
/// Where nobody has most on his side nobody can say who is right.
fn agreed<'a>(roster: &[&'a Held]) -> Option<&'a Held> {
    let vouches = |held: &Held, of: &Held| of.state == held.state || of.bookmark.from == Some(held.state);
    let most = |held: &&&'a Held| 2 * roster.iter().filter(|of| vouches(held, of)).count() > roster.len();
    roster.iter().filter(most).max_by_key(|held| held.bookmark.cursor.place()).copied()
}
