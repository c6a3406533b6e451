//! What a host and `HOST:PORT` look like, so that a slip is told before anything is connected to.

use std::net::{IpAddr, Ipv6Addr};

/// Whether this is a host's name or its address.
pub fn is_host(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.chars().all(plain) && !label.starts_with('-') && !label.ends_with('-')
    };
    let named = text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(label);
    named || text.parse::<IpAddr>().is_ok()
}

/// Host and port of `HOST:PORT`; an address of IPv6 stands in brackets.
pub fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let good = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => is_host(host) && !host.contains(':'),
    };
    good.then_some(host).zip(port.parse().ok())
}

/// `HOST:PORT` of something that listens, for command lines.
///
/// # Errors
/// What is expected.
pub fn listening(text: &str) -> Result<String, String> {
    let found = host_and_port(text).is_some_and(|(_, port)| port > 0);
    found.then(|| text.to_owned()).ok_or_else(|| "expected HOST:PORT, such as 10.0.0.5:7000 or [::1]:7000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_from_slips() {
        for good in ["localhost:1", "10.0.0.5:7000", "[::1]:7000", "a-b.example.org:65535", "node_1:7000"] {
            assert_eq!(listening(good).as_deref(), Ok(good));
        }
        let bad =
            ["", "nonsense", ":7000", "host:", "host:0", "host:70000", "a b:1", "http://host:1/", "-a:1", "::1:7000"];
        for bad in bad {
            assert!(listening(bad).is_err(), "{bad}");
        }
        assert_eq!(host_and_port("127.0.0.1:0"), Some(("127.0.0.1", 0)));
        for good in ["localhost", "::1", "example.org."] {
            assert!(is_host(good), "{good}");
        }
        for bad in ["", "bad name!", "a..b", "*", "ä.example.org", "host:1"] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
