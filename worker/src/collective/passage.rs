//! The way out to another worker's gate: a door on the loopback interface that c10d or Gloo knocks at. What goes in
//! comes out, decrypted, behind the other gate.

use super::gate::{Gate, RENDEZVOUS, Room};
use super::meeting::{Meeting, Said, plain};
use conrec_trust::peer::WorkerConnector;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::str::FromStr;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Bytes on their way in each direction.
const BUFFER: usize = 256 * 1024;
/// The shim's code for a failure of any kind.
const FAILED: i32 = 3;

/// What a member says of itself at the rendezvous.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Host {
    /// `HOST:PORT` of its gate.
    gate: String,
    /// The room of its device.
    room: u64,
    /// Where its device listens, on its own machine.
    device: SocketAddrV4,
    /// Its machine.
    home: String,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.gate, self.room, self.device, self.home)
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split(' ');
        let mut next = || words.next().filter(|word| !word.is_empty());
        let host = || {
            let (gate, room, device, home) = (next()?, next()?, next()?, next()?);
            let device: SocketAddrV4 = device.parse().ok()?;
            // A door is only ever opened on the loopback interface.
            let local = device.ip().is_loopback() && device.port() > 0;
            local.then_some(Self { gate: gate.into(), room: room.parse().ok()?, device, home: home.into() })
        };
        let found = { host }();
        found.ok_or_else(|| format!("a member says `{}` of itself; do all run the same version?", text.escape_debug()))
    }
}

/// A door on the loopback interface; it closes when this is dropped.
pub(super) struct Door {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Door {
    /// Opens a door at `at` that leads to a room behind another worker's gate.
    pub(super) fn open(gate: &Gate, at: SocketAddrV4, to: (String, u64)) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(at)?;
        listener.set_nonblocking(true)?;
        let _runtime = gate.runtime().enter();
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let server = gate.runtime().spawn(lead(listener, gate.connector(), to));
        Ok(Self { address, server })
    }

    /// To the rendezvous behind the gate at `gate_address`.
    pub(super) fn to_rendezvous(gate: &Gate, gate_address: &str) -> io::Result<Self> {
        Self::open(gate, SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), (gate_address.to_owned(), RENDEZVOUS))
    }

    /// Where it is.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// All that a roster needs of gates while it lives.
pub(super) struct Passages {
    _room: Room,
    _doors: Vec<Door>,
}

impl Passages {
    /// Tells the members where this one's device is, asks where theirs are, and opens a door for each that is on another
    /// machine: at the very address at which its device listens there. Blocks.
    pub(super) fn open(gate: &Gate, meeting: &Meeting, own: Ipv4Addr, place: (u32, u32)) -> Result<Self, Said> {
        let (rank, world) = place;
        let failed = |what: String| (FAILED, what);
        let port = listening_port(own).map_err(|error| failed(format!("where the device listens: {error}")))?;
        let device = SocketAddrV4::new(own, port);
        let room = gate.open_room(device.into());
        let host = Host { gate: gate.address().to_owned(), room: room.number, device, home: gate.home().to_owned() };
        meeting.tell(&key(rank), &plain(&host.to_string()))?;
        let mut doors = Vec::new();
        for other in (0..world).filter(|other| *other != rank) {
            let host: Host = meeting.ask(&key(other))?.parse().map_err(failed)?;
            if host.home != gate.home() {
                match Door::open(gate, host.device, (host.gate, host.room)) {
                    Ok(door) => doors.push(door),
                    // A neighbour of this roster was here first: its door leads to the same device.
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                    Err(error) => return Err(failed(format!("{}: {error}", host.device))),
                }
            }
        }
        Ok(Self { _room: room, _doors: doors })
    }
}

fn key(rank: u32) -> std::ffi::CString {
    plain(&format!("gate-{rank}"))
}

async fn lead(listener: TcpListener, connector: WorkerConnector, (gate, room): (String, u64)) {
    while let Ok((local, _)) = listener.accept().await {
        let (connector, gate) = (connector.clone(), gate.clone());
        tokio::spawn(async move {
            if let Err(reason) = pass(local, &connector, &gate, room).await {
                tracing::warn!(gate, reason, "no way to another worker");
            }
        });
    }
}

async fn pass(local: TcpStream, connector: &WorkerConnector, gate: &str, room: u64) -> Result<(), String> {
    let stream = TcpStream::connect(gate).await.map_err(|error| error.to_string())?;
    let _ = stream.set_nodelay(true);
    let mut stream = connector.connect(stream).await?;
    stream.write_u64(room).await.map_err(|error| error.to_string())?;
    stream.flush().await.map_err(|error| error.to_string())?;
    forward(stream, local).await;
    Ok(())
}

/// Carries bytes both ways until one end is gone. That one end breaks off is how rosters end: no news.
pub(super) async fn forward(mut far: impl AsyncRead + AsyncWrite + Unpin, mut near: TcpStream) {
    let _ = near.set_nodelay(true);
    let _ = copy_bidirectional_with_sizes(&mut far, &mut near, BUFFER, BUFFER).await;
}

/// The port on which this process listens at an address. Gloo takes a free one and does not tell which.
fn listening_port(address: Ipv4Addr) -> io::Result<u16> {
    let sockets = own_sockets()?;
    let wanted = format!("{:08X}:", u32::from_ne_bytes(address.octets()));
    let table = std::fs::read_to_string("/proc/self/net/tcp")?;
    let port = table.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, state, inode) = (fields.next()?, fields.nth(1)?, fields.nth(5)?);
        let port = local.strip_prefix(&wanted)?;
        let own = state == LISTENS && sockets.iter().any(|socket| socket == inode);
        own.then(|| u16::from_str_radix(port, 16).ok()).flatten()
    });
    port.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("nothing of this process listens on {address}")))
}

/// The state of a listening socket in the kernel's table.
const LISTENS: &str = "0A";

/// Inodes of this process's sockets.
fn own_sockets() -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        // A file may be closed while the folder is read.
        let Ok(target) = entry.and_then(|entry| std::fs::read_link(entry.path())) else { continue };
        let target = target.to_string_lossy();
        let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        found.extend(inode.map(str::to_owned));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_listener_of_this_process_is_found() {
        let at = Ipv4Addr::new(127, 99, 1, 2);
        assert!(listening_port(at).is_err());
        let listener = std::net::TcpListener::bind((at, 0)).unwrap();
        assert_eq!(listening_port(at).unwrap(), listener.local_addr().unwrap().port());
    }

    #[test]
    fn what_a_member_says_of_itself_is_read_back_and_nonsense_is_refused() {
        let host = Host {
            gate: "10.0.0.5:7100".into(),
            room: 3,
            device: "127.64.1.2:4000".parse().unwrap(),
            home: "boot/net:[1]".into(),
        };
        assert_eq!(host.to_string().parse::<Host>().unwrap(), host);
        for wrong in ["", "a 1 127.0.0.1:1", "a b 127.0.0.1:1 h", "a 1 10.0.0.1:1 h", "a 1 127.0.0.1:0 h"] {
            assert!(wrong.parse::<Host>().is_err(), "{wrong}");
        }
    }
}
