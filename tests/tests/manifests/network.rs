//! A network namespace in which the cluster's names and ports are real: pods listen where their manifests say, and look names
//! up that only a cluster has.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The address that every pod has: of no other machine, and not loopback.
pub const ADDRESS: &str = "10.213.9.1";

/// Gone with this value.
pub struct Network {
    name: String,
    /// `ip netns exec` puts the files of this folder in the place of those in `/etc`.
    files: PathBuf,
}

impl Network {
    /// A namespace that knows these names; none where this user may not make one.
    pub fn with(names: &[String]) -> Option<Self> {
        let name = format!("conrec{}pods", std::process::id());
        let network = Self { files: PathBuf::from("/etc/netns").join(&name), name };
        let name = &network.name;
        let made = ip(&["netns", "add", name])
            && ip(&["-n", name, "link", "set", "lo", "up"])
            && ip(&["-n", name, "addr", "add", &format!("{ADDRESS}/32"), "dev", "lo"])
            && fs::create_dir_all(&network.files).is_ok();
        let lines: String = names.iter().map(|name| format!("{ADDRESS} {name}\n")).collect();
        let hosts = format!("127.0.0.1 localhost\n{lines}");
        (made && fs::write(network.files.join("hosts"), hosts).is_ok()).then_some(network)
    }

    /// A command within it; `ip` becomes the program.
    pub fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.name]);
        let _ = fs::remove_dir_all(&self.files);
    }
}

fn ip(arguments: &[&str]) -> bool {
    let run = Command::new("ip").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}
