//! Encoder and decoder: one hidden layer with ReLU each, mirrored widths.

use crate::random_normal::normal_tensor;
use tch::{Kind, TchError, Tensor};

/// Widths of the autoencoder's layers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Widths {
    /// Dimension of the item vectors.
    pub input: i64,
    /// Hidden layer of encoder and decoder.
    pub hidden: i64,
    /// The latent that is quantised.
    pub latent: i64,
}

/// Weights and biases of encoder and decoder, in the order of computation.
pub(super) struct Autoencoder {
    /// `[weight [out, in], bias [out]]` of the four layers, flat: what the optimiser moves.
    pub parameters: Vec<Tensor>,
}

impl Autoencoder {
    /// Normal weights with variance 2 / in before a ReLU and 1 / in elsewhere (He et al., 2015); biases 0.
    pub fn new(widths: Widths, seed: u64) -> Result<Self, TchError> {
        let Widths { input, hidden, latent } = widths;
        let layers = [
            ("encoder.0", input, hidden, 2.0),
            ("encoder.1", hidden, latent, 1.0),
            ("decoder.0", latent, hidden, 2.0),
            ("decoder.1", hidden, input, 1.0),
        ];
        let mut parameters = Vec::with_capacity(8);
        for (name, from, to, gain) in layers {
            let std = (gain / from.max(1) as f64).sqrt();
            let name = format!("rq_vae.{name}");
            parameters.push(normal_tensor(seed, &name, &[to, from], std)?.f_set_requires_grad(true)?);
            let bias = Tensor::f_zeros([to], (Kind::Float, tch::Device::Cpu))?;
            parameters.push(bias.f_set_requires_grad(true)?);
        }
        Ok(Self { parameters })
    }

    /// `x` `[items, input]` to latents `[items, latent]`.
    pub fn encode(&self, x: &Tensor) -> Result<Tensor, TchError> {
        self.two_layers(x, 0)
    }

    /// Latents `[items, latent]` to reconstructions `[items, input]`.
    pub fn decode(&self, z: &Tensor) -> Result<Tensor, TchError> {
        self.two_layers(z, 4)
    }

    fn two_layers(&self, x: &Tensor, first: usize) -> Result<Tensor, TchError> {
        let p = &self.parameters[first..first + 4];
        x.f_linear(&p[0], Some(&p[1]))?.f_relu()?.f_linear(&p[2], Some(&p[3]))
    }
}
