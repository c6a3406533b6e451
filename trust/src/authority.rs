//! A local authority for tests and small sites: one key that signs a certificate for each role, and a token for
//! operators.

use crate::role::Role;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);
/// Clocks differ a little between machines.
const CLOCKS_DIFFER: Duration = Duration::from_secs(3_600);
/// Names that reach a coordinator of the same machine.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The file of the operators' token.
const TOKEN: &str = "token";
/// Of chance in it.
const TOKEN_BYTES: usize = 32;

/// Why no authority was made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Something is there already.
    #[error("{} is there already and is not overwritten; choose another folder, or remove it if nothing uses it", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A name or a time cannot stand in a certificate.
    #[error("cannot make a certificate: {0}; is each --name a host name or an address?")]
    Certificate(#[from] rcgen::Error),
    /// The system gives no random bytes.
    #[error("this system gives no random bytes for a token")]
    Random,
}

/// What is to be made.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// The folder that gets it.
    pub folder: &'a Path,
    /// Host names and addresses of the coordinator, besides this machine's own.
    pub names: &'a [String],
    /// From when on.
    pub now: SystemTime,
    /// For how many days.
    pub days: u32,
}

/// Makes the authority and one certificate a role: `ca.pem`, `ca-key.pem` and `token` in the folder, `ca.pem`, `cert.pem` and
/// `key.pem` in a folder of each role. Keys are readable by their owner only.
///
/// # Errors
/// Any [`AuthorityError`]; nothing is written when something is there already.
pub fn init(order: &Order<'_>) -> Result<(), AuthorityError> {
    let folder = order.folder;
    let roles = Role::ALL.map(|role| folder.join(role.name()));
    let made = [folder.join("ca.pem"), folder.join("ca-key.pem"), folder.join(TOKEN)];
    if let Some(there) = made.iter().chain(&roles).find(|path| path.symlink_metadata().is_ok()) {
        return Err(AuthorityError::Exists { path: there.clone() });
    }
    let authority_key = KeyPair::generate()?;
    let authority = params(order, "conrec authority", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    })?;
    let authority_pem = authority.self_signed(&authority_key)?.pem();
    make_folder(folder)?;
    write(&folder.join("ca.pem"), 0o644, &authority_pem)?;
    write(&folder.join("ca-key.pem"), 0o600, &authority_key.serialize_pem())?;
    write(&folder.join(TOKEN), 0o600, &token()?)?;
    let issuer = Issuer::new(authority, authority_key);
    for role in Role::ALL {
        let key = KeyPair::generate()?;
        let certificate = of_role(order, role)?.signed_by(&key, &issuer)?;
        let folder = folder.join(role.name());
        make_folder(&folder)?;
        write(&folder.join("ca.pem"), 0o644, &authority_pem)?;
        write(&folder.join("cert.pem"), 0o644, &certificate.pem())?;
        write(&folder.join("key.pem"), 0o600, &key.serialize_pem())?;
    }
    Ok(())
}

/// Only the coordinator's certificate serves and has names; the others only connect.
fn of_role(order: &Order<'_>, role: Role) -> Result<CertificateParams, AuthorityError> {
    let uri = SanType::URI(Ia5String::try_from(role.uri())?);
    let local = LOCAL_NAMES.map(str::to_owned);
    let names = match role {
        Role::Coordinator => CertificateParams::new([&local, order.names].concat())?.subject_alt_names,
        Role::Worker | Role::Operator => Vec::new(),
    };
    let usage = match role {
        Role::Coordinator => ExtendedKeyUsagePurpose::ServerAuth,
        Role::Worker | Role::Operator => ExtendedKeyUsagePurpose::ClientAuth,
    };
    params(order, &format!("conrec {role}"), |params| {
        params.subject_alt_names = [names, vec![uri]].concat();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
    })
}

fn params(
    order: &Order<'_>,
    name: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let from = order.now.checked_sub(CLOCKS_DIFFER).unwrap_or(order.now);
    params.not_before = from.into();
    params.not_after = (order.now + DAY * order.days).into();
    change(&mut params);
    Ok(params)
}

fn token() -> Result<String, AuthorityError> {
    let mut bytes = [0; TOKEN_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| AuthorityError::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).chain(["\n".to_owned()]).collect())
}

fn make_folder(folder: &Path) -> Result<(), AuthorityError> {
    let failed = |source| AuthorityError::Write { path: folder.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), AuthorityError> {
    let failed = |source| AuthorityError::Write { path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
