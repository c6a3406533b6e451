//! Digests that a roster answers with, one a worker; equal ones let the run go on.

use super::Rejection;
use crate::ids::{Digest, WorkerId};
use std::collections::{BTreeMap, BTreeSet};

/// The answers so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    digests: BTreeMap<WorkerId, Digest>,
    /// Members whose collective call failed, with what went wrong.
    failed: BTreeMap<WorkerId, String>,
}

/// What the answers say.
pub(super) enum Verdict {
    /// Some are missing.
    Waiting,
    /// All have answered; for some the collective failed. What the first of them says.
    Failed(String),
    /// All are the same.
    Equal(Digest),
    /// More than half are the same; the others, each with what is wrong with it.
    Majority(Vec<(WorkerId, String)>),
    /// They differ, and nobody can say who is right; who said what, as a sentence part.
    Split(String),
}

impl Answers {
    /// Takes an answer in; a second one of the same worker is refused.
    pub(super) fn add(&mut self, worker: WorkerId, digest: Digest, phase: &'static str) -> Result<(), Rejection> {
        if self.digests.contains_key(&worker) || self.failed.contains_key(&worker) {
            return Err(Rejection::AnsweredTwice { worker, phase });
        }
        self.digests.insert(worker, digest);
        Ok(())
    }

    /// Takes in that a worker's collective call failed.
    pub(super) fn add_failure(&mut self, worker: WorkerId, message: String) {
        self.failed.entry(worker).or_insert(message);
    }

    /// Whether all of the roster have answered, and alike.
    pub(super) fn verdict(&self, roster: &[WorkerId]) -> Verdict {
        if !self.missing(roster).is_empty() {
            return Verdict::Waiting;
        }
        if let Some(message) = roster.iter().find_map(|worker| self.failed.get(worker)) {
            return Verdict::Failed(message.clone());
        }
        let digests: Vec<(WorkerId, Digest)> =
            roster.iter().filter_map(|worker| Some((*worker, *self.digests.get(worker)?))).collect();
        let distinct: BTreeSet<Digest> = digests.iter().map(|(_, digest)| *digest).collect();
        match (distinct.first(), distinct.len()) {
            (None, _) => Verdict::Waiting,
            (Some(digest), 1) => Verdict::Equal(*digest),
            (Some(_), _) => split(&digests, &distinct),
        }
    }

    /// The members that answered with another digest than this, each with what is wrong with it.
    pub(super) fn others_than(&self, right: Digest, roster: &[WorkerId]) -> Vec<(WorkerId, String)> {
        let wrong = self.digests.iter().filter(|(worker, digest)| roster.contains(worker) && **digest != right);
        wrong.map(|(worker, digest)| (*worker, damaged(*digest, right))).collect()
    }

    /// The workers of the roster that have not answered yet.
    pub(super) fn missing(&self, roster: &[WorkerId]) -> Vec<WorkerId> {
        let silent = |worker: &WorkerId| !self.digests.contains_key(worker) && !self.failed.contains_key(worker);
        roster.iter().copied().filter(silent).collect()
    }
}

fn split(digests: &[(WorkerId, Digest)], distinct: &BTreeSet<Digest>) -> Verdict {
    let count = |of: &Digest| digests.iter().filter(|(_, digest)| digest == of).count();
    let Some(right) = distinct.iter().find(|of| 2 * count(of) > digests.len()).copied() else {
        let parts: Vec<String> = digests.iter().map(|(w, d)| format!("{w} has {:.12}", d.to_string())).collect();
        return Verdict::Split(parts.join(", "));
    };
    let wrong = digests.iter().filter(|(_, digest)| *digest != right);
    Verdict::Majority(wrong.map(|(worker, digest)| (*worker, damaged(*digest, right))).collect())
}

fn damaged(found: Digest, right: Digest) -> String {
    let (found, right) = (found.to_string(), right.to_string());
    format!("has digest {found:.12} where the others have {right:.12}: its memory or arithmetic is damaged")
}
