//! One piece of feedback: who reacted to what, when, and how.

use serde::{Deserialize, Serialize};

/// How a user felt about an item, derived from the rating by the config's thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// A dislike; what the model predicts.
    Negative,
    /// Between the thresholds: part of the context, never a target and never a future positive.
    Neutral,
    /// A like.
    Positive,
}

impl Sign {
    /// The sign of a rating: negative at or below `negative_at_most`, positive at or above `positive_at_least`.
    pub fn of_rating(rating: f64, negative_at_most: f64, positive_at_least: f64) -> Self {
        if rating <= negative_at_most {
            Self::Negative
        } else if rating >= positive_at_least {
            Self::Positive
        } else {
            Self::Neutral
        }
    }
}

/// One reaction of a user to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Dense index of the user.
    pub user: u32,
    /// Dense index of the item.
    pub item: u32,
    /// Unix time, in seconds.
    pub time: i64,
    /// How the user felt.
    pub sign: Sign,
}

impl Event {
    /// The order of a dataset's events: by time, then user, then item.
    pub fn order(&self) -> (i64, u32, u32) {
        (self.time, self.user, self.item)
    }
}
