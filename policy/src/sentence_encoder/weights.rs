//! Named tensors of a safetensors file as f32, each with the shape that the model needs.

use crate::file_error::FileError;
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use std::fs::File;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// A mapped file.
pub(super) struct Weights {
    path: PathBuf,
    map: Mmap,
}

/// A file with its table of contents.
pub(super) struct Opened<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
    /// What stands before every name, such as `bert.`; may be empty.
    prefix: &'static str,
}

impl Weights {
    /// Maps `model.safetensors` of a folder.
    pub fn map(folder: &Path) -> Result<Self, FileError> {
        let path = folder.join("model.safetensors");
        let read = |source| FileError::Read { path: path.clone(), source };
        let file = File::open(&path).map_err(read)?;
        // SAFETY: the file is an input that nobody changes while it is read; a change would give other numbers or an error.
        let map = unsafe { Mmap::map(&file) }.map_err(read)?;
        Ok(Self { path, map })
    }

    /// Reads the table of contents. `prefixes` are what may stand before every name; the one that stands before `name` does.
    pub fn open(&self, name: &str, prefixes: [&'static str; 2]) -> Result<Opened<'_>, FileError> {
        let tensors = SafeTensors::deserialize(&self.map).map_err(|e| FileError::malformed(&self.path, e))?;
        let prefix = prefixes.into_iter().find(|prefix| tensors.tensor(&format!("{prefix}{name}")).is_ok());
        let path = self.path.as_path();
        Ok(Opened { path, tensors, prefix: prefix.unwrap_or("") })
    }
}

impl Opened<'_> {
    /// A tensor of this shape, as f32.
    ///
    /// # Errors
    /// [`FileError::Tensor`] when there is none of that name, or it has another shape or kind of number.
    pub fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, FileError> {
        let name = format!("{}{name}", self.prefix);
        let wrong = |found: String| FileError::Tensor {
            path: self.path.to_owned(),
            name: name.clone(),
            found,
            expected: format!("F32, F16 or BF16 {shape:?}"),
        };
        let view = self.tensors.tensor(&name).map_err(|_| wrong("no such tensor".into()))?;
        let found: Vec<i64> = view.shape().iter().map(|n| i64::try_from(*n).unwrap_or(i64::MAX)).collect();
        let described = format!("{:?} {found:?}", view.dtype());
        if found != shape {
            return Err(wrong(described));
        }
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::BF16 => view
                .data()
                .as_chunks::<2>()
                .0
                .iter()
                .map(|b| f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16))
                .collect(),
            Dtype::F16 => view.data().as_chunks::<2>().0.iter().map(|b| half(u16::from_le_bytes(*b))).collect(),
            _ => return Err(wrong(described)),
        };
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(wrong(format!("{} at position {at}", values[at])));
        }
        Ok(Tensor::f_from_slice(&values)?.f_reshape(shape)?)
    }
}

/// An IEEE 754 half as f32: sign, 5 bits of exponent, 10 of fraction.
fn half(bits: u16) -> f32 {
    let fraction = f32::from(bits & 0x3ff);
    let magnitude = match (bits >> 10) & 0x1f {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        exponent => (1024.0 + fraction) * 2f32.powi(i32::from(exponent) - 25),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_the_numbers_of_the_standard() {
        let known = [(0x0000, 0.0), (0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 5.960_464_5e-8)];
        for (bits, value) in known {
            assert_eq!(half(bits), value, "{bits:#x}");
        }
        assert!(half(0x7e00).is_nan() && half(0x7c00).is_infinite());
    }
}
