//! One GRPO iteration on one thread: rollout that is the training forward, reward, backward, exact sum, AdamW.

use super::process::{cpu_ms, load, median, resident_mib};
use crate::cuda;
use crate::error::WorkerError;
use clap::Args;
use conrec_domain::spec::{DeviceKind, LoraSpec, ModelSpec, Objective, OptimizerSpec};
use conrec_domain::work::Pass;
use conrec_feedback::prefix_trie::PrefixTrie;
use conrec_feedback::prompt::Vocabulary;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_policy::adamw::{Moments, adamw};
use conrec_policy::device::device_of;
use conrec_policy::error::PolicyError;
use conrec_policy::exact_sum::ExactSum;
use conrec_policy::grpo::{GroupPrompt, GrpoLease, GrpoSettings};
use conrec_policy::legal::Legal;
use conrec_policy::llama::LlamaConfig;
use conrec_policy::lora::LoraConfig;
use conrec_policy::model_files::read_model;
use conrec_policy::rollout::DrawKey;
use conrec_policy::transformer::{Adapter, Policy, Trains};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;
use tch::Device;

/// The workload; the defaults are those of the comparison with TRL.
#[derive(Debug, Args)]
pub struct IterationArgs {
    /// A Llama model in Hugging Face layout; by default random weights of the same shape
    #[arg(long, value_name = "FOLDER")]
    pub(super) model_dir: Option<PathBuf>,
    /// Width, layers, heads, MLP width and vocabulary of the model
    #[arg(long, default_value_t = 256)]
    pub(super) hidden: u32,
    #[arg(long, default_value_t = 4)]
    pub(super) layers: u32,
    #[arg(long, default_value_t = 4)]
    pub(super) heads: u32,
    #[arg(long, default_value_t = 704)]
    pub(super) intermediate: u32,
    #[arg(long, default_value_t = 2048)]
    pub(super) vocab: usize,
    /// Prompts an iteration, tokens a prompt, completions a prompt (G)
    #[arg(long, default_value_t = 4)]
    pub(super) prompts: usize,
    #[arg(long, default_value_t = 64)]
    pub(super) prompt_tokens: usize,
    #[arg(long, default_value_t = 8)]
    pub(super) completions: usize,
    /// Codes in a semantic id, and codewords a level
    #[arg(long, default_value_t = 4)]
    pub(super) levels: usize,
    #[arg(long, default_value_t = 256)]
    pub(super) codes: usize,
    /// Semantic ids in the trie
    #[arg(long, default_value_t = 10_000)]
    pub(super) cells: usize,
    /// Weight of the exact KL; above 0 the reference is computed too
    #[arg(long, default_value_t = 0.0)]
    pub(super) beta: f64,
    /// LoRA rank
    #[arg(long, default_value_t = 16)]
    pub(super) rank: u32,
    /// What the policy computes on: cpu or cuda
    #[arg(long, value_name = "DEVICE", default_value = "cpu", value_parser = device)]
    pub(super) device: DeviceKind,
    /// Iterations measured, after three that are not
    #[arg(long, default_value_t = 30)]
    pub(super) iterations: u64,
}

impl Default for IterationArgs {
    fn default() -> Self {
        Self {
            model_dir: None,
            hidden: 256,
            layers: 4,
            heads: 4,
            intermediate: 704,
            vocab: 2048,
            prompts: 4,
            prompt_tokens: 64,
            completions: 8,
            levels: 4,
            codes: 256,
            cells: 10_000,
            beta: 0.0,
            rank: 16,
            device: DeviceKind::Cpu,
            iterations: 30,
        }
    }
}

fn device(text: &str) -> Result<DeviceKind, &'static str> {
    match text {
        "cpu" => Ok(DeviceKind::Cpu),
        "cuda" => Ok(DeviceKind::Cuda),
        _ => Err("allowed are cpu and cuda"),
    }
}

const WARM_UP: u64 = 3;

/// Medians in milliseconds, and resident memory after a tenth of the iterations and at the end.
///
/// # Errors
/// A model folder of another shape, and what the policy refuses.
pub fn measure(args: &IterationArgs) -> Result<Value, WorkerError> {
    tch::set_num_threads(1);
    cuda::ready(args.device)?;
    let device = device_of(args.device);
    let vocabulary = Vocabulary::new(args.levels, args.codes);
    let trie = random_trie(args)?;
    let (model, lora, optimizer) = shapes(args)?;
    let base = match &args.model_dir {
        Some(folder) => read_model(folder, &model)?,
        None => model.initial_weights(7, Pass::Select, 0.02),
    }
    .to_device(device);
    let mut adapter = lora.initial_weights(&model, 7, Pass::Select);
    let mut moments = Moments::zeros(adapter.numel());
    let layout = lora.layout(&model);
    let (mut cpu, mut wall, mut exact, mut reward) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut resident = 0.0;
    for iteration in 0..WARM_UP + args.iterations {
        let prompts = random_prompts(args, iteration);
        let (started, used) = (Instant::now(), cpu_ms());
        let placed = adapter.to_device(device);
        let of = Adapter { config: lora, flat: &placed };
        let policy = Policy::new(&model, &base, Some(of), Trains::Lora)?;
        let reference = Policy::new(&model, &base, Some(of), Trains::Nothing)?;
        let settings = settings(args, iteration);
        let legal = Legal { trie: &trie, vocabulary };
        let lease = GrpoLease { policy: &policy, reference: &reference, behaviour: None, legal, settings };
        let groups: Vec<GroupPrompt<'_>> =
            prompts.iter().enumerate().map(|(id, tokens)| GroupPrompt { id: id as u64, tokens, next: None }).collect();
        let gradient =
            lease.run(&groups, &|_, cells| cells.iter().map(|cell| Some(even_share(&trie, *cell))).collect())?;
        let before_sum = cpu_ms();
        let mut sum = ExactSum::new(layout.len(), optimizer.exact_sum_bits, 1);
        if let Some(g) = &gradient.gradient {
            sum.add(&layout, &g.to_device(Device::Cpu))?;
        }
        let mean = sum.mean(sum.integers(), gradient.metrics.groups)?;
        let summed = cpu_ms() - before_sum;
        adamw(&optimizer, &mut adapter, &mut moments, &mean, 1e-4)?;
        if iteration >= WARM_UP {
            cpu.push(cpu_ms() - used);
            wall.push(started.elapsed().as_secs_f64() * 1e3);
            exact.push(summed);
            reward.push(gradient.metrics.reward / gradient.metrics.completions as f64);
        }
        // Memory is flat or not once the allocator has seen every kind of iteration.
        if iteration == WARM_UP + args.iterations / 10 {
            resident = resident_mib();
        }
    }
    Ok(json!({
        "prompts": args.prompts, "prompt_tokens": args.prompt_tokens, "completions": args.completions,
        "levels": args.levels, "codes": args.codes, "beta": args.beta, "lora": "q k v o gate up down", "rank": args.rank,
        "hidden": args.hidden, "layers": args.layers, "threads": 1, "device": args.device, "iterations": args.iterations,
        "cpu_ms": median(&cpu), "cpu_ms_min": cpu.iter().copied().fold(f64::INFINITY, f64::min), "wall_ms": median(&wall),
        "exact_sum_cpu_ms": median(&exact), "exact_sum_percent": 100.0 * median(&exact) / median(&cpu),
        "reward_first_last": [reward.first(), reward.last()],
        "resident_mib_after_a_tenth": resident, "resident_mib_end": resident_mib(), "load": load(),
    }))
}

pub(super) fn shapes(args: &IterationArgs) -> Result<(LlamaConfig, LoraConfig, OptimizerSpec), PolicyError> {
    let spec = ModelSpec {
        hidden: args.hidden,
        layers: args.layers,
        heads: args.heads,
        kv_heads: args.heads,
        intermediate: args.intermediate,
        rms_norm_eps: 1e-6,
        max_prompt_tokens: args.prompt_tokens as u32,
        ..ModelSpec::default()
    };
    let lora = LoraConfig::new(&LoraSpec { rank: args.rank, alpha: 2.0 * f64::from(args.rank) })?;
    Ok((LlamaConfig::new(&spec, args.vocab)?, lora, OptimizerSpec::default()))
}

fn settings(args: &IterationArgs, iteration: u64) -> GrpoSettings {
    GrpoSettings {
        seed: 7,
        iteration,
        completions: args.completions,
        temperature: 1.0,
        beta: args.beta,
        nll_weight: 0.0,
        objective: Objective::paper(),
    }
}

/// A trie of random cells; the same for the same arguments.
pub(super) fn random_trie(args: &IterationArgs) -> Result<PrefixTrie, WorkerError> {
    let key = DrawKey { seed: 11, iteration: 0, prompt: 0 };
    let draw = |i: usize| (key.uniform(i as u64, 0) * args.codes as f64) as u16;
    let codes: Vec<u16> = (0..args.cells * args.levels).map(draw).collect();
    Ok(PrefixTrie::new(&SemanticIds::new(args.levels, args.codes, codes, &vec![true; args.cells])?))
}

pub(super) fn random_prompts(args: &IterationArgs, iteration: u64) -> Vec<Vec<i64>> {
    let token = |prompt: usize, place: usize| {
        let key = DrawKey { seed: 13, iteration, prompt: prompt as u64 };
        (key.uniform(place as u64, 0) * args.vocab as f64) as i64
    };
    (0..args.prompts).map(|p| (0..args.prompt_tokens).map(|t| token(p, t)).collect()).collect()
}

/// The reward of the comparison: the share of even codes.
fn even_share(trie: &PrefixTrie, cell: u32) -> f64 {
    let path = trie.path(cell);
    let even = path.iter().filter(|node| trie.code(**node).is_some_and(|code| code % 2 == 0)).count();
    even as f64 / path.len().max(1) as f64
}
