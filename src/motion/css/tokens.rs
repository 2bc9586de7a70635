//! The values of declarations as trees of tokens, and `var()` put in.

use std::collections::{BTreeMap, BTreeSet};

use cssparser::{Parser, SourceLocation, Token as Raw};

use super::{CssError, Parsed, refuse};

/// A value may not be longer once `var()` is put in.
const TOKENS_MAX: usize = 4_096;

/// Nor nested deeper.
const DEPTH_MAX: usize = 32;

/// Tokens up to an end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct List {
    pub(super) tokens: Vec<Token>,
    pub(super) end: SourceLocation,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) at: SourceLocation,
    /// Whether white space is before it.
    pub(super) spaced: bool,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// The unit is in lower case, `%` for a percentage, empty for a bare number.
    Numeric(f64, String),
    /// A value of the sprite's own, by its index; in place of a `var()`.
    Variable(usize),
    Ident(String),
    Text(String),
    /// The name is in lower case.
    Function(String, List),
    Parentheses(List),
    Comma,
    Delim(char),
    /// What no value has.
    Other,
}

impl Token {
    pub(super) fn is_delim(&self, delim: char) -> bool {
        matches!(self.kind, Kind::Delim(c) if c == delim)
    }
}

/// Everything that is left of the input.
pub(super) fn collect(input: &mut Parser<'_>) -> Parsed<List> {
    let mut tokens = Vec::new();
    let mut spaced = false;
    loop {
        let at = input.current_source_location();
        let start = input.position();
        let Ok(raw) = input.next_including_whitespace_and_comments().cloned() else {
            return Ok(List { tokens, end: at });
        };
        let kind = match raw {
            Raw::WhiteSpace(_) => {
                spaced = true;
                continue;
            }
            Raw::Comment(_) => continue,
            Raw::Number { value, .. } => number(input.slice_from(start), value, ""),
            Raw::Percentage { unit_value, .. } => {
                number(input.slice_from(start), unit_value * 100.0, "%")
            }
            Raw::Dimension { value, unit, .. } => number(input.slice_from(start), value, &unit),
            Raw::Ident(name) => Kind::Ident(name.as_ref().to_owned()),
            Raw::QuotedString(text) => Kind::Text(text.as_ref().to_owned()),
            Raw::Function(name) => Kind::Function(
                name.to_ascii_lowercase(),
                input.parse_nested_block(collect)?,
            ),
            Raw::ParenthesisBlock => Kind::Parentheses(input.parse_nested_block(collect)?),
            Raw::SquareBracketBlock | Raw::CurlyBracketBlock => {
                drop(input.parse_nested_block(collect)?);
                Kind::Other
            }
            Raw::Comma => Kind::Comma,
            Raw::Colon => Kind::Delim(':'),
            Raw::Delim(delim) => Kind::Delim(delim),
            Raw::BadString(_)
            | Raw::BadUrl(_)
            | Raw::CloseParenthesis
            | Raw::CloseSquareBracket
            | Raw::CloseCurlyBracket => return refuse(at, "not valid CSS"),
            _ => Kind::Other,
        };
        tokens.push(Token { at, spaced, kind });
        spaced = false;
    }
}

/// The number is read again from the text, since the tokenizer keeps only an `f32` of it.
fn number(text: &str, rough: f32, unit: &str) -> Kind {
    let unit = unit.to_ascii_lowercase();
    // A unit is longer than its text where that holds a NUL, which is read as U+FFFD.
    let end = text.len().checked_sub(unit.len());
    let exact = end.and_then(|end| text.get(..end)?.parse().ok());
    Kind::Numeric(exact.unwrap_or(f64::from(rough)), unit)
}

/// The custom properties that one class of sprites sees.
pub(super) struct Customs<'a> {
    /// Value by name, without dashes.
    pub(super) values: BTreeMap<&'a str, &'a List>,
    /// The sprite's own, which come before the others: index by name.
    pub(super) variables: &'a BTreeMap<String, usize>,
    /// Those that other elements have, which a sprite might inherit.
    pub(super) elsewhere: &'a BTreeSet<String>,
}

impl Customs<'_> {
    /// Refuses custom properties that name themselves, by whatever way round.
    pub(super) fn check(&self) -> Result<(), CssError> {
        let mut done = BTreeSet::new();
        for name in self.values.keys() {
            self.visit(name, &mut Vec::new(), &mut done)?;
        }
        Ok(())
    }

    fn visit<'b>(
        &'b self,
        name: &'b str,
        way: &mut Vec<&'b str>,
        done: &mut BTreeSet<&'b str>,
    ) -> Result<(), CssError> {
        let Some(value) = self.values.get(name) else {
            return Ok(());
        };
        if done.contains(name) || self.variables.contains_key(name) {
            return Ok(());
        }
        if way.contains(&name) || way.len() > DEPTH_MAX {
            let at = value.tokens.first().map_or(value.end, |token| token.at);
            let message = if way.contains(&name) {
                format!("--{name} depends on itself")
            } else {
                format!("--{name}: more than {DEPTH_MAX} custom properties, one in another")
            };
            return Err(CssError::new(at, message));
        }
        way.push(name);
        let mut names = Vec::new();
        names_in(value, &mut names);
        for name in names {
            self.visit(name, way, done)?;
        }
        way.pop();
        done.insert(name);
        Ok(())
    }

    /// The value with every `var()` replaced.
    pub(super) fn put_in(&self, value: &List) -> Result<List, CssError> {
        let mut count = 0;
        let value = self.replaced(value, 0, &mut count)?;
        if let [
            Token {
                at,
                kind: Kind::Ident(word),
                ..
            },
        ] = &value.tokens[..]
            && is_wide(word)
        {
            let message = format!("{word} is not supported; expected the value itself");
            return Err(CssError::new(*at, message));
        }
        Ok(value)
    }

    fn replaced(&self, value: &List, depth: usize, count: &mut usize) -> Result<List, CssError> {
        let mut tokens = Vec::new();
        for token in &value.tokens {
            *count += 1;
            if *count > TOKENS_MAX || depth > DEPTH_MAX {
                let message = format!(
                    "expected a value of at most {TOKENS_MAX} parts, nested at most {DEPTH_MAX} deep"
                );
                return Err(CssError::new(token.at, message));
            }
            let kind = match &token.kind {
                Kind::Function(name, inside) if name == "var" => {
                    let from = tokens.len();
                    self.var(token, inside, depth, count, &mut tokens)?;
                    if let Some(first) = tokens.get_mut(from) {
                        first.spaced = token.spaced;
                    }
                    continue;
                }
                Kind::Function(name, inside) => {
                    Kind::Function(name.clone(), self.replaced(inside, depth + 1, count)?)
                }
                Kind::Parentheses(inside) => {
                    Kind::Parentheses(self.replaced(inside, depth + 1, count)?)
                }
                kind => kind.clone(),
            };
            tokens.push(Token {
                at: token.at,
                spaced: token.spaced,
                kind,
            });
        }
        Ok(List {
            tokens,
            end: value.end,
        })
    }

    fn var(
        &self,
        token: &Token,
        inside: &List,
        depth: usize,
        count: &mut usize,
        tokens: &mut Vec<Token>,
    ) -> Result<(), CssError> {
        const WANTED: &str = "var(): expected a custom property, such as var(--sway) or \
                              var(--sway, 20px)";
        let refused = |message: &str| Err(CssError::new(token.at, message));
        let Some(name) = name_in(inside) else {
            return refused(WANTED);
        };
        let fallback = match inside.tokens.get(1) {
            None => None,
            Some(comma) if comma.kind == Kind::Comma => Some(List {
                tokens: inside.tokens[2..].to_vec(),
                end: inside.end,
            }),
            Some(_) => return refused(WANTED),
        };
        if let Some(&index) = self.variables.get(name) {
            tokens.push(Token {
                at: token.at,
                spaced: token.spaced,
                kind: Kind::Variable(index),
            });
            return Ok(());
        }
        let value = match (self.values.get(name), &fallback) {
            (Some(value), _) => value,
            (None, _) if self.elsewhere.contains(name) => {
                return refused(&format!(
                    "--{name} is another element's; declare it for .{} too",
                    super::CLASS
                ));
            }
            (None, Some(fallback)) => fallback,
            (None, None) => {
                return refused(&format!(
                    "--{name} is not declared for this sprite; declare it, or give a fallback as \
                     in var(--{name}, 0px)"
                ));
            }
        };
        tokens.extend(self.replaced(value, depth + 1, count)?.tokens);
        Ok(())
    }
}

/// The name in the parentheses of a `var()`, without its dashes.
fn name_in(inside: &List) -> Option<&str> {
    match &inside.tokens.first()?.kind {
        Kind::Ident(name) => name.strip_prefix("--").filter(|name| !name.is_empty()),
        _ => None,
    }
}

/// Every custom property that a value names.
fn names_in<'a>(value: &'a List, names: &mut Vec<&'a str>) {
    for token in &value.tokens {
        if let Kind::Function(name, inside) = &token.kind {
            if name == "var" {
                names.extend(name_in(inside));
            }
            names_in(inside, names);
        } else if let Kind::Parentheses(inside) = &token.kind {
            names_in(inside, names);
        }
    }
}

pub(super) fn has_var(value: &List) -> bool {
    value.tokens.iter().any(|token| match &token.kind {
        Kind::Function(name, inside) => name == "var" || has_var(inside),
        Kind::Parentheses(inside) => has_var(inside),
        _ => false,
    })
}

/// Whether a word is one that every property takes.
pub(super) fn is_wide(word: &str) -> bool {
    ["initial", "inherit", "unset", "revert", "revert-layer"]
        .iter()
        .any(|wide| word.eq_ignore_ascii_case(wide))
}

/// What is left of a list, while it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    tokens: &'a [Token],
    end: SourceLocation,
}

impl<'a> Input<'a> {
    pub(super) fn new(list: &'a List) -> Self {
        Self {
            tokens: &list.tokens,
            end: list.end,
        }
    }

    /// Where the next token is, or where it should be.
    pub(super) fn at(&self) -> SourceLocation {
        self.tokens.first().map_or(self.end, |token| token.at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.tokens.first()
    }

    pub(super) fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    /// Takes a comma, if there is one.
    pub(super) fn comma(&mut self) -> bool {
        let comma = self.peek().is_some_and(|token| token.kind == Kind::Comma);
        if comma {
            self.next();
        }
        comma
    }

    /// Takes an identifier, if there is one.
    pub(super) fn ident(&mut self) -> Option<&'a str> {
        match &self.peek()?.kind {
            Kind::Ident(word) => {
                self.next();
                Some(word)
            }
            _ => None,
        }
    }

    /// What is between commas, read one by one, each to its end.
    pub(super) fn parts<T>(
        mut self,
        property: &str,
        mut part: impl FnMut(&mut Self) -> Result<T, CssError>,
    ) -> Result<Vec<T>, CssError> {
        let mut parts = Vec::new();
        loop {
            let comma = |token: &Token| token.kind == Kind::Comma;
            let end = self.tokens.iter().position(comma);
            let mut one = match end {
                Some(end) => Self {
                    tokens: &self.tokens[..end],
                    end: self.tokens[end].at,
                },
                None => self,
            };
            parts.push(part(&mut one)?);
            one.finish(property)?;
            let Some(end) = end else {
                return Ok(parts);
            };
            self.tokens = &self.tokens[end + 1..];
        }
    }

    /// Refuses what is left.
    pub(super) fn finish(&self, property: &str) -> Result<(), CssError> {
        match self.peek() {
            None => Ok(()),
            Some(token) => Err(CssError::new(
                token.at,
                format!("{property}: more than was expected"),
            )),
        }
    }
}
