//! What alignment questions are drawn from, and that neither place nor kind tells more than it should.

use super::*;
use crate::dataset::Item;
use proptest::prelude::*;

/// 24 items, each a cell of its own; item i has category `even` or `odd`, and the first six `few` too. Item i was met
/// i + 1 times by user 9 on day 0. User 0 likes 1 to 5 on day 1, dislikes 5 too, and then 8 and 10 on day 2.
fn dataset() -> (Dataset, History, SemanticIds) {
    let categories = |i: u32| {
        let parity = if i.is_multiple_of(2) { "even" } else { "odd" };
        if i < 6 { vec![parity.to_owned(), "few".to_owned()] } else { vec![parity.to_owned()] }
    };
    let items: Vec<Item> = (0..24).map(|i| Item { categories: categories(i), ..Item::default() }).collect();
    let mut events = Vec::new();
    let at = |user, item, time, sign| Event { user, item, time, sign };
    for item in 0..24 {
        events.extend((0..=i64::from(item)).map(|nth| at(9, item, nth, Sign::Neutral)));
    }
    events.extend((1..6).map(|item| at(0, item, DAY + i64::from(item), Sign::Positive)));
    events.push(at(0, 5, DAY + 50, Sign::Negative));
    events.extend([at(0, 8, 2 * DAY, Sign::Negative), at(0, 10, 2 * DAY + 9, Sign::Negative)]);
    events.extend((12..17).map(|item| at(3, item, 2 * DAY + 100 + i64::from(item), Sign::Positive)));
    events.push(at(4, 20, 2 * DAY + 500, Sign::Positive));
    events.sort_by_key(Event::order);
    let history = History::new(&events, 10);
    let of_item = (0..24).flat_map(|i| [i / 5, i % 5]).collect();
    let ids = SemanticIds::new(2, 5, of_item, &[true; 24]).unwrap();
    (Dataset { events, items, users: vec![String::new(); 10], ..Dataset::default() }, history, ids)
}

fn instance() -> Instance {
    Instance { user: 0, t0: 2 * DAY, next: 8, gts: vec![8, 10], fps: vec![] }
}

fn with<T>(seed: u64, until: i64, mut ask: impl FnMut(&Questions<'_>, &SemanticIds) -> T) -> T {
    let (dataset, history, ids) = dataset();
    let source = QuestionSource { dataset: &dataset, history: &history, ids: &ids, train_end: DAY, until, seed };
    ask(&Questions::new(source), &ids)
}

/// Items of the distractors, over many seeds.
fn others(kind: Distractor, until: i64) -> Vec<u32> {
    let mut found = Vec::new();
    for seed in 0..200 {
        with(seed, until, |questions, ids| {
            let question = questions.draw(&instance(), kind).unwrap();
            assert_eq!((question.kind, question.disliked), (kind, ids.cell_of(8).unwrap()));
            assert_eq!(question.shown.iter().filter(|cell| **cell == question.disliked).count(), 1);
            found.extend(question.shown.iter().map(|cell| ids.cell_items(*cell)[0]).filter(|item| *item != 8));
        });
    }
    assert_eq!(found.len(), 3 * 200);
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn each_kind_draws_from_its_pool_and_from_all_of_it() {
    // 5 was disliked since; 8 and 10 are what the user dislikes now.
    assert_eq!(others(Distractor::Positives, i64::MAX), [1, 2, 3, 4]);
    // The 12 of nearest popularity that the user has not met and does not dislike: 0, 6, 7, 9, 11 and upwards.
    assert_eq!(others(Distractor::Popularity, i64::MAX), [0, 6, 7, 9, 11, 12, 13, 14, 15, 16, 17, 18]);
    assert_eq!(others(Distractor::Category, i64::MAX), [0, 6, 12, 14, 16, 18, 20, 22]);
    assert_eq!(others(Distractor::Exposed, i64::MAX), [12, 13, 14, 15, 16, 20]);
}

#[test]
fn nothing_from_the_end_on_is_shown() {
    assert_eq!(others(Distractor::Exposed, 2 * DAY + 500), [12, 13, 14, 15, 16]);
    with(1, 2 * DAY + 100 + 14, |questions, _| {
        assert_eq!(questions.draw(&instance(), Distractor::Exposed), None, "two are no three");
    });
}

#[test]
fn what_cannot_be_asked_is_not() {
    with(1, i64::MAX, |questions, _| {
        let stranger = Instance { user: 7, t0: DAY, ..instance() };
        assert_eq!(questions.draw(&stranger, Distractor::Positives), None, "no likes");
        let mixed = Distractors { positives: 1000.0, popularity: 1.0, ..Distractors::default() };
        let kind = questions.draw_mixed(&stranger, &mixed).map(|question| question.kind);
        assert_eq!(kind, Some(Distractor::Popularity), "another kind stands in where one is not to be had");
        assert_eq!(questions.draw_mixed(&stranger, &Distractors::default()), None);
    });
}

#[test]
fn no_place_and_no_kind_tells_more_than_its_weight() {
    let mut places = [0u32; 4];
    let mut exposed = 0;
    let weights = Distractors { positives: 1.0, popularity: 0.0, category: 0.0, exposed: 3.0 };
    for seed in 0..4000 {
        let question = with(seed, i64::MAX, |questions, _| questions.draw_mixed(&instance(), &weights)).unwrap();
        places[question.shown.iter().position(|cell| *cell == question.disliked).unwrap()] += 1;
        exposed += u32::from(question.kind == Distractor::Exposed);
    }
    // Four standard deviations of a binomial of 4000: 110.
    assert!(places.iter().all(|n| n.abs_diff(1000) < 110), "{places:?}");
    assert!(u32::abs_diff(exposed, 3000) < 110, "{exposed}");
}

proptest! {
    /// The same question whatever other instances there are; another one for another seed now and then.
    #[test]
    fn a_question_depends_on_its_name_alone(seed in any::<u64>(), kind in 0usize..4) {
        let kind = Distractor::ALL[kind];
        let once = with(seed, i64::MAX, |questions, _| questions.draw(&instance(), kind));
        let other = Instance { next: 10, ..instance() };
        let twice = with(seed, i64::MAX, |questions, _| {
            questions.draw(&other, kind);
            questions.draw(&instance(), kind)
        });
        prop_assert_eq!(once, twice);
    }
}

/// The control's answers: any of the four alike, and always the same for the same question.
#[test]
fn drawn_answers_know_nothing_of_what_was_disliked() {
    let (mut right, mut places) = (0, [0; OTHERS + 1]);
    for seed in 0..2000 {
        with(seed, i64::MAX, |questions, _| {
            let question = questions.draw(&instance(), Distractor::Category).unwrap();
            let drawn = question.drawn(seed, &instance());
            assert_eq!(drawn, question.drawn(seed, &instance()));
            right += u32::from(drawn == question.disliked);
            places[question.shown.iter().position(|cell| *cell == drawn).unwrap()] += 1;
        });
    }
    assert!((420..580).contains(&right), "{right} of 2000 are the disliked one");
    assert!(places.iter().all(|n| (400..600).contains(n)), "{places:?}");
}
