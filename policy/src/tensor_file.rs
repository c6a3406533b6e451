//! One flat tensor as a safetensors file of named weights, and back; the layout says which names and shapes.

use crate::atomic_write::write_atomically;
use crate::error::PolicyError;
use crate::file_error::FileError;
use crate::flat_parameters::FlatParameters;
use conrec_feedback::plain_file;
use memmap2::Mmap;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::path::Path;
use tch::{Kind, Tensor};

/// Bytes of one f32.
const F32: usize = 4;

/// Writes `flat` (f32, in `layout`) with the metadata `{"format": "pt"}` that transformers asks for.
/// The same weights give the same bytes.
///
/// # Errors
/// When the tensor does not have the layout's length, or the file cannot be written.
pub fn write_tensors(path: &Path, layout: &FlatParameters, flat: &Tensor) -> Result<(), FileError> {
    let values = flat_values(path, layout, flat)?;
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut views = Vec::with_capacity(layout.entries().len());
    for entry in layout.entries() {
        let range = entry.range();
        let shape = entry.shape.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
        let view = TensorView::new(Dtype::F32, shape, &bytes[range.start * F32..range.end * F32]);
        views.push((entry.name.as_str(), view.map_err(|e| FileError::malformed(path, e))?));
    }
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let file = safetensors::serialize(views, Some(metadata)).map_err(|e| FileError::malformed(path, e))?;
    write_atomically(path, &file)
}

/// Reads the weights of `layout` as one flat tensor (f32) on the CPU; the file is mapped, not loaded twice.
///
/// # Errors
/// When the file is missing or damaged, a tensor is missing, unknown, no f32, or of another shape.
pub fn read_tensors(path: &Path, layout: &FlatParameters) -> Result<Tensor, FileError> {
    let map = map_file(path)?;
    let tensors = contents(path, &map)?;
    let mut values = vec![0f32; layout.len()];
    for entry in layout.entries() {
        let expected = format!("F32 {:?}", entry.shape);
        let wrong = |found: String| FileError::Tensor {
            path: path.to_owned(),
            name: entry.name.clone(),
            found,
            expected: expected.clone(),
        };
        let view = tensors.tensor(&entry.name).map_err(|_| wrong("no such tensor".into()))?;
        let found = format!("{:?} {:?}", view.dtype(), view.shape());
        if found != expected {
            return Err(wrong(found));
        }
        for (value, bytes) in values[entry.range()].iter_mut().zip(view.data().as_chunks::<F32>().0) {
            *value = f32::from_le_bytes(*bytes);
        }
    }
    let mut names: Vec<String> = tensors.names().into_iter().map(ToString::to_string).collect();
    names.sort_unstable();
    if let Some(name) = names.into_iter().find(|name| layout.find(name).is_none()) {
        let (found, expected) = ("an unknown tensor".into(), "only the weights of this model".into());
        return Err(FileError::Tensor { path: path.to_owned(), name, found, expected });
    }
    Ok(Tensor::f_from_slice(&values)?)
}

/// A file as bytes that are read when they are looked at.
pub(crate) fn map_file(path: &Path) -> Result<Mmap, FileError> {
    let read = |source| FileError::Read { path: path.to_owned(), source };
    let file = plain_file::open(path).map_err(read)?;
    // SAFETY: our writers replace files by renaming and never change one in place, and so do those who publish models;
    // so the map's bytes stay as they are.
    unsafe { Mmap::map(&file) }.map_err(read)
}

/// How the small file begins that git-lfs leaves in the place of a large one.
const POINTER: &[u8] = b"version https://git-lfs";

/// What a file is instead of what it should be, where that is known.
pub(crate) fn pointer(bytes: &[u8]) -> Option<&'static str> {
    let says = "found a pointer of git-lfs in the place of the file itself; fetch it with `git lfs pull` in its folder";
    bytes.starts_with(POINTER).then_some(says)
}

/// The table of contents of a mapped safetensors file.
///
/// # Errors
/// A file that is no safetensors file, or only the beginning of one.
pub(crate) fn contents<'a>(path: &Path, map: &'a Mmap) -> Result<SafeTensors<'a>, FileError> {
    SafeTensors::deserialize(map).map_err(|e| {
        pointer(map).map_or_else(|| FileError::malformed(path, e), |found| FileError::malformed(path, found))
    })
}

/// A tensor of a file in F32, F16 or BF16, copied to the CPU in the kind that it has there.
///
/// # Errors
/// [`FileError::Tensor`] when it has another shape than `expected` or is of another kind.
pub(crate) fn tensor_of(
    path: &Path,
    view: &TensorView<'_>,
    (name, expected): (&str, &[i64]),
) -> Result<Tensor, FileError> {
    let kind = match view.dtype() {
        Dtype::F32 => Some(Kind::Float),
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        _ => None,
    };
    let shape: Vec<i64> = view.shape().iter().map(|n| i64::try_from(*n).unwrap_or(i64::MAX)).collect();
    match kind.filter(|_| shape == expected) {
        Some(kind) => Ok(Tensor::f_from_data_size(view.data(), &shape, kind)?),
        None => Err(FileError::Tensor {
            path: path.to_owned(),
            name: name.to_owned(),
            found: format!("{:?} {shape:?}", view.dtype()),
            expected: format!("F32, F16 or BF16 {expected:?}"),
        }),
    }
}

fn flat_values(path: &Path, layout: &FlatParameters, flat: &Tensor) -> Result<Vec<f32>, FileError> {
    let refused = |found: String| FileError::Tensor {
        path: path.to_owned(),
        name: "all weights".into(),
        found,
        expected: format!("F32 [{}]", layout.len()),
    };
    match layout.check("all weights", flat) {
        Ok(()) if flat.f_kind()? == Kind::Float => Ok(Vec::<f32>::try_from(&flat.f_detach()?)?),
        Ok(()) => Err(refused(format!("{:?}", flat.f_kind()?))),
        Err(PolicyError::Tensor { found, .. }) => Err(refused(found)),
        Err(other) => Err(refused(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout() -> FlatParameters {
        let mut layout = FlatParameters::default();
        layout.push("z.weight".into(), &[2, 3]);
        layout.push("a.weight".into(), &[4]);
        layout
    }

    fn weights() -> Tensor {
        Tensor::from_slice(&[0.5f32, -1.25, 3e-39, f32::MAX, 0.1, -0.0, 7.0, 8.0, 9.0, 10.0])
    }

    fn written() -> (tempfile::TempDir, std::path::PathBuf, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        write_tensors(&path, &layout(), &weights()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        (folder, path, bytes)
    }

    #[test]
    fn comes_back_bit_for_bit_and_is_written_alike() {
        let (_folder, path, bytes) = written();
        let back = Vec::<f32>::try_from(read_tensors(&path, &layout()).unwrap()).unwrap();
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(&Vec::<f32>::try_from(weights()).unwrap()));
        assert_eq!(bytes, written().2);
        let header = String::from_utf8_lossy(&bytes[8..]).into_owned();
        assert!(header.starts_with(r#"{"__metadata__":{"format":"pt"}"#), "{header}");
    }

    #[test]
    fn every_truncation_is_an_error() {
        let (_folder, path, bytes) = written();
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(read_tensors(&path, &layout()).is_err(), "{length} of {} bytes", bytes.len());
        }
    }

    #[test]
    fn other_names_and_shapes_are_named() {
        let (_folder, path, _) = written();
        let mut more = layout();
        more.push("b.weight".into(), &[1]);
        let error = read_tensors(&path, &more).unwrap_err().to_string();
        assert!(error.ends_with("tensor `b.weight`: found no such tensor, expected F32 [1]"), "{error}");
        let mut turned = FlatParameters::default();
        turned.push("z.weight".into(), &[3, 2]);
        let error = read_tensors(&path, &turned).unwrap_err().to_string();
        assert!(error.ends_with("tensor `z.weight`: found F32 [2, 3], expected F32 [3, 2]"), "{error}");
        let mut less = FlatParameters::default();
        less.push("z.weight".into(), &[2, 3]);
        let error = read_tensors(&path, &less).unwrap_err().to_string();
        assert!(error.contains("tensor `a.weight`: found an unknown tensor"), "{error}");
        assert!(matches!(read_tensors(Path::new("nowhere"), &less), Err(FileError::Read { .. })));
    }

    #[test]
    fn halves_are_the_numbers_of_the_standard() {
        let known = [(0x0000u16, 0.0f32), (0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 5.960_464_5e-8)];
        let bytes: Vec<u8> = known.iter().flat_map(|(bits, _)| bits.to_le_bytes()).collect();
        let path = Path::new("w.safetensors");
        let read = |dtype, shape: &[usize], expected: &[i64]| {
            tensor_of(path, &TensorView::new(dtype, shape.to_vec(), &bytes).unwrap(), ("w", expected))
        };
        let values = Vec::<f32>::try_from(read(Dtype::F16, &[5], &[5]).unwrap().to_kind(Kind::Float)).unwrap();
        assert_eq!(values, known.map(|(_, value)| value));
        assert_eq!(read(Dtype::BF16, &[1, 5], &[1, 5]).unwrap().kind(), Kind::BFloat16);
        let error = read(Dtype::F16, &[5], &[5, 1]).unwrap_err().to_string();
        assert!(error.ends_with("tensor `w`: found F16 [5], expected F32, F16 or BF16 [5, 1]"), "{error}");
        let error = read(Dtype::I16, &[5], &[5]).unwrap_err().to_string();
        assert!(error.ends_with("found I16 [5], expected F32, F16 or BF16 [5]"), "{error}");
    }

    #[test]
    fn weights_of_another_length_or_kind_are_not_written() {
        let (_folder, path, bytes) = written();
        let error = write_tensors(&path, &layout(), &weights().narrow(0, 0, 9)).unwrap_err().to_string();
        assert!(error.ends_with("found shape [9], expected F32 [10]"), "{error}");
        assert!(write_tensors(&path, &layout(), &weights().to_kind(Kind::Double)).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    proptest! {
        /// A file with changed bytes is read or refused, and never brings the program down.
        #[test]
        fn damaged_bytes_never_panic(changes in prop::collection::vec((0usize..1000, any::<u8>()), 1..4)) {
            let (_folder, path, mut bytes) = written();
            for (at, value) in changes {
                let length = bytes.len();
                bytes[at % length] = value;
            }
            std::fs::write(&path, &bytes).unwrap();
            let _ = read_tensors(&path, &layout());
        }
    }
}
