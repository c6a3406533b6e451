//! The rules of `[evaluation]`, `[checkpoint]` and `[cluster]`.

use super::Findings;
use crate::address::host_and_port;
use crate::spec::{CheckpointSpec, ClusterSpec, EvaluationSpec, SemanticIdSpec};

/// Checks `[evaluation]`; the number of semantic ids bounds the beams.
pub(super) fn check(evaluation: &EvaluationSpec, ids: &SemanticIdSpec, findings: &mut Findings) {
    let EvaluationSpec {
        statistics: _, // the enum is the rule
        exclude: _,    // the enum is the rule
        context: _,    // the enum is the rule
        beams,
        top,
        share_days,
        share_smoothing,
        candidates,
        candidate_score: _, // the enum is the rule
        bootstrap,
        seed,
        validation_instances: _, // every number is allowed: 0 takes all
        instances_per_lease,
        tolerance,
        tolerance_errors,
        few_user_negatives: _, // every number is allowed: 0 leaves LUF without users
        few_item_negatives: _, // every number is allowed: 0 leaves LIF without items
        reward_completions,
        content_dimensions,
    } = evaluation;
    findings.at_least_one("evaluation.top", *top);
    findings.require(
        beams >= top && *beams >= 1,
        "evaluation.beams",
        beams,
        &format!("at least evaluation.top = {top}: a beam may give one item only"),
    );
    let legal = u64::from(ids.codes).saturating_pow(ids.id_levels());
    findings.require(
        u64::from(*beams) <= legal || ids.levels == 0 || ids.codes < 2,
        "evaluation.beams",
        beams,
        &format!("at most {legal} = codes ^ levels: there are no more semantic ids"),
    );
    findings.at_least_one("evaluation.share_days", *share_days);
    findings.above_zero("evaluation.share_smoothing", *share_smoothing);
    findings.at_least_one("evaluation.candidates", *candidates);
    findings.at_least_one("evaluation.bootstrap", *bootstrap);
    let toml_limit = u64::try_from(i64::MAX).unwrap_or(u64::MAX);
    findings.require(*seed <= toml_limit, "evaluation.seed", seed, "0 to 9223372036854775807");
    findings.at_least_one("evaluation.instances_per_lease", *instances_per_lease);
    findings.share("evaluation.tolerance", *tolerance);
    findings.require(
        (0.0..=10.0).contains(tolerance_errors),
        "evaluation.tolerance_errors",
        tolerance_errors,
        "0 to 10 standard errors; 0 leaves evaluation.tolerance alone",
    );
    findings.at_least_one("evaluation.reward_completions", *reward_completions);
    findings.at_least_one("evaluation.content_dimensions", *content_dimensions);
}

/// Checks `[checkpoint]`.
pub(super) fn check_checkpoint(checkpoint: &CheckpointSpec, findings: &mut Findings) {
    // Retention takes any number for `keep_every` and `keep_best`; 0 turns them off.
    let CheckpointSpec { every, keep_last, keep_every: _, keep_best: _, keep_stage_ends: _ } = checkpoint;
    findings.at_least_one("checkpoint.every", *every);
    findings.at_least_one("checkpoint.keep_last", *keep_last);
}

/// Checks `[cluster]`.
pub(super) fn check_cluster(cluster: &ClusterSpec, findings: &mut Findings) {
    let ClusterSpec {
        listen,
        threads,
        // Every kind is allowed; whether it is there is found out on the worker's machine.
        device: _,
        collective: _,
        heartbeat_seconds,
        join_seconds,
        rejoin_seconds,
        lease_seconds,
        reduce_seconds,
        prepare_seconds,
    } = cluster;
    findings.require(
        host_and_port(listen).is_some(),
        "cluster.listen",
        format!("{listen:?}"),
        "host:port, such as 127.0.0.1:0 or [::1]:7000; port 0 takes a free one",
    );
    findings.require((1..=1024).contains(threads), "cluster.threads", threads, "1 to 1024");
    for (key, seconds) in [
        ("cluster.heartbeat_seconds", *heartbeat_seconds),
        ("cluster.join_seconds", *join_seconds),
        ("cluster.rejoin_seconds", *rejoin_seconds),
        ("cluster.lease_seconds", *lease_seconds),
        ("cluster.reduce_seconds", *reduce_seconds),
        ("cluster.prepare_seconds", *prepare_seconds),
    ] {
        findings.require(seconds >= 1, key, seconds, "1 second or more");
    }
}
