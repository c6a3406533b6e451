//! The state machine of a run: effect lists verb by verb, and a seeded random walk with simulated workers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod bench;

mod life;
mod losses;
mod missed;
mod overrun;
mod wished;

mod refusals;

mod endings;
mod fall_back;

mod leaving;

mod simulation;

mod random_walk;
mod recovery;
