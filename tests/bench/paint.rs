//! The compositor's own figures, for comparing one change with the next.
//!
//! `cargo bench --bench paint -- --save-baseline before`, then `--baseline before`. What a reader
//! of figures wants is made by the other target, `table`.

#[expect(dead_code, reason = "the table draws more of them")]
mod scene;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use floatup::flash::FlashGuard;
use floatup::frame::{Alpha, Frame, PixelFormat, Size};
use floatup::pixel::SimdLevel;
use scene::{Arrivals, Load, Scene, rate};

/// A full-HD scene of 48 px sprites.
fn scene(sprites: u32, arrivals: Arrivals) -> Scene {
    Scene::new(Load {
        size: Size::new(1920, 1080).expect("a size"),
        font_size_px: 48.0,
        sprites,
        arrivals,
    })
}

/// Frame after frame, once all looks have been seen.
fn steady(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("steady");
    for level in [SimdLevel::scalar(), SimdLevel::detect()] {
        for sprites in [50, 1_000, 5_000] {
            let mut scene = scene(sprites, Arrivals::OnFrames);
            let mut painter = scene.painter(level);
            let mut placements = Vec::new();
            let mut frame = Frame::new(scene.size(), Alpha::Straight, PixelFormat::Rgba);
            let mut frame = || {
                scene.advance();
                scene.place(&mut placements);
                painter.paint(placements.iter().copied()).draw(&mut frame);
                black_box(frame.as_bytes());
            };
            for _ in 0..360 {
                frame();
            }
            group.bench_function(BenchmarkId::new(level.name(), sprites), |b| {
                b.iter(&mut frame);
            });
        }
    }
}

/// Sprites of which none looks as another did.
fn unlike(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("unlike");
    for level in [SimdLevel::scalar(), SimdLevel::detect()] {
        let mut scene = scene(1_000, Arrivals::Between);
        let mut painter = scene.painter(level);
        let mut placements = Vec::new();
        let mut frame = Frame::new(scene.size(), Alpha::Straight, PixelFormat::Rgba);
        group.bench_function(BenchmarkId::new(level.name(), 1_000), |b| {
            b.iter(|| {
                scene.advance();
                scene.place(&mut placements);
                painter.paint(placements.iter().copied()).draw(&mut frame);
                black_box(frame.as_bytes());
            });
        });
    }
}

/// Poses and places alone.
fn placements(criterion: &mut Criterion) {
    let scene = scene(5_000, Arrivals::OnFrames);
    let mut placements = Vec::new();
    criterion.bench_function("placements/5000", |b| {
        b.iter(|| scene.place(black_box(&mut placements)));
    });
}

/// One layout, drawn again and again, as each kind of pixels.
fn pixels(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pixels");
    let scene = scene(1_000, Arrivals::OnFrames);
    let mut placements = Vec::new();
    scene.place(&mut placements);
    let mut painter = scene.painter(SimdLevel::detect());
    for _ in 0..2 {
        painter.paint(placements.iter().copied());
    }
    let mut painting = painter.paint(placements.iter().copied());
    for (alpha, format) in [
        (Alpha::Premultiplied, PixelFormat::Rgba),
        (Alpha::Premultiplied, PixelFormat::Argb),
        (Alpha::Straight, PixelFormat::Rgba),
        (Alpha::Straight, PixelFormat::Argb),
    ] {
        let mut frame = Frame::new(scene.size(), alpha, format);
        group.bench_function(BenchmarkId::new(format!("{alpha} {format}"), 1_000), |b| {
            b.iter(|| {
                painting.draw(&mut frame);
                black_box(frame.as_bytes());
            });
        });
    }
}

/// What looking for flashes takes of each frame, beyond drawing it.
fn guard(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("guard");
    for level in [SimdLevel::scalar(), SimdLevel::detect()] {
        for sprites in [50, 1_000] {
            let mut scene = scene(sprites, Arrivals::OnFrames);
            let mut guard = FlashGuard::new(scene.sheet(), scene.size()).with_level(level);
            let mut placements = Vec::new();
            let mut number = 0;
            group.bench_function(BenchmarkId::new(level.name(), sprites), |b| {
                b.iter(|| {
                    scene.advance();
                    scene.place(&mut placements);
                    number += 1;
                    black_box(guard.opacity(&placements, 1.0, rate().pts(number)))
                });
            });
        }
    }
}

fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .sample_size(50)
}

criterion_group! {
    name = benches;
    config = short();
    targets = steady, unlike, placements, pixels, guard
}
criterion_main!(benches);
