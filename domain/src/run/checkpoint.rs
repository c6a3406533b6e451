//! A checkpoint: rank 0 writes the parts, the shell writes the manifest last, then old ones are pruned.
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
use crate::ids::{Digest, Fence, WorkerId};
use crate::manifest::{Manifest, Part};
use crate::retention::{Kept, surplus};
use crate::status::{Activity, Status};
use crate::work::Pass;

/// A checkpoint under way.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) key: String,
    pub(super) writer: WorkerId,
    /// The cursor that the manifest will hold: where a resumed run goes on.
    pub(super) cursor: Cursor,
    /// Once the parts are there: what makes them a checkpoint.
    pub(super) manifest: Option<Manifest>,
}

impl Run {
    /// The curriculum asks for a checkpoint.
    pub(super) fn start_checkpoint(&mut self, out: &mut Vec<Effect>) {
        let taken = self.resume.as_ref().is_some_and(|n| n.iteration == self.cursor.iteration && n.fence == self.fence);
        if taken {
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

    /// A stop was asked for: the run ends once the newest checkpoint holds all that it cannot repeat.
    pub(super) fn stop_with_checkpoint(&mut self, out: &mut Vec<Effect>) {
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

    fn write_checkpoint(&mut self, cursor: Cursor, out: &mut Vec<Effect>) {
        let Some(writer) = self.members().first().copied() else {
            return self.fail("there is no worker to write a checkpoint".into(), 1, out);
        };
        let key = Manifest::key(self.cursor.iteration, self.fence);
        if self.missed.as_ref() == Some(&key) {
            // What comes next leads back here, with a new fence and so a new key.
            return self.start_forming(Then::Proceed, out);
        }
        let mut cursor = cursor;
        cursor.seconds = self.seconds();
        if self.cursor.pass == Pass::Select && cursor.pass == Pass::Refit {
            cursor.select_checkpoint = Some(key.clone());
        }
        self.enter(Phase::Writing { draft: Draft { key: key.clone(), writer, cursor, manifest: None } }, out);
        out.push(Effect::Send { worker: writer, command: Command::WriteParts { fence: self.fence, key } });
    }

    /// The parts are in the store: the manifest makes them a checkpoint. `from` is who and in which roster.
    pub(super) fn on_parts_written(
        &mut self,
        from: (WorkerId, Fence),
        state: Digest,
        mut parts: Vec<Part>,
        out: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        let (worker, fence) = from;
        self.check_fence(worker, fence)?;
        let draft = match &self.phase {
            Phase::Writing { draft } if draft.writer == worker => draft.clone(),
            _ => return Err(self.unexpected("a checkpoint's parts")),
        };
        let (Some(state_digest), Some(prepared)) = (self.state, &self.setup.prepared) else {
            return Err(self.unexpected("a checkpoint's parts"));
        };
        if state != state_digest {
            let (found, right) = (state.to_string(), state_digest.to_string());
            self.lose(worker, &format!("wrote training state {found:.12} where the roster holds {right:.12}"), out);
            return Ok(());
        }
        let config_digest = match self.setup.spec.digest() {
            Ok(digest) => digest,
            Err(error) => {
                self.fail(error.to_string(), 1, out);
                return Ok(());
            }
        };
        parts.sort_by(|a, b| a.name.cmp(&b.name));
        let manifest = Manifest {
            version: 1,
            run_id: self.setup.run_id.clone(),
            config_digest,
            data_digest: prepared.data_digest,
            code_version: self.setup.code_version.clone(),
            fence: self.fence,
            iteration: self.cursor.iteration,
            state_digest,
            cursor: draft.cursor.clone(),
            parts,
        };
        let draft = Draft { manifest: Some(manifest.clone()), ..draft };
        self.enter(Phase::Publishing { draft }, out);
        out.push(Effect::PublishManifest(manifest));
        Ok(())
    }

    /// The checkpoint is whole.
    pub(super) fn on_manifest_published(&mut self, key: &str, out: &mut Vec<Effect>) -> Result<(), Rejection> {
        let Phase::Publishing { draft } = &self.phase else {
            return Err(self.unexpected("a published manifest"));
        };
        if key != draft.key {
            return Err(Rejection::WrongKey { found: key.into(), expected: draft.key.clone() });
        }
        let manifest = draft.manifest.clone();
        self.cursor = draft.cursor.clone();
        self.checkpoints.extend(manifest.iter().map(Kept::of));
        self.resume = manifest;
        self.trail.clear();
        let keys = surplus(&self.checkpoints, &self.setup.spec.checkpoint, self.cursor.select_checkpoint.as_deref());
        if !keys.is_empty() {
            self.checkpoints.retain(|kept| !keys.contains(&kept.key));
            out.push(Effect::Prune { keys });
        }
        self.after_checkpoint(out);
        Ok(())
    }

    fn after_checkpoint(&mut self, out: &mut Vec<Effect>) {
        if self.nobody_holds_the_state() { self.roll_back(out) } else { self.proceed(out) }
    }

    /// The parts could not be written. `from` is who and in which roster.
    pub(super) fn on_parts_failed(
        &mut self,
        from: (WorkerId, Fence),
        message: &str,
        out: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        let (worker, fence) = from;
        self.check_fence(worker, fence)?;
        let draft = match &self.phase {
            Phase::Writing { draft } if draft.writer == worker => draft.clone(),
            _ => return Err(self.unexpected("a checkpoint's parts")),
        };
        let reason = format!("checkpoint {} could not be written: {message}", draft.key);
        self.miss_checkpoint(draft, &reason, out);
        Ok(())
    }

    /// A store that does not take a checkpoint costs the checkpoint, not the run. Only where the run stops, or will need
    /// this very checkpoint for its report, there is no going on without.
    fn miss_checkpoint(&mut self, draft: Draft, reason: &str, out: &mut Vec<Effect>) {
        let reason = format!("{reason}; {}", self.newest_checkpoint());
        let needed = draft.cursor.select_checkpoint.as_ref() == Some(&draft.key);
        if self.stopping || needed {
            return self.fail(reason, 69, out);
        }
        out.push(Effect::Show(Status { activity: Activity::CheckpointMissed { reason }, ..self.status() }));
        self.cursor = draft.cursor;
        self.missed = Some(draft.key);
        self.after_checkpoint(out);
    }

    /// The store refused the manifest.
    pub(super) fn on_manifest_refused(&mut self, message: &str, out: &mut Vec<Effect>) -> Result<(), Rejection> {
        let Phase::Publishing { draft } = &self.phase else {
            return Err(self.unexpected("a refused manifest"));
        };
        let draft = draft.clone();
        let reason = format!("the store refused the manifest of {}: {message}", draft.key);
        self.miss_checkpoint(draft, &reason, out);
        Ok(())
    }
}
