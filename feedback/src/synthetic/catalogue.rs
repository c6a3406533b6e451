//! The generator's catalogue: regions, item vectors and popularity.

use super::random::{Purpose, Stream};
use crate::matrix::Matrix;
use conrec_domain::spec::SyntheticSpec;

/// Items drawn by popularity; kept as running sums of weights.
#[derive(Debug)]
pub(super) struct Weighted {
    items: Vec<u32>,
    running_sums: Vec<f64>,
}

/// All items of the generator.
#[derive(Debug)]
pub(super) struct Catalogue {
    /// Region of each item; none for neutral items.
    pub(super) region_of: Vec<Option<u32>>,
    /// Items x dimensions, rows of unit length.
    pub(super) vectors: Matrix,
    /// All items.
    pub(super) all: Weighted,
    /// Items of each region.
    pub(super) by_region: Vec<Weighted>,
}

impl Weighted {
    fn new(items: Vec<u32>, weights: &[f64]) -> Self {
        let mut total = 0.0;
        let mut running_sums = Vec::with_capacity(items.len());
        for &item in &items {
            total += weights[item as usize];
            running_sums.push(total);
        }
        Self { items, running_sums }
    }

    /// An item drawn by popularity; none if there is no item.
    pub(super) fn draw(&self, stream: &mut Stream) -> Option<u32> {
        stream.by_weight(&self.running_sums).map(|at| self.items[at])
    }
}

impl Catalogue {
    /// Draws regions, vectors and popularity.
    pub(super) fn new(spec: &SyntheticSpec, seed: u64) -> Self {
        let dimensions = spec.dimensions as usize;
        let centres: Vec<Vec<f64>> = (0..spec.regions)
            .map(|region| unit(normals(&mut Stream::new(seed, Purpose::Region, region), dimensions)))
            .collect();
        let mut vectors = Matrix::zeros(spec.items as usize, dimensions);
        let (mut region_of, mut weights) = (Vec::new(), Vec::new());
        for item in 0..spec.items {
            let mut stream = Stream::new(seed, Purpose::Item, item);
            let neutral = stream.chance(spec.neutral_share);
            let region = (!neutral).then(|| stream.below(spec.regions as usize) as u32);
            // A popularity rank drawn uniformly, so that no item's weight depends on the others.
            let rank = stream.below(spec.items as usize);
            weights.push(((rank + 1) as f64).powf(-spec.popularity));
            region_of.push(region);
            let centre = region.map(|region| centres[region as usize].as_slice());
            let vector = placed(centre, spec.spread, normals(&mut stream, dimensions));
            for (to, from) in vectors.row_mut(item as usize).iter_mut().zip(vector) {
                *to = from as f32;
            }
        }
        let mut members = vec![Vec::new(); spec.regions as usize];
        for (item, region) in (0..).zip(&region_of) {
            if let Some(region) = region {
                members[*region as usize].push(item);
            }
        }
        let by_region = members.into_iter().map(|items| Weighted::new(items, &weights)).collect();
        let all = Weighted::new((0..spec.items).collect(), &weights);
        Self { region_of, vectors, all, by_region }
    }
}

/// The region's centre plus noise whose length is about `spread`, scaled to unit length; noise alone without a region.
fn placed(centre: Option<&[f64]>, spread: f64, noise: Vec<f64>) -> Vec<f64> {
    let Some(centre) = centre else {
        return unit(noise);
    };
    let scale = spread / (noise.len() as f64).sqrt();
    unit(centre.iter().zip(noise).map(|(c, n)| c + scale * n).collect())
}

fn normals(stream: &mut Stream, n: usize) -> Vec<f64> {
    (0..n).map(|_| stream.normal()).collect()
}

fn unit(mut vector: Vec<f64>) -> Vec<f64> {
    let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
    vector.iter_mut().for_each(|x| *x /= norm);
    vector
}
