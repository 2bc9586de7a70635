//! A connection's bytes, and the times within which they must come and go.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::places::Place;
use crate::metrics::{Connections, Why};
use crate::server::Counted;

/// How long the head of a request may take from its first byte on.
const HEAD_MAX: Duration = Duration::from_secs(10);

/// How long a client may take nothing of an answer, be it that its reader is paused.
pub(super) const UNREAD_MAX: Duration = Duration::from_secs(120);

/// Whose turn it is on a connection: even while a request is awaited, odd while one is answered.
#[derive(Debug, Default)]
pub(super) struct Turns(AtomicU64);

/// The server's turn, from a request to the end of its answer.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    ends: bool,
}

impl Turns {
    /// A request's head is whole.
    pub(super) fn begin(self: &Arc<Self>) -> Turn {
        self.0.fetch_add(1, Ordering::Relaxed);
        Turn {
            turns: Arc::clone(self),
            ends: true,
        }
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Turn {
    /// No request will follow: the connection is another protocol's.
    pub(super) fn forever(mut self) {
        self.ends = false;
    }

    /// Lasts as long as an answer's body does.
    pub(super) fn until_the_end_of(self, answer: Response) -> Response {
        answer.map(|body| Body::new(Answer { body, _turn: self }))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.ends {
            self.turns.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A body during which it is the server's turn.
struct Answer {
    body: Body,
    _turn: Turn,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that fails when a request's head doesn't come, or an answer isn't taken, in time. The
/// connection's place is its own.
pub(super) struct Watched<S> {
    stream: S,
    turns: Arc<Turns>,
    /// Since when a head has been coming in, and in which turn.
    head: Option<(u64, Pin<Box<Sleep>>)>,
    /// Since when nothing has been taken.
    unread: Option<Pin<Box<Sleep>>>,
    figures: Connections,
    _counted: Counted,
    _place: Place,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, turns: Arc<Turns>, place: Place, figures: Connections) -> Self {
        Self {
            stream,
            turns,
            head: None,
            unread: None,
            _counted: Counted::new(&figures.open),
            figures,
            _place: place,
        }
    }

    /// What has become of a write, unless it has been waiting for too long.
    fn in_time<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.unread = None;
            return written;
        }
        let unread = &mut self.unread;
        let unread = unread.get_or_insert_with(|| Box::pin(sleep(UNREAD_MAX)));
        ready!(unread.as_mut().poll(cx));
        self.figures.refuse(&Why::UNREAD);
        self.unread = None;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let turn = this.turns.now();
        let before = into.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, into);
        if !turn.is_multiple_of(2) {
            return read;
        }
        this.head.take_if(|(of, _)| *of != turn);
        if read.is_ready() {
            if into.filled().len() > before && this.head.is_none() {
                this.head = Some((turn, Box::pin(sleep(HEAD_MAX))));
            }
            return read;
        }
        if let Some((_, head)) = &mut this.head {
            ready!(head.as_mut().poll(cx));
            this.head = None;
            this.figures.refuse(&Why::SLOW);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.in_time(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.in_time(shut, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.in_time(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
