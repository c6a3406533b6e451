//! The rules of `[[stage]]`: each stage for itself, then their order.

use super::Findings;
use crate::spec::{AdvantageScale, Clean, GrpoLoss, Objective, RunConfig, StageKind, StageSpec};
use std::collections::BTreeSet;

/// Checks all stages.
pub(super) fn check(stages: &[StageSpec], findings: &mut Findings) {
    findings.require(!stages.is_empty(), "stage", "nothing", "at least one [[stage]]: without one nothing is learned");
    for (index, stage) in stages.iter().enumerate() {
        check_stage(index, stage, findings);
    }
    check_order(stages, findings);
}

/// One stage for itself.
fn check_stage(index: usize, stage: &StageSpec, findings: &mut Findings) {
    let StageSpec {
        name,
        kind,
        context: _,     // the enum is the rule
        recent_days: _, // every number is allowed: 0 takes all instances
        iterations,
        prompts,
        prompts_per_lease,
        learning_rate,
        warmup,
        final_rate,
        sign_weight,
        title_tokens,
        held_out,
        patience: _, // see check_reach
        // Every number is allowed for it: 0 validates at the end only.
        validate_every: _,
        // These are GRPO's.
        completions: _,
        temperature: _,
        beta: _,
        retries: _,
        beta_factor: _,
        loss: _,
        sampler: _,
        advantage: _,
        baseline: _,
        advantage_floor: _,
        updates_per_rollout: _,
        refill: _,
        nll_weight: _,
        clip_low: _,
        clip_high: _,
        clean: _,
        clean_above: _,
        clean_weight: _,
        // These are alignment's.
        distractors: _,
        answers: _,
        question_context: _,
    } = stage;
    let key = |field: &str| format!("stage.{index}.{field}");
    findings.require(!name.trim().is_empty(), &key("name"), format!("{name:?}"), "a name with a letter in it");
    findings.at_least_one(&key("iterations"), *iterations);
    findings.at_least_one(&key("prompts"), *prompts);
    findings.require(
        (1..=*prompts).contains(prompts_per_lease),
        &key("prompts_per_lease"),
        prompts_per_lease,
        &format!("1 to stage.{index}.prompts = {prompts}"),
    );
    findings.above_zero(&key("learning_rate"), *learning_rate);
    findings.require(
        warmup <= iterations,
        &key("warmup"),
        warmup,
        &format!("at most stage.{index}.iterations = {iterations}"),
    );
    findings.share(&key("final_rate"), *final_rate);
    match kind {
        StageKind::Grpo => check_grpo(index, stage, findings),
        StageKind::NextItem => findings.not_negative(&key("sign_weight"), *sign_weight),
        StageKind::Alignment => check_distractors(index, stage, findings),
        StageKind::Translation => {
            findings.at_least_one(&key("title_tokens"), *title_tokens);
            let most = "0 to 0.9: something must be left to learn from";
            findings.require((0.0..=0.9).contains(held_out), &key("held_out"), held_out, most);
        }
        StageKind::NextNegative => {}
    }
    check_reach(index, stage, findings);
}

/// What a key asks of the stage's kind.
fn check_reach(index: usize, stage: &StageSpec, findings: &mut Findings) {
    let key = |field: &str| format!("stage.{index}.{field}");
    findings.require(
        stage.kind == StageKind::Grpo || stage.clean == Clean::None,
        &key("clean"),
        "drop or reweight",
        "none where kind is not grpo: only rewards know a user's future positives",
    );
    let validates = stage.kind == StageKind::Grpo || stage.validate_every > 0;
    findings.require(
        stage.patience == 0 || validates,
        &key("patience"),
        stage.patience,
        "0 where validate_every = 0: without validations nothing can be waited for",
    );
}

/// What only alignment reads.
fn check_distractors(index: usize, stage: &StageSpec, findings: &mut Findings) {
    let weights = stage.distractors.weights();
    for (kind, weight) in crate::spec::Distractor::ALL.into_iter().zip(weights) {
        findings.not_negative(&format!("stage.{index}.distractors.{kind}"), weight);
    }
    findings.require(
        weights.iter().any(|weight| *weight > 0.0),
        &format!("stage.{index}.distractors"),
        "no weight above 0",
        "at least one kind of distractor with a weight above 0",
    );
}

/// An alignment question must fit into a prompt: BOS, the question's sign, four semantic ids, the asked sign.
pub(super) fn check_questions(config: &RunConfig, findings: &mut Findings) {
    let needed = config.semantic_id.id_levels().saturating_mul(4).saturating_add(3);
    let asks = config.stage.iter().any(|stage| stage.kind == StageKind::Alignment);
    findings.require(
        !asks || config.model.max_prompt_tokens >= needed,
        "model.max_prompt_tokens",
        config.model.max_prompt_tokens,
        &format!("{needed} or more: an alignment question holds four semantic ids"),
    );
}

/// Words need a base that knows some.
pub(super) fn check_words(config: &RunConfig, findings: &mut Findings) {
    let is_translation = |(_, stage): &(usize, &StageSpec)| stage.kind == StageKind::Translation;
    for (index, stage) in config.stage.iter().enumerate().filter(is_translation) {
        findings.require(
            config.model.is_pretrained(),
            &format!("stage.{index}.kind"),
            kind_name(stage.kind),
            "another kind where model.base is empty: a decoder from scratch has no words for a title; name a pretrained \
             decoder (docs/pretrained.md) or leave the stage out",
        );
    }
}

/// What only GRPO reads.
fn check_grpo(index: usize, stage: &StageSpec, findings: &mut Findings) {
    let key = |field: &str| format!("stage.{index}.{field}");
    findings.require(
        stage.completions >= 2,
        &key("completions"),
        stage.completions,
        "2 or more: GRPO compares the completions of a group, and a group of one has no advantage",
    );
    findings.above_zero(&key("temperature"), stage.temperature);
    findings.not_negative(&key("beta"), stage.beta);
    findings.above_zero(&key("advantage_floor"), stage.advantage_floor);
    findings.require(
        (-1.0..=1.0).contains(&stage.clean_above),
        &key("clean_above"),
        stage.clean_above,
        "-1 to 1: a cosine",
    );
    findings.share(&key("clean_weight"), stage.clean_weight);
    let objective = Objective::of(stage);
    findings.share(&key("clip_low"), objective.clip.low);
    findings.not_negative(&key("clip_high"), objective.clip.high);
    findings.require(
        objective.loss != GrpoLoss::DrGrpo || objective.scale == AdvantageScale::None,
        &key("advantage"),
        if objective.scale == AdvantageScale::BatchStd { "batch_std" } else { "group_std" },
        "none where loss = dr_grpo: that loss is grpo without this division; for the division take loss = grpo",
    );
    findings.require(
        (1..=64).contains(&stage.updates_per_rollout),
        &key("updates_per_rollout"),
        stage.updates_per_rollout,
        "1 to 64: after more updates the completions say nothing of the policy",
    );
    findings.not_negative(&key("nll_weight"), stage.nll_weight);
    findings.require(
        stage.nll_weight <= 0.0 || !stage.loss.is_mean_over_codes(),
        &key("nll_weight"),
        stage.nll_weight,
        "0 where loss is dapo or cispo: they are means over the codes that train, of which an iteration may have none; the \
         anchor is a mean over prompts",
    );
    findings.require(stage.refill <= 4096, &key("refill"), stage.refill, "0 to 4096");
    findings.require(
        stage.refill == 0 || stage.clean != Clean::Reweight,
        &key("refill"),
        stage.refill,
        "0 where clean = reweight: a group that counts less would be replaced by one that counts whole; take clean = drop",
    );
    findings.require(
        stage.advantage != Some(AdvantageScale::BatchStd) || stage.clean != Clean::Reweight,
        &key("advantage"),
        "batch_std",
        "another where clean = reweight: flagged prompts are a batch of their own there, with a deviation of their own",
    );
    findings.require(stage.retries <= 8, &key("retries"), stage.retries, "0 to 8");
    findings.require(
        stage.beta_factor > 1.0 && (!stage.beta.is_finite() || stage.beta_at(stage.retries.min(8)).is_finite()),
        &key("beta_factor"),
        stage.beta_factor,
        "above 1, with a last beta that is finite: a retry holds the policy closer to where it started",
    );
}

/// Names are unique; supervised stages come first, and GRPO needs one before it.
fn check_order(stages: &[StageSpec], findings: &mut Findings) {
    let mut names = BTreeSet::new();
    let mut supervised = false;
    let mut grpo: Option<&str> = None;
    for (index, stage) in stages.iter().enumerate() {
        let fresh = names.insert(stage.name.as_str());
        findings.require(fresh, &format!("stage.{index}.name"), &stage.name, "a name that no other stage has");
        let key = format!("stage.{index}.kind");
        if stage.kind.is_supervised() {
            supervised = true;
            if let Some(earlier) = grpo {
                let allowed = format!(
                    "grpo, as `{earlier}` before it is: a supervised stage trains the weights under the adapter"
                );
                findings.require(false, &key, kind_name(stage.kind), &allowed);
            }
        } else {
            if grpo.is_none() {
                findings.require(
                    supervised,
                    &key,
                    kind_name(stage.kind),
                    "a supervised stage first: GRPO needs a policy that hits now and then",
                );
            }
            grpo = Some(&stage.name);
        }
    }
}

/// The kind as it is written in the file.
fn kind_name(kind: StageKind) -> &'static str {
    match kind {
        StageKind::NextItem => "next_item",
        StageKind::NextNegative => "next_negative",
        StageKind::Alignment => "alignment",
        StageKind::Translation => "translation",
        StageKind::Grpo => "grpo",
    }
}
