//! The cascade, and what it makes of one class of sprites.

use std::collections::{BTreeMap, BTreeSet};

use cssparser::SourceLocation;

use super::animation::{Animation, Animations};
use super::math::Scope;
use super::tokens::{Customs, Input, Kind, has_var, is_wide};
use super::values::{easing, font_size, keyword, length, opacity, origin, transform};
use super::{CLASS, CssError, Declaration, Frame, Keyframes, Rule, Sheet, custom_name};
use crate::motion::expression::Expression;
use crate::motion::program::{EasingExpression, Edge, Program, TimingExpression};
use crate::motion::track::{Keyframe, Layer, Property};
use crate::motion::transform::Declared;
use crate::motion::{Range, Stylesheet, Variable};

/// What the name of a custom property ends in that has the range of another one.
const RANGE: &str = "-range";

/// Reactions that may have rules of their own: each goes through all rules. More are refused.
const REACTIONS_MAX: usize = 1_000;

type Read<T> = Result<T, CssError>;

fn refuse<T>(at: SourceLocation, message: impl Into<String>) -> Read<T> {
    Err(CssError::new(at, message))
}

pub(super) fn compile(sheet: &Sheet) -> Read<Stylesheet> {
    let variables = variables(sheet)?;
    let indices = variables
        .iter()
        .enumerate()
        .map(|(i, variable)| (variable.name.clone(), i))
        .collect();
    let compiler = Compiler {
        sheet,
        variables: &variables,
        indices: &indices,
    };
    compiler.check_keyframes()?;
    let plain = compiler.program(None)?;
    let selectors = sheet.rules.iter().flat_map(|rule| &rule.selectors);
    let names: BTreeSet<_> = selectors.filter_map(|s| s.reaction.as_deref()).collect();
    if names.len() > REACTIONS_MAX {
        let at = sheet.rules[sheet.rules.len() - 1].at;
        let message = format!(
            "{} reactions have rules of their own; expected at most {REACTIONS_MAX}",
            names.len()
        );
        return refuse(at, message);
    }
    let reactions = names
        .into_iter()
        .map(|name| Ok((name.to_owned(), compiler.program(Some(name))?)))
        .collect::<Read<Vec<_>>>()?;
    Ok(Stylesheet::new(variables, plain, reactions))
}

/// Every range, sorted by name. The last one of a name counts.
fn variables(sheet: &Sheet) -> Read<Vec<Variable>> {
    let mut ranges = BTreeMap::new();
    for rule in &sheet.rules {
        for declaration in &rule.declarations {
            let Some(name) = range_of(&declaration.name) else {
                continue;
            };
            let plain = |s: &super::Selector| s.reaction.is_none() && s.specificity == 1;
            if !rule.selectors.iter().all(plain) {
                let message = format!("a range is for all sprites; expected it in .{CLASS} alone");
                return refuse(declaration.at, message);
            }
            let value = &declaration.value;
            let at = Input::new(value).at();
            let [text] = &value.tokens[..] else {
                return refuse(at, format!("{}: {A_RANGE}", declaration.name));
            };
            let Kind::Text(text) = &text.kind else {
                return refuse(at, format!("{}: {A_RANGE}", declaration.name));
            };
            let range: Range = text.parse().map_err(|message| CssError::new(at, message))?;
            ranges.insert(name.to_owned(), range);
        }
    }
    let variables = ranges
        .into_iter()
        .map(|(name, range)| Variable { name, range });
    Ok(variables.collect())
}

const A_RANGE: &str = "a name that ends in -range is for a range; expected a string such as \
                       \"10px..29px\"";

fn range_of(name: &str) -> Option<&str> {
    let name = custom_name(name)?.strip_suffix(RANGE)?;
    (!name.is_empty()).then_some(name)
}

struct Compiler<'a> {
    sheet: &'a Sheet,
    variables: &'a [Variable],
    indices: &'a BTreeMap<String, usize>,
}

/// An offset of the rule: `None` for `auto`.
type Base = Option<(Expression, SourceLocation)>;

/// The value of one offset in a keyframe.
type Pick = fn(&Values) -> Option<&(Expression, SourceLocation)>;

/// What the rules of one class say, the cascade applied.
#[derive(Default)]
struct Style {
    font_size_px: Option<f64>,
    top: Base,
    bottom: Base,
    left: Base,
    right: Base,
    opacity: Option<Expression>,
    transform: Vec<Declared>,
    origin: Option<[Expression; 2]>,
    animations: Animations,
}

/// One keyframe rule, for one class: the last declaration of each property.
#[derive(Default)]
struct Values {
    offsets: Vec<f64>,
    easing: Option<EasingExpression>,
    top: Option<(Expression, SourceLocation)>,
    bottom: Option<(Expression, SourceLocation)>,
    left: Option<(Expression, SourceLocation)>,
    right: Option<(Expression, SourceLocation)>,
    opacity: Option<Expression>,
    transform: Option<Vec<Declared>>,
    origin: Option<[Expression; 2]>,
}

/// Each easing once, and its index.
#[derive(Default)]
struct Easings(Vec<EasingExpression>);

impl Easings {
    fn index(&mut self, easing: &EasingExpression) -> usize {
        let known = self.0.iter().position(|known| known == easing);
        known.unwrap_or_else(|| {
            self.0.push(easing.clone());
            self.0.len() - 1
        })
    }
}

impl<'a> Compiler<'a> {
    /// Those declarations that are the same for every class, of keyframes that may have no user.
    fn check_keyframes(&self) -> Read<()> {
        let customs = self.customs(&[]);
        let scope = self.scope(None);
        for frame in self.sheet.keyframes.iter().flat_map(|k| &k.frames) {
            let constant =
                |d: &&Declaration| !has_var(&d.value) || d.name == "animation-timing-function";
            let constants = frame.declarations.iter().filter(constant);
            Values::read(&frame.offsets, constants, &customs, &scope)?;
        }
        Ok(())
    }

    fn customs(&self, rules: &[&'a Rule]) -> Customs<'a> {
        let declarations = rules.iter().flat_map(|rule| &rule.declarations);
        let values = declarations.filter_map(|d| Some((custom_name(&d.name)?, &d.value)));
        Customs {
            values: values.collect(),
            variables: self.indices,
            elsewhere: &self.sheet.elsewhere,
        }
    }

    /// Without a font size, which is refused later, any will do.
    fn scope(&self, font_size_px: Option<f64>) -> Scope<'a> {
        Scope {
            variables: self.variables,
            em_px: font_size_px.unwrap_or(1.0),
        }
    }

    /// The rules that match, the one that counts most last.
    fn matching(&self, reaction: Option<&str>) -> Vec<&'a Rule> {
        let specificity = |rule: &Rule| {
            let selectors = rule.selectors.iter().filter(|s| s.matches(reaction));
            selectors.map(|s| s.specificity).max()
        };
        let rules = self.sheet.rules.iter();
        let mut rules: Vec<_> = rules
            .filter_map(|rule| Some((specificity(rule)?, rule)))
            .collect();
        rules.sort_by_key(|(specificity, _)| *specificity);
        rules.into_iter().map(|(_, rule)| rule).collect()
    }

    fn program(&self, reaction: Option<&str>) -> Read<Program> {
        let rules = self.matching(reaction);
        let of_class = rules.iter().rfind(|rule| {
            let mut selectors = rule.selectors.iter();
            selectors.any(|s| s.reaction.as_deref() == reaction)
        });
        let Some(rule_at) = of_class.map(|rule| rule.at) else {
            let start = SourceLocation { line: 0, column: 1 };
            return refuse(start, format!("no rule for .{CLASS}"));
        };
        let who = match reaction {
            Some(reaction) => format!(".{CLASS}.{}{reaction}", super::REACTION),
            None => format!(".{CLASS}"),
        };
        let customs = self.customs(&rules);
        customs.check()?;
        let style = self.style(&rules, &customs)?;
        let scope = self.scope(style.font_size_px);

        let animations = style.animations.named();
        if animations.is_empty() {
            let message =
                format!("{who} has no animation; expected such as `animation: NAME 2s linear`");
            return refuse(rule_at, message);
        }
        let mut easings = Easings::default();
        let mut frames = Vec::new();
        for animation in &animations {
            let keyframes = self.keyframes(animation, &scope)?;
            let read = keyframes.frames.iter().map(
                |Frame {
                     offsets,
                     declarations,
                 }| {
                    Values::read(offsets, declarations.iter(), &customs, &scope)
                },
            );
            let read = read.collect::<Read<Vec<_>>>()?;
            check_last(&read, animation)?;
            frames.push((easings.index(&animation.easing), read));
        }
        check_end(&animations, &scope)?;

        let mut class = Class {
            who: &who,
            rule_at,
            scope,
            animations: &animations,
            frames: &frames,
            easings: &mut easings,
        };
        let x = class.offset(
            ["left", "right"],
            [style.left, style.right],
            [|v| v.left.as_ref(), |v| v.right.as_ref()],
        )?;
        let y = class.offset(
            ["top", "bottom"],
            [style.top, style.bottom],
            [|v| v.top.as_ref(), |v| v.bottom.as_ref()],
        )?;
        let Some(y) = y else {
            let message =
                format!("{who} has no `bottom` and no `top`, neither itself nor in its keyframes");
            return refuse(rule_at, message);
        };
        let (zero, one) = (Expression::number(0.0), Expression::number(1.0));
        let opacity = match style.opacity {
            Some(opacity) => zero.max(one.min(opacity)),
            None => one,
        };
        let centre = [Expression::percent(50.0), Expression::percent(50.0)];
        let opacity = class.property(opacity, |v| v.opacity.as_ref());
        let transform = class.property(style.transform, |v| v.transform.as_ref());
        class.check_transforms(&transform)?;
        let origin = class.property(style.origin.unwrap_or(centre), |v| v.origin.as_ref());
        let Some(font_size_px) = style.font_size_px else {
            return refuse(rule_at, format!("{who} has no font-size in px"));
        };
        Ok(Program {
            font_size_px,
            x,
            y,
            opacity,
            transform,
            origin,
            timings: animations.into_iter().map(|a| a.timing).collect(),
            easings: easings.0,
        })
    }

    fn style(&self, rules: &[&'a Rule], customs: &Customs<'_>) -> Read<Style> {
        let mut style = Style::default();
        let all = || rules.iter().flat_map(|rule| &rule.declarations);
        for declaration in all().filter(|d| d.name == "font-size") {
            let value = customs.put_in(&declaration.value)?;
            let mut input = Input::new(&value);
            style.font_size_px = Some(font_size(&self.scope(Some(0.0)), &mut input)?);
            input.finish(&declaration.name)?;
        }
        let scope = self.scope(style.font_size_px);
        for declaration in all().filter(|d| d.name != "font-size") {
            style.take(declaration, customs, &scope)?;
        }
        Ok(style)
    }

    /// The keyframes that an animation names: the last ones of that name.
    fn keyframes(&self, animation: &Animation, scope: &Scope<'_>) -> Read<&'a Keyframes> {
        let (name, at) = match &animation.name {
            Some((name, at)) => (name.as_str(), *at),
            None => ("none", SourceLocation { line: 0, column: 1 }),
        };
        if scope.bounds(&animation.timing.duration_ms).0 <= 0.0 {
            return refuse(
                at,
                "the animation's duration is 0 or less; expected a time such as 2s",
            );
        }
        let mut all = self.sheet.keyframes.iter();
        match all.rfind(|keyframes| keyframes.name == name) {
            Some(keyframes) => Ok(keyframes),
            None => refuse(at, format!("no @keyframes {name}")),
        }
    }
}

impl Style {
    fn take(
        &mut self,
        Declaration { at, name, value }: &Declaration,
        customs: &Customs<'_>,
        scope: &Scope<'_>,
    ) -> Read<()> {
        if let Some(custom) = custom_name(name) {
            let mut input = Input::new(value);
            let word = input.ident().filter(|word| is_wide(word));
            return match word.filter(|_| input.is_empty()) {
                Some(word) => refuse(*at, format!("--{custom}: {word} is not supported")),
                None => Ok(()),
            };
        }
        let value = customs.put_in(value)?;
        let mut input = Input::new(&value);
        if self.animations.take(scope, name, input)? {
            return Ok(());
        }
        let mut offset = || -> Read<Base> {
            let mut probe = input;
            if probe
                .ident()
                .is_some_and(|word| word.eq_ignore_ascii_case("auto"))
            {
                input = probe;
                return Ok(None);
            }
            Ok(Some((length(scope, &mut input, name)?, *at)))
        };
        match name.as_str() {
            "top" => self.top = offset()?,
            "bottom" => self.bottom = offset()?,
            "left" => self.left = offset()?,
            "right" => self.right = offset()?,
            "opacity" => self.opacity = Some(opacity(scope, &mut input)?),
            "transform" => self.transform = transform(scope, &mut input)?,
            "transform-origin" => self.origin = Some(origin(scope, &mut input)?),
            "position" => keyword(&mut input, name, &[("absolute", ())])?,
            "line-height" => keyword(&mut input, name, &[("normal", ())])?,
            _ => return refuse(*at, format!("property {name:?} is not supported here")),
        }
        input.finish(name)
    }
}

impl Values {
    fn read<'b>(
        offsets: &[f64],
        declarations: impl Iterator<Item = &'b Declaration>,
        customs: &Customs<'_>,
        scope: &Scope<'_>,
    ) -> Read<Self> {
        let mut values = Self {
            offsets: offsets.to_vec(),
            ..Self::default()
        };
        for Declaration { at, name, value } in declarations {
            if name == "animation-timing-function" && has_var(value) {
                // Chromium drops it there.
                return refuse(
                    *at,
                    "var() is not supported in the easing of a keyframe; expected it in the rule",
                );
            }
            let value = customs.put_in(value)?;
            let mut input = Input::new(&value);
            let input = &mut input;
            match name.as_str() {
                "top" => values.top = Some((length(scope, input, name)?, *at)),
                "bottom" => values.bottom = Some((length(scope, input, name)?, *at)),
                "left" => values.left = Some((length(scope, input, name)?, *at)),
                "right" => values.right = Some((length(scope, input, name)?, *at)),
                "opacity" => values.opacity = Some(opacity(scope, input)?),
                "transform" => values.transform = Some(transform(scope, input)?),
                "transform-origin" => values.origin = Some(origin(scope, input)?),
                "animation-timing-function" => values.easing = Some(easing(scope, input)?),
                _ => return refuse(*at, format!("property {name:?} is not supported here")),
            }
            input.finish(name)?;
        }
        Ok(values)
    }
}

/// The least and the greatest time, in ms, at which an animation ends.
fn ends(timing: &TimingExpression, scope: &Scope<'_>) -> (f64, f64) {
    let delay = scope.bounds(&timing.delay_ms);
    let duration = scope.bounds(&timing.duration_ms);
    let iterations = scope.bounds(&timing.iterations);
    (
        delay.0 + duration.0 * iterations.0,
        delay.1 + duration.1 * iterations.1,
    )
}

/// Chromium sometimes takes the first of two last keyframes for the end of what comes before, and
/// sometimes the second.
fn check_last(frames: &[Values], animation: &Animation) -> Read<()> {
    let mut last = frames.iter().filter(|frame| frame.offsets.contains(&1.0));
    let own = |frame: &Values| frame.easing.clone().unwrap_or(animation.easing.clone());
    let first = last.next().map(own);
    match &animation.name {
        Some((name, at)) if last.any(|frame| Some(own(frame)) != first) => refuse(
            *at,
            format!("@keyframes {name} have two easings at 100%; expected none there"),
        ),
        _ => Ok(()),
    }
}

/// Whatever the variables are, something must be seen.
fn check_end(animations: &[Animation], scope: &Scope<'_>) -> Read<()> {
    let ends = animations.iter().map(|a| ends(&a.timing, scope).0);
    // A lifetime of less than a nanosecond is none.
    if ends.fold(0.0, f64::max) >= 1e-6 {
        return Ok(());
    }
    let name = animations.last().and_then(|a| a.name.as_ref());
    let at = name.map_or(SourceLocation { line: 0, column: 1 }, |(_, at)| *at);
    refuse(
        at,
        "the animation is over before it begins; expected a delay of more than minus all its \
         iterations",
    )
}

/// One class of sprites, while its properties are put together.
struct Class<'a> {
    who: &'a str,
    rule_at: SourceLocation,
    scope: Scope<'a>,
    animations: &'a [Animation],
    /// Of each animation, with the index of its own easing.
    frames: &'a [(usize, Vec<Values>)],
    easings: &'a mut Easings,
}

impl Class<'_> {
    fn property<T: Clone>(&mut self, base: T, pick: impl Fn(&Values) -> Option<&T>) -> Property<T> {
        let mut layers = Vec::new();
        for (animation, (easing, frames)) in self.frames.iter().enumerate() {
            let keyframes = keyframes(frames, *easing, self.easings, &pick);
            if !keyframes.is_empty() {
                layers.push(Layer {
                    animation,
                    keyframes,
                });
            }
        }
        Property { base, layers }
    }

    /// A blend of matrices that is blended again is refused: rounding decides whether Chromium
    /// takes it for a flat matrix, and so which parts it takes it apart into.
    fn check_transforms(&self, property: &Property<Vec<Declared>>) -> Read<()> {
        let mut below = vec![&property.base];
        let mut mixed = false;
        for layer in &property.layers {
            let implied = layer.keyframes.iter().find(|k| k.value.is_none());
            if let Some(implied) = implied.filter(|_| mixed) {
                let animation = self.animations.get(layer.animation);
                let name = animation.and_then(|animation| animation.name.as_ref());
                let (name, at) = name.map_or(("", self.rule_at), |(name, at)| (name, *at));
                let message = format!(
                    "@keyframes {name} leave out `transform` at {}%, and transforms of the \
                     animations before it differ in kind; expected it there, or the same \
                     functions in the same order in each that come before",
                    implied.offset * 100.0
                );
                return refuse(at, message);
            }
            let lists = |keyframe: &'_ Keyframe<Vec<Declared>>| match &keyframe.value {
                Some(list) => vec![list.clone()],
                None => below.iter().map(|list| (*list).clone()).collect(),
            };
            mixed |= layer.keyframes.windows(2).any(|pair| {
                let (from, to) = (lists(&pair[0]), lists(&pair[1]));
                let mut pairs = from.iter().flat_map(|a| to.iter().map(move |b| (a, b)));
                pairs.any(|(a, b)| a.iter().zip(b).any(|(a, b)| a.kind != b.kind))
            });
            below.extend(layer.keyframes.iter().filter_map(|k| k.value.as_ref()));
        }
        Ok(())
    }

    /// The one of two opposite offsets that the class has, if it has one.
    fn offset(
        &mut self,
        names: [&str; 2],
        bases: [Base; 2],
        picks: [Pick; 2],
    ) -> Read<Option<(Edge, Property<Expression>)>> {
        let all = self.frames.iter().flat_map(|(_, frames)| frames);
        let places = [0, 1].map(|i| {
            let own = bases[i].as_ref().map(|(_, at)| *at);
            own.or_else(|| Some(all.clone().find_map(picks[i])?.1))
        });
        let i = match places {
            [None, None] => return Ok(None),
            [Some(_), None] => 0,
            [None, Some(_)] => 1,
            [Some(first), Some(second)] => {
                let at = if (first.line, first.column) > (second.line, second.column) {
                    first
                } else {
                    second
                };
                let message = format!(
                    "{} has both `{}` and `{}`, which would stretch it; expected one of them",
                    self.who, names[0], names[1]
                );
                return refuse(at, message);
            }
        };
        let (pick, name) = (picks[i], names[i]);
        let [first, second] = bases;
        let base = if i == 0 { first } else { second };
        let has_base = base.is_some();
        let base = base.map_or_else(|| Expression::number(0.0), |(value, _)| value);
        let property = self.property(base, |values| Some(&pick(values)?.0));
        if !has_base {
            self.check_covered(name, &property, places[i].unwrap_or(self.rule_at))?;
        }
        let edge = if i == 0 { Edge::Start } else { Edge::End };
        Ok(Some((edge, property)))
    }

    /// Without a value of its own, an offset needs keyframes at both ends, and an animation that
    /// is in effect as long as the sprite lives.
    fn check_covered(
        &self,
        name: &str,
        property: &Property<Expression>,
        at: SourceLocation,
    ) -> Read<()> {
        let who = self.who;
        let keyframes = property.layers.iter().flat_map(|layer| &layer.keyframes);
        if let Some(implied) = keyframes.clone().find(|k| k.value.is_none()) {
            let percent = implied.offset * 100.0;
            let message = format!(
                "`{name}` is left out at {percent}%; add it there, or to {who} as in \
                 `{name}: 0`"
            );
            return refuse(at, message);
        }
        let scope = &self.scope;
        let lifetime = self.animations.iter().map(|a| ends(&a.timing, scope).1);
        let lifetime = lifetime.fold(0.0, f64::max);
        let covers = property.layers.iter().any(|layer| {
            self.animations.get(layer.animation).is_some_and(|a| {
                let timing = &a.timing;
                let begins = timing.fill.backwards || scope.bounds(&timing.delay_ms).1 <= 0.0;
                let varies = timing.duration_ms.varies()
                    || timing.delay_ms.varies()
                    || timing.iterations.varies();
                let alone = self.animations.len() == 1;
                let ends =
                    timing.fill.forwards || alone || !varies && ends(timing, scope).1 >= lifetime;
                begins && ends
            })
        });
        if covers {
            return Ok(());
        }
        refuse(
            at,
            format!(
                "`{name}` has no value while no animation of it is in effect; add one to {who} as \
                 in `{name}: 0`"
            ),
        )
    }
}

/// One animation's keyframes for one property: those that name it, by offset. Of those with the
/// same offset and easing the last wins; with other easings both stay, and the value jumps there.
/// Where 0 % or 100 % is missing, what is below the animation stands in (CSS Animations 1, 3),
/// with the easing of a keyframe that is there for other properties.
fn keyframes<T: Clone>(
    frames: &[Values],
    default: usize,
    easings: &mut Easings,
    pick: impl Fn(&Values) -> Option<&T>,
) -> Vec<Keyframe<T>> {
    let mut easing_of = |frame: &Values| match &frame.easing {
        Some(easing) => easings.index(easing),
        None => default,
    };
    let mut keyframes: Vec<Keyframe<T>> = Vec::new();
    for frame in frames {
        let Some(value) = pick(frame) else {
            continue;
        };
        let easing = easing_of(frame);
        for &offset in &frame.offsets {
            keyframes.retain(|k| k.easing != easing || (k.offset - offset).abs() > f64::EPSILON);
            keyframes.push(Keyframe {
                offset,
                value: Some(value.clone()),
                easing,
            });
        }
    }
    keyframes.sort_by(|a, b| a.offset.total_cmp(&b.offset));
    let mut implied = |offset: f64| {
        let at_offset = |frame: &&Values| frame.offsets.contains(&offset);
        let frame = frames.iter().rfind(at_offset);
        Keyframe {
            offset,
            value: None,
            easing: frame.map_or(default, &mut easing_of),
        }
    };
    if keyframes.first().is_some_and(|k| k.offset > 0.0) {
        keyframes.insert(0, implied(0.0));
    }
    if keyframes.last().is_some_and(|k| k.offset < 1.0) {
        keyframes.push(implied(1.0));
    }
    keyframes
}
