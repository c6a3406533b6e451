//! Shell around the run's state machine: it opens the store, serves workers and operators over gRPC, and performs what
//! the machine asks for. Holds no libtorch and no mathematics.

pub mod bind;
mod dispatch;
mod driver;
pub mod entrance;
pub mod exit_code;
mod journal;
pub mod lobby;
pub mod open;
mod operator;
mod operator_guard;
mod orders;
mod serve;
mod session;
mod status_board;
pub mod store;

pub use entrance::Entrance;
pub use open::{Asked, Coordinator, OpenError, Opened};
pub use orders::Orders;
