//! What can go wrong when semantic ids are made.

use thiserror::Error;

/// Errors of the RQ-VAE.
#[derive(Debug, Error)]
pub enum RqVaeError {
    /// A value that is not a finite number.
    #[error(
        "item vectors: found {value} in row {row}, column {column}, expected finite numbers; look at how the vectors were made"
    )]
    NotFinite {
        /// Item.
        row: usize,
        /// Dimension.
        column: usize,
        /// What stands there.
        value: f32,
    },
    /// The matrix's buffer does not fit its shape.
    #[error("item vectors: found {found} values, expected {rows} rows of {cols} (at least 1 of each)")]
    WrongSize {
        /// Rows stated.
        rows: usize,
        /// Columns stated.
        cols: usize,
        /// Length of the buffer.
        found: usize,
    },
    /// A candidate that the catalogue does not have.
    #[error("candidate items: found index {item}, expected one below the {items} rows of the item vectors")]
    NoSuchItem {
        /// Index found.
        item: u32,
        /// Rows of the item vectors.
        items: usize,
    },
    /// Not enough items to fill a codebook.
    #[error(
        "semantic_id.codes: found {codes} codes a level for {items} candidate items, expected at most as many codes as items"
    )]
    FewerItemsThanCodes {
        /// K.
        codes: usize,
        /// Candidate items.
        items: usize,
    },
    /// More codes than a `u16` can name, or none.
    #[error("semantic_id: found {levels} levels of {codes} codes, expected 1 to 16 levels of 1 to 65536 codes")]
    CodesOutOfRange {
        /// D.
        levels: usize,
        /// K.
        codes: usize,
    },
    /// A width or count that must be at least 1.
    #[error("semantic_id.{key}: found 0, expected at least 1")]
    Zero {
        /// Key of the config.
        key: &'static str,
    },
    /// The loss became infinite or not a number.
    #[error(
        "rq-vae: the loss of epoch {epoch} is not finite; lower semantic_id.learning_rate or scale the item vectors down"
    )]
    Diverged {
        /// Epoch, from 1.
        epoch: u32,
    },
    /// Codebooks that do not belong to the semantic ids.
    #[error("codebooks: found {found}, expected {expected}, as the semantic ids have")]
    OtherCodebooks {
        /// What the codebooks are.
        found: String,
        /// What the semantic ids need.
        expected: String,
    },
    /// libtorch failed.
    #[error("rq-vae: a tensor operation failed")]
    Tensor(#[from] tch::TchError),
}
