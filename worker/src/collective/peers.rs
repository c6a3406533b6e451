//! How the workers of a run reach each other. What c10d and Gloo say is neither encrypted nor authenticated, so it stays
//! on this machine, goes through gates, or goes in the open where the user said so by name.

use super::gate::Gate;
use super::{CollectiveError, Rendezvous};
use crate::error::WorkerError;
use conrec_trust::address::{is_loopback, resolve};
use conrec_trust::{Credentials, Role};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::SystemTime;
use tokio::net::TcpListener;

/// The way from one worker to another.
#[derive(Clone, Default)]
pub enum Peers {
    /// In plain text, on this machine only.
    #[default]
    OnThisMachine,
    /// In plain text, wherever they are.
    InTheOpen,
    /// Encrypted, between processes that show a worker's certificate.
    Gated(Gate),
}

/// Where a roster could meet at this worker; nobody reaches it any more once this is dropped.
pub struct MeetingPlace {
    _rendezvous: Rendezvous,
    /// `HOST:PORT` by which other workers reach it.
    pub address: String,
    /// How this worker reaches them.
    pub peers: Peers,
}

impl MeetingPlace {
    /// Opens a meeting place that others reach at the host `advertise`: with the credentials in the folder `tls` a
    /// gate, and without them plain text, which leaves this machine only when `insecure` says so.
    ///
    /// # Errors
    /// [`WorkerError::Exposed`] when plain text would leave the machine, [`WorkerError::Credentials`] when the folder
    /// cannot be used, [`WorkerError::Collective`] when the host is none of this machine.
    pub async fn open(advertise: &str, tls: Option<&Path>, insecure: bool) -> Result<Self, WorkerError> {
        let host = own_address(advertise).await?;
        let Some(folder) = tls else {
            if !is_loopback(host) && !insecure {
                return Err(WorkerError::Exposed { advertise: advertise.to_owned() });
            }
            let rendezvous = Rendezvous::start_on(host)?;
            let peers = if insecure { Peers::InTheOpen } else { Peers::OnThisMachine };
            return Ok(Self { address: at(advertise, rendezvous.port()), _rendezvous: rendezvous, peers });
        };
        let credentials = Credentials::load(folder, Role::Worker, SystemTime::now());
        let credentials = credentials.map_err(|error| WorkerError::Credentials(error.to_string()))?;
        let rendezvous = Rendezvous::start()?;
        let bound = async {
            let listener = TcpListener::bind(SocketAddr::new(host, 0)).await?;
            let port = listener.local_addr()?.port();
            Ok((listener, port))
        };
        let (listener, port) = bound.await.map_err(|error: std::io::Error| not_here(advertise, &error))?;
        let address = at(advertise, port);
        let gate = Gate::open(listener, address.clone(), &credentials, rendezvous.address());
        Ok(Self { _rendezvous: rendezvous, address, peers: Peers::Gated(gate) })
    }
}

async fn own_address(advertise: &str) -> Result<IpAddr, WorkerError> {
    let found = resolve(&at(advertise, 0)).await.map_err(|error| not_here(advertise, &error))?;
    // Gates and loopback addresses are IPv4's, which most names have.
    let found = found.iter().find(|address| address.is_ipv4()).or_else(|| found.first());
    found.map(SocketAddr::ip).ok_or_else(|| not_here(advertise, &"the host has no address"))
}

fn at(host: &str, port: u16) -> String {
    let bare = host.trim_matches(['[', ']']);
    if bare.contains(':') { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") }
}

fn not_here(advertise: &str, error: &dyn std::fmt::Display) -> WorkerError {
    let message = format!("--advertise {advertise}: {error}; expected a host name or address of this machine");
    CollectiveError::Other { call: "opening the meeting place", message }.into()
}
