//! What users get wrong, against the real program: each mistake has its exit code and a message that names it.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use conrec_tests::{run, text};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use tempfile::tempdir;

/// Runs `conrec train` on a config with overrides into a store of its own; gives exit code and output.
fn train_of(config: &str, store: &Path, sets: &[&str]) -> (i32, String) {
    let store = store.to_str().unwrap();
    let mut arguments = vec!["train", config, "--store", store, "--run-id", "wrong"];
    for set in sets {
        arguments.extend(["--set", set]);
    }
    let output = run(&arguments).unwrap();
    (output.status.code().unwrap_or(-1), text(&output))
}

fn refused(sets: &[&str], code: i32, words: &[&str]) {
    refused_of("configs/smoke.toml", sets, code, words);
}

fn refused_of(config: &str, sets: &[&str], code: i32, words: &[&str]) {
    let store = tempdir().unwrap();
    let (found, message) = train_of(config, store.path(), sets);
    assert_eq!(found, code, "{sets:?}: {message}");
    for word in words {
        assert!(message.contains(word), "{sets:?}: `{word}` is missing in: {message}");
    }
}

#[test]
fn an_unknown_key_is_named() {
    refused(&["reward.gama=0.3"], 78, &["gama"]);
}

/// The verbs that `conrec-worker` does keep to the same exit codes.
#[test]
fn what_is_wrong_with_the_other_verbs_is_named() {
    let store = tempdir().unwrap();
    let into = store.path().join("made");
    let (store, into) = (store.path().to_str().unwrap(), into.to_str().unwrap());
    let cases: [(&[&str], i32, &str); 8] = [
        (&["bench", "--nonsense"], 64, "--nonsense"),
        (&["worker", "--coordinator", "nonsense"], 64, "HOST:PORT"),
        (&["evaluate", "absent", "--store", store], 64, "absent"),
        (&["evaluate", "absent", "--store", "other://place"], 64, "other://place"),
        (&["prepare", "absent.toml"], 78, "absent.toml"),
        (&["prepare", "configs/smoke.toml", "--set", "stage.3.completions=1"], 78, "stage.3.completions"),
        (
            &["prepare", "configs/smoke.toml", "--into", into, "--set", "stage.0.prompts=100000"],
            78,
            "stage.0.prompts = 100000",
        ),
        (&["prepare", "configs/smoke.toml", "--set", "data.path=\"no/folder\""], 65, "no/folder"),
    ];
    for (arguments, code, word) in cases {
        let output = run(arguments).unwrap();
        let message = text(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
        assert!(message.contains(word), "{arguments:?}: {message}");
    }
    let left: Vec<_> = fs::read_dir(into).into_iter().flatten().collect();
    assert!(left.is_empty(), "what is refused leaves nothing behind: {left:?}");
    for verb in ["worker", "prepare", "evaluate", "bench"] {
        let output = run(&[verb, "--help"]).unwrap();
        assert!(output.status.success() && text(&output).contains("Usage: conrec "), "{verb}: {}", text(&output));
    }
}

#[test]
fn a_store_that_takes_no_prepared_data_is_no_fault_of_the_data() {
    let folder = tempdir().unwrap();
    // A file where the folder should be.
    fs::create_dir(folder.path().join("r")).unwrap();
    fs::write(folder.path().join("r/prepared"), "").unwrap();
    let folder = folder.path().join("r");
    let output = run(&["prepare", "tests/configs/tiny.toml", "--into", folder.to_str().unwrap()]).unwrap();
    let message = text(&output);
    assert_eq!(output.status.code(), Some(69), "{message}");
    assert!(message.contains("cannot write") && message.contains("free space"), "{message}");
}

#[test]
fn a_group_of_one_is_refused() {
    refused(&["stage.3.completions=1"], 78, &["stage.3.completions", "1"]);
}

#[test]
fn a_missing_data_file_is_named() {
    refused(&["data.path=\"no/such/folder\""], 65, &["no/such/folder"]);
}

/// Days from the first rating of the shipped dataset to the last.
fn span_of_the_ratings() -> i64 {
    let ratings = fs::read_to_string(conrec_tests::root().join("data/movietweetings-100k/ratings.dat")).unwrap();
    let times = || ratings.lines().map(|line| line.rsplit("::").next().unwrap().parse::<i64>().unwrap());
    (times().max().unwrap() - times().min().unwrap()) / 86_400
}

#[test]
fn a_horizon_that_reaches_over_the_gap_is_refused_with_both_and_why() {
    let words = ["data.gap_days = 3: allowed is 7 or more with data.horizon_days = 7", "lie in the test window"];
    refused_of("configs/demo.toml", &["data.gap_days=3"], 78, &words);
}

#[test]
fn a_gap_longer_than_the_data_says_how_long_the_data_is_and_what_is_allowed() {
    let span = span_of_the_ratings();
    let expected = format!(
        "data.gap_days = 400: allowed is 7 to {}: the data spans {span} days, data.horizon_days = 7, \
         data.validation_days = 14 and data.test_days = 25 take 46 of these days",
        span - 46
    );
    refused_of("configs/demo.toml", &["data.gap_days=400"], 65, &[&expected]);
}

#[test]
fn a_horizon_longer_than_the_data_is_told_what_each_window_takes() {
    let spans = format!("the data spans {} days", span_of_the_ratings());
    let words = ["horizon, windows and gaps = 839 days: ", &spans, "data.horizon_days = 400, data.gap_days = 400, "];
    refused_of("configs/demo.toml", &["data.horizon_days=400", "data.gap_days=400"], 65, &words);
}

#[test]
fn a_gap_longer_than_the_made_up_stream_says_how_long_it_is_and_what_is_allowed() {
    // `frozen` has a gap before each window.
    let expected = "data.gap_days = 400: allowed is 7 to 17: the stream has data.synthetic.days = 60, \
                    data.horizon_days = 7, data.validation_days = 8 and data.test_days = 10 take 25 of these days";
    refused_of("configs/synthetic.toml", &["data.gap_days=400"], 78, &[expected]);
}

#[test]
fn an_empty_window_is_named_with_its_length_and_what_it_holds() {
    // Nothing is rated below 0, so nothing is a negative; the first window that is looked at is that of training.
    let words =
        ["the training window [", " days gives no instances: it holds 0 negatives", "look at data.negative_at_most"];
    refused(&["data.negative_at_most=-1"], 65, &words);
    // Made-up users who dislike nothing.
    refused_of(
        "tests/configs/tiny.toml",
        &["data.synthetic.dislike_rate=0.0", "data.synthetic.noise_rate=0.0"],
        65,
        &words[..2],
    );
}

#[test]
fn more_beams_than_codes_allow_are_refused() {
    refused(
        &["semantic_id.levels=1", "semantic_id.codes=24", "evaluation.beams=30"],
        78,
        &["evaluation.beams", "30", "at most 24", "semantic ids"],
    );
}

#[test]
fn more_beams_than_the_catalogue_has_semantic_ids_are_refused() {
    let store = tempdir().unwrap();
    let output = run(&[
        "train",
        "tests/configs/tiny.toml",
        "--store",
        store.path().to_str().unwrap(),
        "--set",
        "evaluation.beams=200",
    ])
    .unwrap();
    let message = text(&output);
    assert_eq!(output.status.code(), Some(78), "{message}");
    assert!(message.contains("evaluation.beams = 200") && message.contains("number of semantic ids"), "{message}");
}

#[test]
fn more_prompts_than_a_stage_has_are_refused() {
    refused(
        &["stage.2.prompts=100000"],
        78,
        &["stage.2.prompts = 100000: allowed is 1 to ", "stage `recent` has ", "training prompts in the select pass"],
    );
}

#[test]
fn malformed_lines_are_counted_and_the_first_is_named() {
    let data = tempdir().unwrap();
    let from = conrec_tests::root().join("data/movietweetings-100k");
    let ratings = fs::read_to_string(from.join("ratings.dat")).unwrap();
    let broken: String = ratings
        .lines()
        .enumerate()
        .map(|(n, line)| if n % 100 == 7 { "1::not a rating\n".to_owned() } else { format!("{line}\n") })
        .collect();
    fs::write(data.path().join("ratings.dat"), broken).unwrap();
    fs::copy(from.join("movies.dat"), data.path().join("movies.dat")).unwrap();
    let path = format!("data.path=\"{}\"", data.path().display());
    refused(&[&path], 65, &["ratings.dat:8", "1000"]);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(&[&format!("cluster.listen=\"{address}\"")], 69, &[&address]);
}

#[test]
fn a_run_id_of_another_config_is_refused_once_it_holds_work() {
    let store = tempdir().unwrap();
    let store = store.path().to_str().unwrap();
    let train = |sets: &[&str]| {
        let mut arguments = vec!["train", "tests/configs/tiny.toml", "--store", store, "--run-id", "wrong"];
        sets.iter().for_each(|set| arguments.extend(["--set", set]));
        let output = run(&arguments).unwrap();
        (output.status.code(), text(&output))
    };
    // A first attempt that found no data leaves nothing but its config behind; the corrected one takes the id over.
    let real = "data.source=\"movietweetings\"";
    let (code, message) = train(&[real, "data.path=\"no/such/folder\""]);
    assert_eq!(code, Some(65), "{message}");
    assert!(message.contains("error: cannot read no/such/folder/ratings.dat: No such file"), "{message}");
    assert_eq!(message.matches("ratings.dat: No such file").count(), 1, "the cause is said once: {message}");
    assert!(message.trim_end().ends_with(", while preparing the data"), "{message}");
    let (code, message) = train(&[]);
    assert!(message.contains("] Read "), "what was read is said while the run goes on: {message}");
    assert_eq!(code, Some(0), "{message}");
    let (code, message) = train(&["seed=5"]);
    assert_eq!(code, Some(78), "{message}");
    assert!(message.contains("wrong") && message.contains("another config"), "{message}");
}

#[test]
fn cuda_that_is_not_there_is_said_with_what_to_do() {
    let store = tempdir().unwrap();
    let (code, message) = train_of("tests/configs/tiny.toml", store.path(), &["cluster.device=cuda"]);
    if code == 0 {
        println!("skipped: CUDA and a GPU are there");
        return;
    }
    assert_eq!(code, 69, "{message}");
    for word in ["error: CUDA is not available: looked for", "set cluster.device = \"cpu\""] {
        assert!(message.contains(word), "`{word}` is missing in: {message}");
    }
    let (code, message) = train_of("tests/configs/tiny.toml", store.path(), &["cluster.device=gpu"]);
    assert_eq!(code, 78, "{message}");
    for word in ["device", "`gpu`", "`cpu`", "`cuda`"] {
        assert!(message.contains(word), "`{word}` is missing in: {message}");
    }
}

#[test]
fn nccl_that_is_not_there_is_said_with_what_to_do() {
    let store = tempdir().unwrap();
    let (code, message) = train_of("tests/configs/tiny.toml", store.path(), &["cluster.collective=nccl"]);
    if code == 0 {
        println!("skipped: NCCL and a GPU are there");
        return;
    }
    assert_eq!(code, 69, "{message}");
    for word in ["NCCL is not available: looked for", "set cluster.collective = \"gloo\""] {
        assert!(message.contains(word), "`{word}` is missing in: {message}");
    }
    // It changes no bit, so that the run goes on with another.
    let (code, message) = train_of("tests/configs/tiny.toml", store.path(), &["cluster.collective=gloo"]);
    assert_eq!(code, 0, "{message}");
}
