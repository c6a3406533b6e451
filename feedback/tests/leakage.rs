//! Nothing after the end of training time may change what is learnt, and no target may stand in a context.

use conrec_domain::spec::{DataSpec, EvaluationSpec, RewardSpec, Statistics, SwingSpec};
use conrec_feedback::baselines::fit_baselines;
use conrec_feedback::content_vectors::content_vectors;
use conrec_feedback::dataset::{Dataset, Item};
use conrec_feedback::evaluation::Evaluation;
use conrec_feedback::event::{Event, Sign};
use conrec_feedback::history::History;
use conrec_feedback::instance::{Horizon, Instance, training_instances};
use conrec_feedback::interaction_features::interaction_features;
use conrec_feedback::split::{DAY, passes};
use conrec_feedback::swing::Swing;
use conrec_feedback::training_time::TrainingTime;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

const USERS: u32 = 30;
const ITEMS: u32 = 40;
const SIGNS: [Sign; 3] = [Sign::Negative, Sign::Neutral, Sign::Positive];

/// Random events over `days` days; the last days are drawn from `late_seed`.
fn dataset(days: u64, late_from: u64, late_seed: u64) -> Dataset {
    let mut early = ChaCha8Rng::seed_from_u64(1);
    let mut late = ChaCha8Rng::seed_from_u64(late_seed);
    let mut events = Vec::new();
    for day in 0..days {
        let random = if day < late_from { &mut early } else { &mut late };
        for _ in 0..20 {
            let mut below = |n: u64| random.next_u64() % n;
            let (user, item) = (below(u64::from(USERS)) as u32, below(u64::from(ITEMS)) as u32);
            let time = (day * DAY as u64 + below(DAY as u64)) as i64;
            events.push(Event { user, item, time, sign: SIGNS[below(3) as usize] });
        }
    }
    // A fixed last event, so that the windows do not move with the random ones.
    events.push(Event { user: 0, item: 0, time: days as i64 * DAY, sign: Sign::Neutral });
    events.sort_by_key(Event::order);
    let title = |i: u32| Item { key: i.to_string(), title: format!("Part {} of {}", i % 7, i % 5), ..Item::default() };
    let users = (0..USERS).map(|u| u.to_string()).collect();
    Dataset { events, users, items: (0..ITEMS).map(title).collect(), ..Dataset::default() }
}

#[test]
fn events_after_training_time_change_no_statistic() {
    let (days, end) = (60, 40 * DAY);
    let (a, b) = (dataset(days, 40, 2), dataset(days, 40, 3));
    assert_ne!(a.events, b.events);
    let (ta, tb) = (TrainingTime::new(&a, end), TrainingTime::new(&b, end));
    let swing = SwingSpec::default();
    let fitted = Swing::fit(&ta, &swing);
    assert!(fitted.sizes().1 > 0);
    assert_eq!(fitted, Swing::fit(&tb, &swing));
    assert_eq!(ta.catalogue(), tb.catalogue());
    assert_eq!(interaction_features(&ta, 8, 0), interaction_features(&tb, 8, 0));
    let (content, other) = (content_vectors(&a, &ta, 8, 0), content_vectors(&b, &tb, 8, 0));
    assert_eq!(content, other);

    let past = ta.events().iter().copied().filter(|e| e.user == 3).collect::<Vec<_>>();
    let asked = Instance { user: 3, t0: end, next: 0, gts: vec![0], fps: vec![] };
    let items: Vec<u32> = (0..ITEMS).collect();
    let reward = RewardSpec::default();
    let (left, right) =
        (fit_baselines(&ta, &Arc::new(content), &reward), fit_baselines(&tb, &Arc::new(other), &reward));
    for ((name, a), (_, b)) in left.iter().zip(&right) {
        assert_eq!(a.scores(&asked, &past, &items), b.scores(&asked, &past, &items), "{name}");
    }

    let histories = [&a, &b].map(|d| History::new(&d.events, d.users.len()));
    for later_day_only in [false, true] {
        let horizon = Horizon { days: 7, later_day_only };
        let found = training_instances(end, &a.events, &histories[0], horizon).unwrap();
        assert_eq!(found, training_instances(end, &b.events, &histories[1], horizon).unwrap());
    }
}

#[test]
fn no_target_stands_in_the_context_and_excluded_items_are_never_listed() {
    let data = dataset(90, 90, 0);
    let history = History::new(&data.events, data.users.len());
    let (spec, settings) = (DataSpec::default(), EvaluationSpec { bootstrap: 10, ..EvaluationSpec::default() });
    let windows = passes(&spec, Statistics::Refit, data.first_time().unwrap(), data.last_time().unwrap()).unwrap();
    let evaluation = Evaluation::new(&data, &history, &windows[1], &spec, &settings).unwrap();
    let training = TrainingTime::new(&data, windows[1].train_end);
    let content = Arc::new(content_vectors(&data, &training, 8, 0));
    for instance in evaluation.instances() {
        assert!(history.before(instance.user, instance.t0).iter().all(|e| e.time < instance.t0));
        assert!(instance.fps.iter().all(|i| instance.gts.binary_search(i).is_err()));
    }
    for (name, model) in fit_baselines(&training, &content, &RewardSpec::default()) {
        let predictions = evaluation.predict(model.as_ref(), &history);
        for (i, list) in predictions.ranked.iter().enumerate() {
            assert!(list.len() <= 20);
            assert!(list.iter().all(|item| evaluation.excluded(i).binary_search(item).is_err()), "{name}");
        }
    }
    let kept = evaluation.clone().thinned(5);
    assert_eq!((kept.instances().len(), kept.candidates(0)), (5, evaluation.candidates(0)));
}
