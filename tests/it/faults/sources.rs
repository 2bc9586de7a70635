//! What goes wrong with an upstream.

use std::time::Duration;

use floatup::token::Key;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::upstream::{Proxy, Way, token_until};
use super::{SLACK, Watched, is_polled, publish_hearts, right_again};
use crate::floatup::{Service, floatup, http, until};
use crate::in_process::now_unix;
use crate::twitch;

/// The longest pause between two attempts: of what passes, and of what a person has to mend.
const PASSING: Duration = Duration::from_secs(10);
const REFUSED: Duration = Duration::from_secs(60);

/// Signs tokens.
const SECRET: &str = "a secret that is long enough for every test";

/// One that gives a poll without a place nothing but what is new.
fn upstream() -> Service {
    let args = ["--size", "16x16", "--fps", "1", "--gap-cure=false"];
    Service::start(std::path::Path::new("."), &args)
}

/// One upstream's trouble, as a person sees it, and how long it lasts at most once it is mended.
struct Fault {
    name: &'static str,
    way: Way,
    state: &'static str,
    says: &'static [&'static str],
    bound: Duration,
}

/// An item is had; the upstream is in trouble, and three more are published; it is well again, and
/// they come, and so does what is published then.
fn outlast(fault: &Fault) {
    let upstream = upstream();
    let proxy = Proxy::start(&upstream.address, Way::Open);
    let given = |command: &mut std::process::Command| {
        command.env("FLOATUP_TOKEN", "as good as any");
    };
    let watched = Watched::with(&proxy.topic(), &[], given);
    is_polled(&upstream);
    publish_hearts(&upstream, 1);
    watched.gets(1);
    is_polled(&upstream);
    proxy.set(fault.way);
    watched.is(fault.state);
    for says in fault.says {
        watched.says(&format!("is {}: ", fault.state));
        watched.says(says);
    }
    assert_eq!(watched.counted("reconnects_total"), 1);
    publish_hearts(&upstream, 3);
    watched.record(30);
    assert_eq!(watched.accepted(), 1, "nothing comes by that way");
    proxy.set(Way::Open);
    right_again(fault.name, watched.gets(4), fault.bound);
    watched.is("live");
    is_polled(&upstream);
    publish_hearts(&upstream, 1);
    watched.gets(5);
    until("all float", || {
        crate::sources::source(&watched.service, "embedded")["accepted"] == 5
    });
    let live = format!("channel demo: {} is live", watched.source);
    let log = watched.ends_with_all(5);
    assert_eq!(log.matches(&live).count(), 2, "{log}");
}

#[test]
fn an_upstream_refuses() {
    outlast(&Fault {
        name: "refuses",
        way: Way::Refuses,
        state: "waiting",
        says: &["Connection refused"],
        bound: PASSING,
    });
}

#[test]
fn an_upstream_resets_mid_body() {
    outlast(&Fault {
        name: "resets mid-body",
        way: Way::Resets,
        state: "waiting",
        says: &["Connection reset by peer"],
        bound: PASSING,
    });
}

#[test]
fn an_upstream_sends_garbage() {
    outlast(&Fault {
        name: "sends garbage",
        way: Way::Answers(200, "", "<html>Welcome to the hotel</html>"),
        state: "waiting",
        says: &["the answer is not a topic's"],
        bound: PASSING,
    });
}

#[test]
fn an_upstream_answers_401() {
    outlast(&Fault {
        name: "401",
        way: Way::Answers(401, "", ""),
        state: "refused",
        says: &[
            "answered 401",
            "give a token or key that may read video/demo",
        ],
        bound: REFUSED,
    });
}

#[test]
fn an_upstream_answers_403() {
    outlast(&Fault {
        name: "403",
        way: Way::Answers(403, "", ""),
        state: "refused",
        says: &[
            "answered 403",
            "give a token or key that may read video/demo",
        ],
        bound: REFUSED,
    });
}

#[test]
fn an_upstream_answers_404() {
    outlast(&Fault {
        name: "404",
        way: Way::Answers(404, "", ""),
        state: "refused",
        says: &["answered 404", "make the cache \"video\""],
        bound: REFUSED,
    });
}

#[test]
fn an_upstream_answers_429() {
    outlast(&Fault {
        name: "429",
        way: Way::Answers(429, "", ""),
        state: "waiting",
        says: &["answered 429"],
        bound: PASSING,
    });
}

#[test]
fn an_upstream_answers_429_with_retry_after() {
    outlast(&Fault {
        name: "429 with Retry-After: 2",
        way: Way::Answers(429, "retry-after: 2\r\n", ""),
        state: "waiting",
        says: &["answered 429"],
        bound: Duration::from_secs(2),
    });
}

#[test]
fn an_upstream_answers_500() {
    outlast(&Fault {
        name: "500",
        way: Way::Answers(500, "", "{\"message\":\"out of order\"}"),
        state: "waiting",
        says: &["answered 500", "out of order"],
        bound: PASSING,
    });
}

/// One that hangs when a token is asked of it is told from one that is only quiet.
#[test]
fn an_upstream_hangs_from_the_start() {
    let upstream = upstream();
    let proxy = Proxy::start(&upstream.address, Way::Hangs);
    let watched = Watched::start(&proxy.topic(), &[]);
    let found = watched.is("waiting");
    assert!(found <= Duration::from_secs(5) + SLACK, "{found:?}");
    watched.says("operation timed out");
    watched.record(15);
    proxy.set(Way::Open);
    right_again("hangs from the start", is_polled(&upstream), PASSING);
    publish_hearts(&upstream, 2);
    watched.gets(2);
    assert_eq!(watched.counted("gap_items_total"), 0);
    assert_eq!(watched.ends().0.code(), Some(0));
}

/// A poll that is held can't be told from one that hangs.
#[test]
fn an_upstream_hangs_while_it_is_followed() {
    let upstream = upstream();
    let watched = Watched::start(&upstream.url("/topics/video/demo"), &[]);
    is_polled(&upstream);
    publish_hearts(&upstream, 1);
    watched.gets(1);
    is_polled(&upstream);
    upstream.signal("STOP");
    watched.record(90);
    watched.is("live");
    upstream.signal("CONT");
    publish_hearts(&upstream, 3);
    right_again("hangs while followed", watched.gets(4), Duration::ZERO);
    assert_eq!(watched.counted("reconnects_total"), 0);
    until("all float", || {
        crate::sources::source(&watched.service, "embedded")["accepted"] == 4
    });
    watched.ends_with_all(4);
}

fn publish_with(upstream: &Service, token: &str) {
    let path = format!("/topics/video/demo?token={token}");
    assert_eq!(http(&upstream.address, "POST", &path, b"heart").0, 204);
}

fn with_tokens() -> (Service, Key) {
    let mut command = floatup();
    command.args(["--listen", "127.0.0.1:0", "--require-token"]);
    command.env("FLOATUP_SIGNING_KEY", SECRET);
    (Service::run(command), Key::new(SECRET.as_bytes()).unwrap())
}

#[test]
fn a_token_that_was_vended_ends() {
    let (upstream, key) = with_tokens();
    let token = token_until(&key, now_unix() + 600);
    let proxy = Proxy::start(&upstream.address, Way::Open);
    proxy.vend(key, 4);
    let watched = Watched::start(&proxy.topic(), &[]);
    for count in 1..=3 {
        until("a token is vended", || proxy.vended() >= count);
        is_polled(&upstream);
        publish_with(&upstream, &token);
        watched.gets(count);
    }
    assert_eq!(watched.counted("reconnects_total"), 0);
    until("all float", || {
        crate::sources::source(&watched.service, "embedded")["accepted"] == 3
    });
    let log = watched.ends_with_all(3);
    assert!(!log.contains("WARN"), "{log}");
}

#[test]
fn a_token_that_was_given_ends() {
    let (upstream, key) = with_tokens();
    let token = token_until(&key, now_unix() + 600);
    let ends_at = now_unix() + 4;
    let given = token_until(&key, ends_at);
    let watched = Watched::with(&upstream.url("/topics/video/demo"), &[], |command| {
        command.env("FLOATUP_TOKEN", given);
    });
    is_polled(&upstream);
    publish_with(&upstream, &token);
    watched.gets(1);
    is_polled(&upstream);
    until("the token ends", || now_unix() > ends_at);
    // The poll that waits has been let in.
    publish_with(&upstream, &token);
    watched.gets(2);
    watched.is("refused");
    watched.says("answered 401");
    watched.says("give a token or key that may read video/demo");
    watched.record(15);
    assert_eq!(watched.ends_with_all(2).matches("is refused").count(), 1);
}

/// The peer ends its side and keeps the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_is_half_closed() {
    let server = twitch::Server::start().await;
    let name = format!(
        "twitch:some_body?server=ws://{}/",
        server.listener.local_addr().unwrap()
    );
    let start = tokio::task::spawn_blocking(move || Watched::start(&name, &[]));
    let mut peer = server.joined().await;
    let watched = start.await.unwrap();
    watched.is("live");
    peer.say("1", "🔥").await;
    watched.gets(1);
    let begun = tokio::time::Instant::now();
    peer.socket.get_mut().shutdown().await.unwrap();
    watched.says("what is written meanwhile is lost");
    // The other side is closed, too, and not only left.
    let stream = peer.socket.get_mut();
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(SLACK, stream.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "it is left open");
    let mut peer = server.joined().await;
    watched.is("live");
    right_again(
        "half-closed WebSocket",
        begun.elapsed(),
        Duration::from_secs(1),
    );
    peer.say("2", "🔥").await;
    watched.gets(2);
    assert_eq!(watched.counted("reconnects_total"), 1);
    watched.record(15);
    assert_eq!(watched.ends().0.code(), Some(0));
}
