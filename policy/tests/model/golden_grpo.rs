//! Masked log-probabilities, exact KL, entropy and the clipped loss against plain numpy, gradients against finite
//! differences.

use conrec_policy::exact_kl::{entropy, exact_kl};
use conrec_policy::grpo_loss::{Clip, GrpoTerms, grpo_loss};
use conrec_policy::legal::ILLEGAL;
use tch::{Kind, Tensor};

#[derive(serde::Deserialize)]
struct Golden {
    temperature: f64,
    beta: f64,
    low: f64,
    high: f64,
    z: Vec<Vec<f64>>,
    z_ref: Vec<Vec<f64>>,
    z_old: Vec<Vec<f64>>,
    legal: Vec<Vec<bool>>,
    code: Vec<i64>,
    advantage: Vec<f64>,
    weight: Vec<f64>,
    log_probs: Vec<Vec<Option<f64>>>,
    ratio: Vec<f64>,
    kl: Vec<f64>,
    entropy: Vec<f64>,
    loss: f64,
    gradient: Vec<Vec<f64>>,
}

fn close(found: &Tensor, expected: &[f64], tolerance: f64, what: &str) {
    let found = Vec::<f64>::try_from(found.detach().to_kind(Kind::Double).reshape([-1])).unwrap();
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() < tolerance, "{what}: {f} instead of {e}");
    }
}

#[test]
fn log_probs_kl_entropy_loss_and_gradient_equal_numpy() {
    let g: Golden = serde_json::from_str(include_str!("../golden/grpo.json")).unwrap();
    let mask: Vec<Vec<f64>> =
        g.legal.iter().map(|row| row.iter().map(|l| if *l { 0.0 } else { f64::from(ILLEGAL) }).collect()).collect();
    let mask = Tensor::from_slice2(&mask);
    let log_probs = |z: &Tensor| (z / g.temperature + &mask).log_softmax(-1, None);
    let z = Tensor::from_slice2(&g.z).set_requires_grad(true);
    let code = Tensor::from_slice(&g.code).unsqueeze(1);
    let (policy, old) = (log_probs(&z), log_probs(&Tensor::from_slice2(&g.z_old)));
    for (row, expected) in g.log_probs.iter().enumerate() {
        for (column, e) in expected.iter().enumerate() {
            let found = policy.double_value(&[row as i64, column as i64]);
            match e {
                Some(e) => assert!((found - e).abs() < 1e-12),
                None => assert_eq!(found.exp(), 0.0),
            }
        }
    }
    let kl = exact_kl(&policy, &log_probs(&Tensor::from_slice2(&g.z_ref)));
    close(&kl, &g.kl, 1e-12, "kl");
    close(&entropy(&policy), &g.entropy, 1e-12, "entropy");
    let pick = |l: &Tensor| l.gather(1, &code, false).squeeze_dim(1);
    let (chosen, old) = (pick(&policy), pick(&old));
    close(&(&chosen - &old).exp(), &g.ratio, 1e-12, "ratio");
    let (advantages, weights) = (Tensor::from_slice(&g.advantage), Tensor::from_slice(&g.weight));
    let terms = GrpoTerms {
        log_probs: &chosen,
        old_log_probs: &old,
        advantages: &advantages,
        kl: Some(&kl),
        weights: &weights,
    };
    let loss = grpo_loss(&terms, Clip { low: g.low, high: g.high }, g.beta);
    close(&loss, &[g.loss], 1e-12, "loss");
    let gradient = Tensor::run_backward(&[&loss], &[&z], false, false);
    let expected: Vec<f64> = g.gradient.iter().flatten().copied().collect();
    assert!(expected.iter().filter(|v| v.abs() > 1e-3).count() > 15);
    close(&gradient[0], &expected, 1e-8, "gradient");
}
