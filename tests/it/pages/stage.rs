//! Crowds on the page: the sprites that the renderer shows, and when.

use std::path::Path;
use std::time::Duration;

use floatup::cast::Cast;
use floatup::emoji::EmojiFonts;
use floatup::frame::Size;
use floatup::motion::Stylesheet;
use floatup::reaction::{Emoji, Reaction};
use floatup::sprite::{SpriteSheet, Subject};
use floatup::stage::{Entrance, Limits, Overflow, Stage, shown};
use image::{Rgba, RgbaImage};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::STYLESHEET;
use super::backend::Backend;
use crate::chromium::Chromium;
use crate::floatup::{Service, http, publish, until};

const EMOJI: [&str; TIMES as usize] = ["❤️", "🔥", "🎉"];

/// The signs of numbers come after the emoji: `×`, and the digits.
const TIMES: u32 = 3;

/// No sprite fades by itself.
const CSS: &str = ".animated-emoji { bottom: 0; font-size: 30px; animation: k 1370ms linear } \
    @keyframes k { to { bottom: 90% } }";

const SIZE: (u32, u32) = (640, 360);

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_is_the_same_on_the_page_and_comes_on_as_evenly() {
    let backend = Backend::start(STYLESHEET);
    let chromium = Chromium::launch().await;
    let tab = chromium.open(&backend.url("/overlay/demo"), 640, 360).await;

    let counts: Vec<u32> = (0..=1_000).collect();
    let on_page: Vec<u32> = tab
        .evaluate(&format!(
            "import('/assets/stage.js').then(({{ shown }}) => {}.map(shown))",
            json!(counts)
        ))
        .await;
    let expected: Vec<u32> = counts.into_iter().map(shown).collect();
    assert_eq!(on_page, expected);

    // How many are drawn at these times of batches that come at 0 ms and at 200 ms.
    let drawn: Vec<usize> = tab
        .evaluate(
            "import('/assets/sprites.js').then(async ({ SpriteLayer }) => {
               const layer = new SpriteLayer(document.getElementById('sprites'));
               await layer.ready;
               layer.setLimits({ spread_ms: 800 });
               const real = CanvasRenderingContext2D.prototype.drawImage;
               let drawn = 0;
               CanvasRenderingContext2D.prototype.drawImage = () => { drawn += 1; };
               const at = (ms) => {
                 drawn = 0;
                 layer.draw(1e6 + ms);
                 return drawn;
               };
               const batch = (sequence, ms) => {
                 const reactions = [{ emoji: '❤️', count: 4 }, { emoji: '🔥', count: 2 }];
                 layer.spawn({ page: 7, sequence, reactions }, 1e6 + ms);
               };
               batch(1, 0);
               const seen = [at(0), at(100), at(200), at(400), at(600)];
               layer.retract({ page: 7, sequences: [1] });
               batch(2, 600);
               batch(3, 800);
               layer.retract({ page: 7, sequences: [2] });
               seen.push(at(800), at(850), at(900), at(950));
               CanvasRenderingContext2D.prototype.drawImage = real;
               return seen;
             })",
        )
        .await;
    assert_eq!(drawn, [2, 2, 3, 5, 6, 2, 3, 5, 6]);
    chromium.close().await;
}

/// One thing that happens to a stage.
enum Step {
    Spawn(u64, Vec<(usize, u32)>),
    Set(Limits),
    Retract(Vec<u64>),
    Clear,
    Look,
}

/// A stage's life: each step with its time in ms.
fn steps(overflow: Overflow, seed: u64) -> Vec<(u64, Step)> {
    let mut rng = StdRng::seed_from_u64(seed);
    let limits = |rng: &mut StdRng| Limits {
        sprites_max: rng.random_range(1..60),
        overflow,
        queue_max: rng.random_range(0..40),
        queue_age: Duration::from_secs(rng.random_range(0..3)),
        coverage_max: rng.random_bool(0.3).then(|| rng.random_range(0.01..0.2)),
        spread: Duration::from_millis(rng.random_range(0..3) * 400),
        quiet: rng.random_bool(0.1),
        ..Limits::default()
    };
    let mut steps = vec![(0, Step::Set(limits(&mut rng)))];
    let mut now = 0;
    for sequence in 1..=400 {
        now += rng.random_range(0..60);
        let step = match rng.random_range(0..40) {
            0 => Step::Set(limits(&mut rng)),
            1 => Step::Retract((0..5).map(|_| rng.random_range(1..=sequence)).collect()),
            2 => Step::Clear,
            3..13 => Step::Look,
            _ => {
                let kinds = rng.random_range(1..=2);
                // More hearts than others.
                let kind = |rng: &mut StdRng| match rng.random_range(0..10) {
                    0..7 => 0,
                    7 | 8 => 1,
                    _ => 2,
                };
                let count = |rng: &mut StdRng| match rng.random_range(0..10) {
                    0 => rng.random_range(2..40),
                    _ => 1,
                };
                let some = (0..kinds).map(|_| (kind(&mut rng), count(&mut rng)));
                Step::Spawn(sequence, some.collect())
            }
        };
        steps.push((now, step));
    }
    steps.push((now + 1_500, Step::Look));
    steps
}

/// What is seen, in order: the emoji, the pixel at its left or none for a count in a row, how faint it
/// is, and the number beside it.
type Seen = (u32, Option<i32>, f64, u32);

fn cast() -> Cast {
    let emoji = EMOJI.map(Emoji::new);
    let subjects = emoji.iter().map(|emoji| Subject {
        emoji,
        reaction: None,
        font_size_px: 30.0,
        growth: 1.0,
        artwork: None,
    });
    let sheet = SpriteSheet::new(&EmojiFonts::bundled(), subjects).unwrap();
    let size = Size::new(SIZE.0, SIZE.1).unwrap();
    let stylesheet = Stylesheet::parse(CSS).unwrap();
    Cast::new(stylesheet.into(), sheet.into(), size, 1.0)
}

fn in_renderer(steps: &[(u64, Step)]) -> Vec<Vec<Seen>> {
    let mut stage = Stage::new(cast(), Limits::default());
    let mut looks = Vec::new();
    for (ms, step) in steps {
        let at = Duration::from_millis(*ms);
        match step {
            Step::Spawn(sequence, some) => {
                let reactions = some.iter().map(|(kind, count)| Reaction {
                    emoji: Emoji::new(EMOJI[*kind]),
                    count: *count,
                });
                stage.spawn(&Entrance {
                    page: 7,
                    sequence: *sequence,
                    publisher: None,
                    reactions: &reactions.collect::<Vec<_>>(),
                    at,
                });
            }
            Step::Set(limits) => stage.set_limits(*limits, at),
            Step::Retract(sequences) => {
                stage.retract(|_, sequence| sequences.contains(&sequence));
            }
            Step::Clear => {
                stage.clear();
            }
            Step::Look => {
                stage.retire(at);
                looks.push(seen(&stage, at));
            }
        }
    }
    looks
}

fn seen(stage: &Stage, at: Duration) -> Vec<Seen> {
    let mut seen: Vec<Seen> = Vec::new();
    let mut worth = 1;
    for placement in stage.placements(at) {
        if placement.layer < TIMES {
            let in_row = placement.matrix[4] != 0.0;
            let x = (!in_row).then_some(placement.x);
            seen.push((placement.layer, x, placement.opacity, 1));
            worth = 1;
            continue;
        }
        let last = seen.last_mut().expect("a number is beside something");
        if worth == 1 {
            last.3 = 0;
        }
        if placement.layer > TIMES {
            last.3 += worth * (placement.layer - TIMES - 1);
            worth *= 10;
        }
    }
    seen
}

/// The same steps for the page's stage.
fn told(steps: &[(u64, Step)]) -> Value {
    let told = steps.iter().map(|(ms, step)| match step {
        Step::Spawn(sequence, some) => {
            let some = some
                .iter()
                .map(|(kind, count)| json!({ "emoji": EMOJI[*kind], "count": count }));
            json!({ "ms": ms, "spawn": {
                "page": 7, "sequence": sequence, "reactions": some.collect::<Vec<_>>(),
            } })
        }
        Step::Set(limits) => json!({ "ms": ms, "limits": {
            "sprites_max": limits.sprites_max,
            "overflow": limits.overflow.word(),
            "queue_max": limits.queue_max,
            "queue_seconds": limits.queue_age.as_secs(),
            "coverage_max": limits.coverage_max,
            "spread_ms": limits.spread.as_millis(),
            "quiet": limits.quiet,
        } }),
        Step::Retract(sequences) => json!({ "ms": ms, "retract": sequences }),
        Step::Clear => json!({ "ms": ms, "clear": true }),
        Step::Look => json!({ "ms": ms }),
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_on_stage_is_the_same_on_the_page_under_every_policy() {
    let backend = Backend::start(STYLESHEET);
    let chromium = Chromium::launch().await;
    let tab = chromium.open(&backend.url("/overlay/demo"), 640, 360).await;
    let cast = cast();
    let heart = cast.actor(
        &Emoji::new(EMOJI[0]),
        floatup::scatter::SpriteId {
            page: 7,
            sequence: 1,
            index: 0,
        },
    );
    let area = cast.area_px(&heart.unwrap());
    for overflow in Overflow::ALL {
        for seed in 0..5 {
            let steps = steps(overflow, seed);
            let on_page: Vec<Vec<Seen>> = tab
                .evaluate(&format!(
                    "(async () => {{
                       const {{ Stage }} = await import('/assets/stage.js');
                       const {{ LANE_LEFT, leftPx, scatter }} = await import('/assets/sprites.js');
                       const emoji = {emoji};
                       const measure = () => ({{ lifeMs: 1370, area: {area} }});
                       const stage = new Stage({{ measure, frameArea: () => {whole} }});
                       const looks = [];
                       for (const {{ ms, spawn, limits, retract, clear }} of {steps}) {{
                         if (spawn) stage.spawn(spawn, ms);
                         else if (limits) stage.setLimits(limits, ms);
                         else if (retract) stage.retract(7, retract);
                         else if (clear) stage.clear();
                         else {{
                           stage.retire(ms);
                           const seen = [];
                           for (const sprite of stage.sprites) {{
                             const {{ page, sequence, index, bornMs, standsFor }} = sprite;
                             const fading = stage.fading(sprite, ms);
                             if (bornMs > ms || ms - bornMs >= 1370 || fading === 0) continue;
                             const left = leftPx(scatter(page, sequence, index, LANE_LEFT), {width}, 30);
                             const x = Math.floor(Math.trunc(left * 64) / 64 + 0.5);
                             seen.push([emoji.indexOf(sprite.emoji), x, fading, standsFor]);
                           }}
                           const row = stage.counts(ms, (one) => emoji.indexOf(one));
                           for (const {{ order, count }} of row) seen.push([order, null, 1, count]);
                           looks.push(seen);
                         }}
                       }}
                       return looks;
                     }})()",
                    emoji = json!(EMOJI),
                    whole = SIZE.0 * SIZE.1,
                    width = SIZE.0,
                    steps = told(&steps),
                ))
                .await;
            let expected = in_renderer(&steps);
            assert!(expected.iter().map(Vec::len).sum::<usize>() > 100);
            assert_eq!(on_page.len(), expected.len());
            for (look, (page, renderer)) in on_page.iter().zip(&expected).enumerate() {
                let same = page.len() == renderer.len()
                    && page.iter().zip(renderer).all(|(one, other)| {
                        let faint = (one.2 - other.2).abs() < 1e-6;
                        (one.0, one.1, one.3) == (other.0, other.1, other.3) && faint
                    });
                assert!(
                    same,
                    "{overflow}, seed {seed}, look {look}:\n{page:?}\n{renderer:?}"
                );
            }
        }
    }
    chromium.close().await;
}

/// How far apart two rows may be where either is drawn, in levels: the edges of numbers are of
/// outlines on the page, and 15 levels apart; without numbers they would be 80.
const ROW_LEVELS: f64 = 20.0;

/// How far apart two pictures are on average where either has something; `None` where both have next
/// to nothing.
fn apart(one: &RgbaImage, other: &RgbaImage) -> Option<f64> {
    assert_eq!(one.dimensions(), other.dimensions());
    let shades = |pixel: &Rgba<u8>| {
        let alpha = i32::from(pixel[3]);
        [0, 1, 2].map(|n| i32::from(pixel[n]) * alpha / 255)
    };
    let differences = one.pixels().zip(other.pixels());
    let drawn = differences.filter(|(one, other)| one[3].max(other[3]) > 0);
    let levels = drawn.map(|(one, other)| {
        let colours = shades(one).into_iter().zip(shades(other));
        let colours = colours.map(|(one, other)| (one - other).abs());
        colours.fold(i32::from(one[3].abs_diff(other[3])), i32::max)
    });
    let levels: Vec<i32> = levels.collect();
    let mean = f64::from(levels.iter().sum::<i32>()) / levels.len() as f64;
    (levels.len() > 3_000).then_some(mean)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_source_follows_the_settings_of_its_channel() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--size", "640x360", "--quiet", "--opacity-max", "0.8"];
    let service = Service::start(folder.path(), &arguments);
    let chromium = Chromium::launch().await;
    let tab = chromium
        .open(&service.url("/overlay/demo"), SIZE.0, SIZE.1)
        .await;
    let opacity =
        |value: &str| format!("document.querySelector('canvas').style.opacity === '{value}'");
    tab.wait_for(&opacity("0.8")).await;
    for (name, count) in [("heart", 37), ("100", 5), ("thumbsup", 1_000)] {
        let text = json!({ "reaction": name, "count": count }).to_string();
        publish(&service.address, "demo", &text);
    }
    tab.wait_for("document.documentElement.dataset.sequence === '3'")
        .await;
    let still = || {
        let (status, png) = http(&service.address, "GET", "/channels/demo/frame.png", b"");
        assert_eq!(status, 200);
        image::load_from_memory(&png).unwrap().to_rgba8()
    };
    // Each tells the half seconds of a clock of its own.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut nearest = f64::INFINITY;
    until("both have the same row", || {
        let (page, still) = tokio::task::block_in_place(|| {
            let page = tokio::runtime::Handle::current().block_on(tab.screenshot());
            (page, still())
        });
        if let Some(levels) = apart(&page, &still)
            && levels < nearest
        {
            nearest = levels;
            // To be looked at.
            page.save(folder.join("row-page.png")).unwrap();
            still.save(folder.join("row-still.png")).unwrap();
        }
        nearest < ROW_LEVELS
    });
    eprintln!("the rows are {nearest:.2} levels apart");

    let changes = br#"{"quiet":false,"opacity_max":0.4}"#;
    let (status, _) = http(&service.address, "PATCH", "/api/channels/demo", changes);
    assert_eq!(status, 200);
    tab.wait_for(&opacity("0.4")).await;
    assert_eq!(tab.complaints(), Vec::<String>::new());
    chromium.close().await;
    service.stop();
}
