//! Makes libtorch see CUDA where its CUDA libraries are; without them it computes on the CPU.

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

/// libtorch's operations on the GPU; the programs are linked against those on the CPU only.
const LIBRARY: &str = "libtorch_cuda.so";

/// Loads libtorch's CUDA part for as long as the program lives. To be called before anything else of libtorch: it asks
/// once whether CUDA is there and keeps the answer. That the library is not there is no error.
pub fn load() {
    // SAFETY: the first thing of the program, on its only thread; the library's constructors register its operations.
    if let Ok(library) = unsafe { Library::open(Some(LIBRARY), RTLD_NOW | RTLD_GLOBAL) } {
        // What is registered must never go away.
        std::mem::forget(library);
    }
}
