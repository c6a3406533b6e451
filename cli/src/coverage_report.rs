//! `conrec coverage-report`: how much of a user's negative interest the targets of training cover, for a run's data.

use crate::args::RunArgs;
use crate::failure::Failure;
use crate::stored_run;
use clap::Args;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::spec::RunSpec;
use conrec_domain::work::Pass;
use conrec_feedback::bootstrap::{MetricValue, Resampling};
use conrec_feedback::history::History;
use conrec_feedback::instance::{Instance, evenly};
use conrec_feedback::interest_coverage::{Compared, Coverage, Interests, Tables, TargetSet};
use conrec_feedback::prepared::{PreparedPass, Role};
use conrec_feedback::provenance::Provenance;
use conrec_feedback::reward::RewardModel;
use conrec_page::{Block, Cell, Document, Plot, Section, Series, Shape, Table};
use conrec_process::ReportFiles;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The longest horizon is so many times the config's.
const LONGEST: u32 = 4;

/// `conrec coverage-report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  conrec coverage-report demo-5a3c9d      is the negative of the next days a better target than the next negative?

Needs the run's prepared data only, not its end. Writes coverage.html, .md and .json.")]
pub struct CoverageArgs {
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
    /// Instances of the test window to measure, evenly taken; 0: all
    #[arg(long, value_name = "N", default_value_t = 5000)]
    pub instances: usize,
    /// A cell of the interest counts as covered at this cosine or more
    #[arg(long, value_name = "COSINE", default_value_t = 0.6)]
    pub near: f64,
    /// Where the report is written; default: reports/ and the run's name
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// What was measured, and on what.
struct Measured {
    horizon_days: u32,
    near: f64,
    /// Test instances, those of them with an interest, and mean cells of an interest.
    instances: (usize, usize, f64),
    coverages: Vec<Coverage>,
}

/// Measures and writes the report.
///
/// # Errors
/// There is no such run, its data is not prepared or damaged, no user has an interest to cover, a folder that cannot be
/// written.
pub fn run(args: &CoverageArgs) -> Result<u8, Failure> {
    let run = &args.run.run;
    let (spec, pass, identity) = stored_run::wait(prepared(args))?;
    let measured = measure(args, &spec, &pass)?;
    let folder = args.out.clone().unwrap_or_else(|| Path::new("reports").join(run.as_str()));
    let files = ReportFiles { folder: &folder, name: "coverage" };
    files
        .write(
            &document(run.as_str(), &measured, &identity),
            &as_json(run.as_str(), &measured, &identity),
            args.run.output,
        )
        .map_err(|(place, error)| Failure::io("write", &place)(error))?;
    Ok(ExitCode::Done.code())
}

/// The run's config and its data for the test window.
async fn prepared(args: &CoverageArgs) -> Result<(RunSpec, PreparedPass, Provenance), Failure> {
    let run = stored_run::existing(&args.run).await?;
    let spec = stored_run::spec(&run).await?;
    for pass in [Pass::Refit, Pass::Select] {
        if run.is_absent(pass.folder()).await? {
            continue;
        }
        let files = run.fetch(pass.folder()).await?;
        let pass = PreparedPass::load(files.path())
            .map_err(|error| Failure::new(ExitCode::BadData, format!("{}: {error}", run.place(pass.folder()))))?;
        let identity = stored_run::provenance(&run, (&args.run.run, &spec), &pass).await?;
        return Ok((spec, pass, identity));
    }
    let message = format!("{} is not there: the run's data is not prepared yet; train it", run.place("prepared"));
    Err(Failure::new(ExitCode::BadData, message))
}

fn measure(args: &CoverageArgs, spec: &RunSpec, pass: &PreparedPass) -> Result<Measured, Failure> {
    let bad = |message: String| Failure::new(ExitCode::BadData, message);
    let all: &[Instance] = pass.evaluation(Role::Test).map_or(&[], |set| &set.instances);
    let chosen: Vec<Instance> = evenly(all.len(), args.instances).into_iter().map(|at| all[at].clone()).collect();
    let history = History::new(&pass.dataset.events, pass.dataset.users.len());
    let reward = RewardModel::new(&spec.reward, &pass.cell_vectors, &pass.ids).map_err(|e| bad(e.to_string()))?;
    let tables = Tables { history: &history, swing: &pass.swing, ids: &pass.ids, reward: &reward };
    let horizon_days = spec.data.horizon_days;
    let interests = Interests::new(&chosen, tables, horizon_days * LONGEST, args.near);
    if interests.is_empty() {
        return Err(bad(format!(
            "none of {} test instances is of a user with negatives outside of {} days from it: there is no interest to cover",
            chosen.len(),
            horizon_days * LONGEST
        )));
    }
    let resampling = Resampling { times: spec.evaluation.bootstrap, seed: spec.evaluation.seed };
    let coverages = sets(horizon_days).into_iter().map(|set| interests.measure(set, resampling)).collect();
    let instances = (chosen.len(), interests.len(), interests.cells());
    Ok(Measured { horizon_days, near: args.near, instances, coverages })
}

/// The next negative and horizons around the config's, each without and with Swing neighbours.
fn sets(horizon_days: u32) -> Vec<TargetSet> {
    let mut horizons = vec![1, horizon_days.div_ceil(2), horizon_days, 2 * horizon_days, LONGEST * horizon_days];
    horizons.dedup();
    let days = std::iter::once(None).chain(horizons.into_iter().map(Some));
    days.flat_map(|days| [false, true].map(|swing| TargetSet { days, swing })).collect()
}

fn document(run: &str, measured: &Measured, identity: &Provenance) -> Document {
    let (all, kept, cells) = measured.instances;
    let near = measured.near;
    let hint = format!(
        "Test window. An interest: the cells of what the user disliked outside of the longest horizon, before and after it. Each set is \
         held against another user's set of the same kind and about the same size, since a larger set covers more of \
         anything: read the difference. In brackets 95 % intervals over users. The run's own targets ({} days + Swing) stand \
         out.",
        measured.horizon_days
    );
    let plot = |title: &str, y: &str, pick: fn(&Coverage) -> &Compared| {
        Block::Plot(Plot {
            title: title.to_owned(),
            x: "cells of the set".to_owned(),
            y: y.to_owned(),
            series: [
                ("own", false, false),
                ("own, with Swing", true, false),
                ("another's", false, true),
                ("another's, with Swing", true, true),
            ]
            .map(|(name, swing, other)| series(name, measured, (swing, other), pick))
            .into(),
        })
    };
    let share = format!("interest within cosine {near}");
    Document {
        title: format!("What targets cover of a negative interest: {run}"),
        facts: vec![
            format!("{kept} of {all} test instances have an interest"),
            format!("{cells:.1} cells an interest"),
            format!("horizon {} days", measured.horizon_days),
        ],
        notes: Vec::new(),
        sections: vec![
            Section::new("Coverage by kind of target", vec![Block::Table(table(measured))]).with_hint(hint),
            Section::new(
                "Against the size of the set",
                vec![
                    plot("Nearness", "mean largest cosine", |coverage| &coverage.nearness),
                    plot("Covered", &share, |coverage| &coverage.covered),
                ],
            )
            .with_hint("From left to right: the next negative, then longer horizons. What a user's own set covers beyond another's of its size is what it knows of the user."),
            Section::identity(identity.rows()),
        ],
    }
}

fn series(name: &str, measured: &Measured, (swing, other): (bool, bool), pick: fn(&Coverage) -> &Compared) -> Series {
    let of = |coverage: &Coverage| if other { pick(coverage).other } else { pick(coverage).own };
    let rows: Vec<&Coverage> = measured.coverages.iter().filter(|coverage| coverage.set.swing == swing).collect();
    let points = rows.iter().map(|coverage| (coverage.cells, of(coverage).value)).collect();
    let band = rows.iter().map(|coverage| (of(coverage).low, of(coverage).high)).collect();
    Series { name: name.to_owned(), shape: Shape::Curve(points, band) }
}

fn name(set: TargetSet) -> String {
    let base = match set.days {
        None => "next negative".to_owned(),
        Some(1) => "1 day".to_owned(),
        Some(days) => format!("{days} days"),
    };
    if set.swing { format!("{base} + Swing") } else { base }
}

fn table(measured: &Measured) -> Table {
    let share = format!("share of the interest's cells with a cell of the set at cosine {} or more", measured.near);
    let mut table = Table::with_columns(&[
        ("targets", ""),
        ("cells", "mean size of the set"),
        ("nearness", "mean over the interest of the largest cosine to the set"),
        ("nearness of another's", "the same by another user's set of about the same size"),
        ("nearness, difference", "own minus another's, paired by instance"),
        ("covered", &share),
        ("covered by another's", "the same by another user's set of about the same size"),
        ("covered, difference", "own minus another's, paired by instance"),
    ]);
    let interval = |of: MetricValue| Cell::interval(of.value, Some((of.low, of.high)));
    let difference = |of: MetricValue| Cell::Difference { value: of.value, range: Some((of.low, of.high)) };
    for coverage in &measured.coverages {
        let mut cells = vec![Cell::text(name(coverage.set)), Cell::Number(coverage.cells, 1)];
        for compared in [coverage.nearness, coverage.covered] {
            cells.extend([interval(compared.own), interval(compared.other), difference(compared.difference)]);
        }
        let own = coverage.set == TargetSet { days: Some(measured.horizon_days), swing: true };
        if own { table.push_own(cells) } else { table.push(cells) }
    }
    table
}

fn as_json(run: &str, measured: &Measured, identity: &Provenance) -> Value {
    let compared = |of: &Compared| json!({"own": of.own, "other": of.other, "difference": of.difference});
    let rows: Vec<Value> = measured
        .coverages
        .iter()
        .map(|coverage| {
            json!({
                "targets": name(coverage.set),
                "days": coverage.set.days,
                "swing": coverage.set.swing,
                "cells": coverage.cells,
                "nearness": compared(&coverage.nearness),
                "covered": compared(&coverage.covered),
            })
        })
        .collect();
    let (all, kept, cells) = measured.instances;
    json!({
        "run_id": run,
        "identity": identity,
        "horizon_days": measured.horizon_days,
        "near": measured.near,
        "instances": all,
        "instances_with_interest": kept,
        "interest_cells": cells,
        "coverage": rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_s_own_targets_are_among_the_sets_and_none_stands_there_twice() {
        for horizon in [1, 2, 3, 7] {
            let sets = sets(horizon);
            assert!(sets.contains(&TargetSet { days: Some(horizon), swing: true }), "{horizon}");
            for (at, set) in sets.iter().enumerate() {
                assert!(!sets[..at].contains(set), "{horizon}: {set:?}");
            }
        }
    }
}
