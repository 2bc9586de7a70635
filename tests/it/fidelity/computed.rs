//! What Chromium computes for a stylesheet at given ages, and the same of ours beside it.

use std::time::Duration;

use floatup::emoji::EmojiFonts;
use floatup::motion::{Motion, Offset, Pose, Surroundings};
use floatup::reaction::Emoji;
use floatup::sprite::{BoxSize, SpriteSheet, Subject};
use serde::Deserialize;
use serde_json::json;

use crate::chromium::Tab;

const EMOJI: &str = "❤️";

/// The container's sides, in CSS px.
pub(super) const WIDTH: u32 = 640;
pub(super) const HEIGHT: u32 = 1_000;

/// Layout is in sixty-fourths of a CSS px, and a computed style has six digits of 1000 px.
const OFFSET_TOLERANCE_PX: f64 = 1.0 / 64.0 + 0.005;

/// A computed style's numbers have six digits.
const TOLERANCE: f64 = 1e-3;

/// A stylesheet as one sprite sees it.
pub(super) struct Case<'a> {
    pub(super) name: &'a str,
    pub(super) css: &'a str,
    /// NAME of the sprite's class `reaction-NAME`.
    pub(super) reaction: Option<&'a str>,
    /// Custom properties of its own, as CSS.
    pub(super) variables: &'a [(String, String)],
}

/// What Chromium makes of one stylesheet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Computed {
    end_ms: f64,
    width_px: f64,
    height_px: f64,
    /// left, right, top, bottom in px, opacity, the matrix, and the origin.
    poses: Vec<[f64; 13]>,
}

/// Gives the computed style at each age, as [`Computed`].
const COMPUTED: &str = "async ([css, classes, variables, agesMs, emoji, width, height]) => {
    document.getElementById('sheet')?.remove();
    const sheet = document.createElement('style');
    sheet.id = 'sheet';
    sheet.textContent = css;
    document.head.append(sheet);
    const frame = document.getElementById('frame');
    frame.style.width = `${width}px`;
    frame.style.height = `${height}px`;
    const sprite = document.createElement('div');
    sprite.className = classes;
    sprite.textContent = emoji;
    for (const [name, value] of variables) sprite.style.setProperty(`--${name}`, value);
    frame.replaceChildren(sprite);
    const animations = sprite.getAnimations();
    for (const animation of animations) animation.pause();
    const style = getComputedStyle(sprite);
    const poses = agesMs.map((ms) => {
      for (const animation of animations) animation.currentTime = ms;
      const { a, b, c, d, e, f } = new DOMMatrix(style.transform);
      return [style.left, style.right, style.top, style.bottom, style.opacity].map(parseFloat)
        .concat([a, b, c, d, e, f], style.transformOrigin.split(' ').map(parseFloat));
    });
    return {
      endMs: Math.max(...animations.map((a) => a.effect.getComputedTiming().endTime)),
      widthPx: parseFloat(style.width),
      heightPx: parseFloat(style.height),
      poses,
    };
  }";

/// Where the two differ, one line for each age.
pub(super) async fn differences(
    tab: &Tab,
    case: &Case<'_>,
    motion: &Motion,
    ages_ms: &[f64],
) -> Vec<String> {
    let name = case.name;
    let classes = match case.reaction {
        Some(reaction) => format!("animated-emoji reaction-{reaction}"),
        None => "animated-emoji".to_owned(),
    };
    let arguments = json!([
        case.css,
        classes,
        case.variables,
        ages_ms,
        EMOJI,
        WIDTH,
        HEIGHT
    ]);
    let theirs: Computed = tab.evaluate(&format!("({COMPUTED})({arguments})")).await;
    let box_size = box_size(motion.font_size_px());
    let lifetime_ms = motion.lifetime().as_secs_f64() * 1_000.0;
    let mut wrong = Vec::new();
    for (what, ours, theirs) in [
        ("lifetime", lifetime_ms, theirs.end_ms),
        ("width", box_size.width, theirs.width_px),
        ("height", box_size.height, theirs.height_px),
    ] {
        if (ours - theirs).abs() > TOLERANCE {
            wrong.push(format!("{name}: {what} {ours}, Chromium's {theirs}"));
        }
    }
    assert_eq!(theirs.poses.len(), ages_ms.len());
    let around = Surroundings {
        container: (f64::from(WIDTH), f64::from(HEIGHT)),
        box_size: (box_size.width, box_size.height),
        scale: 1.0,
    };
    for (age_ms, theirs) in ages_ms.iter().zip(&theirs.poses) {
        let age = Duration::from_secs_f64(age_ms / 1_000.0);
        let Some(pose) = motion.pose(age, &around) else {
            wrong.push(format!("{name}: gone at {age_ms} ms"));
            continue;
        };
        if !agree(&pose, theirs) {
            wrong.push(format!(
                "{name} at {age_ms} ms:\n  ours     {pose:?}\n  Chromium {theirs:?}"
            ));
        }
    }
    wrong
}

fn agree(pose: &Pose, theirs: &[f64; 13]) -> bool {
    let [left, right, top, bottom, opacity, a, b, c, d, e, f, x, y] = *theirs;
    let side = |ours, start: f64, end: f64| {
        let (ours, theirs) = match ours {
            Offset::Start(px) => (px, start),
            Offset::End(px) => (px, end),
        };
        (ours - theirs).abs() <= OFFSET_TOLERANCE_PX.max(theirs.abs() * 1e-5)
    };
    // Chromium's matrix is not yet about the origin. Six digits of each element go into the sums.
    let elements = [
        (a, a),
        (b, b),
        (c, c),
        (d, d),
        (e + x - a * x - c * y, sum([e, x, a * x, c * y])),
        (f + y - b * x - d * y, sum([f, y, b * x, d * y])),
    ];
    let near = |ours: f64, theirs: f64, size: f64| {
        (ours - theirs).abs() <= TOLERANCE.max(size.abs() * 1e-5)
    };
    pose.x.is_none_or(|x| side(x, left, right))
        && side(pose.y, top, bottom)
        && near(pose.opacity, opacity, 0.0)
        && pose
            .matrix
            .iter()
            .zip(elements)
            .all(|(ours, (theirs, size))| near(*ours, theirs, size))
}

fn sum(parts: [f64; 4]) -> f64 {
    parts.iter().map(|part| part.abs()).sum()
}

/// Even and odd moments of a life, each `step_ms`, and its first and last moments; in whole
/// microseconds, which is what a browser keeps.
pub(super) fn ages_ms(motion: &Motion, count: u32, step_ms: f64) -> Vec<f64> {
    let end_ms = motion.lifetime().as_secs_f64() * 1_000.0;
    let spread = (0..count).map(|i| end_ms * (f64::from(i) + 0.37) / f64::from(count));
    // For Chromium the last microsecond is the end already.
    let last = [end_ms - 0.01];
    let boundaries = (0_u32..)
        .map(|i| f64::from(i) * step_ms)
        .take_while(|ms| *ms < end_ms - 0.01);
    let whole = |ms: f64| (ms * 1_000.0).round() / 1_000.0;
    spread.chain(last).chain(boundaries).map(whole).collect()
}

fn box_size(font_size_px: f64) -> BoxSize {
    let emoji = Emoji::new(EMOJI);
    let subject = Subject {
        emoji: &emoji,
        reaction: None,
        font_size_px,
        growth: 1.0,
        artwork: None,
    };
    let sheet = SpriteSheet::new(&EmojiFonts::bundled(), [subject]).unwrap();
    sheet.figures()[0].box_size
}
