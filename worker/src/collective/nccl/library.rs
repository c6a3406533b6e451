//! NCCL and the CUDA runtime as tables of functions, found when they are asked for: a program that never asks starts
//! without them. Names and numbers are those of nccl.h (2.x) and cuda_runtime_api.h.

use crate::collective::CollectiveError;
use libloading::{Library, Symbol};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

/// What each library is called, in the order in which it is looked for.
const NCCL: [&str; 2] = ["libnccl.so.2", "libnccl.so"];
const CUDA: [&str; 3] = ["libcudart.so.13", "libcudart.so.12", "libcudart.so"];

/// `ncclSuccess`, `cudaSuccess`.
pub(super) const SUCCESS: c_int = 0;
/// `ncclInvalidUsage`: among others, two ranks on one GPU.
pub(super) const INVALID_USAGE: c_int = 5;
/// `ncclInProgress`.
pub(super) const IN_PROGRESS: c_int = 7;
/// `cudaErrorNotReady`.
pub(super) const NOT_READY: c_int = 600;
/// `ncclUint8`, `ncclInt64`, `ncclFloat32`, `ncclSum`.
pub(super) const UINT8: c_int = 1;
pub(super) const INT64: c_int = 4;
pub(super) const FLOAT32: c_int = 7;
pub(super) const SUM: c_int = 0;
/// `cudaMemcpyHostToDevice`, `cudaMemcpyDeviceToHost`.
pub(super) const TO_DEVICE: c_int = 1;
pub(super) const TO_HOST: c_int = 2;

/// `ncclComm_t`, `cudaStream_t`.
pub(super) type Handle = *mut c_void;

/// `ncclUniqueId`: passed by value.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct UniqueId(pub(super) [u8; 128]);

/// The functions that are used, of both libraries.
pub(super) struct Table {
    pub(super) unique_id: unsafe extern "C" fn(*mut UniqueId) -> c_int,
    pub(super) init: unsafe extern "C" fn(*mut Handle, c_int, UniqueId, c_int) -> c_int,
    pub(super) all_reduce:
        unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, c_int, Handle, Handle) -> c_int,
    pub(super) broadcast:
        unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, c_int, Handle, Handle) -> c_int,
    pub(super) async_error: unsafe extern "C" fn(Handle, *mut c_int) -> c_int,
    pub(super) abort: unsafe extern "C" fn(Handle) -> c_int,
    pub(super) destroy: unsafe extern "C" fn(Handle) -> c_int,
    nccl_words: unsafe extern "C" fn(c_int) -> *const c_char,
    pub(super) device_count: unsafe extern "C" fn(*mut c_int) -> c_int,
    pub(super) set_device: unsafe extern "C" fn(c_int) -> c_int,
    pub(super) malloc: unsafe extern "C" fn(*mut *mut c_void, usize) -> c_int,
    pub(super) free: unsafe extern "C" fn(*mut c_void) -> c_int,
    pub(super) malloc_host: unsafe extern "C" fn(*mut *mut c_void, usize) -> c_int,
    pub(super) free_host: unsafe extern "C" fn(*mut c_void) -> c_int,
    pub(super) copy: unsafe extern "C" fn(*mut c_void, *const c_void, usize, c_int, Handle) -> c_int,
    pub(super) stream: unsafe extern "C" fn(*mut Handle) -> c_int,
    pub(super) stream_query: unsafe extern "C" fn(Handle) -> c_int,
    pub(super) stream_destroy: unsafe extern "C" fn(Handle) -> c_int,
    cuda_words: unsafe extern "C" fn(c_int) -> *const c_char,
    // The functions live as long as their libraries.
    _libraries: (Library, Library),
}

impl Table {
    /// NCCL's words for one of its codes.
    pub(super) fn nccl_says(&self, code: c_int) -> String {
        // SAFETY: ncclGetErrorString takes any code and answers a text that is never freed.
        words(unsafe { (self.nccl_words)(code) }, code)
    }

    /// CUDA's words for one of its codes.
    pub(super) fn cuda_says(&self, code: c_int) -> String {
        // SAFETY: as for NCCL.
        words(unsafe { (self.cuda_words)(code) }, code)
    }
}

fn words(text: *const c_char, code: c_int) -> String {
    if text.is_null() {
        return format!("code {code}");
    }
    // SAFETY: a text of the library, which ends with a zero byte and is never freed.
    let text = unsafe { CStr::from_ptr(text) };
    format!("{} (code {code})", text.to_string_lossy())
}

/// The table, once for the process, or why it cannot be had.
pub(super) fn table() -> Result<&'static Table, CollectiveError> {
    static TABLE: OnceLock<Result<Table, String>> = OnceLock::new();
    TABLE.get_or_init(load).as_ref().map_err(|message| unavailable(message.clone()))
}

pub(super) fn unavailable(message: String) -> CollectiveError {
    CollectiveError::Unavailable { backend: "NCCL", message }
}

fn load() -> Result<Table, String> {
    let (nccl, cuda) = (open(&NCCL)?, open(&CUDA)?);
    Ok(Table {
        unique_id: function(&nccl, "ncclGetUniqueId")?,
        init: function(&nccl, "ncclCommInitRank")?,
        all_reduce: function(&nccl, "ncclAllReduce")?,
        broadcast: function(&nccl, "ncclBroadcast")?,
        async_error: function(&nccl, "ncclCommGetAsyncError")?,
        abort: function(&nccl, "ncclCommAbort")?,
        destroy: function(&nccl, "ncclCommDestroy")?,
        nccl_words: function(&nccl, "ncclGetErrorString")?,
        device_count: function(&cuda, "cudaGetDeviceCount")?,
        set_device: function(&cuda, "cudaSetDevice")?,
        malloc: function(&cuda, "cudaMalloc")?,
        free: function(&cuda, "cudaFree")?,
        malloc_host: function(&cuda, "cudaMallocHost")?,
        free_host: function(&cuda, "cudaFreeHost")?,
        copy: function(&cuda, "cudaMemcpyAsync")?,
        stream: function(&cuda, "cudaStreamCreate")?,
        stream_query: function(&cuda, "cudaStreamQuery")?,
        stream_destroy: function(&cuda, "cudaStreamDestroy")?,
        cuda_words: function(&cuda, "cudaGetErrorString")?,
        _libraries: (nccl, cuda),
    })
}

fn open(names: &[&str]) -> Result<Library, String> {
    let mut last = String::new();
    for name in names {
        // SAFETY: the constructors of NVIDIA's libraries may run at any time; their handles are kept for ever.
        match unsafe { Library::new(*name) } {
            Ok(library) => return Ok(library),
            Err(error) => last = error.to_string(),
        }
    }
    Err(format!(
        "looked for {}; found none ({last}); install NVIDIA's CUDA runtime and NCCL 2, name their folders in \
         LD_LIBRARY_PATH, or set cluster.collective = \"gloo\"",
        names.join(", ")
    ))
}

fn function<T: Copy>(library: &Library, name: &str) -> Result<T, String> {
    // SAFETY: the field that takes the pointer has the signature that the library's header gives this name.
    let found: Result<Symbol<'_, T>, _> = unsafe { library.get(name.as_bytes()) };
    found.map(|symbol| *symbol).map_err(|error| {
        format!("the library found has no {name} ({error}); install NCCL 2 and a CUDA runtime that fit each other")
    })
}
