//! What a frame costs: by sprites, font size, frame size, SIMD level and threads.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use floatup::cast::Placement;
use floatup::frame::{Alpha, Frame, PixelFormat, Size};
use floatup::paint::Painter;
use floatup::pixel::SimdLevel;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::measure::{Copy, Line, median, now, time};
use crate::page::{Table, ms, ns, ratio, three};
use crate::scene::{Arrivals, Load, Scene, life_frames, look, rate, touched_pixels, whole_palette};
use crate::{Results, progress};

pub(crate) const SPRITES: [u32; 6] = [0, 50, 200, 1_000, 5_000, 20_000];
const FONT_SIZES_PX: [f64; 3] = [30.0, 48.0, 96.0];
const FRAMES: [(&str, u32, u32); 3] = [
    ("1280x720", 1280, 720),
    ("1920x1080", 1920, 1080),
    ("3840x2160", 3840, 2160),
];

/// Each lane is measured so often, in turn with the others it is compared with.
const ROUNDS: usize = 5;

/// One round of one lane takes about so long.
const ROUND: Duration = Duration::from_millis(120);

/// Threads to draw on.
pub(crate) fn threads(count: usize) -> Arc<ThreadPool> {
    let pool = ThreadPoolBuilder::new().num_threads(count).build();
    Arc::new(pool.expect("threads start"))
}

pub(crate) fn full_hd() -> Size {
    Size::new(1920, 1080).expect("a size")
}

/// The time of each step of one frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Poses and places of all sprites.
    pub(crate) place: Duration,
    /// Clearing and drawing, to the frame's own bytes.
    pub(crate) paint: Duration,
}

impl Cost {
    pub(crate) fn frame(&self) -> Duration {
        self.place + self.paint
    }
}

/// A scene, all that draws it, and what its frames cost.
pub(crate) struct Lane {
    pub(crate) scene: Scene,
    pub(crate) painter: Painter,
    pub(crate) frame: Frame,
    pool: Option<Arc<ThreadPool>>,
    pub(crate) placements: Vec<Placement>,
    pub(crate) costs: Vec<Cost>,
}

impl Lane {
    /// Frames are straight RGBA.
    pub(crate) fn new(scene: Scene, painter: Painter) -> Self {
        let frame = Frame::new(scene.size(), Alpha::Straight, PixelFormat::Rgba);
        Self {
            scene,
            painter,
            frame,
            pool: None,
            placements: Vec::new(),
            costs: Vec::new(),
        }
    }

    pub(crate) fn on(mut self, threads: &Arc<ThreadPool>) -> Self {
        self.painter = self.painter.with_threads(Arc::clone(threads));
        self.pool = Some(Arc::clone(threads));
        self
    }

    pub(crate) fn premultiplied(mut self) -> Self {
        self.frame = Frame::new(self.scene.size(), Alpha::Premultiplied, PixelFormat::Rgba);
        self
    }

    /// The next frame, to the bytes that an output writes.
    pub(crate) fn frame(&mut self) -> Cost {
        self.scene.advance();
        let ((), place) = time(|| self.scene.place(&mut self.placements));
        let ((), paint) = time(|| {
            let mut painting = self.painter.paint(self.placements.iter().copied());
            painting.draw(&mut self.frame);
            black_box(self.frame.as_bytes());
        });
        Cost { place, paint }
    }

    /// Draws frames for about `length`, and keeps what they cost. As in the service, the frame
    /// loop is on one of the threads that draw.
    pub(crate) fn run(&mut self, length: Duration) {
        match self.pool.clone() {
            Some(pool) => pool.install(|| self.draw(length)),
            None => self.draw(length),
        }
    }

    fn draw(&mut self, length: Duration) {
        // Another lane's data are in the caches.
        for _ in 0..2 {
            self.frame();
        }
        let begun = now();
        for count in 0.. {
            if count >= 3 && begun.elapsed() >= length {
                break;
            }
            let cost = self.frame();
            self.costs.push(cost);
        }
    }

    pub(crate) fn median(&self, part: impl Fn(&Cost) -> Duration) -> Duration {
        median(&self.costs.iter().map(part).collect::<Vec<_>>())
    }

    pub(crate) fn frame_time(&self) -> Duration {
        self.median(Cost::frame)
    }
}

fn load(size: Size, font_size_px: f64, sprites: u32) -> Load {
    Load {
        size,
        font_size_px,
        sprites,
        arrivals: Arrivals::OnFrames,
    }
}

/// A painter that has seen every look of a size often enough to keep it.
pub(crate) fn warm(size: Size, font_size_px: f64, level: SimdLevel) -> Painter {
    let mut scene = Scene::new(load(size, font_size_px, 1_000));
    let mut painter = scene.painter(level);
    let mut placements = Vec::new();
    for _ in 0..2 * scene.life_frames() {
        scene.advance();
        scene.place(&mut placements);
        painter.paint(placements.iter().copied());
    }
    painter
}

pub(crate) fn lane(size: Size, font_size_px: f64, sprites: u32, painter: &Painter) -> Lane {
    let scene = Scene::new(load(size, font_size_px, sprites));
    Lane::new(scene, painter.clone())
}

fn measure(lanes: &mut [Lane]) {
    for _ in 0..ROUNDS {
        for lane in &mut *lanes {
            lane.run(ROUND);
        }
    }
}

/// Every number of sprites, font size and frame size, on one and on two threads.
pub(crate) fn sweep(results: &mut Results) {
    let level = SimdLevel::detect();
    let two = threads(2);
    let mut header = vec!["frame".to_owned(), "font".into(), "threads".into()];
    header.extend(SPRITES.map(|n| format!("{n} sprites")));
    let mut table = Table::new(header);
    for (name, width, height) in FRAMES {
        let size = Size::new(width, height).expect("a size");
        for px in FONT_SIZES_PX {
            let painter = warm(size, px, level);
            let mut rows = [vec![], vec![]];
            for sprites in SPRITES {
                progress(&format!("{name}, {px} px, {sprites} sprites"));
                let mut lanes = [
                    lane(size, px, sprites, &painter),
                    lane(size, px, sprites, &painter).on(&two),
                ];
                measure(&mut lanes);
                for (row, lane) in rows.iter_mut().zip(&lanes) {
                    row.push(ms(lane.frame_time()));
                }
            }
            for (threads, row) in ["1", "2"].into_iter().zip(rows) {
                let names = [name.to_owned(), format!("{px} px"), threads.into()];
                table.row(names.into_iter().chain(row));
            }
        }
    }
    results.frames = Some(table);
}

/// The levels and the threads, at full HD and 48 px; and of the widest level, the steps.
pub(crate) fn levels(results: &mut Results) {
    let (size, px) = (full_hd(), 48.0);
    let two = threads(2);
    let counts = [50, 1_000, 20_000];
    let mut header = vec!["level".to_owned(), "threads".into()];
    header.extend(counts.map(|n| format!("{n} sprites")));
    let mut table = Table::new(header);
    let mut rows: Vec<Vec<Vec<String>>> = Vec::new();
    let painters: Vec<_> = SimdLevel::available()
        .into_iter()
        .map(|level| (level, warm(size, px, level)))
        .collect();
    for sprites in counts {
        progress(&format!("every SIMD level, {sprites} sprites"));
        let mut lanes: Vec<Lane> = Vec::new();
        for (_, painter) in &painters {
            let scene = || Scene::new(load(size, px, sprites));
            lanes.push(Lane::new(scene(), painter.clone()));
            lanes.push(Lane::new(scene(), painter.clone()).on(&two));
        }
        measure(&mut lanes);
        rows.push(
            lanes
                .iter()
                .map(|lane| vec![ms(lane.frame_time())])
                .collect(),
        );
    }
    for (number, (level, _)) in painters.iter().enumerate() {
        for threads in 0..2 {
            let names = [level.name().to_owned(), (threads + 1).to_string()];
            let cells = rows
                .iter()
                .flat_map(|row| row[2 * number + threads].clone());
            table.row(names.into_iter().chain(cells));
        }
    }
    results.levels = Some(table);
}

/// Nanoseconds for a pixel, next to a memory copy of as many bytes; and the steps of a frame.
pub(crate) fn pixels(results: &mut Results) {
    let size = full_hd();
    let level = SimdLevel::detect();
    let mut table = Table::new([
        "font",
        "sprites",
        "touched pixels",
        "place ms",
        "paint ms",
        "paint ms, straight",
        "paint ns/px",
        "whole frame ns/px",
        "copy ns/px",
        "paint / copy",
        "whole frame / copy",
    ]);
    let mut worst: f64 = 0.0;
    for px in FONT_SIZES_PX {
        let painter = warm(size, px, level);
        for sprites in SPRITES.into_iter().filter(|n| *n > 0) {
            progress(&format!("pixels at {px} px, {sprites} sprites"));
            let mut straight = lane(size, px, sprites, &painter);
            let mut lane = lane(size, px, sprites, &painter).premultiplied();
            lane.frame();
            let mut alone = lane.painter.clone();
            let touched = touched_pixels(&lane.placements, &mut alone, size);
            let mut copy = Copy::new(usize::try_from(4 * touched).expect("it fits in memory"));
            for _ in 0..ROUNDS {
                lane.run(ROUND);
                straight.run(ROUND);
                copy.run(lane.costs.len().div_ceil(ROUNDS).max(3));
            }
            let per_pixel = |time: Duration| time.as_secs_f64() * 1e9 / float(touched);
            let [place, paint, to_straight] = [
                lane.median(|cost| cost.place),
                lane.median(|cost| cost.paint),
                straight.median(|cost| cost.paint),
            ];
            let copied = per_pixel(median(&copy.times));
            let (painted, whole) = (per_pixel(paint), per_pixel(straight.frame_time()));
            if sprites >= 1_000 {
                worst = worst.max(painted / copied);
            }
            table.row([
                format!("{px} px"),
                sprites.to_string(),
                touched.to_string(),
                ms(place),
                ms(paint),
                ms(to_straight),
                ns(painted),
                ns(whole),
                ns(copied),
                ratio(painted / copied),
                ratio(whole / copied),
            ]);
        }
    }
    results.pixels = Some(table);
    results.paint_to_copy = Some(worst);
}

/// A painter that has seen nothing, and one to which no look comes twice.
pub(crate) fn cold(results: &mut Results) {
    const TIMES: usize = 9;
    let (size, px) = (full_hd(), 48.0);
    let level = SimdLevel::detect();
    let painter = warm(size, px, level);
    let mut table = Table::new([
        "sprites",
        "first frame of a new painter, ms",
        "its second frame, ms",
        "no look comes twice, ms",
        "every look kept, ms",
    ]);
    for sprites in [50, 200, 1_000, 5_000] {
        progress(&format!("cold, {sprites} sprites"));
        let mut kept = lane(size, px, sprites, &painter);
        let between = Scene::new(Load {
            arrivals: Arrivals::Between,
            ..load(size, px, sprites)
        });
        let fresh = between.painter(level);
        let mut unlike = Lane::new(between, fresh);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for _ in 0..TIMES {
            let scene = Scene::new(load(size, px, sprites));
            let painter = scene.painter(level);
            let mut new = Lane::new(scene, painter);
            first.push(new.frame().frame());
            second.push(new.frame().frame());
            kept.run(ROUND / 2);
            unlike.run(ROUND / 2);
        }
        table.row([
            sprites.to_string(),
            ms(median(&first)),
            ms(median(&second)),
            ms(unlike.frame_time()),
            ms(kept.frame_time()),
        ]);
    }
    results.cold = Some(table);
}

/// The line through points, and what is furthest from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fit {
    pub(crate) line: Line,
    /// As a share.
    pub(crate) largest: f64,
}

impl Fit {
    fn new(points: &[(f64, f64)]) -> Self {
        let line = Line::through(points);
        let deviations = points.iter().map(|point| line.deviation(*point).abs());
        Self {
            line,
            largest: deviations.fold(0.0, f64::max),
        }
    }
}

/// How the cost of a frame grows.
pub(crate) struct Growth {
    pub(crate) whole: Fit,
    /// From 1,000 sprites on.
    pub(crate) many: Fit,
    pub(crate) table: Table,
}

/// The cost as sprites grow, and the line through it.
pub(crate) fn growth(results: &mut Results) {
    let (size, px) = (full_hd(), 48.0);
    let painter = warm(size, px, SimdLevel::detect());
    let counts = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 20_000];
    progress("growth from 100 to 20000 sprites");
    let mut lanes = counts.map(|sprites| lane(size, px, sprites, &painter));
    measure(&mut lanes);
    let times = lanes
        .iter()
        .map(|lane| lane.frame_time().as_secs_f64() * 1e3);
    let whole: Vec<_> = counts.map(f64::from).into_iter().zip(times).collect();
    let whole_fit = Fit::new(&whole);
    let many: Vec<_> = whole
        .iter()
        .copied()
        .filter(|(n, _)| *n >= 1_000.0)
        .collect();
    let many_fit = Fit::new(&many);
    let mut table = Table::new([
        "sprites",
        "frame ms",
        "off its line by",
        "off the line from 1,000 on by",
    ]);
    for (sprites, whole) in counts.into_iter().zip(whole) {
        let off = |fit: Fit, point| format!("{:+.1} %", 100.0 * fit.line.deviation(point));
        table.row([
            sprites.to_string(),
            three(whole.1),
            off(whole_fit, whole),
            if sprites < 1_000 {
                "-".into()
            } else {
                off(many_fit, whole)
            },
        ]);
    }
    results.growth = Some(Growth {
        whole: whole_fit,
        many: many_fit,
        table,
    });
}

/// The bytes that are kept once every emoji of the default palette has passed every age.
pub(crate) fn cache(results: &mut Results) {
    let size = full_hd();
    let mut table = Table::new(["font", "looks", "MiB kept"]);
    for px in FONT_SIZES_PX {
        progress(&format!("rasters at {px} px"));
        let look = look(px);
        let (stage, sheet) = whole_palette(&look, size);
        let mut painter = Painter::new(sheet, size);
        let life_frames = life_frames(&look);
        let mut looks = 0;
        for pass in 0..3 {
            for frame in 0..life_frames {
                let placements: Vec<_> = stage.placements(rate().pts(frame)).collect();
                looks += if pass == 0 { placements.len() } else { 0 };
                painter.paint(placements);
            }
        }
        let mib = float(painter.raster_bytes() as u64) / f64::from(1 << 20);
        table.row([format!("{px} px"), looks.to_string(), format!("{mib:.1}")]);
    }
    results.cache = Some(table);
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}
