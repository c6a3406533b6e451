//! `conrec alignment-report`: what did the alignment stage teach, and did GRPO keep it? Held-out questions by kind of
//! distractor with drawn answers as a control, a linear probe of the policy's states beside what co-occurrence alone tells,
//! and a picture of the semantic ids' states before and after.

mod document;
mod measure;
mod moments;
mod pairs;

use crate::base_folder::open_base;
use crate::cuda;
use crate::error::WorkerError;
use crate::lease::Loaded;
use crate::pass_data::PassData;
use crate::prompt_frame::check_base;
use crate::provenance::of_run;
use crate::report_page::ReportData;
use crate::run_folder::RunFolder;
use crate::stored_run::StoreArgs;
use clap::Args;
use conrec_domain::ids::RunId;
use conrec_domain::spec::{Distractor, RunSpec, StageKind};
use conrec_domain::work::{Pass, QuestionCounts};
use conrec_feedback::bootstrap::MetricValue;
use conrec_feedback::provenance::Provenance;
use conrec_process::{Output, ReportFiles};
use measure::{Measured, Measuring};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// `conrec alignment-report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  conrec alignment-report demo-1a2b3c4d
  conrec alignment-report demo-1a2b3c4d --out reports/demo

Reads a finished run and writes alignment.html, .md and .json; changes nothing of the run. It looks at the policy of the
select pass: untrained, as the supervised stages left it, as all stages left it, and after each further stage whose
checkpoint is still there (checkpoint.keep_last). How it is to be read: docs/curriculum.md.")]
pub struct AlignmentArgs {
    /// The run's name
    #[arg(value_name = "RUN")]
    run: RunId,
    /// The store.
    #[command(flatten)]
    store: StoreArgs,
    /// Where the report is written; default: reports/ and the run's name
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What is printed at the end
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What is known in the end.
pub(crate) struct Findings {
    /// The run's report: it has the questions of all stages.
    report: ReportData,
    /// What names the numbers.
    identity: Provenance,
    /// By moment, in the order of the stages.
    moments: Vec<Measured>,
    /// What tells disliked from liked items without the policy: its name, found, with drawn labels.
    controls: Vec<(&'static str, MetricValue, MetricValue)>,
    /// How much of the questions' accuracy the GRPO stages cost, by kind.
    forgotten: Vec<Forgotten>,
    /// Pairs of a disliked and a liked item.
    pairs: usize,
    /// Of each drawn semantic id whether users mostly disliked it.
    disliked: Vec<bool>,
}

/// Accuracy before and after the GRPO stages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Forgotten {
    /// Where the distractors come from.
    kind: Distractor,
    /// After the last supervised stage.
    before: f64,
    /// After the last stage.
    after: f64,
    /// (before - after) / before (method, section 7); none where nothing was right before.
    rate: Option<f64>,
}

/// Measures, writes and prints the report.
///
/// # Errors
/// A run that still trains, files that cannot be read or written, and what the policy refuses.
pub fn run(args: &AlignmentArgs) -> Result<(), WorkerError> {
    let (spec, folder) = args.store.open(&args.run)?;
    cuda::ready(spec.cluster.device)?;
    folder.finished(&folder.newest_checkpoint()?)?;
    let findings = findings(&spec, &folder)?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("reports").join(args.run.as_str()));
    let (document, json) = (document::document(folder.run(), &findings), as_json(folder.run(), &findings));
    let files = ReportFiles { folder: &out, name: "alignment" };
    files.write(&document, &json, args.output).map_err(|(place, e)| WorkerError::file(place, e))
}

fn findings(spec: &RunSpec, folder: &RunFolder) -> Result<Findings, WorkerError> {
    let report: ReportData = serde_json::from_slice(&folder.read("report.json")?)
        .map_err(|e| WorkerError::file(folder.shown("report.json"), e))?;
    let loaded = Loaded::around(spec, PassData::without_prompts(spec, folder, Pass::Select)?)?;
    let base = open_base(spec)?;
    check_base(&base, folder)?;
    let measuring = Measuring::new(spec, &loaded)?;
    let mut moments = Vec::new();
    for moment in moments::moments(spec, folder)? {
        moments.push(measuring.measure(moment.name.clone(), &moment.policy((spec, &base), folder)?)?);
    }
    let state = Some(report.state_digest);
    let users: Vec<u32> = loaded.validation()?.users();
    let identity = of_run(spec, folder, &loaded.data.prepared, state)?.with_entered("validation", &users);
    Ok(Findings {
        identity,
        forgotten: forgotten(spec, &report),
        controls: measuring.controls(),
        pairs: measuring.pairs(),
        disliked: measuring.disliked(),
        report,
        moments,
    })
}

/// The questions' accuracy at the end of the last supervised stage and of the last stage, where a GRPO stage lies between.
fn forgotten(spec: &RunSpec, report: &ReportData) -> Vec<Forgotten> {
    let supervised = spec.stage.iter().rfind(|stage| stage.kind.is_supervised());
    let has_grpo = spec.stage.iter().any(|stage| stage.kind == StageKind::Grpo);
    let before = supervised.and_then(|stage| report.questions.iter().find(|point| point.stage == stage.name));
    let Some((before, after)) = before.zip(report.questions.last()).filter(|_| has_grpo) else {
        return Vec::new();
    };
    let after = after.counts.accuracies();
    let lost = |(kind, before, _): (Distractor, f64, u64)| {
        let (_, after, _) = *after.iter().find(|(other, ..)| *other == kind)?;
        Some(Forgotten { kind, before, after, rate: (before > 0.0).then(|| (before - after) / before) })
    };
    before.counts.accuracies().into_iter().filter_map(lost).collect()
}

fn as_json(run: &RunId, findings: &Findings) -> Value {
    let answers = |counts: &QuestionCounts| -> Map<String, Value> {
        let one = |(kind, accuracy, asked): (Distractor, f64, u64)| {
            (kind.to_string(), json!({"accuracy": accuracy, "asked": asked}))
        };
        counts.accuracies().into_iter().map(one).collect()
    };
    let moment = |m: &Measured| {
        json!({
            "after_stage": m.name, "questions": answers(&m.questions), "drawn_answers": answers(&m.drawn_answers),
            "probe": m.probe, "probe_of_drawn_labels": m.probe_of_drawn_labels, "plane_share": m.plane.share,
        })
    };
    let control = |(name, found, drawn): &(&str, MetricValue, MetricValue)| json!({"features": name, "probe": found, "probe_of_drawn_labels": drawn});
    let stage = |point: &conrec_domain::work::QuestionPoint| json!({"after_stage": point.stage, "questions": answers(&point.counts)});
    let lost =
        |f: &Forgotten| (f.kind.to_string(), json!({"before": f.before, "after": f.after, "forget_rate": f.rate}));
    json!({
        "run": run,
        "identity": findings.identity,
        "questions_by_stage": findings.report.questions.iter().map(stage).collect::<Vec<_>>(),
        "forgotten": findings.forgotten.iter().map(lost).collect::<Map<String, Value>>(),
        "pairs": findings.pairs,
        "controls": findings.controls.iter().map(control).collect::<Vec<_>>(),
        "moments": findings.moments.iter().map(moment).collect::<Vec<_>>(),
    })
}
