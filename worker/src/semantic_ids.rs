//! The semantic ids of a pass: fitted or read from a file, then collisions, then controls; and E(sid) for the reward.

use crate::error::WorkerError;
use conrec_domain::spec::{Collisions, Control, RunSpec, SemanticIdSpec};
use conrec_feedback::cell_means::cell_means;
use conrec_feedback::collisions::{LastLevel, spread, with_suffix};
use conrec_feedback::dataset::Dataset;
use conrec_feedback::matrix::Matrix;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_feedback::sid_control;
use conrec_feedback::sid_files::SidIndex;
use conrec_policy::quantizer::Fitted;
use conrec_policy::rq_vae::{RqVaeInput, cell_vectors};
use std::path::Path;

/// What the codes are made from.
#[derive(Clone, Copy, Debug)]
pub struct IdSource<'a> {
    /// The config.
    pub spec: &'a RunSpec,
    /// The catalogue.
    pub dataset: &'a Dataset,
    /// One row an item.
    pub vectors: &'a Matrix,
    /// The items of training time.
    pub candidates: &'a [u32],
}

/// Semantic ids with what the reward measures them by.
pub struct MadeIds {
    /// Codes and cells.
    pub ids: SemanticIds,
    /// E(sid), cells x latent: the sum of codewords; where codes were read from a file or are a control, the mean of the
    /// item vectors of the cell, so that the reward keeps knowing what items are like.
    pub cell_vectors: Matrix,
    /// What is left of the vectors after each level; empty where nothing was fitted.
    pub input_error: Vec<f64>,
    /// Candidates that a file has no id for: they have no cell.
    pub without_id: usize,
    /// What was fitted; none where nothing was.
    pub quantizer: Option<Fitted>,
}

/// Makes the ids that the config asks for.
///
/// # Errors
/// A file that cannot be read or does not fit, vectors that cannot be quantised, cells too full for a suffix.
pub fn make_ids(source: &IdSource<'_>) -> Result<MadeIds, WorkerError> {
    let spec = &source.spec.semantic_id;
    if !spec.file.is_empty() {
        return from_file(source, Path::new(&spec.file));
    }
    let fitted = fit(source)?;
    let ids = ids_of(source, &fitted, source.vectors)?;
    let mut codebooks = fitted.codebooks().to_vec();
    if spec.collisions == Collisions::Suffix {
        // A suffix says nothing of what an item is like.
        let latent = codebooks.first().map_or(0, |book| book.cols);
        codebooks.push(Matrix::zeros(spec.codes as usize, latent));
    }
    let cell_vectors = match spec.control {
        Control::None => cell_vectors(&ids, &codebooks)?,
        Control::Random | Control::Shuffled => cell_means(&ids, source.vectors),
    };
    let input_error = fitted.input_error().to_vec();
    Ok(MadeIds { ids, cell_vectors, input_error, without_id: 0, quantizer: Some(fitted) })
}

/// Fits the config's quantizer to the candidates.
///
/// # Errors
/// Vectors that cannot be quantised.
pub fn fit(source: &IdSource<'_>) -> Result<Fitted, WorkerError> {
    let spec = &source.spec.semantic_id;
    let input = RqVaeInput { spec, seed: source.spec.seed, vectors: source.vectors, candidates: source.candidates };
    Ok(Fitted::fit(spec.quantizer, &input, &mut |epoch| {
        tracing::debug!(epoch = epoch.number, reconstruction = epoch.reconstruction, "rq-vae");
    })?)
}

/// The ids that a fitted quantizer gives these vectors, after collisions and controls.
///
/// # Errors
/// Vectors of another width, cells too full for a suffix.
pub fn ids_of(source: &IdSource<'_>, fitted: &Fitted, vectors: &Matrix) -> Result<SemanticIds, WorkerError> {
    let spec = &source.spec.semantic_id;
    let (mut levels, codes) = (spec.levels as usize, spec.codes as usize);
    let assigned = fitted.assign(vectors)?;
    let mut of_item = assigned.codes;
    match spec.collisions {
        Collisions::None => {}
        Collisions::Suffix => {
            of_item = with_suffix(&of_item, levels, codes, source.candidates)?;
            levels += 1;
        }
        Collisions::Sinkhorn => {
            if let Some(codebook) = fitted.codebooks().last() {
                let residuals = &assigned.last_residuals;
                let last = LastLevel { residuals, codebook, epsilon: spec.sinkhorn_epsilon };
                spread(&mut of_item, levels, source.candidates, last);
            }
        }
    }
    sid_control::apply(spec.control, &mut of_item, levels, codes, (source.candidates, source.spec.seed));
    let members = membership(source.candidates, source.dataset.items.len());
    Ok(SemanticIds::new(levels, codes, of_item, &members)?)
}

/// Published ids; items of training time that the file does not have are no candidates.
fn from_file(source: &IdSource<'_>, file: &Path) -> Result<MadeIds, WorkerError> {
    let spec: &SemanticIdSpec = &source.spec.semantic_id;
    let (levels, codes) = (spec.levels as usize, spec.codes as usize);
    let index = SidIndex::read(file)?;
    index.check(file, levels, codes)?;
    let (mut of_item, present) = index.in_order_of(&source.dataset.items, spec.missing, file)?;
    let known: Vec<u32> = source.candidates.iter().copied().filter(|item| present[*item as usize]).collect();
    sid_control::apply(spec.control, &mut of_item, levels, codes, (&known, source.spec.seed));
    let ids = SemanticIds::new(levels, codes, of_item, &membership(&known, source.dataset.items.len()))?;
    let cell_vectors = cell_means(&ids, source.vectors);
    let without_id = source.candidates.len() - known.len();
    Ok(MadeIds { ids, cell_vectors, input_error: Vec::new(), without_id, quantizer: None })
}

/// Which of `of` items are among these.
pub(crate) fn membership(items: &[u32], of: usize) -> Vec<bool> {
    let mut member = vec![false; of];
    for item in items {
        if let Some(slot) = member.get_mut(*item as usize) {
            *slot = true;
        }
    }
    member
}
