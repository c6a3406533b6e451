//! The tables of a prepared pass: what stands in which file and column.

use super::parts::{self, Part};
use super::table::{Columns, Table, write_table, write_tables};
use super::{EvaluationSet, PreparedError, PreparedPass, Role};
use crate::dataset::{Dataset, Dropped, Item};
use crate::event::{Event, Sign};
use crate::instance::Instance;
use crate::matrix::Matrix;
use crate::semantic_id::{MOST_LEVELS, SemanticIdError, SemanticIds};
use crate::sid_files;
use crate::split::{PassWindows, Window};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// Separates the categories of an item in one text column.
const SEPARATOR: char = '|';

/// Files of the tables; `validation.parquet` and `test.parquet` are named by their role.
const EVENTS: &str = "events.parquet";
const USERS: &str = "users.parquet";
const ITEMS: &str = "items.parquet";
const ITEM_VECTORS: &str = "item_vectors.parquet";
const TRAINING: &str = "training.parquet";
const SWING: &str = "swing.parquet";
const SIDS: &str = "sids.parquet";
const CELL_VECTORS: &str = "cell_vectors.parquet";
const INDEX: &str = "index.json";
const ITEM_TEXTS: &str = "item.json";

/// What is no table: part of `pass.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Contents {
    windows: PassWindows,
    evaluations: Vec<(Role, Window)>,
    levels: usize,
    codes: usize,
    latent: usize,
    /// Columns of `item_vectors.parquet`, where the source has vectors.
    item_vectors: Option<usize>,
    dropped: Dropped,
}

impl Contents {
    pub(super) fn of(pass: &PreparedPass) -> Self {
        Self {
            windows: pass.windows,
            evaluations: pass.evaluations.iter().map(|set| (set.role, set.window)).collect(),
            levels: pass.ids.levels,
            codes: pass.ids.codes,
            latent: pass.cell_vectors.cols,
            item_vectors: pass.dataset.vectors.as_ref().map(|vectors| vectors.cols),
            dropped: pass.dataset.dropped.clone(),
        }
    }
}

fn role_file(role: Role) -> &'static str {
    match role {
        Role::Validation => "validation.parquet",
        Role::Test => "test.parquet",
    }
}

/// Writes every file but `pass.json`, one after the other.
pub(super) fn write(pass: &PreparedPass, folder: &Path) -> Result<Vec<Part>, PreparedError> {
    let data = &pass.dataset;
    let whole = |name: &str, table: Table| write_table(folder, name, table);
    let mut files = vec![
        write_tables(folder, EVENTS, &data.events, events_table)?,
        whole(USERS, Table::default().texts("key", data.users.iter().map(String::as_str)))?,
        whole(ITEMS, items_table(data, &pass.ids))?,
        write_tables(folder, TRAINING, &pass.training, instances_table)?,
        whole(SWING, swing_table(&pass.swing))?,
        whole(SIDS, sids_table(&pass.ids))?,
        whole(CELL_VECTORS, matrix_table(&pass.cell_vectors))?,
        parts::write(folder, INDEX, sid_files::index_json(&data.items, &pass.ids).as_bytes())?,
        parts::write(folder, ITEM_TEXTS, sid_files::item_json(&data.items).as_bytes())?,
    ];
    if let Some(vectors) = &data.vectors {
        files.push(whole(ITEM_VECTORS, matrix_table(vectors))?);
    }
    for set in &pass.evaluations {
        let table = instances_table(&set.instances);
        let table = table.u32_lists("candidates", set.candidates.iter().map(Vec::as_slice));
        files.push(whole(role_file(set.role), table)?);
    }
    Ok(files)
}

/// Reads all tables of a folder.
pub(super) fn read(contents: Contents, folder: &Path) -> Result<PreparedPass, PreparedError> {
    let open = |name: &str| Columns::read(&folder.join(name));
    let users = open(USERS)?.texts("key")?;
    let (items, candidates) = read_items(&open(ITEMS)?)?;
    let sizes = Sizes { users: users.len(), items: items.len() };
    let ids = read_sids(&open(SIDS)?, &contents, &candidates, folder)?;
    let cell_vectors = read_matrix(&open(CELL_VECTORS)?, contents.latent, ids.cells())?;
    let vectors = match contents.item_vectors {
        Some(cols) => Some(read_matrix(&open(ITEM_VECTORS)?, cols, sizes.items)?),
        None => None,
    };
    let mut evaluations = Vec::new();
    for (role, window) in contents.evaluations {
        let columns = open(role_file(role))?;
        let instances = read_instances(&columns, sizes)?;
        let candidates = columns.index_lists("candidates", sizes.items)?;
        evaluations.push(EvaluationSet { role, window, instances, candidates });
    }
    let mut events = Vec::new();
    Columns::each(&folder.join(EVENTS), |columns| read_events(columns, sizes, &mut events))?;
    let mut training = Vec::new();
    Columns::each(&folder.join(TRAINING), |columns| {
        training.extend(read_instances(columns, sizes)?);
        Ok(())
    })?;
    Ok(PreparedPass {
        windows: contents.windows,
        dataset: Arc::new(Dataset { events, users, items, vectors, dropped: contents.dropped, truth: None }),
        training,
        evaluations,
        swing: read_swing(&open(SWING)?, sizes)?,
        ids,
        cell_vectors,
    })
}

/// Numbers that indices must stay below.
#[derive(Clone, Copy)]
struct Sizes {
    users: usize,
    items: usize,
}

fn events_table(events: &[Event]) -> Table {
    let sign = |event: &Event| match event.sign {
        Sign::Negative => 0,
        Sign::Neutral => 1,
        Sign::Positive => 2,
    };
    Table::default()
        .u32s("user", events.iter().map(|e| e.user))
        .u32s("item", events.iter().map(|e| e.item))
        .i64s("time", events.iter().map(|e| e.time))
        .u8s("sign", events.iter().map(sign))
}

fn read_events(columns: &Columns, sizes: Sizes, events: &mut Vec<Event>) -> Result<(), PreparedError> {
    let (users, items) = (columns.indices("user", sizes.users)?, columns.indices("item", sizes.items)?);
    let (times, signs) = (columns.i64s("time")?, columns.u8s("sign")?);
    for (((user, item), time), sign) in users.into_iter().zip(items).zip(times).zip(signs) {
        let sign = match sign {
            0 => Sign::Negative,
            1 => Sign::Neutral,
            2 => Sign::Positive,
            other => return Err(columns.damaged(format!("sign {other}"), "0, 1 or 2")),
        };
        events.push(Event { user, item, time, sign });
    }
    Ok(())
}

fn items_table(data: &Dataset, ids: &SemanticIds) -> Table {
    let categories: Vec<String> = data.items.iter().map(|item| item.categories.join(&SEPARATOR.to_string())).collect();
    Table::default()
        .texts("key", data.items.iter().map(|item| item.key.as_str()))
        .texts("title", data.items.iter().map(|item| item.title.as_str()))
        // No year is written as 0: the title of a work of the year 0 is not expected.
        .u16s("year", data.items.iter().map(|item| item.year.unwrap_or(0)))
        .texts("categories", categories.iter().map(String::as_str))
        .bools("candidate", (0..data.items.len() as u32).map(|item| ids.cell_of(item).is_some()))
}

fn read_items(columns: &Columns) -> Result<(Vec<Item>, Vec<bool>), PreparedError> {
    let (keys, titles) = (columns.texts("key")?, columns.texts("title")?);
    let (years, categories) = (columns.u16s("year")?, columns.texts("categories")?);
    let rows = keys.into_iter().zip(titles).zip(years).zip(categories);
    let item = |(((key, title), year), categories): (((String, String), u16), String)| Item {
        key,
        title,
        year: (year != 0).then_some(year),
        categories: categories.split(SEPARATOR).filter(|c| !c.is_empty()).map(str::to_owned).collect(),
    };
    Ok((rows.map(item).collect(), columns.bools("candidate")?))
}

fn instances_table(instances: &[Instance]) -> Table {
    Table::default()
        .u32s("user", instances.iter().map(|i| i.user))
        .i64s("t0", instances.iter().map(|i| i.t0))
        .u32s("next", instances.iter().map(|i| i.next))
        .u32_lists("gts", instances.iter().map(|i| i.gts.as_slice()))
        .u32_lists("fps", instances.iter().map(|i| i.fps.as_slice()))
}

fn read_instances(columns: &Columns, sizes: Sizes) -> Result<Vec<Instance>, PreparedError> {
    let (users, times) = (columns.indices("user", sizes.users)?, columns.i64s("t0")?);
    let next = columns.indices("next", sizes.items)?;
    let (gts, fps) = (columns.index_lists("gts", sizes.items)?, columns.index_lists("fps", sizes.items)?);
    let rows = users.into_iter().zip(times).zip(next).zip(gts).zip(fps);
    Ok(rows.map(|((((user, t0), next), gts), fps)| Instance { user, t0, next, gts, fps }).collect())
}

fn swing_table(swing: &[Vec<(u32, f64)>]) -> Table {
    let rows =
        || swing.iter().enumerate().flat_map(|(item, near)| near.iter().map(move |&(j, score)| (item, j, score)));
    Table::default()
        .u32s("item", rows().map(|row| row.0 as u32))
        .u32s("neighbour", rows().map(|row| row.1))
        .f64s("score", rows().map(|row| row.2))
}

fn read_swing(columns: &Columns, sizes: Sizes) -> Result<Vec<Vec<(u32, f64)>>, PreparedError> {
    let mut swing = vec![Vec::new(); sizes.items];
    let (items, neighbours) = (columns.indices("item", sizes.items)?, columns.indices("neighbour", sizes.items)?);
    for ((item, neighbour), score) in items.into_iter().zip(neighbours).zip(columns.f64s("score")?) {
        swing[item as usize].push((neighbour, score));
    }
    Ok(swing)
}

/// Column of a level's codes: `a`, `b`, `c`, as in the tokens.
fn level_column(level: usize) -> String {
    char::from(b'a' + (level % 26) as u8).to_string()
}

fn sids_table(ids: &SemanticIds) -> Table {
    let with_level = |table: Table, level| {
        table.u16s(&level_column(level), ids.of_item.iter().skip(level).step_by(ids.levels).copied())
    };
    (0..ids.levels).fold(Table::default(), with_level)
}

fn read_sids(
    columns: &Columns,
    contents: &Contents,
    candidates: &[bool],
    folder: &Path,
) -> Result<SemanticIds, PreparedError> {
    let levels = contents.levels;
    // Before anything of that size is allocated.
    if !(1..=MOST_LEVELS).contains(&levels) {
        let source = SemanticIdError::Levels(levels);
        return Err(PreparedError::SemanticIds { file: folder.join(SIDS), source });
    }
    let mut of_item = vec![0; levels * candidates.len()];
    for level in 0..levels {
        let codes = columns.u16s(&level_column(level))?;
        if codes.len() != candidates.len() {
            return Err(columns.damaged(format!("{} rows", codes.len()), format!("{} rows", candidates.len())));
        }
        for (item, code) in codes.into_iter().enumerate() {
            of_item[item * levels + level] = code;
        }
    }
    SemanticIds::new(levels, contents.codes, of_item, candidates)
        .map_err(|source| PreparedError::SemanticIds { file: folder.join(SIDS), source })
}

fn matrix_table(matrix: &Matrix) -> Table {
    Table::default().f32_lists("vector", (0..matrix.rows).map(|row| matrix.row(row)))
}

fn read_matrix(columns: &Columns, cols: usize, rows: usize) -> Result<Matrix, PreparedError> {
    let lists = columns.f32_lists("vector")?;
    if lists.len() != rows || lists.iter().any(|row| row.len() != cols) {
        let widths = lists.first().map_or(0, Vec::len);
        return Err(columns.damaged(format!("{} rows of {widths}", lists.len()), format!("{rows} rows of {cols}")));
    }
    Ok(Matrix { rows, cols, data: lists.concat() })
}
