//! Bounds and times that take too long or too many connections on a real clock and real sockets:
//! the router alone, with the clock paused.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use floatup::server::{Access, Service, router};
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::{Instant, advance};
use tower::ServiceExt as _;

use crate::in_process::{PAGE, service};

fn start(change: impl FnOnce(&mut Service)) -> (Router, Arc<Service>) {
    let mut service = service(SocketAddr::from(([127, 0, 0, 1], 1)));
    change(&mut service);
    let service = Arc::new(service);
    (router(service.clone()), service)
}

async fn send(router: &Router, method: Method, path: &str, agent: usize, body: Body) -> Response {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("user-agent", agent)
        .body(body)
        .expect("a request");
    router.clone().oneshot(request).await.expect("an answer")
}

async fn get(router: &Router, path: &str) -> Response {
    send(router, Method::GET, path, 0, Body::empty()).await
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up() {
    let (router, _) = start(|_| {});
    for path in ["/topics/video/a", "/tokens"] {
        let start = Instant::now();
        let endless = Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let answer = send(&router, Method::POST, path, 0, endless).await;
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT, "{path}");
        assert_eq!(start.elapsed().as_secs(), 10, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_of_polls_are_held_back_by_one_to_two_seconds() {
    let (router, _) = start(|service| service.access = Access::Required);
    let mut delays = Vec::new();
    for _ in 0..100 {
        let start = Instant::now();
        let answer = get(&router, "/topics/video/a?token=undefined").await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        delays.push(start.elapsed());
    }
    let bounds: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_millis(2_002);
    assert!(delays.iter().all(|d| bounds.contains(d)), "{delays:?}");
    delays.sort_unstable();
    delays.dedup();
    assert!(delays.len() > 50, "spread: {delays:?}");
    for undelayed in ["/topics/video/a?token=x&token=y", "/nothing"] {
        let start = Instant::now();
        assert!(get(&router, undelayed).await.status().is_client_error());
        assert_eq!(start.elapsed(), Duration::ZERO, "{undelayed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_is_held_for_the_whole_of_its_hold() {
    let hold = Duration::from_secs(25);
    let (router, _) = start(|service| service.hold = hold);
    let start = Instant::now();
    let answer = get(&router, "/topics/video/a").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(start.elapsed(), hold);
}

#[tokio::test(start_paused = true)]
async fn a_place_between_polls_is_kept_for_five_seconds() {
    for (away, kept) in [(5_000, true), (5_001, false)] {
        let (router, service) = start(|service| service.hold = Duration::from_secs(1));
        get(&router, "/topics/video/a").await;
        let sent = send(&router, Method::POST, "/topics/video/a", 0, "heart".into()).await;
        assert_eq!(sent.status(), StatusCode::NO_CONTENT);
        advance(Duration::from_millis(away)).await;
        get(&router, "/topics/video/a").await;
        assert_eq!(
            service.metrics.items_delivered.get(),
            u64::from(kept),
            "{away} ms"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_polls_can_wait() {
    let (router, service) = start(|_| {});
    let poll = |agent| {
        let router = router.clone();
        tokio::spawn(async move {
            send(
                &router,
                Method::GET,
                "/topics/video/a",
                agent,
                Body::empty(),
            )
            .await
        })
    };
    let waiting: Vec<_> = (0..10_000).map(poll).collect();
    while service.metrics.polls_waiting.get() < 10_000 {
        tokio::task::yield_now().await;
    }
    let refused = poll(10_000).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    send(&router, Method::POST, "/topics/video/a", 0, "heart".into()).await;
    for poll in waiting {
        assert_eq!(poll.await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(service.metrics.items_delivered.get(), 10_000);
    assert_eq!(service.metrics.polls_waiting.get(), 0);
    let again = get(&router, "/topics/video/a?sequence_number=1").await;
    assert_eq!(again.status(), StatusCode::OK, "places are free again");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_can_subscribe_to_events() {
    let (router, service) = start(|_| {});
    let mut open = Vec::new();
    for _ in 0..10_000 {
        let answer = get(&router, "/channels/demo/events").await;
        assert_eq!(answer.status(), StatusCode::OK);
        open.push(answer);
    }
    let refused = get(&router, "/channels/demo/events").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    open.truncate(9_999);
    assert_eq!(service.metrics.sse_subscribers.get(), 9_999);
    let answer = get(&router, "/channels/demo/events").await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_event_stream_is_kept_alive() {
    let (router, _) = start(|_| {});
    let answer = get(&router, "/channels/demo/events").await;
    let mut chunks = answer.into_body().into_data_stream();
    let mut next = async || {
        let chunk = chunks.next().await.expect("more").expect("a whole stream");
        String::from_utf8(chunk.to_vec()).expect("UTF-8")
    };
    let hello = next().await;
    assert!(hello.contains(&format!("id: {PAGE}-0")), "{hello}");
    assert!(hello.contains("retry: 1000"), "{hello}");
    for _ in 0..3 {
        let start = Instant::now();
        let comment = next().await;
        assert!(comment.starts_with(':'), "{comment:?}");
        assert_eq!(start.elapsed().as_secs(), 15);
    }
}
