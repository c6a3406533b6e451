//! What must hold for each source file, one function a rule; each is shown to find its violation.

use crate::source::Source;

const LONGEST_BEFORE_TESTS: usize = 400;
const LONGEST_TEST_FILE: usize = 500;
const LONGEST_MAIN: usize = 60;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] = ["util", "utils", "common", "helper", "helpers", "manager", "managers", "misc"];

/// Gives one message for each violation in a file.
pub type Rule = fn(&Source) -> Vec<String>;

pub fn short_files(source: &Source) -> Vec<String> {
    let (lines, most) = if source.is_test {
        (source.text.lines().count(), LONGEST_TEST_FILE)
    } else {
        (source.code().count(), LONGEST_BEFORE_TESTS)
    };
    let message = || format!("{}: {lines} lines before its tests; at most {most} are allowed", source.path);
    if lines > most { vec![message()] } else { Vec::new() }
}

pub fn purpose_first(source: &Source) -> Vec<String> {
    if source.text.starts_with("//!") {
        return Vec::new();
    }
    vec![format!("{}: a file begins with `//!` and what it is for", source.path)]
}

pub fn telling_names(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if source.name() == "mod.rs" {
        found.push(format!("{}: use `foo.rs` beside `foo/`, not `mod.rs`", source.path));
    }
    let parts = source.path.split('/').map(|part| part.trim_end_matches(".rs"));
    let modules = source.code().filter_map(|(_, line)| {
        let line = line.trim().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        line.strip_prefix("mod ").map(|rest| rest.trim_end_matches([';', '{', ' ']))
    });
    for name in parts.chain(modules).filter(|name| EMPTY_NAMES.contains(name)) {
        found.push(format!("{}: `{name}` says nothing; name what is inside", source.path));
    }
    found
}

pub fn ordered_maps_in_the_domain(source: &Source) -> Vec<String> {
    if !source.is_in(&["domain"]) {
        return Vec::new();
    }
    source.lines_with(&["HashMap", "HashSet"], "its order is random; use BTreeMap, BTreeSet or a sorted Vec")
}

pub fn no_clock_in_pure_crates(source: &Source) -> Vec<String> {
    if source.is_test || !source.is_in(&["domain", "feedback", "policy", "nightly"]) {
        return Vec::new();
    }
    source.lines_with(&["Instant::now", "SystemTime"], "time comes in as an argument")
}

pub fn short_mains(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    if source.name() != "main.rs" || lines <= LONGEST_MAIN {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines; at most {LONGEST_MAIN} are allowed in a main.rs", source.path)]
}

pub fn nothing_left_undone(source: &Source) -> Vec<String> {
    // Put together here so that this file does not hold them.
    let marks = [["FIX", "ME"], ["XX", "X"], ["todo", "!("], ["unimplemented", "!("]].map(|parts| parts.concat());
    let lines = source.text.lines().enumerate();
    let hits = lines.filter_map(|(i, line)| Some((i + 1, marks.iter().find(|mark| line.contains(*mark))?)));
    hits.map(|(number, mark)| format!("{}:{number}: `{mark}`: finish it or file an issue", source.path)).collect()
}

pub fn errors_are_values(source: &Source) -> Vec<String> {
    if source.is_test {
        return Vec::new();
    }
    source.lines_with(&[".unwrap()", ".expect("], "return an error; panics are for tests only")
}

#[test]
fn every_rule_finds_what_it_forbids() {
    let long = |n: usize| format!("//! A file.\n{}", "let a = 1;\n".repeat(n - 1));
    let undone = ["FIX", "ME"].concat();
    let bad: [(Rule, &str, &str); 12] = [
        (short_files, "domain/src/a.rs", &long(401)),
        (short_files, "domain/tests/a.rs", &long(501)),
        (purpose_first, "cli/src/a.rs", "use std::fs;\n"),
        (telling_names, "cli/src/a/mod.rs", "//! A.\n"),
        (telling_names, "cli/src/utils.rs", "//! A.\n"),
        (telling_names, "cli/src/a.rs", "//! A.\npub mod helpers;\n"),
        (ordered_maps_in_the_domain, "domain/src/a.rs", "//! A.\nuse std::collections::HashMap;\n"),
        (no_clock_in_pure_crates, "policy/src/a/b.rs", "//! A.\nlet t = Instant::now();\n"),
        (short_mains, "cli/src/main.rs", &long(61)),
        (nothing_left_undone, "cli/src/a.rs", &undone),
        (errors_are_values, "cli/src/a.rs", "//! A.\nf().unwrap();\n"),
        (errors_are_values, "cli/build.rs", "//! A.\nf().expect(\"x\");\n"),
    ];
    for (i, (rule, path, text)) in bad.into_iter().enumerate() {
        assert_eq!(rule(&Source::new(path, text)).len(), 1, "case {i}, {path}");
    }
}

#[test]
fn the_rules_let_good_files_pass() {
    let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "//! A.\n".repeat(400), "f().unwrap();\n".repeat(300));
    let good: [(Rule, &str, &str); 6] = [
        (short_files, "domain/src/a.rs", &tested),
        (errors_are_values, "domain/src/a.rs", &tested),
        (errors_are_values, "domain/src/a.rs", "//! A.\n/// Like `x.unwrap()`.\nf().unwrap_or(1);\n"),
        (ordered_maps_in_the_domain, "feedback/src/a.rs", "use std::collections::HashMap;\n"),
        (no_clock_in_pure_crates, "worker/src/a.rs", "Instant::now();\n"),
        (telling_names, "worker/src/session.rs", "//! A.\nmod lease;\n"),
    ];
    for (i, (rule, path, text)) in good.into_iter().enumerate() {
        assert_eq!(rule(&Source::new(path, text)), Vec::<String>::new(), "case {i}, {path}");
    }
}
