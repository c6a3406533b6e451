//! One process works on nights at a time. A claim is an object that is created once, after the newest; whoever holds an older
//! one has lost it. The one who works beats; one whose beats have stopped for [`LEASE`], by the clock of who watches, is
//! taken for dead, so that no two clocks have to agree. In a folder a lock on a file says it at once: the system frees it
//! when its process ends.

use crate::error::NightError;
use crate::records::{Records, number_of, numbered};
use conrec_domain::nightly::{Beat, Claim};
use std::fs::{File, TryLockError};
use std::io::ErrorKind;

/// Seconds between two beats.
pub const BEAT: u64 = 10;

/// Seconds without a beat after which a claim may be taken over.
pub const LEASE: i64 = 60;

/// Seconds between two looks at somebody else's claim.
pub const POLL: u64 = 2;

const FOLDER: &str = "claims";

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
        // Its name says which it is, whatever it says itself: whoever takes it over has to take the next.
        Ok(Some(claim)) => Ok(Standing::Taken(Claim { number: newest, ..claim })),
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

/// What a holder said last; a beat that cannot be read is none, and the next one replaces it.
pub(crate) async fn last_beat(records: &Records, claim: &Claim) -> Result<Beat, NightError> {
    match records.read(&key(claim.number, "beat.json")).await {
        Err(NightError::Damaged { .. }) => Ok(Beat::default()),
        read => Ok(read?.unwrap_or_default()),
    }
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
