//! The prepared data's manifest, which the worker writes last; read here to see whether preparing is done.

use super::checkpoint::Skipped;
use super::{RunObjects, StoreError};
use conrec_domain::manifest::Part;
use conrec_domain::work::Prepared;
use serde::Deserialize;

/// `prepared/manifest.json`: the fields of [`Prepared`], and the parts beside it.
#[derive(Deserialize)]
struct PreparedManifest {
    #[serde(flatten)]
    prepared: Prepared,
    parts: Vec<Part>,
}

impl RunObjects {
    /// The prepared data, when it is whole; else why it has to be prepared again (`None`: it never was).
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn prepared(&self) -> Result<Result<Prepared, Option<Skipped>>, StoreError> {
        let Some(bytes) = self.read("prepared/manifest.json").await? else {
            return Ok(Err(None));
        };
        let skipped = |why| Ok(Err(Some(Skipped { key: "prepared".into(), why })));
        let manifest = match serde_json::from_slice::<PreparedManifest>(&bytes) {
            Ok(manifest) => manifest,
            Err(error) => return skipped(format!("manifest.json: {error}")),
        };
        match self.damage("prepared", &manifest.parts).await? {
            None => Ok(Ok(manifest.prepared)),
            Some(why) => skipped(why),
        }
    }
}
