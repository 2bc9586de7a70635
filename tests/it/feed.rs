//! The live feed, as the real ffmpeg and a plain socket read it.
#![cfg(feature = "ffmpeg")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use floatup::chart::{Picture, number};
use floatup::frame::Size;

use crate::floatup::{Running, Service, http, publish, until, wait};
use crate::media::{decode_yuva, stream, tool};

const SIZE: (usize, usize) = (320, 180);
const FRAME_BYTES: usize = SIZE.0 * SIZE.1 * 4;

fn service(folder: &Path) -> Service {
    let args = ["--size", "320x180", "--fps", "30", "--output", "all.rgba"];
    Service::start(folder, &args)
}

/// Feeds that lose nothing.
const EXACT: [&str; 6] = [
    "mkv",
    "mkv?codec=rawvideo&stamps=media",
    "nut",
    "nut?codec=rawvideo&stamps=media",
    "mov",
    "mov?codec=png&stamps=media",
];

fn path(feed: &str) -> String {
    format!("/channels/demo/feed.{feed}")
}

/// ffmpeg on a feed, which writes so many decoded frames to a file.
fn reader(service: &Service, feed: &str, frames: usize, out: &Path) -> Running {
    let mut command = tool("ffmpeg");
    let (url, frames) = (service.url(&path(feed)), frames.to_string());
    command.args(["-i", &url, "-frames:v", &frames, "-fps_mode", "passthrough"]);
    command
        .args(["-f", "rawvideo", "-pix_fmt", "rgba"])
        .arg(out);
    Running(command.spawn().unwrap())
}

/// A reader that has asked for a feed, and reads what the test reads: the feed's own bytes after
/// the answer's head.
fn socket(service: &Service, feed: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&service.address).unwrap();
    let head = format!("GET {} HTTP/1.0\r\n\r\n", path(feed));
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// Reads a feed into a file until it has as many bytes as are enough.
fn save(service: &Service, feed: &str, file: &Path, mut enough: impl FnMut(&Path) -> bool) {
    let mut stream = socket(service, feed);
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 1 << 20];
    let mut body = None;
    until("it is enough", || {
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "{feed} has no end");
        bytes.extend(&chunk[..count]);
        body = body.or_else(|| bytes.windows(4).position(|end| end == b"\r\n\r\n"));
        let Some(body) = body else { return false };
        fs::write(file, &bytes[body + 4..]).unwrap();
        enough(file)
    });
}

/// Publishes until a child has ended.
fn publish_until_ended(service: &Service, children: &mut [Running]) {
    until("the readers have their frames", || {
        publish(&service.address, "demo", "heart");
        let mut ended = true;
        for child in &mut *children {
            ended &= child.try_wait().unwrap().is_some();
        }
        ended
    });
}

/// The frames that are in a file by now.
fn decoded(file: &Path, feed: &str) -> Vec<u8> {
    let mut command = tool("ffmpeg");
    command.args(["-v", "quiet"]);
    if feed == "webm" {
        command.args(["-c:v", "libvpx-vp9"]);
    }
    command.arg("-i").arg(file);
    let form = [
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgba",
        "-",
    ];
    command.args(form).output().unwrap().stdout
}

/// Without the clear frames that a feed may begin with.
fn shown(frames: &[u8]) -> &[u8] {
    let shows = |frame: &[u8]| frame.iter().any(|byte| *byte > 0);
    let first = frames.chunks(FRAME_BYTES).position(shows);
    &frames[first.expect("something shows") * FRAME_BYTES..]
}

/// The number that a frame of the test chart shows.
fn number_of(frame: &[u8]) -> Option<u32> {
    let (pixels, _) = frame.as_chunks();
    let size = Size::new(320, 180).unwrap();
    let has_alpha = true;
    let picture = Picture {
        pixels,
        size,
        has_alpha,
    };
    number(&picture)
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
    let out = |n: usize| folder.path().join(format!("{n}.rgba"));
    // More than a feed begins with.
    for (before, frames) in [(0, 85), (EXACT.len(), 55)] {
        let feeds = EXACT.iter().enumerate();
        let start = |(n, feed): (usize, &&str)| reader(&service, feed, frames, &out(before + n));
        let mut readers: Vec<_> = feeds.map(start).collect();
        publish_until_ended(&service, &mut readers);
    }
    assert_eq!(service.figure("frames_dropped_total", "all.rgba"), 0);
    let (status, log) = service.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    let all = fs::read(folder.path().join("all.rgba")).unwrap();
    for n in 0..2 * EXACT.len() {
        let feed = EXACT[n % EXACT.len()];
        let some = fs::read(out(n)).unwrap();
        let frames = if n < EXACT.len() { 85 } else { 55 };
        assert_eq!(some.len(), frames * FRAME_BYTES, "{feed}");
        assert!(are_in_order(shown(&some), &all), "{feed}");
    }
}

/// The picture that libvpx makes of a `WebM` feed, against the recording of the same chart.
#[test]
fn a_webm_feed_keeps_alpha_and_colour() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--size", "320x180", "--fps", "30", "--test-pattern"];
    let service = Service::start(
        folder.path(),
        &[&args[..], &["--output", "all.rgba"]].concat(),
    );
    let file = folder.path().join("feed.webm");
    save(&service, "webm", &file, |file| {
        file.metadata().unwrap().len() > 100_000
    });
    let (status, log) = service.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    let told = stream(
        &file,
        "codec_name,width,height,color_range,color_space,color_transfer,color_primaries:stream_tags=alpha_mode",
    );
    assert_eq!(told, "vp9,320,180,tv,bt709,bt709,bt709,1");
    let all = fs::read(folder.path().join("all.rgba")).unwrap();
    let first = number_of(&all[..FRAME_BYTES]).unwrap();
    let frames = decode_yuva(&file, Some("libvpx-vp9"));
    assert!(frames.len() > 10 * FRAME_BYTES);
    let (mut colour, mut alpha, mut samples) = (0.0, 0.0, 0.0);
    let mut numbers = Vec::new();
    for frame in frames.chunks_exact(FRAME_BYTES) {
        let number = number_of(frame).expect("a chart");
        numbers.push(number);
        let at = (number - first) as usize * FRAME_BYTES;
        for (ours, theirs) in all[at..][..FRAME_BYTES].chunks(4).zip(frame.chunks(4)) {
            let seen = |pixel: &[u8], c: usize| f64::from(pixel[c]) * f64::from(pixel[3]) / 255.0;
            let off = |c| (seen(ours, c) - seen(theirs, c)).powi(2);
            colour += (off(0) + off(1) + off(2)) / 3.0;
            alpha += (f64::from(ours[3]) - f64::from(theirs[3])).powi(2);
            samples += 1.0;
        }
    }
    let db = |squares: f64| 10.0 * (255.0_f64.powi(2) * samples / squares).log10();
    eprintln!(
        "{} frames: colour {:.1} dB, alpha {:.1} dB",
        numbers.len(),
        db(colour),
        db(alpha)
    );
    assert!(
        db(colour) > 31.0 && db(alpha) > 36.0,
        "{} {}",
        db(colour),
        db(alpha)
    );
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

/// While nothing shows, a frame comes every five seconds.
#[test]
fn a_player_opens_while_nothing_shows() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path());
    let out = |n: usize| folder.path().join(format!("{n}.rgba"));
    let feeds = EXACT.iter().chain(&["webm"]).enumerate();
    let mut readers: Vec<_> = feeds
        .map(|(n, feed)| reader(&service, feed, 1, &out(n)))
        .collect();
    let before = service.figure("frames_total", "all.rgba");
    until("all have a frame", || {
        let mut ended = readers.iter_mut();
        ended.all(|reader| reader.try_wait().unwrap().is_some())
    });
    let frames = service.figure("frames_total", "all.rgba") - before;
    assert!(frames < 5 * 30, "{frames} frames later");
    assert!((0..readers.len()).all(|n| out(n).metadata().unwrap().len() == FRAME_BYTES as u64));
}

/// At a frame a second, what a reader has by the time that it has any is the newest.
#[test]
fn a_frame_is_whole_before_the_next_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--size", "320x180", "--fps", "1", "--test-pattern"];
    let service = Service::start(
        folder.path(),
        &[&args[..], &["--output", "all.rgba"]].concat(),
    );
    let last = |frames: &[u8]| number_of(frames.chunks_exact(FRAME_BYTES).last()?);
    let (service, folder) = (&service, folder.path());
    std::thread::scope(|scope| {
        for (n, feed) in EXACT.into_iter().chain(["webm"]).enumerate() {
            scope.spawn(move || {
                save(service, feed, &folder.join(n.to_string()), |file| {
                    let shown = last(&decoded(file, feed));
                    let drawn = last(&fs::read(folder.join("all.rgba")).unwrap());
                    shown.is_some() && shown >= drawn
                });
            });
        }
    });
}

#[test]
fn a_reader_that_takes_nothing_costs_nobody_a_frame() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path());
    let stuck: Vec<_> = EXACT.iter().map(|feed| socket(&service, feed)).collect();
    until("frames give way", || {
        publish(&service.address, "demo", "heart");
        service.figure("frames_dropped_total", "feed") > 100
    });
    let out = folder.path().join("good.rgba");
    let mut good = [reader(&service, "nut", 105, &out)];
    publish_until_ended(&service, &mut good);
    assert_eq!(wait(&mut good[0]).code(), Some(0));
    assert_eq!(service.figure("frames_dropped_total", "all.rgba"), 0);
    assert!(service.figure("open", "feed") >= 1);
    // The service ends although somebody takes nothing.
    let (status, log) = service.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    drop(stuck);
    let all = fs::read(folder.path().join("all.rgba")).unwrap();
    assert!(are_in_order(shown(&fs::read(out).unwrap()), &all));
}

#[test]
fn frames_in_which_nothing_shows_are_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path());
    let mut stream = socket(&service, "mkv?codec=rawvideo");
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
    // A player looks at so many before it shows one.
    until("clear frames", || read() > 45 * FRAME_BYTES as u64);
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
        (
            "/channels/demo/feed.mkv?codec=vp9",
            400,
            "expected png or rawvideo",
        ),
        (
            "/channels/demo/feed.nut?codec=",
            400,
            "expected png or rawvideo",
        ),
        ("/channels/demo/feed.webm?codec=png", 400, "expected vp9"),
        (
            "/channels/demo/feed.mov?codec=rawvideo",
            400,
            "expected qtrle or png",
        ),
        (
            "/channels/demo/feed.mkv?stamps=x",
            400,
            "expected arrival or media",
        ),
    ] {
        let (got, body) = http(&service.address, "GET", path, b"");
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(got == status && body.contains(part), "{path}: {got} {body}");
    }
    let mut readers: Vec<_> = (0..8).map(|_| socket(&service, "mov")).collect();
    until("eight read", || service.figure("open", "feed") == 8);
    let (status, body) = http(&service.address, "GET", &path("webm"), b"");
    let body = String::from_utf8_lossy(&body).into_owned();
    assert!(
        status == 503 && body.contains("feed.mkv"),
        "{status} {body}"
    );
    readers.extend((8..64).map(|_| socket(&service, "mkv")));
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
    for (feed, told) in [
        ("mkv", "matroska,webm png,320,180,rgba"),
        ("mkv?codec=rawvideo", "matroska,webm rawvideo,320,180,rgba"),
        ("nut", "nut png,320,180,rgba"),
        ("nut?codec=rawvideo", "nut rawvideo,320,180,rgba"),
        ("webm", "matroska,webm vp9,320,180,yuv420p"),
        ("mov", "mov,mp4,m4a,3gp,3g2,mj2 qtrle,320,180,argb"),
        ("mov?codec=png", "mov,mp4,m4a,3gp,3g2,mj2 png,320,180,rgba"),
    ] {
        let mut command = tool("ffprobe");
        command.args([
            "-show_entries",
            "stream=codec_name,pix_fmt,width,height:format=format_name",
        ]);
        command.args(["-of", "csv=p=0"]);
        command.arg(service.url(&path(feed)));
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut probe = [Running(child)];
        publish_until_ended(&service, &mut probe);
        let mut text = String::new();
        let mut out = probe[0].stdout.take().unwrap();
        out.read_to_string(&mut text).unwrap();
        let lines: Vec<_> = text
            .lines()
            .rev()
            .map(|line| line.trim_matches('"'))
            .collect();
        assert_eq!(lines.join(" ").replace('"', ""), told, "{feed}");
    }
}
