//! Scenes as `floatup frame` draws them and as Chromium does.
//!
//! `tests/fidelity/` holds the scenes, Chromium's stills of them, and a manifest that says which
//! Chromium. `FLOATUP_UPDATE_FIDELITY=1` makes the stills anew, and fails once so that nobody
//! does so unaware.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use floatup::look::STYLESHEET;
use floatup::motion::{Stylesheet, Surroundings};
use floatup::reaction::{Emoji, Palette};
use floatup::scatter::{Lane, SpriteId};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ImageEncoder as _, Rgba, RgbaImage, imageops};
use imageproc::stats::peak_signal_to_noise_ratio;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Site, load_font, version};
use crate::chromium::Chromium;
use crate::floatup::{run, stderr};
use crate::tree::{files_below, read, root};

/// The least PSNR in dB, of premultiplied values over the pixels that show something in either
/// picture. Positions that aren't snapped to whole pixels, or a filter unlike Chromium's, give at
/// most 41 dB; a picture that is one pixel off gives about 20.
const PSNR_MIN: f64 = 60.0;

/// No premultiplied value may be further off than so many of 255 levels.
const DIFFERENCE_MAX: u8 = 4;

const FOLDER: &str = "tests/fidelity";
const SCENE_ENDING: &str = ".scene.json";
const MANIFEST: &str = "tests/fidelity/manifest.toml";

#[test]
fn stills_are_those_that_chromium_made() {
    let manifest: Manifest = toml::from_str(&read(MANIFEST)).unwrap();
    let scenes = scenes();
    assert_eq!(manifest, Manifest::new(&manifest.chromium, &scenes));
    let stored = scenes.iter().map(|name| (name.as_str(), still(name)));
    check("stored", &manifest.chromium, stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn stills_are_those_that_this_chromium_makes() {
    let site = Site::start().await;
    let mut version_now = String::new();
    let mut stills = Vec::new();
    let mut by_scale: BTreeMap<String, Vec<(String, Value)>> = BTreeMap::new();
    for name in scenes() {
        let scene: Value = serde_json::from_str(&read(scene_path(&name))).unwrap();
        let scale = scene["scale_factor"].as_f64().unwrap_or(1.0).to_string();
        let scene = (name, with_what_a_page_knows(scene));
        by_scale.entry(scale).or_default().push(scene);
    }
    for (scale, scenes) in by_scale {
        let chromium = Chromium::launch_with(&scale).await;
        let scale: f64 = scale.parse().unwrap();
        for (name, scene) in scenes {
            let side = |side: &str| u32::try_from(scene[side].as_u64().unwrap()).unwrap();
            let (width, height) = (side("width"), side("height"));
            let tab = chromium.open(&site.url("/still"), width, height).await;
            load_font(&tab).await;
            let drawn: usize = tab.evaluate(&format!("({STILL})({scene})")).await;
            assert!(drawn > 0, "{name} shows nothing");
            let still = tab.screenshot().await;
            for (side, pixels) in [(width, still.width()), (height, still.height())] {
                let scaled = (f64::from(side) * scale).round();
                assert!((f64::from(pixels) - scaled).abs() < 0.1, "{name}: {pixels}");
            }
            assert_eq!(tab.complaints(), Vec::<String>::new(), "{name}");
            version_now = version(&tab).await;
            stills.push((name, still));
        }
        chromium.close().await;
    }
    stills.sort_by(|(a, _), (b, _)| a.cmp(b));
    if update_wanted() {
        update(&version_now, &stills);
        panic!(
            "{FOLDER}: all stills are made anew; look at them, then run this without FLOATUP_UPDATE_FIDELITY"
        );
    }
    let fresh = stills
        .iter()
        .map(|(name, still)| (name.as_str(), still.clone()));
    check("fresh", &version_now, fresh);
}

/// Families, flags, skin tones, keycaps and both presentations of a character: glyphs of the
/// system's font, whose version is the machine's own, so that there are no stored stills.
#[tokio::test(flavor = "multi_thread")]
async fn sequences_are_those_that_this_chromium_draws() {
    let emoji = [
        "👩‍👩‍👧‍👦",
        "🏳️‍🌈",
        "👩🏽‍🚀",
        "🇫🇷",
        "🇯🇵",
        "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
        "👍🏿",
        "👋🏻",
        "1️⃣",
        "#️⃣",
        "☺️",
        "⌚",
        "🧑‍💻",
        "🫡",
        "❤️‍🔥",
    ];
    let sprites: Vec<_> = (0..)
        .zip(emoji)
        .map(|(n, emoji)| {
            let (left_px, age_ms) = (
                10.3 + f64::from(n % 5) * 70.0,
                90.0 + f64::from(n / 5) * 500.0,
            );
            serde_json::json!({ "emoji": emoji, "left_px": left_px, "age_ms": age_ms })
        })
        .collect();
    let scene =
        serde_json::json!({ "width": 400, "height": 300, "font_size_px": 36, "sprites": sprites });
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (
        folder.path().join("scene.json"),
        folder.path().join("out.png"),
    );
    std::fs::write(&file, scene.to_string()).unwrap();
    let output = run(
        root(),
        &["frame", file.to_str().unwrap(), out.to_str().unwrap()],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        stderr(&output),
        "",
        "all of them have glyphs: apt-get install fonts-noto-color-emoji"
    );
    let ours = image::open(&out).unwrap().into_rgba8();

    let site = Site::start().await;
    let chromium = Chromium::launch().await;
    let tab = chromium.open(&site.url("/still"), 400, 300).await;
    load_font(&tab).await;
    let mut scene = with_what_a_page_knows(scene);
    // The pinned font has the parts of some, of which a browser would make two emoji.
    scene["font_family"] = "Noto Color Emoji".into();
    let drawn: usize = tab.evaluate(&format!("({STILL})({scene})")).await;
    assert_eq!(drawn, emoji.len());
    let theirs = tab.screenshot().await;
    chromium.close().await;
    let likeness = Likeness::of(&ours, &theirs);
    let seen = triptych("sequences", &ours, &theirs);
    assert!(likeness.is_enough(), "{likeness}; see {}", seen.display());
}

#[test]
fn a_pixel_or_a_few_levels_off_is_seen() {
    for name in scenes() {
        let still = still(&name);
        assert!(Likeness::of(&still, &still).is_enough(), "{name}");
        let mut shifted = RgbaImage::new(still.width(), still.height());
        imageops::replace(&mut shifted, &still, 0, 1);
        let likeness = Likeness::of(&shifted, &still);
        assert!(
            !likeness.is_enough() && likeness.psnr < 30.0,
            "{name}: {likeness:?}"
        );
        let mut one_pixel = still.clone();
        let solid = one_pixel
            .pixels_mut()
            .find(|pixel| pixel[3] > 200)
            .map(|pixel| pixel[3] -= 5);
        assert!(
            solid.is_none() || !Likeness::of(&one_pixel, &still).is_enough(),
            "{name}"
        );
    }
}

/// The scene with its stylesheet's text, and for each sprite its class, its own values of the
/// stylesheet's variables, and no `left` where the stylesheet says where it is.
fn with_what_a_page_knows(mut scene: Value) -> Value {
    let css = match scene["css"].as_str() {
        Some(css) => read(root().join(FOLDER).join(css)),
        None => STYLESHEET.to_owned(),
    };
    let stylesheet = Stylesheet::parse(&css).unwrap();
    let palette = Palette::default();
    let around = Surroundings {
        container: (1.0, 1.0),
        box_size: (1.0, 1.0),
        scale: 1.0,
    };
    for (sequence, sprite) in (1..).zip(scene["sprites"].as_array_mut().unwrap()) {
        let emoji = Emoji::new(sprite["emoji"].as_str().unwrap());
        let mut names = palette.entries();
        let name = names.find(|(_, of)| **of == emoji).map(|(name, _)| name);
        let class = name.map(Palette::class);
        let id = SpriteId {
            page: 0,
            sequence,
            index: 0,
        };
        let variables = stylesheet.variables().iter();
        let values: BTreeMap<String, String> = variables
            .map(|variable| {
                let share = id.share(Lane::of(&variable.name));
                (format!("--{}", variable.name), variable.range.css(share))
            })
            .collect();
        let pose = stylesheet
            .motion(class.as_deref(), &[])
            .pose(Duration::ZERO, &around);
        sprite["own_left"] = pose.unwrap().x.is_none().into();
        sprite["class"] = class.map(|class| format!("reaction-{class}")).into();
        sprite["values"] = serde_json::to_value(values).unwrap();
    }
    scene["text"] = css.into();
    scene
}

/// Puts a scene's sprites into the page, each paused at its age; gives how many are alive.
const STILL: &str = "async (scene) => {
    document.querySelector('link[href*=overlay]').remove();
    const sheet = document.createElement('style');
    // As it would stand under /assets.
    sheet.textContent = scene.text.replaceAll('\"fonts/', '\"/assets/fonts/');
    document.head.append(sheet);
    await document.fonts.load('30px \"Floatup Emoji\"', '❤');
    const frame = document.getElementById('frame');
    frame.style.width = `${scene.width}px`;
    frame.style.height = `${scene.height}px`;
    for (const { emoji, left_px, age_ms, own_left, class: name, values } of scene.sprites) {
      const sprite = document.createElement('div');
      sprite.className = `animated-emoji ${name ?? ''}`;
      sprite.textContent = emoji;
      if (own_left) sprite.style.left = `${left_px}px`;
      sprite.style.fontSize = `${scene.font_size_px}px`;
      if (scene.font_family) sprite.style.fontFamily = scene.font_family;
      for (const [variable, value] of Object.entries(values)) sprite.style.setProperty(variable, value);
      frame.append(sprite);
      const animations = sprite.getAnimations();
      const ends = animations.map(({ effect }) => effect.getComputedTiming().endTime);
      // The page removes a sprite when its last animation ends.
      if (age_ms < 0 || age_ms >= Math.max(...ends)) {
        sprite.remove();
        continue;
      }
      for (const animation of animations) {
        animation.pause();
        animation.currentTime = age_ms;
      }
    }
    const painted = () => new Promise((done) => requestAnimationFrame(done));
    await painted();
    await painted();
    return frame.childElementCount;
  }";

/// What the stored stills are.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    /// The version that drew them.
    chromium: String,
    /// The one that the pages serve.
    font: String,
    stylesheet: String,
    /// How they are made again.
    command: String,
    /// By name, sorted.
    scenes: Vec<String>,
}

impl Manifest {
    fn new(chromium: &str, scenes: &[String]) -> Self {
        Self {
            chromium: chromium.into(),
            font: "assets/fonts/NotoColorEmoji-floatup.ttf".into(),
            stylesheet: "assets/overlay.css, where a scene names no other".into(),
            command: "FLOATUP_UPDATE_FIDELITY=1 cargo test --test it fidelity::stills".into(),
            scenes: scenes.into(),
        }
    }
}

/// The scenes' names, sorted.
fn scenes() -> Vec<String> {
    let files = files_below(FOLDER);
    let names = files
        .iter()
        .filter_map(|file| file.file_name()?.to_str()?.strip_suffix(SCENE_ENDING));
    let names: Vec<String> = names.map(Into::into).collect();
    assert!(names.len() > 7, "{names:?}");
    names
}

fn scene_path(name: &str) -> PathBuf {
    root().join(FOLDER).join(format!("{name}{SCENE_ENDING}"))
}

fn still_path(name: &str) -> PathBuf {
    root().join(FOLDER).join(format!("{name}.png"))
}

fn still(name: &str) -> RgbaImage {
    let path = still_path(name);
    let still = image::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    still.into_rgba8()
}

/// Compares `floatup frame`'s stills of scenes with Chromium's, all of them before it fails.
fn check<'a>(kind: &str, chromium: &str, stills: impl Iterator<Item = (&'a str, RgbaImage)>) {
    let folder = tempfile::tempdir().unwrap();
    let mut unlike = Vec::new();
    for (name, theirs) in stills {
        let out = folder.path().join(format!("{name}.png"));
        let scene = scene_path(name);
        let output = run(
            root(),
            &["frame", scene.to_str().unwrap(), out.to_str().unwrap()],
        );
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        let ours = image::open(&out).unwrap().into_rgba8();
        let likeness = Likeness::of(&ours, &theirs);
        let line = format!("{name}: {likeness}");
        eprintln!("{line}");
        if !likeness.is_enough() {
            let triptych = triptych(&format!("{name}-{kind}"), &ours, &theirs);
            unlike.push(format!("{line}; see {}", triptych.display()));
        }
    }
    assert!(
        unlike.is_empty(),
        "wanted at least {PSNR_MIN} dB and at most {DIFFERENCE_MAX} levels against the {kind} \
         stills of Chromium {chromium}:\n{}",
        unlike.join("\n")
    );
}

/// How near two pictures are.
#[derive(Debug)]
struct Likeness {
    /// In dB; infinite for equal ones.
    psnr: f64,
    /// The largest difference, in levels.
    difference: u8,
    /// Pixels that show something in either.
    inked: u32,
}

impl Likeness {
    fn of(ours: &RgbaImage, theirs: &RgbaImage) -> Self {
        assert_eq!(ours.dimensions(), theirs.dimensions());
        let pairs = ours.pixels().zip(theirs.pixels());
        let inked = pairs.filter(|(a, b)| a[3] > 0 || b[3] > 0);
        let (a, b): (Vec<_>, Vec<_>) = inked
            .map(|(a, b)| (premultiplied(a), premultiplied(b)))
            .unzip();
        let inked = u32::try_from(a.len()).unwrap();
        assert!(inked > 0, "both show nothing");
        let levels = a.as_flattened().iter().zip(b.as_flattened());
        let difference = levels.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        let row =
            |pixels: Vec<[u8; 4]>| RgbaImage::from_raw(inked, 1, pixels.into_flattened()).unwrap();
        Self {
            psnr: peak_signal_to_noise_ratio(&row(a), &row(b)),
            difference,
            inked,
        }
    }

    fn is_enough(&self) -> bool {
        self.psnr >= PSNR_MIN && self.difference <= DIFFERENCE_MAX
    }
}

impl std::fmt::Display for Likeness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            psnr,
            difference,
            inked,
        } = self;
        write!(f, "{psnr:.1} dB, {difference} levels, over {inked} pixels")
    }
}

/// So that a pixel counts as much as it shows.
fn premultiplied(&Rgba([r, g, b, a]): &Rgba<u8>) -> [u8; 4] {
    let product = |c: u8| u8::try_from((u32::from(c) * u32::from(a) + 127) / 255).unwrap();
    [product(r), product(g), product(b), a]
}

/// Ours, Chromium's and their difference times 32, side by side on grey.
fn triptych(name: &str, ours: &RgbaImage, theirs: &RgbaImage) -> PathBuf {
    let (width, height) = ours.dimensions();
    let mut all = RgbaImage::from_pixel(3 * width, height, Rgba([96, 96, 96, 255]));
    imageops::overlay(&mut all, ours, 0, 0);
    imageops::overlay(&mut all, theirs, width.into(), 0);
    for (x, y, pixel) in ours.enumerate_pixels() {
        let (a, b) = (premultiplied(pixel), premultiplied(theirs.get_pixel(x, y)));
        let off = |c: usize| a[c].abs_diff(b[c]).saturating_mul(32);
        // What differs in alpha alone must be seen too.
        let grey = off(3) / 2;
        let levels = [0, 1, 2].map(|c| off(c).max(grey));
        all.put_pixel(
            2 * width + x,
            y,
            Rgba([levels[0], levels[1], levels[2], 255]),
        );
    }
    let folder = root().join("target/fidelity");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{name}.png"));
    all.save(&path).unwrap();
    path
}

#[expect(clippy::disallowed_methods, reason = "it is this test's own switch")]
fn update_wanted() -> bool {
    std::env::var_os("FLOATUP_UPDATE_FIDELITY").is_some()
}

/// Rewrites the stills and the manifest.
fn update(chromium: &str, stills: &[(String, RgbaImage)]) {
    for (name, still) in stills {
        let mut png = Vec::new();
        let encoder =
            PngEncoder::new_with_quality(&mut png, CompressionType::Best, FilterType::Adaptive);
        let (width, height) = still.dimensions();
        encoder
            .write_image(still, width, height, image::ExtendedColorType::Rgba8)
            .unwrap();
        std::fs::write(still_path(name), png).unwrap();
    }
    let names: Vec<_> = stills.iter().map(|(name, _)| name.clone()).collect();
    let manifest = toml::to_string_pretty(&Manifest::new(chromium, &names)).unwrap();
    let about = "# Chromium's stills of the scenes in this folder. Made by the command below; don't edit.\n";
    std::fs::write(root().join(MANIFEST), format!("{about}{manifest}")).unwrap();
}
