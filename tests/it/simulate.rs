//! `floatup simulate`: what a crowd sends, and what it says of it.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use floatup::config;
use serde_json::{Value as Json, json};

use crate::floatup::{Service, floatup, http, run, send_signal, stderr};
use crate::in_process::{BOTH, Server};
use crate::scripted::{Asked, Reply, Scripted};
use floatup::server::Access;

/// The command against a topic, with its report as JSON.
fn command(topic: &str, args: &[&str]) -> Command {
    let mut command = floatup();
    command
        .args(["simulate", "--to", topic, "--json"])
        .args(args);
    command.stdin(Stdio::null());
    command
}

fn report(output: &Output) -> Json {
    let said = stderr(output);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"))
}

/// Runs the command beside a server of this process.
async fn simulate(topic: String, args: &'static [&'static str]) -> Output {
    let run = move || command(&topic, args).output().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[test]
fn a_steady_crowd_is_accepted_and_seen_to_the_last_message() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &["--size", "64x64", "--fps", "1"]);
    let topic = service.url("/topics/video/demo");
    let mix = ["--emoji", "heart=5,fire=1", "--counts", "1..3"];
    let load = ["--publishers", "8", "--rate", "400/s", "--duration", "1.5s"];
    let output = command(&topic, &load)
        .args(mix)
        .arg("--expect-all")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let report = report(&output);
    assert_eq!(report["topic"], Json::from(topic));
    for figure in ["planned", "sent", "accepted"] {
        assert_eq!(report[figure], 600, "{figure}: {report}");
    }
    assert_eq!(
        report["seen"],
        json!({"messages": 600, "lost": 0, "duplicates": 0, "out_of_order": 0})
    );
    assert_eq!(report["refused"], json!({}));
    assert_eq!(report["unanswered"], json!({"count": 0}));
    let seconds = report["seconds"].as_f64().unwrap();
    assert!((1.4..20.0).contains(&seconds), "{report}");
    let time = |row: &str, column: &str| report[row][column].as_f64().unwrap();
    for row in ["until_sent_ms", "until_answered_ms", "until_seen_ms"] {
        let columns = ["p50", "p90", "p99", "p99.9", "max"].map(|column| time(row, column));
        assert!(columns.is_sorted() && columns[0] > 0.0, "{report}");
    }
    // Nothing is answered before it is sent.
    assert!(time("until_answered_ms", "p50") >= time("until_sent_ms", "p50"));
    // They are reactions, so they float.
    let (_, metrics) = http(&service.address, "GET", "/metrics", b"");
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(
        metrics.contains("floatup_reactions_total{outcome=\"accepted\"} 600"),
        "{metrics}"
    );
    // The probes, by which it knew that the topic was followed, do not.
    let probes = metrics
        .lines()
        .find_map(|line| line.strip_prefix("floatup_reactions_total{outcome=\"other_type\"} "));
    let probes: u32 = probes.unwrap().parse().unwrap();
    let published = format!(
        "floatup_publishes_total{{status=\"204\"}} {}\n",
        600 + probes
    );
    assert!(probes > 0 && metrics.contains(&published), "{metrics}");
}

#[test]
fn the_report_is_a_table_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &["--size", "64x64", "--fps", "1"]);
    let topic = service.url("/topics/video/table");
    let load = ["--rate", "100", "--duration", "500ms", "--curve", "ramp"];
    let args = [&["simulate", "--to", &topic][..], &load].concat();
    let output = run(folder.path(), &args);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "load                      ramp, at most 100/s, for 500ms, by 10 publishers\n",
        "planned               25\n",
        "accepted              25  ",
        "seen                  25\n",
        "lost                   0  accepted, and not seen\n",
        "ms since due, to      median        p90        p99      p99.9    longest\n",
        "\n  being seen  ",
    ] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
}

#[tokio::test]
async fn each_publisher_has_a_token_of_its_own_and_one_that_is_given_is_everyones() {
    let server = Server::with(|service| service.access = Access::Required).await;
    let topic = server.url("/topics/video/demo");
    let args = &[
        "--publishers",
        "3",
        "--rate",
        "60",
        "--duration",
        "1s",
        "--expect-all",
    ];
    let output = simulate(topic.clone(), args).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let token = server.token("demo", BOTH);
    let given = move || {
        let mut command = command(&topic, args);
        command.env("FLOATUP_TOKEN", token).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(given).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let cursor = floatup::topic::Cursor {
        page: 0,
        sequence: 1,
    };
    let name = floatup::topic::TopicName::new("video", "demo").unwrap();
    let (events, _) = server
        .service
        .broker
        .next(&name, cursor, Duration::ZERO)
        .await
        .unwrap();
    let mut publishers = std::collections::BTreeMap::new();
    for event in events {
        let floatup::topic::Event::Item(item) = event else {
            panic!("{event:?}")
        };
        *publishers
            .entry(item.publisher.clone().unwrap())
            .or_insert(0) += 1;
    }
    // Three that asked for theirs, one of whom probed, and the one whose token was given.
    assert_eq!(publishers.len(), 4, "{publishers:?}");
    assert!(publishers["ann"] > 60, "with its probes: {publishers:?}");
    assert!(publishers.values().sum::<i32>() >= 122, "{publishers:?}");
}

/// An endpoint without tokens, which answers a publish by its number from 1.
async fn endpoint(mut answer: impl FnMut(u64) -> Reply + Send + 'static) -> Scripted {
    let mut published = 0;
    Scripted::start(move |asked: &Asked| {
        if asked.line.starts_with("POST /topics/") {
            published += 1;
            return answer(published);
        }
        match asked.line.starts_with("POST /tokens") {
            true => Reply::text(404, ""),
            false => Reply::Hold,
        }
    })
    .await
}

#[tokio::test]
async fn refusals_are_counted_by_status_and_change_no_due_time() {
    let server = endpoint(|number| match number {
        1..=10 => Reply::text(204, ""),
        11..=30 => Reply::json(429, &json!({"message": "too many"})),
        31..=35 => Reply::text(401, "no"),
        _ => Reply::text(204, ""),
    })
    .await;
    let topic = server.url("/topics/video/demo").to_string();
    let args = &[
        "--publishers",
        "1",
        "--rate",
        "50",
        "--duration",
        "1s",
        "--no-follow",
    ];
    let output = simulate(topic, args).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&output);
    assert_eq!(report["sent"], 50);
    assert_eq!(report["accepted"], 25);
    assert_eq!(report["refused"]["429"]["count"], 20);
    assert_eq!(report["refused"]["401"]["count"], 5);
    let first = report["refused"]["429"]["first"].as_str().unwrap();
    assert!(
        first.contains("429") && first.contains("too many"),
        "{report}"
    );
    assert_eq!(report["seen"], Json::Null);
    assert_eq!(report["until_seen_ms"], Json::Null);
}

#[tokio::test]
async fn an_endpoint_that_goes_away_leaves_the_rest_unanswered() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &["--size", "64x64", "--fps", "1"]);
    let topic = service.url("/topics/video/demo");
    let args = ["--rate", "100", "--duration", "2s"];
    let child = command(&topic, &args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    crate::floatup::until("messages are published", || {
        let (_, metrics) = http(&service.address, "GET", "/metrics", b"");
        let text = String::from_utf8(metrics).unwrap();
        let series = "floatup_publishes_total{status=\"204\"} ";
        let count = text.lines().find_map(|line| line.strip_prefix(series));
        count.is_some_and(|count| count.parse::<u64>().unwrap() > 40)
    });
    service.stop();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&output);
    let figure = |name: &str| report[name].as_u64().unwrap();
    let unanswered = report["unanswered"]["count"].as_u64().unwrap();
    assert_eq!(figure("sent"), 200, "{report}");
    assert!(figure("accepted") >= 20 && unanswered > 0, "{report}");
    assert_eq!(figure("accepted") + unanswered, 200, "{report}");
    let first = report["unanswered"]["first"].as_str().unwrap();
    assert!(!first.is_empty(), "{report}");
}

#[tokio::test]
async fn a_stall_counts_for_every_message_that_was_due_in_it() {
    // Answers to 10 messages, holds one for good, and answers the rest.
    let server = endpoint(|number| match number {
        11 => Reply::Hold,
        _ => Reply::text(204, ""),
    })
    .await;
    let topic = server.url("/topics/video/demo").to_string();
    let args = &[
        "--publishers",
        "1",
        "--rate",
        "20",
        "--duration",
        "2s",
        "--no-follow",
    ];
    let output = simulate(topic, args).await;
    let report = report(&output);
    assert_eq!(report["unanswered"]["count"], 1, "{report}");
    assert_eq!(report["accepted"], 39);
    // It is given up after 5 s. The one that was due next was due 4.95 s before that, and was no
    // sooner sent; the last one, 1.45 s later.
    let time = |row: &str, column: &str| report[row][column].as_f64().unwrap();
    assert!(time("until_sent_ms", "max") > 4_700.0, "{report}");
    assert!(time("until_answered_ms", "p50") > 3_000.0, "{report}");
}

#[tokio::test]
async fn what_is_lost_fails_where_all_is_expected() {
    // It says yes to everything, and shows the probe alone.
    let mut published: Vec<String> = Vec::new();
    let server = Scripted::start(move |asked: &Asked| {
        if asked.line.starts_with("POST /topics/") {
            let text = String::from_utf8(asked.body.to_vec()).unwrap();
            if text.contains("probe") {
                published.push(text);
            }
            return Reply::text(204, "");
        }
        match (asked.line.starts_with("GET"), published.pop()) {
            (true, Some(text)) => {
                let item = json!({"topic_sequence_number": 1, "sequence_page": 5,
                    "value": {"text": text}});
                Reply::json(200, &json!({ "items": [{ "item": item }] }))
            }
            (true, None) if asked.line.contains("sequence_number") => Reply::Hold,
            (true, None) => Reply::json(200, &json!({ "items": [] })),
            _ => Reply::text(404, ""),
        }
    })
    .await;
    let topic = server.url("/topics/video/demo").to_string();
    let args = &["--rate", "20", "--duration", "500ms", "--expect-all"];
    let output = simulate(topic, args).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report(&output)["seen"]["lost"], 10);
    let said = stderr(&output);
    let expected = "--expect-all: of 10 messages 0 were not accepted, 10 were lost";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn an_interrupt_ends_it_with_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &["--size", "64x64", "--fps", "1"]);
    let topic = service.url("/topics/video/demo");
    let child = command(&topic, &["--rate", "50", "--duration", "1h"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    crate::floatup::until("reactions are published", || {
        let (_, metrics) = http(&service.address, "GET", "/metrics", b"");
        let text = String::from_utf8(metrics).unwrap();
        let series = "floatup_reactions_total{outcome=\"accepted\"} ";
        let count = text.lines().find_map(|line| line.strip_prefix(series));
        count.is_some_and(|count| count.parse::<u64>().unwrap() > 5)
    });
    send_signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&output);
    assert_eq!(report["ended_early"], true);
    assert_eq!(report["planned"], 180_000);
    assert_eq!(report["sent"], report["seen"]["messages"], "{report}");
}

#[tokio::test]
async fn it_says_why_it_cannot_begin() {
    let folder = tempfile::tempdir().unwrap();
    let fails = |topic: &str, parts: &[&str]| {
        let output = command(topic, &[]).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(output.stdout.is_empty());
        for part in parts {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
    };
    // Nobody is there any more.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let topic = format!("http://{address}/topics/video/demo");
    fails(&topic, &["cannot begin: ", "--to", &address.to_string()]);
    let args = ["--caches", "other"];
    let caches = [&args[..], &["--size", "64x64"]].concat();
    std::fs::write(
        folder.path().join("floatup.toml"),
        "[[channel]]\nname = \"demo\"\ncache = \"other\"\n",
    )
    .unwrap();
    let caches = [&caches[..], &["--config", "floatup.toml"]].concat();
    let service = Service::start(folder.path(), &caches);
    let topic = service.url("/topics/video/demo");
    fails(&topic, &["cannot begin: ", "404", "video"]);
    fails(
        "twitch:somebody",
        &["--to twitch:somebody", "topics/video/demo"],
    );
}

#[test]
fn wrong_values_are_refused_by_their_flags() {
    let refused = |args: &[&str]| {
        let args = ["floatup", "simulate"].iter().chain(args);
        let error = config::command(args.map(Into::into), |_| None).unwrap_err();
        error.to_string()
    };
    for (args, parts) in [
        (
            &["--rate", "0/s"][..],
            &["--rate", "0.01/s to 1000000/s"][..],
        ),
        (&["--rate", "5/m"], &["--rate", "500/s"]),
        (&["--duration", "1ms"], &["--duration", "100ms to 24h"]),
        (&["--duration", "2d"], &["--duration", "10m"]),
        (&["--publishers", "0"], &["--publishers", "1 to 10000"]),
        (&["--curve", "flat"], &["--curve", "steady, ramp or spike"]),
        (&["--emoji", "heart=x"], &["--emoji", "heart=5,fire=1"]),
        (&["--counts", "0"], &["--counts", "1 to 1000"]),
        (
            &["--expect-all", "--no-follow"],
            &["--expect-all", "--no-follow"],
        ),
        (
            &["--rate", "0.01", "--duration", "1s"],
            &["--rate 0.01/s", "--duration 1s", "no message"],
        ),
        (
            &["--rate", "1000000", "--duration", "1h"],
            &["--rate 1000000/s", "3600000000 messages", "100000000"],
        ),
    ] {
        let said = refused(args);
        for part in parts {
            assert!(said.contains(part), "{args:?}: no {part:?} in {said}");
        }
    }
    for (time, expected) in [
        ("250ms", 250),
        ("1.5s", 1_500),
        ("2", 2_000),
        ("10m", 600_000),
    ] {
        let args = ["floatup", "simulate", "--rate", "100", "--duration", time];
        let command = config::command(args.map(Into::into), |_| None).unwrap();
        let config::Command::Simulate(job) = command else {
            panic!("{command:?}")
        };
        assert_eq!(job.schedule.count(), expected / 10, "{time}");
    }
}
