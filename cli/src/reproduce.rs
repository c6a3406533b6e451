//! `conrec reproduce`: the paper's three tables in form, for a dataset of one's own.

use crate::compare::{Comparison, Contender};
use crate::experiment::Trained;
use crate::experiment_report::{ExperimentArgs, ExperimentReport, contender, rows, runs_as_json, section};
use crate::failure::Failure;
use crate::stored_run;
use clap::Args;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::arms::{GIVEN, ablation_arms, reward_arms};
use conrec_feedback::metrics::COLUMNS;
use conrec_feedback::report_order::is_own;
use serde_json::json;
use std::collections::BTreeSet;

/// `conrec reproduce`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  conrec reproduce demo                    hours: every arm of the three tables, three seeds each
  conrec reproduce smoke --seeds 1         a quick look at the form; one seed is no measurement
  conrec reproduce my-data.toml --out reports/mine --set data.path=/data/mine

Each arm is an ordinary run (`conrec report`, `conrec audit`): a complete one is not trained again, and the same command
goes on after a stop. Writes reproduce.html, .md and .json, and the arms' configs and logs.")]
pub struct ReproduceArgs {
    /// Of what, and how.
    #[command(flatten)]
    pub experiment: ExperimentArgs,
}

/// Trains what the tables need and writes them.
///
/// # Errors
/// No such config, a run that fails, a folder that cannot be written.
pub fn run(args: &ReproduceArgs) -> Result<u8, Failure> {
    stored_run::wait(reproduce(args))
}

async fn reproduce(args: &ReproduceArgs) -> Result<u8, Failure> {
    let report = ExperimentReport::new(&args.experiment, "reproduce")?;
    let (ablation, rewards) = (ablation_arms(&report.given), reward_arms(&report.given));
    let Some(trained) = report.train(&[&ablation[..], &rewards].concat()).await? else {
        return Ok(ExitCode::Stopped.code());
    };
    let comparison = report.comparison(&trained, &COLUMNS);
    let models = main_contenders(&comparison, &trained);
    let (parts, variants) = (report.policies(&ablation, &trained), report.policies(&rewards, &trained));
    let mut with_sft = parts.clone();
    with_sft.push(contender("SFT only", GIVEN, "sft"));
    let sections = vec![
        section("Table 1: all models", &comparison, &models, &[]),
        section("Table 2: what each part adds", &comparison, &with_sft, &ablation),
        section("Table 3: rewards", &comparison, &variants, &rewards),
    ];
    let json = json!({
        "dataset": report.name,
        "table_1": rows(&comparison, &models, None),
        "table_2": rows(&comparison, &parts, None),
        "table_3": rows(&comparison, &variants, None),
        "runs": runs_as_json(&trained),
    });
    report.write(&report.document("CoNRec on", sections, &trained), &json)
}

/// Table 1: ours, SFT, the hit reward, and every baseline of the same runs.
fn main_contenders(comparison: &Comparison<'_>, trained: &[Trained]) -> Vec<Contender> {
    let models: BTreeSet<&String> = trained.iter().flat_map(|run| run.outcomes.models.keys()).collect();
    let ours = [
        contender("CoNRec (GRPO)", GIVEN, "grpo"),
        contender("SFT only", GIVEN, "sft"),
        contender("CoNRec (GRPO), with popularity", GIVEN, "grpo_with_popularity"),
        contender("SFT, with popularity", GIVEN, "sft_with_popularity"),
        contender("GRPO, hit reward (e)", "hit_reward", "grpo"),
    ];
    let baselines = models.into_iter().filter(|model| !is_own(model));
    let mut baselines: Vec<Contender> = baselines.map(|model| contender(model, GIVEN, model)).collect();
    let fhr = |contender: &Contender| comparison.metric(contender, "fhr").map_or(f64::NEG_INFINITY, |m| m.value);
    baselines.sort_by(|a, b| fhr(b).total_cmp(&fhr(a)));
    ours.into_iter().chain(baselines).collect()
}
