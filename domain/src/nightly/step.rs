//! What a night does next, as a function of what is known of it. Nothing else remembers anything: a process that died left
//! in the store what it had done, and whoever comes after reads it there.

use super::{Answer, Arrival, Ending, Floor, Opponent, Promotion, Verdict, Why};
use crate::day::Day;
use crate::ids::{Digest, RunId};
use crate::spec::NightlySpec;
use serde::{Deserialize, Serialize};

/// `nights/<date>/plan.json`: what the night trains, decided once. A night that goes on after a crash trains the same run
/// from the same start, whatever was promoted or taken back in between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The night.
    pub night: Day,
    /// The run's name.
    pub run: RunId,
    /// Where it begins.
    pub start: Start,
    /// Older days of the window without enough events.
    pub thin: Vec<Day>,
}

/// Where a night's run begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "start")]
pub enum Start {
    /// From nothing: the first night, with a quantizer of its own.
    Cold,
    /// From the adapter that served when the night was planned, with a fresh optimiser and that run's semantic ids.
    Warm {
        /// That run.
        run: RunId,
        /// The entry that promoted it.
        number: u64,
        /// Digest of its state.
        state: Digest,
    },
    /// From nothing, with a new quantizer, although something serves: its codes mean other things.
    Refit,
}

/// `nights/<date>/trained.json`: what came of the training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trained {
    /// Digest of the run's state.
    pub state: Digest,
    /// Items that have the semantic id that they had in the run that served.
    pub kept_ids: u64,
    /// Items that have another: none unless the quantizer was fitted anew.
    pub changed_ids: u64,
    /// Items that the run that served did not have.
    pub new_ids: u64,
}

/// Who works on nights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// Nobody.
    Nobody,
    /// This process.
    Here,
    /// Another one, on this or on another night.
    Elsewhere {
        /// Its night.
        night: Day,
    },
}

/// What is known of a night: all but the first four and `arrival` lies in the store.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The night.
    pub night: Day,
    /// The rules of `[nightly]`.
    pub rules: &'a NightlySpec,
    /// Whether the night is to fit its quantizer anew.
    pub refit: bool,
    /// The time, Unix seconds.
    pub now: i64,
    /// What this process saw when it looked at the data.
    pub arrival: Option<Arrival>,
    /// Who works.
    pub claimed: Claimed,
    /// All promotions, by number.
    pub history: Vec<Promotion>,
    /// What the night trains.
    pub plan: Option<Plan>,
    /// What came of that.
    pub trained: Option<Trained>,
    /// Decisions about it; one for each opponent that it was held against.
    pub verdicts: Vec<Verdict>,
    /// The run that the night's sets were predicted with.
    pub predicted: Option<RunId>,
    /// How the night ended.
    pub ending: Option<Ending>,
}

/// What a night does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing is left to do.
    Answer(Answer),
    /// Look at the data.
    LookAtData,
    /// Wait until the process that works on this or another night has ended.
    Wait {
        /// The night that it works on.
        night: Day,
    },
    /// Become the one process that works.
    Claim,
    /// Write down what will be trained.
    Plan(Plan),
    /// Train it.
    Train(Plan),
    /// Hold it against this.
    Evaluate(Plan, Opponent),
    /// Create this entry; somebody else may have created one with its number.
    Promote(Promotion),
    /// Predict the day's sets with this run, on the data of the night's.
    Predict(Plan, RunId),
    /// Write down how the night ended.
    End(Ending),
}

/// Decides what comes next.
pub fn next(facts: &Facts<'_>) -> Step {
    if let Some(ending) = &facts.ending {
        return Step::Answer(Answer::AlreadyRan(ending.clone()));
    }
    let own = facts.own_promotion();
    let later = facts.history.iter().map(|entry| entry.night).max().filter(|newest| *newest > facts.night);
    if let (Some(by), None) = (later, own) {
        return Step::Answer(Answer::Overtaken { by });
    }
    if let Claimed::Elsewhere { night } = facts.claimed {
        return Step::Wait { night };
    }
    let Some(plan) = &facts.plan else { return before_plan(facts) };
    if facts.claimed == Claimed::Nobody {
        return Step::Claim;
    }
    let Some(trained) = &facts.trained else { return Step::Train(plan.clone()) };
    let opponent = facts.opponent();
    let verdict = match own {
        Some(own) => facts.verdicts.iter().find(|verdict| verdict.passed && verdict.opponent.number() < own.number),
        // Somebody may have promoted or taken back since: then it is held against what serves now.
        None => facts.verdicts.iter().find(|verdict| verdict.opponent == opponent),
    };
    let Some(verdict) = verdict else { return Step::Evaluate(plan.clone(), opponent) };
    if own.is_none() && verdict.passed {
        return Step::Promote(Promotion {
            number: facts.history.last().map_or(0, |entry| entry.number).saturating_add(1),
            run: plan.run.clone(),
            state: trained.state,
            night: facts.night,
            at: facts.now,
            why: Why::Night,
        });
    }
    if let (Some(serves), None, true) = (facts.history.last(), &facts.predicted, facts.rules.predict) {
        return Step::Predict(plan.clone(), serves.run.clone());
    }
    Step::End(Ending {
        night: facts.night,
        run: plan.run.clone(),
        promotion: own.map(|entry| entry.number),
        verdict: verdict.clone(),
        predicted_with: facts.predicted.clone(),
        at: facts.now,
    })
}

/// Looking at the data holds up nobody, so it comes before the claim.
fn before_plan(facts: &Facts<'_>) -> Step {
    let thin = match &facts.arrival {
        None => return Step::LookAtData,
        Some(Arrival::Ready { thin }) => thin.clone(),
        Some(arrival) => return Step::Answer(Answer::Skipped(arrival.clone())),
    };
    if facts.claimed == Claimed::Nobody {
        return Step::Claim;
    }
    let start = match facts.history.last() {
        None => Start::Cold,
        Some(_) if facts.refit => Start::Refit,
        Some(serves) => Start::Warm { run: serves.run.clone(), number: serves.number, state: serves.state },
    };
    Step::Plan(Plan { night: facts.night, run: RunId::of_night(facts.night), start, thin })
}

impl Facts<'_> {
    /// The entry by which this night's run was promoted.
    fn own_promotion(&self) -> Option<&Promotion> {
        self.history.iter().find(|entry| entry.why == Why::Night && entry.night == self.night)
    }

    fn opponent(&self) -> Opponent {
        match self.history.last() {
            Some(serves) => Opponent::Promoted { number: serves.number, run: serves.run.clone() },
            None if self.rules.floor.is_empty() => Opponent::Floor(Floor::Nothing),
            None => Opponent::Floor(Floor::Baseline { model: self.rules.floor.clone() }),
        }
    }
}
