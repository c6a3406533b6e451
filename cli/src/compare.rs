//! Models of the arms of an experiment beside each other: means over seeds, intervals over users and seeds, and paired
//! differences.

use crate::experiment::Trained;
use conrec_feedback::bootstrap::Resampling;
use conrec_feedback::over_seeds::{OverSeeds, Sample, difference_over_seeds, over_seeds};
use conrec_page::{Cell, Table};

/// A model of an arm, and its name in a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Contender {
    /// For people.
    pub name: String,
    /// The arm's name.
    pub arm: &'static str,
    /// As in the report: `grpo`, `sft`, or a baseline.
    pub model: String,
    /// Whether it is ours.
    pub own: bool,
}

/// A metric: the beginning of its name, heading, what it says, whether more is better.
pub type Metric = (&'static str, &'static str, &'static str, bool);

/// The metrics of the paper's tables, and harm.
pub const METRICS: [Metric; 6] = [
    ("hr", "HR@20", "the next negative is in the list", true),
    ("fhr", "FHR@20", "the list meets a negative of the horizon", true),
    ("luf", "LUF@20", "FHR of users with few training negatives", true),
    ("lif", "LIF@20", "FHR restricted to items with few training negatives", true),
    ("cand_acc", "CandAcc", "the true negative scores highest among the candidates", true),
    ("pos_hit", "PosHit@20", "the list meets a future positive: harm, less is better", false),
];

/// All runs of an experiment, and how intervals are drawn.
pub struct Comparison<'a> {
    /// The runs.
    pub trained: &'a [Trained],
    /// Draws of users and seeds.
    pub resampling: Resampling,
}

impl Comparison<'_> {
    /// A row a contender, a column a metric; the best of each stands out. Contenders without any metric have no row.
    pub fn table(&self, contenders: &[Contender]) -> Table {
        let heads: Vec<(&str, &str)> = std::iter::once(("model", "")).chain(METRICS.map(|m| (m.1, m.2))).collect();
        let mut table = Table::with_columns(&heads);
        for contender in contenders {
            let measured = METRICS.map(|metric| self.metric(contender, metric.0));
            if measured.iter().all(Option::is_none) {
                continue;
            }
            let cell = |m: Option<OverSeeds>| m.map_or(Cell::Empty, |m| Cell::interval(m.value, Some((m.low, m.high))));
            let cells = std::iter::once(Cell::text(&contender.name)).chain(measured.map(cell)).collect();
            if contender.own { table.push_own(cells) } else { table.push(cells) }
        }
        METRICS.iter().enumerate().for_each(|(at, metric)| table.mark_best(at + 1, metric.3));
        table
    }

    /// How much more each contender has than the one given, on the same instances.
    pub fn differences(&self, contenders: &[Contender], than: &Contender) -> Table {
        let heads: Vec<(&str, &str)> = std::iter::once(("model", "")).chain(METRICS.map(|m| (m.1, ""))).collect();
        let mut table = Table::with_columns(&heads);
        table.caption = format!("The same, minus {}: paired by instance and seed", than.name);
        for contender in contenders.iter().filter(|contender| *contender != than) {
            let cell = |metric: Metric| {
                let (a, b) = (self.samples(contender, metric.0), self.samples(than, metric.0));
                let found = difference_over_seeds(&a?, &b?, self.resampling)?;
                Some(Cell::Difference { value: found.value, range: Some((found.low, found.high)) })
            };
            let cells: Vec<Cell> = METRICS.iter().map(|metric| cell(*metric).unwrap_or_default()).collect();
            if cells.iter().any(|cell| *cell != Cell::Empty) {
                table.push(std::iter::once(Cell::text(&contender.name)).chain(cells).collect());
            }
        }
        table
    }

    /// A metric of a contender over all seeds.
    pub fn metric(&self, contender: &Contender, base: &str) -> Option<OverSeeds> {
        over_seeds(&self.samples(contender, base)?, self.resampling)
    }

    /// One sample a seed; none where a run lacks the model or the metric.
    fn samples(&self, contender: &Contender, base: &str) -> Option<Vec<Sample<'_>>> {
        let of_arm = self.trained.iter().filter(|run| run.arm == contender.arm);
        let samples: Option<Vec<Sample<'_>>> = of_arm
            .map(|run| {
                let metrics = run.outcomes.models.get(&contender.model)?;
                let (_, values) = metrics.iter().find(|(key, _)| is_metric(key, base))?;
                Some(Sample { instances: &run.outcomes.instances, values })
            })
            .collect();
        samples.filter(|samples| !samples.is_empty())
    }
}

/// Whether `key` is `base`, or `base@20` with whatever length of list; the horizon's curve has names like `fhr@20_7d`.
fn is_metric(key: &str, base: &str) -> bool {
    let rest = key.strip_prefix(base);
    rest.is_some_and(|rest| {
        let length = rest.strip_prefix('@');
        rest.is_empty() || length.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Identity;
    use conrec_feedback::outcomes::{InstanceKey, Outcomes};
    use std::collections::BTreeMap;

    const RESAMPLING: Resampling = Resampling { times: 200, seed: 1 };

    fn trained(arm: &'static str, seed: u64, hits: &[f64]) -> Trained {
        let key = |i: usize| InstanceKey { user: format!("{i:03}"), t0: 0, next: "x".into() };
        let values = |of: &[f64]| of.iter().copied().map(Some).collect::<Vec<_>>();
        let metrics = BTreeMap::from([
            ("fhr@20".to_owned(), values(hits)),
            ("fhr@20_7d".to_owned(), values(&vec![0.9; hits.len()])),
            ("pos_hit@20".to_owned(), values(&vec![0.5; hits.len()])),
        ]);
        let outcomes = Outcomes {
            instances: (0..hits.len()).map(key).collect(),
            models: BTreeMap::from([("grpo".to_owned(), metrics)]),
        };
        let text = String::new;
        let identity = Identity {
            run_id: text(),
            config_digest: text(),
            data_digest: text(),
            state_digest: text(),
            wall_seconds: 0.0,
            notes: Vec::new(),
            outcomes: BTreeMap::new(),
        };
        Trained { arm, seed, identity, outcomes }
    }

    fn contender(arm: &'static str, model: &str) -> Contender {
        Contender { name: arm.to_owned(), arm, model: model.to_owned(), own: true }
    }

    #[test]
    fn rows_are_contenders_that_were_measured_and_columns_are_the_main_metrics() {
        let runs: Vec<Trained> = (0..3)
            .flat_map(|seed| [trained("a", seed, &[1.0, 1.0, 0.0, 0.0]), trained("b", seed, &[1.0; 4])])
            .collect();
        let comparison = Comparison { trained: &runs, resampling: RESAMPLING };
        let contenders = [contender("a", "grpo"), contender("b", "grpo"), contender("a", "absent")];
        let table = comparison.table(&contenders);
        assert_eq!(table.rows.len(), 2);
        let fhr = |row: usize| match &table.rows[row].cells[2] {
            Cell::Interval { value, best, .. } => (*value, *best),
            other => panic!("{other:?}"),
        };
        assert_eq!((fhr(0), fhr(1)), ((0.5, false), (1.0, true)));
        assert!(matches!(table.rows[0].cells[6], Cell::Interval { value: 0.5, .. }), "the harm is not left out");
        assert_eq!(table.rows[0].cells[5], Cell::Empty, "nobody measured CandAcc");
    }

    #[test]
    fn differences_leave_out_the_one_they_are_to() {
        let runs = [trained("a", 0, &[1.0, 0.0]), trained("b", 0, &[1.0, 1.0])];
        let comparison = Comparison { trained: &runs, resampling: RESAMPLING };
        let contenders = [contender("a", "grpo"), contender("b", "grpo")];
        let table = comparison.differences(&contenders, &contenders[0]);
        assert_eq!(table.rows.len(), 1);
        assert!(matches!(table.rows[0].cells[2], Cell::Difference { value: 0.5, .. }), "{table:?}");
    }

    #[test]
    fn the_curve_is_no_metric_of_its_own() {
        for (key, base, is) in [
            ("fhr@20", "fhr", true),
            ("fhr@20_7d", "fhr", false),
            ("sid_fhr@20", "fhr", false),
            ("pos_hit@20", "pos_hit", true),
            ("cand_acc", "cand_acc", true),
            ("fhr@", "fhr", false),
        ] {
            assert_eq!(is_metric(key, base), is, "{key} {base}");
        }
    }
}
