//! The pods of `k8s/base` on nodes of their own, with a bucket on another: a node is cut off and comes back, a pod is replaced
//! under its name while the old one hangs, the coordinator is replaced at another address, all are told to end at once. The
//! run ends with the bits of an undisturbed one.

use crate::case;
use crate::cluster::{Cluster, Pod, Verdict};
use conrec_tests::{root, run, text};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

const COORDINATOR: &str = "conrec-coordinator";
const WORKER: &str = "conrec-worker";
/// As RUN_ID says.
const RUN: &str = "conrec";
/// Nothing takes longer that is waited for.
const PATIENCE: Duration = Duration::from_secs(150);
/// From SIGTERM to SIGKILL. The manifests give more.
const GRACE: Duration = Duration::from_secs(30);

/// The tiny run, with iterations enough for all that happens, and deadlines that are missed soon.
fn config(iterations: i64) -> String {
    let mut config: toml::Table = fs::read_to_string(root().join(crate::TINY)).unwrap().parse().unwrap();
    let stages = config["stage"].as_array_mut().unwrap();
    for stage in &mut stages[..2] {
        stage.as_table_mut().unwrap().insert("iterations".to_owned(), iterations.into());
    }
    let cluster = "heartbeat_seconds = 2\nrejoin_seconds = 2\nreduce_seconds = 3\n".parse::<toml::Table>().unwrap();
    config.insert("cluster".to_owned(), cluster.into());
    config["checkpoint"].as_table_mut().unwrap().insert("every".to_owned(), 50.into());
    toml::to_string(&config).unwrap()
}

/// The pods of `k8s/base`, and the report of the same run without a cluster. None, with a sentence, where that cannot be.
struct Scene {
    // Dropped before what they run in.
    coordinator: Pod,
    workers: [Pod; 2],
    cluster: Cluster,
    iterations: i64,
}

impl Scene {
    fn begin(iterations: i64) -> Option<Self> {
        let mut cluster = Cluster::of(&case("base")?);
        if let Err(why) = cluster.take_nodes().and_then(|()| cluster.take_bucket()) {
            println!("skipped: {why}");
            return None;
        }
        cluster.add_config("tiny.toml", &config(iterations));
        cluster.set("CONFIG", "tiny.toml");
        let workers = [0, 1].map(|index| cluster.start(WORKER, index));
        let coordinator = cluster.start(COORDINATOR, 0);
        let scene = Self { coordinator, workers, cluster, iterations };
        scene.await_status("both workers", |iteration, workers| iteration >= 5 && workers == 2);
        Some(scene)
    }

    /// Waits for a status with such an iteration and so many workers; gives the iteration.
    fn await_status(&self, what: &str, holds: impl Fn(u64, u64) -> bool) -> u64 {
        let (since, mut last) = (Instant::now(), None);
        while since.elapsed() < PATIENCE {
            last = self.cluster.status().or(last);
            let number = |key: &str| last.as_ref().and_then(|status| status[key].as_u64());
            if let (Some(iteration), Some(workers)) = (number("iteration"), number("workers"))
                && holds(iteration, workers)
            {
                println!("{what}: iteration {iteration} after {:.1?}", since.elapsed());
                return iteration;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("{what} did not come: {last:?}\n{}", self.cluster.words());
    }

    /// All end well, with the bits of a run that nothing disturbed; its audit finds nothing.
    fn ends_well(&mut self) {
        assert_eq!(self.coordinator.verdict(), Verdict::Succeeded, "{}", self.cluster.words());
        for worker in &mut self.workers {
            assert_eq!(worker.verdict(), Verdict::Succeeded, "{}", self.cluster.words());
        }
        let report = self.cluster.ask(&["report", RUN, "--output", "json"]);
        let found: Value = serde_json::from_slice(&report.stdout).unwrap_or_else(|_| panic!("{}", text(&report)));
        let (store, file) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
        fs::write(file.path(), config(self.iterations)).unwrap();
        let (config, folder) = (file.path().to_str().unwrap(), store.path().to_str().unwrap());
        let alone = run(&["train", config, "--run-id", RUN, "--store", folder, "--quiet"]).unwrap();
        assert!(alone.status.success(), "{}", text(&alone));
        let plain: Value =
            serde_json::from_slice(&fs::read(store.path().join(RUN).join("report.json")).unwrap()).unwrap();
        for key in ["state_digest", "journal_digest", "iterations", "models"] {
            assert_eq!(found[key], plain[key], "{key}: {}", self.cluster.words());
        }
        let audit = self.cluster.ask(&["audit", RUN]);
        assert!(audit.status.success(), "{} {}", text(&audit), self.cluster.words());
    }
}

#[test]
fn a_node_that_is_cut_off_costs_its_worker_only_and_comes_back() {
    let Some(mut scene) = Scene::begin(80) else { return };
    scene.cluster.connect(&scene.workers[1], false);
    let cut = scene.await_status("alone", |_, workers| workers == 1);
    scene.await_status("the run without it", |iteration, _| iteration > cut + 3);
    scene.cluster.connect(&scene.workers[1], true);
    scene.await_status("both again", |_, workers| workers == 2);
    scene.ends_well();
}

#[test]
fn a_pod_is_replaced_under_its_name_while_the_old_one_hangs() {
    let Some(mut scene) = Scene::begin(40) else { return };
    scene.workers[1].signal(Signal::SIGSTOP);
    let stopped = scene.await_status("hanging", |_, _| true);
    let new = scene.cluster.start(WORKER, 1);
    let mut old = std::mem::replace(&mut scene.workers[1], new);
    // No iteration is committed before the old one is given up.
    let replaced = scene.await_status("the run with it", |iteration, workers| workers == 2 && iteration > stopped + 3);
    // The old one wakes up where it was, finds that it was given up, and is told to end as its pod is deleted.
    old.signal(Signal::SIGCONT);
    scene.await_status("the run with both", |iteration, _| iteration > replaced + 3);
    old.signal(Signal::SIGTERM);
    assert_eq!(old.end_within(Instant::now(), GRACE), 75, "{}", scene.cluster.words());
    scene.ends_well();
}

#[test]
fn a_coordinator_that_is_replaced_at_another_address_is_found_by_its_service() {
    let Some(mut scene) = Scene::begin(25) else { return };
    let before = scene.await_status("before", |_, _| true);
    // Nothing is heard of its node any more: the pod is given up, nobody has the name, then another pod has.
    scene.cluster.connect(&scene.coordinator, false);
    scene.cluster.unname(COORDINATOR, 0);
    let new = scene.cluster.start(COORDINATOR, 0);
    let mut old = std::mem::replace(&mut scene.coordinator, new);
    scene.await_status("the new one's workers", |iteration, workers| workers == 2 && iteration > before + 3);
    // The old one's node comes back, and may harm nothing.
    scene.cluster.connect(&old, true);
    // It learns from the store that its run has another.
    let code = old.end_within(Instant::now(), GRACE);
    assert_eq!(code, 69, "{}", scene.cluster.words());
    scene.ends_well();
}

#[test]
fn all_pods_are_told_to_end_at_once_and_the_next_ones_go_on() {
    let Some(mut scene) = Scene::begin(12) else { return };
    let since = Instant::now();
    let Scene { coordinator, workers: [first, second], cluster, .. } = &mut scene;
    let mut pods = [coordinator, first, second];
    pods.iter().for_each(|pod| pod.signal(Signal::SIGTERM));
    let codes = pods.each_mut().map(|pod| pod.end_within(since, GRACE));
    assert_eq!(codes, [75; 3], "{}", cluster.words());
    let checkpoints = cluster.ask(&["checkpoints", "list", RUN, "--output", "json"]);
    let checkpoints: Value = serde_json::from_slice(&checkpoints.stdout).unwrap();
    assert!(checkpoints["checkpoints"].as_array().unwrap().iter().any(|row| row["whole"] == true), "{checkpoints}");
    // In whatever order they come.
    scene.workers = [0, 1].map(|index| scene.cluster.start(WORKER, index));
    scene.coordinator = scene.cluster.start(COORDINATOR, 0);
    scene.ends_well();
}
