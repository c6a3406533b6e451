//! Emulators of object stores, started by the tests that need them: S3 by moto, Azure by azurite, Google Cloud Storage
//! by threads of the test. `scripts/setup-emulators` puts the first two into `third_party/emulators/`.

use crate::network::{Network, address};
use crate::{google, root};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// An emulator is up within seconds, on a busy machine too.
const START: Duration = Duration::from_secs(60);

/// Bucket and container of the tests.
const BUCKET: &str = "runs-of-tests";

/// Where an emulator listens that has a machine to itself.
const PORT: &str = "5000";

/// A secret that must not be found in anything that a run writes.
pub const SECRET: &str = "a-secret-of-the-tests-1f2e3d";

/// A running emulator with an empty bucket; it ends with its owner.
pub struct Emulator {
    /// None: threads of this process answer.
    process: Option<Child>,
    /// `s3://bucket` or `az://container`.
    pub url: String,
    /// What a process needs in its environment to reach it.
    pub environment: Vec<(&'static str, String)>,
}

impl Emulator {
    fn of(process: Child, url: String, environment: Vec<(&'static str, String)>) -> Self {
        Self { process: Some(process), url, environment }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Google Cloud Storage.
///
/// # Errors
/// As [`s3`].
pub fn google() -> Result<Emulator, String> {
    let environment = vec![
        ("GOOGLE_BASE_URL", format!("http://127.0.0.1:{}", google::serve()?)),
        ("GOOGLE_BEARER_TOKEN", SECRET.to_owned()),
    ];
    Ok(Emulator { process: None, url: format!("gs://{BUCKET}"), environment })
}

/// S3.
///
/// # Errors
/// A sentence for whoever wonders why a test was skipped: what is missing, or does not start.
pub fn s3() -> Result<Emulator, String> {
    let folder = installed("moto")?;
    let port = free_port()?;
    let mut command = Command::new("python3");
    command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]).env("PYTHONPATH", folder);
    let process = start(command, port)?;
    let environment = vec![
        ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
        ("AWS_ACCESS_KEY_ID", "tests".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
    ];
    let emulator = Emulator::of(process, format!("s3://{BUCKET}"), environment);
    make_bucket(port)?;
    Ok(emulator)
}

/// S3 on a machine of a network, reached by the others without encryption.
///
/// # Errors
/// As [`s3`].
pub fn s3_on(network: &Network, machine: usize) -> Result<Emulator, String> {
    let folder = installed("moto")?;
    let (python, host) = (Path::new("python3"), address(machine));
    let mut command = network.command(machine, python);
    command.args(["-m", "moto.server", "-H", &host, "-p", PORT]).env("PYTHONPATH", folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let process = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let endpoint = format!("http://{host}:{PORT}");
    let environment = vec![
        ("AWS_ENDPOINT_URL", endpoint.clone()),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", "tests".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
    ];
    let emulator = Emulator::of(process, format!("s3://{BUCKET}"), environment);
    let mut made = network.command(machine, python);
    made.args(["-c", MAKE_BUCKET, &format!("{endpoint}/{BUCKET}"), &START.as_secs().to_string()]);
    let made = made.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    if said == "200" { Ok(emulator) } else { Err(format!("moto made no bucket: {said}")) }
}

/// Asks until the emulator is up, past any proxy.
const MAKE_BUCKET: &str = r"
import sys, time, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
request = urllib.request.Request(sys.argv[1], method='PUT', headers={'Authorization': 'AWS tests:none'})
until = time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    try:
        print(opener.open(request, timeout=5).status)
        break
    except OSError:
        time.sleep(.1)
";

/// Azure.
///
/// # Errors
/// As [`s3`].
pub fn azure() -> Result<Emulator, String> {
    let program = installed("azurite")?.join("node_modules/azurite/dist/src/blob/main.js");
    let port = free_port()?;
    let mut command = Command::new("node");
    command.arg(program).args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
    command.args(["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]);
    let process = start(command, port)?;
    let environment = vec![
        ("AZURE_STORAGE_USE_EMULATOR", "true".to_owned()),
        ("AZURITE_BLOB_STORAGE_URL", format!("http://127.0.0.1:{port}")),
    ];
    let emulator = Emulator::of(process, format!("az://{BUCKET}"), environment);
    let made = Command::new("node").args(["-e", MAKE_CONTAINER, &port.to_string(), BUCKET]).output();
    let made = made.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    if said == "201" { Ok(emulator) } else { Err(format!("azurite made no container: {said}")) }
}

/// A signed request; account and key are the emulator's well-known ones.
const MAKE_CONTAINER: &str = r"
const [port, name] = process.argv.slice(1);
const account = 'devstoreaccount1';
const key = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';
const headers = { 'x-ms-date': new Date().toUTCString(), 'x-ms-version': '2021-08-06' };
const signed = ['PUT', ...Array(11).fill(''), ...Object.entries(headers).map(([k, v]) => `${k}:${v}`),
    `/${account}/${account}/${name}`, 'restype:container'].join('\n');
const signature = require('crypto').createHmac('sha256', Buffer.from(key, 'base64')).update(signed).digest('base64');
headers.Authorization = `SharedKey ${account}:${signature}`;
headers['Content-Length'] = 0;
const path = `/${account}/${name}?restype=container`;
require('http').request({ host: '127.0.0.1', port, method: 'PUT', path, headers }, r => console.log(r.statusCode)).end();
";

fn installed(name: &str) -> Result<PathBuf, String> {
    let folder = root().join("third_party/emulators").join(name);
    if folder.join("installed").is_file() {
        return Ok(folder);
    }
    Err(format!("{} is not there; scripts/setup-emulators puts it there where it can", folder.display()))
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    Ok(listener.local_addr().map_err(|error| error.to_string())?.port())
}

/// Starts a server and waits until it listens.
fn start(mut command: Command, port: u16) -> Result<Child, String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if let Ok(Some(status)) = process.try_wait() {
            return Err(format!("{command:?} ended with {status}"));
        }
        if begun.elapsed() > START {
            let _ = process.kill();
            let _ = process.wait();
            return Err(format!("{command:?} does not listen"));
        }
        sleep(Duration::from_millis(50));
    }
    Ok(process)
}

/// The emulator looks at no signature.
fn make_bucket(port: u16) -> Result<(), String> {
    let words = |error: std::io::Error| error.to_string();
    let mut connection = TcpStream::connect(("127.0.0.1", port)).map_err(words)?;
    let request = format!(
        "PUT /{BUCKET} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: AWS tests:none\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).map_err(words)?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).map_err(words)?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(format!("moto made no bucket: {answer}")) }
}
