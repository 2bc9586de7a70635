//! Tokens of a Momento account: what is asked for them, and how the answer reaches a player.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use floatup::momento::{Key, MintError, Minted, Minter};
use floatup::token::{Role, wrap};
use serde_json::json;

use crate::in_process::{Server, answer, client, error};
use crate::scripted::{Reply, Scripted};

/// What the SDK for browsers sends for the key `KEY`, 30 minutes, the player `player-1` and the
/// topic `s1` of the cache `video`.
const REQUEST: &str = "AAAAAC0KAwiIDhIDS0VZGhcSFQoTEhEIARoHCgV2aWRlbyoECgJzMSIIcGxheWVyLTE=";

/// An answer, made with `protoc` from Momento's own files.
const ANSWER: &str = "0a0765794a2e612e62122563656c6c2d75732d656173742d312d312e70726f642e612e6d6f6d65\
                      6e746f68712e636f6d1880a4a7da06";
const ENDPOINT: &str = "cell-us-east-1-1.prod.a.momentohq.com";

/// The account's key, which no message may show.
const SECRET: &str = "KEY";

/// How a service answers.
type Play = fn() -> Reply;

fn frame(flag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[flag][..], &length, content].concat()
}

fn minted() -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&ANSWER[at * 2..][..2], 16).unwrap();
    frame(0, &(0..ANSWER.len() / 2).map(byte).collect::<Vec<_>>())
}

fn ended(text: &str) -> Vec<u8> {
    frame(0x80, text.as_bytes())
}

fn of_type(kind: &str, body: Vec<u8>) -> Reply {
    Reply::Answer(200, vec![("content-type", kind.into())], body)
}

fn text(frames: &[Vec<u8>]) -> Reply {
    let parts: Vec<String> = frames.iter().map(|frame| STANDARD.encode(frame)).collect();
    of_type(
        "application/grpc-web-text+proto",
        parts.concat().into_bytes(),
    )
}

fn minter(server: &Scripted) -> Minter {
    let key = Key::parse(&wrap(SECRET, ENDPOINT)).unwrap();
    Minter::new(key, Some(server.url("/base/").as_str())).unwrap()
}

async fn mint(minter: &Minter) -> Result<Minted, MintError> {
    let lifetime = Duration::from_secs(1_800);
    let role = Role::PublishSubscribe;
    minter.mint("video", "s1", role, "player-1", lifetime).await
}

#[tokio::test]
async fn a_token_is_asked_for_as_the_sdk_does_and_read_in_each_form() {
    let whole = || [minted(), ended("grpc-status: 0\r\n")].concat();
    let forms: [fn(Vec<u8>) -> Reply; 4] = [
        |whole| text(&[whole]),
        |whole| {
            let (first, last) = whole.split_at(17);
            text(&[first.to_vec(), last.to_vec()])
        },
        |whole| of_type("application/grpc-web+proto", whole),
        |_| of_type("application/grpc-web", minted()).with("grpc-status", "0"),
    ];
    for form in forms {
        let server = Scripted::start(move |_| form(whole())).await;
        let minted = mint(&minter(&server)).await.unwrap();
        assert_eq!(minted.token, wrap("eyJ.a.b", ENDPOINT));
        assert_eq!(minted.expires_at, 1_800_000_000);
        let [asked] = &server.asked_now()[..] else {
            panic!("asked once");
        };
        assert_eq!(asked.line, "POST /base/token.Token/GenerateDisposableToken");
        assert_eq!(String::from_utf8_lossy(&asked.body), REQUEST);
        assert_eq!(asked.header("content-type"), "application/grpc-web-text");
        assert_eq!(asked.header("accept"), "application/grpc-web-text");
        assert_eq!(asked.header("x-grpc-web"), "1");
        assert_eq!(
            asked.header("authorization"),
            "",
            "the key is in the message alone"
        );
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_do_and_never_the_key() {
    let cases: [(Play, &str); 10] = [
        (
            || text(&[ended("grpc-status:16\r\ngrpc-message:bad%20key%20KEY\r\n")]),
            "Momento refused to mint a token (UNAUTHENTICATED): bad key …; the API key must",
        ),
        (
            || of_type("application/grpc", Vec::new()).with("grpc-status", "7"),
            "(PERMISSION_DENIED); the API key must",
        ),
        (
            || text(&[minted(), ended("grpc-status: 3\r\ngrpc-message: no topic")]),
            "(INVALID_ARGUMENT): no topic",
        ),
        (|| Reply::text(403, "KEY is blocked"), "(403): … is blocked"),
        (|| Reply::text(404, ""), "(404)"),
        (|| Reply::text(200, "<html>"), "no gRPC-Web"),
        (|| text(&[minted()]), "cut short"),
        (|| text(&[ended("grpc-status: 0")]), "it is empty"),
        (
            || text(&[frame(0, b"\n\x05ab"), ended("grpc-status: 0")]),
            "no such message",
        ),
        (|| Reply::Endless, "longer than 65536 bytes"),
    ];
    for (reply, told) in cases {
        let server = Scripted::start(move |_| reply()).await;
        let error = mint(&minter(&server)).await.unwrap_err();
        assert!(!matches!(error, MintError::Busy { .. }), "{error:?}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(told), "{shown}, expected {told}");
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

#[tokio::test]
async fn an_account_at_its_limit_is_told_apart() {
    let cases: [Play; 2] = [
        || Reply::text(429, r#"{"message":"slow down"}"#),
        || text(&[ended("grpc-status: 8\r\ngrpc-message: slow down")]),
    ];
    for reply in cases {
        let server = Scripted::start(move |_| reply().with("retry-after", "3")).await;
        let MintError::Busy {
            message,
            retry_after,
        } = mint(&minter(&server)).await.unwrap_err()
        else {
            panic!("it is busy");
        };
        assert_eq!(message, ": slow down");
        assert_eq!(retry_after, Some(Duration::from_secs(3)));
    }
}

#[tokio::test]
async fn no_more_tokens_are_asked_for_at_once_than_are_promised() {
    let server = Scripted::start(|_| Reply::Hold).await;
    let minter = minter(&server);
    let calls = (0..33).map(|_| Box::pin(mint(&minter)));
    let (first, _, held) = futures_util::future::select_all(calls).await;
    assert!(matches!(first, Err(MintError::Busy { .. })), "{first:?}");
    assert_eq!(held.len(), 32);
}

/// A floatup that mints with an account, which answers so.
async fn vending(reply: Play) -> (Scripted, Server) {
    let momento = Scripted::start(move |_| reply()).await;
    let minter = minter(&momento);
    let server = Server::with(|service| service.minter = Some(minter)).await;
    (momento, server)
}

fn ask(server: &Server, body: &str) -> reqwest::RequestBuilder {
    client().post(server.url("/tokens")).body(body.to_owned())
}

#[tokio::test]
async fn the_vending_machine_hands_out_an_accounts_tokens() {
    let (momento, server) = vending(|| text(&[minted(), ended("grpc-status: 0")])).await;
    let request = ask(&server, r#"{"playerId":"player-1","streamId":"s1"}"#);
    let (status, body) = answer(request).await;
    assert_eq!(status, 201);
    let expected = json!({"token": wrap("eyJ.a.b", ENDPOINT), "expiresAt": 1_800_000_000});
    assert_eq!(body, expected);
    assert_eq!(
        String::from_utf8_lossy(&momento.asked_now()[0].body),
        REQUEST
    );
    // What makes no sense is not asked for.
    let nonsense = ask(&server, r#"{"playerId":"player-1"}"#);
    assert_eq!(error(answer(nonsense).await).0, 400);
    assert_eq!(momento.asked_now().len(), 1);
}

#[tokio::test]
async fn an_account_that_mints_none_is_the_gateways_trouble() {
    let cases: [(Play, u16, &str); 3] = [
        (|| Reply::text(403, "KEY"), 502, "upstream_failed"),
        (|| Reply::text(500, ""), 502, "upstream_failed"),
        (|| Reply::text(429, ""), 503, "upstream_busy"),
    ];
    for (reply, status, code) in cases {
        let (_momento, server) = vending(reply).await;
        let sent = ask(&server, r#"{"streamId":"s1"}"#).send().await.unwrap();
        let again = sent.headers().get("retry-after").is_some();
        assert_eq!(again, status == 503);
        let told = (sent.status().as_u16(), sent.json().await.unwrap());
        let (found, told, message) = error(told);
        assert_eq!((found, told.as_str()), (status, code));
        assert!(
            message.starts_with("Momento") && !message.contains(SECRET),
            "{message}"
        );
    }
    let (momento, server) = vending(|| Reply::text(500, "")).await;
    drop(momento);
    let (status, _, message) = error(answer(ask(&server, r#"{"streamId":"s1"}"#)).await);
    assert_eq!(status, 502, "{message}");
    assert!(!message.contains("token.Token"), "{message}");
}
