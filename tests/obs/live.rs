//! The live feed in a Media Source, with the settings that `floatup obs source` prints.

use std::path::Path;
use std::time::Duration;

use floatup::chart::{Chart, Picture, number};
use floatup::frame::{Alpha, Frame, PixelFormat, Size};
use image::{Pixel as _, Rgb, RgbaImage, load_from_memory};
use serde_json::Value as Json;

use crate::blend::Blend;
use crate::configuration::SIZE;
use crate::expected::{Expected, Within};
use crate::floatup::{Service, http, publish, run, stderr, until};
use crate::isolation::alone;
use crate::studio::Obs;

const LOSSLESS: Within = Within {
    inside: 2,
    edges: 2,
};

/// Nothing moves, and the sprite is there for a minute.
const STILL: &str = ".animated-emoji { bottom: 20px; animation: k 60s }
    @keyframes k { from { opacity: 0.8 } to { opacity: 0.8 } }";

const LISTEN: &str = "127.0.0.1:8787";

fn service(folder: &Path, css: &str) -> Service {
    let size = ["--size", "640x360", "--fps", "30", "--font-size", "120"];
    let rest = ["--css", css, "--listen", LISTEN];
    Service::start(folder, &[&size[..], &rest[..]].concat())
}

/// What the service's own still shows.
fn still(service: &Service) -> RgbaImage {
    let (status, png) = http(&service.address, "GET", "/channels/demo/frame.png", b"");
    assert_eq!(status, 200);
    load_from_memory(&png).unwrap().into_rgba8()
}

/// The settings of a Media Source, as a person gets them.
fn settings(folder: &Path) -> Json {
    let output = run(folder, &["obs", "source", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A feed's address.
fn input(feed: &str) -> Json {
    format!("http://{LISTEN}/channels/demo/feed.{feed}").into()
}

/// Publishes a reaction that stays, waits until OBS shows what the service's still then shows, and
/// says how long that took.
fn shows(obs: &mut Obs, service: &Service, what: &str) -> Duration {
    let before = still(service);
    publish(&service.address, "demo", what);
    let mut still_now = before.clone();
    until("the still has it", || {
        still_now = still(service);
        still_now != before
    });
    let mut took = Duration::ZERO;
    for blend in Blend::ALL {
        let expected = Expected::new(&still_now, obs.background(), blend, LOSSLESS);
        took += obs.wait_for(what, blend, |picture| expected.check(picture));
    }
    took
}

#[test]
fn the_feed_shows_what_the_still_shows_and_comes_back_after_a_restart() {
    alone(|| {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        std::fs::write(folder.join("still.css"), STILL).unwrap();
        let mut obs = Obs::start();
        let clear = RgbaImage::new(640, 360);
        let nothing = |obs: &Obs| Expected::new(&clear, obs.background(), Blend::Default, LOSSLESS);

        // OBS is there before the service is.
        obs.show(&settings(folder));
        for round in ["first", "second"] {
            let service = service(folder, "still.css");
            let took = shows(&mut obs, &service, "heart");
            eprintln!("{round} start: shown after {took:?}");
            let took = shows(&mut obs, &service, "fire");
            eprintln!("{round} start: another one after {took:?}");
            let (status, log) = service.stop();
            assert_eq!(status.code(), Some(0), "{log}");
            let expected = nothing(&obs);
            let took = obs.wait_for("nothing", Blend::Default, |picture| expected.check(picture));
            eprintln!("{round} end: nothing stays after {took:?}");
        }
    });
}

/// A reaction of a channel of this size shows in a feed, and is gone again, a few times. Says how
/// long it took from the request to the screenshot that has it. Those are of `SIZE`: a large one
/// takes longer than the feed does.
fn shows_reactions(feed: &str, size: (u32, u32)) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut obs = Obs::start_with(size, None);
    let (width, height) = size;
    let args = ["--size", &format!("{width}x{height}"), "--fps", "30"];
    let service = Service::start(folder, &[&args[..], &["--listen", LISTEN]].concat());
    let mut settings = settings(folder);
    settings["input"] = input(feed);
    obs.show(&settings);
    let background = obs.background();
    let scene = Blend::Default.scene();
    let is_shown = |shown: &RgbaImage| shown.pixels().any(|pixel| pixel.to_rgb() != background);
    let mut took = Vec::new();
    for _ in 0..11 {
        obs.wait_for_scene("nothing", scene, SIZE, |shown| match is_shown(shown) {
            true => Err("something".into()),
            false => Ok(()),
        });
        publish(&service.address, "demo", "heart");
        took.push(
            obs.wait_for_scene("something", scene, SIZE, |shown| match is_shown(shown) {
                true => Ok(()),
                false => Err("nothing".into()),
            }),
        );
    }
    took.sort();
    let one = obs.wait_for_scene("anything", scene, SIZE, |_| Ok(()));
    eprintln!("one screenshot takes {one:?}");
    eprintln!(
        "{feed}, {size:?}: from publish to screenshot: {took:?}, median {:?}",
        took[5]
    );
    let (status, log) = service.stop();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn a_reaction_is_shown_at_once_and_leaves_nothing_behind() {
    alone(|| shows_reactions("mkv", SIZE));
}

#[test]
fn a_reaction_is_shown_at_once_in_nut() {
    alone(|| shows_reactions("nut", SIZE));
}

#[test]
fn a_reaction_is_shown_at_once_in_full_hd() {
    alone(|| shows_reactions("mkv", (1_920, 1_080)));
}

#[test]
fn a_reaction_is_shown_at_once_in_full_hd_in_nut() {
    alone(|| shows_reactions("nut", (1_920, 1_080)));
}

/// The number of the chart that a screenshot shows.
fn chart_number(shown: &RgbaImage) -> Result<u64, String> {
    let (width, height) = shown.dimensions();
    let size = Size::new(width, height).unwrap();
    let (pixels, _) = shown.as_chunks();
    let has_alpha = false;
    let picture = Picture {
        pixels,
        size,
        has_alpha,
    };
    let number = number(&picture).map(u64::from);
    number.ok_or("no number can be read".into())
}

/// The chart's frame of the number that a screenshot shows.
fn chart(shown: &RgbaImage) -> Result<RgbaImage, String> {
    let number = chart_number(shown)?;
    let (width, height) = shown.dimensions();
    let size = Size::new(width, height).unwrap();
    let mut frame = Frame::new(size, Alpha::Straight, PixelFormat::Rgba);
    Chart::new(size).unwrap().draw(number, &mut frame);
    Ok(RgbaImage::from_raw(width, height, frame.as_bytes().to_vec()).unwrap())
}

/// An OBS that has been given a feed of the moving chart, the service, and the source's settings.
fn obs_with_the_chart(feed: &str) -> (Obs, Service, Json) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut obs = Obs::start();
    let args = ["--test-pattern", "--size", "640x360", "--fps", "30"];
    let service = Service::start(folder, &[&args[..], &["--listen", LISTEN]].concat());
    let mut settings = settings(folder);
    settings["input"] = input(feed);
    obs.show(&settings);
    (obs, service, settings)
}

/// Every pixel of the moving chart is right, over each background and blended in each way.
fn shows_the_chart(feed: &str) {
    let (mut obs, service, _) = obs_with_the_chart(feed);
    for background in [Rgb([255, 0, 255]), Rgb([32, 96, 160])] {
        obs.set_background(background);
        for blend in Blend::ALL {
            obs.wait_for("the chart", blend, |shown| {
                let frame = chart(shown)?;
                Expected::new(&frame, background, blend, LOSSLESS).check(shown)
            });
        }
    }
    let (status, log) = service.stop();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn every_pixel_of_the_test_chart_is_right() {
    alone(|| shows_the_chart("mkv"));
}

#[test]
fn every_pixel_of_the_uncompressed_chart_is_right() {
    alone(|| shows_the_chart("mkv?codec=rawvideo"));
}

#[test]
fn every_pixel_of_the_test_chart_is_right_in_nut() {
    alone(|| shows_the_chart("nut"));
}

#[test]
fn every_pixel_of_the_test_chart_is_right_in_quicktime() {
    alone(|| shows_the_chart("mov"));
}

/// OBS stands still until it has closed the feed that the source had.
fn takes_other_settings(feed: &str) {
    let (mut obs, service, settings) = obs_with_the_chart(feed);
    let mut took = Vec::new();
    for _ in 0..3 {
        let mut first = None;
        // It has played all that it had read ahead.
        obs.wait_for("the chart for a second", Blend::Default, |shown| {
            let number = chart_number(shown)?;
            match number > *first.get_or_insert(number) + 30 {
                true => Ok(()),
                false => Err(format!("only {number}")),
            }
        });
        took.push(obs.show(&settings));
    }
    eprintln!("{feed}: other settings are taken after {took:?}");
    assert!(
        took.iter().all(|took| *took < Duration::from_secs(3)),
        "{took:?}"
    );
    let (status, log) = service.stop();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn other_settings_are_taken_at_once_while_a_matroska_feed_shows() {
    alone(|| {
        for query in ["", "?stamps=media", "?codec=rawvideo"] {
            takes_other_settings(&format!("mkv{query}"));
        }
    });
}

#[test]
fn other_settings_are_taken_at_once_while_another_feed_shows() {
    alone(|| {
        for feed in ["nut", "mov", "webm"] {
            takes_other_settings(feed);
        }
    });
}

#[test]
fn the_scene_collection_can_be_imported() {
    alone(|| {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let file = folder.join("floatup.json");
        let told = run(
            folder,
            &["obs", "source", "--scene-collection", "floatup.json"],
        );
        assert!(told.status.success(), "{}", stderr(&told));
        let mut obs = Obs::start_with(SIZE, Some(&file));
        let args = ["--test-pattern", "--size", "640x360", "--fps", "30"];
        let service = Service::start(folder, &[&args[..], &["--listen", LISTEN]].concat());
        obs.open_collection("floatup");
        obs.wait_for_scene("the imported scene", "floatup", SIZE, |shown| {
            let frame = chart(shown)?;
            Expected::new(&frame, Rgb([0; 3]), Blend::SrgbOff, LOSSLESS).check(shown)
        });
        let (status, log) = service.stop();
        assert_eq!(status.code(), Some(0), "{log}");
    });
}
