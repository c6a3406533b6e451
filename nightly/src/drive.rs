//! Brings one night to its end: asks what comes next, performs it, asks again.

use crate::claims::{self, BEAT, LEASE, Lock, POLL, Standing};
use crate::error::NightError;
use crate::nights::{Nights, Own};
use conrec_domain::day::Day;
use conrec_domain::ids::RunId;
use conrec_domain::nightly::{
    Answer, Arrival, Arrivals, Beat, Claim, Compared, Opponent, Plan, Step, Trained, Verdict, next,
};
use conrec_domain::spec::NightlySpec;
use std::fs::File;
use std::future::Future;
use std::pin::pin;

/// The time, and how to let it pass.
pub trait Clock {
    /// Unix seconds.
    fn now(&self) -> i64;

    /// Comes back after so many seconds.
    fn sleep(&self, seconds: u64) -> impl Future<Output = ()>;
}

/// What nights are made of. Each may be asked for again, after a crash or beside an older self, and must go on or answer
/// the same. Dropping one in its middle ends it.
pub trait NightWork {
    /// Why one failed.
    type Error;

    /// What the data up to a night holds.
    fn look(&mut self, night: Day) -> impl Future<Output = Result<Arrivals, Self::Error>>;

    /// Trains the plan's run to its end.
    fn train(&mut self, plan: &Plan) -> impl Future<Output = Result<Trained, Self::Error>>;

    /// Holds the plan's run against another on the newest days.
    fn evaluate(
        &mut self,
        plan: &Plan,
        opponent: &Opponent,
    ) -> impl Future<Output = Result<Vec<Compared>, Self::Error>>;

    /// Writes the day's sets by this run's policy, from the data of the plan's.
    fn predict(&mut self, plan: &Plan, run: &RunId) -> impl Future<Output = Result<(), Self::Error>>;
}

/// Why a night was left before its end. The same command goes on.
#[derive(Debug, thiserror::Error)]
pub enum Stopped<E> {
    /// The store.
    #[error(transparent)]
    Night(#[from] NightError),
    /// Its work.
    #[error("{0}")]
    Work(E),
}

/// One process's work on one night.
pub struct Shift<'a, W, C> {
    /// The nights.
    pub nights: &'a Nights,
    /// Which.
    pub night: Day,
    /// The rules of `[nightly]`.
    pub rules: &'a NightlySpec,
    /// Whether its quantizer is to be fitted anew.
    pub refit: bool,
    /// Whether to wait for another process that works.
    pub waits: bool,
    /// Names this process; no two are named alike.
    pub holder: String,
    /// Does it.
    pub work: W,
    /// The time.
    pub clock: C,
}

/// What this process holds, and what it has seen.
#[derive(Default)]
struct Held {
    claim: Option<Claim>,
    /// Kept for as long as the claim is.
    lock: Option<File>,
    beats: u64,
    arrival: Option<Arrival>,
    /// Another's claim, its last beat, and since when by this clock there was no other.
    watched: Option<(u64, Beat, i64)>,
    /// Whether this process wrote the ending.
    ended: bool,
}

impl<W: NightWork, C: Clock> Shift<'_, W, C> {
    /// Works until the night answers.
    ///
    /// # Errors
    /// The store or the work failed; the claim is given back, and the same command goes on.
    pub async fn run(mut self) -> Result<Answer, Stopped<W::Error>> {
        let mut held = Held::default();
        let answer = self.steps(&mut held).await;
        if let Some(claim) = &held.claim
            && let Err(error) = claims::release(&self.nights.records, claim).await
        {
            tracing::warn!(%error, "the claim was not given back; it runs out by itself");
        }
        answer
    }

    async fn steps(&mut self, held: &mut Held) -> Result<Answer, Stopped<W::Error>> {
        // One who died between an entry and its copy has left an old copy.
        self.nights.promotions.point(&self.nights.records).await?;
        loop {
            let (night, rules, refit, now) = (self.night, self.rules, self.refit, self.clock.now());
            let own = Own { night, rules, refit, now, arrival: held.arrival.clone(), claim: held.number() };
            match next(&self.nights.facts(own).await?) {
                Step::Answer(Answer::AlreadyRan(ending)) if held.ended => return Ok(Answer::Ended(ending)),
                Step::Answer(answer) => {
                    if let Answer::Skipped(arrival) = &answer {
                        self.nights.tell_skipped(night, arrival).await?;
                    }
                    return Ok(answer);
                }
                Step::LookAtData => {
                    let arrivals = self.work.look(night).await.map_err(Stopped::Work)?;
                    held.arrival = Some(arrivals.judge(night, rules, self.clock.now()));
                }
                Step::Wait { night } => {
                    if !self.waits {
                        return Err(NightError::Busy { night }.into());
                    }
                    self.watch(held).await?;
                }
                Step::Claim => self.claim(held).await?,
                step => self.perform(step, held).await?,
            }
        }
    }

    /// What only the one who works may do.
    async fn perform(&mut self, step: Step, held: &mut Held) -> Result<(), Stopped<W::Error>> {
        let (nights, night) = (self.nights, self.night);
        match step {
            Step::Plan(plan) => nights.keep_plan(&plan).await?,
            Step::Train(plan) => {
                let trained = beating((nights, &self.clock), held, self.work.train(&plan)).await?;
                if let Some(trained) = trained {
                    nights.keep_trained(night, &trained).await?;
                }
            }
            Step::Evaluate(plan, opponent) => {
                let compared = beating((nights, &self.clock), held, self.work.evaluate(&plan, &opponent)).await?;
                if let Some(compared) = compared {
                    nights.keep_verdict(night, &Verdict::of(self.rules, opponent, compared)).await?;
                }
            }
            // Where somebody else's entry has the number, the next look finds it.
            Step::Promote(entry) => drop(nights.promotions.create(&nights.records, &entry).await?),
            Step::Predict(plan, run) => {
                if beating((nights, &self.clock), held, self.work.predict(&plan, &run)).await?.is_some() {
                    nights.keep_predicted(night, &run).await?;
                }
            }
            Step::End(ending) => {
                nights.keep_ending(&ending).await?;
                held.ended = true;
            }
            // Done before.
            Step::Answer(_) | Step::LookAtData | Step::Wait { .. } | Step::Claim => {}
        }
        Ok(())
    }

    /// Becomes the one who works, unless another process was faster.
    async fn claim(&mut self, held: &mut Held) -> Result<(), NightError> {
        let Standing::Free { next } = claims::standing(&self.nights.records).await? else { return Ok(()) };
        if held.lock.is_none() {
            match claims::lock(&self.nights.records)? {
                Lock::Held(file) => held.lock = Some(file),
                // It is about to claim, or about to end.
                Lock::Elsewhere => {
                    self.clock.sleep(POLL).await;
                    return Ok(());
                }
                Lock::Absent => {}
            }
        }
        self.take(next, held).await
    }

    async fn take(&self, number: u64, held: &mut Held) -> Result<(), NightError> {
        let claim = Claim { number, night: self.night, holder: self.holder.clone() };
        if claims::take(&self.nights.records, &claim).await? {
            tracing::info!(number, night = %self.night, "works");
            (held.claim, held.beats, held.watched) = (Some(claim), 0, None);
        }
        Ok(())
    }

    /// Waits a while for another process, or takes over what it left.
    async fn watch(&mut self, held: &mut Held) -> Result<(), NightError> {
        // What was held before was taken over: it counts for nothing.
        held.claim = None;
        let Standing::Taken(theirs) = claims::standing(&self.nights.records).await? else { return Ok(()) };
        let dead =
            match held.lock.take().map_or_else(|| claims::lock(&self.nights.records), |file| Ok(Lock::Held(file)))? {
                Lock::Held(file) => {
                    held.lock = Some(file);
                    true
                }
                Lock::Elsewhere | Lock::Absent => self.is_silent(&theirs, held).await?,
            };
        if dead {
            tracing::warn!(number = theirs.number, night = %theirs.night, "a process that worked is gone; its claim is taken over");
            return self.take(theirs.number + 1, held).await;
        }
        self.clock.sleep(POLL).await;
        Ok(())
    }

    /// Whether a claim has not beaten for so long that its holder is taken for dead.
    async fn is_silent(&self, theirs: &Claim, held: &mut Held) -> Result<bool, NightError> {
        let beat = claims::last_beat(&self.nights.records, theirs).await?;
        let now = self.clock.now();
        match held.watched {
            Some((number, last, since)) if (number, last) == (theirs.number, beat) => Ok(now - since >= LEASE),
            _ => {
                held.watched = Some((theirs.number, beat, now));
                Ok(false)
            }
        }
    }
}

impl Held {
    fn number(&self) -> Option<u64> {
        self.claim.as_ref().map(|claim| claim.number)
    }
}

/// Does a work and says meanwhile that this process lives; none where it was taken over, so that the work was left.
async fn beating<C: Clock, T, E>(
    (nights, clock): (&Nights, &C),
    held: &mut Held,
    work: impl Future<Output = Result<T, E>>,
) -> Result<Option<T>, Stopped<E>> {
    let Some(claim) = held.claim.clone() else { return Ok(None) };
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done.map(Some).map_err(Stopped::Work),
            () = clock.sleep(BEAT) => {}
        }
        held.beats += 1;
        // A store that fails for a while costs the claim at worst, not the work.
        if let Err(error) = claims::beat(&nights.records, &claim, held.beats).await {
            tracing::warn!(%error, "no beat");
        }
        match claims::standing(&nights.records).await {
            Ok(Standing::Taken(newest)) if newest.number == claim.number => {}
            Ok(_) => {
                tracing::warn!(number = claim.number, "was taken over; the work is left");
                return Ok(None);
            }
            Err(error) => tracing::warn!(%error, "cannot see who works"),
        }
    }
}
