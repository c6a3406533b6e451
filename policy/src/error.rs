//! What can go wrong in the data path with tensors: one variant for each thing that a caller would treat differently.

/// Why a computation of this crate was refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The shape of the model does not fit together.
    #[error("model.{key} = {found}: expected {expected}")]
    Shape {
        /// Key of `[model]` or `[lora]`.
        key: &'static str,
        /// What was found.
        found: String,
        /// What is allowed, and why.
        expected: String,
    },
    /// A tensor is missing, or has the wrong shape or type.
    #[error("tensor `{name}`: found {found}, expected {expected}")]
    Tensor {
        /// The tensor's name in the file or in the flat layout.
        name: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// An input that the model cannot read.
    #[error("{what}: found {found}, expected {expected}")]
    Input {
        /// Which input.
        what: &'static str,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A gradient that the exact sum cannot hold.
    #[error(
        "gradient of `{name}` at element {element} is {value}: expected a finite value below {limit:e} in magnitude; lower optimizer.exact_sum_bits or the learning rate"
    )]
    Gradient {
        /// Name of the tensor.
        name: String,
        /// Element of the tensor, row-major.
        element: usize,
        /// The value found.
        value: f32,
        /// Values at or above this are refused.
        limit: f64,
    },
    /// A checkpoint's part cannot be read or written.
    #[error("part `{part}`: {message}")]
    Part {
        /// File name of the part.
        part: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The state was asked for something out of order.
    #[error("training state: {0}")]
    State(String),
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}
