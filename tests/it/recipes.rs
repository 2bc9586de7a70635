//! The recipes of documents: each is run as it stands there, with the real programs. Those of
//! `docs/outputs.md` are here.
#![cfg(feature = "ffmpeg")]

mod ffmpeg;
mod gstreamer;
#[cfg(target_os = "linux")]
mod mpv;
mod others;

use std::fs;
use std::path::Path;
use std::process::Command;

use floatup::frame::Size;

use crate::chart;
use crate::floatup::{Running, run, shell, stderr, wait};
use crate::media::tool;
use crate::tree::read;

/// Some words of each recipe, in the document's order; each has a test.
const RECIPES: [&str; 12] = [
    ffmpeg::STRAIGHT,
    ffmpeg::PREMULTIPLIED,
    ffmpeg::LIVE,
    gstreamer::COMPOSITOR,
    "| mpv -",
    "mpv 'http",
    ffmpeg::NUT,
    ffmpeg::BARE,
    ffmpeg::PRORES,
    ffmpeg::KEY_AND_FILL,
    ffmpeg::SIDE_BY_SIDE,
    ffmpeg::VERIFY,
];

/// The size of the document's picture, and of the tests'.
const LARGE: (&str, u32, u32) = ("1280x720", 1280, 720);
const SMALL: (&str, u32, u32) = ("320x180", 320, 180);

/// What a live run lasts in tests.
const FRAMES: usize = 30;

/// Live frames of the chart, as fast as they are read, from where nobody publishes.
const CHART: &str =
    "floatup pipe --test-pattern --frames 30 --clock output --url http://127.0.0.1:9";

const DOCUMENT: &str = "docs/outputs.md";

/// The commands that a document has for a shell.
fn recipes(document: &str) -> Vec<String> {
    let document = read(document);
    let blocks = document.split("```sh\n").skip(1);
    let block = |text: &str| text.split_once("```").expect("a block ends").0.to_owned();
    blocks.map(block).collect()
}

/// Checks that a document's recipes are these, by some words of each, in its order.
pub(crate) fn check_recipes(document: &str, all: &[&str]) {
    let recipes = recipes(document);
    assert_eq!(recipes.len(), all.len(), "{document}");
    for (recipe, words) in recipes.iter().zip(all) {
        assert!(recipe.contains(words), "{words:?} is not in {recipe}");
    }
}

/// A recipe's commands.
pub(crate) struct Recipe(String);

impl Recipe {
    fn with(words: &str) -> Self {
        Self::of(DOCUMENT, words)
    }

    /// The document's one recipe that has these words in it.
    pub(crate) fn of(document: &str, words: &str) -> Self {
        let mut found = recipes(document);
        found.retain(|recipe| recipe.contains(words));
        let [recipe] = <[String; 1]>::try_from(found).expect(words);
        Self(recipe)
    }

    /// With something else in the place of words that are there.
    fn replace(self, words: &str, other: &str) -> Self {
        assert!(self.0.contains(words), "{words:?} is not in {}", self.0);
        Self(self.0.replace(words, other))
    }

    /// With the tests' picture in place of the document's.
    fn small(self) -> Self {
        self.replace(LARGE.0, SMALL.0)
    }

    /// With some live frames of the chart in place of a service's.
    fn of_the_chart(self) -> Self {
        self.replace("floatup pipe", CHART)
    }

    pub(crate) fn command(&self, folder: &Path) -> Command {
        shell(folder, &self.0)
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, folder: &Path) {
        let mut shell = Running(self.command(folder).spawn().expect("sh runs"));
        assert!(wait(&mut shell).success(), "{}", self.0);
    }
}

#[test]
fn every_recipe_is_run() {
    check_recipes(DOCUMENT, &RECIPES);
}

/// The frames of a run of [`CHART`], straight.
fn chart_frames() -> Vec<u8> {
    let size = Size::new(SMALL.1, SMALL.2).unwrap();
    let numbers = 0..FRAMES as u64;
    numbers.flat_map(|n| chart::frame(n, size)).collect()
}

const LOG: &str = "{\"at_ms\":0,\"reaction\":\"heart\"}
{\"at_ms\":300,\"reaction\":\"fire\",\"count\":9}
";

/// The frames of a log that is then in the folder as `log.ndjson`, as floatup writes them to a
/// raw file.
fn log_frames(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    fs::write(folder.join("log.ndjson"), LOG).unwrap();
    let fixed = ["render", "--size", SMALL.0, "--fps", "30", "log.ndjson"];
    let output = run(folder, &[&fixed[..], &["log.rgba"], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    fs::read(folder.join("log.rgba")).unwrap()
}

/// Pictures of one colour, as `programme.mov`, which loses nothing.
fn programme(folder: &Path, frames: usize, [r, g, b]: [u8; 3]) {
    let color = format!("color=0x{r:02x}{g:02x}{b:02x}:s={}:r=30", SMALL.0);
    let mut ffmpeg = tool("ffmpeg");
    ffmpeg.current_dir(folder).args(["-f", "lavfi", "-i"]);
    ffmpeg.arg(format!("{color},format=rgb24"));
    ffmpeg.args(["-frames:v", &frames.to_string()]);
    ffmpeg.args(["-c:v", "png", "-y", "programme.mov"]);
    let made = ffmpeg.status();
    assert!(made.expect("apt-get install ffmpeg").success());
}

/// How far pictures are from straight frames over a background, at most, in levels of R, G or B.
/// The background is that of a pixel, by its number among all.
fn farthest(shown: &[u8], frames: &[u8], below: impl Fn(usize) -> [u8; 3]) -> f64 {
    assert_eq!(shown.len(), frames.len(), "as many pictures");
    let mut farthest = 0.0_f64;
    for (n, (shown, frame)) in shown.chunks(4).zip(frames.chunks(4)).enumerate() {
        let alpha = f64::from(frame[3]) / 255.0;
        for ((shown, over), below) in shown.iter().zip(&frame[..3]).zip(below(n)) {
            let expected = f64::from(*over) * alpha + f64::from(below) * (1.0 - alpha);
            farthest = farthest.max((f64::from(*shown) - expected).abs());
        }
    }
    farthest
}
