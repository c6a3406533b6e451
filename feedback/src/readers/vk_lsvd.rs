//! VK-LSVD (short videos of VK): each row of `week_NN.parquet` is a video that was shown, with flags; `dislike` is an
//! explicit dislike. The files have no times: rows are in order, and each file is a week of January to June 2025, so the
//! rows of a week are spread evenly over it.

use super::layout::{Categories, CategoryKind, Column, EventFile, Feeling, Format, ItemFile, Layout, Time};
use super::{ReadError, files};
use crate::dataset_builder::Catalogue;
use std::path::{Path, PathBuf};

/// Monday, 30 December 2024, midnight: where week 0 is put.
const WEEK_0: i64 = 1_735_516_800;
/// Seconds of a week.
const WEEK: i64 = 7 * 86_400;

/// The files in `folder` (`subsamples/NAME` or `interactions`), or in `train` and `validation` below it.
pub(super) fn layout(folder: &Path) -> Result<Layout, ReadError> {
    let mut weeks = Vec::new();
    for pattern in ["week_*.parquet", "train/week_*.parquet", "validation/week_*.parquet"] {
        weeks.extend(files::matching(folder, pattern)?);
    }
    let numbered: Vec<(i64, PathBuf)> = weeks.into_iter().filter_map(|path| Some((week_of(&path)?, path))).collect();
    if numbered.is_empty() {
        return Err(files::none_of(folder, "VK-LSVD", &["week_NN.parquet", "train/week_NN.parquet"]));
    }
    let event = |(week, path): (i64, PathBuf)| EventFile {
        path,
        format: Format::Parquet,
        user: Column::named("user_id"),
        item: Column::named("item_id"),
        time: Time::Spread { from: WEEK_0 + week * WEEK, to: WEEK_0 + (week + 1) * WEEK },
        feeling: Feeling::Flags {
            negative: vec![Column::named("dislike")],
            positive: ["like", "share", "bookmark"].map(Column::named).into(),
        },
    };
    let name = "items_metadata.parquet";
    let places = [name, &format!("metadata/{name}"), &format!("../metadata/{name}"), &format!("../../metadata/{name}")];
    let item = |path| ItemFile {
        path,
        format: Format::Parquet,
        key: Column::named("item_id"),
        title: None,
        year: None,
        categories: vec![Categories { column: Column::named("author_id"), kind: CategoryKind::Numbered("author") }],
    };
    let items = files::first_matching(folder, &places)?.into_iter().map(item).collect();
    Ok(Layout { events: numbered.into_iter().map(event).collect(), items, catalogue: Catalogue::WithEvents })
}

/// The number in `week_07.parquet`; a year at most.
fn week_of(path: &Path) -> Option<i64> {
    let name = path.file_stem()?.to_str()?;
    name.strip_prefix("week_")?.parse().ok().filter(|week| (0..=52).contains(week))
}
