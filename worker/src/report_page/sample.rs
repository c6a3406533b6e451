//! A made-up run for the page's tests; numbers in the range of a real one.

use super::{BaselineChoice, Difference, Interval, LevelUsage, ReportData, SemanticIdUsage, Split, SplitWindow};
use conrec_domain::ids::{Digest, Iteration};
use conrec_domain::metrics_line::MetricsLine;
use conrec_domain::spec::{DataSpec, Statistics};
use conrec_domain::work::{Decision, Pass, Score};
use conrec_feedback::readers::Negatives;
use std::collections::BTreeMap;

/// Name, FHR with its ends, HR, FRecall, LUF, LIF, CandAcc, PosHit.
const MODELS: [(&str, [f64; 9]); 8] = [
    ("grpo", [0.2183, 0.193, 0.243, 0.1624, 0.1541, 0.2240, 0.0012, 0.1012, 0.1498]),
    ("sft", [0.2159, 0.191, 0.240, 0.1611, 0.1524, 0.2210, 0.0000, 0.0944, 0.1557]),
    ("neg_pop", [0.1635, 0.140, 0.187, 0.1163, 0.1123, 0.1558, 0.0000, 0.0944, 0.1321]),
    ("neg_pop_7d", [0.2398, 0.215, 0.266, 0.1792, 0.1707, 0.2491, 0.0000, 0.0793, 0.1487]),
    ("neg_pop_28d", [0.2255, 0.199, 0.253, 0.1725, 0.1652, 0.2364, 0.0000, 0.0862, 0.1715]),
    ("item_knn", [0.0543, 0.034, 0.079, 0.0343, 0.0311, 0.0199, 0.0024, 0.0931, 0.0266]),
    ("swing", [0.0815, 0.061, 0.104, 0.0505, 0.0482, 0.0399, 0.0000, 0.0703, 0.0420]),
    ("rocchio", [0.0319, 0.02, 0.045, 0.0195, 0.0188, 0.0272, 0.0152, 0.0970, 0.0236]),
];

/// Report and metrics of a run with two supervised and three GRPO stages in two passes.
pub(super) fn run() -> (ReportData, Vec<MetricsLine>) {
    let lines = lines();
    let report = ReportData {
        run_id: "demo-1a2b3c4d".parse().unwrap(),
        config_digest: Digest::of(b"config"),
        data_digest: Digest::of(b"data"),
        code_version: "0.1.0+4f1c9e2".into(),
        state_digest: Digest::of(b"state"),
        iterations: lines.len() as u64,
        journal_digest: Digest::of(b"journal"),
        wall_seconds: 271.4,
        statistics: Statistics::Refit,
        split: split(),
        negatives: Some(Negatives::of(&DataSpec::default())),
        models: models(),
        validation: BTreeMap::new(),
        outcomes: BTreeMap::new(),
        differences: vec![
            difference("sft", "fhr@20", [0.0024, -0.0021, 0.0068]),
            difference("sft", "cand_acc", [0.0068, 0.0012, 0.0121]),
            difference("neg_pop_7d", "fhr@20", [-0.0215, -0.0398, -0.0031]),
        ],
        last_changes: Vec::new(),
        questions: Vec::new(),
        decisions: decisions(),
        baseline_choices: vec![BaselineChoice {
            model: "neg_pop_tuned".into(),
            setting: "the last 7 days".into(),
            tried: 6,
            score: Score { fhr: 0.2401, candidate_accuracy: 0.0812 },
        }],
        semantic_ids: vec![usage(Pass::Select, 9_120), usage(Pass::Refit, 9_514)],
        notes: vec!["Proxy negatives: rating <= 5. Nobody was asked what they dislike.".into()],
    };
    (report, lines)
}

fn models() -> BTreeMap<String, BTreeMap<String, Interval>> {
    let names = ["hr@20", "frecall@20", "luf@20", "lif@20", "cand_acc", "pos_hit@20"];
    let mut models: BTreeMap<String, BTreeMap<String, Interval>> = MODELS
        .iter()
        .map(|(model, v)| {
            let around =
                |value: f64| Interval { value, low: Some(value * 0.9), high: Some(value * 1.1), n: Some(2_098) };
            let mut metrics: BTreeMap<String, Interval> =
                names.iter().zip(&v[3..]).map(|(name, value)| ((*name).to_owned(), around(*value))).collect();
            let fhr = Interval { value: v[0], low: Some(v[1]), high: Some(v[2]), n: Some(2_098) };
            metrics.insert("fhr@20".into(), fhr);
            metrics.insert("sid_fhr@20".into(), around(v[0] * 1.4));
            ((*model).to_owned(), metrics)
        })
        .collect();
    let only = Interval { value: 0.1391, low: Some(0.124), high: Some(0.154), n: Some(2_098) };
    models.insert("dislike_rate".into(), [("cand_acc".to_owned(), only)].into());
    models
}

fn difference(right: &str, metric: &str, [value, low, high]: [f64; 3]) -> Difference {
    let interval = Interval { value, low: Some(low), high: Some(high), n: None };
    Difference { left: "grpo".into(), right: right.into(), metric: metric.into(), interval }
}

fn split() -> Split {
    let window = |name: &str, train_end, from, to, instances, users| SplitWindow {
        name: name.into(),
        train_end,
        from,
        to,
        instances,
        users,
        users_seen: Some(users + 400),
        users_without_negatives: Some(390),
    };
    Split {
        source: "MovieTweetings 100K".into(),
        counts: [("events", 100_000), ("users", 16_554), ("items", 10_506), ("negatives", 14_214)]
            .into_iter()
            .map(|(name, count)| (name.to_owned(), count))
            .collect(),
        windows: vec![
            window("validation", 1_374_000_000, 1_374_000_000, 1_375_209_600, 1_411, 870),
            window("test", 1_375_814_400, 1_375_814_400, 1_377_974_400, 2_098, 1_225),
        ],
    }
}

fn usage(pass: Pass, items: u64) -> SemanticIdUsage {
    let level = |steep: f64, dead: u32| {
        let counts: Vec<u32> = (0..64)
            .map(|i| if i < 64 - dead { (400.0 * f64::exp(-steep * f64::from(i))) as u32 + 20 } else { 0 })
            .collect();
        LevelUsage { codes: 64, used: 64 - dead, dead, perplexity: 58.0 - 60.0 * steep, gini: 6.0 * steep, counts }
    };
    let levels = vec![level(0.03, 0), level(0.05, 0), level(0.08, 5)];
    SemanticIdUsage { pass, items, cells: items * 83 / 100, collision_rate: 0.291, largest_cell: 31, levels }
}

fn decisions() -> Vec<Decision> {
    let decide = |stage: &str, iteration, score: Option<(f64, f64)>, reason: &str| Decision {
        pass: if score.is_some() { Pass::Select } else { Pass::Refit },
        stage: stage.into(),
        iteration,
        score: score.map(|(fhr, candidate_accuracy)| Score { fhr, candidate_accuracy }),
        reason: reason.into(),
    };
    vec![
        decide("next_item", 60, Some((0.149, 0.081)), "end of the stage"),
        decide("next_negative", 40, Some((0.171, 0.090)), "end of the stage"),
        decide("grpo_3d", 0, Some((0.171, 0.090)), "start of the stage"),
        decide("grpo_3d", 10, Some((0.174, 0.093)), "new best: FHR@20 0.1740 after 0.1710"),
        decide("grpo_3d", 20, Some((0.172, 0.095)), "no new best"),
        decide("grpo_negatives", 0, Some((0.174, 0.093)), "start of the stage"),
        decide("grpo_negatives", 10, Some((0.170, 0.096)), "no new best: FHR@20 below the stage's start"),
        decide("grpo_negatives", 20, Some((0.166, 0.097)), "stage ends early: back to iteration 0"),
        decide("grpo_all", 0, Some((0.174, 0.093)), "start of the stage"),
        decide("grpo_all", 10, Some((0.175, 0.099)), "new best: FHR@20 0.1750 after 0.1740"),
        decide("grpo_3d", 10, None, "10 iterations, as chosen"),
    ]
}

fn lines() -> Vec<MetricsLine> {
    let stages = [("next_item", 60), ("next_negative", 40), ("grpo_3d", 30), ("grpo_negatives", 20), ("grpo_all", 30)];
    let mut lines: Vec<MetricsLine> = Vec::new();
    for pass in [Pass::Select, Pass::Refit] {
        for (stage, count) in stages {
            for i in 1..=count {
                let x = f64::from(i) / f64::from(count);
                let wave = (f64::from(i) * 2.3).sin() * 0.02 + (f64::from(i) * 0.7).cos() * 0.01;
                let grpo = |value: f64| stage.starts_with("grpo").then_some(value);
                lines.push(MetricsLine {
                    iteration: Iteration(lines.len() as u64 + 1),
                    pass,
                    stage: stage.into(),
                    stage_iteration: i,
                    loss: 4.0 - 1.5 * x.sqrt() + wave,
                    loss_to_title: None,
                    loss_to_item: None,
                    reward: grpo(0.34 + 0.08 * x + wave),
                    reward_std: grpo(0.2),
                    frac_reward_zero_std: grpo((0.04 + 0.06 * x + wave).max(0.0)),
                    beta: grpo(0.1),
                    kl: grpo(0.002 + 0.05 * x * x + 0.1 * wave.abs()),
                    entropy: grpo(2.9 - 0.5 * x + wave),
                    clip_ratio: grpo(0.0),
                    ratio_std: None,
                    refilled: None,
                    nll: None,
                    effective_completions: None,
                    distinct: grpo(15.0 - 2.0 * x + 10.0 * wave),
                    abstained: grpo(0.0),
                    learning_rate: 5e-5,
                    step_time: 0.2,
                    validation_fhr: None,
                    validation_candidate_accuracy: None,
                });
            }
        }
    }
    lines
}
