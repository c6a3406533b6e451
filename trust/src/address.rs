//! Whether an address is reached from this machine only.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// Whether only processes of this machine reach it; an IPv4 address in IPv6's clothes is taken for what it is.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// All addresses of `HOST:PORT`.
///
/// # Errors
/// The host does not resolve.
pub async fn resolve(address: &str) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host(address).await?.collect();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_in_all_its_forms() {
        let known = |text: &str| is_loopback(text.parse().unwrap());
        assert!(["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"].into_iter().all(known));
        assert!(!["0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1"].into_iter().any(known));
    }
}
