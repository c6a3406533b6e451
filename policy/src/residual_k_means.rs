//! Residual k-means: k-means over the vectors, then over what the nearest centres leave of them, level after level.
//! `R_1 = x; Z_d = nearest centre of level d to R_d; R_(d+1) = R_d - Z_d`. No network learns anything: what an RQ-VAE
//! is better at shows beside this (OneRec, Deng et al., 2025, and others take it as it is).

use crate::random_normal::stream;
use crate::rq_vae::codebook::nearest;
use crate::rq_vae::k_means::{Points, k_means};
use crate::rq_vae::training::{rows_tensor, values};
use crate::rq_vae::{Assigned, RqVaeError, RqVaeInput, by_row, check, spread, squared};
use conrec_feedback::matrix::Matrix;
use tch::{TchError, Tensor};

/// Lloyd's rounds; a fixed number, so that the work does not depend on the data.
const ROUNDS: usize = 30;

/// The centres of all levels.
pub struct ResidualKMeans {
    /// One matrix `[codes, width of the vectors]` a level.
    pub codebooks: Vec<Matrix>,
    /// After each level: what is left of the candidates' vectors, relative to their spread about the mean.
    pub input_error: Vec<f64>,
}

/// Fits the centres of each level to the candidates. Of the spec only levels and codes matter.
///
/// # Errors
/// When a value is not finite, sizes do not fit, or items are fewer than codes.
pub fn fit_residual_k_means(input: &RqVaeInput<'_>) -> Result<ResidualKMeans, RqVaeError> {
    check(input)?;
    let _no_grad = tch::no_grad_guard();
    let width = input.vectors.cols;
    let index: Vec<i64> = input.candidates.iter().map(|i| i64::from(*i)).collect();
    let x = rows_tensor(&input.vectors.data, width)?.f_index_select(0, &Tensor::f_from_slice(&index)?)?;
    let all = spread(&x)?;
    let (mut residual, mut codebooks, mut input_error) = (x, Vec::new(), Vec::new());
    for level in 0..input.spec.levels {
        let data = values(&residual)?;
        let mut rng = stream(input.seed, &format!("residual_k_means.{level}"));
        let (data, _) = k_means(Points { data: &data, width }, (input.spec.codes as usize, ROUNDS), &mut rng)?;
        let book = Matrix { rows: input.spec.codes as usize, cols: width, data };
        let (_, left) = quantised(&residual, &book)?;
        residual = left;
        input_error.push(squared(&residual)? / all);
        codebooks.push(book);
    }
    Ok(ResidualKMeans { codebooks, input_error })
}

impl ResidualKMeans {
    /// Codes of vectors of the width that was fitted.
    ///
    /// # Errors
    /// When libtorch refuses the width.
    pub fn assign(&self, vectors: &Matrix) -> Result<Assigned, RqVaeError> {
        let _no_grad = tch::no_grad_guard();
        let mut residual = rows_tensor(&vectors.data, vectors.cols)?;
        let (mut codes, mut last) = (Vec::new(), Vec::new());
        for (level, book) in self.codebooks.iter().enumerate() {
            if level + 1 == self.codebooks.len() {
                last = values(&residual)?;
            }
            let (chosen, left) = quantised(&residual, book)?;
            codes.push(chosen);
            residual = left;
        }
        Ok(Assigned {
            codes: by_row(&codes, vectors.rows),
            last_residuals: Matrix { rows: vectors.rows, cols: vectors.cols, data: last },
        })
    }
}

/// Nearest centres of rows `[n, width]`, and what they leave.
fn quantised(rows: &Tensor, book: &Matrix) -> Result<(Vec<i64>, Tensor), TchError> {
    let table = rows_tensor(&book.data, book.cols)?;
    let chosen = nearest(rows, &table)?;
    let left = rows.f_sub(&table.f_index_select(0, &chosen)?)?;
    Ok((Vec::<i64>::try_from(&chosen)?, left))
}
