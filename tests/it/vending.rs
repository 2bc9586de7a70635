//! The token vending machine on the wire.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use floatup::token::verify;
use serde_json::Value as Json;

use crate::in_process::{BOTH, Server, answer, client, error, now_unix, raw};

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
        let (status, answer) = answer(client().post(server.url(path)).body(body.to_string())).await;
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
        let (status, found, message) = error(answer(request).await);
        assert_eq!((status, found.as_str()), (400, code), "{body}");
        assert!(message.contains(named), "{body}: {message}");
    }
    let invalid = client()
        .post(server.url("/tokens"))
        .body(b"{\"streamId\":\"\xff\"}".to_vec());
    assert_eq!(error(answer(invalid).await).1, "bad_json");
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
