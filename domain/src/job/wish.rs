//! What operators wish of a job. Wishes are numbered records, each the whole of what is wished then; the highest number
//! counts. So a wish outlives whoever asked and whoever should have heard it.

use super::Moment;
use serde::{Deserialize, Serialize};

/// What a job should do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Train.
    #[default]
    Run,
    /// Rest after a checkpoint, without processes, until it is resumed.
    Pause,
    /// End for good.
    Cancel,
}

/// What an operator asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Checkpoint, and rest until it is resumed.
    Pause,
    /// Go on.
    Resume,
    /// End for good.
    Cancel,
    /// A checkpoint, now.
    Checkpoint,
}

/// All that is wished of a job at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wishes {
    /// Counts records, from 1; 0 before the first.
    pub number: u64,
    /// What the job should do.
    pub wish: Wish,
    /// Checkpoints asked for so far.
    pub checkpoints: u64,
    /// When the last wish was made.
    pub at: Moment,
    /// By whom, as far as is known.
    pub by: String,
}

/// Why a wish is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WishRefused {
    /// A cancelled job is never resumed.
    #[error("it was cancelled; submit it under another key")]
    Cancelled,
    /// A checkpoint of a job that rests.
    #[error("it is paused, and its checkpoint is whole; resume it first")]
    Paused,
}

/// What a coordinator does about new wishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Checkpoint and end; the job rests.
    Pause,
    /// End now.
    Cancel,
    /// Write a checkpoint and go on.
    Checkpoint,
}

impl Wishes {
    /// The wishes after one more; none where it is wished already.
    ///
    /// # Errors
    /// The job cannot do that any more, or not in this state.
    pub fn after(&self, ask: Ask, at: Moment, by: &str) -> Result<Option<Self>, WishRefused> {
        let next = Self { number: self.number.saturating_add(1), at, by: by.to_owned(), ..self.clone() };
        Ok(match (self.wish, ask) {
            (Wish::Cancel, Ask::Cancel) => None,
            (Wish::Cancel, _) => return Err(WishRefused::Cancelled),
            (Wish::Pause, Ask::Checkpoint) => return Err(WishRefused::Paused),
            (_, Ask::Cancel) => Some(Self { wish: Wish::Cancel, ..next }),
            (Wish::Run, Ask::Resume) | (Wish::Pause, Ask::Pause) => None,
            (Wish::Run, Ask::Pause) => Some(Self { wish: Wish::Pause, ..next }),
            (Wish::Pause, Ask::Resume) => Some(Self { wish: Wish::Run, ..next }),
            (Wish::Run, Ask::Checkpoint) => Some(Self { checkpoints: self.checkpoints.saturating_add(1), ..next }),
        })
    }

    /// What a coordinator that knew `self` does about `new`: an end makes a checkpoint of its own needless.
    pub fn acts(&self, new: &Self) -> Option<Act> {
        match new.wish {
            Wish::Cancel => Some(Act::Cancel),
            Wish::Pause => Some(Act::Pause),
            Wish::Run => (new.checkpoints > self.checkpoints).then_some(Act::Checkpoint),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(wishes: &Wishes, ask: Ask) -> Result<Option<Wishes>, WishRefused> {
        wishes.after(ask, Moment(7), "ann")
    }

    #[test]
    fn wishes_lead_from_one_to_the_next() {
        use Ask::{Cancel, Checkpoint, Pause, Resume};
        let begun = Wishes::default();
        let paused = ask(&begun, Pause).unwrap().unwrap();
        assert_eq!((paused.number, paused.wish, paused.by.as_str(), paused.at), (1, Wish::Pause, "ann", Moment(7)));
        let resumed = ask(&paused, Resume).unwrap().unwrap();
        let saved = ask(&resumed, Checkpoint).unwrap().unwrap();
        let cancelled = ask(&saved, Cancel).unwrap().unwrap();
        assert_eq!((saved.number, saved.checkpoints, cancelled.number, cancelled.checkpoints), (3, 1, 4, 1));
        for (from, what) in [(&begun, Resume), (&paused, Pause), (&cancelled, Cancel)] {
            assert_eq!(ask(from, what), Ok(None), "{what:?} is wished already");
        }
        assert_eq!(ask(&paused, Checkpoint), Err(WishRefused::Paused));
        for what in [Pause, Resume, Checkpoint] {
            assert_eq!(ask(&cancelled, what), Err(WishRefused::Cancelled));
        }
    }

    #[test]
    fn each_new_wish_has_one_act() {
        let begun = Wishes::default();
        let of = |wish, checkpoints| Wishes { number: 5, wish, checkpoints, ..Wishes::default() };
        assert_eq!(begun.acts(&begun), None);
        assert_eq!(begun.acts(&of(Wish::Run, 0)), None, "paused and resumed between two looks");
        assert_eq!(begun.acts(&of(Wish::Run, 2)), Some(Act::Checkpoint), "two that were asked for are one");
        assert_eq!(begun.acts(&of(Wish::Pause, 3)), Some(Act::Pause));
        assert_eq!(begun.acts(&of(Wish::Cancel, 3)), Some(Act::Cancel));
        assert_eq!(of(Wish::Run, 2).acts(&of(Wish::Run, 2)), None);
    }

    #[test]
    fn fields_of_later_versions_are_passed_over() {
        let wishes: Wishes = serde_json::from_str(r#"{"number":3,"wish":"pause","later":1}"#).unwrap();
        assert_eq!((wishes.number, wishes.wish), (3, Wish::Pause));
    }
}
