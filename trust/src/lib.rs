//! Who may speak with whom. A process has a folder of credentials that gives it a role; both ends of a connection show
//! their certificates, and each looks for the role that it expects. Knows no run and no message.

// What a process is and what it holds.
pub mod certificate;
pub mod credentials;
pub mod role;
pub mod token;

// Both ends of a connection.
pub mod address;
mod as_client;
pub mod link;
pub mod peer;
mod refusal;

// A small site's own authority.
pub mod authority;

mod secret_file;

pub use credentials::{Credentials, CredentialsError};
pub use link::{LinkError, connect};
pub use role::Role;
pub use secret_file::SecretFileError;
pub use token::Token;

/// Makes aws-lc-rs the process's library for cryptography. The first line of every `main`: a library that has to choose
/// by itself would panic where several are compiled in.
pub fn install_cryptography() {
    // An error says that one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
