//! What only Item-Level Alignment reads: where the questions' distractors come from (method, section 4).

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where the three items come from that stand beside the disliked one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distractor {
    /// Items that the user liked before (the paper's).
    Positives,
    /// Items about as popular as the disliked one.
    Popularity,
    /// Items of a category of the disliked one.
    Category,
    /// Items that others met on the same day.
    Exposed,
}

impl Distractor {
    /// All kinds, in the order of their weights and of counts by kind.
    pub const ALL: [Self; 4] = [Self::Positives, Self::Popularity, Self::Category, Self::Exposed];
}

impl fmt::Display for Distractor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Positives => "positives",
            Self::Popularity => "popularity",
            Self::Category => "category",
            Self::Exposed => "exposed",
        })
    }
}

/// Which of a question's four items is learned as the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answers {
    /// The one that the user disliked.
    #[default]
    Disliked,
    /// One of the four, drawn for each question: a control, whose policy can have learned nothing of what users dislike.
    Drawn,
}

/// How often a question's distractors are of each kind: weights, a kind that is not named has 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distractors {
    /// Of [`Distractor::Positives`].
    #[serde(default)]
    pub positives: f64,
    /// Of [`Distractor::Popularity`].
    #[serde(default)]
    pub popularity: f64,
    /// Of [`Distractor::Category`].
    #[serde(default)]
    pub category: f64,
    /// Of [`Distractor::Exposed`].
    #[serde(default)]
    pub exposed: f64,
}

impl Default for Distractors {
    fn default() -> Self {
        Self { positives: 1.0, popularity: 0.0, category: 0.0, exposed: 0.0 }
    }
}

impl Distractors {
    /// The weights in the order of [`Distractor::ALL`].
    pub fn weights(&self) -> [f64; 4] {
        [self.positives, self.popularity, self.category, self.exposed]
    }
}
