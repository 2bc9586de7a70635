//! Timed metadata of recordings: ID3 in transport streams and HLS.

use std::fs;
use std::path::Path;
use std::time::Duration;

use floatup::source::{Address, Secrets, Source, State};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use crate::burn_in::media::{H264, video};
use crate::burn_in::ts::add_data_of;
use crate::floatup::{run, stderr};
use crate::following::Following;

const LABELS: [&str; 3] = ["heart", "{\"r\":{\"fire\":3,\"100\":1}}", "no reaction"];

/// A recording with cues at 0.5, 1 and 1.5 s.
fn recording(folder: &Path) {
    // Without B pictures, so that the first picture is at the time that labels count from.
    video(folder, &format!("{H264} -bf 0 plain.ts"));
    add_data_of(folder, "plain.ts", "rec.ts", LABELS);
}

fn lines(stdout: &[u8]) -> Vec<Json> {
    let lines = str::from_utf8(stdout).unwrap().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn expected() -> [Json; 3] {
    [
        json!({"at_ms": 500, "reaction": "❤️", "count": 1}),
        json!({"at_ms": 1000, "reaction": "💯", "count": 1}),
        json!({"at_ms": 1000, "reaction": "🔥", "count": 3}),
    ]
}

#[test]
fn a_recordings_cues_are_a_reaction_log() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recording(folder);
    let output = run(folder, &["cues", "rec.ts"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(lines(&output.stdout), expected());
    assert!(stderr(&output).contains("1 texts are no reactions"));
    // The log is one that others take.
    fs::write(folder.join("log.ndjson"), &output.stdout).unwrap();
    let burn = [
        "burn-in",
        "plain.ts",
        "out.mkv",
        "--reactions",
        "log.ndjson",
    ];
    let output = run(folder, &burn);
    assert!(output.status.success(), "{}", stderr(&output));

    // HLS whose segments are such streams.
    let playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nrec.ts\n#EXT-X-ENDLIST\n";
    fs::write(folder.join("list.m3u8"), playlist).unwrap();
    let output = run(folder, &["cues", "list.m3u8"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(lines(&output.stdout), expected());
}

#[test]
fn a_recordings_cues_are_a_source_that_plays() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recording(folder);
    let begun = Instant::now();
    let output = run(folder, &["follow", "cues:rec.ts"]);
    // The last is due after 1.5 s.
    assert!(begun.elapsed() >= Duration::from_millis(1_500));
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = lines(&output.stdout);
    let told = lines.iter().map(|line| (&line["text"], &line["outcome"]));
    let told: Vec<_> = told
        .map(|(text, outcome)| (text.as_str(), outcome.as_str()))
        .collect();
    let outcomes = ["accepted", "accepted", "unknown"].map(Some);
    assert_eq!(
        told,
        LABELS
            .map(Some)
            .into_iter()
            .zip(outcomes)
            .collect::<Vec<_>>()
    );
    let log = stderr(&output);
    assert!(log.contains("cues:rec.ts is live"), "{log}");
    assert!(log.contains("cues:rec.ts has ended"), "{log}");
}

#[tokio::test]
async fn an_input_that_is_not_there_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recording(folder);
    let input = folder.join("later.ts");
    let address: Address = format!("cues:{}", input.display()).parse().unwrap();
    let following = Following::start(Source::new(&address, &Secrets::default()).unwrap());
    let told = following.is(State::Refused).await.why;
    assert!(told.contains("No such file"), "{told}");
    fs::rename(folder.join("rec.ts"), input).unwrap();
    following.delivered(2).await;
    following.is(State::Ended).await;
    assert_eq!(following.shown(), ["❤️1", "💯1 🔥3"]);
}

#[test]
fn an_address_has_no_password() {
    let told = "cues:https://user:hunter2@h/live.m3u8".parse::<Address>();
    let told = told.unwrap_err().to_string();
    assert!(
        told.contains("password") && !told.contains("hunter2"),
        "{told}"
    );
}

#[test]
fn what_has_no_cues_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    video(folder, &format!("{H264} plain.ts"));
    fs::write(folder.join("text.ts"), "heart").unwrap();
    for (name, part) in [
        ("plain.ts", "no timed metadata"),
        ("gone.ts", "cannot read gone.ts"),
        ("text.ts", "cannot read text.ts"),
    ] {
        let output = run(folder, &["cues", name]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
}
