//! A made-up dataset as files that the readers of real data take, with the truth in files of its own: for tests of
//! readers and for benchmarks of any size. Written block by block; what is held does not grow with the number of events.
//!
//! | file | columns |
//! |---|---|
//! | `events.csv` or `.parquet` | user, item, time (Unix seconds), rating (1, 3 or 5), feedback (negative, neutral or positive) |
//! | `items.csv` or `.parquet` | item, title, categories |
//! | `item_vectors.parquet` | key, vector |
//! | `truth_items.csv` or `.parquet` | item, region; without the neutral items |
//! | `truth_users.csv` or `.parquet` | user, region, from, to: when the user disliked the region |

use crate::dataset::{DislikedRegion, Item};
use crate::event::{Event, Sign};
use crate::prepared::PreparedError;
use crate::prepared::parts::{PartWriter, make_folder};
use crate::prepared::table::{Table, TableWriter, write_tables};
use crate::synthetic::{Generator, item_key, user_key};
use rayon::prelude::*;
use std::fmt::Write as _;
use std::path::Path;

/// Rows that become text, or a table, at a time.
const ROWS_AT_A_TIME: usize = 1 << 16;

/// The form of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text with a header line.
    Csv,
    /// Apache Parquet, compressed with Snappy.
    Parquet,
}

/// The order of the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By time: all users are held, some 300 bytes each.
    Time,
    /// User by user: any number of users in the same memory.
    User,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// All events.
    pub events: u64,
    /// Dislikes among them.
    pub negatives: u64,
    /// Likes among them.
    pub positives: u64,
    /// Stretches of time in which a user disliked a region.
    pub disliked_regions: u64,
}

/// How rows of one kind become a file.
struct Rows<T> {
    /// Names of the columns, for text.
    header: &'static str,
    /// Appends one line of text.
    line: fn(&T, &mut String),
    /// The rows as columns.
    table: fn(&[T]) -> Table,
}

/// A file that is being written.
enum RowFile<T> {
    Text(Box<PartWriter>, Rows<T>),
    /// Made with the first rows, which say the columns' types.
    Table(Box<TableWriter>, Rows<T>),
}

/// Writes all files into a folder, which is made if need be.
///
/// # Errors
/// A file cannot be written.
pub fn write(generator: &Generator, folder: &Path, format: Format, order: Order) -> Result<Written, PreparedError> {
    make_folder(folder)?;
    write_catalogue(generator, folder, format)?;
    let mut events = RowFile::create(folder, "events", format, EVENTS)?;
    let mut truth = RowFile::create(folder, "truth_users", format, STRETCHES)?;
    let mut written = Written::default();
    let mut take = |block: &[Event]| {
        let of = |sign| block.iter().filter(|e| e.sign == sign).count() as u64;
        written.events += block.len() as u64;
        written.negatives += of(Sign::Negative);
        written.positives += of(Sign::Positive);
        events.write(block)
    };
    let mut stretches = 0;
    match order {
        Order::Time => {
            let mut stream = generator.in_time_order();
            stream.by_ref().try_for_each(|block| take(&block))?;
            let disliked = stream.disliked();
            stretches += disliked.len() as u64;
            truth.write(&disliked)?;
        }
        Order::User => {
            for (block, disliked) in generator.by_user() {
                take(&block)?;
                stretches += disliked.len() as u64;
                truth.write(&disliked)?;
            }
        }
    }
    events.finish()?;
    truth.finish()?;
    Ok(Written { disliked_regions: stretches, ..written })
}

fn write_catalogue(generator: &Generator, folder: &Path, format: Format) -> Result<(), PreparedError> {
    let items: Vec<Item> = generator.items().collect();
    let mut file = RowFile::create(folder, "items", format, ITEMS)?;
    file.write(&items)?;
    file.finish()?;
    let regions: Vec<(u32, u32)> =
        (0..).zip(generator.region_of_item()).filter_map(|(item, region)| Some((item, (*region)?))).collect();
    let mut file = RowFile::create(folder, "truth_items", format, REGIONS)?;
    file.write(&regions)?;
    file.finish()?;
    let vectors = generator.vectors();
    let rows: Vec<(usize, &str)> = items.iter().map(|item| item.key.as_str()).enumerate().collect();
    let table = |some: &[(usize, &str)]| {
        let keys = some.iter().map(|(_, key)| *key);
        Table::default().texts("key", keys).f32_lists("vector", some.iter().map(|(row, _)| vectors.row(*row)))
    };
    write_tables(folder, "item_vectors.parquet", &rows, table)?;
    Ok(())
}

impl<T: Sync> RowFile<T> {
    fn create(folder: &Path, name: &str, format: Format, rows: Rows<T>) -> Result<Self, PreparedError> {
        match format {
            Format::Csv => {
                let mut part = PartWriter::create(folder, &format!("{name}.csv"))?;
                part.put(rows.header.as_bytes())?;
                Ok(Self::Text(Box::new(part), rows))
            }
            Format::Parquet => {
                let writer = TableWriter::create(folder, &format!("{name}.parquet"), (rows.table)(&[]))?;
                Ok(Self::Table(Box::new(writer), rows))
            }
        }
    }

    fn write(&mut self, block: &[T]) -> Result<(), PreparedError> {
        match self {
            Self::Text(part, rows) => {
                let line = rows.line;
                let text = |some: &[T]| {
                    let mut text = String::new();
                    some.iter().for_each(|row| line(row, &mut text));
                    text
                };
                // A few chunks for each thread, and no more text than that.
                for some in block.chunks(ROWS_AT_A_TIME * 8) {
                    let texts: Vec<String> = some.par_chunks(ROWS_AT_A_TIME).map(text).collect();
                    texts.iter().try_for_each(|text| part.put(text.as_bytes()))?;
                }
            }
            Self::Table(writer, rows) => {
                for some in block.chunks(ROWS_AT_A_TIME) {
                    writer.write((rows.table)(some))?;
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(), PreparedError> {
        match self {
            Self::Text(part, _) => part.finish().map(|_| ()),
            Self::Table(writer, _) => writer.finish().map(|_| ()),
        }
    }
}

const EVENTS: Rows<Event> = Rows {
    header: "user,item,time,rating,feedback\n",
    line: |e, text| {
        let (rating, feedback) = said(e.sign);
        let (user, item) = (user_key(e.user), item_key(e.item));
        let _ = writeln!(text, "{user},{item},{},{rating},{feedback}", e.time);
    },
    table: |some| {
        let users: Vec<String> = some.iter().map(|e| user_key(e.user)).collect();
        let items: Vec<String> = some.iter().map(|e| item_key(e.item)).collect();
        Table::default()
            .texts("user", users.iter().map(String::as_str))
            .texts("item", items.iter().map(String::as_str))
            .i64s("time", some.iter().map(|e| e.time))
            .u8s("rating", some.iter().map(|e| said(e.sign).0))
            .texts("feedback", some.iter().map(|e| said(e.sign).1))
    },
};

const ITEMS: Rows<Item> = Rows {
    header: "item,title,categories\n",
    line: |item, text| {
        let _ = writeln!(text, "{},{},{}", item.key, item.title, item.categories.join("|"));
    },
    table: |some| {
        let categories: Vec<String> = some.iter().map(|item| item.categories.join("|")).collect();
        Table::default()
            .texts("item", some.iter().map(|item| item.key.as_str()))
            .texts("title", some.iter().map(|item| item.title.as_str()))
            .texts("categories", categories.iter().map(String::as_str))
    },
};

const REGIONS: Rows<(u32, u32)> = Rows {
    header: "item,region\n",
    line: |(item, region), text| {
        let _ = writeln!(text, "{},{region}", item_key(*item));
    },
    table: |some| {
        let items: Vec<String> = some.iter().map(|(item, _)| item_key(*item)).collect();
        Table::default()
            .texts("item", items.iter().map(String::as_str))
            .u32s("region", some.iter().map(|(_, region)| *region))
    },
};

const STRETCHES: Rows<DislikedRegion> = Rows {
    header: "user,region,from,to\n",
    line: |stretch, text| {
        let DislikedRegion { user, region, from, to } = *stretch;
        let _ = writeln!(text, "{},{region},{from},{to}", user_key(user));
    },
    table: |some| {
        let users: Vec<String> = some.iter().map(|stretch| user_key(stretch.user)).collect();
        Table::default()
            .texts("user", users.iter().map(String::as_str))
            .u32s("region", some.iter().map(|stretch| stretch.region))
            .i64s("from", some.iter().map(|stretch| stretch.from))
            .i64s("to", some.iter().map(|stretch| stretch.to))
    },
};

/// A reaction as a rating, which any reader's thresholds tell apart, and as a word.
fn said(sign: Sign) -> (u8, &'static str) {
    match sign {
        Sign::Negative => (1, "negative"),
        Sign::Neutral => (3, "neutral"),
        Sign::Positive => (5, "positive"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::generate;
    use conrec_domain::spec::SyntheticSpec;

    fn spec() -> SyntheticSpec {
        SyntheticSpec { users: 40, items: 80, regions: 10, days: 20, drift_rate: 0.1, ..SyntheticSpec::default() }
    }

    fn lines(folder: &Path, name: &str) -> Vec<String> {
        std::fs::read_to_string(folder.join(name)).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn text_holds_what_the_dataset_holds_in_either_order() {
        let (generator, data) = (Generator::new(&spec(), 3).unwrap(), generate(&spec(), 3).unwrap());
        let truth = data.truth.as_ref().unwrap();
        let expected: Vec<String> = data
            .events
            .iter()
            .map(|e| {
                let (rating, word) = said(e.sign);
                let (user, item) = (&data.users[e.user as usize], &data.items[e.item as usize].key);
                format!("{user},{item},{},{rating},{word}", e.time)
            })
            .collect();
        for order in [Order::Time, Order::User] {
            let folder = tempfile::tempdir().unwrap();
            let written = write(&generator, folder.path(), Format::Csv, order).unwrap();
            let mut events = lines(folder.path(), "events.csv").split_off(1);
            let mut sorted = expected.clone();
            if order == Order::User {
                assert!(events.is_sorted_by_key(|line| line.split(',').next().unwrap().to_owned()));
                events.sort();
                sorted.sort();
            }
            assert_eq!(events, sorted);
            assert_eq!(
                (written.events, written.disliked_regions),
                (expected.len() as u64, truth.disliked.len() as u64)
            );
            let stretches = lines(folder.path(), "truth_users.csv");
            let first = truth.disliked[0];
            assert_eq!(stretches[0], "user,region,from,to");
            assert_eq!(stretches[1], format!("user-000000,{},{},{}", first.region, first.from, first.to));
            assert_eq!(stretches.len(), truth.disliked.len() + 1);
            let neutral = truth.region_of_item.iter().filter(|region| region.is_none()).count();
            assert_eq!(lines(folder.path(), "truth_items.csv").len(), 80 - neutral + 1);
            assert_eq!(lines(folder.path(), "items.csv").len(), 81);
        }
    }

    #[test]
    fn parquet_holds_the_same_and_the_same_seed_gives_the_same_bytes() {
        use crate::prepared::table::Columns;
        let (generator, data) = (Generator::new(&spec(), 3).unwrap(), generate(&spec(), 3).unwrap());
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(&generator, a.path(), Format::Parquet, Order::Time).unwrap();
        write(&generator, b.path(), Format::Parquet, Order::Time).unwrap();
        let columns = Columns::read(&a.path().join("events.parquet")).unwrap();
        assert_eq!(columns.i64s("time").unwrap(), data.events.iter().map(|e| e.time).collect::<Vec<_>>());
        let users: Vec<&String> = data.events.iter().map(|e| &data.users[e.user as usize]).collect();
        assert!(columns.texts("user").unwrap().iter().eq(users));
        let vectors = Columns::read(&a.path().join("item_vectors.parquet")).unwrap();
        assert_eq!(vectors.f32_lists("vector").unwrap().concat(), data.vectors.unwrap().data);
        for name in ["events", "items", "item_vectors", "truth_items", "truth_users"] {
            let bytes = |folder: &Path| std::fs::read(folder.join(format!("{name}.parquet"))).unwrap();
            assert_eq!(bytes(a.path()), bytes(b.path()), "{name}");
        }
    }
}
