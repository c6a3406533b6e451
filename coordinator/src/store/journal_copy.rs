//! The journal's two files in a store that cannot append: whole objects, fetched when the run is opened and put again
//! whenever the journal has to be safe.

use super::hold::Hold;
use super::{RunStore, StoreError};

const FILES: [&str; 2] = ["metrics.jsonl", "ledger.jsonl"];

impl RunStore {
    /// Brings the journal's files into this process's folder. Where the store is a folder they are there.
    pub(super) async fn fetch_journal(&self) -> Result<(), StoreError> {
        if matches!(self.hold, Hold::Folder { .. }) {
            return Ok(());
        }
        for name in FILES {
            if let Some(content) = self.read(name).await? {
                let path = self.folder.join(name);
                std::fs::write(&path, content).map_err(StoreError::io("write", &path))?;
            }
        }
        Ok(())
    }

    /// Puts the journal's files, as they are on this machine's disk, into the store. Where the store is a folder they
    /// are there.
    ///
    /// # Errors
    /// Another coordinator has taken over, or the store fails.
    pub async fn keep_journal(&self) -> Result<(), StoreError> {
        if matches!(self.hold, Hold::Folder { .. }) {
            return Ok(());
        }
        self.hold.renew(self).await?;
        for name in FILES {
            let path = self.folder.join(name);
            if path.is_file() {
                let content = std::fs::read(&path).map_err(StoreError::io("read", &path))?;
                conrec_store::put(self.objects.as_ref(), name, content.into()).await?;
            }
        }
        Ok(())
    }
}
