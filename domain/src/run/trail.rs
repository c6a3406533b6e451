//! The journal's lines since the newest checkpoint, and what workers are told of them: a coordinator that comes after
//! this one finds its way by what they keep.

use super::Run;
use crate::bookmark::{Bookmark, JournalLine, Pending, bound};
use crate::curriculum::Cursor;
use crate::effect::{Command, Effect};
use crate::ids::{Digest, WorkerId};

/// Lines since the newest checkpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    lines: Vec<JournalLine>,
    /// So many of them the roster has been told; none: it has to be told anew.
    told: Option<usize>,
}

impl Trail {
    /// Back to a checkpoint: nothing has been written since.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A checkpoint with this cursor is whole: what it holds need not be remembered.
    pub(super) fn cut(&mut self, saved: &Cursor) {
        self.lines.retain(|line| line.is_after(saved));
        self.told = None;
    }
}

impl Run {
    /// Writes a line to the journal.
    pub(super) fn write_line(&mut self, line: JournalLine, out: &mut Vec<Effect>) {
        self.trail.lines.push(line.clone());
        let before = self.trail.lines.len();
        bound(&mut self.trail.lines);
        self.trail.told = self.trail.told.map(|told| told.saturating_sub(before - self.trail.lines.len()));
        out.push(match line {
            JournalLine::Ledger(entry) => Effect::AppendLedger(entry),
            JournalLine::Metrics(line) => Effect::AppendMetrics(line),
        });
    }

    /// Tells members of a new roster, who may know nothing, where the run stands.
    pub(super) fn tell_all(&mut self, members: &[WorkerId], out: &mut Vec<Effect>) {
        self.trail.told = None;
        self.tell(members, (self.state, self.cursor.clone()), None, out);
    }

    /// Tells the roster where the run will stand once the next command, which changes the state, is done.
    pub(super) fn tell_next(&mut self, cursor: Cursor, pending: Pending, out: &mut Vec<Effect>) {
        self.tell(&self.members(), (self.state, cursor), Some(pending), out);
    }

    fn tell(
        &mut self,
        members: &[WorkerId],
        (from, mut cursor): (Option<Digest>, Cursor),
        pending: Option<Pending>,
        out: &mut Vec<Effect>,
    ) {
        cursor.seconds = self.seconds();
        let lines = self.trail.lines[self.trail.told.unwrap_or(0).min(self.trail.lines.len())..].to_vec();
        let bookmark = Bookmark { from, cursor, follows: self.trail.told.is_some(), lines, pending };
        self.trail.told = Some(self.trail.lines.len());
        for worker in members.iter().copied() {
            let command = Command::Remember(Box::new(bookmark.clone()));
            out.push(Effect::Send { worker, command });
        }
    }
}
