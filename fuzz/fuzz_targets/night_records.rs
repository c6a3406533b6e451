//! Fuzz target of the parser of the same name in `tests/parsers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| conrec_parsers::parse("night_records", bytes));
