//! What a certificate says: whose it is, which names it has, which role, until when.

use crate::role::Role;
use serde::Serialize;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Whose it is.
    pub subject: String,
    /// Whose key signed it.
    pub issuer: String,
    /// Host names and addresses.
    pub names: Vec<String>,
    /// What its holder is; none for an authority's and for those of other programs.
    pub role: Option<Role>,
    /// First second in which it holds, in seconds since 1970.
    pub not_before: i64,
    /// Last second in which it holds, in seconds since 1970.
    pub not_after: i64,
    /// `not_after` for people.
    pub until: String,
}

/// The bytes are no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no certificate in DER: {0}")]
pub struct CertificateError(String);

impl Certificate {
    /// Reads a certificate. It is not verified: that is done where a connection begins.
    ///
    /// # Errors
    /// The bytes are no certificate.
    pub fn read(der: &[u8]) -> Result<Self, CertificateError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| CertificateError(error.to_string()))?;
        let (mut names, mut role) = (Vec::new(), None);
        let alternative = certificate.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        });
        for name in alternative.flatten() {
            match name {
                GeneralName::DNSName(name) => names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => names.extend(address(bytes)),
                // The first role counts: nobody is two things.
                GeneralName::URI(uri) => role = role.or_else(|| Role::of_uri(uri)),
                _ => {}
            }
        }
        let validity = certificate.validity();
        Ok(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            names,
            role,
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
            until: validity.not_after.to_string(),
        })
    }

    /// Why it does not hold at this time, for people; none where it does.
    pub fn out_of_date(&self, now: SystemTime) -> Option<String> {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let now = i64::try_from(seconds).unwrap_or(i64::MAX);
        if now > self.not_after {
            return Some(format!("expired: it was valid until {}", self.until));
        }
        (now < self.not_before).then(|| "is not valid yet: is this machine's clock right?".to_owned())
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let address: IpAddr = match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok()?.into(),
        _ => <[u8; 16]>::try_from(bytes).ok()?.into(),
    };
    Some(address.to_string())
}
