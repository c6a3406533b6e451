//! Pretrained decoders: logits equal transformers', and files that are damaged or belong to others are named.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "clippy allows them in tests, but not in what tests share")]

#[path = "pretrained/logits.rs"]
mod logits;

#[path = "pretrained/files.rs"]
mod files;

#[path = "pretrained/odd_files.rs"]
mod odd_files;

#[path = "pretrained/training.rs"]
mod training;

#[path = "pretrained/translation.rs"]
mod translation;
#[path = "pretrained/vectors.rs"]
mod vectors;
