//! `GET /channels/{channel}/feed.mkv`: a channel's picture as a live stream, joined at any time.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::spawn_blocking;

use crate::output::{FeedCodec, Stamps};
use crate::server::App;
use crate::server::answer::ApiError;
use crate::server::control::no_channel;
use crate::server::path::{parameter, segments};

/// Streams a channel's frames, each as soon as it is drawn, until the reader leaves.
///
/// A reader that is slow is sent the newest frames, and keeps nobody waiting.
pub(super) async fn matroska(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let uri = request.uri();
    let channel = segments(uri)?.get(1).cloned().unwrap_or_default();
    let codec = match parameter(uri, "codec")?.as_deref() {
        None | Some("png") => FeedCodec::Png,
        Some("rawvideo") => FeedCodec::Rgba,
        Some(other) => return Err(refused("codec", other, "png or rawvideo")),
    };
    let stamps = match parameter(uri, "stamps")?.as_deref() {
        None | Some("arrival") => Stamps::Arrival,
        Some("media") => Stamps::Media,
        Some(other) => return Err(refused("stamps", other, "arrival or media")),
    };
    if !app.service.channels.contains_key(&channel) {
        return Err(no_channel(&app));
    }
    let permit = app.feeds.clone().try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::busy("busy", "too many feeds are read at once"))?;
    let service = Arc::clone(&app.service);
    // To open an output may take long.
    let started = spawn_blocking(move || match service.channels.get(&channel) {
        Some(channel) => (channel.feed)(codec, stamps),
        None => Err("the channel is gone".into()),
    });
    let failed = |message: String| {
        tracing::error!("feed: {message}");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "feed_failed", message)
    };
    let started = started.await.map_err(|error| failed(error.to_string()))?;
    let reader = Reader {
        chunks: started.map_err(failed)?,
        app,
        _permit: permit,
    };
    let chunks = stream::unfold(reader, |mut reader| async move {
        let chunk = reader.next().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), reader))
    });
    let headers = [
        (CONTENT_TYPE, "video/x-matroska"),
        (CACHE_CONTROL, "no-store"),
        // A proxy that collects the answer before it passes it on would never pass it on.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

struct Reader {
    app: Arc<App>,
    chunks: mpsc::Receiver<Bytes>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            chunk = self.chunks.recv() => chunk,
            () = self.app.stopped() => None,
        }
    }
}

fn refused(parameter: &str, value: &str, expected: &str) -> ApiError {
    let message = format!("{parameter} {value:?}: expected {expected}");
    ApiError::bad_request("bad_parameter", message)
}
