//! Takes the address on which the coordinator listens: of this machine only, unless the caller says otherwise.

use conrec_trust::address::{is_loopback, resolve};
use std::io::{self, ErrorKind};
use tokio::net::TcpListener;

/// Why the address cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there.
    #[error(
        "cluster.listen = {listen}: the port is in use by another process; \
         stop it, choose another port, or let the system choose one with port 0"
    )]
    InUse {
        /// The address.
        listen: String,
    },
    /// The system refuses for another reason.
    #[error("cluster.listen = {listen}: {source}; expected HOST:PORT of an address of this machine")]
    Refused {
        /// The address.
        listen: String,
        /// The system's own words.
        source: io::Error,
    },
    /// Others would reach a coordinator that encrypts nothing and asks nobody who he is.
    #[error(
        "cluster.listen = {listen}: other machines reach this address, and without certificates whoever does so could \
         join the run or read it; give --tls DIR (`conrec certs init` makes it), listen on 127.0.0.1, or say \
         --insecure-listen inside a network that you trust"
    )]
    Exposed {
        /// The address.
        listen: String,
    },
}

/// Listens on `cluster.listen` where that is reached from this machine only; port 0 takes a free port, which `local_addr`
/// of the listener then tells.
///
/// # Errors
/// Other machines would reach it, the port is in use, or the address is none of this machine.
pub async fn bind(listen: &str) -> Result<TcpListener, BindError> {
    listen_on(listen, false).await
}

/// As [`bind`], on any address: for callers that encrypt, or that were told to do without.
///
/// # Errors
/// The port is in use, or the address is none of this machine.
pub async fn bind_anywhere(listen: &str) -> Result<TcpListener, BindError> {
    listen_on(listen, true).await
}

async fn listen_on(listen: &str, anywhere: bool) -> Result<TcpListener, BindError> {
    let failed = |source: io::Error| {
        let listen = listen.to_owned();
        match source.kind() {
            ErrorKind::AddrInUse => BindError::InUse { listen },
            _ => BindError::Refused { listen, source },
        }
    };
    let addresses = resolve(listen).await.map_err(failed)?;
    if !anywhere && !addresses.iter().all(|address| is_loopback(address.ip())) {
        return Err(BindError::Exposed { listen: listen.to_owned() });
    }
    TcpListener::bind(&addresses[..]).await.map_err(failed)
}
