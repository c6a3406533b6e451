//! The worker: a shell around the policy. The session speaks with the coordinator, the compute thread performs its
//! commands; leases are prepared data, gradients, validation counts, and the final report.

pub mod backoff;
pub mod caught;
pub mod command;
pub mod connect;
pub mod cuda;
pub mod error;
pub mod leave;
mod over;
pub mod run_folder;
pub mod save;
pub mod session;

// The compute thread.
pub mod checked_sum;
pub mod checkpoint_parts;
pub mod collective;
pub mod compute;
pub mod execute;
pub mod standing;

// Leases.
pub mod base_folder;
pub mod clean;
pub mod held_out_questions;
pub mod item_vectors;
pub mod kept_ids;
pub mod lanes;
pub mod lease;
pub mod pass_data;
pub mod prepare;
mod prompt_frame;
pub mod rank;
pub mod semantic_ids;
pub mod stage_prompts;
pub mod state_transfer;
mod synthesize;
mod titles;
mod truth;
pub mod validate;
pub mod warm_start;

mod adapter_policy;
mod alignment_report;
pub mod evaluate;
pub mod evaluate_again;
pub mod export;
pub mod filter_report;
pub mod held_out_reward;
pub mod mixes;
mod other_policy;
pub mod predict;
mod provenance;
pub mod report;
pub mod report_page;
pub mod sasrec_baseline;
pub mod sid_report;
pub mod stored_run;
pub mod tuned_baselines;

pub mod bench;
