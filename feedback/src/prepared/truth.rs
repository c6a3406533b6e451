//! What the generator of synthetic data knows, in a folder of its own beside the passes: nothing that trains reads it,
//! and evaluation measures with it whether lists find what users truly dislike.

use super::PreparedError;
use super::parts::{self, Part};
use super::table::{Columns, Table, write_table, write_tables};
use crate::dataset::{DislikedRegion, Truth};
use conrec_domain::ids::Digest;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Names the other two; written last.
const MANIFEST: &str = "truth.json";
const REGIONS: &str = "regions.parquet";
const DISLIKED: &str = "disliked.parquet";

/// `truth.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    files: Vec<Part>,
}

/// Writes the folder, creating it if need be; gives the manifest's file name, size and digest.
pub fn save_truth(truth: &Truth, folder: &Path) -> Result<(&'static str, u64, Digest), PreparedError> {
    parts::make_folder(folder)?;
    let regions = || truth.region_of_item.iter();
    let of_items = Table::default()
        .bools("neutral", regions().map(Option::is_none))
        .u32s("region", regions().map(|region| region.unwrap_or_default()));
    let disliked = |some: &[DislikedRegion]| {
        Table::default()
            .u32s("user", some.iter().map(|stretch| stretch.user))
            .u32s("region", some.iter().map(|stretch| stretch.region))
            .i64s("from", some.iter().map(|stretch| stretch.from))
            .i64s("to", some.iter().map(|stretch| stretch.to))
    };
    let files =
        vec![write_tables(folder, DISLIKED, &truth.disliked, disliked)?, write_table(folder, REGIONS, of_items)?];
    let file = folder.join(MANIFEST);
    let mut text =
        serde_json::to_vec_pretty(&Manifest { files }).map_err(|source| PreparedError::Json { file, source })?;
    text.push(b'\n');
    parts::write(folder, MANIFEST, &text)?;
    Ok((MANIFEST, text.len() as u64, Digest::of(&text)))
}

/// Reads a folder that [`save_truth`] wrote for a catalogue of `items` items; checks every file first.
pub fn load_truth(folder: &Path, items: usize) -> Result<Truth, PreparedError> {
    let file = folder.join(MANIFEST);
    let manifest: Manifest = serde_json::from_slice(&parts::read(&file)?)
        .map_err(|source| PreparedError::Json { file: file.clone(), source })?;
    if let Some((name, _)) = manifest.files.iter().map(Part::head).find(|(name, _)| ![REGIONS, DISLIKED].contains(name))
    {
        let (found, expected) = (format!("a part named {name:?}"), format!("{REGIONS} and {DISLIKED}"));
        return Err(PreparedError::Damaged { file, found, expected });
    }
    for part in &manifest.files {
        part.verified(folder, |_| ())?;
    }
    let columns = Columns::read(&folder.join(REGIONS))?;
    let regions = columns.bools("neutral")?.into_iter().zip(columns.u32s("region")?);
    let region_of_item: Vec<Option<u32>> = regions.map(|(neutral, region)| (!neutral).then_some(region)).collect();
    if region_of_item.len() != items {
        return Err(columns.damaged(format!("{} rows", region_of_item.len()), format!("{items} rows, one an item")));
    }
    let mut disliked = Vec::new();
    Columns::each(&folder.join(DISLIKED), |columns| {
        let (users, regions) = (columns.u32s("user")?, columns.u32s("region")?);
        let rows = users.into_iter().zip(regions).zip(columns.i64s("from")?).zip(columns.i64s("to")?);
        disliked.extend(rows.map(|(((user, region), from), to)| DislikedRegion { user, region, from, to }));
        Ok(())
    })?;
    Ok(Truth { region_of_item, disliked })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Truth {
        let stretch = |user, region, from, to| DislikedRegion { user, region, from, to };
        Truth {
            region_of_item: vec![Some(3), None, Some(0)],
            disliked: vec![stretch(0, 3, -5, 10), stretch(0, 0, 10, 20), stretch(7, 3, 0, 20)],
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let (name, bytes, digest) = save_truth(&sample(), folder.path()).unwrap();
        let text = std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!((text.len() as u64, Digest::of(&text)), (bytes, digest));
        assert_eq!(load_truth(folder.path(), 3).unwrap(), sample());
        let message = load_truth(folder.path(), 4).unwrap_err().to_string();
        assert!(message.contains("regions.parquet: found 3 rows, expected 4 rows"), "{message}");
    }

    #[test]
    fn damage_and_foreign_names_are_told() {
        let folder = tempfile::tempdir().unwrap();
        save_truth(&sample(), folder.path()).unwrap();
        let manifest = folder.path().join(MANIFEST);
        let text = std::fs::read_to_string(&manifest).unwrap();
        std::fs::write(&manifest, text.replace(DISLIKED, "../users.parquet")).unwrap();
        let message = load_truth(folder.path(), 3).unwrap_err().to_string();
        assert!(message.contains("a part named \"../users.parquet\""), "{message}");
        std::fs::write(&manifest, text).unwrap();
        let file = folder.path().join(DISLIKED);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[8] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let message = load_truth(folder.path(), 3).unwrap_err().to_string();
        assert!(message.contains("disliked.parquet: found SHA-256"), "{message}");
    }
}
