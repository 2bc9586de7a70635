//! The stylesheet, read with `cssparser`: the rules for sprites, and their keyframes.
//!
//! Rules whose selectors don't name a sprite's class are other elements' and are passed over, as
//! are `@font-face` rules: the renderer's font is a setting.
//! Anything about the sprite itself that isn't understood is refused, never ignored.

mod animation;
mod compile;
mod math;
mod tokens;
mod values;

use std::collections::BTreeSet;

use cssparser::{
    AtRuleParser, CowRcStr, DeclarationParser, ParseError, ParseErrorKind, Parser, ParserState,
    QualifiedRuleParser, RuleBodyItemParser, RuleBodyParser, SourceLocation, StyleSheetParser,
    Token,
};

use super::Stylesheet;
use tokens::{List, collect};

/// The class of every sprite.
const CLASS: &str = "animated-emoji";

/// What the class of one reaction's sprites begins with.
const REACTION: &str = "reaction-";

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

pub(super) fn parse(stylesheet: &str) -> Result<Stylesheet, CssError> {
    let mut input = Parser::new(stylesheet);
    let mut sheet = Sheet::default();
    let rules = StyleSheetParser::new(&mut input, &mut sheet);
    for rule in rules {
        rule.map_err(|(error, _, at)| explain(error, at))?;
    }
    compile::compile(&sheet)
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
    Err(custom(CssError::new(at, message)))
}

fn custom(error: CssError) -> ParseError<CssError> {
    ParseError {
        kind: ParseErrorKind::Custom(error),
    }
}

/// All that is said about sprites, in order.
#[derive(Default)]
struct Sheet {
    rules: Vec<Rule>,
    keyframes: Vec<Keyframes>,
    /// Custom properties of other elements, without dashes.
    elsewhere: BTreeSet<String>,
}

struct Rule {
    at: SourceLocation,
    selectors: Vec<Selector>,
    declarations: Vec<Declaration>,
}

/// Some classes that an element must all have.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Selector {
    reaction: Option<String>,
    /// How many classes it names.
    specificity: usize,
}

impl Selector {
    fn matches(&self, reaction: Option<&str>) -> bool {
        self.reaction.is_none() || self.reaction.as_deref() == reaction
    }
}

struct Declaration {
    at: SourceLocation,
    /// In lower case, unless it is a custom property's.
    name: String,
    value: List,
}

struct Keyframes {
    name: String,
    frames: Vec<Frame>,
}

struct Frame {
    /// Each in `0.0..=1.0`.
    offsets: Vec<f64>,
    declarations: Vec<Declaration>,
}

/// The name of a custom property, without its dashes.
fn custom_name(name: &str) -> Option<&str> {
    name.strip_prefix("--").filter(|name| !name.is_empty())
}

impl<'i> QualifiedRuleParser<'i> for Sheet {
    type Prelude = Option<(SourceLocation, Vec<Selector>)>;
    type QualifiedRule = ();
    type Error = CssError;

    /// The selectors that are of sprites; `None` where all are other elements'.
    fn parse_prelude(&mut self, input: &mut Parser<'i>) -> Parsed<Self::Prelude> {
        input.skip_whitespace();
        let at = input.current_source_location();
        let all = input.parse_comma_separated(selector)?;
        let selectors: Vec<_> = all.into_iter().flatten().collect();
        Ok((!selectors.is_empty()).then_some((at, selectors)))
    }

    fn parse_block(
        &mut self,
        prelude: Self::Prelude,
        _: &ParserState,
        input: &mut Parser<'i>,
    ) -> Parsed<()> {
        let Some((at, selectors)) = prelude else {
            return pass_over(input, &mut self.elsewhere);
        };
        let declarations = declarations(input, Place::Rule)?;
        self.rules.push(Rule {
            at,
            selectors,
            declarations,
        });
        Ok(())
    }
}

/// One selector, or `None` for another element's.
fn selector(input: &mut Parser<'_>) -> Parsed<Option<Selector>> {
    input.skip_whitespace();
    let at = input.current_source_location();
    let start = input.position();
    let mut classes = Vec::new();
    let mut plain = true;
    let mut ours = false;
    let mut dot = false;
    let mut space = false;
    while let Ok(token) = input.next_including_whitespace().cloned() {
        if matches!(token, Token::WhiteSpace(_)) {
            space = true;
            plain &= !dot;
            continue;
        }
        // What follows white space is another element.
        plain &= !space;
        match &token {
            Token::Delim('.') if !dot => dot = true,
            Token::Ident(name) if dot => {
                ours |= is_ours(name);
                plain &= is_ours(name);
                classes.push(name.as_ref().to_owned());
                dot = false;
            }
            _ => {
                plain = false;
                dot = false;
                ours |= names_sprite(&token, input)?;
            }
        }
    }
    if !ours {
        return Ok(None);
    }
    let mut reactions = classes
        .iter()
        .filter_map(|class| class.strip_prefix(REACTION));
    let reaction = reactions.next().map(str::to_owned);
    let same = reactions.all(|other| Some(other) == reaction.as_deref());
    if plain && !dot && same {
        return Ok(Some(Selector {
            reaction,
            specificity: classes.len(),
        }));
    }
    let text = input.slice_from(start).trim().to_owned();
    refuse(
        at,
        format!(
            "selector {text:?} is not supported; expected .{CLASS} or .{REACTION}NAME or both, \
             alone"
        ),
    )
}

fn is_ours(class: &str) -> bool {
    class == CLASS || class.len() > REACTION.len() && class.starts_with(REACTION)
}

/// Whether a token of a selector, or what is inside its brackets, names a sprite's class.
fn names_sprite(token: &Token<'_>, input: &mut Parser<'_>) -> Parsed<bool> {
    match token {
        Token::Function(_) | Token::ParenthesisBlock | Token::SquareBracketBlock => input
            .parse_nested_block(|input| {
                let mut found = false;
                while let Ok(token) = input.next().cloned() {
                    found |= match &token {
                        Token::Ident(name) | Token::QuotedString(name) => is_ours(name),
                        token => names_sprite(token, input)?,
                    };
                }
                Ok(found)
            }),
        _ => Ok(false),
    }
}

/// Skips a rule of other elements, and notes the custom properties that it declares. A rule inside
/// it must not be a sprite's.
fn pass_over(input: &mut Parser<'_>, customs: &mut BTreeSet<String>) -> Parsed<()> {
    let mut before = None;
    loop {
        let at = input.current_source_location();
        let Ok(token) = input.next().cloned() else {
            return Ok(());
        };
        match (&before, &token) {
            (Some(Token::Ident(name)), Token::Colon) => {
                customs.extend(custom_name(name).map(str::to_owned));
            }
            (Some(Token::Delim('.')), Token::Ident(class)) if is_ours(class) => {
                return refuse(
                    at,
                    format!(".{class} is not supported inside another rule; expected it alone"),
                );
            }
            (_, Token::CurlyBracketBlock) => {
                input.parse_nested_block(|input| pass_over(input, customs))?;
            }
            _ => {}
        }
        before = Some(token);
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
        match name.to_ascii_lowercase().as_str() {
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
            while input.next().is_ok() {}
            return Ok(());
        };
        let mut frames = Vec::new();
        let mut parser = KeyframeRules;
        for rule in StyleSheetParser::new(input, &mut parser) {
            frames.push(rule.map_err(|(error, _, at)| custom(explain(error, at)))?);
        }
        self.keyframes.push(Keyframes { name, frames });
        Ok(())
    }
}

/// The inside of `@keyframes`.
struct KeyframeRules;

impl<'i> QualifiedRuleParser<'i> for KeyframeRules {
    type Prelude = Vec<f64>;
    type QualifiedRule = Frame;
    type Error = CssError;

    fn parse_prelude(&mut self, input: &mut Parser<'i>) -> Parsed<Vec<f64>> {
        input.parse_comma_separated(|input| {
            let list = collect(input)?;
            let at = list.tokens.first().map_or(list.end, |token| token.at);
            let offset = match &list.tokens[..] {
                [token] => match &token.kind {
                    tokens::Kind::Ident(word) if word.eq_ignore_ascii_case("from") => 0.0,
                    tokens::Kind::Ident(word) if word.eq_ignore_ascii_case("to") => 1.0,
                    tokens::Kind::Numeric(percent, unit) if unit == "%" => percent / 100.0,
                    _ => f64::NAN,
                },
                _ => f64::NAN,
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
    ) -> Parsed<Frame> {
        Ok(Frame {
            offsets,
            declarations: declarations(input, Place::Keyframe)?,
        })
    }
}

impl AtRuleParser<'_> for KeyframeRules {
    type Prelude = ();
    type AtRule = Frame;
    type Error = CssError;
}

/// Which properties make sense.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Rule,
    Keyframe,
}

/// Those declarations that say something about motion.
fn declarations(input: &mut Parser<'_>, place: Place) -> Parsed<Vec<Declaration>> {
    let mut parser = Declarations(place);
    let all = RuleBodyParser::new(input, &mut parser)
        .map(|item| item.map_err(|(error, _, at)| custom(explain(error, at))));
    all.filter_map(Result::transpose).collect()
}

struct Declarations(Place);

impl<'i> DeclarationParser<'i> for Declarations {
    type Declaration = Option<Declaration>;
    type Error = CssError;

    fn parse_value(
        &mut self,
        name: CowRcStr<'i>,
        input: &mut Parser<'i>,
        start: &ParserState,
    ) -> Parsed<Option<Declaration>> {
        let at = start.source_location();
        let is_custom = name.starts_with("--");
        let name = if is_custom {
            name.as_ref().to_owned()
        } else {
            name.to_ascii_lowercase()
        };
        let no_effect = NO_EFFECT.contains(&name.as_str());
        check_name(&name, self.0, at)?;
        let value = collect(input)?;
        if let Some(mark) = value.tokens.iter().find(|token| token.is_delim('!')) {
            return refuse(
                mark.at,
                format!("{name}: !important is not supported; expected a more specific selector"),
            );
        }
        Ok((!no_effect).then_some(Declaration { at, name, value }))
    }
}

impl AtRuleParser<'_> for Declarations {
    type Prelude = ();
    type AtRule = Option<Declaration>;
    type Error = CssError;
}

impl QualifiedRuleParser<'_> for Declarations {
    type Prelude = ();
    type QualifiedRule = Option<Declaration>;
    type Error = CssError;
}

impl RuleBodyItemParser<'_, Option<Declaration>, CssError> for Declarations {
    fn parse_declarations(&self) -> bool {
        true
    }

    fn parse_qualified(&self) -> bool {
        false
    }
}

/// In the rule and in keyframes.
const MOVING: &[&str] = &[
    "bottom",
    "top",
    "left",
    "right",
    "opacity",
    "transform",
    "transform-origin",
    "animation-timing-function",
];

/// In the rule alone.
const STANDING: &[&str] = &[
    "font-size",
    "position",
    "line-height",
    "animation",
    "animation-name",
    "animation-duration",
    "animation-delay",
    "animation-iteration-count",
    "animation-direction",
    "animation-fill-mode",
    "animation-play-state",
    "animation-composition",
];

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

fn check_name(name: &str, place: Place, at: SourceLocation) -> Parsed<()> {
    let is_custom = custom_name(name).is_some();
    let known = MOVING.contains(&name)
        || place == Place::Rule
            && (is_custom || STANDING.contains(&name) || NO_EFFECT.contains(&name));
    if known {
        return Ok(());
    }
    let message = match place {
        Place::Keyframe if is_custom => format!(
            "{name} is not supported in keyframes; expected it in the rule, and the property that \
             uses it here"
        ),
        Place::Keyframe if name == "font-size" => {
            "font-size is not supported in keyframes; use transform: scale()".to_owned()
        }
        Place::Keyframe => format!(
            "property {name:?} is not supported here; expected {}",
            MOVING.join(", ")
        ),
        Place::Rule => format!(
            "property {name:?} is not supported here; expected bottom, top, left, right, opacity, \
             transform, transform-origin, font-size, animation, animation-* or a custom property"
        ),
    };
    refuse(at, message)
}

#[cfg(test)]
mod tests;
