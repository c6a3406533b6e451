//! Named tensors of one or several safetensors files as f32, each with the shape that the model needs.

use crate::file_error::FileError;
use crate::pretrained_files::{WEIGHTS, weight_files};
use crate::tensor_file::{contents, map_file, tensor_of};
use memmap2::Mmap;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// Mapped files: one, or those that an index names.
pub(super) struct Weights {
    files: Vec<(PathBuf, Mmap)>,
}

/// The files with their tables of contents.
pub(super) struct Opened<'a> {
    files: Vec<(&'a Path, SafeTensors<'a>)>,
    /// What stands before every name, such as `bert.`; may be empty.
    prefix: &'static str,
}

impl Weights {
    /// Maps `model.safetensors` of a folder, or the files that its index names.
    pub fn map(folder: &Path) -> Result<Self, FileError> {
        let paths = weight_files(folder)?.into_iter().map(|name| folder.join(name));
        let files = paths.map(|path| map_file(&path).map(|map| (path, map))).collect::<Result<_, _>>()?;
        Ok(Self { files })
    }

    /// Reads the tables of contents. `prefixes` are what may stand before every name; the one that stands before `name` does.
    pub fn open(&self, name: &str, prefixes: [&'static str; 2]) -> Result<Opened<'_>, FileError> {
        let opened = self.files.iter().map(|(path, map)| Ok((path.as_path(), contents(path, map)?)));
        let files = opened.collect::<Result<Vec<(&Path, SafeTensors<'_>)>, FileError>>()?;
        let has = |prefix: &&str| files.iter().any(|(_, tensors)| tensors.tensor(&format!("{prefix}{name}")).is_ok());
        let prefix = prefixes.into_iter().find(has).unwrap_or("");
        Ok(Opened { files, prefix })
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
        let wrong = |path: &Path, found: String| FileError::Tensor {
            path: path.to_owned(),
            name: name.clone(),
            found,
            expected: format!("F32, F16 or BF16 {shape:?}"),
        };
        let first = self.files.first().map_or_else(|| Path::new(WEIGHTS), |(path, _)| path);
        let found = self.files.iter().find_map(|(path, tensors)| Some((*path, tensors.tensor(&name).ok()?)));
        let (path, view) = found.ok_or_else(|| wrong(first, "no such tensor".into()))?;
        let tensor = tensor_of(path, &view, (&name, shape))?.f_to_kind(Kind::Float)?;
        if tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 1 {
            return Ok(tensor);
        }
        let values = Vec::<f32>::try_from(&tensor.f_reshape([-1])?)?;
        let at = values.iter().position(|value| !value.is_finite()).unwrap_or(0);
        Err(wrong(path, format!("{} at position {at}", values[at])))
    }
}
