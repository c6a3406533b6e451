//! Who works on nights: what a claim says, and how its holder shows that it lives.

use crate::day::Day;
use serde::{Deserialize, Serialize};

/// `claims/<number>.json`: who works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Its place; grows with each claim.
    pub number: u64,
    /// The night that is worked on.
    pub night: Day,
    /// Who; no two processes are named alike.
    pub holder: String,
}

/// `claims/<number>.beat.json`: replaced as long as the holder lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Grows with each beat.
    pub beats: u64,
}
