//! Who may change the service: with the control key, without one, and from a page of another site.

use floatup::server::{Access, ControlKey, Service};
use reqwest::RequestBuilder;

use crate::in_process::{Server, answer, client};

const KEY: &str = "correct horse battery";

fn with_key(service: &mut Service) {
    service.control_key = Some(ControlKey::new(KEY).unwrap());
}

/// A call that changes something.
fn call(server: &Server) -> RequestBuilder {
    client().post(server.url("/CreateRoom")).body("{}")
}

async fn check(request: RequestBuilder, expected: u16, part: &str) {
    let (status, body) = answer(request).await;
    assert_eq!(status, expected, "{body}");
    assert!(body.to_string().contains(part), "no {part:?} in {body}");
}

#[test]
fn a_short_control_key_is_refused_and_none_is_shown() {
    let error = ControlKey::new("hunter2").unwrap_err().to_string();
    assert_eq!(error, "control key: 7 bytes, expected at least 16");
    let key = ControlKey::new(KEY).unwrap();
    assert_eq!(format!("{key:?}"), "ControlKey(..)");
}

#[tokio::test]
async fn with_a_control_key_nothing_else_will_do() {
    for access in [Access::Open, Access::Required] {
        let server = Server::with(|service| {
            with_key(service);
            service.access = access;
        });
        let server = server.await;
        check(call(&server).bearer_auth(KEY), 200, "arn").await;
        check(call(&server).header("x-floatup-key", KEY), 200, "arn").await;
        // Whoever has the key may, from wherever; and AWS's tools sign as well.
        for origin in ["https://evil.example", "null"] {
            let elsewhere = call(&server)
                .header("Origin", origin)
                .header("Sec-Fetch-Site", "cross-site")
                .header("Host", "evil.example")
                .header("X-Forwarded-For", "192.0.2.1")
                .header("Authorization", "AWS4-HMAC-SHA256 Signature=00")
                .header("X-Floatup-Key", KEY);
            check(elsewhere, 200, "arn").await;
        }
        let close = &KEY[..KEY.len() - 1];
        let longer = format!("{KEY}x");
        for wrong in ["", "x", close, &longer, &KEY.to_uppercase()] {
            check(call(&server).bearer_auth(wrong), 403, "key").await;
            check(call(&server).header("x-floatup-key", wrong), 403, "key").await;
        }
        check(call(&server).header("Authorization", KEY), 403, "key").await;
        check(call(&server), 403, "control key").await;
        let in_the_address = server.url(&format!("/CreateRoom?key={KEY}&token={KEY}"));
        check(client().post(in_the_address).body("{}"), 403, "key").await;
    }
}

#[tokio::test]
async fn without_a_control_key_this_machine_may_and_other_sites_may_not() {
    let server = Server::start().await;
    check(call(&server), 200, "arn").await;
    for site in ["same-origin", "none"] {
        check(call(&server).header("Sec-Fetch-Site", site), 200, "arn").await;
    }
    for site in ["cross-site", "same-site", "", "new"] {
        let call = call(&server).header("Sec-Fetch-Site", site);
        check(call, 403, "page of another site").await;
    }
    for origin in ["http://localhost:3000", "null", "https://evil.example", ""] {
        let call = call(&server).header("Origin", origin);
        check(call, 403, "page of another site").await;
    }
    let own = format!("http://{}", server.address);
    check(call(&server).header("Origin", own), 200, "arn").await;
    let named = call(&server).header("Host", "studio.example");
    check(named, 403, "any other name").await;
    // A proxy at this machine has callers from anywhere.
    for (name, value) in [
        ("X-Forwarded-For", "192.0.2.1"),
        ("Forwarded", "for=192.0.2.1"),
    ] {
        check(call(&server).header(name, value), 403, "proxy").await;
    }
    // What nobody knows opens nothing more, and nothing less.
    check(call(&server).bearer_auth(KEY), 200, "arn").await;
}

#[tokio::test]
async fn a_trusted_proxys_callers_are_told_from_this_machines() {
    let server = Server::with(|service| {
        service.bounds.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    });
    let server = server.await;
    let from = |caller: &str| call(&server).header("X-Forwarded-For", caller);
    check(from("127.0.0.1"), 200, "arn").await;
    check(from("192.0.2.1"), 403, "at this machine").await;
    check(from("127.0.0.1, 192.0.2.1"), 403, "at this machine").await;
}

#[tokio::test]
async fn figures_and_readiness_are_open() {
    let server = Server::with(|service| {
        with_key(service);
        service.access = Access::Required;
    });
    let server = server.await;
    for path in ["/metrics", "/readyz", "/healthz"] {
        let answer = client().get(server.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
}
