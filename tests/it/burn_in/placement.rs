//! Where and when sprites are, and on which of several outputs.

use std::fs;

use super::media::{H264, video};
use super::overlays::{Overlay, overlays, overlays_at};
use super::pixels::{Finding, Pictures, UNTAGGED};
use super::{burn, folder};

/// A programme and its burn-in, without loss.
fn burnt(folder: &std::path::Path, arguments: &str) -> [Pictures; 2] {
    burn(
        folder,
        &format!("--force --video-codec ffv1 {arguments} in.mp4 out.mkv"),
    );
    ["in.mp4", "out.mkv"].map(|name| Pictures::of(folder, name))
}

#[test]
fn a_delay_shifts_reactions() {
    let folder = folder();
    let folder = folder.path();
    video(folder, &format!("{H264} in.mp4"));
    let overlays = overlays(folder, (320, 180), "25", 75);
    let clear: Overlay = vec![[0; 4]; 320 * 180];
    for delay in ["1s", "1000ms", "1"] {
        let [before, after] = burnt(folder, &format!("--delay {delay}"));
        let shown = std::iter::repeat_n(&clear, 25).chain(&overlays);
        Finding::of(&before, &after, shown, UNTAGGED).right(delay);
    }
    let [before, after] = burnt(folder, "--delay=-400ms");
    Finding::of(&before, &after, &overlays[10..], UNTAGGED).right("earlier");
}

/// The samples of luma that are changed in any frame: their least and greatest x and y.
fn changed(before: &Pictures, after: &Pictures) -> [(usize, usize); 2] {
    let mut all = [(usize::MAX, 0); 2];
    for (before_frame, after_frame) in before.frames.iter().zip(&after.frames) {
        for (at, (b, a)) in before_frame[0].iter().zip(&after_frame[0]).enumerate() {
            if a != b {
                let place = [at % before.width, at / before.width];
                for ((least, most), place) in all.iter_mut().zip(place) {
                    *least = place.min(*least);
                    *most = place.max(*most);
                }
            }
        }
    }
    assert!(all[0].0 <= all[0].1, "something shows");
    all
}

#[test]
fn regions_keep_the_rest_clear() {
    let folder = folder();
    let folder = folder.path();
    // Enough to get everywhere.
    let log: String = (0..20)
        .map(|n| {
            format!(
                "{{\"at_ms\":{},\"reaction\":\"heart\",\"count\":6}}\n",
                n * 60
            )
        })
        .collect();
    fs::write(folder.join("log.ndjson"), log).unwrap();
    video(folder, &format!("{H264} in.mp4"));
    for (region, x, y) in [
        ("full", 0..320, 0..180),
        ("title-safe", 16..304, 9..171),
        ("action-safe", 11..309, 6..174),
        ("left", 0..160, 0..180),
        ("right", 160..320, 0..180),
        ("top", 0..320, 0..90),
        ("bottom", 0..320, 90..180),
        ("strip-left", 0..80, 0..180),
        ("strip-right", 240..320, 0..180),
        ("100x80+40+60", 40..140, 60..140),
        ("50%x50%+25%+25%", 80..240, 45..135),
    ] {
        let [before, after] = burnt(folder, &format!("--region {region}"));
        let [(left, right), (top, bottom)] = changed(&before, &after);
        // An edge that is no whole and even pixel may be the nearest that is.
        let slack = 2;
        assert!(
            left + slack >= x.start
                && right < x.end + slack
                && top + slack >= y.start
                && bottom < y.end + slack,
            "{region}: {left}-{right}, {top}-{bottom}"
        );
        let wide = right - left;
        assert!(wide * 2 > x.len(), "{region} is used: {left}-{right}");
    }
}

/// A region is a small picture of its own.
#[test]
fn a_region_has_the_sprites_of_a_picture_of_its_size() {
    let folder = folder();
    let folder = folder.path();
    video(folder, &format!("{H264} in.mp4"));
    let [before, after] = burnt(folder, "--region 160x120+80+40");
    let small = overlays(folder, (160, 120), "25", 50);
    let place = |small: &Overlay| {
        let mut whole = vec![[0; 4]; 320 * 180];
        for (y, row) in small.chunks(160).enumerate() {
            whole[(40 + y) * 320 + 80..][..160].copy_from_slice(row);
        }
        whole
    };
    let shown: Vec<Overlay> = small.iter().map(place).collect();
    Finding::of(&before, &after, &shown, UNTAGGED).right("160x120+80+40");
}

/// One decode, several outputs: in each, sprites are laid out for its own size.
#[test]
fn portrait_and_landscape_come_of_one_run() {
    let folder = folder();
    let folder = folder.path();
    video(folder, &format!("{H264} in.mp4"));
    let run = |prefix: &str| {
        burn(
            folder,
            &format!(
                "--video-codec ffv1 in.mp4 {prefix}-main.mkv \
                 --output {prefix}-tall.mkv --output-size 180x320 --fit cover \
                 --output {prefix}-boxed.mkv --output-size 180x320 \
                 --output {prefix}-small.mkv --output-size 160x90 --fit stretch"
            ),
        );
    };
    run("burnt");
    // The same without reactions is what the reference is composed over.
    fs::rename(folder.join("log.ndjson"), folder.join("full.ndjson")).unwrap();
    fs::write(folder.join("log.ndjson"), "").unwrap();
    run("clear");
    fs::rename(folder.join("full.ndjson"), folder.join("log.ndjson")).unwrap();
    for (name, size, look) in [
        ("main", (320, 180), ""),
        ("tall", (180, 320), ""),
        ("boxed", (180, 320), ""),
        // Sprites are as large beside the picture as on the others.
        ("small", (160, 90), "--scale-factor 0.5"),
    ] {
        let files = ["clear", "burnt"].map(|prefix| format!("{prefix}-{name}.mkv"));
        let [before, after] = files.map(|file| Pictures::of(folder, &file));
        assert_eq!((before.width, before.height), size, "{name}");
        let overlays = overlays_at(folder, size, "25", 50, look);
        Finding::of(&before, &after, &overlays, UNTAGGED).right(name);
        let first_row = &before.frames[0][0][..size.0];
        let is_black = first_row.iter().all(|luma| *luma == 16);
        assert_eq!(is_black, name == "boxed", "{name}: {first_row:?}");
    }
}

/// The same picture every run, however many threads draw it.
#[test]
fn the_same_log_gives_the_same_bytes() {
    let folder = folder();
    let folder = folder.path();
    video(folder, &format!("{H264} in.mp4"));
    for name in ["mp4", "ts", "mov"] {
        let files = ["1", "2"].map(|threads| {
            let file = format!("{threads}.{name}");
            burn(folder, &format!("--threads {threads} in.mp4 {file}"));
            fs::read(folder.join(file)).unwrap()
        });
        assert!(files[0] == files[1], "{name}");
    }
    burn(folder, "--delay 40ms in.mp4 later.mp4");
    let [first, later] = ["1.mp4", "later.mp4"].map(|name| fs::read(folder.join(name)).unwrap());
    assert!(first != later, "another picture is another file");
}
