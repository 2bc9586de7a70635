//! No secret is in a log, an error, a figure or an answer.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::floatup::{Service, floatup, http, run, stderr, until};

/// Each in a place of its own; none is a part of another, or of anything else that is said.
const SECRETS: [&str; 14] = [
    "streamkey-a1b2c3",
    "passphrase-d4e5f6",
    "ingest-g7h8i9",
    "querytoken-j1k2l3",
    "signingkey-0123456789abcdef0123456789",
    "webhooksecret-m4n5o6p7",
    "controlkey-q8r9s0t1u2",
    "mqttpassword-v3w4x5",
    "redispassword-y6z7a8",
    "natstoken-b9c0d1",
    "youtubekey-e2f3g4",
    "awssecret-h5i6j7",
    "viewertoken-k8l9m0",
    "inputkey-n1o2p3",
];

const ENVIRONMENT: [(&str, &str); 10] = [
    ("FLOATUP_SIGNING_KEY", SECRETS[4]),
    ("FLOATUP_WEBHOOK_SECRET", SECRETS[5]),
    ("FLOATUP_CONTROL_KEY", SECRETS[6]),
    ("MQTT_USERNAME", "ann"),
    ("MQTT_PASSWORD", SECRETS[7]),
    ("REDIS_PASSWORD", SECRETS[8]),
    ("NATS_TOKEN", SECRETS[9]),
    ("YOUTUBE_API_KEY", SECRETS[10]),
    ("AWS_SECRET_ACCESS_KEY", SECRETS[11]),
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
];

/// Nobody listens there.
fn nowhere() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[track_caller]
fn check(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{what} has {secret}:\n{text}");
    }
}

fn get(address: &str, path: &str) -> String {
    let (_, body) = http(address, "GET", path, b"");
    String::from_utf8_lossy(&body).into_owned()
}

fn outputs(port: u16) -> [String; 3] {
    [
        format!("rtmp://127.0.0.1:{port}/app/{}", SECRETS[0]),
        format!("srt://127.0.0.1:{port}?passphrase={}", SECRETS[1]),
        format!(
            "http://ann:{}@127.0.0.1:{port}/live.ts?token={}",
            SECRETS[2], SECRETS[3]
        ),
    ]
}

#[test]
fn serve_keeps_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let port = nowhere();
    let mut command = floatup();
    command
        .current_dir(folder.path())
        .envs(ENVIRONMENT)
        .args(["--listen=127.0.0.1:0", "--size=64x36", "--fps=5"])
        .args(["--background=black", "--timed-metadata"])
        .arg(format!(
            "arn:aws:ivs:us-east-1:123456789012:channel/abcd1234?endpoint=http://127.0.0.1:{port}"
        ));
    for output in outputs(port) {
        command.args(["--output", &output]);
    }
    for source in [
        format!("mqtt://127.0.0.1:{port}/a"),
        format!("redis://127.0.0.1:{port}?channel=a"),
        format!("nats://127.0.0.1:{port}/a"),
    ] {
        command.args(["--source", &source]);
    }
    let service = Service::run(command);
    let address = service.address.clone();
    for output in ["rtmp", "srt", "http"] {
        let name = format!("{output}://127.0.0.1:{port}");
        until("the output is tried", || {
            service.figure("frames_dropped_total", &name) > 0
        });
    }
    until("the sources are tried", || {
        let states = get(&address, "/readyz");
        states.matches(" waiting").count() == 3
    });
    let token = SECRETS[12];
    for path in [
        format!("/topics/video/demo?token={token}"),
        format!("/nothing?token={token}"),
        format!("/api/channels/none?token={token}"),
        format!("/topics/a/b/c?token={token}&token={token}"),
        format!("/topics/video/..?token={token}"),
        format!("/CreateRoom?key={}", SECRETS[6]),
        "/metrics".into(),
        "/readyz".into(),
        "/api/channels/demo".into(),
    ] {
        check(&path, &get(&address, &path));
        let (_, posted) = http(&address, "POST", &path, b"heart");
        check(&path, &String::from_utf8_lossy(&posted));
    }
    let (status, log) = service.stop();
    assert!(status.success(), "{log}");
    assert!(log.contains(&format!("rtmp://127.0.0.1:{port}")), "{log}");
    check("the log", &log);
}

#[test]
fn burn_in_keeps_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    crate::burn_in::media::video(
        folder.path(),
        "-f lavfi -i testsrc2=s=64x36:r=5:d=2 -c:v mpeg2video in.ts",
    );
    let port = nowhere();
    let outputs = outputs(port);
    let mut command = floatup();
    command.current_dir(folder.path()).envs(ENVIRONMENT).args([
        "burn-in",
        "--metrics=127.0.0.1:0",
        "in.ts",
        &outputs[0],
    ]);
    for output in &outputs[1..] {
        command.args(["--output", output]);
    }
    check("burn-in", &said(command));
    let mut command = floatup();
    let input = format!("rtmp://127.0.0.1:{port}/app/{}", SECRETS[13]);
    command
        .current_dir(folder.path())
        .args(["burn-in", "--on-input-loss=exit", &input, "out.ts"]);
    let said = said(command);
    check("burn-in", &said);
    assert!(said.contains(&format!("rtmp://127.0.0.1:{port}")), "{said}");
}

/// All that a command says until it ends.
fn said(mut command: Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    stderr(&output) + &String::from_utf8_lossy(&output.stdout)
}

#[test]
fn what_is_wrong_is_said_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let (key, word) = (SECRETS[0], SECRETS[2]);
    // Slips that people make: a protocol misspelt, a word too many, a password in an address.
    let misspelt = format!("rmtp://live.example/app/{key}");
    let spelt = format!("rtmp://live.example/app/{key}");
    let given = |scheme: &str| format!("{scheme}://ann:{word}@h.example/a?token={key}");
    let file = format!("output = ['{misspelt}']\nsource = ['{}']", given("x"));
    std::fs::write(folder.path().join("a.toml"), file).unwrap();
    for args in [
        &["serve", "--output", &misspelt][..],
        &["serve", "--output", &spelt, "--output", &spelt],
        &["serve", &spelt],
        &["serve", "--listen", &spelt],
        &["pipe", "--output", &misspelt],
        &["pipe", "--url", &given("ftp")],
        &["pipe", "--url", &given("http")],
        &["serve", "--source", &given("mqtt")],
        &["serve", "--source", &given("nats")],
        &["serve", "--source", &given("redis")],
        &["serve", "--source", &given("https")],
        &["serve", "--source", &given("gopher")],
        &["serve", "--chat-review", &given("ftp")],
        &["burn-in", "in.ts", &spelt, "--output", &spelt],
        &["burn-in", "in.ts", "out.ts", "--output", &spelt, "--seed=1"],
        &["burn-in", "in.ts", "out.ts", "third", &spelt],
        &["burn-in", &given("http"), "out.ts", "--crf=x"],
        &["check-config", "a.toml"],
        &["serve", "--config=a.toml"],
        &["doctor", "--config=a.toml"],
    ] {
        let said = failing(folder.path(), args);
        check(&format!("{args:?}"), &said);
    }
    for (name, value) in [
        ("FLOATUP_OUTPUT", misspelt.clone()),
        ("FLOATUP_SOURCE", given("x")),
        ("FLOATUP_LISTEN", spelt.clone()),
    ] {
        let mut command = floatup();
        command.env(name, &value);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        check(name, &stderr(&output));
    }
}

/// What a command that fails says.
fn failing(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    assert!(!output.status.success(), "{args:?}");
    stderr(&output) + &String::from_utf8_lossy(&output.stdout)
}
