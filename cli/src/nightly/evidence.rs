//! What a night's run is judged by: what it and its opponent scored on the same instances, and which semantic ids changed.

use crate::compare::is_metric;
use crate::failure::Failure;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::RunObjects;
use conrec_domain::ids::Digest;
use conrec_domain::nightly::{Compared, Trained};
use conrec_domain::spec::RunConfig;
use conrec_feedback::bootstrap::Resampling;
use conrec_feedback::outcomes::Outcomes;
use conrec_feedback::over_seeds::{Sample, paired_bound};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What each model of a run scored on each instance of its test window.
const OUTCOMES: &str = "outcomes/test.parquet";

/// Ids of all items that a run ever had.
const INDEX: &str = "quantizer/index.json";

/// The trained policy, in reports and outcomes.
pub const POLICY: &str = "grpo";

/// The part of `report.json` that names results.
#[derive(Deserialize)]
struct Report {
    state_digest: Digest,
    #[serde(default)]
    outcomes: BTreeMap<String, Digest>,
}

async fn report(run: &RunObjects) -> Result<Report, Failure> {
    let text = run.read("report.json").await?.unwrap_or_default();
    serde_json::from_slice(&text).map_err(|error| bad(run, "report.json", &error.to_string()))
}

fn bad(run: &RunObjects, name: &str, error: &str) -> Failure {
    Failure::new(ExitCode::BadData, format!("{} cannot be read: {error}", run.place(name)))
}

/// What a complete run scored.
///
/// # Errors
/// Files that are missing or damaged.
pub async fn outcomes(run: &RunObjects) -> Result<Outcomes, Failure> {
    let bytes = run.read(OUTCOMES).await?.ok_or_else(|| bad(run, OUTCOMES, "it is not there"))?;
    let report = report(run).await?;
    let digest = report.outcomes.get(OUTCOMES).ok_or_else(|| bad(run, "report.json", "it names no outcomes"))?;
    Outcomes::decode(bytes, digest).map_err(|error| bad(run, OUTCOMES, &error.to_string()))
}

/// What came of a training, beside the run that served.
///
/// # Errors
/// Files that are missing or damaged.
pub async fn trained(run: &RunObjects, served: Option<&RunObjects>) -> Result<Trained, Failure> {
    let state = report(run).await?.state_digest;
    let ids = index(run).await?;
    let before = match served {
        Some(served) => index(served).await?,
        None => BTreeMap::new(),
    };
    let mut trained = Trained { state, kept_ids: 0, changed_ids: 0, new_ids: 0 };
    for (item, id) in &ids {
        match before.get(item) {
            None => trained.new_ids += 1,
            Some(earlier) if earlier == id => trained.kept_ids += 1,
            Some(_) => trained.changed_ids += 1,
        }
    }
    Ok(trained)
}

/// Empty where a run's ids are published ones: they are not the run's to keep.
async fn index(run: &RunObjects) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let Some(text) = run.read(INDEX).await? else { return Ok(BTreeMap::new()) };
    serde_json::from_slice(&text).map_err(|error| bad(run, INDEX, &error.to_string()))
}

/// The metrics of `[nightly]`, for the policy of `new` and the `model` of `old`. A metric that one of them lacks is left
/// out.
pub fn compared(config: &RunConfig, new: &Outcomes, (old, model): (&Outcomes, &str)) -> Vec<Compared> {
    let resampling = Resampling { times: config.evaluation.bootstrap, seed: config.evaluation.seed };
    let of = |metric: &String| {
        let found = paired_bound(
            &sample(new, POLICY, metric)?,
            &sample(old, model, metric)?,
            resampling,
            config.nightly.confidence,
        )?;
        Some(Compared {
            metric: metric.clone(),
            new: found.first,
            old: found.second,
            difference: found.difference,
            low: found.low,
            instances: found.instances,
        })
    };
    config.nightly.metrics.iter().filter_map(of).collect()
}

fn sample<'a>(outcomes: &'a Outcomes, model: &str, metric: &str) -> Option<Sample<'a>> {
    let (_, values) = outcomes.models.get(model)?.iter().find(|(key, _)| is_metric(key, metric))?;
    Some(Sample { instances: &outcomes.instances, values })
}
