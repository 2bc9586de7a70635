//! floatup's half of what could not be run.

use std::fs;

use super::{CHART, Recipe};
use crate::media::stream;
use crate::tree::read;

/// Words of each command, and the files that it makes: their codec, size and pixel format.
const HALVES: [(&str, &[(&str, &str)]); 5] = [
    (
        "--codec prores",
        &[("reactions.mov", "prores,1920,1080,yuva444p12le")],
    ),
    (
        "--key reactions_a.mov",
        &[
            ("reactions.mov", "qtrle,1920,1080,rgb24"),
            ("reactions_a.mov", "qtrle,1920,1080,rgb24"),
        ],
    ),
    (
        "frames-%05d.png",
        &[("frames-00000.png", "png,1920,1080,rgba")],
    ),
    (
        "--format uyvy422",
        &[
            ("fill.nut", "rawvideo,1920,1080,uyvy422"),
            ("key.nut", "rawvideo,1920,1080,uyvy422"),
        ],
    ),
    ("--format argb", &[]),
];

#[test]
fn floatups_half_is_what_others_take() {
    let document = read("docs/outputs.md");
    let (_, section) = document.split_once("## Not run here\n").expect("a section");
    let (section, _) = section.split_once("\n## ").expect("it ends");
    let halves: Vec<&str> = section
        .split('`')
        .filter(|code| code.starts_with("floatup "))
        .collect();
    assert_eq!(halves.len(), HALVES.len());
    for (half, (words, files)) in halves.into_iter().zip(HALVES) {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::write(folder.join("log.ndjson"), super::LOG).unwrap();
        assert!(half.contains(words), "{words:?} is not in {half}");
        let half = half
            .replace("floatup render", "floatup render --frames 2")
            .replace("floatup pipe", CHART)
            .replace("--frames 30", "--frames 2")
            .replace(".fifo", ".nut");
        Recipe(format!("{half} >frames.raw")).run(folder);
        for (file, form) in files {
            let told = stream(&folder.join(file), "codec_name,width,height,pix_fmt");
            assert_eq!(told, *form, "{half}: {file}");
        }
        let raw = fs::read(folder.join("frames.raw")).unwrap();
        let frames = usize::from(files.is_empty()) * 2;
        assert_eq!(raw.len(), frames * 1920 * 1080 * 4, "{half}");
    }
}
