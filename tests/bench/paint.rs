//! What one frame costs: where its sprites are, drawing them, and its bytes.
//!
//! Sprites are spawned evenly over one lifetime, so that all ages are there.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use floatup::emoji::EmojiFonts;
use floatup::frame::{Alpha, FrameBytes, PixelFormat, Size};
use floatup::look::Look;
use floatup::paint::Painter;
use floatup::reaction::{Emoji, Reaction};
use floatup::sprite::SpriteSheet;
use floatup::stage::{Overflow, Placement, Stage, StageSettings};

const EMOJI: [&str; 4] = ["❤️", "💯", "👍", "🤯"];
const COUNTS: [u32; 4] = [0, 50, 200, 1_000];
const SIZES: [&str; 2] = ["1280x720", "1920x1080"];
const FONT_SIZES_PX: [f64; 2] = [30.0, 48.0];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(1_000))
        .sample_size(10)
        .configure_from_args();
    placements(&mut criterion);
    paint(&mut criterion);
    frame_bytes(&mut criterion);
    criterion.final_summary();
}

/// `Stage::placements`: the pose of each sprite.
fn placements(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("placements");
    for count in COUNTS {
        let (stage, now, _) = stage(size(SIZES[1]), FONT_SIZES_PX[0], count);
        group.throughput(Throughput::Elements(count.into()));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                for placement in stage.placements(black_box(now)) {
                    black_box(placement);
                }
            });
        });
    }
    group.finish();
}

/// `Painter::paint`, the clearing of the picture before included.
fn paint(criterion: &mut Criterion) {
    for (frame, px) in SIZES
        .into_iter()
        .flat_map(|s| FONT_SIZES_PX.map(|px| (s, px)))
    {
        let mut group = criterion.benchmark_group(format!("paint/{frame}/{px}px"));
        group.sampling_mode(SamplingMode::Flat);
        for count in COUNTS {
            let (placements, mut painter) = picture(frame, px, count);
            group.throughput(Throughput::Elements(count.into()));
            group.bench_function(BenchmarkId::from_parameter(count), |b| {
                b.iter(|| {
                    black_box(painter.paint(black_box(&placements).iter().cloned()));
                });
            });
        }
        group.finish();
    }
}

/// `FrameBytes::of` to straight alpha, of a frame that shows something in every row.
fn frame_bytes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("straight_bytes");
    group.sampling_mode(SamplingMode::Flat);
    for frame in SIZES {
        for count in [0, 200] {
            let (placements, mut painter) = picture(frame, FONT_SIZES_PX[1], count);
            let drawn = painter.paint(placements);
            let mut bytes = FrameBytes::new(size(frame), Alpha::Straight, PixelFormat::Rgba);
            group.bench_function(BenchmarkId::new(frame, count), |b| {
                b.iter(|| {
                    black_box(bytes.of(black_box(drawn)));
                });
            });
        }
    }
    group.finish();
}

/// What is to be drawn, and what draws it.
fn picture(frame: &str, font_size_px: f64, count: u32) -> (Vec<Placement>, Painter) {
    let size = size(frame);
    let (stage, now, sheet) = stage(size, font_size_px, count);
    let placements: Vec<_> = stage.placements(now).collect();
    assert_eq!(placements.len(), count as usize, "all of them are alive");
    (placements, Painter::new(sheet, size))
}

/// A stage on which so many sprites are alive at the time given with it.
fn stage(size: Size, font_size_px: f64, count: u32) -> (Stage, Duration, SpriteSheet) {
    let look = Look::load(None, None, Some(font_size_px));
    let motion = look
        .expect("invariant: the bundled stylesheet is sound")
        .motion;
    let lifetime = motion.lifetime();
    let emoji = EMOJI.map(Emoji::new);
    let sheet = SpriteSheet::new(&EmojiFonts::bundled(), font_size_px, &emoji)
        .expect("invariant: four emoji are few");
    let mut stage = Stage::new(StageSettings {
        size,
        motion,
        box_size: sheet.box_size(),
        sprites_max: COUNTS[3] as usize,
        overflow: Overflow::RetireOldest,
    });
    for (sequence, emoji) in (1..=count).zip(emoji.iter().cycle()) {
        let reaction = Reaction {
            emoji: emoji.clone(),
            count: 1,
        };
        let at = lifetime * sequence / count;
        assert_eq!(stage.spawn(1, sequence.into(), &[reaction], at), 0);
    }
    // The first has lived for almost all its time, the last appears now.
    (stage, lifetime, sheet)
}

fn size(text: &str) -> Size {
    text.parse().expect("invariant: a size")
}
