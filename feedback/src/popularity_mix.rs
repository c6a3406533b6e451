//! A policy's probabilities mixed with recent popularity: P(item) = (1 - w) P_policy(item) + w P_popular(item).
//!
//! What a policy knows beyond popularity shows only beside the same popularity. So both policies of a run are read out with
//! and without it, and weight and window are chosen on validation as those of the baselines are. P_popular is the item's
//! share of all negatives of the window. An item outside of the beam's cells has P_policy 0.

use crate::baseline_tuning::score;
use crate::cell_ranking::OUTSIDE;
use crate::evaluation::{Evaluation, Predictions};
use crate::popularity::Popularity;
use crate::top_items::top_items;
use crate::training_time::TrainingTime;
use conrec_domain::work::Score;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fmt;

const WEIGHTS: [f64; 9] = [0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 0.95];
const WINDOWS: [Option<u32>; 5] = [Some(7), Some(3), Some(14), Some(28), None];

/// What a policy says of the items of one instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ItemProbabilities {
    /// (log P, item) of the items of the beam's cells that may be listed; each item once.
    pub listed: Vec<(f64, u32)>,
    /// log P of [`Evaluation::candidates`], the true item first; `OUTSIDE` for an item without a cell.
    pub candidates: Vec<f64>,
}

/// Weight and window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// w: of popularity. 0 to 1.
    pub weight: f64,
    /// Last days of training time in which negatives count; none: all of it.
    pub days: Option<u32>,
}

/// As people say it.
impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.weight, self.days) {
            (0.0, _) => write!(f, "no popularity"),
            (weight, None) => write!(f, "weight {weight}, all of training time"),
            (weight, Some(days)) => write!(f, "weight {weight}, the last {days} days"),
        }
    }
}

/// A mix chosen on validation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChosenMix {
    /// What was chosen.
    pub mix: Mix,
    /// Its scores on validation.
    pub score: Score,
    /// Mixes tried.
    pub tried: usize,
}

/// Items by popularity, most popular first, with their shares of all negatives of a window.
struct Popular {
    share: Vec<f64>,
    ranked: Vec<u32>,
}

impl Popular {
    fn fit(training: &TrainingTime, days: Option<u32>) -> Self {
        let counts = Popularity::of_negatives(training, days);
        let counts = counts.counts();
        let all = counts.iter().map(|n| f64::from(*n)).sum::<f64>().max(1.0);
        let mut ranked: Vec<u32> = (0..counts.len() as u32).filter(|i| counts[*i as usize] > 0).collect();
        ranked.sort_by_key(|i| (std::cmp::Reverse(counts[*i as usize]), *i));
        Self { share: counts.iter().map(|n| f64::from(*n) / all).collect(), ranked }
    }

    fn share(&self, item: u32) -> f64 {
        self.share.get(item as usize).copied().unwrap_or_default()
    }
}

/// Lists and candidate scores of a mix for all instances of a window, from what the policy says of them.
pub fn mixed(training: &TrainingTime, window: &Evaluation, of: &[ItemProbabilities], mix: Mix) -> Predictions {
    predictions(&Popular::fit(training, mix.days), window, of, mix.weight)
}

/// The mix with the highest FHR + CandAcc on a validation window; equal sums go to the one named first, the policy alone
/// before all.
pub fn choose(training: &TrainingTime, window: &Evaluation, of: &[ItemProbabilities]) -> ChosenMix {
    let mut best: Option<ChosenMix> = None;
    let mut tried = 0;
    for days in WINDOWS {
        let popular = Popular::fit(training, days);
        // Without popularity the window says nothing: that is tried once.
        for &weight in &WEIGHTS[usize::from(tried > 0)..] {
            let score = score(window, &predictions(&popular, window, of, weight));
            tried += 1;
            if best.is_none_or(|best| score.sum() > best.score.sum()) {
                best = Some(ChosenMix { mix: Mix { weight, days }, score, tried });
            }
        }
    }
    let alone = ChosenMix { mix: Mix { weight: 0.0, days: None }, score: Score::default(), tried };
    ChosenMix { tried, ..best.unwrap_or(alone) }
}

fn predictions(popular: &Popular, window: &Evaluation, of: &[ItemProbabilities], weight: f64) -> Predictions {
    let one = |(i, policy): (usize, &ItemProbabilities)| {
        let listed = list(popular, window, i, (&policy.listed, weight));
        let mixed =
            |(item, log): (&u32, &f64)| ((1.0 - weight) * log.exp() + weight * popular.share(*item)).ln().max(OUTSIDE);
        let scores = window.candidates(i).iter().zip(&policy.candidates).map(mixed).collect();
        (listed, scores)
    };
    let (ranked, candidate_scores) = of.par_iter().enumerate().map(one).unzip();
    Predictions { ranked, candidate_scores }
}

/// The best items: those of the beam, and as many of the popular ones as could stand before all of them.
fn list(popular: &Popular, window: &Evaluation, i: usize, policy: (&[(f64, u32)], f64)) -> Vec<u32> {
    let ((listed, weight), top, excluded) = (policy, window.spec().top as usize, window.excluded(i));
    let mut scored: BTreeMap<u32, f64> = listed.iter().map(|(log, item)| (*item, (1.0 - weight) * log.exp())).collect();
    if weight > 0.0 {
        for (item, score) in &mut scored {
            *score += weight * popular.share(*item);
        }
        for item in popular.ranked.iter().take(top + excluded.len()) {
            scored.entry(*item).or_insert_with(|| weight * popular.share(*item));
        }
    }
    let (items, scores): (Vec<u32>, Vec<f64>) = scored.into_iter().unzip();
    top_items(&items, &scores, excluded, top)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::candidate_accuracy;
    use crate::sample_window::{SampleWindow, sample_window};

    /// A policy that knows ten items of each instance, its probabilities drawn by a rule; half of the candidates are
    /// outside of its trie.
    fn policy(window: &Evaluation) -> Vec<ItemProbabilities> {
        let known = |i: usize| -> Vec<u32> {
            let allowed = window.catalogue().iter().filter(|item| window.excluded(i).binary_search(item).is_err());
            allowed.skip(i).step_by(5).take(10).copied().collect()
        };
        let log = |place: usize| (0.5f64.powi(place as i32 + 1)).ln();
        let one = |i: usize| ItemProbabilities {
            listed: known(i).iter().enumerate().map(|(place, item)| (log(place), *item)).collect(),
            candidates: (0..window.candidates(i).len())
                .map(|place| if place % 2 == 0 { log(place) } else { OUTSIDE })
                .collect(),
        };
        (0..window.instances().len()).map(one).collect()
    }

    /// The slow way: a score for every item of the catalogue.
    #[test]
    fn lists_are_those_of_a_score_for_every_item() {
        let SampleWindow { dataset, window, train_end, .. } = sample_window();
        let training = TrainingTime::new(&dataset, train_end);
        let of = policy(&window);
        for (weight, days) in [(0.0, None), (0.2, Some(7)), (0.95, None), (1.0, Some(14))] {
            let found = mixed(&training, &window, &of, Mix { weight, days });
            let counts = Popularity::of_negatives(&training, days);
            let all = counts.counts().iter().sum::<u32>();
            for (i, policy) in of.iter().enumerate() {
                let own =
                    |item: u32| policy.listed.iter().find(|(_, of)| *of == item).map_or(0.0, |(log, _)| log.exp());
                let score = |item: &u32| {
                    let share = f64::from(counts.counts()[*item as usize]) / f64::from(all);
                    (1.0 - weight) * own(*item) + weight * share
                };
                // What has no probability at all is not listed.
                let scores: Vec<f64> =
                    window.catalogue().iter().map(score).map(|s| if s > 0.0 { s } else { f64::NAN }).collect();
                assert_eq!(found.ranked[i], window.rank(i, &scores), "weight {weight}, instance {i}");
                for (place, item) in window.candidates(i).iter().enumerate() {
                    let share = f64::from(counts.counts()[*item as usize]) / f64::from(all);
                    let expected = (1.0 - weight) * policy.candidates[place].exp() + weight * share;
                    let shown = found.candidate_scores[i][place];
                    assert!((shown.exp() - expected).abs() < 1e-12 && shown >= OUTSIDE, "{shown} for {expected}");
                }
            }
        }
    }

    #[test]
    fn the_best_mix_is_chosen_and_a_policy_that_knows_all_stays_alone() {
        let SampleWindow { dataset, window, train_end, .. } = sample_window();
        let training = TrainingTime::new(&dataset, train_end);
        let of = policy(&window);
        let chosen = choose(&training, &window, &of);
        assert_eq!(chosen.tried, 1 + 8 * 5);
        let of_mix = |weight, days| score(&window, &mixed(&training, &window, &of, Mix { weight, days })).sum();
        let all = WINDOWS.iter().flat_map(|days| WEIGHTS.map(|weight| of_mix(weight, *days)));
        assert_eq!(chosen.score.sum(), all.fold(f64::NEG_INFINITY, f64::max));
        assert!(chosen.mix.weight > 0.0, "a policy that knows nothing of these users gains by popularity");
        assert_eq!(chosen.score, score(&window, &mixed(&training, &window, &of, chosen.mix)));

        let oracle = |i: usize| ItemProbabilities {
            listed: window.targets()[i].gts.iter().map(|item| (-1.0, *item)).collect(),
            candidates: std::iter::once(-1.0).chain(vec![-50.0; window.candidates(i).len() - 1]).collect(),
        };
        let of: Vec<ItemProbabilities> = (0..window.instances().len()).map(oracle).collect();
        let chosen = choose(&training, &window, &of);
        assert_eq!((chosen.mix.weight, chosen.score.candidate_accuracy), (0.0, 1.0));
        assert_eq!(candidate_accuracy(&of[0].candidates), 1.0);
        assert_eq!(chosen.mix.to_string(), "no popularity");
    }
}
