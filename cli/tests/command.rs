//! The built `conrec` command from outside: exit codes, messages, and a local run with stand-ins for its workers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy allows them in tests, but not in what tests share")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const CONFIG: &str = r#"
[data]
source = "synthetic"
[cluster]
join_seconds = 20
[[stage]]
name = "next_item"
kind = "next_item"
iterations = 2
prompts = 4
prompts_per_lease = 2
learning_rate = 0.001
"#;

/// A folder with the command, a config, and a shell script in place of `conrec-worker`.
struct Bench {
    folder: tempfile::TempDir,
}

/// Copies a program by another process: what this one had open for writing at the moment when another test's thread forks
/// could not be executed ("text file busy").
fn placed(program: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-p").args([program, to]).status().unwrap().success());
}

impl Bench {
    fn new(worker: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bench = Self { folder };
        placed(Path::new(env!("CARGO_BIN_EXE_conrec")), &bench.path("conrec"));
        std::fs::write(bench.path("small.toml"), CONFIG).unwrap();
        if let Some(script) = worker {
            std::fs::write(bench.path("script"), format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(bench.path("script"), std::fs::Permissions::from_mode(0o755)).unwrap();
            placed(&bench.path("script"), &bench.path("conrec-worker"));
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(self.path("conrec"));
        command.args(words.split(' ')).current_dir(self.folder.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, words: &str) -> (i32, String, String) {
        said(self.command(words).output().unwrap())
    }
}

fn said(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn wait_for(path: &Path) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if !text.is_empty() => return text,
            Ok(_) | Err(_) => {}
        }
        assert!(Instant::now() < deadline, "{} does not appear", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn alive(pid: &str) -> bool {
    kill(Pid::from_raw(pid.trim().parse().unwrap()), None).is_ok()
}

#[test]
fn a_wrong_command_line_exits_64_and_help_exits_0() {
    let bench = Bench::new(None);
    let (code, _, stderr) = bench.run("train small.toml --workerz 2");
    assert_eq!(code, 64);
    assert!(stderr.contains("--workers"), "{stderr}");
    assert_eq!(bench.run("dance").0, 64);
    let (code, stdout, _) = bench.run("--help");
    assert_eq!(code, 0);
    assert!(stdout.contains("Examples:") && stdout.contains("configs/demo.toml"), "{stdout}");
}

#[test]
fn an_unknown_key_exits_78_and_names_key_line_and_what_is_known() {
    let bench = Bench::new(None);
    std::fs::write(bench.path("typo.toml"), CONFIG.replace("source =", "sauce =")).unwrap();
    let (code, stdout, stderr) = bench.run("validate typo.toml");
    assert_eq!((code, stdout.as_str()), (78, ""));
    for part in ["error: typo.toml", "sauce", "line 3", "`source`"] {
        assert!(stderr.contains(part), "{part} is not in: {stderr}");
    }
}

#[test]
fn a_bad_value_exits_78_and_names_key_value_and_what_is_allowed() {
    let bench = Bench::new(None);
    let (code, _, stderr) = bench.run("validate small.toml --set data.horizon_days=0 --set evaluation.beams=3");
    assert_eq!(code, 78);
    assert!(stderr.contains("data.horizon_days = 0: allowed is 1 to"), "{stderr}");
    assert!(stderr.contains("evaluation.beams = 3: allowed is at least evaluation.top = 20"), "{stderr}");
    let (code, _, stderr) = bench.run("train small.toml --set data.horizon_days=0");
    assert_eq!(code, 78);
    assert!(stderr.starts_with("error: data.horizon_days = 0"), "{stderr}");
}

#[test]
fn a_missing_config_exits_78_and_is_named() {
    let (code, _, stderr) = Bench::new(None).run("validate absent.toml");
    assert_eq!(code, 78);
    assert!(stderr.starts_with("error: cannot read config absent.toml:"), "{stderr}");
}

#[test]
fn validate_prints_every_number_for_people_and_for_programs() {
    let bench = Bench::new(None);
    let (code, stdout, _) = bench.run("validate small.toml");
    assert_eq!(code, 0);
    assert!(stdout.contains("iterations at most") && stdout.contains("next_item: leases an iteration"), "{stdout}");
    let (_, stdout, _) = bench.run("validate small.toml --output json");
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((json["iterations_at_most"].as_u64(), json["stages"][0]["leases"].as_u64()), (Some(4), Some(2)));
    assert!(json["run_id"].as_str().unwrap().starts_with("small-"));
}

/// A pipe whose reader has ended.
fn unheard() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A disk without space.
fn full() -> Stdio {
    std::fs::File::options().write(true).open("/dev/full").unwrap().into()
}

#[test]
fn a_reader_that_has_ended_is_no_failure_and_a_full_disk_under_the_results_is_one() {
    let bench = Bench::new(None);
    for words in ["validate small.toml", "validate small.toml --output json", "--help"] {
        let output = bench.command(words).stdout(unheard()).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()), "{words}");
    }
    let (code, _, stderr) = said(bench.command("validate small.toml").stdout(full()).output().unwrap());
    assert_eq!(code, 69);
    assert!(stderr.starts_with("error: cannot write to stdout:"), "{stderr}");
    let output = bench.command("validate absent.toml").stderr(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
}

#[test]
fn nothing_that_cannot_be_said_ends_a_run() {
    let streams: [fn() -> Stdio; 2] = [unheard, full];
    for stream in streams {
        let bench = Bench::new(Some("echo $$ > worker.pid; sleep 60"));
        let mut train = bench.command("train small.toml --run-id mute");
        let mut train = train.stdout(stream()).stderr(stream()).spawn().unwrap();
        wait_for(&bench.path("worker.pid"));
        kill(Pid::from_raw(i32::try_from(train.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(train.wait().unwrap().code(), Some(75));
        let address = bench.path("address");
        let mut serves = bench.command("coordinator small.toml --run-id mute --address-file address");
        let mut serves = serves.env("CONREC_LOG", "trace").stdout(stream()).stderr(stream()).spawn().unwrap();
        wait_for(&address);
        kill(Pid::from_raw(i32::try_from(serves.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(serves.wait().unwrap().code(), Some(75));
    }
}

#[test]
fn a_run_that_is_not_there_is_refused_with_those_that_are() {
    let bench = Bench::new(None);
    std::fs::create_dir_all(bench.path("runs/other")).unwrap();
    std::fs::write(bench.path("runs/other/run.toml"), "").unwrap();
    let (code, _, stderr) = bench.run("report mine");
    assert_eq!(code, 64);
    assert!(stderr.contains("no run `mine`") && stderr.contains("it holds other"), "{stderr}");
    let (code, _, stderr) = bench.run("report other");
    assert_eq!(code, 1);
    assert!(stderr.contains("has no report yet"), "{stderr}");
    let (code, stdout, _) = bench.run("checkpoints list other");
    assert_eq!((code, stdout.as_str()), (0, "run `other` has no checkpoints\n"));
}

#[test]
fn what_is_mistyped_is_told_at_once() {
    let bench = Bench::new(None);
    let since = Instant::now();
    let (code, _, stderr) = bench.run("status nonsense");
    assert!(code == 64 && stderr.contains("no job `nonsense`"), "{code}: {stderr}");
    for words in ["stop nonsense", "status 127.0.0.1:0", "stop 127.0.0.1:port"] {
        let (code, _, stderr) = bench.run(words);
        assert_eq!(code, 64, "{words}: {stderr}");
        assert!(stderr.contains("expected HOST:PORT"), "{words}: {stderr}");
    }
    let output = bench.command("stop").arg("").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let output = bench.command("certs init trust --name").arg("bad name!").output().unwrap();
    let (code, _, stderr) = said(output);
    assert_eq!(code, 64);
    assert!(stderr.contains("expected a host name or an address") && !bench.path("trust").exists(), "{stderr}");
    assert!(since.elapsed() < Duration::from_secs(8), "nothing is waited for");
    std::fs::create_dir_all(bench.path("runs/other")).unwrap();
    std::fs::write(bench.path("runs/other/run.toml"), "").unwrap();
    let (code, _, stderr) = bench.run("checkpoints inspect other nope");
    assert_eq!(code, 64);
    assert!(stderr.contains("run `other` has no checkpoint `nope`; `conrec checkpoints list other`"), "{stderr}");
}

#[test]
fn without_conrec_worker_the_message_says_where_it_belongs() {
    let bench = Bench::new(None);
    for verb in ["train small.toml", "prepare small.toml"] {
        let (code, _, stderr) = bench.run(verb);
        assert_eq!(code, 69);
        assert!(stderr.contains("conrec-worker is missing"), "{stderr}");
    }
}

#[test]
fn verbs_of_the_worker_get_their_arguments_and_give_their_exit_code() {
    let bench = Bench::new(Some("echo \"$@\"; exit 65"));
    let (code, stdout, _) = bench.run("prepare small.toml --set seed=1 --output json");
    assert_eq!((code, stdout.as_str()), (65, "prepare small.toml --set seed=1 --output json\n"));
}

#[test]
fn a_worker_that_ends_early_ends_the_run_and_its_words_are_shown() {
    let bench = Bench::new(Some("echo 'libtorch.so: cannot open shared object file' >&2; exit 127"));
    let started = Instant::now();
    let (code, _, stderr) = bench.run("train small.toml --run-id early");
    assert_eq!(code, 1);
    assert!(started.elapsed() < Duration::from_secs(15), "the join deadline of 20 s must not be waited for");
    assert_eq!(stderr.matches("error: ").count(), 1, "{stderr}");
    assert!(stderr.contains("libtorch.so: cannot open shared object file"), "{stderr}");
    assert!(stderr.contains("runs/early/logs/worker-1.log"), "{stderr}");
}

#[test]
fn a_stop_reaches_the_coordinator_which_ends_the_run_as_resumable() {
    let bench = Bench::new(Some("echo $$ > worker.pid; sleep 60"));
    let child = bench.command("train small.toml --run-id stop --output json").spawn().unwrap();
    let worker = wait_for(&bench.path("worker.pid"));
    let address = wait_for(&bench.path("runs/stop/logs/coordinator.address"));
    assert!(address.starts_with("127.0.0.1:"));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let (code, stdout, stderr) = said(child.wait_with_output().unwrap());
    assert_eq!(code, 75, "{stderr}");
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((json["run_id"].as_str(), json["state"].as_str()), (Some("stop"), Some("stopped")));
    assert!(stderr.contains("stopping:"), "{stderr}");
    assert!(!alive(&worker));
}

#[test]
fn when_the_command_is_killed_its_children_end_too() {
    let bench = Bench::new(Some("echo $$ > worker.pid; exec sleep 60"));
    let mut child = bench.command("train small.toml --run-id killed").spawn().unwrap();
    let worker = wait_for(&bench.path("worker.pid"));
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while alive(&worker) {
        assert!(Instant::now() < deadline, "the worker lives on");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_complete_run_is_shown_again_and_another_config_is_refused() {
    let bench = Bench::new(Some("sleep 60"));
    let mut child = bench.command("train small.toml --run-id done").spawn().unwrap();
    wait_for(&bench.path("runs/done/run.toml"));
    wait_for(&bench.path("runs/done/logs/coordinator.address"));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(75));
    let report = r#"{"run_id": "done", "state_digest": "ab", "iterations": 4, "wall_seconds": 2.0,
        "models": {"sft": {"fhr@20": {"value": 0.25, "low": 0.2, "high": 0.3}}}}"#;
    std::fs::write(bench.path("runs/done/report.json"), report).unwrap();
    let (code, stdout, _) = bench.run("train small.toml --run-id done");
    assert_eq!(code, 0);
    assert!(stdout.contains("already complete") && stdout.contains("0.2500 [0.200, 0.300]"), "{stdout}");
    let (code, _, stderr) = bench.run("train small.toml --run-id done --set seed=1");
    assert_eq!(code, 78, "{stderr}");
    assert!(stderr.contains("belongs to another config") && stderr.contains("seed is 0 there and 1 here"), "{stderr}");
}

#[test]
fn a_port_in_use_is_said_plainly() {
    let bench = Bench::new(Some("sleep 60"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (code, _, stderr) = bench.run(&format!("train small.toml --set cluster.listen=127.0.0.1:{port}"));
    assert_eq!(code, 69);
    assert!(stderr.contains("the port is in use"), "{stderr}");
    assert_eq!(stderr.matches("error: ").count(), 1, "{stderr}");
}
