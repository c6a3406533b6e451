//! One process works on nights at a time. A claim is an object that is created once, after the newest; whoever holds an older
//! one has lost it. The one who works beats; one whose beats have stopped for [`LEASE`], by the clock of who watches, is
//! taken for dead, so that no two clocks have to agree. In a folder a lock on a file says it at once: the system frees it
//! when its process ends.

use crate::error::NightError;
use crate::records::{Records, number_of, numbered};
use conrec_domain::day::Day;
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::io::ErrorKind;

/// Seconds between two beats.
pub const BEAT: u64 = 10;

/// Seconds without a beat after which a claim may be taken over.
pub const LEASE: i64 = 60;

/// Seconds between two looks at somebody else's claim.
pub const POLL: u64 = 2;

const FOLDER: &str = "claims";

/// Who works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    /// Its place; grows with each claim.
    pub number: u64,
    /// The night that is worked on.
    pub night: Day,
    /// Who; no two processes are named alike.
    pub holder: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beat {
    beats: u64,
}

/// What the store says of who works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nobody; the next claim has this number.
    Free { next: u64 },
    /// Somebody.
    Taken(Claim),
}

/// The newest claim, unless its holder has ended.
pub(crate) async fn standing(records: &Records) -> Result<Standing, NightError> {
    let names = records.names(FOLDER).await?;
    let Some(newest) = names.iter().filter_map(|name| number_of(name, ".json")).max() else {
        return Ok(Standing::Free { next: 1 });
    };
    if names.contains(&format!("{}.over.json", numbered(newest))) {
        return Ok(Standing::Free { next: newest + 1 });
    }
    // A claim that cannot be read is nobody's.
    match records.read::<Claim>(&key(newest, "json")).await {
        Ok(Some(claim)) => Ok(Standing::Taken(claim)),
        Ok(None) | Err(NightError::Damaged { .. }) => Ok(Standing::Free { next: newest + 1 }),
        Err(error) => Err(error),
    }
}

/// Creates a claim; false where somebody else's has its number.
pub(crate) async fn take(records: &Records, claim: &Claim) -> Result<bool, NightError> {
    records.create(&key(claim.number, "json"), claim).await
}

/// Says that a holder lives.
pub(crate) async fn beat(records: &Records, claim: &Claim, beats: u64) -> Result<(), NightError> {
    records.replace(&key(claim.number, "beat.json"), &Beat { beats }).await
}

/// What a holder said last.
pub(crate) async fn last_beat(records: &Records, claim: &Claim) -> Result<Beat, NightError> {
    Ok(records.read(&key(claim.number, "beat.json")).await?.unwrap_or_default())
}

/// Says that a holder has ended.
pub(crate) async fn release(records: &Records, claim: &Claim) -> Result<(), NightError> {
    records.create(&key(claim.number, "over.json"), claim).await.map(drop)
}

fn key(number: u64, end: &str) -> String {
    format!("{FOLDER}/{}.{end}", numbered(number))
}

/// What the lock of a folder says.
pub(crate) enum Lock {
    /// This process has it: nobody else on this file system works.
    Held(File),
    /// Another living process has it.
    Elsewhere,
    /// There is none to be had: the store is no folder, or the file system has no locks.
    Absent,
}

/// Takes the lock of a folder, which is kept for as long as the file is.
pub(crate) fn lock(records: &Records) -> Result<Lock, NightError> {
    if records.store.folder().is_none() {
        return Ok(Lock::Absent);
    }
    let path = std::path::PathBuf::from(records.place("lock"));
    let refused = |source| NightError::Lock { path: path.clone(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(refused)?;
    }
    let file = File::options().create(true).append(true).open(&path).map_err(refused)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock::Held(file)),
        Err(TryLockError::WouldBlock) => Ok(Lock::Elsewhere),
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(Lock::Absent),
        Err(TryLockError::Error(error)) => Err(refused(error)),
    }
}
