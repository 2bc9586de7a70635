//! Text and bytes of any kind, through what reads them: never a panic, never out of range.

use std::sync::Arc;
use std::time::Duration;

use floatup::cast::Placement;
use floatup::config::LookSettings;
use floatup::emoji::EmojiFonts;
use floatup::frame::{Alpha, PixelFormat, Size};
use floatup::log::{AT_MAX, entries};
use floatup::look::Look;
use floatup::motion::css::CssError;
use floatup::motion::{Offset, Stylesheet, Surroundings};
use floatup::paint::Painter;
use floatup::reaction::{Emoji, Palette};
use floatup::scene::Scene;
use floatup::sprite::{SpriteSheet, Subject};
use proptest::prelude::*;
use proptest::sample::select;

const SHEET_TOKENS: &[&str] = &[
    ".animated-emoji",
    ".animated-emoji {",
    ".reaction-heart {",
    ".reaction-heart.animated-emoji, p {",
    "@keyframes k {",
    "@keyframes",
    "@font-face",
    "@media",
    "@",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ";",
    ":",
    ",",
    "\"",
    "'",
    "/*",
    "*/",
    "<!--",
    "-->",
    "\\",
    "\0",
    "url(",
    "k",
    "p > q",
    "from",
    "to",
    "0%",
    "50%",
    "100%",
    "101%",
    "!important",
];

const PROPERTIES: &[&str] = &[
    "bottom",
    "opacity",
    "transform",
    "animation-timing-function",
    "top",
    "left",
    "right",
    "transform-origin",
    "font-size",
    "animation",
    "animation-name",
    "animation-duration",
    "animation-delay",
    "animation-iteration-count",
    "animation-direction",
    "animation-fill-mode",
    "position",
    "line-height",
    "z-index",
    "colour",
    "--a",
    "--b",
    "--a-range",
];

const VALUES: &[&str] = &[
    "0",
    "1",
    "-1",
    "0.5",
    "30px",
    "2em",
    "-150%",
    "50%",
    "1s",
    "-2s",
    "250ms",
    "1e9s",
    "1e999px",
    "-1e999",
    "1e308%",
    "1e-400em",
    "1\0",
    "1\\0",
    "1\\70 x",
    "+.5E1px",
    "none",
    "absolute",
    "normal",
    "linear",
    "ease",
    "steps(3)",
    "steps(0)",
    "steps(2147483647, jump-both)",
    "steps(1e9, jump-none)",
    "cubic-bezier(0, 1e999, 1, -1e300)",
    "cubic-bezier(.1, 2, .3, -4)",
    "cubic-bezier(",
    "rotate(1e999deg)",
    "rotate(3turn)",
    "rotate(-2rad)",
    "scale(0)",
    "scale(1e300)",
    "scale(2, -1)",
    "translate(1e308px, 1%)",
    "translateX(50%)",
    "rotate()",
    "alternate",
    "reverse",
    "both",
    "infinite",
    "paused",
    "k",
    "\"k\"",
    "calc(1px + 2%)",
    "calc(var(--a) / var(--b))",
    "calc(1e6 * 1e6px)",
    "calc(1 / 0)",
    "min(1px, 50%)",
    "clamp(0, var(--b), 1)",
    "sin(1rad)",
    "var(--a)",
    "var(--b, 3px)",
    "var(--c, var(--a))",
    "var(",
    "\"1px..2px\"",
    "\"-1e6..1e6\"",
    "\"0s..1s\"",
    "linear(0, 1 50% 20%, var(--a))",
    "linear(1e6 0%, -1e6 0.0001%)",
    "matrix(1, 1, 1, 1, 1e6, 1e6)",
    "matrix(1e6, 0, 0, -1e6, 0, 0)",
    "skew(90deg, 89.9999deg)",
    "left bottom",
    "auto",
    ",",
];

/// Longer texts add nothing but time.
const TOKENS_MAX: usize = 40;

fn text_of(tokens: &'static [&'static str]) -> impl Strategy<Value = String> {
    let token = prop_oneof![
        6 => select(tokens).prop_map(str::to_owned),
        2 => select(VALUES).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(token, 0..TOKENS_MAX).prop_map(|tokens| tokens.join(" "))
}

/// Declarations that are mostly in order.
fn declarations(
    properties: &'static [&'static str],
    count: usize,
) -> impl Strategy<Value = String> {
    let value = prop::collection::vec(select(VALUES), 1..3);
    let declaration = (select(properties), value);
    prop::collection::vec(declaration, 0..count).prop_map(|all| {
        let lines = all
            .iter()
            .map(|(name, value)| format!("{name}: {};\n", value.join(" ")));
        lines.collect()
    })
}

/// A stylesheet that is whole but for what its declarations say.
fn sheet() -> impl Strategy<Value = String> {
    let keyframe = || declarations(&PROPERTIES[..8], 3);
    (
        declarations(PROPERTIES, 2),
        keyframe(),
        keyframe(),
        keyframe(),
    )
        .prop_map(|(rule, from, middle, to)| {
            format!(
                ".animated-emoji {{ bottom: 0; font-size: 9px; animation: k 1s; {rule} }}\n\
                 @keyframes k {{ from {{ {from} }} 30% {{ {middle} }} to {{ {to} }} }}"
            )
        })
}

/// Reads a stylesheet, and draws what it says.
fn check_sheet(css: &str) -> Result<(), TestCaseError> {
    let motion = match Stylesheet::parse(css).map(|sheet| sheet.motion(None, &[])) {
        Ok(motion) => motion,
        Err(CssError {
            line,
            column,
            message,
        }) => {
            let lines = css.split(['\n', '\r', '\u{c}']).count();
            prop_assert!((1..=lines).contains(&(line as usize)), "{}", line);
            prop_assert!(column >= 1 && !message.is_empty());
            return Ok(());
        }
    };
    let lifetime = motion.lifetime();
    prop_assert!(!lifetime.is_zero());
    let emoji = Emoji::new("❤️");
    let subject = Subject {
        emoji: &emoji,
        reaction: None,
        font_size_px: 9.0,
        growth: 1.0,
        artwork: None,
    };
    let sheet = SpriteSheet::new(&EmojiFonts::bundled(), [subject]).unwrap();
    let box_size = sheet.figures()[0].box_size;
    let around = Surroundings {
        container: (24.0, 16.0),
        box_size: (box_size.width, box_size.height),
        scale: 1.0,
    };
    let size = Size::new(24, 16).unwrap();
    let mut painter = Painter::new(sheet.into(), size);
    for share in [0.0, 0.001, 0.29999, 0.3, 0.31, 0.5, 0.999, 0.999_999_999] {
        let age = lifetime
            .mul_f64(share)
            .min(lifetime - Duration::from_nanos(1));
        let Some(pose) = motion.pose(age, &around) else {
            return Err(TestCaseError::fail(format!(
                "gone at {age:?} of {lifetime:?}"
            )));
        };
        let (Offset::Start(px) | Offset::End(px)) = pose.y;
        prop_assert!(px.is_finite(), "{:?}", pose);
        let finite = pose.matrix.iter().all(|element| element.is_finite());
        prop_assert!(finite, "{:?}", pose);
        prop_assert!((0.0..=1.0).contains(&pose.opacity), "{:?}", pose);
        let placement = Placement::new(0, 1.5, &pose, box_size, size);
        let mut painting = painter.paint([placement]);
        let frame = painting.frame(Alpha::Premultiplied, PixelFormat::Rgba);
        prop_assert!(
            frame
                .pixels()
                .iter()
                .all(|[r, g, b, a]| r.max(g).max(b) <= a)
        );
    }
    prop_assert!(motion.pose(lifetime, &around).is_none());
    Ok(())
}

const JSON_TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\n",
    "\r\n",
    "null",
    "true",
    "1",
    "-1",
    "0.5",
    "1e308",
    "-1e308",
    "1e999",
    "18446744073709551616",
    "\"width\":64",
    "\"height\":36",
    "\"width\":-1",
    "\"font_size_px\":30",
    "\"font_size_px\":1e9",
    "\"css\":\"../x\"",
    "\"sprites\":[",
    "{\"emoji\":\"❤️\",\"left_px\":1,\"age_ms\":500}",
    "{\"emoji\":\"\",\"left_px\":-1e300,\"age_ms\":1e300}",
    "{\"at_ms\":5,\"reaction\":\"heart\"}",
    "{\"at_ms\":5,\"reaction\":\"heart\",\"count\":3}",
    "{\"at_ms\":1e308,\"reaction\":\"heart\"}",
    "{\"at_ms\":-0.0,\"reaction\":\"\\ud83d\"}",
    "\"at_ms\":7",
    "\"reaction\":\"🔥\"",
    "\"count\":4294967296",
];

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        8 => select(JSON_TOKENS).prop_map(|token| token.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(token, 0..TOKENS_MAX).prop_map(|tokens| tokens.concat()),
    ]
}

/// A scene that is whole but for its numbers.
fn scene() -> impl Strategy<Value = Vec<u8>> {
    let number = || {
        select(
            &[
                "0", "1", "-1", "0.5", "64", "-1e308", "1e308", "1e-320", "17000",
            ][..],
        )
    };
    (number(), number(), number(), number(), number()).prop_map(|(width, height, px, left, age)| {
        let sprite = format!("{{\"emoji\":\"🔥\",\"left_px\":{left},\"age_ms\":{age}}}");
        let head = format!("\"width\":{width},\"height\":{height},\"font_size_px\":{px}");
        format!("{{{head},\"sprites\":[{sprite},{sprite}]}}").into_bytes()
    })
}

fn check_scene(json: &[u8]) -> Result<(), TestCaseError> {
    let Ok(scene) = Scene::parse(json, None) else {
        return Ok(());
    };
    let look = Look::load(&LookSettings {
        font_size_px: scene.font_size_px,
        scale: scene.scale,
        ..LookSettings::default()
    });
    let emoji: Vec<_> = scene.emoji().collect();
    // The scene's own frame may be as large as 16384x16384.
    let size = Size::new(24, 16).unwrap();
    let cast = look
        .unwrap()
        .cast(&Palette::default(), emoji.iter().copied(), size);
    let cast = cast.unwrap();
    let placements: Vec<_> = scene.placements(&cast).collect();
    prop_assert!(placements.len() <= emoji.len());
    let mut painter = Painter::new(Arc::clone(cast.sheet()), size);
    let frame = painter
        .paint(placements)
        .frame(Alpha::Straight, PixelFormat::Rgba);
    prop_assert_eq!(frame.size(), size);
    Ok(())
}

proptest! {
    #[test]
    fn tokens_in_any_order_are_a_stylesheet_or_a_mistake(css in text_of(SHEET_TOKENS)) {
        check_sheet(&css)?;
    }

    #[test]
    fn any_declarations_are_motion_or_a_mistake(css in sheet()) {
        check_sheet(&css)?;
    }

    #[test]
    fn any_bytes_are_a_scene_or_a_mistake(json in prop_oneof![bytes(), scene()]) {
        check_scene(&json)?;
    }

    #[test]
    fn any_bytes_are_a_log_with_its_lines_counted(log in bytes()) {
        let lines = 1 + log.iter().filter(|&&byte| byte == b'\n').count();
        let mut last = 0;
        for entry in entries(&log, &Palette::default()) {
            let line = match &entry {
                Ok(entry) => {
                    prop_assert!(entry.at <= AT_MAX && entry.reaction.count > 0);
                    entry.line
                }
                Err(bad) => {
                    prop_assert!(!bad.reason.is_empty());
                    bad.line
                }
            };
            prop_assert!(line > last && usize::try_from(line).unwrap() <= lines);
            last = line;
        }
    }
}
