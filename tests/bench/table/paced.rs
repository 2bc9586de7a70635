//! Frames by the clock, in this process, for the times that the service's metrics keep in buckets
//! alone: the same stage, painter, threads and bytes, written to `/dev/null`.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use floatup::frame::{Alpha, Frame, PixelFormat, Size};
use floatup::pixel::SimdLevel;

use crate::frames::{threads, warm};
use crate::machine::cores;
use crate::measure::{now, quantile, sleep_until};
use crate::page::{Table, ms};
use crate::scene::{Arrivals, FPS, Load, Scene, rate};
use crate::{Results, progress};

const SECONDS: u64 = 10;

/// 5,000 sprites of 48 px at 4K and 60 frames a second, on all cores.
pub(crate) fn paced(results: &mut Results) -> Result<()> {
    progress("by the clock at 4K, 5000 sprites");
    let size = Size::new(3840, 2160).expect("a size");
    let pool = threads(cores());
    let mut scene = Scene::new(Load {
        size,
        font_size_px: 48.0,
        sprites: 5_000,
        arrivals: Arrivals::OnFrames,
    });
    let mut painter = warm(size, 48.0, SimdLevel::detect()).with_threads(pool.clone());
    let mut frame = Frame::new(size, Alpha::Straight, PixelFormat::Rgba);
    let mut sink = File::create("/dev/null").context("cannot open /dev/null")?;
    let (mut drawn, mut whole, mut late) = (Vec::new(), Vec::new(), 0);
    let mut placements = Vec::new();
    // As in the service: on one of the threads that draw, a frame when it is due, and one that
    // begins only when the next is due is late.
    pool.install(|| -> Result<()> {
        let mut started = now();
        let warm_up = u64::from(FPS);
        for index in 0..warm_up + SECONDS * u64::from(FPS) {
            if index == warm_up {
                started = now() - rate().pts(index);
            }
            sleep_until(started + rate().pts(index));
            let begun = now();
            scene.advance();
            scene.place(&mut placements);
            painter.paint(placements.iter().copied()).draw(&mut frame);
            let painted = begun.elapsed();
            sink.write_all(frame.as_bytes()).context("cannot write")?;
            if index >= warm_up {
                late += u32::from(begun > started + rate().pts(index + 1));
                drawn.push(painted);
                whole.push(begun.elapsed());
            }
        }
        Ok(())
    })?;
    let mut table = Table::new(["600 frames by the clock", "p50 ms", "p99 ms", "max ms"]);
    let mut row = |name: &str, times: &[Duration]| {
        let at = |share| ms(quantile(times, share));
        table.row([name.to_owned(), at(0.5), at(0.99), at(1.0)]);
    };
    row("placed and painted", &drawn);
    row("placed, painted, written", &whole);
    results.paced = Some((table, late));
    Ok(())
}
