//! `conrec certs`: makes a local authority and its certificates, and shows what certificates say.

use crate::args::{CertsAction, CertsArgs, CertsInitArgs, CertsShowArgs, Output};
use crate::failure::Failure;
use conrec_coordinator::exit_code::ExitCode;
use conrec_process::say;
use conrec_trust::authority::{self, AuthorityError, Order};
use conrec_trust::certificate::Certificate;
use conrec_trust::credentials::certificates;
use conrec_trust::{CredentialsError, Role};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Does what is asked.
///
/// # Errors
/// Something is there already, or cannot be read or written.
pub fn run(args: &CertsArgs) -> Result<u8, Failure> {
    match &args.action {
        CertsAction::Init(args) => init(args),
        CertsAction::Show(args) => show(args),
    }
}

fn init(args: &CertsInitArgs) -> Result<u8, Failure> {
    let order = Order { folder: &args.folder, names: &args.names, now: SystemTime::now(), days: args.days };
    authority::init(&order)?;
    let folder = args.folder.display();
    say!("made {folder}/ca.pem and a folder for each role; they are valid for {} days:", args.days);
    for role in Role::ALL {
        say!("  --tls {folder}/{role}");
    }
    say!("  --operator-token-file {folder}/token");
    say!("{folder}/ca-key.pem can sign more: keep it where no process of a run is");
    Ok(ExitCode::Done.code())
}

fn show(args: &CertsShowArgs) -> Result<u8, Failure> {
    let mut files = Vec::new();
    for below in [Path::new(""), Path::new("coordinator"), Path::new("worker"), Path::new("operator")] {
        let folder = args.folder.join(below);
        // The roles' copies of ca.pem say nothing new.
        let names: &[&str] = if below.as_os_str().is_empty() { &["ca.pem", "cert.pem"] } else { &["cert.pem"] };
        files.extend(names.iter().map(|name| folder.join(name)).filter(|path| path.exists()));
    }
    if files.is_empty() {
        let message = format!("{} holds no ca.pem and no cert.pem", args.folder.display());
        return Err(Failure::new(ExitCode::BadData, message));
    }
    let mut found = Vec::new();
    for path in files {
        for der in certificates(&path)? {
            let certificate = Certificate::read(&der)
                .map_err(|error| Failure::new(ExitCode::BadData, format!("{}: {error}", path.display())))?;
            found.push((path.clone(), certificate));
        }
    }
    let now = SystemTime::now();
    match args.output {
        Output::Text => found.iter().for_each(|(path, certificate)| say!("{}", sentence(path, certificate, now))),
        Output::Json => say!("{}", json(&found, now)),
    }
    Ok(ExitCode::Done.code())
}

fn sentence(path: &Path, certificate: &Certificate, now: SystemTime) -> String {
    let Certificate { subject, names, until, role, .. } = certificate;
    let role = role.map_or("-", Role::name);
    let names = if names.is_empty() { "-".to_owned() } else { names.join(", ") };
    let state = certificate.out_of_date(now).unwrap_or_else(|| format!("valid until {until}"));
    format!("{}: {subject} · role {role} · names {names} · {state}", path.display())
}

fn json(found: &[(PathBuf, Certificate)], now: SystemTime) -> Value {
    let one = |(path, certificate): &(PathBuf, Certificate)| {
        let valid = certificate.out_of_date(now).is_none();
        json!({"file": path.display().to_string(), "valid": valid, "certificate": certificate})
    };
    found.iter().map(one).collect()
}

impl From<AuthorityError> for Failure {
    fn from(error: AuthorityError) -> Self {
        let code = match &error {
            AuthorityError::Exists { .. } | AuthorityError::Certificate(_) => ExitCode::Usage,
            AuthorityError::Write { .. } | AuthorityError::Random => ExitCode::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}

impl From<CredentialsError> for Failure {
    fn from(error: CredentialsError) -> Self {
        Self::new(ExitCode::BadData, error.to_string())
    }
}
