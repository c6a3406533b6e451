//! AdamW (Loshchilov and Hutter, 2019) on one flat tensor, after clipping the gradient by its global norm.

use crate::error::PolicyError;
use conrec_domain::spec::OptimizerSpec;
use tch::{Device, Kind, Tensor};

/// First and second moments of a flat gradient, and the number of updates made.
#[derive(Debug)]
pub struct Moments {
    /// Moving mean of the gradient.
    pub first: Tensor,
    /// Moving mean of its square.
    pub second: Tensor,
    /// Updates made.
    pub updates: u64,
}

impl Moments {
    /// Zero moments for `length` weights (f32).
    pub fn zeros(length: usize) -> Self {
        let zeros = || Tensor::zeros([length as i64], (Kind::Float, Device::Cpu));
        Self { first: zeros(), second: zeros(), updates: 0 }
    }
}

/// Euclidean norm of a flat gradient, added up in f64 in the order of its elements.
///
/// # Errors
/// When the tensor cannot be read as f32.
pub fn global_norm(gradient: &Tensor) -> Result<f64, PolicyError> {
    let values = Vec::<f32>::try_from(gradient)?;
    Ok(values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt())
}

/// One update in place: weights -= rate (m^ / (sqrt(v^) + eps)) after weights *= 1 - rate * decay, with bias-corrected
/// moments of the clipped gradient. Returns the gradient's norm before clipping.
///
/// # Errors
/// When lengths differ or the gradient is not finite.
pub fn adamw(
    spec: &OptimizerSpec,
    weights: &mut Tensor,
    moments: &mut Moments,
    gradient: &Tensor,
    rate: f64,
) -> Result<f64, PolicyError> {
    if gradient.size() != weights.size() || moments.first.size() != weights.size() {
        return Err(PolicyError::Tensor {
            name: "gradient".into(),
            found: format!("shape {:?} with moments {:?}", gradient.size(), moments.first.size()),
            expected: format!("shape {:?}", weights.size()),
        });
    }
    let norm = global_norm(gradient)?;
    if !norm.is_finite() {
        return Err(PolicyError::State(format!("the gradient's norm is {norm}: expected a finite number")));
    }
    let clip = if spec.max_grad_norm > 0.0 { (spec.max_grad_norm / (norm + 1e-6)).min(1.0) } else { 1.0 };
    tch::no_grad(|| {
        let gradient = gradient * clip;
        moments.updates += 1;
        let t = moments.updates as f64;
        if spec.weight_decay != 0.0 {
            let _ = weights.g_mul_scalar_(1.0 - rate * spec.weight_decay);
        }
        let _ = moments.first.lerp_(&gradient, 1.0 - spec.beta1);
        let _ = moments.second.g_mul_scalar_(spec.beta2);
        let _ = moments.second.g_add_(&(&gradient * &gradient * (1.0 - spec.beta2)));
        let root = (1.0 - spec.beta2.powf(t)).sqrt();
        let size = rate / (1.0 - spec.beta1.powf(t));
        let update = &moments.first / (moments.second.sqrt() / root + spec.eps) * size;
        let _ = weights.g_sub_(&update);
    });
    Ok(norm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        beta1: f64,
        beta2: f64,
        eps: f64,
        decay: f64,
        clip: f64,
        rate: f64,
        start: Vec<f64>,
        gradients: Vec<Vec<f64>>,
        norms: Vec<f64>,
        weights: Vec<Vec<f64>>,
    }

    fn single(values: &[f64]) -> Tensor {
        Tensor::from_slice(values).to_kind(Kind::Float)
    }

    #[test]
    fn updates_equal_those_of_numpy() {
        let cases: Vec<Golden> = serde_json::from_str(include_str!("../tests/golden/adamw.json")).unwrap();
        assert_eq!(cases.len(), 2);
        for g in cases {
            let spec = OptimizerSpec {
                beta1: g.beta1,
                beta2: g.beta2,
                eps: g.eps,
                weight_decay: g.decay,
                max_grad_norm: g.clip,
                ..OptimizerSpec::default()
            };
            let mut weights = single(&g.start);
            let mut moments = Moments::zeros(7);
            for ((gradient, norm), expected) in g.gradients.iter().zip(&g.norms).zip(&g.weights) {
                let found = adamw(&spec, &mut weights, &mut moments, &single(gradient), g.rate).unwrap();
                assert!((found / norm - 1.0).abs() < 1e-6);
                let found = Vec::<f64>::try_from(weights.to_kind(Kind::Double)).unwrap();
                for (f, e) in found.iter().zip(expected) {
                    assert!((f - e).abs() < 2e-6 * e.abs().max(0.1), "{f} instead of {e}");
                }
            }
            assert_eq!(moments.updates, 5);
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_changes_nothing() {
        let (mut weights, mut moments) = (single(&[1.0, 2.0]), Moments::zeros(2));
        let spec = OptimizerSpec::default();
        assert!(adamw(&spec, &mut weights, &mut moments, &single(&[1.0, f64::NAN]), 0.1).is_err());
        assert!(adamw(&spec, &mut weights, &mut moments, &single(&[1.0]), 0.1).is_err());
        assert!(weights == single(&[1.0, 2.0]) && moments.updates == 0);
    }
}
