//! What goes wrong with time and with names, as the process is told of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::upstream::{Proxy, Way};
use super::{SLACK, Watched, get, is_polled, publish_hearts, right_again};
use crate::floatup::{Service, http, until};
use crate::sinks::frames;

/// What stands between the process and the C library, from `shim.c`.
fn shim(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults/shim.c");
    let shim = folder.join("shim.so");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&shim);
    let compiled = compile.arg(source).arg("-ldl").status();
    assert!(compiled.expect("cc runs").success());
    shim
}

fn upstream() -> Service {
    Service::start(Path::new("."), &["--size", "16x16", "--fps", "1"])
}

#[test]
fn a_name_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let (shim, name) = (shim(folder.path()), folder.path().join("name"));
    let upstream = upstream();
    let proxy = Proxy::start(&upstream.address, Way::Open);
    let source = format!("http://upstream.invalid:{}/topics/video/demo", proxy.port());
    let watched = Watched::with(&source, &[], |command| {
        command.env("LD_PRELOAD", shim).env("FAULT_NAME", &name);
    });
    let found = watched.is("waiting");
    assert!(found <= SLACK, "{found:?}");
    watched.says("failed to lookup address information");
    watched.record(30);
    fs::write(name, "").unwrap();
    right_again("DNS failure", is_polled(&upstream), Duration::from_secs(10));
    publish_hearts(&upstream, 2);
    watched.gets(2);
    assert_eq!(watched.counted("gap_items_total"), 0);
    assert_eq!(watched.counted("reconnects_total"), 1);
    assert_eq!(watched.ends().0.code(), Some(0));
}

/// An hour ahead, then an hour behind.
#[test]
fn the_clock_jumps() {
    let folder = tempfile::tempdir().unwrap();
    let (shim, clock) = (shim(folder.path()), folder.path().join("clock"));
    let upstream = upstream();
    let source = upstream.url("/topics/video/demo");
    let watched = Watched::with(&source, &[], |command| {
        command.env("LD_PRELOAD", shim).env("FAULT_CLOCK", &clock);
    });
    is_polled(&upstream);
    publish_hearts(&upstream, 1);
    watched.gets(1);
    let address = &watched.service.address;
    let token = || {
        let asked = br#"{"playerId":"ann","streamId":"demo"}"#;
        let (status, body) = http(address, "POST", "/tokens", asked);
        assert_eq!(status, 201);
        let answer = serde_json::from_slice::<serde_json::Value>(&body).unwrap();
        answer["token"].as_str().unwrap().to_owned()
    };
    let publishes = |token: &str| {
        let path = format!("/topics/video/other?token={token}");
        http(address, "POST", &path, b"heart").0
    };
    let before = token();
    assert_eq!(publishes(&before), 403, "it is for another topic");
    for (count, (jump, of_before)) in (2..).zip([("3600", 401), ("-3600", 403)]) {
        // At once: half a number would be another time.
        fs::write(folder.path().join("next"), jump).unwrap();
        fs::rename(folder.path().join("next"), &clock).unwrap();
        publish_hearts(&upstream, 1);
        right_again("clock jump", watched.gets(count), Duration::ZERO);
        watched.record(30);
        assert_eq!(publishes(&before), of_before, "{jump} s");
        assert_eq!(
            publishes(&token()),
            403,
            "one that is new is good: {jump} s"
        );
    }
    assert_eq!(get(&watched.service, "/readyz").0, 200);
    until("all float", || {
        crate::sources::source(&watched.service, "embedded")["accepted"] == 3
    });
    let log = watched.ends_with_all(3);
    assert!(!log.contains("WARN"), "{log}");
}

/// As of a laptop that sleeps: no frame is drawn, then those that are owed are, and late.
#[test]
fn the_process_stands_still() {
    let watched = Watched::start("", &[]);
    let other = Watched::start("", &[]);
    watched.record(15);
    let behind = || frames(other.folder.path()).saturating_sub(frames(watched.folder.path()));
    other.record(1);
    let apart = behind();
    watched.service.signal("STOP");
    other.record(90);
    watched.service.signal("CONT");
    let caught_up = until("it has caught up", || behind() <= apart + 3);
    right_again("3 s of SIGSTOP", caught_up, Duration::from_secs(3));
    let late = "floatup_frames_late_total{channel=\"demo\"}";
    assert!(watched.service.metric(late) > 30);
    for service in [watched, other] {
        let (status, log) = service.ends();
        assert_eq!(status.code(), Some(0), "{log}");
    }
}
