//! The door of the coordinator: takes connections in, encrypted where there are credentials, and bounds what a stranger
//! can hold. A connection that does not show in time that it belongs is closed.

use crate::lobby::{Eviction, Lobby, Place};
use crate::operator_guard::OperatorGuard;
use conrec_trust::peer::Acceptor;
use conrec_trust::{Credentials, Role, Token};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Status};

/// From connecting to a Hello or an operator's call.
const INTRODUCTION: Duration = Duration::from_secs(15);
/// Connections that wait to be served.
const ACCEPTED: usize = 64;
/// After an error of `accept`, such as too many open files.
const BREATH: Duration = Duration::from_millis(100);
/// A worker holds one stream; an operator few.
const STREAMS_A_CONNECTION: u32 = 16;
/// Bytes of a call's headers; a token is the longest.
const HEADERS: u32 = 16 * 1024;
/// Streams that a peer may open and reset at once without being served.
const RESETS: usize = 32;
/// Finds connections that are gone without a word.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_DEADLINE: Duration = Duration::from_secs(20);

/// Where the coordinator listens, and whom it lets in. Without credentials and token: a listener as it is.
pub struct Entrance {
    listener: TcpListener,
    acceptor: Option<Acceptor>,
    token: Option<Token>,
}

impl From<TcpListener> for Entrance {
    fn from(listener: TcpListener) -> Self {
        Self { listener, acceptor: None, token: None }
    }
}

impl Entrance {
    /// Connections are encrypted, and both ends show certificates.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Option<&Credentials>) -> Self {
        self.acceptor = credentials.map(Acceptor::new);
        self
    }

    /// Operators show this token.
    #[must_use]
    pub fn with_token(mut self, token: Option<Token>) -> Self {
        self.token = token;
        self
    }

    /// Begins to take connections in.
    pub(crate) fn open(self) -> (ReceiverStream<io::Result<Guest>>, OperatorGuard) {
        let (guests, accepted) = mpsc::channel(ACCEPTED);
        tokio::spawn(accept(self.listener, self.acceptor, guests));
        (ReceiverStream::new(accepted), OperatorGuard::new(self.token))
    }
}

/// A server that bounds what one connection can ask for.
pub(crate) fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(Some(STREAMS_A_CONNECTION))
        .http2_max_header_list_size(Some(HEADERS))
        .http2_max_pending_accept_reset_streams(Some(RESETS))
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_DEADLINE))
}

async fn accept(listener: TcpListener, acceptor: Option<Acceptor>, guests: mpsc::Sender<io::Result<Guest>>) {
    let lobby = Lobby::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = guests.closed() => return,
        };
        match accepted {
            Ok((stream, address)) => {
                let (place, eviction) = lobby.enter();
                let stranger = Stranger { stream, address, place, eviction };
                tokio::spawn(stranger.come_in(acceptor.clone(), guests.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(BREATH).await;
            }
        }
    }
}

/// A connection that nothing is known of.
struct Stranger {
    stream: TcpStream,
    address: SocketAddr,
    place: Place,
    eviction: Eviction,
}

impl Stranger {
    async fn come_in(self, acceptor: Option<Acceptor>, guests: mpsc::Sender<io::Result<Guest>>) {
        let Self { stream, address, place, mut eviction } = self;
        let deadline = sleep(INTRODUCTION);
        let _ = stream.set_nodelay(true);
        let (stream, role): (Box<dyn Stream>, _) = match acceptor {
            None => (Box::new(stream), Identity::Plain),
            Some(acceptor) => {
                let accepted = tokio::select! {
                    accepted = acceptor.accept(stream) => accepted,
                    _ = &mut eviction => Err("it gave way to later connections".to_owned()),
                    () = sleep(INTRODUCTION) => Err("no TLS came within 15 seconds".to_owned()),
                };
                match accepted {
                    Ok((stream, role)) => (Box::new(stream), Identity::Certified(role)),
                    Err(reason) => {
                        tracing::warn!(peer = %address, reason, "connection refused");
                        return;
                    }
                }
            }
        };
        let visitor = Visitor { address, identity: role, place: Arc::new(place) };
        let waiting = Some(Waiting { eviction, deadline: Box::pin(deadline) });
        // An error says that the run has ended.
        let _ = guests.send(Ok(Guest { stream, waiting, visitor })).await;
    }
}

/// What is known of the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    /// It came without TLS.
    Plain,
    /// Its certificate is this run's authority's, with this role.
    Certified(Option<Role>),
}

/// Who calls; a part of every request.
#[derive(Clone)]
pub(crate) struct Visitor {
    /// Where it comes from.
    pub(crate) address: SocketAddr,
    identity: Identity,
    place: Arc<Place>,
}

impl Visitor {
    /// Who sent the request, if its certificate allows this role. Without TLS there is none to ask.
    pub(crate) fn of<T>(request: &Request<T>, role: Role) -> Result<Self, Status> {
        let visitor = request.extensions().get::<Self>().cloned();
        let visitor = visitor.ok_or_else(|| Status::internal("the connection has no address"))?;
        match visitor.identity {
            Identity::Plain => Ok(visitor),
            Identity::Certified(Some(found)) if found == role => Ok(visitor),
            Identity::Certified(found) => {
                let found = found.map_or("no role of conrec", Role::name);
                tracing::warn!(peer = %visitor.address, found, expected = role.name(), "call refused: wrong role");
                Err(Status::permission_denied(format!("the certificate is for {found}; this call is for the {role}")))
            }
        }
    }

    /// It belongs here: its connection may stay.
    pub(crate) fn admit(&self) {
        self.place.admit();
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection; as long as it is not admitted, its reading ends at the deadline or when it has to give way.
pub(crate) struct Guest {
    stream: Box<dyn Stream>,
    waiting: Option<Waiting>,
    visitor: Visitor,
}

struct Waiting {
    eviction: Eviction,
    deadline: Pin<Box<Sleep>>,
}

impl Guest {
    /// Why the connection may not go on.
    fn dismissal(&mut self, context: &mut Context<'_>) -> Option<io::Error> {
        let waiting = self.waiting.as_mut()?;
        match Pin::new(&mut waiting.eviction).poll(context) {
            Poll::Ready(Ok(())) => Some(io::Error::other("it gave way to later connections")),
            Poll::Ready(Err(_)) => {
                self.waiting = None;
                None
            }
            Poll::Pending => {
                let late = waiting.deadline.as_mut().poll(context).is_ready();
                late.then(|| io::Error::new(io::ErrorKind::TimedOut, "it did not introduce itself within 15 seconds"))
            }
        }
    }
}

impl Connected for Guest {
    type ConnectInfo = Visitor;

    fn connect_info(&self) -> Visitor {
        self.visitor.clone()
    }
}

impl AsyncRead for Guest {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.dismissal(context) {
            tracing::warn!(peer = %self.visitor.address, reason = %error, "connection closed");
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Guest {
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
