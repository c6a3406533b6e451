//! Adam (Kingma and Ba, 2015) for the autoencoder's few tensors.

use tch::{TchError, Tensor};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPS: f64 = 1e-8;

/// Moments of every parameter and the number of updates so far.
pub(super) struct Adam {
    learning_rate: f64,
    updates: i32,
    moments: Vec<(Tensor, Tensor)>,
}

impl Adam {
    /// Zero moments for these parameters.
    pub fn new(parameters: &[Tensor], learning_rate: f64) -> Result<Self, TchError> {
        let moments = parameters
            .iter()
            .map(|p| Ok((p.f_detach()?.f_zeros_like()?, p.f_detach()?.f_zeros_like()?)))
            .collect::<Result<_, TchError>>()?;
        Ok(Self { learning_rate, updates: 0, moments })
    }

    /// Moves the parameters against the gradient of `loss`.
    pub fn descend(&mut self, parameters: &[Tensor], loss: &Tensor) -> Result<(), TchError> {
        let gradients = Tensor::f_run_backward(&[loss], parameters, false, false)?;
        self.updates += 1;
        let _no_grad = tch::no_grad_guard();
        let root = (1.0 - BETA2.powi(self.updates)).sqrt();
        let rate = self.learning_rate / (1.0 - BETA1.powi(self.updates));
        for ((parameter, gradient), (mean, square)) in parameters.iter().zip(&gradients).zip(&mut self.moments) {
            let _ = mean.f_mul_scalar_(BETA1)?.f_add_(&gradient.f_mul_scalar(1.0 - BETA1)?)?;
            let _ = square.f_mul_scalar_(BETA2)?.f_addcmul_(&gradient.f_mul_scalar(1.0 - BETA2)?, gradient)?;
            let scale = square.f_sqrt()?.f_mul_scalar(1.0 / root)?.f_add_scalar(EPS)?;
            let _ = parameter.shallow_clone().f_sub_(&mean.f_div(&scale)?.f_mul_scalar(rate)?)?;
        }
        Ok(())
    }
}
