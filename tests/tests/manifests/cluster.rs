//! A cluster of processes: ConfigMaps, Secrets and volumes are folders, Services are this machine, and a pod's end is judged
//! by its Job's podFailurePolicy.

use crate::network::{ADDRESS, Network};
use crate::pod::{Container, Facts, list, text};
use crate::rendered::Case;
use crate::rules;
use conrec_tests::{program, root, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const NAMESPACE: &str = "default";
/// Where Services listen in the manifests.
const PORT: u16 = 7000;
const PATIENCE: Duration = Duration::from_secs(180);

/// What becomes of a Job when a pod of it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The pod's place is done.
    Succeeded,
    /// The pod is replaced, and its end does not count.
    Ignored,
    /// The Job has failed.
    JobFails,
    /// The pod is replaced as often as the Job allows.
    Counted,
}

/// Everything that the pods of a case need, on this machine.
pub struct Cluster {
    folder: TempDir,
    /// Spec of each Job by name.
    jobs: BTreeMap<String, Value>,
    services: Vec<String>,
    config_maps: BTreeMap<String, BTreeMap<String, String>>,
    port: u16,
    /// Where names and ports are the manifests' own.
    network: Option<Network>,
}

/// A pod that runs.
pub struct Pod {
    child: Child,
    /// Its Job's.
    spec: Value,
    container: String,
}

impl Cluster {
    /// The objects of a case, with the Secrets that docs/kubernetes.md makes.
    pub fn of(case: &Case) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certs = folder.path().join("certs");
        let name = format!("*.{NAMESPACE}.svc");
        let made = run(&["certs", "init", certs.to_str().unwrap(), "--name", &name]).unwrap();
        assert!(made.status.success(), "{}", conrec_tests::text(&made));
        let of_kind = |kind: &'static str| case.objects.iter().filter(move |object| object["kind"] == kind);
        let name = |object: &Value| text(&object["metadata"]["name"]).to_owned();
        let data = |object: &Value| serde_json::from_value(object["data"].clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            jobs: case.objects.iter().flat_map(rules::jobs).map(|(name, spec)| (name, spec.clone())).collect(),
            services: of_kind("Service").map(name).collect(),
            config_maps: of_kind("ConfigMap").map(|object| (name(object), data(object))).collect(),
            port: listener.local_addr().unwrap().port(),
            folder,
            network: None,
        }
    }

    /// The same with the names and ports of a cluster; false where this user may make no network namespace.
    pub fn has_a_network(&mut self) -> bool {
        let names: Vec<_> = self.services.iter().map(|service| format!("{service}.{NAMESPACE}.svc")).collect();
        self.network = Network::with(&names);
        self.network.is_some()
    }

    /// One more config, as somebody's own overlay adds it.
    pub fn add_config(&mut self, name: &str, content: &str) {
        self.config_maps.get_mut("conrec-configs").unwrap().insert(name.to_owned(), content.to_owned());
    }

    /// Another value of a setting, likewise.
    pub fn set(&mut self, name: &str, value: &str) {
        let setting = self.config_maps.values_mut().find_map(|map| map.get_mut(name));
        value.clone_into(setting.unwrap_or_else(|| panic!("{name} is no setting")));
    }

    /// A pod of this Job.
    pub fn start(&self, job: &str, index: u32) -> Pod {
        let spec = &self.jobs[job];
        let address = if self.network.is_some() { ADDRESS } else { "127.0.0.1" };
        let pod = format!("{job}-{index}");
        let facts = Facts { job, pod: &pod, namespace: NAMESPACE, address, config_maps: &self.config_maps };
        let template = &spec["template"];
        let container = Container::of(template, &facts);
        let mut paths = Vec::new();
        for (path, volume) in &container.mounts {
            let volume = list(&template["spec"]["volumes"]).iter().find(|one| one["name"] == volume.as_str()).unwrap();
            paths.push((path.clone(), self.volume(volume, &pod)));
        }
        let here = |word: &str| self.here(word, &pod, &paths);
        assert_eq!(container.words[0], "conrec");
        let mut command = match &self.network {
            Some(network) => network.command(program().unwrap()),
            None => Command::new(program().unwrap()),
        };
        // The image's working folder is laid out like the checkout.
        command.args(container.words[1..].iter().map(|word| here(word))).current_dir(root()).env_clear();
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.envs(container.environment.iter().map(|(name, value)| (name, here(value))));
        let log =
            File::options().create(true).append(true).open(self.folder.path().join(format!("{pod}.log"))).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Pod { child: command.spawn().unwrap(), spec: spec.clone(), container: container.name }
    }

    /// Paths and addresses of the cluster in a word, as those of this machine.
    fn here(&self, word: &str, pod: &str, paths: &[(String, PathBuf)]) -> String {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (format!("{option}="), value),
            _ => (String::new(), word),
        };
        let mut value = value.to_owned();
        if let Some((path, folder)) = paths.iter().find(|(path, _)| Path::new(&value).starts_with(path)) {
            value = value.replacen(path, folder.to_str().unwrap(), 1);
        }
        // Each pod has an address of its own there; here they share one.
        if option == "--health-bind=" || option == "--metrics-bind=" {
            return option + "127.0.0.1:0";
        }
        if value == "/dev/termination-log" {
            return option + &self.last_words(pod).display().to_string();
        }
        if self.network.is_some() {
            return option + &value;
        }
        let everywhere = format!("0.0.0.0:{PORT}");
        let services = self.services.iter().map(|service| format!("{service}.{NAMESPACE}.svc:{PORT}"));
        if services.chain([everywhere]).any(|address| address == value) {
            value = format!("127.0.0.1:{}", self.port);
        }
        option + &value
    }

    /// The file with what a pod says of its end.
    pub fn last_words(&self, pod: &str) -> PathBuf {
        self.folder.path().join(format!("{pod}.last"))
    }

    /// The folder that stands for a volume.
    fn volume(&self, volume: &Value, pod: &str) -> PathBuf {
        let name = text(&volume["name"]);
        if let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str() {
            return made(self.folder.path().join("claims").join(claim));
        }
        let folder = made(self.folder.path().join("pods").join(pod).join(name));
        if let Some(map) = volume["configMap"]["name"].as_str() {
            self.config_maps[map].iter().for_each(|(file, content)| fs::write(folder.join(file), content).unwrap());
        } else if let Some(secret) = volume["secret"]["secretName"].as_str() {
            let mode = u32::try_from(volume["secret"]["defaultMode"].as_u64().unwrap()).unwrap();
            let items = list(&volume["secret"]["items"]);
            for (key, source) in self.secret(secret, !items.is_empty()) {
                let item = items.iter().find(|item| item["key"] == key.as_str());
                let file = folder.join(item.map_or(key.as_str(), |item| text(&item["path"])));
                // A pod that comes again finds it there.
                let _ = fs::remove_file(&file);
                fs::copy(source, &file).unwrap();
                fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            }
        } else {
            assert!(volume["emptyDir"].is_object(), "no volume here: {volume}");
        }
        folder
    }

    /// Key and file of each entry of a Secret, as docs/kubernetes.md makes them or with the keys of cert-manager.
    fn secret(&self, name: &str, by_cert_manager: bool) -> Vec<(String, PathBuf)> {
        let certs = self.folder.path().join("certs");
        let role = match name {
            "conrec-operator-token" => return vec![("token".to_owned(), certs.join("token"))],
            "conrec-coordinator-tls" => "coordinator",
            "conrec-worker-tls" => "worker",
            "conrec-operator-tls" => "operator",
            other => panic!("docs/kubernetes.md makes no Secret {other}"),
        };
        let files = ["ca.pem", "cert.pem", "key.pem"];
        let keys = if by_cert_manager { ["ca.crt", "tls.crt", "tls.key"] } else { files };
        keys.into_iter().zip(files).map(|(key, file)| (key.to_owned(), certs.join(role).join(file))).collect()
    }

    fn run_folder(&self, run: &str) -> PathBuf {
        self.folder.path().join("claims/conrec-runs").join(run)
    }

    /// Waits until the run has committed so many iterations.
    pub fn await_iterations(&self, run: &str, count: usize) {
        let since = Instant::now();
        let ledger = self.run_folder(run).join("ledger.jsonl");
        while fs::read_to_string(&ledger).unwrap_or_default().lines().count() < count {
            assert!(since.elapsed() < PATIENCE, "no {count} iterations: {}", self.words());
            sleep(Duration::from_millis(5));
        }
    }

    /// A finished run's report.
    pub fn report(&self, run: &str) -> Value {
        serde_json::from_slice(&fs::read(self.run_folder(run).join("report.json")).unwrap()).unwrap()
    }

    /// What all pods said.
    pub fn words(&self) -> String {
        let files = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|ending| ending == "log"));
        logs.map(|path| format!("{}:\n{}\n", path.display(), fs::read_to_string(&path).unwrap())).collect()
    }
}

impl Pod {
    /// As a deletion, an eviction or a suspended Job does.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits for its end.
    pub fn exit_code(&mut self) -> i32 {
        let since = Instant::now();
        while self.child.try_wait().unwrap().is_none() && since.elapsed() < PATIENCE {
            sleep(Duration::from_millis(10));
        }
        self.child.try_wait().unwrap().and_then(|status| status.code()).unwrap_or(-1)
    }

    /// Waits for its end; what the Job's podFailurePolicy makes of it. The first rule that fits counts.
    pub fn verdict(&mut self) -> Verdict {
        let code = self.exit_code();
        if code == 0 {
            return Verdict::Succeeded;
        }
        for rule in list(&self.spec["podFailurePolicy"]["rules"]) {
            let codes = &rule["onExitCodes"];
            let fits = codes["containerName"] == self.container.as_str() && codes["operator"] == "In";
            if fits && list(&codes["values"]).iter().any(|value| *value == code) {
                return match text(&rule["action"]) {
                    "Ignore" => Verdict::Ignored,
                    "FailJob" => Verdict::JobFails,
                    _ => Verdict::Counted,
                };
            }
        }
        Verdict::Counted
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn made(folder: PathBuf) -> PathBuf {
    fs::create_dir_all(&folder).unwrap();
    folder
}
