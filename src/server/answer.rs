//! What the answers of the API have in common: errors as JSON, CORS headers, bounded bodies.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use serde::Serialize;
use tokio::time::timeout;

use crate::server::topics;
use crate::topic::{BrokerError, NameError};

/// A body that is too long is read up to here and thrown away: a client that still writes when
/// the connection closes would see a reset in place of the answer.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A list of headers longer than this is not echoed to a preflight.
const ECHO_BYTES_MAX: usize = 1024;

/// An error answer: `{"code":…,"message":…}`. Codes are stable, messages are for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// What it says to people.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(super) fn too_many(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, message)
    }

    /// With another status, if it is the error of this code.
    pub(super) fn with_status_for(self, code: &str, status: StatusCode) -> Self {
        match self.code == code {
            true => Self { status, ..self },
            false => self,
        }
    }

    pub(super) fn busy(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Wire<'a> {
            code: &'a str,
            message: &'a str,
        }
        let mut response = json(
            self.status,
            &Wire {
                code: self.code,
                message: &self.message,
            },
        );
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::bad_request("bad_name", error.to_string())
    }
}

impl From<BrokerError> for ApiError {
    fn from(error: BrokerError) -> Self {
        let message = error.to_string();
        match error {
            BrokerError::Full { .. } => Self::too_many("too_many_topics", message),
            BrokerError::TooLarge { .. } => Self::bad_request("message_too_large", message),
        }
    }
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("invariant: wire types are valid JSON");
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

/// Reads a body of at most `max` bytes.
pub(super) async fn body(
    body: Body,
    max: usize,
    too_large: &'static str,
) -> Result<Vec<u8>, ApiError> {
    timeout(BODY_TIMEOUT, collect(body, max, too_large))
        .await
        .unwrap_or_else(|_| {
            let message = format!("the body took longer than {} s", BODY_TIMEOUT.as_secs());
            Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "slow_body",
                message,
            ))
        })
}

async fn collect(body: Body, max: usize, too_large: &'static str) -> Result<Vec<u8>, ApiError> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut total = 0;
    while let Some(chunk) = stream.next().await {
        let chunk =
            chunk.map_err(|error| ApiError::bad_request("broken_body", error.to_string()))?;
        total += chunk.len();
        if total <= max {
            bytes.extend_from_slice(&chunk);
        } else if total > DISCARDED_BYTES_MAX {
            break;
        }
    }
    if total > max {
        let message = format!("the body is too long; at most {max} bytes are accepted");
        return Err(ApiError::bad_request(too_large, message));
    }
    Ok(bytes)
}

/// Lets scripts of any origin, files among them, read every answer, errors too; and answers the
/// preflight. `*` for the allowed headers would not cover `Authorization` (Fetch standard), so
/// that is named. What doesn't say how it may be kept is not to be kept at all.
pub(super) async fn for_any_origin(request: Request, next: Next) -> Response {
    let fixed = |value| HeaderValue::from_static(value);
    let mut response = if request.method() == Method::OPTIONS {
        let asked = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS);
        let headers = [
            (ACCESS_CONTROL_ALLOW_METHODS, fixed(topics::METHODS)),
            (
                ACCESS_CONTROL_ALLOW_HEADERS,
                allowed_headers(asked.cloned()),
            ),
            (ACCESS_CONTROL_MAX_AGE, fixed("86400")),
        ];
        (StatusCode::NO_CONTENT, headers).into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, fixed("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, fixed("*"));
    headers.entry(CACHE_CONTROL).or_insert(fixed("no-store"));
    response
}

pub(super) async fn method_not_allowed(request: Request) -> ApiError {
    let message = format!("{} is not for {}", request.method(), request.uri().path());
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        message,
    )
}

fn allowed_headers(asked: Option<HeaderValue>) -> HeaderValue {
    const NAMED: &str = "authorization, content-type";
    asked
        .filter(|asked| asked.len() <= ECHO_BYTES_MAX)
        .and_then(|asked| HeaderValue::try_from(format!("{NAMED}, {}", asked.to_str().ok()?)).ok())
        .unwrap_or_else(|| HeaderValue::from_static(NAMED))
}
