//! What a filter costs and gains at every threshold (method, section 6): an item is filtered for an instance when its score
//! exceeds the threshold. A predict set's score of an item is the largest cosine of its cell to a cell of the set; the rule
//! "block the whole category" scores an item by how often the user disliked its category before.

use crate::bootstrap::{MetricValue, Resampling, interval, paired_difference};
use crate::evaluation::Evaluation;
use crate::event::{Event, Sign};
use crate::reward::RewardModel;
use crate::semantic_id::SemanticIds;
use crate::split::days;
use crate::training_time::TrainingTime;
use rayon::prelude::*;

/// What is measured of one instance at one threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Share of what is shown that is filtered: items weighed by their events of late.
    Filtered,
    /// Share of the catalogue that is filtered: every item weighs alike.
    Catalogue,
    /// Share of the horizon's negatives that are filtered.
    Recall,
    /// Share of the horizon's positives that are filtered: harm; only where there is one.
    FalseFilter,
    /// Share of the catalogue's categories of which an item is left.
    Coverage,
}

/// All of them, in order.
pub const MEASURES: [Measure; 5] =
    [Measure::Filtered, Measure::Catalogue, Measure::Recall, Measure::FalseFilter, Measure::Coverage];

/// The items that a filter may take away, and what they are.
#[derive(Clone, Debug)]
pub struct FilterGround {
    /// By item: how much of what is shown it is; 0 outside the catalogue.
    shown: Vec<f64>,
    /// Items seen in training time, ascending.
    catalogue: Vec<u32>,
    /// By item: its category. That is the first that the source names.
    category: Vec<Option<u32>>,
    /// Categories that hold an item of the catalogue.
    categories: usize,
}

/// A filter's measures at every threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterCurve {
    /// Ascending.
    pub thresholds: Vec<f64>,
    /// By instance and threshold, one of each measure.
    by_instance: Vec<Vec<[Option<f64>; 5]>>,
}

impl FilterGround {
    /// Weighs the items by their events, of any sign, in the last `shown_days` days of training time; all alike where there
    /// were none.
    pub fn new(training: &TrainingTime, categories: &[Vec<String>], shown_days: u32) -> Self {
        let catalogue = training.catalogue();
        let mut shown = vec![0.0; training.items()];
        for event in training.last(Some(days(shown_days))) {
            shown[event.item as usize] += 1.0;
        }
        if shown.iter().all(|weight| *weight == 0.0) {
            catalogue.iter().for_each(|item| shown[*item as usize] = 1.0);
        }
        let first = |item: usize| categories.get(item).and_then(|names| names.first());
        let mut names: Vec<&String> = catalogue.iter().filter_map(|item| first(*item as usize)).collect();
        names.sort_unstable();
        names.dedup();
        let number = |name: &String| names.binary_search(&name).ok().map(|at| at as u32);
        let category = (0..training.items()).map(|item| first(item).and_then(number)).collect();
        let categories = names.len();
        Self { shown, catalogue, category, categories }
    }

    /// Categories that hold an item of the catalogue.
    pub fn categories(&self) -> usize {
        self.categories
    }

    /// Scores of all items for a predict set: the largest cosine to one of its cells; minus infinity for items without a
    /// cell, which nobody can filter so.
    pub fn nearness(&self, set: &[u32], ids: &SemanticIds, model: &RewardModel) -> Vec<f64> {
        let nearest = |cell: u32| set.iter().map(|of| model.similarity(cell, *of)).fold(f64::NEG_INFINITY, f64::max);
        let cells: Vec<f64> = (0..ids.cells() as u32).map(nearest).collect();
        let score = |item: u32| ids.cell_of(item).map_or(f64::NEG_INFINITY, |cell| cells[cell as usize]);
        (0..ids.items() as u32).map(score).collect()
    }

    /// Scores of all items for the rule "block the whole category": how often the user disliked its category before.
    pub fn category_dislikes(&self, past: &[Event]) -> Vec<f64> {
        let mut counts = vec![0u32; self.categories];
        for event in past.iter().filter(|event| event.sign == Sign::Negative) {
            if let Some(of) = self.category.get(event.item as usize).copied().flatten() {
                counts[of as usize] += 1;
            }
        }
        self.category.iter().map(|of| of.map_or(f64::NEG_INFINITY, |of| f64::from(counts[of as usize]))).collect()
    }

    /// Measures a filter on all instances of a window. `thresholds` ascend; `scores` gives one score an item for an
    /// instance. Items that the user is not shown anyway (disliked before) count nowhere.
    pub fn measure(
        &self,
        window: &Evaluation,
        thresholds: &[f64],
        scores: impl Fn(usize) -> Vec<f64> + Sync,
    ) -> FilterCurve {
        let one = |i: usize| self.instance(window, i, thresholds, &scores(i));
        let by_instance = (0..window.instances().len()).into_par_iter().map(one).collect();
        FilterCurve { thresholds: thresholds.to_vec(), by_instance }
    }

    fn instance(&self, window: &Evaluation, i: usize, thresholds: &[f64], scores: &[f64]) -> Vec<[Option<f64>; 5]> {
        let (target, excluded) = (&window.targets()[i], window.excluded(i));
        // How many of the thresholds an item exceeds: at those, the first ones, it is filtered.
        let exceeded = |item: u32| {
            let score = scores.get(item as usize).copied().unwrap_or(f64::NEG_INFINITY);
            thresholds.partition_point(|threshold| score > *threshold)
        };
        let (mut shown, mut all) = (Tally::new(thresholds.len()), Tally::new(thresholds.len()));
        // By category: the fewest thresholds that one of its items exceeds; from there on it has an item left.
        let mut left = vec![thresholds.len() + 1; self.categories];
        for item in self.catalogue.iter().filter(|item| excluded.binary_search(item).is_err()) {
            let at = exceeded(*item);
            shown.add(at, self.shown[*item as usize]);
            all.add(at, 1.0);
            if let Some(of) = self.category[*item as usize] {
                left[of as usize] = left[of as usize].min(at);
            }
        }
        let tally = |items: &[u32]| {
            let mut tally = Tally::new(thresholds.len());
            items.iter().for_each(|item| tally.add(exceeded(*item), 1.0));
            tally
        };
        let (negatives, positives) = (tally(&target.gts), tally(&target.fps));
        let covered = |at: usize| left.iter().filter(|from| **from <= at).count();
        // A category of which the user disliked every item counts nowhere either.
        let open = covered(thresholds.len());
        let coverage = |at: usize| (open > 0).then(|| covered(at) as f64 / open as f64);
        let shares = [shown, all, negatives, positives].map(Tally::shares);
        (0..thresholds.len())
            .map(|at| [shares[0][at], shares[1][at], shares[2][at], shares[3][at], coverage(at)])
            .collect()
    }
}

impl FilterCurve {
    /// The mean of a measure over the instances that have it, by threshold; NaN where none has.
    pub fn means(&self, measure: Measure) -> Vec<f64> {
        let mean = |at: usize| {
            let found = self.by_instance.iter().filter_map(|of| of[at][measure as usize]);
            let (sum, n) = found.fold((0.0, 0u32), |(sum, n), value| (sum + value, n + 1));
            sum / f64::from(n)
        };
        (0..self.thresholds.len()).map(mean).collect()
    }

    /// The lowest threshold that filters no more than this share of what is shown; none where all filter more.
    pub fn at_most(&self, rate: f64) -> Option<usize> {
        self.means(Measure::Filtered).iter().position(|filtered| *filtered <= rate)
    }

    /// A measure at a threshold, with its interval over users.
    pub fn interval(&self, measure: Measure, at: usize, window: &Evaluation) -> MetricValue {
        interval(&window.users(), &self.values(measure, at), resampling(window))
    }

    /// How much higher a measure is here than there, instance by instance.
    pub fn difference(
        &self,
        at: usize,
        (other, there): (&Self, usize),
        measure: Measure,
        window: &Evaluation,
    ) -> MetricValue {
        let (a, b) = (self.values(measure, at), other.values(measure, there));
        paired_difference(&window.users(), &a, &b, resampling(window))
    }

    fn values(&self, measure: Measure, at: usize) -> Vec<Option<f64>> {
        self.by_instance.iter().map(|of| of[at][measure as usize]).collect()
    }
}

fn resampling(window: &Evaluation) -> Resampling {
    Resampling { times: window.spec().bootstrap, seed: window.spec().seed }
}

/// Weights by the number of thresholds that their items exceed.
struct Tally(Vec<f64>);

impl Tally {
    fn new(thresholds: usize) -> Self {
        Self(vec![0.0; thresholds + 1])
    }

    fn add(&mut self, exceeded: usize, weight: f64) {
        self.0[exceeded] += weight;
    }

    /// By threshold: the share of the weight that exceeds it; none without any weight.
    fn shares(self) -> Vec<Option<f64>> {
        let whole: f64 = self.0.iter().sum();
        let mut above = whole;
        let share = |weight: &f64| {
            // Weights are whole numbers: nothing is rounded.
            above -= weight;
            (whole > 0.0).then(|| above / whole)
        };
        self.0[..self.0.len() - 1].iter().map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Dataset, Item};
    use crate::history::History;
    use crate::split::{DAY, PassWindows, Window};
    use conrec_domain::spec::{DataSpec, EvaluationSpec};
    use conrec_domain::work::Pass;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Training time: 0 to 10 days. Items 0 to 5 of categories a, a, b, b, none, c; item 6 comes later.
    fn sample() -> (Dataset, Vec<Vec<String>>) {
        let at = |(day, user, item, sign)| Event { user, item, time: day * DAY, sign };
        let (n, p, o) = (Sign::Negative, Sign::Positive, Sign::Neutral);
        let before = [(1, 0, 0, n), (2, 0, 2, o), (3, 1, 1, p), (3, 1, 3, n), (9, 1, 4, n), (9, 2, 5, p), (9, 2, 2, p)];
        let after = [(10, 0, 1, n), (11, 0, 5, n), (11, 0, 2, p), (12, 0, 6, n), (30, 1, 0, o)];
        let events = before.into_iter().chain(after).map(at).collect();
        let names =
            ["a", "a", "b", "b", "", "c", "c"].map(|name| if name.is_empty() { vec![] } else { vec![name.to_owned()] });
        let users = vec![String::new(); 3];
        (Dataset { events, users, items: vec![Item::default(); 7], ..Dataset::default() }, names.to_vec())
    }

    fn window(data: &Dataset) -> Evaluation {
        let history = History::new(&data.events, 3);
        let windows =
            PassWindows { pass: Pass::Refit, train_end: 10 * DAY, evaluate: Window { from: 10 * DAY, to: 11 * DAY } };
        let settings = EvaluationSpec { bootstrap: 10, ..EvaluationSpec::default() };
        Evaluation::new(data, &history, &windows, &DataSpec::default(), &settings).unwrap()
    }

    fn ground(data: &Dataset, names: &[Vec<String>]) -> FilterGround {
        FilterGround::new(&TrainingTime::new(data, 10 * DAY), names, 7)
    }

    #[test]
    fn measures_by_hand() {
        let (data, names) = sample();
        let (window, ground) = (window(&data), ground(&data, &names));
        assert_eq!((window.instances().len(), ground.categories()), (1, 3));
        // The user disliked item 0: it counts nowhere. Shown in the last 7 days: 1, 3, 4, 5, 2 once each.
        let scores = |_| vec![9.0, 0.5, 0.9, 0.2, 0.2, 0.9, f64::NEG_INFINITY];
        let curve = ground.measure(&window, &[0.1, 0.5, 0.8], scores);
        let close = |measure, expected: [f64; 3]| {
            let found = curve.means(measure);
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{measure:?}: {found:?}");
        };
        // The score must exceed the threshold: item 1 is not filtered at .5.
        close(Measure::Filtered, [1.0, 0.4, 0.4]);
        close(Measure::Catalogue, [1.0, 0.4, 0.4]);
        // Negatives 1, 5 and 6, which has no cell; the positive is item 2.
        close(Measure::Recall, [2.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]);
        close(Measure::FalseFilter, [1.0, 1.0, 1.0]);
        // At .5 category a keeps item 1, b item 3, c nothing.
        close(Measure::Coverage, [0.0, 2.0 / 3.0, 2.0 / 3.0]);
        assert_eq!((curve.at_most(0.4), curve.at_most(0.39)), (Some(1), None));
        assert_eq!(curve.interval(Measure::Recall, 1, &window).n, 1);
        assert!((curve.difference(0, (&curve, 2), Measure::Recall, &window).value - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_category_is_scored_by_what_the_user_disliked_before() {
        let (data, names) = sample();
        let history = History::new(&data.events, 3);
        let scores = ground(&data, &names).category_dislikes(&history.before(1, 10 * DAY));
        let none = f64::NEG_INFINITY;
        // User 1 disliked item 3 (b) and item 4, which has no category and is never blocked.
        assert_eq!(scores, [0.0, 0.0, 1.0, 1.0, none, 0.0, 0.0]);
    }

    /// The same by definition, an item and a threshold at a time.
    fn slowly(ground: &FilterGround, window: &Evaluation, threshold: f64, scores: &[f64]) -> [Option<f64>; 5] {
        let filtered = |item: &u32| scores[*item as usize] > threshold;
        let open: Vec<u32> =
            ground.catalogue.iter().copied().filter(|item| !window.excluded(0).contains(item)).collect();
        let weight = |items: &[u32]| items.iter().map(|item| ground.shown[*item as usize]).sum::<f64>();
        let gone: Vec<u32> = open.iter().copied().filter(filtered).collect();
        let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        let of = |items: &[u32]| share(items.iter().filter(|item| filtered(item)).count(), items.len());
        let holds = |category: u32, items: &[u32]| items.iter().any(|i| ground.category[*i as usize] == Some(category));
        let left: Vec<u32> = open.iter().copied().filter(|item| !filtered(item)).collect();
        let count = |items: &[u32]| (0..ground.categories as u32).filter(|c| holds(*c, items)).count();
        let target = &window.targets()[0];
        [
            Some(weight(&gone) / weight(&open)),
            share(gone.len(), open.len()),
            of(&target.gts),
            of(&target.fps),
            share(count(&left), count(&open)),
        ]
    }

    #[test]
    fn measures_equal_the_definition_for_random_scores() {
        let (data, names) = sample();
        let (window, ground) = (window(&data), ground(&data, &names));
        let thresholds = [0.0, 0.25, 0.5, 0.75, 1.0];
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..200 {
            // Quarters, so that scores meet thresholds exactly.
            let scores: Vec<f64> = (0..7).map(|_| (random.next_u64() % 6) as f64 / 4.0).collect();
            let curve = ground.measure(&window, &thresholds, |_| scores.clone());
            for (at, threshold) in thresholds.iter().enumerate() {
                assert_eq!(curve.by_instance[0][at], slowly(&ground, &window, *threshold, &scores), "{scores:?}");
            }
        }
    }
}
