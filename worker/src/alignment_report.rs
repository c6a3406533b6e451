//! `conrec alignment-report`: what did the alignment stage teach, and did GRPO keep it? Held-out questions by kind of
//! distractor with drawn answers as a control, a linear probe of the policy's states beside what co-occurrence alone tells,
//! and a picture of the semantic ids' states before and after.

mod answers;
mod document;
mod measure;
mod moments;
mod pairs;
mod translation;

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
use answers::Asked;
use clap::Args;
use conrec_domain::ids::RunId;
use conrec_domain::spec::{Distractor, RunSpec, StageKind};
use conrec_domain::work::{Pass, QuestionCounts, QuestionPoint};
use conrec_feedback::bootstrap::MetricValue;
use conrec_feedback::provenance::Provenance;
use conrec_process::{Output, ReportFiles};
use measure::{Measured, Measuring};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use translation::{Translated, Translating};

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
    moments: Vec<Moment>,
    /// The questions at all stages' ends.
    stages: Vec<Stage>,
    /// What tells disliked from liked items without the policy: its name, found, with drawn labels.
    controls: Vec<(&'static str, MetricValue, MetricValue)>,
    /// How much of the questions' accuracy the GRPO stages cost, by kind.
    forgotten: Vec<Forgotten>,
    /// Pairs of a disliked and a liked item, and their users.
    pairs: (usize, usize),
    /// Of each drawn semantic id whether users mostly disliked it.
    disliked: Vec<bool>,
}

/// What was found of a policy, with intervals.
pub(crate) struct Moment {
    /// The policy's.
    measured: Measured,
    /// Of held-out questions.
    questions: Accuracies,
    /// The same with drawn answers.
    drawn_answers: Accuracies,
    /// What it knows of semantic ids in words, where a stage translates.
    translated: Option<Translated>,
}

impl Moment {
    fn of(measured: Measured, translated: Option<Translated>, asked: Asked<'_>) -> Self {
        let questions = measured.questions.accuracies(asked);
        let drawn_answers = measured.drawn_answers.accuracies(asked);
        Self { measured, questions, drawn_answers, translated }
    }
}

/// A moment in the order of the stages: how the run's own leases answered, and with a policy that is still there the answers by
/// user.
pub(crate) struct Stage {
    /// The stage that had ended; empty before the first.
    name: String,
    /// What the run counted.
    counts: QuestionCounts,
    /// Accuracies with intervals over users; none where no checkpoint of that moment is left.
    measured: Option<Accuracies>,
}

/// By kind that was asked.
type Accuracies = Vec<(Distractor, MetricValue)>;

/// Accuracy before and after the GRPO stages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Forgotten {
    /// Where the distractors come from.
    kind: Distractor,
    /// After the last supervised stage.
    before: MetricValue,
    /// After the last stage.
    after: MetricValue,
    /// (before - after) / before (method, section 7), paired by instance; none where nothing was right before.
    rate: Option<MetricValue>,
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
    let translating = Translating::new(spec, folder, &loaded.data)?;
    let (mut moments, mut translated) = (Vec::new(), Vec::new());
    for moment in moments::moments(spec, folder)? {
        let policy = moment.policy((spec, &base), folder)?;
        moments.push(measuring.measure(moment.name.clone(), &policy)?);
        translated.push(translating.as_ref().map(|of| of.measure(&policy)).transpose()?);
    }
    let state = Some(report.state_digest);
    let users: Vec<u32> = loaded.validation()?.users();
    let identity = of_run(spec, folder, &loaded.data.prepared, state)?.with_entered("validation", &users);
    let asked = measuring.asked();
    Ok(Findings {
        identity,
        forgotten: forgotten(spec, &moments, asked),
        controls: measuring.controls(),
        pairs: (measuring.pairs(), measuring.pair_users()),
        disliked: measuring.disliked(),
        stages: stages(&report, &moments, asked),
        moments: moments.into_iter().zip(translated).map(|(of, words)| Moment::of(of, words, asked)).collect(),
        report,
    })
}

/// The questions' accuracy at the end of the last supervised stage and of the last stage, where a GRPO stage lies between.
fn forgotten(spec: &RunSpec, moments: &[Measured], asked: Asked<'_>) -> Vec<Forgotten> {
    let supervised = spec.stage.iter().rfind(|stage| stage.kind.is_supervised());
    let has_grpo = spec.stage.iter().any(|stage| stage.kind == StageKind::Grpo);
    let before = supervised.and_then(|stage| moments.iter().find(|moment| moment.name == stage.name));
    let after = spec.stage.last().and_then(|stage| moments.iter().find(|moment| moment.name == stage.name));
    let both = before.zip(after).filter(|_| has_grpo);
    both.map(|(before, after)| before.questions.lost_to(&after.questions, asked)).unwrap_or_default()
}

/// What the run counted at each stage's end, beside what is measured of the policies that are still there.
fn stages(report: &ReportData, moments: &[Measured], asked: Asked<'_>) -> Vec<Stage> {
    let stage = |point: &QuestionPoint| Stage {
        name: point.stage.clone(),
        counts: point.counts,
        measured: moments.iter().find(|m| m.name == point.stage).map(|m| m.questions.accuracies(asked)),
    };
    report.questions.iter().map(stage).collect()
}

fn as_json(run: &RunId, findings: &Findings) -> Value {
    let measured = |of: &[(Distractor, MetricValue)]| -> Map<String, Value> {
        let one = |(kind, found): &(Distractor, MetricValue)| {
            let value = json!({"accuracy": found.value, "low": found.low, "high": found.high, "asked": found.n});
            (kind.to_string(), value)
        };
        of.iter().map(one).collect()
    };
    let counted = |counts: &QuestionCounts| -> Map<String, Value> {
        let one = |(kind, accuracy, asked): (Distractor, f64, u64)| {
            (kind.to_string(), json!({"accuracy": accuracy, "asked": asked}))
        };
        counts.accuracies().into_iter().map(one).collect()
    };
    let moment = |m: &Moment| {
        json!({
            "after_stage": m.measured.name, "questions": measured(&m.questions), "drawn_answers": measured(&m.drawn_answers),
            "probe": m.measured.probe, "probe_of_drawn_labels": m.measured.probe_of_drawn_labels,
            "plane_share": m.measured.plane.share,
            "translation": m.translated,
        })
    };
    let control = |(name, found, drawn): &(&str, MetricValue, MetricValue)| json!({"features": name, "probe": found, "probe_of_drawn_labels": drawn});
    let stage = |stage: &Stage| {
        let questions = stage.measured.as_deref().map_or_else(|| counted(&stage.counts), measured);
        json!({"after_stage": stage.name, "questions": questions})
    };
    let lost =
        |f: &Forgotten| (f.kind.to_string(), json!({"before": f.before, "after": f.after, "forget_rate": f.rate}));
    json!({
        "run": run,
        "identity": findings.identity,
        "questions_by_stage": findings.stages.iter().map(stage).collect::<Vec<_>>(),
        "forgotten": findings.forgotten.iter().map(lost).collect::<Map<String, Value>>(),
        "pairs": findings.pairs.0,
        "pair_users": findings.pairs.1,
        "controls": findings.controls.iter().map(control).collect::<Vec<_>>(),
        "moments": findings.moments.iter().map(moment).collect::<Vec<_>>(),
    })
}
