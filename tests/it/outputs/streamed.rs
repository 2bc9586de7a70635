//! Containers through pipes, sockets and addresses, to the real ffmpeg.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{FRAME_BYTES, arguments, folder, piped, raw, same_frames};
use crate::floatup::{Running, Service, run, stderr, until, wait};
use crate::media::{decode_rgba, frame_count, stream, tool};

#[test]
fn ffmpeg_takes_containers_from_a_pipe_without_options() {
    let folder = folder();
    let raw = raw(folder.path(), "60000/1001", &[]);
    for (container, codec) in [
        ("nut", "rawvideo"),
        ("nut", "png"),
        ("mkv", "ffv1"),
        ("mov", "qtrle"),
    ] {
        let form = ["--container", container, "--codec", codec];
        let mut render = piped(folder.path(), &arguments("60000/1001", "-", &form));
        let mut ffmpeg = tool("ffmpeg")
            .current_dir(folder.path())
            .args(["-i", "-", "-fps_mode", "passthrough"])
            .args(["-f", "rawvideo", "-pix_fmt", "rgba", "-y", "piped.rgba"])
            .stdin(render.0.stdout.take().unwrap())
            .spawn()
            .map(Running)
            .unwrap();
        assert!(wait(&mut render).success(), "{codec} in {container}");
        assert!(wait(&mut ffmpeg).success(), "{codec} in {container}");
        let read = fs::read(folder.path().join("piped.rgba")).unwrap();
        same_frames(&format!("{codec} in {container}"), &raw, &read);
    }
}

#[test]
fn raw_frames_in_nut_say_their_format() {
    let folder = folder();
    for format in ["bgra", "rgba64le", "gbrap", "yuva422p", "yuva444p10le"] {
        let form = ["--container", "nut", "--format", format];
        let mut render = piped(folder.path(), &arguments("25", "-", &form));
        let mut ffmpeg = tool("ffmpeg")
            .current_dir(folder.path())
            .args(["-i", "-", "-c", "copy", "-y", "piped.nut"])
            .stdin(render.0.stdout.take().unwrap())
            .spawn()
            .map(Running)
            .unwrap();
        assert!(wait(&mut render).success(), "{format}");
        assert!(wait(&mut ffmpeg).success(), "{format}");
        let told = stream(&folder.path().join("piped.nut"), "codec_name,pix_fmt");
        assert_eq!(told, format!("rawvideo,{format}"));
    }
}

#[test]
fn a_closed_pipe_ends_a_container_without_a_failure() {
    use std::io::Read as _;

    let folder = folder();
    for container in ["nut", "mkv", "mov", "gif"] {
        let form = ["--container", container];
        let mut render = piped(folder.path(), &arguments("1000", "-", &form));
        let mut pipe = render.0.stdout.take().unwrap();
        pipe.read_exact(&mut [0; 100]).unwrap();
        drop(pipe);
        assert!(wait(&mut render).success(), "{container}");
    }
}

/// A port below those that connections are made from, which nobody has.
fn free(can_bind: impl Fn(u16) -> bool) -> u16 {
    let first = u16::try_from(std::process::id() % 10_000).unwrap() + 20_000;
    (first..32_000).find(|port| can_bind(*port)).unwrap()
}

/// A receiver that ends after ten frames.
fn receiver(folder: &Path, input: &[&str], file: &str) -> Running {
    let mut ffmpeg: Command = tool("ffmpeg");
    ffmpeg.current_dir(folder).args(input);
    ffmpeg.args(["-frames:v", "10", "-y", file]);
    Running(ffmpeg.stdout(Stdio::null()).spawn().unwrap())
}

/// What a receiver has of a service that writes to a target.
fn received(folder: &Path, more: &[&str], target: &str, input: &[&str], file: &str) {
    let fixed = ["--size", "160x90", "--fps", "25", "--output", target];
    let service = Service::start(folder, &[&fixed, more].concat());
    let mut ffmpeg = receiver(folder, input, file);
    assert!(wait(&mut ffmpeg).success(), "{target}");
    service.stop();
    assert_eq!(frame_count(&folder.join(file)), 10, "{target}");
}

#[test]
fn sockets_and_fifos_carry_containers() {
    let folder = folder();
    let port = free(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    let tcp = format!("tcp://127.0.0.1:{port}");
    let listens = format!("{tcp}?listen");
    let nut = ["--container", "nut", "--codec", "png"];
    // Each may be there first: who is not is waited for, by ffmpeg as long as its end of a socket
    // listens.
    received(folder.path(), &nut, &tcp, &["-i", &listens], "a.nut");
    received(folder.path(), &nut, &listens, &["-i", &tcp], "b.nut");
    let mkv = ["--container", "mkv"];
    let input = ["-listen", "1", "-i", "unix:socket"];
    received(folder.path(), &mkv, "unix:socket", &input, "c.mkv");
    let input = ["-i", "unix:other"];
    received(folder.path(), &mkv, "unix:other?listen", &input, "d.mkv");
    let fifo = folder.path().join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let webm = ["--container", "webm"];
    received(folder.path(), &webm, "fifo", &["-i", "fifo"], "e.webm");
}

#[test]
fn addresses_carry_opaque_video() {
    let folder = folder();
    let port = free(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok());
    let over = ["--background", "#00b140"];
    let udp = format!("udp://127.0.0.1:{port}");
    received(folder.path(), &over, &udp, &["-i", &udp], "a.mkv");
    let srt = format!("srt://127.0.0.1:{port}");
    let listens = format!("{srt}?mode=listener");
    // Who sends by SRT must find somebody.
    let mut ffmpeg = receiver(folder.path(), &["-i", &listens], "b.mkv");
    until("the receiver listens", || {
        UdpSocket::bind(("127.0.0.1", port)).is_err()
    });
    let fixed = ["--size", "160x90", "--fps", "25", "--output", &srt];
    let service = Service::start(folder.path(), &[&fixed[..], &over].concat());
    assert!(wait(&mut ffmpeg).success(), "{srt}");
    service.stop();
    assert_eq!(frame_count(&folder.path().join("b.mkv")), 10, "{srt}");
    for file in ["a.mkv", "b.mkv"] {
        let path = folder.path().join(file);
        let told = stream(
            &path,
            "color_space,color_transfer,color_primaries,color_range",
        );
        assert_eq!(told, "tv,bt709,bt709,bt709", "{file}");
        let frames = decode_rgba(&path, &["-vf", "scale=in_color_matrix=bt709"]);
        for (at, pixel) in frames.chunks(4).enumerate() {
            for (level, wanted) in pixel.iter().zip([0x00_u8, 0xb1, 0x40]) {
                assert!(level.abs_diff(wanted) < 5, "{file}: {pixel:?} at {at}");
            }
        }
    }
}

#[test]
fn what_is_cut_off_plays_to_its_last_second() {
    let folder = folder();
    let files = ["a.mov", "a.mkv", "a.webm", "a.nut", "a.apng", "a.gif"];
    let mut args = vec!["--size", "161x91", "--fps", "25", "--output", "a.rgba"];
    for file in files {
        args.extend(["--output", file]);
    }
    let service = Service::start(folder.path(), &args);
    let raw = folder.path().join("a.rgba");
    let frames = || fs::metadata(&raw).unwrap().len() / FRAME_BYTES as u64;
    until("60 frames", || frames() >= 60);
    service.kill();
    let frames = frames();
    for file in files {
        let whole = frame_count(&folder.path().join(file));
        assert!(whole + 25 >= frames, "{file}: {whole} of {frames} frames");
    }
}

#[test]
fn what_does_not_go_together_is_refused_with_what_does() {
    let folder = folder();
    for (args, parts) in [
        (
            &["out.mp4"][..],
            &["alpha", "--background", "webm (vp9, vp8)"][..],
        ),
        (
            &["out.mp4", "--codec", "vp9"],
            &["vp9 in mp4 cannot carry alpha"],
        ),
        (&["out.ts"], &["h264 in ts cannot carry alpha"]),
        (&["srt://127.0.0.1:1"], &["h264 in ts cannot carry alpha"]),
        (
            &["out.webm", "--codec", "ffv1"],
            &["vp9, vp8", "mov, mkv, nut, avi"],
        ),
        (
            &["out.mov", "--quality", "9"],
            &["qtrle has no quality", "prores"],
        ),
        (&["out.mov", "--speed", "9"], &["qtrle has no speed", "vp9"]),
        (&["out.mov", "--codec", "hap"], &["multiples of 4"]),
        (&["out.mp4", "--background", "red"], &["even sides"]),
        (
            &["out.yuv420p"],
            &["yuv420p of rawvideo cannot carry alpha"],
        ),
        (&["out.mov", "--format", "gbrap"], &["qtrle in mov", "argb"]),
        (
            &["out.rgba", "--format", "bgra"],
            &["rgba", "--format bgra"],
        ),
        (&["-", "--container", "avi"], &["avi", "a file alone"]),
        (
            &["tcp://127.0.0.1:1", "--container", "apng"],
            &["a file alone"],
        ),
        (
            &["udp://127.0.0.1:1", "--container", "raw"],
            &["raw goes to files"],
        ),
        (
            &["-", "--codec", "vp9"],
            &["raw takes no codec vp9", "webm"],
        ),
        (&["out.xyz"], &["\"xyz\"", "mov, mkv", "--container"]),
    ] {
        let fixed = ["render", "--size", "161x91", "log.ndjson"];
        let output = run(folder.path(), &[&fixed, args].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{args:?}: {said}");
        }
    }
}
