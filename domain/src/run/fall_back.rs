//! A checkpoint that is whole, and yet no worker can load it: the run goes back to the one before.

use super::Run;
use super::phase::Phase;
use crate::curriculum::Cursor;
use crate::effect::Effect;
use crate::ids::Iteration;
use crate::manifest::Manifest;
use crate::status::{Activity, Status};

/// The checkpoint is given up when a roster has failed to load it so often: the first time may have been the store.
const TRIES: u32 = 2;

impl Run {
    /// A worker failed: notes why, where it was to load the newest checkpoint.
    pub(super) fn note_failed_load(&mut self, message: &str) {
        let loading = matches!(self.phase, Phase::Forming { .. }) && self.state.is_none() && self.holders.is_empty();
        if loading && self.resume.is_some() {
            self.unloadable = Some(message.trim_end().to_owned());
        }
    }

    /// Where a run goes back to of which nobody holds the state, and how often in a row it now has been there.
    pub(super) fn way_back(&mut self, out: &mut Vec<Effect>) -> (Iteration, u32) {
        let failed = self.unloadable.take().filter(|_| matches!(self.phase, Phase::Forming { .. }));
        let saved = self.saved_cursor().iteration;
        let times = self.times_at(saved);
        match failed.filter(|_| times >= TRIES) {
            Some(why) if self.fall_back(&why, out) => (self.saved_cursor().iteration, 1),
            Some(_) | None => (saved, times),
        }
    }

    /// Where the newest checkpoint is.
    pub(super) fn saved_cursor(&self) -> Cursor {
        self.resume.as_ref().map_or_else(Cursor::start, |manifest| manifest.cursor.clone())
    }

    fn times_at(&self, to: Iteration) -> u32 {
        self.rolled_back.filter(|(last, _)| *last == to).map_or(0, |(_, times)| times) + 1
    }

    /// Takes the checkpoint before the newest in its place; whether there was one.
    fn fall_back(&mut self, why: &str, out: &mut Vec<Effect>) -> bool {
        let (Some(newest), Some(older)) = (self.resume.as_ref(), self.older.pop()) else {
            return false;
        };
        let key = |manifest: &Manifest| Manifest::key(manifest.iteration, manifest.fence);
        let (newest, before) = (key(newest), key(&older));
        // What cannot be loaded takes no other's place when checkpoints are pruned.
        self.checkpoints.retain(|kept| kept.key != newest);
        self.resume = Some(older);
        let reason = format!("{newest}: no worker can load it ({why}); the run goes back to {before}");
        out.push(Effect::Show(Status { activity: Activity::Skipped { reason }, ..self.status() }));
        true
    }
}
