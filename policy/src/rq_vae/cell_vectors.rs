//! E(sid): a cell's vector is the sum of its codewords (method.md, section 3).

use super::error::RqVaeError;
use conrec_feedback::matrix::Matrix;
use conrec_feedback::semantic_id::SemanticIds;

/// E(sid) of every cell, `[cells, latent]`, from one codebook `[codes, latent]` a level.
///
/// # Errors
/// [`RqVaeError::OtherCodebooks`] when the codebooks are fewer, smaller or of unequal width.
pub fn cell_vectors(ids: &SemanticIds, codebooks: &[Matrix]) -> Result<Matrix, RqVaeError> {
    let latent = codebooks.first().map_or(0, |book| book.cols);
    let found = || codebooks.iter().map(|b| format!("{} x {}", b.rows, b.cols)).collect::<Vec<_>>().join(", ");
    let fits = |b: &Matrix| b.rows >= ids.codes && b.cols == latent && b.data.len() == b.rows * b.cols;
    if codebooks.len() != ids.levels || !codebooks.iter().all(fits) {
        return Err(RqVaeError::OtherCodebooks {
            found: format!("[{}]", found()),
            expected: format!("{} of at least {} codes and equal width", ids.levels, ids.codes),
        });
    }
    let mut out = Matrix::zeros(ids.cells(), latent);
    for cell in 0..ids.cells() {
        let codes = ids.cell_codes(cell as u32);
        for (book, code) in codebooks.iter().zip(codes) {
            for (sum, value) in out.row_mut(cell).iter_mut().zip(book.row(usize::from(*code))) {
                *sum += value;
            }
        }
    }
    Ok(out)
}
