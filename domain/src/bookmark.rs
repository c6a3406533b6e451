//! Where the run stands, as every worker keeps it beside its training state: what a coordinator that comes after needs
//! in order to go on without a committed iteration lost or done twice.

use crate::curriculum::Cursor;
use crate::ids::{Digest, Fence, RunId};
use crate::ledger::{LedgerEntry, StateLink};
use crate::metrics_line::MetricsLine;
use serde::{Deserialize, Serialize};

/// A line of the run's journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum JournalLine {
    /// Of `ledger.jsonl`.
    Ledger(LedgerEntry),
    /// Of `metrics.jsonl`.
    Metrics(MetricsLine),
}

impl JournalLine {
    /// Whether a checkpoint with this cursor lacks the line. The metrics of an iteration whose validation is to come wait
    /// in the checkpoint for their scores, so the line is yet to be written.
    pub fn is_after(&self, saved: &Cursor) -> bool {
        let held = u64::from(saved.held_line.is_some());
        match self {
            Self::Ledger(entry) => entry.iteration > saved.iteration,
            Self::Metrics(line) => line.iteration.0 > saved.iteration.0.saturating_sub(held),
        }
    }
}

/// The digest of the journal once an iteration is committed; its metrics are none while they wait for a validation.
pub(crate) fn journal_after(entry: &LedgerEntry, metrics: Option<&MetricsLine>) -> Digest {
    let journal = entry.journal();
    metrics.map_or(journal, |line| line.journal(journal))
}

/// Lines are kept up to this weight, a line or a decision in it as 64 and one more for each of its prompts: a few megabytes. Where a
/// checkpoint is so far away, a coordinator that comes after goes back to it.
const MOST_WEIGHT: usize = 1 << 19;

/// Drops the oldest lines where they weigh too much to be kept and sent.
pub(crate) fn bound(lines: &mut Vec<JournalLine>) {
    let weight = |line: &JournalLine| match line {
        JournalLine::Ledger(entry) => {
            let cleaned = entry.cleaned.as_ref().map_or(0, |cleaned| cleaned.flagged.len());
            64 * (1 + entry.decisions.len()) + entry.prompts.len() + entry.refilled.len() + cleaned
        }
        JournalLine::Metrics(_) => 64,
    };
    let mut surplus = lines.iter().map(weight).sum::<usize>().saturating_sub(MOST_WEIGHT);
    let dropped = lines.iter().take_while(|line| {
        let drop = surplus > 0;
        surplus = surplus.saturating_sub(weight(line));
        drop
    });
    let dropped = dropped.count();
    lines.drain(..dropped);
}

/// Where the run stands once the command that it announces is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bookmark {
    /// Digest of the training state that the command is applied to, or that a new roster agreed on; none where it is not
    /// known. A worker that holds another one in a new roster keeps no bookmark: it was sent a damaged state.
    pub from: Option<Digest>,
    /// Where the curriculum stands then.
    pub cursor: Cursor,
    /// Whether `lines` follow those of the bookmark before; otherwise they take their place.
    pub follows: bool,
    /// Lines written to the journal; all together, those since the newest checkpoint.
    pub lines: Vec<JournalLine>,
    /// What the announced command will bring.
    pub pending: Option<Pending>,
}

/// What a commit or a change of the training state brings. Its `after` is not known yet when it is announced: it is the
/// digest that the worker holds once it is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Pending {
    /// Lines of the journal.
    Commit {
        /// Of the ledger.
        entry: Box<LedgerEntry>,
        /// Of the metrics; none while it waits for the scores of a validation.
        metrics: Option<Box<MetricsLine>>,
    },
    /// A link of the chain of states.
    Change(StateLink),
}

impl Bookmark {
    /// This bookmark as a worker keeps it that kept `earlier` so far. What was pending there is among the lines here.
    pub fn after(mut self, earlier: Option<Self>) -> Self {
        if let Some(earlier) = earlier.filter(|_| self.follows) {
            let new = std::mem::replace(&mut self.lines, earlier.lines);
            self.lines.extend(new);
            self.follows = earlier.follows;
            bound(&mut self.lines);
        }
        self
    }
}

/// What a worker that joins holds already: the training state of a session that broke off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The run that it belongs to.
    pub run_id: RunId,
    /// Digest of that run's config.
    pub config_digest: Digest,
    /// The roster that the worker was in.
    pub fence: Fence,
    /// Its size.
    pub world: u32,
    /// Digest of the training state.
    pub state: Digest,
    /// Where the run stands with that state.
    pub bookmark: Bookmark,
}

impl Held {
    /// Where the curriculum stands.
    pub fn cursor(&self) -> Cursor {
        let mut cursor = self.bookmark.cursor.clone();
        match &self.bookmark.pending {
            Some(Pending::Change(link)) => cursor.changes.push(StateLink { after: self.state, ..*link }),
            Some(Pending::Commit { entry, metrics }) => {
                let entry = LedgerEntry { after: self.state, ..(**entry).clone() };
                cursor.journal = journal_after(&entry, metrics.as_deref());
            }
            None => {}
        }
        cursor
    }

    /// Whether the lines that a checkpoint with this cursor lacks lead from its journal to this one.
    pub fn follows(&self, saved: &Cursor, lines: &[JournalLine]) -> bool {
        let mut journal = saved.journal;
        for line in lines {
            journal = match line {
                JournalLine::Ledger(entry) if entry.previous != journal => return false,
                JournalLine::Ledger(entry) => entry.journal(),
                JournalLine::Metrics(line) => line.journal(journal),
            };
        }
        journal == self.cursor().journal
    }

    /// All lines of the journal since the newest checkpoint, those of the last commit included.
    pub fn lines(&self) -> Vec<JournalLine> {
        let mut lines = self.bookmark.lines.clone();
        if let Some(Pending::Commit { entry, metrics }) = &self.bookmark.pending {
            lines.push(JournalLine::Ledger(LedgerEntry { after: self.state, ..(**entry).clone() }));
            lines.extend(metrics.as_deref().cloned().map(JournalLine::Metrics));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Iteration;
    use crate::work::Pass;

    fn line(iteration: u64, prompts: usize) -> JournalLine {
        let digest = Digest::of(b"");
        JournalLine::Ledger(LedgerEntry {
            iteration: Iteration(iteration),
            pass: Pass::Select,
            stage: "s".into(),
            attempt: 0,
            fence: Fence(1),
            changes: Vec::new(),
            decisions: Vec::new(),
            cleaned: None,
            prompts: vec![0; prompts],
            refilled: Vec::new(),
            gradient: digest,
            before: digest,
            after: digest,
            previous: digest,
        })
    }

    #[test]
    fn the_oldest_lines_go_once_all_weigh_too_much() {
        let mut lines = vec![line(1, 10), line(2, MOST_WEIGHT - 200), line(3, 10), line(4, 10)];
        bound(&mut lines);
        assert_eq!(
            lines,
            [line(2, MOST_WEIGHT - 200), line(3, 10)].into_iter().chain([line(4, 10)]).skip(1).collect::<Vec<_>>()
        );
        let mut few = vec![line(1, 10), line(2, 10)];
        bound(&mut few);
        assert_eq!(few.len(), 2);
    }
}
