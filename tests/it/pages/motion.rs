//! The page's script against the renderer's hash and palette, and its canvas against what
//! Chromium itself makes of the stylesheet.

use floatup::reaction::Palette;
use floatup::scatter::{Lane, SpriteId};
use image::RgbaImage;
use serde_json::{Value, json};

use super::backend::Backend;
use super::{STYLESHEET, offer_still_layers};
use crate::chromium::{Chromium, Tab};

/// Made by another implementation of the documented hash.
const VECTORS: &str = include_str!("../../vectors/scatter.json");

#[test]
fn the_hash_is_the_documented_one() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    let mut lefts = 0;
    for v in &vectors {
        if v["lane"] != 0 {
            continue;
        }
        let id = SpriteId {
            page: v["page"].as_u64().unwrap(),
            sequence: v["sequence"].as_u64().unwrap(),
            index: u32::try_from(v["index"].as_u64().unwrap()).unwrap(),
        };
        assert_eq!(u64::from(id.hash(Lane::LEFT)), v["hash"], "{v}");
        let left = id.left_px(1280.0, 30.0);
        let wanted = v["left_px_of_1280_at_30"].as_f64().unwrap();
        // serde_json's reading of a number may be off in the last bit.
        assert!((left - wanted).abs() < 1e-9, "{v}: {left}");
        lefts += 1;
    }
    assert!(lefts >= 12, "{lefts} vectors");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_hashes_and_decodes_as_the_service_does() {
    let backend = Backend::start(STYLESHEET);
    let chromium = Chromium::launch().await;
    let tab = chromium.open(&backend.url("/overlay/demo"), 640, 360).await;

    let wrong: Vec<Value> = tab
        .evaluate(&format!(
            "import('/assets/sprites.js').then(({{ scatter, leftPx, laneOf, share }}) => {VECTORS}.filter((v) => {{
               const lane = v.variable === undefined ? v.lane : laneOf(v.variable);
               const hash = scatter(v.page, v.sequence, v.index, lane);
               if (lane !== v.lane || (v.share !== undefined && share(hash) !== v.share)) return true;
               return hash !== v.hash || leftPx(hash, 1280, 30) !== v.left_px_of_1280_at_30;
             }}))"
        ))
        .await;
    assert_eq!(wrong, Vec::<Value>::new());

    let payloads = [
        "heart",
        " HEART\n",
        ":thumbs_up:",
        "Thumbs Up",
        "100",
        "❤",
        "❤️",
        "🔥🔥👍",
        "🔥 🔥",
        "nope",
        "",
        "  ",
        "💩",
        "heart heart",
        "{",
        "{}",
        "[1]",
        "<b>heart</b>",
        "<img src=x onerror=alert(1)>",
        "{\"reaction\":\"x\"}",
        "{\"heart\":0}",
        "{\"heart\":-1}",
        "{\"heart\":1.5}",
        "{\"heart\":37,\"🔥\":3,\"100\":2}",
        "{\"r\":{\"fire\":12}}",
        "{\"heart\":12,\"fire\":1,\"❤\":3,\"100\":900,\":heart:\":900}",
        "{\"emoji\":\"🤯\",\"count\":7}",
        "{\"emoji\":\"🔥\",\"count\":\"9\"}",
        "{\"emoji\":\"🔥\",\"count\":0}",
        "{\"emoji\":\"🔥\",\"count\":null}",
        "{\"emoji\":\"🔥\",\"count\":18446744073709551615}",
        "{\"heart\":900,\"fire\":900}",
        "{\"type\":\"comment\",\"message\":\"heart\"}",
        "{\"type\":\"Reaction\",\"reaction\":\"Thumbs Up\"}",
        "{\"event\":\"reaction\",\"name\":\"clap\"}",
        "{\"__proto__\":{\"heart\":3}}",
        "{\"constructor\":1}",
        "🔥🔥🔥🔥🔥🔥🔥🔥",
        "🔥🔥🔥🔥🔥🔥🔥🔥🔥",
        "null",
        "\"heart\"",
    ];
    let palette = Palette::default();
    let expected: Vec<Value> = payloads
        .iter()
        .map(|payload| {
            let reactions = palette.decode(payload).unwrap_or_default();
            let reaction = |r: &floatup::reaction::Reaction| json!({"emoji": r.emoji.as_str(), "count": r.count});
            reactions.iter().map(reaction).collect()
        })
        .collect();
    let decoded: Vec<Value> = tab
        .evaluate(&format!(
            "Promise.all([import('/assets/palette.js'), fetch('/palette.json').then((r) => r.json())])
               .then(([{{ Palette }}, entries]) => {{
                 const palette = new Palette(entries);
                 return {}.map((payload) => palette.decode(payload));
               }})",
            json!(payloads.as_slice())
        ))
        .await;
    for ((payload, expected), decoded) in payloads.iter().zip(&expected).zip(&decoded) {
        assert_eq!(decoded, expected, "{payload:?}");
    }
    assert_eq!(decoded.len(), payloads.len());
    chromium.close().await;
}

/// A stylesheet that uses what the bundled one does not: easing, a middle keyframe, scale, a jump.
const OTHER_STYLESHEET: &str = r#"
@font-face { font-family: "Floatup Emoji"; src: url("fonts/NotoColorEmoji-floatup.ttf"); }
.animated-emoji { position: absolute; bottom: 0; font-size: 48px; font-family: "Floatup Emoji"; animation: up 3s ease-in-out forwards; pointer-events: none; transform-origin: 20% 100%; }
@keyframes up {
  0% { bottom: 10%; opacity: 0; transform: scale(0.5); }
  20% { opacity: 1; transform: scale(1.2) rotate(-20deg); animation-timing-function: steps(2); }
  60% { transform: translateX(40px) scale(1); }
  100% { bottom: 80%; opacity: 0; transform: translateX(-40px) rotate(90deg); }
}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_canvas_shows_what_elements_with_the_stylesheet_would_show() {
    check_canvas(
        "1",
        &[
            ("bundled", STYLESHEET, 2000, 50.0),
            // Chromium draws what is scaled anew at its scale: sharper, and up to half a pixel off.
            // Two pixels off would be 19 dB.
            ("other", OTHER_STYLESHEET, 3000, 25.0),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_canvas_follows_a_finer_screen() {
    check_canvas("1.5", &[("bundled", STYLESHEET, 2000, 50.0)]).await;
}

/// Each case: name, stylesheet, how long a sprite lives in ms, and the least PSNR in dB over the
/// pixels that either way touches.
async fn check_canvas(device_scale_factor: &str, cases: &[(&str, &str, u32, f64)]) {
    let chromium = Chromium::launch_with(device_scale_factor).await;
    for (name, stylesheet, life_ms, psnr_min) in cases {
        let backend = Backend::start(stylesheet);
        let tab = chromium
            .open(&backend.url("/overlay/demo"), 1280, 720)
            .await;
        tab.wait_for("document.documentElement.dataset.state === 'live'")
            .await;
        let (canvas, elements) = both_ways(&tab, *life_ms).await;
        let (psnr, worst, touched) = compare(&canvas, &elements);
        let figures =
            format!("{name} x{device_scale_factor}: {psnr:.1} dB, worst {worst}, {touched} pixels");
        eprintln!("{figures}");
        assert!(touched > 9_000, "{figures}");
        assert!(psnr >= *psnr_min, "{figures}");
        assert_eq!(tab.complaints(), Vec::<String>::new());
    }
    chromium.close().await;
}

/// The same sprites at twelve ages: on a canvas, then as elements that are paused at that age.
async fn both_ways(tab: &Tab, life_ms: u32) -> (RgbaImage, RgbaImage) {
    offer_still_layers(tab).await;
    let setup = format!(
        "(async () => {{
           const {{ scatter, leftPx }} = await import('/assets/sprites.js');
           const {{ box, layer, twoFrames, goOn }} = await stillLayer(1280, 720);
           const emoji = ['❤️', '💯', '👍', '🤯'];
           const sprites = Array.from({{ length: 12 }}, (_, i) => ({{
             emoji: emoji[i % 4], sequence: i + 1, ageMs: {life_ms} * (11.7 - i) / 12,
           }}));
           for (const {{ emoji, sequence, ageMs }} of sprites)
             layer.spawn({{ page: 7, sequence, reactions: [{{ emoji, count: 1 }}] }}, 1e6 - ageMs);
           const drawn = layer.draw(1e6);
           const fontSize = parseFloat(getComputedStyle(document.querySelector('.animated-emoji')).fontSize);
           window.elements = async () => {{
             box.querySelector('canvas').remove();
             for (const {{ emoji, sequence, ageMs }} of sprites) {{
               const element = document.createElement('div');
               element.className = 'animated-emoji';
               element.textContent = emoji;
               element.style.left = `${{leftPx(scatter(7, sequence, 0, 0), 1280, fontSize)}}px`;
               box.append(element);
               for (const animation of element.getAnimations()) {{
                 animation.pause();
                 animation.currentTime = ageMs;
               }}
             }}
             await twoFrames();
             goOn();
             return true;
           }};
           await twoFrames();
           return drawn;
         }})()"
    );
    assert_eq!(tab.evaluate::<u32>(&setup).await, 12);
    let canvas = tab.screenshot().await;
    assert!(tab.evaluate::<bool>("window.elements()").await);
    (canvas, tab.screenshot().await)
}

/// PSNR in dB over premultiplied values, the largest difference, and how many pixels are touched.
fn compare(a: &RgbaImage, b: &RgbaImage) -> (f64, f64, u32) {
    assert_eq!(a.dimensions(), b.dimensions());
    let premultiplied = |p: &image::Rgba<u8>| {
        let alpha = f64::from(p[3]);
        [0, 1, 2]
            .map(|c| f64::from(p[c]) * alpha / 255.0)
            .into_iter()
            .chain([alpha])
    };
    let (mut sum, mut worst, mut touched) = (0.0, 0.0_f64, 0);
    for (p, q) in a.pixels().zip(b.pixels()) {
        if p[3] == 0 && q[3] == 0 {
            continue;
        }
        touched += 1;
        for (x, y) in premultiplied(p).zip(premultiplied(q)) {
            sum += (x - y) * (x - y);
            worst = worst.max((x - y).abs());
        }
    }
    let mean = sum / (4.0 * f64::from(touched)).max(1.0);
    (
        10.0 * (255.0 * 255.0 / mean.max(1e-9)).log10(),
        worst,
        touched,
    )
}
