//! A cluster of processes: ConfigMaps, Secrets and volumes are folders, Services are this machine or names of nodes, and a
//! pod's end is judged by its Job's podFailurePolicy.

use crate::network::{Nodes, service};
use crate::pod::{Container, Facts, list, text};
use crate::rendered::Case;
use crate::rules;
use conrec_tests::emulators::{self, Emulator};
use conrec_tests::{program, root, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
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
    /// Domain and selector of each Service.
    services: Vec<(String, Value)>,
    config_maps: BTreeMap<String, BTreeMap<String, String>>,
    port: u16,
    /// Pods that were started.
    started: Cell<u32>,
    /// Beyond what the manifests say, as a cloud gives it to its pods.
    environment: Vec<(&'static str, String)>,
    // Ended before their nodes are gone.
    bucket: Option<(Emulator, usize)>,
    /// Where names, ports and addresses are the manifests' own.
    nodes: Option<Nodes>,
}

/// A pod that runs.
pub struct Pod {
    child: Child,
    /// Its Job's.
    spec: Value,
    container: String,
    node: Option<usize>,
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
            services: of_kind("Service").map(|object| service(object, NAMESPACE)).collect(),
            config_maps: of_kind("ConfigMap").map(|object| (name(object), data(object))).collect(),
            port: listener.local_addr().unwrap().port(),
            folder,
            started: Cell::new(0),
            environment: Vec::new(),
            bucket: None,
            nodes: None,
        }
    }

    /// The same with a node for each pod, and the names and ports of a cluster.
    ///
    /// # Errors
    /// This user may make no network namespace.
    pub fn take_nodes(&mut self) -> Result<(), String> {
        self.nodes = Some(Nodes::of(self.services.clone())?);
        Ok(())
    }

    /// A bucket on a node of its own, for a cluster with nodes.
    ///
    /// # Errors
    /// Its emulator is not installed.
    pub fn take_bucket(&mut self) -> Result<(), String> {
        let nodes = self.nodes.as_ref().unwrap();
        let node = nodes.add();
        let emulator = nodes.with(|network| emulators::s3_on(network, node))?;
        self.environment.clone_from(&emulator.environment);
        let store = format!("{}/runs", emulator.url);
        self.bucket = Some((emulator, node));
        self.set("STORE", &store);
        Ok(())
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
        let (template, pod) = (&spec["template"], format!("{job}-{index}"));
        let node = self.nodes.as_ref().map(|nodes| nodes.place(&pod, template));
        let address = node.map_or_else(|| "127.0.0.1".to_owned(), Nodes::address);
        let facts = Facts { job, pod: &pod, namespace: NAMESPACE, address: &address, config_maps: &self.config_maps };
        // A pod that comes under the same name has nothing of the one before.
        self.started.set(self.started.get() + 1);
        let own = format!("{pod}.{}", self.started.get());
        let container = Container::of(template, &facts);
        let mut paths = Vec::new();
        for (path, volume) in &container.mounts {
            let volume = list(&template["spec"]["volumes"]).iter().find(|one| one["name"] == volume.as_str()).unwrap();
            paths.push((path.clone(), self.volume(volume, &own)));
        }
        let here = |word: &str| self.here(word, &pod, &paths);
        assert_eq!(container.words[0], "conrec");
        let mut command = self.program_on(node);
        // The image's working folder is laid out like the checkout.
        command.args(container.words[1..].iter().map(|word| here(word))).current_dir(root()).env_clear();
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.envs(container.environment.iter().map(|(name, value)| (name, here(value))));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let temporary = paths.iter().find(|(path, _)| path == "/tmp");
        command.envs(temporary.map(|(_, folder)| ("TMPDIR", folder)));
        let log =
            File::options().create(true).append(true).open(self.folder.path().join(format!("{own}.log"))).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Pod { child: command.spawn().unwrap(), spec: spec.clone(), container: container.name, node }
    }

    /// `conrec` on a node, or on this machine.
    fn program_on(&self, node: Option<usize>) -> Command {
        let program = program().unwrap();
        match (&self.nodes, node) {
            (Some(nodes), Some(node)) => nodes.command(node, &program),
            _ => Command::new(program),
        }
    }

    /// The pod's node is cut off, and nobody is told; or it is there again.
    pub fn connect(&self, pod: &Pod, pass: bool) {
        self.nodes.as_ref().unwrap().connect(pod.node.unwrap(), pass);
    }

    /// Nobody has the name of this pod any more.
    pub fn unname(&self, job: &str, index: u32) {
        self.nodes.as_ref().unwrap().remove(&format!("{job}-{index}"));
    }

    /// What an operator sees who asks the coordinator by its Service, from the bucket's node.
    pub fn status(&self) -> Option<Value> {
        let (_, node) = self.bucket.as_ref().unwrap();
        let certs = self.folder.path().join("certs");
        let mut command = self.program_on(Some(*node));
        command.args(["status", &format!("conrec-coordinator.{NAMESPACE}.svc:{PORT}"), "--output", "json", "--tls"]);
        command.arg(certs.join("operator")).arg("--operator-token-file").arg(certs.join("token"));
        let output = command.current_dir(root()).output().unwrap();
        serde_json::from_slice(&output.stdout).ok()
    }

    /// A verb that looks at the bucket.
    pub fn ask(&self, words: &[&str]) -> Output {
        let (_, node) = self.bucket.as_ref().unwrap();
        let mut command = self.program_on(Some(*node));
        command.args(words).args(["--store", &self.config_maps["conrec-run"]["STORE"]]).current_dir(root());
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).output().unwrap()
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
        if self.nodes.is_none() && (option == "--health-bind=" || option == "--metrics-bind=") {
            return option + "127.0.0.1:0";
        }
        if value == "/dev/termination-log" {
            return option + &self.last_words(pod).display().to_string();
        }
        if self.nodes.is_some() {
            return option + &value;
        }
        let everywhere = format!("0.0.0.0:{PORT}");
        let services = self.services.iter().map(|(domain, _)| format!("{domain}:{PORT}"));
        if services.chain([everywhere]).any(|address| address == value) {
            value = format!("127.0.0.1:{}", self.port);
        }
        option + &value
    }

    /// The file with what a pod says of its end.
    pub fn last_words(&self, pod: &str) -> PathBuf {
        self.folder.path().join(format!("{pod}.last"))
    }

    /// The folder that stands for a volume of a pod, which has no folder `own` but this one.
    fn volume(&self, volume: &Value, own: &str) -> PathBuf {
        let name = text(&volume["name"]);
        if let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str() {
            return made(self.folder.path().join("claims").join(claim));
        }
        let folder = made(self.folder.path().join("pods").join(own).join(name));
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

    /// As a kubelet ends it: SIGTERM, and SIGKILL when the grace is over. Its exit code, -1 for one that was killed.
    pub fn end_within(&mut self, since: Instant, grace: Duration) -> i32 {
        while self.child.try_wait().unwrap().is_none() && since.elapsed() < grace {
            sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        self.child.wait().unwrap().code().unwrap_or(-1)
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
