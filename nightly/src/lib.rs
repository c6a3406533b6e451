//! Nights in a store: the shell around `conrec_domain::nightly`, which decides. It keeps what each phase has left, sees to
//! it that one process works at a time, and moves what is promoted by entries that can be created once. It trains nothing:
//! whoever runs a night brings that along ([`NightWork`]), and the clock ([`Clock`]).
//!
//! Below `<store>/nightly/`:
//!
//! | key | written | what it is |
//! |---|---|---|
//! | `claims/<n>.json` | created once | who works: the newest counts |
//! | `claims/<n>.beat.json` | again and again | the one who works still lives |
//! | `claims/<n>.over.json` | created once | the one who worked has ended |
//! | `promotions/<n>.json` | created once | what serves: the newest counts |
//! | `promoted.json` | replaced | a copy of the newest promotion, for those who serve |
//! | `nights/<date>/plan.json`, `trained.json`, `verdicts/<n>.json`, `predicted.json`, `ending.json` | created once | what each phase left |
//! | `nights/<date>/skipped.json` | replaced | why the night could not be trained when somebody last looked |

mod claims;
mod drive;
mod error;
mod nights;
mod promotions;
mod records;

pub use claims::{BEAT, LEASE, POLL};
pub use drive::{Clock, NightWork, Shift, Stopped};
pub use error::NightError;
pub use nights::Nights;
