//! A checkpoint: rank 0 copies its state and writes the parts beside its other work, the shell writes the manifest last,
//! then old ones are pruned. One is on its way at a time.
//!
//! Keys never repeat. A key is (iteration, fence); the curriculum asks for one checkpoint an iteration at most where
//! it trains (a stage's end takes the place of a regular one), and where it asks again at the same iteration under the
//! same fence (a stage of the refit pass with nothing to repeat, a stop) none is written: only changes of state and
//! validations lie between, and a resume repeats those with the same bits.

use super::phase::Phase;
use super::roster::Then;
use super::{Rejection, Run};
use crate::curriculum::{Cursor, NextAction, Performed};
use crate::effect::{Command, Effect};
use crate::ids::{Digest, Fence, Iteration, WorkerId};
use crate::manifest::{Manifest, Part};
use crate::retention::{Kept, surplus};
use crate::status::{Activity, Status};
use crate::work::Pass;
use std::time::Duration;

/// A checkpoint on its way to the store, beside whatever the run does.
#[derive(Clone, Debug)]
pub(super) struct Save {
    key: String,
    writer: WorkerId,
    fence: Fence,
    iteration: Iteration,
    /// Digest of the training state that it holds.
    state: Digest,
    /// The cursor that the manifest will hold: where a resumed run goes on.
    cursor: Cursor,
    /// When the parts, or the manifest, were asked for.
    since: Duration,
    /// Once the parts are there: what makes them a checkpoint.
    manifest: Option<Manifest>,
}

impl Run {
    /// The curriculum asks for a checkpoint: training goes on while it is written. Only the one that the select pass
    /// ends with is waited for, as the report will need it.
    pub(super) fn start_checkpoint(&mut self, out: &mut Vec<Effect>) {
        let saved = self.resume.as_ref().is_some_and(|n| n.iteration == self.cursor.iteration && n.fence == self.fence);
        let saving = self.save.as_ref().is_some_and(|s| s.iteration == self.cursor.iteration && s.fence == self.fence);
        if saved || (saving && !self.stopping) {
            if self.advance(Performed::Checkpointed, out) {
                self.proceed(out);
            }
            return;
        }
        match self.cursor.advance(&self.setup.spec, Performed::Checkpointed) {
            Ok(after) => self.write_checkpoint(after, out),
            Err(error) => self.fail(error.to_string(), 1, out),
        }
    }

    /// Before an iteration: the checkpoint that an operator asked for; whether there was one to write. Nowhere else, as
    /// a key must not repeat: the curriculum asks for its own after an iteration, and here one is still to come.
    pub(super) fn write_wanted(&mut self, out: &mut Vec<Effect>) -> bool {
        let at = self.cursor.iteration;
        let whole = self.resume.as_ref().is_some_and(|newest| newest.iteration == at);
        if whole || self.save.as_ref().is_some_and(|save| save.iteration == at) {
            self.wanted = false;
            return false;
        }
        if self.save.is_some() || self.missed.as_ref() == Some(&Manifest::key(at, self.fence)) {
            // After the next iteration, under a key of its own.
            return false;
        }
        self.wanted = false;
        self.write_checkpoint(self.cursor.clone(), out);
        true
    }

    /// A stop was asked for: the run ends once the newest checkpoint holds all that it cannot repeat.
    pub(super) fn stop_with_checkpoint(&mut self, out: &mut Vec<Effect>) {
        if self.save.is_some() {
            return self.wait_for_save(out);
        }
        let enough = self.resume.as_ref().is_some_and(|n| {
            n.iteration == self.cursor.iteration && (n.cursor == self.cursor || n.fence == self.fence)
        });
        if enough {
            self.finish_stopped(out);
        } else if self.cursor.next_action() == NextAction::Checkpoint {
            self.start_checkpoint(out);
        } else {
            self.write_checkpoint(self.cursor.clone(), out);
        }
    }

    /// Nothing else is done until the checkpoint on its way is whole, or has failed.
    pub(super) fn wait_for_save(&mut self, out: &mut Vec<Effect>) {
        self.enter(Phase::Saving, out);
    }

    fn write_checkpoint(&mut self, mut cursor: Cursor, out: &mut Vec<Effect>) {
        if self.save.is_some() {
            // One at a time; what comes next leads back here.
            return self.wait_for_save(out);
        }
        let (Some(writer), Some(state)) = (self.first_member(), self.state) else {
            return self.fail("there is no worker to write a checkpoint".into(), 1, out);
        };
        let (iteration, fence, since) = (self.cursor.iteration, self.fence, self.now);
        let key = Manifest::key(iteration, fence);
        if self.missed.as_ref() == Some(&key) && self.parting {
            return self.part(out);
        }
        if self.missed.as_ref() == Some(&key) {
            // What comes next leads back here, with a new fence and so a new key.
            return self.start_forming(Then::Proceed, out);
        }
        cursor.seconds = self.seconds();
        let needed = self.cursor.pass == Pass::Select && cursor.pass == Pass::Refit;
        if needed {
            cursor.select_checkpoint = Some(key.clone());
        }
        out.push(Effect::Send { worker: writer, command: Command::WriteParts { fence, key: key.clone() } });
        let waits = needed || self.stopping;
        if !waits {
            self.cursor = cursor.clone();
        }
        self.save = Some(Save { key, writer, fence, iteration, state, cursor, since, manifest: None });
        if waits { self.wait_for_save(out) } else { self.proceed(out) }
    }

    /// The parts are in the store: the manifest makes them a checkpoint. `from` is who and in which roster.
    pub(super) fn on_parts_written(
        &mut self,
        from: (WorkerId, Fence),
        state: Digest,
        mut parts: Vec<Part>,
        out: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        let save = self.save_of(from)?;
        if state != save.state {
            let (found, right) = (state.to_string(), save.state.to_string());
            let what = format!("wrote training state {found:.12} where the roster held {right:.12}");
            self.lose(from.0, &what, out);
            return Ok(());
        }
        let Some(prepared) = &self.setup.prepared else {
            return Err(self.unexpected("a checkpoint's parts"));
        };
        let config_digest = match self.setup.spec.digest() {
            Ok(digest) => digest,
            Err(error) => {
                self.fail(error.to_string(), 1, out);
                return Ok(());
            }
        };
        parts.sort_by(|a, b| a.name.cmp(&b.name));
        let manifest = Manifest {
            version: Manifest::VERSION,
            run_id: self.setup.run_id.clone(),
            config_digest,
            data_digest: prepared.data_digest,
            code_version: self.setup.code_version.clone(),
            fence: save.fence,
            iteration: save.iteration,
            state_digest: save.state,
            cursor: save.cursor.clone(),
            parts,
        };
        self.save = Some(Save { manifest: Some(manifest.clone()), since: self.now, ..save });
        out.push(Effect::PublishManifest(manifest));
        Ok(())
    }

    /// The save that waits for this worker's parts.
    fn save_of(&self, (worker, fence): (WorkerId, Fence)) -> Result<Save, Rejection> {
        match &self.save {
            Some(save) if save.writer == worker && save.fence == fence && save.manifest.is_none() => Ok(save.clone()),
            // Given up, or a coordinator's before this one.
            _ => Err(Rejection::StaleFence { worker, found: fence, current: self.fence }),
        }
    }

    /// The checkpoint is whole.
    pub(super) fn on_manifest_published(&mut self, key: &str, out: &mut Vec<Effect>) -> Result<(), Rejection> {
        let save = self.publishing("a published manifest")?;
        if key != save.key {
            return Err(Rejection::WrongKey { found: key.into(), expected: save.key });
        }
        self.save = None;
        self.checkpoints.extend(save.manifest.iter().map(Kept::of));
        self.trail.cut(&save.cursor);
        self.older.extend(std::mem::replace(&mut self.resume, save.manifest));
        let rules = &self.setup.spec.checkpoint;
        let keys = surplus(&self.checkpoints, rules, save.cursor.select_checkpoint.as_deref());
        if !keys.is_empty() {
            self.checkpoints.retain(|kept| !keys.contains(&kept.key));
            self.older.retain(|manifest| !keys.contains(&Manifest::key(manifest.iteration, manifest.fence)));
            out.push(Effect::Prune { keys });
        }
        self.after_save(save.cursor, out);
        Ok(())
    }

    /// The save whose manifest is on its way.
    fn publishing(&self, event: &'static str) -> Result<Save, Rejection> {
        self.save.clone().filter(|save| save.manifest.is_some()).ok_or_else(|| self.unexpected(event))
    }

    /// Goes on where the run waited for the save.
    fn after_save(&mut self, cursor: Cursor, out: &mut Vec<Effect>) {
        if !matches!(self.phase, Phase::Saving) {
            return;
        }
        if self.nobody_holds_the_state() {
            return self.roll_back(out);
        }
        // Where the curriculum waited for this very checkpoint it moves on now.
        if cursor.iteration == self.cursor.iteration && cursor.place() >= self.cursor.place() {
            self.cursor = cursor;
        }
        self.proceed(out);
    }

    /// The parts could not be written. `from` is who and in which roster.
    pub(super) fn on_parts_failed(
        &mut self,
        from: (WorkerId, Fence),
        message: &str,
        out: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        let save = self.save_of(from)?;
        let reason = format!("checkpoint {} could not be written: {message}", save.key);
        self.miss_checkpoint(save, &reason, out);
        Ok(())
    }

    /// The store refused the manifest.
    pub(super) fn on_manifest_refused(&mut self, message: &str, out: &mut Vec<Effect>) -> Result<(), Rejection> {
        let save = self.publishing("a refused manifest")?;
        let reason = format!("the store refused the manifest of {}: {message}", save.key);
        self.miss_checkpoint(save, &reason, out);
        Ok(())
    }

    /// A store that does not take a checkpoint costs the checkpoint, not the run. Only where the run stops, or will need
    /// this very checkpoint for its report, there is no going on without.
    fn miss_checkpoint(&mut self, save: Save, reason: &str, out: &mut Vec<Effect>) {
        let reason = format!("{reason}; {}", self.newest_checkpoint());
        let needed = save.cursor.select_checkpoint.as_ref() == Some(&save.key);
        // Where all workers leave, going back to an older one is better than an end.
        if (self.stopping && !self.parting) || needed {
            return self.fail(reason, 69, out);
        }
        out.push(Effect::Show(Status { activity: Activity::CheckpointMissed { reason }, ..self.status() }));
        self.save = None;
        self.missed = Some(save.key);
        self.after_save(save.cursor, out);
    }

    /// The writer is lost before its parts were in the store: the checkpoint is, too.
    pub(super) fn forget_save_of(&mut self, worker: WorkerId) {
        if let Some(save) = self.save.take_if(|save| save.writer == worker && save.manifest.is_none()) {
            self.missed = Some(save.key);
        }
    }

    /// Whether this worker's parts of a checkpoint are on their way.
    pub(super) fn writes_parts(&self, worker: WorkerId) -> bool {
        self.save.as_ref().is_some_and(|save| save.writer == worker && save.manifest.is_none())
    }

    /// Whether a manifest is on its way: what comes of it decides where the run would go back to.
    pub(super) fn is_publishing(&self) -> bool {
        self.save.as_ref().is_some_and(|save| save.manifest.is_some())
    }

    /// A store that takes too long for a checkpoint does not take it.
    pub(super) fn miss_late_save(&mut self, out: &mut Vec<Effect>) {
        // After a stop the writer may still be at two leases that it had taken.
        let limit = self.setup.spec.cluster.lease_seconds.saturating_mul(3);
        let late = |save: &Save| self.now.saturating_sub(save.since) > Duration::from_secs(u64::from(limit));
        let Some(save) = self.save.clone().filter(late) else {
            return;
        };
        let what = if save.manifest.is_some() { "its manifest was" } else { "its parts were" };
        let reason = format!("checkpoint {}: {what} not written within {limit} s", save.key);
        self.miss_checkpoint(save, &reason, out);
    }
}
