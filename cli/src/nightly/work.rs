//! What a night is made of, done by the verbs that do it elsewhere, as child processes: `train`, `evaluate`, `predict`.

use super::evidence::{POLICY, compared, outcomes, trained};
use super::{NightlyArgs, config, now};
use crate::children::{Child, wind_down};
use crate::failure::{Failure, no_signals};
use crate::kubernetes;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::RunObjects;
use conrec_domain::day::Day;
use conrec_domain::ids::{Digest, RunId};
use conrec_domain::nightly::{Arrivals, Compared, Floor, Opponent, Plan, Start, Trained};
use conrec_domain::spec::{RunConfig, Source};
use conrec_feedback::dataset::Dataset;
use conrec_feedback::dataset_builder::BuildError;
use conrec_feedback::outcomes::Outcomes;
use conrec_feedback::readers::ReadError;
use conrec_feedback::{readers, synthetic};
use conrec_nightly::{NightWork, Nights};
use conrec_process::{StopSignals, note};
use conrec_store::Store;
use nix::sys::signal::Signal;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::process::Command;

/// A child that was asked to end writes its checkpoint in this time, or is made to end.
const CHECKPOINT: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(10)];

/// The day's sets, beside the night's records.
const SETS: &str = "predict.parquet";

/// The work on one night.
pub struct Work<'a> {
    args: &'a NightlyArgs,
    given: &'a RunConfig,
    store: &'a Store,
    nights: &'a Nights,
    /// Takes logs, the night's config, and files on their way.
    folder: PathBuf,
    signals: StopSignals,
    /// Whether a child works.
    busy: Rc<Cell<bool>>,
}

impl<'a> Work<'a> {
    /// Nothing is done yet.
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub fn new(
        args: &'a NightlyArgs,
        given: &'a RunConfig,
        (store, nights): (&'a Store, &'a Nights),
        busy: &Rc<Cell<bool>>,
    ) -> Result<Self, Failure> {
        let own = || {
            let of_store = Digest::of(store.url().as_bytes()).to_string();
            std::env::temp_dir().join(format!("conrec-night-{}-{of_store:.8}", args.date))
        };
        let beside = || store.folder().map(|_| PathBuf::from(nights.place(&format!("nights/{}", args.date))));
        let folder = args.scratch.clone().or_else(beside).unwrap_or_else(own);
        std::fs::create_dir_all(&folder).map_err(Failure::io("make folder", &folder))?;
        let signals = StopSignals::listen().map_err(no_signals)?;
        Ok(Self { args, given, store, nights, folder, signals, busy: Rc::clone(busy) })
    }

    fn run(&self, id: &RunId) -> RunObjects {
        RunObjects::of(self.store, id)
    }

    fn say(&self, words: &str) {
        if !self.args.quiet {
            note!("night {}: {words}", self.args.date);
        }
    }

    /// Does a verb in a process of its own, to its end.
    async fn child(&mut self, name: &str, words: Vec<String>) -> Result<(), Failure> {
        let own = std::env::current_exe()
            .map_err(|error| Failure::new(ExitCode::Failed, format!("cannot find this program's own path: {error}")))?;
        let mut command = Command::new(own);
        command.args(words).args(["--store", &self.args.store.store]);
        if let Some(scratch) = &self.args.scratch {
            command.arg("--scratch").arg(scratch);
        }
        let mut child = [Child::start(name, command, &self.folder)?];
        self.busy.set(true);
        let ended = tokio::select! {
            status = child[0].wait() => Some(status),
            () = self.signals.next() => None,
        };
        if ended.is_none() {
            child[0].signal(Signal::SIGTERM);
            wind_down(&mut child, CHECKPOINT).await;
        }
        self.busy.set(false);
        let Some(status) = ended else {
            let how = match name {
                "submit" => "stopped while its run goes on in the cluster; the same command waits for it again",
                _ => "stopped after a checkpoint; the same command goes on",
            };
            return Err(Failure::new(ExitCode::Stopped, how));
        };
        let status = status.map_err(Failure::io("wait for", &self.folder))?;
        match u8::try_from(status.code().unwrap_or(1)).unwrap_or(1) {
            0 => Ok(()),
            code if code == ExitCode::Stopped.code() => Err(Failure::new(
                ExitCode::Stopped,
                format!("{name} was stopped after a checkpoint; the same command goes on"),
            )),
            code => {
                let why = child[0].error_message().unwrap_or_else(|| child[0].tail());
                Err(Failure { message: format!("{name} of night {} failed: {why}", self.args.date), code })
            }
        }
    }

    /// A file of this night on this machine.
    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

/// What trains a night's run: processes of this machine, or pods of a cluster that are waited for.
fn training(args: &NightlyArgs, plan: &Plan, config: &Path) -> (&'static str, Vec<String>) {
    let (run, config, workers) =
        (plan.run.as_str(), config.display().to_string(), args.workers.map(|workers| workers.to_string()));
    let mut words: Vec<String> = Vec::new();
    let mut option = |name: &str, value: Option<String>| {
        words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
    };
    option("--workers", workers);
    if !args.cluster.kubernetes {
        option("--run-id", Some(run.to_owned()));
        option("--lanes", args.lanes.map(|lanes| lanes.to_string()));
        return ("train", [vec!["train".to_owned(), config, "--quiet".to_owned()], words].concat());
    }
    option("--key", Some(run.to_owned()));
    option("--namespace", args.cluster.namespace.clone());
    option("--template", args.template.template.as_ref().map(|path| path.display().to_string()));
    option("--queue", args.template.queue.clone());
    let first = ["submit", &config, "--kubernetes", "--wait"].map(str::to_owned).to_vec();
    ("submit", [first, words].concat())
}

impl NightWork for Work<'_> {
    type Error = Failure;

    async fn look(&mut self, night: Day) -> Result<Arrivals, Failure> {
        self.say("looks at the data");
        let spec = config::of_night(self.given, night, None)?;
        let broken = |error: String| Ok(Arrivals { broken: Some(error), ..Arrivals::default() });
        let missing = match readers::missing_days(&spec.data) {
            Ok(missing) => missing,
            Err(error) => return broken(error.to_string()),
        };
        let all = spec.data.days();
        let window = all.0.zip(all.1).map_or(0, |(from, until)| from.through(until).count());
        if window > 0 && missing.len() == window {
            return Ok(Arrivals { missing, ..Arrivals::default() });
        }
        match read(&spec, now()) {
            Ok(dataset) => Ok(Arrivals { events: dataset.days(), missing, broken: None }),
            Err(error) => Ok(Arrivals { missing, broken: Some(error), ..Arrivals::default() }),
        }
    }

    async fn train(&mut self, plan: &Plan) -> Result<Trained, Failure> {
        let from = match &plan.start {
            Start::Cold => "from nothing: nothing serves yet".to_owned(),
            Start::Warm { run, number, .. } => format!("from {run} (promotion {number})"),
            Start::Refit => "from nothing, with semantic ids fitted anew".to_owned(),
        };
        self.say(&format!("trains {} {from}", plan.run));
        let thin: Vec<String> = plan.thin.iter().map(Day::to_string).collect();
        if !thin.is_empty() {
            self.say(&format!("days without enough events: {}", thin.join(", ")));
        }
        let spec = config::of_night(self.given, plan.night, Some(&plan.start))?;
        let file = self.folder.join("config.toml");
        std::fs::write(&file, spec.to_toml()?).map_err(Failure::io("write", &file))?;
        let run = self.run(&plan.run);
        let (verb, words) = training(self.args, plan, &file);
        self.child(verb, words).await?;
        if self.args.cluster.kubernetes
            && let Err(failure) = kubernetes::clear(&self.args.cluster, &plan.run).await
        {
            // They hold nothing that the store has not, and no pod of theirs is left.
            note!("the objects of {} are still in the cluster: {}", plan.run, failure.message);
        }
        let served = match &plan.start {
            Start::Cold => None,
            Start::Warm { run, .. } => Some(self.run(run)),
            Start::Refit => self.nights.history().await?.pop().map(|entry| self.run(&entry.run)),
        };
        trained(&run, served.as_ref()).await
    }

    async fn evaluate(&mut self, plan: &Plan, opponent: &Opponent) -> Result<Vec<Compared>, Failure> {
        let new = outcomes(&self.run(&plan.run)).await?;
        match opponent {
            Opponent::Floor(Floor::Nothing) => Ok(Vec::new()),
            Opponent::Floor(Floor::Baseline { model }) => {
                if !new.models.contains_key(model) {
                    let known: Vec<&str> = new.models.keys().map(String::as_str).collect();
                    let message =
                        format!("nightly.floor = {model:?}: the report has no such model; it has {}", known.join(", "));
                    return Err(Failure::new(ExitCode::BadConfig, message));
                }
                Ok(compared(self.given, &new, (&new, model)))
            }
            Opponent::Promoted { run, .. } => {
                self.say(&format!("evaluates {run} on the same days"));
                let file = self.file("served.parquet");
                let words = ["evaluate", plan.run.as_str(), "--policy-of", run.as_str(), "--outcomes", &file];
                self.child("evaluate", words.map(str::to_owned).into()).await?;
                let bytes = std::fs::read(&file).map_err(Failure::io("read", file.as_ref()))?;
                let digest = Digest::of(&bytes);
                let old = Outcomes::decode(bytes.into(), &digest)
                    .map_err(|error| Failure::new(ExitCode::BadData, format!("{file}: {error}")))?;
                Ok(compared(self.given, &new, (&old, POLICY)))
            }
        }
    }

    async fn predict(&mut self, plan: &Plan, run: &RunId) -> Result<(), Failure> {
        self.say(&format!("predicts the day's sets by {run}"));
        let (file, at) = (self.file(SETS), plan.night.plus(1).to_string());
        let workers = self.args.workers.unwrap_or(1).to_string();
        let words = [
            "predict",
            plan.run.as_str(),
            "--policy-of",
            run.as_str(),
            "--at",
            &at,
            "--out",
            &file,
            "--workers",
            &workers,
            "--quiet",
        ];
        self.child("predict", words.map(str::to_owned).into()).await?;
        let place = format!("nights/{}/{SETS}", plan.night);
        if self.nights.place(&place) == file {
            return Ok(());
        }
        let bytes = std::fs::read(&file).map_err(Failure::io("read", file.as_ref()))?;
        self.nights.put(&place, bytes.into()).await?;
        Ok(())
    }
}

/// The events of the window.
fn read(spec: &RunConfig, now: i64) -> Result<Dataset, String> {
    if spec.data.source == Source::Synthetic {
        let mut dataset = synthetic::generate(&spec.data.synthetic, spec.seed).map_err(|error| error.to_string())?;
        dataset.keep(&spec.data.times());
        return Ok(dataset);
    }
    match readers::read(&spec.data, now) {
        // A window without any event is empty, or late, and nothing is wrong with its files.
        Err(ReadError::Build(BuildError::NoEvents { .. })) => Ok(Dataset::default()),
        other => other.map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_beyond_the_data_is_empty_and_not_broken() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("events.csv"), "user,item,rating,time\nu,i,2,86400\n").unwrap();
        let path = folder.path().display().to_string();
        let read = |from: &str| {
            let mut spec = RunConfig::default();
            (spec.data.source, spec.data.path) = (Source::Table, path.clone());
            (spec.data.from, spec.data.until) = (from.to_owned(), "1970-01-05".to_owned());
            read(&spec, now()).map(|dataset| dataset.events.len())
        };
        assert_eq!((read("1970-01-01"), read("1970-01-03")), (Ok(1), Ok(0)));
        std::fs::remove_file(folder.path().join("events.csv")).unwrap();
        assert!(read("1970-01-01").is_err());
    }
}
