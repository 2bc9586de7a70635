//! The compositor from outside: the same pixels at every SIMD level, on any number of threads,
//! whether looks are kept or not; as near to the exact picture as 8 bits allow; and no allocation
//! once it runs.

use std::sync::Arc;
use std::time::Duration;

use floatup::cast::{Cast, Placement};
use floatup::config::LookSettings;
use floatup::frame::{Alpha, Frame, FrameRate, PixelFormat, Size};
use floatup::look::Look;
use floatup::paint::{Painter, Painting};
use floatup::pixel::SimdLevel;
use floatup::reaction::{Emoji, Palette, Reaction};
use floatup::sprite::SpriteSheet;
use floatup::stage::{Entrance, Limits, Stage};
use proptest::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

const EMOJI: [&str; 4] = ["❤️", "💯", "👍", "🤯"];

fn cast(size: Size, font_size_px: f64) -> Cast {
    let look = Look::load(&LookSettings {
        font_size_px: Some(font_size_px),
        ..LookSettings::default()
    });
    let emoji = EMOJI.map(Emoji::new);
    let cast = look.unwrap().cast(&Palette::default(), emoji.iter(), size);
    cast.unwrap()
}

fn threads(count: usize) -> Arc<ThreadPool> {
    let pool = ThreadPoolBuilder::new().num_threads(count).build();
    pool.unwrap().into()
}

/// The tutorial's motion with `count` sprites, half of them two at a time, over its whole life.
pub(crate) fn busy_stage(size: Size, font_size_px: f64, count: u32) -> (Stage, Arc<SpriteSheet>) {
    let cast = cast(size, font_size_px);
    let sheet = Arc::clone(cast.sheet());
    let mut stage = Stage::new(
        cast,
        Limits {
            sprites_max: 100_000,
            ..Limits::default()
        },
    );
    let rate = FrameRate::new(60, 1).unwrap();
    for n in 1..=count {
        let reaction = Reaction {
            emoji: Emoji::new(EMOJI[n as usize % 4]),
            count: 1,
        };
        let at = rate.pts(u64::from(n) * 120 / u64::from(count));
        stage.spawn(&Entrance {
            page: 1,
            sequence: n.into(),
            publisher: None,
            reactions: &[reaction],
            at,
        });
    }
    (stage, sheet)
}

fn premultiplied(size: Size) -> Frame {
    Frame::new(size, Alpha::Premultiplied, PixelFormat::Rgba)
}

/// On a frame that shows what was drawn before.
fn draw<'a>(mut painting: Painting<'_>, frame: &'a mut Frame) -> &'a Frame {
    painting.draw(frame);
    frame
}

/// Ink is where it is said to be, and nowhere is a colour above its alpha.
fn assert_sound(frame: &Frame) {
    let lines = frame.pixels().chunks(frame.size().width() as usize);
    assert_eq!(lines.len(), frame.size().height() as usize);
    for (row, line) in lines.enumerate() {
        let mut inked = vec![false; line.len()];
        for columns in frame.inked(row) {
            inked[columns].fill(true);
        }
        for (inked, pixel) in inked.into_iter().zip(line) {
            assert!(inked || *pixel == [0; 4], "unsaid ink");
            let [r, g, b, a] = *pixel;
            assert!(r.max(g).max(b) <= a, "{pixel:?}");
        }
    }
}

fn placement() -> impl Strategy<Value = Placement> {
    let part =
        || prop_oneof![4 => -2.0..2.0_f64, 1 => Just(0.0), 1 => Just(1.0), 1 => -40.0..40.0_f64];
    let odd = prop_oneof![
        Just(1e300),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(1e-300)
    ];
    let matrix = prop_oneof![
        6 => (0.0..360.0_f64, 0.2..3.0_f64, -5.0..60.0_f64).prop_map(|(degrees, scale, move_px)| {
            let (sin, cos) = degrees.to_radians().sin_cos();
            [cos * scale, sin * scale, -sin * scale, cos * scale, move_px, -move_px / 2.0]
        }),
        2 => Just([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]),
        1 => prop::array::uniform6(part()),
        1 => prop::array::uniform6(prop_oneof![3 => part(), 1 => odd]),
    ];
    let far = |side: i32| prop_oneof![9 => -60..side + 60, 1 => any::<i32>()];
    (0..5_u32, far(203), far(341), -0.1..1.1_f64, matrix).prop_map(
        |(layer, x, y, opacity, matrix)| Placement {
            layer,
            x,
            y,
            opacity,
            matrix,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_level_and_any_threads_draw_the_same_frame(
        pictures in prop::collection::vec(prop::collection::vec(placement(), 0..40), 1..4),
    ) {
        // Neither whole blocks nor whole bands.
        let size = Size::new(203, 341).unwrap();
        let sheet = Arc::clone(cast(size, 24.0).sheet());
        let mut painters: Vec<_> = SimdLevel::available()
            .into_iter()
            .map(|level| Painter::new(Arc::clone(&sheet), size).with_level(level))
            .collect();
        painters.push(Painter::new(Arc::clone(&sheet), size).with_threads(threads(3)));
        let mut frames = vec![premultiplied(size); painters.len()];
        // Looks that come again are kept from their second time on.
        for placements in pictures.iter().chain(&pictures).chain(&pictures) {
            let mut fresh = Painter::new(Arc::clone(&sheet), size).with_level(SimdLevel::scalar());
            let mut expected = premultiplied(size);
            fresh.paint(placements.iter().copied()).draw(&mut expected);
            assert_sound(&expected);
            for (painter, frame) in painters.iter_mut().zip(&mut frames) {
                let name = format!("{painter:?}");
                let frame = draw(painter.paint(placements.iter().copied()), frame);
                assert_sound(frame);
                prop_assert!(frame.pixels() == expected.pixels(), "{}", name);
            }
        }
    }
}

#[test]
fn a_large_frame_is_the_same_on_every_level_and_any_threads() {
    // Large enough that drawing and bytes are shared.
    let size = Size::new(2048, 1440).unwrap();
    let (stage, sheet) = busy_stage(size, 48.0, 1_500);
    let painter = || Painter::new(Arc::clone(&sheet), size);
    let mut painters: Vec<_> = SimdLevel::available()
        .into_iter()
        .map(|level| painter().with_level(level))
        .collect();
    painters.extend([2, 3, 8].map(|count| painter().with_threads(threads(count))));
    let mut frames = vec![premultiplied(size); painters.len()];
    let rate = FrameRate::new(60, 1).unwrap();
    for index in [0, 30, 60, 119, 120, 150, 239, 240] {
        let placements: Vec<_> = stage.placements(rate.pts(index)).collect();
        let mut fresh = painter().with_level(SimdLevel::scalar());
        let mut expected = premultiplied(size);
        fresh.paint(placements.iter().copied()).draw(&mut expected);
        assert_sound(&expected);
        for (painter, frame) in painters.iter_mut().zip(&mut frames) {
            let name = format!("{painter:?} at {index}");
            let frame = draw(painter.paint(placements.iter().copied()), frame);
            assert!(frame.pixels() == expected.pixels(), "{name}");
            assert_sound(frame);
        }
    }
    assert!(painters.iter().all(|painter| painter.raster_bytes() > 0));
}

#[test]
fn what_a_painter_keeps_does_not_grow_while_a_crowd_goes_on() {
    let size = Size::new(640, 360).unwrap();
    let cast = cast(size, 30.0);
    let mut painter = Painter::new(Arc::clone(cast.sheet()), size);
    let limits = Limits {
        sprites_max: 100,
        ..Limits::default()
    };
    let mut stage = Stage::new(cast, limits);
    let rate = FrameRate::new(60, 1).unwrap();
    // A hundred messages a second, between frames' times, so that sprites of all ages fade away.
    let mut messages = (1..).map(|n: u64| (n, Duration::from_micros(n * 10_007)));
    let mut message = messages.next();
    let (mut kept, mut shown) = (Vec::new(), 0);
    for second in 0..60 {
        for frame in 60 * second..60 * (second + 1) {
            let pts = rate.pts(frame);
            while let Some((sequence, at)) = message.take_if(|(_, at)| *at <= pts) {
                let emoji = EMOJI[usize::try_from(sequence % 4).unwrap()];
                let reaction = Reaction {
                    emoji: Emoji::new(emoji),
                    count: 1 + u32::try_from(sequence % 7).unwrap(),
                };
                stage.spawn(&Entrance {
                    page: 1,
                    sequence,
                    publisher: None,
                    reactions: &[reaction],
                    at,
                });
                message = messages.next();
            }
            stage.retire(pts);
            painter.paint(stage.placements(pts));
        }
        kept.push(painter.raster_bytes());
        shown = shown.max(stage.len());
    }
    assert!(shown >= 100, "{shown}");
    let most = |seconds: std::ops::Range<usize>| *kept[seconds].iter().max().unwrap();
    let (before, after) = (most(15..30), most(45..60));
    // By chance alone it differs.
    assert!(after < before + before / 10, "{kept:?}");
    // Few of these looks come in two frames.
    assert!((1..8 << 20).contains(&after), "{kept:?}");
}

#[test]
fn what_a_painter_keeps_goes_while_others_draw() {
    let size = Size::new(640, 360).unwrap();
    let (stage, sheet) = busy_stage(size, 30.0, 200);
    let rate = FrameRate::new(60, 1).unwrap();
    let mut painter = Painter::new(sheet, size);
    let mut frame = premultiplied(size);
    for index in 30..40 {
        // Each twice, so that all of its looks come again.
        for _ in 0..2 {
            painter.paint(stage.placements(rate.pts(index)));
        }
    }
    let kept = painter.raster_bytes();
    assert!(kept > 0);
    (0..300).for_each(|_| painter.pass());
    assert_eq!(painter.raster_bytes(), kept, "five seconds are not long");
    // What goes goes within a second.
    (0..360).for_each(|_| painter.pass());
    assert_eq!(painter.raster_bytes(), 0);
    // And it draws as one that has kept nothing.
    let placements: Vec<_> = stage.placements(rate.pts(35)).collect();
    draw(painter.paint(placements.iter().copied()), &mut frame);
    let mut expected = premultiplied(size);
    let mut fresh = painter.with_level(SimdLevel::scalar());
    draw(fresh.paint(placements.iter().copied()), &mut expected);
    assert!(frame.pixels() == expected.pixels());
}

#[test]
fn every_kind_of_pixels_is_made_of_the_premultiplied_ones() {
    // Not whole blocks, nor whole bands.
    let size = Size::new(501, 203).unwrap();
    let (stage, sheet) = busy_stage(size, 48.0, 60);
    let rate = FrameRate::new(60, 1).unwrap();
    for level in SimdLevel::available() {
        let mut painter = Painter::new(Arc::clone(&sheet), size).with_level(level);
        let formats = [
            (PixelFormat::Rgba, [0, 1, 2, 3]),
            (PixelFormat::Bgra, [2, 1, 0, 3]),
            (PixelFormat::Argb, [3, 0, 1, 2]),
            (PixelFormat::Abgr, [3, 2, 1, 0]),
        ];
        let kinds = [Alpha::Straight, Alpha::Premultiplied]
            .into_iter()
            .flat_map(|alpha| formats.map(|(format, order)| (alpha, format, order)));
        let mut frames: Vec<_> = kinds
            .map(|(alpha, format, order)| (Frame::new(size, alpha, format), order))
            .collect();
        for index in [30, 120, 121, 200, 240] {
            // One layout, drawn on each of them.
            let mut painting = painter.paint(stage.placements(rate.pts(index)));
            let truth = painting.frame(Alpha::Premultiplied, PixelFormat::Rgba);
            assert_eq!(index == 240, truth.pixels().iter().all(|p| *p == [0; 4]));
            for (frame, order) in &mut frames {
                painting.draw(frame);
                for (pixel, [r, g, b, a]) in frame.pixels().iter().zip(truth.pixels()) {
                    let whole = if *a == 0 { 255 } else { u32::from(*a) };
                    let level = |c: &u8| match frame.alpha() {
                        Alpha::Premultiplied => u32::from(*c),
                        // 255 c / a to the nearest, half up.
                        Alpha::Straight => (u32::from(*c) * 510 + whole) / (2 * whole),
                    };
                    let rgba = [level(r), level(g), level(b), (*a).into()];
                    let expected = order.map(|channel: usize| rgba[channel]);
                    assert_eq!(pixel.map(u32::from), expected, "{frame:?} {index}");
                }
            }
        }
    }
}

#[test]
fn a_steady_frame_allocates_nothing() {
    let size = Size::new(2048, 1440).unwrap();
    // More pixels than one thread draws alone.
    let (stage, sheet) = busy_stage(size, 48.0, 1_500);
    let rate = FrameRate::new(60, 1).unwrap();
    let pool = threads(2);
    for threads in [None, Some(Arc::clone(&pool))] {
        let mut painter = Painter::new(Arc::clone(&sheet), size);
        if let Some(threads) = threads {
            painter = painter.with_threads(threads);
        }
        let mut drawn = Frame::new(size, Alpha::Straight, PixelFormat::Bgra);
        let mut placements = Vec::new();
        let mut shown = 0;
        let mut frame = |index: u64| {
            placements.clear();
            placements.extend(stage.placements(rate.pts(120 + index % 4)));
            let painting = painter.paint(placements.iter().copied());
            let bytes = draw(painting, &mut drawn).as_bytes();
            shown += usize::from(bytes.iter().any(|byte| *byte > 0));
        };
        // A frame loop runs on one of its own threads, so that it hands nothing over.
        let counted = pool.install(|| {
            (0..16).for_each(&mut frame);
            allocation_counter::measure(|| (0..50).for_each(&mut frame))
        });
        assert_eq!((counted.count_total, shown), (0, 66));
    }
}

/// A picture without 8-bit steps: `0.0..=1.0`, premultiplied.
struct Exact {
    width: usize,
    pixels: Vec<[f64; 4]>,
}

impl Exact {
    /// Source-over of what one placement alone looks like.
    fn over(&mut self, painter: &mut Painter, placement: Placement) {
        let frame = painter
            .paint([placement])
            .frame(Alpha::Premultiplied, PixelFormat::Rgba);
        assert_eq!(frame.size().width() as usize, self.width);
        for (under, source) in self.pixels.iter_mut().zip(frame.pixels()) {
            let source = source.map(|v| f64::from(v) / 255.0);
            for (under, over) in under.iter_mut().zip(source) {
                *under = over + *under * (1.0 - source[3]);
            }
        }
    }
}

/// Each product is at most one level too high, and is made less by what comes over it: a
/// semi-transparent heap of sprites stays within a few levels of the exact one.
#[test]
fn overlapping_sprites_are_near_the_exact_picture() {
    let size = Size::new(160, 120).unwrap();
    let (stage, sheet) = busy_stage(size, 40.0, 60);
    let placements: Vec<_> = stage.placements(Duration::from_secs(2)).collect();
    assert_eq!(placements.len(), 60);
    let mut painter = Painter::new(Arc::clone(&sheet), size);
    let mut exact = Exact {
        width: 160,
        pixels: vec![[0.0; 4]; 160 * 120],
    };
    for placement in &placements {
        exact.over(&mut painter, *placement);
    }
    let mut frame = premultiplied(size);
    painter.paint(placements.iter().copied()).draw(&mut frame);
    let (mut worst, mut deepest) = (0.0_f64, 0);
    for (pixel, exact) in frame.pixels().iter().zip(&exact.pixels) {
        deepest += usize::from(exact[3] > 0.9);
        for (level, exact) in pixel.iter().zip(exact) {
            worst = worst.max((f64::from(*level) - exact * 255.0).abs());
        }
    }
    eprintln!("{worst:.2} levels at most, {deepest} pixels almost covered");
    assert!(deepest > 1_000, "{deepest}: they do overlap");
    assert!(worst < 4.0, "{worst} levels");
}
