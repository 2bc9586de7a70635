//! GStreamer's.

use std::fs;

use super::{FRAMES, LARGE, Recipe, SMALL, chart_frames, farthest, programme};
use crate::floatup::shell;

pub(super) const COMPOSITOR: &str = "gst-launch-1.0";

/// A programme of PNG pictures has the frames' own levels.
#[test]
fn compositor_puts_live_frames_over_a_programme() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let there = "for element in compositor qtdemux pngdec rawvideoparse; do
        gst-inspect-1.0 --exists $element; done";
    let there = shell(folder, there).status().expect("sh runs");
    assert!(
        there.success(),
        "apt-get install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
    );
    for below in [[32, 160, 96], [0; 3], [255; 3]] {
        programme(folder, FRAMES, below);
        Recipe::with(COMPOSITOR)
            .small()
            .replace(
                &format!("width={} height={}", LARGE.1, LARGE.2),
                &format!("width={} height={}", SMALL.1, SMALL.2),
            )
            .replace("programme.mp4", "programme.mov")
            .replace(
                "autovideosink",
                "video/x-raw,format=RGBA ! filesink location=shown.rgba",
            )
            .of_the_chart()
            .run(folder);
        let shown = fs::read(folder.join("shown.rgba")).unwrap();
        let off = farthest(&shown, &chart_frames(), |_| below);
        assert!(off <= 1.0, "{below:?}: {off}");
    }
}
