//! A report as files: `<name>.html`, `.md` and `.json` in one folder, and as words on stdout.

use crate::args::Output;
use crate::failure::Failure;
use conrec_page::Document;
use conrec_process::{result, say};
use serde_json::Value;
use std::path::{Path, PathBuf};

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
    /// The folder or a file cannot be written.
    pub fn write(&self, document: &Document, json: &Value, output: Output) -> Result<(), Failure> {
        std::fs::create_dir_all(self.folder).map_err(Failure::io("make folder", self.folder))?;
        let texts = [("html", document.html()), ("md", document.markdown()), ("json", format!("{json:#}\n"))];
        for (kind, text) in texts {
            let place = self.place(kind);
            std::fs::write(&place, text).map_err(Failure::io("write", &place))?;
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
