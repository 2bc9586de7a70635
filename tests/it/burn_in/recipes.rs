//! The recipes of `docs/burn-in.md`, as they stand there.

use std::fs;
use std::path::Path;

use super::folder;
use super::media::{ffmpeg, mp4};
use super::pixels::Pictures;
use super::probe::{self, Probe};
use crate::floatup::stderr;
use crate::media::{frame_count, output};
use crate::recipes::{Recipe, check_recipes};

const DOCUMENT: &str = "docs/burn-in.md";

const RECORDING: &str = "log.ndjson talk.mp4 talk-with-reactions.mp4";
const DRY_RUN: &str = "--dry-run";
const PIPES: &str = "| floatup burn-in";
const SEVERAL: &str = "--output tall.mp4";
const REGION: &str = "--region";

/// Levels of luma by which a reaction changes samples, and coding doesn't.
const LIT: u16 = 72;

/// Pictures of the programme.
const PICTURES: u64 = 50;

#[test]
fn every_recipe_is_run() {
    check_recipes(DOCUMENT, &[RECORDING, DRY_RUN, PIPES, SEVERAL, REGION]);
}

/// The programme that the document takes, with sound in three languages, captions and a cover.
fn talk() -> tempfile::TempDir {
    let folder = folder();
    mp4(folder.path(), "talk.mp4");
    folder
}

/// How many samples of luma a reaction has changed, of those rows of all pictures; each picture of
/// one is the other's.
fn lit(before: &Pictures, after: &Pictures, rows: std::ops::Range<usize>) -> usize {
    assert_eq!((before.width, before.height), (after.width, after.height));
    assert_eq!(before.frames.len(), after.frames.len());
    let samples = rows.start * after.width..rows.end * after.width;
    let frames = before.frames.iter().zip(&after.frames);
    let lit = frames.map(|([before, ..], [after, ..])| {
        let pairs = before[samples.clone()].iter().zip(&after[samples.clone()]);
        pairs.filter(|(a, b)| a.abs_diff(**b) > LIT).count()
    });
    lit.sum()
}

/// Checks that a file is the programme with reactions in its picture, and gives its pictures
/// with those of the programme.
#[track_caller]
fn check_whole(folder: &Path, name: &str) -> [Pictures; 2] {
    let files = ["talk.mp4", name];
    let [before, after] = files.map(|name| Probe::of(folder, name));
    probe::copies(&before, &after).none();
    probe::about(&before, &after).none();
    probe::picture(&before, &after).none();
    let pictures = files.map(|name| Pictures::of(folder, name));
    let [before, after] = &pictures;
    assert_eq!(after.frames.len() as u64, PICTURES);
    let lit = lit(before, after, 0..after.height);
    assert!(lit > 1_000, "{name}: {lit} samples");
    pictures
}

#[test]
fn a_recording_has_its_reactions() {
    for document in [DOCUMENT, "README.md"] {
        let folder = talk();
        let recipe = Recipe::of(document, RECORDING);
        recipe.run(folder.path());
        check_whole(folder.path(), "talk-with-reactions.mp4");
    }
}

#[test]
fn a_dry_run_tells_of_each_stream() {
    let folder = talk();
    let folder = folder.path();
    // Matroska can't hold the captions of an MP4, which the document says is told.
    let whole = Recipe::of(DOCUMENT, DRY_RUN).command(folder).output();
    let refused = stderr(&whole.unwrap());
    assert!(
        refused.contains("stream 4 (subtitles mov_text"),
        "{refused}"
    );
    ffmpeg(folder, "-i talk.mp4 -map 0:V -map 0:a -c copy spoken.mp4");
    fs::rename(folder.join("spoken.mp4"), folder.join("talk.mp4")).unwrap();
    let mut command = Recipe::of(DOCUMENT, DRY_RUN).command(folder);
    let told = String::from_utf8(output(&mut command)).unwrap();
    let (_, plan) = told.split_once("talk-with-reactions.mkv").expect("a plan");
    assert!(plan.contains("2 chapters: copied"), "{plan}");
    let expected = [
        "video h264",
        "audio aac",
        "audio ac3",
        "audio opus",
        "data bin_data",
    ];
    let lines = plan.lines().filter(|line| line.contains("stream "));
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), expected.len(), "{told}");
    for (line, stream) in lines.iter().zip(expected) {
        assert!(line.contains(stream), "{stream}: {line}");
        let fate = match stream.split(' ').next() {
            Some("video") => "burned in",
            // The names of chapters.
            Some("data") => "made anew",
            _ => "copied",
        };
        assert!(line.contains(fate), "{fate}: {line}");
    }
    assert!(!folder.join("talk-with-reactions.mkv").exists());
}

#[test]
fn a_programme_goes_through_pipes() {
    let folder = talk();
    let folder = folder.path();
    Recipe::of(DOCUMENT, PIPES).run(folder);
    let [before, after] = ["talk.mp4", "live.mp4"].map(|name| Probe::of(folder, name));
    let kinds: Vec<_> = after
        .streams
        .iter()
        .map(|stream| (stream.kind(), stream.text("codec_name")))
        .collect();
    assert_eq!(kinds, [("video", "h264"), ("audio", "aac")]);
    let sound = |probe: &Probe| {
        let mut streams = probe.streams.iter();
        let sound = streams.find(|stream| stream.text("codec_name") == "aac");
        sound.unwrap().packets.len()
    };
    assert_eq!(sound(&after), sound(&before));
    let [before, after] = ["talk.mp4", "live.mp4"].map(|name| Pictures::of(folder, name));
    let lit = lit(&before, &after, 0..after.height);
    assert!(lit > 1_000, "{lit} samples");
}

#[test]
fn several_outputs_have_their_own_shapes() {
    let folder = talk();
    let folder = folder.path();
    Recipe::of(DOCUMENT, SEVERAL).run(folder);
    check_whole(folder, "wide.mp4");
    let [before, after] = ["talk.mp4", "tall.mp4"].map(|name| Probe::of(folder, name));
    probe::copies(&before, &after).none();
    probe::times(&before, &after).none();
    assert_eq!(frame_count(&folder.join("tall.mp4")), PICTURES);
    // What covers the shape is the programme's middle.
    ffmpeg(
        folder,
        "-i talk.mp4 -map 0:v:0 -vf scale=1138:640,crop=360:640 -crf 12 covered.mp4",
    );
    let [before, after] = ["covered.mp4", "tall.mp4"].map(|name| Pictures::of(folder, name));
    assert_eq!((after.width, after.height), (360, 640));
    let lit = lit(&before, &after, 0..after.height);
    let all = after.width * after.height * after.frames.len();
    assert!((1_000..all / 4).contains(&lit), "{lit} samples of {all}");
}

#[test]
fn a_region_keeps_captions_clear() {
    let folder = talk();
    let folder = folder.path();
    Recipe::of(DOCUMENT, REGION).run(folder);
    let [before, after] = check_whole(folder, "clear-of-captions.mp4");
    let below = after.height * 7 / 10;
    assert_eq!(lit(&before, &after, below..after.height), 0);
    assert!(lit(&before, &after, 0..below) > 1_000);
}
