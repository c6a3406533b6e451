//! Pretrained decoders: logits equal transformers', and files that are damaged or belong to others are named.

#[path = "pretrained/logits.rs"]
mod logits;

#[path = "pretrained/files.rs"]
mod files;

#[path = "pretrained/training.rs"]
mod training;
