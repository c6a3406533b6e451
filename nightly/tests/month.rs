//! A simulated month of nights over a made-up stream: data that is late, missing or broken, a night that must not be
//! promoted, a rollback, processes that overlap, and a crash after every single write.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "month/world.rs"]
mod world;

use conrec_domain::day::Day;
use conrec_domain::ids::RunId;
use conrec_domain::nightly::{Answer, Promotion, Start, Why};
use conrec_nightly::{Nights, Stopped};
use conrec_store::Store;
use conrec_tests::faulty_store::{Fate, FaultyStore};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use world::{Data, World, day};

const HOUR: i64 = 3_600;

/// What the scheduler does about a night: the first time an hour after the day's end, then every hour while it is late.
/// Gives the exit codes.
async fn night_by_scheduler(world: &World, store: &Store, night: Day) -> Vec<u8> {
    let mut codes = Vec::new();
    for hour in 1..=12 {
        world.clock.set_at_least(night.end() + hour * HOUR);
        let answer = world.command(store, night).await.unwrap();
        codes.push(answer.exit_code());
        if answer.exit_code() != 13 {
            break;
        }
    }
    codes
}

async fn history(store: &Store) -> Vec<Promotion> {
    Nights::of(store.clone()).history().await.unwrap()
}

/// The run that serves, and that its copy for others says the same.
async fn serves(store: &Store) -> RunId {
    let newest = history(store).await.pop().unwrap();
    let copy = conrec_store::read(store.objects().as_ref(), "nightly/promoted.json").await.unwrap().unwrap();
    assert_eq!(serde_json::from_slice::<Promotion>(&copy).unwrap(), newest);
    newest.run
}

#[tokio::test]
async fn a_month_of_nights() {
    let world = World::default();
    world.data.borrow_mut().extend([(day(5), Data::LateBy(3)), (day(8), Data::Never), (day(12), Data::Broken)]);
    world.bad.borrow_mut().insert(day(15));
    let store = Store::memory();
    let mut codes: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
    for n in 1..=30 {
        let before = history(&store).await.last().map(|entry| entry.run.clone());
        if n == 18 {
            // The night of the 17th looked good and was not.
            world.clock.set_at_least(day(17).end() + 12 * HOUR);
            Nights::of(store.clone()).rollback(None, world.clock.get()).await.unwrap();
            assert_eq!(serves(&store).await, RunId::of_night(day(16)));
        }
        let of_night = night_by_scheduler(&world, &store, day(n)).await;
        let last = *of_night.last().unwrap();
        codes.insert(n, of_night);
        match last {
            0 => assert_eq!(serves(&store).await, RunId::of_night(day(n))),
            _ => assert_eq!(Some(serves(&store).await), before, "night {n}: the old adapter stays"),
        }
    }
    let late = |times: usize, last: u8| [vec![13; times], vec![last]].concat();
    for (n, found) in codes {
        let expected = match n {
            5 => late(2, 0),
            // After six hours nobody waits any more; the 9th needs the 8th too.
            8 => late(5, 14),
            9 => vec![14],
            12 => late(5, 65),
            // Somebody may mend it: the night waits for it as for its own day.
            13 => late(5, 65),
            15 => vec![10],
            _ => vec![0],
        };
        assert_eq!(found, expected, "night {n}");
    }
    // The file of the 12th was mended a day later; but a later night serves by now.
    world.data.borrow_mut().remove(&day(12));
    assert_eq!(world.command(&store, day(12)).await.unwrap().exit_code(), 12);
    // Nights that ran are not trained again.
    let trainings = world.trainings();
    let Answer::AlreadyRan(ending) = world.command(&store, day(15)).await.unwrap() else {
        panic!("expected its result")
    };
    assert_eq!((ending.promotion, ending.predicted_with), (None, Some(RunId::of_night(day(14)))));
    assert_eq!(world.trainings(), trainings);
    // Every night went on from what served: after the bad one, and after the rollback.
    let starts = world.starts.borrow();
    assert_eq!(starts[&day(1)], Start::Cold);
    for (n, from) in [(2, 1), (10, 7), (16, 14), (18, 16), (19, 18)] {
        let Start::Warm { run, .. } = &starts[&day(n)] else { panic!("night {n} is cold") };
        assert_eq!(*run, RunId::of_night(day(from)), "night {n}");
    }
    assert_eq!(world.at_once.get().1, 1, "never two at once");
}

#[tokio::test]
async fn two_commands_of_one_night_train_once_and_the_next_night_waits() {
    let world = World::default();
    let store = Store::memory();
    world.clock.set_at_least(day(2).end() + HOUR);
    let (first, second, next) =
        tokio::join!(world.command(&store, day(1)), world.command(&store, day(1)), world.command(&store, day(2)));
    let codes = [first.unwrap().exit_code(), second.unwrap().exit_code(), next.unwrap().exit_code()];
    // Whoever claims first works; that may be the later night, which overtakes the earlier one.
    let mut sorted = codes;
    sorted.sort_unstable();
    assert!([[0, 0, 11], [0, 12, 12]].contains(&sorted), "{codes:?}");
    assert_eq!(world.at_once.get().1, 1, "never two at once");
    let trained = world.completed.borrow();
    assert!(trained.values().all(|times| *times == 1), "{trained:?}");
}

#[tokio::test]
async fn a_holder_that_was_taken_over_leaves_its_work() {
    let world = World::default();
    let store = Store::memory();
    world.clock.set_at_least(day(1).end() + HOUR);
    // Its beats do not reach the store, so it is taken for dead while it trains.
    let judge = |key: &object_store::path::Path| match key.as_ref().contains(".beat.") {
        true => Fate::Refused("no beats"),
        false => Fate::Done,
    };
    let mute = store.clone().through(|objects| Arc::new(FaultyStore::new(objects, Box::new(judge))));
    world.slow.set(true);
    let (mute, other) = tokio::join!(world.command(&mute, day(1)), async {
        world.pass(30).await;
        world.command(&store, day(1)).await
    });
    let mut codes = [mute.unwrap().exit_code(), other.unwrap().exit_code()];
    codes.sort_unstable();
    assert_eq!(codes, [0, 11]);
    assert_eq!(history(&store).await.len(), 1);
}

#[tokio::test]
async fn a_crash_after_every_write_is_gone_on_from() {
    let mut deaths = 0;
    for writes in 0.. {
        let world = World::default();
        let store = Store::memory();
        world.clock.set_at_least(day(1).end() + HOUR);
        assert_eq!(world.command(&store, day(1)).await.unwrap().exit_code(), 0);
        world.clock.set_at_least(day(2).end() + HOUR);
        let left = AtomicUsize::new(writes);
        let dying = move |_: &object_store::path::Path| {
            let alive = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if alive.is_ok() { Fate::Done } else { Fate::Refused("this process is dead") }
        };
        let dead = store.clone().through(|objects| Arc::new(FaultyStore::new(objects, Box::new(dying))));
        if world.command(&dead, day(2)).await.is_ok_and(|answer| answer.exit_code() == 0) && world.silent.get() == 0 {
            // It lived long enough to do it all, beats included.
            break;
        }
        deaths += 1;
        let answer = world.command(&store, day(2)).await.unwrap();
        assert!([0, 11].contains(&answer.exit_code()), "after {writes} writes: {answer:?}");
        let history = history(&store).await;
        assert_eq!(history.len(), 2, "after {writes} writes");
        assert!(history.iter().all(|entry| entry.why == Why::Night));
        assert_eq!(serves(&store).await, RunId::of_night(day(2)));
        assert!(world.completed.borrow()[&day(2)] <= 2, "trained again only where its end was not written");
        assert_eq!(world.command(&store, day(2)).await.unwrap().exit_code(), 11);
        if deaths > 60 {
            break;
        }
    }
    assert!(deaths >= 8, "claim, plan, trained, verdict, promotion, its copy, predicted, ending: {deaths}");
}

#[tokio::test]
async fn folders_take_over_at_once_and_keep_the_copy() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::make(folder.path().to_str().unwrap()).unwrap();
    let world = World::default();
    world.clock.set_at_least(day(1).end() + HOUR);
    world.crash.set(Some("train"));
    world.command(&store, day(1)).await.unwrap_err();
    // As a killed process leaves it: nothing said that it ended.
    let over = folder.path().join("nightly/claims/00000001.over.json");
    std::fs::remove_file(over).unwrap();
    let began = world.clock.get();
    assert_eq!(world.command(&store, day(1)).await.unwrap().exit_code(), 0);
    assert!(world.clock.get() - began < 60 + world::TRAINING, "the lock was free, so nobody had to wait");
    world.clock.set_at_least(day(2).end() + HOUR);
    assert_eq!(world.command(&store, day(2)).await.unwrap().exit_code(), 0);
    let nights = Nights::of(store.clone());
    let entry = nights.rollback(None, 7).await.unwrap();
    assert_eq!((entry.number, entry.why), (3, Why::Rollback { to: 1 }));
    assert_eq!(serves(&store).await, RunId::of_night(day(1)));
}

#[tokio::test]
async fn whoever_does_not_wait_is_told_who_works() {
    let world = World::default();
    let store = Store::memory();
    world.clock.set_at_least(day(1).end() + HOUR);
    let (first, second) = tokio::join!(world.command(&store, day(1)), async {
        world.pass(30).await;
        world.waits.set(false);
        world.command(&store, day(1)).await
    });
    assert_eq!(first.unwrap().exit_code(), 0);
    let error = second.unwrap_err().to_string();
    assert!(error.contains("works on night 2024-03-01"), "{error}");
}

async fn put(store: &Store, name: &str, content: &str) {
    use object_store::ObjectStoreExt;
    store.objects().put(&format!("nightly/{name}").into(), content.to_owned().into()).await.unwrap();
}

async fn get(store: &Store, name: &str) -> String {
    let bytes = conrec_store::read(store.objects().as_ref(), &format!("nightly/{name}")).await.unwrap().unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_record_that_is_none_or_belongs_elsewhere_is_named_and_trains_nothing() {
    let world = World::default();
    let store = Store::memory();
    for n in 1..=2 {
        world.clock.set_at_least(day(n).end() + HOUR);
        assert_eq!(world.command(&store, day(n)).await.unwrap().exit_code(), 0);
    }
    world.clock.set_at_least(day(3).end() + HOUR);
    let of_night = |n: i64, name: &str| format!("nights/{}/{name}.json", day(n));
    let (second, ended) = (get(&store, "promotions/00000002.json").await, get(&store, &of_night(2, "ending")).await);
    let plan = get(&store, &of_night(2, "plan")).await;
    for (name, content, words) in [
        (
            "promotions/00000002.json".to_owned(),
            second.replace("\"number\": 2", "\"number\": 1"),
            "that of promotion 1",
        ),
        ("promotions/00000002.json".to_owned(), "{".to_owned(), "EOF while parsing"),
        (of_night(3, "plan"), plan, "its name says"),
        (of_night(3, "ending"), ended, "its name says"),
        (of_night(3, "trained"), "{\"state\": \"short\"}".to_owned(), "line 1"),
    ] {
        let before = conrec_store::read(store.objects().as_ref(), &format!("nightly/{name}")).await.unwrap();
        put(&store, &name, &content).await;
        let error = world.command(&store, day(3)).await.unwrap_err();
        let Stopped::Night(error) = error else { panic!("{name}: {error:?}") };
        let said = error.to_string();
        assert!(said.contains(&name) && said.contains(words), "{name}: {said}");
        match before {
            Some(before) => put(&store, &name, std::str::from_utf8(&before).unwrap()).await,
            None => {
                use object_store::ObjectStoreExt;
                store.objects().delete(&format!("nightly/{name}").into()).await.unwrap();
            }
        }
    }
    assert_eq!(world.command(&store, day(3)).await.unwrap().exit_code(), 0);
}

/// A claim that says another number than its name would never be taken over, and a beat that is none would end all nights.
#[tokio::test]
async fn a_claim_and_a_beat_that_are_none_are_taken_over() {
    let world = World::default();
    let store = Store::memory();
    world.clock.set_at_least(day(1).end() + HOUR);
    put(&store, "claims/00000001.json", "{\"number\": 0, \"night\": \"2024-01-01\", \"holder\": \"x\"}").await;
    put(&store, "claims/00000001.beat.json", "{").await;
    assert_eq!(world.command(&store, day(1)).await.unwrap().exit_code(), 0);
    assert!(get(&store, "claims/00000002.over.json").await.contains("\"number\": 2"));
}
