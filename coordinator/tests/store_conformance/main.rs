//! One suite that every kind of store has to pass: folders, memory, S3 (moto), Azure (azurite), Google (a small fake).
//! The emulators are started here; where they are not installed the test says so and is skipped.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test fails by a panic, and says why")]

mod faults;
mod suite;

use conrec_store::Store;
use conrec_tests::emulators::{self, Emulator};
use std::process::Command;

/// Name of the variable that tells the other process which store it is to try.
const STORE: &str = "CONREC_TEST_STORE";

#[tokio::test]
async fn a_folder_conforms() {
    let folder = tempfile::tempdir().unwrap();
    suite::run(&Store::make(folder.path().to_str().unwrap()).unwrap()).await;
}

#[tokio::test]
async fn memory_conforms() {
    suite::run(&Store::memory()).await;
}

#[test]
fn s3_conforms() {
    in_another_process(emulators::s3());
}

#[test]
fn azure_conforms() {
    in_another_process(emulators::azure());
}

#[test]
fn google_conforms() {
    in_another_process(emulators::google());
}

/// Credentials and endpoint are read from the environment, which only a process of its own can have for itself.
fn in_another_process(emulator: Result<Emulator, String>) {
    let emulator = match emulator {
        Ok(emulator) => emulator,
        Err(why) => return println!("skipped: {why}"),
    };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_store_of_the_environment_conforms", "--ignored", "--nocapture"]);
    command.envs(emulator.environment.iter().map(|(name, value)| (name, value)));
    let output = command.env(STORE, format!("{}/conformance", emulator.url)).output().unwrap();
    let said = conrec_tests::text(&output);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "run by the tests above, with a store in the environment"]
async fn the_store_of_the_environment_conforms() {
    suite::run(&Store::make(&std::env::var(STORE).unwrap()).unwrap()).await;
}
