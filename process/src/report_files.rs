//! A report as files, `<name>.html`, `.md` and `.json` in one folder, and as words on stdout: the same for every verb that
//! makes one.

use crate::{result, say};
use clap::ValueEnum;
use conrec_page::Document;
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Tables and sentences
    Text,
    /// One JSON object on stdout
    Json,
}

/// Where a report's files lie.
#[derive(Clone, Copy, Debug)]
pub struct ReportFiles<'a> {
    /// The folder; made where it is missing.
    pub folder: &'a Path,
    /// Name of the files, without what follows the dot.
    pub name: &'a str,
}

impl ReportFiles<'_> {
    /// Writes the files and prints the report.
    ///
    /// # Errors
    /// The folder or file that cannot be written, and the system's own words.
    pub fn write(&self, document: &Document, json: &Value, output: Output) -> Result<(), (PathBuf, io::Error)> {
        std::fs::create_dir_all(self.folder).map_err(|error| (self.folder.to_owned(), error))?;
        let texts = [("html", document.html()), ("md", document.markdown()), ("json", format!("{json:#}\n"))];
        for (kind, text) in texts {
            let place = self.place(kind);
            std::fs::write(&place, text).map_err(|error| (place, error))?;
        }
        match output {
            Output::Text => {
                result(format_args!("{}\n  {}, .md, .json\n", document.terminal(), self.place("html").display()));
            }
            Output::Json => say!("{json}"),
        }
        Ok(())
    }

    fn place(&self, kind: &str) -> PathBuf {
        self.folder.join(format!("{}.{kind}", self.name))
    }
}
