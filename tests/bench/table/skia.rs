//! A peer on the same processor: `tiny-skia` draws the same layers through the same matrices.

use std::time::Duration;

use anyhow::{Result, ensure};
use floatup::cast::Placement;
use floatup::pixel::SimdLevel;
use floatup::sprite::{Layer, SpriteSheet};
use tiny_skia::{BlendMode, Color, FilterQuality, IntSize, Pixmap, PixmapPaint, Transform};

use crate::frames::{Cost, Lane, full_hd, lane, warm};
use crate::measure::{median, time};
use crate::page::{Table, ms, ratio};
use crate::scene::{Arrivals, Load, Scene};
use crate::{Results, progress};

/// Below this the two do not draw the same picture.
const PSNR_MIN_DB: f64 = 25.0;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(80);

/// The peer: a frame and the sheet's layers, both premultiplied RGBA as ours.
struct Skia {
    frame: Pixmap,
    layers: Vec<(Pixmap, i32)>,
    times: Vec<Duration>,
}

impl Skia {
    fn new(sheet: &SpriteSheet) -> Option<Self> {
        let layers = (0..).map_while(|number| sheet.layer(number));
        let size = full_hd();
        Some(Self {
            frame: Pixmap::new(size.width(), size.height())?,
            layers: layers.map(pixmap).collect::<Option<_>>()?,
            times: Vec::new(),
        })
    }

    fn paint(&mut self, placements: &[Placement]) {
        self.frame.fill(Color::TRANSPARENT);
        for placement in placements {
            let (layer, top) = &self.layers[placement.layer as usize];
            let paint = PixmapPaint {
                opacity: single(placement.opacity),
                blend_mode: BlendMode::SourceOver,
                quality: FilterQuality::Bilinear,
            };
            let [a, b, c, d, e, f] = placement.matrix.map(single);
            let [x, y] = [placement.x, placement.y].map(|place| single(place.into()));
            let transform = Transform::from_row(a, b, c, d, e + x, f + y);
            self.frame
                .draw_pixmap(0, *top, layer.as_ref(), &paint, transform, None);
        }
    }
}

fn pixmap(layer: &Layer) -> Option<(Pixmap, i32)> {
    let side = |length: usize| u32::try_from(length).ok();
    let size = IntSize::from_wh(side(layer.width)?, side(layer.height)?)?;
    let pixels = layer.pixels.as_flattened().to_vec();
    Some((Pixmap::from_vec(pixels, size)?, layer.top))
}

#[expect(clippy::cast_possible_truncation, reason = "what tiny-skia takes")]
fn single(value: f64) -> f32 {
    value as f32
}

/// Of premultiplied channels, over the pixels in which either picture has ink.
fn psnr_db(ours: &[u8], theirs: &[u8]) -> f64 {
    let pixels = ours.chunks_exact(4).zip(theirs.chunks_exact(4));
    let (mut squares, mut channels) = (0.0, 0.0);
    for (a, b) in pixels.filter(|(a, b)| **a != [0; 4] || **b != [0; 4]) {
        for (a, b) in a.iter().zip(b) {
            squares += (f64::from(*a) - f64::from(*b)).powi(2);
            channels += 1.0;
        }
    }
    10.0 * (255.0 * 255.0 * channels / squares).log10()
}

/// # Errors
/// The pictures differ.
pub(crate) fn compare(results: &mut Results) -> Result<()> {
    // That of every processor of its kind.
    let narrow = SimdLevel::available().get(1).copied().unwrap_or_default();
    let mut table = Table::new([
        "font",
        "sprites",
        "tiny-skia ms",
        "floatup ms",
        &format!("floatup at {narrow}, ms"),
        "floatup, no look comes twice, ms",
        "tiny-skia / floatup",
        "tiny-skia / floatup, no look twice",
        "PSNR dB",
    ]);
    for (px, counts) in [(30.0, &[200, 1_000][..]), (48.0, &[200, 1_000, 5_000])] {
        let wide_painter = warm(full_hd(), px, SimdLevel::detect());
        let narrow_painter = warm(full_hd(), px, narrow);
        for &sprites in counts {
            progress(&format!("tiny-skia at {px} px, {sprites} sprites"));
            let mut ours = lane(full_hd(), px, sprites, &wide_painter).premultiplied();
            let mut slow = lane(full_hd(), px, sprites, &narrow_painter).premultiplied();
            let between = Scene::new(Load {
                size: full_hd(),
                font_size_px: px,
                sprites,
                arrivals: Arrivals::Between,
            });
            let fresh = between.painter(SimdLevel::detect());
            let mut unlike = Lane::new(between, fresh).premultiplied();
            let mut skia = Skia::new(ours.scene.sheet()).expect("sizes above 0");
            let mut worst = f64::INFINITY;
            for _ in 0..ROUNDS {
                for lane in [&mut ours, &mut slow, &mut unlike] {
                    lane.run(ROUND);
                }
                // The scene goes on, so that each round of the peer has other sprites.
                for _ in 0..3 {
                    let ((), took) = time(|| skia.paint(&ours.placements));
                    skia.times.push(took);
                }
                worst = worst.min(psnr_db(ours.frame.as_bytes(), skia.frame.data()));
            }
            ensure!(
                worst > PSNR_MIN_DB,
                "tiny-skia draws another picture than floatup: {worst:.1} dB"
            );
            let paint = |lane: &Lane| lane.median(|cost: &Cost| cost.paint);
            let theirs = median(&skia.times);
            let times = |ours: Duration| theirs.as_secs_f64() / ours.as_secs_f64();
            if (px, sprites) == (48.0, 1_000) {
                results.skia_ratio = Some(times(paint(&ours)));
            }
            table.row([
                format!("{px} px"),
                sprites.to_string(),
                ms(theirs),
                ms(paint(&ours)),
                ms(paint(&slow)),
                ms(paint(&unlike)),
                ratio(times(paint(&ours))),
                ratio(times(paint(&unlike))),
                format!("{worst:.1}"),
            ]);
        }
    }
    results.skia = Some(table);
    Ok(())
}
