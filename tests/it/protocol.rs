//! The topic API on the wire: publishing, polling, paths, bodies, numbers.

use std::time::Duration;

use floatup::topic::TopicName;
use serde_json::{Value as Json, json as object};
use tokio::time::Instant;

use crate::in_process::{
    BOTH, DEADLINE, PAGE, Server, answer, client, error, get, get_owned, item, items, raw,
    raw_to_its_end, text,
};

fn discontinuity(last: u64, new: u64) -> Json {
    object!({"discontinuity": {
        "last_topic_sequence": last,
        "new_topic_sequence": new,
        "new_sequence_page": PAGE,
    }})
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
        assert_eq!(answer(request).await, (204, Json::Null), "{value}");
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
        let name = TopicName::new("video", topic).unwrap();
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
async fn bodies_are_bounded_and_text_is_utf8() {
    let server = Server::start().await;
    let post = |body: Vec<u8>| client().post(server.url("/topics/video/a")).body(body);
    assert_eq!(answer(post(vec![b'x'; 4_096])).await.0, 204);
    for size in [4_097, 100_000, 900_000] {
        let (status, code, message) = error(answer(post(vec![b'x'; size])).await);
        assert_eq!(
            (status, code.as_str()),
            (400, "message_too_large"),
            "{size}"
        );
        assert!(message.contains("4096"), "{message}");
    }
    let (status, code, message) = error(answer(post(b"hear\xff".to_vec())).await);
    assert_eq!((status, code.as_str()), (400, "not_utf8"));
    assert!(message.contains("byte 4"), "{message}");
    let name = TopicName::new("video", "a").unwrap();
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
    for n in 0..300 {
        server.publish("a", &n.to_string()).await;
    }
    let batch = |range: std::ops::RangeInclusive<u64>| {
        let all: Vec<Json> = range.map(|n| text(n, &(n - 1).to_string())).collect();
        items(all)
    };
    let url = server.url("/topics/video/a?sequence_number=1");
    assert_eq!(get(&url).await, batch(1..=250));
    let url = server.url(&format!(
        "/topics/video/a?sequence_number=251&sequence_page={PAGE}"
    ));
    assert_eq!(get(&url).await, batch(251..=300));
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
            tokio::spawn(answer(request.header("User-Agent", agent)))
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

#[tokio::test]
async fn caches_are_made_as_needed_unless_they_are_listed() {
    let open = Server::start().await;
    let post = |server: &Server| client().post(server.url("/topics/other/a")).body("x");
    assert_eq!(answer(post(&open)).await.0, 204);
    let strict = Server::with(|service| service.caches = Some(vec!["video".into()])).await;
    let (status, code, message) = error(answer(post(&strict)).await);
    assert_eq!((status, code.as_str()), (404, "no_cache"));
    assert!(message.contains("video"), "{message}");
    let strict = Server::with(|service| service.caches = Some(vec!["other".into()])).await;
    let events = client().get(strict.url("/channels/a/events"));
    let (status, code, message) = error(answer(events).await);
    assert_eq!((status, code.as_str()), (404, "no_cache"));
    assert!(message.contains("other"), "{message}");
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
    stopped.await.unwrap();
    assert!(start.elapsed() < DEADLINE / 10, "{:?}", start.elapsed());
}
