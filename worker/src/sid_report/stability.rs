//! Whether ids are a property of the items or of chance: noise on the vectors, other seeds, an earlier end of training.

use super::measure::{Fit, Material, varied};
use super::subject::Subject;
use crate::error::WorkerError;
use crate::item_vectors::item_vectors;
use crate::semantic_ids::{IdSource, fit, ids_of};
use conrec_domain::spec::written;
use conrec_feedback::matrix::Matrix;
use conrec_feedback::sid_quality::{DepthStability, same_prefix, stability};
use conrec_feedback::training_time::TrainingTime;
use conrec_policy::random_normal::{standard_normals, stream};
use serde::Serialize;

/// Lengths of the noise, relative to the length of a vector.
const NOISES: [f64; 4] = [0.02, 0.05, 0.1, 0.2];

/// Further seeds.
const SEEDS: u64 = 2;

/// How much the ids of one quantizer depend on what they should not depend on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuantizerStability {
    /// Its name.
    pub quantizer: String,
    /// The same quantizer, vectors with noise.
    pub noise: Vec<NoiseStability>,
    /// The same vectors, the quantizer fitted with another seed.
    pub seeds: Vec<SeedStability>,
    /// Everything fitted on an earlier end of training time; none where there is one pass only.
    pub time: Option<TimeStability>,
}

/// Ids under noise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoiseStability {
    /// Length of the noise, relative to the vector's.
    pub noise: f64,
    /// Share of the items that keep their first 1, 2, ... codes.
    pub same_prefix: Vec<f64>,
}

/// Ids under another seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeedStability {
    /// The other seed.
    pub seed: u64,
    /// How alike the partitions are.
    pub depths: Vec<DepthStability>,
}

/// Ids of another time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimeStability {
    /// The earlier end of training time, Unix seconds.
    pub train_end: i64,
    /// Items of both.
    pub items: usize,
    /// How alike the partitions are.
    pub depths: Vec<DepthStability>,
}

/// Measures one quantizer.
pub(super) fn stability_of(
    Fit { quantizer, spec, fitted }: &Fit,
    subject: &Subject,
    (vectors, candidates): Material<'_>,
) -> Result<QuantizerStability, WorkerError> {
    let dataset = subject.dataset.as_ref();
    let source = IdSource { spec, dataset, vectors, candidates };
    let ids = ids_of(&source, fitted, vectors)?;
    let mut noise = Vec::new();
    for length in NOISES {
        let moved = ids_of(&source, fitted, &noisy(vectors, length, spec.seed))?;
        noise.push(NoiseStability { noise: length, same_prefix: same_prefix(&ids, &moved, candidates) });
    }
    let mut seeds = Vec::new();
    for further in 1..=SEEDS {
        let other = varied(spec, |config| config.seed = config.seed.saturating_add(further).min(i64::MAX as u64))?;
        let source = IdSource { spec: &other, ..source };
        let other_ids = ids_of(&source, &fit(&source)?, vectors)?;
        seeds.push(SeedStability { seed: other.seed, depths: stability(&ids, &other_ids, candidates) });
    }
    let time = match subject.train_ends.as_slice() {
        [earlier, _] => {
            let training = TrainingTime::new(dataset, *earlier);
            let before = item_vectors(dataset, &training, &spec.semantic_id, spec.seed);
            let known = training.catalogue();
            let source = IdSource { spec, dataset, vectors: &before, candidates: &known };
            let earlier_ids = ids_of(&source, &fit(&source)?, &before)?;
            // What is known early is known later.
            let depths = stability(&earlier_ids, &ids, &known);
            Some(TimeStability { train_end: *earlier, items: known.len(), depths })
        }
        _ => None,
    };
    Ok(QuantizerStability { quantizer: written(quantizer), noise, seeds, time })
}

/// Every vector plus a random one of `length` times its own length, in expectation of the square.
fn noisy(vectors: &Matrix, length: f64, seed: u64) -> Matrix {
    let mut rng = stream(seed, "sid_report.noise");
    let draws = standard_normals(&mut rng, vectors.data.len());
    let mut moved = vectors.clone();
    for row in 0..vectors.rows {
        let own = vectors.row(row).iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let scale = length * own / (vectors.cols.max(1) as f64).sqrt();
        for (value, draw) in moved.row_mut(row).iter_mut().zip(&draws[row * vectors.cols..]) {
            *value = (f64::from(*value) + scale * f64::from(*draw)) as f32;
        }
    }
    moved
}
