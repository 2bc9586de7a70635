//! The commands: what they write, what they say, and how they end.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{ChildStdout, Stdio};

use floatup::motion::Stylesheet;

use crate::floatup::{
    Running, Service, floatup, http, publish, run, send_signal, stderr, until, wait,
};

const LOG: &str =
    "{\"at_ms\":0,\"reaction\":\"heart\"}\n{\"at_ms\":150,\"reaction\":\"100\",\"count\":3}\n";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("log.ndjson"), LOG).unwrap();
    folder
}

/// The command fails with one line that has all of `parts`.
fn refused(folder: &Path, args: &[&str], parts: &[&str]) {
    let output = run(folder, args);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{args:?}: no {part:?} in {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_frame_is_a_straight_alpha_png_of_the_scenes_size() {
    let folder = folder();
    let scene = r#"{"width":320,"height":180,"font_size_px":48,"sprites":[
        {"emoji":"❤️","left_px":100.5,"age_ms":500},{"emoji":"👩‍🚀","left_px":1e300,"age_ms":0}]}"#;
    fs::write(folder.path().join("scene.json"), scene).unwrap();
    let output = run(folder.path(), &["frame", "scene.json", "out.png"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let image = image::open(folder.path().join("out.png")).unwrap();
    assert_eq!(image.color(), image::ColorType::Rgba8);
    let image = image.into_rgba8();
    assert_eq!(image.dimensions(), (320, 180));
    let brightest = image.pixels().max_by_key(|p| p.0[3]).unwrap().0;
    // Opacity is 0.75 at a quarter of the flight; colour is not multiplied by it.
    assert!(
        (185..=191).contains(&brightest[3]) && brightest[0] > 200,
        "{brightest:?}"
    );
}

#[test]
fn a_scene_may_name_its_own_stylesheet() {
    let folder = folder();
    fs::create_dir(folder.path().join("scenes")).unwrap();
    let css = ".animated-emoji { bottom: 0; font-size: 20px; animation: k 1s } @keyframes k { to { opacity: 1 } }";
    fs::write(folder.path().join("scenes/still.css"), css).unwrap();
    let scene = r#"{"width":64,"height":64,"css":"still.css","sprites":[{"emoji":"🔥","left_px":9,"age_ms":900}]}"#;
    fs::write(folder.path().join("scenes/scene.json"), scene).unwrap();
    assert!(
        run(folder.path(), &["frame", "scenes/scene.json", "out.png"])
            .status
            .success()
    );
    let image = image::open(folder.path().join("out.png"))
        .unwrap()
        .into_rgba8();
    let inked = |y| (0..64).any(|x| image.get_pixel(x, y).0[3] == 255);
    assert!(
        !(0..38).any(inked) && (44..62).any(inked),
        "it stands at the bottom, opaque"
    );
}

#[test]
fn a_log_renders_to_the_same_bytes_every_time() {
    let folder = folder();
    let args = |out| {
        [
            "render",
            "--size",
            "160x90",
            "--fps",
            "30000/1001",
            "--seed",
            "7",
            "log.ndjson",
            out,
        ]
    };
    let first = run(folder.path(), &args("-"));
    assert!(first.status.success(), "{}", stderr(&first));
    // The last sprite ends at 2.15 s: frame 65 is the first at or after it, and is clear.
    assert_eq!(first.stdout.len(), 66 * 160 * 90 * 4);
    let frame = |n: usize| &first.stdout[n * 160 * 90 * 4..][..160 * 90 * 4];
    assert!(frame(65).iter().all(|&byte| byte == 0) && frame(60).iter().any(|&byte| byte != 0));
    assert_eq!(first.stdout, run(folder.path(), &args("-")).stdout);
    assert!(run(folder.path(), &args("out.rgba")).status.success());
    assert_eq!(
        first.stdout,
        fs::read(folder.path().join("out.rgba")).unwrap()
    );
    let mut other = args("-");
    other[6] = "8";
    assert_ne!(
        first.stdout,
        run(folder.path(), &other).stdout,
        "another seed"
    );
}

#[test]
fn frames_alpha_and_format_do_what_they_say() {
    let folder = folder();
    let render = |more: &[&str]| {
        let args = [
            &[
                "render",
                "--size",
                "160x90",
                "--frames",
                "20",
                "log.ndjson",
                "-",
            ],
            more,
        ]
        .concat();
        let output = run(folder.path(), &args);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(output.stdout.len(), 20 * 160 * 90 * 4);
        output.stdout
    };
    let straight = render(&[]);
    let premultiplied = render(&["--alpha", "premultiplied"]);
    let bgra = render(&["--format", "bgra"]);
    let mut half_transparent = 0;
    for ((s, p), b) in straight
        .chunks(4)
        .zip(premultiplied.chunks(4))
        .zip(bgra.chunks(4))
    {
        assert_eq!(s[3], p[3]);
        assert!(
            p[..3].iter().all(|c| *c <= p[3]),
            "premultiplied colour is below alpha: {p:?}"
        );
        assert_eq!([s[2], s[1], s[0], s[3]], b);
        half_transparent += usize::from(s[3] > 100 && s[3] < 250 && s[..3] != p[..3]);
    }
    assert!(half_transparent > 100);
}

#[test]
fn a_bad_log_line_is_named_and_refused_or_skipped() {
    let folder = folder();
    let log = format!(
        "{LOG}{{\"at_ms\":200,\"reaction\":\"nope\"}}\n{{\"at_ms\":300,\"reaction\":\"fire\"}}\n"
    );
    fs::write(folder.path().join("bad.ndjson"), log).unwrap();
    let args = [
        "render",
        "--size",
        "64x64",
        "--fps",
        "10",
        "bad.ndjson",
        "out.rgba",
    ];
    refused(
        folder.path(),
        &args,
        &[
            "bad.ndjson: line 3",
            "\"nope\" is not in the palette",
            "--skip-bad-lines",
        ],
    );
    assert!(
        !folder.path().join("out.rgba").exists(),
        "nothing is written"
    );
    let output = run(folder.path(), &[&args[..], &["--skip-bad-lines"]].concat());
    assert!(
        output.status.success() && stderr(&output).contains("line 3"),
        "{}",
        stderr(&output)
    );
    // To 2.3 s at 10 a second: the rest is kept.
    assert_eq!(
        fs::metadata(folder.path().join("out.rgba")).unwrap().len(),
        24 * 64 * 64 * 4
    );
}

#[test]
fn bad_scenes_fonts_and_stylesheets_are_named() {
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "nan.json",
        r#"{"width":1,"height":1,"sprites":[{"emoji":"x","left_px":NaN,"age_ms":0}]}"#,
    );
    write("negative.json", r#"{"width":-5,"height":1,"sprites":[]}"#);
    write(
        "huge.json",
        r#"{"width":1000000,"height":1000000,"sprites":[]}"#,
    );
    write("scene.json", r#"{"width":9,"height":9,"sprites":[]}"#);
    let million = vec![r#"{"emoji":"x","left_px":0,"age_ms":0}"#; 1_000_000].join(",");
    write(
        "million.json",
        &format!(r#"{{"width":9,"height":9,"sprites":[{million}]}}"#),
    );
    write("broken.ttf", "not a font");
    write(
        "bad.css",
        ".animated-emoji {\n  bottom: 0;\n  margin: 3px;\n}",
    );
    for (scene, parts) in [
        ("nan.json", &["nan.json", "line 1 column 5"][..]),
        ("negative.json", &["-5"]),
        ("huge.json", &["width and height", "1 to 16384"]),
        ("million.json", &["at most"]),
        ("missing.json", &["cannot read missing.json"]),
    ] {
        refused(folder.path(), &["frame", scene, "out.png"], parts);
    }
    let frame = |more: &[&'static str]| [&["frame", "scene.json", "out.png"], more].concat();
    refused(
        folder.path(),
        &frame(&["--emoji-font", "none.ttf"]),
        &["cannot read none.ttf"],
    );
    refused(
        folder.path(),
        &frame(&["--emoji-font", "broken.ttf"]),
        &["broken.ttf", "not a TrueType"],
    );
    refused(
        folder.path(),
        &frame(&["--css", "none.css"]),
        &["cannot read none.css"],
    );
    refused(
        folder.path(),
        &frame(&["--css", "bad.css"]),
        &["bad.css", "line 3, column 3", "\"margin\""],
    );
    refused(
        folder.path(),
        &["--listen", "127.0.0.1:0", "--css", "bad.css"],
        &["bad.css", "line 3"],
    );
}

#[test]
fn a_missing_glyph_is_substituted_and_logged() {
    let folder = folder();
    let scene = |emoji: &str| {
        format!(
            r#"{{"width":64,"height":64,"sprites":[{{"emoji":"{emoji}","left_px":9,"age_ms":300}}]}}"#
        )
    };
    for (name, emoji) in [("missing", "\u{e000}"), ("substitute", "✨")] {
        fs::write(folder.path().join(format!("{name}.json")), scene(emoji)).unwrap();
        let output = run(
            folder.path(),
            &["frame", &format!("{name}.json"), &format!("{name}.png")],
        );
        assert!(output.status.success());
        assert_eq!(
            stderr(&output).contains("no glyph for"),
            name == "missing",
            "{}",
            stderr(&output)
        );
    }
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("missing.png"), read("substitute.png"));
}

#[test]
fn a_missing_glyph_of_a_palette_is_counted() {
    let folder = folder();
    let settings = "[palette]\nheart = \"❤️\"\nmine = \"\\uE000\"\n";
    fs::write(folder.path().join("settings.toml"), settings).unwrap();
    let service = Service::start(folder.path(), &["--config", "settings.toml"]);
    let metrics = String::from_utf8(http(&service.address, "GET", "/metrics", b"").1).unwrap();
    assert!(
        metrics.contains("\nfloatup_glyphs_substituted_total 1\n"),
        "{metrics}"
    );
    let (_, log) = service.stop();
    assert!(log.contains("no glyph for"), "{log}");
}

#[test]
fn a_full_disk_is_said_and_a_closed_stdout_is_the_end() {
    let folder = folder();
    for ending in endings() {
        let name = format!("full.{ending}");
        symlink("/dev/full", folder.path().join(&name)).unwrap();
        let args = ["render", "--size", "320x180", "log.ndjson", &name];
        refused(folder.path(), &args, &[&name, "No space left on device"]);
    }
    refused(
        folder.path(),
        &["render", "log.ndjson", "a.xyz"],
        &["\"xyz\"", "expected", "rgba", "frames-%05d.png"],
    );
    refused(
        folder.path(),
        &["render", "log.ndjson", "no/such/a.rgba"],
        &["cannot write no/such/a.rgba"],
    );
    let mut child = floatup()
        .current_dir(folder.path())
        .args(["render", "--size", "320x180", "log.ndjson", "-"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[cfg(feature = "ffmpeg")]
fn endings() -> &'static [&'static str] {
    &["rgba", "mov", "mkv", "webm", "nut", "apng"]
}

#[cfg(not(feature = "ffmpeg"))]
fn endings() -> &'static [&'static str] {
    &["rgba"]
}

#[cfg(not(feature = "ffmpeg"))]
#[test]
fn without_ffmpeg_video_is_refused_with_what_is_left() {
    let folder = folder();
    refused(
        folder.path(),
        &["render", "log.ndjson", "a.mov"],
        &["without FFmpeg", "rgba", "frames-%05d.png"],
    );
    assert!(
        run(
            folder.path(),
            &[
                "render",
                "--size",
                "64x64",
                "--frames",
                "3",
                "log.ndjson",
                "f%d.png"
            ]
        )
        .status
        .success()
    );
    assert!(folder.path().join("f2.png").exists());
}

#[test]
fn the_service_ends_cleanly_on_either_signal() {
    let folder = folder();
    for signal in ["INT", "TERM"] {
        let service = Service::start(folder.path(), &[]);
        for path in [
            "/healthz",
            "/readyz",
            "/metrics",
            "/",
            "/overlay/demo",
            "/channels/demo/frame.png",
        ] {
            assert_eq!(http(&service.address, "GET", path, b"").0, 200, "{path}");
        }
        assert_eq!(
            http(&service.address, "GET", "/channels/nope/frame.png", b"").0,
            404
        );
        service.signal(signal);
        let (status, log) = service.stop();
        assert_eq!(status.code(), Some(0), "{log}");
        for address in [
            "/?videoId=demo",
            "/overlay/demo",
            "/channels/demo/frame.png",
            "/metrics",
        ] {
            assert!(log.contains(address), "{address} in {log}");
        }
    }
}

#[test]
fn a_port_in_use_is_said() {
    let folder = folder();
    let service = Service::start(folder.path(), &[]);
    refused(
        folder.path(),
        &["--listen", &service.address],
        &[&service.address, "in use", "--listen"],
    );
    service.stop();
}

#[test]
fn a_still_shows_what_was_published() {
    let folder = folder();
    let service = Service::start(folder.path(), &["--size", "320x180"]);
    let still = || {
        let (status, png) = http(&service.address, "GET", "/channels/demo/frame.png", b"");
        assert_eq!(status, 200);
        image::load_from_memory(&png).unwrap().into_rgba8()
    };
    assert!(still().pixels().all(|p| p.0 == [0; 4]));
    publish(&service.address, "demo", "heart");
    publish(&service.address, "demo", "nothing of the palette");
    until("a heart", || still().pixels().any(|p| p.0 != [0; 4]));
    let metrics = String::from_utf8(http(&service.address, "GET", "/metrics", b"").1).unwrap();
    assert!(metrics.contains("outcome=\"accepted\"} 1"), "{metrics}");
    assert!(metrics.contains("outcome=\"unknown\"} 1"), "{metrics}");
    service.stop();
}

#[test]
fn pages_get_the_stylesheet_that_the_renderer_draws_with() {
    let folder = folder();
    let css = include_str!("../../assets/overlay.css").replace("20px", "90px");
    fs::write(folder.path().join("mine.css"), &css).unwrap();
    let args = ["--css", "mine.css", "--font-size", "64.5"];
    let service = Service::start(folder.path(), &args);
    let (status, served) = http(&service.address, "GET", "/assets/overlay.css", b"");
    let served = String::from_utf8(served).unwrap();
    assert_eq!(status, 200);
    assert!(served.starts_with(&css), "{served}");
    let motion = Stylesheet::parse(&served)
        .map(|sheet| sheet.motion(None, &[]))
        .unwrap();
    assert!((motion.font_size_px() - 64.5).abs() < 1e-9);
    service.stop();
}

#[test]
fn channels_have_pages_of_their_own() {
    let folder = folder();
    let css = include_str!("../../assets/overlay.css").replace("20px", "90px");
    fs::write(folder.path().join("mine.css"), &css).unwrap();
    let settings = "size = \"320x180\"\n[[channel]]\nname = \"demo\"\n\
        [[channel]]\nname = \"the stage\"\ntopic = \"live\"\ncss = \"mine.css\"\nfont_size_px = 64\n";
    fs::write(folder.path().join("floatup.toml"), settings).unwrap();
    let service = Service::start(folder.path(), &["--config", "floatup.toml"]);
    let text = |path: &str| {
        let (status, body) = http(&service.address, "GET", path, b"");
        assert_eq!(status, 200, "{path}");
        String::from_utf8(body).unwrap()
    };
    let has_size = |css: &str, px: f64| {
        let motion = Stylesheet::parse(css)
            .map(|sheet| sheet.motion(None, &[]))
            .unwrap();
        (motion.font_size_px() - px).abs() < 1e-9
    };
    assert!(text("/overlay/demo").contains("overlay.css?channel=demo\""));
    assert!(text("/overlay/the%20stage").contains("overlay.css?channel=the%20stage\""));
    assert!(text("/?videoId=live").contains("overlay.css?channel=the%20stage\""));
    assert!(has_size(&text("/assets/overlay.css?channel=demo"), 30.0));
    let own = text("/assets/overlay.css?channel=the%20stage");
    assert!(own.starts_with(&css) && has_size(&own, 64.0), "{own}");

    let page = |args: &[&str]| {
        let args = [&["overlay-page", "--config", "floatup.toml"], args].concat();
        let done = run(folder.path(), &args);
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    let stage = page(&["--channel", "the stage"]);
    assert!(stage.contains("data-channel=\"the stage\""));
    assert!(stage.contains("90px") && stage.contains("font-size: 64px"));
    let demo = page(&["--font-size", "48", "--url", "http://[::1]:9"]);
    assert!(demo.contains("data-service=\"http://[::1]:9/\""));
    assert!(!demo.contains("90px") && demo.contains("font-size: 48px"));

    publish(&service.address, "live", "heart");
    until("a heart on its stage", || {
        let (_, png) = http(
            &service.address,
            "GET",
            "/channels/the%20stage/frame.png",
            b"",
        );
        let still = image::load_from_memory(&png).unwrap().into_rgba8();
        still.pixels().any(|p| p.0 != [0; 4])
    });
    let (_, log) = service.stop();
    for line in [
        "/?videoId=demo\n",
        "/overlay/demo\n",
        "/?videoId=live\n",
        "/overlay/the%20stage\n",
        "/channels/the%20stage/frame.png\n",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

/// `floatup pipe`, whose stdout the test reads.
fn pipe(address: &str, size: &str, args: &[&str]) -> Running {
    let child = floatup()
        .args(["pipe", "--url", &format!("http://{address}")])
        .args(["--size", size, "--fps", "30"])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    Running(child.unwrap())
}

#[test]
fn a_pipe_writes_whole_frames_until_its_reader_or_a_signal_ends_it() {
    const FRAME: usize = 320 * 180 * 4;
    let folder = folder();
    let service = Service::start(folder.path(), &[]);

    let mut counted = pipe(&service.address, "320x180", &["--frames", "5"]);
    let mut bytes = Vec::new();
    counted
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    assert_eq!(
        (wait(&mut counted).code(), bytes.len()),
        (Some(0), 5 * FRAME)
    );

    let mut left = pipe(&service.address, "320x180", &[]);
    let mut reader = left.stdout.take().unwrap();
    reader.read_exact(&mut vec![0; FRAME]).unwrap();
    drop(reader);
    assert_eq!(
        wait(&mut left).code(),
        Some(0),
        "a reader that goes away is no error"
    );

    for signal in ["INT", "TERM"] {
        let mut ended = pipe(&service.address, "320x180", &[]);
        let mut reader = ended.stdout.take().unwrap();
        reader.read_exact(&mut vec![0; FRAME]).unwrap();
        send_signal(&ended, signal);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert_eq!(wait(&mut ended).code(), Some(0));
        assert_eq!(rest.len() % FRAME, 0, "the last frame is whole");
    }
    service.stop();
}

#[test]
fn a_reader_that_takes_nothing_does_not_keep_a_pipe_from_ending() {
    let folder = folder();
    let service = Service::start(folder.path(), &[]);
    // A frame that no pipe holds.
    let mut stuck = pipe(&service.address, "1280x720", &[]);
    let mut reader = stuck.stdout.take().unwrap();
    reader.read_exact(&mut [0; 4]).unwrap();
    send_signal(&stuck, "TERM");
    // It can't end well: a frame that nobody takes can't be written whole.
    assert_eq!(wait(&mut stuck).code(), Some(1));
    service.stop();
}

#[test]
fn a_pipe_shows_reactions_and_comes_back_when_the_service_does() {
    const FRAME: usize = 320 * 180 * 4;
    let folder = folder();
    let service = Service::start(folder.path(), &[]);
    let address = service.address.clone();
    let mut piped = pipe(&address, "320x180", &[]);
    let mut reader = piped.stdout.take().unwrap();
    let mut frame = vec![0; FRAME];
    let mut is_clear = |reader: &mut ChildStdout| {
        reader.read_exact(&mut frame).unwrap();
        frame.iter().all(|&byte| byte == 0)
    };
    // What is published before the pipe has connected is not shown, so publish until it is.
    let mut shows = |reader: &mut ChildStdout| {
        (0..900).any(|n| {
            if n % 15 == 0 {
                publish(&address, "demo", "🔥");
            }
            !is_clear(reader)
        })
    };
    assert!(shows(&mut reader), "no reaction in 30 s of frames");
    service.stop();
    let service = Service::start(folder.path(), &["--listen", &address]);
    // What is afloat from before ends within its two seconds of frames.
    let mut frames = vec![0; FRAME * 60];
    reader.read_exact(&mut frames).unwrap();
    assert!(
        shows(&mut reader),
        "no reaction of the service that came back"
    );
    drop(reader);
    assert_eq!(wait(&mut piped).code(), Some(0));
    service.stop();
}

#[test]
fn the_readmes_picture_is_what_its_command_draws() {
    let folder = folder();
    let picture = |name: &str| crate::tree::root().join("docs").join(name);
    let scene = picture("picture.json");
    let args = ["frame", scene.to_str().unwrap(), "picture.png"];
    assert!(run(folder.path(), &args).status.success());
    let drawn = image::open(folder.path().join("picture.png")).unwrap();
    let shown = image::open(picture("picture.png")).unwrap();
    assert!(drawn == shown, "docs/picture.png is out of date");
}

#[test]
fn a_recording_that_fails_is_said_and_the_service_goes_on() {
    let folder = folder();
    symlink("/dev/full", folder.path().join("full.rgba")).unwrap();
    let args = [
        "--size",
        "64x64",
        "--output",
        "full.rgba",
        "--output",
        "good.rgba",
    ];
    let service = Service::start(folder.path(), &args);
    let good = folder.path().join("good.rgba");
    until("ten frames", || {
        fs::metadata(&good).unwrap().len() > 10 * 64 * 64 * 4
    });
    assert_eq!(http(&service.address, "GET", "/readyz", b"").0, 200);
    let (status, log) = service.stop();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        log.contains("cannot write to full.rgba: No space left on device"),
        "{log}"
    );
    assert_eq!(fs::metadata(&good).unwrap().len() % (64 * 64 * 4), 0);
}

#[test]
fn a_recording_is_whole_when_the_service_ends() {
    let folder = folder();
    let outputs: Vec<String> = endings()
        .iter()
        .map(|ending| format!("live.{ending}"))
        .collect();
    let mut args = vec!["--size", "160x90", "--fps", "25"];
    for output in &outputs {
        args.extend(["--output", output]);
    }
    let service = Service::start(folder.path(), &args);
    publish(&service.address, "demo", "heart");
    let raw = folder.path().join("live.rgba");
    let bytes = || fs::metadata(&raw).unwrap().len();
    until("20 frames", || bytes() >= 20 * 160 * 90 * 4);
    let (status, log) = service.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    let bytes = bytes();
    assert_eq!(bytes % (160 * 90 * 4), 0);
    for output in outputs.iter().filter(|name| !name.ends_with("rgba")) {
        let frames = crate::media::frame_count(&folder.path().join(output));
        assert_eq!(frames, bytes / (160 * 90 * 4), "{output}");
    }
}
