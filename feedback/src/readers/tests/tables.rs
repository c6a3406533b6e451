//! The general reader.

use super::*;

fn table(folder: &TempDir, table: TableSpec) -> DataSpec {
    DataSpec { table, ..stars(Source::Table, folder) }
}

#[test]
fn a_table_of_ratings_with_dates_quotes_and_items() {
    let folder = folder(&[
        ("2014.csv", b"\xef\xbb\xbfwho,what,stars,day\na,\"x,1\",1,2014-03-21\nb,y,5,2014-03-22\n"),
        ("2015.csv", b"stars,day,who,what\n3,2015-01-01,a,y\n"),
        ("things.tsv", "id\tname\tkinds\tmade\ny\tThe \"Y\"\tbig;red\t1999-01-01\n".as_bytes()),
    ]);
    let spec = table(
        &folder,
        TableSpec {
            events: vec!["20*.csv".into()],
            user: "who".into(),
            item: "what".into(),
            time: "day".into(),
            time_unit: TimeUnit::Iso,
            rating: "stars".into(),
            items: vec!["things.tsv".into()],
            item_key: "id".into(),
            title: "name".into(),
            categories: vec!["kinds".into()],
            category_separator: ";".into(),
            year: "made".into(),
            ..TableSpec::default()
        },
    );
    let data = read(&spec, NOW).unwrap();
    assert_eq!(
        events(&data),
        [
            ("a", "x,1", 1_395_360_000, Negative),
            ("b", "y", 1_395_446_400, Positive),
            ("a", "y", 1_420_070_400, Neutral)
        ]
    );
    assert_eq!(items(&data), [("y", "The \"Y\"", Some(1999), vec!["big", "red"]), ("x,1", "x,1", None, vec![])]);
    assert_eq!(
        data.dropped.to_string(),
        "nothing dropped; kept 1 items that the catalogue lacks, with their ids as titles"
    );
}

#[test]
fn flags_and_kinds_of_event_say_what_is_a_negative() {
    let flagged = folder(&[(
        "e.csv.gz",
        &gzip(b"user,item,time,hide,report,like\n1,a,10,0,1,1\n1,b,11,false,,yes\n2,a,12,0,0,0\n"),
    )]);
    let flags = TableSpec {
        events: vec!["e.csv.gz".into()],
        rating: String::new(),
        negative: vec!["hide".into(), "report".into()],
        positive: vec!["like".into()],
        ..TableSpec::default()
    };
    let data = read(&table(&flagged, flags), NOW).unwrap();
    let expected = [("1", "a", 10, Negative), ("1", "b", 11, Positive), ("2", "a", 12, Neutral)];
    assert_eq!(events(&data), expected);

    let lines = b"{\"user\": 1, \"item\": \"a\", \"time\": 10, \"what\": \"hide\"}\n{\"user\": 1, \"item\": \"b\", \"time\": 11.9, \"what\": \"like\"}\n{\"user\": 2, \"item\": \"a\", \"time\": \"12\", \"what\": \"view\"}\n";
    let kinds = folder(&[("e.jsonl", lines)]);
    let by_kind = TableSpec {
        events: vec!["e.jsonl".into()],
        rating: String::new(),
        event_type: "what".into(),
        negative_events: vec!["hide".into()],
        positive_events: vec!["like".into()],
        ..TableSpec::default()
    };
    assert_eq!(events(&read(&table(&kinds, by_kind), NOW).unwrap()), expected);
}

#[test]
fn without_a_header_columns_are_numbers_and_latin_1_is_read() {
    let folder = folder(&[("e.txt", b"caf\xe9|x|2|10\ncaf\xe9|y|5|11\n")]);
    let spec = TableSpec {
        events: vec!["e.txt".into()],
        delimiter: "|".into(),
        header: false,
        encoding: Encoding::Latin1,
        user: "0".into(),
        item: "1".into(),
        rating: "2".into(),
        time: "3".into(),
        ..TableSpec::default()
    };
    let data = read(&table(&folder, spec), NOW).unwrap();
    assert_eq!(events(&data), [("café", "x", 10, Negative), ("café", "y", 11, Positive)]);
}

#[test]
fn a_window_of_days_is_read_day_by_day() {
    let row = |day: i64, user: &str| format!("user,item,rating,time\n{user},x,2,{}\n", day * 86_400 + 5);
    let rows: Vec<(String, String)> = [(1, "1970-01-02"), (2, "1970-01-03"), (4, "1970-01-05")]
        .map(|(n, day)| (format!("{day}.csv"), row(n, day)))
        .into();
    let files: Vec<(&str, &[u8])> = rows.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let folder = folder(&files);
    let spec = |from: &str, until: &str| {
        let daily = TableSpec { events: vec!["{date}.csv".into()], ..TableSpec::default() };
        DataSpec { from: from.into(), until: until.into(), ..table(&folder, daily) }
    };
    let users = |spec: &DataSpec| read(spec, NOW).unwrap().users;
    assert_eq!(users(&spec("1970-01-02", "1970-01-04")), ["1970-01-02", "1970-01-03"]);
    assert_eq!(users(&spec("1970-01-03", "1970-01-05")), ["1970-01-03", "1970-01-05"]);
    let missing = missing_days(&spec("1970-01-03", "1970-01-05")).unwrap();
    assert_eq!(missing.into_values().collect::<Vec<_>>(), ["1970-01-04.csv"]);
    let error = read(&spec("1971-01-01", "1971-01-02"), NOW).unwrap_err().to_string();
    assert!(error.contains("{date}.csv with a day from 1971-01-01 to 1971-01-02"), "{error}");

    // One file with more than the window: what lies outside is counted.
    let all = TableSpec { events: vec!["*.csv".into()], ..TableSpec::default() };
    let data = read(&DataSpec { until: "1970-01-03".into(), ..table(&folder, all) }, NOW).unwrap();
    assert_eq!((data.events.len(), data.dropped.events_of_other_days), (2, 1));
    assert_eq!(data.days().into_values().collect::<Vec<_>>(), [1, 1]);
}

/// The same rows as CSV, gzipped CSV, Parquet and JSON lines give the same dataset.
#[test]
fn the_format_of_a_table_does_not_matter() {
    let rows: Vec<(i64, u32, u8, i64)> =
        (0..500).map(|n| (n % 37, (n * 7 % 91) as u32, (n % 5 + 1) as u8, n * 1000)).collect();
    let mut csv = String::from("user,item,rating,time\n");
    let mut json = String::new();
    for (user, item, rating, time) in &rows {
        csv += &format!("{user},{item},{rating},{time}\n");
        json += &format!("{{\"time\":{time},\"user\":{user},\"rating\":{rating}.0,\"item\":\"{item}\"}}\n");
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("user", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)))),
        ("item", Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.1)))),
        ("rating", Arc::new(UInt8Array::from_iter_values(rows.iter().map(|row| row.2)))),
        ("time", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.3)))),
    ];
    let folder = folder(&[
        ("e.csv", csv.as_bytes()),
        ("e.csv.gz", &gzip(csv.as_bytes())),
        ("packed.csv", &gzip(csv.as_bytes())),
        ("e.parquet", &parquet(columns)),
        ("e.jsonl", json.as_bytes()),
    ]);
    let of = |name: &str| {
        let spec = TableSpec { events: vec![name.into()], ..TableSpec::default() };
        let data = read(&table(&folder, spec), NOW).unwrap();
        assert_eq!(data.events.len(), 500, "{name}");
        (data.events, data.users, data.items)
    };
    let expected = of("e.csv");
    for name in ["e.csv.gz", "packed.csv", "e.parquet", "e.jsonl"] {
        assert_eq!(of(name), expected, "{name}");
    }
}

/// Files of another program (`feedback/tests/golden/parquet_types.py`): the same rows in other types and compressions.
#[test]
fn parquet_of_other_programs_is_read_whatever_its_types() {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for name in ["texts-zstd.parquet", "numbers-gzip.parquet", "plain-lz4.parquet"] {
        let columns = TableSpec {
            events: vec![name.into()],
            items: vec![name.into()],
            title: String::new(),
            categories: vec!["tags".into()],
            ..TableSpec::default()
        };
        let path = golden.display().to_string();
        let spec = DataSpec {
            source: Source::Table,
            path,
            negative_at_most: 2.0,
            positive_at_least: 4.0,
            malformed_share: 0.2,
            table: columns,
            ..DataSpec::default()
        };
        let data = read(&spec, NOW).unwrap();
        // The fifth row has no rating.
        assert_eq!(
            events(&data),
            [
                ("7", "1", 1_395_421_500, Negative),
                ("7", "2", 1_395_421_501, Positive),
                ("8", "3", 1_395_421_502, Neutral),
                ("8", "1", 1_395_421_503, Negative),
                ("é", "3", 1_395_421_505, Positive),
            ],
            "{name}"
        );
        assert_eq!(data.dropped.malformed_lines, 1, "{name}");
        // Rows without a title add to each other.
        let tags = [("1", vec!["a", "b"]), ("2", vec!["c"]), ("3", vec!["d", "a"])];
        let found: Vec<_> = items(&data).into_iter().map(|(key, _, _, tags)| (key, tags)).collect();
        assert_eq!(found, tags, "{name}");
    }
}
