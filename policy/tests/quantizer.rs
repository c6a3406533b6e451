//! Both quantizers: codes by plain loops, further vectors, planted clusters, same bits.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use conrec_domain::spec::{Quantizer, SemanticIdSpec};
use conrec_feedback::matrix::Matrix;
use conrec_policy::quantizer::Fitted;
use conrec_policy::random_normal::{standard_normals, stream};
use conrec_policy::rq_vae::{RqVaeError, RqVaeInput};

const ITEMS: usize = 240;
const COLS: usize = 6;
const CLUSTERS: usize = 8;

/// Items around 8 centres.
fn planted() -> Matrix {
    let centres = standard_normals(&mut stream(1, "centres"), CLUSTERS * COLS);
    let noise = standard_normals(&mut stream(1, "noise"), ITEMS * COLS);
    let value = |at: usize| 2.0 * centres[at / COLS % CLUSTERS * COLS + at % COLS] + 0.1 * noise[at];
    Matrix { rows: ITEMS, cols: COLS, data: (0..ITEMS * COLS).map(value).collect() }
}

fn spec() -> SemanticIdSpec {
    SemanticIdSpec { levels: 2, codes: CLUSTERS as u32, hidden: 12, latent: 4, epochs: 3, ..SemanticIdSpec::default() }
}

fn fit(kind: Quantizer, vectors: &Matrix, seed: u64) -> Fitted {
    tch::set_num_threads(1);
    let candidates: Vec<u32> = (0..ITEMS as u32 - 40).collect();
    let input = RqVaeInput { spec: &spec(), seed, vectors, candidates: &candidates };
    Fitted::fit(kind, &input, &mut |_| ()).unwrap()
}

fn squared_distance(a: &[f64], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - f64::from(*b)).powi(2)).sum()
}

#[test]
fn residual_k_means_codes_are_those_of_plain_loops() {
    let vectors = planted();
    let fitted = fit(Quantizer::ResidualKMeans, &vectors, 3);
    let assigned = fitted.assign(&vectors).unwrap();
    let mut left_in_all = 0.0;
    for item in 0..ITEMS {
        let mut residual: Vec<f64> = vectors.row(item).iter().map(|v| f64::from(*v)).collect();
        for (level, book) in fitted.codebooks().iter().enumerate() {
            if level == 1 {
                let last = assigned.last_residuals.row(item).iter().map(|v| f64::from(*v));
                assert!(last.zip(&residual).all(|(a, b)| (a - b).abs() < 1e-5));
            }
            let nearest = (0..book.rows)
                .min_by(|a, b| {
                    squared_distance(&residual, book.row(*a)).total_cmp(&squared_distance(&residual, book.row(*b)))
                })
                .unwrap();
            assert_eq!(usize::from(assigned.codes[item * 2 + level]), nearest, "item {item}, level {level}");
            residual.iter_mut().zip(book.row(nearest)).for_each(|(r, z)| *r -= f64::from(*z));
        }
        if item < ITEMS - 40 {
            left_in_all += residual.iter().map(|r| r * r).sum::<f64>();
        }
    }
    let mean: Vec<f32> =
        (0..COLS).map(|j| (0..ITEMS - 40).map(|i| vectors.row(i)[j]).sum::<f32>() / (ITEMS - 40) as f32).collect();
    let spread: f64 = (0..ITEMS - 40)
        .map(|i| squared_distance(&vectors.row(i).iter().map(|v| f64::from(*v)).collect::<Vec<_>>(), &mean))
        .sum();
    assert!((fitted.input_error()[1] - left_in_all / spread).abs() < 1e-5, "{:?}", fitted.input_error());
}

#[test]
fn both_kinds_find_planted_clusters_and_leave_less_level_after_level() {
    let vectors = planted();
    for kind in [Quantizer::RqVae, Quantizer::ResidualKMeans] {
        let fitted = fit(kind, &vectors, 3);
        let codes = fitted.assign(&vectors).unwrap().codes;
        let first: Vec<u16> = codes.chunks(2).map(|row| row[0]).collect();
        let (mut same, mut other) = (0, 0);
        for item in CLUSTERS..ITEMS {
            same += usize::from(first[item] == first[item - CLUSTERS]);
            other += usize::from(first[item] == first[item - 1]);
        }
        assert!(same > 9 * (ITEMS - CLUSTERS) / 10 && other < (ITEMS - CLUSTERS) / 4, "{kind:?}: {same}, {other}");
        assert!(fitted.input_error()[1] < fitted.input_error()[0], "{kind:?}: {:?}", fitted.input_error());
    }
}

#[test]
fn codes_of_an_item_do_not_depend_on_its_company_and_the_seed_fixes_the_bits() {
    let vectors = planted();
    for kind in [Quantizer::RqVae, Quantizer::ResidualKMeans] {
        let fitted = fit(kind, &vectors, 3);
        let all = fitted.assign(&vectors).unwrap().codes;
        let few = Matrix { rows: 5, cols: COLS, data: vectors.data[..5 * COLS].to_vec() };
        assert_eq!(fitted.assign(&few).unwrap().codes, all[..10], "{kind:?}");
        assert_eq!(fit(kind, &vectors, 3).codebooks(), fitted.codebooks());
        assert_ne!(fit(kind, &vectors, 4).codebooks(), fitted.codebooks());
    }
}

#[test]
fn residual_k_means_refuses_what_it_cannot_fit() {
    let mut vectors = planted();
    vectors.data[7] = f32::NAN;
    let input = RqVaeInput { spec: &spec(), seed: 1, vectors: &vectors, candidates: &[0, 1, 2, 3, 4, 5, 6, 7] };
    let error = Fitted::fit(Quantizer::ResidualKMeans, &input, &mut |_| ()).err().unwrap();
    assert!(matches!(error, RqVaeError::NotFinite { row: 1, column: 1, .. }), "{error}");
    let vectors = planted();
    let input = RqVaeInput { spec: &spec(), seed: 1, vectors: &vectors, candidates: &[0, 1] };
    let error = Fitted::fit(Quantizer::ResidualKMeans, &input, &mut |_| ()).err().unwrap();
    assert!(matches!(error, RqVaeError::FewerItemsThanCodes { codes: 8, items: 2 }), "{error}");
}
