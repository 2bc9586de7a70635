//! The live feed, as the real ffmpeg and a plain socket read it.
#![cfg(feature = "ffmpeg")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::floatup::{Running, Service, http, publish, until, wait};
use crate::media::tool;

const SIZE: (usize, usize) = (320, 180);
const FRAME_BYTES: usize = SIZE.0 * SIZE.1 * 4;

fn service(folder: &Path) -> Service {
    let args = ["--size", "320x180", "--fps", "30", "--output", "all.rgba"];
    Service::start(folder, &args)
}

/// ffmpeg on a feed, which writes so many decoded frames to a file.
fn reader(service: &Service, query: &str, frames: &str, out: &Path) -> Running {
    let mut command = tool("ffmpeg");
    let url = service.url(&format!("/channels/demo/feed.mkv{query}"));
    command.args(["-i", &url, "-frames:v", frames, "-fps_mode", "passthrough"]);
    command
        .args(["-f", "rawvideo", "-pix_fmt", "rgba"])
        .arg(out);
    Running(command.spawn().unwrap())
}

/// A reader that has asked for the feed, and reads what the test reads.
fn socket(service: &Service) -> TcpStream {
    let mut stream = TcpStream::connect(&service.address).unwrap();
    let head = format!(
        "GET /channels/demo/feed.mkv?codec=rawvideo HTTP/1.1\r\nhost: {}\r\n\r\n",
        service.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// Publishes until a child has ended.
fn publish_until_ended(service: &Service, children: &mut [&mut Child]) {
    until("the readers have their frames", || {
        publish(&service.address, "demo", "heart");
        let mut ended = true;
        for child in &mut *children {
            ended &= child.try_wait().unwrap().is_some();
        }
        ended
    });
}

/// Whether each of these frames is among those, one after the other.
fn are_in_order(some: &[u8], all: &[u8]) -> bool {
    let mut all = all.chunks(FRAME_BYTES);
    some.chunks(FRAME_BYTES)
        .all(|frame| all.any(|other| other == frame))
}

#[test]
fn readers_that_join_at_any_time_get_the_frames_that_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path());
    let out = |name: &str| folder.path().join(name);
    let mut png = reader(&service, "", "40", &out("png.rgba"));
    let mut raw = reader(
        &service,
        "?codec=rawvideo&stamps=media",
        "40",
        &out("raw.rgba"),
    );
    publish_until_ended(&service, &mut [&mut png, &mut raw]);
    let mut late = reader(&service, "", "10", &out("late.rgba"));
    publish_until_ended(&service, &mut [&mut late]);
    assert_eq!(service.figure("frames_dropped_total", "all.rgba"), 0);
    let (status, log) = service.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    let all = fs::read(out("all.rgba")).unwrap();
    for (name, frames) in [("png.rgba", 40), ("raw.rgba", 40), ("late.rgba", 10)] {
        let some = fs::read(out(name)).unwrap();
        assert_eq!(some.len(), frames * FRAME_BYTES, "{name}");
        assert!(some.chunks(FRAME_BYTES).any(|f| f.iter().any(|b| *b > 0)));
        assert!(are_in_order(&some, &all), "{name}");
    }
}

#[test]
fn a_reader_that_takes_nothing_costs_nobody_a_frame() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path());
    let stuck = socket(&service);
    until("frames give way", || {
        publish(&service.address, "demo", "heart");
        service.figure("frames_dropped_total", "feed") > 10
    });
    let out = folder.path().join("good.rgba");
    let mut good = reader(&service, "", "60", &out);
    publish_until_ended(&service, &mut [&mut good]);
    assert_eq!(wait(&mut good).code(), Some(0));
    assert_eq!(service.figure("frames_dropped_total", "all.rgba"), 0);
    assert!(service.figure("open", "feed") >= 1);
    // The service ends although somebody takes nothing.
    let (status, log) = service.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    drop(stuck);
    let all = fs::read(folder.path().join("all.rgba")).unwrap();
    assert!(are_in_order(&fs::read(out).unwrap(), &all));
}

#[test]
fn frames_in_which_nothing_shows_are_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path());
    let mut stream = socket(&service);
    let counter = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let read = counter.clone();
    let thread = std::thread::spawn(move || {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            read.fetch_add(count as u64, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let read = || counter.load(std::sync::atomic::Ordering::Relaxed);
    let frames = || service.figure("frames_total", "feed");
    until("a clear frame", || read() > FRAME_BYTES as u64);
    let before = read();
    let first = frames();
    until("a second and more", || frames() > first + 40);
    // One may have been on its way, and one is due after five seconds.
    assert!(read() - before <= 2 * FRAME_BYTES as u64 + 200);
    publish(&service.address, "demo", "heart");
    until("a sprite's frames", || {
        read() - before > 10 * FRAME_BYTES as u64
    });
    let (status, log) = service.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    thread.join().unwrap();
}

#[test]
fn a_wrong_feed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path());
    for (path, status, part) in [
        ("/channels/none/feed.mkv", 404, "there are: demo"),
        ("/channels/demo/feed.mkv?codec=vp9", 400, "expected png"),
        ("/channels/demo/feed.mkv?stamps=x", 400, "expected arrival"),
    ] {
        let (got, body) = http(&service.address, "GET", path, b"");
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(got == status && body.contains(part), "{path}: {got} {body}");
    }
    let readers: Vec<TcpStream> = (0..64).map(|_| socket(&service)).collect();
    until("all read", || service.figure("open", "feed") == 64);
    let (status, _) = http(&service.address, "GET", "/channels/demo/feed.mkv", b"");
    assert_eq!(status, 503);
    drop(readers);
    until("they are gone", || service.figure("open", "feed") == 0);
}

/// What ffprobe says of a feed.
#[test]
fn a_feed_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path());
    for (query, codec) in [("", "png"), ("?codec=rawvideo", "rawvideo")] {
        let mut command = tool("ffprobe");
        command.args(["-show_entries", "stream=codec_name,pix_fmt,width,height"]);
        command.args(["-of", "csv=p=0"]);
        let url = service.url(&format!("/channels/demo/feed.mkv{query}"));
        let mut child = command.arg(url).stdout(Stdio::piped()).spawn().unwrap();
        publish_until_ended(&service, &mut [&mut child]);
        let mut text = String::new();
        let mut out = child.stdout.take().unwrap();
        out.read_to_string(&mut text).unwrap();
        assert_eq!(text.trim(), format!("{codec},320,180,rgba"));
    }
}
