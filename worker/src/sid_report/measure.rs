//! The figures of `conrec sid-report`: the ids in question, another quantizer, and the two controls, side by side.

use super::stability::{QuantizerStability, stability_of};
use super::subject::Subject;
use crate::error::WorkerError;
use crate::item_vectors::item_vectors;
use crate::semantic_ids::{IdSource, MadeIds, make_ids};
use conrec_domain::spec::{Collisions, Control, Quantizer, RunConfig, RunSpec};
use conrec_feedback::matrix::Matrix;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_feedback::sid_quality::{Evidence, SidQuality, nearest_neighbours};
use conrec_feedback::training_time::TrainingTime;
use serde::Serialize;

/// Items whose neighbours are looked at, evenly over the catalogue, and neighbours of each.
const QUERIES: usize = 2000;
const NEIGHBOURS: usize = 10;

/// The whole report; what `--output json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SidReport {
    /// The config or run.
    pub subject: String,
    /// The data's source.
    pub source: String,
    /// End of training time, Unix seconds: nothing later was looked at.
    pub train_end: i64,
    /// Items of training time, and dimensions of their vectors.
    pub items: usize,
    /// Dimensions of the item vectors.
    pub dimensions: usize,
    /// Neighbours that the overlap is taken over.
    pub neighbours: usize,
    /// Whether the ids made here are those that the run has; none for a config.
    pub same_as_run: Option<bool>,
    /// The ids in question first, then another quantizer, then controls.
    pub columns: Vec<Column>,
    /// How much fitted ids depend on noise, seed and time.
    pub stability: Vec<QuantizerStability>,
}

/// One set of semantic ids.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// What they are.
    pub name: String,
    /// Whether they are the ones in question.
    pub own: bool,
    /// What the quantizer leaves of the vectors after each level, relative to their spread; empty without a quantizer.
    pub input_error: Vec<f64>,
    /// Items of training time without an id.
    pub without_id: usize,
    /// The figures.
    pub quality: SidQuality,
}

/// A config like the run's but for its semantic ids.
pub(super) fn varied(spec: &RunSpec, change: impl FnOnce(&mut RunConfig)) -> Result<RunSpec, WorkerError> {
    let mut config: RunConfig = (**spec).clone();
    change(&mut config);
    Ok(RunSpec::check(config)?)
}

/// Measures everything.
pub(super) fn measure(subject: &Subject) -> Result<SidReport, WorkerError> {
    let train_end = subject.train_ends.last().copied().unwrap_or_default();
    let (spec, dataset) = (&subject.spec, subject.dataset.as_ref());
    let training = TrainingTime::new(dataset, train_end);
    let candidates = training.catalogue();
    let vectors = item_vectors(dataset, &training, &spec.semantic_id, spec.seed);
    let neighbours = nearest_neighbours(&vectors, &candidates, QUERIES, NEIGHBOURS);
    let evidence =
        Evidence { items: &dataset.items, vectors: &vectors, neighbours: &neighbours, training, seed: spec.seed };
    let mut columns = Vec::new();
    let mut own_ids = None;
    for (name, spec) in variants(spec)? {
        tracing::info!(ids = name, "measuring");
        let source = IdSource { spec: &spec, dataset, vectors: &vectors, candidates: &candidates };
        let MadeIds { ids, input_error, without_id, .. } = make_ids(&source)?;
        let own = columns.is_empty();
        // What a control leaves of the vectors is not what its quantizer left.
        let input_error = if spec.semantic_id.control == Control::None { input_error } else { Vec::new() };
        columns.push(Column { name, own, input_error, without_id, quality: SidQuality::of(&ids, &evidence) });
        if own {
            own_ids = Some(ids);
        }
    }
    let mut stability = Vec::new();
    for quantizer in quantizers(spec) {
        let spec = fitted_by(spec, quantizer)?;
        stability.push(stability_of(&spec, subject, (&vectors, &candidates))?);
    }
    Ok(SidReport {
        subject: subject.name.clone(),
        source: format!("{:?}", spec.data.source).to_lowercase(),
        train_end,
        items: candidates.len(),
        dimensions: vectors.cols,
        neighbours: NEIGHBOURS,
        same_as_run: subject.of_run.as_ref().map(|run: &SemanticIds| own_ids.as_ref() == Some(run)),
        columns,
        stability,
    })
}

/// The quantizers that are compared: the config's own first.
fn quantizers(spec: &RunSpec) -> [Quantizer; 2] {
    match spec.semantic_id.quantizer {
        Quantizer::RqVae => [Quantizer::RqVae, Quantizer::ResidualKMeans],
        Quantizer::ResidualKMeans => [Quantizer::ResidualKMeans, Quantizer::RqVae],
    }
}

pub(super) fn name_of(quantizer: Quantizer) -> &'static str {
    match quantizer {
        Quantizer::RqVae => "rq_vae",
        Quantizer::ResidualKMeans => "residual_k_means",
    }
}

/// The same ids made by this quantizer, without a control.
fn fitted_by(spec: &RunSpec, quantizer: Quantizer) -> Result<RunSpec, WorkerError> {
    varied(spec, |config| {
        config.semantic_id.quantizer = quantizer;
        config.semantic_id.file = String::new();
        config.semantic_id.control = Control::None;
    })
}

/// All columns: name and config.
fn variants(spec: &RunSpec) -> Result<Vec<(String, RunSpec)>, WorkerError> {
    let ids = &spec.semantic_id;
    let published = !ids.file.is_empty();
    let mut own = if published { ids.file.clone() } else { name_of(ids.quantizer).to_owned() };
    match ids.collisions {
        Collisions::None => {}
        Collisions::Suffix => own += ", suffix",
        Collisions::Sinkhorn => own += ", sinkhorn",
    }
    match ids.control {
        Control::None => {}
        Control::Random => own += ", random codes",
        Control::Shuffled => own += ", shuffled codes",
    }
    let mut all = vec![(own, spec.clone())];
    for quantizer in quantizers(spec).into_iter().skip(usize::from(!published)) {
        all.push((name_of(quantizer).to_owned(), fitted_by(spec, quantizer)?));
    }
    let control = |control| varied(spec, |config| config.semantic_id.control = control);
    all.push(("shuffled".to_owned(), control(Control::Shuffled)?));
    all.push(("random".to_owned(), control(Control::Random)?));
    Ok(all)
}

/// Vectors and candidates, as [`IdSource`] wants them.
pub(super) type Material<'a> = (&'a Matrix, &'a [u32]);
