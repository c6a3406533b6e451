//! A process's folder of credentials: `ca.pem`, `cert.pem`, `key.pem`. Read and checked before anything connects, so
//! that what is wrong with one's own papers is said at home.

use crate::as_client::AsClient;
use crate::certificate::{Certificate, CertificateError};
use crate::role::Role;
use crate::secret_file::{self, SecretFileError};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// HTTP/2, as gRPC wants it.
const PROTOCOL: &[u8] = b"h2";
/// So that no connection between workers is taken for one to a coordinator.
const BETWEEN_WORKERS: &[u8] = b"conrec-workers";

/// Why a folder gives no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The key's file is not used.
    #[error("credentials: {0}")]
    Key(#[from] SecretFileError),
    /// A file cannot be read as PEM.
    #[error("credentials: {}: {message}; expected {expected} in PEM, as `conrec certs init` writes it", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The certificate cannot be read.
    #[error("credentials: {}: {source}", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: CertificateError,
    },
    /// The certificate is out of date.
    #[error("credentials: {}: the certificate {why}", path.display())]
    OutOfDate {
        /// Which file.
        path: PathBuf,
        /// Expired or not yet valid.
        why: String,
    },
    /// The certificate makes its holder something else.
    #[error("credentials: {}: the certificate is for {found}; expected one for the {expected} (its names hold the URI {})", path.display(), expected.uri())]
    Role {
        /// Which file.
        path: PathBuf,
        /// What its holder is.
        found: String,
        /// What this process is.
        expected: Role,
    },
    /// The parts do not fit together.
    #[error("credentials in {}: {message}", folder.display())]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// What does not fit.
        message: String,
    },
}

/// What a process shows to others, and whom it believes.
#[derive(Clone)]
pub struct Credentials {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) between_workers: (Arc<ServerConfig>, Arc<ClientConfig>),
}

impl Credentials {
    /// Reads the folder of a process that has this role.
    ///
    /// # Errors
    /// A file is missing or unreadable, everybody may read the key, the certificate is out of date or for another role,
    /// or key and certificate do not belong together.
    pub fn load(folder: &Path, role: Role, now: SystemTime) -> Result<Self, CredentialsError> {
        let unusable = |error: &dyn std::fmt::Display| CredentialsError::Unusable {
            folder: folder.to_owned(),
            message: error.to_string(),
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&folder.join("ca.pem"))? {
            roots.add(certificate).map_err(|error| unusable(&error))?;
        }
        let chain = certificates(&folder.join("cert.pem"))?;
        check_own(&folder.join("cert.pem"), &chain, role, now)?;
        let key = key(&folder.join("key.pem"))?;
        let provider = Arc::new(default_provider());
        let server =
            server(&provider, roots.clone(), chain.clone(), key.clone_key()).map_err(|error| unusable(&error))?;
        let verifier = AsClient::new(&provider, roots.clone()).map_err(|error| unusable(&error))?;
        let client = client(&provider, roots, chain, key).map_err(|error| unusable(&error))?;
        let (mut listening, mut connecting) = (server.clone(), client.clone());
        connecting.dangerous().set_certificate_verifier(Arc::new(verifier));
        listening.alpn_protocols = vec![BETWEEN_WORKERS.to_vec()];
        connecting.alpn_protocols = vec![BETWEEN_WORKERS.to_vec()];
        let between_workers = (Arc::new(listening), Arc::new(connecting));
        Ok(Self { server: Arc::new(server), client: Arc::new(client), between_workers })
    }
}

/// Demands a certificate of every client. No session is ever resumed: each connection shows its certificate anew.
fn server(
    provider: &Arc<CryptoProvider>,
    roots: RootCertStore,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(
    provider: &Arc<CryptoProvider>,
    roots: RootCertStore,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

fn check_own(
    path: &Path,
    chain: &[CertificateDer<'static>],
    role: Role,
    now: SystemTime,
) -> Result<(), CredentialsError> {
    let Some(own) = chain.first() else { return Err(empty(path, "a certificate")) };
    let own =
        Certificate::read(own).map_err(|source| CredentialsError::Certificate { path: path.to_owned(), source })?;
    if let Some(why) = own.out_of_date(now) {
        return Err(CredentialsError::OutOfDate { path: path.to_owned(), why });
    }
    if own.role == Some(role) {
        return Ok(());
    }
    let found = own.role.map_or_else(|| "no role of conrec".to_owned(), |found| format!("the {found}"));
    Err(CredentialsError::Role { path: path.to_owned(), found, expected: role })
}

/// All certificates in a file.
///
/// # Errors
/// The file cannot be read or holds none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let wrong = |error: rustls::pki_types::pem::Error| CredentialsError::Pem {
        path: path.to_owned(),
        expected: "a certificate",
        message: error.to_string(),
    };
    let found: Vec<_> = CertificateDer::pem_file_iter(path).map_err(wrong)?.collect::<Result<_, _>>().map_err(wrong)?;
    if found.is_empty() { Err(empty(path, "a certificate")) } else { Ok(found) }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, CredentialsError> {
    // The parser's words could hold a piece of the key.
    PrivateKeyDer::from_pem_slice(&secret_file::read(path)?).map_err(|_| empty(path, "a private key"))
}

fn empty(path: &Path, expected: &'static str) -> CredentialsError {
    CredentialsError::Pem { path: path.to_owned(), expected, message: "none found".to_owned() }
}
