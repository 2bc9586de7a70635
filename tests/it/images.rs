//! Reactions with images of their own: in a frame, in a video, and where pages get them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, Rgba, RgbaImage};

use crate::floatup::{Service, http, run, stderr};
use crate::in_process::client;

const RED: [u8; 4] = [255, 0, 0, 255];
const BLUE: [u8; 4] = [0, 0, 255, 255];

/// Nothing moves, so that what is drawn is the image as it stands.
const STILL: &str = ".animated-emoji { bottom: 0; left: 10px; font-size: 30px; animation: k 2s }
    @keyframes k { from { opacity: 1 } to { opacity: 1 } }";

const SETTINGS: &str = "[palette]
    blink = { image = 'blink.gif' }
    logo = { image = 'logo.svg' }
    wide = { image = 'wide.png' }
    heart = '❤️'";

const LOGO: &str = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 2 1'>\
    <rect width='1' height='1' fill='#f00'/><rect x='1' width='1' height='1' fill='#00f'/></svg>";

/// A folder with the settings and their images.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("still.css"), STILL).unwrap();
    fs::write(path("floatup.toml"), SETTINGS).unwrap();
    fs::write(path("logo.svg"), LOGO).unwrap();
    let wide = RgbaImage::from_pixel(100, 10, Rgba(RED));
    wide.save(path("wide.png")).unwrap();
    let mut gif = GifEncoder::new(fs::File::create(path("blink.gif")).unwrap());
    gif.set_repeat(Repeat::Infinite).unwrap();
    for color in [RED, BLUE] {
        let picture = RgbaImage::from_pixel(20, 20, Rgba(color));
        let shown = Delay::from_saturating_duration(Duration::from_millis(200));
        gif.encode_frame(Frame::from_parts(picture, 0, 0, shown))
            .unwrap();
    }
    drop(gif);
    folder
}

/// The frames of a log, 5 a second.
fn rendered(folder: &Path, log: &str) -> Vec<RgbaImage> {
    fs::write(folder.join("log.ndjson"), log).unwrap();
    let args =
        "render log.ndjson f-%d.png --config floatup.toml --css still.css --size 200x60 --fps 5";
    let output = run(folder, &args.split(' ').collect::<Vec<_>>());
    assert!(output.status.success(), "{}", stderr(&output));
    let frame = |n: usize| image::open(folder.join(format!("f-{n}.png"))).ok();
    let frames = (0..).map_while(|n| Some(frame(n)?.into_rgba8()));
    frames.collect()
}

/// The box of what shows: left, top, right, bottom.
fn ink(picture: &RgbaImage) -> Option<(u32, u32, u32, u32)> {
    let shows = picture.enumerate_pixels().filter(|(_, _, p)| p[3] > 0);
    shows.fold(None, |ink, (x, y, _)| {
        let (left, top, right, bottom) = ink.unwrap_or((x, y, x + 1, y + 1));
        Some((left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1)))
    })
}

#[test]
fn an_image_stands_on_the_line_at_its_own_aspect() {
    let folder = folder();
    // The line box of 30 px is 35 px high; an image is at most four times as wide as that.
    for (name, expected) in [
        ("logo", (10, 25, 80, 60)),
        ("wide", (10, 46, 150, 60)),
        ("blink", (10, 25, 45, 60)),
    ] {
        let log = format!("{{\"at_ms\":0,\"reaction\":\"{name}\"}}");
        let frames = rendered(folder.path(), &log);
        assert_eq!(ink(&frames[0]), Some(expected), "{name}");
        if name == "logo" {
            assert_eq!(frames[0].get_pixel(20, 40).0, RED);
            assert_eq!(frames[0].get_pixel(70, 40).0, BLUE);
        }
    }
}

#[test]
fn an_animation_plays_from_the_sprites_own_birth() {
    let folder = folder();
    let log = "{\"at_ms\":0,\"reaction\":\":blink:\"}\n{\"at_ms\":3000,\"reaction\":\"Blink!\"}";
    let frames = rendered(folder.path(), log);
    let seen = |n: usize| frames[n].get_pixel(20, 40).0;
    for first in [0, 15] {
        let colors: Vec<_> = (first..first + 4).map(seen).collect();
        assert_eq!(colors, [RED, BLUE, RED, BLUE], "from frame {first} on");
    }
    assert_eq!(seen(12), [0; 4], "gone in between");
}

#[test]
fn pages_get_the_file_and_nothing_in_it_runs() {
    let folder = folder();
    let service = Service::start(folder.path(), &["--config", "floatup.toml"]);
    let get = |path: &str| http(&service.address, "GET", path, b"");
    assert_eq!(get("/reactions/logo"), (200, LOGO.into()));
    let gif = fs::read(folder.path().join("blink.gif")).unwrap();
    assert_eq!(get("/reactions/blink"), (200, gif));
    assert_eq!(get("/reactions/heart").0, 404);
    assert_eq!(get("/reactions/..%2ffloatup.toml").0, 404);
    let answer = headers(&service.url("/reactions/logo"));
    assert_eq!(answer["content-type"], "image/svg+xml");
    assert_eq!(answer["x-content-type-options"], "nosniff");
    assert_eq!(answer["access-control-allow-origin"], "*");
    assert_eq!(
        answer["cache-control"], "no-cache",
        "to be asked for by its tag"
    );
    let policy = answer["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("sandbox"),
        "{policy}"
    );
    let palette: serde_json::Value = serde_json::from_slice(&get("/palette.json").1).unwrap();
    let images: Vec<_> = palette
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["image"])
        .collect();
    let expected = ["/reactions/blink", "/reactions/logo", "/reactions/wide"];
    assert_eq!(images[..3], expected);
    assert!(images[3].is_null(), "{palette}");
    service.stop();
}

#[test]
fn a_channel_may_have_the_name_of_an_image() {
    let folder = folder();
    let settings = format!("{SETTINGS}\n[[channel]]\nname = 'logo'\n");
    fs::write(folder.path().join("floatup.toml"), settings).unwrap();
    let service = Service::start(folder.path(), &["--config", "floatup.toml"]);
    let ask = |method: &str| http(&service.address, method, "/reactions/logo", b"heart");
    let (status, outcomes) = ask("POST");
    let outcomes = String::from_utf8(outcomes).unwrap();
    assert_eq!(status, 200, "{outcomes}");
    assert!(outcomes.contains("\"accepted\":1"), "{outcomes}");
    assert_eq!(ask("GET"), (200, LOGO.into()));
    let (status, refusal) = ask("PUT");
    let refusal = String::from_utf8(refusal).unwrap();
    assert_eq!(status, 405);
    assert!(refusal.contains("method_not_allowed"), "{refusal}");
    service.stop();
}

fn headers(url: &str) -> reqwest::header::HeaderMap {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answer = runtime.block_on(async { client().get(url).send().await });
    answer.unwrap().headers().clone()
}

#[test]
fn an_image_that_cannot_be_taken_is_named() {
    let folder = folder();
    let refused = |parts: &[&str]| {
        let output = run(
            folder.path(),
            &["--config", "floatup.toml", "--listen", "127.0.0.1:0"],
        );
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        for part in parts {
            assert!(message.contains(part), "no {part:?} in {message}");
        }
    };
    fs::write(
        folder.path().join("logo.svg"),
        "<svg><text>hello</text></svg>",
    )
    .unwrap();
    refused(&["logo.svg", "the reaction logo"]);
    fs::write(folder.path().join("logo.svg"), "not an image").unwrap();
    refused(&["logo.svg", "PNG, APNG, GIF, WebP or SVG"]);
    fs::remove_file(folder.path().join("logo.svg")).unwrap();
    refused(&["logo.svg", "the reaction logo"]);
}
