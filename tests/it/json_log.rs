//! The log as JSON, and how much there is of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use serde_json::Value as Json;

use crate::floatup::{Service, http, run, stderr, until};

/// The lines of a log, each an object with all that a line has.
fn lines(log: &str) -> Vec<Json> {
    let line = |line: &str| {
        let read: Json = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for key in ["timestamp", "level", "message"] {
            assert!(read[key].is_string(), "{key}: {line}");
        }
        read
    };
    log.lines().map(line).collect()
}

#[test]
fn every_line_of_a_run_with_faults_is_an_object() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    symlink("/dev/full", folder.join("full.rgba")).unwrap();
    let settings = "log_format = 'json'\nsource = ['http://127.0.0.1:9/topics/a/b']\n\
                    output = ['full.rgba', 'unix:socket']";
    fs::write(folder.join("floatup.toml"), settings).unwrap();
    let args = ["--config", "floatup.toml", "--size", "64x36", "--fps", "30"];
    let service = Service::start(folder, &args);
    for _ in 0..2 {
        let listener = UnixListener::bind(folder.join("socket")).unwrap();
        drop(listener.accept().unwrap());
        fs::remove_file(folder.join("socket")).unwrap();
    }
    until("it has lost its reader twice", || {
        service.figure("reopened_total", "unix:socket") == 2
    });
    let (status, log) = service.stop();
    assert_eq!(status.code(), Some(1), "{log}");
    let lines = lines(&log);
    let has = |about: &[(&str, &str)], message: &str| {
        let is_it = |line: &&Json| {
            let is_about = |(key, value): &(&str, &str)| line[*key] == *value;
            about.iter().all(is_about) && line["message"].as_str().unwrap().contains(message)
        };
        let count = lines.iter().filter(is_it).count();
        assert!(count > 0, "{about:?} {message:?}: {log}");
        count
    };
    has(&[("level", "INFO")], "is running");
    let full = [("channel", "demo"), ("output", "full.rgba")];
    assert_eq!(has(&full, "cannot write to full.rgba"), 1, "said once");
    let socket = [("channel", "demo"), ("output", "unix:socket")];
    assert_eq!(has(&socket, "is open"), 2, "{log}");
    assert_eq!(has(&socket, "is closed"), 2, "{log}");
    let source = [
        ("channel", "demo"),
        ("source", "http://127.0.0.1:9/topics/a/b"),
        ("state", "waiting"),
    ];
    has(&source, "is waiting: ");
    // Why it ends.
    has(&[("level", "ERROR")], "cannot write to full.rgba");
}

#[test]
fn what_is_wrong_with_settings_is_said_in_the_form_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("bad.toml"), "log_format = 'json'\nsize = 1").unwrap();
    let said = |args: &[&str]| {
        let output = run(folder, args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        stderr(&output)
    };
    for args in [
        &["--log-format", "json", "--size", "1"][..],
        &["--log-format=json", "--config", "none.toml"],
        &["--log-format=json", "--config", "bad.toml"],
        &["render", "--log-format=json", "--nonsense"],
    ] {
        let lines = lines(&said(args));
        assert_eq!(lines.len(), 1, "{args:?}");
        assert_eq!(lines[0]["level"], "ERROR");
    }
    // What asks for it can't be read.
    for args in [
        &["--log-format", "xml"][..],
        &["--log-format"],
        &["--config=bad.toml"],
        &["--size", "1"],
    ] {
        let text = said(args);
        assert!(text.starts_with("error: "), "{args:?}: {text}");
    }
    assert!(said(&["--log-format=xml"]).contains("expected text or json"));
}

/// Pauses and resumes a channel a hundred times, and gives what is said of it.
fn said_of_pauses(folder: &Path, format: &str) -> Vec<String> {
    let service = Service::start(folder, &["--log-format", format]);
    for _ in 0..100 {
        for what in ["pause", "resume", "resume"] {
            let path = format!("/api/channels/demo/{what}");
            assert_eq!(http(&service.address, "POST", &path, b"").0, 204);
        }
    }
    let (status, log) = service.stop();
    assert!(status.success(), "{log}");
    let said = log.lines().filter(|line| line.contains("by an operator"));
    said.map(String::from).collect()
}

/// This takes less than a minute, or else the first two minutes' lines are seen.
#[test]
fn a_line_that_repeats_is_said_so_often_and_then_how_often_it_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let text = said_of_pauses(folder.path(), "text");
    assert_eq!(text.len(), 21, "{text:?}");
    let left_out = "WARN 180 more lines like this one were left out: channel demo: resumed by an \
                    operator";
    assert!(text[20].ends_with(left_out), "{text:?}");
    let json = said_of_pauses(folder.path(), "json").join("\n");
    let json = lines(&json);
    assert_eq!(json.len(), 21, "{json:?}");
    assert_eq!(
        (&json[0]["level"], &json[0]["channel"]),
        (&"INFO".into(), &"demo".into())
    );
    assert_eq!(json[20]["left_out"], 180);
}
