//! Does the curriculum matter? Arms that differ from a given config in the order of its GRPO stages' contexts, and sweeps
//! of gamma, beta and the horizon. The given config stands first in each list; the others are compared with it.

use super::{Arm, GIVEN, contexts, distinct, is_grpo, lean};
use crate::spec::{Context, RewardVariant, RunConfig, ServedContext};

/// Values of the sweeps; the given config's own value is left out, as its arm is there already.
const GAMMAS: [f64; 4] = [0.0, 0.25, 0.5, 1.0];
const BETA_FACTORS: [f64; 3] = [0.1, 0.3, 3.0];
const HORIZONS: [u32; 4] = [1, 3, 7, 14];

/// Contexts grow, shrink, are the last one's only, or are drawn. All train as many iterations on as many prompts, and are
/// measured with the prompt that the given config serves. Without two GRPO stages there is no order: the given one alone.
pub fn order_arms(given: &RunConfig) -> Vec<Arm> {
    let grpo: Vec<Context> = given.stage.iter().filter(|stage| is_grpo(stage)).map(|stage| stage.context).collect();
    let given_arm = as_given(given);
    let Some(last) = grpo.last().copied().filter(|_| grpo.len() > 1) else {
        return vec![given_arm];
    };
    let order = |name: &str, says: &str, context: &dyn Fn(usize, Context) -> Context| {
        Arm::new(name, says, served_as(given, contexts(given, context)))
    };
    let backwards = |at: usize, own| grpo.iter().rev().nth(at).copied().unwrap_or(own);
    let arms = [
        order("backwards", "the contexts in the opposite order", &backwards),
        order("only_last", "every GRPO stage has the last one's context", &|_, _| last),
        order("mixed", "every GRPO stage draws a context for each instance", &|_, _| Context::Mixed),
    ];
    distinct(lean(given, std::iter::once(given_arm).chain(arms).collect()))
}

/// `reward.gamma`, where the reward has that term.
pub fn gamma_arms(given: &RunConfig) -> Vec<Arm> {
    let has_term = match given.reward.variant {
        RewardVariant::C | RewardVariant::D => true,
        RewardVariant::A | RewardVariant::B | RewardVariant::E => false,
    };
    let arms = GAMMAS.into_iter().filter(|_| has_term).map(|gamma| {
        let mut config = given.clone();
        config.reward.gamma = gamma;
        Arm::new(format!("gamma_{gamma}"), format!("reward.gamma = {gamma}"), config)
    });
    distinct(lean(given, std::iter::once(as_given(given)).chain(arms).collect()))
}

/// beta of every GRPO stage, times a factor.
pub fn beta_arms(given: &RunConfig) -> Vec<Arm> {
    let arms = BETA_FACTORS.into_iter().map(|factor| {
        let mut config = given.clone();
        config.stage.iter_mut().filter(|stage| is_grpo(stage)).for_each(|stage| stage.beta *= factor);
        Arm::new(format!("beta_x{factor}"), format!("beta of each GRPO stage times {factor}"), config)
    });
    distinct(lean(given, std::iter::once(as_given(given)).chain(arms).collect()))
}

/// `data.horizon_days`. Training ends and windows begin when they do in the given config: what the horizon takes at the
/// end of the data, the test window gives. So a horizon that would leave no test window has no arm, and neither has one
/// that is longer than the gap between the windows.
pub fn horizon_arms(given: &RunConfig) -> Vec<Arm> {
    let tail = given.data.horizon_days.saturating_add(given.data.test_days);
    let fits = |days: &u32| *days < tail && *days <= given.data.gap_days;
    let arms = HORIZONS.into_iter().filter(fits).map(|days| {
        let mut config = given.clone();
        config.data.horizon_days = days;
        config.data.test_days = tail - days;
        let says = format!("data.horizon_days = {days}; the test window is {} days long", config.data.test_days);
        Arm::new(format!("horizon_{days}d"), says, config)
    });
    distinct(lean(given, std::iter::once(as_given(given)).chain(arms).collect()))
}

fn as_given(given: &RunConfig) -> Arm {
    Arm::new(GIVEN, "the config as it is", given.clone())
}

/// Another last stage does not make another prompt at the end: what the given config serves is what counts.
fn served_as(given: &RunConfig, mut arm: RunConfig) -> RunConfig {
    let last = |config: &RunConfig| config.stage.iter().rfind(|stage| is_grpo(stage)).map(|stage| stage.context);
    if given.evaluation.context == ServedContext::LastStage && last(given) != last(&arm) {
        arm.evaluation.context = match last(given) {
            Some(Context::Negatives3d) => ServedContext::Negatives3d,
            Some(Context::Negatives) => ServedContext::Negatives,
            Some(Context::All | Context::Mixed | Context::Positives | Context::None) | None => ServedContext::All,
        };
    }
    arm
}

#[cfg(test)]
mod tests {
    use super::super::tests::{demo, grpo_contexts};
    use super::*;
    use crate::spec::{RunSpec, StageSpec};

    fn names(arms: &[Arm]) -> Vec<&str> {
        arms.iter().map(|arm| arm.name.as_str()).collect()
    }

    fn samples(config: &RunConfig) -> u64 {
        let of = |stage: &StageSpec| u64::from(stage.iterations) * u64::from(stage.prompts);
        config.stage.iter().map(of).sum()
    }

    #[test]
    fn every_arm_is_a_valid_config_with_as_many_samples() {
        let given = demo();
        for arm in [order_arms(&given), gamma_arms(&given), beta_arms(&given), horizon_arms(&given)].concat() {
            assert_eq!(samples(&arm.config), samples(&given), "{}", arm.name);
            RunSpec::check(arm.config).unwrap();
        }
    }

    #[test]
    fn orders_differ_in_contexts_and_serve_the_same_prompt() {
        let given = demo();
        let arms = order_arms(&given);
        assert_eq!(names(&arms), [GIVEN, "backwards", "only_last", "mixed"]);
        assert_eq!(arms[0].config, given);
        assert_eq!(grpo_contexts(&arms[1].config), [Context::All, Context::Negatives, Context::Negatives3d]);
        assert_eq!(grpo_contexts(&arms[2].config), [Context::All; 3]);
        assert_eq!(grpo_contexts(&arms[3].config), [Context::Mixed; 3]);
        for arm in &arms {
            assert_eq!(RunSpec::check(arm.config.clone()).unwrap().serving_context(), Context::All, "{}", arm.name);
        }
    }

    #[test]
    fn one_stage_has_no_order() {
        let mut given = demo();
        let mut left = 1;
        given.stage.retain(|stage| !is_grpo(stage) || std::mem::replace(&mut left, 0) == 1);
        assert_eq!(names(&order_arms(&given)), [GIVEN]);
    }

    #[test]
    fn a_value_that_the_config_has_is_no_arm_of_its_own() {
        let mut given = demo();
        given.reward.gamma = 0.5;
        assert_eq!(names(&gamma_arms(&given)), [GIVEN, "gamma_0", "gamma_0.25", "gamma_1"]);
        given.reward.variant = RewardVariant::A;
        assert_eq!(names(&gamma_arms(&given)), [GIVEN]);
        assert_eq!(names(&beta_arms(&given)), [GIVEN, "beta_x0.1", "beta_x0.3", "beta_x3"]);
        given.stage.iter_mut().for_each(|stage| stage.beta = 0.0);
        assert_eq!(names(&beta_arms(&given)), [GIVEN]);
    }

    #[test]
    fn a_horizon_moves_nothing_but_the_end_of_the_test_window() {
        let mut given = demo();
        (given.data.horizon_days, given.data.test_days) = (7, 7);
        let arms = horizon_arms(&given);
        assert_eq!(names(&arms), [GIVEN, "horizon_1d", "horizon_3d"]);
        assert_eq!((arms[1].config.data.horizon_days, arms[1].config.data.test_days), (1, 13));
        given.data.test_days = 8;
        assert_eq!(names(&horizon_arms(&given)), [GIVEN, "horizon_1d", "horizon_3d"], "14 days reach over the gap");
        given.data.gap_days = 14;
        assert_eq!(horizon_arms(&given).last().map(|arm| arm.config.data.test_days), Some(1));
    }
}
