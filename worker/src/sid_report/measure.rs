//! The figures of `conrec sid-report`: the ids in question, another quantizer, and the two controls, side by side.

use super::findings::{Asked, Finding, findings};
use super::stability::{QuantizerStability, stability_of};
use super::subject::Subject;
use crate::error::WorkerError;
use crate::item_vectors::item_vectors;
use crate::semantic_ids::{IdSource, MadeIds, fit, ids_of, make_ids};
use conrec_domain::spec::{Collisions, Control, Quantizer, RunConfig, RunSpec, written};
use conrec_feedback::matrix::Matrix;
use conrec_feedback::provenance::Provenance;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_feedback::sid_control;
use conrec_feedback::sid_quality::{Evidence, SidQuality, nearest_neighbours};
use conrec_feedback::training_time::TrainingTime;
use conrec_policy::quantizer::Fitted;
use serde::Serialize;

/// Items whose neighbours are looked at, evenly over the catalogue, and neighbours of each.
pub(super) const QUERIES: usize = 2000;
const NEIGHBOURS: usize = 10;

/// The name of the control that has the same cells with other items.
pub(super) const SHUFFLED: &str = "shuffled";

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
    /// What names the figures.
    pub identity: Provenance,
    /// What the figures say of the ids in question.
    pub findings: Vec<Finding>,
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

/// Measures everything. Each quantizer is fitted once for all that is asked of it but stability, which needs further fits.
pub(super) fn measure(subject: &Subject) -> Result<SidReport, WorkerError> {
    let train_end = subject.train_ends.last().copied().unwrap_or_default();
    let (spec, dataset) = (&subject.spec, subject.dataset.as_ref());
    let training = TrainingTime::new(dataset, train_end);
    let candidates = training.catalogue();
    let vectors = item_vectors(dataset, &training, &spec.semantic_id, spec.seed);
    let neighbours = nearest_neighbours(&vectors, &candidates, QUERIES, NEIGHBOURS);
    let evidence =
        Evidence { items: &dataset.items, vectors: &vectors, neighbours: &neighbours, training, seed: spec.seed };
    let material = (&vectors, candidates.as_slice());
    let source = IdSource { spec, dataset, vectors: &vectors, candidates: &candidates };

    let mut fits = Vec::new();
    for quantizer in quantizers(spec) {
        tracing::info!(quantizer = written(&quantizer), "fitting");
        let spec = fitted_by(spec, quantizer)?;
        let fitted = fit(&IdSource { spec: &spec, ..source })?;
        fits.push(Fit { quantizer, spec, fitted });
    }
    let (own_ids, without_id) = own_ids(&source, &fits)?;
    let own = |input_error: Vec<f64>| Column {
        name: own_name(spec),
        own: true,
        input_error,
        without_id,
        quality: SidQuality::of(&own_ids, &evidence),
    };
    // Neither published ids nor a control leave of the vectors what a quantizer leaves.
    let plain = spec.semantic_id.file.is_empty() && spec.semantic_id.control == Control::None;
    let mut columns = vec![own(if plain { fits[0].fitted.input_error().to_vec() } else { Vec::new() })];
    for fit in fits.iter().skip(usize::from(plain)) {
        let ids = ids_of(&IdSource { spec: &fit.spec, ..source }, &fit.fitted, &vectors)?;
        columns.push(Column {
            name: written(&fit.quantizer),
            own: false,
            input_error: fit.fitted.input_error().to_vec(),
            without_id: 0,
            quality: SidQuality::of(&ids, &evidence),
        });
    }
    for (name, control) in [(SHUFFLED, Control::Shuffled), ("random", Control::Random)] {
        let ids = controlled(&own_ids, control, spec.seed)?;
        let quality = SidQuality::of(&ids, &evidence);
        columns.push(Column { name: name.to_owned(), own: false, input_error: Vec::new(), without_id, quality });
    }
    let mut stability = Vec::new();
    for fit in &fits {
        stability.push(stability_of(fit, subject, material)?);
    }
    let findings = findings(&Asked {
        columns: &columns,
        // How a quantizer behaves says nothing of ids that it did not make.
        stability: if plain { stability.first() } else { None },
        levels: spec.semantic_id.levels as usize,
        has_suffix: spec.semantic_id.collisions == Collisions::Suffix,
    });
    Ok(SidReport {
        subject: subject.name.clone(),
        source: written(&spec.data.source),
        train_end,
        items: candidates.len(),
        dimensions: vectors.cols,
        neighbours: NEIGHBOURS,
        same_as_run: subject.of_run.as_ref().map(|run: &SemanticIds| own_ids == *run),
        identity: subject.identity.clone(),
        findings,
        columns,
        stability,
    })
}

/// A quantizer that was fitted to the vectors in question.
pub(super) struct Fit {
    pub quantizer: Quantizer,
    /// The config with this quantizer, without file and control.
    pub spec: RunSpec,
    pub fitted: Fitted,
}

/// The ids in question, and how many items a file leaves without one.
fn own_ids(source: &IdSource<'_>, fits: &[Fit]) -> Result<(SemanticIds, usize), WorkerError> {
    if let (Some(fit), true) = (fits.first(), source.spec.semantic_id.file.is_empty()) {
        return Ok((ids_of(source, &fit.fitted, source.vectors)?, 0));
    }
    let MadeIds { ids, without_id, .. } = make_ids(source)?;
    Ok((ids, without_id))
}

/// The same items with codes that mean nothing.
fn controlled(ids: &SemanticIds, control: Control, seed: u64) -> Result<SemanticIds, WorkerError> {
    let members: Vec<bool> = (0..ids.items() as u32).map(|item| ids.cell_of(item).is_some()).collect();
    let known: Vec<u32> = (0..ids.items() as u32).filter(|item| members[*item as usize]).collect();
    let mut codes = ids.of_item.clone();
    sid_control::apply(control, &mut codes, ids.levels, ids.codes, (&known, seed));
    Ok(SemanticIds::new(ids.levels, ids.codes, codes, &members)?)
}

/// The quantizers that are compared: the config's own first.
fn quantizers(spec: &RunSpec) -> [Quantizer; 2] {
    match spec.semantic_id.quantizer {
        Quantizer::RqVae => [Quantizer::RqVae, Quantizer::ResidualKMeans],
        Quantizer::ResidualKMeans => [Quantizer::ResidualKMeans, Quantizer::RqVae],
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

/// What the ids in question are.
fn own_name(spec: &RunSpec) -> String {
    let ids = &spec.semantic_id;
    let mut own = if ids.file.is_empty() { written(&ids.quantizer) } else { ids.file.clone() };
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
    own
}

/// Vectors and candidates, as [`IdSource`] wants them.
pub(super) type Material<'a> = (&'a Matrix, &'a [u32]);
