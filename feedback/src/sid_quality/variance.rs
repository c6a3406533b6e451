//! How much of the vectors' spread a partition explains: what k-means minimises, for any semantic ids.

use super::{Agreement, Groups};
use crate::matrix::Matrix;

/// `sum |x - mean of its group|^2 / sum |x - mean|^2`. A random partition into g groups of n items leaves
/// `(n - g) / (n - 1)` of it in expectation, whatever the groups' sizes.
pub(super) fn left(vectors: &Matrix, groups: &Groups) -> Agreement {
    let all: Vec<u32> = groups.members.iter().flatten().copied().collect();
    let within: f64 = groups.members.iter().map(|items| scatter(vectors, items)).sum();
    let total = scatter(vectors, &all);
    let (n, g) = (groups.candidates as f64, groups.members.len() as f64);
    Agreement {
        share: if total > 0.0 { within / total } else { 0.0 },
        by_chance: if n > 1.0 { (n - g) / (n - 1.0) } else { 0.0 },
        cases: groups.candidates,
    }
}

/// Sum of squared distances of some rows from their mean.
fn scatter(vectors: &Matrix, items: &[u32]) -> f64 {
    let mut mean = vec![0f64; vectors.cols];
    for item in items {
        for (sum, value) in mean.iter_mut().zip(vectors.row(*item as usize)) {
            *sum += f64::from(*value);
        }
    }
    mean.iter_mut().for_each(|sum| *sum /= items.len().max(1) as f64);
    let distance = |item: &u32| {
        let row = vectors.row(*item as usize).iter();
        row.zip(&mean).map(|(value, mean)| (f64::from(*value) - mean).powi(2)).sum::<f64>()
    };
    items.iter().map(distance).sum()
}
