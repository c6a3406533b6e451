//! Why a connection was refused, in sentences for both of its ends.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};
use std::io;

/// The error of rustls inside an error of the stream.
fn inner(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
}

/// Why the process behind a connection was refused; `who` is `the coordinator` or `the other end`.
/// None where the cause is not the certificates: a connection that broke.
pub(crate) fn sentence(error: &io::Error, who: &str) -> Option<String> {
    Some(match inner(error)? {
        Error::InvalidCertificate(wrong) => certificate(wrong, who),
        Error::AlertReceived(alert) => alert_sentence(*alert, who),
        Error::NoCertificatesPresented
        | Error::PeerIncompatible(PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon) => {
            format!("{who} showed no certificate; expected one of this run's authority (--tls DIR)")
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            format!("{who} does not speak TLS; both ends need --tls DIR, or neither")
        }
        other => format!("{who} broke the rules of TLS: {other}"),
    })
}

fn certificate(error: &CertificateError, who: &str) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("{who}'s certificate has expired; make a new one, or set this machine's clock right")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("{who}'s certificate is not valid yet; is this machine's clock right?")
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("{who}'s certificate was made by another authority than the ca.pem here")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "{who}'s certificate is for another name: {error}; name the host as its certificate does, or make one with --name HOST"
            )
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("{who}'s certificate is for another role: {error}")
        }
        other => format!("{who}'s certificate is refused: {other}"),
    }
}

/// What the other end had against our own certificate.
fn alert_sentence(alert: AlertDescription, who: &str) -> String {
    let why = match alert {
        AlertDescription::CertificateExpired => "has expired by its clock",
        AlertDescription::UnknownCA | AlertDescription::DecryptError => "was made by another authority than its ca.pem",
        AlertDescription::CertificateRequired => "is missing",
        AlertDescription::UnsupportedCertificate | AlertDescription::AccessDenied => "is for another role",
        _ => return format!("{who} refused this process in TLS: {alert:?}; do both ends have --tls DIR?"),
    };
    format!("{who} refused this process: its certificate {why}")
}
