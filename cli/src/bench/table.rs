//! The figures of `conrec bench faults` for people.

use serde_json::Value;
use std::fmt::Write as _;

/// A line a figure, below what they were measured on.
pub fn text(measured: &Value) -> String {
    let mut text = String::new();
    let machine = &measured["machine"];
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let _ = writeln!(
        text,
        "conrec {} · {} · {} · {} cores · load {} before, {} after · {} workers",
        word(&machine["version"]),
        word(&machine["system"]),
        word(&machine["processor"]),
        machine["cores"],
        machine["load"],
        measured["load_at_the_end"],
        measured["workers"],
    );
    let _ = writeln!(text, "\n{:<46}{:>9}{:>9}{:>9}{:>6}", "milliseconds", "median", "least", "most", "n");
    let next = &measured["next_commit_ms"];
    let stopped = format!("worker stopped (deadline {} s)", measured["heartbeat_deadline_seconds"]);
    let checkpoint = &measured["checkpoint"];
    for (name, figure) in [
        ("to the next commit, undisturbed", &next["undisturbed"]),
        ("worker killed", &next["worker_killed"]),
        (stopped.as_str(), &next["worker_stopped"]),
        ("coordinator killed and started again", &next["coordinator_killed"]),
        ("iteration", &measured["iteration_ms"]),
        ("commit round of it", &measured["commit_round_ms"]),
        ("a checkpoint: training waits", &checkpoint["blocked_ms"]),
        ("a checkpoint: written beside training", &checkpoint["written_ms"]),
        ("iteration with a checkpoint after each", &checkpoint["iteration_with_ms"]),
        ("iteration without", &checkpoint["iteration_without_ms"]),
    ] {
        let number = |key: &str| figure[key].as_f64().map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
        let [median, least, most] = ["median", "min", "max"].map(number);
        let _ = writeln!(text, "{name:<46}{median:>9}{least:>9}{most:>9}{:>6}", word(&figure["repetitions"]));
    }
    let digits = |value: &Value| value.as_f64().map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
    let sum = &measured["exact_sum"];
    let _ = writeln!(
        text,
        "\ncommit round: {} % of an iteration; exact sum: {} % of one of `conrec bench iteration`, {} ms CPU for a million \
         values (f32: {} ms)",
        digits(&measured["commit_round_percent_of_an_iteration"]),
        digits(&measured["exact_sum_percent_of_an_iteration"]),
        digits(&sum["to_integers_and_add_cpu_ms"]),
        digits(&sum["add_f32_cpu_ms"]),
    );
    let _ = writeln!(
        text,
        "faults survived: {}; committed iterations computed again: {}; prompts lost or doubled: {}; bits: the same",
        measured["faults_survived"],
        measured["committed_iterations_computed_again"],
        measured["prompts_lost_or_doubled"],
    );
    text
}
