//! A process on a machine of the network: started, started again, killed at the end whatever happens.

use conrec_tests::network::{Network, within};
use conrec_tests::{program, root};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};

/// One process; killed when it is dropped.
pub struct Machine {
    namespace: String,
    arguments: Vec<String>,
    log: PathBuf,
    process: Child,
    /// Starts after the first.
    pub again: u32,
}

impl Machine {
    /// Starts `conrec` with these arguments.
    pub fn start(network: &Network, number: usize, arguments: Vec<String>, logs: &Path) -> Self {
        let (namespace, log) = (network.name(number), logs.join(format!("machine-{number}.log")));
        let process = spawn(&namespace, &arguments, &log);
        Self { namespace, arguments, log, process, again: 0 }
    }

    /// Starts it again once it has ended.
    pub fn start_again(&mut self) {
        self.process = spawn(&self.namespace, &self.arguments, &self.log);
        self.again += 1;
    }

    pub fn id(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    /// Sends a signal, unless it has been seen to end.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            let _ = kill(self.id(), signal);
        }
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().unwrap()
    }

    /// What it has said last.
    pub fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("{}:\n{}", self.namespace, lines[lines.len().saturating_sub(25)..].join("\n"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SIGKILL ends stopped processes too.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(namespace: &str, arguments: &[String], log: &Path) -> Child {
    let output = File::options().create(true).append(true).open(log).unwrap();
    let mut command = within(namespace, &program().unwrap());
    command.args(arguments).current_dir(root());
    command.env("OMP_NUM_THREADS", "1").stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
    command.spawn().unwrap()
}
