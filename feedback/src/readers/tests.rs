//! Small files in each publisher's layout, made by hand after its documents.

use super::*;
use crate::event::Sign::{self, Negative, Neutral, Positive};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt8Array, UInt32Array};
use conrec_domain::spec::{Encoding, TableSpec, TimeUnit};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use std::fs;
use std::io::Write;
use std::sync::Arc;
use tempfile::TempDir;

/// 2026-01-01.
const NOW: i64 = 1_767_225_600;

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

/// Stars: 2 or less is a negative, 4 or more a positive.
fn stars(source: Source, folder: &TempDir) -> DataSpec {
    let path = folder.path().display().to_string();
    DataSpec { source, path, negative_at_most: 2.0, positive_at_least: 4.0, ..DataSpec::default() }
}

fn read_stars(source: Source, folder: &TempDir) -> Dataset {
    read(&stars(source, folder), NOW).unwrap()
}

/// User, item, time and sign of each event, by the source's own ids.
fn events(data: &Dataset) -> Vec<(&str, &str, i64, Sign)> {
    let event = |e: &crate::event::Event| {
        (data.users[e.user as usize].as_str(), data.items[e.item as usize].key.as_str(), e.time, e.sign)
    };
    data.events.iter().map(event).collect()
}

/// Key, title, year and categories of each item.
fn items(data: &Dataset) -> Vec<(&str, &str, Option<u16>, Vec<&str>)> {
    data.items
        .iter()
        .map(|i| (i.key.as_str(), i.title.as_str(), i.year, i.categories.iter().map(String::as_str).collect()))
        .collect()
}

mod bad_input;
mod publishers;
mod tables;
