//! Who may use operators' verbs: whoever shows the token; without a token, whoever comes over
//! loopback, which only processes of this machine can.

use crate::entrance::Visitor;
use conrec_trust::address::is_loopback;
use conrec_trust::{Role, Token};
use tonic::{Request, Status};

/// Asks for the token.
pub(crate) struct OperatorGuard {
    token: Option<Token>,
}

impl OperatorGuard {
    /// Without a token only those pass who come over loopback.
    pub(crate) fn new(token: Option<Token>) -> Self {
        Self { token }
    }

    /// Lets the caller pass, or says why not.
    pub(crate) fn pass<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let visitor = Visitor::of(request, Role::Operator)?;
        let shown = request.metadata().get("authorization").map_or(&[][..], |value| value.as_bytes());
        let refusal = match &self.token {
            Some(token) if token.is_shown_by(shown) => None,
            Some(_) if shown.is_empty() => Some(Status::unauthenticated(
                "this coordinator asks operators for a token; name its file with --operator-token-file",
            )),
            Some(_) => Some(Status::unauthenticated("the operator's token is wrong")),
            None if is_loopback(visitor.address.ip()) => None,
            None => Some(Status::permission_denied(
                "this coordinator has no --operator-token-file, so it answers operators over loopback (127.0.0.1) only",
            )),
        };
        match refusal {
            None => {
                visitor.admit();
                Ok(())
            }
            Some(status) => {
                tracing::warn!(peer = %visitor.address, reason = status.message(), "operator refused");
                Err(status)
            }
        }
    }
}
