//! What a source's negatives are, so that no report leaves it unsaid.

use conrec_domain::spec::{DataSpec, Source};
use serde::{Deserialize, Serialize};

/// Whether people were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NegativeKind {
    /// People said themselves that they dislike it.
    Explicit,
    /// A low rating stands for it: nobody was asked.
    Proxy,
    /// Made up.
    MadeUp,
}

/// What counts as a negative in a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Negatives {
    /// Whether people were asked.
    pub kind: NegativeKind,
    /// As a sentence.
    pub sentence: String,
}

impl NegativeKind {
    /// `explicit`, `proxy` or `made up`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Explicit => "explicit",
            Self::Proxy => "proxy",
            Self::MadeUp => "made up",
        }
    }
}

impl Negatives {
    /// Of the source that a config names.
    pub fn of(spec: &DataSpec) -> Self {
        let rating = || {
            let rating = format!(
                "Proxy negatives: a rating of {} or less; nobody was asked what they dislike.",
                spec.negative_at_most
            );
            (NegativeKind::Proxy, rating)
        };
        let explicit = |what: &str| (NegativeKind::Explicit, format!("Explicit negatives: {what}."));
        let (kind, sentence) = match spec.source {
            Source::MovieTweetings
            | Source::MovieLens
            | Source::RecBole
            | Source::Amazon2014
            | Source::Amazon2018
            | Source::Amazon2023 => rating(),
            Source::KuaiRand => explicit("the user marked the video as hated (is_hate)"),
            Source::Yambda => explicit("the user disliked the track"),
            Source::VkLsvd => {
                explicit("the user disliked the video; times within a week are made up from the order of the rows")
            }
            Source::Steam => explicit("the review does not recommend the game"),
            Source::Table => of_table(spec, rating),
            Source::Synthetic => (
                NegativeKind::MadeUp,
                "Made-up users with known disliked regions; the numbers say that the trainer works, not more."
                    .to_owned(),
            ),
        };
        Self { kind, sentence }
    }
}

fn of_table(spec: &DataSpec, rating: impl Fn() -> (NegativeKind, String)) -> (NegativeKind, String) {
    let table = &spec.table;
    if !table.rating.is_empty() {
        let (kind, sentence) = rating();
        return match table.explicit {
            false => (kind, sentence),
            true => {
                let sentence = format!("Explicit negatives: a rating of {} or less.", spec.negative_at_most);
                (NegativeKind::Explicit, sentence)
            }
        };
    }
    let what = match table.event_type.is_empty() {
        true => format!("set by {}", table.negative.join(" or ")),
        false => format!("events of the kind {}", table.negative_events.join(" or ")),
    };
    match table.explicit {
        true => (NegativeKind::Explicit, format!("Explicit negatives: {what}.")),
        false => {
            (NegativeKind::Proxy, format!("Proxy negatives: {what}; whether people meant a dislike is not known."))
        }
    }
}
