#![expect(clippy::float_cmp, reason = "these numbers are exact")]

use super::*;
use crate::motion::Motion;

fn check(css: &str, line: u32, column: u32, message: &str) {
    let error = parse(css).expect_err(css);
    assert_eq!((error.line, error.column), (line, column), "{error}\n{css}");
    assert!(error.message.contains(message), "{error}\n{css}");
}

/// A whole stylesheet but for what is added to the rule and what follows.
fn with(rule: &str, rest: &str) -> String {
    format!(
        ".animated-emoji {{ bottom: 0; font-size: 9px; animation: k 1s linear;\n{rule} }}\n{rest}\n\
         @keyframes k {{ to {{ bottom: 100px }} }}"
    )
}

fn motion(css: &str, reaction: Option<&str>) -> Motion {
    let sheet = parse(css).unwrap_or_else(|e| panic!("{e}\n{css}"));
    let shares = vec![0.5; sheet.variables().len()];
    sheet.motion(reaction, &shares)
}

fn size(css: &str, reaction: Option<&str>) -> f64 {
    motion(css, reaction).font_size_px()
}

#[test]
fn mistakes_are_named_with_line_and_column() {
    for (css, line, column, message) in [
        ("", 1, 1, "no rule for .animated-emoji"),
        (
            "\n.animated-emoji { bottom: 0; font-size: 9px }",
            2,
            1,
            "no animation",
        ),
        (
            "@keyframes k {}\n.animated-emoji { colour: red }",
            2,
            19,
            "\"colour\" is not supported",
        ),
        (
            ".animated-emoji {\n  bottom: 3furlongs;\n}",
            2,
            11,
            "px, em, vw or vh",
        ),
        (
            ".animated-emoji { bottom: 1px 2px }",
            1,
            31,
            "more than was expected",
        ),
        (".animated-emoji { font-size: 2em }", 1, 30, "1px to 1000px"),
        (
            ".animated-emoji { animation: k 1s infinite }",
            1,
            35,
            "never ends",
        ),
        (
            ".animated-emoji { animation: k 1s paused }",
            1,
            35,
            "never ends",
        ),
        (
            ".animated-emoji { animation: k 1s, }",
            1,
            36,
            "expected a name",
        ),
        (
            ".animated-emoji { animation: k 1s 2s 3s }",
            1,
            38,
            "more than two times",
        ),
        (
            ".animated-emoji { animation-duration: 1s, -1s }",
            1,
            43,
            "below 0",
        ),
        ("p > .animated-emoji { bottom: 0 }", 1, 1, "alone"),
        (
            "p {}\np, .animated-emoji:hover { bottom: 0 }",
            2,
            4,
            "alone",
        ),
        ("[class=\"animated-emoji\"] { bottom: 0 }", 1, 1, "alone"),
        (":not(.reaction-heart) { bottom: 0 }", 1, 1, "alone"),
        (
            ".animated-emoji .reaction-heart { bottom: 0 }",
            1,
            1,
            "alone",
        ),
        (".reaction-fire.reaction-heart { bottom: 0 }", 1, 1, "alone"),
        (".animated-emoji.big { bottom: 0 }", 1, 1, "alone"),
        (
            "p {\n  .animated-emoji { bottom: 0 } }",
            2,
            4,
            "inside another rule",
        ),
        ("@media print { }", 1, 7, "@media is not supported"),
        (
            "@keyframes k { 120% { opacity: 1 } }",
            1,
            16,
            "from 0% to 100%",
        ),
        (
            "@keyframes k { 0% { margin: 1px } }",
            1,
            21,
            "bottom, top, left, right",
        ),
        (
            "@keyframes k { 0% { font-size: 1px } }",
            1,
            21,
            "use transform: scale()",
        ),
        ("@keyframes k { 0% { --x: 1px } }", 1, 21, "in the rule"),
        (
            "@keyframes k { 0% { transform: spin(1deg) } }",
            1,
            32,
            "spin() is not supported",
        ),
        (
            "@keyframes k { 0% { transform: rotateZ(1deg) } }",
            1,
            32,
            "write rotate()",
        ),
        (
            "@keyframes k { 0% { transform: matrix(1, 2) } }",
            1,
            32,
            "six numbers",
        ),
        ("@keyframes k { 0% { opacity: } }", 1, 30, "0 to 1"),
        ("@keyframes k { 0% { opacity: 1px } }", 1, 30, "0 to 1"),
        (
            "@keyframes k { 0% { transform: scale(2px) } }",
            1,
            38,
            "a scale factor",
        ),
        (
            "@keyframes k { 0% { transform-origin: 1px left } }",
            1,
            39,
            "horizontal place",
        ),
        (".animated-emoji { opacity 1 }", 1, 19, "not valid CSS"),
        (
            ".animated-emoji { opacity: 1 !important }",
            1,
            30,
            "!important",
        ),
        (
            ".animated-emoji { color: red !important }",
            1,
            30,
            "!important",
        ),
        (
            ".animated-emoji { opacity: inherit }",
            1,
            28,
            "inherit is not supported",
        ),
        (
            ".animated-emoji { --x: initial }",
            1,
            19,
            "initial is not supported",
        ),
        (
            ".animated-emoji { bottom: 1e999px }",
            1,
            27,
            "no number beyond 1000000",
        ),
        (
            ".animated-emoji { bottom: -1e7% }",
            1,
            27,
            "no number beyond 1000000",
        ),
        (
            "@keyframes k { to { transform: scale(1e300) } }",
            1,
            38,
            "no number beyond",
        ),
        // A NUL is read as U+FFFD, which is longer than it.
        (".animated-emoji { bottom: 1\0 }", 1, 27, "px, em"),
    ] {
        check(css, line, column, message);
    }
    let many = "rotate(1deg) ".repeat(17);
    check(
        &with(&format!("transform: {many}"), ""),
        2,
        220,
        "at most 16",
    );
    let many = "k 1s, ".repeat(8);
    check(
        &with(&format!("animation: {many} k 1s"), ""),
        2,
        12,
        "at most 8",
    );
}

#[test]
fn what_is_missing_is_named() {
    let rule =
        |body: &str| format!(".animated-emoji {{ {body} }} @keyframes k {{ to {{ opacity: 0 }} }}");
    check(&rule("bottom: 0; animation: k 1s"), 1, 1, "no font-size");
    check(
        &rule("font-size: 9px; animation: k 1s"),
        1,
        1,
        "no `bottom`",
    );
    check(
        &rule("font-size: 9px; animation: j 1s"),
        1,
        46,
        "no @keyframes j",
    );
    check(
        &rule("font-size: 9px; animation: k"),
        1,
        46,
        "duration is 0",
    );
    let reaction = ".reaction-heart { animation: none }";
    check(
        &with("", reaction),
        3,
        1,
        ".animated-emoji.reaction-heart has no animation",
    );
    check(
        ".reaction-heart { bottom: 0 }",
        1,
        1,
        "no rule for .animated-emoji",
    );
    let over = with("animation-delay: -2s", "");
    check(&over, 1, 57, "over before it begins");
}

#[test]
fn offsets_that_no_box_can_have_are_refused() {
    check(&with("top: 0", ""), 2, 1, "both `top` and `bottom`");
    check(
        &with("left: 0", ".reaction-a { right: 0 }"),
        3,
        15,
        "both `left` and `right`",
    );
    let left = |from: &str, animation: &str| {
        format!(
            ".animated-emoji {{ bottom: 0; font-size: 9px; animation: {animation} }}\n\
             @keyframes k {{ {from} to {{ left: 9px }} }} @keyframes j {{}}"
        )
    };
    check(&left("", "k 1s"), 2, 22, "`left` is left out at 0%");
    let from = "from { left: 1px }";
    check(
        &left(from, "k 1s 1s"),
        2,
        23,
        "while no animation of it is in effect",
    );
    check(
        &left(from, "k 1s, j 2s"),
        2,
        23,
        "while no animation of it is in effect",
    );
    for animation in ["k 1s", "k 1s 1s backwards", "k 1s forwards, j 2s"] {
        assert!(parse(&left(from, animation)).is_ok(), "{animation}");
    }
    // `auto` takes an offset back.
    let other = with(
        "",
        ".reaction-a { bottom: auto; top: 0; animation-name: j } @keyframes j {}",
    );
    assert!(parse(&other).is_ok(), "{:?}", parse(&other));
}

#[test]
fn the_more_specific_rule_and_then_the_later_one_wins() {
    let css = with(
        "",
        ".animated-emoji.reaction-a { font-size: 20px }
         .reaction-a { font-size: 30px }
         .reaction-b, .animated-emoji.reaction-c { font-size: 40px }
         .animated-emoji { font-size: 10px }
         .reaction-b { font-size: 50px } .reaction-b { font-size: 60px }
         .reaction-c { font-size: 70px }",
    );
    let sizes = [
        None,
        Some("a"),
        Some("b"),
        Some("c"),
        Some("unknown"),
        Some(""),
    ]
    .map(|reaction| size(&css, reaction));
    assert_eq!(sizes, [10.0, 20.0, 60.0, 40.0, 10.0, 10.0]);
}

#[test]
fn a_part_of_the_shorthand_is_overridden_by_a_later_longhand() {
    let seconds = |rule: &str| motion(&with(rule, ""), None).lifetime().as_secs_f64();
    assert_eq!(seconds("animation-duration: 3s"), 3.0);
    assert_eq!(seconds("animation-duration: 3s; animation: k 2s"), 2.0);
    assert_eq!(
        seconds("animation: k 2s, k 1s 3s; animation-iteration-count: 2, 4"),
        7.0
    );
    assert_eq!(seconds("animation-delay: 500ms, 9s"), 1.5);
}

#[test]
fn custom_properties_are_put_in_wherever_they_stand() {
    let px = |rule: &str| size(&with(rule, ""), None);
    assert_eq!(px("--a: 12px; font-size: var(--a)"), 12.0);
    assert_eq!(px("font-size: var(--a, 13px)"), 13.0);
    assert_eq!(px("font-size: var(--a, var(--b, calc(7px * 2)))"), 14.0);
    assert_eq!(
        px("--a: calc(var(--b) * 2); --b: 4px; font-size: var( --a )"),
        8.0
    );
    assert_eq!(px("--A: 9px; --a: 10px; font-size: var(--A)"), 9.0);
    let css = with(
        "--a: 10px; font-size: var(--a)",
        ".reaction-x { --a: 20px }",
    );
    assert_eq!((size(&css, None), size(&css, Some("x"))), (10.0, 20.0));
}

#[test]
fn a_custom_property_that_has_no_value_is_refused() {
    let check = |rule: &str, rest: &str, line, column, message| {
        check(&with(rule, rest), line, column, message);
    };
    check("opacity: var(--a)", "", 2, 10, "--a is not declared");
    check("opacity: var(a)", "", 2, 10, "expected a custom property");
    check(
        "opacity: var(--a b)",
        "",
        2,
        10,
        "expected a custom property",
    );
    check(
        "--a: var(--b); --b: calc(1 + var(--a))",
        "",
        2,
        6,
        "depends on itself",
    );
    check(
        "--a: var(--b, var(--a)); --b: 1",
        "",
        2,
        6,
        "depends on itself",
    );
    check(
        "opacity: var(--a, 1)",
        ":root { --a: 2 }",
        2,
        10,
        "another element's",
    );
    check(
        "",
        "body { p { color: red; --a: 2 } }\n.reaction-x { opacity: var(--a) }",
        4,
        24,
        "another",
    );
    check("--a: 3px; opacity: var(--a)", "", 2, 6, "0 to 1");
    let mut chain = String::from("--x0: 1 1 1 1 1 1 1 1;");
    for i in 1..12 {
        use std::fmt::Write as _;
        write!(chain, "--x{i}: var(--x{0}) var(--x{0});", i - 1).unwrap();
    }
    chain.push_str("\nopacity: var(--x11)");
    check(&chain, "", 2, 39, "at most 4096 parts");
}

#[test]
fn a_calculation_has_types() {
    let px = |value: &str| size(&with(&format!("font-size: {value}"), ""), None);
    for (value, wanted) in [
        ("calc(1px + 2px * 3)", 7.0),
        ("calc((1px + 2px) * 3)", 9.0),
        ("calc(2 * (20px - 10px) / 4)", 5.0),
        ("calc(-1 * -8px)", 8.0),
        ("min(8px, 9px, 7px)", 7.0),
        ("max(1px, calc(3px * 2))", 6.0),
        ("clamp(5px, 9px, 7px)", 7.0),
        ("clamp(8px, 9px, 7px)", 8.0),
        ("calc(10px * sin(30deg))", 5.0),
        ("calc(10px * cos(pi / 3))", 5.0),
    ] {
        assert!((px(value) - wanted).abs() < 1e-9, "{value}: {}", px(value));
    }
    for (value, column, message) in [
        (
            "calc(1px + 2)",
            18,
            "a length and a number do not go together",
        ),
        (
            "calc(1px + 2s)",
            18,
            "a length and a time do not go together",
        ),
        ("calc(1px * 2px)", 18, "a length times a length"),
        ("calc(1px / 0)", 18, "never 0"),
        ("calc(1px / 1px)", 18, "never 0"),
        ("calc(1px+ 2px)", 17, "white space on both sides"),
        ("calc(1px)  calc(2px)", 20, "more than was expected"),
        ("calc()", 14, "expected a value"),
        ("calc(1px 2px)", 18, "more than was expected"),
        ("calc(sqrt(4) * 1px)", 14, "sqrt(): not supported"),
        ("calc(50px + 1%)", 9, "1px to 1000px"),
        ("calc(1e6px * 1e6)", 9, "no number beyond"),
    ] {
        let css = format!(".animated-emoji {{\nfont-size: {value} }}");
        check(&css, 2, column + 3, message);
    }
}

#[test]
fn a_range_belongs_to_the_plain_rule_and_the_last_one_counts() {
    let css = with(
        "--b-range: \"1s..2s\"; --a-range: \"1..2\"",
        ".animated-emoji { --a-range: \"3px..4px\" }",
    );
    let sheet = parse(&css).unwrap();
    let all = sheet.variables().iter();
    let all: Vec<_> = all.map(|v| format!("{} {}", v.name, v.range)).collect();
    assert_eq!(all, ["a 3px..4px", "b 1s..2s"]);
    check(&with("--a-range: 1px..2px", ""), 2, 12, "expected a string");
    check(&with("--a-range: \"1px..2em\"", ""), 2, 12, "the same unit");
    check(
        &with("", ".reaction-x { --a-range: \"1px..2px\" }"),
        3,
        15,
        "in .animated-emoji alone",
    );
}

#[test]
fn what_a_variable_may_come_to_is_checked_beforehand() {
    let refused = |rule: &str, column, message| check(&with(rule, ""), 2, column, message);
    refused(
        "--a-range: \"9px..10px\"; font-size: var(--a)",
        36,
        "scale() for that",
    );
    refused(
        "--a-range: \"-1s..1s\"; animation-duration: var(--a)",
        43,
        "below 0",
    );
    refused(
        "--a-range: \"0..2\"; animation-iteration-count: var(--a)",
        47,
        "above 0",
    );
    refused(
        "--a-range: \"2..5\"; animation-timing-function: steps(var(--a))",
        47,
        "the same for every",
    );
    refused(
        "--a-range: \"0..2\"; animation-timing-function: cubic-bezier(var(--a), 0, 1, 1)",
        47,
        "from 0 to 1",
    );
    refused(
        "--a-range: \"-1..1\"; opacity: calc(1 / var(--a))",
        37,
        "never 0",
    );
    refused("--a-range: \"1px..2px\"; opacity: var(--a)", 33, "0 to 1");
    let css = with("--a-range: \"0s..1s\"; animation-duration: var(--a)", "");
    check(&css, 1, 57, "duration is 0");
    let css = with("", "").replace("bottom: 100px", "animation-timing-function: var(--x)");
    check(&css, 4, 21, "easing of a keyframe");
}

#[test]
fn only_what_depends_on_a_variable_varies() {
    let css = with(
        "--a: 1px; --a-range: \"1px..2px\"",
        ".reaction-x { bottom: calc(2 * var(--a)) } .reaction-y { --b: var(--a) }
         .reaction-z { animation-duration: var(--t, 2s) }",
    );
    let sheet = parse(&css).unwrap();
    let varies = [None, Some("x"), Some("y"), Some("z")].map(|reaction| sheet.varies(reaction));
    assert_eq!(varies, [false, true, false, false]);
    assert_eq!(
        sheet.motion(Some("x"), &[0.5]),
        sheet.motion(Some("x"), &[0.5])
    );
    assert_ne!(
        sheet.motion(Some("x"), &[0.5]),
        sheet.motion(Some("x"), &[0.0])
    );
    assert_eq!(
        sheet.motion(Some("x"), &[]),
        sheet.motion(Some("x"), &[0.0])
    );
}

#[test]
fn transforms_left_out_over_others_that_differ_in_kind_are_refused() {
    let css = |k: &str| {
        format!(
            ".animated-emoji {{ bottom: 0; font-size: 9px; animation: k 1s, l 1s }}
             @keyframes k {{ from {{ transform: rotate(9deg) }} to {{ transform: {k} }} }}
             @keyframes l {{ to {{ transform: none }} }}"
        )
    };
    check(&css("scale(2)"), 1, 63, "leave out `transform` at 0%");
    assert!(parse(&css("rotate(1deg) scale(2)")).is_ok());
}

#[test]
fn other_elements_rules_are_passed_over() {
    let css = "@charset \"utf-8\"; @font-face { font-family: A; src: url(a) } body > p::after { margin: 0; x: {} } \
        .reaction-, .animated-emojis, .my-reaction-x { left: 0 } p, .animated-emoji { z-index: 1 } \
        .animated-emoji { bottom: 0; font-size: 30px; font-family: A, B; animation: k 1s } \
        @keyframes other { from { opacity: 0 } } @keyframes k { to { bottom: 9px } }";
    assert!(parse(css).is_ok(), "{:?}", parse(css));
}
