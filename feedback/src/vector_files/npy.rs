//! NumPy's `.npy` format (NEP 1), versions 1.0, 2.0 and 3.0: magic, version, length of the header, a header that is a
//! Python dictionary, then the values.

use super::VectorFileError;
use crate::matrix::Matrix;
use crate::plain_file;
use arrow_array::ArrowPrimitiveType;
use arrow_array::types::Float16Type;
use std::path::Path;

/// A number of 16 bits.
type Half = <Float16Type as ArrowPrimitiveType>::Native;

const MAGIC: &[u8] = b"\x93NUMPY";
const EXPECTED: &str = "a two-dimensional .npy array of float16, float32 or float64";

/// Reads a matrix; f64 values are rounded to f32. Columns one after another (Fortran order) become rows.
pub(super) fn read(file: &Path) -> Result<Matrix, VectorFileError> {
    let bytes = plain_file::read(file).map_err(|source| VectorFileError::File { file: file.to_owned(), source })?;
    decode(&bytes).map_err(|found| VectorFileError::form(file, found, EXPECTED))
}

/// The matrix, or what was found instead.
pub(super) fn decode(bytes: &[u8]) -> Result<Matrix, String> {
    let truncated = || format!("a file that ends after {} bytes, inside its header", bytes.len());
    if !bytes.starts_with(MAGIC) {
        return Err("a file that does not begin with \\x93NUMPY".into());
    }
    let version = *bytes.get(MAGIC.len()).ok_or_else(truncated)?;
    let after = MAGIC.len() + 2;
    let (length, start) = match version {
        1 => {
            let field = bytes.get(after..after + 2).and_then(|b| b.try_into().ok()).ok_or_else(truncated)?;
            (usize::from(u16::from_le_bytes(field)), after + 2)
        }
        2 | 3 => {
            let field = bytes.get(after..after + 4).and_then(|b| b.try_into().ok()).ok_or_else(truncated)?;
            (u32::from_le_bytes(field) as usize, after + 4)
        }
        other => return Err(format!("format version {other}")),
    };
    let values = start.checked_add(length).filter(|end| *end <= bytes.len()).ok_or_else(truncated)?;
    let header = String::from_utf8_lossy(&bytes[start..values]);
    let (rows, cols) = shape(&header)?;
    let kind = entry(&header, "descr").unwrap_or_default().trim_matches(['\'', '"']).to_owned();
    let width = match kind.as_str() {
        "<f2" | ">f2" => 2,
        "<f4" | ">f4" => 4,
        "<f8" | ">f8" => 8,
        other => return Err(format!("values of type `{other}`")),
    };
    let by_columns = match entry(&header, "fortran_order") {
        Some("False") => false,
        Some("True") => true,
        other => return Err(format!("fortran_order: {}", other.unwrap_or("nothing"))),
    };
    let wanted = rows.checked_mul(cols).and_then(|n| n.checked_mul(width));
    let data = &bytes[values..];
    if wanted != Some(data.len()) {
        return Err(format!("{} bytes of values for the shape ({rows}, {cols}) of {width} bytes each", data.len()));
    }
    let data = values_of(data, width, kind.starts_with('>'));
    let data = match by_columns {
        true => (0..rows * cols).map(|at| data[at % cols * rows + at / cols]).collect(),
        false => data,
    };
    Ok(Matrix { rows, cols, data })
}

/// The values of bytes, `width` of them each.
fn values_of(bytes: &[u8], width: usize, big_endian: bool) -> Vec<f32> {
    let value = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..width].copy_from_slice(bytes);
        if big_endian {
            word[..width].reverse();
        }
        let bits = u64::from_le_bytes(word);
        match width {
            2 => Half::from_bits(bits as u16).to_f32(),
            4 => f32::from_bits(bits as u32),
            _ => f64::from_bits(bits) as f32,
        }
    };
    bytes.chunks_exact(width).map(value).collect()
}

/// The text of a value of the header's dictionary, up to the next comma outside of brackets.
fn entry<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let at = [format!("'{key}'"), format!("\"{key}\"")].iter().find_map(|k| Some(header.find(k)? + k.len()))?;
    let rest = header[at..].trim_start().strip_prefix(':')?.trim_start();
    let mut depth = 0;
    let end = rest.find(|c| {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        (c == ',' || c == '}') && depth <= 0
    });
    Some(rest[..end?].trim())
}

fn shape(header: &str) -> Result<(usize, usize), String> {
    let text = entry(header, "shape").unwrap_or_default();
    let sizes = text.trim_start_matches('(').trim_end_matches(')').split(',').map(str::trim).filter(|s| !s.is_empty());
    let sizes: Option<Vec<usize>> = sizes.map(|size| size.parse().ok()).collect();
    match sizes.as_deref() {
        Some([rows, cols]) if *rows > 0 && *cols > 0 => Ok((*rows, *cols)),
        _ => Err(format!("the shape `{text}`")),
    }
}
