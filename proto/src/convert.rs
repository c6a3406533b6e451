//! Wire <-> domain. Encoding is total; decoding checks presence, lengths and ranges, so that no message can ask for
//! unbounded memory or bring a value that the domain's types do not know.

mod decode;
mod decode_work;
mod encode;
mod error;
pub mod limits;
mod present;

pub use error::ConvertError;
