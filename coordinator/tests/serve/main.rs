//! The coordinator as a whole: real sockets, a real store in a temporary folder, workers that only pretend to compute.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod completion;
mod fake_worker;
mod flood;
mod missed;
mod one_run;
mod refusals;
mod resume;
mod trust;
mod vanishing;
