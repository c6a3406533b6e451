//! Which checkpoints stay: the last ones, every so many iterations, the best by validation, and always the one that the
//! select pass ended with. Pure, so that a running coordinator and `conrec checkpoints prune` decide alike.

use crate::ids::Iteration;
use crate::manifest::Manifest;
use crate::spec::CheckpointSpec;
use crate::work::Pass;
use std::collections::BTreeSet;

/// A whole checkpoint, as far as retention looks at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// `checkpoints/<iteration>-<fence>`; keys sort by age.
    pub key: String,
    /// Committed iterations.
    pub iteration: Iteration,
    /// FHR@20 of its last validation; none in the refit pass, which is not validated, and before the first.
    pub fhr: Option<f64>,
    /// Whether a stage of the select pass ended with it.
    pub ends_stage: bool,
}

impl Kept {
    /// What a manifest says.
    pub fn of(manifest: &Manifest) -> Self {
        let key = Manifest::key(manifest.iteration, manifest.fence);
        let cursor = &manifest.cursor;
        let validated = cursor.pass == Pass::Select || cursor.select_checkpoint.as_ref() == Some(&key);
        let last = cursor.decisions.iter().rev().find_map(|decision| decision.score);
        let fhr = last.filter(|_| validated).map(|score| score.fhr);
        Self { key, iteration: manifest.iteration, fhr, ends_stage: cursor.ended_stage(cursor.stage).is_some() }
    }
}

/// Keys of the checkpoints that may go, oldest first. `known`: all whole ones, oldest first. `select`: the one that the
/// select pass ended with; it stays and takes nobody's place.
pub fn surplus(known: &[Kept], rules: &CheckpointSpec, select: Option<&str>) -> Vec<String> {
    let CheckpointSpec { every: _, keep_last, keep_every, keep_best, keep_stage_ends } = rules;
    let others: Vec<&Kept> = known.iter().filter(|kept| Some(kept.key.as_str()) != select).collect();
    let mut stay: BTreeSet<&str> = BTreeSet::new();
    stay.extend(others.iter().rev().take((*keep_last as usize).max(1)).map(|kept| kept.key.as_str()));
    let regular = |kept: &&&Kept| *keep_every > 0 && kept.iteration.0.is_multiple_of(u64::from(*keep_every));
    stay.extend(others.iter().filter(regular).map(|kept| kept.key.as_str()));
    let ends = others.iter().filter(|kept| *keep_stage_ends && kept.ends_stage);
    stay.extend(ends.map(|kept| kept.key.as_str()));
    let mut scored: Vec<(f64, &str)> = others.iter().filter_map(|kept| Some((kept.fhr?, kept.key.as_str()))).collect();
    // Of two that are equally good the older stays.
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    stay.extend(scored.iter().take(*keep_best as usize).map(|(_, key)| *key));
    others.iter().filter(|kept| !stay.contains(kept.key.as_str())).map(|kept| kept.key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curriculum::{Cursor, StagePoint};
    use crate::ids::{Digest, Fence, RunId};
    use crate::work::{Decision, Score};
    use std::str::FromStr;

    fn known(scores: &[(u64, Option<f64>)]) -> Vec<Kept> {
        let kept = |(iteration, fhr): &(u64, Option<f64>)| {
            let iteration = Iteration(*iteration);
            let ends_stage = iteration.0.is_multiple_of(15);
            Kept { key: Manifest::key(iteration, Fence(1)), iteration, fhr: *fhr, ends_stage }
        };
        scores.iter().map(kept).collect()
    }

    fn gone(rules: CheckpointSpec, select: Option<u64>) -> Vec<u64> {
        let scores = [(5, Some(0.3)), (10, Some(0.5)), (15, Some(0.4)), (20, None), (25, Some(0.5)), (30, None)];
        let known = known(&scores);
        let select = select.map(|iteration| Manifest::key(Iteration(iteration), Fence(1)));
        let surplus = surplus(&known, &rules, select.as_deref());
        known.iter().filter(|kept| surplus.contains(&kept.key)).map(|kept| kept.iteration.0).collect()
    }

    #[test]
    fn a_checkpoint_has_the_score_of_its_last_validation_and_none_in_the_refit_pass() {
        let decision =
            |score| Decision { pass: Pass::Select, stage: "a".into(), iteration: 1, score, reason: "".into() };
        let score = |fhr| Some(Score { fhr, candidate_accuracy: 0.5 });
        let decisions = vec![decision(score(0.25)), decision(score(0.5)), decision(None)];
        let mut manifest = Manifest {
            version: Manifest::VERSION,
            run_id: RunId::from_str("run").unwrap(),
            config_digest: Digest::of(b"config"),
            data_digest: Digest::of(b"data"),
            code_version: "1".into(),
            fence: Fence(2),
            iteration: Iteration(7),
            state_digest: Digest::of(b"state"),
            cursor: Cursor { decisions, ..Cursor::start() },
            parts: Vec::new(),
        };
        let key = Manifest::key(Iteration(7), Fence(2));
        assert_eq!(
            Kept::of(&manifest),
            Kept { key: key.clone(), iteration: Iteration(7), fhr: Some(0.5), ends_stage: false }
        );
        (manifest.cursor.stage, manifest.cursor.at) = (1, StagePoint::BeginStage);
        assert!(Kept::of(&manifest).ends_stage, "the next stage has not begun");
        manifest.cursor.pass = Pass::Refit;
        assert_eq!(Kept::of(&manifest).fhr, None);
        manifest.cursor.select_checkpoint = Some(key);
        assert_eq!(Kept::of(&manifest).fhr, Some(0.5), "the one between the passes holds what was validated");
    }

    #[test]
    fn the_last_ones_stay() {
        let rules = |keep_last| CheckpointSpec { keep_last, ..CheckpointSpec::default() };
        assert_eq!(gone(rules(2), None), [5, 10, 15, 20]);
        assert_eq!(gone(rules(9), None), [0u64; 0]);
        assert_eq!(gone(rules(1), None), [5, 10, 15, 20, 25]);
    }

    #[test]
    fn the_select_passs_last_stays_beside_them() {
        let rules = CheckpointSpec { keep_last: 2, ..CheckpointSpec::default() };
        assert_eq!(gone(rules.clone(), Some(10)), [5, 15, 20]);
        assert_eq!(gone(rules, Some(30)), [5, 10, 15]);
    }

    #[test]
    fn multiples_and_the_best_stay() {
        let rules = CheckpointSpec { keep_last: 1, keep_every: 10, ..CheckpointSpec::default() };
        assert_eq!(gone(rules, None), [5, 15, 25]);
        let ends = CheckpointSpec { keep_last: 1, keep_stage_ends: true, ..CheckpointSpec::default() };
        assert_eq!(gone(ends, None), [5, 10, 20, 25]);
        let best = |keep_best| CheckpointSpec { keep_last: 1, keep_best, ..CheckpointSpec::default() };
        assert_eq!(gone(best(1), None), [5, 15, 20, 25], "of two that are equal the older stays");
        assert_eq!(gone(best(3), None), [5, 20]);
    }
}
