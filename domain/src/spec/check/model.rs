//! The rules of `[model]`, `[lora]` and `[optimizer]`.

use super::Findings;
use crate::spec::{LoraSpec, ModelSpec, OptimizerSpec};

/// Checks `[model]`; `levels` is the length of a semantic id.
pub(super) fn check(model: &ModelSpec, levels: u32, findings: &mut Findings) {
    check_shape(model, findings);
    check_prompts(model, levels, findings);
}

/// What a decoder from scratch is made of; a pretrained base brings its own.
fn check_shape(model: &ModelSpec, findings: &mut Findings) {
    let ModelSpec {
        base,
        revision,
        // Every value of these is allowed.
        dtype: _,
        gradient_checkpointing: _,
        rows_in_grpo: _,
        // These are checked below.
        micro_batch_tokens: _,
        instruction: _,
        question: _,
        title_prompt: _,
        item_prompt: _,
        end_of_text: _,
        sign_words: _,
        max_prompt_tokens: _,
        new_row_std,
        hidden,
        layers,
        heads,
        kv_heads,
        intermediate,
        rope_theta,
        rms_norm_eps,
        init_std,
    } = model;
    findings.require(
        base.trim() == base,
        "model.base",
        base,
        "a folder, a name on the Hub, or nothing; no spaces around it",
    );
    findings.require(
        !revision.is_empty(),
        "model.revision",
        revision,
        "a branch, tag or commit; \"main\" is the newest",
    );
    findings.not_negative("model.new_row_std", *new_row_std);
    findings.at_least_one("model.hidden", *hidden);
    findings.at_least_one("model.layers", *layers);
    findings.at_least_one("model.heads", *heads);
    findings.at_least_one("model.kv_heads", *kv_heads);
    findings.at_least_one("model.intermediate", *intermediate);
    if *heads >= 1 {
        let whole = hidden.is_multiple_of(*heads);
        findings.require(whole, "model.hidden", hidden, &format!("a multiple of model.heads = {heads}"));
        if whole {
            let width = hidden / heads;
            let allowed = format!(
                "an even width a head, found {width} = {hidden} / {heads}: rotary positions turn pairs of numbers"
            );
            findings.require(width.is_multiple_of(2), "model.heads", heads, &allowed);
        }
    }
    if *kv_heads >= 1 {
        let divides = heads.is_multiple_of(*kv_heads);
        findings.require(divides, "model.kv_heads", kv_heads, &format!("a divisor of model.heads = {heads}"));
    }
    findings.above_zero("model.rope_theta", *rope_theta);
    findings.above_zero("model.rms_norm_eps", *rms_norm_eps);
    findings.above_zero("model.init_std", *init_std);
}

fn check_prompts(model: &ModelSpec, levels: u32, findings: &mut Findings) {
    let ModelSpec { micro_batch_tokens, sign_words, max_prompt_tokens, .. } = model;
    let tokens = 64..=1_048_576;
    findings.require(
        tokens.contains(micro_batch_tokens),
        "model.micro_batch_tokens",
        micro_batch_tokens,
        "64 to 1048576",
    );
    let said = sign_words.iter().all(|words| !words.trim().is_empty());
    findings.require(said, "model.sign_words", format!("{sign_words:?}"), "three texts, none of them empty");
    let shortest = 2 + levels.saturating_add(1);
    findings.require(
        (shortest..=1_048_576).contains(max_prompt_tokens),
        "model.max_prompt_tokens",
        max_prompt_tokens,
        &format!("{shortest} to 1048576: the first token, one event of semantic_id.levels + 1 tokens, and the query"),
    );
}

/// Checks `[lora]`.
pub(super) fn check_lora(lora: &LoraSpec, findings: &mut Findings) {
    let LoraSpec { rank, alpha } = lora;
    findings.at_least_one("lora.rank", *rank);
    findings.above_zero("lora.alpha", *alpha);
}

/// Checks `[optimizer]`.
pub(super) fn check_optimizer(optimizer: &OptimizerSpec, findings: &mut Findings) {
    let OptimizerSpec { beta1, beta2, eps, weight_decay, max_grad_norm, exact_sum_bits } = optimizer;
    findings.below_one("optimizer.beta1", *beta1);
    findings.below_one("optimizer.beta2", *beta2);
    findings.above_zero("optimizer.eps", *eps);
    findings.not_negative("optimizer.weight_decay", *weight_decay);
    findings.not_negative("optimizer.max_grad_norm", *max_grad_norm);
    findings.require(
        (24..=52).contains(exact_sum_bits),
        "optimizer.exact_sum_bits",
        exact_sum_bits,
        "24 to 52: below, small gradients vanish; above, sums leave 64 bits",
    );
}
