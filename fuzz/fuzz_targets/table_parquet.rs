//! Fuzz target of the parser of the same name in `tests/parsers`. The reader holds panics of Parquet's decoder, which a
//! fuzzer reports all the same: look whether the place is ours.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| conrec_parsers::parse("table_parquet", bytes));
