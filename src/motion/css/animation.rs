//! `animation` and its parts, each a list with one entry for each animation.

use cssparser::SourceLocation;

use super::CssError;
use super::math::Scope;
use super::tokens::{Input, Kind, is_wide};
use super::values::{duration, easing, easing_if_any, iterations, keyword, time};
use crate::motion::expression::Expression;
use crate::motion::program::{EasingExpression, TimingExpression};
use crate::motion::timing::{Direction, Fill};
use crate::motion::track::ANIMATIONS_MAX;

/// The name of keyframes, and where it is; `None` for `none`.
pub(super) type Name = Option<(String, SourceLocation)>;

/// Every part as a list of its own: a shorter one is repeated (CSS Animations 1, 4.1).
#[derive(Clone, Debug)]
pub(super) struct Animations {
    names: Vec<Name>,
    durations: Vec<Expression>,
    delays: Vec<Expression>,
    iterations: Vec<Expression>,
    directions: Vec<Direction>,
    fills: Vec<Fill>,
    easings: Vec<EasingExpression>,
}

/// One entry of every list.
#[derive(Clone, Debug)]
pub(super) struct Animation {
    pub(super) name: Name,
    pub(super) timing: TimingExpression,
    pub(super) easing: EasingExpression,
}

impl Default for Animation {
    fn default() -> Self {
        Self {
            name: None,
            timing: TimingExpression {
                duration_ms: Expression::number(0.0),
                delay_ms: Expression::number(0.0),
                iterations: Expression::number(1.0),
                direction: Direction::Normal,
                fill: Fill::default(),
            },
            easing: EasingExpression::ease(),
        }
    }
}

impl Default for Animations {
    fn default() -> Self {
        Self::from_list(vec![Animation::default()])
    }
}

const DIRECTIONS: &[(&str, Direction)] = &[
    ("normal", Direction::Normal),
    ("reverse", Direction::Reverse),
    ("alternate", Direction::Alternate),
    ("alternate-reverse", Direction::AlternateReverse),
];

const FILL_MODES: &[(&str, Fill)] = &[
    ("none", fill(false, false)),
    ("forwards", fill(false, true)),
    ("backwards", fill(true, false)),
    ("both", fill(true, true)),
];

const fn fill(backwards: bool, forwards: bool) -> Fill {
    Fill {
        backwards,
        forwards,
    }
}

impl Animations {
    fn from_list(list: Vec<Animation>) -> Self {
        let mut all = Self {
            names: Vec::new(),
            durations: Vec::new(),
            delays: Vec::new(),
            iterations: Vec::new(),
            directions: Vec::new(),
            fills: Vec::new(),
            easings: Vec::new(),
        };
        for Animation {
            name,
            timing,
            easing,
        } in list
        {
            all.names.push(name);
            all.durations.push(timing.duration_ms);
            all.delays.push(timing.delay_ms);
            all.iterations.push(timing.iterations);
            all.directions.push(timing.direction);
            all.fills.push(timing.fill);
            all.easings.push(easing);
        }
        all
    }

    /// Those that have a name, in order.
    pub(super) fn named(&self) -> Vec<Animation> {
        fn entry<T: Clone>(list: &[T], i: usize, default: T) -> T {
            list.get(i % list.len().max(1)).cloned().unwrap_or(default)
        }
        let all = self.names.iter().enumerate().map(|(i, name)| {
            let default = Animation::default();
            let timing = default.timing;
            Animation {
                name: name.clone(),
                timing: TimingExpression {
                    duration_ms: entry(&self.durations, i, timing.duration_ms),
                    delay_ms: entry(&self.delays, i, timing.delay_ms),
                    iterations: entry(&self.iterations, i, timing.iterations),
                    direction: entry(&self.directions, i, timing.direction),
                    fill: entry(&self.fills, i, timing.fill),
                },
                easing: entry(&self.easings, i, default.easing),
            }
        });
        all.filter(|animation| animation.name.is_some()).collect()
    }

    /// Takes a declaration of `animation` or one of its parts; `false` for another property.
    pub(super) fn take(
        &mut self,
        scope: &Scope<'_>,
        property: &str,
        input: Input<'_>,
    ) -> Result<bool, CssError> {
        let at = input.at();
        match property {
            "animation" => {
                let list = input.parts(property, |input| shorthand(scope, input))?;
                *self = Self::from_list(list);
            }
            "animation-name" => self.names = input.parts(property, longhand_name)?,
            "animation-duration" => {
                self.durations = input.parts(property, |input| duration(scope, input))?;
            }
            "animation-delay" => self.delays = input.parts(property, |input| time(scope, input))?,
            "animation-iteration-count" => {
                self.iterations = input.parts(property, |input| iterations(scope, input))?;
            }
            "animation-direction" => {
                self.directions =
                    input.parts(property, |input| keyword(input, property, DIRECTIONS))?;
            }
            "animation-fill-mode" => {
                self.fills = input.parts(property, |input| keyword(input, property, FILL_MODES))?;
            }
            "animation-timing-function" => {
                self.easings = input.parts(property, |input| easing(scope, input))?;
            }
            "animation-play-state" => {
                input.parts(property, |input| {
                    keyword(input, property, &[("running", ())])
                })?;
            }
            "animation-composition" => {
                input.parts(property, |input| {
                    keyword(input, property, &[("replace", ())])
                })?;
            }
            _ => return Ok(false),
        }
        if self.names.len() > ANIMATIONS_MAX {
            let message = format!("{property}: expected at most {ANIMATIONS_MAX} animations");
            return Err(CssError::new(at, message));
        }
        Ok(true)
    }
}

fn longhand_name(input: &mut Input<'_>) -> Result<Name, CssError> {
    let at = input.at();
    match input.next().map(|token| &token.kind) {
        Some(Kind::Ident(name)) if name.eq_ignore_ascii_case("none") => Ok(None),
        Some(Kind::Ident(name)) if !is_wide(name) => Ok(Some((name.clone(), at))),
        Some(Kind::Text(name)) => Ok(Some((name.clone(), at))),
        _ => Err(CssError::new(
            at,
            "animation-name: expected none or a name of keyframes",
        )),
    }
}

/// One animation of the shorthand: the first time is the duration, the second the delay; a word
/// that is no keyword of a part that is still open is the name (CSS Animations 1, 4.10).
fn shorthand(scope: &Scope<'_>, input: &mut Input<'_>) -> Result<Animation, CssError> {
    let mut animation = Animation::default();
    let mut times = 0;
    let mut open = Open::default();
    if input.is_empty() {
        return Err(CssError::new(input.at(), EXPECTED));
    }
    while let Some(token) = input.peek() {
        let at = token.at;
        let refused = |message: &str| Err(CssError::new(at, message));
        if Scope::is_quantity(input) {
            let mut probe = *input;
            if let Ok(ms) = time(scope, &mut probe) {
                times += 1;
                match times {
                    1 => animation.timing.duration_ms = duration(scope, input)?,
                    2 => animation.timing.delay_ms = ms,
                    _ => {
                        return refused(
                            "animation: more than two times; expected duration and delay",
                        );
                    }
                }
                *input = probe;
            } else {
                let count = iterations(scope, input).map_err(|_| CssError::new(at, EXPECTED))?;
                if std::mem::replace(&mut open.iterations, true) {
                    return refused(EXPECTED);
                }
                animation.timing.iterations = count;
            }
            continue;
        }
        if !open.easing
            && let Some(easing) = easing_if_any(scope, input)?
        {
            animation.easing = easing;
            open.easing = true;
            continue;
        }
        input.next();
        match &token.kind {
            Kind::Ident(word) => open.word(&mut animation, word, at)?,
            Kind::Text(name) if !open.name => {
                open.name = true;
                animation.name = Some((name.clone(), at));
            }
            _ => return refused(EXPECTED),
        }
    }
    Ok(animation)
}

const EXPECTED: &str = "animation: expected a name, times, and parts such as in \
                        `floatUpAndOut 2s linear forwards`";

/// Which parts have been given.
#[derive(Default)]
struct Open {
    iterations: bool,
    easing: bool,
    direction: bool,
    fill: bool,
    state: bool,
    name: bool,
}

impl Open {
    fn word(
        &mut self,
        animation: &mut Animation,
        word: &str,
        at: SourceLocation,
    ) -> Result<(), CssError> {
        fn among<T: Copy>(words: &[(&str, T)], word: &str) -> Option<T> {
            let found = words.iter().find(|(w, _)| word.eq_ignore_ascii_case(w));
            found.map(|(_, value)| *value)
        }
        let lower = word.to_ascii_lowercase();
        if lower == "paused" || lower == "infinite" {
            let message = format!("animation: {word} never ends, but a sprite must");
            return Err(CssError::new(at, message));
        }
        match (among(DIRECTIONS, word), among(FILL_MODES, word)) {
            (Some(direction), _) if !self.direction => {
                self.direction = true;
                animation.timing.direction = direction;
            }
            (_, Some(fill)) if !self.fill => {
                self.fill = true;
                animation.timing.fill = fill;
            }
            _ if lower == "running" && !self.state => self.state = true,
            _ if !self.name && !is_wide(word) => {
                self.name = true;
                animation.name = (lower != "none").then(|| (word.to_owned(), at));
            }
            _ => return Err(CssError::new(at, EXPECTED)),
        }
        Ok(())
    }
}
