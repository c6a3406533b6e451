//! The report in words, tables and plots, written as a reviewer would want to read it.

use super::measure::{Column, QUERIES, SidReport};
use super::stability::QuantizerStability;
use conrec_feedback::moment::shown;
use conrec_feedback::sid_quality::{Agreement, DepthQuality, DepthStability};
use conrec_page::{Block, Cell, Document, Plot, Section, Series, Table};

/// The whole report.
pub(super) fn document(report: &SidReport) -> Document {
    let mut notes = vec![
        "All figures are over the items of training time; nothing later was looked at. Every share stands beside its value \
         for prefixes of the same sizes with items dealt out at random."
            .to_owned(),
    ];
    match report.same_as_run {
        Some(true) => notes.push("The ids made here are those that the run trained with, code by code.".into()),
        Some(false) => notes.push(
            "The ids made here are NOT those that the run trained with: another version or machine prepared it. Figures \
             describe the ids made here."
                .into(),
        ),
        None => {}
    }
    for column in report.columns.iter().filter(|column| column.without_id > 0) {
        notes.push(format!("{}: {} items of training time have no id.", column.name, column.without_id));
    }
    Document {
        title: format!("Semantic ids of {}", report.subject),
        facts: vec![
            format!("source: {}", report.source),
            format!("{} items", report.items),
            format!("vectors of {} dimensions", report.dimensions),
            format!("training time ends {} UTC", shown(report.train_end)),
        ],
        notes,
        sections: vec![
            answers(report),
            summary(report),
            meaning(report),
            codes(report),
            errors(report),
            stability(report),
            Section::identity(report.identity.rows()),
        ],
    }
}

fn answers(report: &SidReport) -> Section {
    let mut table = Table::with_columns(&[
        ("question", ""),
        ("figure", ""),
        ("found", ""),
        ("chance", "what prefixes of the same sizes with random items give"),
        ("shuffled", "the same ids on other items"),
        ("asked", "bounds of this report, no law"),
        ("verdict", ""),
    ]);
    let number = |value: Option<f64>| value.map_or(Cell::Empty, |value| Cell::Number(value, 3));
    for finding in &report.findings {
        table.push(vec![
            Cell::text(finding.question),
            Cell::text(finding.measure),
            Cell::Number(finding.value, 3),
            number(finding.by_chance),
            number(finding.shuffled),
            Cell::text(&finding.asked),
            Cell::text(finding.verdict.word()),
        ]);
    }
    Section::new("Do these ids mean anything?", vec![Block::Table(table)]).with_hint(
        "The ids were fitted to the vectors, so that like items with like ids show that the quantizer works; dislikes were not \
         seen by it but through the interaction features, and are what the policy has to predict.",
    )
}

fn pair(of: Agreement) -> Cell {
    Cell::text(format!("{:.3} (chance {:.3})", of.share, of.by_chance))
}

fn maybe(of: Option<Agreement>) -> Cell {
    of.map_or(Cell::Empty, pair)
}

fn push(table: &mut Table, column: &Column, cells: Vec<Cell>) {
    if column.own { table.push_own(cells) } else { table.push(cells) }
}

fn summary(report: &SidReport) -> Section {
    let mut table = Table::with_columns(&[
        ("ids", ""),
        ("cells", "distinct ids"),
        ("collisions", "items beyond the first of their cell, as a share of all"),
        ("largest cell", "items in it"),
        ("overlap", "share of an item's nearest neighbours by vector that are among as many nearest by id"),
    ]);
    for column in &report.columns {
        let usage = &column.quality.usage;
        push(
            &mut table,
            column,
            vec![
                Cell::text(&column.name),
                Cell::Number(usage.cells as f64, 0),
                Cell::Number(usage.collision_rate, 3),
                Cell::Number(usage.largest_cell as f64, 0),
                pair(column.quality.overlap),
            ],
        );
    }
    let hint = format!(
        "Ids that mean something keep neighbours together; `shuffled` are the same ids on other items and `random` are drawn \
         code by code: what they reach, chance reaches. Neighbours: the {} nearest by cosine, of {} items evenly over the catalogue.",
        report.neighbours,
        report.items.min(QUERIES)
    );
    Section::new("In one table", vec![Block::Table(table)]).with_hint(hint)
}

fn meaning(report: &SidReport) -> Section {
    let mut table = Table::with_columns(&[
        ("ids, codes", ""),
        ("prefixes", "distinct leading codes"),
        ("variance left", "share of the vectors' variance within prefixes; less is better"),
        ("neighbours", "share of nearest neighbours that have the prefix"),
        ("purity", "share of items of the commonest category of their prefix"),
        ("taste", "share of a user's successive dislikes (of two items) with the same prefix; chance: another's"),
    ]);
    for column in &report.columns {
        for depth in &column.quality.depths {
            push(
                &mut table,
                column,
                vec![
                    Cell::text(format!("{}, {}", column.name, depth.depth)),
                    Cell::Number(depth.prefixes as f64, 0),
                    pair(depth.variance_left),
                    pair(depth.neighbours),
                    maybe(depth.purity),
                    maybe(depth.taste),
                ],
            );
        }
    }
    let curve = |name: &str, column: &Column, of: fn(&DepthQuality) -> f64| {
        let points = column.quality.depths.iter().map(|depth| (depth.depth as f64, of(depth))).collect();
        Series::curve(name, points)
    };
    let series = report.columns.iter().map(|column| curve(&column.name, column, |d| d.variance_left.share)).collect();
    let plot = Plot {
        title: "Variance left within prefixes".into(),
        x: "leading codes".into(),
        y: "share of the variance".into(),
        series,
    };
    Section::new("What a prefix says of an item", vec![Block::Table(table), Block::Plot(plot)]).with_hint(
        "Fine prefixes look good for no reason: compare with the chance beside each figure, and with the controls.",
    )
}

fn codes(report: &SidReport) -> Section {
    let mut table = Table::with_columns(&[
        ("ids, level", ""),
        ("used", "codes with an item"),
        ("dead", "codes without one"),
        ("perplexity", "number of codes that an even use would need"),
        ("Gini", "0 is even use"),
        ("fan-out", "codes that may follow a prefix, on average"),
        ("most", ""),
        ("forced", "share of the prefixes that only one code may follow"),
    ]);
    for column in &report.columns {
        for (level, depth) in column.quality.usage.levels.iter().zip(&column.quality.depths) {
            push(
                &mut table,
                column,
                vec![
                    Cell::text(format!("{}, {}", column.name, depth.depth)),
                    Cell::Number(level.used as f64, 0),
                    Cell::Number(level.dead as f64, 0),
                    Cell::Number(level.perplexity, 1),
                    Cell::Number(level.gini, 3),
                    Cell::Number(depth.fan_out.mean, 2),
                    Cell::Number(depth.fan_out.most as f64, 0),
                    Cell::Number(depth.fan_out.forced, 3),
                ],
            );
        }
    }
    Section::new("Codes in use, and the trie", vec![Block::Table(table)])
}

fn errors(report: &SidReport) -> Section {
    let fitted: Vec<&Column> = report.columns.iter().filter(|column| !column.input_error.is_empty()).collect();
    let levels = fitted.iter().map(|column| column.input_error.len()).max().unwrap_or(0);
    let names: Vec<String> = (1..=levels).map(|level| format!("level {level}")).collect();
    let headings: Vec<(&str, &str)> =
        std::iter::once(("ids", "")).chain(names.iter().map(|name| (name.as_str(), ""))).collect();
    let mut table = Table::with_columns(&headings);
    for column in &fitted {
        let numbers = column.input_error.iter().map(|error| Cell::Number(*error, 4));
        push(&mut table, column, std::iter::once(Cell::text(&column.name)).chain(numbers).collect());
    }
    Section::new("Reconstruction error after each level", vec![Block::Table(table)]).with_hint(
        "Squared error of the vectors rebuilt from the codes, relative to their spread about the mean: 1 is no better than \
         the mean. An RQ-VAE rebuilds through its decoder, residual k-means adds its centres.",
    )
}

fn stability(report: &SidReport) -> Section {
    let mut table = Table::with_columns(&[
        ("quantizer", ""),
        ("what changes", ""),
        ("codes", "leading codes that are compared"),
        ("AMI", "adjusted mutual information of the groups: 1 equal, 0 chance; names of codes do not matter"),
        ("ARI", "adjusted Rand index: the same by pairs of items"),
    ]);
    let mut plots = Vec::new();
    for of in &report.stability {
        for seed in &of.seeds {
            rows(&mut table, of, &format!("seed {}", seed.seed), &seed.depths);
        }
        if let Some(time) = &of.time {
            rows(&mut table, of, &format!("fitted earlier ({} items of both)", time.items), &time.depths);
        }
        plots.push(Block::Plot(noise_plot(of)));
    }
    let mut blocks = vec![Block::Table(table)];
    blocks.append(&mut plots);
    Section::new("Stability", blocks).with_hint(
        "Other seeds and an earlier end of training time fit everything anew; noise moves the vectors only, and shows the \
         share of the items that keep their codes. Where nearly every item has an id of its own AMI and ARI say nothing.",
    )
}

fn rows(table: &mut Table, of: &QuantizerStability, what: &str, depths: &[DepthStability]) {
    for depth in depths {
        table.push(vec![
            Cell::text(&of.quantizer),
            Cell::text(what),
            Cell::Number(depth.depth as f64, 0),
            Cell::Number(depth.adjusted_mutual_information, 3),
            Cell::Number(depth.adjusted_rand_index, 3),
        ]);
    }
}

fn noise_plot(of: &QuantizerStability) -> Plot {
    let depths = of.noise.first().map_or(0, |noise| noise.same_prefix.len());
    let series = (0..depths)
        .map(|depth| {
            let points = of.noise.iter().map(|noise| (noise.noise, noise.same_prefix[depth])).collect();
            Series::curve(format!("first {}", depth + 1), points)
        })
        .collect();
    Plot {
        title: format!("Items that keep their codes under noise: {}", of.quantizer),
        x: "length of the noise, relative to the vector's".into(),
        y: "share of the items".into(),
        series,
    }
}
