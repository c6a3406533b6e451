//! The source files of the workspace, as the rules see them: their place, their code, and which of them are tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const MEMBERS: [&str; 10] =
    ["domain", "feedback", "policy", "proto", "jobs", "vitals", "coordinator", "worker", "cli", "tests"];

/// One source file: its path below the root, with `/`, and its text.
pub struct Source {
    pub path: String,
    pub text: String,
    /// Compiled for tests only.
    pub is_test: bool,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let is_test = path.contains("/tests/") || path.ends_with("/tests.rs");
        Self { path: path.to_owned(), text: text.to_owned(), is_test }
    }

    /// In the `src` folder of one of these crates.
    pub fn is_in(&self, crates: &[&str]) -> bool {
        crates.iter().any(|name| self.path.starts_with(&format!("{name}/src/")))
    }

    /// The file's own name.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Line numbers and code, without comments, up to the unit tests.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().take(self.lines_before_tests()).enumerate();
        lines.map(|(i, line)| (i + 1, line.find("//").map_or(line, |comment| &line[..comment])))
    }

    /// One message for each line of code that holds one of `words`.
    pub fn lines_with(&self, words: &[&str], rule: &str) -> Vec<String> {
        let hit = |line: &str| words.iter().find(|word| line.contains(**word)).map(|word| (*word).to_owned());
        let found = self.code().filter_map(|(number, line)| Some((number, hit(line)?)));
        found.map(|(number, word)| format!("{}:{number}: `{word}`: {rule}", self.path)).collect()
    }

    /// The number of lines before `#[cfg(test)] mod … {`.
    fn lines_before_tests(&self) -> usize {
        let lines: Vec<_> = self.text.lines().map(str::trim).collect();
        let begins = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{');
        lines.windows(2).position(begins).unwrap_or(lines.len())
    }

    /// Paths of the modules that this file declares for tests only, `#[cfg(test)] mod name;`.
    fn test_modules(&self) -> Vec<String> {
        let folder = match self.path.strip_suffix("/lib.rs").or_else(|| self.path.strip_suffix("/main.rs")) {
            Some(folder) => folder,
            None => self.path.trim_end_matches(".rs"),
        };
        let lines: Vec<_> = self.text.lines().map(str::trim).collect();
        let declared = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]").filter_map(|pair| {
            let name = pair[1].trim_start_matches("pub(crate) ").strip_prefix("mod ")?.strip_suffix(';')?;
            Some(format!("{folder}/{name}.rs"))
        });
        declared.collect()
    }
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// All source files of the workspace, in the order of their paths.
pub fn all() -> Vec<Source> {
    let (root, mut sources) = (root(), Vec::new());
    for member in MEMBERS {
        collect(&root.join(member), &root, &mut sources);
    }
    assert!(sources.len() > 20, "only {} sources found below {}", sources.len(), root.display());
    let for_tests: BTreeSet<_> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        source.is_test |= for_tests.contains(&source.path);
    }
    sources
}

fn collect(folder: &Path, root: &Path, sources: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, root, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            sources.push(Source::new(&name, &fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn a_module_declared_for_tests_only_is_known_by_its_path() {
    let text = "#[cfg(test)]\nmod sample;\nmod other;\n";
    assert_eq!(Source::new("worker/src/report.rs", text).test_modules(), ["worker/src/report/sample.rs"]);
    assert_eq!(Source::new("worker/src/lib.rs", text).test_modules(), ["worker/src/sample.rs"]);
}

#[test]
fn code_ends_at_the_unit_tests_and_holds_no_comments() {
    let source =
        Source::new("a/src/b.rs", "#[cfg(test)]\nmod c;\nlet a = 1; // one\n#[cfg(test)]\nmod tests {\nx\n}\n");
    let code: Vec<_> = source.code().map(|(_, line)| line.trim()).collect();
    assert_eq!(code, ["#[cfg(test)]", "mod c;", "let a = 1;"]);
}
