//! The stylesheet, read with `cssparser`: one rule for `.animated-emoji`, and its keyframes.
//!
//! Rules whose selectors don't name the class are other elements' and are passed over, as are
//! `@font-face` rules: the renderer's font is a setting.
//! Anything about the sprite itself that isn't understood is refused, never ignored.

mod values;

use cssparser::{
    AtRuleParser, CowRcStr, DeclarationParser, ParseError, ParseErrorKind, Parser, ParserState,
    QualifiedRuleParser, RuleBodyItemParser, RuleBodyParser, SourceLocation, StyleSheetParser,
};

use self::values::{
    easing, font_size, iterations, keyword, length_percentage, next_location, numeric, opacity,
    time_ms, transform,
};
use super::easing::Easing;
use super::{Direction, Function, Keyframe, LengthPercentage, Motion, Timing, Track};

/// The sprite's class: the one selector that is read.
const CLASS: &str = "animated-emoji";

/// Why a stylesheet can't be used, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct CssError {
    /// From 1.
    pub line: u32,
    /// From 1, in UTF-16 code units, as browsers count.
    pub column: u32,
    /// What is wrong, and what is accepted.
    pub message: String,
}

impl CssError {
    fn new(at: SourceLocation, message: impl Into<String>) -> Self {
        Self {
            line: at.line + 1,
            column: at.column,
            message: message.into(),
        }
    }
}

type Parsed<T> = Result<T, ParseError<CssError>>;

pub(super) fn parse(stylesheet: &str) -> Result<Motion, CssError> {
    let mut input = Parser::new(stylesheet);
    let mut sheet = Sheet {
        style: Style::default(),
        rule_at: None,
        keyframes: Vec::new(),
    };
    let rules = StyleSheetParser::new(&mut input, &mut sheet);
    for rule in rules {
        rule.map_err(|(error, _, at)| explain(error, at))?;
    }
    sheet.into_motion()
}

/// The error as ours; what `cssparser` itself refuses has the place where the rule or
/// declaration starts.
fn explain(error: ParseError<CssError>, at: SourceLocation) -> CssError {
    match error.kind {
        ParseErrorKind::Custom(error) => error,
        ParseErrorKind::Basic(kind) => CssError::new(at, format!("not valid CSS: {kind}")),
    }
}

fn refuse<T>(at: SourceLocation, message: impl Into<String>) -> Parsed<T> {
    Err(ParseError {
        kind: ParseErrorKind::Custom(CssError::new(at, message)),
    })
}

/// What is declared for the sprite outside keyframes.
#[derive(Default)]
struct Style {
    bottom: Option<LengthPercentage>,
    opacity: Option<f64>,
    transform: Option<Vec<Function>>,
    font_size_px: Option<f64>,
    animation: Animation,
}

struct Animation {
    name: Option<(String, SourceLocation)>,
    duration_ms: f64,
    delay_ms: f64,
    iterations: f64,
    direction: Direction,
    fills_backwards: bool,
    easing: Easing,
}

impl Default for Animation {
    fn default() -> Self {
        Self {
            name: None,
            duration_ms: 0.0,
            delay_ms: 0.0,
            iterations: 1.0,
            direction: Direction::Normal,
            fills_backwards: false,
            easing: Easing::EASE,
        }
    }
}

/// One declaration, understood.
enum Declaration {
    Bottom(LengthPercentage),
    Opacity(f64),
    Transform(Vec<Function>, SourceLocation),
    FontSize(f64),
    Animation(Animation),
    Name(Option<(String, SourceLocation)>),
    Duration(f64),
    Delay(f64),
    Iterations(f64),
    Direction(Direction),
    FillsBackwards(bool),
    Easing(Easing),
    /// It says nothing about motion.
    NoEffect,
}

struct ParsedKeyframes {
    name: String,
    frames: Vec<ParsedKeyframe>,
}

struct ParsedKeyframe {
    offsets: Vec<f64>,
    declarations: Vec<Declaration>,
}

impl ParsedKeyframe {
    fn easing(&self) -> Option<Easing> {
        self.declarations.iter().rev().find_map(|d| match d {
            Declaration::Easing(easing) => Some(*easing),
            _ => None,
        })
    }
}

struct Sheet {
    style: Style,
    rule_at: Option<SourceLocation>,
    keyframes: Vec<ParsedKeyframes>,
}

impl Sheet {
    fn into_motion(self) -> Result<Motion, CssError> {
        let start = SourceLocation { line: 0, column: 1 };
        let Some(rule_at) = self.rule_at else {
            return Err(CssError::new(start, format!("no rule for .{CLASS}")));
        };
        let Style {
            bottom,
            opacity,
            transform,
            font_size_px,
            animation,
        } = self.style;
        let Some((name, name_at)) = &animation.name else {
            let message =
                format!(".{CLASS} has no animation; expected such as `animation: NAME 2s linear`");
            return Err(CssError::new(rule_at, message));
        };
        if animation.duration_ms <= 0.0 {
            return Err(CssError::new(
                *name_at,
                "the animation's duration is 0 or less; expected a time such as 2s",
            ));
        }
        let Some(keyframes) = self.keyframes.iter().rev().find(|k| k.name == *name) else {
            return Err(CssError::new(*name_at, format!("no @keyframes {name}")));
        };
        let easing = animation.easing;
        let opacity = opacity.unwrap_or(1.0).clamp(0.0, 1.0);
        let opacity = track(keyframes, easing, opacity, |d| match d {
            Declaration::Opacity(opacity) => Some(*opacity),
            _ => None,
        });
        let transform = track(
            keyframes,
            easing,
            transform.unwrap_or_default(),
            |d| match d {
                Declaration::Transform(list, _) => Some(list.clone()),
                _ => None,
            },
        );
        check_transforms(keyframes, &transform, rule_at)?;
        let bottoms = track(keyframes, easing, bottom.unwrap_or_default(), |d| match d {
            Declaration::Bottom(bottom) => Some(*bottom),
            _ => None,
        });
        if bottom.is_none() && bottoms.keyframes.is_empty() {
            let message = format!(".{CLASS} has no `bottom`, neither itself nor in its keyframes");
            return Err(CssError::new(rule_at, message));
        }
        let Some(font_size_px) = font_size_px else {
            return Err(CssError::new(
                rule_at,
                format!(".{CLASS} has no font-size in px"),
            ));
        };
        let motion = Motion {
            font_size_px,
            timing: Timing {
                duration_ms: animation.duration_ms,
                delay_ms: animation.delay_ms,
                iterations: animation.iterations,
                direction: animation.direction,
                fills_backwards: animation.fills_backwards,
            },
            bottom: bottoms,
            opacity,
            transform,
        };
        if motion.lifetime().is_zero() {
            let message = "the animation is over before it begins; expected a delay of more than \
                           minus all its iterations";
            return Err(CssError::new(*name_at, message));
        }
        Ok(motion)
    }
}

/// One property's keyframes: those that name it, by offset. Of those with the same offset and
/// easing the last wins; with other easings both stay, and the value jumps there. Where
/// 0 % or 100 % is missing, the property's own value stands in (CSS Animations 1, 3), with the
/// easing of a keyframe that is there for other properties.
fn track<T: Clone>(
    keyframes: &ParsedKeyframes,
    default_easing: Easing,
    base: T,
    pick: impl Fn(&Declaration) -> Option<T>,
) -> Track<T> {
    let mut frames: Vec<Keyframe<T>> = Vec::new();
    for frame in &keyframes.frames {
        let Some(value) = frame.declarations.iter().rev().find_map(&pick) else {
            continue;
        };
        let easing = frame.easing().unwrap_or(default_easing);
        for &offset in &frame.offsets {
            frames.retain(|k| k.easing != easing || (k.offset - offset).abs() > f64::EPSILON);
            frames.push(Keyframe {
                offset,
                value: value.clone(),
                easing,
            });
        }
    }
    frames.sort_by(|a, b| a.offset.total_cmp(&b.offset));
    let implied = |offset: f64| {
        let at_offset = |frame: &&ParsedKeyframe| frame.offsets.contains(&offset);
        let frame = keyframes.frames.iter().rev().find(at_offset);
        Keyframe {
            offset,
            value: base.clone(),
            easing: frame
                .and_then(ParsedKeyframe::easing)
                .unwrap_or(default_easing),
        }
    };
    if frames.first().is_some_and(|k| k.offset > 0.0) {
        frames.insert(0, implied(0.0));
    }
    if frames.last().is_some_and(|k| k.offset < 1.0) {
        frames.push(implied(1.0));
    }
    Track {
        base,
        keyframes: frames,
    }
}

/// Lists that differ in kind would interpolate by matrix decomposition, which isn't supported.
fn check_transforms(
    keyframes: &ParsedKeyframes,
    track: &Track<Vec<Function>>,
    rule_at: SourceLocation,
) -> Result<(), CssError> {
    let places = keyframes
        .frames
        .iter()
        .flat_map(|f| &f.declarations)
        .filter_map(|d| match d {
            Declaration::Transform(list, at) => Some((list, *at)),
            _ => None,
        });
    for pair in track.keyframes.windows(2) {
        let (from, to) = (&pair[0].value, &pair[1].value);
        if !from.iter().zip(to).all(|(a, b)| a.same_kind(*b)) {
            let at = places
                .clone()
                .find(|(list, _)| *list == to)
                .map_or(rule_at, |(_, at)| at);
            return Err(CssError::new(
                at,
                "the transform's functions differ from those of the keyframe before; expected \
                 the same functions in the same order",
            ));
        }
    }
    Ok(())
}

impl<'i> QualifiedRuleParser<'i> for Sheet {
    type Prelude = Option<SourceLocation>;
    type QualifiedRule = ();
    type Error = CssError;

    /// `Some` place where the selector is the sprite's class, `None` for another element's.
    fn parse_prelude(&mut self, input: &mut Parser<'i>) -> Parsed<Self::Prelude> {
        input.skip_whitespace();
        let at = input.current_source_location();
        let start = input.position();
        while input.next_including_whitespace().is_ok() {}
        let selector = input.slice_from(start).trim();
        match selector.strip_prefix('.') {
            Some(CLASS) => Ok(Some(at)),
            _ if selector.contains(CLASS) => refuse(
                at,
                format!("selector {selector:?} is not supported; expected .{CLASS} alone"),
            ),
            _ => Ok(None),
        }
    }

    fn parse_block(
        &mut self,
        prelude: Self::Prelude,
        _: &ParserState,
        input: &mut Parser<'i>,
    ) -> Parsed<()> {
        let Some(at) = prelude else {
            skip(input);
            return Ok(());
        };
        self.rule_at = Some(at);
        for declaration in declarations(input, Place::Rule)? {
            self.style.take(declaration);
        }
        Ok(())
    }
}

impl<'i> AtRuleParser<'i> for Sheet {
    /// The keyframes' name; `None` for `@font-face`.
    type Prelude = Option<String>;
    type AtRule = ();
    type Error = CssError;

    fn parse_prelude(
        &mut self,
        name: CowRcStr<'i>,
        input: &mut Parser<'i>,
    ) -> Parsed<Self::Prelude> {
        let at = input.current_source_location();
        match name.as_ref() {
            "keyframes" => Ok(Some(input.expect_ident_or_string()?.as_ref().to_owned())),
            "font-face" => Ok(None),
            other => refuse(
                at,
                format!("@{other} is not supported; expected @keyframes or @font-face"),
            ),
        }
    }

    fn parse_block(
        &mut self,
        prelude: Self::Prelude,
        _: &ParserState,
        input: &mut Parser<'i>,
    ) -> Parsed<()> {
        let Some(name) = prelude else {
            skip(input);
            return Ok(());
        };
        let mut frames = Vec::new();
        let mut parser = KeyframeRules;
        for rule in StyleSheetParser::new(input, &mut parser) {
            frames.push(rule.map_err(|(error, _, at)| custom(explain(error, at)))?);
        }
        self.keyframes.push(ParsedKeyframes { name, frames });
        Ok(())
    }
}

fn custom(error: CssError) -> ParseError<CssError> {
    ParseError {
        kind: ParseErrorKind::Custom(error),
    }
}

fn skip(input: &mut Parser<'_>) {
    while input.next().is_ok() {}
}

/// The inside of `@keyframes`.
struct KeyframeRules;

impl<'i> QualifiedRuleParser<'i> for KeyframeRules {
    type Prelude = Vec<f64>;
    type QualifiedRule = ParsedKeyframe;
    type Error = CssError;

    fn parse_prelude(&mut self, input: &mut Parser<'i>) -> Parsed<Vec<f64>> {
        input.parse_comma_separated(|input| {
            let at = next_location(input);
            let offset = if let Ok(word) = input.try_parse(Parser::expect_ident_cloned) {
                match word.to_ascii_lowercase().as_str() {
                    "from" => 0.0,
                    "to" => 1.0,
                    _ => f64::NAN,
                }
            } else {
                match numeric(input, "from, to or a percentage")? {
                    (percent, unit) if unit == "%" => percent / 100.0,
                    _ => f64::NAN,
                }
            };
            if (0.0..=1.0).contains(&offset) {
                Ok(offset)
            } else {
                refuse(
                    at,
                    "not a keyframe; expected from, to or a percentage from 0% to 100%",
                )
            }
        })
    }

    fn parse_block(
        &mut self,
        offsets: Vec<f64>,
        _: &ParserState,
        input: &mut Parser<'i>,
    ) -> Parsed<ParsedKeyframe> {
        Ok(ParsedKeyframe {
            offsets,
            declarations: declarations(input, Place::Keyframe)?,
        })
    }
}

impl AtRuleParser<'_> for KeyframeRules {
    type Prelude = ();
    type AtRule = ParsedKeyframe;
    type Error = CssError;
}

/// Which properties make sense.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Rule,
    Keyframe,
}

fn declarations(input: &mut Parser<'_>, place: Place) -> Parsed<Vec<Declaration>> {
    let mut parser = Declarations(place);
    RuleBodyParser::new(input, &mut parser)
        .map(|item| item.map_err(|(error, _, at)| custom(explain(error, at))))
        .collect()
}

struct Declarations(Place);

impl<'i> DeclarationParser<'i> for Declarations {
    type Declaration = Declaration;
    type Error = CssError;

    fn parse_value(
        &mut self,
        name: CowRcStr<'i>,
        input: &mut Parser<'i>,
        start: &ParserState,
    ) -> Parsed<Declaration> {
        let at = start.source_location();
        let declaration = value(self.0, &name, input, at)?;
        input.skip_whitespace();
        let rest = input.current_source_location();
        match input.next() {
            Err(_) => Ok(declaration),
            Ok(_) => refuse(rest, format!("{name}: more than was expected")),
        }
    }
}

impl AtRuleParser<'_> for Declarations {
    type Prelude = ();
    type AtRule = Declaration;
    type Error = CssError;
}

impl QualifiedRuleParser<'_> for Declarations {
    type Prelude = ();
    type QualifiedRule = Declaration;
    type Error = CssError;
}

impl RuleBodyItemParser<'_, Declaration, CssError> for Declarations {
    fn parse_declarations(&self) -> bool {
        true
    }

    fn parse_qualified(&self) -> bool {
        false
    }
}

fn value(
    place: Place,
    name: &str,
    input: &mut Parser<'_>,
    at: SourceLocation,
) -> Parsed<Declaration> {
    let name = name.to_ascii_lowercase();
    Ok(match (name.as_str(), place) {
        ("bottom", _) => Declaration::Bottom(length_percentage(input, "bottom")?),
        ("opacity", _) => Declaration::Opacity(opacity(input)?),
        ("transform", _) => Declaration::Transform(transform(input)?, at),
        ("animation-timing-function", _) => Declaration::Easing(easing(input)?),
        ("font-size", Place::Rule) => Declaration::FontSize(font_size(input)?),
        ("position", Place::Rule) => {
            keyword(input, "position", &[("absolute", ())])?;
            Declaration::NoEffect
        }
        ("line-height", Place::Rule) => {
            keyword(input, "line-height", &[("normal", ())])?;
            Declaration::NoEffect
        }
        ("animation", Place::Rule) => Declaration::Animation(animation(input)?),
        ("animation-name", Place::Rule) => {
            let at = next_location(input);
            let name = input.expect_ident_or_string()?.as_ref().to_owned();
            Declaration::Name((name != "none").then_some((name, at)))
        }
        ("animation-duration", Place::Rule) => Declaration::Duration(time_ms(input)?),
        ("animation-delay", Place::Rule) => Declaration::Delay(time_ms(input)?),
        ("animation-iteration-count", Place::Rule) => Declaration::Iterations(iterations(input)?),
        ("animation-direction", Place::Rule) => {
            Declaration::Direction(keyword(input, "animation-direction", DIRECTIONS)?)
        }
        ("animation-fill-mode", Place::Rule) => {
            Declaration::FillsBackwards(keyword(input, "animation-fill-mode", FILL_MODES)?)
        }
        (name, Place::Rule) if NO_EFFECT.contains(&name) => {
            skip(input);
            Declaration::NoEffect
        }
        (name, _) => {
            let known = match place {
                Place::Rule => "bottom, font-size, opacity, transform, animation and animation-*",
                Place::Keyframe => "bottom, opacity, transform and animation-timing-function",
            };
            return refuse(
                at,
                format!("property {name:?} is not supported here; expected {known}"),
            );
        }
    })
}

/// Properties that a page needs and that change no pixel of a colour emoji's picture.
const NO_EFFECT: &[&str] = &[
    "color",
    "contain",
    "font-family",
    "pointer-events",
    "user-select",
    "white-space",
    "will-change",
    "z-index",
];

const DIRECTIONS: &[(&str, Direction)] = &[
    ("normal", Direction::Normal),
    ("reverse", Direction::Reverse),
    ("alternate", Direction::Alternate),
    ("alternate-reverse", Direction::AlternateReverse),
];

/// Whether each fills backwards. Filling forwards shows nothing: a sprite is removed at its end.
const FILL_MODES: &[(&str, bool)] = &[
    ("none", false),
    ("forwards", false),
    ("backwards", true),
    ("both", true),
];

impl Style {
    fn take(&mut self, declaration: Declaration) {
        match declaration {
            Declaration::Bottom(bottom) => self.bottom = Some(bottom),
            Declaration::Opacity(opacity) => self.opacity = Some(opacity),
            Declaration::Transform(list, _) => self.transform = Some(list),
            Declaration::FontSize(px) => self.font_size_px = Some(px),
            Declaration::Animation(animation) => self.animation = animation,
            Declaration::Name(name) => self.animation.name = name,
            Declaration::Duration(ms) => self.animation.duration_ms = ms,
            Declaration::Delay(ms) => self.animation.delay_ms = ms,
            Declaration::Iterations(count) => self.animation.iterations = count,
            Declaration::Direction(direction) => self.animation.direction = direction,
            Declaration::FillsBackwards(fills) => self.animation.fills_backwards = fills,
            Declaration::Easing(easing) => self.animation.easing = easing,
            Declaration::NoEffect => {}
        }
    }
}

/// The `animation` shorthand, of one animation: the first time is the duration, the second the
/// delay; a word that is no keyword of another part is the name (CSS Animations 1, 4.10).
fn animation(input: &mut Parser<'_>) -> Parsed<Animation> {
    let mut animation = Animation::default();
    let mut times = 0;
    while !input.is_exhausted() {
        let at = next_location(input);
        if let Ok(ms) = input.try_parse(time_ms) {
            times += 1;
            match times {
                1 if ms < 0.0 => return refuse(at, "animation: the duration is below 0"),
                1 => animation.duration_ms = ms,
                2 => animation.delay_ms = ms,
                _ => {
                    return refuse(
                        at,
                        "animation: more than two times; expected duration and delay",
                    );
                }
            }
        } else if let Ok(easing) = input.try_parse(easing) {
            animation.easing = easing;
        } else if let Ok(count) = input.try_parse(iterations) {
            animation.iterations = count;
        } else if let Ok(direction) = input.try_parse(|i| keyword(i, "animation", DIRECTIONS)) {
            animation.direction = direction;
        } else if let Ok(fills) = input.try_parse(|i| keyword(i, "animation", &FILL_MODES[1..])) {
            animation.fills_backwards = fills;
        } else if let Ok(name) =
            input.try_parse(|i| i.expect_ident_or_string().map(|s| s.as_ref().to_owned()))
        {
            if name == "paused" || name == "infinite" {
                return refuse(
                    at,
                    format!("animation: {name} never ends, but a sprite must"),
                );
            }
            animation.name = (name != "none" && name != "running")
                .then_some((name, at))
                .or(animation.name);
        } else {
            return refuse(
                at,
                "animation: expected one animation, such as `floatUpAndOut 2s linear forwards`",
            );
        }
    }
    Ok(animation)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(css: &str, line: u32, column: u32, message: &str) {
        let error = parse(css).expect_err(css);
        assert_eq!((error.line, error.column), (line, column), "{error}\n{css}");
        assert!(error.message.contains(message), "{error}\n{css}");
    }

    #[test]
    fn mistakes_are_named_with_line_and_column() {
        check("", 1, 1, "no rule for .animated-emoji");
        check(
            "\n.animated-emoji { bottom: 0; font-size: 9px }",
            2,
            1,
            "no animation",
        );
        check(
            "@keyframes k {}\n.animated-emoji { colour: red }",
            2,
            19,
            "\"colour\" is not supported",
        );
        check(
            ".animated-emoji {\n  bottom: 3furlongs;\n}",
            2,
            11,
            "px or em",
        );
        check(
            ".animated-emoji {\n  bottom: calc(1px + 2%);\n}",
            2,
            11,
            "px or em",
        );
        check(
            ".animated-emoji { bottom: 1px 2px }",
            1,
            31,
            "more than was expected",
        );
        check(".animated-emoji { font-size: 2em }", 1, 30, "1px to 1000px");
        check(
            ".animated-emoji { animation: k 1s infinite }",
            1,
            35,
            "never ends",
        );
        check(
            ".animated-emoji { animation: k 1s, l 1s }",
            1,
            34,
            "one animation",
        );
        check("p > .animated-emoji { bottom: 0 }", 1, 1, "alone");
        check("@media print { }", 1, 7, "@media is not supported");
        check(
            "@keyframes k { 120% { opacity: 1 } }",
            1,
            16,
            "from 0% to 100%",
        );
        check(
            "@keyframes k { 0% { left: 1px } }",
            1,
            21,
            "bottom, opacity, transform",
        );
        check(
            "@keyframes k { 0% { transform: spin(1deg) } }",
            1,
            32,
            "spin() is not supported",
        );
        check("@keyframes k { 0% { opacity: } }", 1, 30, "0 to 1");
        check("@keyframes k { 0% { opacity: 1px } }", 1, 30, "0 to 1");
        check(
            "@keyframes k { 0% { transform: scale(2px) } }",
            1,
            38,
            "a scale factor",
        );
        check(".animated-emoji { opacity 1 }", 1, 19, "not valid CSS");
    }

    #[test]
    fn what_is_missing_is_named() {
        let rule = |body: &str| {
            format!(".animated-emoji {{ {body} }} @keyframes k {{ to {{ opacity: 0 }} }}")
        };
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
        check(
            ".animated-emoji { bottom: 0; font-size: 9px; animation: k 1s } @keyframes k {\n\
             from { transform: rotate(1deg) } to { transform: scale(2) } }",
            2,
            39,
            "same functions",
        );
    }

    #[test]
    fn numbers_that_no_pose_can_bear_are_refused() {
        check(
            ".animated-emoji { bottom: 1e999px }",
            1,
            27,
            "no number beyond 1000000",
        );
        check(
            ".animated-emoji { bottom: -1e7% }",
            1,
            27,
            "no number beyond 1000000",
        );
        check(
            "@keyframes k { to { transform: scale(1e300) } }",
            1,
            38,
            "no number beyond",
        );
        // A NUL is read as U+FFFD, which is longer than it.
        check(".animated-emoji { bottom: 1\0 }", 1, 27, "px or em");
    }

    #[test]
    fn an_animation_that_never_shows_is_refused() {
        let css = ".animated-emoji { bottom: 0; font-size: 9px; animation: k 1s -2s 2 } @keyframes k { to { bottom: 1px } }";
        check(css, 1, 57, "over before it begins");
    }

    #[test]
    fn other_elements_rules_are_passed_over() {
        let css = "@charset \"utf-8\"; @font-face { font-family: A; src: url(a) } body > p::after { margin: 0; x: {} } \
            .animated-emoji { bottom: 0; font-size: 30px; font-family: A, B; animation: k 1s } \
            @keyframes other { from { opacity: 0 } } @keyframes k { to { bottom: 9px } }";
        assert!(parse(css).is_ok(), "{:?}", parse(css));
    }
}
