//! What goes wrong with the process itself.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use super::{Watched, get, is_polled, publish_hearts, right_again, whole};
use crate::floatup::{Running, floatup, publish, run, send_signal, stderr, until, wait};

/// A client that asks, and may read.
fn ask(watched: &Watched, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(&watched.service.address).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    client
}

#[test]
fn sigterm_under_load() {
    // A file that is whole only when it is ended well, where libav can write one.
    let encoded: &[_] = if cfg!(feature = "ffmpeg") {
        &["--output", "all.mkv"]
    } else {
        &[]
    };
    let watched = Watched::start("", encoded);
    let mut load = floatup();
    let topic = watched.service.url("/topics/video/demo");
    load.args(["simulate", "--to", &topic, "--publishers", "8"]);
    load.args(["--rate", "300/s", "--duration", "60s"]);
    load.stdout(Stdio::null()).stderr(Stdio::null());
    let mut load = Running(load.spawn().unwrap());
    let viewers: Vec<_> = (0..20)
        .map(|_| BufReader::new(ask(&watched, "/channels/demo/events")))
        .collect();
    let takes_nothing = ask(&watched, "/channels/demo/feed.mkv");
    until("messages come", || {
        crate::sources::source(&watched.service, "embedded")["accepted"].as_u64() > Some(200)
    });
    watched.record(60);
    watched.service.signal("TERM");
    let Watched {
        mut service,
        folder,
        ..
    } = watched;
    let took = until("it has ended", || {
        service.child.try_wait().unwrap().is_some()
    });
    right_again("SIGTERM under load", took, Duration::from_secs(9));
    let (status, log) = service.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("asked to end"), "{log}");
    whole(folder.path());
    for mut viewer in viewers {
        let mut last = String::new();
        while viewer.read_line(&mut last).unwrap() > 0 {}
        assert!(last.ends_with('\n'), "an event is whole");
    }
    drop(takes_nothing);
    send_signal(&load, "INT");
    wait(&mut load);
}

/// Killed, and there again at the same address.
#[test]
fn a_restart_with_the_same_port() {
    let first = Watched::start("", &[]);
    let address = first.service.address.clone();
    let follower = Watched::start(&first.service.url("/topics/video/demo"), &[]);
    is_polled(&first.service);
    publish_hearts(&first.service, 2);
    follower.gets(2);
    let connections: Vec<_> = (0..50)
        .map(|_| ask(&first, "/channels/demo/events"))
        .collect();
    let (mut folder, mut service) = (first.folder, first.service);
    for run in 1..=3 {
        service.kill();
        follower.is("waiting");
        let again = Watched::start("", &["--listen", &address]);
        // At once: numbers begin anew, and no item of another run is taken for one of these.
        publish_hearts(&again.service, 2);
        let took = follower.gets(2 + 2 * run);
        right_again("restart with the same port", took, Duration::from_secs(10));
        (folder, service) = (again.folder, again.service);
    }
    follower.says("was reset, with 0 messages lost since");
    assert_eq!(follower.counted("reconnects_total"), 3);
    drop(connections);
    service.stop();
    drop(folder);
    follower.ends_with_all(8);
}

#[test]
fn two_instances_on_one_port() {
    let first = Watched::start("", &[]);
    first.record(15);
    let address = &first.service.address;
    let args = [
        "--listen", address, "--output", "all.rgba", "--size", "16x16",
    ];
    let second = run(first.folder.path(), &args);
    assert_eq!(second.status.code(), Some(1));
    let said = format!("cannot listen on {address} (--listen names another address): ");
    assert!(stderr(&second).contains(&said), "{}", stderr(&second));
    assert!(stderr(&second).contains("Address already in use"));
    publish(address, "demo", "heart");
    until("it floats", || {
        crate::sources::source(&first.service, "embedded")["accepted"] == 1
    });
    first.record(15);
    let (status, log) = first.ends();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn a_reload_with_a_bad_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("floatup.toml");
    fs::write(&path, "output = ['all.rgba']\nsprites_max = 10\n").unwrap();
    let watched = Watched::start("", &["--config", path.to_str().unwrap()]);
    let sprites_max = || {
        let (_, body) = get(&watched.service, "/api/channels/demo");
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()["settings"]["sprites_max"]
            .clone()
    };
    let reloads = |outcome: &str| {
        let series = format!("floatup_settings_reloads_total{{outcome=\"{outcome}\"}}");
        watched.service.metric(&series)
    };
    fs::write(
        &path,
        "output = ['all.rgba']\nsprites_max = 20\nopacity_max = 7\n",
    )
    .unwrap();
    watched.service.signal("HUP");
    until("it is refused", || reloads("refused") == 1);
    watched.says("the settings stay as they are: ");
    watched.says("floatup.toml:3: opacity_max: ");
    assert_eq!(sprites_max(), 10);
    watched.record(15);
    fs::write(&path, "output = ['all.rgba']\nsprites_max = 20\n").unwrap();
    watched.service.signal("HUP");
    let took = until("it is taken", || reloads("taken") == 1);
    right_again("bad settings, once mended", took, Duration::from_secs(1));
    assert_eq!(sprites_max(), 20);
    watched.record(15);
    let (status, log) = watched.ends();
    assert_eq!(status.code(), Some(0), "{log}");
}
