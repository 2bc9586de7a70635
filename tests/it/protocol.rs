//! The topic and token API, as it is on the wire: statuses, headers, bodies.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use floatup::server::Access;
use floatup::token::{Claims, Key, Role, mint, verify, wrap};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value as Json, json as object};
use tokio::time::Instant;

use crate::support::{DEADLINE, PAGE, Server, client, get, json, now_unix, raw, raw_to_its_end};

const BOTH: Role = Role::PublishSubscribe;

fn item(number: u64, publisher: &str, value: Json) -> Json {
    object!({"item": {
        "topic_sequence_number": number,
        "sequence_page": PAGE,
        "publisher_id": publisher,
        "value": value,
    }})
}

fn text(number: u64, text: &str) -> Json {
    item(number, "", object!({ "text": text }))
}

fn discontinuity(last: u64, new: u64) -> Json {
    object!({"discontinuity": {
        "last_topic_sequence": last,
        "new_topic_sequence": new,
        "new_sequence_page": PAGE,
    }})
}

fn items(items: impl Into<Vec<Json>>) -> (u16, Json) {
    (200, object!({ "items": items.into() }))
}

/// An error answer's status, code and message; the shape is checked.
fn error((status, body): (u16, Json)) -> (u16, String, String) {
    let fields = body
        .as_object()
        .unwrap_or_else(|| panic!("{status} {body}"));
    let field = |name| fields[name].as_str().expect("text").to_string();
    assert_eq!(fields.len(), 2, "{body}");
    (status, field("code"), field("message"))
}

#[tokio::test]
async fn a_message_is_published_verbatim_and_polled() {
    let server = Server::start().await;
    let cases: [(Option<&str>, &[u8], Json); 9] = [
        (Some("text/plain"), b"heart", object!({"text": "heart"})),
        (
            Some("application/json"),
            b"heart",
            object!({"text": "heart"}),
        ),
        (
            Some("application/json"),
            b"{\"a\": [",
            object!({"text": "{\"a\": ["}),
        ),
        (
            Some("application/x-www-form-urlencoded"),
            b"a=%41",
            object!({"text": "a=%41"}),
        ),
        (None, b" 100\n", object!({"text": " 100\n"})),
        (Some("text/plain"), b"", object!({"text": ""})),
        (
            Some("text/plain"),
            "❤️\0".as_bytes(),
            object!({"text": "❤️\0"}),
        ),
        (
            Some("application/octet-stream"),
            b"\xff\x00>?",
            object!({"binary": "/wA+Pw=="}),
        ),
        (
            Some("Application/Octet-Stream; x=y"),
            b"heart",
            object!({"binary": "aGVhcnQ="}),
        ),
    ];
    let mut expected = Vec::new();
    for (number, (content_type, sent, value)) in (1..).zip(cases) {
        let mut request = client()
            .post(server.url("/topics/video/a"))
            .body(sent.to_vec());
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", content_type);
        }
        let request = request.header("Authorization", server.token("a", BOTH));
        assert_eq!(json(request).await, (204, Json::Null), "{value}");
        expected.push(item(number, "ann", value));
    }
    let url = server.url(&format!(
        "/topics/video/a?sequence_number=1&sequence_page={PAGE}"
    ));
    assert_eq!(get(&url).await, items(expected));
}

#[tokio::test]
async fn a_segment_is_decoded_once_under_any_base_path() {
    let server = Server::start().await;
    let cases = [
        ("/topics/video/caf%C3%A9", "café"),
        ("/base/path/topics/video/a%20b", "a b"),
        ("/topics/topics/video/%252F", "%2F"),
        ("/topics/video/a+b", "a+b"),
        ("/topics/video/100%", "100%"),
        ("/topics/video/%61", "a"),
        ("/topics/video/a?b=/x/../y", "a"),
    ];
    for (path, topic) in cases {
        let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n");
        let request = format!("{head}Content-Length: 1\r\n\r\nx");
        let answer = raw(server.address, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 204"), "{path}");
        let name = floatup::topic::TopicName::new("video", topic).unwrap();
        assert!(server.service.broker.latest(&name).sequence > 1, "{path}");
    }
}

#[tokio::test]
async fn paths_that_name_no_topic_are_refused() {
    let server = Server::start().await;
    let long = format!("/topics/video/{}", "x".repeat(257));
    let cases = [
        ("/topics/video/..", 400),
        ("/topics/video/%2e%2E", 400),
        ("/topics/video/.", 400),
        ("/topics/../demo", 400),
        ("/topics/video/../../etc/passwd", 400),
        ("/../topics/video/demo", 400),
        ("/topics/video/a%2Fb", 400),
        ("/topics/video/a%5cb", 400),
        ("/topics/a%2f..%2fb/demo", 400),
        ("/topics/video/%ff", 400),
        ("/topics/video/%00", 400),
        ("/topics/video/", 400),
        ("/topics//demo", 400),
        (long.as_str(), 400),
        ("/topics/video", 404),
        ("/topics/video/a/b", 404),
        ("/topics", 404),
        ("//", 404),
        ("/nothing", 404),
    ];
    for (path, status) in cases {
        for method in ["GET", "POST"] {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            let answer = raw(server.address, head.as_bytes()).await;
            let expected = format!("HTTP/1.1 {status}");
            assert!(answer.starts_with(&expected), "{method} {path}: {answer}");
            let (_, body) = answer.split_once("\r\n\r\n").unwrap();
            let body: Json = serde_json::from_str(body).unwrap();
            assert!(!error((status, body)).2.is_empty());
        }
    }
    assert_eq!(
        server.service.broker.topics(),
        0,
        "none of them made a topic"
    );
}

#[tokio::test]
async fn malformed_http_does_no_harm() {
    let server = Server::start().await;
    for request in [
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET /topics/video/a HTTP/9.9\r\n\r\n",
        "\u{0}\u{1}\u{2}\r\n\r\n",
        "POST /topics/video/a HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\nx",
        "POST /topics/video/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let answer = raw_to_its_end(server.address, request.as_bytes()).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{request:?}: {answer}"
        );
    }
    server.publish("a", "heart").await;
    let answer = get(&server.url("/topics/video/a?sequence_number=1")).await;
    assert_eq!(answer, items([text(1, "heart")]));
}

#[tokio::test]
async fn where_tokens_are_required_all_else_is_refused_with_a_reason() {
    let server = Server::with(|service| service.access = Access::Required).await;
    let good = server.token("a", BOTH);
    let foreign_key = Key::new([2; 32]).unwrap();
    let foreign = Claims {
        cache: "video".into(),
        topic: "a".into(),
        role: BOTH,
        id: "ann".into(),
        expires_at: now_unix() + 60,
    };
    let foreign = mint(&foreign, &foreign_key);
    let expired = server.token_until("a", BOTH, now_unix());
    let cases: [(Option<&str>, &str, &str); 10] = [
        (None, "token_invalid", "no token was sent"),
        (Some(""), "token_invalid", "the token is empty"),
        (Some("undefined"), "token_invalid", "awaited"),
        (Some("null"), "token_invalid", "awaited"),
        (Some("{{{momento.token}}}"), "token_invalid", "placeholder"),
        (Some("Bearer undefined"), "token_invalid", "awaited"),
        (
            Some("opensesame"),
            "token_invalid",
            "not one of this service",
        ),
        (Some(&good[..good.len() - 1]), "token_invalid", "not whole"),
        (Some(&foreign), "token_invalid", "not one of this service"),
        (Some(&expired), "token_expired", "expired"),
    ];
    for (token, code, reason) in cases {
        let mut request = client().post(server.url("/topics/video/a")).body("heart");
        if let Some(token) = token {
            request = request.header("Authorization", token);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        let (status, body) = (answer.status().as_u16(), answer.json().await.unwrap());
        let (status, found, message) = error((status, body));
        assert_eq!((status, found.as_str()), (401, code), "{token:?}");
        assert!(message.contains(reason), "{token:?}: {message}");
    }
    let wrapped = wrap(&good, "h");
    for token in [&good, &format!("Bearer {good}"), &wrapped] {
        let request = client().post(server.url("/topics/video/a")).body("heart");
        let answer = json(request.header("Authorization", token)).await;
        assert_eq!(answer, (204, Json::Null), "{token}");
    }
    for token in [&good, &wrapped] {
        let url =
            reqwest::Url::parse_with_params(&server.url("/topics/video/a"), [("token", token)]);
        let answer = json(client().post(url.unwrap()).body("heart")).await;
        assert_eq!(answer, (204, Json::Null), "?token={token}");
    }
}

#[tokio::test]
async fn a_token_given_twice_is_refused() {
    let server = Server::start().await;
    let token = server.token("a", BOTH);
    let url = server.url("/topics/video/a");
    let with_query = format!("{url}?token={token}");
    let post = |url: &str| client().post(url).body("heart");
    for request in [
        post(&with_query).header("Authorization", &token),
        post(&format!("{url}?token=")).header("Authorization", &token),
        post(&url)
            .header("Authorization", &token)
            .header("Authorization", &token),
        post(&format!("{with_query}&token={token}")),
    ] {
        let (status, _, message) = error(json(request).await);
        assert_eq!(status, 400);
        assert!(message.contains("only one value must be set"), "{message}");
    }
}

#[tokio::test]
async fn a_readable_token_is_held_to_its_scope_even_where_none_is_needed() {
    let server = Server::start().await;
    let answer = |method: Method, path: &str, token: String| {
        // A number in the past answers a poll at once.
        let url = server.url(&format!("{path}?sequence_number=9"));
        let request = client().request(method, url).header("Authorization", token);
        async {
            request
                .body("x")
                .send()
                .await
                .expect("an answer")
                .status()
                .as_u16()
        }
    };
    let token = |role| server.token("a", role);
    let expired = server.token_until("a", BOTH, now_unix());
    let (get, post) = (Method::GET, Method::POST);
    let found = join_all([
        answer(post.clone(), "/topics/video/a", token(BOTH)),
        answer(get.clone(), "/topics/video/a", token(BOTH)),
        answer(post.clone(), "/topics/video/a", token(Role::PublishOnly)),
        answer(get.clone(), "/topics/video/a", token(Role::PublishOnly)),
        answer(post.clone(), "/topics/video/a", token(Role::SubscribeOnly)),
        answer(get.clone(), "/topics/video/a", token(Role::SubscribeOnly)),
        answer(post.clone(), "/topics/video/b", token(BOTH)),
        answer(get.clone(), "/topics/video/b", token(BOTH)),
        answer(post.clone(), "/topics/other/a", token(BOTH)),
        answer(post.clone(), "/topics/video/a", expired.clone()),
        answer(get, "/topics/video/a", expired),
        answer(post, "/topics/video/b", "not readable".into()),
    ]);
    let expected = [204, 200, 204, 403, 403, 200, 403, 403, 403, 401, 401, 204];
    assert_eq!(found.await, expected);
    assert_eq!(server.service.metrics.anonymous_admissions.get(), 1);
}

#[tokio::test]
async fn bodies_are_bounded_and_text_is_utf8() {
    let server = Server::start().await;
    let post = |body: Vec<u8>| client().post(server.url("/topics/video/a")).body(body);
    assert_eq!(json(post(vec![b'x'; 4_096])).await.0, 204);
    for size in [4_097, 100_000, 900_000] {
        let (status, code, message) = error(json(post(vec![b'x'; size])).await);
        assert_eq!(
            (status, code.as_str()),
            (400, "message_too_large"),
            "{size}"
        );
        assert!(message.contains("4096"), "{message}");
    }
    let (status, code, message) = error(json(post(b"hear\xff".to_vec())).await);
    assert_eq!((status, code.as_str()), (400, "not_utf8"));
    assert!(message.contains("byte 4"), "{message}");
    let name = floatup::topic::TopicName::new("video", "a").unwrap();
    assert_eq!(
        server.service.broker.latest(&name).sequence,
        2,
        "only one was numbered"
    );
}

#[tokio::test]
async fn absurd_numbers_are_refused_or_answered_with_one_discontinuity() {
    let server = Server::start().await;
    for _ in 0..3 {
        server.publish("a", "heart").await;
    }
    let all = [1, 2, 3].map(|n| text(n, "heart"));
    let after = |gap: Json, items: &[Json]| [&[gap], items].concat();
    let cases = [
        ("sequence_number=1".to_string(), all.to_vec()),
        (
            format!("sequence_number=3&sequence_page={PAGE}"),
            all[2..].to_vec(),
        ),
        (
            "sequence_number=3&sequence_page=0".to_string(),
            all[2..].to_vec(),
        ),
        (
            format!("sequence_number=5&sequence_page={PAGE}"),
            after(discontinuity(4, 4), &[]),
        ),
        (
            "sequence_number=5".to_string(),
            after(discontinuity(4, 1), &all),
        ),
        (
            format!("sequence_number={}&sequence_page={PAGE}", u64::MAX),
            after(discontinuity(0, 4), &[]),
        ),
        (
            "sequence_number=2&sequence_page=7".to_string(),
            after(discontinuity(1, 1), &all),
        ),
        (
            format!("sequence_number=2&sequence_page={}", u64::MAX),
            after(discontinuity(1, 1), &all),
        ),
    ];
    for (query, expected) in cases {
        let answer = get(&server.url(&format!("/topics/video/a?{query}"))).await;
        assert_eq!(answer, items(expected), "{query}");
    }
    let too_large = "18446744073709551616";
    for bad in [
        "",
        "x",
        "-1",
        "+1",
        "1.5",
        "1e3",
        "%20",
        "NaN",
        "undefined",
        too_large,
        "%ff",
    ] {
        for name in ["sequence_number", "sequence_page"] {
            let url = server.url(&format!("/topics/video/a?{name}={bad}"));
            let (status, code, message) = error(get(&url).await);
            assert_eq!(
                (status, code.as_str()),
                (400, "bad_parameter"),
                "{name}={bad}"
            );
            assert!(message.contains(name), "{message}");
        }
    }
    let twice = server.url("/topics/video/a?sequence_number=1&sequence_number=2");
    assert_eq!(error(get(&twice).await).0, 400);
}

#[tokio::test]
async fn a_backlog_comes_in_batches_in_order() {
    let server = Server::start().await;
    for n in 0..130 {
        server.publish("a", &n.to_string()).await;
    }
    let batch = |range: std::ops::RangeInclusive<u64>| {
        let all: Vec<Json> = range.map(|n| text(n, &(n - 1).to_string())).collect();
        items(all)
    };
    let url = server.url("/topics/video/a?sequence_number=1");
    assert_eq!(get(&url).await, batch(1..=100));
    let url = server.url(&format!(
        "/topics/video/a?sequence_number=101&sequence_page={PAGE}"
    ));
    assert_eq!(get(&url).await, batch(101..=130));
}

#[tokio::test]
async fn a_poll_waits_for_a_message_or_for_its_hold() {
    let hold = Duration::from_millis(150);
    let server = Server::with(|service| service.hold = hold).await;
    let start = Instant::now();
    for query in [
        "",
        "?sequence_number=0",
        "?sequence_number=1",
        "?sequence_page=5",
    ] {
        let before = start.elapsed();
        assert_eq!(
            get(&server.url(&format!("/topics/video/a{query}"))).await,
            items([])
        );
        assert!(
            start.elapsed() >= before + hold,
            "{query}: answered empty too early"
        );
    }
    let server = Server::start().await;
    server.publish("a", "before").await;
    for query in [
        "",
        "?sequence_number=0",
        "?sequence_number=0&sequence_page=7",
    ] {
        let url = server.url(&format!("/topics/video/a{query}"));
        let poll = tokio::spawn(async move { get(&url).await });
        server.polls_waiting(1).await;
        server.publish("a", query).await;
        let (status, body) = poll.await.unwrap();
        assert_eq!(
            (status, &body["items"][0]["item"]["value"]["text"]),
            (200, &query.into())
        );
        assert_eq!(body["items"].as_array().unwrap().len(), 1, "{query}");
        server.polls_waiting(0).await;
    }
}

#[tokio::test]
async fn a_poll_without_a_number_goes_on_where_the_callers_last_one_ended() {
    for gap_cure in [true, false] {
        let server = Server::with(|service| service.gap_cure = gap_cure).await;
        let poll = |agent: &'static str| {
            let request = client().get(server.url("/topics/video/a"));
            tokio::spawn(json(request.header("User-Agent", agent)))
        };
        let first = poll("one");
        server.polls_waiting(1).await;
        server.publish("a", "1").await;
        assert_eq!(first.await.unwrap(), items([text(1, "1")]));
        server.publish("a", "2").await;
        let stranger = poll("two");
        server.polls_waiting(1).await;
        let again = poll("one");
        if gap_cure {
            assert_eq!(again.await.unwrap(), items([text(2, "2")]));
            server.publish("a", "3").await;
        } else {
            server.polls_waiting(2).await;
            server.publish("a", "3").await;
            assert_eq!(again.await.unwrap(), items([text(3, "3")]));
        }
        assert_eq!(stranger.await.unwrap(), items([text(3, "3")]));
    }
}

#[tokio::test]
async fn a_poll_that_was_broken_off_leaves_its_place_to_the_next() {
    let server = Server::start().await;
    let broken_off = tokio::spawn(get_owned(server.url("/topics/video/a")));
    server.polls_waiting(1).await;
    broken_off.abort();
    server.polls_waiting(0).await;
    server.publish("a", "meanwhile").await;
    let answer = get(&server.url("/topics/video/a")).await;
    assert_eq!(answer, items([text(1, "meanwhile")]));
}

async fn get_owned(url: String) -> (u16, Json) {
    get(&url).await
}

#[tokio::test]
async fn refusals_of_polls_are_held_back_and_others_are_not() {
    let server = Server::with(|service| {
        service.access = Access::Required;
        service.caches = Some(vec!["video".into()]);
    });
    let server = server.await;
    let other_cache = Claims {
        cache: "other".into(),
        topic: "a".into(),
        role: BOTH,
        id: "ann".into(),
        expires_at: now_unix() + 60,
    };
    let other_cache = mint(&other_cache, &server.service.key);
    let url = |path: &str, token: &str| server.url(&format!("/topics/{path}?token={token}"));
    let refused = [
        (401, url("video/a", "undefined")),
        (403, url("video/b", &server.token("a", BOTH))),
        (404, url("other/a", &other_cache)),
    ];
    let checks = refused.map(|(expected, url)| async move {
        let start = Instant::now();
        let (status, ..) = error(get(&url).await);
        assert_eq!(status, expected, "{url}");
        assert!(
            start.elapsed() >= Duration::from_secs(1),
            "{url}: {:?}",
            start.elapsed()
        );
        let start = Instant::now();
        let (status, ..) = error(json(client().post(&url).body("x")).await);
        assert_eq!(status, expected, "{url}");
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "POST {url}: {:?}",
            start.elapsed()
        );
    });
    join_all(checks).await;
}

#[tokio::test]
async fn one_caller_can_have_sixteen_polls_waiting() {
    let server = Server::start().await;
    let url = |topic| {
        let token = server.token(topic, BOTH);
        server.url(&format!("/topics/video/{topic}?token={token}"))
    };
    let waiting: Vec<_> = (0..16).map(|_| tokio::spawn(get_owned(url("a")))).collect();
    server.polls_waiting(16).await;
    let refused = client().get(url("a")).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    let other = tokio::spawn(get_owned(url("b")));
    server.polls_waiting(17).await;
    server.publish("a", "heart").await;
    server.publish("b", "heart").await;
    for poll in waiting.into_iter().chain([other]) {
        assert_eq!(poll.await.unwrap(), items([text(1, "heart")]));
    }
    let again = tokio::spawn(get_owned(url("a")));
    server.polls_waiting(1).await;
    again.abort();
}

#[tokio::test]
async fn every_answer_can_be_read_by_a_script_of_any_origin() {
    let server = Server::with(|service| service.caches = Some(vec!["video".into()])).await;
    let token = server.token("b", BOTH);
    let forbidden = format!("/topics/video/a?token={token}");
    let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
    let cases = [
        (post.clone(), "/topics/video/a", 204),
        (get.clone(), "/topics/video/a?sequence_number=9", 200),
        (post.clone(), "/topics/video/..%2f", 400),
        (get.clone(), "/topics/video/a?sequence_number=x", 400),
        (post.clone(), forbidden.as_str(), 403),
        (post.clone(), "/topics/other/a", 404),
        (get.clone(), "/nothing", 404),
        (put.clone(), "/topics/video/a", 405),
        (Method::HEAD, "/topics/video/a", 405),
        (get.clone(), "/tokens", 405),
        (put, "/channels/demo/events", 405),
        (post.clone(), "/channels/demo/frame.png", 405),
        (get, "/channels/demo/frame.png", 404),
        (post, "/tokens", 400),
    ];
    for (method, path, status) in cases {
        let case = format!("{method} {path}");
        let request = client().request(method, server.url(path)).body("x");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{case}");
        let header = |name| answer.headers().get(name).map(|v| v.to_str().unwrap());
        assert_eq!(header("access-control-allow-origin"), Some("*"), "{case}");
        assert_eq!(header("access-control-expose-headers"), Some("*"), "{case}");
        assert_eq!(header("cache-control"), Some("no-store"), "{case}");
        assert_eq!(header("allow").is_some(), status == 405, "{case}");
    }
    for path in [
        "/topics/video/a",
        "/base/topics/video/a",
        "/tokens",
        "/channels/demo/events",
    ] {
        let request = client().request(Method::OPTIONS, server.url(path));
        let asked = request.header("Access-Control-Request-Headers", "x-custom,authorization");
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status(), 204, "{path}");
        let header = |name| answer.headers()[name].to_str().unwrap();
        assert_eq!(header("access-control-allow-origin"), "*");
        assert_eq!(header("access-control-allow-methods"), "GET, POST, OPTIONS");
        assert_eq!(header("access-control-max-age"), "86400");
        let allowed = header("access-control-allow-headers");
        for name in ["authorization", "content-type", "x-custom"] {
            assert!(allowed.contains(name), "{allowed}");
        }
    }
}

#[tokio::test]
async fn tokens_are_minted_for_what_the_body_names() {
    let server = Server::start().await;
    let sixty_four = "é".repeat(64);
    let long = format!(r#"{{"playerId":"{sixty_four}éé","streamId":"a"}}"#);
    let cases = [
        (
            "/tokens",
            r#"{"playerId":"p","streamId":"a"}"#,
            Some("p"),
            "a",
        ),
        (
            "/api/tokens",
            r#"{"PlayerId":"p","StreamId":"a b/c"}"#,
            None,
            "",
        ),
        (
            "/api/tokens",
            r#"{"PlayerId":"p","StreamId":"a b"}"#,
            Some("p"),
            "a b",
        ),
        (
            "/api/Token/tokens",
            r#"{"PLAYERID":"p","streamid":"a"}"#,
            Some("p"),
            "a",
        ),
        (
            "/tokens",
            r#"{"playerId":7,"streamId":12345}"#,
            Some("7"),
            "12345",
        ),
        (
            "/tokens",
            r#"{"playerId":"p","streamId":null}"#,
            Some("p"),
            "null",
        ),
        ("/tokens", r#"{"streamId":"a"}"#, None, "a"),
        ("/tokens", r#"{"playerId":null,"streamId":"a"}"#, None, "a"),
        (
            "/tokens",
            r#"{"playerId":"","streamId":"a","more":{}}"#,
            None,
            "a",
        ),
        ("/tokens", long.as_str(), Some(sixty_four.as_str()), "a"),
    ];
    for (path, body, player, stream) in cases {
        let before = now_unix();
        let (status, answer) = json(client().post(server.url(path)).body(body.to_string())).await;
        if stream.is_empty() {
            assert_eq!(status, 400, "{body}");
            continue;
        }
        assert_eq!(status, 201, "{body}: {answer}");
        let token = answer["token"].as_str().unwrap();
        let claims = verify(token, &server.service.key, before).unwrap();
        assert_eq!(
            (claims.cache.as_str(), claims.topic.as_str()),
            ("video", stream),
            "{body}"
        );
        assert_eq!(claims.role, BOTH);
        assert!(
            (before + 1_800..before + 1_810).contains(&claims.expires_at),
            "{claims:?}"
        );
        assert_eq!(answer["expiresAt"], claims.expires_at);
        match player {
            Some(player) => assert_eq!(claims.id, player, "{body}"),
            None => assert!(claims.id.starts_with("player-"), "{claims:?}"),
        }
        let wrapper: Json = serde_json::from_slice(&STANDARD.decode(token).unwrap()).unwrap();
        assert_eq!(wrapper["endpoint"], server.address.to_string());
    }
}

#[tokio::test]
async fn token_requests_that_make_no_sense_are_refused() {
    let server = Server::start().await;
    let long = format!(r#"{{"streamId":"{}"}}"#, "x".repeat(257));
    let huge = format!(r#"{{"streamId":"a","pad":"{}"}}"#, "x".repeat(5_000));
    for (body, code, named) in [
        ("", "bad_json", "JSON"),
        ("{\"streamId\":", "bad_json", "line 1"),
        ("[]", "bad_json", "object"),
        ("heart", "bad_json", "JSON"),
        (r#"{"playerId":"p"}"#, "bad_field", "streamId"),
        (r#"{"streamId":""}"#, "bad_field", "streamId"),
        (r#"{"streamId":".."}"#, "bad_field", "streamId"),
        (r#"{"streamId":true}"#, "bad_field", "streamId"),
        (r#"{"streamId":"a","playerId":[]}"#, "bad_field", "playerId"),
        (long.as_str(), "bad_field", "256"),
        (huge.as_str(), "body_too_large", "4096"),
    ] {
        let request = client().post(server.url("/tokens")).body(body.to_string());
        let (status, found, message) = error(json(request).await);
        assert_eq!((status, found.as_str()), (400, code), "{body}");
        assert!(message.contains(named), "{body}: {message}");
    }
    let invalid = client()
        .post(server.url("/tokens"))
        .body(b"{\"streamId\":\"\xff\"}".to_vec());
    assert_eq!(error(json(invalid).await).1, "bad_json");
}

#[tokio::test]
async fn the_endpoint_in_a_token_is_what_the_caller_called_us() {
    let server = Server::start().await;
    let own = server.address.to_string();
    let body = r#"{"streamId":"a"}"#;
    for (host, endpoint) in [
        ("live.example:8443", "live.example:8443"),
        ("[::1]:8787", "[::1]:8787"),
        ("", own.as_str()),
        ("a b", own.as_str()),
        ("user:secret@live.example", own.as_str()),
    ] {
        let head = format!("POST /tokens HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        let answer = raw(server.address, request.as_bytes()).await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let answer: Json = serde_json::from_str(body).unwrap();
        let wrapper = STANDARD.decode(answer["token"].as_str().unwrap()).unwrap();
        let wrapper: Json = serde_json::from_slice(&wrapper).unwrap();
        assert_eq!(wrapper["endpoint"], endpoint, "{host}");
    }
}

#[tokio::test]
async fn caches_are_made_as_needed_unless_they_are_listed() {
    let open = Server::start().await;
    let post = |server: &Server| client().post(server.url("/topics/other/a")).body("x");
    assert_eq!(json(post(&open)).await.0, 204);
    let strict = Server::with(|service| service.caches = Some(vec!["video".into()])).await;
    let (status, code, message) = error(json(post(&strict)).await);
    assert_eq!((status, code.as_str()), (404, "no_cache"));
    assert!(message.contains("video"), "{message}");
}

#[tokio::test]
async fn when_all_topics_are_watched_a_new_one_is_refused() {
    let server = Server::with(|service| {
        let limits = floatup::topic::Limits {
            topics_max: 1,
            ..Default::default()
        };
        service.broker = floatup::topic::Broker::new(limits, PAGE);
    });
    let server = server.await;
    let waiting = tokio::spawn(get_owned(server.url("/topics/video/a")));
    server.polls_waiting(1).await;
    // The poll waits in the broker only after it is counted.
    crate::support::until("a topic", || server.service.broker.topics() == 1).await;
    let (status, code, _) = error(json(client().post(server.url("/topics/video/b"))).await);
    assert_eq!((status, code.as_str()), (429, "too_many_topics"));
    waiting.abort();
}

#[tokio::test]
async fn stopping_answers_what_waits_and_cuts_delays_short() {
    let server = Server::start().await;
    let token = server.token("a", BOTH);
    let polls: Vec<_> = (0..3)
        .map(|_| tokio::spawn(get_owned(server.url("/topics/video/a"))))
        .collect();
    let refused = tokio::spawn(get_owned(
        server.url(&format!("/topics/video/b?token={token}")),
    ));
    server.polls_waiting(3).await;
    let start = Instant::now();
    let stopped = server.stop();
    for poll in polls {
        assert_eq!(poll.await.unwrap(), items([]));
    }
    assert_eq!(refused.await.unwrap().0, 403);
    assert!(stopped.await.unwrap().is_ok());
    assert!(start.elapsed() < DEADLINE / 10, "{:?}", start.elapsed());
}
