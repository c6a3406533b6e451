//! Where health and figures are to be had. Off where no address is given; what is said there is plain text and no secret:
//! numbers of the run, and whether the process lives.

use crate::{Vitals, health, page};
use clap::Args;
use std::io;
use std::path::PathBuf;
use tokio::net::TcpListener;

/// Where a process answers, and where it leaves its last word.
#[derive(Clone, Debug, Default, Args)]
pub struct VitalsArgs {
    /// Answer gRPC health probes here, in plain text: the empty service says that the process lives, `ready` that it does
    /// what it is there for
    #[arg(long, value_name = "HOST:PORT")]
    pub health_bind: Option<String>,
    /// Serve /metrics for Prometheus here, in plain text
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics_bind: Option<String>,
    /// At the end, write one line to this file that says how it went, such as /dev/termination-log
    #[arg(long, value_name = "PATH")]
    pub termination_message: Option<PathBuf>,
}

/// Bytes of a last word; Kubernetes keeps no more.
const LAST_WORD: usize = 4096;

/// Why an address cannot be taken.
#[derive(Debug, thiserror::Error)]
#[error("{option} {address}: {source}; expected HOST:PORT of an address of this machine with a port that nobody uses")]
pub struct ListenError {
    option: &'static str,
    address: String,
    source: io::Error,
}

impl VitalsArgs {
    /// Leaves a last word, on one line. A file that cannot be written costs the word only.
    pub fn say_last(&self, word: &str) {
        let Some(path) = &self.termination_message else { return };
        let line: Vec<&str> = word.split_whitespace().collect();
        let mut line = line.join(" ");
        let end = (0..=line.len().min(LAST_WORD - 1)).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.truncate(end);
        if let Err(error) = std::fs::write(path, line + "\n") {
            tracing::warn!("cannot write {}: {error}", path.display());
        }
    }

    /// Listens, and answers for as long as the process lives.
    ///
    /// # Errors
    /// An address cannot be taken.
    pub async fn open(&self, vitals: &Vitals) -> Result<(), ListenError> {
        if let Some(listener) = bind("--health-bind", self.health_bind.as_ref()).await? {
            tokio::spawn(health::serve(listener, vitals.clone()));
        }
        if let Some(listener) = bind("--metrics-bind", self.metrics_bind.as_ref()).await? {
            tokio::spawn(page::serve(listener, vitals.clone()));
        }
        Ok(())
    }
}

async fn bind(option: &'static str, address: Option<&String>) -> Result<Option<TcpListener>, ListenError> {
    let Some(address) = address else { return Ok(None) };
    let failed = |source| ListenError { option, address: address.clone(), source };
    let listener = TcpListener::bind(address.as_str()).await.map_err(failed)?;
    let bound = listener.local_addr().map(|bound| bound.to_string()).unwrap_or_default();
    tracing::info!(option, address = bound, "listening");
    Ok(Some(listener))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_word_is_one_line_that_is_not_too_long() {
        let path = std::env::temp_dir().join(format!("conrec-last-word-{}", std::process::id()));
        let args = VitalsArgs { termination_message: Some(path.clone()), ..VitalsArgs::default() };
        args.say_last("a = 1:\n  allowed is 2\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a = 1: allowed is 2\n");
        args.say_last(&"ü".repeat(5000));
        let kept = std::fs::read_to_string(&path).unwrap();
        assert!(kept.len() <= LAST_WORD && kept.trim_end().chars().all(|c| c == 'ü'));
        std::fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_taken_is_named_with_its_option() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let metrics_bind = Some(taken.local_addr().unwrap().to_string());
        let args = VitalsArgs { metrics_bind, ..VitalsArgs::default() };
        let error = args.open(&Vitals::new(&[])).await.unwrap_err().to_string();
        assert!(error.contains("--metrics-bind 127.0.0.1:"), "{error}");
    }
}
