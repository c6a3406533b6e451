//! `conrec reproduce`: the paper's three tables in form, for a dataset of one's own.

use crate::compare::{Comparison, Contender};
use crate::experiment::Trained;
use crate::experiment_report::{ExperimentArgs, ExperimentReport, contender};
use crate::experiment_tables::{rows, rows_of_pairs, runs_as_json, section, section_of_pairs};
use crate::failure::Failure;
use crate::stored_run;
use clap::Args;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::arms::{GIVEN, PAPER, ablation_arms, paper_arm, reward_arms};
use conrec_domain::spec::RunConfig;
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
    let (after, variants) = (report.policies(&ablation, &trained), report.policies(&rewards, &trained));
    let before = after.iter().map(|after| Contender { model: "sft".to_owned(), own: false, ..after.clone() });
    let parts: Vec<(Contender, Contender)> = before.zip(after.iter().cloned()).collect();
    let mut all_models = section("Table 1: all models", &comparison, &models, &[]);
    all_models.hint = format!("{} {}", all_models.hint, baselines(&report.given));
    let mut of_rewards = section("Table 3: rewards", &comparison, &variants, &rewards);
    if paper_arm(&report.given).is_none() {
        of_rewards.hint.push_str(" The config's reward and advantages are the paper's: there is no arm `paper_shape`.");
    }
    let sections =
        vec![all_models, section_of_pairs("Table 2: what each part adds", &comparison, &parts, &ablation), of_rewards];
    let identity = report.identity(&trained)?;
    let json = json!({
        "dataset": report.name,
        "identity": identity,
        "table_1": rows(&comparison, &models, models.first()),
        "table_2": rows_of_pairs(&comparison, &parts),
        "table_3": rows(&comparison, &variants, variants.first()),
        "runs": runs_as_json(&trained),
    });
    report.write(&report.document("CoNRec on", sections, (&trained, &identity)), &json)
}

/// What table 1 says of its baselines.
fn baselines(given: &RunConfig) -> String {
    let asked = &given.baseline;
    let missing = match (asked.tune, asked.sasrec.enabled) {
        (true, true) => "",
        (true, false) => " SASRec is off (baseline.sasrec.enabled).",
        (false, true) => " No baseline is tuned and no policy mixed with popularity (baseline.tune is off).",
        (false, false) => {
            " SASRec is off (baseline.sasrec.enabled), and no baseline is tuned and no policy mixed with popularity \
             (baseline.tune is off): ours is held against weak rivals."
        }
    };
    format!(
        "Baselines are those of the config's own runs, on the same data; the other arms of the tables train none, as baselines \
         do not depend on the policy.{missing}"
    )
}

/// Table 1: ours, SFT, the paper's reward where the config's is another, the hit reward, and every baseline of the same runs.
fn main_contenders(comparison: &Comparison<'_>, trained: &[Trained]) -> Vec<Contender> {
    let models: BTreeSet<&String> = trained.iter().flat_map(|run| run.outcomes.models.keys()).collect();
    let ours = [
        contender("CoNRec (GRPO)", GIVEN, "grpo"),
        contender("SFT only", GIVEN, "sft"),
        contender("CoNRec (GRPO), with popularity", GIVEN, "grpo_with_popularity"),
        contender("SFT, with popularity", GIVEN, "sft_with_popularity"),
        contender("GRPO, the paper's reward shape", PAPER, "grpo"),
        contender("GRPO, hit reward (e)", "hit_reward", "grpo"),
    ];
    let baselines = models.into_iter().filter(|model| !is_own(model));
    let mut baselines: Vec<Contender> = baselines.map(|model| contender(model, GIVEN, model)).collect();
    let fhr = |contender: &Contender| comparison.metric(contender, "fhr").map_or(f64::NEG_INFINITY, |m| m.value);
    baselines.sort_by(|a, b| fhr(b).total_cmp(&fhr(a)));
    ours.into_iter().chain(baselines).collect()
}
