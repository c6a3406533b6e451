//! What reports on experiments show: tables of contenders with what they are to be read by, the runs that every number
//! comes from, and the same for programs.

use crate::compare::{Comparison, Contender};
use crate::experiment::Trained;
use conrec_domain::arms::Arm;
use conrec_domain::spec::written;
use conrec_feedback::over_seeds::OverSeeds;
use conrec_page::{Block, Cell, Section, Table};
use serde_json::{Map, Value, json};

/// How the numbers of all tables are to be read.
const HINT: &str = "Test window, item level. Means over seeds; in brackets 95 % intervals over users and seeds. Bold: the \
                    best of a column. FHR and CandAcc decide, here and in training; the other metrics are there to be looked at.";

/// Contenders in a table, what the arms say, and the differences to the first contender.
pub fn section(title: &str, comparison: &Comparison<'_>, contenders: &[Contender], arms: &[Arm]) -> Section {
    let mut blocks = vec![Block::Table(comparison.table(contenders))];
    blocks.extend(says(arms));
    blocks.extend(contenders.first().into_iter().flat_map(|first| differences(comparison, contenders, first)));
    Section::new(title, blocks).with_hint(HINT)
}

/// Each arm's policy before and after GRPO with the difference, what the arms say, and the differences to the first arm.
pub fn section_of_pairs(
    title: &str,
    comparison: &Comparison<'_>,
    pairs: &[(Contender, Contender)],
    arms: &[Arm],
) -> Section {
    let table = comparison.pairs(pairs);
    let chance = chance(&table);
    let mut blocks = vec![Block::Table(table), chance];
    blocks.extend(says(arms));
    let trained: Vec<Contender> = pairs.iter().map(|(_, trained)| trained.clone()).collect();
    blocks.extend(trained.first().into_iter().flat_map(|first| differences(comparison, &trained, first)));
    let hint = "SFT is the arm's policy before its GRPO stages; the third row of an arm is what they added, paired by instance \
                and seed. Where the gate kept no iteration it is 0.";
    Section::new(title, blocks).with_hint(format!("{HINT} {hint}"))
}

fn says(arms: &[Arm]) -> impl Iterator<Item = Block> {
    arms.iter().map(|arm| Block::Text(format!("{}: {}.", arm.name, arm.says)))
}

/// The differences to a contender, and how many of them chance alone would make look real.
fn differences(comparison: &Comparison<'_>, contenders: &[Contender], than: &Contender) -> [Block; 2] {
    let table = comparison.differences(contenders, than);
    let chance = chance(&table);
    [Block::Table(table), chance]
}

/// Many intervals at once: some leave out 0 by chance.
fn chance(table: &Table) -> Block {
    let is_difference = |cell: &&Cell| matches!(cell, Cell::Difference { .. });
    let shown = table.rows.iter().flat_map(|row| &row.cells).filter(is_difference).count();
    Block::Text(format!(
        "{shown} differences are shown, and no interval is widened for their number: were all truly 0, about {:.0} would \
         still have an interval without 0.",
        (shown as f64 / 20.0).ceil()
    ))
}

/// The runs, each with what names it.
pub fn runs(trained: &[Trained]) -> Table {
    let mut table = Table::with_columns(&[
        ("arm", ""),
        ("seed", ""),
        ("run", ""),
        ("config", "digest"),
        ("data", "digest"),
        ("state", "digest"),
        ("minutes", ""),
    ]);
    for run in trained {
        let of = &run.identity;
        let short = |digest: &str| Cell::Text(digest.chars().take(12).collect());
        table.push(vec![
            Cell::text(&run.arm),
            Cell::Number(run.seed as f64, 0),
            Cell::text(&of.run_id),
            short(&of.config_digest),
            short(&of.data_digest),
            short(&of.state_digest),
            Cell::Number(of.wall_seconds / 60.0, 1),
        ]);
    }
    table
}

/// What each run decided between and in its stages: where the gate keeps no iteration of a stage, arms that differ in
/// that stage are equal.
pub fn decisions(trained: &[Trained]) -> Block {
    let of_run = |run: &Trained| {
        let line = |d: &conrec_domain::work::Decision| {
            format!("{} {} {} {} {}: {}\n", run.arm, run.seed, written(&d.pass), d.stage, d.iteration, d.reason)
        };
        run.identity.decisions.iter().map(line).collect::<String>()
    };
    let title = "Decisions: arm, seed, pass, stage, iteration".to_owned();
    Block::Folded { title, text: trained.iter().map(of_run).collect() }
}

/// Contenders with their metrics, each number with the runs that it is from; each metric with its differences to `than`
/// where one is given.
pub fn rows(comparison: &Comparison<'_>, contenders: &[Contender], than: Option<&Contender>) -> Value {
    contenders.iter().map(|contender| row(comparison, contender, than)).collect()
}

/// The same of each arm's policy after GRPO, with `sft` and `grpo_minus_sft` beside its metrics.
pub fn rows_of_pairs(comparison: &Comparison<'_>, pairs: &[(Contender, Contender)]) -> Value {
    let than = pairs.first().map(|(_, trained)| trained);
    let one = |(before, after): &(Contender, Contender)| {
        let mut whole = row(comparison, after, than);
        whole["sft"] = row(comparison, before, None)["metrics"].take();
        let added = comparison.columns().filter_map(|column| {
            let found = comparison.difference(after, before, column.base)?;
            Some((column.base.to_owned(), number(comparison, after, &found)))
        });
        whole["grpo_minus_sft"] = Value::Object(added.collect());
        whole
    };
    pairs.iter().map(one).collect()
}

fn row(comparison: &Comparison<'_>, contender: &Contender, than: Option<&Contender>) -> Value {
    let metrics = comparison.columns().filter_map(|column| {
        let found = comparison.metric(contender, column.base)?;
        let mut value = number(comparison, contender, &found);
        let other = than.filter(|than| *than != contender);
        if let Some(found) = other.and_then(|than| comparison.difference(contender, than, column.base)) {
            value["difference"] = number(comparison, contender, &found);
        }
        Some((column.base.to_owned(), value))
    });
    let metrics: Map<String, Value> = metrics.collect();
    json!({"name": contender.name, "arm": contender.arm, "model": contender.model, "metrics": metrics})
}

/// A number with its interval, what it is a mean of, and the run, config and data of each seed's value.
fn number(comparison: &Comparison<'_>, contender: &Contender, found: &OverSeeds) -> Value {
    let of_seed = |((run, value), instances): ((&Trained, &f64), &u64)| {
        let of = &run.identity;
        json!({
            "seed": run.seed, "value": value, "instances": instances, "run_id": of.run_id,
            "config_digest": of.config_digest, "data_digest": of.data_digest,
        })
    };
    let runs = comparison.runs(contender).zip(&found.by_seed).zip(&found.instances).map(of_seed);
    json!({
        "value": found.value, "low": found.low, "high": found.high, "users": found.users, "by_seed": found.by_seed,
        "runs": runs.collect::<Vec<_>>(),
    })
}

/// The runs.
pub fn runs_as_json(trained: &[Trained]) -> Value {
    trained.iter().map(|run| json!({"arm": run.arm, "seed": run.seed, "identity": run.identity})).collect()
}
