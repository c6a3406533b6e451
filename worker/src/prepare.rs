//! The `Prepare` lease: data to instances to semantic ids, once for each pass, written below `prepared/`.

use crate::error::WorkerError;
use crate::item_vectors::{fitted_vectors, take_vectors};
use crate::kept_ids::{KeptIds, leave};
use crate::prompt_frame::write_frame;
use crate::run_folder::RunFolder;
use crate::semantic_ids::{IdSource, MadeIds, make_ids};
use crate::stage_prompts::PromptSource;
use crate::titles::{make_titles, write_titles};
use crate::warm_start::kept_ids;
use conrec_domain::ids::Digest;
use conrec_domain::manifest::Part;
use conrec_domain::spec::{RunSpec, Source, Statistics};
use conrec_domain::work::{Pass, Prepared, PreparedPass as PassSummary};
use conrec_feedback::bursts::Bursts;
use conrec_feedback::candidates::{draw_candidates, within_reach};
use conrec_feedback::dataset::Dataset;
use conrec_feedback::history::History;
use conrec_feedback::instance::{evenly, instances_in, training_instances};
use conrec_feedback::matrix::Matrix;
use conrec_feedback::prepared::{EvaluationSet, PreparedPass, Role};
use conrec_feedback::prompt::PromptFrame;
use conrec_feedback::readers::{self, Negatives};
use conrec_feedback::split::{PassWindows, Window, passes, test_window};
use conrec_feedback::swing::Swing;
use conrec_feedback::synthetic;
use conrec_feedback::training_time::TrainingTime;
use conrec_feedback::translation::Titles;
use conrec_feedback::window_advice;
use conrec_policy::base_model::BaseModel;
use conrec_policy::kept_quantizer::KeptQuantizer;
use serde::Serialize;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The file that makes the prepared data whole; written last.
const MANIFEST: &str = "prepared/manifest.json";

/// Reads the data, makes and writes everything that training needs.
///
/// # Errors
/// Bad data, windows that do not fit it, a config that does not fit the catalogue, a store that cannot be written.
pub fn prepare(spec: &RunSpec, base: &BaseModel, folder: &RunFolder) -> Result<Prepared, WorkerError> {
    let frame = base.frame();
    let mut dataset = read(spec)?;
    let of_vectors = take_vectors(&mut dataset, spec, Some(base))?;
    // Kept apart from here on: what trains must not see it.
    let truth = dataset.truth.take();
    let dataset = Arc::new(dataset);
    tracing::info!(
        events = dataset.events.len(),
        users = dataset.users.len(),
        items = dataset.items.len(),
        dropped = %dataset.dropped,
        "read"
    );
    let titles = make_titles(spec, base, &dataset.items)?;
    let history = History::new(&dataset.events, dataset.users.len());
    let (first, last) = (dataset.first_time().unwrap_or_default(), dataset.last_time().unwrap_or_default());
    let mut summaries = Vec::new();
    let mut digests = Vec::new();
    let mut counts = (0, 0);
    let mut summary = described(spec, &dataset, &history);
    summary.extend(of_vectors);
    let kept = kept_ids(spec, folder)?;
    for windows in passes(&spec.data, spec.evaluation.statistics, first, last)? {
        let (pass, fitted) = prepare_from(spec, (&dataset, &history), windows, kept.as_ref())
            .map_err(|error| advised(error, spec, &dataset, &history))?;
        summary.push(format!(
            "Pass {}: {} training instances, {} candidate items in {} semantic ids.",
            windows.pass.folder().trim_start_matches("prepared/"),
            pass.training.len(),
            pass.ids.usage().items,
            pass.ids.cells()
        ));
        let instances = |role| pass.evaluation(role).map_or(0, |set| set.instances.len());
        counts = (counts.0.max(instances(Role::Validation)), counts.1.max(instances(Role::Test)));
        summaries.push(PassSummary {
            pass: windows.pass,
            prompts: prompt_counts(spec, (&frame, titles.as_ref()), &pass, &history)?,
        });
        // The last pass's stays: it is the one that serves.
        if let Some(quantizer) = fitted.as_ref().or_else(|| kept.as_ref().map(|kept| &kept.quantizer)) {
            leave(folder, quantizer, (&dataset, &pass.ids), kept.as_ref())?;
        }
        let place = windows.pass.folder();
        digests.push(pass.save(&folder.path(place))?);
        folder.publish(place)?;
    }
    if let Some(base) = base.pretrained() {
        digests.push(base.files_digest()?);
        digests.push(write_frame(base, folder)?);
        summary.push(format!("Base {}: {} tokens of its own.", spec.model.base, frame.base_tokens.unwrap_or(0)));
    }
    if let Some(titles) = &titles {
        digests.push(write_titles(titles, folder)?);
        let titled = titles.of_item.iter().filter(|title| !title.is_empty()).count();
        summary.push(format!("Translation: {titled} of {} items have a title.", titles.of_item.len()));
    }
    let prepared = Prepared {
        data_digest: Digest::of(digests.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").as_bytes()),
        passes: summaries,
        validation_instances: evenly(counts.0, spec.evaluation.validation_instances as usize).len() as u32,
        test_instances: counts.1 as u32,
        summary,
    };
    let truth = truth.map(|truth| crate::truth::save(&truth, folder)).transpose()?;
    write_manifest(&prepared, truth, folder)?;
    Ok(prepared)
}

/// What was read, in sentences for people.
fn described(spec: &RunSpec, dataset: &Dataset, history: &History) -> Vec<String> {
    let read = format!(
        "Read {} events of {} users on {} items; {}.",
        dataset.events.len(),
        dataset.users.len(),
        dataset.items.len(),
        dataset.dropped
    );
    let bursts = Bursts::of(&dataset.events, history, spec.data.horizon_days);
    let hint = match (bursts.is_burst(), spec.data.later_day_only) {
        (true, false) => ": most come in one sitting; data.later_day_only = true asks for later days",
        (true, true) | (false, _) => "",
    };
    vec![read, format!("{bursts}{hint}."), Negatives::of(&spec.data).sentence]
}

/// An error of a window without instances says what would hold some.
fn advised(error: WorkerError, spec: &RunSpec, dataset: &Dataset, history: &History) -> WorkerError {
    match error {
        WorkerError::Instances(error) => {
            window_advice::advised(error, &spec.data, spec.evaluation.statistics, dataset, history).into()
        }
        other => other,
    }
}

/// The manifest: what the coordinator needs to know, and size and digest of each pass's own manifest, which in turn
/// names all its files.
fn write_manifest(prepared: &Prepared, truth: Option<Part>, folder: &RunFolder) -> Result<(), WorkerError> {
    #[derive(Serialize)]
    struct Manifest<'a> {
        #[serde(flatten)]
        prepared: &'a Prepared,
        parts: Vec<Part>,
    }
    let part = |summary: &PassSummary| {
        let place = format!("{}/pass.json", summary.pass.folder());
        let bytes = folder.read(&place)?;
        let name = place.trim_start_matches("prepared/").to_owned();
        Ok(Part { name, bytes: bytes.len() as u64, sha256: Digest::of(&bytes) })
    };
    let mut parts = prepared.passes.iter().map(part).collect::<Result<Vec<Part>, WorkerError>>()?;
    parts.extend(truth);
    let text = serde_json::to_vec_pretty(&Manifest { prepared, parts })
        .map_err(|e| WorkerError::file(folder.path(MANIFEST), e))?;
    folder.write(MANIFEST, &text)?;
    Ok(())
}

/// The present, Unix seconds: what lies after it is no time of an event.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Reads or makes the dataset of a config.
///
/// # Errors
/// Files that cannot be read.
pub fn read(spec: &RunSpec) -> Result<Dataset, WorkerError> {
    match spec.data.source {
        Source::Synthetic => {
            let mut dataset = synthetic::generate(&spec.data.synthetic, spec.seed)?;
            dataset.keep(&spec.data.times());
            Ok(dataset)
        }
        Source::MovieTweetings
        | Source::MovieLens
        | Source::RecBole
        | Source::Amazon2014
        | Source::Amazon2018
        | Source::Amazon2023
        | Source::KuaiRand
        | Source::Yambda
        | Source::VkLsvd
        | Source::Steam
        | Source::Table => Ok(readers::read(&spec.data, now())?),
    }
}

/// Makes what one pass needs; `history` holds the same events as `dataset`. Only evaluation sets may depend on events
/// at or after `windows.train_end`.
///
/// # Errors
/// Windows without instances, and a config that does not fit the catalogue.
pub fn prepare_pass(
    spec: &RunSpec,
    dataset: &Arc<Dataset>,
    history: &History,
    windows: PassWindows,
) -> Result<PreparedPass, WorkerError> {
    Ok(prepare_from(spec, (dataset, history), windows, None)?.0)
}

/// The same; with ids that stay, or with the quantizer that was fitted.
fn prepare_from(
    spec: &RunSpec,
    (dataset, history): (&Arc<Dataset>, &History),
    windows: PassWindows,
    kept: Option<&KeptIds>,
) -> Result<(PreparedPass, Option<KeptQuantizer>), WorkerError> {
    let training = TrainingTime::new(dataset, windows.train_end);
    let instances = training_instances(windows.train_end, &dataset.events, history, (&spec.data).into())?;
    let evaluations = evaluation_sets(spec, dataset, history, windows)?;
    let candidates = training.catalogue();
    let (made, vectorizer) = match kept {
        Some(kept) => {
            let unread = Matrix::zeros(0, 0);
            let source = IdSource { spec, dataset, vectors: &unread, candidates: &candidates };
            (kept.ids(&source)?, None)
        }
        None => {
            let (vectors, vectorizer) = fitted_vectors(dataset, &training, &spec.semantic_id, spec.seed);
            let source = IdSource { spec, dataset, vectors: &vectors, candidates: &candidates };
            (make_ids(&source)?, Some(vectorizer))
        }
    };
    let MadeIds { ids, cell_vectors, input_error, without_id, quantizer } = made;
    if (spec.evaluation.beams as usize) > ids.cells() {
        return Err(WorkerError::Config {
            key: "evaluation.beams",
            found: spec.evaluation.beams.to_string(),
            allowed: format!("at most {}, the number of semantic ids of this catalogue", ids.cells()),
        });
    }
    let swing = Swing::fit(&training, &spec.reward.swing);
    tracing::info!(
        pass = ?windows.pass, instances = instances.len(), candidates = candidates.len(), cells = ids.cells(),
        without_id, ?input_error, "prepared"
    );
    let quantizer = vectorizer.zip(quantizer).map(|(vectorizer, fitted)| KeptQuantizer { vectorizer, fitted });
    let pass = PreparedPass {
        windows,
        dataset: match dataset.truth {
            None => Arc::clone(dataset),
            Some(_) => Arc::new(Dataset { truth: None, ..dataset.as_ref().clone() }),
        },
        training: instances,
        evaluations,
        swing: swing.into_lists(),
        ids,
        cell_vectors,
    };
    Ok((pass, quantizer))
}

/// The windows that are evaluated with a pass's statistics: its own, and under `frozen` the test window too.
fn evaluation_sets(
    spec: &RunSpec,
    dataset: &Dataset,
    history: &History,
    windows: PassWindows,
) -> Result<Vec<EvaluationSet>, WorkerError> {
    let set = |role: Role, name: &str, window: Window| -> Result<EvaluationSet, WorkerError> {
        let instances = instances_in(window, name, &dataset.events, history, (&spec.data).into())?;
        let others = spec.evaluation.candidates as usize;
        let pool = within_reach(window, spec.data.horizon_days, &dataset.events);
        let candidates = draw_candidates(&instances, pool, history, others, spec.evaluation.seed);
        Ok(EvaluationSet { role, window, instances, candidates })
    };
    let test = test_window(&spec.data, dataset.last_time().unwrap_or_default());
    match (windows.pass, spec.evaluation.statistics) {
        (Pass::Refit, _) => Ok(vec![set(Role::Test, "test", windows.evaluate)?]),
        (Pass::Select, Statistics::Refit) => Ok(vec![set(Role::Validation, "validation", windows.evaluate)?]),
        (Pass::Select, Statistics::Frozen) => {
            Ok(vec![set(Role::Validation, "validation", windows.evaluate)?, set(Role::Test, "test", test)?])
        }
    }
}

fn prompt_counts(
    spec: &RunSpec,
    (frame, titles): (&PromptFrame, Option<&Titles>),
    pass: &PreparedPass,
    history: &History,
) -> Result<Vec<u32>, WorkerError> {
    let source = PromptSource {
        dataset: &pass.dataset,
        history,
        instances: &pass.training,
        ids: &pass.ids,
        frame,
        titles,
        swing: &pass.swing,
        train_end: pass.windows.train_end,
        max_prompt_tokens: spec.model.max_prompt_tokens,
        seed: spec.seed,
        exclude: spec.evaluation.exclude,
        targets: spec.reward.targets,
    };
    let count = |stage| {
        let prompts = source.stage(stage);
        if prompts.is_empty() {
            return Err(WorkerError::Config {
                key: "stage",
                found: format!("`{}` with nothing to learn from", stage.name),
                allowed: "a stage with at least one training prompt; raise its recent_days".to_owned(),
            });
        }
        Ok(prompts.len() as u32)
    };
    let counts: Vec<u32> = spec.stage.iter().map(count).collect::<Result<_, WorkerError>>()?;
    spec.check_prompts(pass.windows.pass, &counts)?;
    Ok(counts)
}
