//! Machines as network namespaces: each has one interface and one address, and a cable to a switch that is a namespace
//! too. Names are looked up in a file that all machines have, also those that look already. All of it is gone when it is
//! dropped.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// Networks that this process has made.
static MADE: AtomicU32 = AtomicU32::new(0);

/// The machines and the switch between them.
pub struct Network {
    /// What all their names begin with.
    prefix: String,
    machines: usize,
    /// Machines of each name.
    names: BTreeMap<String, Vec<usize>>,
}

impl Network {
    /// So many machines, from 0.
    ///
    /// # Errors
    /// This process may not make namespaces, or the system has no `ip`.
    pub fn make(machines: usize) -> Result<Self, String> {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("conrec-{}-{number}-", std::process::id());
        let mut network = Self { prefix, machines: 0, names: BTreeMap::new() };
        let switch = network.switch();
        ip(&format!("netns add {switch}"))?;
        ip(&format!("-n {switch} link add name bridge type bridge"))?;
        ip(&format!("-n {switch} link set dev bridge up"))?;
        for _ in 0..machines {
            network.add()?;
        }
        Ok(network)
    }

    /// One more machine.
    ///
    /// # Errors
    /// The system refuses.
    pub fn add(&mut self) -> Result<usize, String> {
        let machine = self.machines;
        // It is removed again, however far this comes.
        self.machines += 1;
        let (switch, name, cable) = (self.switch(), self.name(machine), cable(machine));
        ip(&format!("netns add {name}"))?;
        ip(&format!("-n {switch} link add name {cable} type veth peer name eth0 netns {name}"))?;
        ip(&format!("-n {switch} link set dev {cable} master bridge up"))?;
        ip(&format!("-n {name} address add {}/24 dev eth0", address(machine)))?;
        ip(&format!("-n {name} link set dev lo up"))?;
        ip(&format!("-n {name} link set dev eth0 up"))?;
        self.tell(machine)?;
        Ok(machine)
    }

    /// From now on the name is looked up as these machines; as nobody where there are none.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn call(&mut self, name: &str, machines: &[usize]) -> Result<(), String> {
        self.names.insert(name.to_owned(), machines.to_vec());
        (0..self.machines).try_for_each(|machine| self.tell(machine))
    }

    /// Writes the names down for a machine: the same file, so that processes that have it see the new content.
    fn tell(&self, machine: usize) -> Result<(), String> {
        let lines = self
            .names
            .iter()
            .flat_map(|(name, machines)| machines.iter().map(move |machine| format!("{} {name}\n", address(*machine))));
        let hosts = format!("127.0.0.1 localhost\n{}", lines.collect::<String>());
        let folder = self.files(machine);
        let written = fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join("hosts"), hosts));
        written.map_err(|error| format!("{}: {error}", folder.display()))
    }

    /// `ip netns exec` puts the files of this folder in the place of those in `/etc`.
    fn files(&self, machine: usize) -> PathBuf {
        Path::new("/etc/netns").join(self.name(machine))
    }

    /// The namespace of a machine.
    pub fn name(&self, machine: usize) -> String {
        format!("{}{machine}", self.prefix)
    }

    /// A program on a machine.
    pub fn command(&self, machine: usize, program: &Path) -> Command {
        within(&self.name(machine), program)
    }

    fn switch(&self) -> String {
        format!("{}switch", self.prefix)
    }

    /// The machine's interface goes down, so that it knows at once that it is alone; or up again.
    ///
    /// # Errors
    /// The system refuses.
    pub fn interface(&self, machine: usize, up: bool) -> Result<(), String> {
        ip(&format!("-n {} link set dev eth0 {}", self.name(machine), if up { "up" } else { "down" }))
    }

    /// The machine's packets are lost at the switch and nobody is told; or they pass again.
    ///
    /// # Errors
    /// The system refuses.
    pub fn packets(&self, machine: usize, pass: bool) -> Result<(), String> {
        let plugged = if pass { "master bridge" } else { "nomaster" };
        ip(&format!("-n {} link set dev {} {plugged}", self.switch(), cable(machine)))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in (0..self.machines).map(|machine| self.name(machine)).chain([self.switch()]) {
            // One that was never made cannot be removed, and need not be.
            let _ = ip(&format!("netns delete {name}"));
        }
        for machine in 0..self.machines {
            let _ = fs::remove_dir_all(self.files(machine));
        }
    }
}

/// A program in a namespace; `ip` becomes the program, so that its id is the program's.
pub fn within(namespace: &str, program: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}

/// Where a machine is reached.
pub fn address(machine: usize) -> String {
    format!("10.77.0.{}", machine + 1)
}

fn cable(machine: usize) -> String {
    format!("cable{machine}")
}

fn ip(arguments: &str) -> Result<(), String> {
    let told = |output: Output| String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match Command::new("ip").args(arguments.split(' ')).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("ip {arguments}: {}", told(output))),
        Err(error) => Err(format!("ip {arguments}: {error}")),
    }
}
