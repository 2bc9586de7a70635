//! Files of codecs that lose something: how much, over what shows and over backgrounds.

use super::{FRAME_BYTES, RATES, SIZE, folder, raw, render};
use crate::media::{decode_yuva, stream};

#[test]
fn webm_keeps_alpha_and_colour() {
    let folder = folder();
    for &(rate, ..) in RATES {
        let file = render(folder.path(), rate, "out.webm", &[]);
        let entries = "codec_name,width,height,color_range,color_space,color_transfer,\
                       color_primaries:stream_tags=alpha_mode";
        let told = stream(&file, entries);
        assert_eq!(told, "vp9,161,91,tv,bt709,bt709,bt709,1", "{rate}");
        let told = Difference::of(
            &raw(folder.path(), rate, &[]),
            &decode_yuva(&file, Some("libvpx-vp9")),
        );
        let figures = format!("{rate}: {told:?}");
        assert!(told.inked > 10_000.0 && told.edges > 2_000.0, "{figures}");
        assert!(told.alpha_db > 36.0 && told.colour_db > 31.0, "{figures}");
        // A fringe would be dark over white, or bright over black.
        assert!(told.edge_db > 34.0, "{figures}");
        assert!(
            told.over_white.abs() < 1.0 && told.over_black.abs() < 1.0,
            "{figures}"
        );
        assert!(told.strays * 10_000 < told.all, "{figures}");
    }
}

/// The ones beside VP9, at their defaults.
#[test]
fn lossy_codecs_stay_near() {
    let folder = folder();
    let raw = raw(folder.path(), "25", &[]);
    for (ending, codec, decoder, alpha_db, colour_db) in [
        ("webm", "vp8", Some("libvpx"), 33.0, 31.0),
        ("mov", "prores", None, 50.0, 38.0),
        ("mkv", "prores", None, 50.0, 38.0),
    ] {
        let form = ["--codec", codec];
        let file = render(folder.path(), "25", &format!("out.{ending}"), &form);
        let tags = "color_range,color_space,color_transfer,color_primaries:stream_tags=alpha_mode";
        let told = stream(&file, tags);
        let alpha_mode = if ending == "webm" { ",1" } else { "" };
        let expected = format!("tv,bt709,bt709,bt709{alpha_mode}");
        assert_eq!(told, expected, "{codec} in {ending}");
        let told = Difference::of(&raw, &decode_yuva(&file, decoder));
        let figures = format!("{codec} in {ending}: {told:?}");
        assert!(told.inked > 10_000.0 && told.edges > 2_000.0, "{figures}");
        assert!(
            told.alpha_db > alpha_db && told.colour_db > colour_db,
            "{figures}"
        );
        assert!(told.strays * 10_000 < told.all, "{figures}");
    }
}

#[test]
fn webm_holds_premultiplied_frames_if_asked_for() {
    let folder = folder();
    let premultiplied = &["--alpha", "premultiplied"];
    let raw = raw(folder.path(), "25", premultiplied);
    let [asked_for, straight] = [&premultiplied[..], &[]].map(|alpha| {
        let file = render(folder.path(), "25", "out.webm", alpha);
        let (mut squares, mut samples) = (0.0, 0.0);
        for (our, their) in raw
            .chunks(4)
            .zip(decode_yuva(&file, Some("libvpx-vp9")).chunks(4))
        {
            let inked = our[3] > 0;
            for (our, their) in our[..3].iter().zip(their).filter(|_| inked) {
                squares += (f64::from(*our) - f64::from(*their)).powi(2);
                samples += 1.0;
            }
        }
        psnr(squares / samples)
    });
    let figures = format!("{asked_for:.1} dB, straight {straight:.1} dB");
    assert!(asked_for > 25.0 && straight < asked_for - 6.0, "{figures}");
}

/// Frame by frame, over black, white and a colour, over what shows in either.
#[test]
fn lossy_files_look_right_over_every_background_at_every_time() {
    let folder = folder();
    for (ending, codec, decoder, straight_db, premultiplied_db) in [
        ("webm", "vp9", Some("libvpx-vp9"), 28.5, 21.0),
        ("webm", "vp8", Some("libvpx"), 28.0, 21.0),
        ("mov", "prores", None, 44.0, 41.0),
    ] {
        for (alpha, db) in [
            ("straight", straight_db),
            ("premultiplied", premultiplied_db),
        ] {
            let form = ["--alpha", alpha];
            let raw = raw(folder.path(), "25", &form);
            let form = [&form[..], &["--codec", codec]].concat();
            let file = render(folder.path(), "25", &format!("out.{ending}"), &form);
            let decoded = decode_yuva(&file, decoder);
            assert_eq!(raw.len(), decoded.len(), "as many frames");
            for background in [[0.0; 3], [255.0; 3], [230.0, 0.0, 120.0]] {
                let over = |pixel: &[u8]| {
                    let (colour, alpha) = match alpha {
                        "straight" => premultiplied(pixel),
                        _ => ([0, 1, 2].map(|c| f64::from(pixel[c])), f64::from(pixel[3])),
                    };
                    let through = 1.0 - alpha / 255.0;
                    [0, 1, 2].map(|c| colour[c] + through * background[c])
                };
                let frames = raw.chunks(FRAME_BYTES).zip(decoded.chunks(FRAME_BYTES));
                let mut shown = 0;
                for (n, (ours, theirs)) in frames.enumerate() {
                    let (mut squares, mut samples) = (0.0, 0.0);
                    for (our, their) in ours.chunks(4).zip(theirs.chunks(4)) {
                        if our[3] > 0 || their[3] > 0 {
                            let (our, their) = (over(our), over(their));
                            squares += (0..3).map(|c| (our[c] - their[c]).powi(2)).sum::<f64>();
                            samples += 3.0;
                        }
                    }
                    shown += usize::from(samples > 0.0);
                    // Nothing is off where nothing shows.
                    let told = if samples > 0.0 {
                        psnr(squares / samples)
                    } else {
                        db
                    };
                    assert!(
                        told >= db,
                        "{codec}, {alpha}, {background:?}: frame {n}, {told:.1} dB"
                    );
                }
                assert!(shown > 50, "{shown} frames show something");
            }
        }
    }
}

/// What a lossy file makes of straight frames, over what shows something.
#[derive(Debug, Default)]
struct Difference {
    /// Pixels that are not clear, and those of them that touch one that is.
    inked: f64,
    edges: f64,
    /// Peak signal to noise, in dB, of alpha and of premultiplied colour; of the latter at
    /// the edges alone.
    alpha_db: f64,
    colour_db: f64,
    edge_db: f64,
    /// How much brighter edges are over white and over black, on average, in levels.
    over_white: f64,
    over_black: f64,
    /// Clear pixels that aren't any more, by more than a trace, and all pixels.
    strays: usize,
    all: usize,
}

impl Difference {
    fn of(ours: &[u8], theirs: &[u8]) -> Self {
        assert_eq!(ours.len(), theirs.len(), "as many frames");
        let mut told = Self::default();
        // Sums of squares until the end.
        for (ours, theirs) in ours.chunks(FRAME_BYTES).zip(theirs.chunks(FRAME_BYTES)) {
            for (n, (our, their)) in ours.chunks(4).zip(theirs.chunks(4)).enumerate() {
                told.all += 1;
                if our[3] == 0 {
                    told.strays += usize::from(their[3] > 16);
                    continue;
                }
                let ((our, our_alpha), (their, their_alpha)) =
                    (premultiplied(our), premultiplied(their));
                let colour: f64 = (0..3).map(|c| (our[c] - their[c]).powi(2)).sum();
                told.inked += 1.0;
                told.alpha_db += (our_alpha - their_alpha).powi(2);
                told.colour_db += colour / 3.0;
                if is_edge(ours, n) {
                    let brighter = (their.iter().sum::<f64>() - our.iter().sum::<f64>()) / 3.0;
                    told.edges += 1.0;
                    told.edge_db += colour / 3.0;
                    told.over_black += brighter;
                    told.over_white += brighter + our_alpha - their_alpha;
                }
            }
        }
        told.alpha_db = psnr(told.alpha_db / told.inked);
        told.colour_db = psnr(told.colour_db / told.inked);
        told.edge_db = psnr(told.edge_db / told.edges);
        told.over_white /= told.edges;
        told.over_black /= told.edges;
        told
    }
}

fn premultiplied(pixel: &[u8]) -> ([f64; 3], f64) {
    let alpha = f64::from(pixel[3]);
    let colour = [pixel[0], pixel[1], pixel[2]];
    (colour.map(|c| f64::from(c) * alpha / 255.0), alpha)
}

/// Whether a clear pixel is among the eight around.
fn is_edge(frame: &[u8], n: usize) -> bool {
    let near = |at: usize, end: usize| at.saturating_sub(1)..=(at + 1).min(end - 1);
    let (x, y) = (n % SIZE.0, n / SIZE.0);
    near(y, SIZE.1).any(|y| near(x, SIZE.0).any(|x| frame[(y * SIZE.0 + x) * 4 + 3] == 0))
}

fn psnr(mean_square: f64) -> f64 {
    10.0 * (255.0_f64.powi(2) / mean_square).log10()
}
