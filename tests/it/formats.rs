//! Video formats as the real ffmpeg reads them: their names, planes, sizes and levels.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use floatup::frame::{Alpha, Frame, PixelFormat, Size};
use floatup::paint::Painter;
use floatup::planes::{Range, VideoFormat, VideoFrame};

use crate::compositor::busy_stage;
use crate::media::tool;

/// Odd sides and whole blocks.
const SIZES: [(u32, u32); 2] = [(161, 91), (64, 36)];

/// Straight frames of many sprites: clear, opaque and between.
fn drawn(size: Size) -> Frame {
    let (stage, sheet) = busy_stage(size, 32.0, 120);
    let mut frame = Frame::new(size, Alpha::Straight, PixelFormat::Bgra);
    let mut painter = Painter::new(sheet, size);
    let placements = stage.placements(Duration::from_millis(2_500));
    painter.paint(placements).draw(&mut frame);
    frame
}

/// What ffmpeg makes of raw frames of this format: R, G, B, A.
fn decoded(video: &VideoFrame, frames: &[u8]) -> Vec<[u8; 4]> {
    let range = match video.range() {
        Range::Limited => "tv",
        Range::Full => "pc",
    };
    // Chroma is interpolated, and nothing is left to the conversion's fast path.
    let convert = format!(
        "scale=flags=bilinear+accurate_rnd+full_chroma_int:in_color_matrix=bt709:in_range={range}"
    );
    let (format, size) = (video.format().to_string(), video.size().to_string());
    let mut ffmpeg = tool("ffmpeg")
        .args(["-f", "rawvideo", "-pix_fmt", &format, "-s", &size])
        .args(["-i", "-", "-fps_mode", "passthrough", "-vf", &convert])
        .args(["-f", "rawvideo", "-pix_fmt", "rgba", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("ffmpeg: {e}: apt-get install ffmpeg"));
    let mut stdin = ffmpeg.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // It reads and writes at once.
        let writer = scope.spawn(move || stdin.write_all(frames));
        let output = ffmpeg.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        output
    });
    assert!(output.status.success(), "{format} {size}");
    output.stdout.as_chunks().0.to_vec()
}

/// How far what ffmpeg read is from what was drawn.
#[derive(Debug, Default)]
struct Difference {
    /// The most, in levels, of alpha and of colour.
    alpha: u8,
    colour: u8,
    /// Peak signal to noise of colour where something shows, in dB.
    colour_db: f64,
}

fn difference(format: VideoFormat, ours: &Frame, theirs: &[[u8; 4]]) -> Difference {
    let (mut told, mut squares, mut shown) = (Difference::default(), 0.0, 0.0);
    let is_grey = matches!(format, VideoFormat::Gray | VideoFormat::Gray10le);
    for (&[b, g, r, a], their) in ours.pixels().iter().zip(theirs) {
        let luma = 0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b);
        let our = match is_grey {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a level"
            )]
            true => [luma.round() as u8; 3],
            false => [r, g, b],
        };
        let alpha = if format.has_alpha() { a } else { 255 };
        told.alpha = told.alpha.max(alpha.abs_diff(their[3]));
        for (our, their) in our.into_iter().zip(their) {
            told.colour = told.colour.max(our.abs_diff(*their));
            if a > 0 {
                squares += f64::from(our.abs_diff(*their)).powi(2);
                shown += 1.0;
            }
        }
    }
    assert!(shown > 1_000.0, "something shows");
    told.colour_db = 10.0 * (255.0 * 255.0 * shown / f64::max(squares, 1.0)).log10();
    told
}

/// Whether all of that is as it can be: RGB is exact, but that ffmpeg rounds 16 bits down; luma and
/// chroma of each pixel are within the rounding of both sides; chroma of several pixels is what is
/// left of small sprites (with Cb and Cr swapped it is 6 dB).
fn is_faithful(format: VideoFormat, told: &Difference) -> bool {
    let name = format.to_string();
    let (colour, colour_db) = match name.as_str() {
        "nv12" => (255, 25.0),
        name if name.contains("420") => (255, 25.0),
        name if name.contains("422") => (255, 28.0),
        name if name.contains("444") => (2, 50.0),
        name if name.contains("gray") || name == "rgba64le" => (1, 50.0),
        _ => (0, 80.0),
    };
    let alpha = u8::from(format.bits() > 8);
    told.alpha <= alpha && told.colour <= colour && told.colour_db > colour_db
}

#[test]
fn ffmpeg_reads_every_format_as_it_was_drawn() {
    for (width, height) in SIZES {
        let size = Size::new(width, height).unwrap();
        let frame = drawn(size);
        for (format, range) in kinds() {
            let mut video = VideoFrame::new(size, format, range);
            let mut frames = video.as_bytes().to_vec();
            assert_eq!(frames.len(), format.frame_bytes(size));
            video.convert(&frame);
            frames.extend(video.as_bytes());
            let theirs = decoded(&video, &frames);
            let pixels = frame.pixels().len();
            assert_eq!(theirs.len(), 2 * pixels, "{format} {size}: two frames");
            let black = [0, 0, 0, if format.has_alpha() { 0 } else { 255 }];
            let clear = theirs[..pixels].iter().all(|pixel| *pixel == black);
            assert!(clear, "{format} {size} {range}: clear");
            let told = difference(format, &frame, &theirs[pixels..]);
            assert!(
                is_faithful(format, &told),
                "{format} {size} {range}: {told:?}"
            );
        }
    }
}

/// Every format in every range that it has: RGB has none, and ffmpeg knows no grey of limited range.
fn kinds() -> Vec<(VideoFormat, Range)> {
    let mut kinds = Vec::new();
    for format in VideoFormat::ALL {
        let is_grey = matches!(format, VideoFormat::Gray | VideoFormat::Gray10le);
        if !is_grey {
            kinds.push((format, Range::Limited));
        }
        if format.is_yuv() {
            kinds.push((format, Range::Full));
        }
    }
    kinds
}
