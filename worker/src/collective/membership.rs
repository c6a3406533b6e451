//! Who takes part in a roster, where its members meet, and what they share before a group has formed.

use super::ffi::{self, Failure, RawMembership};
use super::passage::Door;
use super::{CollectiveError, Peers};
use conrec_domain::ids::Fence;
use conrec_trust::address::is_loopback;
use std::ffi::CString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

pub(super) const FORM: &str = "forming the roster";
/// What libtorch may take beyond the deadline, so that its own words reach the user where it keeps it.
const GRACE: Duration = Duration::from_millis(250);
/// How often it looks whether the roster was given up while it forms.
const LOOK: Duration = Duration::from_millis(10);

/// Who takes part in a roster and where its members meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// `host:port` of the rendezvous.
    pub rendezvous: String,
    /// The roster's number; keeps rosters apart.
    pub fence: Fence,
    /// This member's place, from 0.
    pub rank: u32,
    /// The number of members.
    pub world: u32,
    /// Deadline of forming the roster and of each call.
    pub deadline: Duration,
}

impl Membership {
    /// Whether its members meet on the loopback interface, which other machines do not reach.
    pub(super) fn is_on_this_machine(&self) -> Result<bool, CollectiveError> {
        let (host, port) = check(self)?;
        own_address(host, port).map(is_loopback).map_err(|error| unresolved(&self.rendezvous, &error))
    }
}

/// A membership as the shim wants it.
pub(super) struct Place {
    host: CString,
    port: u16,
    own: IpAddr,
    address: CString,
    prefix: CString,
    rank: i32,
    world: i32,
    /// To the rendezvous, where that is behind a gate; open until the roster has formed.
    _door: Option<Door>,
}

impl Place {
    /// Checks the membership, opens a door to a rendezvous behind a gate, and finds this member's own address.
    pub(super) fn of(membership: &Membership, peers: &Peers) -> Result<Self, CollectiveError> {
        let ((host, port), own, door) = way(membership, peers)?;
        Ok(Self {
            host: c_text(&host)?,
            port,
            own,
            address: c_text(&own.to_string())?,
            prefix: c_text(&format!("fence-{}", membership.fence))?,
            rank: number(membership.rank)?,
            world: number(membership.world)?,
            _door: door,
        })
    }

    /// The address on which this member listens to its peers.
    pub(super) fn own(&self) -> IpAddr {
        self.own
    }

    /// For a call of the shim during which `self` lives.
    pub(super) fn raw(&self, deadline: Duration) -> RawMembership {
        RawMembership {
            host: self.host.as_ptr(),
            address: self.address.as_ptr(),
            prefix: self.prefix.as_ptr(),
            timeout_ms: i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX),
            rank: self.rank,
            world: self.world,
            port: self.port,
        }
    }

    /// Replaces `bytes` by those of rank 0, over the rendezvous. Blocks until rank 0 has shared them.
    pub(super) fn share(&self, bytes: &mut [u8], deadline: Duration) -> Result<(), CollectiveError> {
        let (raw, mut failure) = (self.raw(deadline), Failure::new());
        // SAFETY: `raw` and the strings behind it live until after the call, `bytes` is valid for its length.
        let code = unsafe { ffi::conrec_share(&raw, bytes.as_mut_ptr(), bytes.len(), &mut failure) };
        if code == ffi::DONE { Ok(()) } else { Err(error_of(FORM, code, deadline, failure.message())) }
    }
}

/// Forms a group on a thread of its own: a backend repeats a refused connection beyond the deadline it is given. A group
/// that comes too late is dropped there.
pub(super) fn within_deadline<T: Send + 'static>(
    membership: &Membership,
    given_up: &dyn Fn() -> bool,
    form: impl FnOnce() -> Result<T, CollectiveError> + Send + 'static,
) -> Result<T, CollectiveError> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(form()));
    let begun = Instant::now();
    while begun.elapsed() < membership.deadline + GRACE {
        if let Ok(group) = receive.recv_timeout(LOOK) {
            return group;
        }
        if given_up() {
            return Err(CollectiveError::Aborted { call: FORM, message: "a member was lost".to_owned() });
        }
    }
    let message = "the members did not all appear in time".to_owned();
    Err(CollectiveError::Timeout { call: FORM, deadline: membership.deadline, message })
}

/// Host and port at which this member reaches the rendezvous, and the address on which it listens to its peers.
type Way = ((String, u16), IpAddr, Option<Door>);

fn way(membership: &Membership, peers: &Peers) -> Result<Way, CollectiveError> {
    let (host, port) = check(membership)?;
    let rendezvous = &membership.rendezvous;
    if let Peers::Gated(gate) = peers {
        let door = Door::to_rendezvous(gate, rendezvous);
        let door = door.map_err(|error| argument(format!("a way to the rendezvous `{rendezvous}`: {error}")))?;
        let at = door.address();
        return Ok(((at.ip().to_string(), at.port()), gate.fresh_address().into(), Some(door)));
    }
    let address = own_address(host, port).map_err(|error| unresolved(rendezvous, &error))?;
    match peers {
        Peers::OnThisMachine if !is_loopback(address) => Err(argument(format!(
            "the workers meet at `{rendezvous}`, on another machine, and what they say would go there unencrypted; give \
             every worker --tls DIR, or say --insecure-collectives inside a network that you trust"
        ))),
        _ => Ok(((host.to_owned(), port), address, None)),
    }
}

fn unresolved(rendezvous: &str, error: &io::Error) -> CollectiveError {
    argument(format!("rendezvous `{rendezvous}`: {error}; expected a host that resolves"))
}

fn argument(message: String) -> CollectiveError {
    CollectiveError::Argument { call: FORM, message }
}

/// Host and port of the rendezvous, once the membership makes sense.
fn check(membership: &Membership) -> Result<(&str, u16), CollectiveError> {
    let Membership { rendezvous, rank, world, .. } = membership;
    if rank >= world {
        return Err(argument(format!("rank {rank} is outside of a roster of {world}")));
    }
    if membership.deadline.is_zero() {
        return Err(argument("the deadline is 0; expected at least 1 ms".to_owned()));
    }
    let parts = rendezvous.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    match parts {
        Some((host, port)) if !host.is_empty() && port > 0 => Ok((host.trim_matches(['[', ']']), port)),
        _ => Err(argument(format!("rendezvous `{rendezvous}`: expected host:port"))),
    }
}

/// The address by which this machine reaches the rendezvous, and so by which the peers reach this machine. No packet
/// is sent: connecting a UDP socket only asks for the route.
fn own_address(host: &str, port: u16) -> io::Result<IpAddr> {
    let no_address = || io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    let target = (host, port).to_socket_addrs()?.next().ok_or_else(no_address)?;
    let any: SocketAddr =
        if target.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(target)?;
    Ok(socket.local_addr()?.ip())
}

fn c_text(text: &str) -> Result<CString, CollectiveError> {
    CString::new(text).map_err(|_| argument(format!("`{}` holds a zero byte", text.escape_debug())))
}

pub(super) fn number(value: u32) -> Result<i32, CollectiveError> {
    i32::try_from(value).map_err(|_| argument(format!("{value} is no rank or size of a roster")))
}

/// Sorts the shim's codes and the backend's words into the cases that a caller treats differently.
pub(super) fn error_of(call: &'static str, code: i32, deadline: Duration, message: String) -> CollectiveError {
    let says = |words: &[&str]| {
        let lower = message.to_lowercase();
        words.iter().any(|word| lower.contains(word))
    };
    match code {
        ffi::DEADLINE => CollectiveError::Timeout { call, deadline, message },
        ffi::ABORTED => CollectiveError::Aborted { call, message },
        _ if says(&["timed out", "timeout"]) => CollectiveError::Timeout { call, deadline, message },
        _ if says(&["connection", "closed by peer", "broken pipe", "reset by peer", "connect"]) => {
            CollectiveError::PeerLost { call, message }
        }
        _ => CollectiveError::Other { call, message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_address_towards_a_local_rendezvous_is_the_loopback() {
        assert!(own_address("127.0.0.1", 9).unwrap().is_loopback());
    }

    #[test]
    fn the_backends_words_decide_between_a_deadline_and_a_lost_peer() {
        let sorted = |text: &str| error_of("all-reduce", 3, Duration::from_secs(1), text.to_owned());
        assert!(matches!(sorted("Timed out waiting 2000ms for recv"), CollectiveError::Timeout { .. }));
        assert!(matches!(sorted("Connection closed by peer [127.0.0.1]:1"), CollectiveError::PeerLost { .. }));
        assert!(matches!(sorted("invalid tensor layout"), CollectiveError::Other { .. }));
    }

    #[test]
    fn what_rank_0_shares_reaches_the_others_under_their_own_fence() {
        let server = crate::collective::Rendezvous::start().unwrap();
        let deadline = Duration::from_secs(20);
        let place = |fence, rank| {
            let rendezvous = format!("127.0.0.1:{}", server.port());
            let membership = Membership { rendezvous, fence: Fence(fence), rank, world: 2, deadline };
            Place::of(&membership, &Peers::OnThisMachine).unwrap()
        };
        for fence in [1, 2] {
            let (first, second) = (place(fence, 0), place(fence, 1));
            let expected = [u8::try_from(fence).unwrap(); 128];
            let mut found = [0; 128];
            thread::scope(|scope| {
                scope.spawn(|| first.share(&mut expected.clone(), deadline).unwrap());
                second.share(&mut found, deadline).unwrap();
            });
            assert_eq!(found, expected);
        }
    }
}
