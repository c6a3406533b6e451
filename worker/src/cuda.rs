//! CUDA: makes libtorch see it where its CUDA libraries are, and makes a GPU ready for policies that compute on it. Without
//! it libtorch computes on the CPU. Not run on a GPU so far; `scripts/check-gpu` does that.

use crate::error::WorkerError;
use conrec_domain::spec::DeviceKind;
use conrec_policy::device::device_of;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::error::Error as _;
use std::ffi::{CStr, c_char};
use std::sync::OnceLock;
use tch::{Cuda, Kind, Tensor};

/// libtorch's operations on the GPU; the programs are linked against those on the CPU only.
const LIBRARY: &str = "libtorch_cuda.so";

/// Why the library is not loaded, once that was tried.
static LOADED: OnceLock<Result<(), String>> = OnceLock::new();

/// What may be said why the switches failed, in bytes.
const ROOM: usize = 512;

unsafe extern "C" {
    /// `shim/deterministic.h`.
    fn conrec_compute_deterministically(text: *mut c_char, room: usize) -> i32;
}

/// Loads libtorch's CUDA part for as long as the program lives. To be called before anything else of libtorch: it asks
/// once whether CUDA is there and keeps the answer. That the library is not there is no error.
pub fn load() {
    LOADED.get_or_init(|| {
        // SAFETY: the first thing of the program, on its only thread; the library's constructors register its operations.
        let library = unsafe { Library::open(Some(LIBRARY), RTLD_NOW | RTLD_GLOBAL) };
        // What is registered must never go away.
        library
            .map(std::mem::forget)
            .map_err(|error| error.source().map_or_else(|| error.to_string(), ToString::to_string))
    });
}

/// Makes a run's device ready. For a GPU: finds out whether it is there and takes work, and allows only operations that
/// give the same bits each time.
///
/// # Errors
/// [`WorkerError::NoCuda`] with what was looked for, what was found and what to do.
pub fn ready(kind: DeviceKind) -> Result<(), WorkerError> {
    if kind == DeviceKind::Cpu {
        return Ok(());
    }
    match LOADED.get() {
        Some(Ok(())) => {}
        Some(Err(error)) => return Err(no_library(error)),
        None => return Err(no_library("not looked for")),
    }
    if Cuda::device_count() < 1 {
        return Err(missing(format!(
            "looked for a GPU; found none; check nvidia-smi and CUDA_VISIBLE_DEVICES, or set {INSTEAD}"
        )));
    }
    switch_to_deterministic()?;
    // The first use makes the process's context on the GPU, which is where a GPU that is busy, full or broken shows.
    let trial = Tensor::f_zeros([1], (Kind::Float, device_of(kind))).and_then(|t| t.f_double_value(&[0]));
    trial.map(drop).map_err(|error| {
        let said = error.to_string();
        let said = first_line(&said);
        missing(format!(
            "looked for a GPU that takes work; found one that says: {said}; check nvidia-smi, or set {INSTEAD}"
        ))
    })?;
    tracing::info!("the policy computes on the first GPU of {}", Cuda::device_count());
    Ok(())
}

const INSTEAD: &str = "cluster.device = \"cpu\", which gives other bits";

fn no_library(found: &str) -> WorkerError {
    missing(format!(
        "looked for {LIBRARY}; found none ({found}); install the libtorch with CUDA of the same version, name its folder \
         and that of NVIDIA's libraries in LD_LIBRARY_PATH, or set {INSTEAD}"
    ))
}

fn missing(message: String) -> WorkerError {
    WorkerError::NoCuda { message }
}

fn switch_to_deterministic() -> Result<(), WorkerError> {
    let mut text = [0 as c_char; ROOM];
    // SAFETY: the text has as much room as is said.
    if unsafe { conrec_compute_deterministically(text.as_mut_ptr(), ROOM) } == 0 {
        return Ok(());
    }
    let bytes = text.map(|c| c.to_ne_bytes()[0]);
    let said = CStr::from_bytes_until_nul(&bytes).map(CStr::to_string_lossy).unwrap_or_default();
    Err(missing(format!("libtorch refuses to compute with the same bits each time: {}", first_line(&said))))
}

/// What libtorch says before it tells where in its sources.
pub fn first_line(said: &str) -> &str {
    said.split(['\n', '\r']).next().unwrap_or_default().split("\\n").next().unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_ready() {
        ready(DeviceKind::Cpu).unwrap();
    }

    #[test]
    fn where_cuda_is_missing_the_error_says_what_was_looked_for_and_what_to_do() {
        // Tests do not load the library.
        let error = ready(DeviceKind::Cuda).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with("CUDA is not available: looked for libtorch_cuda.so; found none"), "{said}");
        assert!(said.contains("set cluster.device = \"cpu\""), "{said}");
        assert_eq!(error.exit_code(), 69);
    }

    #[test]
    fn places_in_sources_are_left_out() {
        assert_eq!(first_line("CUDA out of memory.\nException raised from malloc"), "CUDA out of memory.");
        assert_eq!(first_line("Torch(\"CUDA error: busy\\nException raised"), "Torch(\"CUDA error: busy");
        assert_eq!(first_line(""), "");
    }
}
