//! Models of the arms of an experiment beside each other: means over seeds, intervals over users and seeds, and paired
//! differences.

use crate::experiment::Trained;
use conrec_feedback::bootstrap::Resampling;
use conrec_feedback::metrics::Column;
use conrec_feedback::over_seeds::{OverSeeds, Sample, difference_over_seeds, over_seeds};
use conrec_page::{Cell, Column as TableColumn, Table};

/// A model of an arm, and its name in a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Contender {
    /// For people.
    pub name: String,
    /// The arm's name.
    pub arm: String,
    /// As in the report: `grpo`, `sft`, or a baseline.
    pub model: String,
    /// Whether it is ours.
    pub own: bool,
}

/// Metrics that tables of several runs leave out: the reward's own scale differs from arm to arm.
const LEFT_OUT: [&str; 2] = ["reward", "paper_reward"];

/// The row that says what a column's numbers are means of.
const COUNTS: &str = "instances (users)";

/// All runs of an experiment, and how intervals are drawn.
pub struct Comparison<'a> {
    /// The runs.
    pub trained: &'a [Trained],
    /// Draws of users and seeds.
    pub resampling: Resampling,
    /// Length of the ranked lists.
    pub top: u32,
    /// The metrics of its tables.
    pub columns: &'a [Column],
}

impl Comparison<'_> {
    /// The metrics that any run has a value of.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        let metrics = || self.trained.iter().flat_map(|run| run.outcomes.models.values()).flatten();
        let has = move |column: &Column| {
            metrics().any(|(key, values)| is_metric(key, column.base) && values.iter().any(Option::is_some))
        };
        let shown = self.columns.iter().filter(|column| !LEFT_OUT.contains(&column.base));
        shown.filter(move |column| has(column))
    }

    /// A row a contender, a column a metric; the best of each stands out. Contenders without any metric have no row.
    pub fn table(&self, contenders: &[Contender]) -> Table {
        let mut table = self.empty_table(true);
        for contender in contenders {
            let measured: Vec<Option<OverSeeds>> =
                self.columns().map(|column| self.metric(contender, column.base)).collect();
            if measured.iter().all(Option::is_none) {
                continue;
            }
            let cell = |m: Option<OverSeeds>| m.map_or(Cell::Empty, |m| Cell::interval(m.value, Some((m.low, m.high))));
            let cells = std::iter::once(Cell::text(&contender.name)).chain(measured.into_iter().map(cell)).collect();
            if contender.own { table.push_own(cells) } else { table.push(cells) }
        }
        self.columns().enumerate().for_each(|(at, column)| table.mark_best(at + 1, column.more_is_better));
        table.push(std::iter::once(Cell::text(COUNTS)).chain(self.counts(contenders)).collect());
        table
    }

    /// Of each pair both, and the second minus the first on the same instances: what the second's training added.
    pub fn pairs(&self, pairs: &[(Contender, Contender)]) -> Table {
        let mut table = self.empty_table(true);
        table.columns.insert(1, TableColumn { name: "policy".into(), ..TableColumn::default() });
        let interval = |m: OverSeeds| Cell::interval(m.value, Some((m.low, m.high)));
        let difference = |m: OverSeeds| Cell::Difference { value: m.value, range: Some((m.low, m.high)) };
        let mut push = |of: &Contender, policy: String, cells: Vec<Cell>| {
            let own = of.own && cells.iter().all(|cell| !matches!(cell, Cell::Difference { .. }));
            let cells = [Cell::text(&of.name), Cell::text(policy)].into_iter().chain(cells).collect();
            if own { table.push_own(cells) } else { table.push(cells) }
        };
        for (first, second) in pairs {
            for of in [first, second] {
                let metric = |column: &Column| self.metric(of, column.base).map(interval).unwrap_or_default();
                push(of, of.model.to_uppercase(), self.columns().map(metric).collect());
            }
            let metric = |c: &Column| self.difference(second, first, c.base).map(difference).unwrap_or_default();
            let name = format!("{} − {}", second.model.to_uppercase(), first.model.to_uppercase());
            push(second, name, self.columns().map(metric).collect());
        }
        self.columns().enumerate().for_each(|(at, column)| table.mark_best(at + 2, column.more_is_better));
        let all: Vec<Contender> = pairs.iter().map(|(_, second)| second.clone()).collect();
        table.push([Cell::text(COUNTS), Cell::text("")].into_iter().chain(self.counts(&all)).collect());
        table
    }

    /// How many instances and users each metric is a mean of; the same for all contenders.
    fn counts(&self, contenders: &[Contender]) -> Vec<Cell> {
        let words = |found: OverSeeds| {
            let least = found.instances.iter().min().copied().unwrap_or_default();
            let most = found.instances.iter().max().copied().unwrap_or_default();
            let instances = if least == most { least.to_string() } else { format!("{least} to {most}") };
            Cell::Text(format!("{instances} ({})", found.users))
        };
        let count = |column: &Column| contenders.iter().find_map(|of| self.metric(of, column.base)).map(words);
        self.columns().map(|column| count(column).unwrap_or_default()).collect()
    }

    /// The runs that a contender's numbers are from, in the order of their values by seed.
    pub fn runs(&self, contender: &Contender) -> impl Iterator<Item = &Trained> {
        self.trained.iter().filter(move |run| run.arm == contender.arm)
    }

    /// How much more each contender has than the one given, on the same instances.
    pub fn differences(&self, contenders: &[Contender], than: &Contender) -> Table {
        let mut table = self.empty_table(false);
        table.caption = format!("The same, minus {}: paired by instance and seed", than.name);
        for contender in contenders.iter().filter(|contender| *contender != than) {
            let cell = |column: &Column| {
                let found = self.difference(contender, than, column.base)?;
                Some(Cell::Difference { value: found.value, range: Some((found.low, found.high)) })
            };
            let cells: Vec<Cell> = self.columns().map(|column| cell(column).unwrap_or_default()).collect();
            if cells.iter().any(|cell| *cell != Cell::Empty) {
                table.push(std::iter::once(Cell::text(&contender.name)).chain(cells).collect());
            }
        }
        table
    }

    fn empty_table(&self, explained: bool) -> Table {
        let of_lists = |base: &str| base != "cand_acc" && !base.starts_with("fhr_");
        let heading = |column: &Column| {
            let length = if of_lists(column.base) { format!("@{}", self.top) } else { String::new() };
            format!("{}{length}", column.heading)
        };
        let heads: Vec<(String, &str)> =
            self.columns().map(|c| (heading(c), if explained { c.says } else { "" })).collect();
        let heads: Vec<(&str, &str)> =
            std::iter::once(("model", "")).chain(heads.iter().map(|(name, says)| (name.as_str(), *says))).collect();
        Table::with_columns(&heads)
    }

    /// A metric of a contender over all seeds.
    pub fn metric(&self, contender: &Contender, base: &str) -> Option<OverSeeds> {
        over_seeds(&self.samples(contender, base)?, self.resampling)
    }

    /// How much more of a metric a contender has than another, on the instances of both.
    pub fn difference(&self, contender: &Contender, than: &Contender, base: &str) -> Option<OverSeeds> {
        difference_over_seeds(&self.samples(contender, base)?, &self.samples(than, base)?, self.resampling)
    }

    /// One sample a seed; none where a run lacks the model or the metric.
    fn samples(&self, contender: &Contender, base: &str) -> Option<Vec<Sample<'_>>> {
        let samples: Option<Vec<Sample<'_>>> = self
            .runs(contender)
            .map(|run| {
                let metrics = run.outcomes.models.get(&contender.model)?;
                let (_, values) = metrics.iter().find(|(key, _)| is_metric(key, base))?;
                Some(Sample { instances: &run.outcomes.instances, values })
            })
            .collect();
        samples.filter(|samples| !samples.is_empty())
    }
}

/// Whether `key` is `base` but for the length of the list: `fhr@20` is `fhr`, `fhr@20_7d` of the horizon's curve `fhr_7d`.
pub fn is_metric(key: &str, base: &str) -> bool {
    let (name, rest) = key.split_once('@').unwrap_or((key, ""));
    let days = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.is_empty() != key.contains('@')) && base.strip_prefix(name) == Some(days)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Identity, RunSplit};
    use conrec_domain::spec::RunConfig;
    use conrec_feedback::metrics::COLUMNS;
    use conrec_feedback::outcomes::{InstanceKey, Outcomes};
    use std::collections::BTreeMap;

    const RESAMPLING: Resampling = Resampling { times: 200, seed: 1 };

    fn trained(arm: &str, seed: u64, hits: &[f64]) -> Trained {
        let key = |i: usize| InstanceKey { user: format!("{i:03}"), t0: 0, next: "x".into() };
        let values = |of: &[f64]| of.iter().copied().map(Some).collect::<Vec<_>>();
        let metrics = BTreeMap::from([
            ("fhr@20".to_owned(), values(hits)),
            ("fhr@20_7d".to_owned(), values(&vec![0.9; hits.len()])),
            ("pos_hit@20".to_owned(), values(&vec![0.5; hits.len()])),
            // Applies to no instance.
            ("luf@20".to_owned(), vec![None; hits.len()]),
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
            code_version: text(),
            split: RunSplit::default(),
            wall_seconds: 0.0,
            notes: Vec::new(),
            decisions: Vec::new(),
            outcomes: BTreeMap::new(),
        };
        Trained { arm: arm.to_owned(), config: RunConfig::default(), seed, identity, outcomes }
    }

    fn contender(arm: &str, model: &str) -> Contender {
        Contender { name: arm.to_owned(), arm: arm.to_owned(), model: model.to_owned(), own: true }
    }

    #[test]
    fn rows_are_contenders_that_were_measured_and_columns_are_the_main_metrics() {
        let runs: Vec<Trained> = (0..3)
            .flat_map(|seed| [trained("a", seed, &[1.0, 1.0, 0.0, 0.0]), trained("b", seed, &[1.0; 4])])
            .collect();
        let comparison = Comparison { trained: &runs, resampling: RESAMPLING, top: 20, columns: &COLUMNS };
        let contenders = [contender("a", "grpo"), contender("b", "grpo"), contender("a", "absent")];
        let table = comparison.table(&contenders);
        assert_eq!(table.rows.len(), 3, "two contenders, and what the numbers are means of");
        assert_eq!(table.rows[2].cells[..2], [Cell::text("instances (users)"), Cell::text("4 (4)")]);
        let fhr = |row: usize| match &table.rows[row].cells[1] {
            Cell::Interval { value, best, .. } => (*value, *best),
            other => panic!("{other:?}"),
        };
        assert_eq!((fhr(0), fhr(1)), ((0.5, false), (1.0, true)));
        assert!(matches!(table.rows[0].cells[2], Cell::Interval { value: 0.5, .. }), "the harm is not left out");
        let heads: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(heads, ["model", "FHR@20", "PosHit@20"], "nobody measured the others");
    }

    #[test]
    fn a_pair_is_both_and_the_difference_on_the_same_instances() {
        let mut runs = [trained("a", 0, &[1.0, 1.0]), trained("a", 1, &[0.0, 1.0])];
        for run in &mut runs {
            let grpo = run.outcomes.models["grpo"].clone();
            run.outcomes.models.insert("sft".into(), grpo);
            let sft = run.outcomes.models.get_mut("sft").unwrap();
            sft.insert("fhr@20".into(), vec![Some(0.0), Some(1.0)]);
        }
        let comparison = Comparison { trained: &runs, resampling: RESAMPLING, top: 20, columns: &COLUMNS };
        let table = comparison.pairs(&[(contender("a", "sft"), contender("a", "grpo"))]);
        let rows: Vec<(&Cell, &Cell)> = table.rows.iter().map(|row| (&row.cells[1], &row.cells[2])).collect();
        let value = |cell: &Cell| match cell {
            Cell::Interval { value, .. } | Cell::Difference { value, .. } => *value,
            other => panic!("{other:?}"),
        };
        let found: Vec<(&Cell, f64)> = rows[..3].iter().map(|(name, cell)| (*name, value(cell))).collect();
        let [sft, grpo, both] = ["SFT", "GRPO", "GRPO − SFT"].map(Cell::text);
        assert_eq!(found, [(&sft, 0.5), (&grpo, 0.75), (&both, 0.25)]);
        assert!(table.rows[1].own && !table.rows[2].own);
        assert_eq!((rows.len(), rows[3].1), (4, &Cell::text("2 (2)")));
    }

    #[test]
    fn differences_leave_out_the_one_they_are_to() {
        let runs = [trained("a", 0, &[1.0, 0.0]), trained("b", 0, &[1.0, 1.0])];
        let comparison = Comparison { trained: &runs, resampling: RESAMPLING, top: 20, columns: &COLUMNS };
        let contenders = [contender("a", "grpo"), contender("b", "grpo")];
        let table = comparison.differences(&contenders, &contenders[0]);
        assert_eq!(table.rows.len(), 1);
        assert!(matches!(table.rows[0].cells[1], Cell::Difference { value: 0.5, .. }), "{table:?}");
    }

    #[test]
    fn the_curve_is_no_metric_of_its_own() {
        for (key, base, is) in [
            ("fhr@20", "fhr", true),
            ("fhr@20_7d", "fhr", false),
            ("fhr@20_7d", "fhr_7d", true),
            ("fhr@20_14d", "fhr_1d", false),
            ("fhr@20", "fhr_7d", false),
            ("sid_fhr@20", "fhr", false),
            ("pos_hit@20", "pos_hit", true),
            ("cand_acc", "cand_acc", true),
            ("fhr@", "fhr", false),
        ] {
            assert_eq!(is_metric(key, base), is, "{key} {base}");
        }
    }
}
