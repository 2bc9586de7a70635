//! What the benchmarks draw: the tutorial's reactions in a steady stream, one frame after another.
//!
//! As in the live service, a reaction appears at a frame's time, so that ages are whole frames and
//! looks come again. All that knows how a stage is put together is here.

use std::sync::Arc;
use std::time::Duration;

use floatup::cast::{Cast, Placement};
use floatup::config::LookSettings;
use floatup::frame::{Alpha, Frame, FrameRate, PixelFormat, Size};
use floatup::look::Look;
use floatup::paint::Painter;
use floatup::pixel::SimdLevel;
use floatup::reaction::{Emoji, Palette, Reaction};
use floatup::sprite::SpriteSheet;
use floatup::stage::{Entrance, Limits, Stage};

/// The tutorial's four.
const EMOJI: [&str; 4] = ["❤️", "💯", "👍", "🤯"];

/// More than any scene has.
const SPRITES_MAX: usize = 100_000;

/// Frames a second, everywhere.
pub(crate) const FPS: u32 = 60;

pub(crate) fn rate() -> FrameRate {
    FrameRate::new(FPS, 1).expect("a rate")
}

/// When reactions come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrivals {
    /// At frames' times, as in the live service.
    OnFrames,
    /// Anywhere between, so that next to no sprite looks as another one did.
    Between,
}

/// How much there is to draw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) size: Size,
    pub(crate) font_size_px: f64,
    /// How many are alive at once.
    pub(crate) sprites: u32,
    pub(crate) arrivals: Arrivals,
}

/// A stage on which, in every frame, as many sprites appear as end.
pub(crate) struct Scene {
    load: Load,
    stage: Stage,
    sheet: Arc<SpriteSheet>,
    /// A sprite's life.
    life_frames: u64,
    frame: u64,
    spawned: u64,
}

impl Scene {
    /// At the first frame on which all sprites are alive.
    pub(crate) fn new(load: Load) -> Self {
        let look = look(load.font_size_px);
        let emoji = EMOJI.map(Emoji::new);
        let cast = look
            .cast(&Palette::default(), emoji.iter(), load.size)
            .expect("a sheet of four");
        let mut scene = Self {
            load,
            sheet: Arc::clone(cast.sheet()),
            stage: stage(cast),
            life_frames: life_frames(&look),
            frame: 0,
            spawned: 0,
        };
        scene.spawn();
        for _ in 1..scene.life_frames {
            scene.advance();
        }
        scene
    }

    pub(crate) fn size(&self) -> Size {
        self.load.size
    }

    pub(crate) fn sheet(&self) -> &Arc<SpriteSheet> {
        &self.sheet
    }

    /// A sprite's life in frames: looks come again after it.
    pub(crate) fn life_frames(&self) -> u64 {
        self.life_frames
    }

    /// A painter for this scene, by one thread.
    pub(crate) fn painter(&self, level: SimdLevel) -> Painter {
        Painter::new(Arc::clone(&self.sheet), self.load.size).with_level(level)
    }

    /// Goes to the next frame: lets go what has ended there, and puts on stage what comes.
    pub(crate) fn advance(&mut self) {
        self.frame += 1;
        self.stage.retire(self.pts());
        self.spawn();
    }

    /// The frame's placements: what paint gets.
    pub(crate) fn place(&self, out: &mut Vec<Placement>) {
        out.clear();
        out.extend(self.stage.placements(self.pts()));
    }

    fn pts(&self) -> Duration {
        rate().pts(self.frame)
    }

    fn spawn(&mut self) {
        let due = (self.frame + 1) * u64::from(self.load.sprites) / self.life_frames;
        let before = rate().pts(self.frame.saturating_sub(1));
        let mut coming: Vec<_> = (self.spawned..due)
            .map(|number| match self.load.arrivals {
                Arrivals::OnFrames => (self.pts(), number),
                Arrivals::Between => (
                    (self.pts() - before).mul_f64(share(number)) + before,
                    number,
                ),
            })
            .collect();
        coming.sort_unstable();
        for (at, number) in coming {
            let emoji = Emoji::new(EMOJI[usize::try_from(number % 4).unwrap_or(0)]);
            let reaction = Reaction { emoji, count: 1 };
            self.stage.spawn(&item(number + 1, &[reaction], at));
        }
        self.spawned = due;
    }
}

/// Shares from 0 to 1 that never come again and leave no gap: multiples of the golden ratio.
fn share(number: u64) -> f64 {
    let golden = 0x9e37_79b9_7f4a_7c15_u64;
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = number.wrapping_mul(golden) as f64 / 18_446_744_073_709_551_616.0;
    share
}

/// The built-in stylesheet at a font size.
pub(crate) fn look(font_size_px: f64) -> Look {
    Look::load(&LookSettings {
        font_size_px: Some(font_size_px),
        ..LookSettings::default()
    })
    .expect("the built-in stylesheet")
}

/// A plain sprite's life.
pub(crate) fn life_frames(look: &Look) -> u64 {
    rate().first_at_or_after(look.stylesheet.motion(None, &[]).lifetime())
}

fn stage(cast: Cast) -> Stage {
    let limits = Limits {
        sprites_max: SPRITES_MAX,
        ..Limits::default()
    };
    Stage::new(cast, limits)
}

/// One of each of the default palette's emoji, all from media time 0 on.
pub(crate) fn whole_palette(look: &Look, size: Size) -> (Stage, Arc<SpriteSheet>) {
    let palette = Palette::default();
    let emoji: Vec<Emoji> = palette.entries().map(|(_, emoji)| emoji.clone()).collect();
    let cast = look
        .cast(&palette, emoji.iter(), size)
        .expect("a sheet of the palette");
    let sheet = Arc::clone(cast.sheet());
    let mut stage = stage(cast);
    let reactions: Vec<_> = emoji
        .into_iter()
        .map(|emoji| Reaction { emoji, count: 1 })
        .collect();
    stage.spawn(&item(1, &reactions, Duration::ZERO));
    (stage, sheet)
}

fn item(sequence: u64, reactions: &[Reaction], at: Duration) -> Entrance<'_> {
    Entrance {
        page: 1,
        sequence,
        publisher: None,
        reactions,
        at,
    }
}

/// How many pixels sprites cover: for each sprite, those of the frame that it alone would make
/// other than transparent.
pub(crate) fn touched_pixels(placements: &[Placement], painter: &mut Painter, size: Size) -> u64 {
    let mut frame = Frame::new(size, Alpha::Premultiplied, PixelFormat::Rgba);
    let alone = |placement: &Placement| {
        painter.paint([*placement]).draw(&mut frame);
        inked_pixels(&frame)
    };
    placements.iter().map(alone).sum()
}

fn inked_pixels(frame: &Frame) -> u64 {
    let lines = frame.pixels().chunks_exact(frame.size().width() as usize);
    let inked = lines.enumerate().flat_map(|(row, line)| {
        let runs = frame.inked(row);
        runs.map(|columns| {
            line[columns]
                .iter()
                .filter(|pixel| **pixel != [0; 4])
                .count() as u64
        })
    });
    inked.sum()
}

/// A reaction log of the same stream, for the program: `{"at_ms", "reaction"}` a line, `sprites`
/// alive at once for so many frames.
pub(crate) fn log(sprites: u32, frames: u64) -> String {
    use std::fmt::Write as _;
    let names = ["heart", "100", "thumbsup", "mindblown"];
    let life_frames = life_frames(&look(30.0));
    let mut log = String::new();
    let mut spawned = 0;
    for frame in 0..frames {
        let due = (frame + 1) * u64::from(sprites) / life_frames;
        let at_ms = rate().pts(frame).as_secs_f64() * 1_000.0;
        for number in spawned..due {
            let name = names[usize::try_from(number % 4).unwrap_or(0)];
            writeln!(log, r#"{{"at_ms":{at_ms},"reaction":"{name}"}}"#).expect("a String takes it");
        }
        spawned = due;
    }
    log
}
