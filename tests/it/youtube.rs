//! Live chat on YouTube, from a scripted API: what is said, what is taken back, and what goes wrong.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floatup::calendar;
use floatup::source::{Address, Secrets, Source, State, since_epoch};
use serde_json::{Value as Json, json};
use tokio::time::Instant;
use tracing_subscriber::fmt::MakeWriter;

use crate::following::Following;
use crate::in_process::{now_unix, until};
use crate::scripted::{Asked, Reply, Scripted};

const KEY: &str = "AIza-a-key-that-nobody-may-see";

/// A video that is live.
fn live() -> Reply {
    video(json!({"activeLiveChatId": "Cg0KC=", "actualStartTime": "2026-01-01T00:00:00Z"}))
}

fn video(details: Json) -> Reply {
    Reply::json(
        200,
        &json!({"items": [{"id": "abc", "liveStreamingDetails": details}]}),
    )
}

/// An answer with messages; the next page is called `next`.
fn page(next: &str, items: impl Into<Vec<Json>>) -> Reply {
    let body = json!({
        "kind": "youtube#liveChatMessageListResponse",
        "pollingIntervalMillis": 1,
        "nextPageToken": next,
        "items": items.into(),
    });
    Reply::json(200, &body)
}

/// So many seconds from now, as RFC 3339.
fn at(seconds: i64) -> String {
    let at = now_unix().checked_add_signed(seconds).unwrap();
    calendar::extended(Duration::from_millis(at * 1_000 + 250))
}

fn event(id: &str, kind: &str, details: Json) -> Json {
    let mut snippet = json!({"type": kind, "authorChannelId": "UCann", "publishedAt": at(2)});
    let named = details.as_object().unwrap().clone();
    snippet.as_object_mut().unwrap().extend(named);
    json!({"id": id, "snippet": snippet})
}

fn said(id: &str, text: &str) -> Json {
    event(
        id,
        "textMessageEvent",
        json!({"textMessageDetails": {"messageText": text}}),
    )
}

fn error(status: u16, reason: &str) -> Reply {
    let body = json!({"error": {
        "code": status,
        "message": format!("it has <b>failed</b>, with {KEY}"),
        "errors": [{"reason": reason, "domain": "youtube"}],
    }});
    Reply::json(status, &body)
}

/// An API that plays one list of answers for videos and one for messages, then holds all requests.
async fn upstream(videos: impl Into<Vec<Reply>>, messages: impl Into<Vec<Reply>>) -> Scripted {
    let mut videos: VecDeque<Reply> = videos.into().into();
    let mut messages: VecDeque<Reply> = messages.into().into();
    Scripted::start(move |asked| {
        let script = match asked.line.contains("/videos?") {
            true => &mut videos,
            false => &mut messages,
        };
        script.pop_front().unwrap_or(Reply::Hold)
    })
    .await
}

fn source(upstream: &Scripted, path: &str) -> Source {
    let address = format!("youtube:{path}?server={}", upstream.url("/api/"));
    let address: Address = address.parse().unwrap();
    Source::new(&address, &Secrets::of(Some(format!(" {KEY}\n")))).unwrap()
}

/// Waits for so many requests, and gives them all.
async fn asked(upstream: &Scripted, count: usize) -> Vec<Asked> {
    let what = format!("{count} requests");
    until(&what, || upstream.asked_now().len() >= count).await;
    upstream.asked_now()
}

/// The pages that were asked for, in order.
fn pages(upstream: &Scripted) -> Vec<Option<String>> {
    let asked = upstream.asked_now().into_iter();
    let polls = asked.filter(|asked| asked.line.contains("/liveChat/"));
    let page = |line: &str| Some(line.split_once("pageToken=")?.1.to_owned());
    polls.map(|asked| page(&asked.line)).collect()
}

#[tokio::test]
async fn a_videos_chat_is_found_and_the_key_stays_out_of_addresses() {
    let upstream = upstream([live()], [page("p 1", [])]).await;
    let source = source(&upstream, "abc-_DEF123");
    assert!(!format!("{source:?}").contains("AIza"), "{source:?}");
    let following = Following::start(source);
    let asked = asked(&upstream, 3).await;
    let lines: Vec<_> = asked.iter().map(|asked| asked.line.as_str()).collect();
    let poll = "GET /api/youtube/v3/liveChat/messages?liveChatId=Cg0KC%3D&part=id%2Csnippet&maxResults=2000";
    assert_eq!(
        lines,
        [
            "GET /api/youtube/v3/videos?id=abc-_DEF123&part=liveStreamingDetails",
            poll,
            &format!("{poll}&pageToken=p+1"),
        ]
    );
    for asked in &asked {
        assert_eq!(asked.header("x-goog-api-key"), KEY);
    }
    following.is(State::Live).await;
    // A chat is taken as it is.
    let upstream = self::upstream([], [page("1", [said("a", "🔥")])]).await;
    let following = Following::start(self::source(&upstream, "chat/Cg0KC="));
    following.delivered(1).await;
    assert!(
        upstream
            .asked_now()
            .iter()
            .all(|asked| asked.line.starts_with(poll))
    );
}

#[tokio::test]
async fn messages_float_and_history_does_not() {
    let old = |id: &str| {
        let mut old = said(id, "🔥");
        old["snippet"]["publishedAt"] = at(-90).into();
        old
    };
    let pages = [
        page("1", [old("old"), said("new", "🔥")]),
        // What comes late on a further page is no history.
        page(
            "2",
            [
                old("late"),
                said("new", "🔥"),
                said("word", "fire"),
                said("text", "hello"),
            ],
        ),
        page(
            "3",
            [
                event(
                    "chat",
                    "superChatEvent",
                    json!({"superChatDetails": {"userComment": ":clap:"}}),
                ),
                event(
                    "mile",
                    "memberMilestoneChatEvent",
                    json!({"memberMilestoneChatDetails": {"userComment": "🎉"}}),
                ),
                event("short", "textMessageEvent", json!({"displayMessage": "👍"})),
                event(
                    "stick",
                    "superStickerEvent",
                    json!({"displayMessage": "🔥"}),
                ),
                event("member", "newSponsorEvent", json!({})),
                json!({"id": "odd", "snippet": "🔥"}),
                json!({"id": "bare"}),
                event(
                    "odd",
                    "textMessageEvent",
                    json!({"textMessageDetails": {"messageText": 7}}),
                ),
            ],
        ),
        page("4", [said("last", "❤")]),
    ];
    let upstream = upstream([live()], pages).await;
    let following = Following::with(|rules| rules.with_words(false), source(&upstream, "abc"));
    following.delivered(6).await;
    assert_eq!(
        following.shown(),
        ["🔥1", "🔥1", "👏1", "🎉1", "👍1", "❤️1"]
    );
    let sent = following.sent_at()[0].unwrap();
    assert!(
        sent.as_secs().abs_diff(now_unix()) < 30 && sent.subsec_millis() == 250,
        "{sent:?}"
    );
    assert_eq!(following.metrics.duplicate.get(), 1);
    assert_eq!(following.metrics.unknown.get(), 2);
    assert_eq!(following.metrics.other_type.get(), 5);
}

#[tokio::test]
async fn what_is_taken_back_is_shown_no_more() {
    let deleted = |id: &str| {
        event(
            "x",
            "messageDeletedEvent",
            json!({"messageDeletedDetails": {"deletedMessageId": id}}),
        )
    };
    let other = |id: &str| {
        let mut other = said(id, "🔥");
        other["snippet"]["authorChannelId"] = "UCbob".into();
        other
    };
    let retracted = json!({"messageRetractedDetails": {"retractedMessageId": "b"}});
    let banned = json!({"userBannedDetails": {"bannedUserDetails": {"channelId": "UCbob"}}});
    let all = [
        page(
            "1",
            [
                said("a", "🔥"),
                said("b", "🔥"),
                said("c", "🔥"),
                said("d", "🔥"),
                other("e"),
                other("f"),
            ],
        ),
        page(
            "2",
            [
                deleted("a"),
                event("y", "messageRetractedEvent", retracted),
                event("c", "tombstone", json!({})),
                event("z", "userBannedEvent", banned),
            ],
        ),
    ];
    let upstream = upstream([live()], all).await;
    let following = Following::start(source(&upstream, "abc"));
    let places = following.delivered(6).await;
    until("all are taken back", || following.retracted().len() == 5).await;
    let mut left: Vec<_> = following
        .retracted()
        .iter()
        .map(|item| (item.page, item.sequence))
        .collect();
    left.sort_unstable();
    let expected: Vec<_> = [0, 1, 2, 4, 5].map(|n: usize| places[n]).into();
    assert_eq!(left, expected);
}

#[tokio::test]
async fn failures_lose_nothing_and_double_nothing() {
    let answers = [
        page("1", []),
        page("2", [said("a", "🔥")]),
        error(500, "backendError"),
        Reply::CutOff,
        Reply::text(200, "no JSON"),
        Reply::text(503, "<html>busy</html>"),
        Reply::text(302, "").with("location", "http://127.0.0.1:9/"),
        // The answer of before, had its end been lost.
        page("3", [said("a", "🔥"), said("b", "👍")]),
        page("4", [said("c", "🎉")]),
    ];
    let upstream = upstream([error(500, "backendError"), live()], answers).await;
    let following = Following::start(source(&upstream, "abc"));
    following.delivered(3).await;
    assert_eq!(following.shown(), ["🔥1", "👍1", "🎉1"]);
    assert_eq!(following.metrics.duplicate.get(), 1);
    until("it goes on", || pages(&upstream).len() == 10).await;
    let asked: Vec<_> = pages(&upstream)
        .into_iter()
        .map(Option::unwrap_or_default)
        .collect();
    assert_eq!(asked, ["", "1", "2", "2", "2", "2", "2", "2", "3", "4"]);
    following.is(State::Live).await;
}

/// 5 s are ours, if it doesn't say.
#[tokio::test]
async fn it_may_ask_for_a_pause() {
    let slow = |status| Reply::text(status, "slow").with("retry-after", "1");
    let answers = [
        page("1", []),
        slow(429),
        slow(503),
        page("2", [said("a", "🔥")]),
    ];
    let upstream = upstream([live()], answers).await;
    let begun = Instant::now();
    let following = Following::start(source(&upstream, "abc"));
    following.delivered(1).await;
    let took = begun.elapsed();
    let expected = Duration::from_secs(2)..Duration::from_secs(5);
    assert!(expected.contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_page_that_is_unknown_is_followed_by_the_last_one() {
    let published = |id: &str, text: &str, time: Duration| {
        let mut said = said(id, text);
        said["snippet"]["publishedAt"] = calendar::extended(time).into();
        said
    };
    let (mut polls, mut newest) = (0, Duration::ZERO);
    let upstream = Scripted::start(move |_| {
        polls += 1;
        match polls {
            1 => page("1", []),
            2 => {
                newest = since_epoch();
                page("2", [published("a", "🔥", newest)])
            }
            3 => error(400, "pageTokenInvalid"),
            // The last ones of before, too: of them the newest may be of now.
            4 => {
                let before = newest - Duration::from_millis(100);
                let items = [
                    published("old", "🔥", before),
                    published("a", "🔥", newest),
                    published("b", "👍", since_epoch()),
                ];
                page("9", items)
            }
            _ => Reply::Hold,
        }
    })
    .await;
    let following = Following::start(source(&upstream, "chat/abc"));
    following.delivered(2).await;
    assert_eq!(following.shown(), ["🔥1", "👍1"]);
    until("it goes on", || pages(&upstream).len() == 5).await;
    let asked: Vec<_> = pages(&upstream)
        .into_iter()
        .map(Option::unwrap_or_default)
        .collect();
    assert_eq!(asked, ["", "1", "2", "", "9"]);
}

#[tokio::test]
async fn an_api_that_knows_no_page_is_asked_ever_more_slowly() {
    let answers = [
        page("1", []),
        error(400, "pageTokenInvalid"),
        error(400, "pageTokenInvalid"),
        page("2", [said("a", "🔥")]),
    ];
    let upstream = upstream([live()], answers).await;
    let following = Following::start(source(&upstream, "abc"));
    let status = following.is(State::Waiting).await;
    assert!(status.why.contains("knows no page"), "{status:?}");
    following.delivered(1).await;
}

#[tokio::test]
async fn what_is_odd_in_an_answer_is_passed_over() {
    let odd = json!({
        "pollingIntervalMillis": 1.5,
        "nextPageToken": "1",
        "items": [7, "🔥", null, [], {"id": 7, "snippet": []}, said("a", "🔥")],
    });
    let odder = json!({
        "pollingIntervalMillis": "soon",
        "nextPageToken": ["2"],
        "items": {"id": "b"},
    });
    let answers = [Reply::json(200, &odd), Reply::json(200, &odder)];
    let upstream = upstream([live()], answers).await;
    let following = Following::start(source(&upstream, "abc"));
    following.delivered(1).await;
    until("it goes on", || pages(&upstream).len() == 2).await;
    following.is(State::Live).await;
    assert_eq!(following.metrics.reconnects.get(), 0);
    let videos = Reply::json(200, &json!({"items": [7, {"id": ["a"]}]}));
    let upstream = self::upstream([videos], []).await;
    let following = Following::start(source(&upstream, "abc"));
    let status = following.is(State::Refused).await;
    assert!(status.why.contains("is no live stream"), "{status:?}");
}

#[tokio::test]
async fn the_next_question_waits_as_long_as_it_is_told() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let (kept, mut intervals) = (times.clone(), [1_200, 0].into_iter());
    let upstream = Scripted::start(move |_| {
        kept.lock().unwrap().push(Instant::now());
        let told = |ms| json!({"pollingIntervalMillis": ms, "nextPageToken": "1", "items": []});
        let interval = intervals.next();
        interval.map_or(Reply::Hold, |ms| Reply::json(200, &told(ms)))
    })
    .await;
    let _following = Following::start(source(&upstream, "chat/abc"));
    until("three questions", || times.lock().unwrap().len() == 3).await;
    let times = times.lock().unwrap();
    let [first, second] = [times[1] - times[0], times[2] - times[1]];
    // Counted from the answer, which comes after the question.
    assert!(first >= Duration::from_millis(1_200), "as told: {first:?}");
    assert!(
        second >= Duration::from_millis(250),
        "never at once: {second:?}"
    );
}

#[tokio::test]
async fn refusals_say_what_to_do_and_keep_the_key() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let newer = json!({"error": {"message": "API key not valid.", "details": [{"reason": "API_KEY_INVALID"}]}});
    for (videos, messages, state, told) in [
        (
            live(),
            error(403, "quotaExceeded"),
            State::Refused,
            "midnight Pacific",
        ),
        (
            live(),
            error(403, "rateLimitExceeded"),
            State::Waiting,
            "answered 403",
        ),
        (live(), Reply::text(429, "slow"), State::Waiting, "slow"),
        (
            live(),
            Reply::text(503, format!("{}{KEY}", "x".repeat(180))),
            State::Waiting,
            "xxx[key]",
        ),
        (
            live(),
            error(403, "liveChatDisabled"),
            State::Refused,
            "turn the chat on",
        ),
        (
            live(),
            error(404, "liveChatNotFound"),
            State::Refused,
            "name a stream that there is",
        ),
        (
            live(),
            error(403, "forbidden"),
            State::Refused,
            "give a key that may use",
        ),
        (
            live(),
            error(400, "badRequest"),
            State::Refused,
            "check the address",
        ),
        (live(), Reply::Endless, State::Waiting, "longer than"),
        (
            error(400, "keyInvalid"),
            Reply::Hold,
            State::Refused,
            "give another key",
        ),
        (
            Reply::json(400, &newer),
            Reply::Hold,
            State::Refused,
            "give another key",
        ),
        (
            error(403, "accessNotConfigured"),
            Reply::Hold,
            State::Refused,
            "turn the YouTube Data API v3 on",
        ),
        (
            Reply::json(200, &json!({"items": []})),
            Reply::Hold,
            State::Refused,
            "there is no video \"abc\"",
        ),
        (
            Reply::json(200, &json!({"items": [{"id": "abc"}]})),
            Reply::Hold,
            State::Refused,
            "is no live stream",
        ),
        (
            video(json!({"actualStartTime": "x"})),
            Reply::Hold,
            State::Refused,
            "has no chat",
        ),
        (
            video(json!({"scheduledStartTime": "x"})),
            Reply::Hold,
            State::Waiting,
            "has not begun",
        ),
    ] {
        let upstream = upstream([videos], [messages]).await;
        let following = Following::start(source(&upstream, "abc"));
        let status = following.is(state).await;
        assert!(status.why.contains(told), "{told}: {status:?}");
        assert!(!status.why.contains(KEY), "{status:?}");
    }
    let logged = log.text();
    assert!(
        logged.contains("midnight Pacific") && !logged.contains(KEY),
        "{logged}"
    );
}

#[tokio::test]
async fn the_quota_is_said_once() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let told = json!({"pollingIntervalMillis": 500, "nextPageToken": "1", "items": []});
    let all = [
        Reply::json(200, &told),
        Reply::json(200, &told),
        Reply::json(200, &told),
    ];
    let upstream = upstream([live()], all).await;
    let _following = Following::start(source(&upstream, "abc"));
    asked(&upstream, 5).await;
    let logged = log.text();
    assert_eq!(
        logged.matches("takes 36000 units an hour").count(),
        1,
        "{logged}"
    );
}

#[tokio::test]
async fn a_stream_that_is_over_has_ended() {
    let offline = json!({"offlineAt": "2026-01-01T00:00:00Z", "items": [said("a", "🔥")]});
    for (videos, messages, count) in [
        (live(), Reply::json(200, &offline), 1),
        (
            live(),
            page(
                "1",
                [said("a", "🔥"), event("e", "chatEndedEvent", json!({}))],
            ),
            1,
        ),
        (live(), error(403, "liveChatEnded"), 0),
        (video(json!({"actualEndTime": "x"})), Reply::Hold, 0),
    ] {
        let upstream = upstream([videos], [messages]).await;
        let following = Following::start(source(&upstream, "abc"));
        let status = following.is(State::Ended).await;
        assert_eq!(status.why, "the stream is over");
        assert_eq!(following.now().len(), count, "the last messages float");
    }
}

#[test]
fn an_address_names_a_video_or_a_chat() {
    for (text, shown) in [
        ("youtube:dQw4w9WgXcQ", "youtube:dQw4w9WgXcQ"),
        ("YouTube:chat/Cg0KC-_=%3D", "youtube:chat/Cg0KC-_=%3D"),
        (
            "youtube:a?server=http://127.0.0.1:9",
            "youtube:a?server=http://127.0.0.1:9/",
        ),
    ] {
        let address: Address = text.parse().unwrap();
        assert_eq!(address.to_string(), shown);
        let error = Source::new(&address, &Secrets::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("YOUTUBE_API_KEY"), "{error}");
        let broken = Secrets::of(Some("a\u{0}b".into()));
        let error = Source::new(&address, &broken).unwrap_err().to_string();
        assert!(!error.contains('\0'), "{error}");
    }
    for text in [
        "youtube:",
        "youtube:chat/",
        "youtube:https://youtu.be/dQw4w9WgXcQ",
        "youtube:a b",
        "youtube:a?key=x",
        "youtube:a?server=ftp://h",
    ] {
        assert!(text.parse::<Address>().is_err(), "{text}");
    }
}

/// What is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
