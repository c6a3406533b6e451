//! A member at the rendezvous, before the roster is formed: it listens to its peers already, and can tell them and ask
//! them things.

use super::ffi::{self, Failure, RawMeeting, RawMembership};
use std::ffi::{CStr, CString, c_char};
use std::ptr::{self, NonNull};

/// Room for what a member says of itself.
const ROOM: usize = 1024;

/// A connection to the rendezvous, and a device that listens to the peers.
pub(super) struct Meeting(NonNull<RawMeeting>);

/// The shim's code and words.
pub(super) type Said = (i32, String);

impl Meeting {
    /// Reaches the rendezvous. Blocks.
    pub(super) fn open(membership: &RawMembership) -> Result<Self, Said> {
        let (mut meeting, mut failure) = (ptr::null_mut(), Failure::new());
        // SAFETY: the pointers, and the strings behind `membership`, live until after the call; the shim copies what it
        // keeps.
        let code = unsafe { ffi::conrec_meeting_open(membership, &mut meeting, &mut failure) };
        match NonNull::new(meeting) {
            Some(meeting) if code == ffi::DONE => Ok(Self(meeting)),
            _ => Err((code, failure.message())),
        }
    }

    /// Says something to all members.
    pub(super) fn tell(&self, key: &CStr, text: &CStr) -> Result<(), Said> {
        let mut failure = Failure::new();
        // SAFETY: the meeting lives as long as `self`; the shim keeps neither string.
        let code = unsafe { ffi::conrec_meeting_tell(self.0.as_ptr(), key.as_ptr(), text.as_ptr(), &mut failure) };
        if code == ffi::DONE { Ok(()) } else { Err((code, failure.message())) }
    }

    /// Waits for what a member says. Blocks.
    pub(super) fn ask(&self, key: &CStr) -> Result<String, Said> {
        let (mut text, mut failure) = ([0_u8; ROOM], Failure::new());
        let room = text.as_mut_ptr().cast::<c_char>();
        // SAFETY: `text` has room for ROOM bytes, and the shim ends it with a zero byte.
        let code = unsafe { ffi::conrec_meeting_ask(self.0.as_ptr(), key.as_ptr(), room, ROOM, &mut failure) };
        if code != ffi::DONE {
            return Err((code, failure.message()));
        }
        let said = CStr::from_bytes_until_nul(&text).map(CStr::to_string_lossy).unwrap_or_default();
        Ok(said.into_owned())
    }

    /// For the call that forms the group.
    pub(super) fn as_raw(&self) -> *mut RawMeeting {
        self.0.as_ptr()
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        // SAFETY: it came from conrec_meeting_open and is given back exactly once.
        unsafe { ffi::conrec_meeting_drop(self.0.as_ptr()) }
    }
}

/// Text of our own making for the shim; none of it holds a zero byte.
pub(super) fn plain(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}
