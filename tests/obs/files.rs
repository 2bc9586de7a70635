//! Files in a Media Source, made by floatup and by the real ffmpeg.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use image::{Rgb, RgbaImage};

use crate::blend::Blend;
use crate::chart;
use crate::configuration::SIZE;
use crate::expected::{Expected, Within};
use crate::floatup::{Running, run, stderr, wait};
use crate::isolation::alone;
use crate::media::{decode_rgba, tool};
use crate::studio::Obs;

const BACKGROUNDS: [Rgb<u8>; 2] = [Rgb([255, 0, 255]), Rgb([32, 96, 160])];

const LOSSLESS: Within = Within {
    inside: 2,
    edges: 2,
};

/// Two levels of alpha are 22 levels of a dark channel, as OBS blends by default.
const VP9_BY_FFMPEG: Within = Within {
    inside: 2,
    edges: 25,
};

/// At its default quality six levels of alpha are lost, which are 43 levels of a dark channel.
const VP9_BY_FLOATUP: Within = Within {
    inside: 2,
    edges: 45,
};

/// Nothing moves, and sprites have places of their own.
const STILL: &str = ".animated-emoji { bottom: 20px; animation: k 60s }
    @keyframes k { from { opacity: 0.8 } to { opacity: 0.8 } }";

/// A line of 307 px is as high as the frame, and so is the chart as an image.
const FILLS_FRAME: &str =
    ".animated-emoji { bottom: 0; left: 0; font-size: 307px; animation: k 60s }
    @keyframes k { from { opacity: 1 } to { opacity: 1 } }";

const EMOJI: &str = "{\"at_ms\":0,\"reaction\":\"heart\"}
{\"at_ms\":0,\"reaction\":\"fire\"}
{\"at_ms\":0,\"reaction\":\"100\"}
";

/// The command line is split at spaces.
fn render(folder: &Path, out: &str, arguments: &str) -> PathBuf {
    let fixed = [
        "render",
        "log.ndjson",
        out,
        "--size",
        "640x360",
        "--fps",
        "30",
    ];
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    let output = run(folder, &[&fixed, &arguments[..]].concat());
    assert!(output.status.success(), "{out}: {}", stderr(&output));
    folder.join(out)
}

/// A second of a still picture, by ffmpeg, whose arguments are split at spaces.
fn encode(picture: &RgbaImage, to: PathBuf, arguments: &str) -> PathBuf {
    let ffmpeg = tool("ffmpeg")
        .args("-f rawvideo -pix_fmt rgba -s 640x360 -r 30 -i -".split(' '))
        .args(arguments.split(' '))
        .arg(&to)
        .stdin(Stdio::piped())
        .spawn();
    let ffmpeg = ffmpeg.unwrap_or_else(|e| panic!("ffmpeg: {e}: apt-get install ffmpeg"));
    let mut ffmpeg = Running(ffmpeg);
    let mut stdin = ffmpeg.stdin.take().unwrap();
    for _ in 0..30 {
        stdin.write_all(picture).unwrap();
    }
    drop(stdin);
    assert!(wait(&mut ffmpeg).success(), "{arguments}");
    to
}

/// The frames of a file, as ffmpeg decodes them.
fn decode(file: &Path) -> Vec<RgbaImage> {
    let bytes = decode_rgba(file, &[]);
    let frames = bytes.chunks(SIZE.0 as usize * SIZE.1 as usize * 4);
    let frame = |bytes: &[u8]| RgbaImage::from_raw(SIZE.0, SIZE.1, bytes.to_vec()).unwrap();
    frames.map(frame).collect()
}

/// The frame is on the screen, over each background and blended in each way.
fn shows(obs: &mut Obs, what: &str, frame: &RgbaImage, within: Within) {
    for background in BACKGROUNDS {
        obs.set_background(background);
        for blend in Blend::ALL {
            let expected = Expected::new(frame, background, blend, within);
            obs.wait_for(what, blend, |picture| expected.check(picture));
        }
    }
}

#[test]
fn a_chart_of_straight_alpha_looks_right_from_every_kind_of_file() {
    alone(|| {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let chart = chart::still();
        chart.save(folder.join("chart.png")).unwrap();
        fs::write(folder.join("still.css"), FILLS_FRAME).unwrap();
        let palette = "[palette]\nchart = { image = 'chart.png' }";
        fs::write(folder.join("floatup.toml"), palette).unwrap();
        let log = "{\"at_ms\":0,\"reaction\":\"chart\"}";
        fs::write(folder.join("log.ndjson"), log).unwrap();
        let still = "--config floatup.toml --css still.css --frames 30";

        let mut obs = Obs::start();
        let by_ffmpeg = |name: &str, picture, arguments| {
            encode(picture, folder.join(format!("by-ffmpeg.{name}")), arguments)
        };
        let filled = chart::with_colour_beyond_edges(&chart);
        let vp9 = "-vf scale=out_color_matrix=bt709:out_range=tv -c:v libvpx-vp9 \
                   -pix_fmt yuva420p -colorspace bt709 -color_range tv -crf 10 -b:v 0 \
                   -deadline realtime -cpu-used 6 -auto-alt-ref 0";
        for (file, within) in [
            (by_ffmpeg("mov", &chart, "-c:v qtrle"), LOSSLESS),
            (
                by_ffmpeg("mkv", &chart, "-c:v ffv1 -pix_fmt bgra"),
                LOSSLESS,
            ),
            (by_ffmpeg("apng", &chart, "-c:v apng"), LOSSLESS),
            (by_ffmpeg("webm", &filled, vp9), VP9_BY_FFMPEG),
            (render(folder, "out.mov", still), LOSSLESS),
            (render(folder, "out.mkv", still), LOSSLESS),
            (render(folder, "out.nut", still), LOSSLESS),
            (render(folder, "out.apng", still), LOSSLESS),
            (render(folder, "out.webm", still), VP9_BY_FLOATUP),
            (
                render(folder, "fine.webm", &format!("{still} --quality 84")),
                VP9_BY_FFMPEG,
            ),
        ] {
            obs.show_file(&file);
            shows(&mut obs, &file.display().to_string(), &chart, within);
        }

        // Alpha is multiplied twice, which is dark, and none of the tolerances lets it pass.
        let dark = render(
            folder,
            "dark.mov",
            &format!("{still} --alpha premultiplied"),
        );
        let [multiplied, ..] = &decode(&dark)[..] else {
            panic!("no frame")
        };
        obs.show_file(&dark);
        shows(&mut obs, "premultiplied frames", multiplied, LOSSLESS);
        for blend in Blend::ALL {
            let screenshot = obs.screenshot(blend);
            for within in [LOSSLESS, VP9_BY_FFMPEG, VP9_BY_FLOATUP] {
                let straight = Expected::new(&chart, obs.background(), blend, within);
                let wrong = straight.check(&screenshot);
                assert!(wrong.is_err(), "{blend:?}, {within:?}");
            }
        }
    });
}

#[test]
fn rendered_emoji_look_right_at_rest_and_in_motion() {
    alone(|| {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::write(folder.join("still.css"), STILL).unwrap();
        fs::write(folder.join("log.ndjson"), EMOJI).unwrap();
        let mut obs = Obs::start();

        let still = render(
            folder,
            "still.mov",
            "--font-size 120 --css still.css --frames 30",
        );
        let frames = decode(&still);
        assert!(frames.iter().all(|frame| frame == &frames[0]));
        assert!(frames[0].pixels().any(|pixel| pixel[3] > 0));
        obs.show_file(&still);
        shows(&mut obs, "emoji at rest", &frames[0], LOSSLESS);

        // Each screenshot is one of the frames, whichever.
        let moving = render(folder, "moving.mov", "--font-size 120");
        let frames = decode(&moving);
        let blend = Blend::Default;
        let background = obs.background();
        let expected = frames.iter();
        let expected: Vec<_> = expected
            .map(|frame| Expected::new(frame, background, blend, LOSSLESS))
            .collect();
        let frame_of = |picture: &RgbaImage| {
            expected
                .iter()
                .position(|expected| expected.check(picture).is_ok())
        };
        obs.show_file(&moving);
        obs.wait_for("a file that moves", blend, |picture| {
            frame_of(picture)
                .map(|_| ())
                .ok_or("none of the file's frames".into())
        });
        let mut seen = BTreeSet::new();
        obs.wait_for("ten different frames", blend, |picture| {
            seen.insert(frame_of(picture).expect("a screenshot is one frame of the file"));
            if seen.len() < 10 {
                return Err(format!("no more than {seen:?}"));
            }
            Ok(())
        });
    });
}
