//! Key and fill, put together again by the real ffmpeg.
#![cfg(feature = "ffmpeg")]

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use floatup::frame::Size;

use crate::chart::first_number;
use crate::floatup::{Running, Service, run, stderr, until, wait};
use crate::media::{decode_rgba, tool};

const SIZE: (usize, usize) = (320, 180);
const FRAME_BYTES: usize = SIZE.0 * SIZE.1 * 4;

const LOG: &str = "{\"at_ms\":0,\"reaction\":\"heart\"}
{\"at_ms\":300,\"reaction\":\"fire\",\"count\":9}
";

fn render(folder: &Path, arguments: &[&str]) {
    fs::write(folder.join("log.ndjson"), LOG).unwrap();
    let fixed = ["render", "--size", "320x180", "--fps", "25", "log.ndjson"];
    let output = run(folder, &[&fixed, arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
}

/// A pixel where alpha is 0 has no colour that counts.
fn assert_same(what: &str, ours: &[u8], theirs: &[u8], levels: u8) {
    assert_eq!(ours.len(), theirs.len(), "{what}: as many frames");
    for (n, (our, their)) in ours.chunks(4).zip(theirs.chunks(4)).enumerate() {
        let off = our.iter().zip(their).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(off <= Some(levels), "{what}: {our:?}, {their:?}, {n}");
    }
}

#[test]
fn fill_and_key_are_the_frames_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for alpha in ["straight", "premultiplied"] {
        render(folder, &["whole.rgba", "--alpha", alpha]);
        let whole = fs::read(folder.join("whole.rgba")).unwrap();
        assert!(whole.iter().any(|level| *level > 0));

        render(folder, &["fill.mkv", "--key", "key.mkv", "--alpha", alpha]);
        render(
            folder,
            &["beside.mkv", "--matte=side-by-side", "--alpha", alpha],
        );
        render(
            folder,
            &["stacked.mkv", "--matte=stacked", "--alpha", alpha],
        );
        let path = |name: &str| folder.join(name);
        let fill = decode_rgba(&path("fill.mkv"), &[]);
        let key = decode_rgba(&path("key.mkv"), &[]);
        let merge = |fill: &[u8], key: &[u8]| -> Vec<u8> {
            let pixels = fill.chunks(4).zip(key.chunks(4));
            let pixel = |(fill, key): (&[u8], &[u8])| [fill[0], fill[1], fill[2], key[0]];
            pixels.flat_map(pixel).collect()
        };
        assert!(fill.iter().skip(3).step_by(4).all(|alpha| *alpha == 255));
        assert_same(alpha, &whole, &merge(&fill, &key), 0);
        for (name, fill, key) in [
            ("beside.mkv", "crop=320:180:0:0", "crop=320:180:320:0"),
            ("stacked.mkv", "crop=320:180:0:0", "crop=320:180:0:180"),
        ] {
            let part = |crop| decode_rgba(&path(name), &["-vf", crop]);
            assert_same(name, &whole, &merge(&part(fill), &part(key)), 0);
        }
    }
}

#[test]
fn ffmpeg_merges_an_unshaped_fill_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    render(folder, &["whole.rgba"]);
    render(folder, &["fill.mkv", "--key", "key.mkv"]);
    let mut merge = tool("ffmpeg");
    merge.current_dir(folder);
    merge.args(["-i", "fill.mkv", "-i", "key.mkv", "-filter_complex"]);
    merge.args(["[1]format=gray[key];[0][key]alphamerge", "-f", "rawvideo"]);
    merge.args([
        "-fps_mode",
        "passthrough",
        "-pix_fmt",
        "rgba",
        "merged.rgba",
    ]);
    assert!(merge.status().unwrap().success());
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    assert_same("alphamerge", &read("whole.rgba"), &read("merged.rgba"), 0);
}

#[test]
fn a_keys_luma_has_the_range_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    render(folder, &["whole.rgba"]);
    let alpha = fs::read(folder.join("whole.rgba")).unwrap();
    let alpha: Vec<u8> = alpha.iter().skip(3).step_by(4).copied().collect();
    let limited = |alpha: &u8| u8::try_from((u32::from(*alpha) * 438 + 255) / 510 + 16).unwrap();
    let scaled: Vec<u8> = alpha.iter().map(limited).collect();
    for (format, range, expected) in [
        ("gray", None, &alpha),
        ("gray", Some("full"), &alpha),
        ("gray", Some("limited"), &scaled),
        ("yuv444p", None, &scaled),
        ("yuv444p", Some("limited"), &scaled),
        ("yuv444p", Some("full"), &alpha),
    ] {
        let mut arguments = vec!["key.raw", "--matte=key", "--format", format];
        arguments.extend(range.iter().flat_map(|range| ["--key-range", *range]));
        render(folder, &arguments);
        let key = fs::read(folder.join("key.raw")).unwrap();
        let planes = if format == "gray" { 1 } else { 3 };
        let luma: Vec<u8> = key
            .chunks(SIZE.0 * SIZE.1 * planes)
            .flat_map(|frame| &frame[..SIZE.0 * SIZE.1])
            .copied()
            .collect();
        assert!(luma == *expected, "{format}, {range:?}");
    }
}

fn fifos(folder: &Path) {
    let mut made = Command::new("mkfifo");
    let made = made.current_dir(folder).args(["fill", "key"]).status();
    assert!(made.expect("mkfifo runs").success());
}

/// ffmpeg opens the second pipe only when it has read from the first.
#[test]
fn one_ffmpeg_reads_two_pipes_that_are_locked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    render(folder, &["whole.rgba"]);
    fifos(folder);
    let raw = [
        "-f", "rawvideo", "-pix_fmt", "rgba", "-s", "320x180", "-r", "25",
    ];
    let mut merge = tool("ffmpeg");
    merge.current_dir(folder).args(raw).args(["-i", "fill"]);
    merge.args(raw).args(["-i", "key", "-filter_complex"]);
    merge.args(["[1]format=gray[key];[0][key]alphamerge", "-f", "rawvideo"]);
    merge.args([
        "-fps_mode",
        "passthrough",
        "-pix_fmt",
        "rgba",
        "merged.rgba",
    ]);
    let mut merge = Running(merge.spawn().unwrap());
    render(folder, &["fill", "--key", "key"]);
    assert!(wait(&mut merge).success());
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    assert_same("two pipes", &read("whole.rgba"), &read("merged.rgba"), 0);
}

/// The number of the first frame that a reader of a fill gets.
fn first(bytes: &[u8]) -> u64 {
    first_number(bytes, Size::new(320, 180).unwrap()).expect("a chart")
}

/// The chart's counter is opaque: the fill shows it in colour, and the key where it is.
#[test]
fn both_begin_again_with_one_frame_when_one_loses_its_reader() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let [to, key] = listeners
        .each_ref()
        .map(|listener| listener.local_addr().unwrap());
    let settings = format!(
        "test_pattern = true\nsize = '320x180'\nfps = 30\n\
         [[output]]\nto = 'tcp://{to}'\nkey = 'tcp://{key}'\nformat = 'rgba'\n"
    );
    fs::write(folder.join("floatup.toml"), settings).unwrap();
    let service = Service::start(folder, &["--config", "floatup.toml"]);
    let accept = || {
        listeners
            .each_ref()
            .map(|listener| listener.accept().unwrap().0)
    };
    let read = |stream: &mut TcpStream| {
        let mut frame = vec![0; FRAME_BYTES];
        stream.read_exact(&mut frame).map(|()| frame)
    };
    let [mut fill, mut key] = accept();
    let begun = first(&read(&mut fill).unwrap());
    // The moving marker of frame n is where n says it is, in the key as in the fill.
    let marker = |frame: &[u8]| {
        let row = 156 * SIZE.0 * 4;
        (32..288)
            .filter(|x| frame[row + x * 4] == 255)
            .collect::<Vec<_>>()
    };
    let first_key = read(&mut key).unwrap();
    let at = |number: u64| 32 + 4 * usize::try_from(number % 64).unwrap();
    assert_eq!(
        marker(&first_key)[0],
        at(begun),
        "the key begins with the fill's frame"
    );

    // The key's reader goes; the fill ends too, and then both begin with one frame.
    drop(key);
    let mut last = begun;
    until("the fill ends", || match read(&mut fill) {
        Ok(frame) => {
            last = first(&frame);
            false
        }
        Err(_) => true,
    });
    drop(fill);
    let [mut fill, mut key] = accept();
    let (fill, key) = (read(&mut fill).unwrap(), read(&mut key).unwrap());
    let again = first(&fill);
    assert!(again > last, "{again} after {last}");
    assert_eq!(marker(&key)[0], at(again));
    let (status, log) = service.stop();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn what_makes_no_key_and_fill_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("log.ndjson"), LOG).unwrap();
    for (arguments, part) in [
        (
            &["--key", "a.mkv", "--matte=key"][..],
            "expected neither matte nor",
        ),
        (
            &["--key", "a.mkv", "--background=red"],
            "expected neither matte nor",
        ),
        (&["--key", "out.mkv"], "expected two"),
        (
            &["--matte=both"],
            "expected fill, key, side-by-side or stacked",
        ),
        (&["--matte=fill", "--background=red"], "cannot be used with"),
        (&["--size=16384x2", "--matte=side-by-side"], "32768x2"),
    ] {
        let render = ["render", "log.ndjson", "out.mkv"];
        let output = run(folder.path(), &[&render, arguments].concat());
        let told = stderr(&output);
        assert!(!output.status.success() && told.contains(part), "{told}");
    }
}
