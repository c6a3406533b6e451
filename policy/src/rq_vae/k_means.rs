//! K-means for the first codewords of a level: starts by k-means++ (Arthur and Vassilvitskii, 2007), then Lloyd's rounds.

use super::codebook::nearest;
use crate::random_normal::{below, uniform};
use rand_chacha::ChaCha8Rng;
use tch::{TchError, Tensor};

/// Rows of equal width in one buffer.
#[derive(Clone, Copy)]
pub(crate) struct Points<'a> {
    /// `rows * width` values.
    pub data: &'a [f32],
    /// Values a row.
    pub width: usize,
}

impl Points<'_> {
    /// Row `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.width..(i + 1) * self.width]
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.data.len() / self.width.max(1)
    }
}

/// `codes` centres of the points, `codes * width` values, and how many points each has, after a fixed number of Lloyd's
/// rounds. A centre that loses all its points stays where it is.
pub(crate) fn k_means(
    points: Points<'_>,
    (codes, rounds): (usize, usize),
    rng: &mut ChaCha8Rng,
) -> Result<(Vec<f32>, Vec<u32>), TchError> {
    let width = points.width;
    let rows = Tensor::f_from_slice(points.data)?.f_reshape([points.rows() as i64, width as i64])?;
    let mut centres = starts(points, codes, rng);
    let mut counts = vec![0u32; codes];
    for _ in 0..rounds {
        let table = Tensor::f_from_slice(&centres)?.f_reshape([codes as i64, width as i64])?;
        let chosen = Vec::<i64>::try_from(&nearest(&rows, &table)?)?;
        let mut sums = vec![0f64; codes * width];
        counts.fill(0);
        for (i, code) in chosen.iter().enumerate() {
            let code = *code as usize;
            counts[code] += 1;
            for (sum, value) in sums[code * width..(code + 1) * width].iter_mut().zip(points.row(i)) {
                *sum += f64::from(*value);
            }
        }
        for (code, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            for j in code * width..(code + 1) * width {
                centres[j] = (sums[j] / f64::from(*count)) as f32;
            }
        }
    }
    Ok((centres, counts))
}

/// Draws each next start with probability proportional to its squared distance from the starts so far.
fn starts(points: Points<'_>, codes: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let rows = points.rows();
    let mut centres = Vec::with_capacity(codes * points.width);
    let mut distance = vec![f32::INFINITY; rows];
    let mut next = below(rng, rows);
    for _ in 0..codes {
        let centre = points.row(next);
        centres.extend_from_slice(centre);
        let mut total = 0f64;
        for (i, least) in distance.iter_mut().enumerate() {
            let squared: f32 = points.row(i).iter().zip(centre).map(|(a, b)| (a - b) * (a - b)).sum();
            *least = least.min(squared);
            total += f64::from(*least);
        }
        next = weighted(&distance, total, rng);
    }
    centres
}

/// An index drawn in proportion to its weight; uniform when all weights are 0 (fewer distinct points than centres).
fn weighted(weights: &[f32], total: f64, rng: &mut ChaCha8Rng) -> usize {
    if total <= 0.0 {
        return below(rng, weights.len());
    }
    let mut left = uniform(rng) * total;
    let mut last = 0;
    for (i, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        last = i;
        left -= f64::from(*weight);
        if left < 0.0 {
            break;
        }
    }
    last
}
