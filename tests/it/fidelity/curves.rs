//! The parser of stylesheets against Chromium's: what each makes of the same rules, age by age.

use std::time::Duration;

use floatup::emoji::EmojiFonts;
use floatup::motion::{Motion, Pose};
use floatup::reaction::Emoji;
use floatup::sprite::{BoxSize, SpriteSheet};
use serde::Deserialize;
use serde_json::json;

use super::{Site, load_font};
use crate::chromium::Chromium;

const EMOJI: &str = "❤️";

/// The container's sides, in CSS px.
const WIDTH: u32 = 640;
const HEIGHT: u32 = 1_000;

/// Layout is in sixty-fourths of a CSS px, and a computed style has six digits of 1000 px.
const BOTTOM_TOLERANCE_PX: f64 = 1.0 / 64.0 + 0.005;

/// A computed style's numbers have six digits.
const TOLERANCE: f64 = 1e-3;

/// A name, the sprite's rule, its keyframes; together they use all that the parser accepts.
const SHEETS: &[(&str, &str, &str)] = &[
    (
        "the tutorial's",
        "bottom: 0; font-size: 30px; animation: k 2s linear forwards",
        "0% { bottom: 0%; opacity: 1; transform: translateX(0) rotate(0deg) }
         100% { bottom: 100%; opacity: 0; transform: translateX(20px) rotate(15deg) }",
    ),
    (
        "ease by default, and units of length",
        "bottom: 2em; font-size: 48px; animation: k 1.5s",
        "from { transform: translate(10%, -2em) }
         to { bottom: 640.5px; transform: translate(-3em, 150%) }",
    ),
    (
        "an overshooting curve, cut off in opacity alone",
        "bottom: 0; font-size: 30px; animation: k 2s cubic-bezier(0.2, -1.2, 0.7, 2.5)",
        "0% { bottom: 10%; opacity: 20%; transform: scale(50%) }
         100% { bottom: 90%; opacity: 80%; transform: scale(1.5, 300%) }",
    ),
    (
        "easing of each keyframe",
        "bottom: 0; font-size: 30px; animation: k 3s ease-out",
        "0% { bottom: 0; animation-timing-function: ease-in }
         20% { bottom: 200px; animation-timing-function: ease-in-out }
         40% { bottom: 300px; animation-timing-function: linear }
         60% { bottom: -100px; opacity: 0.5 }
         80% { bottom: 500px; animation-timing-function: cubic-bezier(0, 1, 1, 0) }
         100% { bottom: 1000px; opacity: 0 }",
    ),
    (
        "steps of every kind",
        "bottom: 0; font-size: 30px; animation: k 5s steps(7)",
        "0% { bottom: 0; animation-timing-function: steps(3, start) }
         20% { bottom: 100px; animation-timing-function: steps(4, jump-none) }
         40% { bottom: 200px; animation-timing-function: steps(5, jump-both) }
         60% { bottom: 300px; animation-timing-function: steps(6, jump-end) }
         80% { bottom: 400px; animation-timing-function: steps(2, jump-start) }
         100% { bottom: 500px }
         from { opacity: 0 }",
    ),
    (
        "one step",
        "bottom: 0; font-size: 30px; animation: k 4s step-end",
        "0% { bottom: 7px; animation-timing-function: step-start }
         50% { bottom: 50% } 75% { bottom: 60%; transform: rotate(90deg) } 100% { bottom: 3px }",
    ),
    (
        "a delay in which the rule's own values hold",
        "bottom: 12.5%; opacity: 0.25; transform: translateY(4px) scaleX(2); font-size: 30px; \
         animation: k 1s 0.5s linear forwards",
        "from { bottom: 0; opacity: 1; transform: translateY(9px) scaleX(1) }
         to { bottom: 500px; opacity: 0; transform: translateY(0) scaleX(3) }",
    ),
    (
        "a delay in which the first keyframe holds",
        "bottom: 12.5%; font-size: 30px; animation: k 1s 0.5s steps(4, start) both reverse",
        "from { bottom: 0 } to { bottom: 500px }",
    ),
    (
        "a delay filled with an alternation's start",
        "bottom: 12.5%; font-size: 30px; animation: 1s ease-in 250ms 3 alternate-reverse backwards k",
        "from { bottom: 0 } to { bottom: 500px }",
    ),
    (
        "two iterations and a half, there and back",
        "bottom: 0; font-size: 30px; animation: k 800ms 2.5 alternate ease-in",
        "from { bottom: 0; opacity: 0 } to { bottom: 500px }",
    ),
    (
        "three iterations back and forth",
        "bottom: 0; font-size: 30px; animation: k 300ms linear 3 alternate-reverse none",
        "from { bottom: 0 } to { bottom: 90% }",
    ),
    (
        "part of one iteration in reverse",
        "bottom: 0; font-size: 30px; animation: reverse 2s .75 linear k",
        "from { bottom: 0 } to { bottom: 90% }",
    ),
    (
        "a start part-way, in the second iteration",
        "bottom: 0; font-size: 30px; animation: k 1s -1.25s linear 3",
        "from { bottom: 0 } 50% { opacity: 0 } to { bottom: 90% }",
    ),
    (
        "angles and factors",
        "bottom: 0; font-size: 30px; animation: k 2s linear",
        "0% { transform: rotate(0) scale(1) }
         25% { transform: rotate(0.5turn) scaleY(-2) }
         50% { transform: rotate(-3rad) scaleX(0.5) }
         75% { transform: rotate(450grad) scale(200%, 10%) }
         100% { transform: rotate(-1000.5deg) scale(0.0) }",
    ),
    (
        "lists of unequal length",
        "bottom: 0; font-size: 30px; animation: k 2s linear",
        "0% { transform: none }
         30% { transform: translate(4px) rotate(10deg) scale(2) translateX(50%) rotate(1turn) }
         60% { transform: translateY(-20%) }
         80% { transform: translateX(1em) rotate(-40deg) }
         100% { transform: none }",
    ),
    (
        "what keyframes leave out is the rule's own",
        "bottom: 40px; opacity: .5; transform: translateX(3px) rotate(9deg); font-size: 30px; \
         animation: k 2s ease-in-out",
        "20% { bottom: 500px } 40% { opacity: 1; transform: translateX(-30px) rotate(90deg); \
         animation-timing-function: linear } 70% { bottom: 20% }",
    ),
    (
        "keyframes that say things twice",
        "bottom: 0; font-size: 30px; animation: k 2s linear",
        "to { bottom: 100px; bottom: 300px }
         50%, 0%, 50% { opacity: 0.1; animation-timing-function: ease-in }
         50% { bottom: 600px; animation-timing-function: steps(3) }
         25%, 50% { opacity: 0.9; transform: scale(3) }
         from { bottom: 40px }",
    ),
    (
        "two beginnings with an easing of their own",
        "bottom: 0; font-size: 30px; animation: k 2s linear",
        "0% { bottom: 5px; animation-timing-function: ease-in }
         0% { bottom: 9px; animation-timing-function: steps(3) }
         60% { opacity: 0.5 }
         100% { bottom: 100px; opacity: 0 }",
    ),
    (
        "long hand, capitals, and a name in quotes",
        "BOTTOM: 0; Font-Size: 24PX; animation: none 9s; animation-name: \"k\"; \
         animation-duration: 0.9S; animation-delay: -100MS; animation-iteration-count: 1.5; \
         animation-direction: Alternate; animation-fill-mode: Both; \
         animation-timing-function: Steps(5, Jump-Both)",
        "FROM { bottom: 0EM; opacity: 150% } TO { bottom: 10EM; opacity: -1; \
         transform: TranslateX(1E1px) Rotate(1.5E1Deg) }",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn motion_is_what_chromium_computes() {
    let site = Site::start().await;
    let chromium = Chromium::launch().await;
    let tab = chromium.open(&site.url("/curve"), WIDTH, HEIGHT).await;
    load_font(&tab).await;
    let mut wrong = Vec::new();
    for (name, rule, keyframes) in SHEETS {
        let css = format!(
            ".animated-emoji {{ position: absolute; {rule} }}\n@keyframes k {{ {keyframes} }}"
        );
        let motion = Motion::from_css(&css).unwrap_or_else(|e| panic!("{name}: {e}\n{css}"));
        let ages_ms = ages_ms(&motion);
        let theirs: Computed = tab
            .evaluate(&format!(
                "({COMPUTED})({})",
                json!([css, ages_ms, EMOJI, WIDTH, HEIGHT])
            ))
            .await;
        let box_size = box_size(motion.font_size_px());
        let lifetime_ms = motion.lifetime().as_secs_f64() * 1_000.0;
        assert_near(name, "lifetime", lifetime_ms, theirs.end_ms, TOLERANCE);
        assert_near(name, "width", box_size.width, theirs.width_px, TOLERANCE);
        assert_near(name, "height", box_size.height, theirs.height_px, TOLERANCE);
        assert_eq!(theirs.poses.len(), ages_ms.len());
        for (age_ms, theirs) in ages_ms.iter().zip(&theirs.poses) {
            let age = Duration::from_secs_f64(age_ms / 1_000.0);
            let pose = motion
                .pose(age, f64::from(HEIGHT), (box_size.width, box_size.height))
                .unwrap_or_else(|| panic!("{name}: gone at {age_ms} ms"));
            let ours = computed(&pose, box_size);
            let off = ours.iter().zip(theirs).enumerate().any(|(i, (a, b))| {
                let tolerance = if i == 0 {
                    BOTTOM_TOLERANCE_PX
                } else {
                    TOLERANCE
                };
                (a - b).abs() > tolerance
            });
            if off {
                wrong.push(format!(
                    "{name} at {age_ms} ms:\n  ours     {ours:?}\n  Chromium {theirs:?}"
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "bottom, opacity, matrix:\n{}",
        wrong.join("\n")
    );
    assert_eq!(tab.complaints(), Vec::<String>::new());
    chromium.close().await;
}

/// What Chromium makes of one stylesheet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Computed {
    end_ms: f64,
    width_px: f64,
    height_px: f64,
    /// `bottom` in px, opacity, and the matrix.
    poses: Vec<[f64; 8]>,
}

/// Gives the computed style at each age, as [`Computed`].
const COMPUTED: &str = "async ([css, agesMs, emoji, width, height]) => {
    document.getElementById('sheet')?.remove();
    const sheet = document.createElement('style');
    sheet.id = 'sheet';
    sheet.textContent = css;
    document.head.append(sheet);
    const frame = document.getElementById('frame');
    frame.style.width = `${width}px`;
    frame.style.height = `${height}px`;
    const sprite = document.createElement('div');
    sprite.className = 'animated-emoji';
    sprite.textContent = emoji;
    frame.replaceChildren(sprite);
    const [animation] = sprite.getAnimations();
    animation.pause();
    const style = getComputedStyle(sprite);
    const poses = agesMs.map((ms) => {
      animation.currentTime = ms;
      const { a, b, c, d, e, f } = new DOMMatrix(style.transform);
      return [parseFloat(style.bottom), parseFloat(style.opacity), a, b, c, d, e, f];
    });
    return {
      endMs: animation.effect.getComputedTiming().endTime,
      widthPx: parseFloat(style.width),
      heightPx: parseFloat(style.height),
      poses,
    };
  }";

/// Even and odd moments of a life, the ends of its iterations, and its first and last ones; in
/// whole microseconds, which is what a browser keeps.
fn ages_ms(motion: &Motion) -> Vec<f64> {
    let end_ms = motion.lifetime().as_secs_f64() * 1_000.0;
    let spread = (0..24).map(|i| end_ms * (f64::from(i) + 0.37) / 24.0);
    // For Chromium the last microsecond is the end already.
    let last = [end_ms - 0.01];
    // Each delay and duration above is a multiple of this.
    let boundaries = (0_u32..)
        .map(|i| f64::from(i) * 50.0)
        .take_while(|ms| *ms < end_ms);
    let whole = |ms: f64| (ms * 1_000.0).round() / 1_000.0;
    spread.chain(last).chain(boundaries).map(whole).collect()
}

fn box_size(font_size_px: f64) -> BoxSize {
    let emoji = Emoji::new(EMOJI);
    let sheet = SpriteSheet::new(&EmojiFonts::bundled(), font_size_px, [&emoji]).unwrap();
    sheet.box_size()
}

/// A pose as a computed style says it: the matrix is not yet about the box's centre.
fn computed(pose: &Pose, box_size: BoxSize) -> [f64; 8] {
    let [a, b, c, d, e, f] = pose.matrix;
    let (x, y) = (box_size.width / 2.0, box_size.height / 2.0);
    let (e, f) = (e - x + a * x + c * y, f - y + b * x + d * y);
    [pose.bottom_px, pose.opacity, a, b, c, d, e, f]
}

fn assert_near(name: &str, what: &str, ours: f64, theirs: f64, tolerance: f64) {
    assert!(
        (ours - theirs).abs() <= tolerance,
        "{name}: {what} {ours}, Chromium's {theirs}"
    );
}
