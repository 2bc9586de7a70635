//! Outputs that stall, fail, go away and come back, beside one that must not notice.

use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use floatup::chart::{Picture, number};
use floatup::frame::Size;

use crate::floatup::{Running, Service, floatup, send_signal, until, wait};
use crate::media::tool;

pub(crate) const FRAME_BYTES: usize = 320 * 180 * 4;

/// The numbers that the test chart's frames show.
pub(crate) fn numbers(frames: &[u8]) -> Vec<u32> {
    let size = Size::new(320, 180).unwrap();
    let read = |frame: &[u8]| {
        let (pixels, _) = frame.as_chunks();
        let has_alpha = true;
        number(&Picture {
            pixels,
            size,
            has_alpha,
        })
        .expect("a chart")
    };
    frames.chunks_exact(FRAME_BYTES).map(read).collect()
}

/// Frame follows frame: none is missing, and none comes twice.
pub(crate) fn assert_no_gap(what: &str, frames: &[u8]) {
    let numbers = numbers(frames);
    let gap = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1);
    assert_eq!(gap, None, "{what}, of {} frames", numbers.len());
}

/// A service that records a test chart to `all.rgba`, beside other outputs.
fn service(folder: &Path, outputs: &[&str]) -> Service {
    let mut args = vec!["--test-pattern", "--size", "320x180", "--fps", "30"];
    for output in ["all.rgba"].iter().chain(outputs) {
        args.extend(["--output", output]);
    }
    Service::start(folder, &args)
}

pub(crate) fn frames(folder: &Path) -> u64 {
    let file = fs::metadata(folder.join("all.rgba")).unwrap();
    file.len() / FRAME_BYTES as u64
}

/// Waits until so many more frames are recorded.
pub(crate) fn record(folder: &Path, more: u64) {
    let wanted = frames(folder) + more;
    until("more frames are recorded", || frames(folder) >= wanted);
}

/// Ends the service and checks its recording. `code` is how it ends.
pub(crate) fn all_is_there(service: Service, folder: &Path, code: i32) {
    let (status, log) = service.stop();
    assert_eq!(status.code(), Some(code), "{log}");
    let all = fs::read(folder.join("all.rgba")).unwrap();
    assert_eq!(all.len() % FRAME_BYTES, 0, "the last frame is whole");
    assert_no_gap("the recording", &all);
}

pub(crate) fn fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.expect("mkfifo runs").success());
}

#[test]
fn a_full_disk_ends_one_recording_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    symlink("/dev/full", folder.path().join("full.rgba")).unwrap();
    let service = service(folder.path(), &["full.rgba"]);
    record(folder.path(), 30);
    assert_eq!(service.figure("frames_dropped_total", "all.rgba"), 0);
    all_is_there(service, folder.path(), 1);
}

#[test]
fn a_fifo_may_have_no_reader_then_one_that_is_killed_then_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    fifo(&path);
    let service = service(folder.path(), &["fifo"]);
    record(folder.path(), 15);
    assert_eq!(service.figure("open", "fifo"), 0);

    let read = ["-f", "rawvideo", "-pix_fmt", "rgba", "-s", "320x180", "-i"];
    let mut killed = tool("ffmpeg");
    killed.args(read).arg(&path).args(["-f", "null", "-"]);
    let mut killed = Running(killed.spawn().unwrap());
    until("it is read", || service.figure("frames_total", "fifo") > 10);
    send_signal(&killed, "KILL");
    assert!(!wait(&mut killed).success());
    until("that is noticed", || {
        service.figure("reopened_total", "fifo") == 1
    });
    record(folder.path(), 5);

    let mut bytes = vec![0; 20 * FRAME_BYTES];
    File::open(&path).unwrap().read_exact(&mut bytes).unwrap();
    assert_no_gap("the second reader", &bytes);
    assert_eq!(service.figure("frames_dropped_total", "all.rgba"), 0);
    all_is_there(service, folder.path(), 0);
}

#[test]
fn sockets_that_are_refused_reset_and_stuck_are_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = format!("tcp://{}", listener.local_addr().unwrap());
    let unix = format!("unix:{}", folder.path().join("socket").display());
    let service = service(folder.path(), &[&tcp, &unix]);

    // Nobody listens at the Unix socket yet, and the one who does at the other takes nothing.
    let (stuck, _) = listener.accept().unwrap();
    record(folder.path(), 30);
    // Then he is gone, with bytes that he has not read, which resets the connection.
    drop(stuck);
    let (mut reader, _) = listener.accept().unwrap();
    let mut bytes = vec![0; 10 * FRAME_BYTES];
    reader.read_exact(&mut bytes).unwrap();
    assert_no_gap("after a reset", &bytes);

    let other_listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    let (mut other, _) = other_listener.accept().unwrap();
    other.read_exact(&mut bytes).unwrap();
    assert_no_gap("a Unix socket", &bytes);
    assert_eq!(service.figure("frames_dropped_total", "all.rgba"), 0);
    // The listeners first: one that is left would take floatup's next try, and read nothing of it.
    drop((listener, other_listener));
    drop((reader, other));
    all_is_there(service, folder.path(), 0);
}

/// The stuck one is owed what it has not taken, and gets it.
#[test]
fn a_reader_that_stalls_for_seconds_gets_every_frame() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = format!("tcp://{}", listener.local_addr().unwrap());
    let service = service(folder.path(), &[&tcp]);
    let (mut stalled, _) = listener.accept().unwrap();
    // More than sockets and queue hold.
    record(folder.path(), 90);
    let mut bytes = vec![0; 90 * FRAME_BYTES];
    stalled.read_exact(&mut bytes).unwrap();
    assert_no_gap("what was owed", &bytes);
    assert_eq!(service.figure("frames_dropped_total", &tcp), 0);
    // The listener first, which would take floatup's next try and read nothing of it.
    drop(listener);
    drop(stalled);
    all_is_there(service, folder.path(), 0);
}

/// By the clock a slow reader is behind; by its own pace it is not, however slow it is.
#[test]
fn a_pipe_may_follow_its_reader() {
    let mut pipe = floatup();
    pipe.args(["pipe", "--url", "http://127.0.0.1:9", "--test-pattern"]);
    pipe.args(["--size", "320x180", "--fps", "1000", "--clock", "output"]);
    pipe.args(["--frames", "400"]);
    let pipe = pipe.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut pipe = Running(pipe.spawn().unwrap());
    let mut bytes = Vec::new();
    let mut stdout = pipe.stdout.take().unwrap();
    stdout.read_to_end(&mut bytes).unwrap();
    assert_eq!(wait(&mut pipe).code(), Some(0));
    assert_eq!(bytes.len(), 400 * FRAME_BYTES);
    assert_no_gap("a pipe", &bytes);
}

/// A service that records a test chart, beside a target that may drop frames.
fn beside_live(folder: &Path, target: &str, more: &str) -> Service {
    let settings = format!(
        "[[output]]\nto = \"all.rgba\"\n\
         [[output]]\nto = \"{target}\"\npolicy = \"drop\"\n{more}\n"
    );
    fs::write(folder.join("floatup.toml"), settings).unwrap();
    let args = ["--test-pattern", "--size", "320x180", "--fps", "30"];
    Service::start(folder, &[&args[..], &["--config", "floatup.toml"]].concat())
}

fn connect(socket: &Path) -> UnixStream {
    let mut stream = None;
    until("it listens", || {
        stream = UnixStream::connect(socket).ok();
        stream.is_some()
    });
    stream.unwrap()
}

/// Reads so many frames, from the beginning of one on, each newer than the one before.
fn read_frames(stream: &mut UnixStream, count: usize) {
    let mut bytes = vec![0; count * FRAME_BYTES];
    stream.read_exact(&mut bytes).unwrap();
    let numbers = numbers(&bytes);
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

#[test]
fn many_read_a_socket_and_none_costs_another_a_frame() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let service = beside_live(folder, "unix:socket?listen", "");
    let figure = |name: &str| service.figure(name, "unix:socket");
    let mut first = connect(&folder.join("socket"));
    read_frames(&mut first, 3);
    let stuck = connect(&folder.join("socket"));
    let mut second = connect(&folder.join("socket"));
    until("all are there", || figure("open") == 3);
    let before = figure("frames_dropped_total");
    until("frames give way", || {
        read_frames(&mut first, 1);
        read_frames(&mut second, 1);
        figure("frames_dropped_total") > before + 10
    });
    read_frames(&mut first, 20);
    drop(first);
    until("that is noticed", || {
        read_frames(&mut second, 1);
        (figure("open"), figure("reopened_total")) == (2, 1)
    });
    read_frames(&mut connect(&folder.join("socket")), 3);
    read_frames(&mut second, 5);
    assert_eq!(service.figure("frames_dropped_total", "all.rgba"), 0);
    // It ends although somebody takes nothing.
    all_is_there(service, folder, 0);
    drop((second, stuck));
}

#[test]
fn a_65th_reader_of_a_socket_is_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let service = beside_live(folder, "unix:socket?listen", "");
    let readers: Vec<_> = (0..64).map(|_| connect(&folder.join("socket"))).collect();
    until("all are there", || {
        service.figure("open", "unix:socket") == 64
    });
    let mut further = connect(&folder.join("socket"));
    assert_eq!(further.read(&mut [0]).unwrap(), 0);
    drop(readers);
    until("they are gone", || {
        service.figure("open", "unix:socket") == 0
    });
    read_frames(&mut connect(&folder.join("socket")), 3);
    let (status, log) = service.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("64 readers"), "{log}");
}

/// Each has a header of its own.
#[test]
#[cfg(feature = "ffmpeg")]
fn many_players_join_a_container_at_any_time() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let target = format!("tcp://{}", free.unwrap());
    let service = beside_live(folder, &format!("{target}?listen"), "container = \"nut\"");
    until("it listens", || {
        std::net::TcpStream::connect(target.trim_start_matches("tcp://")).is_ok()
    });
    let play = |name: &str| {
        let mut player = tool("ffmpeg");
        player.args(["-i", &target, "-frames:v", "30", "-fps_mode", "passthrough"]);
        player.args(["-f", "rawvideo", "-pix_fmt", "rgba"]);
        Running(player.arg(folder.join(name)).spawn().unwrap())
    };
    let mut first = play("first.rgba");
    until("it is read", || service.figure("frames_total", &target) > 5);
    let mut second = play("second.rgba");
    for (player, name) in [(&mut first, "first.rgba"), (&mut second, "second.rgba")] {
        assert_eq!(wait(player).code(), Some(0), "{name}");
        let shown = numbers(&fs::read(folder.join(name)).unwrap());
        assert_eq!(shown.len(), 30, "{name}");
        assert!(shown.is_sorted_by(|a, b| a < b), "{shown:?}");
    }
    all_is_there(service, folder, 0);
}

#[test]
fn a_pipe_may_have_many_readers_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipe = floatup();
    pipe.args(["pipe", "--url", "http://127.0.0.1:9", "--test-pattern"]);
    pipe.args(["--size", "320x180", "--fps", "30", "--policy", "drop"]);
    pipe.args(["--output", "unix:socket?listen"]);
    pipe.current_dir(folder.path()).stderr(Stdio::null());
    let mut pipe = Running(pipe.spawn().unwrap());
    for _ in 0..2 {
        let socket = || connect(&folder.path().join("socket"));
        let mut readers = [socket(), socket()];
        readers.iter_mut().for_each(|reader| read_frames(reader, 5));
        readers.iter_mut().for_each(|reader| read_frames(reader, 5));
    }
    send_signal(&pipe, "INT");
    assert_eq!(wait(&mut pipe).code(), Some(0));
}

/// It waits for its first reader, and is over when that has gone.
#[test]
fn a_render_to_a_socket_is_one_readers() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("log.ndjson"),
        "{\"at_ms\":0,\"reaction\":\"heart\"}",
    )
    .unwrap();
    let render = |target: &str| {
        let mut render = floatup();
        render
            .current_dir(folder.path())
            .args(["render", "log.ndjson", target]);
        render.args(["--test-pattern", "--size", "320x180", "--frames", "200"]);
        Running(render.stderr(Stdio::null()).spawn().unwrap())
    };
    let socket = folder.path().join("socket");
    let target = format!("unix:{}?listen", socket.display());
    let mut whole = render(&target);
    let mut stream = None;
    until("it listens", || {
        stream = UnixStream::connect(&socket).ok();
        stream.is_some()
    });
    let mut bytes = Vec::new();
    stream.unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(wait(&mut whole).code(), Some(0));
    assert_eq!(numbers(&bytes), (0..200).collect::<Vec<_>>());

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut cut = render(&format!("tcp://{}", listener.local_addr().unwrap()));
    let (mut reader, _) = listener.accept().unwrap();
    reader.read_exact(&mut bytes[..FRAME_BYTES]).unwrap();
    drop(reader);
    assert_eq!(wait(&mut cut).code(), Some(0));
}
