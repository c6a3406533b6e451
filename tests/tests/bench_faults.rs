//! `conrec bench faults` runs and says what it promises. Its times are no matter of a test.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_tests::{run, text};
use serde_json::Value;

#[test]
fn faults_are_measured_and_change_no_bit() {
    let output = run(&["bench", "faults", "--runs", "1", "--workers", "2", "--output", "json"]).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let measured: Value = serde_json::from_slice(&output.stdout).unwrap();
    for fault in ["undisturbed", "worker_killed", "worker_stopped", "coordinator_killed"] {
        let figure = &measured["next_commit_ms"][fault];
        assert!(figure["repetitions"] == 1 && figure["median"].as_f64() > Some(0.0), "{fault}: {measured:#}");
    }
    assert_eq!(measured["faults_survived"], 3);
    assert_eq!(measured["committed_iterations_computed_again"], 0, "{measured:#}");
    assert_eq!((&measured["same_bits"], &measured["prompts_lost_or_doubled"]), (&true.into(), &0.into()));
    for key in ["iteration_ms", "commit_round_ms"] {
        assert!(measured[key]["repetitions"].as_u64() > Some(100), "{key}: {measured:#}");
    }
    assert!(measured["machine"]["cores"].as_u64() > Some(0), "{measured:#}");
    assert!(measured["checkpoint"]["iteration_with_ms"]["median"].as_f64().is_some(), "{measured:#}");
    assert!(measured["exact_sum"]["add_f32_cpu_ms"].as_f64().is_some(), "{measured:#}");
}
