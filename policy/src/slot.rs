//! One tensor of the training state: on the host, where digests, files, sums and updates need it, with what was made of
//! it kept until it changes.

use crate::error::PolicyError;
use conrec_domain::ids::Digest;
use std::cell::OnceCell;
use tch::{Device, Tensor};

/// A tensor with its digest and its copy on the device: most tensors do not change from one update to the next.
#[derive(Debug)]
pub(crate) struct Slot {
    tensor: Tensor,
    digest: OnceCell<Digest>,
    placed: OnceCell<Tensor>,
}

impl Slot {
    pub(crate) fn new(tensor: Tensor) -> Self {
        Self { tensor, digest: OnceCell::new(), placed: OnceCell::new() }
    }

    pub(crate) fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The tensor on a device: on the host itself, else one copy that is kept.
    pub(crate) fn on(&self, device: Device) -> Result<&Tensor, PolicyError> {
        if self.tensor.device() == device {
            return Ok(&self.tensor);
        }
        if let Some(placed) = self.placed.get() {
            return Ok(placed);
        }
        let placed = self.tensor.f_to_device(device)?;
        Ok(self.placed.get_or_init(|| placed))
    }

    /// The tensor, to be changed in place.
    pub(crate) fn change(&mut self) -> &mut Tensor {
        self.digest = OnceCell::new();
        self.placed = OnceCell::new();
        &mut self.tensor
    }

    pub(crate) fn copied(&self) -> Self {
        Self { tensor: self.tensor.copy(), digest: self.digest.clone(), placed: OnceCell::new() }
    }

    pub(crate) fn digest(&self) -> Result<Digest, PolicyError> {
        if let Some(digest) = self.digest.get() {
            return Ok(*digest);
        }
        let digest = Digest::of(&bytes_of(&self.tensor)?);
        Ok(*self.digest.get_or_init(|| digest))
    }

    /// The next digest is computed from the bytes as they are then.
    pub(crate) fn forget_digest(&mut self) {
        self.digest = OnceCell::new();
    }
}

/// A tensor's elements as bytes, little endian.
pub(crate) fn bytes_of(tensor: &Tensor) -> Result<Vec<u8>, PolicyError> {
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}
