//! Ranges of custom properties on the page: read as the renderer reads them, and followed without
//! freezing the page.

use serde_json::{Value, json};

use super::backend::Backend;
use super::{STYLESHEET, offer_still_layers};
use crate::chromium::Chromium;

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_is_none_is_logged_and_the_page_goes_on() {
    for (css, logged) in [
        ("--sway-range: \"10px..29em\"", 1),
        ("--sway-range: 10px", 1),
        ("--sway-range: \"10px..29px\"", 0),
        ("--sway-range: \"1 px..2px\"; --x-range: \"..\"", 2),
    ] {
        let backend = Backend::start(&format!("{STYLESHEET} .animated-emoji {{ {css} }}"));
        let chromium = Chromium::launch().await;
        let tab = chromium.open(&backend.url("/overlay/demo"), 640, 360).await;
        let log = "document.documentElement.dataset";
        tab.wait_for(&format!("{log}.state === 'live'")).await;
        backend.log.publish("heart");
        tab.wait_for(&format!("{log}.sequence === '1'")).await;
        assert_eq!(tab.complaints().len(), logged, "{css}");
        chromium.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_read_as_the_renderer_reads_them() {
    let texts = [
        "10px..29px",
        " 1E1PX .. 29px ",
        "-1.5em..2em",
        "0%..100%",
        "3vw..1vw",
        "5vh..5vh",
        "0deg..90deg",
        "0rad..1rad",
        "0turn..1turn",
        "1s..2s",
        "1ms..2ms",
        "-1..+2",
        ".5..5.",
        "0.5..1.5",
        "",
        "10px",
        "10px..",
        "..10px",
        "10px..20em",
        "0..20px",
        "inf..1",
        "nan..nan",
        "1e7px..2px",
        "1px-2px",
        "1px...2px",
        "1grad..2grad",
        "px..px",
        "1 px..2 px",
        "1em..2e",
        "1e..2e",
        "1rem..2rem",
        "1,5..2",
        "0x1..2",
        "1_0..2",
        "1px..2px..3px",
        "1...2",
    ];
    let expected: Vec<Value> = texts
        .iter()
        .map(|text| {
            let range: Result<floatup::motion::Range, String> = text.parse();
            range.map_or(Value::Null, |range| {
                json!([range.css(0.0), range.css(0.25)])
            })
        })
        .collect();
    let backend = Backend::start(STYLESHEET);
    let chromium = Chromium::launch().await;
    let tab = chromium.open(&backend.url("/overlay/demo"), 640, 360).await;
    let read: Vec<Value> = tab
        .evaluate(&format!(
            "import('/assets/rules.js').then(({{ parseRange }}) => {}.map((text) => {{
               const at = parseRange(text);
               return at === undefined ? null : [at(0), at(0.25)];
             }}))",
            json!(texts.as_slice())
        ))
        .await;
    for ((text, expected), read) in texts.iter().zip(&expected).zip(&read) {
        assert_eq!(read, expected, "{text:?}");
    }
    chromium.close().await;
}

/// Two variables, of which the second bends the motion; then three, two of which are times.
const BURSTS: [(&str, &str, u32); 2] = [
    (
        "sway and spin",
        ".animated-emoji { position: absolute; bottom: 0; font-size: 30px; animation: k 2s ease-in-out forwards;
           --sway-range: \"-80px..120px\"; --spin-range: \"-60deg..60deg\" }
         @keyframes k { to { bottom: 100%; opacity: 0; transform: translateX(var(--sway)) rotate(var(--spin)) } }",
        100,
    ),
    (
        "two times",
        ".animated-emoji { position: absolute; bottom: 0; font-size: 30px; animation: k var(--life) ease-in-out, fade 1s var(--later) both;
           --life-range: \"2s..4s\"; --later-range: \"0s..1.5s\"; --sway-range: \"-80px..120px\" }
         @keyframes k { to { bottom: 100%; transform: translateX(var(--sway)) } } @keyframes fade { to { opacity: 0 } }",
        2_000,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_sprites_does_not_freeze_the_page() {
    let chromium = Chromium::launch().await;
    for (name, css, probes_max) in BURSTS {
        let backend = Backend::start(css);
        let tab = chromium
            .open(&backend.url("/overlay/demo"), 1280, 720)
            .await;
        offer_still_layers(&tab).await;
        let (ms, probes): (Vec<f64>, u32) = tab
            .evaluate(
                "(async () => {
                   const { layer, goOn } = await stillLayer(innerWidth, innerHeight);
                   let probes = 0;
                   const real = Element.prototype.getAnimations;
                   Element.prototype.getAnimations = function () {
                     probes++;
                     return real.call(this);
                   };
                   const timed = (f) => {
                     const from = performance.now();
                     f();
                     return performance.now() - from;
                   };
                   const ms = [timed(() => {
                     for (let sequence = 1; sequence <= 1000; sequence++) {
                       layer.spawn({ page: 7, sequence, reactions: [{ emoji: '❤️', count: 1 }] }, 1e6);
                     }
                     layer.draw(1e6);
                   })];
                   for (let i = 1; i < 120; i++) ms.push(timed(() => layer.draw(1e6 + i * 16)));
                   Element.prototype.getAnimations = real;
                   goOn();
                   return [ms, probes];
                 })()",
            )
            .await;
        let longest = ms[1..].iter().copied().fold(0.0, f64::max);
        eprintln!(
            "{name}: {:.1} ms for the first frame, at most {longest:.1} ms for a later one, {probes} probes",
            ms[0]
        );
        assert!(probes < probes_max, "{name}: {probes} probes");
        // This is ten times what it takes where nothing else is running.
        assert!(ms[0].max(longest) < 1_500.0, "{name}: {ms:?}");
        assert_eq!(tab.complaints(), Vec::<String>::new());
    }
    chromium.close().await;
}
