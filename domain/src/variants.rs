//! Does the curriculum matter? The configs that `conrec curriculum-report` trains beside a given one: other orders of its
//! GRPO stages with the same number of samples, and sweeps of gamma, beta and the horizon. Each differs from the given
//! config in one thing only.

use crate::spec::{Context, RunConfig, ServedContext, StageKind, StageSpec};

/// What a variant is compared in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// The order of contexts, at equal samples.
    Order,
    /// `reward.gamma`.
    Gamma,
    /// `stage.beta`.
    Beta,
    /// `data.horizon_days`.
    Horizon,
}

impl Family {
    /// All, in the order of a report.
    pub const ALL: [Self; 4] = [Self::Order, Self::Gamma, Self::Beta, Self::Horizon];

    /// Its name: on the command line and in names of runs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Gamma => "gamma",
            Self::Beta => "beta",
            Self::Horizon => "horizon",
        }
    }
}

/// A config to be trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// What it is compared in.
    pub family: Family,
    /// Short and unique within the family: letters, digits, dots and dashes.
    pub name: String,
    /// What it is, for people.
    pub says: String,
    /// The config.
    pub config: RunConfig,
}

/// The config itself comes first in each family; the others are compared with it.
pub fn variants(config: &RunConfig, families: &[Family]) -> Vec<Variant> {
    let given = served_alike(config);
    families.iter().flat_map(|family| of_family(&given, *family)).collect()
}

/// A smaller config of the same shape, for a look: a tenth of each stage's iterations.
pub fn quick(config: &RunConfig) -> RunConfig {
    let mut small = config.clone();
    for stage in &mut small.stage {
        stage.iterations = stage.iterations.div_ceil(10);
        stage.warmup = stage.warmup.min(stage.iterations);
        stage.validate_every = stage.validate_every.min(stage.iterations);
    }
    small
}

/// All variants are measured with the same prompt, whatever their last stage is.
fn served_alike(config: &RunConfig) -> RunConfig {
    let mut alike = config.clone();
    if alike.evaluation.context == ServedContext::LastStage {
        let last = alike.stage.iter().rfind(|stage| stage.kind != StageKind::Alignment);
        alike.evaluation.context = match last.map_or(Context::All, |stage| stage.context) {
            Context::Negatives3d => ServedContext::Negatives3d,
            Context::Negatives => ServedContext::Negatives,
            Context::All | Context::Mixed | Context::Positives | Context::None => ServedContext::All,
        };
    }
    alike
}

fn of_family(given: &RunConfig, family: Family) -> Vec<Variant> {
    let own = |name: &str, says: String| Variant { family, name: name.to_owned(), says, config: given.clone() };
    match family {
        Family::Order => {
            let mut all = vec![own("as-given", "the stages in the order of the config".to_owned())];
            all.extend(orders(given));
            all
        }
        Family::Gamma => {
            let value = given.reward.gamma;
            let mut all = vec![own(&format!("{value}"), "reward.gamma of the config".to_owned())];
            for gamma in [0.0, 0.25, 0.5, 1.0].into_iter().filter(|gamma| *gamma != value) {
                let mut config = given.clone();
                config.reward.gamma = gamma;
                let says = format!("reward.gamma = {gamma}");
                all.push(Variant { family, name: gamma.to_string(), says, config });
            }
            all
        }
        Family::Beta => {
            let mut all = vec![own("x1", "beta of each stage as in the config".to_owned())];
            for factor in [0.1, 0.3, 3.0] {
                let mut config = given.clone();
                grpo_stages(&mut config).for_each(|stage| stage.beta *= factor);
                let says = format!("beta of each stage times {factor}");
                all.push(Variant { family, name: format!("x{factor}"), says, config });
            }
            all
        }
        Family::Horizon => {
            let value = given.data.horizon_days;
            let mut all = vec![own(&format!("{value}d"), "data.horizon_days of the config".to_owned())];
            for days in [1, 3, 7, 14].into_iter().filter(|days| *days != value) {
                let mut config = given.clone();
                config.data.horizon_days = days;
                let says = format!("data.horizon_days = {days}");
                all.push(Variant { family, name: format!("{days}d"), says, config });
            }
            all
        }
    }
}

fn grpo_stages(config: &mut RunConfig) -> impl Iterator<Item = &mut StageSpec> {
    config.stage.iter_mut().filter(|stage| stage.kind == StageKind::Grpo)
}

/// The GRPO stages backwards, the last alone, and one that mixes contexts; each samples as many prompts as all together.
/// With fewer than two GRPO stages there is no order.
fn orders(given: &RunConfig) -> Vec<Variant> {
    let (grpo, others): (Vec<StageSpec>, Vec<StageSpec>) =
        given.stage.iter().cloned().partition(|stage| stage.kind == StageKind::Grpo);
    let Some(last) = grpo.last().filter(|_| grpo.len() > 1) else {
        return Vec::new();
    };
    let samples: u64 = grpo.iter().map(|stage| u64::from(stage.iterations) * u64::from(stage.prompts)).sum();
    let iterations = samples.div_ceil(u64::from(last.prompts.max(1)));
    let alone = StageSpec { iterations: u32::try_from(iterations).unwrap_or(u32::MAX), ..last.clone() };
    let mixed = StageSpec { name: "grpo_mixed".into(), context: Context::Mixed, ..alone.clone() };
    let with = |name: &str, says: &str, stages: Vec<StageSpec>| {
        let stage = others.iter().cloned().chain(stages).collect();
        let config = RunConfig { stage, ..given.clone() };
        Variant { family: Family::Order, name: name.to_owned(), says: says.to_owned(), config }
    };
    vec![
        with("reversed", "the same stages backwards", grpo.iter().rev().cloned().collect()),
        with("only-last", "the last stage alone, as many samples", vec![alone]),
        with("mixed", "one stage that mixes the contexts, as many samples", vec![mixed]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RunSpec;

    fn config() -> RunConfig {
        let stage = |name: &str, kind: &str, context: &str, iterations: u32| {
            format!(
                "[[stage]]\nname = \"{name}\"\nkind = \"{kind}\"\ncontext = \"{context}\"\niterations = {iterations}\n\
                 prompts = 4\nprompts_per_lease = 2\nlearning_rate = 1e-3\n"
            )
        };
        let text = [
            "[data]\nsource = \"synthetic\"\n".to_owned(),
            stage("sft", "next_negative", "all", 25),
            stage("a", "grpo", "negatives_3d", 10),
            stage("b", "grpo", "negatives", 20),
            stage("c", "grpo", "all", 30),
        ];
        RunConfig::parse(&text.concat(), "x").unwrap()
    }

    fn names(variants: &[Variant]) -> Vec<String> {
        variants.iter().map(|v| format!("{}-{}", v.family.name(), v.name)).collect()
    }

    #[test]
    fn orders_have_equal_samples_and_the_same_served_prompt() {
        let found = variants(&config(), &[Family::Order]);
        assert_eq!(names(&found), ["order-as-given", "order-reversed", "order-only-last", "order-mixed"]);
        for variant in &found {
            let grpo = variant.config.stage.iter().filter(|stage| stage.kind == StageKind::Grpo);
            assert_eq!(grpo.map(|stage| stage.iterations * stage.prompts).sum::<u32>(), 240, "{}", variant.name);
            assert_eq!(RunSpec::check(variant.config.clone()).unwrap().serving_context(), Context::All);
        }
        let contexts: Vec<Context> = found[1].config.stage.iter().map(|stage| stage.context).collect();
        assert_eq!(contexts, [Context::All, Context::All, Context::Negatives, Context::Negatives3d]);
        assert_eq!(found[3].config.stage[1].context, Context::Mixed);
    }

    #[test]
    fn sweeps_begin_with_the_config_and_change_one_thing() {
        let given = config();
        let found = variants(&given, &Family::ALL);
        let sweeps = [
            "gamma-0.5", "gamma-0", "gamma-0.25", "gamma-1", "beta-x1", "beta-x0.1", "beta-x0.3", "beta-x3",
            "horizon-7d", "horizon-1d", "horizon-3d", "horizon-14d",
        ];
        assert_eq!(names(&found)[4..], sweeps);
        for family in Family::ALL {
            let first = found.iter().find(|variant| variant.family == family).unwrap();
            assert_eq!(first.config, served_alike(&given));
        }
        let betas: Vec<f64> = found.iter().map(|variant| variant.config.stage[1].beta).collect();
        assert_eq!((betas[8], betas[9]), (0.1, 0.1 * 0.1));
    }

    #[test]
    fn one_stage_has_no_order_and_a_quick_look_is_a_tenth() {
        let mut one = config();
        one.stage.truncate(2);
        assert_eq!(names(&variants(&one, &[Family::Order])), ["order-as-given"]);
        let iterations: Vec<u32> = quick(&config()).stage.iter().map(|stage| stage.iterations).collect();
        assert_eq!(iterations, [3, 1, 2, 3]);
    }
}
