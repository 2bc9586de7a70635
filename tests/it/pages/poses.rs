//! Where the page puts its sprites, against where the renderer does, for the same stylesheet.

use std::time::Duration;

use floatup::emoji::EmojiFonts;
use floatup::motion::{Offset, Stylesheet, Surroundings};
use floatup::reaction::Emoji;
use floatup::scatter::{Lane, SpriteId};
use floatup::sprite::{SpriteSheet, Subject};
use serde_json::json;

use super::backend::Backend;
use super::offer_still_layers;
use crate::chromium::{Chromium, Tab};

const WIDTH: u32 = 1_000;
const HEIGHT: u32 = 640;
const FONT: &str = "@font-face { font-family: \"Floatup Emoji\"; src: url(\"fonts/NotoColorEmoji-floatup.ttf\") } \
                    .animated-emoji { font-family: \"Floatup Emoji\"; line-height: normal; pointer-events: none }";

/// Two of the sampling's tolerances, and what layout and six digits of a computed style leave.
const TOLERANCE_PX: f64 = 0.15;

/// Name and stylesheet; together they use all that says where a sprite is.
const SHEETS: &[(&str, &str)] = &[
    (
        "the tutorial's",
        ".animated-emoji { position: absolute; bottom: 0; font-size: 30px; animation: k 2s linear forwards }
         @keyframes k { 0% { bottom: 0%; opacity: 1; transform: translateX(0) rotate(0deg) }
           100% { bottom: 100%; opacity: 0; transform: translateX(20px) rotate(15deg) } }",
    ),
    (
        "classes of other sizes and times",
        ".animated-emoji { position: absolute; bottom: 0; font-size: 30px; animation: k 2s ease }
         .reaction-fire { font-size: 64px; animation-duration: 5s; bottom: 10% }
         .animated-emoji.reaction-100 { animation: other 1s steps(3) }
         @keyframes k { to { bottom: 100%; opacity: 0.1; transform: scale(1.5) } }
         @keyframes other { from { bottom: 40% } to { bottom: 60%; transform: rotate(1turn) } }",
    ),
    (
        "variables of length, angle and number",
        ".animated-emoji { position: absolute; bottom: 0; font-size: 30px; animation: k 2s ease-in-out;
           --sway: 20px; --sway-range: \"-80px..120px\"; --spin-range: \"-90deg..200deg\"; --rise-range: '60..100' }
         @keyframes k { to { bottom: calc(var(--rise) * 1%); transform: translateX(var(--sway)) rotate(var(--spin)) } }",
    ),
    (
        "variables that multiply, of which one class has one alone",
        ".animated-emoji { position: absolute; bottom: 0; font-size: 30px; animation: k 2s linear;
           --grow-range: \"0.5..3\"; --reach-range: \"-20vw..20vw\" }
         .reaction-heart { animation-name: straight }
         @keyframes k { to { bottom: 100%; transform: scale(var(--grow)) translateX(var(--reach)) } }
         @keyframes straight { to { bottom: 80%; transform: scale(var(--grow)) } }",
    ),
    (
        "variables of time",
        ".animated-emoji { position: absolute; bottom: 0; font-size: 30px; animation: k 2s linear, fade 1s linear both;
           animation-duration: var(--life), 1s; animation-delay: 0s, var(--later);
           --life-range: \"1s..4s\"; --later-range: \"0ms..900ms\" }
         @keyframes k { to { bottom: 100% } } @keyframes fade { to { opacity: 0.2 } }",
    ),
    (
        "a left of the rule and of keyframes",
        ".animated-emoji { position: absolute; left: 10%; bottom: 3px; font-size: 30px; animation: k 2s linear }
         .reaction-fire { left: calc(100% - 4em) }
         .reaction-heart { animation-name: across }
         @keyframes k { to { bottom: 100% } } @keyframes across { from { left: 0 } to { left: 90%; bottom: 20px } }",
    ),
    (
        "right and top",
        ".animated-emoji { position: absolute; top: 2em; font-size: 33px; animation: k 2s ease-in }
         .reaction-fire { right: 12.4px } .reaction-100 { animation-name: down }
         @keyframes k { to { top: 80%; transform: translate(-50%, 30%) } }
         @keyframes down { from { right: 3vw; top: 0 } to { right: 50.3%; top: 90% } }",
    ),
    (
        "several animations",
        ".animated-emoji { position: absolute; bottom: -2em; font-size: 34px;
           animation: rise 4s cubic-bezier(0.3, 0, 0.7, 1), wobble 1s ease-in-out 4 alternate;
           --height-range: \"55%..95%\"; --wobble-range: \"-24px..24px\" }
         @keyframes rise { 0% { bottom: -2em; opacity: 1 } 94% { opacity: 1 } 100% { bottom: var(--height); opacity: 0 } }
         @keyframes wobble { from { transform: translateX(calc(-1 * var(--wobble))) } to { transform: translateX(var(--wobble)) skewX(20deg) } }",
    ),
    (
        "transforms about other places",
        ".animated-emoji { position: absolute; bottom: 0; font-size: 40px; transform-origin: 20% 100%; animation: k 3s linear;
           --at-range: \"-1em..2em\" }
         .reaction-fire { transform-origin: var(--at) 3px } .reaction-heart { animation-name: moving }
         @keyframes k { to { bottom: 50%; transform: rotate(150deg) scale(2) } }
         @keyframes moving { from { transform-origin: 0 0 } to { transform-origin: 100% var(--at); transform: matrix(1, 0.5, -0.5, 1, 30, 4) rotate(90deg) } }",
    ),
];

/// A reaction, its emoji, and its picture's path and width by height.
type Entry = (&'static str, &'static str, Option<(&'static str, f64)>);

const REACTIONS: [Entry; 4] = [
    ("heart", "❤️", None),
    ("fire", "🔥", None),
    ("100", "💯", None),
    ("other", "👍", None),
];

const PICTURES: [Entry; 6] = [
    ("wide", ":wide:", Some(("/reactions/90x30", 3.0))),
    ("wider", ":wider:", Some(("/reactions/900x100", 9.0))),
    ("high", ":high:", Some(("/reactions/30x100", 0.3))),
    ("thin", ":thin:", Some(("/reactions/1x400", 0.0025))),
    ("drawing", ":drawing:", Some(("/reactions/drawing", 1.5))),
    ("animated", "❤", Some(("/reactions/animated", 1.5))),
];

/// Draws sprites on a layer of their own, and gives for each: where the middle of its box is, the
/// other elements of its matrix, and its opacity.
const DRAW: &str = "async ([entries, sprites, width, height]) => {
    const { box, layer, goOn } = await stillLayer(width, height);
    await layer.usePalette(entries, new URL('/', location.href));
    for (const { emoji, sequence, ageMs } of sprites)
      layer.spawn({ page: 7, sequence, reactions: [{ emoji, count: 1 }] }, 1e6 - ageMs);
    // What there was no time to sample is sampled in one of the next frames.
    let drawn = 0;
    for (let i = 0; i < 60; i++) drawn = layer.draw(1e6);
    const seen = [];
    const real = CanvasRenderingContext2D.prototype.drawImage;
    CanvasRenderingContext2D.prototype.drawImage = function (image, x, y, ...size) {
      if (this.canvas.parentNode === box) {
        const { a, b, c, d, e, f } = this.getTransform();
        seen.push([e, f, a, b, c, d, this.globalAlpha, ...size]);
      }
      return real.call(this, image, x, y, ...size);
    };
    layer.draw(1e6);
    CanvasRenderingContext2D.prototype.drawImage = real;
    goOn();
    if (drawn !== seen.length) throw new Error(`${drawn} drawn, ${seen.length} seen`);
    return seen;
  }";

#[tokio::test(flavor = "multi_thread")]
async fn the_page_puts_every_sprite_where_the_renderer_does() {
    let chromium = Chromium::launch().await;
    let mut wrong = Vec::new();
    for (name, css) in SHEETS {
        let backend = Backend::start(&format!("{FONT}\n{css}"));
        let tab = chromium
            .open(&backend.url("/overlay/demo"), WIDTH, HEIGHT)
            .await;
        wrong.extend(differences(&tab, name, css, &REACTIONS).await);
        assert_eq!(tab.complaints(), Vec::<String>::new(), "{name}");
    }
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n"));
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_where_the_renderer_has_them() {
    let css =
        ".animated-emoji { position: absolute; bottom: 5%; font-size: 41px; animation: k 3s linear;
           --spin-range: \"-90deg..200deg\" }
         .reaction-wide { font-size: 64px; right: 3.3px; bottom: auto; top: 2em }
         .reaction-high { left: 20%; transform-origin: 0 100% }
         .reaction-drawing { animation-name: other }
         @keyframes k { to { transform: translate(-50%, 30%) rotate(var(--spin)) } }
         @keyframes other { to { bottom: 90%; transform: scale(2.5) } }";
    let chromium = Chromium::launch().await;
    let backend = Backend::start(&format!("{FONT}\n{css}"));
    let tab = chromium
        .open(&backend.url("/overlay/demo"), WIDTH, HEIGHT)
        .await;
    let wrong = differences(&tab, "pictures", css, &PICTURES).await;
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n"));
    assert_eq!(tab.complaints(), Vec::<String>::new());
    chromium.close().await;
}

fn same(ours: &[f64], theirs: &[f64]) -> bool {
    let mut pairs = ours.iter().zip(theirs);
    ours.len() == theirs.len() && pairs.all(|(a, b)| (a - b).abs() < 1e-9)
}

/// Width and height of a picture's box, in a line box of this height.
fn picture_size(aspect: f64, height: f64) -> (f64, f64) {
    let width = (height * aspect).min(height * 4.0);
    let side = |px: f64| px.round().max(1.0);
    (side(width), side((width / aspect).min(height)))
}

/// One line for each sprite that is elsewhere.
async fn differences(tab: &Tab, name: &str, css: &str, reactions: &[Entry]) -> Vec<String> {
    let stylesheet = Stylesheet::parse(css).unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut sprites = Vec::new();
    let mut expected = Vec::new();
    for i in 0..48_u32 {
        let (class, emoji, picture) = reactions[i as usize % reactions.len()];
        let id = SpriteId {
            page: 7,
            sequence: u64::from(i) + 1,
            index: 0,
        };
        let lanes = stylesheet.variables().iter().map(|v| Lane::of(&v.name));
        let shares: Vec<f64> = lanes.map(|lane| id.share(lane)).collect();
        let motion = stylesheet.motion(Some(class), &shares);
        let age = motion.lifetime().mul_f64((f64::from(i) + 0.37) / 48.0);
        let age = Duration::from_micros(u64::try_from(age.as_micros()).unwrap());
        sprites.push(
            json!({"emoji": emoji, "sequence": id.sequence, "ageMs": age.as_secs_f64() * 1e3}),
        );

        let font_size_px = motion.font_size_px();
        let heart = Emoji::new("❤️");
        let subject = Subject {
            emoji: &heart,
            reaction: None,
            font_size_px,
            growth: 1.0,
            artwork: None,
        };
        let sheet = SpriteSheet::new(&EmojiFonts::bundled(), [subject]).unwrap();
        let glyph = sheet.figures()[0].box_size;
        let glyph = (glyph.width, glyph.height);
        let (width, height) = picture.map_or(glyph, |(_, aspect)| picture_size(aspect, glyph.1));
        let whole = (f64::from(WIDTH), f64::from(HEIGHT));
        let around = Surroundings {
            container: whole,
            box_size: (width, height),
            scale: 1.0,
        };
        let pose = motion.pose(age, &around).unwrap();
        let place = |offset, whole: f64, own: f64| match offset {
            Offset::Start(px) => px,
            Offset::End(px) => whole - own - px,
        };
        let left = Offset::Start(id.left_px(whole.0, font_size_px));
        let [a, b, c, d, e, f] = pose.matrix;
        let middle = (
            a * width / 2.0 + c * height / 2.0 + e,
            b * width / 2.0 + d * height / 2.0 + f,
        );
        expected.push((
            place(pose.x.unwrap_or(left), whole.0, width),
            place(pose.y, whole.1, height),
            middle,
            [a, b, c, d],
            pose.opacity,
            picture.map(|_| [width, height]),
            width.max(height) / 2.0,
        ));
    }
    let entries: Vec<_> = reactions
        .iter()
        .map(|(class, emoji, picture)| {
            let image = picture.map(|(path, _)| path);
            json!({"name": class, "emoji": emoji, "class": class, "image": image})
        })
        .collect();
    let arguments = json!([entries, sprites, WIDTH, HEIGHT]);
    offer_still_layers(tab).await;
    let drawn: Vec<Vec<f64>> = tab.evaluate(&format!("({DRAW})({arguments})")).await;
    assert_eq!(drawn.len(), sprites.len(), "{name}");
    let mut wrong = Vec::new();
    for ((sprite, drawn), expected) in sprites.iter().zip(&drawn).zip(&expected) {
        let (x, y, middle, matrix, opacity, size, radius) = expected;
        // At the edge of a pixel either is right.
        let snapped = |drawn: f64, at: f64, middle: f64| {
            [-TOLERANCE_PX, TOLERANCE_PX].iter().any(|off| {
                let place = (at + off + 0.5).floor() + middle;
                (drawn - place).abs() < TOLERANCE_PX
            })
        };
        let turned = matrix.iter().zip(&drawn[2..6]);
        let turned = turned.map(|(ours, theirs)| (ours - theirs).abs() * radius);
        let right = snapped(drawn[0], *x, middle.0)
            && snapped(drawn[1], *y, middle.1)
            && turned.fold(0.0, f64::max) < TOLERANCE_PX
            && (drawn[6] - opacity).abs() < 0.004
            && size.is_none_or(|size| same(&size, &drawn[7..]));
        if !right {
            wrong.push(format!(
                "{name}: {sprite}\n  page {drawn:?}\n  ours {expected:?}"
            ));
        }
    }
    wrong
}
