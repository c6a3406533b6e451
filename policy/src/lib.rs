//! The data path with tensors. Read the modules in the order below: weights, the forward pass that rollout and
//! training share, what is learned from it, how a gradient becomes an update, and last search and files.
//!
//! Everything here is a function of its arguments: all randomness comes from ChaCha8 streams keyed by seeds, and
//! with one thread every result has the same bits each time.

pub mod error;
pub mod random_normal;

// Weights.
pub mod flat_parameters;
pub mod llama;
mod llama_weights;
pub mod lora;
pub mod new_rows;
pub mod pretrained_files;
pub mod text_tokenizer;

// What a run begins with.
pub mod base_model;

// The forward pass.
pub mod attention;
pub mod decoder;
pub mod device;
mod padded;
pub mod projection;
mod prompt_pass;
mod recompute;
pub mod rope;
pub mod shared_prefix;
pub mod shared_sum;
pub mod transformer;

// What is learned.
pub mod distinct;
pub mod exact_kl;
mod group_scores;
pub mod grpo;
pub mod grpo_loss;
pub mod lease_gradient;
pub mod legal;
pub mod micro_batch;
pub mod rollout;
pub mod supervised;
pub mod translation;

// From gradients to updates.
pub mod adamw;
pub mod exact_sum;
pub mod slot;
mod state_changes;
pub mod state_parts;
pub mod training_state;
pub mod warm_start;

// Semantic ids.
pub mod base_vectors;
pub mod kept_quantizer;
pub mod quantizer;
pub mod residual_k_means;
pub mod rq_vae;
pub mod sentence_encoder;

// A baseline.
pub mod sasrec;

// Search and files.
pub mod adapter_files;
pub mod atomic_write;
pub mod beam_search;
pub mod export_probe;
pub mod extended_tokenizer;
pub mod file_error;
pub mod merged_model;
pub mod model_files;
pub mod tensor_file;
pub mod tokenizer_file;
