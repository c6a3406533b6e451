//! A roster over TCP: libtorch's own Gloo, reached through the C++ shim. Works on host memory, so that any number of
//! workers may share a machine, with one GPU or none.

use super::ffi::{self, Failure, RawGroup};
use super::meeting::Meeting;
use super::membership::{FORM, Membership, Place, error_of, number, within_deadline};
use super::passage::Passages;
use super::{Collective, CollectiveError, Peers, check_root};
use std::net::IpAddr;
use std::ptr::{self, NonNull};
use std::time::Duration;

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
        let place = Place::of(membership, peers)?;
        let (asked, peers) = (membership.clone(), peers.clone());
        within_deadline(membership, given_up, move || connect(&place, &asked, &peers))
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

fn connect(place: &Place, membership: &Membership, peers: &Peers) -> Result<Gloo, CollectiveError> {
    let Membership { rank, world, deadline, .. } = *membership;
    let raw = place.raw(deadline);
    let sorted = |(code, message)| error_of(FORM, code, deadline, message);
    let meeting = Meeting::open(&raw).map_err(sorted)?;
    let passages = match (peers, place.own()) {
        (Peers::Gated(gate), IpAddr::V4(own)) => {
            Some(Passages::open(gate, &meeting, own, (rank, world)).map_err(sorted)?)
        }
        _ => None,
    };
    let (mut group, mut failure) = (ptr::null_mut(), Failure::new());
    // SAFETY: the meeting, `raw`, and the strings behind it, which `place` holds, live until after the call; the shim
    // copies what it keeps.
    let code = unsafe { ffi::conrec_group_form(meeting.as_raw(), &raw, &mut group, &mut failure) };
    match NonNull::new(group) {
        Some(group) if code == ffi::DONE => Ok(Gloo { group, rank, world, deadline, _passages: passages }),
        _ => Err(error_of(FORM, code, deadline, failure.message())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_domain::ids::Fence;

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
}
