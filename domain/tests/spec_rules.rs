//! Every rule of a config refuses what it must, and says key, value and what is allowed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use conrec_domain::derived::Derived;
use conrec_domain::spec::{AdvantageScale, Baseline, Clip, Context, Objective, RunConfig, RunSpec, Sampler, SpecError};
use conrec_domain::work::Pass;

const GOOD: &str = r#"
seed = 3

[data]
source = "synthetic"

[[stage]]
name = "next_item"
kind = "next_item"
iterations = 30
prompts = 64
prompts_per_lease = 16
learning_rate = 1e-3

[[stage]]
name = "grpo"
kind = "grpo"
context = "negatives_3d"
iterations = 20
prompts = 10
prompts_per_lease = 4
learning_rate = 5e-5
completions = 8
validate_every = 5
patience = 2
"#;

fn violations(overrides: &[&str]) -> Vec<String> {
    let overrides: Vec<String> = overrides.iter().map(|s| (*s).to_owned()).collect();
    let config = RunConfig::parse_with(GOOD, "run.toml", &overrides).unwrap();
    match RunSpec::check(config) {
        Ok(_) => Vec::new(),
        Err(SpecError::Violations(list)) => list.iter().map(ToString::to_string).collect(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_good_config_has_no_violations() {
    assert_eq!(violations(&[]), Vec::<String>::new());
}

#[test]
fn a_group_of_one_is_refused_with_the_reason() {
    assert_eq!(
        violations(&["stage.1.completions=1"]),
        ["stage.1.completions = 1: allowed is 2 or more: GRPO compares the completions of a group, \
          and a group of one has no advantage"]
    );
    assert!(violations(&["stage.0.completions=1"]).is_empty(), "a supervised stage has no groups");
}

#[test]
fn dr_grpo_takes_no_deviation() {
    assert_eq!(violations(&["stage.1.loss=dr_grpo"]), Vec::<String>::new());
    for scale in ["group_std", "batch_std"] {
        let found = violations(&["stage.1.loss=dr_grpo", &format!("stage.1.advantage={scale}")]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with(&format!("stage.1.advantage = {scale}: allowed is none where loss = dr_grpo")));
    }
}

#[test]
fn groups_that_count_less_are_not_replaced() {
    assert!(violations(&["stage.1.refill=4", "stage.1.clean=drop"]).is_empty());
    let found = violations(&["stage.1.advantage=batch_std", "stage.1.clean=reweight"]);
    assert!(
        found.len() == 1
            && found[0].starts_with("stage.1.advantage = batch_std: allowed is another where clean = reweight"),
        "{found:?}"
    );
    let found = violations(&["stage.1.refill=4", "stage.1.clean=reweight"]);
    assert!(
        found.len() == 1 && found[0].starts_with("stage.1.refill = 4: allowed is 0 where clean = reweight"),
        "{found:?}"
    );
}

#[test]
fn a_mean_over_codes_takes_no_anchor() {
    for (loss, refused) in [("grpo", 0), ("dr_grpo", 0), ("gspo", 0), ("dapo", 1), ("cispo", 1)] {
        let found = violations(&["stage.1.nll_weight=0.1", &format!("stage.1.loss={loss}")]);
        assert_eq!(found.len(), refused, "{found:?}");
        assert!(
            found.iter().all(|v| v.starts_with("stage.1.nll_weight = 0.1: allowed is 0 where loss is dapo or cispo"))
        );
    }
}

#[test]
fn what_a_stage_leaves_out_is_as_its_loss_has_it() {
    let objective = |overrides: &[&str]| {
        let overrides: Vec<String> = overrides.iter().map(|s| (*s).to_owned()).collect();
        Objective::of(&RunConfig::parse_with(GOOD, "run.toml", &overrides).unwrap().stage[1])
    };
    assert_eq!(objective(&[]), Objective::paper());
    assert_eq!(objective(&["stage.1.clip_low=0.1"]).clip, Clip { low: 0.1, high: 0.2 });
    let of = |loss: &str| objective(&[&format!("stage.1.loss={loss}")]);
    assert_eq!((of("dr_grpo").scale, of("dapo").scale), (AdvantageScale::None, AdvantageScale::GroupStd));
    assert_eq!(of("dapo").clip, Clip { low: 0.2, high: 0.28 });
    assert_eq!(of("gspo").clip, Clip { low: 3e-4, high: 4e-4 });
    assert_eq!(of("cispo").clip, Clip { low: 1.0, high: 4.0 });
    let chosen =
        objective(&["stage.1.sampler=gumbel_top_k", "stage.1.advantage=none", "stage.1.baseline=leave_one_out"]);
    assert_eq!(chosen.sampler, Sampler::GumbelTopK);
    assert_eq!((chosen.scale, chosen.baseline), (AdvantageScale::None, Baseline::LeaveOneOut));
}

/// What a stage's kind does not read is not checked either.
#[test]
fn keys_of_another_kind_of_stage_are_not_checked() {
    let unread = ["stage.1.sign_weight=-1.0", "stage.0.clip_low=2.0", "stage.0.clip_high=-1.0"];
    assert_eq!(violations(&unread), Vec::<String>::new());
}

/// An override, and how the one violation that it makes begins.
const CASES: &[(&str, &str)] = &[
    ("data.horizon_days=0", "data.horizon_days = 0"),
    ("data.test_days=0", "data.test_days = 0"),
    ("data.negative_at_most=7.0", "data.negative_at_most = 7"),
    ("data.negative_at_most=nan", "data.negative_at_most = NaN"),
    ("data.malformed_share=1.5", "data.malformed_share = 1.5"),
    ("data.synthetic.days=50", "data.synthetic.days = 50"),
    ("data.synthetic.users=0", "data.synthetic.users = 0"),
    ("data.synthetic.items=39", "data.synthetic.items = 39"),
    ("data.synthetic.disliked_regions=37", "data.synthetic.disliked_regions = 37"),
    ("data.synthetic.dislike_rate=-0.1", "data.synthetic.dislike_rate = -0.1"),
    ("data.synthetic.exposures_per_day=inf", "data.synthetic.exposures_per_day = inf"),
    ("semantic_id.levels=0", "semantic_id.levels = 0"),
    ("semantic_id.levels=9", "semantic_id.levels = 9"),
    ("semantic_id.codes=65536", "semantic_id.codes = 65536"),
    ("semantic_id.ema_decay=1.0", "semantic_id.ema_decay = 1"),
    ("model.hidden=130", "model.hidden = 130"),
    ("model.hidden=132", "model.heads = 4"),
    ("model.kv_heads=3", "model.kv_heads = 3"),
    ("model.heads=0", "model.heads = 0"),
    ("model.max_prompt_tokens=5", "model.max_prompt_tokens = 5"),
    ("lora.rank=0", "lora.rank = 0"),
    ("optimizer.beta2=1.0", "optimizer.beta2 = 1"),
    ("optimizer.exact_sum_bits=23", "optimizer.exact_sum_bits = 23"),
    ("optimizer.exact_sum_bits=53", "optimizer.exact_sum_bits = 53"),
    ("reward.gamma=-1.0", "reward.gamma = -1"),
    ("reward.hit_weight=-0.5", "reward.hit_weight = -0.5"),
    ("reward.popularity_alpha=inf", "reward.popularity_alpha = inf"),
    ("reward.swing.theta=-1.0", "reward.swing.theta = -1"),
    ("reward.swing.max_users=1", "reward.swing.max_users = 1"),
    ("stage.0.sign_weight=-0.1", "stage.0.sign_weight = -0.1"),
    ("stage.1.clip_low=1.5", "stage.1.clip_low = 1.5"),
    ("stage.1.clip_high=-0.1", "stage.1.clip_high = -0.1"),
    ("stage.1.clip_high=inf", "stage.1.clip_high = inf"),
    ("stage.1.refill=4097", "stage.1.refill = 4097"),
    ("stage.1.nll_weight=-0.1", "stage.1.nll_weight = -0.1"),
    ("stage.1.updates_per_rollout=0", "stage.1.updates_per_rollout = 0"),
    ("stage.1.updates_per_rollout=65", "stage.1.updates_per_rollout = 65"),
    ("stage.0.iterations=0", "stage.0.iterations = 0"),
    ("stage.0.prompts_per_lease=65", "stage.0.prompts_per_lease = 65"),
    ("stage.0.prompts_per_lease=0", "stage.0.prompts_per_lease = 0"),
    ("stage.0.learning_rate=0.0", "stage.0.learning_rate = 0"),
    ("stage.0.warmup=31", "stage.0.warmup = 31"),
    ("stage.0.patience=1", "stage.0.patience = 1"),
    ("stage.1.temperature=0.0", "stage.1.temperature = 0"),
    ("stage.1.beta=-0.1", "stage.1.beta = -0.1"),
    ("stage.1.retries=9", "stage.1.retries = 9"),
    ("stage.1.beta_factor=1.0", "stage.1.beta_factor = 1"),
    ("stage.1.beta_factor=nan", "stage.1.beta_factor = NaN"),
    ("stage.1.beta_factor=inf", "stage.1.beta_factor = inf"),
    ("stage.1.final_rate=1.1", "stage.1.final_rate = 1.1"),
    ("stage.1.name=next_item", "stage.1.name = next_item"),
    ("stage.0.name=\" \"", "stage.0.name = \" \""),
    ("evaluation.beams=19", "evaluation.beams = 19"),
    ("evaluation.beams=262145", "evaluation.beams = 262145"),
    ("evaluation.tolerance=-0.1", "evaluation.tolerance = -0.1"),
    ("evaluation.tolerance_errors=-1.0", "evaluation.tolerance_errors = -1"),
    ("evaluation.tolerance_errors=10.5", "evaluation.tolerance_errors = 10.5"),
    ("evaluation.share_smoothing=0.0", "evaluation.share_smoothing = 0"),
    ("evaluation.reward_completions=0", "evaluation.reward_completions = 0"),
    ("evaluation.content_dimensions=0", "evaluation.content_dimensions = 0"),
    ("alarm.min_entropy=1.5", "alarm.min_entropy = 1.5"),
    ("alarm.min_distinct=-0.1", "alarm.min_distinct = -0.1"),
    ("alarm.max_abstained=nan", "alarm.max_abstained = NaN"),
    ("alarm.in_a_row=0", "alarm.in_a_row = 0"),
    ("checkpoint.every=0", "checkpoint.every = 0"),
    ("checkpoint.keep_last=0", "checkpoint.keep_last = 0"),
    ("cluster.threads=0", "cluster.threads = 0"),
    ("cluster.listen=nowhere", "cluster.listen = \"nowhere\""),
    ("cluster.listen=host:99999", "cluster.listen = \"host:99999\""),
    ("cluster.lease_seconds=0", "cluster.lease_seconds = 0"),
];

#[test]
fn each_rule_names_its_key() {
    for (given, start) in CASES {
        let found = violations(&[given]);
        assert_eq!(found.len(), 1, "{given}: {found:?}");
        assert!(found[0].starts_with(&format!("{start}: allowed is ")), "{given}: {}", found[0]);
    }
}

#[test]
fn a_real_dataset_needs_a_path() {
    let found = violations(&["data.source=movietweetings", "data.path=\"\""]);
    assert_eq!(found, ["data.path = \"\": allowed is the folder that holds the dataset's files"]);
}

/// No target of the validation window may lie in the test window.
#[test]
fn a_gap_shorter_than_the_horizon_is_refused_with_both_and_why() {
    let refused = |gap: u32, horizon: u32| {
        [format!(
            "data.gap_days = {gap}: allowed is {horizon} or more with data.horizon_days = {horizon}: with less, targets \
             of the validation window lie in the test window, and what is chosen on the one has seen the other; set \
             data.gap_days = {horizon}, or a shorter data.horizon_days"
        )]
    };
    assert_eq!(violations(&["data.gap_days=6"]), refused(6, 7));
    assert_eq!(violations(&["data.gap_days=0", "data.horizon_days=1"]), refused(0, 1));
    assert_eq!(violations(&["data.gap_days=6", "evaluation.statistics=frozen"]), refused(6, 7));
    assert_eq!(violations(&["data.gap_days=6", "data.later_day_only=true"]), refused(6, 7));
    // What the stream is too short for is said when the gap is right.
    assert_eq!(violations(&["data.horizon_days=400"]), refused(7, 400));
    assert!(violations(&["data.gap_days=7"]).is_empty() && violations(&["data.gap_days=8"]).is_empty());
}

#[test]
fn a_window_longer_than_the_stream_is_named_with_what_is_allowed() {
    let longest = |found: u32, allowed: &str| {
        format!(
            "data.gap_days = {found}: allowed is {allowed}: the stream has data.synthetic.days = 90, \
             data.horizon_days = 7, data.validation_days = 14 and data.test_days = 25 take 46 of these days, \
             and some must be left to train on"
        )
    };
    assert_eq!(violations(&["data.gap_days=400"]), [longest(400, "7 to 43")]);
    assert!(violations(&["data.gap_days=43"]).is_empty(), "the largest value allowed");
    // A window longer than the others together is to blame; otherwise the stream is.
    let found = violations(&["data.gap_days=44"]);
    assert!(
        found[0].starts_with("data.synthetic.days = 90: allowed is more than 90: data.horizon_days = 7, "),
        "{found:?}"
    );
    let found = violations(&["data.test_days=80"]);
    assert!(found[0].starts_with("data.test_days = 80: allowed is 1 to 61: "), "{found:?}");
    // No value of the longest would do.
    let found = violations(&["data.gap_days=400", "data.synthetic.days=40"]);
    assert!(
        found[0].starts_with("data.synthetic.days = 40: allowed is more than 446: data.horizon_days = 7, "),
        "{found:?}"
    );
    // A long horizon takes a gap as long.
    let found = violations(&["data.horizon_days=30", "data.gap_days=30"]);
    assert!(
        found[0].starts_with("data.synthetic.days = 90: allowed is more than 99: data.horizon_days = 30, "),
        "{found:?}"
    );
}

#[test]
fn a_stream_too_short_for_all_windows_is_told_what_each_takes() {
    let parts = "data.horizon_days = 7, data.gap_days = 7, data.validation_days = 14 and data.test_days = 25 take 53 days, \
                 and some must be left to train on";
    let found = violations(&["data.synthetic.days=53"]);
    assert_eq!(found, [format!("data.synthetic.days = 53: allowed is more than 53: {parts}")]);
    assert!(violations(&["data.synthetic.days=54"]).is_empty());
    let found = violations(&["data.synthetic.days=60", "evaluation.statistics=frozen"]);
    assert!(
        found[0].starts_with(
            "data.synthetic.days = 60: allowed is more than 60: data.horizon_days = 7, data.gap_days = 7 (twice), "
        ),
        "{found:?}"
    );
    assert!(violations(&["data.synthetic.days=61", "evaluation.statistics=frozen"]).is_empty());
}

#[test]
fn stages_stand_in_an_order_that_can_be_trained() {
    let found = violations(&["stage=[]"]);
    assert_eq!(found, ["stage = nothing: allowed is at least one [[stage]]: without one nothing is learned"]);
    let found = violations(&["stage.0.kind=grpo", "stage.1.kind=next_negative"]);
    assert!(found[0].starts_with("stage.0.kind = grpo: allowed is a supervised stage first"), "{found:?}");
    assert!(found[1].starts_with("stage.1.kind = next_negative: allowed is grpo"), "{found:?}");
}

#[test]
fn translation_needs_a_base_that_has_words() {
    let found = violations(&["stage.0.kind=translation"]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("stage.0.kind = translation: allowed is another kind where model.base is empty"),
        "{found:?}"
    );
    let with_base = ["stage.0.kind=translation", "model.base=some/base"];
    assert!(violations(&with_base).is_empty());
    let found = violations(&[&with_base[..], &["stage.0.title_tokens=0"]].concat());
    assert_eq!(found, ["stage.0.title_tokens = 0: allowed is 1 or more"]);
    let found = violations(&[&with_base[..], &["stage.0.held_out=1.0"]].concat());
    assert_eq!(found, ["stage.0.held_out = 1: allowed is 0 to 0.9: something must be left to learn from"]);
}

#[test]
fn a_stage_that_shows_no_past_is_not_what_is_served() {
    let served = |kind: &str| {
        let overrides = [format!("stage.1.kind={kind}"), "model.base=some/base".into(), "stage.0.context=all".into()];
        let config = RunConfig::parse_with(GOOD, "run.toml", &overrides).unwrap();
        RunSpec::check(config).unwrap().serving_context()
    };
    assert_eq!((served("next_negative"), served("grpo")), (Context::Negatives3d, Context::Negatives3d));
    assert_eq!((served("translation"), served("alignment")), (Context::All, Context::All));
}

#[test]
fn stages_that_take_more_prompts_than_there_are_are_refused() {
    let spec = RunSpec::check(RunConfig::parse(GOOD, "run.toml").unwrap()).unwrap();
    assert!(spec.check_prompts(Pass::Select, &[64, 10]).is_ok(), "as many as there are can be taken");
    let error = spec.check_prompts(Pass::Refit, &[63, 9]).unwrap_err().to_string();
    let expected = [
        "stage.0.prompts = 64: allowed is 1 to 63: stage `next_item` has 63 training prompts in the refit pass, \
         and an iteration takes none of them twice",
        "stage.1.prompts = 10: allowed is 1 to 9: stage `grpo` has 9 training prompts in the refit pass, \
         and an iteration takes none of them twice",
    ];
    assert_eq!(error, expected.join("\n"));
}

#[test]
fn all_violations_are_told_at_once() {
    let found = violations(&["seed=0", "lora.rank=0", "stage.0.prompts=0", "cluster.threads=0"]);
    let keys: Vec<&str> = found.iter().map(|v| v.split(' ').next().unwrap()).collect();
    assert_eq!(keys, ["lora.rank", "stage.0.prompts", "stage.0.prompts_per_lease", "cluster.threads"]);
}

#[test]
fn an_address_may_be_a_name_or_ipv6() {
    for listen in ["127.0.0.1:0", "localhost:7000", "[::1]:7000", "coordinator-0.run:50051"] {
        assert!(violations(&[&format!("cluster.listen={listen}")]).is_empty(), "{listen}");
    }
    for listen in [":7000", "[::1:7000", "a b:1", "host:", "host"] {
        assert_eq!(violations(&[&format!("cluster.listen={listen}")]).len(), 1, "{listen}");
    }
}

#[test]
fn an_override_reaches_into_a_stage() {
    let config = RunConfig::parse_with(GOOD, "run.toml", &["stage.1.beta=0.2".into(), "data.path=a b".into()]).unwrap();
    assert!((config.stage[1].beta - 0.2).abs() < 1e-12);
    assert_eq!(config.data.path, "a b", "what is no TOML value is a bare string");
}

#[test]
fn unknown_keys_are_named() {
    let error = RunConfig::parse("[model]\nhiden = 3\n", "run.toml").unwrap_err().to_string();
    assert!(error.starts_with("run.toml: ") && error.contains("hiden") && error.contains("line 2"), "{error}");
    let error = RunConfig::parse_with(GOOD, "run.toml", &["model.hiden=3".into()]).unwrap_err().to_string();
    assert!(error.contains("--set model.hiden=3") && error.contains("unknown field `hiden`"), "{error}");
    let error = RunConfig::parse_with(GOOD, "run.toml", &["stage.2.beta=1".into()]).unwrap_err().to_string();
    assert!(error.contains("found `2` in `stage.2.beta`, expected an index below 2"), "{error}");
    let error = RunConfig::parse_with(GOOD, "run.toml", &["seed".into()]).unwrap_err().to_string();
    assert!(error.contains("expected key.sub=value"), "{error}");
    let error = RunConfig::parse_with(GOOD, "run.toml", &["seed.x=1".into()]).unwrap_err().to_string();
    assert!(error.contains("a value, not a section"), "{error}");
}

#[test]
fn a_resolved_config_reads_back_alike_and_keeps_its_digest() {
    let spec = RunSpec::check(RunConfig::parse(GOOD, "run.toml").unwrap()).unwrap();
    let again = RunSpec::check(RunConfig::parse(&spec.to_toml().unwrap(), "run.toml").unwrap()).unwrap();
    assert_eq!(spec, again);
    assert_eq!(spec.digest().unwrap(), again.digest().unwrap());
    let with = |set: &str| {
        RunSpec::check(RunConfig::parse_with(GOOD, "run.toml", &[set.into()]).unwrap()).unwrap().digest().unwrap()
    };
    assert_eq!(spec.digest().unwrap(), with("cluster.listen=0.0.0.0:9"), "an address changes no bits");
    assert_ne!(spec.digest().unwrap(), with("cluster.threads=2"), "threads may change bits");
    assert_ne!(spec.digest().unwrap(), with("cluster.device=cuda"), "another device changes bits");
    assert_ne!(spec.digest().unwrap(), with("stage.1.beta=0.2"));
}

#[test]
fn derived_numbers_follow_from_the_config() {
    let spec = RunSpec::check(RunConfig::parse(GOOD, "run.toml").unwrap()).unwrap();
    let derived = Derived::of(&spec, None);
    assert_eq!((derived.passes, derived.iterations_at_most), (2, 120));
    assert_eq!(
        spec.stage.iter().map(|s| s.attempts()).collect::<Vec<_>>(),
        [1, 2],
        "supervised stages are not retried"
    );
    assert_eq!((derived.vocabulary, derived.semantic_ids_at_most), (197, 262_144));
    // 197 * 128 embedding; a layer 4 * 128^2 + 3 * 128 * 352 + 2 * 128; 3 layers; the last norm 128.
    assert_eq!(derived.model_parameters, 25_216 + 3 * (65_536 + 135_168 + 256) + 128);
    // r * (4 * (128 + 128) + 3 * (128 + 352)) a layer.
    assert_eq!(derived.adapter_parameters, 3 * 16 * (1024 + 1440));
    let grpo = &derived.stages[1];
    assert_eq!((grpo.leases, grpo.completions, grpo.codes_at_most, grpo.prompts_a_pass), (3, 80, 240, 200));
    assert!(derived.rows().iter().any(|r| r.name == "grpo: leases an iteration" && r.value == "3"));
    assert!(derived.worker_bytes > 250 << 20 && derived.worker_bytes < 1 << 30, "{}", derived.worker_bytes);
}

#[test]
fn lift_needs_another_prompt_in_every_lease() {
    let lift = "reward.shape=lift";
    assert_eq!(violations(&[lift]), Vec::<String>::new());
    let found = violations(&[lift, "stage.1.prompts_per_lease=1"]);
    assert!(found.len() == 1 && found[0].contains("stage.1.prompts_per_lease = 1"), "{found:?}");
    // 10 = 3 + 3 + 3 + 1: the last lease holds one.
    assert_eq!(violations(&[lift, "stage.1.prompts_per_lease=3"]).len(), 1);
    assert_eq!(violations(&["stage.1.prompts_per_lease=3"]), Vec::<String>::new());
}

#[test]
fn every_shipped_config_is_allowed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            let text = std::fs::read_to_string(&path).unwrap();
            let config = RunConfig::parse(&text, &path.display().to_string()).unwrap();
            let checked = RunSpec::check(config);
            assert!(checked.is_ok(), "{}: {}", path.display(), checked.unwrap_err());
            seen += 1;
        }
    }
    assert!(seen >= 1, "no config in {folder}");
}

#[test]
fn vectors_of_a_base_need_a_pretrained_one_and_no_file() {
    let [refused] = violations(&["semantic_id.vectors=base_model"]).try_into().unwrap();
    assert!(
        refused.starts_with("semantic_id.vectors = \"base_model\": allowed is \"text\", \"encoder\" or \"file\""),
        "{refused}"
    );
    assert!(refused.contains("model.base"), "{refused}");
    assert!(violations(&["semantic_id.vectors=base_model", "model.base=someone/tiny"]).is_empty());
    let path = ["semantic_id.vectors=base_model", "model.base=someone/tiny", "semantic_id.vectors_path=minilm"];
    let [refused] = violations(&path).try_into().unwrap();
    assert!(refused.contains("semantic_id.vectors_path") && refused.contains("reads model.base"), "{refused}");
}

#[test]
fn a_window_of_days_and_the_rules_of_nights_are_checked() {
    for (set, words) in [
        (vec!["data.from=\"2013-02-30\""], "data.from = \"2013-02-30\": allowed is a day such as 2013-04-03"),
        (
            vec!["data.from=\"2013-03-02\"", "data.until=\"2013-03-01\""],
            "data.until = 2013-03-01: allowed is data.from",
        ),
        (
            vec!["data.source=table", "data.table.events=[\"{date}.csv\"]", "data.from=\"2013-03-02\""],
            "data.until = \"\"",
        ),
        (vec!["warm_start.run=../x"], "warm_start.run"),
        (vec!["warm_start.state=abc"], "warm_start.state"),
        (vec!["warm_start.run=a", "semantic_id.control=random"], "semantic_id.control"),
        (vec!["nightly.confidence=1.0"], "nightly.confidence = 1"),
        (vec!["nightly.metrics=[]"], "nightly.metrics"),
        (vec!["nightly.window_days=3", "nightly.complete_days=4"], "1 to nightly.window_days = 3"),
    ] {
        let found = violations(&set);
        assert!(found.len() == 1 && found[0].contains(words), "{set:?}: {found:?}");
    }
    assert!(violations(&["data.from=\"2013-03-01\"", "data.until=\"2013-03-01\"", "warm_start.run=a"]).is_empty());
}
