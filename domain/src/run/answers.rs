//! Digests that a roster answers with, one a worker; equal ones let the run go on.

use super::Rejection;
use crate::ids::{Digest, WorkerId};
use std::collections::{BTreeMap, BTreeSet};

/// The answers so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers(BTreeMap<WorkerId, Digest>);

/// What the answers say.
pub(super) enum Verdict {
    /// Some are missing.
    Waiting,
    /// All are the same.
    Equal(Digest),
    /// They differ; who said what, as a sentence part.
    Differ(String),
}

impl Answers {
    /// Takes an answer in; a second one of the same worker is refused.
    pub(super) fn add(&mut self, worker: WorkerId, digest: Digest, phase: &'static str) -> Result<(), Rejection> {
        if self.0.contains_key(&worker) {
            return Err(Rejection::AnsweredTwice { worker, phase });
        }
        self.0.insert(worker, digest);
        Ok(())
    }

    /// Whether all of the roster have answered, and alike.
    pub(super) fn verdict(&self, roster: &[WorkerId]) -> Verdict {
        if !roster.iter().all(|w| self.0.contains_key(w)) {
            return Verdict::Waiting;
        }
        let distinct: BTreeSet<Digest> = self.0.values().copied().collect();
        match (distinct.first(), distinct.len()) {
            (Some(digest), 1) => Verdict::Equal(*digest),
            (None, _) => Verdict::Waiting,
            (Some(_), _) => Verdict::Differ(self.by_worker()),
        }
    }

    /// The workers of the roster that have not answered yet.
    pub(super) fn missing(&self, roster: &[WorkerId]) -> Vec<WorkerId> {
        roster.iter().copied().filter(|w| !self.0.contains_key(w)).collect()
    }

    fn by_worker(&self) -> String {
        let parts: Vec<String> = self.0.iter().map(|(w, d)| format!("{w} has {:.12}", d.to_string())).collect();
        parts.join(", ")
    }
}
