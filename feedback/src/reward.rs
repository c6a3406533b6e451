//! The reward of a completion: r(o) = max over GTS of sim(o, i) - gamma * max over FPS of sim(o, j), and its variants
//! (method, section 5). sim is the cosine of catalogue-centred cell vectors E(sid).
//!
//! GTS are the negatives of the horizon with their Swing neighbours, FPS its positives; both as cells.

use crate::instance::Instance;
use crate::matrix::Matrix;
use crate::semantic_id::SemanticIds;
use conrec_domain::spec::{RewardSpec, RewardVariant};

/// Partial sums of a dot product; fixed, since it decides the rounding.
const LANES: usize = 4;

/// Computes rewards; knows cell vectors and codes but no instance.
#[derive(Clone, Debug)]
pub struct RewardModel {
    variant: RewardVariant,
    gamma: f64,
    truncate_below: f64,
    /// Cells x latent: centred over the catalogue, of unit length (or zero), so that sim is a dot product.
    vectors: Matrix,
    /// Cells x levels.
    codes: Vec<u16>,
    levels: usize,
}

/// What an instance's completions are measured against: cells, sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// Cells of GTS.
    pub negatives: Vec<u32>,
    /// Cells of FPS.
    pub positives: Vec<u32>,
    /// Cells of which no item may be listed for the user at that moment.
    pub excluded: Vec<u32>,
    /// The user, by whom shapes tell prompts apart.
    pub user: u32,
    /// The next negative's cell, if it has one.
    pub next: Option<u32>,
}

/// How near a completion is to an instance's targets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TargetSimilarities {
    /// Largest similarity to a cell of GTS; none if GTS has no cell.
    pub negative: Option<f64>,
    /// Largest similarity to a cell of FPS; none if FPS has no cell.
    pub positive: Option<f64>,
}

/// Why cell vectors do not fit the semantic ids.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum RewardError {
    /// One vector a cell is needed.
    #[error("found {found} cell vectors: expected one for each of the {cells} cells")]
    Rows {
        /// Vectors found.
        found: usize,
        /// Cells of the semantic ids.
        cells: usize,
    },
    /// A component is not finite.
    #[error("the vector of cell {cell} has the component {found}: expected a finite number")]
    NotFinite {
        /// The cell.
        cell: usize,
        /// The component.
        found: f32,
    },
}

impl Targets {
    /// Cells of an instance's GTS and FPS (item indices, free of their intersection).
    ///
    /// `neighbours` gives the Swing neighbours of an item. A neighbour that the user likes within the horizon does not
    /// enter GTS. Items without a cell are left out. One cell may stand in both sets: its items differ.
    pub fn new<'a>(ids: &SemanticIds, gts: &[u32], fps: &[u32], neighbours: impl Fn(u32) -> &'a [(u32, f64)]) -> Self {
        let near = gts.iter().flat_map(|&item| neighbours(item)).map(|&(item, _)| item);
        let near = near.filter(|item| !fps.contains(item));
        let negatives = cells(ids, gts.iter().copied().chain(near));
        Self { negatives, positives: cells(ids, fps.iter().copied()), ..Self::default() }
    }

    /// Says whose targets they are and what is left out of that user's lists: `excluded` are items, sorted.
    pub fn of(self, instance: &Instance, excluded: &[u32], ids: &SemanticIds) -> Self {
        let is_excluded = |item: &u32| excluded.binary_search(item).is_ok();
        let mut whole = cells(ids, excluded.iter().copied());
        whole.retain(|cell| ids.cell_items(*cell).iter().all(is_excluded));
        Self { excluded: whole, user: instance.user, next: ids.cell_of(instance.next), ..self }
    }

    /// Whether a cell stands in GTS.
    pub fn is_hit(&self, cell: u32) -> bool {
        self.negatives.binary_search(&cell).is_ok()
    }
}

fn cells(ids: &SemanticIds, items: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut cells: Vec<u32> = items.filter_map(|item| ids.cell_of(item)).collect();
    cells.sort_unstable();
    cells.dedup();
    cells
}

impl RewardModel {
    /// Takes E(sid), the sum of codewords of each cell (cells x latent); centres and normalises it.
    ///
    /// The centre is the mean over the catalogue's items: a cell counts once for each of its items.
    pub fn new(spec: &RewardSpec, cell_vectors: &Matrix, ids: &SemanticIds) -> Result<Self, RewardError> {
        if cell_vectors.rows != ids.cells() {
            return Err(RewardError::Rows { found: cell_vectors.rows, cells: ids.cells() });
        }
        if let Some(at) = cell_vectors.data.iter().position(|value| !value.is_finite()) {
            return Err(RewardError::NotFinite { cell: at / cell_vectors.cols, found: cell_vectors.data[at] });
        }
        let codes = (0..ids.cells() as u32).flat_map(|cell| ids.cell_codes(cell)).copied().collect();
        Ok(Self {
            variant: spec.variant,
            gamma: spec.gamma,
            truncate_below: spec.truncate_below,
            vectors: centred_unit(cell_vectors, ids),
            codes,
            levels: ids.levels,
        })
    }

    /// The centred cell vectors of unit length (zero where a cell lies at the centre): cells x latent.
    pub fn vectors(&self) -> &Matrix {
        &self.vectors
    }

    /// Cosine of two cells; 0 if one of them lies at the catalogue's centre.
    pub fn similarity(&self, a: u32, b: u32) -> f64 {
        dot(self.vectors.row(a as usize), self.vectors.row(b as usize))
    }

    /// How near a completion is to the targets: one dot product for each target cell.
    pub fn similarities(&self, cell: u32, targets: &Targets) -> TargetSimilarities {
        let nearest = |set: &[u32]| set.iter().map(|&target| self.similarity(cell, target)).reduce(f64::max);
        TargetSimilarities { negative: nearest(&targets.negatives), positive: nearest(&targets.positives) }
    }

    /// Reward of a completion; none (the reward abstains) when no negative of the instance has a cell.
    pub fn reward(&self, cell: u32, targets: &Targets) -> Option<f64> {
        if self.variant == RewardVariant::E {
            return self.shared_codes_reward(cell, targets);
        }
        let near = self.similarities(cell, targets);
        let negative = near.negative?;
        let positive = near.positive.unwrap_or(0.0);
        Some(match self.variant {
            RewardVariant::A | RewardVariant::E => negative,
            RewardVariant::B => self.truncated(negative),
            RewardVariant::C => negative - self.gamma * positive,
            RewardVariant::D => self.truncated(negative) - self.gamma * self.truncated(positive),
        })
    }

    /// The paper's reward, variant c, whatever the config's variant is: what every report shows.
    pub fn paper_reward(&self, cell: u32, targets: &Targets) -> Option<f64> {
        let near = self.similarities(cell, targets);
        Some(near.negative? - self.gamma * near.positive.unwrap_or(0.0))
    }

    /// How much of one target a completion covers, 0 to 1: the variant's nearness, where it is above 0.
    pub fn covers(&self, cell: u32, target: u32) -> f64 {
        match self.variant {
            RewardVariant::A | RewardVariant::C => self.similarity(cell, target).max(0.0),
            RewardVariant::B | RewardVariant::D => self.truncated(self.similarity(cell, target)).max(0.0),
            RewardVariant::E => self.share_of_codes(self.codes_in_common(cell, target)),
        }
    }

    /// Weight of the positives under the variant: gamma, or 0 where it does not look at them.
    pub fn positive_weight(&self) -> f64 {
        match self.variant {
            RewardVariant::A | RewardVariant::B | RewardVariant::E => 0.0,
            RewardVariant::C | RewardVariant::D => self.gamma,
        }
    }

    fn truncated(&self, similarity: f64) -> f64 {
        if similarity > self.truncate_below { similarity } else { 0.0 }
    }

    /// Variant e: of the target with most leading codes in common.
    fn shared_codes_reward(&self, cell: u32, targets: &Targets) -> Option<f64> {
        let most = targets.negatives.iter().map(|target| self.codes_in_common(cell, *target)).max()?;
        Some(self.share_of_codes(most))
    }

    fn codes_in_common(&self, a: u32, b: u32) -> usize {
        self.codes_of(a).iter().zip(self.codes_of(b)).take_while(|(a, b)| a == b).count()
    }

    /// 1 for all D leading codes in common with a target, a tenth for each code fewer, 0 for none.
    fn share_of_codes(&self, common: usize) -> f64 {
        let missing = (self.levels - common) as i32;
        if common == 0 { 0.0 } else { 1.0 / 10f64.powi(missing) }
    }

    fn codes_of(&self, cell: u32) -> &[u16] {
        &self.codes[cell as usize * self.levels..(cell as usize + 1) * self.levels]
    }
}

/// Cell vectors minus their mean over the catalogue's items, each scaled to length 1.
fn centred_unit(cell_vectors: &Matrix, ids: &SemanticIds) -> Matrix {
    let mut centre = vec![0f64; cell_vectors.cols];
    let mut items = 0.0;
    for cell in 0..cell_vectors.rows {
        let weight = ids.cell_items(cell as u32).len() as f64;
        items += weight;
        for (sum, &value) in centre.iter_mut().zip(cell_vectors.row(cell)) {
            *sum += weight * f64::from(value);
        }
    }
    let mut result = cell_vectors.clone();
    for cell in 0..result.rows {
        for (value, &sum) in result.row_mut(cell).iter_mut().zip(&centre) {
            *value = (f64::from(*value) - sum / items) as f32;
        }
    }
    result.normalize_rows();
    result
}

/// Dot product in 64-bit floats, with a fixed order of summation.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0f64; LANES];
    let (a_whole, b_whole) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_whole.remainder().iter().zip(b_whole.remainder());
    let rest: f64 = rest.map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
    for (x, y) in a_whole.zip(b_whole) {
        for lane in 0..LANES {
            sums[lane] += f64::from(x[lane]) * f64::from(y[lane]);
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five items in five cells whose vectors sum to zero, so that centring changes nothing:
    /// cell 0 = (1, 0), 1 = (0.8, 0.6), 2 = (-1, 0), 3 = (0, -1), 4 = (-0.8, 0.4) (not of unit length).
    fn model(variant: RewardVariant) -> (SemanticIds, RewardModel) {
        let of_item = vec![1, 1, 1, 1, 1, 2, 1, 3, 0, 2, 2, 2, 3, 3, 3];
        let ids = SemanticIds::new(3, 4, of_item, &[true; 5]).unwrap();
        // Cells in lexicographic order: 111 (item 0), 112 (item 1), 130 (item 2), 222 (item 3), 333 (item 4).
        let data = vec![1.0, 0.0, 0.8, 0.6, -1.0, 0.0, 0.0, -1.0, -0.8, 0.4];
        let vectors = Matrix { rows: 5, cols: 2, data };
        let spec = RewardSpec { variant, gamma: 0.5, truncate_below: 0.6, ..RewardSpec::default() };
        let model = RewardModel::new(&spec, &vectors, &ids).unwrap();
        (ids, model)
    }

    fn targets(negatives: &[u32], positives: &[u32]) -> Targets {
        Targets { negatives: negatives.to_vec(), positives: positives.to_vec(), ..Targets::default() }
    }

    #[track_caller]
    fn assert_reward(variant: RewardVariant, cell: u32, targets: &Targets, expected: f64) {
        let found = model(variant).1.reward(cell, targets).unwrap();
        assert!((found - expected).abs() < 1e-6, "found {found}, expected {expected}");
    }

    #[test]
    fn variant_a_is_the_largest_similarity_to_a_negative() {
        // cos(0, 1) = 0.8, cos(0, 3) = 0.
        assert_reward(RewardVariant::A, 0, &targets(&[1, 3], &[0]), 0.8);
        assert_reward(RewardVariant::A, 0, &targets(&[2], &[]), -1.0);
    }

    #[test]
    fn variant_b_counts_only_what_lies_above_the_truncation() {
        assert_reward(RewardVariant::B, 0, &targets(&[1], &[]), 0.8);
        // cos(1, 3) = -0.6; cos(4, 1) = (-0.64 + 0.24) / sqrt(0.8) = -0.447; both below 0.6.
        assert_reward(RewardVariant::B, 1, &targets(&[3, 4], &[]), 0.0);
    }

    #[test]
    fn variant_c_takes_gamma_times_the_largest_similarity_to_a_positive_away() {
        // cos(1, 0) = 0.8; cos(1, 2) = -0.8, cos(1, 3) = -0.6: the larger is -0.6.
        assert_reward(RewardVariant::C, 1, &targets(&[0], &[2, 3]), 0.8 + 0.3);
        assert_reward(RewardVariant::C, 0, &targets(&[0], &[1]), 1.0 - 0.4);
        assert_reward(RewardVariant::C, 0, &targets(&[1], &[]), 0.8);
    }

    #[test]
    fn variant_d_truncates_both_terms() {
        assert_reward(RewardVariant::D, 0, &targets(&[0], &[1]), 1.0 - 0.4);
        assert_reward(RewardVariant::D, 1, &targets(&[0], &[2, 3]), 0.8);
        // cos(2, 4) = 0.8 / sqrt(0.8) = 0.894; no negative above the truncation.
        assert_reward(RewardVariant::D, 2, &targets(&[3], &[4]), -0.447_213_595_5);
    }

    #[test]
    fn variant_e_pays_a_tenth_for_each_code_fewer_in_common() {
        for (cell, expected) in [(0, 1.0), (1, 0.1), (2, 0.01), (3, 0.0)] {
            assert_eq!(model(RewardVariant::E).1.reward(cell, &targets(&[0], &[cell])), Some(expected));
        }
        assert_eq!(model(RewardVariant::E).1.reward(1, &targets(&[1, 3], &[])), Some(1.0));
    }

    #[test]
    fn without_a_cell_in_gts_every_variant_abstains() {
        use RewardVariant::{A, B, C, D, E};
        for variant in [A, B, C, D, E] {
            assert_eq!(model(variant).1.reward(0, &targets(&[], &[1])), None);
        }
    }

    #[test]
    fn vectors_are_centred_over_items_and_not_over_cells() {
        // Three items at (2, 0) and one at (6, 0): the mean is (3, 0), so the cells point apart.
        let ids = SemanticIds::new(1, 2, vec![0, 0, 0, 1], &[true; 4]).unwrap();
        let vectors = Matrix { rows: 2, cols: 2, data: vec![2.0, 1.0, 6.0, 1.0] };
        let model = RewardModel::new(&RewardSpec::default(), &vectors, &ids).unwrap();
        assert_eq!(model.vectors().data, [-1.0, 0.0, 1.0, 0.0]);
        assert_eq!(model.similarity(0, 1), -1.0);
    }

    #[test]
    fn a_cell_at_the_centre_is_similar_to_nothing() {
        let ids = SemanticIds::new(1, 3, vec![0, 1, 2], &[true; 3]).unwrap();
        let vectors = Matrix { rows: 3, cols: 1, data: vec![-1.0, 0.0, 1.0] };
        let model = RewardModel::new(&RewardSpec::default(), &vectors, &ids).unwrap();
        assert_eq!((model.similarity(1, 2), model.similarity(0, 2)), (0.0, -1.0));
    }

    #[test]
    fn targets_are_extended_by_neighbours_that_are_not_liked() {
        let (ids, _) = model(RewardVariant::C);
        let of_0 = [(1, 0.9), (2, 0.5), (7, 0.1)];
        let neighbours = |item: u32| if item == 0 { of_0.as_slice() } else { &[] };
        let found = Targets::new(&ids, &[0, 3], &[2], neighbours);
        assert_eq!(found, targets(&[0, 1, 3], &[2]));
    }

    #[test]
    fn a_cell_is_excluded_once_all_of_its_items_are() {
        // Cells: 0 = items 0 and 1, 1 = item 2.
        let ids = SemanticIds::new(1, 2, vec![0, 0, 1], &[true; 3]).unwrap();
        let instance = Instance { user: 7, t0: 0, next: 2, gts: vec![2], fps: vec![] };
        let of = |excluded: &[u32]| Targets::new(&ids, &[2], &[], |_| &[]).of(&instance, excluded, &ids);
        assert!(of(&[0]).excluded.is_empty());
        assert_eq!(of(&[0, 1]).excluded, [0]);
        assert_eq!((of(&[2]).excluded, of(&[]).user, of(&[]).next), (vec![1], 7, Some(1)));
        assert!(of(&[]).is_hit(1) && !of(&[]).is_hit(0));
    }

    #[test]
    fn the_papers_reward_is_variant_c_under_every_variant() {
        use RewardVariant::{A, B, C, D, E};
        let asked = targets(&[0], &[2, 3]);
        for variant in [A, B, C, D, E] {
            assert_eq!(model(variant).1.paper_reward(1, &asked), model(C).1.reward(1, &asked));
        }
    }

    #[test]
    fn similarities_are_one_maximum_a_set() {
        let (_, model) = model(RewardVariant::C);
        let near = model.similarities(0, &targets(&[1, 3], &[2]));
        assert!((near.negative.unwrap() - 0.8).abs() < 1e-6);
        assert_eq!(near.positive, Some(-1.0));
        assert_eq!(model.similarities(0, &Targets::default()), TargetSimilarities { negative: None, positive: None });
    }

    #[test]
    fn vectors_that_do_not_fit_are_refused() {
        let (ids, _) = model(RewardVariant::C);
        let new = |m: &Matrix| RewardModel::new(&RewardSpec::default(), m, &ids).map(|_| ()).unwrap_err();
        assert_eq!(new(&Matrix::zeros(4, 2)), RewardError::Rows { found: 4, cells: 5 });
        let mut bad = Matrix::zeros(5, 2);
        bad.row_mut(3)[1] = f32::INFINITY;
        assert_eq!(new(&bad), RewardError::NotFinite { cell: 3, found: f32::INFINITY });
    }

    #[test]
    fn dot_products_of_any_length_are_whole() {
        for n in 0..11 {
            let a: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let expected: f64 = (0..n).map(|i| f64::from(i * i)).sum();
            assert_eq!(dot(&a, &a), expected);
        }
    }
}
