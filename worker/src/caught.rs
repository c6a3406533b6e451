//! Computations that may end in a panic, as results: libtorch's plain operations panic on its errors, such as a GPU that
//! has no memory left.

use crate::cuda::first_line;
use crate::error::WorkerError;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How libtorch and cuBLAS say that the GPU is full.
const FULL: [&str; 3] = ["CUDA out of memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED"];

/// Computes; a panic becomes an error that names `what`, and a full GPU one that says what to do.
///
/// # Errors
/// Those of the computation, and what it panicked with.
pub fn caught<T>(what: &str, compute: impl FnOnce() -> Result<T, WorkerError>) -> Result<T, WorkerError> {
    let panicked = |payload: Box<dyn Any + Send>| {
        let said = first_line(words(payload.as_ref()));
        // tch unwraps libtorch's errors.
        let said = said.split_once("value: Torch(\"").map_or(said, |(_, rest)| rest);
        Err(WorkerError::Protocol(format!("{what} panicked: {said}")))
    };
    let result = catch_unwind(AssertUnwindSafe(compute)).unwrap_or_else(panicked);
    result.map_err(|error| {
        let said = error.to_string();
        match FULL.iter().find_map(|words| said.find(words)) {
            Some(from) => {
                WorkerError::DeviceFull { message: first_line(&said[from..]).trim_end_matches('.').to_owned() }
            }
            None => error,
        }
    })
}

fn words(payload: &(dyn Any + Send)) -> &str {
    let fixed = payload.downcast_ref::<&str>().copied();
    fixed.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses(said: &str) -> Result<(), tch::TchError> {
        Err(tch::TchError::Torch(said.to_owned()))
    }

    fn panics_as_tch(said: &str) -> Result<(), WorkerError> {
        refuses(said).unwrap();
        Ok(())
    }

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        let error = caught::<()>("the lease", || panic!("on purpose")).unwrap_err();
        assert_eq!(error.to_string(), "the lease panicked: on purpose");
        assert_eq!(error.exit_code(), 1);
        assert!(caught("the lease", || Ok(7)).is_ok_and(|seven| seven == 7));
        let error = caught("the lease", || panics_as_tch("shapes differ\nException raised from")).unwrap_err();
        assert_eq!(error.to_string(), "the lease panicked: shapes differ");
    }

    #[test]
    fn a_full_gpu_is_said_with_what_to_do_however_it_shows() {
        let said = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB\nException raised from";
        let panicked = caught("a lease", || panics_as_tch(said));
        let refused = caught("a lease", || Ok(refuses(said)?));
        for error in [panicked, refused].map(Result::unwrap_err) {
            let said = error.to_string();
            let begin = "the GPU has no memory left: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB;";
            assert!(said.starts_with(begin) && said.contains("--lanes"), "{said}");
            assert_eq!(error.exit_code(), 69);
        }
    }
}
