//! No more than three general flashes in any second (WCAG 2.2, 2.3.1), measured on whole frames by a
//! detector of its own, pixel by pixel.

use std::fs;
use std::sync::{Arc, LazyLock};

use floatup::artwork::Artwork;
use floatup::cast::Cast;
use floatup::emoji::EmojiFonts;
use floatup::flash::FlashGuard;
use floatup::frame::{Alpha, Frame, FrameRate, PixelFormat, Size};
use floatup::motion::Stylesheet;
use floatup::paint::Painter;
use floatup::reaction::{Emoji, Reaction};
use floatup::sprite::{SpriteSheet, Subject};
use floatup::stage::{Entrance, Limits, Stage};
use proptest::prelude::*;

use crate::floatup::{run, stderr};

const WIDTH: usize = 320;
const HEIGHT: usize = 180;

/// A quarter of 341 x 256 px, of a display on which the frame is 1024 px wide.
const AREA: usize = WIDTH * WIDTH * 341 * 256 / (1024 * 1024) / 4;

/// That rectangle.
const BLOCK: (usize, usize) = (WIDTH * 341 / 1024, WIDTH * 256 / 1024);

/// Blocks are looked at so many pixels apart.
const STEP: usize = 4;

/// How long each film is.
const FRAMES: u64 = 144;

/// Backgrounds, as levels of grey.
const GREYS: [f64; 3] = [0.0, 96.0, 255.0];

/// Every frame's pixels, premultiplied, as they are shown.
type Film = Vec<Vec<[u8; 4]>>;

fn rate() -> FrameRate {
    FrameRate::new(60, 1).unwrap()
}

/// Every level of sRGB in linear light (WCAG 2.2, relative luminance).
static LINEAR: LazyLock<[f64; 256]> = LazyLock::new(|| {
    std::array::from_fn(|level| match level as f64 / 255.0 {
        c if c <= 0.04045 => c / 12.92,
        c => ((c + 0.055) / 1.055).powf(2.4),
    })
});

/// That of a pixel as a display shows it, in whole levels.
fn luminance([r, g, b, a]: [u8; 4], grey: f64) -> f64 {
    let under = grey * (1.0 - f64::from(a) / 255.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a level is 0 to 255"
    )]
    let linear = |level: u8| LINEAR[((f64::from(level) + under).round() as usize).min(255)];
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

/// A value that goes up and down, and in which frames it turned by as much as counts.
#[derive(Clone, Default)]
struct Swing {
    low: f64,
    high: f64,
    is_up: Option<bool>,
    turns: Vec<usize>,
}

impl Swing {
    fn see(&mut self, frame: usize, value: f64, enough: f64, dark: f64) {
        if frame == 0 {
            (self.low, self.high) = (value, value);
        }
        self.low = self.low.min(value);
        self.high = self.high.max(value);
        let rises = self.is_up != Some(true) && value - self.low >= enough && self.low < dark;
        let falls = self.is_up != Some(false) && self.high - value >= enough && value < dark;
        if rises || falls {
            self.is_up = Some(rises);
            self.turns.push(frame);
            (self.low, self.high) = (value, value);
        }
    }

    /// Whether there were so many pairs of opposing changes within the second that ends with a frame.
    fn flashes(&self, frame: usize, count: usize) -> bool {
        let first = self.turns.len().checked_sub(2 * count);
        first.is_some_and(|first| self.turns[first] + 60 > frame)
    }
}

/// How many pixels of each block are so.
fn in_blocks(is_so: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut sums = vec![0; (WIDTH + 1) * (HEIGHT + 1)];
    for y in 0..HEIGHT {
        let mut row = 0;
        for x in 0..WIDTH {
            row += usize::from(is_so(y * WIDTH + x));
            sums[(y + 1) * (WIDTH + 1) + x + 1] = sums[y * (WIDTH + 1) + x + 1] + row;
        }
    }
    let sum = |x: usize, y: usize| sums[y * (WIDTH + 1) + x];
    let blocks = (0..=HEIGHT - BLOCK.1).flat_map(|y| (0..=WIDTH - BLOCK.0).map(move |x| (x, y)));
    let blocks = blocks.filter(|(x, y)| x % STEP == 0 && y % STEP == 0);
    let count = |(x, y)| {
        let (right, below) = (x + BLOCK.0, y + BLOCK.1);
        sum(right, below) + sum(x, y) - sum(x, below) - sum(right, y)
    };
    blocks.map(count).collect()
}

/// The most flashes in any second, of which a quarter of some block is too much.
fn flashes(film: &Film) -> usize {
    let mut most = 0;
    for grey in GREYS {
        let mut pixels = vec![Swing::default(); WIDTH * HEIGHT];
        let mut blocks = vec![Swing::default(); in_blocks(|_| false).len()];
        for (number, frame) in film.iter().enumerate() {
            for (swing, pixel) in pixels.iter_mut().zip(frame) {
                swing.see(number, luminance(*pixel, grey), 0.1, 0.8);
            }
            // Together: so many pixels turned one way.
            let up = in_blocks(|pixel| pixels[pixel].is_up == Some(true));
            for (block, up) in blocks.iter_mut().zip(up) {
                block.see(number, up as f64, AREA as f64, f64::INFINITY);
            }
            while blocks.iter().any(|block| block.flashes(number, most + 1)) {
                most += 1;
            }
            // Each by itself.
            let often = |most| in_blocks(|pixel| pixels[pixel].flashes(number, most + 1));
            while often(most).iter().any(|count| *count > AREA) {
                most += 1;
            }
        }
    }
    most
}

/// Sprites of one look and motion, and when which come.
struct Show {
    css: String,
    image: Option<&'static str>,
    /// Frames, and how many sprites come on in each.
    entrances: Vec<(u64, u32)>,
}

impl Show {
    /// As it is drawn, and whether all of it was as opaque as without a guard.
    fn film(&self, guarded: bool) -> (Film, bool) {
        let size = Size::new(320, 180).unwrap();
        let stylesheet = Stylesheet::parse(&self.css).unwrap();
        let artwork = self.image.map(|svg| Artwork::decode(svg.into()).unwrap());
        let emoji = Emoji::new("❤️");
        let subject = Subject {
            emoji: &emoji,
            reaction: None,
            font_size_px: stylesheet.font_size_px(None),
            growth: 1.0,
            artwork: artwork.as_ref(),
        };
        let sheet = Arc::new(SpriteSheet::new(&EmojiFonts::bundled(), [subject]).unwrap());
        let cast = Cast::new(stylesheet.into(), Arc::clone(&sheet), size, 1.0);
        let mut stage = Stage::new(cast, Limits::default());
        let mut guard = FlashGuard::new(&sheet, size);
        let mut painter = Painter::new(sheet, size);
        let mut frame = Frame::new(size, Alpha::Premultiplied, PixelFormat::Rgba);
        let (mut film, mut whole, mut sequence) = (Film::new(), true, 0);
        for index in 0..FRAMES {
            let at = rate().pts(index);
            stage.retire(at);
            for (_, count) in self.entrances.iter().filter(|(frame, _)| *frame == index) {
                for _ in 0..*count {
                    sequence += 1;
                    let reaction = Reaction {
                        emoji: emoji.clone(),
                        count: 1,
                    };
                    stage.spawn(&Entrance {
                        page: 1,
                        sequence,
                        publisher: None,
                        reactions: &[reaction],
                        at,
                    });
                }
            }
            let placements: Vec<_> = stage.placements(at).collect();
            let opacity = match guarded {
                true => guard.opacity(&placements, 1.0, at),
                false => 1.0,
            };
            whole &= opacity >= 1.0;
            painter.paint(placements).faded(opacity).draw(&mut frame);
            film.push(frame.pixels().to_vec());
        }
        (film, whole)
    }
}

const WHITE: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8" fill="white"/></svg>"#;
const BLACK: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>"#;

/// A motion that stays where it is, in `font_px`, for a time.
fn still(font_px: u32, ms: u32) -> String {
    format!(
        ".animated-emoji {{ bottom: 0; font-size: {font_px}px; animation: k {ms}ms linear }}
         @keyframes k {{ from {{ opacity: 1 }} to {{ opacity: 1 }} }}"
    )
}

/// The same, on and off so many times a second for three seconds.
fn blinking(font_px: u32, times: u32) -> String {
    let all = f64::from(3 * times);
    let frames: String = (0..3 * times)
        .map(|n| {
            let share = |part: f64| (f64::from(n) + part) / all * 100.0;
            format!(
                "{}% {{ opacity: 1 }} {}% {{ opacity: 0 }}\n",
                share(0.0),
                share(0.5)
            )
        })
        .collect();
    format!(
        ".animated-emoji {{ bottom: 0; font-size: {font_px}px; animation: k 3s steps(1) }}
         @keyframes k {{ {frames} to {{ opacity: 0 }} }}"
    )
}

/// The default motion, in another size: 5 px here are 30 px of a frame that is 1920 px wide.
fn floating(font_px: u32) -> String {
    floatup::look::STYLESHEET.replace("font-size: 30px", &format!("font-size: {font_px}px"))
}

/// Every so many frames so many sprites.
fn every(frames: usize, count: u32) -> Vec<(u64, u32)> {
    (0..FRAMES)
        .step_by(frames)
        .map(|frame| (frame, count))
        .collect()
}

#[test]
fn what_flashes_more_than_three_times_a_second_is_drawn_fainter() {
    let shows = [
        (
            "one that blinks",
            blinking(200, 8),
            Some(WHITE),
            vec![(0, 1)],
        ),
        (
            "one that is dark",
            blinking(200, 8),
            Some(BLACK),
            vec![(0, 1)],
        ),
        ("an emoji", blinking(200, 5), None, vec![(0, 1)]),
        ("many small ones", blinking(30, 12), None, vec![(0, 300)]),
        ("a dense crowd", floating(30), None, every(2, 1)),
        ("a thousand", floating(5), None, every(1, 8)),
        ("short lives", still(150, 60), Some(WHITE), every(9, 2)),
        ("here and there", still(60, 50), Some(WHITE), every(6, 8)),
    ];
    for (name, css, image, entrances) in shows {
        let show = Show {
            css,
            image,
            entrances,
        };
        let before = flashes(&show.film(false).0);
        let (film, whole) = show.film(true);
        let after = flashes(&film);
        eprintln!("{name}: {before} flashes a second, {after} with the guard");
        assert!(
            before > 3 && after <= 3 && !whole,
            "{name}: {before}, {after}"
        );
        // It is there all the same.
        let shows = film
            .iter()
            .filter(|frame| frame.iter().any(|pixel| pixel[3] > 0));
        assert!(shows.count() > 30, "{name}");
    }
}

#[test]
fn what_flashes_less_is_left_as_it_is() {
    let shows = [
        (
            "twice a second",
            blinking(200, 2),
            Some(WHITE),
            vec![(0, 1)],
        ),
        ("three times", blinking(200, 3), None, vec![(0, 1)]),
        ("a small one", blinking(20, 10), Some(WHITE), vec![(0, 1)]),
        ("a crowd", floating(5), None, every(2, 1)),
        ("large ones", floating(20), None, every(3, 1)),
        ("a spike", floating(8), None, vec![(30, 200)]),
    ];
    for (name, css, image, entrances) in shows {
        let show = Show {
            css,
            image,
            entrances,
        };
        let (film, whole) = show.film(true);
        assert!(whole, "{name}");
        assert!(film == show.film(false).0 && flashes(&film) <= 3, "{name}");
    }
}

/// What was too much comes back when it is over.
#[test]
fn a_picture_is_as_it_was_a_second_after_it_flashed() {
    let mut entrances = every(6, 2);
    entrances.retain(|(frame, _)| *frame < 60);
    entrances.push((138, 1));
    let show = Show {
        css: still(150, 50),
        image: Some(WHITE),
        entrances,
    };
    let (film, whole) = show.film(true);
    let brightest = |frames: &[Vec<[u8; 4]>]| frames.iter().flatten().map(|p| p[3]).max();
    assert!(!whole);
    assert_eq!(brightest(&film[136..]), Some(255));
    assert!(brightest(&film[45..60]) < Some(128));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_there_are_three_at_most(
        font_px in 20_u32..220,
        ms in 20_u32..400,
        image in prop::sample::select(vec![None, Some(WHITE), Some(BLACK)]),
        entrances in prop::collection::vec((0_u64..FRAMES, 1_u32..12), 1..60),
    ) {
        let show = Show { css: still(font_px, ms), image, entrances };
        prop_assert!(flashes(&show.film(true).0) <= 3);
    }
}

#[test]
fn a_log_is_rendered_without_flashes() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("blink.css"), blinking(200, 8)).unwrap();
    fs::write(folder.path().join("white.svg"), WHITE).unwrap();
    fs::write(
        folder.path().join("log.jsonl"),
        "{\"at_ms\":0,\"reaction\":\"white\"}\n",
    )
    .unwrap();
    let settings = "[palette]\nwhite = { image = \"white.svg\" }\n";
    fs::write(folder.path().join("floatup.toml"), settings).unwrap();
    let film = |guard: &[&str]| {
        let out = format!("film-{}.rgba", guard.len());
        let look = ["--config", "floatup.toml", "--css", "blink.css"];
        let form = [
            "--size",
            "320x180",
            "--fps",
            "60",
            "--alpha",
            "premultiplied",
        ];
        let mut args = vec!["render", "log.jsonl", &out];
        args.extend(look.iter().chain(&form).chain(guard));
        let output = run(folder.path(), &args);
        assert!(output.status.success(), "{}", stderr(&output));
        let bytes = fs::read(folder.path().join(out)).unwrap();
        let pixels: Vec<[u8; 4]> = bytes.as_chunks().0.to_vec();
        let frames: Film = pixels
            .chunks_exact(WIDTH * HEIGHT)
            .map(<[_]>::to_vec)
            .collect();
        assert!(frames.len() > 170, "{}", frames.len());
        flashes(&frames)
    };
    assert!(film(&[]) > 3);
    assert!(film(&["--flash-guard"]) <= 3);
}
