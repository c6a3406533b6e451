//! A tensor of the training state, on the host, where digests, files, sums and updates need it; with what proves that its memory is what it was: its digest, kept until it changes on
//! purpose, and the sum of its words, cheap enough to be looked at in every iteration; and with its copy on the device.

use crate::error::PolicyError;
use conrec_domain::ids::Digest;
use sha2::{Digest as _, Sha256};
use std::cell::OnceCell;
use tch::{Device, Kind, Tensor};

/// Elements whose bytes are copied and hashed together: a pretrained base is too large for a second copy.
const HASHED_AT_ONCE: i64 = 1 << 20;

/// What was noted of a tensor's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Noted {
    digest: Digest,
    /// The sum of its bytes as integers. One flipped bit changes it by a power of two, whichever bit it is.
    words: i64,
}

/// A tensor with its digest and its copy on the device, both kept until it changes: most tensors do not change from one update to the next.
#[derive(Debug)]
pub(crate) struct Slot {
    tensor: Tensor,
    noted: OnceCell<Noted>,
    placed: OnceCell<Tensor>,
}

impl Slot {
    pub(crate) fn new(tensor: Tensor) -> Self {
        Self { tensor, noted: OnceCell::new(), placed: OnceCell::new() }
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
        (self.noted, self.placed) = (OnceCell::new(), OnceCell::new());
        &mut self.tensor
    }

    pub(crate) fn copied(&self) -> Self {
        Self { tensor: self.tensor.copy(), noted: self.noted.clone(), placed: OnceCell::new() }
    }

    /// The same memory, with what is noted of it now.
    pub(crate) fn watched(&self) -> Self {
        let placed = self.placed.get().map(Tensor::shallow_clone).map(OnceCell::from).unwrap_or_default();
        Self { tensor: self.tensor.shallow_clone(), noted: self.noted.clone(), placed }
    }

    /// SHA-256 of the elements as they were when it was first asked for after the last change.
    pub(crate) fn digest(&self) -> Result<Digest, PolicyError> {
        if let Some(noted) = self.noted.get() {
            return Ok(noted.digest);
        }
        let words = words(&self.tensor)?;
        let noted = Noted { digest: tensor_digest(&self.tensor)?, words };
        Ok(self.noted.get_or_init(|| noted).digest)
    }

    /// Whether the memory, the device's too, still holds what the digest was taken of; true of a tensor without one.
    pub(crate) fn is_unharmed(&self) -> Result<bool, PolicyError> {
        let Some(noted) = self.noted.get() else {
            return Ok(true);
        };
        let copies = [Some(&self.tensor), self.placed.get()].into_iter().flatten();
        copies.into_iter().try_fold(true, |sound, copy| Ok(sound && words(copy)? == noted.words))
    }
}

/// The sum of a contiguous tensor's bytes as 64-bit integers, modulo 2^64; elements at the end that fill no such integer
/// are added for themselves. (Sums of 32-bit integers take libtorch twenty times as long, more than SHA-256 does.)
fn words(tensor: &Tensor) -> Result<i64, PolicyError> {
    let flat = tensor.f_view([-1])?;
    let (size, single) = match flat.kind().elt_size_in_bytes() {
        8 => (1, Kind::Int64),
        4 => (2, Kind::Int),
        _ => (4, Kind::Int16),
    };
    let filled = flat.size1()? / size * size;
    let sum = flat.f_narrow(0, 0, filled)?.f_view_dtype(Kind::Int64)?.f_sum(Kind::Int64)?.int64_value(&[]);
    let last = flat.f_narrow(0, filled, flat.size1()? - filled)?.f_view_dtype(single)?.f_sum(Kind::Int64)?;
    Ok(sum.wrapping_add(last.int64_value(&[])))
}

/// A tensor's elements as bytes, little endian.
pub(crate) fn bytes_of(tensor: &Tensor) -> Result<Vec<u8>, PolicyError> {
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}

/// SHA-256 of a tensor's elements, little endian: what workers compare after a reduce.
///
/// # Errors
/// When libtorch cannot copy the tensor.
pub fn tensor_digest(tensor: &Tensor) -> Result<Digest, PolicyError> {
    let flat = tensor.f_reshape([-1])?;
    let mut hash = Sha256::new();
    for from in (0..flat.size1()?).step_by(HASHED_AT_ONCE as usize) {
        hash.update(bytes_of(&flat.f_narrow(0, from, HASHED_AT_ONCE.min(flat.size1()? - from))?)?);
    }
    Ok(Digest(hash.finalize().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> Slot {
        Slot::new(Tensor::from_slice(&[0.0f32, -1.5, f32::NAN, 3e-30, 7.0]))
    }

    fn flip(slot: &Slot, element: usize, bit: u32) {
        let words = slot.tensor.view_dtype(Kind::Int);
        let value = words.int64_value(&[element as i64]) as i32 ^ (1i32 << bit);
        let _ = words.get(element as i64).fill_(i64::from(value));
    }

    #[test]
    fn every_single_flipped_bit_is_seen() {
        for element in 0..5 {
            for bit in 0..32 {
                let slot = slot();
                let before = slot.digest().unwrap();
                assert!(slot.is_unharmed().unwrap());
                flip(&slot, element, bit);
                assert!(!slot.is_unharmed().unwrap(), "bit {bit} of element {element}");
                assert_eq!(slot.digest().unwrap(), before, "the digest is what was agreed on, not what is there");
                flip(&slot, element, bit);
                assert!(slot.is_unharmed().unwrap());
            }
        }
    }

    #[test]
    fn a_change_on_purpose_is_no_harm_and_a_watch_sees_the_same_memory() {
        let mut slot = slot();
        let before = slot.digest().unwrap();
        let watch = slot.watched();
        let _ = slot.change().fill_(2.0);
        assert!(slot.is_unharmed().unwrap() && !watch.is_unharmed().unwrap());
        assert_ne!(slot.digest().unwrap(), before);
        assert!(Slot::new(Tensor::zeros([0], (Kind::Float, Device::Cpu))).is_unharmed().unwrap());
    }
}
