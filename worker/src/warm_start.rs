//! What a run goes on from (`[warm_start]`): another run's weights, and its semantic ids.

use crate::base_folder::open_base;
use crate::error::WorkerError;
use crate::execute::load_state;
use crate::kept_ids::KeptIds;
use crate::run_folder::RunFolder;
use conrec_domain::ids::{Digest, RunId};
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_policy::base_model::BaseModel;
use conrec_policy::lora::LoraConfig;
use conrec_policy::warm_start::WarmStart;
use serde::Deserialize;

/// What a finished run says of itself.
const REPORT: &str = "report.json";

/// The files of the run that a config goes on from; none where it begins anew.
///
/// # Errors
/// There is no such run.
fn earlier(spec: &RunSpec, folder: &RunFolder) -> Result<Option<RunFolder>, WorkerError> {
    let Ok(run) = spec.warm_start.run.parse::<RunId>() else { return Ok(None) };
    folder.sibling(run).map(Some)
}

/// The ids that stay; none where a quantizer is fitted, or ids are read from a file.
///
/// # Errors
/// There is no such run, or what it left does not fit.
pub fn kept_ids(spec: &RunSpec, folder: &RunFolder) -> Result<Option<KeptIds>, WorkerError> {
    if !spec.semantic_id.file.is_empty() {
        return Ok(None);
    }
    earlier(spec, folder)?.map(|earlier| KeptIds::open(&earlier, spec)).transpose()
}

/// The digest by which a finished run's report names its state.
fn reported(earlier: &RunFolder) -> Result<Digest, WorkerError> {
    #[derive(Deserialize)]
    struct Report {
        state_digest: Digest,
    }
    let report: Report = serde_json::from_slice(&earlier.read(REPORT)?)
        .map_err(|error| WorkerError::file(earlier.shown(REPORT), error))?;
    Ok(report.state_digest)
}

/// The base, whose passes begin with the weights of the run that the config goes on from.
///
/// # Errors
/// There is no such run, it still trains, its state is not the one that the config names, or its model is another.
pub fn going_on(spec: &RunSpec, folder: &RunFolder, base: BaseModel) -> Result<BaseModel, WorkerError> {
    let Some(earlier) = earlier(spec, folder)? else { return Ok(base) };
    let refused = |found: String, allowed: &str| WorkerError::Config {
        key: "warm_start.run",
        found,
        allowed: allowed.to_owned(),
    };
    let text = String::from_utf8_lossy(&earlier.read("run.toml")?).into_owned();
    let of_earlier = RunSpec::check(RunConfig::parse(&text, "run.toml")?)?;
    let (theirs, ours) = (&of_earlier.model, &spec.model);
    if (&theirs.base, &theirs.revision) != (&ours.base, &ours.revision) {
        let found = format!("a run with model.base = {:?} at {:?}", theirs.base, theirs.revision);
        return Err(refused(found, "one with the base of this config"));
    }
    let key = earlier.newest_checkpoint()?;
    earlier.finished(&key)?;
    // A pretrained base is held once; the shape of one from scratch costs nothing.
    let of_scratch = if base.pretrained().is_none() { Some(open_base(&of_earlier)?) } else { None };
    let their_base = of_scratch.as_ref().unwrap_or(&base);
    let state = load_state((&of_earlier, their_base), (&earlier, &earlier.parts()), &key)?;
    let found = reported(&earlier)?.to_string();
    if !spec.warm_start.state.is_empty() && spec.warm_start.state != found {
        return Err(refused(format!("a run with state {found:.12}"), "the run with warm_start.state"));
    }
    let start = WarmStart::of(&state)?;
    start.check(&base, LoraConfig::new(&spec.lora)?)?;
    tracing::info!(run = %earlier.run(), state = found, "goes on from its weights");
    Ok(base.going_on_from(start))
}
