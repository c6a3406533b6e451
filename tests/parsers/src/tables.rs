//! Tables of others: the same bytes as events and as items, by the columns of `[data.table]`.

use crate::scratch::with_files;
use conrec_domain::spec::{DataSpec, Source, TableSpec};
use conrec_feedback::event::Event;
use conrec_feedback::readers::read;
use conrec_feedback::vector_files::read_vectors;

/// The present for the check of times: 2100-01-01.
const NOW: i64 = 4_102_444_800;

/// Comma separated, with quotes.
pub(crate) fn csv(bytes: &[u8]) {
    table("table.csv", bytes);
}

/// The same, unpacked from gzip.
pub(crate) fn csv_gz(bytes: &[u8]) {
    table("table.csv.gz", bytes);
}

/// JSON, or what Python printed, a line.
pub(crate) fn json_lines(bytes: &[u8]) {
    table("table.jsonl", bytes);
}

/// Parquet as events and items, and the same bytes as vectors of items.
pub(crate) fn parquet(bytes: &[u8]) {
    let columns = TableSpec { title: String::new(), categories: vec!["tags".into()], ..TableSpec::default() };
    read_as("table.parquet", bytes, columns);
    with_files(&[("vectors.parquet", bytes)], |folder| {
        if let Ok(read) = read_vectors(&folder.join("vectors.parquet"), None) {
            assert_eq!(read.vectors.data.len(), read.vectors.rows * read.vectors.cols);
            assert_eq!(read.keys.map(|keys| keys.len()), Some(read.vectors.rows));
            assert!(read.vectors.data.iter().all(|value| value.is_finite()));
        }
    });
}

fn table(name: &str, bytes: &[u8]) {
    let columns = TableSpec {
        title: "feedback".into(),
        categories: vec!["feedback".into(), "rating".into()],
        year: "time".into(),
        ..TableSpec::default()
    };
    read_as(name, bytes, columns);
}

fn read_as(name: &str, bytes: &[u8], columns: TableSpec) {
    with_files(&[(name, bytes)], |folder| {
        let columns = TableSpec { events: vec![name.into()], items: vec![name.into()], ..columns };
        let spec = DataSpec {
            source: Source::Table,
            path: folder.display().to_string(),
            malformed_share: 1.0,
            table: columns,
            ..DataSpec::default()
        };
        if let Ok(data) = read(&spec, NOW) {
            assert!(data.events.is_sorted_by_key(Event::order));
            let known =
                |event: &Event| (event.user as usize) < data.users.len() && (event.item as usize) < data.items.len();
            assert!(data.events.iter().all(|event| known(event) && event.time <= NOW + 86_400));
            assert!(data.items.iter().all(|item| !item.key.is_empty() && !item.title.is_empty()));
        }
    });
}
