//! Every parser of foreign bytes as one function of bytes. The fuzz targets in `fuzz/` call these, and so does the test
//! that replays their corpus. A parser may refuse what it is given; it must not panic, nor allocate without bound. What it
//! takes must come back the same when it is written and read again.

mod config;
mod data_files;
mod records;
mod run_files;
mod scratch;
mod tables;
#[cfg(feature = "tensors")]
mod tensors;
mod wire;

pub use data_files::some_pass;
#[cfg(feature = "tensors")]
pub use tensors::{some_parts, some_safetensors};

/// A parser, and what is checked of its result.
pub type Parser = fn(&[u8]);

/// All parsers by the names of their fuzz targets.
pub const PARSERS: &[(&str, Parser)] = &[
    ("wire_from_worker", wire::from_worker),
    ("wire_to_worker", wire::to_worker),
    ("config", config::config),
    ("override_key", config::override_key),
    ("manifest", run_files::manifest),
    ("audit", run_files::audited),
    ("job_records", records::job_records),
    ("night_records", records::night_records),
    ("sid_files", data_files::sid_files),
    ("movietweetings", data_files::movietweetings),
    ("table_csv", tables::csv),
    ("table_csv_gz", tables::csv_gz),
    ("table_json_lines", tables::json_lines),
    ("table_parquet", tables::parquet),
    ("prepared_pass", data_files::prepared_pass),
    #[cfg(feature = "tensors")]
    ("safetensors", tensors::safetensors),
    #[cfg(feature = "tensors")]
    ("checkpoint_parts", tensors::checkpoint_parts),
    #[cfg(feature = "tensors")]
    ("model_settings", tensors::model_settings),
];

/// Runs the parser of this name; for fuzz targets, each of which is one name.
pub fn parse(name: &str, bytes: &[u8]) {
    let found = PARSERS.iter().find(|(known, _)| *known == name);
    assert!(found.is_some(), "there is no parser `{name}`");
    if let Some((_, parser)) = found {
        parser(bytes);
    }
}
