//! Machines as network namespaces: each has one interface and one address, and a cable to a switch that is a namespace
//! too. All of it is gone when it is dropped.

use std::process::{Command, Output};

/// The machines and the switch between them.
pub struct Network {
    /// What all their names begin with.
    prefix: String,
    machines: usize,
}

impl Network {
    /// So many machines, from 0.
    ///
    /// # Errors
    /// This process may not make namespaces, or the system has no `ip`.
    pub fn make(machines: usize) -> Result<Self, String> {
        let network = Self { prefix: format!("conrec-{}-", std::process::id()), machines };
        let switch = network.switch();
        ip(&format!("netns add {switch}"))?;
        ip(&format!("-n {switch} link add name bridge type bridge"))?;
        ip(&format!("-n {switch} link set dev bridge up"))?;
        for machine in 0..machines {
            let (name, cable, address) = (network.name(machine), cable(machine), address(machine));
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {switch} link add name {cable} type veth peer name eth0 netns {name}"))?;
            ip(&format!("-n {switch} link set dev {cable} master bridge up"))?;
            ip(&format!("-n {name} address add {address}/24 dev eth0"))?;
            ip(&format!("-n {name} link set dev lo up"))?;
            ip(&format!("-n {name} link set dev eth0 up"))?;
        }
        Ok(network)
    }

    /// The namespace of a machine.
    pub fn name(&self, machine: usize) -> String {
        format!("{}{machine}", self.prefix)
    }

    fn switch(&self) -> String {
        format!("{}switch", self.prefix)
    }

    /// The machine's interface goes down, so that it knows at once that it is alone; or up again.
    pub fn interface(&self, machine: usize, up: bool) -> Result<(), String> {
        ip(&format!("-n {} link set dev eth0 {}", self.name(machine), if up { "up" } else { "down" }))
    }

    /// The machine's packets are lost at the switch and nobody is told; or they pass again.
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
    }
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
