//! Files made by NumPy and pyarrow (`tests/golden/vectors/make_vectors.py`) are read; every damaged one is an error.

use super::*;

const MATRIX: [f32; 6] = [0.5, -1.25, 3.0, 2.0, 0.1, -7.0];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vectors").join(name)
}

fn items(keys: &[&str]) -> Vec<Item> {
    keys.iter().map(|key| Item { key: (*key).into(), ..Item::default() }).collect()
}

/// Items that training time knows, all of them.
fn all(items: &[Item]) -> Wanted<'_> {
    const KNOWN: [bool; 8] = [true; 8];
    Wanted { items, known: &KNOWN[..items.len()] }
}

fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, bytes).unwrap();
    (folder, file)
}

#[test]
fn numpy_files_of_all_versions_and_both_kinds_hold_the_same_matrix() {
    for version in 1..=3 {
        for kind in ["float32", "float64"] {
            let read = read_vectors(&golden(&format!("v{version}_{kind}.npy")), None).unwrap();
            assert_eq!(read.vectors, Matrix { rows: 2, cols: 3, data: MATRIX.to_vec() }, "{version} {kind}");
            assert_eq!(read.keys, None);
        }
    }
}

/// 16 bits keep ten digits of what is behind the binary point.
const HALVES: [f32; 6] = [0.5, -1.25, 3.0, 2.0, 0.099_975_586, -7.0];

#[test]
fn numpy_files_by_columns_big_endian_and_of_16_bits_are_read() {
    for (name, data) in [("fortran", MATRIX), ("big_endian", MATRIX), ("half", HALVES), ("half_fortran", HALVES)] {
        let read = read_vectors(&golden(&format!("{name}.npy")), None).unwrap();
        assert_eq!(read.vectors, Matrix { rows: 2, cols: 3, data: data.to_vec() }, "{name}");
    }
}

#[test]
fn parquet_tables_with_dictionaries_views_large_keys_and_16_bits_are_read() {
    let cases = [
        ("dictionary", ["b", "a"], HALVES),
        ("views", ["b", "a"], HALVES),
        ("unsigned", ["18446744073709551615", "7"], MATRIX),
    ];
    for (name, keys, data) in cases {
        let read = read_vectors(&golden(&format!("{name}.parquet")), None).unwrap();
        assert_eq!(read.vectors, Matrix { rows: 2, cols: 3, data: data.to_vec() }, "{name}");
        assert_eq!(read.keys.unwrap(), keys);
    }
}

/// A matrix of four rows of two columns.
fn npy(values: [f32; 8]) -> Vec<u8> {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 2), }\n";
    let length = (header.len() as u16).to_le_bytes();
    let mut bytes = [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes()].concat();
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    bytes
}

#[test]
fn vectors_that_tell_no_item_from_another_are_refused() {
    for (values, words) in [
        ([0.0; 8], "found the same vector in all 4 rows, zeros only, expected vectors that tell items apart"),
        ([1.5, 2.0, 1.5, 2.0, 1.5, 2.0, 1.5, 2.0], "found the same vector in all 4 rows, expected"),
    ] {
        let (_folder, file) = written("same.npy", &npy(values));
        let error = read_vectors(&file, None).unwrap_err().to_string();
        assert!(error.contains("same.npy") && error.contains(words), "{error}");
    }
    let (_folder, file) = written("other.npy", &npy([1.5, 2.0, 1.5, 2.0, 1.5, 2.0, 1.5, 2.5]));
    assert!(read_vectors(&file, None).is_ok());
}

/// Some tools write zeros where they have nothing.
#[test]
fn an_item_whose_vector_is_zero_has_none() {
    let (_folder, file) = written("some.npy", &npy([1.0, 2.0, 0.0, 0.0, 3.0, 4.0, -0.0, 0.0]));
    let catalogue = items(&["p", "q", "r", "s"]);
    let of = |missing| read_vectors(&file, None).unwrap().of_items(all(&catalogue), missing, &file);
    let error = of(Missing::Refuse).unwrap_err().to_string();
    assert!(error.contains("2 of 4 items have no vector (or one of zeros only), the first is `q`"), "{error}");
    let found = of(Missing::Accept).unwrap();
    assert_eq!((found.vectors.data, found.filled), (vec![1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 2.0, 3.0], vec![1, 3]));
}

#[test]
fn parquet_tables_of_all_forms_hold_the_same_matrix() {
    for (name, keys) in [("lists", ["b", "a"]), ("fixed", ["12", "7"]), ("columns", ["b", "a"])] {
        let read = read_vectors(&golden(&format!("{name}.parquet")), None).unwrap();
        assert_eq!(read.vectors, Matrix { rows: 2, cols: 3, data: MATRIX.to_vec() }, "{name}");
        assert_eq!(read.keys.unwrap(), keys);
    }
}

#[track_caller]
fn assert_refused(name: &str, expected: &str) {
    let error = read_vectors(&golden(name), None).unwrap_err().to_string();
    assert!(error.contains(name) && error.contains(expected), "{error}");
}

#[test]
fn other_forms_are_refused_with_what_was_found() {
    assert_refused("integers.npy", "values of type `<i4`, expected a two-dimensional .npy array of float16");
    assert_refused("ragged.parquet", "found 1 values in row 1, expected 2, as in the first row");
    assert_refused("no_key.parquet", "found the columns `item`, `vector`, expected a column `key`");
    assert_refused("make_vectors.py", "expected a .npy or a .parquet file");
    let error = read_vectors(Path::new("nowhere/x.npy"), None).unwrap_err().to_string();
    assert!(error.starts_with("nowhere/x.npy: "), "{error}");
}

#[test]
fn every_truncation_of_either_format_is_an_error() {
    for name in ["v1_float32.npy", "v2_float64.npy", "lists.parquet"] {
        let whole = std::fs::read(golden(name)).unwrap();
        for length in 0..whole.len() {
            let (_folder, file) = written(name, &whole[..length]);
            assert!(read_vectors(&file, None).is_err(), "{name}: {length} of {} bytes", whole.len());
        }
    }
}

#[test]
fn a_value_that_is_no_number_is_found_where_it_stands() {
    let mut bytes = std::fs::read(golden("v1_float32.npy")).unwrap();
    let at = bytes.len() - 8;
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let (_folder, file) = written("x.npy", &bytes);
    let error = read_vectors(&file, None).unwrap_err().to_string();
    assert!(error.contains("found NaN in row 1, column 1"), "{error}");
}

#[test]
fn rows_are_matched_by_key_and_others_left_out() {
    let file = golden("lists.parquet");
    let read = read_vectors(&file, None).unwrap();
    let found = read.clone().of_items(all(&items(&["a", "b"])), Missing::Refuse, &file).unwrap();
    assert_eq!(found.vectors.data, [2.0, 0.1, -7.0, 0.5, -1.25, 3.0]);
    let found = read.of_items(all(&items(&["b"])), Missing::Refuse, &file).unwrap();
    assert_eq!((found.vectors.data, found.filled), (vec![0.5, -1.25, 3.0], vec![]));
}

#[test]
fn items_without_a_vector_are_counted_or_get_the_mean() {
    let file = golden("lists.parquet");
    let read = read_vectors(&file, None).unwrap();
    let catalogue = items(&["x", "a", "y", "b"]);
    let error = read.clone().of_items(all(&catalogue), Missing::Refuse, &file).unwrap_err().to_string();
    assert!(error.contains("2 of 4 items have no vector (or one of zeros only), the first is `x`"), "{error}");
    let found = read.clone().of_items(all(&catalogue), Missing::Accept, &file).unwrap();
    assert_eq!((found.filled.as_slice(), found.vectors.row(0)), (&[0, 2][..], [1.25f32, -0.575, -2.0].as_slice()));
    // Items that come after training time have no say in the mean.
    let early = Wanted { items: &catalogue, known: &[true, true, true, false] };
    let found = read.clone().of_items(early, Missing::Accept, &file).unwrap();
    assert_eq!((found.vectors.row(0), found.vectors.row(3)), (&[2.0f32, 0.1, -7.0][..], &[0.5, -1.25, 3.0][..]));
    let late = Wanted { items: &catalogue, known: &[true, false, true, false] };
    assert!(read.clone().of_items(late, Missing::Accept, &file).is_err());
    // The mean of nothing says nothing.
    assert!(read.of_items(all(&items(&["x"])), Missing::Accept, &file).is_err());
}

#[test]
fn keys_of_a_numpy_file_stand_in_a_file_of_their_own() {
    let (_folder, keys) = written("keys.txt", b"b\r\na\n\n");
    let file = golden("v1_float64.npy");
    let read = read_vectors(&file, Some(&keys)).unwrap();
    assert_eq!(read.keys.as_deref(), Some(["b".to_owned(), "a".to_owned()].as_slice()));
    let (_folder, keys) = written("keys.txt", b"b\na\nc\n");
    let error = read_vectors(&file, Some(&keys)).unwrap_err().to_string();
    assert!(error.contains("keys.txt: found 3 keys, expected 2, one for each row of"), "{error}");
    let (_folder, keys) = written("keys.txt", b"b\nb\n");
    let error = read_vectors(&file, Some(&keys)).unwrap().of_items(all(&items(&["b"])), Missing::Refuse, &file);
    assert!(error.unwrap_err().to_string().contains("two rows with the key `b`"));
}

#[test]
fn rows_without_keys_are_the_catalogue() {
    let file = golden("v1_float64.npy");
    let read = read_vectors(&file, None).unwrap();
    assert_eq!(read.clone().of_items(all(&items(&["p", "q"])), Missing::Refuse, &file).unwrap().vectors, read.vectors);
    let error = read.of_items(all(&items(&["p"])), Missing::Accept, &file).unwrap_err().to_string();
    assert!(error.contains("found 2 rows, expected 1, one for each item of the catalogue"), "{error}");
}

/// Every third byte, changed in three ways: drawn changes would find the decoder's panics on some days only.
#[test]
fn damaged_bytes_never_panic() {
    for name in ["v1_float32.npy", "lists.parquet"] {
        let whole = std::fs::read(golden(name)).unwrap();
        for at in (0..whole.len()).step_by(3) {
            for value in [0x00, 0xff, whole[at] ^ 0x10] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let (_folder, file) = written(name, &bytes);
                let _ = read_vectors(&file, None);
            }
        }
    }
}
