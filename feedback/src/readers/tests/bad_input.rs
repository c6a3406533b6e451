//! What is wrong with a file is named, with what was expected and what to do.

use super::*;

fn refused(files: &[(&str, &[u8])], change: impl FnOnce(&mut TableSpec)) -> String {
    let folder = folder(files);
    let mut spec = stars(Source::Table, &folder);
    spec.table.events = vec![files[0].0.into()];
    change(&mut spec.table);
    read(&spec, NOW).unwrap_err().to_string()
}

fn has_all(error: &str, words: &[&str]) {
    for word in words {
        assert!(error.contains(word), "`{word}` is missing in: {error}");
    }
}

#[test]
fn a_missing_column_is_named_with_those_found_and_the_nearest() {
    let error = refused(&[("e.csv", b"usr_id,item,rating,time\n1,2,3,4\n")], |table| table.user = "user_id".into());
    let words = ["e.csv: there is no column `user_id`", "data.table.user names", "`usr_id`, `item`, `rating`, `time`"];
    has_all(&error, &words);
    has_all(&error, &["did you mean data.table.user = \"usr_id\"?"]);
    let columns: Vec<(&str, ArrayRef)> = vec![("uid", Arc::new(UInt32Array::from(vec![1])))];
    let folder = folder(&[("dislikes.parquet", &parquet(columns))]);
    let error = read(&stars(Source::Yambda, &folder), NOW).unwrap_err().to_string();
    has_all(&error, &["there is no column `item_id`", "found are `uid`"]);
}

#[test]
fn milliseconds_in_place_of_seconds_are_told() {
    let error = refused(&[("e.csv", b"user,item,rating,time\n1,2,3,1395421500000\n")], |_| {});
    has_all(
        &error,
        &["e.csv:2: found time `1395421500000`, which lies in the future", "data.table.time_unit = \"milliseconds\""],
    );
    let error = refused(&[("e.csv", b"user,item,rating,time\n1,2,3,1395421500\n")], |table| {
        table.time_unit = TimeUnit::Milliseconds;
    });
    has_all(&error, &["e.csv: found no time after 1970-01-17", "data.table.time_unit = \"seconds\""]);
    let error = refused(&[("e.csv", b"user,item,rating,time\n1,2,3,2014-03-21\n")], |_| {});
    has_all(&error, &["found time `2014-03-21`", "data.table.time_unit = \"iso\""]);
}

#[test]
fn a_file_that_ends_in_its_middle_is_named() {
    let rows: String = (0..5000).map(|n| format!("{n},{},3,{n}\n", n * 7919 % 10_007)).collect();
    let whole = gzip(format!("user,item,rating,time\n{rows}").as_bytes());
    let error = refused(&[("e.csv.gz", &whole[..whole.len() / 2])], |_| {});
    has_all(&error, &["e.csv.gz is damaged after", "rows", "checksum"]);
    let columns: Vec<(&str, ArrayRef)> = vec![("user", Arc::new(UInt32Array::from_iter_values(0..1000)))];
    let whole = parquet(columns);
    let error = refused(&[("e.parquet", &whole[..whole.len() - 20])], |_| {});
    has_all(&error, &["e.parquet is damaged after 0 rows"]);
    let mut changed = whole;
    changed[20..200].fill(0xff);
    has_all(
        &refused(&[("e.parquet", &changed)], |table| {
            for column in [&mut table.item, &mut table.time, &mut table.rating] {
                *column = "user".into();
            }
        }),
        &["e.parquet is damaged"],
    );
}

/// Every other byte of a file of another program is changed in turn: it is read or refused.
#[test]
fn no_change_of_a_byte_of_parquet_panics() {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/plain-lz4.parquet");
    let whole = fs::read(golden).unwrap();
    let folder = folder(&[]);
    let spec = stars(Source::Table, &folder);
    let table = TableSpec { events: vec!["e.parquet".into()], ..TableSpec::default() };
    let spec = DataSpec { malformed_share: 1.0, table, ..spec };
    let (mut refused, mut read_on) = (0, 0);
    for at in (0..whole.len()).step_by(2) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x15;
        fs::write(folder.path().join("e.parquet"), &bytes).unwrap();
        match read(&spec, NOW) {
            Ok(_) => read_on += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 50 && read_on > 50, "{refused} refused, {read_on} read");
}

#[test]
fn bytes_that_are_not_utf_8_are_told_with_the_encoding_to_set() {
    let error = refused(&[("e.csv", b"user,item,rating,time\ncaf\xe9,2,3,4\n")], |_| {});
    has_all(&error, &["e.csv:2: found byte 0xe9", "data.table.encoding = \"latin-1\""]);
    let error = refused(&[("e.csv", b"us\xe9r,item,rating,time\n1,2,3,4\n")], |_| {});
    has_all(&error, &["line 1: found byte 0xe9"]);
}

#[test]
fn rows_with_too_few_fields_and_odd_values_are_counted() {
    let rows = b"user,item,rating,time\n1,2,3\n1,2,five,4\n,2,3,4\n1,,3,4\n1,2,3,4\n";
    let error = refused(&[("e.csv", rows)], |_| {});
    has_all(&error, &["e.csv:2: found 3 fields, expected 4; 4 of 5 lines cannot be read", "data.malformed_share"]);
}

#[test]
fn a_quote_that_is_never_closed_takes_in_no_more_than_a_bound() {
    let mut bytes = b"user,item,rating,time\n1,\"2,3,4\n".to_vec();
    bytes.resize(40 << 20, b'x');
    has_all(&refused(&[("e.csv", &bytes)], |_| {}), &["is damaged after 0 rows", "is a quote never closed?"]);
}

#[test]
fn folders_without_the_files_say_what_they_hold() {
    let folder = folder(&[("notes.txt", b"")]);
    for source in [
        Source::MovieTweetings,
        Source::MovieLens,
        Source::RecBole,
        Source::Amazon2014,
        Source::Amazon2018,
        Source::Amazon2023,
        Source::KuaiRand,
        Source::Yambda,
        Source::VkLsvd,
        Source::Steam,
        Source::Table,
    ] {
        let error = read(&stars(source, &folder), NOW).unwrap_err().to_string();
        has_all(&error, &["holds none of", "it holds notes.txt", "data.path"]);
    }
    let spec = DataSpec { path: "no/such/folder".into(), ..DataSpec::default() };
    has_all(&read(&spec, NOW).unwrap_err().to_string(), &["no/such/folder", "data.path"]);
}

#[test]
fn thresholds_that_make_everything_a_negative_are_told() {
    let folder = folder(&[("e.csv", b"user,item,rating,time\n1,2,1,4\n1,3,5,4\n")]);
    let mut spec = DataSpec { negative_at_most: 5.0, positive_at_least: 7.0, ..stars(Source::Table, &folder) };
    spec.table.events = vec!["e.csv".into()];
    let error = read(&spec, NOW).unwrap_err().to_string();
    has_all(&error, &["ratings run from 1 to 5", "data.negative_at_most = 5", "positive_at_least = 4"]);
}

#[test]
fn lines_of_json_that_are_none_are_told_apart_from_python() {
    let error = refused(&[("e.jsonl", b"{\"user\": \n")], |_| {});
    has_all(&error, &["e.jsonl:1: not JSON"]);
    let error = refused(&[("e.jsonl", b"{'user': \n")], |_| {});
    has_all(&error, &["e.jsonl:1: found the end", "expected a value"]);
    let error = refused(&[("e.jsonl", b"{\"item\": 3}\n")], |_| {});
    has_all(&error, &["e.jsonl:1: found time nothing"]);
}
