//! What is chosen on the validation window, and what is trained for it, is blind to the window that judges it: two datasets
//! that differ only from the first second of the test window on choose the same settings, mixes, epochs, prompts and
//! questions, with the same scores, bit for bit. Where a leak is put in on purpose, the same comparison finds it.

use super::{Content, changed, sample, spec, with_future};
use conrec_domain::spec::{Clean, Context, DataSpec, RunConfig, RunSpec, StageKind, Statistics};
use conrec_domain::work::{Pass, StateChange};
use conrec_feedback::baseline_tuning::Fitting;
use conrec_feedback::baselines::fit_baselines;
use conrec_feedback::dataset::Dataset;
use conrec_feedback::evaluation::Evaluation;
use conrec_feedback::event::{Event, Sign};
use conrec_feedback::history::History;
use conrec_feedback::prepared::Role;
use conrec_feedback::split::{DAY, PassWindows, Window, days, test_window};
use conrec_policy::base_model::{BaseModel, vocabulary_size};
use conrec_policy::training_state::TrainingState;
use conrec_worker::clean::clean;
use conrec_worker::held_out_questions::{ask, held_out_questions};
use conrec_worker::held_out_reward::held_out_rewards;
use conrec_worker::mixes::{Mixes, Said};
use conrec_worker::pass_data::PassData;
use conrec_worker::prepare::prepare_pass;
use conrec_worker::rank::rank;
use conrec_worker::run_folder::{Place, RunFolder};
use conrec_worker::tuned_baselines::{TunedBaselines, content};
use conrec_worker::validate::validate;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The same with everything that validation chooses.
fn choosing(statistics: Statistics, later_day_only: bool) -> RunSpec {
    let mut config: RunConfig = RunConfig::clone(&spec());
    config.evaluation.statistics = statistics;
    config.data.later_day_only = later_day_only;
    config.baseline.tune = true;
    config.baseline.sasrec.enabled = true;
    (config.baseline.sasrec.hidden, config.baseline.sasrec.epochs) = (8, 3);
    let grpo = config.stage.iter_mut().filter(|stage| stage.kind == StageKind::Grpo);
    grpo.for_each(|stage| (stage.clean, stage.clean_above) = (Clean::Drop, 0.1));
    config.stage.retain(|stage| stage.kind != StageKind::Grpo || stage.context == Context::All);
    RunSpec::check(config).unwrap()
}

/// Every choice of a select pass, by name, as text that holds every bit.
fn choices(spec: &RunSpec, dataset: &Dataset, windows: PassWindows) -> BTreeMap<&'static str, String> {
    tch::set_num_threads(1);
    let store = tempfile::tempdir().unwrap();
    let (run, url) = ("choices".parse().unwrap(), store.path().to_str().unwrap().to_owned());
    let folder = RunFolder::open(&Place { store: url, scratch: None, run }).unwrap();
    let history = History::new(&dataset.events, dataset.users.len());
    let pass = prepare_pass(spec, &Arc::new(dataset.clone()), &history, windows).unwrap();
    pass.save(&folder.path(windows.pass.folder())).unwrap();
    let data = PassData::load(spec, &folder, windows.pass).unwrap();
    let window = data.evaluation(spec, Role::Validation).unwrap().unwrap();
    let mut found = of_baselines(spec, &data, &window);
    found.extend(of_policy(spec, &data, &window));
    let of = |each: &dyn Fn(usize) -> String| (0..window.instances().len()).map(each).collect::<Vec<_>>().join(" ");
    found.insert("instances", format!("{:?}", window.instances()));
    found.insert("candidates", of(&|i| format!("{:?}", window.candidates(i))));
    found.insert("what may not be listed", of(&|i| format!("{:?}", window.excluded(i))));
    found
}

fn of_baselines(spec: &RunSpec, data: &PassData, window: &Evaluation) -> BTreeMap<&'static str, String> {
    let tuned = TunedBaselines::choose(spec, data, window).unwrap();
    let (training, content) = (data.training_time(), content(spec, data));
    let fitting = Fitting { training: &training, content: &content, reward: &spec.reward };
    let choices = tuned.choices();
    let (sasrec, simple): (Vec<_>, Vec<_>) = choices.iter().partition(|choice| choice.model.starts_with("sasrec"));
    assert_eq!((simple.len(), sasrec.len()), (5, 3));
    let untuned: Vec<_> = fit_baselines(&training, &content, &spec.reward)
        .iter()
        .map(|(name, model)| (*name, window.predict(model.as_ref(), &data.history)))
        .collect();
    BTreeMap::from([
        ("settings of baselines", format!("{simple:?}")),
        ("epochs of SASRec", format!("{sasrec:?}")),
        ("lists of tuned baselines", format!("{:?}", tuned.predict(spec, data, window, &fitting).unwrap())),
        ("lists of baselines", format!("{untuned:?}")),
    ])
}

/// A policy that has learned nothing decides as well as any other: its numbers depend on all that it is asked.
fn of_policy(spec: &RunSpec, data: &PassData, window: &Evaluation) -> BTreeMap<&'static str, String> {
    let base = BaseModel::from_scratch(spec, vocabulary_size(spec)).unwrap();
    let mut state = TrainingState::new(spec, &base).unwrap();
    state.apply(StateChange::BeginPass { pass: Pass::Select }, spec).unwrap();
    let policy = state.frozen().unwrap();
    let all = 0..window.instances().len();
    let ranked = rank(spec, data, window, &policy, all.clone()).unwrap();
    let said = Said::from([("grpo".to_owned(), ranked.probabilities)]);
    let mixes: Vec<_> = Mixes::choose(spec, data, window, &said).choices().collect();
    assert_eq!(mixes.len(), 1);
    let questions = held_out_questions(spec, data, window);
    let rewards = held_out_rewards(spec, data, window, &policy).unwrap();
    let grpo = spec.stage.iter().position(|stage| stage.kind == StageKind::Grpo).unwrap();
    let flagged = clean(spec, data, &policy, (grpo as u32, 0..data.stages[grpo].len() as u32)).unwrap();
    assert!(!flagged.is_empty() && flagged.len() < data.stages[grpo].len(), "{}", flagged.len());
    BTreeMap::from([
        ("what the gate reads", format!("{:?}", validate(spec, (data, window), &policy, all.clone()).unwrap())),
        ("mix with popularity", format!("{mixes:?}")),
        ("questions", format!("{questions:?}")),
        ("answers", format!("{:?}", ask(data, &questions, &policy, all).unwrap())),
        ("rewards of held-out prompts", format!("{:?} {:?}", rewards.shaped, rewards.paper)),
        ("cleaned prompts", format!("{flagged:?}")),
    ])
}

/// Names of the choices that differ.
fn differences(a: &BTreeMap<&'static str, String>, b: &BTreeMap<&'static str, String>) -> Vec<&'static str> {
    assert!(a.keys().eq(b.keys()));
    a.keys().copied().filter(|name| a[name] != b[name]).collect()
}

/// The end of validation's horizons, which is at the latest where the test window begins.
fn test_begins(data: &DataSpec, dataset: &Dataset) -> i64 {
    test_window(data, dataset.last_time().unwrap()).from
}

/// Each user's events keep their times; what was met and how it was liked goes to the next event of the list.
fn rotated(events: Vec<Event>) -> Vec<Event> {
    let next = events.iter().cycle().skip(1);
    events.iter().zip(next).map(|(e, next)| Event { item: next.item, sign: next.sign, ..*e }).collect()
}

/// Everybody dislikes every item in the first minutes of the test window.
fn flooded(dataset: &Dataset, from: i64) -> Vec<Event> {
    let (users, items) = (dataset.users.len() as u32, dataset.items.len() as u32);
    let one = |n: u32| Event { user: n % users, item: n / users % items, time: from, sign: Sign::Negative };
    (0..users * items).map(one).collect()
}

/// The variants differ from the first second of the test window on.
fn no_choice_sees_the_test_window(statistics: Statistics, later_day_only: bool) {
    let spec = choosing(statistics, later_day_only);
    let (dataset, windows) = sample(&spec, Pass::Select, Content::Given);
    let (from, items) = (test_begins(&spec.data, &dataset), dataset.items.len() as u32);
    assert_eq!(from, windows.evaluate.to + days(spec.data.gap_days));
    let future = |edit: &dyn Fn(Vec<Event>) -> Vec<Event>| with_future(&dataset, from, edit);
    let variants = [
        ("changed", future(&|events| changed(events, items))),
        ("permuted", future(&rotated)),
        ("removed", future(&|events| events.into_iter().step_by(2).collect())),
        ("flooded", future(&|events| [events, flooded(&dataset, from)].concat())),
    ];
    let expected = choices(&spec, &dataset, windows);
    for (name, variant) in variants {
        assert_ne!(variant.events, dataset.events);
        let differ = differences(&expected, &choices(&spec, &variant, windows));
        assert!(differ.is_empty(), "{statistics:?}, later days only {later_day_only}, {name}: {differ:#?}");
    }
}

#[test]
fn with_statistics_that_are_made_anew_no_choice_sees_the_test_window() {
    no_choice_sees_the_test_window(Statistics::Refit, false);
}

#[test]
fn with_frozen_statistics_no_choice_sees_the_test_window() {
    no_choice_sees_the_test_window(Statistics::Frozen, false);
}

/// The next negative of such an instance may come at the very end of the last horizon, on a day that goes on in the test
/// window: its candidates may not.
#[test]
fn with_moments_at_midnight_no_choice_sees_the_test_window() {
    no_choice_sees_the_test_window(Statistics::Refit, true);
}

/// All that looks at the window's targets, with what each of them looks at beside.
const BY_TARGETS: [&str; 8] = [
    "answers",
    "candidates",
    "epochs of SASRec",
    "instances",
    "mix with popularity",
    "questions",
    "rewards of held-out prompts",
    "settings of baselines",
];

/// The leak of a gap that is shorter than the horizon: the window ends where the test window begins.
#[test]
fn a_validation_window_whose_horizons_reach_into_the_test_window_is_found() {
    let spec = choosing(Statistics::Refit, false);
    let (dataset, windows) = sample(&spec, Pass::Select, Content::Given);
    let from = test_begins(&spec.data, &dataset);
    let leaking = PassWindows { evaluate: Window { to: from, ..windows.evaluate }, ..windows };
    let variant = with_future(&dataset, from, rotated);
    let differ = differences(&choices(&spec, &dataset, leaking), &choices(&spec, &variant, leaking));
    for name in ["instances", "rewards of held-out prompts", "settings of baselines"] {
        assert!(differ.contains(&name), "{name} is not among {differ:#?}");
    }
    assert!(!differ.contains(&"cleaned prompts"), "training time ends where it did");
}

/// The worst: everything is chosen on the test window.
#[test]
fn choices_that_are_made_on_the_test_window_are_found() {
    let spec = choosing(Statistics::Refit, false);
    let (dataset, windows) = sample(&spec, Pass::Select, Content::Given);
    let test = test_window(&spec.data, dataset.last_time().unwrap());
    let leaking = PassWindows { evaluate: test, ..windows };
    let variant = with_future(&dataset, test.from, |events| changed(events, dataset.items.len() as u32));
    let differ = differences(&choices(&spec, &dataset, leaking), &choices(&spec, &variant, leaking));
    for name in BY_TARGETS.into_iter().chain(["what the gate reads"]) {
        assert!(differ.contains(&name), "{name} is not among {differ:#?}");
    }
}

/// Baselines, SASRec and cleaning that were fitted on a day of the test window.
#[test]
fn training_time_that_ends_in_the_test_window_is_found() {
    let spec = choosing(Statistics::Refit, false);
    let (dataset, windows) = sample(&spec, Pass::Select, Content::Given);
    let from = test_begins(&spec.data, &dataset);
    let leaking = PassWindows { train_end: from + DAY, ..windows };
    let variant = with_future(&dataset, from, |events| changed(events, dataset.items.len() as u32));
    let differ = differences(&choices(&spec, &dataset, leaking), &choices(&spec, &variant, leaking));
    let fitted = ["cleaned prompts", "epochs of SASRec", "lists of baselines", "lists of tuned baselines"];
    for name in fitted.into_iter().chain(["mix with popularity", "settings of baselines", "what the gate reads"]) {
        assert!(differ.contains(&name), "{name} is not among {differ:#?}");
    }
}

/// What happens in the validation window is what chooses: a comparison that saw no difference there would look at nothing.
#[test]
fn other_events_of_the_validation_window_choose_otherwise() {
    let spec = choosing(Statistics::Refit, false);
    let (dataset, windows) = sample(&spec, Pass::Select, Content::Given);
    let variant = with_future(&dataset, windows.evaluate.from, |events| changed(events, dataset.items.len() as u32));
    let differ = differences(&choices(&spec, &dataset, windows), &choices(&spec, &variant, windows));
    for name in BY_TARGETS.into_iter().chain(["what the gate reads", "what may not be listed"]) {
        assert!(differ.contains(&name), "{name} is not among {differ:#?}");
    }
    assert!(!differ.contains(&"cleaned prompts"), "the prompts that are trained on are of training time");
}
