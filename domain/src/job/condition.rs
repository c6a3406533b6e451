//! What holds of a job and what does not, in the form that Kubernetes made common: a kind, whether it holds, a reason for
//! programs, a message for people, and since when.

use super::Moment;
use serde::{Deserialize, Serialize};

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConditionKind {
    /// The request is in the store.
    Accepted,
    /// Workers work on it.
    WorkersReady,
    /// Data, instances and semantic ids are there.
    DataPrepared,
    /// What was trained so far is in a whole checkpoint, as far as the last one goes.
    Checkpointed,
    /// It is over.
    Finished,
}

/// One thing that holds, or does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// About what.
    #[serde(rename = "type")]
    pub kind: ConditionKind,
    /// Whether it holds.
    pub holds: bool,
    /// One word for programs, such as `Waiting`.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// When `holds` or `reason` last changed.
    pub since: Moment,
}

/// Sets a condition in a list that is kept in the order of kinds; answers whether anything but the message changed.
pub(super) fn set(
    conditions: &mut Vec<Condition>,
    (kind, holds): (ConditionKind, bool),
    (reason, message): (&str, &str),
    now: Moment,
) -> bool {
    match conditions.binary_search_by_key(&kind, |condition| condition.kind) {
        Ok(at) => {
            let condition = &mut conditions[at];
            let changed = condition.holds != holds || condition.reason != reason;
            if changed {
                *condition = Condition { kind, holds, reason: reason.into(), message: String::new(), since: now };
            }
            condition.message = message.into();
            changed
        }
        Err(at) => {
            let (reason, message) = (reason.to_owned(), message.to_owned());
            conditions.insert(at, Condition { kind, holds, reason, message, since: now });
            true
        }
    }
}
