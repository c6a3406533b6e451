//! Takes the address on which the coordinator listens.

use std::io::ErrorKind;
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
        source: std::io::Error,
    },
}

/// Listens on `cluster.listen`; port 0 takes a free one, which `local_addr` of the listener then tells.
///
/// # Errors
/// The port is in use, or the address is none of this machine.
pub async fn bind(listen: &str) -> Result<TcpListener, BindError> {
    TcpListener::bind(listen).await.map_err(|source| {
        let listen = listen.to_owned();
        match source.kind() {
            ErrorKind::AddrInUse => BindError::InUse { listen },
            _ => BindError::Refused { listen, source },
        }
    })
}
