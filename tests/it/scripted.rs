//! A server on loopback that answers as a test says, and keeps what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// One request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method and target.
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    /// A header's value; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What is done with a request.
pub(crate) enum Reply {
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// A body without end.
    Endless,
    /// The beginning of an answer, and the end of the connection.
    CutOff,
    /// No answer, and the connection stays.
    Hold,
}

impl Reply {
    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        Self::Answer(status, Vec::new(), text.into().into_bytes())
    }

    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::text(status, body.to_string())
    }

    pub(crate) fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::Answer(status, mut headers, body) => {
                headers.push((name, value.into()));
                Self::Answer(status, headers, body)
            }
            other => other,
        }
    }

    async fn response(self) -> Response {
        match self {
            Self::Answer(status, headers, body) => {
                let mut response = body.into_response();
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                for (name, value) in headers {
                    let value = HeaderValue::try_from(value).unwrap();
                    response.headers_mut().insert(name, value);
                }
                response
            }
            Self::Endless => {
                let spaces = || Some((Ok::<_, std::io::Error>(vec![b' '; 65_536]), ()));
                let body = futures_util::stream::unfold((), move |()| async move { spaces() });
                Body::from_stream(body).into_response()
            }
            Self::CutOff => {
                let parts = [
                    Ok(Bytes::from_static(b"{\"items\":[")),
                    Err(std::io::Error::other("cut off")),
                ];
                Body::from_stream(futures_util::stream::iter(parts)).into_response()
            }
            Self::Hold => std::future::pending().await,
        }
    }
}

/// The server. It ends when this is dropped.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: AbortHandle,
}

impl Scripted {
    pub(crate) async fn start(answer: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (kept, answer) = (asked.clone(), Arc::new(Mutex::new(answer)));
        let routes = Router::new().fallback(move |request: Request| {
            let (kept, answer) = (kept.clone(), answer.clone());
            async move {
                let (head, body) = request.into_parts();
                let request = Asked {
                    line: format!("{} {}", head.method, head.uri),
                    headers: head.headers,
                    body: to_bytes(body, 1 << 20).await.unwrap(),
                };
                let reply = (answer.lock().unwrap())(&request);
                kept.lock().unwrap().push(request);
                reply.response().await
            }
        });
        let serve = async move { axum::serve(listener, routes).await };
        Self {
            address,
            asked,
            task: tokio::spawn(serve).abort_handle(),
        }
    }

    pub(crate) fn url(&self, path: &str) -> reqwest::Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    /// What it was asked until now.
    pub(crate) fn asked_now(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}
