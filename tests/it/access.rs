//! Who is let in to the topics, who is refused and how, and what any script may read.

use std::time::Duration;

use floatup::server::Access;
use floatup::token::{Claims, Key, Role, mint, wrap};
use floatup::topic::{Broker, Limits};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::Value as Json;
use tokio::time::Instant;

use crate::in_process::{
    BOTH, PAGE, Server, answer, client, error, get, get_owned, items, now_unix, text, until,
};

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
        let answer = answer(request.header("Authorization", token)).await;
        assert_eq!(answer, (204, Json::Null), "{token}");
    }
    for token in [&good, &wrapped] {
        let url =
            reqwest::Url::parse_with_params(&server.url("/topics/video/a"), [("token", token)]);
        let answer = answer(client().post(url.unwrap()).body("heart")).await;
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
        let (status, _, message) = error(answer(request).await);
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
        let (status, ..) = error(answer(client().post(&url).body("x")).await);
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
    // Minted once: a token of another second is another token.
    let tokens = ["a", "b"].map(|topic| (topic, server.token(topic, BOTH)));
    let url = |wanted| {
        let (topic, token) = &tokens[usize::from(wanted == "b")];
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
async fn when_all_topics_are_watched_a_new_one_is_refused() {
    let server = Server::with(|service| {
        let limits = Limits {
            topics_max: 1,
            ..Default::default()
        };
        service.broker = Broker::new(limits, PAGE);
    });
    let server = server.await;
    let waiting = tokio::spawn(get_owned(server.url("/topics/video/a")));
    server.polls_waiting(1).await;
    // The poll waits in the broker only after it is counted.
    until("a topic", || server.service.broker.topics() == 1).await;
    let (status, code, _) = error(answer(client().post(server.url("/topics/video/b"))).await);
    assert_eq!((status, code.as_str()), (429, "too_many_topics"));
    waiting.abort();
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
