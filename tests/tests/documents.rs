//! What the documents say is true: every command in their code blocks is run against the built programs, in a fresh
//! folder laid out like the checkout, and every file and config key that they name exists.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by a panic, and says what it did"
)]

#[path = "documents/commands.rs"]
mod commands;
#[path = "documents/references.rs"]
mod references;
#[path = "documents/stand_ins.rs"]
mod stand_ins;

use commands::{DocumentCommand, commands};
use conrec_tests::emulators::{self, Emulator};
use conrec_tests::kubernetes_api::ApiServer;
use conrec_tests::{program, root};
use stand_ins::{StandIns, TRAIN_RUN};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A command that takes longer belongs into one of the tables of `stand_ins`, with a reason.
const LIMIT: Duration = Duration::from_secs(300);

/// Users of the small dataset that stands for one's own tables.
const USERS: usize = 1500;

/// Name and text of every document for users and contributors.
fn documents() -> Vec<(String, String)> {
    let mut names: Vec<String> = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"].map(str::to_owned).to_vec();
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(root().join(&folder)).unwrap().map(|entry| entry.unwrap());
        for entry in entries {
            let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() { folders.push(name) } else { names.push(name) }
        }
    }
    names.retain(|name| name.ends_with(".md"));
    names[3..].sort();
    names.into_iter().map(|name| (name.clone(), fs::read_to_string(root().join(name)).unwrap())).collect()
}

/// A folder laid out like the checkout, with the built program in place of the script that builds it.
struct Checkout {
    folder: TempDir,
    stand_ins: StandIns,
    /// What stands for a cloud's bucket.
    bucket: Emulator,
}

/// A command that runs.
struct Running {
    child: Child,
    of: DocumentCommand,
    output: PathBuf,
    since: Instant,
}

impl Checkout {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = root().canonicalize().unwrap();
        for name in ["configs", "data", "scripts", "tests"] {
            symlink(root.join(name), folder.path().join(name)).unwrap();
        }
        symlink(program().unwrap(), folder.path().join("conrec")).unwrap();
        // A cluster for those who submit to one (tests/src/kubernetes_api.rs); it has no pods.
        let cluster = ApiServer::start().unwrap().kubeconfig("conrec");
        fs::write(folder.path().join("kubeconfig"), cluster).unwrap();
        Self { folder, stand_ins: StandIns::new(), bucket: emulators::google().unwrap() }
    }

    /// Starts a command where it is to be run at all.
    fn start(&self, of: &DocumentCommand) -> Option<Running> {
        let line = self.stand_ins.of(&of.text)?;
        let output = self.folder.path().join(format!("output-{}", of.place.replace(['/', ':'], "-")));
        let file = File::create(&output).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {line}")]).current_dir(self.folder.path()).process_group(0);
        command.env("KUBECONFIG", self.folder.path().join("kubeconfig"));
        command.envs(self.bucket.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap();
        Some(Running { child, of: of.clone(), output, since: Instant::now() })
    }

    /// Runs commands of documents, those of a block with a coordinator at the same time, all others in turn; gives one
    /// message for each that did not end as its document says. What was run before is not run again.
    fn run(&self, commands: &[DocumentCommand]) -> Vec<String> {
        let (mut failures, mut before) = (Vec::new(), BTreeSet::new());
        for block in commands.chunk_by(|a, b| a.block == b.block && file(a) == file(b)) {
            let together = block.iter().any(|command| command.text.starts_with("./conrec coordinator "));
            let mut running = Vec::new();
            for command in block.iter().filter(|command| together || before.insert(command.text.clone())) {
                running.extend(self.start(command));
                if !together {
                    failures.extend(running.drain(..).filter_map(Running::failure));
                }
            }
            failures.extend(running.into_iter().filter_map(Running::failure));
        }
        failures
    }
}

fn file(command: &DocumentCommand) -> &str {
    command.place.split(':').next().unwrap_or_default()
}

impl Running {
    /// Waits for its end; gives a message when it is not the one that the document tells.
    fn failure(mut self) -> Option<String> {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.since.elapsed() > LIMIT {
                self.child.kill().unwrap();
                break self.child.wait().unwrap();
            }
            sleep(Duration::from_millis(10));
        };
        let (DocumentCommand { place, text, exit_code, .. }, seconds) = (&self.of, self.since.elapsed().as_secs_f64());
        println!("{seconds:6.1} s  {place}  {text}");
        if status.code() == Some(*exit_code) {
            return None;
        }
        let said = fs::read_to_string(&self.output).unwrap();
        Some(format!("{place}: `{text}` ended with {status}, the document says exit code {exit_code}:\n{said}"))
    }
}

/// The first users of the dataset in the repository as one's own CSV tables.
fn write_tables(folder: &Path) {
    let data = root().join("data/movietweetings-100k");
    let read = |name: &str| fs::read_to_string(data.join(name)).unwrap();
    let mut ratings = "user,item,rating,time\n".to_owned();
    for line in read("ratings.dat").lines() {
        let fields: Vec<&str> = line.split("::").collect();
        let user: usize = fields[0].parse().unwrap();
        if user <= USERS {
            ratings.push_str(&format!("user {user},{},{},{}\n", fields[1], fields[2], fields[3]));
        }
    }
    let mut items = "item,title,categories\n".to_owned();
    for line in read("movies.dat").lines() {
        let fields: Vec<&str> = line.split("::").collect();
        items.push_str(&format!("{},\"{}\",{}\n", fields[0], fields[1].replace('"', "\"\""), fields[fields.len() - 1]));
    }
    let folder = folder.join("my-data");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("ratings.csv"), ratings).unwrap();
    fs::write(folder.join("items.csv"), items).unwrap();
}

#[test]
fn every_command_does_what_its_document_says() {
    let all: Vec<DocumentCommand> = documents().iter().flat_map(|(name, text)| commands(name, text)).collect();
    assert!(all.len() > 10, "only {} commands found", all.len());
    let checkout = Checkout::new();
    write_tables(checkout.folder.path());
    let first = commands("the run that stands in", &format!("    {TRAIN_RUN}"));
    let failures = [checkout.run(&first), checkout.run(&all)].concat();
    assert!(failures.is_empty(), "{} commands fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn a_wrong_command_is_found() {
    let text = "```sh\n./conrec validate configs/demo.toml\n./conrec validate configs/absent.toml\n\
                ./conrec validate configs/demo.toml --set data.paht=x\n./conrec dance\nscripts/absent\n\
                ./conrec validate configs/demo.toml --set seed=1   # exit code 78\n```\n";
    let checkout = Checkout::new();
    let failures = checkout.run(&commands("x.md", text));
    let places: Vec<&str> = failures.iter().filter_map(|failure| failure.split(": ").next()).collect();
    assert_eq!(places, ["x.md:3", "x.md:4", "x.md:5", "x.md:6", "x.md:7"], "{failures:?}");
}

#[test]
fn every_file_and_key_that_a_document_names_exists() {
    let (root, keys) = (root().canonicalize().unwrap(), references::config_keys(&root()));
    let dead: Vec<String> =
        documents().iter().flat_map(|(name, text)| references::dead(name, text, &root, &keys)).collect();
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}
