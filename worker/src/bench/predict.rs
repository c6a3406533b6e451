//! Predict sets on one thread: prompts through the beam search, in users a second.

use super::iteration::{IterationArgs, random_prompts, random_trie, shapes};
use super::process::{load, resident_mib};
use crate::error::WorkerError;
use clap::Args;
use conrec_domain::work::Pass;
use conrec_feedback::prompt::Vocabulary;
use conrec_policy::beam_search::BeamSearch;
use conrec_policy::legal::Legal;
use conrec_policy::micro_batch::micro_batches;
use conrec_policy::transformer::{Policy, Trains};
use serde_json::{Value, json};
use std::time::Instant;

/// The workload.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// Users
    #[arg(long, default_value_t = 256)]
    users: usize,
    /// Tokens of a user's prompt
    #[arg(long, default_value_t = 64)]
    prompt_tokens: usize,
    /// Semantic ids of a predict set
    #[arg(long, default_value_t = 20)]
    beams: usize,
    /// Width of the model, which has random weights and 4 heads
    #[arg(long, default_value_t = 128)]
    hidden: u32,
    /// Its layers
    #[arg(long, default_value_t = 4)]
    layers: u32,
    /// Semantic ids in the trie
    #[arg(long, default_value_t = 10_000)]
    cells: usize,
}

impl Default for PredictArgs {
    fn default() -> Self {
        Self { users: 256, prompt_tokens: 64, beams: 20, hidden: 128, layers: 4, cells: 10_000 }
    }
}

/// Users a second, after one micro-batch that is not measured.
///
/// # Errors
/// Shapes that do not fit together, and more beams than cells.
pub fn measure(args: &PredictArgs) -> Result<Value, WorkerError> {
    tch::set_num_threads(1);
    let of = IterationArgs {
        prompts: args.users,
        prompt_tokens: args.prompt_tokens,
        hidden: args.hidden,
        layers: args.layers,
        intermediate: args.hidden * 11 / 4,
        cells: args.cells,
        ..IterationArgs::default()
    };
    let trie = random_trie(&of)?;
    let (model, _, _) = shapes(&of)?;
    let base = model.initial_weights(7, Pass::Select, 0.02);
    let policy = Policy::new(&model, &base, None, Trains::Nothing)?;
    let vocabulary = Vocabulary::new(of.levels, of.codes);
    let search = BeamSearch::new(&policy, Legal { trie: &trie, vocabulary }, args.beams)?;
    let prompts = random_prompts(&of, 0);
    let lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
    let batches = micro_batches(&lengths, policy.config().micro_batch_tokens);
    let tokens = |batch: &Vec<usize>| batch.iter().map(|i| prompts[*i].as_slice()).collect::<Vec<&[i64]>>();
    if let Some(first) = batches.first() {
        search.search(&tokens(first))?;
    }
    let (started, mut found) = (Instant::now(), 0);
    for batch in &batches {
        found += search.search(&tokens(batch))?.len();
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(json!({
        "users": found, "prompt_tokens": args.prompt_tokens, "beams": args.beams, "hidden": args.hidden,
        "layers": args.layers, "levels": of.levels, "codes": of.codes, "cells": args.cells, "threads": 1,
        "users_per_second": found as f64 / seconds, "resident_mib": resident_mib(), "load": load(),
    }))
}
