//! Why a message is refused.

/// A message from the wire that is no message of the domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: found {found}, expected {expected}; do both ends run the same version of conrec?")]
pub struct ConvertError {
    /// `Message.field`, as in `conrec.proto`.
    pub field: &'static str,
    /// What came.
    pub found: String,
    /// What is allowed.
    pub expected: String,
}

impl ConvertError {
    /// Names the field, what was found and what was expected.
    pub(super) fn new(field: &'static str, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { field, found: found.into(), expected: expected.into() }
    }
}
