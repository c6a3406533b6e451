//! Keeps the shape of the code base: which crate may depend on what, how long files are, how they are named, and what
//! must never be written. Each failure names the file and the rule.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use rules::Rule;
use std::env;
use std::process::Command;

fn holds(rule: Rule) {
    let found: Vec<_> = source::all().iter().flat_map(rule).collect();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

/// Names of all packages that building `package` takes, itself not counted.
fn dependencies(package: &str) -> Vec<String> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["tree", "--offline", "--locked", "--package", package, "--edges", "normal,build"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(source::root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo tree {package}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().skip(1).filter_map(|line| line.split(' ').next());
    let mut names: Vec<_> = names.filter(|name| *name != package).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

/// Fails when a package takes what it must not.
fn takes_none_of(package: &str, forbidden: &[&str]) {
    let names = dependencies(package);
    assert!(!names.is_empty(), "cargo tree shows nothing for {package}");
    let found: Vec<_> = names.iter().filter(|name| forbidden.contains(&name.as_str())).collect();
    assert!(found.is_empty(), "{package}/Cargo.toml: must never depend on {found:?}, directly or through others");
}

#[test]
fn the_command_and_the_coordinator_hold_no_libtorch() {
    let tensors = ["tch", "torch-sys", "conrec-policy", "conrec-worker"];
    takes_none_of("conrec-cli", &tensors);
    takes_none_of("conrec-coordinator", &tensors);
}

#[test]
fn the_domain_is_pure_and_knows_no_sibling() {
    takes_none_of("conrec-domain", &["tokio", "tonic", "tch", "torch-sys", "object_store"]);
    let siblings: Vec<_> = dependencies("conrec-domain").into_iter().filter(|n| n.starts_with("conrec-")).collect();
    assert!(siblings.is_empty(), "domain/Cargo.toml: must not depend on a sibling, found {siblings:?}");
}

#[test]
fn the_data_path_without_tensors_has_neither_tensors_nor_network() {
    takes_none_of("conrec-feedback", &["tch", "torch-sys", "tonic", "tokio"]);
}

#[test]
fn the_policy_knows_neither_network_nor_store() {
    takes_none_of("conrec-policy", &["tonic", "tokio", "object_store", "conrec-proto", "conrec-worker"]);
}

#[test]
fn the_worker_does_not_know_the_coordinator() {
    takes_none_of("conrec-worker", &["conrec-coordinator", "conrec-cli"]);
}

#[test]
fn only_shells_know_where_runs_are_kept() {
    let of_ours =
        |package| dependencies(package).into_iter().filter(|name| name.starts_with("conrec-")).collect::<Vec<_>>();
    assert_eq!(of_ours("conrec-store"), ["conrec-domain"], "store/Cargo.toml");
    assert_eq!(of_ours("conrec-jobs"), ["conrec-domain", "conrec-store"], "jobs/Cargo.toml");
    assert_eq!(of_ours("conrec-vitals"), ["conrec-domain"], "vitals/Cargo.toml");
    takes_none_of("conrec-coordinator", &["conrec-jobs", "conrec-vitals"]);
    assert_eq!(of_ours("conrec-nightly"), ["conrec-domain", "conrec-store"], "nightly/Cargo.toml");
    takes_none_of("conrec-proto", &["conrec-store", "object_store"]);
    takes_none_of("conrec-feedback", &["conrec-store", "object_store"]);
}

#[test]
fn one_crate_knows_of_kubernetes() {
    let of_ours: Vec<_> = dependencies("conrec-cluster").into_iter().filter(|n| n.starts_with("conrec-")).collect();
    assert!(of_ours.is_empty(), "cluster/Cargo.toml: must not depend on a sibling, found {of_ours:?}");
    for package in ["conrec-coordinator", "conrec-worker", "conrec-store"] {
        takes_none_of(package, &["kube", "k8s-openapi", "conrec-cluster"]);
    }
}

#[test]
fn files_are_short() {
    holds(rules::short_files);
}

#[test]
fn every_file_says_first_what_it_is_for() {
    holds(rules::purpose_first);
}

#[test]
fn names_of_files_and_modules_say_something() {
    holds(rules::telling_names);
}

#[test]
fn the_domain_iterates_nothing_in_random_order() {
    holds(rules::ordered_maps_in_the_domain);
}

#[test]
fn pure_crates_read_no_clock() {
    holds(rules::no_clock_in_pure_crates);
}

#[test]
fn mains_are_short() {
    holds(rules::short_mains);
}

#[test]
fn nothing_is_left_undone_in_the_text() {
    holds(rules::nothing_left_undone);
}

#[test]
fn nothing_panics_outside_of_tests() {
    holds(rules::errors_are_values);
}
