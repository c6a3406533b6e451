//! The listening end of a connection: takes it in when the other end shows a certificate of the same authority. And
//! both ends of a connection between workers, where nobody has a name: the role is what counts.

use crate::certificate::Certificate;
use crate::credentials::Credentials;
use crate::refusal::sentence;
use crate::role::Role;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

/// A refused peer gets so long, and so many bytes, to read why: closing at once would drop what was said to it.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: u64 = 64 * 1024;

/// Makes connections secret and asks who is there.
#[derive(Clone)]
pub struct Acceptor(TlsAcceptor);

impl Acceptor {
    /// Shows these credentials.
    pub fn new(credentials: &Credentials) -> Self {
        Self(TlsAcceptor::from(Arc::clone(&credentials.server)))
    }

    /// For connections from other workers.
    pub fn for_workers(credentials: &Credentials) -> Self {
        Self(TlsAcceptor::from(Arc::clone(&credentials.between_workers.0)))
    }

    /// The encrypted stream and what the other end is by its certificate; none where that names no role.
    ///
    /// # Errors
    /// A sentence for the log: who was refused and why.
    pub async fn accept<S>(&self, stream: S) -> Result<(TlsStream<S>, Option<Role>), String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self.0.accept(stream).into_fallible().await {
            Ok(stream) => {
                let own = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let role = own.and_then(|own| Certificate::read(own).ok()).and_then(|own| own.role);
                Ok((stream, role))
            }
            Err((error, stream)) => {
                let why = said(&error);
                // Whether it reads its farewell is its own affair.
                let _ = timeout(FAREWELL, see_off(stream)).await;
                Err(why)
            }
        }
    }
}

/// Connects to other workers.
#[derive(Clone)]
pub struct WorkerConnector(TlsConnector);

impl WorkerConnector {
    /// Shows these credentials.
    pub fn new(credentials: &Credentials) -> Self {
        Self(TlsConnector::from(Arc::clone(&credentials.between_workers.1)))
    }

    /// The encrypted stream, once the other end has shown a worker's certificate.
    ///
    /// # Errors
    /// A sentence: the connection broke, or the other end is no worker of this authority.
    pub async fn connect<S>(&self, stream: S) -> Result<client::TlsStream<S>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from("worker").map_err(|error| error.to_string())?;
        let stream = self.0.connect(name, stream).await.map_err(|error| said(&error))?;
        let own = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        match own.and_then(|own| Certificate::read(own).ok()).and_then(|own| own.role) {
            Some(Role::Worker) => Ok(stream),
            _ => Err("the other end shows a certificate that is no worker's".to_owned()),
        }
    }
}

async fn see_off<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<u64> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(FAREWELL_BYTES), &mut tokio::io::sink()).await
}

fn said(error: &io::Error) -> String {
    sentence(error, "the other end").unwrap_or_else(|| format!("the connection broke: {error}"))
}
