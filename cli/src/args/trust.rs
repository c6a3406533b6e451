//! Options of certificates and tokens, and of the verbs that reach a coordinator over the network.

use super::Output;
use clap::{Args, Subcommand};
use conrec_domain::address::{is_host, listening};
use std::path::PathBuf;

/// The environment's names for these options; `conrec train` keeps them from its own processes.
pub const ENVIRONMENT: [&str; 2] = ["CONREC_TLS", "CONREC_OPERATOR_TOKEN_FILE"];

/// Whom a process believes, and what it shows.
#[derive(Debug, Clone, Args)]
pub struct TrustArgs {
    /// The folder with this process's ca.pem, cert.pem and key.pem: encrypt, and demand a certificate of the other end
    #[arg(long, value_name = "DIR", env = "CONREC_TLS", hide_env_values = true)]
    pub tls: Option<PathBuf>,
    /// The file with the token that operators show (status, stop)
    #[arg(long, value_name = "PATH", env = "CONREC_OPERATOR_TOKEN_FILE", hide_env_values = true)]
    pub operator_token_file: Option<PathBuf>,
}

/// `conrec stop`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  conrec stop coordinator.example:7000 --tls certs/operator --operator-token-file token

A coordinator without --operator-token-file answers operators over loopback only.")]
pub struct OperatorArgs {
    /// Where the coordinator listens
    #[arg(value_name = "HOST:PORT", value_parser = listening)]
    pub coordinator: String,
    /// Certificates and token.
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// `conrec certs`.
#[derive(Debug, Args)]
pub struct CertsArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub action: CertsAction,
}

/// What can be done with certificates.
#[derive(Debug, Subcommand)]
pub enum CertsAction {
    /// Make a local authority and certificates for coordinator, workers and operators, for tests and small sites
    Init(CertsInitArgs),
    /// Print subjects, names, roles, and until when each certificate is valid
    Show(CertsShowArgs),
}

/// `conrec certs init`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  conrec certs init certs --name trainer.example --name 10.0.0.5

Writes DIR/ca.pem, DIR/ca-key.pem, DIR/token (for operators), and DIR/coordinator/, DIR/worker/,
DIR/operator/ with ca.pem, cert.pem and key.pem each: give a process its own folder and nothing else. Whoever has ca-key.pem
can make certificates: keep it where no process of a run is.")]
pub struct CertsInitArgs {
    /// The folder that gets them; nothing in it is overwritten
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// A host name or address at which workers and operators reach the coordinator, besides localhost; may be repeated
    #[arg(long = "name", value_name = "HOST", value_parser = host)]
    pub names: Vec<String>,
    /// Days until they expire
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: u32,
}

/// `conrec certs show`.
#[derive(Debug, Args)]
pub struct CertsShowArgs {
    /// A folder that `conrec certs init` made, or one process's folder
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// A host whose name stands in a certificate; it may be for all hosts below a name.
fn host(text: &str) -> Result<String, String> {
    let found = is_host(text.strip_prefix("*.").unwrap_or(text));
    found
        .then(|| text.to_owned())
        .ok_or_else(|| "expected a host name or an address, such as trainer.example.org or 10.0.0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_may_be_for_all_hosts_below_a_name() {
        assert!(host("*.example.org").is_ok() && host("node_1").is_ok());
        assert!(host("*").is_err() && host("*.*.org").is_err() && host("bad name!").is_err());
    }
}
