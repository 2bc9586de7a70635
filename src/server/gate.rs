//! What every request goes through first, and every answer last.
//!
//! A request gets the address that it really comes from, where a proxy that is believed says so, and
//! is refused if that address asks too often. An answer is never taken for something that it isn't,
//! and the address of a page, which may have a token in it, goes to no other site.

mod buckets;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::time::Instant;

use self::buckets::Buckets;
use crate::server::App;
use crate::server::answer::ApiError;
use crate::server::bounds::{Bounds, FORWARDED_FOR};
use crate::server::topics::hold_back;

/// How often each address asks.
#[derive(Debug)]
pub(super) struct Gate(Mutex<Buckets>);

impl Gate {
    pub(super) fn new(bounds: &Bounds) -> Self {
        Self(Mutex::new(Buckets::new(bounds.requests_per_second)))
    }

    /// Takes one request of those that an address may make, or says how long to wait.
    fn take(&self, address: IpAddr) -> Result<(), Duration> {
        // No code under the lock panics halfway through a change, so a poisoned state is whole.
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.take(address, Instant::now())
    }
}

/// Lets a request through, unless there are too many.
pub(super) async fn pass(
    State(app): State<Arc<App>>,
    mut request: Request,
    routes: Next,
) -> Response {
    let mut answer = match meet(&app, &mut request) {
        Ok(()) => routes.run(request).await,
        Err(wait) => {
            app.service.metrics.connections.requests_refused.inc();
            if request.method() == Method::GET {
                hold_back(&app, StatusCode::TOO_MANY_REQUESTS).await;
            }
            refusal(&app, wait)
        }
    };
    let headers = answer.headers_mut();
    let fixed = |value| HeaderValue::from_static(value);
    headers.insert(X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.insert(REFERRER_POLICY, fixed("no-referrer"));
    answer
}

/// Finds out where a request comes from. What is left of `X-Forwarded-For` after that was not believed.
fn meet(app: &App, request: &mut Request) -> Result<(), Duration> {
    // Absent in a router that is not served with connect info.
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let Some(&ConnectInfo(peer)) = peer else {
        return Ok(());
    };
    let bounds = &app.service.bounds;
    let caller = bounds.caller(peer, request.headers());
    if bounds.is_proxy(peer.ip()) {
        request.headers_mut().remove(FORWARDED_FOR);
    }
    request.extensions_mut().insert(ConnectInfo(caller));
    match bounds.asks_as(caller.ip()) {
        Some(address) => app.gate.take(address),
        None => Ok(()),
    }
}

fn refusal(app: &App, wait: Duration) -> Response {
    let message = format!(
        "one address may make {} requests a second",
        app.service.bounds.requests_per_second
    );
    let mut answer = ApiError::too_many("too_many_requests", message).into_response();
    let headers = answer.headers_mut();
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    headers.insert(RETRY_AFTER, seconds.max(1).into());
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    answer
}
