//! What the page of `filter-report` says: filters at equal rates, beside the rule "block the whole category", and over all
//! thresholds.

use super::{BLOCKED_FROM, Filter, SHOWN_DAYS};
use conrec_domain::ids::RunId;
use conrec_feedback::bootstrap::MetricValue;
use conrec_feedback::evaluation::Evaluation;
use conrec_feedback::filter_curve::{FilterCurve, MEASURES, Measure};
use conrec_feedback::provenance::Provenance;
use conrec_page::{Block, Cell, Document, Plot, Section, Series, Table};
use serde_json::{Value, json};

/// Shares of what is shown at which filters are compared.
const RATES: [f64; 4] = [0.01, 0.05, 0.1, 0.2];

/// The rate by which the plotted baselines are chosen.
const PLOTTED_AT: f64 = 0.1;

/// Baselines in the plots.
const PLOTTED: usize = 3;

/// Every how many thresholds the table shows one.
const STEP: usize = 5;

/// All that was measured.
pub(super) struct Content<'a> {
    pub run: &'a RunId,
    pub window: &'a Evaluation,
    pub categories: usize,
    pub category_rule: FilterCurve,
    /// The run's own first.
    pub filters: Vec<Filter>,
    pub notes: Vec<String>,
    /// Semantic ids of a predict set.
    pub set_size: u32,
    pub identity: Provenance,
}

/// Heading and meaning of a measure.
fn heading(measure: Measure) -> (&'static str, &'static str) {
    match measure {
        Measure::Filtered => ("filtered", "share of what is shown that is filtered"),
        Measure::Catalogue => ("of catalogue", "share of the catalogue's items that are filtered"),
        Measure::Recall => ("recall", "share of the horizon's negatives that are filtered"),
        Measure::FalseFilter => {
            ("false filter", "share of the horizon's positives that are filtered: harm, less is better")
        }
        Measure::Coverage => ("categories left", "share of the categories of which an item is left"),
    }
}

fn key(measure: Measure) -> &'static str {
    match measure {
        Measure::Filtered => "filtered",
        Measure::Catalogue => "catalogue",
        Measure::Recall => "recall",
        Measure::FalseFilter => "false_filter",
        Measure::Coverage => "coverage",
    }
}

fn cell(value: &MetricValue) -> Cell {
    match value.n {
        0 => Cell::Empty,
        _ => Cell::interval(value.value, Some((value.low, value.high))),
    }
}

fn difference(value: &MetricValue) -> Cell {
    match value.n {
        0 => Cell::Empty,
        _ => Cell::Difference { value: value.value, range: Some((value.low, value.high)) },
    }
}

impl Content<'_> {
    pub fn document(&self) -> Document {
        let mut notes = vec![
            format!(
                "What is shown: the catalogue's items, weighed by their events of any sign in the last {SHOWN_DAYS} days of \
                 training time, without those that the user disliked before. Items without a semantic id are never filtered."
            ),
            "A baseline's predict set: the semantic ids of its best items, as many as the policy has. An item's category: the \
             first that the source names."
                .to_owned(),
        ];
        notes.extend(self.notes.iter().cloned());
        Document {
            title: format!("What the filter of run {} takes away", self.run),
            facts: vec![
                format!("{} instances of the test window", self.window.instances().len()),
                format!("{} categories", self.categories),
                format!("predict sets of {} semantic ids", self.set_size),
            ],
            notes,
            sections: vec![
                self.at_equal_rates(),
                self.against_the_rule(),
                self.plots(),
                self.thresholds(),
                Section::identity(self.identity.rows()),
            ],
        }
    }

    /// All filters where they filter the same share of what is shown.
    fn at_equal_rates(&self) -> Section {
        let mut blocks = Vec::new();
        for rate in RATES {
            let mut columns = vec![("filter", ""), ("threshold", "an item is filtered when its score exceeds it")];
            columns.extend(MEASURES.map(heading));
            let mut table = Table::with_columns(&columns);
            table.caption = format!("At most {:.0} % of what is shown filtered", 100.0 * rate);
            for filter in &self.filters {
                let Some(at) = filter.curve.at_most(rate) else { continue };
                let mut cells = vec![Cell::text(&filter.name), Cell::Number(filter.curve.thresholds[at], 2)];
                cells.extend(MEASURES.map(|measure| cell(&filter.curve.interval(measure, at, self.window))));
                if filter.own { table.push_own(cells) } else { table.push(cells) }
            }
            for (at, measure) in MEASURES.into_iter().enumerate() {
                match measure {
                    Measure::Recall | Measure::Coverage => table.mark_best(at + 2, true),
                    Measure::FalseFilter => table.mark_best(at + 2, false),
                    Measure::Filtered | Measure::Catalogue => {}
                }
            }
            table.push(self.counts());
            if table.rows.len() > 1 {
                blocks.push(Block::Table(table));
            }
        }
        Section::new("At equal filtering rates", blocks).with_hint(
            "Test window. Each filter at its lowest threshold that takes away no more than so much of what is shown; in brackets 95 % \
             intervals over users. Rates are matched on these instances; a filter that takes away more at every threshold has no \
             row. A filter that draws by chance has recall = false filter = filtered.",
        )
    }

    /// How many instances each measure is a mean of; the same for all filters.
    fn counts(&self) -> Vec<Cell> {
        let any = self.filters.first().map(|filter| &filter.curve);
        let count = |measure| {
            any.map_or(Cell::Empty, |curve| Cell::text(curve.interval(measure, 0, self.window).n.to_string()))
        };
        [Cell::text("instances"), Cell::Empty].into_iter().chain(MEASURES.map(count)).collect()
    }

    /// The rule at each of its settings, and the run's filter where it filters no more.
    fn against_the_rule(&self) -> Section {
        let columns = [
            ("the rule blocks from", "this many dislikes of the category on"),
            ("filtered by the rule", heading(Measure::Filtered).1),
            ("filtered by ours", "at the lowest threshold that filters no more"),
            ("recall, rule", heading(Measure::Recall).1),
            ("recall, ours minus rule", ""),
            ("false filter, rule", heading(Measure::FalseFilter).1),
            ("false filter, ours minus rule", "below 0: ours does less harm"),
            ("categories left, rule", heading(Measure::Coverage).1),
            ("categories left, ours minus rule", ""),
        ];
        let mut table = Table::with_columns(&columns);
        let rule = &self.category_rule;
        let ours = self.filters.first();
        for ((at, from), filtered) in BLOCKED_FROM.iter().enumerate().zip(rule.means(Measure::Filtered)) {
            let ours = ours.and_then(|ours| Some((&ours.curve, ours.curve.at_most(filtered)?)));
            let of_rule = |measure| cell(&rule.interval(measure, at, self.window));
            let more = |measure| match ours {
                Some((curve, place)) => difference(&curve.difference(place, (rule, at), measure, self.window)),
                None => Cell::Empty,
            };
            let own_rate = ours.map_or(Cell::Empty, |(curve, place)| {
                Cell::Number(curve.means(Measure::Filtered).get(place).copied().unwrap_or(f64::NAN), 4)
            });
            table.push(vec![
                Cell::Number(f64::from(*from), 0),
                of_rule(Measure::Filtered),
                own_rate,
                of_rule(Measure::Recall),
                more(Measure::Recall),
                of_rule(Measure::FalseFilter),
                more(Measure::FalseFilter),
                of_rule(Measure::Coverage),
                more(Measure::Coverage),
            ]);
        }
        let name = ours.map_or("ours", |ours| ours.name.as_str());
        Section::new("Against blocking the whole category", vec![Block::Table(table)]).with_hint(format!(
            "Ours: {name}, filtering no more than the rule does; differences on the same instances with 95 % intervals over \
             users. Empty where ours filters more at every threshold."
        ))
    }

    /// The run's filters and those baselines that find most at one rate.
    fn plotted(&self) -> Vec<&Filter> {
        let (own, mut others): (Vec<&Filter>, Vec<&Filter>) = self.filters.iter().partition(|filter| filter.own);
        let recall = |filter: &Filter| {
            let at = filter.curve.at_most(PLOTTED_AT)?;
            filter.curve.means(Measure::Recall).get(at).copied()
        };
        let found = |filter: &Filter| recall(filter).unwrap_or(f64::NEG_INFINITY);
        others.sort_by(|a, b| found(b).total_cmp(&found(a)).then(a.name.cmp(&b.name)));
        own.into_iter().chain(others.into_iter().take(PLOTTED)).collect()
    }

    fn plots(&self) -> Section {
        let plot = |title: &str, x: Measure, y: Measure, chance: bool| {
            let points = |curve: &FilterCurve| curve.means(x).into_iter().zip(curve.means(y)).collect::<Vec<_>>();
            let mut series: Vec<Series> =
                self.plotted().iter().map(|filter| Series::curve(&filter.name, points(&filter.curve))).collect();
            series.push(Series::points("block the category", points(&self.category_rule)));
            if chance {
                series.push(Series::curve("chance", vec![(0.0, 0.0), (1.0, 1.0)]));
            }
            let (x, y) = (heading(x).0.to_owned(), heading(y).0.to_owned());
            Block::Plot(Plot { title: title.to_owned(), x, y, series })
        };
        let blocks = vec![
            plot("What is found for what is filtered", Measure::Filtered, Measure::Recall, true),
            plot("What is found for what is filtered wrongly", Measure::FalseFilter, Measure::Recall, true),
            plot("What is left of the categories", Measure::Filtered, Measure::Coverage, false),
        ];
        Section::new("Over all thresholds", blocks).with_hint(format!(
            "The run's filters, and the {PLOTTED} baselines that find most at {:.0} % filtered, chosen on these instances, in \
             their favour.",
            100.0 * PLOTTED_AT
        ))
    }

    /// The run's filter at every threshold, to choose one.
    fn thresholds(&self) -> Section {
        let Some(ours) = self.filters.first() else { return Section::default() };
        let mut columns = vec![("threshold", "")];
        columns.extend(MEASURES.map(heading));
        let mut table = Table::with_columns(&columns);
        for at in (0..ours.curve.thresholds.len()).step_by(STEP) {
            let mut cells = vec![Cell::Number(ours.curve.thresholds[at], 2)];
            cells.extend(MEASURES.map(|measure| cell(&ours.curve.interval(measure, at, self.window))));
            table.push(cells);
        }
        Section::new(format!("Thresholds of {}", ours.name), vec![Block::Table(table)]).with_hint(
            "Choose one on validation or by the filtering rate that a product bears, not by this table's recall.",
        )
    }

    /// Every filter at equal rates, with intervals.
    fn at_rates(&self) -> Value {
        let of = |filter: &Filter, rate: f64| {
            let at = filter.curve.at_most(rate)?;
            let measures: serde_json::Map<String, Value> = MEASURES
                .map(|measure| (key(measure).to_owned(), json!(filter.curve.interval(measure, at, self.window))))
                .into_iter()
                .collect();
            Some(json!({"filter": filter.name, "threshold": filter.curve.thresholds[at], "measures": measures}))
        };
        let rate = |rate: f64| {
            let filters: Vec<Value> = self.filters.iter().filter_map(|filter| of(filter, rate)).collect();
            json!({"at_most": rate, "filters": filters})
        };
        RATES.into_iter().map(rate).collect()
    }

    pub fn json(&self) -> Value {
        let curve = |curve: &FilterCurve| -> Value {
            let mut columns: serde_json::Map<String, Value> =
                MEASURES.map(|measure| (key(measure).to_owned(), json!(curve.means(measure)))).into_iter().collect();
            columns.insert("threshold".to_owned(), json!(curve.thresholds));
            Value::Object(columns)
        };
        let filters: serde_json::Map<String, Value> =
            self.filters.iter().map(|filter| (filter.name.clone(), curve(&filter.curve))).collect();
        json!({
            "run_id": self.run, "identity": self.identity, "set_size": self.set_size, "at_rates": self.at_rates(), "instances": self.window.instances().len(), "categories": self.categories,
            "filters": filters, "category_rule": curve(&self.category_rule), "category_rule_blocks_from": BLOCKED_FROM,
        })
    }
}
