//! Behaviour of the RQ-VAE: its loss against numpy, what it finds in planted data, what it refuses.
#![allow(clippy::unwrap_used)]

use conrec_domain::spec::SemanticIdSpec;
use conrec_feedback::matrix::Matrix;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_policy::random_normal::{standard_normals, stream};
use conrec_policy::rq_vae::{
    LossWeights, QuantisedLevel, RqVaeError, RqVaeInput, RqVaeOutput, cell_vectors, rq_vae_loss, train_rq_vae,
};
use serde_json::Value;
use tch::{Kind, Tensor};

fn array(value: &Value) -> Tensor {
    fn flat(value: &Value, out: &mut Vec<f64>, shape: &mut Vec<i64>, depth: usize) {
        match value.as_array() {
            Some(list) => {
                if shape.len() == depth {
                    shape.push(list.len() as i64);
                }
                list.iter().for_each(|v| flat(v, out, shape, depth + 1));
            }
            None => out.push(value.as_f64().unwrap()),
        }
    }
    let (mut out, mut shape) = (Vec::new(), Vec::new());
    flat(value, &mut out, &mut shape, 0);
    Tensor::from_slice(&out).to_kind(Kind::Float).reshape(shape)
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    f64::try_from((a - b).abs().max()).unwrap()
}

#[test]
fn loss_and_its_gradients_equal_numpy() {
    let golden: Value = serde_json::from_str(include_str!("golden/rq_vae_loss.json")).unwrap();
    let x = array(&golden["x"]);
    let x_hat = array(&golden["x_hat"]).set_requires_grad(true);
    let residuals = array(&golden["residuals"]).set_requires_grad(true);
    let codewords = array(&golden["codewords"]).set_requires_grad(true);
    let levels: Vec<QuantisedLevel> =
        (0..2).map(|d| QuantisedLevel { residual: residuals.select(0, d), codeword: codewords.select(0, d) }).collect();
    let weights = |codebook_term| LossWeights { commitment: golden["commitment"].as_f64().unwrap(), codebook_term };
    let without = f64::try_from(rq_vae_loss(&x, &x_hat, &levels, weights(false)).unwrap()).unwrap();
    assert!((without - golden["loss_without"].as_f64().unwrap()).abs() < 1e-5, "{without}");
    let loss = rq_vae_loss(&x, &x_hat, &levels, weights(true)).unwrap();
    let value = f64::try_from(&loss).unwrap();
    assert!((value - golden["loss_with_codebook_term"].as_f64().unwrap()).abs() < 1e-5, "{value}");
    loss.backward();
    assert!(difference(&residuals.grad(), &array(&golden["gradient_residuals"])) < 1e-6);
    assert!(difference(&codewords.grad(), &array(&golden["gradient_codewords"])) < 1e-6);
    assert!(difference(&x_hat.grad(), &array(&golden["gradient_x_hat"])) < 1e-6);
}

const CLUSTERS: usize = 12;

/// Items around planted centres, item i in cluster i % CLUSTERS, and smaller clusters within.
fn planted(items: usize, cols: usize) -> Matrix {
    let centres = standard_normals(&mut stream(1, "centres"), CLUSTERS * cols);
    let inner = standard_normals(&mut stream(1, "inner"), 4 * cols);
    let noise = standard_normals(&mut stream(1, "noise"), items * cols);
    let mut data = Vec::with_capacity(items * cols);
    for i in 0..items {
        for j in 0..cols {
            let centre = centres[(i % CLUSTERS) * cols + j] + 0.4 * inner[(i / CLUSTERS % 4) * cols + j];
            data.push(centre + 0.1 * noise[i * cols + j]);
        }
    }
    Matrix { rows: items, cols, data }
}

fn spec() -> SemanticIdSpec {
    SemanticIdSpec {
        levels: 3,
        codes: 16,
        hidden: 48,
        latent: 12,
        epochs: 25,
        items_per_step: 128,
        learning_rate: 2e-3,
        ..SemanticIdSpec::default()
    }
}

fn train(spec: &SemanticIdSpec, seed: u64, vectors: &Matrix, candidates: &[u32]) -> Result<RqVaeOutput, RqVaeError> {
    tch::set_num_threads(1);
    train_rq_vae(&RqVaeInput { spec, seed, vectors, candidates }, &mut |_| ()).map(|trained| trained.output)
}

/// Share of pairs of items of one cluster that also share the first code, and the same for pairs of two clusters.
fn agreement(codes: &[u16], levels: usize) -> (f64, f64) {
    let first: Vec<u16> = codes.chunks(levels).map(|c| c[0]).collect();
    let (mut same, mut other) = ((0u32, 0u32), (0u32, 0u32));
    for a in 0..first.len() {
        for b in 0..a {
            let count = if a % CLUSTERS == b % CLUSTERS { &mut same } else { &mut other };
            count.1 += 1;
            count.0 += u32::from(first[a] == first[b]);
        }
    }
    (f64::from(same.0) / f64::from(same.1), f64::from(other.0) / f64::from(other.1))
}

#[test]
fn planted_clusters_share_the_first_code() {
    let vectors = planted(960, 24);
    let candidates: Vec<u32> = (0..960).collect();
    let out = train(&spec(), 3, &vectors, &candidates).unwrap();
    let (same, other) = agreement(&out.codes, 3);
    assert!(same > 0.8, "pairs of one cluster: {same}");
    assert!(other < 0.05, "pairs of two clusters: {other}");
}

#[test]
fn error_falls_with_levels_and_loss_with_epochs() {
    let vectors = planted(960, 24);
    let candidates: Vec<u32> = (0..960).collect();
    let out = train(&spec(), 3, &vectors, &candidates).unwrap();
    assert!(out.latent_error.windows(2).all(|w| w[1] < w[0]), "{:?}", out.latent_error);
    assert!(out.input_error.windows(2).all(|w| w[1] < w[0]), "{:?}", out.input_error);
    assert!(out.input_error[2] < 0.1, "{:?}", out.input_error);
    assert!(out.epochs[24].reconstruction < 0.3 * out.epochs[0].reconstruction);
    assert_eq!(out.epochs.len(), 25);
}

#[test]
fn same_seed_gives_the_same_bits_and_another_seed_does_not() {
    let vectors = planted(400, 16);
    let candidates: Vec<u32> = (0..400).collect();
    let spec = SemanticIdSpec { epochs: 4, ..spec() };
    let once = train(&spec, 5, &vectors, &candidates).unwrap();
    assert_eq!(once, train(&spec, 5, &vectors, &candidates).unwrap());
    assert_ne!(once.codes, train(&spec, 6, &vectors, &candidates).unwrap().codes);
}

#[test]
fn items_outside_training_time_get_codes_but_teach_nothing() {
    let mut vectors = planted(500, 16);
    let candidates: Vec<u32> = (0..400).collect();
    let spec = SemanticIdSpec { epochs: 4, ..spec() };
    let before = train(&spec, 5, &vectors, &candidates).unwrap();
    assert_eq!(before.codes.len(), 500 * 3);
    vectors.data[400 * 16..].iter_mut().for_each(|v| *v *= -3.0);
    let after = train(&spec, 5, &vectors, &candidates).unwrap();
    assert_eq!(before.codebooks, after.codebooks);
    assert_eq!(before.codes[..1200], after.codes[..1200]);
    assert_ne!(before.codes[1200..], after.codes[1200..]);
}

#[test]
fn dead_codes_are_revived_in_training() {
    // All items but a few lie in one point, so k-means leaves most codes unused.
    let mut vectors = planted(300, 8);
    for row in 20..300 {
        let first = vectors.row(0).to_vec();
        vectors.row_mut(row).copy_from_slice(&first);
    }
    let candidates: Vec<u32> = (0..300).collect();
    let spec = SemanticIdSpec { codes: 32, epochs: 3, dead_below: 0.3, ema_decay: 0.7, ..spec() };
    let revived = |spec: &SemanticIdSpec| {
        train(spec, 1, &vectors, &candidates).unwrap().epochs.iter().map(|e| e.revived).sum::<u32>()
    };
    assert!(revived(&spec) > 0);
    assert_eq!(revived(&SemanticIdSpec { dead_below: 0.0, ..spec }), 0);
}

#[test]
fn bad_input_is_refused_with_its_place() {
    let good = planted(40, 8);
    let all: Vec<u32> = (0..40).collect();
    let mut nan = good.clone();
    nan.data[8 * 3 + 2] = f32::NAN;
    let error = train(&spec(), 1, &nan, &all).unwrap_err();
    assert!(matches!(error, RqVaeError::NotFinite { row: 3, column: 2, .. }), "{error}");
    let short = Matrix { rows: 40, cols: 9, data: good.data.clone() };
    let error = train(&spec(), 1, &short, &all).unwrap_err();
    assert!(matches!(error, RqVaeError::WrongSize { rows: 40, cols: 9, found: 320 }), "{error}");
    let error = train(&spec(), 1, &good, &all[..15]).unwrap_err();
    assert!(matches!(error, RqVaeError::FewerItemsThanCodes { codes: 16, items: 15 }), "{error}");
    let error = train(&spec(), 1, &good, &[0, 40]).unwrap_err();
    assert!(matches!(error, RqVaeError::NoSuchItem { item: 40, items: 40 }), "{error}");
    let wide = SemanticIdSpec { codes: 70_000, ..spec() };
    assert!(matches!(train(&wide, 1, &good, &all).unwrap_err(), RqVaeError::CodesOutOfRange { .. }));
    let flat = SemanticIdSpec { latent: 0, ..spec() };
    assert!(matches!(train(&flat, 1, &good, &all).unwrap_err(), RqVaeError::Zero { key: "latent" }));
    let wild = SemanticIdSpec { learning_rate: 1e30, ..spec() };
    assert!(matches!(train(&wild, 1, &good, &all).unwrap_err(), RqVaeError::Diverged { .. }));
}

#[test]
fn equal_items_are_no_error() {
    let vectors = Matrix { rows: 30, cols: 4, data: vec![0.5; 120] };
    let candidates: Vec<u32> = (0..30).collect();
    let out = train(&SemanticIdSpec { epochs: 2, ..spec() }, 1, &vectors, &candidates).unwrap();
    assert!(out.codes.chunks(3).all(|c| c == &out.codes[..3]));
}

#[test]
fn cell_vector_is_the_sum_of_its_codewords() {
    let ids = SemanticIds::new(2, 3, vec![2, 0, 1, 1, 2, 0], &[true; 3]).unwrap();
    let book = |scale: f32| Matrix { rows: 3, cols: 2, data: (0..6).map(|v| scale * v as f32).collect() };
    let vectors = cell_vectors(&ids, &[book(1.0), book(10.0)]).unwrap();
    // Cells are (1, 1) and (2, 0): rows 1 + 10 * row 1, and row 2 + 10 * row 0.
    assert_eq!(vectors, Matrix { rows: 2, cols: 2, data: vec![2.0 + 20.0, 3.0 + 30.0, 4.0, 5.0 + 10.0] });
    let error = cell_vectors(&ids, &[book(1.0)]).unwrap_err();
    assert!(matches!(error, RqVaeError::OtherCodebooks { .. }), "{error}");
}
