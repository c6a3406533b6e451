//! Which way NCCL's words may take. It encrypts nothing, asks nobody who he is and goes through no gate: only the
//! rendezvous, where its members meet, can be behind one. The shim keeps it on the loopback interface by its variable
//! `NCCL_SOCKET_IFNAME`, unless the environment names another interface.

use crate::collective::{Membership, Peers};
use crate::error::WorkerError;

const INTERFACE: &str = "NCCL_SOCKET_IFNAME";

/// Whether this roster may use NCCL.
///
/// # Errors
/// [`WorkerError::Config`] when it would speak in plain text with other machines and nobody allowed that by name, or when
/// it would not reach them. [`WorkerError::Collective`] for a malformed membership.
pub fn check(membership: &Membership, peers: &Peers) -> Result<(), WorkerError> {
    let here = membership.world == 1 || membership.is_on_this_machine()?;
    let interface = std::env::var(INTERFACE).unwrap_or_default();
    match refusal(here, matches!(peers, Peers::InTheOpen), &interface) {
        None => Ok(()),
        Some(allowed) => Err(WorkerError::Config { key: "cluster.collective", found: "nccl".to_owned(), allowed }),
    }
}

/// What is allowed instead, where NCCL is not.
fn refusal(here: bool, insecure: bool, interface: &str) -> Option<String> {
    let loopback = ["lo", "=lo"].contains(&interface);
    match (here, insecure) {
        (false, false) => Some(
            "\"gloo\" for workers on several machines, as NCCL encrypts nothing and goes through no gate; or say \
             --insecure-collectives on each worker, inside a network that you trust"
                .to_owned(),
        ),
        (true, false) if !loopback => Some(format!(
            "\"gloo\", or no {INTERFACE} in the environment: it names `{interface}`, and NCCL would listen there in \
             plain text; or say --insecure-collectives on each worker, inside a network that you trust"
        )),
        (false, true) if loopback => Some(format!(
            "\"gloo\", or {INTERFACE} in each worker's environment with the interface that leads to the other machines"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_domain::ids::Fence;
    use std::time::Duration;

    #[test]
    fn plain_text_leaves_the_machine_only_by_name() {
        let refused = |here, insecure, interface| refusal(here, insecure, interface).unwrap_or_default();
        assert!(refused(false, false, "=lo").contains("--insecure-collectives"));
        assert!(refused(true, false, "eth0").contains("`eth0`"));
        assert!(refused(false, true, "=lo").contains("leads to the other machines"));
        assert_eq!(refusal(true, false, "=lo"), None);
        assert_eq!(refusal(false, true, "eth0"), None);
    }

    #[test]
    fn a_roster_on_several_machines_is_refused_with_the_code_of_a_wrong_config() {
        let meets_at = |rendezvous: &str| Membership {
            rendezvous: rendezvous.to_owned(),
            fence: Fence(1),
            rank: 0,
            world: 2,
            deadline: Duration::from_secs(1),
        };
        let error = check(&meets_at("192.0.2.1:9"), &Peers::OnThisMachine);
        // A machine without a route to anywhere does not say where it would listen.
        if let Err(error @ WorkerError::Config { .. }) = &error {
            assert_eq!(error.exit_code(), 78);
        }
        assert!(error.is_err());
        assert!(
            check(&meets_at("127.0.0.1:9"), &Peers::OnThisMachine).is_ok(),
            "the shim names the loopback interface"
        );
    }
}
