//! The simple baselines tuned as carefully as our own model: a small grid each, chosen on validation by the scores that the
//! gate reads (FHR + CandAcc), fitted anew on the training time of the window that is reported.
//!
//! Repeating the user's own negatives has no row: items that the user disliked before are removed from every list.

use crate::dislike_rate::{CONTENT_WEIGHT, DislikeRate, DislikeRateContent};
use crate::evaluation::{Evaluation, Predictions};
use crate::event::{Event, Sign};
use crate::history::History;
use crate::instance::Instance;
use crate::item_knn::ItemKnn;
use crate::item_scores::ItemScores;
use crate::matrix::Matrix;
use crate::metrics::{Target, candidate_accuracy};
use crate::popularity::Popularity;
use crate::rocchio::{HalfLife, Rocchio};
use crate::swing::Swing;
use crate::training_time::TrainingTime;
use conrec_domain::spec::{RewardSpec, SwingSpec};
use conrec_domain::work::Score;
use rayon::prelude::*;
use std::fmt;
use std::sync::Arc;

const WINDOWS: [Option<u32>; 6] = [Some(7), Some(28), Some(1), Some(3), Some(14), None];
const SHRINKS: [f64; 4] = [5.0, 0.0, 20.0, 100.0];
/// Of an item, for item_knn; 0 stands for all.
const KNN_NEIGHBOURS: [u32; 3] = [0, 10, 50];
const SWING_NEIGHBOURS: [u32; 5] = [10, 5, 20, 50, 100];
const GAMMAS: [f64; 4] = [0.5, 0.0, 0.25, 1.0];
const HALF_LIVES: [HalfLife; 3] = [None, Some(28), Some(7)];
const CONTENT_WEIGHTS: [f64; 5] = [CONTENT_WEIGHT, 0.5, 1.0, 4.0, 8.0];

/// One baseline with one choice of its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Setting {
    /// Negatives of the last days of training time; none: of all of it.
    NegPop(Option<u32>),
    /// Shrinkage, and the nearest items of each disliked one (0: all).
    ItemKnn(f64, u32),
    /// Neighbours of an item, and `min_common`.
    Swing(u32, u32),
    /// gamma, and the half-life of what is past.
    Rocchio(f64, HalfLife),
    /// What the content weighs beside ln(dislike rate).
    DislikeRateContent(f64),
}

impl Setting {
    /// The model's name in the report.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NegPop(_) => "neg_pop_tuned",
            Self::ItemKnn(..) => "item_knn_tuned",
            Self::Swing(..) => "swing_tuned",
            Self::Rocchio(..) => "rocchio_tuned",
            Self::DislikeRateContent(_) => "dislike_rate_content_tuned",
        }
    }
}

/// As people say it.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NegPop(None) => write!(f, "all of training time"),
            Self::NegPop(Some(days)) => write!(f, "the last {days} days"),
            Self::ItemKnn(shrink, 0) => write!(f, "shrinkage {shrink}, all neighbours"),
            Self::ItemKnn(shrink, n) => write!(f, "shrinkage {shrink}, {n} neighbours"),
            Self::Swing(n, min_common) => write!(f, "{n} neighbours, more than {min_common} users in common"),
            Self::Rocchio(gamma, None) => write!(f, "gamma {gamma}, no decay"),
            Self::Rocchio(gamma, Some(days)) => write!(f, "gamma {gamma}, half-life {days} days"),
            Self::DislikeRateContent(weight) => write!(f, "content weight {weight}"),
        }
    }
}

/// What was chosen for a baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    /// The setting.
    pub setting: Setting,
    /// Its scores on validation.
    pub score: Score,
    /// Settings tried.
    pub tried: usize,
}

/// What all of them are fitted from.
#[derive(Clone, Copy, Debug)]
pub struct Fitting<'a> {
    /// Training time.
    pub training: &'a TrainingTime<'a>,
    /// One row an item, of length 1 (see `content_vectors`).
    pub content: &'a Arc<Matrix>,
    /// Swing's parameters.
    pub reward: &'a RewardSpec,
}

impl Fitting<'_> {
    /// The model of a setting.
    pub fn fit(&self, setting: &Setting) -> Box<dyn ItemScores> {
        let rocchio = |gamma| Rocchio::new(Arc::clone(self.content), gamma);
        match *setting {
            Setting::NegPop(days) => Box::new(Popularity::of_negatives(self.training, days)),
            Setting::ItemKnn(shrink, n) => Box::new(ItemKnn::fit(self.training).with(shrink, knn_limit(n))),
            Setting::Swing(neighbours, min_common) => {
                let spec = SwingSpec { neighbours, min_common, ..self.reward.swing.clone() };
                Box::new(Swing::fit(self.training, &spec))
            }
            Setting::Rocchio(gamma, half_life) => Box::new(rocchio(gamma).with_half_life(half_life)),
            Setting::DislikeRateContent(weight) => {
                Box::new(DislikeRateContent::new(DislikeRate::fit(self.training), rocchio(0.0)).with_weight(weight))
            }
        }
    }

    /// The best setting of each baseline on a validation window; equal scores go to the setting that is named first.
    pub fn choose(&self, validation: &Evaluation, history: &History) -> Vec<Chosen> {
        let families: [Box<dyn Family + '_>; 4] = [
            Box::new(self.popularity()),
            Box::new(self.knn()),
            Box::new(SwingFamily::fit(self)),
            Box::new(ContentFamily::fit(self)),
        ];
        let mut chosen: Vec<Chosen> = Vec::new();
        for family in families {
            for (setting, score) in judged(family.as_ref(), validation, history) {
                let known = chosen.iter_mut().find(|c| c.setting.name() == setting.name());
                let Some(best) = known else {
                    chosen.push(Chosen { setting, score, tried: 1 });
                    continue;
                };
                best.tried += 1;
                if score.sum() > best.score.sum() {
                    (best.setting, best.score) = (setting, score);
                }
            }
        }
        chosen
    }

    fn popularity(&self) -> Separate {
        Separate(WINDOWS.map(Setting::NegPop).into_iter().map(|s| (s, self.fit(&s))).collect())
    }

    fn knn(&self) -> Separate {
        let fitted = ItemKnn::fit(self.training);
        let pairs = SHRINKS.into_iter().flat_map(|shrink| KNN_NEIGHBOURS.map(|n| (shrink, n)));
        let model = |(shrink, n)| -> (Setting, Box<dyn ItemScores>) {
            (Setting::ItemKnn(shrink, n), Box::new(fitted.with(shrink, knn_limit(n))))
        };
        Separate(pairs.map(model).collect())
    }
}

fn knn_limit(neighbours: u32) -> usize {
    if neighbours == 0 { usize::MAX } else { neighbours as usize }
}

/// Settings that are scored together because they share most of the work.
trait Family: Sync {
    fn settings(&self) -> Vec<Setting>;

    /// As [`ItemScores::scores`], one list a setting.
    fn scores(&self, instance: &Instance, past: &[Event], items: &[u32]) -> Vec<Vec<f64>>;
}

/// Every setting of a family with its scores on the window.
fn judged(family: &dyn Family, window: &Evaluation, history: &History) -> Vec<(Setting, Score)> {
    let settings = family.settings();
    let one = |i: usize| {
        let instance = &window.instances()[i];
        let past = history.before(instance.user, instance.t0);
        let gts = &window.targets()[i].gts;
        let listed = family.scores(instance, &past, window.catalogue());
        let candidates = family.scores(instance, &past, window.candidates(i));
        let hit = |scores: &Vec<f64>| window.rank(i, scores).iter().any(|item| gts.contains(item));
        let pairs = listed.iter().zip(&candidates);
        pairs.map(|(list, scores)| (u32::from(hit(list)), candidate_accuracy(scores))).collect::<Vec<_>>()
    };
    let found: Vec<Vec<(u32, f64)>> = (0..window.instances().len()).into_par_iter().map(one).collect();
    let n = found.len().max(1) as f64;
    let mean = |place: usize| Score {
        fhr: found.iter().map(|of| f64::from(of[place].0)).sum::<f64>() / n,
        candidate_accuracy: found.iter().map(|of| of[place].1).sum::<f64>() / n,
    };
    settings.into_iter().enumerate().map(|(place, setting)| (setting, mean(place))).collect()
}

/// FHR and CandAcc of predictions for the instances of a window: what the gate reads.
pub fn score(window: &Evaluation, predictions: &Predictions) -> Score {
    let n = window.instances().len().max(1) as f64;
    let hit = |(target, list): (&Target, &Vec<u32>)| list.iter().any(|item| target.gts.contains(item));
    let hits = window.targets().iter().zip(&predictions.ranked).filter(|pair| hit(*pair)).count();
    let accuracy: f64 = predictions.candidate_scores.iter().map(|scores| candidate_accuracy(scores)).sum();
    Score { fhr: hits as f64 / n, candidate_accuracy: accuracy / n }
}

/// Models that share nothing.
struct Separate(Vec<(Setting, Box<dyn ItemScores>)>);

impl Family for Separate {
    fn settings(&self) -> Vec<Setting> {
        self.0.iter().map(|(setting, _)| *setting).collect()
    }

    fn scores(&self, instance: &Instance, past: &[Event], items: &[u32]) -> Vec<Vec<f64>> {
        self.0.iter().map(|(_, model)| model.scores(instance, past, items)).collect()
    }
}

/// Swing with the most neighbours; fewer of them are a prefix.
struct SwingFamily(Vec<(u32, Swing)>);

impl SwingFamily {
    fn fit(of: &Fitting<'_>) -> Self {
        let neighbours = SWING_NEIGHBOURS.into_iter().max().unwrap_or_default();
        let mut least = vec![of.reward.swing.min_common];
        least.extend([1, 0].iter().filter(|min_common| **min_common != of.reward.swing.min_common));
        let fit = |min_common| {
            let spec = SwingSpec { neighbours, min_common, ..of.reward.swing.clone() };
            (min_common, Swing::fit(of.training, &spec))
        };
        Self(least.into_iter().map(fit).collect())
    }
}

impl Family for SwingFamily {
    fn settings(&self) -> Vec<Setting> {
        self.0.iter().flat_map(|(min_common, _)| SWING_NEIGHBOURS.map(|n| Setting::Swing(n, *min_common))).collect()
    }

    fn scores(&self, _: &Instance, past: &[Event], items: &[u32]) -> Vec<Vec<f64>> {
        let mut all = Vec::new();
        let size = items.iter().map(|item| *item as usize + 1).max().unwrap_or(0);
        for (_, swing) in &self.0 {
            for n in SWING_NEIGHBOURS {
                let mut sums = vec![0.0; size];
                for e in past.iter().filter(|e| e.sign == Sign::Negative) {
                    for (neighbour, weight) in swing.neighbours(e.item).iter().take(n as usize) {
                        if let Some(sum) = sums.get_mut(*neighbour as usize) {
                            *sum += weight;
                        }
                    }
                }
                let listed =
                    |item: &u32| Some(sums[*item as usize]).filter(|sum| *sum > 0.0).unwrap_or(f64::NEG_INFINITY);
                all.push(items.iter().map(listed).collect());
            }
        }
        all
    }
}

/// Rocchio and the dislike rate with content: the cosines are computed once for all of them.
struct ContentFamily {
    rocchio: Rocchio,
    rate: DislikeRate,
}

impl ContentFamily {
    fn fit(of: &Fitting<'_>) -> Self {
        Self { rocchio: Rocchio::new(Arc::clone(of.content), 0.0), rate: DislikeRate::fit(of.training) }
    }
}

impl Family for ContentFamily {
    fn settings(&self) -> Vec<Setting> {
        let rocchio = HALF_LIVES.into_iter().flat_map(|h| GAMMAS.map(|gamma| Setting::Rocchio(gamma, h)));
        rocchio.chain(CONTENT_WEIGHTS.map(Setting::DislikeRateContent)).collect()
    }

    fn scores(&self, instance: &Instance, past: &[Event], items: &[u32]) -> Vec<Vec<f64>> {
        let close = self.rocchio.closeness((instance.t0, past), items, &HALF_LIVES, true);
        let rates = self.rate.scores(instance, past, items);
        let disliked = close.scores(0, 0.0);
        let rocchio = (0..HALF_LIVES.len()).flat_map(|h| GAMMAS.map(|gamma| close.scores(h, gamma)));
        let summed = CONTENT_WEIGHTS.map(|weight| DislikeRateContent::sum(&rates, &disliked, weight));
        rocchio.chain(summed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content_vectors::content_vectors;
    use crate::sample_window::{SampleWindow, sample_window};
    use std::collections::BTreeMap;

    /// Every setting that the grid scores together scores as the model that is fitted for it alone, and the best of each
    /// is chosen.
    #[test]
    fn families_score_as_their_models_do_and_the_best_is_chosen() {
        let SampleWindow { dataset, history, window, train_end } = sample_window();
        let training = TrainingTime::new(&dataset, train_end);
        let content = Arc::new(content_vectors(&dataset, &training, 8, 0));
        let reward = RewardSpec::default();
        let fitting = Fitting { training: &training, content: &content, reward: &reward };

        let families: [Box<dyn Family>; 4] = [
            Box::new(fitting.popularity()),
            Box::new(fitting.knn()),
            Box::new(SwingFamily::fit(&fitting)),
            Box::new(ContentFamily::fit(&fitting)),
        ];
        let mut best: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
        let mut worst: BTreeMap<&str, f64> = BTreeMap::new();
        for family in &families {
            for (setting, found) in judged(family.as_ref(), &window, &history) {
                let alone = score(&window, &window.predict(fitting.fit(&setting).as_ref(), &history));
                assert_eq!((setting, found), (setting, alone));
                let entry = best.entry(setting.name()).or_insert((f64::NEG_INFINITY, 0));
                *entry = (entry.0.max(found.sum()), entry.1 + 1);
                let least = worst.entry(setting.name()).or_insert(f64::INFINITY);
                *least = least.min(found.sum());
            }
        }
        let chosen = fitting.choose(&window, &history);
        assert_eq!(chosen.len(), 5);
        for c in chosen {
            assert_eq!((c.score.sum(), c.tried), best[c.setting.name()], "{}", c.setting);
        }
        // The window must be able to tell settings apart, or every choice would be right.
        assert!(best.iter().filter(|(name, (most, _))| *most > worst[*name]).count() >= 3, "{best:?} {worst:?}");
    }
}
