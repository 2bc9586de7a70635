//! The parser of stylesheets against Chromium's: what each makes of the same rules, age by age.

use floatup::motion::Stylesheet;

use super::computed::{Case, HEIGHT, WIDTH, ages_ms, differences};
use super::{Site, load_font};
use crate::chromium::Chromium;

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

/// A name, a reaction, the share of each variable, and the whole stylesheet.
const WHOLE_SHEETS: &[(&str, Option<&str>, &[f64], &str)] = &[
    (
        "reactions",
        Some("heart"),
        &[],
        r".animated-emoji.reaction-heart { font-size: 60px; animation-name: burst }
          .animated-emoji { position: absolute; bottom: 0; font-size: 30px; animation: rise 2s linear; opacity: .5 }
          .reaction-heart.animated-emoji { animation-duration: 1s } .reaction-heart { opacity: .25; font-size: 9px }
          .reaction-fire, .animated-emoji.reaction-heart, p > q { transform: rotate(9deg) }
          @keyframes rise { to { bottom: 100% } } @keyframes burst { to { bottom: 2em; transform: rotate(90deg) } }",
    ),
    (
        "a reaction of other keyframes, and offsets unset",
        Some("fire"),
        &[],
        r".animated-emoji { position: absolute; bottom: 0; font-size: 30px; animation: k 1s linear }
          .reaction-fire { bottom: auto; top: 10vh; right: 5vw; animation-name: fall }
          @keyframes k { to { bottom: 50% } } @keyframes fall { 30% { top: 50%; right: 5% } to { top: calc(100% - 2em) } }",
    ),
    (
        "left, top, and the origin",
        None,
        &[],
        r".animated-emoji { position: absolute; top: 5%; left: 10vw; font-size: 30px; transform-origin: right 5px;
          transform: rotate(20deg); animation: k 1s ease-in }
          @keyframes k { 25% { left: 50%; transform-origin: bottom } to { top: 40vh; transform-origin: 2em 150%; transform: rotate(2rad) skew(10deg, 5deg) } }",
    ),
    (
        "several animations",
        None,
        &[],
        r".animated-emoji { position: absolute; bottom: 0; font-size: 30px; opacity: .9;
          animation: rise 2s linear, wobble .5s ease-in-out 3 alternate, flash 300ms .2s both, rise 100ms .6s }
          @keyframes rise { from { bottom: 0; transform: none } to { bottom: 100%; transform: translateX(40px); opacity: 0 } }
          @keyframes wobble { from { transform: rotate(-10deg) } to { transform: rotate(10deg) scale(2) } }
          @keyframes flash { 50% { opacity: 1 } to { opacity: .3; transform: scale(.5) } }",
    ),
    (
        "what a keyframe leaves out is what lies below",
        None,
        &[],
        r".animated-emoji { position: absolute; bottom: 3px; font-size: 30px; opacity: .9; transform: translateY(9px);
          animation: a 1s linear 2, b 700ms linear .2s 2 alternate, c 1.5s ease forwards }
          @keyframes a { to { bottom: 300px; opacity: 2; transform: translateX(50px) rotate(90deg) } }
          @keyframes b { 50% { bottom: 10%; opacity: .1; transform: translateX(20px) rotate(1rad) scale(2) } }
          @keyframes c { 40% { bottom: 900px; opacity: .6; transform: rotate(1turn) } }",
    ),
    (
        "longhands that are shorter or longer",
        None,
        &[],
        r".animated-emoji { position: absolute; bottom: 0; font-size: 30px; animation-name: a, none, b;
          animation-duration: 1s, 2s; animation-delay: 0s, .3s, -.25s; animation-timing-function: linear; animation-iteration-count: 1, 2;
          animation-direction: reverse, normal; animation-fill-mode: none, both, forwards, both; animation-play-state: running }
          @keyframes a { from { bottom: 0; opacity: 0 } to { bottom: 300px } } @keyframes b { from { opacity: 0 } to { transform: scale(3) } }",
    ),
    (
        "linear() with stops",
        None,
        &[],
        r".animated-emoji { position: absolute; bottom: 0; font-size: 30px; animation: k 2s linear(0, 0.5 20% 40%, 1.4 60%, .8, 1) }
          @keyframes k { 0% { bottom: 0 } 50% { bottom: 200px; opacity: 0; animation-timing-function: linear(-.2 20%, .5 50%, .1 50%, .7 40%, 60% .9, 1 80%) } to { bottom: 900px } }",
    ),
    (
        "lists that differ in kind",
        None,
        &[],
        r".animated-emoji { position: absolute; bottom: 0; font-size: 30px; animation: k 2s linear }
          @keyframes k { 0% { transform: translate(10%, 1em) rotate(30deg) scale(2) } 20% { transform: translateX(50px) scale(.5) rotate(100deg) }
          40% { transform: matrix(1, .5, -.3, 2, 10, 20) } 60% { transform: matrix(-1, 0, .3, 2, 0, 50) rotate(9deg) }
          80% { transform: skewX(20deg) translate(50%, 50%) } 90% { transform: skew(20deg, 10deg) } to { transform: skewY(-30deg) rotate(400deg) } }",
    ),
    (
        "singular matrices and half turns",
        None,
        &[],
        r".animated-emoji { position: absolute; bottom: 0; font-size: 30px; animation: k 2s linear }
          @keyframes k { 0% { transform: scale(0) rotate(3deg) } 20% { transform: rotate(10deg) scale(2) } 40% { transform: scale(-1) rotate(0deg) }
          60% { transform: matrix(-1, 0, 0, -1, 0, 0) } 80% { transform: rotate(180deg) scale(-2, 3) } 90% { transform: matrix(0, 0, 0, 0, 5, 5) } to { transform: matrix(2, 0, 0, 1, 5, 5) } }",
    ),
    (
        "calc() and its functions",
        None,
        &[],
        r".animated-emoji { position: absolute; bottom: calc(50% - 2 * (1em + 3px)); font-size: calc(10px * 3); opacity: calc(1 / 4);
          animation: k calc(1s + 500ms) linear calc(-1 * .25s) calc(1 + 1) }
          @keyframes k { 30% { bottom: min(50vw, 90%, 400px); transform: translate(calc(10px + 50%), max(1em, 80%)) rotate(calc(1turn / 8 + 3deg)) }
          60% { bottom: clamp(10px, 5vh, 1em); opacity: calc(sin(30deg) * cos(pi / 3)); transform: scale(calc(2 * 60%)) } to { bottom: calc((1vw + 1vh) * -2) } }",
    ),
    (
        "custom properties",
        Some("heart"),
        &[],
        r".animated-emoji { --up: 50%; --d: 1s; --spin: rotate(var(--by, 40deg)) scale(var(--none, 2)); --k: k; --all: var(--k) var(--d) linear;
          position: absolute; bottom: 0; font-size: var(--size, 24px); animation: var(--all) }
          .reaction-heart { --by: calc(2 * var(--base)); --base: .1turn; --up: 90% }
          @keyframes k { to { bottom: var(--up); transform: translateX(1px) var(--spin) } }",
    ),
    (
        "a variable with a range",
        None,
        &[0.25],
        r#".animated-emoji { --sway: 20px; --sway-range: "10px..29px"; position: absolute; bottom: 0; font-size: 30px; animation: k 1s linear }
          @keyframes k { to { bottom: 50%; transform: translateX(var(--sway)) } }"#,
    ),
    (
        "variables in all places",
        Some("heart"),
        &[0.25, 0.5, 0.75, 1.0, 0.0, 0.1, 0.9],
        r#".animated-emoji { --a-range: "-20px..50px"; --b-range: "0.5..2"; --c-range: "500ms..1500ms"; --d-range: "-1turn..1turn";
          --e-range: "10%..90%"; --f-range: "1em..3em"; --g-range: "2vw..9vw"; position: absolute; bottom: var(--f); left: var(--e); font-size: 30px;
          animation: k var(--c) cubic-bezier(.2, var(--b), calc(1 / (1 + var(--b))), .5) calc(var(--c) / -4) }
          .reaction-heart { --twice: calc(2 * var(--a)); opacity: calc(var(--b) / 2); --a: 5px }
          @keyframes k { to { bottom: calc(var(--e) + var(--twice, 4px)); left: max(var(--g), 20px); opacity: var(--b);
          transform: translate(var(--twice, 1px), var(--e)) rotate(var(--d)) scale(var(--b), var(--e)); transform-origin: var(--g) var(--e); animation-timing-function: linear } }"#,
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
        let sheet = Stylesheet::parse(&css).unwrap_or_else(|e| panic!("{name}: {e}\n{css}"));
        let motion = sheet.motion(None, &[]);
        let case = Case {
            name,
            css: &css,
            reaction: None,
            variables: &[],
        };
        // Each delay and duration above is a multiple of 50 ms.
        wrong.extend(differences(&tab, &case, &motion, &ages_ms(&motion, 24, 50.0)).await);
    }
    for (name, reaction, shares, css) in WHOLE_SHEETS {
        let sheet = Stylesheet::parse(css).unwrap_or_else(|e| panic!("{name}: {e}\n{css}"));
        let motion = sheet.motion(*reaction, shares);
        assert_eq!(sheet.variables().len(), shares.len(), "{name}");
        let variables = sheet.variables().iter().zip(*shares);
        let variables: Vec<_> = variables
            .map(|(variable, share)| (variable.name.clone(), variable.range.css(*share)))
            .collect();
        let case = Case {
            name,
            css,
            reaction: *reaction,
            variables: &variables,
        };
        wrong.extend(differences(&tab, &case, &motion, &ages_ms(&motion, 24, 50.0)).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(tab.complaints(), Vec::<String>::new());
    chromium.close().await;
}
