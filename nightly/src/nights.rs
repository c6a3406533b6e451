//! The nights of a store: what is known of one, what each phase leaves, and what serves.

use crate::claims::{Standing, standing};
use crate::error::NightError;
use crate::promotions::Promotions;
use crate::records::{Records, numbered};
use bytes::Bytes;
use conrec_domain::day::Day;
use conrec_domain::ids::RunId;
use conrec_domain::nightly::{Arrival, Claimed, Ending, Facts, Plan, Promotion, Trained, Verdict, rollback};
use conrec_domain::spec::NightlySpec;
use conrec_store::{Store, probe};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// All nights of a store.
#[derive(Debug)]
pub struct Nights {
    pub(crate) records: Records,
    pub(crate) promotions: Promotions,
}

/// `predicted.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Predicted {
    run: RunId,
}

/// What a process knows of a night that no store does.
pub(crate) struct Own<'a> {
    pub night: Day,
    pub rules: &'a NightlySpec,
    pub refit: bool,
    pub now: i64,
    pub arrival: Option<Arrival>,
    /// The number of this process's claim.
    pub claim: Option<u64>,
}

impl Nights {
    /// The nights of a store, after it has proved that it keeps its conditions; `chance` names the object that this takes.
    ///
    /// # Errors
    /// A store that lies, or cannot be written.
    pub async fn open(store: Store, chance: u64) -> Result<Self, NightError> {
        probe(store.objects().as_ref(), chance, store.folder().is_none()).await?;
        Ok(Self::of(store))
    }

    /// The same without the proof, for those who only read.
    pub fn of(store: Store) -> Self {
        Self { records: Records { store }, promotions: Promotions::default() }
    }

    /// Where an object of nights lies, for people.
    pub fn place(&self, name: &str) -> String {
        self.records.place(name)
    }

    /// All promotions and rollbacks, by number: the newest says what serves.
    ///
    /// # Errors
    /// The store cannot be read, or an entry is damaged.
    pub async fn history(&self) -> Result<Vec<Promotion>, NightError> {
        self.promotions.history(&self.records).await
    }

    /// Writes an object beside the records, whatever was there.
    ///
    /// # Errors
    /// The store fails.
    pub async fn put(&self, name: &str, content: Bytes) -> Result<(), NightError> {
        self.records.put(name, content).await
    }

    /// How a night ended; none where it has not.
    ///
    /// # Errors
    /// The store cannot be read, or the record is damaged.
    pub async fn ending(&self, night: Day) -> Result<Option<Ending>, NightError> {
        let (name, ending) = self.record::<Ending>(night, "ending").await?;
        match ending {
            Some(ending) if ending.night != night => Err(self.records.misplaced(&name, ending.night, night)),
            ending => Ok(ending),
        }
    }

    /// What a night's plan says.
    async fn plan(&self, night: Day) -> Result<Option<Plan>, NightError> {
        let (name, plan) = self.record::<Plan>(night, "plan").await?;
        match plan {
            Some(plan) if plan.night != night => Err(self.records.misplaced(&name, plan.night, night)),
            plan => Ok(plan),
        }
    }

    async fn record<T: DeserializeOwned>(&self, night: Day, name: &str) -> Result<(String, Option<T>), NightError> {
        let name = of_night(night, name);
        let record = self.records.read(&name).await?;
        Ok((name, record))
    }

    /// Goes back to the run of an earlier entry, or to what served before: a new entry says so. `now`: Unix seconds.
    ///
    /// # Errors
    /// There is nothing to go back to; somebody else moved what serves at the same moment; the store fails.
    pub async fn rollback(&self, to: Option<u64>, now: i64) -> Result<Promotion, NightError> {
        let entry = rollback(&self.history().await?, to, now)?;
        if self.promotions.create(&self.records, &entry).await? {
            return Ok(entry);
        }
        Err(NightError::Raced { number: entry.number })
    }

    /// All that is known of a night.
    pub(crate) async fn facts<'a>(&self, own: Own<'a>) -> Result<Facts<'a>, NightError> {
        let Own { night, rules, refit, now, arrival, claim } = own;
        let records = &self.records;
        let claimed = match standing(records).await? {
            Standing::Free { .. } => Claimed::Nobody,
            Standing::Taken(newest) if Some(newest.number) == claim => Claimed::Here,
            Standing::Taken(newest) => Claimed::Elsewhere { night: newest.night },
        };
        let predicted = records.read::<Predicted>(&of_night(night, "predicted")).await?;
        Ok(Facts {
            night,
            rules,
            refit,
            now,
            arrival,
            claimed,
            history: self.history().await?,
            plan: self.plan(night).await?,
            trained: records.read(&of_night(night, "trained")).await?,
            verdicts: self.verdicts(night).await?,
            predicted: predicted.map(|predicted| predicted.run),
            ending: self.ending(night).await?,
        })
    }

    async fn verdicts(&self, night: Day) -> Result<Vec<Verdict>, NightError> {
        let folder = format!("nights/{night}/verdicts");
        let mut verdicts = Vec::new();
        for name in self.records.names(&folder).await? {
            verdicts.extend(self.records.read::<Verdict>(&format!("{folder}/{name}")).await?);
        }
        Ok(verdicts)
    }

    /// Keeps what a phase has left. One who did the same phase before has left the same, and that stays.
    pub(crate) async fn keep_plan(&self, plan: &Plan) -> Result<(), NightError> {
        self.records.create(&of_night(plan.night, "plan"), plan).await.map(drop)
    }

    pub(crate) async fn keep_trained(&self, night: Day, trained: &Trained) -> Result<(), NightError> {
        self.records.create(&of_night(night, "trained"), trained).await.map(drop)
    }

    pub(crate) async fn keep_verdict(&self, night: Day, verdict: &Verdict) -> Result<(), NightError> {
        let name = format!("nights/{night}/verdicts/{}.json", numbered(verdict.opponent.number()));
        self.records.create(&name, verdict).await.map(drop)
    }

    pub(crate) async fn keep_predicted(&self, night: Day, run: &RunId) -> Result<(), NightError> {
        self.records.create(&of_night(night, "predicted"), &Predicted { run: run.clone() }).await.map(drop)
    }

    pub(crate) async fn keep_ending(&self, ending: &Ending) -> Result<(), NightError> {
        self.records.create(&of_night(ending.night, "ending"), ending).await.map(drop)
    }

    pub(crate) async fn tell_skipped(&self, night: Day, arrival: &Arrival) -> Result<(), NightError> {
        self.records.replace(&of_night(night, "skipped"), arrival).await
    }
}

fn of_night(night: Day, name: &str) -> String {
    format!("nights/{night}/{name}.json")
}
