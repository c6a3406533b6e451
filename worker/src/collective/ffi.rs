//! The C face of the shim, as `shim/collective.h` declares it.

use std::ffi::{CStr, c_char};

pub const DONE: i32 = 0;
pub const DEADLINE: i32 = 1;
pub const ABORTED: i32 = 2;

/// Why a call failed; filled by the shim, ends with a zero byte.
#[repr(C)]
pub struct Failure {
    text: [c_char; 512],
}

impl Failure {
    pub fn new() -> Self {
        Self { text: [0; 512] }
    }

    /// The message on one line.
    pub fn message(&self) -> String {
        let bytes = self.text.map(|c| c.to_ne_bytes()[0]);
        let text = CStr::from_bytes_until_nul(&bytes).map(CStr::to_string_lossy).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Who takes part in a group and where its members meet; mirrors `conrec_membership`.
#[repr(C)]
pub struct RawMembership {
    pub host: *const c_char,
    pub address: *const c_char,
    pub prefix: *const c_char,
    pub timeout_ms: i64,
    pub rank: i32,
    pub world: i32,
    pub port: u16,
}

/// A `conrec_rendezvous` of the shim.
#[repr(C)]
pub struct RawRendezvous {
    opaque: [u8; 0],
}

/// A `conrec_meeting` of the shim.
#[repr(C)]
pub struct RawMeeting {
    opaque: [u8; 0],
}

/// A `conrec_group` of the shim.
#[repr(C)]
pub struct RawGroup {
    opaque: [u8; 0],
}

unsafe extern "C" {
    pub fn conrec_rendezvous_start(
        host: *const c_char,
        port: u16,
        socket: i32,
        server: *mut *mut RawRendezvous,
        failure: *mut Failure,
    ) -> i32;
    pub fn conrec_rendezvous_stop(server: *mut RawRendezvous);
    pub fn conrec_share(membership: *const RawMembership, bytes: *mut u8, length: usize, failure: *mut Failure) -> i32;
    pub fn conrec_meeting_open(
        membership: *const RawMembership,
        meeting: *mut *mut RawMeeting,
        failure: *mut Failure,
    ) -> i32;
    pub fn conrec_meeting_tell(
        meeting: *mut RawMeeting,
        key: *const c_char,
        text: *const c_char,
        failure: *mut Failure,
    ) -> i32;
    pub fn conrec_meeting_ask(
        meeting: *mut RawMeeting,
        key: *const c_char,
        text: *mut c_char,
        room: usize,
        failure: *mut Failure,
    ) -> i32;
    pub fn conrec_meeting_drop(meeting: *mut RawMeeting);
    pub fn conrec_group_form(
        meeting: *mut RawMeeting,
        membership: *const RawMembership,
        group: *mut *mut RawGroup,
        failure: *mut Failure,
    ) -> i32;
    pub fn conrec_group_sum_i64(group: *mut RawGroup, values: *mut i64, length: usize, failure: *mut Failure) -> i32;
    pub fn conrec_group_sum_f32(group: *mut RawGroup, values: *mut f32, length: usize, failure: *mut Failure) -> i32;
    pub fn conrec_group_broadcast(
        group: *mut RawGroup,
        bytes: *mut u8,
        length: usize,
        root: i32,
        failure: *mut Failure,
    ) -> i32;
    pub fn conrec_group_barrier(group: *mut RawGroup, failure: *mut Failure) -> i32;
    pub fn conrec_group_abort(group: *mut RawGroup);
    pub fn conrec_group_drop(group: *mut RawGroup);
}
