//! One evaluated window: its instances, candidates and targets, and the metrics of a model's lists on them.
//!
//! Every model and baseline is measured here, by the same rules: same instances, same catalogue, same exclusions,
//! same candidates, same resamples of users.

use crate::bootstrap::{MetricValue, Resampling, interval, paired_difference};
use crate::candidates::{draw_candidates, within_reach};
use crate::dataset::{Dataset, Truth};
use crate::event::Sign;
use crate::history::History;
use crate::instance::{Instance, InstanceError, evenly, future, instances_in};
use crate::item_scores::ItemScores;
use crate::metrics::{Outcome, Target, candidate_accuracy, horizon_hit, outcome};
use crate::split::{PassWindows, days, test_window};
use crate::top_items::top_items;
use crate::training_time::TrainingTime;
use crate::true_regions::{RegionOutcome, TrueRegions};
use conrec_domain::spec::{DataSpec, EvaluationSpec, Exclude};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Horizons of the curve, in days; "next" comes before them.
const CURVE_DAYS: [u32; 4] = [1, 3, 7, 14];

/// A window with all that is needed to measure models on it; owns its data.
#[derive(Clone, Debug)]
pub struct Evaluation {
    spec: EvaluationSpec,
    catalogue: Vec<u32>,
    instances: Vec<Instance>,
    candidates: Vec<Vec<u32>>,
    excluded: Vec<Vec<u32>>,
    targets: Vec<Target>,
    /// By horizon of the curve and instance; `None` where the horizon leaves the data.
    curve: Vec<Vec<Option<Vec<u32>>>>,
    /// By item: few training negatives.
    rare: Vec<bool>,
    /// By item: training negatives.
    negatives: Vec<u32>,
    /// What users truly dislike, where the data is made up and this was asked for.
    truth: Option<TrueRegions>,
}

/// What a model says of every instance of an [`Evaluation`], in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    /// Items, best first; only the first `top` count. Empty when the model ranks nothing.
    pub ranked: Vec<Vec<u32>>,
    /// The scores of [`Evaluation::candidates`], the true item first.
    pub candidate_scores: Vec<Vec<f64>>,
}

/// The metrics of one model on one window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelMetrics {
    /// `hr@20`, `fhr@20`, `frecall@20`, `luf@20`, `lif@20`, `pos_hit@20`, `cand_acc`, and the horizon curve as
    /// `fhr@20_next`, `fhr@20_1d`, `fhr@20_3d`, `fhr@20_7d`, `fhr@20_14d` (20 stands for `evaluation.top`);
    /// with a truth also `true_region@20` and `true_region_recall@20`.
    pub values: BTreeMap<String, MetricValue>,
    /// The same names: the metric of each instance, `None` where it does not apply. For paired comparisons.
    pub by_instance: BTreeMap<String, Vec<Option<f64>>>,
}

impl Evaluation {
    /// Collects the instances of `windows.evaluate`, with statistics of the time before `windows.train_end`.
    /// For the test of a `frozen` run put the test window into `evaluate`.
    pub fn new(
        dataset: &Dataset,
        history: &History,
        windows: &PassWindows,
        data: &DataSpec,
        spec: &EvaluationSpec,
    ) -> Result<Self, InstanceError> {
        let training = TrainingTime::new(dataset, windows.train_end);
        let last_time = dataset.last_time().unwrap_or_default();
        let is_test = windows.evaluate == test_window(data, last_time);
        let name = if is_test { "test" } else { "validation" };
        let instances = instances_in(windows.evaluate, name, &dataset.events, history, data.into())?;
        let others = spec.candidates as usize;
        let pool = within_reach(windows.evaluate, data.horizon_days, &dataset.events);
        let candidates = draw_candidates(&instances, pool, history, others, spec.seed);
        let excluded = instances.iter().map(|i| excluded_items(history, i, spec.exclude)).collect();
        let user_negatives = training.user_negatives();
        let few = |user: u32| user_negatives[user as usize] < spec.few_user_negatives;
        let target = |i: &Instance| Target {
            next: i.next,
            gts: i.gts.clone(),
            fps: i.fps.clone(),
            few_user_negatives: few(i.user),
        };
        let targets = instances.iter().map(target).collect();
        let at_horizon = |i: &Instance, n: u32| {
            let end = i.t0 + days(n);
            (end <= last_time).then(|| future(history, i.user, i.t0, end).0)
        };
        let curve = CURVE_DAYS.iter().map(|n| instances.iter().map(|i| at_horizon(i, *n)).collect()).collect();
        let negatives = training.item_counts(|sign| sign == Sign::Negative);
        let rare = negatives.iter().map(|n| *n < spec.few_item_negatives).collect();
        let catalogue = training.catalogue();
        let spec = spec.clone();
        Ok(Self { spec, catalogue, instances, candidates, excluded, targets, curve, rare, negatives, truth: None })
    }

    /// Measures also whether lists find what users truly dislike. For reports only: nothing is chosen with it.
    pub fn with_truth(self, truth: &Truth) -> Self {
        let regions = TrueRegions::new(truth, &self.instances, &self.catalogue);
        Self { truth: Some(regions), ..self }
    }

    /// Keeps at most `limit` instances (0: all), evenly over time; candidates stay what they were.
    pub fn thinned(self, limit: usize) -> Self {
        let keep = evenly(self.instances.len(), limit);
        fn pick<T: Clone>(all: &[T], keep: &[usize]) -> Vec<T> {
            keep.iter().map(|i| all[*i].clone()).collect()
        }
        Self {
            instances: pick(&self.instances, &keep),
            candidates: pick(&self.candidates, &keep),
            excluded: pick(&self.excluded, &keep),
            targets: pick(&self.targets, &keep),
            curve: self.curve.iter().map(|of_horizon| pick(of_horizon, &keep)).collect(),
            truth: self.truth.as_ref().map(|truth| truth.thinned(&keep)),
            ..self
        }
    }

    /// The instances, ordered by (time, user, item) of their anchors.
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// The items that may be listed: those seen in training time, ascending.
    pub fn catalogue(&self) -> &[u32] {
        &self.catalogue
    }

    /// The items among which CandAcc chooses for instance `i`, the true one first.
    pub fn candidates(&self, i: usize) -> &[u32] {
        &self.candidates[i]
    }

    /// The items that must not be listed for instance `i`, sorted.
    pub fn excluded(&self, i: usize) -> &[u32] {
        &self.excluded[i]
    }

    /// The targets at item level, in the order of the instances.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Training negatives of each item.
    pub fn item_negatives(&self) -> &[u32] {
        &self.negatives
    }

    /// The settings it measures with.
    pub fn spec(&self) -> &EvaluationSpec {
        &self.spec
    }

    /// The user of each instance.
    pub fn users(&self) -> Vec<u32> {
        self.instances.iter().map(|i| i.user).collect()
    }

    /// The ranked list of instance `i` from scores over [`Self::catalogue`].
    pub fn rank(&self, i: usize, scores: &[f64]) -> Vec<u32> {
        top_items(&self.catalogue, scores, &self.excluded[i], self.spec.top as usize)
    }

    /// Lists and candidate scores of a baseline for every instance.
    pub fn predict(&self, model: &dyn ItemScores, history: &History) -> Predictions {
        let one = |i: usize| {
            let instance = &self.instances[i];
            let past = history.before(instance.user, instance.t0);
            let ranked = self.rank(i, &model.scores(instance, &past, &self.catalogue));
            (ranked, model.scores(instance, &past, &self.candidates[i]))
        };
        let (ranked, candidate_scores) = (0..self.instances.len()).into_par_iter().map(one).unzip();
        Predictions { ranked, candidate_scores }
    }

    /// All metrics at item level, with intervals.
    pub fn measure(&self, predictions: &Predictions) -> ModelMetrics {
        let top = self.spec.top as usize;
        let lists: Vec<&[u32]> = predictions.ranked.iter().map(|l| &l[..l.len().min(top)]).collect();
        let mut by_instance = by_metric(&self.outcomes(&self.targets, &lists, &self.rare), top);
        let accuracy = predictions.candidate_scores.iter().map(|s| Some(candidate_accuracy(s))).collect();
        by_instance.insert("cand_acc".into(), accuracy);
        for (n, gts) in CURVE_DAYS.iter().zip(&self.curve) {
            let hit = |(gts, list): (&Option<Vec<u32>>, &&[u32])| horizon_hit(gts.as_ref()?, list);
            by_instance.insert(format!("fhr@{top}_{n}d"), gts.iter().zip(&lists).map(hit).collect());
        }
        if let Some(next) = by_instance.get(&format!("hr@{top}")).cloned() {
            by_instance.insert(format!("fhr@{top}_next"), next);
        }
        if let Some(truth) = &self.truth {
            let outcomes = lists.iter().enumerate().map(|(i, list)| truth.outcome(i, list, top));
            by_instance.extend(region_metrics(outcomes, top));
        }
        self.with_intervals(by_instance)
    }

    /// What lists drawn by chance would get of [`TrueRegions`]' metrics; `None` without a truth.
    pub fn chance(&self) -> Option<ModelMetrics> {
        let truth = self.truth.as_ref()?;
        let top = self.spec.top as usize;
        let one = |i: usize| truth.chance(i, (&self.catalogue, &self.excluded[i]), top);
        let outcomes: Vec<RegionOutcome> = (0..self.instances.len()).into_par_iter().map(one).collect();
        Some(self.with_intervals(region_metrics(outcomes.into_iter(), top)))
    }

    /// The metrics of lists against other targets than items: cells. Names are those of [`Self::measure`], without
    /// `cand_acc` and the curve. `rare[id]`: few training negatives.
    pub fn measure_against(&self, targets: &[Target], lists: &[Vec<u32>], rare: &[bool]) -> ModelMetrics {
        let top = self.spec.top as usize;
        let lists: Vec<&[u32]> = lists.iter().map(|l| &l[..l.len().min(top)]).collect();
        self.with_intervals(by_metric(&self.outcomes(targets, &lists, rare), top))
    }

    /// How much better `a` is than `b` in one metric, on the same instances; `None` when either lacks it.
    pub fn difference(&self, a: &ModelMetrics, b: &ModelMetrics, metric: &str) -> Option<MetricValue> {
        let (a, b) = (a.by_instance.get(metric)?, b.by_instance.get(metric)?);
        Some(paired_difference(&self.users(), a, b, self.resampling()))
    }

    fn outcomes(&self, targets: &[Target], lists: &[&[u32]], rare: &[bool]) -> Vec<Outcome> {
        targets.iter().zip(lists).map(|(target, list)| outcome(target, list, rare)).collect()
    }

    fn with_intervals(&self, by_instance: BTreeMap<String, Vec<Option<f64>>>) -> ModelMetrics {
        let users = self.users();
        let measured =
            |(name, values): (&String, &Vec<Option<f64>>)| (name.clone(), interval(&users, values, self.resampling()));
        ModelMetrics { values: by_instance.iter().map(measured).collect(), by_instance }
    }

    fn resampling(&self) -> Resampling {
        Resampling { times: self.spec.bootstrap, seed: self.spec.seed }
    }
}

/// The items never listed for an instance: those disliked, or rated, before t0; sorted.
pub fn excluded_items(history: &History, instance: &Instance, exclude: Exclude) -> Vec<u32> {
    let past = history.before(instance.user, instance.t0).into_iter();
    let mut items: Vec<u32> =
        past.filter(|e| exclude == Exclude::Rated || e.sign == Sign::Negative).map(|e| e.item).collect();
    items.sort_unstable();
    items.dedup();
    items
}

/// A metric's name and how to read it from an outcome.
type Metric = (&'static str, fn(&Outcome) -> Option<f64>);

const METRICS: [Metric; 6] = [
    ("hr", |o| Some(o.hr)),
    ("fhr", |o| Some(o.fhr)),
    ("frecall", |o| Some(o.frecall)),
    ("luf", |o| o.luf),
    ("lif", |o| o.lif),
    ("pos_hit", |o| o.pos_hit),
];

fn region_metrics(outcomes: impl Iterator<Item = RegionOutcome>, top: usize) -> BTreeMap<String, Vec<Option<f64>>> {
    let (shares, recalls) = outcomes.map(|outcome| (outcome.share, outcome.recall)).unzip();
    BTreeMap::from([(format!("true_region@{top}"), shares), (format!("true_region_recall@{top}"), recalls)])
}

fn by_metric(outcomes: &[Outcome], top: usize) -> BTreeMap<String, Vec<Option<f64>>> {
    METRICS.iter().map(|(name, read)| (format!("{name}@{top}"), outcomes.iter().map(read).collect())).collect()
}
