//! Named tensors of a safetensors file as f32, each with the shape that the model needs.

use crate::file_error::FileError;
use crate::pretrained_files::WEIGHTS;
use crate::tensor_file::{map_file, tensor_of};
use memmap2::Mmap;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

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
        let path = folder.join(WEIGHTS);
        let map = map_file(&path)?;
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
    /// [`FileError::Tensor`] when there is none of that name, or it has another shape or kind of number, or holds one that
    /// is not finite.
    pub fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, FileError> {
        let name = format!("{}{name}", self.prefix);
        let wrong = |found: String| FileError::Tensor {
            path: self.path.to_owned(),
            name: name.clone(),
            found,
            expected: format!("F32, F16 or BF16 {shape:?}"),
        };
        let view = self.tensors.tensor(&name).map_err(|_| wrong("no such tensor".into()))?;
        let tensor = tensor_of(self.path, &view, (&name, shape))?.f_to_kind(Kind::Float)?;
        if tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 1 {
            return Ok(tensor);
        }
        let values = Vec::<f32>::try_from(&tensor.f_reshape([-1])?)?;
        let at = values.iter().position(|value| !value.is_finite()).unwrap_or(0);
        Err(wrong(format!("{} at position {at}", values[at])))
    }
}
