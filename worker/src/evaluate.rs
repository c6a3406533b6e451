//! All models and baselines on one window, by the same rules: same instances, candidates, exclusions, resamples.

use crate::caught::caught;
use crate::error::WorkerError;
use crate::held_out_reward::held_out_rewards;
use crate::mixes::{Mixes, Mixing};
use crate::pass_data::PassData;
use crate::rank::rank;
use crate::report_page::{Difference, Interval};
use crate::tuned_baselines::{TunedBaselines, content};
use conrec_domain::spec::RunSpec;
use conrec_feedback::baseline_tuning::Fitting;
use conrec_feedback::baselines::fit_baselines;
use conrec_feedback::bootstrap::{MetricValue, Resampling, interval};
use conrec_feedback::cell_evaluation::CellEvaluation;
use conrec_feedback::cell_popularity::CellPopularity;
use conrec_feedback::evaluation::{Evaluation, ModelMetrics};
use conrec_feedback::outcomes::Outcomes;
use conrec_feedback::popularity_mix::ItemProbabilities;
use conrec_policy::transformer::Policy;
use std::collections::BTreeMap;

/// A window's table.
#[derive(Clone, Debug, Default)]
pub struct WindowResult {
    /// Model to metric to value.
    pub models: BTreeMap<String, BTreeMap<String, Interval>>,
    /// Paired differences of GRPO against SFT and the strongest popularity.
    pub differences: Vec<Difference>,
    /// What each model scored on each instance.
    pub outcomes: Outcomes,
    /// How each policy was mixed with popularity; empty where nothing is tuned.
    pub mixes: Mixes,
}

/// A trained model by its name in the report.
pub struct NamedPolicy {
    /// `grpo` or `sft`.
    pub name: &'static str,
    /// The policy.
    pub policy: Policy,
    /// An earlier one of the list that is known to be the same: it is not computed again.
    pub same_as: Option<&'static str>,
}

/// What is compared, instance by instance: GRPO with all that it should be above, and both with popularity.
const COMPARED: [(&str, &str); 8] = [
    ("grpo", "sft"),
    ("grpo", "neg_pop_28d"),
    ("grpo", "neg_pop_7d"),
    ("grpo", "neg_pop_tuned"),
    ("grpo", "sasrec_signed"),
    ("grpo", "sft_with_popularity"),
    ("grpo_with_popularity", "sft_with_popularity"),
    ("grpo_with_popularity", "neg_pop_tuned"),
];

/// What is measured of a policy, and what it says of the items of each instance.
type Measured = (ModelMetrics, Vec<ItemProbabilities>);

/// Evaluates policies and, with what was chosen for those that have settings, the baselines.
///
/// # Errors
/// What the policy refuses.
pub fn evaluate(
    spec: &RunSpec,
    data: &PassData,
    evaluation: &Evaluation,
    policies: Vec<NamedPolicy>,
    tuned: Option<&TunedBaselines>,
) -> Result<WindowResult, WorkerError> {
    let mut result = WindowResult::default();
    let mut measured = BTreeMap::new();
    let mut said = BTreeMap::new();
    for (name, (metrics, probabilities)) in measure_policies(spec, data, evaluation, policies)? {
        measured.insert(name.clone(), metrics);
        said.insert(name, probabilities);
    }
    if let Some(tuned) = tuned {
        measured.extend(measure_baselines(spec, data, evaluation, tuned)?);
        result.mixes = match &tuned.mixing {
            Mixing::Choose => Mixes::choose(spec, data, evaluation, &said),
            Mixing::Chosen(mixes) => mixes.clone(),
        };
        measured.extend(result.mixes.measure(data, evaluation, &said));
    }
    measured.extend(evaluation.chance().map(|chance| ("chance".to_owned(), chance)));
    for (left, right) in COMPARED {
        for metric in [format!("fhr@{}", spec.evaluation.top), "cand_acc".to_owned()] {
            let (Some(a), Some(b)) = (measured.get(left), measured.get(right)) else { continue };
            if let Some(value) = evaluation.difference(a, b, &metric) {
                let (left, right) = (left.to_owned(), right.to_owned());
                result.differences.push(Difference { left, right, metric, interval: shown(&value) });
            }
        }
    }
    result.outcomes.instances = data.keys(evaluation.instances());
    result.outcomes.models = measured.iter().map(|(name, m)| (name.clone(), m.by_instance.clone())).collect();
    result.models = measured
        .into_iter()
        .map(|(name, m)| (name, m.values.iter().filter(|(_, v)| v.n > 0).map(|(k, v)| (k.clone(), shown(v))).collect()))
        .collect();
    Ok(result)
}

/// Measures each policy on a thread of its own. A policy's numbers do not depend on that: every thread computes with
/// the config's number of threads.
fn measure_policies(
    spec: &RunSpec,
    data: &PassData,
    evaluation: &Evaluation,
    policies: Vec<NamedPolicy>,
) -> Result<BTreeMap<String, Measured>, WorkerError> {
    let (same, different): (Vec<_>, Vec<_>) = policies.into_iter().partition(|p| p.same_as.is_some());
    let mut measured = std::thread::scope(|scope| {
        let running: Vec<_> = different
            .into_iter()
            .map(|NamedPolicy { name, policy, .. }| {
                let measure = move || {
                    tch::set_num_threads(i32::try_from(spec.cluster.threads).unwrap_or(1));
                    caught(&format!("the evaluation of {name}"), || measure_policy(spec, data, evaluation, &policy))
                };
                (name, scope.spawn(measure))
            })
            .collect();
        let join = |(name, thread): (&str, std::thread::ScopedJoinHandle<'_, _>)| {
            let panicked = |_| Err(WorkerError::Protocol(format!("the evaluation of {name} panicked")));
            Ok((name.to_owned(), thread.join().unwrap_or_else(panicked)?))
        };
        running.into_iter().map(join).collect::<Result<BTreeMap<String, Measured>, WorkerError>>()
    })?;
    for NamedPolicy { name, same_as, .. } in same {
        if let Some(metrics) = same_as.and_then(|other| measured.get(other)).cloned() {
            measured.insert(name.to_owned(), metrics);
        }
    }
    Ok(measured)
}

fn measure_policy(
    spec: &RunSpec,
    data: &PassData,
    evaluation: &Evaluation,
    policy: &Policy,
) -> Result<Measured, WorkerError> {
    let ranked = rank(spec, data, evaluation, policy, 0..evaluation.instances().len())?;
    let mut metrics = evaluation.measure(&ranked.predictions);
    // The same metrics on lists of cells: they mostly measure the size of cells.
    metrics.values.extend(CellEvaluation::new(evaluation, &data.prepared.ids).measure(&ranked.cells).values);
    let rewards = held_out_rewards(spec, data, evaluation, policy)?;
    let resampling = Resampling { times: spec.evaluation.bootstrap, seed: spec.evaluation.seed };
    for (name, rewards) in [("reward", rewards.shaped), ("paper_reward", rewards.paper)] {
        metrics.values.insert(name.to_owned(), interval(&evaluation.users(), &rewards, resampling));
    }
    Ok((metrics, ranked.probabilities))
}

fn measure_baselines(
    spec: &RunSpec,
    data: &PassData,
    evaluation: &Evaluation,
    tuned: &TunedBaselines,
) -> Result<BTreeMap<String, ModelMetrics>, WorkerError> {
    let (training, content) = (data.training_time(), content(spec, data));
    let fitting = Fitting { training: &training, content: &content, reward: &spec.reward };
    let mut measured = tuned.measure(spec, data, evaluation, &fitting)?;
    for (name, model) in fit_baselines(&training, &content, &spec.reward) {
        let predictions = evaluation.predict(model.as_ref(), &data.history);
        measured.insert(name.to_owned(), evaluation.measure(&predictions));
    }
    let ids = &data.prepared.ids;
    let popular = CellPopularity::fit(&training, ids, spec.evaluation.share_days);
    let top = spec.evaluation.top as usize;
    let lists: Vec<Vec<u32>> =
        (0..evaluation.instances().len()).map(|i| popular.list(ids, evaluation.excluded(i), top)).collect();
    measured.insert("cell_pop".to_owned(), CellEvaluation::new(evaluation, ids).measure(&lists));
    Ok(measured)
}

fn shown(value: &MetricValue) -> Interval {
    Interval { value: value.value, low: Some(value.low), high: Some(value.high), n: Some(value.n) }
}
