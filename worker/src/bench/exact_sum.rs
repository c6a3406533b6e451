//! What exactness costs: fixed point, integer sum and digests of a million gradient values, beside a plain f32 sum.

use super::process::{cpu_ms, median};
use crate::error::WorkerError;
use conrec_policy::slot::tensor_digest;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

const VALUES: i64 = 1_000_000;
const ROUNDS: usize = 20;

/// Medians in CPU milliseconds.
pub fn measure() -> Result<Value, WorkerError> {
    tch::set_num_threads(1);
    let gradient = Tensor::arange(VALUES, (Kind::Float, Device::Cpu)).sin() * 1e-3;
    let mut sum = Tensor::zeros([VALUES], (Kind::Int64, Device::Cpu));
    let mut inexact = Tensor::zeros([VALUES], (Kind::Float, Device::Cpu));
    let (mut fixed, mut plain, mut digest) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = cpu_ms();
        let integers = (&gradient * 2f64.powi(48)).to_kind(Kind::Int64);
        let _ = sum.f_add_(&integers)?;
        fixed.push(cpu_ms() - start);
        let start = cpu_ms();
        let _ = inexact.f_add_(&gradient)?;
        plain.push(cpu_ms() - start);
        let start = cpu_ms();
        tensor_digest(&sum)?;
        digest.push(cpu_ms() - start);
    }
    Ok(json!({
        "values": VALUES, "to_integers_and_add_cpu_ms": median(&fixed), "add_f32_cpu_ms": median(&plain),
        "sha256_of_the_sum_cpu_ms": median(&digest),
    }))
}
