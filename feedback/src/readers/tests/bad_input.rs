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
    has_all(&error, &["1 like ", "e.csv:2: found 3 fields, expected 4; 1 like ", "e.csv:3: found rating `five`"]);
    has_all(&error, &["e.csv:5: found an empty item id; 4 of 5 lines cannot be read", "data.malformed_share"]);
    // Of a single kind the first line is enough.
    let rows = b"user,item,rating,time\n1,2,five,4\n1,2,six,4\n1,2,3,4\n";
    let error = refused(&[("e.csv", rows)], |_| {});
    has_all(&error, &["e.csv:2: found rating `five`, expected a number; 2 of 3 lines cannot be read"]);
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

/// The same mistake in many rows is told once, with its number, and so is what was dropped of a file that is read.
#[test]
fn what_was_dropped_is_told_by_kind() {
    let mut rows = String::from("user,item,rating,time\n");
    for n in 0..100 {
        rows += &match n % 10 {
            3 => format!("1,2,bad{n},4\n"),
            7 => "1,2\n".to_owned(),
            _ => format!("{n},2,3,4\n"),
        };
    }
    let folder = folder(&[("e.csv", rows.as_bytes())]);
    let mut spec = DataSpec { malformed_share: 0.5, ..stars(Source::Table, &folder) };
    spec.table.events = vec!["e.csv".into()];
    let data = read(&spec, NOW).unwrap();
    let said = data.dropped.to_string();
    has_all(
        &said,
        &[
            "dropped 20 malformed lines (10 like ",
            "e.csv:5: found rating `bad3`",
            "; 10 like ",
            "e.csv:9: found 2 fields",
        ],
    );
}

#[test]
fn ids_of_any_64_bits_are_exact_in_every_format() {
    let ids = [u64::MAX, u64::MAX - 1, 9_007_199_254_740_993, 0];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("user", Arc::new(arrow_array::UInt64Array::from(ids.to_vec()))),
        ("item", Arc::new(arrow_array::UInt64Array::from(ids.to_vec()))),
        ("rating", Arc::new(UInt8Array::from(vec![1, 2, 3, 4]))),
        ("time", Arc::new(arrow_array::UInt64Array::from(vec![4, 5, 6, 7]))),
    ];
    let lines = |quote: &str| -> String {
        let line = |(n, id): (usize, &u64)| {
            let q = quote;
            format!("{{{q}user{q}: {id}, {q}item{q}: {id}, {q}rating{q}: {}, {q}time{q}: {}}}\n", n + 1, n + 4)
        };
        ids.iter().enumerate().map(line).collect()
    };
    let csv: String = ids.iter().enumerate().map(|(n, id)| format!("{id},{id},{},{}\n", n + 1, n + 4)).collect();
    let folder = folder(&[
        ("e.parquet", &parquet(columns)),
        ("e.jsonl", lines("\"").as_bytes()),
        ("python.json", lines("'").as_bytes()),
        ("e.csv", format!("user,item,rating,time\n{csv}").as_bytes()),
    ]);
    for name in ["e.parquet", "e.jsonl", "python.json", "e.csv"] {
        let mut spec = stars(Source::Table, &folder);
        spec.table.events = vec![name.into()];
        let data = read(&spec, NOW).unwrap();
        let found: Vec<_> = events(&data).into_iter().map(|(user, item, time, _)| (user, item, time)).collect();
        let expected: Vec<String> = ids.iter().map(u64::to_string).collect();
        let expected: Vec<_> = expected.iter().zip(4..).map(|(id, time)| (id.as_str(), id.as_str(), time)).collect();
        assert_eq!(found, expected, "{name}");
    }
    // A float that stands for several whole numbers is nobody's id.
    let error =
        refused(&[("e.jsonl", b"{\"user\": 18446744073709551616, \"item\": 1, \"rating\": 1, \"time\": 4}\n")], |_| {});
    has_all(&error, &["e.jsonl:1: found the user id `1.8446744073709552e19`", "as text"]);
    let floats: Vec<(&str, ArrayRef)> = [("user", 1e16), ("item", 1.0), ("rating", 3.0), ("time", 1e9)]
        .map(|(name, value)| (name, Arc::new(arrow_array::Float64Array::from(vec![value])) as ArrayRef))
        .into();
    has_all(&refused(&[("e.parquet", &parquet(floats))], |_| {}), &["found the user id `1e16`"]);
}

#[test]
fn a_byte_order_mark_is_skipped_in_every_format_of_text() {
    let mark = "\u{feff}";
    let movies = format!("{mark}1::A (1999)::x\n");
    let folder = folder(&[
        ("ratings.dat", format!("{mark}7::1::3::4\n").as_bytes()),
        ("movies.dat", movies.as_bytes()),
        ("headless.csv", format!("{mark}7,1,3,4\n").as_bytes()),
        ("e.jsonl", format!("{mark}{{\"0\": 7, \"1\": 1, \"2\": 3, \"3\": 4}}\n").as_bytes()),
        ("packed.csv.gz", &gzip(format!("{mark}7,1,3,4\n").as_bytes())),
        ("empty.csv", b""),
    ]);
    let seven = [("7", "1", 4, Neutral)];
    assert_eq!(events(&read_stars(Source::MovieTweetings, &folder)), seven);
    let of = |name: &str| {
        let mut spec = stars(Source::Table, &folder);
        spec.table = TableSpec {
            events: vec![name.into()],
            header: false,
            user: "0".into(),
            item: "1".into(),
            rating: "2".into(),
            time: "3".into(),
            ..TableSpec::default()
        };
        read(&spec, NOW)
    };
    for name in ["headless.csv", "e.jsonl", "packed.csv.gz", "packed.csv"] {
        assert_eq!(events(&of(name).unwrap()), seven, "{name}");
    }
    assert!(of("empty.csv").unwrap_err().to_string().contains("holds no events"));
    let wide = refused(&[("e.csv", b"\xff\xfeu\0s\0")], |_| {});
    has_all(&wide, &["e.csv: found the byte order mark of UTF-16", "convert"]);
}

#[test]
fn gzip_is_found_behind_every_name_of_text() {
    let u_item = [&["1", "A (1999)", "", "", ""][..], &["0"; 19]].concat().join("|");
    let cases: [(Source, &[(&str, &str)]); 4] = [
        (Source::MovieTweetings, &[("ratings.dat.gz", "7::1::3::4\n"), ("movies.dat.gz", "1::A (1999)::x\n")]),
        (
            Source::MovieLens,
            &[
                ("ratings.csv.gz", "userId,movieId,rating,timestamp\n7,1,3,4\n"),
                ("movies.csv.gz", "movieId,title,genres\n1,A (1999),x\n"),
            ],
        ),
        (Source::MovieLens, &[("u.data.gz", "7\t1\t3\t4\n"), ("u.item.gz", &u_item)]),
        (
            Source::RecBole,
            &[
                ("x.inter.gz", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n7\t1\t3\t4\n"),
                ("x.item.gz", "item_id:token\ttitle:token_seq\n1\tA\n"),
            ],
        ),
    ];
    for (source, files) in cases {
        let packed: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, text)| (*name, gzip(text.as_bytes()))).collect();
        let packed: Vec<(&str, &[u8])> = packed.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
        let data = read_stars(source, &folder(&packed));
        assert_eq!(events(&data), [("7", "1", 4, Neutral)], "{source:?}");
        assert_eq!(data.items[0].title, "A", "{source:?}");
    }
    let columns: Vec<(&str, ArrayRef)> = vec![("user", Arc::new(UInt32Array::from(vec![1])))];
    let error = refused(&[("e.parquet", &gzip(&parquet(columns)))], |_| {});
    has_all(&error, &["e.parquet: found gzip, expected Parquet", "unpack"]);
}

#[test]
fn rows_in_another_unit_than_the_rest_are_told() {
    let mixed = b"user,item,rating,time\n1,2,3,1395421500000\n1,3,3,1395421501\n1,4,3,1395421502000\n";
    let error = refused(&[("e.csv", mixed)], |table| table.time_unit = TimeUnit::Milliseconds);
    has_all(&error, &["e.csv:3: found time `1395421501`", "of our days in seconds since 1970", "1 of 3 lines"]);
    let error = refused(&[("e.csv", mixed)], |_| {});
    has_all(&error, &["e.csv:2: found time `1395421500000`", "\"milliseconds\"", "2 of 3 lines"]);
    let mut spec = DataSpec { malformed_share: 0.5, ..stars(Source::Table, &folder(&[])) };
    let kept = folder(&[("e.csv", mixed)]);
    spec.path = kept.path().display().to_string();
    (spec.table.events, spec.table.time_unit) = (vec!["e.csv".into()], TimeUnit::Milliseconds);
    let data = read(&spec, NOW).unwrap();
    assert_eq!(data.events.iter().map(|e| e.time).collect::<Vec<_>>(), [1_395_421_500, 1_395_421_502]);
    let nanoseconds = b"user,item,rating,time\n1,2,3,1395421500999999999\n";
    let folder = folder(&[("e.csv", nanoseconds)]);
    (spec.path, spec.table.time_unit) = (folder.path().display().to_string(), TimeUnit::Nanoseconds);
    assert_eq!(read(&spec, NOW).unwrap().events[0].time, 1_395_421_500);
}

#[test]
fn a_relative_folder_that_is_not_there_says_where_it_was_looked_for() {
    let spec = DataSpec { path: "no/such/folder".into(), ..DataSpec::default() };
    let here = std::env::current_dir().unwrap();
    let words = ["cannot read no/such/folder", "begins where the command runs, here in ", &here.display().to_string()];
    has_all(&read(&spec, NOW).unwrap_err().to_string(), &words);
    let spec = DataSpec { path: "/no/such/folder".into(), ..spec };
    assert!(!read(&spec, NOW).unwrap_err().to_string().contains("relative"));
}
