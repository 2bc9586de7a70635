//! Stylesheets made at random, always the same ones: what Chromium computes for each of them.

use std::fmt::Write as _;

use floatup::motion::Stylesheet;

use super::computed::{Case, HEIGHT, WIDTH, ages_ms, differences};
use super::{Site, load_font};
use crate::chromium::Chromium;

const SHEETS: u64 = 300;

/// `SplitMix64` (Steele, Lea and Flood, 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: u32) -> u32 {
        u32::try_from(self.roll() % u64::from(count)).unwrap()
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(u32::try_from(words.len()).unwrap()) as usize]
    }

    /// With one decimal.
    fn between(&mut self, low: i32, high: i32) -> f64 {
        let steps = u32::try_from((high - low) * 10).unwrap();
        (f64::from(low * 10) + f64::from(self.below(steps + 1))) / 10.0
    }

    fn length(&mut self, depth: u32) -> String {
        let number = self.between(-60, 60);
        match self.below(if depth == 0 { 7 } else { 14 }) {
            0 | 1 => format!("{}px", number * 2.0),
            2 => format!("{}em", number / 20.0),
            3 => format!("{number}%"),
            4 => format!("{}vw", number / 4.0),
            5 => format!("{}vh", number / 4.0),
            6 => "0".into(),
            7 => format!("calc({} + {})", self.term(depth), self.term(depth)),
            8 => format!("calc({} - {} * 2)", self.term(depth), self.term(depth)),
            9 => format!("calc({} * {})", self.number(depth - 1), self.term(depth)),
            10 => format!("min({}, {})", self.term(depth), self.term(depth)),
            11 => {
                let (a, b, c) = (self.term(depth), self.term(depth), self.term(depth));
                format!("clamp({a}, {b}, {c})")
            }
            12 => self.pick(&["var(--vl)", "var(--ve)", "var(--cl)"]).into(),
            _ => format!("var(--nope, {})", self.term(depth)),
        }
    }

    /// A bare 0 is no length in a calculation.
    fn term(&mut self, depth: u32) -> String {
        match self.length(depth - 1) {
            zero if zero == "0" => "3px".into(),
            term => term,
        }
    }

    fn number(&mut self, depth: u32) -> String {
        let number = self.between(-2, 3);
        match self.below(if depth == 0 { 2 } else { 6 }) {
            0 | 1 => number.to_string(),
            2 => format!("calc(({number} + {}) / 2.5)", self.number(depth - 1)),
            3 => "var(--vn)".into(),
            4 => format!("max({}, var(--cn))", self.number(depth - 1)),
            _ => format!("{}({})", self.pick(&["sin", "cos"]), self.angle(depth - 1)),
        }
    }

    fn angle(&mut self, depth: u32) -> String {
        let number = self.between(-200, 200);
        match self.below(if depth == 0 { 4 } else { 6 }) {
            0 => format!("{number}deg"),
            1 => format!("{}turn", number / 100.0),
            2 => format!("{}rad", number / 50.0),
            3 => format!("{number}grad"),
            4 => format!("calc({} + var(--va))", self.angle(depth - 1)),
            _ => "var(--va)".into(),
        }
    }

    fn factor(&mut self) -> String {
        if self.one_in(4) {
            format!("{}%", self.between(-100, 200))
        } else {
            self.number(2)
        }
    }

    fn skew(&mut self) -> String {
        format!("{}deg", self.between(-60, 60))
    }

    fn function(&mut self) -> String {
        match self.below(11) {
            0 => format!("translate({}, {})", self.length(2), self.length(2)),
            1 => format!("translateX({})", self.length(2)),
            2 => format!("translateY({})", self.length(1)),
            3 | 4 => format!("rotate({})", self.angle(2)),
            5 => format!("scale({})", self.factor()),
            6 => format!("scale{}({})", self.pick(&["X", "Y"]), self.factor()),
            7 => format!("scale({}, {})", self.factor(), self.factor()),
            8 => format!("skew{}({})", self.pick(&["X", "Y", ""]), self.skew()),
            9 => format!("skew({}, {})", self.skew(), self.skew()),
            _ => {
                let mut numbers: Vec<_> = (0..6).map(|_| self.between(-2, 2)).collect();
                // Where the determinant is 0 but for rounding, so is what comes of it.
                if (numbers[0] * numbers[3] - numbers[1] * numbers[2]).abs() < 0.01 {
                    numbers[..4].copy_from_slice(&[1.5, 0.5, -0.5, -1.0]);
                }
                let numbers: Vec<_> = numbers.iter().map(f64::to_string).collect();
                format!("matrix({})", numbers.join(", "))
            }
        }
    }

    fn transform(&mut self) -> String {
        match self.below(8) {
            0 => "none".into(),
            // Often the same list, so that functions interpolate one by one.
            1 | 2 => format!("rotate({}) translate({})", self.angle(1), self.length(1)),
            _ => {
                let count = 1 + self.below(4);
                let all: Vec<_> = (0..count).map(|_| self.function()).collect();
                all.join(" ")
            }
        }
    }

    /// Chromium takes no `var()` of a keyframe's.
    fn easing(&mut self, keyframe: bool) -> String {
        match self.below(9) {
            0 | 1 => "linear".into(),
            2 => self
                .pick(&["ease", "ease-in", "ease-out", "ease-in-out"])
                .into(),
            3 => "cubic-bezier(.3, -1.5, .6, 2.5)".into(),
            4 => {
                let (x1, x2) = (self.below(11), self.below(11));
                let (y1, y2) = (self.between(-2, 2), self.between(-2, 2));
                let (x1, x2) = (f64::from(x1) / 10.0, f64::from(x2) / 10.0);
                format!("cubic-bezier({x1}, {y1}, {x2}, {y2})")
            }
            5 if !keyframe => "cubic-bezier(var(--vs), .2, .4, var(--vn))".into(),
            6 => {
                let count = 2 + self.below(5);
                let jump = self.pick(&["jump-start", "end", "jump-none", "jump-both"]);
                format!("steps({count}, {jump})")
            }
            _ => {
                let count = 2 + self.below(4);
                let stops: Vec<_> = (0..count)
                    .map(|_| match self.below(4) {
                        0 => format!("{} {}%", self.between(-1, 2), self.between(0, 100)),
                        1 => format!("{}% {}% .4", self.between(0, 60), self.between(30, 110)),
                        2 if !keyframe => "var(--vn)".into(),
                        _ => self.between(-1, 2).to_string(),
                    })
                    .collect();
                format!("linear({})", stops.join(", "))
            }
        }
    }

    fn origin(&mut self) -> String {
        match self.below(4) {
            0 => self.pick(&["left", "top right", "center", "bottom"]).into(),
            1 => self.length(1),
            2 => format!("left {}", self.length(1)),
            _ => format!("{} {}", self.length(2), self.length(1)),
        }
    }

    /// Some of the properties that move.
    fn declarations(&mut self, offsets: &[&str], css: &mut String) {
        for offset in offsets {
            if self.one_in(2) {
                write!(css, "{offset}: {}; ", self.length(3)).unwrap();
            }
        }
        if self.one_in(2) {
            write!(css, "opacity: {}; ", self.number(2)).unwrap();
        }
        if !self.one_in(3) {
            write!(css, "transform: {}; ", self.transform()).unwrap();
        }
        if self.one_in(4) {
            write!(css, "transform-origin: {}; ", self.origin()).unwrap();
        }
    }

    fn keyframes(&mut self, name: &str, whole: bool, offsets: &[&str], css: &mut String) {
        writeln!(css, "@keyframes {name} {{").unwrap();
        if whole {
            let (from, to) = (self.transform(), self.transform());
            writeln!(
                css,
                "  from {{ transform: {from} }} to {{ transform: {to} }}"
            )
            .unwrap();
        }
        for _ in 0..1 + self.below(4) {
            let percent = self.below(21) * 5;
            let at: String = match self.below(4) {
                0 => "from".into(),
                1 => "to".into(),
                2 => format!("{percent}%"),
                _ => format!("{percent}%, {}%", self.below(11) * 10),
            };
            write!(css, "  {at} {{ ").unwrap();
            self.declarations(offsets, css);
            // Two easings at 100% are refused.
            let last = at == "to" || at.contains("100%");
            if !last && self.one_in(2) {
                write!(css, "animation-timing-function: {}; ", self.easing(true)).unwrap();
            }
            css.push_str("}\n");
        }
        css.push_str("}\n");
    }

    fn animation(&mut self, name: &str) -> String {
        let duration = match self.below(4) {
            0 => "var(--vt)".into(),
            1 => format!("calc({}ms + .5s)", 50 * self.below(10)),
            _ => format!("{}ms", 200 + 50 * self.below(30)),
        };
        let delay = match self.below(4) {
            0 => format!("{}ms", 50 * self.below(10)),
            1 => format!("-{}ms", 50 * self.below(4)),
            _ => String::new(),
        };
        let count = self.pick(&["", "", "2", "3", "1.5", "2.25"]);
        let direction = self.pick(&["", "normal", "reverse", "alternate", "alternate-reverse"]);
        let fill = self.pick(&["", "forwards", "backwards", "both", "none"]);
        let easing = self.easing(false);
        format!("{duration} {name} {delay} {easing} {count} {direction} {fill}")
    }

    /// All of it, and whether the sprite is a heart.
    fn sheet(&mut self) -> (String, bool) {
        let mut css = String::from(
            ".animated-emoji {
  --vl-range: \"-30px..50px\"; --ve-range: \"-1em..2em\"; --vn-range: \"0.25..1.75\";
  --va-range: \"-0.5turn..0.5turn\"; --vt-range: \"400ms..1600ms\"; --vs-range: \"0..1\";
  --vl: 3px; --cn: calc(var(--vn) / 2); position: absolute; font-size: 30px;\n  ",
        );
        writeln!(css, "--cl: {}px;", self.between(-30, 30)).unwrap();
        let offsets: [&str; 2] = [self.pick(&["bottom", "top"]), self.pick(&["left", "right"])];
        for offset in offsets {
            write!(css, "  {offset}: {};", self.length(2)).unwrap();
        }
        self.declarations(&offsets, &mut css);
        let names = ["one", "two", "three"];
        let count = 1 + self.below(3) as usize;
        let all: Vec<_> = names[..count]
            .iter()
            .map(|name| self.animation(name))
            .collect();
        writeln!(css, "animation: {};\n}}", all.join(",\n    ")).unwrap();
        if self.one_in(3) {
            let selector = self.pick(&[
                ".reaction-heart.animated-emoji",
                ".reaction-heart",
                "p, .animated-emoji.reaction-heart",
            ]);
            write!(css, "{selector} {{ --cl: 12px; font-size: 48px; ").unwrap();
            self.declarations(&offsets, &mut css);
            if self.one_in(2) {
                write!(css, "animation-duration: 900ms, 1.1s; ").unwrap();
            }
            css.push_str("}\n");
        }
        for (i, name) in names.into_iter().enumerate() {
            // A transform that is left out over others is mostly refused.
            let whole = i > 0 && !self.one_in(6);
            self.keyframes(name, whole, &offsets, &mut css);
        }
        (css, self.one_in(2))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_stylesheets_move_as_in_chromium() {
    let site = Site::start().await;
    let chromium = Chromium::launch().await;
    let tab = chromium.open(&site.url("/curve"), WIDTH, HEIGHT).await;
    load_font(&tab).await;
    let mut wrong = Vec::new();
    let mut refused = 0;
    for seed in 0..SHEETS {
        let mut dice = Dice(seed);
        let (css, heart) = dice.sheet();
        let sheet = match Stylesheet::parse(&css) {
            Ok(sheet) => sheet,
            Err(error) => {
                assert!(
                    error.message.contains("differ in kind"),
                    "{seed}: {error}\n{css}"
                );
                refused += 1;
                continue;
            }
        };
        let reaction = heart.then_some("heart");
        let variables = sheet.variables();
        let shares: Vec<f64> = variables
            .iter()
            .map(|_| f64::from(dice.below(64)) / 63.0)
            .collect();
        let motion = sheet.motion(reaction, &shares);
        let values = variables.iter().zip(&shares);
        let values: Vec<_> = values
            .map(|(variable, share)| (variable.name.clone(), variable.range.css(*share)))
            .collect();
        let case = Case {
            name: &seed.to_string(),
            css: &css,
            reaction,
            variables: &values,
        };
        let off = differences(&tab, &case, &motion, &ages_ms(&motion, 12, 150.0)).await;
        if !off.is_empty() {
            wrong.push(format!("{css}{values:?}\n{}", off.join("\n")));
        }
    }
    assert!(refused * 4 < SHEETS, "{refused} refused");
    let count = wrong.len();
    wrong.truncate(3);
    assert!(
        wrong.is_empty(),
        "{count} of {SHEETS}:\n{}",
        wrong.join("\n\n")
    );
    assert_eq!(tab.complaints(), Vec::<String>::new());
    chromium.close().await;
}
