//! The gate: which validation is a new best, and the sentence that says why.

use super::Gate;
use super::room::Room;
use crate::work::Score;

/// What the gate says of a validation.
pub(super) enum Verdict {
    /// A GRPO stage's start was measured; the first one's is the bar that all later scores are held against.
    Start,
    /// Better than all before, and not below the bar.
    NewBest,
    /// Not better, or below the bar.
    Worse,
}

impl Gate {
    /// Takes a validation in. `iteration` is the stage's; `rule` is the bar of earlier GRPO stages, where there were
    /// some, and how far below it a score may lie.
    pub(super) fn judge(&mut self, iteration: u32, score: Score, rule: (Option<Score>, Room)) -> (Verdict, String) {
        let (bar, room) = rule;
        let Some(best) = self.best else {
            self.keep(iteration, score);
            if iteration == 0 {
                self.start = Some(bar.unwrap_or(score));
                let reason = match bar {
                    None => {
                        format!(
                            "the stage starts at {}: the bar for all that follows{}",
                            shown(score),
                            room.told(score)
                        )
                    }
                    Some(bar) => format!("the stage starts at {}; the bar stays {}", shown(score), shown(bar)),
                };
                return (Verdict::Start, reason);
            }
            return (Verdict::NewBest, format!("new best: the first validation of the stage, {}", shown(score)));
        };
        if let Some(reason) = self.why_below_bar(score, room) {
            self.without_best += 1;
            self.below_bar += 1;
            return (Verdict::Worse, format!("no new best: {reason}"));
        }
        let (sum, bar) = (score.sum(), best.sum());
        if sum > bar {
            let of = self.best_iteration;
            self.keep(iteration, score);
            let reason = format!("new best: {}, together {sum:.4}, above {bar:.4} of iteration {of}", shown(score));
            return (Verdict::NewBest, reason);
        }
        self.without_best += 1;
        let of = self.best_iteration;
        let reason = format!("no new best: {}, together {sum:.4}, not above {bar:.4} of iteration {of}", shown(score));
        (Verdict::Worse, reason)
    }

    /// Whether the stage's training only lost: nothing was better than its start, and a validation lay below the bar.
    pub(super) fn has_lost(&self) -> bool {
        self.best_iteration == 0 && self.below_bar > 0
    }

    /// The memory with which the stage is tried again: its start scores as it did, as it is the same policy.
    pub(super) fn of_retry(&self) -> Self {
        Self { start: self.start, best: self.best, ..Self::default() }
    }

    fn keep(&mut self, iteration: u32, score: Score) {
        self.best = Some(score);
        self.best_iteration = iteration;
        self.without_best = 0;
    }

    /// Why a score lies below the bar, if there is a bar: supervised stages have none, as their start is untrained.
    fn why_below_bar(&self, score: Score, room: Room) -> Option<String> {
        let start = self.start?;
        let (fhr, accuracy) = (score.fhr, score.candidate_accuracy);
        let pairs = [("FHR@20", fhr, start.fhr), ("CandAcc", accuracy, start.candidate_accuracy)];
        let (name, found, bar) = pairs.into_iter().find(|(_, found, bar)| *found < bar - room.below(*bar))?;
        Some(format!("{name} {found:.4} lies more than {} below the bar of {bar:.4}", room.shown(bar)))
    }
}

fn shown(score: Score) -> String {
    format!("FHR@20 {:.4} and CandAcc {:.4}", score.fhr, score.candidate_accuracy)
}
