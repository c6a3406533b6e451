//! What serves: entries that are created once, each after the newest, and a copy of the newest under a name that stays.

use crate::error::NightError;
use crate::records::{Records, number_of, numbered};
use conrec_domain::nightly::Promotion;
use std::collections::BTreeMap;
use tokio::sync::Mutex;

const FOLDER: &str = "promotions";
const POINTER: &str = "promoted.json";

/// Writers of the copy that all come at the same moment take turns; more than this is no coincidence.
const ATTEMPTS: u32 = 20;

/// The entries, of which those that were read are kept: they never change.
#[derive(Debug, Default)]
pub(crate) struct Promotions {
    known: Mutex<BTreeMap<u64, Promotion>>,
}

impl Promotions {
    /// All entries, by number.
    pub async fn history(&self, records: &Records) -> Result<Vec<Promotion>, NightError> {
        let names = records.names(FOLDER).await?;
        let mut known = self.known.lock().await;
        for number in names.iter().filter_map(|name| number_of(name, ".json")) {
            if known.contains_key(&number) {
                continue;
            }
            if let Some(entry) = records.read::<Promotion>(&key(number)).await? {
                // The next entry's number comes after it: one that says another number would be met again for ever.
                if entry.number != number {
                    return Err(records.misplaced(&key(number), format!("promotion {}", entry.number), number));
                }
                known.insert(number, entry);
            }
        }
        Ok(known.values().cloned().collect())
    }

    /// Creates an entry. Whether it is this one: false where somebody else's has its number.
    pub async fn create(&self, records: &Records, entry: &Promotion) -> Result<bool, NightError> {
        let created = records.create(&key(entry.number), entry).await?;
        self.point(records).await?;
        Ok(created)
    }

    /// Makes the copy that of the newest entry, wherever it stood: one who died after an entry has left an older one.
    pub async fn point(&self, records: &Records) -> Result<(), NightError> {
        for _ in 0..ATTEMPTS {
            let Some(newest) = self.history(records).await?.pop() else { return Ok(()) };
            let there = records.read_version::<Promotion>(POINTER).await?;
            if there.as_ref().is_some_and(|(there, _)| there.number >= newest.number) {
                return Ok(());
            }
            // Whether it was written or not, the next turn looks at what is there: in a folder an older one may win.
            records.swap(POINTER, &newest, there.map(|(_, version)| version)).await?;
        }
        tracing::warn!(key = POINTER, "others keep writing the copy of what is promoted; the newest entry counts");
        Ok(())
    }
}

fn key(number: u64) -> String {
    format!("{FOLDER}/{}.json", numbered(number))
}
