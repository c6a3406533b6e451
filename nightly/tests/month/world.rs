//! A made-up world: a clock that passes when somebody waits, a stream of days, and trainings whose worth is known.

use conrec_domain::day::Day;
use conrec_domain::ids::{Digest, RunId};
use conrec_domain::nightly::{Answer, Arrivals, Compared, Opponent, Plan, Start, Trained};
use conrec_domain::spec::NightlySpec;
use conrec_nightly::{Clock, NightWork, Nights, Shift, Stopped};
use conrec_store::Store;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::task::Poll;

/// Seconds that a training takes.
pub const TRAINING: i64 = 100;

/// The n-th of March 2024.
pub fn day(n: i64) -> Day {
    "2024-02-29".parse::<Day>().unwrap().plus(n)
}

/// What is wrong with a day's data.
#[derive(Clone, Copy)]
pub enum Data {
    /// It comes so many hours after the day's end.
    LateBy(i64),
    Never,
    /// Its file cannot be read.
    Broken,
}

/// A second passes each time that somebody who waits is asked.
#[derive(Default)]
pub struct SimulatedClock(Cell<i64>);

impl SimulatedClock {
    pub fn get(&self) -> i64 {
        self.0.get()
    }

    pub fn set_at_least(&self, time: i64) {
        self.0.set(self.0.get().max(time));
    }
}

impl Clock for &World {
    fn now(&self) -> i64 {
        self.clock.get()
    }

    async fn sleep(&self, seconds: u64) {
        self.pass(i64::try_from(seconds).unwrap()).await;
    }
}

pub struct World {
    pub clock: SimulatedClock,
    pub data: RefCell<BTreeMap<Day, Data>>,
    /// Nights whose training comes to no good.
    pub bad: RefCell<BTreeSet<Day>>,
    worth: RefCell<BTreeMap<RunId, f64>>,
    pub starts: RefCell<BTreeMap<Day, Start>>,
    pub completed: RefCell<BTreeMap<Day, u32>>,
    /// Trainings at this moment, and at most.
    pub at_once: Cell<(u32, u32)>,
    /// The work that fails.
    pub crash: Cell<Option<&'static str>>,
    pub slow: Cell<bool>,
    pub waits: Cell<bool>,
    /// Claims that were not given back.
    pub silent: Cell<u32>,
    commands: Cell<u32>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            clock: SimulatedClock::default(),
            data: RefCell::default(),
            bad: RefCell::default(),
            worth: RefCell::default(),
            starts: RefCell::default(),
            completed: RefCell::default(),
            at_once: Cell::default(),
            crash: Cell::default(),
            slow: Cell::default(),
            waits: Cell::new(true),
            silent: Cell::default(),
            commands: Cell::default(),
        }
    }
}

/// Why a made-up work failed.
#[derive(Debug)]
pub struct Crash(&'static str);

impl std::fmt::Display for Crash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} died", self.0)
    }
}

impl World {
    /// `conrec nightly --date <night>`.
    pub async fn command(&self, store: &Store, night: Day) -> Result<Answer, Stopped<Crash>> {
        let rules = NightlySpec {
            window_days: 10,
            min_events: 50,
            complete_days: 2,
            metrics: vec!["fhr".into()],
            ..NightlySpec::default()
        };
        let nights = Nights::of(store.clone());
        self.commands.set(self.commands.get() + 1);
        let shift = Shift {
            nights: &nights,
            night,
            rules: &rules,
            refit: false,
            waits: self.waits.get(),
            holder: format!("command {}", self.commands.get()),
            work: self,
            clock: self,
        };
        shift.run().await
    }

    pub async fn pass(&self, seconds: i64) {
        let until = self.clock.get() + seconds;
        poll_fn(|context| {
            if self.clock.get() >= until {
                return Poll::Ready(());
            }
            self.clock.0.set(self.clock.get() + 1);
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    pub fn trainings(&self) -> u32 {
        self.completed.borrow().values().sum()
    }

    fn may_crash(&self, here: &'static str) -> Result<(), Crash> {
        if self.crash.get() == Some(here) {
            self.crash.set(None);
            return Err(Crash(here));
        }
        Ok(())
    }

    fn events(&self, day: Day) -> u64 {
        let there = match self.data.borrow().get(&day) {
            None => day.end() <= self.clock.get(),
            Some(Data::LateBy(hours)) => day.end() + hours * 3_600 <= self.clock.get(),
            Some(Data::Never) => false,
            Some(Data::Broken) => true,
        };
        if there { 100 } else { 0 }
    }
}

/// A training that was left is none at this moment.
struct Training<'a>(&'a World);

impl<'a> Training<'a> {
    fn begin(world: &'a World) -> Self {
        let (now, most) = world.at_once.get();
        world.at_once.set((now + 1, most.max(now + 1)));
        Self(world)
    }
}

impl Drop for Training<'_> {
    fn drop(&mut self) {
        let (now, most) = self.0.at_once.get();
        self.0.at_once.set((now - 1, most));
    }
}

impl NightWork for &World {
    type Error = Crash;

    async fn look(&mut self, night: Day) -> Result<Arrivals, Crash> {
        let days = day(0).plus(-9).through(night);
        let events: BTreeMap<Day, u64> = days.map(|day| (day, self.events(day))).filter(|(_, n)| *n > 0).collect();
        let first = night.plus(-1);
        let broken = first.through(night).find(|day| matches!(self.data.borrow().get(day), Some(Data::Broken)));
        Ok(Arrivals { events, broken: broken.map(|day| format!("{day}.csv: line 7")), ..Arrivals::default() })
    }

    async fn train(&mut self, plan: &Plan) -> Result<Trained, Crash> {
        let _training = Training::begin(self);
        self.may_crash("train")?;
        let before = self.starts.borrow_mut().insert(plan.night, plan.start.clone());
        assert!(before.is_none_or(|before| before == plan.start), "a night begins once");
        self.pass(if self.slow.get() { 5 * TRAINING } else { TRAINING }).await;
        let from = match &plan.start {
            Start::Warm { run, .. } => self.worth.borrow()[run],
            Start::Cold | Start::Refit => 0.2,
        };
        let worth = if self.bad.borrow().contains(&plan.night) { from - 0.1 } else { from + 0.001 };
        self.worth.borrow_mut().insert(plan.run.clone(), worth);
        *self.completed.borrow_mut().entry(plan.night).or_default() += 1;
        Ok(Trained { state: Digest::of(plan.run.as_str().as_bytes()), kept_ids: 9, changed_ids: 0, new_ids: 1 })
    }

    async fn evaluate(&mut self, plan: &Plan, opponent: &Opponent) -> Result<Vec<Compared>, Crash> {
        self.may_crash("evaluate")?;
        self.pass(10).await;
        let new = self.worth.borrow()[&plan.run];
        let old = match opponent {
            Opponent::Promoted { run, .. } => self.worth.borrow()[run],
            Opponent::Floor(_) => 0.1,
        };
        let difference = new - old;
        Ok(vec![Compared { metric: "fhr".into(), new, old, difference, low: difference - 0.004, instances: 500 }])
    }

    async fn predict(&mut self, _: &Plan, _: &RunId) -> Result<(), Crash> {
        self.may_crash("predict")?;
        self.pass(10).await;
        Ok(())
    }
}
