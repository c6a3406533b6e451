//! The control path, pure: no clock, no I/O, no tensors, no randomness but from arguments.
//! Time comes in as an argument and effects go out as values; the coordinator's shell performs them.

pub mod address;
pub mod day;
pub mod decoder_shape;
pub mod ids;
pub mod spec;
pub mod work;

// What comes next, and with which prompts.
pub mod curriculum;
pub mod derived;
pub mod schedule;

// All that can happen, all that may be asked for, and the machine between the two.
pub mod event;

pub mod effect;

pub mod run;

pub mod bookmark;
pub mod ledger;
pub mod manifest;
pub mod metrics_line;
pub mod retention;
pub mod status;

// Runs that were submitted under a key.
pub mod job;

// What is compared with what.
pub mod arms;

// How a config is trained anew every night.
pub mod nightly;

// What must hold, whatever happens.
pub mod audit;
pub mod invariants;
