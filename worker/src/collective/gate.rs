//! A worker's gate: what c10d and Gloo say to each other in plain text leaves this machine only through it, encrypted,
//! to processes that show a worker's certificate. Behind the gate everything listens on the loopback interface.
//!
//! A connection begins with the number of a room: 0 is the rendezvous, each roster's device has its own. So nobody
//! chooses a port, and a stranger learns nothing.

use super::passage::forward;
use conrec_trust::Role;
use conrec_trust::peer::{Acceptor, WorkerConnector};
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The room of the rendezvous.
pub(super) const RENDEZVOUS: u64 = 0;
/// Strangers at a time, and how long each may take to show its certificate.
const STRANGERS: usize = 256;
const INTRODUCTION: Duration = Duration::from_secs(5);
/// After an error of `accept`, such as too many open files.
const BREATH: Duration = Duration::from_millis(100);

/// A worker's gate; it closes when the last copy is dropped.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    address: String,
    home: String,
    connector: WorkerConnector,
    runtime: Handle,
    rooms: Rooms,
    next: AtomicU32,
    server: JoinHandle<()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Where each room's traffic goes.
#[derive(Clone, Default)]
struct Rooms(Arc<Mutex<BTreeMap<u64, SocketAddr>>>);

impl Rooms {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, SocketAddr>> {
        // A panic while the lock is held cannot leave the map in a bad state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A room that is open; it closes when this is dropped.
pub(super) struct Room {
    rooms: Rooms,
    /// Its number.
    pub(super) number: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.rooms.lock().remove(&self.number);
    }
}

impl Gate {
    /// Opens a gate in front of a rendezvous. `address` is `HOST:PORT` by which others reach `listener`. Call it inside
    /// of a runtime.
    pub fn open(
        listener: TcpListener,
        address: String,
        credentials: &conrec_trust::Credentials,
        rendezvous: SocketAddr,
    ) -> Self {
        let (rooms, runtime) = (Rooms::default(), Handle::current());
        rooms.lock().insert(RENDEZVOUS, rendezvous);
        let server = runtime.spawn(serve(listener, Acceptor::for_workers(credentials), rooms.clone()));
        let connector = WorkerConnector::new(credentials);
        // Other machines' workers should listen on other loopback addresses.
        let next = AtomicU32::new(RandomState::new().build_hasher().finish() as u32);
        Self(Arc::new(Inner { address, home: home(), connector, runtime, rooms, next, server }))
    }

    /// `HOST:PORT` by which others reach it.
    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// Names the machine: processes with the same name reach each other's loopback interface.
    pub(super) fn home(&self) -> &str {
        &self.0.home
    }

    pub(super) fn connector(&self) -> WorkerConnector {
        self.0.connector.clone()
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// A loopback address that this gate has not given out before: 127.64.0.0 to 127.127.255.255.
    pub(super) fn fresh_address(&self) -> Ipv4Addr {
        let [_, high, middle, low] = self.0.next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        Ipv4Addr::new(127, 64 | (high & 63), middle, low)
    }

    /// Lets others reach what listens there.
    pub(super) fn open_room(&self, target: SocketAddr) -> Room {
        let mut rooms = self.0.rooms.lock();
        let number = rooms.last_key_value().map_or(RENDEZVOUS, |(number, _)| *number) + 1;
        rooms.insert(number, target);
        Room { rooms: self.0.rooms.clone(), number }
    }
}

/// The boot and the network namespace: what has the same loopback interface.
fn home() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let network = std::fs::read_link("/proc/self/ns/net").unwrap_or_default();
    let home = format!("{}/{}", boot.trim(), network.display());
    // A machine that does not tell is nobody's neighbour.
    if boot.is_empty() { format!("{home}{}", RandomState::new().build_hasher().finish()) } else { home }
}

async fn serve(listener: TcpListener, acceptor: Acceptor, rooms: Rooms) {
    let strangers = Arc::new(Semaphore::new(STRANGERS));
    loop {
        let Ok(permit) = Arc::clone(&strangers).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let guest = take_in(stream, acceptor.clone(), rooms.clone(), permit);
                tokio::spawn(async move {
                    if let Err(reason) = guest.await {
                        tracing::warn!(%peer, reason, "connection refused at this worker's gate");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted at this worker's gate");
                sleep(BREATH).await;
            }
        }
    }
}

async fn take_in(
    stream: TcpStream,
    acceptor: Acceptor,
    rooms: Rooms,
    permit: OwnedSemaphorePermit,
) -> Result<(), String> {
    let _ = stream.set_nodelay(true);
    let introduction = async {
        let (mut stream, role) = acceptor.accept(stream).await?;
        if role != Some(Role::Worker) {
            return Err(format!("the other end is no worker but {}", role.map_or("nobody of this run", Role::name)));
        }
        let number = stream.read_u64().await.map_err(|error| format!("the connection broke: {error}"))?;
        Ok((stream, number))
    };
    let introduced = timeout(INTRODUCTION, introduction).await;
    let (stream, number) = introduced.map_err(|_| "it did not introduce itself within 5 seconds".to_owned())??;
    drop(permit);
    // A roster that is over; its peers notice the same way.
    let Some(target) = rooms.lock().get(&number).copied() else { return Ok(()) };
    let local = TcpStream::connect(target).await.map_err(|error| format!("{target}: {error}"))?;
    forward(stream, local).await;
    Ok(())
}
