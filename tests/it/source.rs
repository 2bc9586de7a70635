//! Sources: what they ask for, what they deliver, and how they outlast what goes wrong.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floatup::server::Access;
use floatup::source::momento::Momento;
use floatup::source::{Address, Secrets, Source, State};
use floatup::topic::{Broker, Cursor, Limits, TopicName, Value};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::following::Following;
use crate::in_process::{DEADLINE, PAGE, Server, now_unix, pass, text, until};

/// The shortest pause after a failed poll, and after an answer at once that brings nothing.
const PAUSE_LEAST: Duration = Duration::from_millis(125);
const NOTHING_NEW_PAUSE: Duration = Duration::from_millis(500);

/// When what is published directly to a broker was published.
const NOW: Duration = Duration::from_millis(1_700_000_123_456);

/// What the scripted upstream does with one request. It closes the connection after each.
#[derive(Clone)]
enum Play {
    Answer(u16, &'static str, String),
    /// The beginning of an answer, and the end of the connection.
    CutOff,
    /// The same, but by a reset.
    Reset,
    /// No answer at all.
    HangUp,
    /// A body without end.
    Endless,
    /// A status, after so long.
    Late(Duration, u16),
}

fn items(items: impl Into<Vec<Json>>) -> Play {
    body(&json!({ "items": items.into() }).to_string())
}

fn body(text: &str) -> Play {
    Play::Answer(200, "", text.into())
}

fn status(status: u16) -> Play {
    Play::Answer(status, "", r#"{"code":"oh","message":"no"}"#.into())
}

fn token(token: &str) -> Play {
    Play::Answer(201, "", json!({ "token": token }).to_string())
}

/// One request, as it came.
#[derive(Clone, Debug)]
struct Asked {
    /// Method and target.
    line: String,
    authorization: Option<String>,
    body: String,
    at: Instant,
}

/// An endpoint that plays one list of answers to polls and one to token requests, then holds every
/// request for good.
struct Upstream {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: AbortHandle,
}

impl Upstream {
    async fn start(polls: impl Into<Vec<Play>>, tokens: impl Into<Vec<Play>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script = [polls.into().into(), tokens.into().into()];
        let task = tokio::spawn(play(listener, script, asked.clone())).abort_handle();
        Self {
            address,
            asked,
            task,
        }
    }

    /// A source of the topic `video/demo`.
    fn source(&self, token: Option<&str>) -> Source {
        self.source_of("", "video", "demo", token)
    }

    fn source_of(&self, base: &str, cache: &str, topic: &str, token: Option<&str>) -> Source {
        source(self.address, base, cache, topic, token)
    }

    /// Waits for so many requests, and gives them all.
    async fn asked(&self, count: usize) -> Vec<Asked> {
        let what = format!("{count} requests");
        until(&what, || self.asked.lock().unwrap().len() >= count).await;
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn play(
    listener: TcpListener,
    [mut polls, mut tokens]: [VecDeque<Play>; 2],
    asked: Arc<Mutex<Vec<Asked>>>,
) -> ! {
    let mut held = Vec::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = request(&mut stream).await;
        let script = match request.line.starts_with("POST ") {
            true => &mut tokens,
            false => &mut polls,
        };
        asked.lock().unwrap().push(request);
        match script.pop_front() {
            None => held.push(stream),
            Some(play) => answer(stream, play).await,
        }
    }
}

async fn request(stream: &mut TcpStream) -> Asked {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "{bytes:?}");
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let header = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    };
    let length: usize = header("content-length").map_or(0, |n| n.parse().unwrap());
    while bytes.len() < head + length {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "{bytes:?}");
    }
    let line = text.lines().next().unwrap();
    Asked {
        line: line.trim_end_matches(" HTTP/1.1").into(),
        authorization: header("authorization"),
        body: String::from_utf8(bytes[head..].to_vec()).unwrap(),
        at: Instant::now(),
    }
}

async fn answer(mut stream: TcpStream, play: Play) {
    const CUT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"items\":[";
    match play {
        Play::Answer(status, headers, body) => {
            let length = match status {
                204 => String::new(),
                _ => format!("content-length: {}\r\n", body.len()),
            };
            let head =
                format!("HTTP/1.1 {status} Told\r\nconnection: close\r\n{headers}{length}\r\n");
            let whole = [head.as_bytes(), body.as_bytes()].concat();
            // A reader that gives up on a long body resets the connection, as it may.
            drop(stream.write_all(&whole).await);
        }
        Play::CutOff => stream.write_all(CUT).await.unwrap(),
        Play::Reset => {
            stream.write_all(CUT).await.unwrap();
            stream.set_zero_linger().unwrap();
        }
        Play::HangUp => {}
        Play::Late(after, status) => {
            tokio::time::sleep(after).await;
            let line = format!("HTTP/1.1 {status} Told\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(line.as_bytes()).await.unwrap();
        }
        Play::Endless => {
            let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"items\":[";
            stream.write_all(head).await.unwrap();
            while stream.write_all(&vec![b' '; 65_536]).await.is_ok() {}
        }
    }
}

fn source(
    address: SocketAddr,
    base: &str,
    cache: &str,
    topic: &str,
    token: Option<&str>,
) -> Source {
    let endpoint = format!("http://{address}{base}").parse().unwrap();
    let name = TopicName::new(cache, topic).unwrap();
    Source::Momento(Momento::new(&endpoint, name, token.map(str::to_owned)).unwrap())
}

/// An item as older servers send it.
fn without_page(number: u64) -> Json {
    json!({"item": {"topic_sequence_number": number, "value": {"text": "heart"}}})
}

fn gap(last: u64, new: u64, page: u64) -> Json {
    json!({"discontinuity": {
        "last_topic_sequence": last, "new_topic_sequence": new, "new_sequence_page": page,
    }})
}

fn lines(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|asked| asked.line.as_str()).collect()
}

fn tokens(asked: &[Asked]) -> Vec<Option<&str>> {
    asked.iter().map(|a| a.authorization.as_deref()).collect()
}

fn at_page(numbers: impl IntoIterator<Item = u64>) -> Vec<(u64, u64)> {
    numbers.into_iter().map(|number| (PAGE, number)).collect()
}

#[tokio::test]
async fn names_are_encoded_and_the_endpoint_keeps_its_base_path() {
    for (base, cache, topic, path) in [
        ("", "video", "demo", "/topics/video/demo"),
        ("/", "video", "a-b.c_d~e", "/topics/video/a-b.c_d~e"),
        (
            "/live/eu",
            "my cache",
            "ä",
            "/live/eu/topics/my%20cache/%C3%A4",
        ),
        (
            "/live/",
            "v",
            "50%?x#y&z=+1",
            "/live/topics/v/50%25%3Fx%23y%26z%3D%2B1",
        ),
        ("", "v", "%2e%2e", "/topics/v/%252e%252e"),
        ("", "v", "...", "/topics/v/..."),
    ] {
        let upstream = Upstream::start([], []).await;
        let _following = Following::start(upstream.source_of(base, cache, topic, Some("t")));
        let asked = upstream.asked(1).await;
        assert_eq!(lines(&asked), [format!("GET {path}")]);
    }
}

#[tokio::test]
async fn a_given_token_is_sent_as_it_is_and_again_after_a_refusal() {
    let polls = [
        items([text(1, "heart")]),
        status(401),
        items([text(2, "heart")]),
    ];
    let upstream = Upstream::start(polls, []).await;
    let following = Following::start(upstream.source(Some("eyJ+/=")));
    assert_eq!(following.delivered(2).await, at_page([1, 2]));
    let asked = upstream.asked(4).await;
    assert_eq!(
        tokens(&asked),
        [Some("eyJ+/="); 4],
        "and no other is asked for"
    );
}

#[tokio::test]
async fn a_vended_token_is_asked_for_again_only_when_it_is_refused() {
    let polls = [
        items([text(1, "heart")]),
        status(401),
        status(403),
        items([text(2, "heart")]),
        status(500),
    ];
    let upstream = Upstream::start(polls, [token("a"), token("b"), token("c")]).await;
    let following = Following::start(upstream.source_of("/base", "video", "my ⚽", None));
    assert_eq!(following.delivered(2).await, at_page([1, 2]));
    let asked = upstream.asked(9).await;
    let sent = [None, Some("a"), Some("a"), None, Some("b"), None];
    assert_eq!(tokens(&asked)[..6], sent);
    assert_eq!(
        tokens(&asked)[6..],
        [Some("c"); 3],
        "a 500 is not the token's fault"
    );
    for asked in asked.iter().filter(|asked| asked.authorization.is_none()) {
        assert_eq!(asked.line, "POST /base/tokens");
        let wanted: Json = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(wanted["streamId"], "my ⚽");
        let id = wanted["playerId"].as_str().unwrap();
        assert!((8..=64).contains(&id.len()), "{id}");
    }
}

#[tokio::test]
async fn an_endpoint_that_gives_no_token_is_polled_without_one() {
    for refusal in [
        status(404),
        status(500),
        body("{}"),
        body("no JSON"),
        body(r#"{"token":null}"#),
    ] {
        let polls = [items([text(1, "heart")]), items([text(2, "heart")])];
        let upstream = Upstream::start(polls, [refusal]).await;
        let following = Following::start(upstream.source(None));
        assert_eq!(following.delivered(2).await, at_page([1, 2]));
        let asked = upstream.asked(4).await;
        assert_eq!(tokens(&asked), [None; 4]);
        let posts = lines(&asked)
            .iter()
            .filter(|line| line.starts_with("POST"))
            .count();
        assert_eq!(posts, 1, "it is asked once");
    }
}

#[tokio::test]
async fn a_token_is_asked_for_until_the_endpoint_can_be_reached() {
    let upstream = Upstream::start([items([text(1, "heart")])], [Play::HangUp, token("a")]).await;
    let following = Following::start(upstream.source(None));
    assert_eq!(following.delivered(1).await, at_page([1]));
    assert_eq!(
        tokens(&upstream.asked(3).await)[..3],
        [None, None, Some("a")]
    );
    assert_eq!(following.metrics.reconnects.get(), 1);
}

#[tokio::test]
async fn polls_go_on_after_the_last_item() {
    let page = PAGE;
    let other = PAGE + 9;
    let polls = [
        items([text(7, "heart"), text(8, "heart")]),
        items([gap(8, 1, other)]),
        // Of the page that was named before.
        items([without_page(1)]),
        items([text(20, "heart")]),
        Play::Answer(204, "", String::new()),
    ];
    let upstream = Upstream::start(polls, []).await;
    let following = Following::start(upstream.source(Some("t")));
    let asked = upstream.asked(6).await;
    let at = |number: u64, page: u64| {
        format!("GET /topics/video/demo?sequence_number={number}&sequence_page={page}")
    };
    assert_eq!(
        lines(&asked),
        [
            "GET /topics/video/demo".to_owned(),
            at(9, page),
            at(1, other),
            at(2, other),
            at(21, page),
            at(21, page),
        ]
    );
    assert_eq!(
        following.now(),
        [(page, 7), (page, 8), (other, 1), (page, 20)]
    );
}

#[tokio::test]
async fn servers_without_pages_are_followed_too() {
    let polls = [
        items([without_page(3)]),
        // Started anew: without a page, a low number is no proof that it was had already.
        items([without_page(1)]),
    ];
    let upstream = Upstream::start(polls, []).await;
    let following = Following::start(upstream.source(Some("t")));
    assert_eq!(following.delivered(2).await, [(0, 3), (0, 1)]);
    let asked = upstream.asked(3).await;
    let query = |n: usize| asked[n].line.split_once('?').unwrap().1;
    assert_eq!(query(1), "sequence_number=4&sequence_page=0");
    assert_eq!(query(2), "sequence_number=2&sequence_page=0");
}

#[tokio::test]
async fn gaps_count_what_is_known_to_be_lost() {
    let later = PAGE + 60;
    for (what, answers, lost) in [
        (
            "a first answer only says where the topic is",
            vec![gap(0, 104, PAGE), text(104, "heart")],
            0,
        ),
        (
            "too slow",
            vec![text(9, "heart"), gap(9, 15, PAGE), text(15, "heart")],
            5,
        ),
        (
            "the server doesn't know what was had",
            vec![text(9, "heart"), gap(0, 15, PAGE)],
            5,
        ),
        (
            "no page",
            vec![
                text(9, "heart"),
                json!({"discontinuity": {"new_topic_sequence": 12}}),
            ],
            2,
        ),
        ("page 0 is none", vec![text(9, "heart"), gap(9, 12, 0)], 2),
        (
            "nothing is missing",
            vec![text(9, "heart"), gap(9, 10, PAGE)],
            0,
        ),
        (
            "back",
            vec![text(9, "heart"), gap(9, 4, PAGE), text(4, "heart")],
            0,
        ),
        ("reset", vec![text(9, "heart"), gap(9, 1, later)], 0),
        (
            "reset, and more since",
            vec![text(9, "heart"), gap(9, 41, later)],
            40,
        ),
    ] {
        let upstream = Upstream::start([items(answers.clone())], []).await;
        let following = Following::start(upstream.source(Some("t")));
        upstream.asked(2).await;
        assert_eq!(following.metrics.gap_items.get(), lost, "{what}");
        let texts = answers.iter().filter(|answer| answer.get("item").is_some());
        assert_eq!(
            following.now().len(),
            texts.count(),
            "{what}: items are delivered"
        );
    }
}

#[tokio::test]
async fn an_answer_at_once_that_brings_nothing_is_no_hot_loop() {
    for (what, nothing) in [
        ("no items", items([])),
        ("no list", body("{}")),
        ("null", body(r#"{"items":null}"#)),
        ("no content", Play::Answer(204, "", String::new())),
        ("heartbeats", items([json!({"heartbeat": {}}), json!({})])),
        (
            "what was had already",
            items([text(4, "heart"), text(5, "heart")]),
        ),
    ] {
        let polls = [items([text(5, "heart")]), nothing.clone(), nothing];
        let upstream = Upstream::start(polls, []).await;
        let following = Following::start(upstream.source(Some("t")));
        let asked = upstream.asked(4).await;
        for pair in asked[1..].windows(2) {
            assert!(
                pair[1].at - pair[0].at >= NOTHING_NEW_PAUSE,
                "{what}: {pair:?}"
            );
            assert_eq!(pair[0].line, pair[1].line, "{what}");
        }
        assert_eq!(following.now(), at_page([5]), "{what}");
        assert_eq!(following.metrics.reconnects.get(), 0, "{what}: no failure");
    }
}

#[tokio::test]
async fn after_a_failure_it_goes_on_where_it_was() {
    let second = Duration::from_secs(1);
    let told = |status, headers| Play::Answer(status, headers, "Oh no".into());
    for (what, failure, pause) in [
        ("429", told(429, ""), PAUSE_LEAST),
        ("429 in time", told(429, "retry-after: 1\r\n"), second),
        ("429 at once", told(429, "retry-after: 0\r\n"), PAUSE_LEAST),
        (
            "429 some day",
            told(429, "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n"),
            PAUSE_LEAST,
        ),
        (
            "429 until then",
            told(
                429,
                "Date: Wed, 21 Oct 2026 07:27:59 GMT\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n",
            ),
            second,
        ),
        ("503 in time", told(503, "Retry-After: 1\r\n"), second),
        ("500", told(500, ""), PAUSE_LEAST),
        ("502", told(502, ""), PAUSE_LEAST),
        ("404", told(404, ""), PAUSE_LEAST),
        ("no JSON", body("<html>"), PAUSE_LEAST),
        ("half of it", body("{\"items\":[{\"item\":"), PAUSE_LEAST),
        (
            "not UTF-8",
            Play::Answer(200, "content-encoding: br\r\n", "\u{1}{".into()),
            PAUSE_LEAST,
        ),
        ("cut off", Play::CutOff, PAUSE_LEAST),
        ("reset", Play::Reset, PAUSE_LEAST),
        ("hung up", Play::HangUp, PAUSE_LEAST),
    ] {
        let polls = [
            items([text(1, "heart")]),
            failure,
            items([text(2, "heart")]),
        ];
        let upstream = Upstream::start(polls, []).await;
        let following = Following::start(upstream.source(Some("t")));
        assert_eq!(following.delivered(2).await, at_page([1, 2]), "{what}");
        let asked = upstream.asked(4).await;
        assert_eq!(asked[1].line, asked[2].line, "{what}: the same place");
        let paused = asked[2].at - asked[1].at;
        assert!(paused >= pause, "{what}: {paused:?}");
        assert_eq!(following.metrics.reconnects.get(), 1, "{what}");
        assert_eq!(following.metrics.gap_items.get(), 0, "{what}");
    }
}

#[tokio::test]
async fn an_answer_too_long_to_be_read_is_not_asked_for_again() {
    let polls = [
        items([text(1, "heart")]),
        Play::Endless,
        items([text(9, "heart")]),
    ];
    let upstream = Upstream::start(polls, []).await;
    let following = Following::start(upstream.source(Some("t")));
    assert_eq!(following.delivered(2).await, at_page([1, 9]));
    let asked = upstream.asked(4).await;
    assert_eq!(asked[2].line, "GET /topics/video/demo", "the latest");
    assert_eq!(following.metrics.gap_items.get(), 7);
    assert_eq!(following.metrics.reconnects.get(), 1);
}

#[tokio::test]
async fn a_malformed_item_is_passed_over_and_counted() {
    let odd = [
        json!({"item": {}}),
        json!({"item": {"topic_sequence_number": -1}}),
        json!({"discontinuity": []}),
        json!(5),
    ];
    for odd in odd {
        let polls = [
            items([text(1, "heart")]),
            items([odd.clone(), text(3, "heart")]),
            items([odd.clone()]),
        ];
        let upstream = Upstream::start(polls, []).await;
        let following = Following::start(upstream.source(Some("t")));
        let asked = upstream.asked(4).await;
        assert_eq!(following.now(), at_page([1, 3]), "{odd}");
        assert_eq!(following.metrics.refused.get(), 2, "{odd}");
        assert_eq!(following.metrics.reconnects.get(), 0, "{odd}");
        let last = &asked[3].line;
        assert!(last.contains("sequence_number=5&"), "{odd}: {last}");
    }
}

#[tokio::test]
async fn what_a_topic_takes_back_is_taken_back() {
    let retraction = |number: u64, of: Json| json!({"item": {"topic_sequence_number": number, "sequence_page": PAGE, "retraction": of}});
    let answers = [
        text(1, "heart"),
        text(2, "fire"),
        text(3, "heart"),
        retraction(4, json!([1, 3, 99, "x"])),
    ];
    let upstream = Upstream::start([items(answers)], []).await;
    let following = Following::start(upstream.source(Some("t")));
    let asked = upstream.asked(2).await;
    assert!(asked[1].line.contains("sequence_number=5&"), "{asked:?}");
    let retracted = following.retracted();
    let retracted = retracted.iter().map(|item| (item.page, item.sequence));
    assert_eq!(retracted.collect::<Vec<_>>(), at_page([1, 3]));
    assert_eq!(following.metrics.refused.get(), 0);
}

#[tokio::test]
async fn a_poll_that_was_held_ends_without_being_a_failure() {
    for end in [408, 502, 503, 504] {
        let late = Play::Late(Duration::from_secs(6), end);
        let upstream = Upstream::start([late, items([text(1, "heart")])], []).await;
        let following = Following::start(upstream.source(Some("t")));
        upstream.asked(1).await;
        pass(Duration::from_secs(7)).await;
        assert_eq!(following.delivered(1).await, at_page([1]), "{end}");
        assert_eq!(following.metrics.reconnects.get(), 0, "{end}");
    }
}

#[tokio::test]
async fn a_poll_on_a_connection_that_died_unnoticed_is_asked_again() {
    let upstream = Upstream::start([items([text(1, "heart")])], []).await;
    let following = Following::start(upstream.source(Some("t")));
    upstream.asked(2).await;
    pass(Duration::from_secs(89)).await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(upstream.asked(2).await.len(), 2, "within its time");
    pass(Duration::from_secs(2)).await;
    let asked = upstream.asked(3).await;
    assert_eq!(asked[2].line, asked[1].line, "the same place");
    assert_eq!(following.is(State::Live).await.why, "");
    assert_eq!(following.metrics.reconnects.get(), 0);
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let there = Upstream::start([], []).await;
    let location = format!("Location: http://{}/topics/a/b\r\n", there.address);
    let moved = Play::Answer(307, location.leak(), String::new());
    let upstream = Upstream::start([moved], []).await;
    let following = Following::start(upstream.source(Some("t")));
    let told = following.is(State::Refused).await;
    assert!(told.why.contains("no redirection"), "{}", told.why);
    upstream.asked(2).await;
    assert_eq!(there.asked(0).await.len(), 0, "and the token stays here");
}

#[tokio::test]
async fn failures_in_a_row_are_one_trouble() {
    let mut polls = vec![status(500); 3];
    polls.push(items([text(1, "heart")]));
    polls.push(status(502));
    polls.push(items([text(2, "heart")]));
    let upstream = Upstream::start(polls, []).await;
    let following = Following::start(upstream.source(Some("t")));
    assert_eq!(following.delivered(2).await, at_page([1, 2]));
    let asked = upstream.asked(7).await;
    // Each pause is at least half of its full length, which doubles: 250, 500, 1,000 ms.
    for (n, least_ms) in [(0, 125), (1, 250), (2, 500), (4, 125)] {
        let pause = asked[n + 1].at - asked[n].at;
        assert!(pause >= Duration::from_millis(least_ms), "{n}: {pause:?}");
    }
    assert_eq!(following.metrics.reconnects.get(), 2);
}

#[tokio::test]
async fn what_is_no_reaction_is_passed_over() {
    let value = |number: u64, value: Json| json!({"item": {"topic_sequence_number": number, "sequence_page": PAGE, "value": value}});
    let answers = [
        value(1, json!({"binary": "aGVhcnQ="})),
        value(2, json!({"binary": [104, 101]})),
        value(3, json!({"text": "no reaction of the palette"})),
        value(4, json!({"text": null})),
        value(5, json!({"text": 5})),
        value(6, Json::Null),
        json!({"item": {"topic_sequence_number": 7, "sequence_page": PAGE}}),
        value(8, json!("heart")),
        json!({"item": {"topic_sequence_number": 9, "sequence_page": null, "value": {"text": "🔥🔥"}, "more": 1}}),
    ];
    let upstream = Upstream::start([items(answers)], []).await;
    let following = Following::start(upstream.source(Some("t")));
    let asked = upstream.asked(2).await;
    assert_eq!(following.now(), at_page([9]));
    assert_eq!(following.shown(), ["🔥2"]);
    assert!(
        asked[1]
            .line
            .ends_with(&format!("sequence_number=10&sequence_page={PAGE}"))
    );
}

#[tokio::test]
async fn a_cue_says_when_it_was_sent() {
    let now = now_unix() * 1_000;
    let item = |number: u64, text: &str, published: Json| {
        json!({"item": {
            "topic_sequence_number": number, "sequence_page": PAGE, "publish_timestamp": published,
            "value": {"text": text},
        }})
    };
    let stamped = json!({"reaction": "heart", "timestamp": now - 9_000}).to_string();
    let answers = [
        item(1, "heart", json!(now - 5_000)),
        item(2, &stamped, json!(now - 5_000)),
        item(3, "heart", json!("2025-11-22")),
        item(4, "heart", json!(now + 7_200_000)),
        text(5, &stamped),
        text(6, "heart"),
    ];
    let upstream = Upstream::start([items(answers)], []).await;
    let following = Following::start(upstream.source(Some("t")));
    following.delivered(6).await;
    let at = |ms: u64| Some(Duration::from_millis(ms));
    let expected = [
        at(now - 5_000),
        at(now - 9_000),
        None,
        None,
        at(now - 9_000),
        None,
    ];
    assert_eq!(following.sent_at(), expected);
}

#[tokio::test]
async fn what_this_server_publishes_says_when() {
    let server = Server::start().await;
    server.publish("demo", "before").await;
    let remote = Following::start(source(server.address, "", "video", "demo", Some("t")));
    let broker = server.service.broker.clone();
    let name = TopicName::new("video", "demo").unwrap();
    let embedded = Following::topic(&broker, &name);
    // The embedded source waits without being counted.
    server.polls_waiting(1).await;
    server.publish("demo", "heart").await;
    for following in [remote, embedded] {
        following.delivered(1).await;
        let sent_at = following.sent_at()[0].expect("it is known").as_secs();
        assert!(sent_at.abs_diff(now_unix()) <= 60, "{sent_at}");
    }
}

#[tokio::test]
async fn the_real_server_lets_a_vended_token_in() {
    let server = Server::with(|service| service.access = Access::Required).await;
    let following = Following::start(source(server.address, "", "video", "demo", None));
    server.polls_waiting(1).await;
    let name = TopicName::new("video", "demo").unwrap();
    publish(&server.service.broker, &name, 2);
    assert_eq!(following.delivered(2).await, at_page([1, 2]));
}

#[tokio::test]
async fn a_server_that_comes_back_is_followed_without_loss_or_double() {
    let server = Server::start().await;
    let (address, broker) = (server.address, server.service.broker.clone());
    let name = TopicName::new("video", "demo").unwrap();
    let following = Following::start(source(address, "", "video", "demo", None));
    server.polls_waiting(1).await;
    publish(&broker, &name, 3);
    following.delivered(3).await;

    let mut server = server;
    for away in 1..=2 {
        server.stop().await.unwrap();
        // More than one answer's worth.
        publish(&broker, &name, 150);
        until("it is missed", || {
            following.metrics.reconnects.get() == away
        })
        .await;
        let kept = broker.clone();
        server = Server::on(address, |service| service.broker = kept).await;
        following
            .delivered(3 + 150 * usize::try_from(away).unwrap())
            .await;
    }
    server.polls_waiting(1).await;
    assert_eq!(following.now(), at_page(1..=303));
    assert_eq!(following.metrics.gap_items.get(), 0);

    // And another process, whose topic starts anew.
    server.stop().await.unwrap();
    let anew = Broker::new(Limits::default(), PAGE + 5);
    publish(&anew, &name, 4);
    let kept = anew.clone();
    let server = Server::on(address, |service| service.broker = kept).await;
    following.delivered(307).await;
    server.polls_waiting(1).await;
    let anew: Vec<_> = (1..=4).map(|number| (PAGE + 5, number)).collect();
    assert_eq!(following.now()[303..], anew);
    assert_eq!(
        following.metrics.gap_items.get(),
        0,
        "all that it had is here"
    );
}

#[tokio::test]
async fn what_the_ring_has_dropped_meanwhile_is_counted() {
    let limits = Limits {
        ring_items: 10,
        ..Limits::default()
    };
    let broker = Broker::new(limits, PAGE);
    let kept = broker.clone();
    let server = Server::with(|service| service.broker = kept).await;
    let address = server.address;
    let name = TopicName::new("video", "demo").unwrap();
    let following = Following::start(source(address, "", "video", "demo", None));
    server.polls_waiting(1).await;
    publish(&broker, &name, 1);
    following.delivered(1).await;
    server.stop().await.unwrap();
    publish(&broker, &name, 25);
    let _server = Server::on(address, |service| service.broker = broker).await;
    following.delivered(11).await;
    assert_eq!(following.now(), at_page([1].into_iter().chain(17..=26)));
    assert_eq!(following.metrics.gap_items.get(), 15);
}

fn publish(broker: &Broker, name: &TopicName, count: u64) {
    for _ in 0..count {
        broker
            .publish(name, Value::Text("heart".into()), None, NOW)
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_embedded_source_delivers_in_order_and_counts_gaps() {
    let limits = Limits {
        ring_items: 3,
        ..Limits::default()
    };
    let broker = Broker::new(limits, PAGE);
    let name = TopicName::new("video", "demo").unwrap();
    publish(&broker, &name, 2);
    let following = Following::topic(&broker, &name);
    tokio::task::yield_now().await;
    publish(&broker, &name, 1);
    assert_eq!(
        following.delivered(1).await,
        at_page([3]),
        "from what comes next on"
    );
    let binary = Value::Binary(b"heart"[..].into());
    broker.publish(&name, binary, None, NOW).unwrap();
    broker
        .publish(&name, Value::Text("nothing".into()), None, NOW)
        .unwrap();
    publish(&broker, &name, 1);
    assert_eq!(following.delivered(2).await, at_page([3, 6]));
    assert_eq!(following.metrics.gap_items.get(), 0);
    // Nobody else runs meanwhile: the ring forgets all but three.
    publish(&broker, &name, 10);
    assert_eq!(following.delivered(5).await, at_page([3, 6, 14, 15, 16]));
    assert_eq!(following.metrics.gap_items.get(), 7);
}

#[tokio::test(start_paused = true)]
async fn the_embedded_source_waits_for_a_place_in_a_full_broker() {
    let limits = Limits {
        topics_max: 1,
        ..Limits::default()
    };
    let broker = Broker::new(limits, PAGE);
    let [other, name] = ["other", "demo"].map(|topic| TopicName::new("video", topic).unwrap());
    let (watched, watcher) = (other.clone(), broker.clone());
    let watch = tokio::spawn(async move {
        let next = watcher.next(&watched, Cursor::default(), DEADLINE * 9);
        next.await.map(|(events, _)| events.len())
    });
    tokio::task::yield_now().await;
    let following = Following::topic(&broker, &name);
    // The clock is paused: it moves only when all is waiting, as here.
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(
        broker
            .publish(&name, Value::Text("heart".into()), None, NOW)
            .is_err(),
        "it is full"
    );
    publish(&broker, &other, 1);
    assert_eq!(watch.await.unwrap(), Ok(1));
    tokio::time::sleep(Duration::from_secs(2)).await;
    publish(&broker, &name, 1);
    let delivered = following.delivered(1).await;
    assert_eq!(delivered.len(), 1);
}

fn token_until(token: &str, expires_at: u64) -> Play {
    let answer = json!({ "token": token, "expiresAt": expires_at });
    Play::Answer(201, "", answer.to_string())
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let upstream = Upstream::start([], [token_until("a", now_unix() + 3), token("b")]).await;
    let following = Following::start(upstream.source(None));
    let asked = upstream.asked(4).await;
    assert_eq!(tokens(&asked), [None, Some("a"), None, Some("b")]);
    let apart = asked[2].at - asked[1].at;
    assert!(apart < Duration::from_secs(3), "{apart:?}");
    assert_eq!(following.metrics.reconnects.get(), 0);
}

#[tokio::test]
async fn a_token_vending_machine_may_be_elsewhere() {
    let machine = Upstream::start([], [token("a")]).await;
    let upstream = Upstream::start([items([text(1, "heart")])], []).await;
    let (topic, at) = (upstream.address, machine.address);
    let address = format!("http://{topic}/topics/video/demo?tokens=http://{at}/vend?key=s3cret");
    let address: Address = address.parse().unwrap();
    let source = Source::new(&address, &Secrets::default()).unwrap();
    assert!(!format!("{source:?}").contains("s3cret"));
    let following = Following::start(source);
    following.delivered(1).await;
    assert_eq!(
        lines(&machine.asked(1).await),
        ["POST /vend?key=s3cret"],
        "as it was given"
    );
    assert_eq!(tokens(&upstream.asked(2).await), [Some("a"); 2]);
}

#[tokio::test]
async fn a_token_is_said_nowhere() {
    let bare = Play::Answer(200, "", json!("eyJ.s3cret").to_string());
    let polls = [items([text(1, "heart")])];
    let upstream = Upstream::start(polls, [bare]).await;
    let following = Following::start(upstream.source(None));
    let told = following.is(State::Degraded).await.why;
    assert!(
        told.contains("has no token") && !told.contains("s3cret"),
        "{told}"
    );
}

#[tokio::test]
async fn a_vending_machine_that_hangs_does_not_stop_a_topic_whose_token_holds() {
    let vended = [token_until("a", now_unix() + 1_000)];
    let upstream = Upstream::start([], vended).await;
    let following = Following::start(upstream.source(None));
    upstream.asked(2).await;
    pass(Duration::from_secs(801)).await;
    // It is asked, and says nothing.
    upstream.asked(3).await;
    pass(Duration::from_secs(5)).await;
    let asked = upstream.asked(4).await;
    assert_eq!(tokens(&asked), [None, Some("a"), None, Some("a")]);
    let told = following.is(State::Degraded).await.why;
    assert!(told.contains("no new token"), "{told}");
}

#[tokio::test]
async fn a_publisher_asks_for_a_token_once() {
    let status = |status| Play::Answer(status, "", String::new());
    let posts = [
        token("a"),
        status(204),
        status(204),
        status(401),
        token("b"),
        status(204),
    ];
    let upstream = Upstream::start([], posts).await;
    let endpoint = format!("http://{}", upstream.address).parse().unwrap();
    let name = TopicName::new("video", "demo").unwrap();
    let mut topic = Momento::new(&endpoint, name, None).unwrap().publisher();
    topic.publish("heart").await.unwrap();
    topic.publish("fire").await.unwrap();
    let told = topic.publish("heart").await.unwrap_err().to_string();
    assert!(told.contains("401"), "{told}");
    topic.publish("heart").await.unwrap();
    let asked = upstream.asked(6).await;
    let sent = [None, Some("a"), Some("a"), Some("a"), None, Some("b")];
    assert_eq!(tokens(&asked), sent);
}

#[tokio::test]
async fn while_a_token_holds_it_is_no_loss_that_there_is_no_newer_one() {
    let vended = [token_until("a", now_unix() + 4), status(500), token("b")];
    let upstream = Upstream::start([], vended).await;
    let following = Following::start(upstream.source(None));
    let told = following.is(State::Degraded).await;
    assert!(
        told.why.contains("no new token: answered 500"),
        "{}",
        told.why
    );
    let asked = upstream.asked(6).await;
    let sent = [None, Some("a"), None, Some("a"), None, Some("b")];
    assert_eq!(tokens(&asked), sent);
    following.is(State::Live).await;
    assert_eq!(following.metrics.reconnects.get(), 0);
}

#[tokio::test]
async fn what_only_a_person_can_mend_is_said_with_what_mends_it() {
    for (answer, part) in [
        (status(401), "give a token or key that may read video/demo"),
        (status(403), "give a token or key that may read video/demo"),
        (status(404), "make the cache \"video\""),
    ] {
        let upstream = Upstream::start([answer.clone(), answer], []).await;
        let following = Following::start(upstream.source(Some("hunter2")));
        let told = following.is(State::Refused).await;
        assert!(told.why.contains(part), "{}", told.why);
        assert!(!told.why.contains("hunter2"), "{}", told.why);
        let asked = upstream.asked(2).await;
        let apart = asked[1].at - asked[0].at;
        assert!(
            apart >= Duration::from_millis(500),
            "{apart:?}: it is tried slowly"
        );
    }
}
