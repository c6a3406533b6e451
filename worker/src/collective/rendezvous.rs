//! The place where the members of a roster find each other: a small key-value server inside a worker's process. It
//! encrypts nothing and asks nobody who he is, so it listens on the one address that it is given.

use super::CollectiveError;
use super::ffi::{self, Failure, RawRendezvous};
use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::ptr::{self, NonNull};

const START: &str = "starting the rendezvous";

/// A running server; it stops when this is dropped. One serves any number of rosters, kept apart by their fences.
pub struct Rendezvous {
    server: NonNull<RawRendezvous>,
    address: SocketAddr,
}

// SAFETY: the server runs on threads of its own; this handle is only used to stop it, once, from whichever thread
// drops it. c10d's TCPStore has no tie to the thread that made it.
unsafe impl Send for Rendezvous {}
// SAFETY: a shared handle gives nothing but the address, which never changes.
unsafe impl Sync for Rendezvous {}

impl Rendezvous {
    /// Starts a server on a free port of the loopback interface: only this machine reaches it.
    ///
    /// # Errors
    /// As [`Rendezvous::start_on`].
    pub fn start() -> Result<Self, CollectiveError> {
        Self::start_on(Ipv4Addr::LOCALHOST.into())
    }

    /// Starts a server on a free port of one address of this machine.
    ///
    /// # Errors
    /// [`CollectiveError::Other`] with the reason, for example that the address is another machine's.
    pub fn start_on(address: IpAddr) -> Result<Self, CollectiveError> {
        let refused = |message: String| CollectiveError::Other { call: START, message };
        let listener = TcpListener::bind((address, 0)).map_err(|error| refused(format!("{address}: {error}")))?;
        let address = listener.local_addr().map_err(|error| refused(error.to_string()))?;
        let host = CString::new(address.ip().to_string()).map_err(|error| refused(error.to_string()))?;
        let (mut server, mut failure) = (ptr::null_mut(), Failure::new());
        let socket = listener.into_raw_fd();
        // SAFETY: the pointers are valid during the call and the shim keeps none of them; the socket is the shim's now.
        let code =
            unsafe { ffi::conrec_rendezvous_start(host.as_ptr(), address.port(), socket, &mut server, &mut failure) };
        match NonNull::new(server) {
            Some(server) if code == ffi::DONE => Ok(Self { server, address }),
            _ => Err(refused(failure.message())),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Rendezvous {
    fn drop(&mut self) {
        // SAFETY: `server` came from conrec_rendezvous_start and is given back exactly once.
        unsafe { ffi::conrec_rendezvous_stop(self.server.as_ptr()) }
    }
}
