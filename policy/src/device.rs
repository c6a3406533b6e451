//! Where policies compute. Weights lie on the host and are copied to the device; every tensor of a computation is made on
//! the device of its policy, and what a lease gives comes back to the host.

use conrec_domain::spec::DeviceKind;
use tch::Device;

/// The device of a run's policies: with "cuda" the first GPU of those that CUDA_VISIBLE_DEVICES leaves.
pub fn device_of(kind: DeviceKind) -> Device {
    match kind {
        DeviceKind::Cpu => Device::Cpu,
        DeviceKind::Cuda => Device::Cuda(0),
    }
}
