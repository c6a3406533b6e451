//! The place where the members of a roster find each other: a small key-value server inside a worker's process.

use super::CollectiveError;
use super::ffi::{self, Failure, RawRendezvous};
use std::ptr::{self, NonNull};

/// A running server; it stops when this is dropped. One serves any number of rosters, kept apart by their fences.
pub struct Rendezvous {
    server: NonNull<RawRendezvous>,
    port: u16,
}

// SAFETY: the server runs on threads of its own; this handle is only used to stop it, once, from whichever thread
// drops it. c10d's TCPStore has no tie to the thread that made it.
unsafe impl Send for Rendezvous {}
// SAFETY: a shared handle gives nothing but the port, which never changes.
unsafe impl Sync for Rendezvous {}

impl Rendezvous {
    /// Starts a server on a free port, on all interfaces.
    ///
    /// # Errors
    /// [`CollectiveError::Other`] with the reason, for example when no port can be had.
    pub fn start() -> Result<Self, CollectiveError> {
        let (mut server, mut port, mut failure) = (ptr::null_mut(), 0, Failure::new());
        // SAFETY: the three pointers are valid for writing during the call, and the shim keeps none of them.
        let code = unsafe { ffi::conrec_rendezvous_start(&mut server, &mut port, &mut failure) };
        match NonNull::new(server) {
            Some(server) if code == ffi::DONE => Ok(Self { server, port }),
            _ => Err(CollectiveError::Other { call: "starting the rendezvous", message: failure.message() }),
        }
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Rendezvous {
    fn drop(&mut self) {
        // SAFETY: `server` came from conrec_rendezvous_start and is given back exactly once.
        unsafe { ffi::conrec_rendezvous_stop(self.server.as_ptr()) }
    }
}
