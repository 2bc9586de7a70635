//! scratch
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use floatup::emoji::EmojiFonts;
use floatup::frame::{Alpha, FrameBytes, FrameRate, PixelFormat, Size};
use floatup::look::Look;
use floatup::paint::Painter;
use floatup::pixel::SimdLevel;
use floatup::reaction::{Emoji, Reaction};
use floatup::sprite::SpriteSheet;
use floatup::stage::{Overflow, Stage, StageSettings};

fn main() {
    let pool = Arc::new(
        rayon::ThreadPoolBuilder::new()
            .num_threads(2)
            .build()
            .unwrap(),
    );
    for (frame, px, count) in [
        ("1920x1080", 48.0, 0u32),
        ("1920x1080", 48.0, 100),
        ("1920x1080", 48.0, 1000),
        ("1920x1080", 30.0, 1000),
        ("1920x1080", 48.0, 5000),
        ("1920x1080", 48.0, 20000),
        ("3840x2160", 48.0, 5000),
        ("1280x720", 48.0, 1000),
    ] {
        for level in SimdLevel::available() {
            for threads in [1, 2] {
                if level.name() != "avx512"
                    && level.name() != "avx2"
                    && (threads == 2 || count != 1000)
                {
                    continue;
                }
                let (stage, sheet) = stage(frame.parse().unwrap(), px, count);
                let mut painter = Painter::new(sheet, frame.parse().unwrap()).with_level(level);
                if threads == 2 {
                    painter = painter.with_threads(pool.clone());
                }
                let rate = FrameRate::new(60, 1).unwrap();
                let mut bytes =
                    FrameBytes::new(frame.parse().unwrap(), Alpha::Straight, PixelFormat::Rgba)
                        .with_level(level);
                let mut t = Vec::new();
                let mut tb = Vec::new();
                let mut tp = Vec::new();
                let mut placements = Vec::new();
                for i in 0..60u64 {
                    let pts = rate.pts(120 + i % 3);
                    let t0 = Instant::now();
                    placements.clear();
                    placements.extend(stage.placements(pts));
                    tp.push(t0.elapsed());
                    let t0 = Instant::now();
                    let f = painter.paint(placements.iter().copied());
                    t.push(t0.elapsed());
                    let t0 = Instant::now();
                    black_box(bytes.of(f));
                    tb.push(t0.elapsed());
                }
                t.sort();
                tb.sort();
                tp.sort();
                let painted: usize = 0;
                println!(
                    "{frame} {px} {count} {level} {threads}: paint {:?} min {:?} place {:?} straight {:?} rasters {} MB {painted}",
                    t[30],
                    t[0],
                    tp[30],
                    tb[30],
                    painter.raster_bytes() >> 20
                );
            }
        }
    }
}

fn stage(size: Size, font_size_px: f64, count: u32) -> (Stage, Arc<SpriteSheet>) {
    let look = Look::load(None, None, Some(font_size_px));
    let motion = look.unwrap().motion;
    let emoji = ["❤️", "💯", "👍", "🤯"].map(Emoji::new);
    let sheet = Arc::new(SpriteSheet::new(&EmojiFonts::bundled(), font_size_px, &emoji).unwrap());
    let mut stage = Stage::new(StageSettings {
        size,
        motion,
        sheet: sheet.clone(),
        sprites_max: 20000,
        overflow: Overflow::RetireOldest,
    });
    let rate = FrameRate::new(60, 1).unwrap();
    for (sequence, emoji) in (1..=count).zip(emoji.iter().cycle()) {
        let reaction = Reaction {
            emoji: emoji.clone(),
            count: 1,
        };
        let at = rate.pts(u64::from(sequence) * 120 / u64::from(count).max(1));
        stage.spawn(1, sequence.into(), &[reaction], at);
    }
    (stage, sheet)
}
