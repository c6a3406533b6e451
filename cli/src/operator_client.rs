//! Reaches a coordinator as an operator: certificates, token, and the words for what was refused.

use crate::args::{OperatorArgs, TrustArgs};
use crate::failure::Failure;
use conrec_coordinator::exit_code::ExitCode;
use conrec_proto::wire::operator_client::OperatorClient;
use conrec_trust::address::{is_loopback, resolve};
use conrec_trust::{Credentials, LinkError, Role, Token, connect};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// A coordinator that was just started is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// A connected operator.
pub struct Operator {
    /// The calls.
    pub client: OperatorClient<Channel>,
    address: String,
    authorization: Option<AsciiMetadataValue>,
}

impl Operator {
    /// Connects; a coordinator that does not answer is tried for some seconds.
    ///
    /// # Errors
    /// The credentials or the token cannot be used, or the coordinator cannot be reached or refuses them.
    pub async fn connect(args: &OperatorArgs) -> Result<Self, Failure> {
        let address = args.coordinator.clone();
        let credentials = credentials(&args.trust, Role::Operator)?;
        let token = token(&args.trust)?;
        if token.is_some() && credentials.is_none() {
            keep_the_token_home(&address).await?;
        }
        let started = Instant::now();
        let channel = loop {
            match connect(&address, credentials.as_ref()).await {
                Err(LinkError::Unreachable { .. }) if started.elapsed() < PATIENCE => sleep(PAUSE).await,
                ended => break ended?,
            }
        };
        let authorization = token.map(|token| {
            AsciiMetadataValue::try_from(token.header()).map(|mut value| {
                value.set_sensitive(true);
                value
            })
        });
        let unfit = |_| Failure::new(ExitCode::BadConfig, "the operators' token cannot stand in a header");
        let authorization = authorization.transpose().map_err(unfit)?;
        Ok(Self { client: OperatorClient::new(channel), address, authorization })
    }

    /// A request that shows the token.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        request
    }

    /// What the coordinator's refusal means here.
    pub fn failure(&self, status: &Status) -> Failure {
        let code = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => ExitCode::BadConfig,
            Code::FailedPrecondition => ExitCode::Usage,
            _ => ExitCode::Unavailable,
        };
        Failure::new(code, format!("coordinator {}: {}", self.address, status.message()))
    }
}

/// The credentials that the options name.
///
/// # Errors
/// They cannot be used.
pub fn credentials(args: &TrustArgs, role: Role) -> Result<Option<Credentials>, Failure> {
    let load = |folder| Credentials::load(folder, role, SystemTime::now());
    let loaded = args.tls.as_deref().map(load).transpose();
    loaded.map_err(|error| Failure::new(ExitCode::BadConfig, error.to_string()))
}

/// The token that the options name.
///
/// # Errors
/// It cannot be used.
pub fn token(args: &TrustArgs) -> Result<Option<Token>, Failure> {
    let read = args.operator_token_file.as_deref().map(Token::read).transpose();
    read.map_err(|error| Failure::new(ExitCode::BadConfig, error.to_string()))
}

/// A token is never sent where others could read it on its way.
async fn keep_the_token_home(address: &str) -> Result<(), Failure> {
    let unreachable = |error| Failure::new(ExitCode::Unavailable, format!("coordinator {address}: {error}"));
    if resolve(address).await.map_err(unreachable)?.iter().all(|address| is_loopback(address.ip())) {
        return Ok(());
    }
    let message = format!(
        "coordinator {address}: the operators' token would go there unencrypted; give --tls DIR, or ask over \
         loopback on the coordinator's machine"
    );
    Err(Failure::new(ExitCode::BadConfig, message))
}

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Self {
        let code = match &error {
            LinkError::Unreachable { .. } => ExitCode::Unavailable,
            LinkError::Refused { .. } => ExitCode::BadConfig,
        };
        Self::new(code, format!("coordinator {error}"))
    }
}
