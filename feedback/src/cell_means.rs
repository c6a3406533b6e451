//! E(sid) where there are no codewords, or they belong to other items: the mean of the item vectors of a cell.

use crate::matrix::Matrix;
use crate::semantic_id::SemanticIds;

/// One row a cell: the mean of its items' vectors, summed in 64-bit floats.
pub fn cell_means(ids: &SemanticIds, vectors: &Matrix) -> Matrix {
    let mut means = Matrix::zeros(ids.cells(), vectors.cols);
    for cell in 0..ids.cells() {
        let items = ids.cell_items(cell as u32);
        let mut sums = vec![0f64; vectors.cols];
        for item in items {
            for (sum, value) in sums.iter_mut().zip(vectors.row(*item as usize)) {
                *sum += f64::from(*value);
            }
        }
        for (mean, sum) in means.row_mut(cell).iter_mut().zip(sums) {
            *mean = (sum / items.len().max(1) as f64) as f32;
        }
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_the_mean_of_its_candidates() {
        // Items 0 and 2 share a cell; item 3 has the same code and is no candidate.
        let ids = SemanticIds::new(1, 2, vec![1, 0, 1, 1], &[true, true, true, false]).unwrap();
        let vectors = Matrix { rows: 4, cols: 2, data: vec![1.0, 2.0, 9.0, 8.0, 3.0, -2.0, 100.0, 100.0] };
        assert_eq!(cell_means(&ids, &vectors).data, [9.0, 8.0, 2.0, 0.0]);
    }
}
