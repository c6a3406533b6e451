//! A coordinator and three workers on four machines (network namespaces) are killed, stopped, cut off and robbed of
//! their packets at random moments; the run ends with the bits of an undisturbed run of one worker.
//! `CONREC_CHAOS_SEED` sets the seed, which is printed. Needs the right to make namespaces; skipped without it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "chaos/machine.rs"]
mod machine;

use conrec_tests::chance::Chance;
use conrec_tests::network::{Network, address};
use conrec_tests::run_files::{committed, outcome};
use conrec_tests::{run, text};
use machine::Machine;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::tempdir;

const WORKERS: usize = 3;
const PORT: u16 = 7000;
/// The machine of the coordinator; workers follow.
const COORDINATOR: usize = 0;
/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(180);
/// What the listening rules ask of a network without encryption.
const COORDINATOR_FLAGS: [&str; 1] = ["--insecure-listen"];
const WORKER_FLAGS: [&str; 1] = ["--insecure-collectives"];
/// Deadlines that faults miss soon, and iterations enough for all of them.
const SETS: [&str; 5] = [
    "cluster.heartbeat_seconds=1",
    "cluster.rejoin_seconds=1",
    "cluster.reduce_seconds=2",
    "stage.0.iterations=250",
    "stage.1.iterations=250",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Kill,
    Stop,
    /// The interface is down for a while.
    Cut,
    /// Packets are lost for a while.
    Lose,
}

/// Each fault of a run, on a worker or the coordinator, so often: twenty in all.
const DECK: [(Fault, bool, usize); 8] = [
    (Fault::Kill, false, 4),
    (Fault::Stop, false, 3),
    (Fault::Cut, false, 3),
    (Fault::Lose, false, 3),
    (Fault::Kill, true, 3),
    (Fault::Stop, true, 1),
    (Fault::Cut, true, 2),
    (Fault::Lose, true, 1),
];

/// What ends a fault, and when.
struct Heal {
    due: Instant,
    machine: usize,
    /// The process that was met; one that was started since is left alone.
    met: Pid,
    fault: Fault,
}

struct Chaos {
    // Fields are dropped in this order: no namespace is removed before its process.
    machines: Vec<Machine>,
    network: Network,
    heals: Vec<Heal>,
    told: Vec<String>,
    since: Instant,
}

impl Chaos {
    fn start(network: Network, store: &Path) -> Self {
        let folder = store.to_str().unwrap();
        let (at, count) = (format!("{}:{PORT}", address(COORDINATOR)), WORKERS.to_string());
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let mut arguments = owned(&["coordinator", "tests/configs/tiny.toml", "--store", folder, "--run-id", "bits"]);
        arguments.extend(owned(&["--workers", &count, "--listen", &at]).into_iter().chain(owned(&COORDINATOR_FLAGS)));
        arguments.extend(SETS.iter().flat_map(|set| owned(&["--set", set])));
        let mut machines = vec![Machine::start(&network, COORDINATOR, arguments, store)];
        for worker in 1..=WORKERS {
            let own = address(worker);
            let mut arguments = owned(&["worker", "--coordinator", &at, "--advertise", &own, "--store", folder]);
            arguments.extend(owned(&["--lanes", "1"]).into_iter().chain(owned(&WORKER_FLAGS)));
            machines.push(Machine::start(&network, worker, arguments, store));
        }
        Self { machines, network, heals: Vec::new(), told: Vec::new(), since: Instant::now() }
    }

    fn disturb(&mut self, fault: Fault, machine: usize, lasts: Duration) {
        self.told.push(format!("{:.1?} {fault:?} {machine} for {lasts:?}", self.since.elapsed()));
        match fault {
            Fault::Kill => return self.machines[machine].signal(Signal::SIGKILL),
            Fault::Stop => self.machines[machine].signal(Signal::SIGSTOP),
            Fault::Cut => self.network.interface(machine, false).unwrap(),
            Fault::Lose => self.network.packets(machine, false).unwrap(),
        }
        let met = self.machines[machine].id();
        self.heals.push(Heal { due: Instant::now() + lasts, machine, met, fault });
    }

    fn heal(&mut self) {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.heals).into_iter().partition(|heal| heal.due <= now);
        self.heals = later;
        let due: Vec<Heal> = due;
        for Heal { machine, met, fault, .. } in due {
            match fault {
                Fault::Stop if self.machines[machine].id() == met => self.machines[machine].signal(Signal::SIGCONT),
                Fault::Cut => self.network.interface(machine, true).unwrap(),
                Fault::Lose => self.network.packets(machine, true).unwrap(),
                Fault::Kill | Fault::Stop => {}
            }
        }
    }

    /// Starts again what ended, as an operator's supervisor does. Whether the run is complete.
    fn look(&mut self) -> bool {
        for machine in 0..self.machines.len() {
            let Some(status) = self.machines[machine].ended() else { continue };
            if machine == COORDINATOR && status.success() {
                return true;
            }
            // A worker that was told to stop has nothing more to do.
            if status.success() {
                continue;
            }
            let may = status.code().is_none_or(|code| machine != COORDINATOR && (code == 1 || code == 69));
            assert!(may, "machine {machine} ended with {status} {}", self.story());
            self.told.push(format!("{:.1?} {machine} ended with {status}", self.since.elapsed()));
            self.machines[machine].start_again();
        }
        false
    }

    fn story(&self) -> String {
        let said: Vec<String> = self.machines.iter().map(Machine::said).collect();
        format!("after {:?}\n{:#?}\n{}", self.since.elapsed(), self.told, said.join("\n\n"))
    }
}

/// Twenty faults in a random order.
fn deck(chance: &mut Chance) -> Vec<(Fault, bool)> {
    let mut deck: Vec<_> = DECK.iter().flat_map(|(fault, head, times)| vec![(*fault, *head); *times]).collect();
    chance.shuffle(&mut deck);
    deck
}

#[test]
fn twenty_faults_of_machines_and_network_change_no_bit() {
    let network = match Network::make(1 + WORKERS) {
        Ok(network) => network,
        Err(why) => return eprintln!("skipped: no network namespaces can be made here: {why}"),
    };
    let seed = std::env::var("CONREC_CHAOS_SEED").map_or(7, |seed| seed.parse().unwrap());
    eprintln!("CONREC_CHAOS_SEED={seed}");
    let (quiet, loud) = (tempdir().unwrap(), tempdir().unwrap());
    let mut arguments = vec!["train", "tests/configs/tiny.toml", "--run-id", "bits", "--workers", "1", "--store"];
    arguments.push(quiet.path().to_str().unwrap());
    arguments.extend(SETS.iter().flat_map(|set| ["--set", set]));
    let output = run(&arguments).unwrap();
    assert!(output.status.success(), "{}", text(&output));

    let mut chance = Chance(seed);
    let mut deck = deck(&mut chance);
    let mut chaos = Chaos::start(network, loud.path());
    let (mut seen, folder) = (0, loud.path().join("bits"));
    while !chaos.look() {
        chaos.heal();
        let now = committed(&folder);
        // Each fault waits for some iterations, so that they meet all stages. A ledger may be cut back.
        seen = seen.min(now);
        if now > seen + 8
            && let Some((fault, head)) = deck.pop()
        {
            seen = now;
            sleep(Duration::from_millis(chance.below(40)));
            let machine = if head { COORDINATOR } else { 1 + chance.below(WORKERS as u64) as usize };
            chaos.disturb(fault, machine, Duration::from_millis(600 + chance.below(1_600)));
        }
        assert!(chaos.since.elapsed() < LIMIT, "no end {}", chaos.story());
        sleep(Duration::from_millis(5));
    }
    assert!(deck.is_empty(), "the run was over before it was disturbed often enough {}", chaos.story());
    let ended = |store: &Path| outcome(&store.join("bits")).unwrap();
    let ([found, ledger], [expected, expected_ledger]) = (ended(loud.path()), ended(quiet.path()));
    assert_eq!(found["state_digest"], expected["state_digest"], "{}", chaos.story());
    assert!(found == expected && ledger == expected_ledger, "{found} {}", chaos.story());
    let audit = run(&["audit", "bits", "--store", loud.path().to_str().unwrap()]).unwrap();
    assert!(audit.status.success(), "{} {}", text(&audit), chaos.story());
    eprintln!("{:#?}", chaos.told);
}
