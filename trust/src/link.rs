//! The connecting end: a channel to the coordinator, encrypted or plain. It is handed out once the coordinator has
//! spoken, so that a refusal is known here, with its reason, and not at the first call.

use crate::certificate::Certificate;
use crate::credentials::Credentials;
use crate::refusal::sentence;
use crate::role::Role;
use rustls::pki_types::ServerName;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready as try_ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};

use hyper_util::rt::TokioIo;

/// From the first packet to the coordinator's first word.
const PATIENCE: Duration = Duration::from_secs(10);
/// How an encrypted answer to a plain question begins: the record of an alert.
const TLS_ALERT: u8 = 0x15;
/// A connection on which nothing is heard is asked for a sign after this, and given up after this again.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// Why there is no channel.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Nobody answers (yet); a later attempt may succeed.
    #[error("{address}: {message}")]
    Unreachable {
        /// `host:port`.
        address: String,
        /// What happened.
        message: String,
    },
    /// One end refuses the other's credentials; a later attempt will be refused as well.
    #[error("{address}: {message}")]
    Refused {
        /// `host:port`.
        address: String,
        /// Why.
        message: String,
    },
}

/// Connects to the coordinator at `address` (`HOST:PORT`): once, without a second attempt. The channel is this one
/// connection; when that breaks, every call fails.
///
/// # Errors
/// Any [`LinkError`].
pub async fn connect(address: &str, credentials: Option<&Credentials>) -> Result<Channel, LinkError> {
    let unreachable = |error: &dyn std::fmt::Display| LinkError::Unreachable {
        address: address.to_owned(),
        message: error.to_string(),
    };
    let late = |_| unreachable(&"it did not answer within 10 seconds");
    let (stream, first) = timeout(PATIENCE, open(address, credentials)).await.map_err(late)??;
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| unreachable(&error))?;
    let endpoint =
        endpoint.http2_keep_alive_interval(SIGN_OF_LIFE).keep_alive_timeout(SIGN_OF_LIFE).keep_alive_while_idle(true);
    let once = Once(Some(stream));
    let channel = endpoint.connect_with_connector(once).await.map_err(|error| unreachable(&deepest(&error)))?;
    let word = timeout(PATIENCE, first).await.map_err(late)?;
    let refused = |message: String| LinkError::Refused { address: address.to_owned(), message };
    match word {
        Ok(Word::Byte(TLS_ALERT)) if credentials.is_none() => {
            Err(refused("the coordinator demands TLS; give the folder of a certificate with --tls DIR".to_owned()))
        }
        Ok(Word::Byte(_)) => Ok(channel),
        Ok(Word::Failed { refusal: Some(why), .. }) => Err(refused(why)),
        Ok(Word::Failed { why, .. }) => Err(unreachable(&why)),
        Ok(Word::End) | Err(_) => Err(unreachable(&"it closed the connection before it said anything")),
    }
}

/// A connected stream, and what comes first out of it.
type Opened = (Listening<Box<dyn Stream>>, oneshot::Receiver<Word>);

async fn open(address: &str, credentials: Option<&Credentials>) -> Result<Opened, LinkError> {
    let unreachable =
        |error: io::Error| LinkError::Unreachable { address: address.to_owned(), message: error.to_string() };
    let refused = |message: String| LinkError::Refused { address: address.to_owned(), message };
    let stream = TcpStream::connect(address).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let stream: Box<dyn Stream> = match credentials {
        None => Box::new(stream),
        Some(credentials) => {
            let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
            let name =
                ServerName::try_from(host.to_owned()).map_err(|_| refused(format!("`{host}` is no host name")))?;
            let connector = TlsConnector::from(Arc::clone(&credentials.client));
            let stream =
                connector.connect(name, stream).await.map_err(|error| match sentence(&error, "the coordinator") {
                    Some(why) => refused(why),
                    None => unreachable(error),
                })?;
            let own = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let role = own.and_then(|own| Certificate::read(own).ok()).and_then(|own| own.role);
            if role != Some(Role::Coordinator) {
                let found = role.map_or_else(|| "no role of conrec".to_owned(), |role| format!("the role {role}"));
                return Err(refused(format!(
                    "what answers there shows a certificate with {found}, not a coordinator's"
                )));
            }
            Box::new(stream)
        }
    };
    let (heard, first) = oneshot::channel();
    Ok((Listening { stream, heard: Some(heard) }, first))
}

/// The innermost cause, which is the one that says something.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What the coordinator did first.
enum Word {
    Byte(u8),
    End,
    Failed { refusal: Option<String>, why: String },
}

/// A stream that tells what comes out of it first.
struct Listening<S> {
    stream: S,
    heard: Option<oneshot::Sender<Word>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Listening<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = try_ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if let Some(heard) = self.heard.take() {
            let word = match &read {
                Ok(()) => buffer.filled().get(before).map_or(Word::End, |byte| Word::Byte(*byte)),
                Err(error) => Word::Failed { refusal: sentence(error, "the coordinator"), why: error.to_string() },
            };
            // Nobody listens any more when the deadline has passed.
            let _ = heard.send(word);
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listening<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Hands out the one connection that there is.
struct Once(Option<Listening<Box<dyn Stream>>>);

impl Service<Uri> for Once {
    type Response = TokioIo<Listening<Box<dyn Stream>>>;
    type Error = io::Error;
    type Future = Ready<Result<Self::Response, io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the connection is over");
        ready(self.0.take().map(TokioIo::new).ok_or_else(gone))
    }
}
