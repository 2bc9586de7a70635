//! Redis: channels, patterns and streams.

use floatup::source::State;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisResult, Value};
use tokio::time::{Duration, sleep, timeout};

use super::relay::relayed;
use super::{
    BACKLOG, Broker, SAMPLES, check_backlog, check_numbers, check_samples, follow, numbered, source,
};
use crate::following::Following;
use crate::in_process::DEADLINE;

fn broker(more: &[&str]) -> Broker {
    Broker::new("redis-server", |_, port| {
        let port = port.to_string();
        let fixed = ["--port", &port, "--bind", "127.0.0.1", "--save", ""];
        let log = ["--appendonly", "yes"];
        let arguments = fixed.iter().chain(&log).chain(more);
        arguments.map(|argument| (*argument).to_owned()).collect()
    })
}

async fn started(more: &[&str]) -> Broker {
    let mut broker = broker(more);
    broker.start().await;
    broker
}

impl Broker {
    fn redis(&self, options: &str) -> String {
        format!("redis://127.0.0.1:{}?{options}", self.port)
    }

    /// A connection to a server that has read its data.
    async fn client(&self) -> MultiplexedConnection {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        let answers = async {
            loop {
                let connected = client.get_multiplexed_async_connection().await;
                if let Ok(mut connection) = connected
                    && redis::cmd("PING").exec_async(&mut connection).await.is_ok()
                {
                    return connection;
                }
                // Yields to the server.
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(DEADLINE, answers).await.expect("it answers")
    }
}

async fn ask<T: FromRedisValue>(to: &mut MultiplexedConnection, words: &[&str]) -> RedisResult<T> {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]).query_async(to).await
}

async fn run(to: &mut MultiplexedConnection, words: &[&str]) {
    let done: RedisResult<Value> = ask(to, words).await;
    done.unwrap_or_else(|error| panic!("{words:?}: {error}"));
}

async fn publish(to: &mut MultiplexedConnection, channel: &str, payload: &[u8]) {
    let mut publish = redis::cmd("PUBLISH");
    publish.arg(channel).arg(payload);
    let readers: i64 = publish.query_async(to).await.unwrap();
    assert_eq!(readers, 1);
}

/// The stream, by a port.
fn stream(port: u16) -> String {
    format!("redis://127.0.0.1:{port}?stream=live")
}

/// Adds a number to a stream.
async fn add(to: &mut MultiplexedConnection, number: u32) {
    run(to, &["XADD", "live", "*", "payload", &numbered(number)]).await;
}

#[tokio::test]
async fn what_is_published_to_a_channel_is_read_and_counted() {
    let broker = started(&[]).await;
    let mut client = broker.client().await;
    for options in ["channel=live:a", "pattern=live:*"] {
        let following = follow(&broker.redis(options));
        following.is(State::Live).await;
        for (payload, _) in SAMPLES {
            publish(&mut client, "live:a", payload).await;
        }
        check_samples(&following).await;
        drop(following);
        // The next one is the only one.
        let deserted = async {
            let mut readers = 1;
            while readers > 0 {
                // Yields to the server.
                sleep(Duration::from_millis(1)).await;
                let sent: (String, i64) = ask(&mut client, &["PUBSUB", "NUMSUB", "live:a"])
                    .await
                    .unwrap();
                let patterns: i64 = ask(&mut client, &["PUBSUB", "NUMPAT"]).await.unwrap();
                readers = sent.1 + patterns;
            }
        };
        timeout(DEADLINE, deserted).await.expect("nobody reads");
    }
}

#[tokio::test]
async fn a_channel_goes_on_after_its_server_was_away() {
    let mut broker = broker(&[]);
    let following = follow(&broker.redis("channel=live"));
    let status = following.is(State::Waiting).await;
    assert!(status.why.contains("127.0.0.1"), "{}", status.why);
    broker.start().await;
    following.is(State::Live).await;
    for number in 1..=3 {
        let mut client = broker.client().await;
        publish(&mut client, "live", numbered(number).as_bytes()).await;
        check_numbers(&following, number).await;
        broker.kill();
        let status = following.is(State::Waiting).await;
        assert!(
            status.why.contains("a stream would keep it") || number > 1,
            "{}",
            status.why
        );
        broker.start().await;
        following.is(State::Live).await;
    }
}

#[tokio::test]
async fn the_entries_of_a_stream_are_read_and_counted() {
    let broker = started(&[]).await;
    let mut client = broker.client().await;
    run(&mut client, &["XADD", "live", "*", "payload", "fire"]).await;
    let following = follow(&broker.redis("stream=live"));
    following.is(State::Live).await;
    for (payload, _) in SAMPLES {
        let mut added = redis::cmd("XADD");
        added.arg("live").arg("*").arg("payload").arg(payload);
        let added: RedisResult<Value> = added.query_async(&mut client).await;
        added.unwrap();
    }
    check_samples(&following).await;
    assert!(following.sent_at().iter().all(Option::is_some));
}

#[tokio::test]
async fn a_payload_is_one_field_of_an_entry() {
    let broker = started(&[]).await;
    let mut client = broker.client().await;
    run(&mut client, &["XADD", "live", "*", "a", "b"]).await;
    let any = follow(&broker.redis("stream=live"));
    let one = follow(&broker.redis("stream=live&field=text"));
    any.is(State::Live).await;
    one.is(State::Live).await;
    for fields in [
        &["text", "heart"][..],
        &["from", "ann", "reaction", "fire"],
        &["from", "ann", "text", "clap"],
        &["from", "ann", "message", "rocket", "text", "eyes"],
    ] {
        run(&mut client, &[&["XADD", "live", "*"], fields].concat()).await;
    }
    any.delivered(3).await;
    one.delivered(3).await;
    assert_eq!(any.shown(), ["❤️1", "🔥1", "🚀1"]);
    assert_eq!(one.shown(), ["❤️1", "👏1", "👀1"]);
    let refused = [&any, &one].map(|following| following.metrics.refused.get());
    assert_eq!(refused, [1, 1]);
}

#[tokio::test]
async fn of_a_stream_nothing_is_lost_or_doubled_when_its_server_is_killed() {
    let mut broker = started(&[]).await;
    let mut client = broker.client().await;
    run(&mut client, &["XADD", "live", "*", "payload", "fire"]).await;
    let following = follow(&broker.redis("stream=live"));
    following.is(State::Live).await;
    for number in 1..=600 {
        add(&mut client, number).await;
        if number % 200 == 0 {
            broker.kill();
            broker.start().await;
            client = broker.client().await;
        }
    }
    add(&mut client, 601).await;
    check_numbers(&following, 601).await;
    assert_eq!(following.metrics.gap_items.get(), 0);
    assert!(following.metrics.reconnects.get() >= 1);
}

#[tokio::test]
async fn a_backlog_of_a_stream_is_read_whole() {
    let broker = started(&[]).await;
    let mut client = broker.client().await;
    run(&mut client, &["XADD", "live", "*", "payload", "fire"]).await;
    let (relay, following) = relayed(&broker, stream).await;
    relay.cut();
    following.is(State::Waiting).await;
    let (count, message) = BACKLOG;
    let mut burst = redis::pipe();
    for _ in 0..count {
        burst
            .cmd("XADD")
            .arg(&["live", "*", "payload", message])
            .ignore();
    }
    burst.exec_async(&mut client).await.unwrap();
    relay.mend();
    check_backlog(&following, async || add(&mut client, 1).await).await;
}

#[tokio::test]
async fn what_was_trimmed_meanwhile_is_told() {
    let broker = started(&[]).await;
    let mut client = broker.client().await;
    run(&mut client, &["XADD", "live", "*", "payload", "fire"]).await;
    let (relay, following) = relayed(&broker, stream).await;
    add(&mut client, 1).await;
    check_numbers(&following, 1).await;
    relay.cut();
    following.is(State::Waiting).await;
    for number in 2..=20 {
        add(&mut client, number).await;
    }
    run(&mut client, &["XTRIM", "live", "MAXLEN", "5"]).await;
    relay.mend();
    following.delivered(6).await;
    let kept = ["❤️1", "❤️16", "❤️17", "❤️18", "❤️19", "❤️20"];
    assert_eq!(following.shown(), kept);
    assert_eq!(following.metrics.gap_items.get(), 14);
    // A key that is deleted, and made again by the next entry.
    relay.cut();
    following.is(State::Waiting).await;
    run(&mut client, &["DEL", "live"]).await;
    for number in 21..=23 {
        add(&mut client, number).await;
    }
    run(&mut client, &["XTRIM", "live", "MAXLEN", "2"]).await;
    relay.mend();
    following.delivered(8).await;
    assert_eq!(following.shown()[6..], ["❤️22", "❤️23"]);
    assert_eq!(following.metrics.gap_items.get(), 15);
}

#[tokio::test]
async fn entries_that_were_trimmed_faster_than_they_were_read_are_told() {
    let broker = started(&[]).await;
    let mut client = broker.client().await;
    run(&mut client, &["XADD", "live", "*", "payload", "fire"]).await;
    let following = follow(&broker.redis("stream=live"));
    following.is(State::Live).await;
    // Nobody can read in the middle of a transaction.
    let mut burst = redis::pipe();
    burst.atomic();
    for number in 1..=100 {
        let add = burst
            .cmd("XADD")
            .arg("live")
            .arg("MAXLEN")
            .arg("10")
            .arg("*");
        add.arg("payload").arg(numbered(number));
    }
    let added: RedisResult<Value> = burst.query_async(&mut client).await;
    added.unwrap();
    following.delivered(10).await;
    let lost = &following.metrics.gap_items;
    crate::in_process::until("the rest is told of", || lost.get() > 0).await;
    assert_eq!((following.shown().len(), lost.get()), (10, 90));
}

/// Adds a number after another until the reader has looked at the whole stream once more, and gives
/// the last one.
async fn looked(client: &mut MultiplexedConnection, mut number: u32, following: &Following) -> u32 {
    async fn looks(client: &mut MultiplexedConnection) -> u32 {
        let stats: String = ask(client, &["INFO", "commandstats"]).await.unwrap();
        let calls = stats.split_once("cmdstat_xinfo|stream:calls=");
        let calls = calls.and_then(|(_, rest)| rest.split_once(','));
        calls.map_or(0, |(calls, _)| calls.parse().unwrap())
    }
    let before = looks(client).await;
    // What one look says is known when the next one is asked for.
    while looks(client).await < before + 2 {
        number += 1;
        add(client, number).await;
        following.delivered(number as usize).await;
        // Yields to the server.
        sleep(Duration::from_millis(10)).await;
    }
    number
}

#[tokio::test]
async fn a_stream_that_is_made_anew_while_it_is_read_has_lost_nothing() {
    let broker = started(&[]).await;
    let mut client = broker.client().await;
    run(&mut client, &["XADD", "live", "*", "payload", "fire"]).await;
    let following = follow(&broker.redis("stream=live"));
    following.is(State::Live).await;
    for number in 1..=9 {
        add(&mut client, number).await;
    }
    let number = looked(&mut client, 9, &following).await;
    run(&mut client, &["DEL", "live"]).await;
    let last = looked(&mut client, number, &following).await;
    check_numbers(&following, last).await;
    assert_eq!(following.metrics.gap_items.get(), 0);
}

#[tokio::test]
async fn a_replica_that_lags_brings_nothing_twice() {
    let broker = started(&[]).await;
    let mut client = broker.client().await;
    run(&mut client, &["XADD", "live", "*", "payload", "fire"]).await;
    let following = follow(&broker.redis("stream=live"));
    following.is(State::Live).await;
    let mut states: Vec<Vec<u8>> = Vec::new();
    for number in 1..=4 {
        add(&mut client, number).await;
        states.push(ask(&mut client, &["DUMP", "live"]).await.unwrap());
    }
    check_numbers(&following, 4).await;
    // As after a failover: what was replicated by then, and the rest a little later.
    for (state, known) in [(1, State::Degraded), (3, State::Live)] {
        let mut restore = redis::cmd("RESTORE");
        restore
            .arg("live")
            .arg(0)
            .arg(&states[state])
            .arg("REPLACE");
        restore.exec_async(&mut client).await.unwrap();
        following.is(known).await;
    }
    add(&mut client, 5).await;
    check_numbers(&following, 5).await;
    assert_eq!(following.metrics.gap_items.get(), 0);
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_waited_for() {
    let broker = started(&[]).await;
    let mut client = broker.client().await;
    let following = follow(&broker.redis("stream=live"));
    let status = following.is(State::Degraded).await;
    assert!(
        status.why.contains("there is no stream \"live\" yet"),
        "{}",
        status.why
    );
    add(&mut client, 1).await;
    check_numbers(&following, 1).await;
    following.is(State::Live).await;
    run(&mut client, &["SET", "text", "x"]).await;
    let status = follow(&broker.redis("stream=text"))
        .is(State::Refused)
        .await;
    assert!(status.why.contains("is no stream"), "{}", status.why);
}

#[tokio::test]
async fn who_reads_is_shown_by_a_password() {
    let mut broker = started(&["--requirepass", "s3cret"]).await;
    for options in ["channel=live", "stream=live"] {
        let address = broker.redis(options);
        for secret in [None, Some("wr0ng"), Some("ann:s3cret")] {
            let following = Following::start(source(&address, secret));
            let status = following.is(State::Refused).await;
            assert!(status.why.contains("REDIS_PASSWORD"), "{}", status.why);
            assert!(!status.why.contains("wr0ng"), "{}", status.why);
        }
    }
    let address = broker.redis("channel=live");
    for secret in ["s3cret", "default:s3cret"] {
        let following = Following::start(source(&address, Some(secret)));
        following.is(State::Live).await;
    }
    // Who is refused is let in when that is mended.
    let refused = follow(&address);
    refused.is(State::Refused).await;
    broker.kill();
    broker.arguments.truncate(broker.arguments.len() - 2);
    broker.start().await;
    refused.is(State::Live).await;
}

#[tokio::test]
async fn a_server_without_hello_is_refused_and_repeats_no_password() {
    let broker = started(&["--rename-command", "HELLO", ""]).await;
    for options in ["channel=live", "stream=live"] {
        for secret in ["s3cret", "ann:s3cret"] {
            let following = Following::start(source(&broker.redis(options), Some(secret)));
            let status = following.is(State::Refused).await;
            assert!(status.why.contains("HELLO is neither"), "{}", status.why);
            for secret in ["s3cret", "ann"] {
                assert!(!status.why.contains(secret), "{}", status.why);
            }
        }
    }
}

#[tokio::test]
async fn what_a_user_is_not_allowed_is_refused() {
    let broker = started(&[]).await;
    let mut client = broker.client().await;
    let rules = ["on", ">s3cret", "&live", "+subscribe", "+ping"];
    run(
        &mut client,
        &[&["ACL", "SETUSER", "ann"], &rules[..]].concat(),
    )
    .await;
    for (options, state) in [
        ("channel=live", State::Live),
        ("channel=other", State::Refused),
        ("pattern=*", State::Refused),
        ("stream=live", State::Refused),
    ] {
        let following = Following::start(source(&broker.redis(options), Some("ann:s3cret")));
        let status = following.is(state).await;
        let is_told = status.why.contains("allow this user");
        assert_eq!(
            is_told,
            state == State::Refused,
            "{options}: {}",
            status.why
        );
    }
}
