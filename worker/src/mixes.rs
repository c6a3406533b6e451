//! The rows `sft_with_popularity` and `grpo_with_popularity`: each policy mixed with recent popularity as validation
//! chooses, so that what GRPO adds can be told from what popularity adds.

use crate::pass_data::PassData;
use crate::report_page::BaselineChoice;
use conrec_domain::spec::{CandidateScore, RunSpec};
use conrec_feedback::evaluation::{Evaluation, ModelMetrics};
use conrec_feedback::instance::evenly;
use conrec_feedback::popularity_mix::{ChosenMix, ItemProbabilities, choose, mixed};
use std::collections::BTreeMap;

/// What each policy says of the items of each instance, by the policy's name.
pub type Said = BTreeMap<String, Vec<ItemProbabilities>>;

/// The chosen mix of each policy, by its name.
#[derive(Clone, Debug, Default)]
pub struct Mixes(BTreeMap<String, ChosenMix>);

/// Whether the window that is evaluated is the one that chooses. By default it is not: a test window never may.
#[derive(Clone, Debug)]
pub enum Mixing {
    /// On this window, which is validation's.
    Choose,
    /// This was chosen before.
    Chosen(Mixes),
}

impl Default for Mixing {
    fn default() -> Self {
        Self::Chosen(Mixes::default())
    }
}

impl Mixing {
    /// What was chosen.
    pub fn chosen(&self) -> Option<&Mixes> {
        match self {
            Self::Choose => None,
            Self::Chosen(mixes) => Some(mixes),
        }
    }
}

impl Mixes {
    /// Chooses on a validation window, on the instances that the gate sees. None where baselines are not tuned, and none
    /// where candidates are not scored by their probability: there is nothing to mix then.
    pub fn choose(spec: &RunSpec, data: &PassData, validation: &Evaluation, said: &Said) -> Self {
        if !spec.baseline.tune || spec.evaluation.candidate_score != CandidateScore::LogProbability {
            return Self::default();
        }
        let limit = spec.evaluation.validation_instances as usize;
        let kept = evenly(validation.instances().len(), limit);
        let window = validation.clone().thinned(limit);
        let training = data.training_time();
        let of = |said: &[ItemProbabilities]| -> Vec<_> { kept.iter().map(|i| said[*i].clone()).collect() };
        Self(said.iter().map(|(name, said)| (name.clone(), choose(&training, &window, &of(said)))).collect())
    }

    /// The metrics of each policy, mixed as was chosen.
    pub fn measure(&self, data: &PassData, window: &Evaluation, said: &Said) -> BTreeMap<String, ModelMetrics> {
        let training = data.training_time();
        let known = self.0.iter().filter_map(|(name, chosen)| Some((name, chosen, said.get(name)?)));
        let measure = |(name, chosen, said): (&String, &ChosenMix, &Vec<ItemProbabilities>)| {
            (mixed_name(name), window.measure(&mixed(&training, window, said, chosen.mix)))
        };
        known.map(measure).collect()
    }

    /// What was chosen, for the report.
    pub fn choices(&self) -> impl Iterator<Item = BaselineChoice> + '_ {
        self.0.iter().map(|(name, chosen)| BaselineChoice {
            model: mixed_name(name),
            setting: chosen.mix.to_string(),
            tried: chosen.tried as u32,
            score: chosen.score,
        })
    }
}

fn mixed_name(policy: &str) -> String {
    format!("{policy}_with_popularity")
}
