//! Connections: how many there may be, and how long each may take for what.
//!
//! Every connection has a place, by its address and over all, before a byte of it is read. One that
//! sends no whole head, shakes no hands or takes no answer is closed, so that places come free again.

mod io;
mod places;

use std::convert::Infallible;
use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use self::io::{Turns, Watched};
use self::places::{Place, Places};
use crate::metrics::{Connections, Why};
use crate::server::bounds::Bounds;
use crate::server::tls::Tls;

/// The longest head of a request, in bytes; a longer one, or one of more than 100 headers (hyper's
/// own bound), is answered 431. The longest token fits, in a header or in the address.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// How long a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// How long a connection may be idle between two requests, and before the first.
const IDLE_MAX: Duration = Duration::from_secs(75);

/// After how long of silence a connection's other end is asked whether it is still there, how often
/// again, and how many times; then the connection is closed, whatever it was for. This finds those
/// whose other end has gone without a word.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

/// How long to wait when there are no more file descriptors, say, before the next connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Connections that are told at once that there is no place for them; a further one is closed
/// without a word.
const REFUSALS_AT_ONCE: usize = 64;

/// How long that may take, and how much of what the client sends meanwhile is read: one that still
/// writes when the connection is closed would see a reset in place of the answer.
const REFUSAL_MAX: Duration = Duration::from_secs(1);
const REFUSAL_READ_BYTES: u64 = 64 * 1024;

/// What a connection without a place is answered.
const REFUSAL: &str = "HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/json\r\n\
    access-control-allow-origin: *\r\n\
    retry-after: 1\r\n\
    connection: close\r\n\
    content-length: 74\r\n\r\n\
    {\"code\":\"too_many_connections\",\"message\":\"there are too many connections\"}";

/// Takes connections, and serves `routes` on them.
pub(super) struct Entrance {
    places: Arc<Places>,
    refusals: Arc<Semaphore>,
    tls: Option<TlsAcceptor>,
    figures: Connections,
}

impl Entrance {
    pub(super) fn new(bounds: &Bounds, tls: Option<&Tls>, figures: Connections) -> Self {
        Self {
            tls: tls.map(|tls| tls.acceptor().clone()),
            places: Arc::new(Places::new(bounds.clone())),
            refusals: Arc::new(Semaphore::new(REFUSALS_AT_ONCE)),
            figures,
        }
    }

    /// Serves until `stop` resolves, and then to the end of each answer that is under way.
    pub(super) async fn serve(
        &self,
        listener: TcpListener,
        routes: Router,
        stop: impl Future<Output = ()>,
    ) {
        let stopping = watch::Sender::new(());
        let routes = TowerToHyperService::new(routes);
        let mut stop = pin!(stop);
        loop {
            let (stream, peer) = tokio::select! {
                accepted = accept(&listener) => accepted,
                () = &mut stop => break,
            };
            match self.places.place(peer.ip()) {
                Ok(place) => {
                    let connection = Connection {
                        peer,
                        place,
                        routes: routes.clone(),
                        tls: self.tls.clone(),
                        figures: self.figures.clone(),
                        stopping: stopping.subscribe(),
                    };
                    tokio::spawn(connection.serve(stream));
                }
                Err(why) => {
                    self.figures.refuse(&why);
                    self.refuse(stream);
                }
            }
        }
        drop(listener);
        stopping.send_replace(());
        // Every connection has a receiver, as long as it is there.
        stopping.closed().await;
    }

    /// Says why, if there is somebody free to do so, and the client understands it at once.
    fn refuse(&self, mut stream: TcpStream) {
        if self.tls.is_some() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else {
            return;
        };
        let tell = async move {
            stream.write_all(REFUSAL.as_bytes()).await?;
            stream.shutdown().await?;
            let mut rest = stream.take(REFUSAL_READ_BYTES);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
        };
        tokio::spawn(async move {
            // Whether it was heard makes no difference any more.
            drop(timeout(REFUSAL_MAX, tell).await);
            drop(permit);
        });
    }
}

/// The next connection. What is wrong with the listener passes, or else nothing could be done.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut told = false;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                if !told {
                    tracing::error!("no more connections can be taken for now: {error}");
                    told = true;
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether an error is that of one connection, which had gone before it was taken.
fn is_of_the_connection(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}

/// One that has a place.
struct Connection {
    peer: SocketAddr,
    place: Place,
    routes: TowerToHyperService<Router>,
    tls: Option<TlsAcceptor>,
    figures: Connections,
    stopping: watch::Receiver<()>,
}

impl Connection {
    async fn serve(mut self, stream: TcpStream) {
        if let Err(error) = set_up(&stream) {
            tracing::debug!("options of a connection: {error}");
        }
        let Some(tls) = self.tls.take() else {
            return self.serve_on(stream).await;
        };
        match timeout(HANDSHAKE_MAX, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.serve_on(stream).await,
            failed => {
                self.figures.refuse(&Why::HANDSHAKE);
                let why = failed.map_or_else(|e| e.to_string(), |r| format!("{:?}", r.err()));
                tracing::debug!("no TLS with a client: {why}");
            }
        }
    }

    async fn serve_on(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let Self {
            peer,
            place,
            routes,
            figures,
            mut stopping,
            tls: _,
        } = self;
        let turns = Arc::<Turns>::default();
        let taken = Arc::clone(&turns);
        let answer = service_fn(move |mut request: Request<Incoming>| {
            let turn = taken.begin();
            request.extensions_mut().insert(ConnectInfo(peer));
            let answer = routes.call(request);
            async move {
                let answer: Response = answer.await?;
                Ok::<_, Infallible>(match answer.status() {
                    StatusCode::SWITCHING_PROTOCOLS => {
                        turn.forever();
                        answer
                    }
                    _ => turn.until_the_end_of(answer),
                })
            }
        });
        let io = Watched::new(stream, turns, place, figures);
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(IDLE_MAX)
            .max_header_size(HEAD_BYTES_MAX);
        let served = http.serve_connection(TokioIo::new(io), answer);
        let mut served = pin!(served.with_upgrades());
        let result = tokio::select! {
            result = served.as_mut() => result,
            _ = stopping.changed() => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        };
        if let Err(error) = result {
            tracing::debug!("a connection: {error}");
        }
    }
}

/// Small events must not wait for each other, and who has gone is to be found out.
fn set_up(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER);
    let keepalive = keepalive
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    // Data that nobody acknowledges is an end as well.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(io::UNREAD_MAX))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_is_as_long_as_it_says() {
        let (head, body) = REFUSAL.split_once("\r\n\r\n").unwrap();
        let length = format!("content-length: {}", body.len());
        assert!(head.contains(&length), "{length}");
    }
}
