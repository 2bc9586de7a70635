//! `GET /channels/{channel}/feed.mkv` and the like: a channel's picture as a live stream, joined at
//! any time.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::spawn_blocking;

use crate::output::{Container, FeedForm, Stamps};
use crate::server::answer::ApiError;
use crate::server::control::no_channel;
use crate::server::path::{parameter, segments};
use crate::server::{App, FEEDS_ENCODED_MAX};

/// Streams a channel's frames, each as soon as it is drawn, until the reader leaves.
///
/// A reader that is slow is sent the newest frames, and keeps nobody waiting.
pub(super) async fn subscribe(
    container: Container,
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let uri = request.uri();
    let channel = segments(uri)?.get(1).cloned().unwrap_or_default();
    let form = form(container, uri)?;
    if !app.service.channels.contains_key(&channel) {
        return Err(no_channel(&app));
    }
    let permit = app.feeds.clone().try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::busy("busy", "too many feeds are read at once"))?;
    let encoder = if form.is_encoded() {
        let permit = app.feeds_encoded.clone().try_acquire_owned();
        let busy = |_| {
            let message = format!(
                "too many feeds with an encoder of their own are read at once; feed.mkv has none, \
                 and of those there may be {FEEDS_ENCODED_MAX}"
            );
            ApiError::busy("busy", message)
        };
        Some(permit.map_err(busy)?)
    } else {
        None
    };
    let service = Arc::clone(&app.service);
    // To open an output may take long.
    let started = spawn_blocking(move || match service.channels.get(&channel) {
        Some(channel) => (channel.feed)(form),
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
        _permits: (permit, encoder),
    };
    let chunks = stream::unfold(reader, |mut reader| async move {
        let chunk = reader.next().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), reader))
    });
    let headers = [
        (CONTENT_TYPE, content_type(container)),
        (CACHE_CONTROL, "no-store"),
        // A proxy that collects the answer before it passes it on would never pass it on.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

/// What the query asks for.
fn form(container: Container, uri: &Uri) -> Result<FeedForm, ApiError> {
    let codecs = FeedForm::codecs(container);
    let named = |name: &str| codecs.iter().find(|codec| codec.to_string() == name);
    let codec = match parameter(uri, "codec")?.as_deref() {
        None => codecs.first(),
        Some(name) => named(name),
    };
    let Some(&codec) = codec else {
        let names: Vec<String> = codecs.iter().map(ToString::to_string).collect();
        let asked = parameter(uri, "codec")?.unwrap_or_default();
        return Err(refused("codec", &asked, &names.join(" or ")));
    };
    let stamps = match parameter(uri, "stamps")?.as_deref() {
        None | Some("arrival") => Stamps::Arrival,
        Some("media") => Stamps::Media,
        Some(other) => return Err(refused("stamps", other, "arrival or media")),
    };
    let form = FeedForm {
        container,
        codec,
        stamps,
    };
    if form.needs_ffmpeg() && !cfg!(feature = "ffmpeg") {
        let message = format!(
            "this floatup was built without FFmpeg, which {codec} in feed.{container} needs; \
             feed.mkv, feed.nut and feed.mov don't"
        );
        let status = StatusCode::NOT_IMPLEMENTED;
        return Err(ApiError::new(status, "no_ffmpeg", message));
    }
    Ok(form)
}

fn content_type(container: Container) -> &'static str {
    match container {
        Container::Mkv => "video/x-matroska",
        Container::WebM => "video/webm",
        Container::Mov => "video/quicktime",
        // NUT has no registered name.
        _ => "application/octet-stream",
    }
}

struct Reader {
    app: Arc<App>,
    chunks: mpsc::Receiver<Bytes>,
    _permits: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_that_takes_ffmpeg_is_refused_without_it() {
        let asked = |container, query: &str| {
            let uri = format!("/channels/demo/feed.{container}?{query}");
            form(container, &uri.parse().unwrap()).map(|form| form.codec.to_string())
        };
        for (container, query, codec, takes_it) in [
            (Container::Mkv, "", "png", false),
            (Container::Nut, "codec=rawvideo", "rawvideo", false),
            (Container::Mov, "codec=png", "png", false),
            (Container::Mov, "stamps=media", "qtrle", false),
            (Container::WebM, "", "vp9", true),
        ] {
            match asked(container, query) {
                Ok(found) => {
                    assert_eq!(found, codec);
                    assert!(!takes_it || cfg!(feature = "ffmpeg"));
                }
                Err(error) => {
                    assert!(takes_it && !cfg!(feature = "ffmpeg"), "{error:?}");
                    assert!(format!("{error:?}").contains("feed.mkv"), "{error:?}");
                }
            }
        }
        let refused = asked(Container::WebM, "codec=png").unwrap_err();
        assert!(
            format!("{refused:?}").contains("expected vp9"),
            "{refused:?}"
        );
    }
}
