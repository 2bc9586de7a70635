//! WebM as floatup writes it, played by a real Chromium over a page's colour.
#![cfg(feature = "ffmpeg")]

use std::fs;
use std::path::Path;

use floatup::chart::{Area, PATCHES};
use floatup::frame::Size;
use image::{Rgba, RgbaImage};

use crate::chart;
use crate::chromium::{Chromium, Tab};
use crate::floatup::{run, stderr};

const WIDTH: u32 = 640;
const HEIGHT: u32 = 360;
const FPS: u32 = 25;

/// How far from its edges a patch begins to be one colour to a codec, in pixels.
const INSET: u32 = 8;

/// How far an area may be off in R, G and B. Where alpha is, Chromium converts by libyuv, whose
/// factor from Cb to blue is 2 in place of 2.112.
const LEVELS: [f64; 3] = [4.0, 4.0, 13.0];

/// Colours of the page, as CSS takes them.
const BELOW: [[u8; 3]; 2] = [[255, 0, 255], [16, 96, 48]];

const LOG: &str = "{\"at_ms\":0,\"reaction\":\"heart\",\"count\":10}
{\"at_ms\":0,\"reaction\":\"heart\",\"count\":10}
{\"at_ms\":300,\"reaction\":\"fire\",\"count\":10}
{\"at_ms\":300,\"reaction\":\"fire\",\"count\":10}
";

/// A page with nothing but a video, which seeks when it is told to.
const PAGE: &str = "<!doctype html>
<style>html, body { margin: 0 } video { display: block }</style>
<video muted preload='auto'></video>
<script>
  const video = document.querySelector('video');
  // Resolves when a frame that begins within 2 ms of a time, in seconds, is on the page.
  const show = (time) => new Promise((resolve) => {
    const look = (_, { mediaTime }) => {
      if (Math.abs(mediaTime - time) < 0.002) requestAnimationFrame(() => resolve(true));
      else video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    video.currentTime = time + 0.01;
  });
</script>";

fn write(folder: &Path, arguments: &[&str], to: &[&str]) {
    let size = format!("{WIDTH}x{HEIGHT}");
    let fps = FPS.to_string();
    let picture = ["--size", &size, "--fps", &fps];
    let output = run(folder, &[arguments, &picture, to].concat());
    assert!(output.status.success(), "{}", stderr(&output));
}

/// A tab that shows a video.
async fn open(chromium: &Chromium, folder: &Path, name: &str) -> Tab {
    let page = format!("file://{}/page.html", folder.display());
    let tab = chromium.open(&page, WIDTH, HEIGHT).await;
    let load = format!(
        "new Promise((resolve, reject) => {{
           video.oncanplaythrough = () => resolve(video.videoWidth);
           video.onerror = () => reject(new Error(video.error.message));
           video.src = '{name}';
         }})"
    );
    assert_eq!(tab.evaluate::<u32>(&load).await, WIDTH);
    tab
}

/// What the page looks like with a frame of the video over a colour.
async fn shown(tab: &Tab, number: u32, [r, g, b]: [u8; 3]) -> RgbaImage {
    let show =
        format!("document.body.style.background = 'rgb({r} {g} {b})'; show({number} / {FPS})");
    assert!(tab.evaluate::<bool>(&show).await);
    tab.screenshot().await
}

/// A raw frame over a colour, in levels.
fn over(frame: &[u8], below: [u8; 3]) -> Vec<[f64; 3]> {
    let pixel = |pixel: &[u8]| {
        let alpha = f64::from(pixel[3]) / 255.0;
        [0, 1, 2].map(|c| f64::from(pixel[c]) * alpha + f64::from(below[c]) * (1.0 - alpha))
    };
    frame.chunks(4).map(pixel).collect()
}

/// How far the inside of an area is off at most, in levels of R, G and B.
fn farthest_in(area: Area, shown: &RgbaImage, expected: &[[f64; 3]]) -> [f64; 3] {
    let mut farthest = [0.0_f64; 3];
    for y in area.top + INSET..area.bottom - INSET {
        for x in area.left + INSET..area.right - INSET {
            let Rgba(pixel) = shown.get_pixel(x, y);
            let expected = expected[(y * WIDTH + x) as usize];
            for (c, farthest) in farthest.iter_mut().enumerate() {
                *farthest = farthest.max((f64::from(pixel[c]) - expected[c]).abs());
            }
        }
    }
    farthest
}

/// Peak signal to noise in dB, of the pixels that are asked for.
fn psnr(shown: &RgbaImage, expected: &[[f64; 3]], which: impl Fn(usize) -> bool) -> f64 {
    let (mut squares, mut samples) = (0.0, 0.0);
    let pixels = shown.pixels().zip(expected).enumerate();
    for (_, (Rgba(shown), expected)) in pixels.filter(|(n, _)| which(*n)) {
        for (shown, expected) in shown.iter().zip(expected) {
            squares += (f64::from(*shown) - expected).powi(2);
            samples += 1.0;
        }
    }
    10.0 * (255.0_f64.powi(2) * samples / squares).log10()
}

fn frame(frames: &[u8], number: u32) -> &[u8] {
    let bytes = (WIDTH * HEIGHT * 4) as usize;
    &frames[number as usize * bytes..][..bytes]
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_shows_the_charts_alpha_over_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("page.html"), PAGE).unwrap();
    let chart = [
        "pipe",
        "--test-pattern",
        "--frames",
        "12",
        "--clock",
        "output",
    ];
    let chart = [&chart[..], &["--url", "http://127.0.0.1:9"]].concat();
    let chromium = Chromium::launch().await;
    for codec in ["vp9", "vp8"] {
        write(folder, &chart, &["--output=chart.webm", "--codec", codec]);
        let tab = open(&chromium, folder, "chart.webm").await;
        let size = Size::new(WIDTH, HEIGHT).unwrap();
        for (number, below) in [(0, BELOW[0]), (7, BELOW[1])] {
            let shown = shown(&tab, number, below).await;
            let read = chart::first_number(shown.as_raw(), size).expect("a chart");
            assert_eq!(read, u64::from(number), "{codec}");
            let expected = over(&chart::frame(read, size), below);
            for patch in PATCHES {
                let off = farthest_in(patch.area.in_pixels(size), &shown, &expected);
                let near = off.iter().zip(LEVELS).all(|(off, levels)| *off <= levels);
                assert!(near, "{codec}: {}: {off:?}", patch.name);
            }
            let whole = psnr(&shown, &expected, |_| true);
            assert!(whole > 42.0, "{codec}, frame {number}: {whole} dB");
        }
        assert_eq!(tab.complaints(), Vec::<String>::new());
    }
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_shows_reactions_over_the_page_and_nothing_where_there_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("page.html"), PAGE).unwrap();
    fs::write(folder.join("log.ndjson"), LOG).unwrap();
    let log = ["render", "log.ndjson"];
    write(folder, &log, &["log.rgba"]);
    let frames = fs::read(folder.join("log.rgba")).unwrap();
    let chromium = Chromium::launch().await;
    for codec in ["vp9", "vp8"] {
        write(folder, &log, &["log.webm", "--codec", codec]);
        let last = u32::try_from(frames.len()).unwrap() / (WIDTH * HEIGHT * 4) - 1;
        assert!(
            frame(&frames, last)
                .iter()
                .skip(3)
                .step_by(4)
                .all(|a| *a == 0)
        );
        let tab = open(&chromium, folder, "log.webm").await;
        for below in BELOW {
            for number in [20, 31] {
                let shown = shown(&tab, number, below).await;
                let frame = frame(&frames, number);
                let expected = over(frame, below);
                let inked = psnr(&shown, &expected, |n| frame[n * 4 + 3] > 0);
                assert!(inked > 31.0, "{codec}, frame {number}: {inked} dB");
            }
            // A key picture of nothing but clear pixels has one level of alpha at most.
            let clear = shown(&tab, last, below).await;
            let is_near = |pixel: &Rgba<u8>| {
                let levels = pixel.0.iter().zip(&below);
                levels.map(|(a, b)| a.abs_diff(*b)).all(|off| off <= 1)
            };
            let same = clear.pixels().all(is_near);
            assert!(same, "{codec}: a clear frame over {below:?}");
        }
        assert_eq!(tab.complaints(), Vec::<String>::new());
    }
    chromium.close().await;
}
