//! The arms of an experiment: configs that differ from a given one in what is to be compared, each with its name and
//! what it says. A run of an arm is an ordinary run, so that it resumes, and that an arm which stands in two tables is
//! trained once.

mod curriculum;
mod paper;

pub use curriculum::{beta_arms, gamma_arms, horizon_arms, order_arms};
pub use paper::{PAPER, paper_arm};

use crate::spec::{Answers, Context, Distractors, RewardTargets, RewardVariant, RunConfig, StageKind, StageSpec};

/// One arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// For tables and folders.
    pub name: String,
    /// What is different, for people.
    pub says: String,
    /// The whole config.
    pub config: RunConfig,
}

impl Arm {
    fn new(name: impl Into<String>, says: impl Into<String>, config: RunConfig) -> Self {
        Self { name: name.into(), says: says.into(), config }
    }
}

/// Arms with different configs: of equal ones the first.
pub fn distinct(arms: impl IntoIterator<Item = Arm>) -> Vec<Arm> {
    let mut found: Vec<Arm> = Vec::new();
    for arm in arms {
        if found.iter().all(|known| known.config != arm.config) {
            found.push(arm);
        }
    }
    found
}

/// The config as it is given.
pub const GIVEN: &str = "conrec";

/// Arms of the paper's ablation (its table 2): what each part of the method adds.
pub fn ablation_arms(given: &RunConfig) -> Vec<Arm> {
    let mut arms = vec![
        Arm::new(GIVEN, "the config as it is", given.clone()),
        Arm::new(
            "no_positive_penalty",
            "reward a: future negatives only (gamma = 0)",
            rewarded(given, RewardVariant::A),
        ),
        Arm::new("no_swing", "targets without Swing neighbours", targets(given, given.reward.targets)),
        Arm::new(
            "next_only",
            "targets are the next negative alone: no future negatives, no Swing neighbours",
            targets(given, RewardTargets::Next),
        ),
        Arm::new("hit_reward", "reward e: leading codes in common with a target", rewarded(given, RewardVariant::E)),
        Arm::new(
            "not_progressive",
            "every GRPO stage sees all events; the same iterations and prompts",
            contexts(given, |_, _| Context::All),
        ),
        Arm::new(
            "negatives_only",
            "no stage sees a positive",
            supervised_too(contexts(given, |_, _| Context::Negatives), Context::Negatives),
        ),
    ];
    arms.extend(alignment_arms(given));
    arms.splice(1..1, paper_arm(given));
    lean(given, arms)
}

/// What does not change a policy is computed once: arms other than the config itself leave out the baselines that have to be
/// trained or tuned.
fn lean(given: &RunConfig, arms: Vec<Arm>) -> Vec<Arm> {
    let lean = |mut arm: Arm| {
        if arm.config != *given {
            (arm.config.baseline.tune, arm.config.baseline.sasrec.enabled) = (false, false);
        }
        arm
    };
    arms.into_iter().map(lean).collect()
}

/// The config without its alignment stages, or with one where it has none; and with one whose answers are drawn, which tells
/// what alignment teaches from what its prompts and iterations do. All of as many samples. None where no stage learns the
/// next negative, in whose place alignment could stand.
fn alignment_arms(given: &RunConfig) -> Vec<Arm> {
    if given.stage.iter().any(is_alignment) {
        let mut config = given.clone();
        for stage in config.stage.iter_mut().filter(|stage| is_alignment(stage)) {
            stage.kind = StageKind::NextNegative;
            (stage.distractors, stage.answers) = (Distractors::default(), Answers::default());
        }
        let without = Arm::new("no_alignment", "the next negative in place of alignment; as many samples", config);
        return vec![without, by_lot(given)];
    }
    let mut config = given.clone();
    let Some(at) = config.stage.iter().position(|s| s.kind == StageKind::NextNegative && s.iterations > 1) else {
        return Vec::new();
    };
    let mut alignment = config.stage[at].clone();
    alignment.kind = StageKind::Alignment;
    alignment.name = format!("alignment_before_{}", alignment.name);
    (alignment.iterations, alignment.validate_every, alignment.patience) = (alignment.iterations / 2, 0, 0);
    config.stage[at].iterations -= alignment.iterations;
    for stage in [&mut alignment, &mut config.stage[at]] {
        stage.warmup = stage.warmup.min(stage.iterations);
    }
    config.stage.insert(at, alignment);
    let says = "alignment in half of the iterations of the first stage of next negatives; as many samples";
    let by_lot = by_lot(&config);
    vec![Arm::new("alignment", says, config), by_lot]
}

/// Alignment questions with answers that are drawn.
fn by_lot(aligned: &RunConfig) -> Arm {
    let mut config = aligned.clone();
    config.stage.iter_mut().filter(|stage| is_alignment(stage)).for_each(|stage| stage.answers = Answers::Drawn);
    Arm::new("alignment_by_lot", "alignment questions with drawn answers: a control", config)
}

fn is_alignment(stage: &StageSpec) -> bool {
    stage.kind == StageKind::Alignment
}

/// Without Swing neighbours.
fn targets(given: &RunConfig, targets: RewardTargets) -> RunConfig {
    let mut config = given.clone();
    (config.reward.targets, config.reward.swing.neighbours) = (targets, 0);
    config
}

/// Arms of the paper's comparison of rewards (its table 3): a to e.
pub fn reward_arms(given: &RunConfig) -> Vec<Arm> {
    let arm =
        |(name, says, variant): (&'static str, &str, RewardVariant)| Arm::new(name, says, rewarded(given, variant));
    let arms = [
        ("reward_a", "largest similarity to a future negative", RewardVariant::A),
        ("reward_b", "a, where it is above the truncation", RewardVariant::B),
        ("reward_c", "a minus gamma x the largest similarity to a future positive", RewardVariant::C),
        ("reward_d", "c, each term truncated", RewardVariant::D),
        ("reward_e", "leading codes in common with a future negative", RewardVariant::E),
    ];
    lean(given, arms.into_iter().map(arm).chain(paper_arm(given)).collect())
}

fn is_grpo(stage: &StageSpec) -> bool {
    stage.kind == StageKind::Grpo
}

fn rewarded(given: &RunConfig, variant: RewardVariant) -> RunConfig {
    let mut config = given.clone();
    config.reward.variant = variant;
    config
}

/// With other contexts of the GRPO stages, by their number among these.
fn contexts(given: &RunConfig, context: impl Fn(usize, Context) -> Context) -> RunConfig {
    let mut config = given.clone();
    for (at, stage) in config.stage.iter_mut().filter(|stage| is_grpo(stage)).enumerate() {
        stage.context = context(at, stage.context);
    }
    config
}

fn supervised_too(mut config: RunConfig, context: Context) -> RunConfig {
    config.stage.iter_mut().for_each(|stage| stage.context = context);
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RunSpec;

    pub(super) fn demo() -> RunConfig {
        RunConfig::parse(include_str!("../../configs/demo.toml"), "demo.toml").unwrap()
    }

    pub(super) fn grpo_contexts(config: &RunConfig) -> Vec<Context> {
        config.stage.iter().filter(|stage| is_grpo(stage)).map(|stage| stage.context).collect()
    }

    #[test]
    fn every_arm_of_every_config_is_a_valid_config_of_the_same_size() {
        let size = |config: &RunConfig| {
            config.stage.iter().map(|s| u64::from(s.iterations) * u64::from(s.prompts)).sum::<u64>()
        };
        for text in [
            include_str!("../../configs/demo.toml"),
            include_str!("../../configs/smoke.toml"),
            include_str!("../../configs/synthetic.toml"),
            include_str!("../../configs/amazon-beauty.toml"),
            include_str!("../../configs/amazon-beauty-smollm2.toml"),
            include_str!("../../configs/experiments/beauty.toml"),
            include_str!("../../configs/experiments/popular.toml"),
        ] {
            let given = RunConfig::parse(text, "config.toml").unwrap();
            for arm in [ablation_arms(&given), reward_arms(&given)].concat() {
                assert_eq!(size(&arm.config), size(&given), "{}", arm.name);
                RunSpec::check(arm.config).unwrap();
            }
        }
    }

    #[test]
    fn arms_differ_in_what_they_say_and_in_nothing_else() {
        let given = demo();
        let arms = ablation_arms(&given);
        assert_eq!(arms[0].config, given);
        let arm = |name: &str| &arms.iter().find(|arm| arm.name == name).unwrap().config;
        let penalty = arm("no_positive_penalty");
        assert_eq!(penalty.reward.variant, RewardVariant::A);
        let as_given = RunConfig { reward: given.reward.clone(), baseline: given.baseline.clone(), ..penalty.clone() };
        assert_eq!(as_given, given);
        assert_eq!(arms[1].name, PAPER);
        assert_eq!(grpo_contexts(arm("not_progressive")), [Context::All; 3]);
        assert!(arm("negatives_only").stage.iter().all(|stage| stage.context == Context::Negatives));
        assert_eq!(
            (arm("no_swing").reward.targets, arm("no_swing").reward.swing.neighbours),
            (RewardTargets::Horizon, 0)
        );
        assert_eq!(
            (arm("next_only").reward.targets, arm("next_only").reward.swing.neighbours),
            (RewardTargets::Next, 0)
        );
        let kinds = |config: &RunConfig| config.stage.iter().map(|s| (s.kind, s.iterations)).collect::<Vec<_>>();
        let with = kinds(arm("alignment"));
        assert_eq!(with[1..3], [(StageKind::Alignment, 75), (StageKind::NextNegative, 75)]);
        let without = ablation_arms(arm("alignment"));
        let without = &without.iter().find(|arm| arm.name == "no_alignment").unwrap().config;
        assert_eq!(kinds(without)[1..3], [(StageKind::NextNegative, 75); 2]);
        // The same questions, but for their answers.
        let mut by_lot = arm("alignment_by_lot").clone();
        assert_eq!(by_lot.stage[1].answers, Answers::Drawn);
        by_lot.stage[1].answers = Answers::Disliked;
        assert_eq!(by_lot, *arm("alignment"));
        assert!(ablation_arms(arm("alignment")).iter().any(|other| other.config == *arm("alignment_by_lot")));
        // Baselines do not depend on the policy: the config itself has them, no other arm.
        assert!(given.baseline.tune && given.baseline.sasrec.enabled);
        for arm in arms.iter().skip(1).chain(reward_arms(&given).iter().filter(|arm| arm.config != given)) {
            assert!(!arm.config.baseline.tune && !arm.config.baseline.sasrec.enabled, "{}", arm.name);
        }
        // What is trained twice under two names has the same config, and so the same run.
        assert!(reward_arms(&given).iter().any(|arm| arm.config == given));
    }
}
