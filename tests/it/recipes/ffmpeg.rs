//! ffmpeg's.

use std::fs;
use std::path::Path;

use super::{FRAMES, Recipe, chart_frames, farthest, log_frames, programme};
use crate::floatup::run;
use crate::media::{decode_rgba, decode_yuva, frame_count, stream};

pub(super) const STRAIGHT: &str = "--fps 30 log.ndjson over.mov";
pub(super) const PREMULTIPLIED: &str = "--alpha premultiplied log.ndjson over.mov";
pub(super) const LIVE: &str = "-i programme.mp4 -i - ";
pub(super) const NUT: &str = "--container nut | ffmpeg -i - -c:v qtrle";
pub(super) const BARE: &str = "-f rawvideo";
pub(super) const PRORES: &str = "prores_ks";
pub(super) const KEY_AND_FILL: &str = "--key key.fifo";
pub(super) const SIDE_BY_SIDE: &str = "--matte side-by-side";
pub(super) const VERIFY: &str = "verify-alpha";

/// Over the tests' programme, and to a file that loses nothing.
fn over_the_programme(recipe: Recipe) -> Recipe {
    recipe
        .small()
        .replace("programme.mp4", "programme.mov")
        .replace("out.mp4", "-c:v qtrle -y out.mov")
}

/// Straight frames are put over it to the level that `--background` gives, premultiplied ones to
/// the rounding that multiplying takes.
#[test]
fn overlay_gives_what_floatup_gives_over_a_background() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, colour) in [
        ("#20a060", [32, 160, 96]),
        ("black", [0; 3]),
        ("white", [255; 3]),
    ] {
        let ours = log_frames(folder, &["--format", "rgba", "--background", name]);
        programme(folder, ours.len() / (320 * 180 * 4), colour);
        for (recipe, levels) in [(STRAIGHT, 0), (PREMULTIPLIED, 1)] {
            over_the_programme(Recipe::with(recipe)).run(folder);
            let shown = decode_rgba(&folder.join("out.mov"), &[]);
            assert_eq!(shown.len(), ours.len(), "as many pictures");
            let off = shown.iter().zip(&ours).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(off <= Some(levels), "{recipe}, {name}: {off:?}");
        }
    }
}

#[test]
fn overlay_takes_live_frames() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for below in [[32, 160, 96], [0; 3], [255; 3]] {
        programme(folder, FRAMES, below);
        over_the_programme(Recipe::with(LIVE))
            .of_the_chart()
            .run(folder);
        let shown = decode_rgba(&folder.join("out.mov"), &[]);
        let off = farthest(&shown, &chart_frames(), |_| below);
        assert!(off <= 1.0, "{below:?}: {off}");
    }
}

#[test]
fn live_frames_are_recorded_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (words, name) in [
        (NUT, "live.mov"),
        (BARE, "live.mov"),
        (KEY_AND_FILL, "merged.mov"),
        (SIDE_BY_SIDE, "merged.mov"),
    ] {
        Recipe::with(words).small().of_the_chart().run(folder);
        let recorded = decode_rgba(&folder.join(name), &[]);
        assert!(recorded == chart_frames(), "{words}");
        fs::remove_file(folder.join(name)).unwrap();
    }
    assert_eq!(frame_count(&folder.join("fill.mov")), FRAMES as u64);
}

/// Peak signal to noise in dB, of premultiplied colours and of alpha.
fn psnr(ours: &[u8], theirs: &[u8]) -> (f64, f64) {
    assert_eq!(ours.len(), theirs.len(), "as many frames");
    let (mut colour, mut alpha) = (0.0, 0.0);
    for (our, their) in ours.chunks(4).zip(theirs.chunks(4)) {
        let [ours, theirs] = [our, their].map(|pixel| f64::from(pixel[3]));
        alpha += (ours - theirs).powi(2);
        for (our, their) in our[..3].iter().zip(their) {
            let off = f64::from(*our) * ours - f64::from(*their) * theirs;
            colour += (off / 255.0).powi(2) / 3.0;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "it is far below 2^52")]
    let pixels = (ours.len() / 4) as f64;
    let psnr = |squares: f64| 10.0 * (255.0_f64.powi(2) * pixels / squares).log10();
    (psnr(colour), psnr(alpha))
}

#[test]
fn prores_keeps_alpha_and_says_its_colours() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    Recipe::with(PRORES).small().of_the_chart().run(folder);
    let file = folder.join("live.mov");
    let entries = "codec_name,profile,color_range,color_space,color_transfer,color_primaries";
    let told = stream(&file, entries);
    assert_eq!(told, "prores,4444,tv,bt709,bt709,bt709");
    let decoded = decode_yuva(&file, None);
    let (colour, alpha) = psnr(&chart_frames(), &decoded);
    assert!(colour > 50.0 && alpha > 50.0, "{colour} dB, {alpha} dB");
    check_chart(folder, "live.mov");
}

fn check_chart(folder: &Path, file: &str) {
    let output = run(folder, &["verify-alpha", file]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let survived = told.contains("survived, straight");
    assert!(output.status.success() && survived, "{told}");
}

#[test]
fn the_chart_in_a_capture_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // The shell ends badly if the capture is wrong.
    Recipe::with(VERIFY)
        .replace(
            "floatup pipe",
            "floatup pipe --clock output --url http://127.0.0.1:9 --size 640x360",
        )
        .run(folder);
    check_chart(folder, "chart.mov");
}
