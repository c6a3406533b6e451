//! The five losses, their gradients and what is told of their ratios, against torch autograd.

use crate::fixture::distance;
use conrec_domain::spec::{Clip, GrpoLoss};
use conrec_policy::grpo_loss::{GrpoTerms, cross_entropy, grpo_loss, ratios};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

#[derive(serde::Deserialize)]
struct Golden {
    group: usize,
    beta: f64,
    new: Vec<Vec<f64>>,
    old: Vec<Vec<f64>>,
    kl: Vec<Vec<f64>>,
    forced: Vec<Vec<bool>>,
    advantage: Vec<f64>,
    cases: BTreeMap<String, Case>,
    anchor: Anchor,
}

#[derive(serde::Deserialize)]
struct Anchor {
    given: Vec<Vec<f64>>,
    forced: Vec<Vec<bool>>,
    has_next: Vec<bool>,
    loss: f64,
    gradient: Vec<Vec<f64>>,
}

#[derive(serde::Deserialize)]
struct Case {
    low: f64,
    high: f64,
    loss: f64,
    gradient: Vec<Vec<f64>>,
    clipped: u64,
    ratio_sum: f64,
    ratio_squares: f64,
}

/// `[completions, levels]` as one entry a code, level by level.
fn by_level(rows: &[Vec<f64>]) -> Tensor {
    Tensor::from_slice2(rows).tr().contiguous().view([-1])
}

#[test]
fn losses_gradients_and_ratios_equal_torchs() {
    let g: Golden = serde_json::from_str(include_str!("../golden/losses.json")).unwrap();
    let (completions, levels) = (g.new.len(), g.new[0].len());
    let free = |i: usize| g.forced[i].iter().filter(|f| !**f).count() as f64;
    // A group whose advantages are 0 is left out.
    let trains = |i: usize| g.advantage[i - i % g.group] != 0.0;
    let groups = (completions / g.group) as f64;
    let codes: f64 = (0..completions).filter(|i| trains(*i)).map(free).sum();
    let lengths = Tensor::from_slice(&(0..completions).map(free).collect::<Vec<_>>());
    assert_eq!(g.cases.len(), 5);
    for (name, case) in &g.cases {
        let loss: GrpoLoss = serde_json::from_value(name.as_str().into()).unwrap();
        let weight = |i: usize| match loss {
            GrpoLoss::Grpo | GrpoLoss::Gspo => 1.0 / (g.group as f64 * free(i)),
            GrpoLoss::DrGrpo => 1.0 / (g.group * levels) as f64,
            GrpoLoss::Dapo | GrpoLoss::Cispo => 1.0,
        };
        let divisor = if loss.is_mean_over_codes() { codes } else { groups };
        let counts = |i: usize, level: usize| if g.forced[i][level] || !trains(i) { 0.0 } else { weight(i) };
        let rows = |of: &dyn Fn(usize, usize) -> f64| {
            let row = |i| (0..levels).map(|level| of(i, level)).collect();
            by_level(&(0..completions).map(row).collect::<Vec<_>>())
        };
        let log_probs = by_level(&g.new).set_requires_grad(true);
        let terms = GrpoTerms {
            log_probs: &log_probs,
            old_log_probs: &by_level(&g.old),
            advantages: &rows(&|i, _| g.advantage[i]),
            kl: Some(&by_level(&g.kl)),
            weights: &rows(&counts),
            lengths: &lengths,
        };
        let how = (loss, Clip { low: case.low, high: case.high });
        let found = grpo_loss(&terms, how, g.beta) / divisor;
        assert!((found.double_value(&[]) - case.loss).abs() < 1e-12, "{name}: {found:?} instead of {}", case.loss);
        let gradient = Tensor::run_backward(&[&found], &[&log_probs], false, false);
        assert!(distance(&gradient[0], &by_level(&case.gradient)) < 1e-12, "{name}");
        assert!(gradient[0].ne(0.0).sum(Kind::Int64).int64_value(&[]) > 6, "{name}: gradients must flow");
        let ratios = ratios(&terms, how);
        assert_eq!(ratios.clipped, case.clipped, "{name}");
        assert!((ratios.sum - case.ratio_sum).abs() < 1e-9, "{name}");
        assert!((ratios.squares - case.ratio_squares).abs() < 1e-9, "{name}");
        assert!(case.clipped > 0, "{name}: the bounds must bite");
    }
}

#[test]
fn the_anchor_and_its_gradient_equal_torchs() {
    let g: Golden = serde_json::from_str(include_str!("../golden/losses.json")).unwrap();
    let anchor = g.anchor;
    let free = |forced: &Vec<bool>| forced.iter().filter(|f| !**f).count() as f64;
    let weight = |(forced, has): (&Vec<bool>, &bool)| if *has { 1.0 / free(forced) } else { 0.0 };
    let weights: Vec<f64> = anchor.forced.iter().zip(&anchor.has_next).map(weight).collect();
    let given = by_level(&anchor.given).set_requires_grad(true);
    let found = cross_entropy(&given, &Tensor::from_slice(&weights)) / weights.len() as f64;
    assert!((found.double_value(&[]) - anchor.loss).abs() < 1e-12, "{found:?} instead of {}", anchor.loss);
    // Forced codes are constants: their gradient goes nowhere.
    let open: Vec<Vec<f64>> =
        anchor.forced.iter().map(|row| row.iter().map(|f| f64::from(u8::from(!*f))).collect()).collect();
    let gradient = &Tensor::run_backward(&[&found], &[&given], false, false)[0] * by_level(&open);
    assert!(distance(&gradient, &by_level(&anchor.gradient)) < 1e-12);
}
