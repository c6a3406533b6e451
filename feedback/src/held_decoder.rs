//! Parquet's decoder panics on some damaged files. A panic of it is an error like any other.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the decoder gives. Where it panics the file is refused, and what was begun is dropped.
pub fn held<T, E: Display>(decode: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the decoder panicked".to_owned()),
    }
}
