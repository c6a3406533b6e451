//! A roster over TCP: libtorch's own Gloo, reached through the C++ shim.

use super::ffi::{self, Failure, RawGroup, RawMembership};
use super::meeting::Meeting;
use super::passage::{Door, Passages};
use super::{Collective, CollectiveError, Peers, check_root};
use conrec_domain::ids::Fence;
use conrec_trust::address::is_loopback;
use std::ffi::CString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::ptr::{self, NonNull};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const FORM: &str = "forming the roster";
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

/// One member of a roster over TCP.
pub struct Gloo {
    group: NonNull<RawGroup>,
    rank: u32,
    world: u32,
    deadline: Duration,
    /// After the group: its connections go through them.
    _passages: Option<Passages>,
}

// SAFETY: the shim's group has no tie to the thread that made it; it owns its memory and its threads.
unsafe impl Send for Gloo {}
// SAFETY: the shim serialises calls of one group by a mutex, and abort may run beside them.
unsafe impl Sync for Gloo {}

impl Gloo {
    /// Meets the other members on this machine and connects to each of them. Blocks.
    ///
    /// # Errors
    /// As [`Gloo::form_unless`], of which it is the case that is never given up.
    pub fn form(membership: &Membership) -> Result<Self, CollectiveError> {
        Self::form_unless(membership, &Peers::OnThisMachine, &|| false)
    }

    /// [`Gloo::form`], until `given_up` says that it need not go on.
    ///
    /// # Errors
    /// [`CollectiveError::Aborted`] when it was given up,
    /// [`CollectiveError::Timeout`] when a member or the rendezvous does not appear in time,
    /// [`CollectiveError::Argument`] for a malformed address or a rank outside the roster.
    pub fn form_unless(
        membership: &Membership,
        peers: &Peers,
        given_up: &dyn Fn() -> bool,
    ) -> Result<Self, CollectiveError> {
        let (rendezvous, address, door) = way(membership, peers)?;
        let place = Place {
            host: c_text(&rendezvous.0)?,
            port: rendezvous.1,
            address: c_text(&address.to_string())?,
            prefix: c_text(&format!("fence-{}", membership.fence))?,
            rank: number(membership.rank)?,
            world: number(membership.world)?,
            _door: door,
        };
        let (send, receive) = mpsc::channel();
        let (asked, peers) = (membership.clone(), peers.clone());
        // libtorch repeats a refused connection beyond the deadline it is given. So it works on a thread of its own,
        // and a group that comes too late is dropped there.
        thread::spawn(move || send.send(connect(&place, &asked, &peers)));
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

    fn outcome(&self, call: &'static str, code: i32, failure: &Failure) -> Result<(), CollectiveError> {
        if code == ffi::DONE {
            return Ok(());
        }
        Err(error_of(call, code, self.deadline, failure.message()))
    }
}

impl Collective for Gloo {
    fn rank(&self) -> u32 {
        self.rank
    }

    fn world(&self) -> u32 {
        self.world
    }

    fn all_reduce_sum(&self, values: &mut [i64]) -> Result<(), CollectiveError> {
        if values.is_empty() {
            return Ok(());
        }
        let mut failure = Failure::new();
        let group = self.group.as_ptr();
        // SAFETY: `values` is valid for reading and writing its length during the call; the shim works on a copy.
        let code = unsafe { ffi::conrec_group_sum_i64(group, values.as_mut_ptr(), values.len(), &mut failure) };
        self.outcome("all-reduce", code, &failure)
    }

    fn all_reduce_sum_f32(&self, values: &mut [f32]) -> Result<(), CollectiveError> {
        if values.is_empty() {
            return Ok(());
        }
        let mut failure = Failure::new();
        let group = self.group.as_ptr();
        // SAFETY: as in all_reduce_sum.
        let code = unsafe { ffi::conrec_group_sum_f32(group, values.as_mut_ptr(), values.len(), &mut failure) };
        self.outcome("all-reduce", code, &failure)
    }

    fn broadcast(&self, bytes: &mut [u8], root: u32) -> Result<(), CollectiveError> {
        check_root(root, self.world)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let root = number(root)?;
        let mut failure = Failure::new();
        let group = self.group.as_ptr();
        // SAFETY: as in all_reduce_sum.
        let code = unsafe { ffi::conrec_group_broadcast(group, bytes.as_mut_ptr(), bytes.len(), root, &mut failure) };
        self.outcome("broadcast", code, &failure)
    }

    fn barrier(&self) -> Result<(), CollectiveError> {
        let mut failure = Failure::new();
        // SAFETY: the group lives as long as `self`.
        let code = unsafe { ffi::conrec_group_barrier(self.group.as_ptr(), &mut failure) };
        self.outcome("barrier", code, &failure)
    }

    fn abort(&self) {
        // SAFETY: the group lives as long as `self`; the shim allows abort beside any other call.
        unsafe { ffi::conrec_group_abort(self.group.as_ptr()) }
    }
}

impl Drop for Gloo {
    fn drop(&mut self) {
        // SAFETY: `group` came from conrec_group_form and is given back exactly once; `&mut self` excludes calls.
        unsafe { ffi::conrec_group_drop(self.group.as_ptr()) }
    }
}

/// A membership as the shim wants it.
struct Place {
    host: CString,
    port: u16,
    address: CString,
    prefix: CString,
    rank: i32,
    world: i32,
    /// To the rendezvous, where that is behind a gate; open until the roster has formed.
    _door: Option<Door>,
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
    let address = own_address(host, port)
        .map_err(|error| argument(format!("rendezvous `{rendezvous}`: {error}; expected a host that resolves")))?;
    match peers {
        Peers::OnThisMachine if !is_loopback(address) => Err(argument(format!(
            "the workers meet at `{rendezvous}`, on another machine, and what they say would go there unencrypted; give \
             every worker --tls DIR, or say --insecure-collectives inside a network that you trust"
        ))),
        _ => Ok(((host.to_owned(), port), address, None)),
    }
}

fn connect(place: &Place, membership: &Membership, peers: &Peers) -> Result<Gloo, CollectiveError> {
    let Membership { rank, world, deadline, .. } = *membership;
    let raw = RawMembership {
        host: place.host.as_ptr(),
        address: place.address.as_ptr(),
        prefix: place.prefix.as_ptr(),
        timeout_ms: i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX),
        rank: place.rank,
        world: place.world,
        port: place.port,
    };
    let sorted = |(code, message)| error_of(FORM, code, deadline, message);
    let meeting = Meeting::open(&raw).map_err(sorted)?;
    let passages = match (peers, place.address.to_str().unwrap_or_default().parse()) {
        (Peers::Gated(gate), Ok(own)) => Some(Passages::open(gate, &meeting, own, (rank, world)).map_err(sorted)?),
        _ => None,
    };
    let (mut group, mut failure) = (ptr::null_mut(), Failure::new());
    // SAFETY: the meeting, `raw` and the strings behind it live until after the call; the shim copies what it keeps.
    let code = unsafe { ffi::conrec_group_form(meeting.as_raw(), &raw, &mut group, &mut failure) };
    match NonNull::new(group) {
        Some(group) if code == ffi::DONE => Ok(Gloo { group, rank, world, deadline, _passages: passages }),
        _ => Err(error_of(FORM, code, deadline, failure.message())),
    }
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

fn number(value: u32) -> Result<i32, CollectiveError> {
    i32::try_from(value).map_err(|_| argument(format!("{value} is no rank or size of a roster")))
}

/// Sorts the shim's codes and the backend's words into the cases that a caller treats differently.
fn error_of(call: &'static str, code: i32, deadline: Duration, message: String) -> CollectiveError {
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

    fn membership(rendezvous: &str) -> Membership {
        let deadline = Duration::from_secs(1);
        Membership { rendezvous: rendezvous.to_owned(), fence: Fence(1), rank: 0, world: 2, deadline }
    }

    #[test]
    fn a_malformed_rendezvous_is_refused_before_anything_connects() {
        for bad in ["", "host", "host:", ":80", "host:0", "host:70000"] {
            let error = Gloo::form(&membership(bad)).err().unwrap();
            assert!(matches!(error, CollectiveError::Argument { .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn a_rank_outside_the_roster_is_refused() {
        let error = Gloo::form(&Membership { rank: 2, ..membership("127.0.0.1:1") }).err().unwrap();
        assert_eq!(error.to_string(), "forming the roster: rank 2 is outside of a roster of 2");
    }

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
}
