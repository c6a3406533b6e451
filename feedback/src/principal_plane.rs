//! The plane in which vectors differ most (the first two principal components): high-dimensional states as a picture.

use crate::matrix::Matrix;
use nalgebra::DMatrix;

/// Vectors in their principal plane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PrincipalPlane {
    /// One point a vector.
    pub points: Vec<(f64, f64)>,
    /// Share of the whole variance that the plane shows, 0 to 1.
    pub share: f64,
}

impl PrincipalPlane {
    /// Fits the plane to the rows of a matrix. Each axis points to where its largest weight (of equal ones the first) is
    /// positive, so that the same vectors give the same picture.
    pub fn of(rows: &Matrix) -> Self {
        if rows.rows == 0 || rows.cols == 0 {
            return Self { points: vec![(0.0, 0.0); rows.rows], share: 0.0 };
        }
        let mut centred = DMatrix::from_fn(rows.rows, rows.cols, |i, k| f64::from(rows.row(i)[k]));
        for mut column in centred.column_iter_mut() {
            let mean = column.mean();
            column.add_scalar_mut(-mean);
        }
        let eigen = centred.tr_mul(&centred).symmetric_eigen();
        let mut order: Vec<usize> = (0..rows.cols).collect();
        order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]).then(a.cmp(b)));
        let axis = |place: usize| {
            let vector = eigen.eigenvectors.column(*order.get(place)?);
            let largest = vector.iter().fold(0.0f64, |best, w| if w.abs() > best.abs() { *w } else { best });
            Some(&centred * vector * largest.signum())
        };
        let (x, y) = (axis(0), axis(1));
        let at = |axis: &Option<nalgebra::DVector<f64>>, i: usize| axis.as_ref().map_or(0.0, |axis| axis[i]);
        let points = (0..rows.rows).map(|i| (at(&x, i), at(&y, i))).collect();
        let whole: f64 = eigen.eigenvalues.iter().map(|v| v.max(0.0)).sum();
        let shown: f64 = order.iter().take(2).map(|k| eigen.eigenvalues[*k].max(0.0)).sum();
        Self { points, share: if whole > 0.0 { shown / whole } else { 0.0 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_in_the_plane_are_those_of_flat_vectors() {
        // Points of a plane in three dimensions, spanned by (1, 1, 0) / sqrt 2 and (0, 0, 1), and moved.
        let flat = [(4.0, 0.0), (-4.0, 0.0), (0.0, 1.0), (0.0, -1.0), (2.0, 0.5)];
        let data = flat.iter().flat_map(|(a, b)| [a * 0.5f32.sqrt() + 7.0, a * 0.5f32.sqrt(), b - 3.0]).collect();
        let plane = PrincipalPlane::of(&Matrix { rows: flat.len(), cols: 3, data });
        assert!((plane.share - 1.0).abs() < 1e-9);
        for (i, a) in flat.iter().enumerate() {
            for (j, b) in flat.iter().enumerate() {
                let expected = f64::from(a.0 - b.0).hypot(f64::from(a.1 - b.1));
                let (p, q) = (plane.points[i], plane.points[j]);
                assert!(((p.0 - q.0).hypot(p.1 - q.1) - expected).abs() < 1e-5, "{i} {j}");
            }
        }
    }

    #[test]
    fn a_third_direction_is_what_the_plane_does_not_show() {
        let axis = |k: usize, length: f32| (0..3).map(move |i| if i == k { length } else { 0.0 });
        let data: Vec<f32> =
            [(0, 2.0f32), (1, 1.0), (2, 1.0)].into_iter().flat_map(|(k, l)| axis(k, l).chain(axis(k, -l))).collect();
        let plane = PrincipalPlane::of(&Matrix { rows: 6, cols: 3, data });
        assert!((plane.share - 10.0 / 12.0).abs() < 1e-9, "{}", plane.share);
        assert!(plane.points[0].0 > 0.0, "axes have a fixed sign");
    }

    #[test]
    fn nothing_and_one_dimension_have_a_plane_too() {
        assert_eq!(PrincipalPlane::of(&Matrix::zeros(0, 5)).points, []);
        let line = PrincipalPlane::of(&Matrix { rows: 2, cols: 1, data: vec![0.0, 2.0] });
        assert_eq!((line.points, line.share), (vec![(-1.0, 0.0), (1.0, 0.0)], 1.0));
        assert_eq!(PrincipalPlane::of(&Matrix::zeros(3, 2)).share, 0.0);
    }
}
