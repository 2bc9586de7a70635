//! The settings file: TOML text to keys, with every mistake and its line.
//!
//! The tables are walked entry by entry, and each entry alone goes through the structs that
//! define the keys, so that one mistake doesn't hide the next and nothing is defined twice.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::distance::distance;
use crate::config::keys::{
    ChannelKeys, FrameKeys, GateKeys, LogKeys, LookKeys, OutputKeys, PictureKeys, ServiceKeys,
    SourceKeys, SpriteKeys, StageKeys, TargetKeys, names,
};
use crate::config::value::{Name, Text};
use crate::config::{CHANNELS_MAX, DEFAULT_CACHE, DEFAULT_CHANNEL, cache_exists, key_names};
use crate::output::Target;
use crate::reaction::{Emoji, Palette, PaletteError};

/// A text with more lines than this that are no TOML is no settings file; reading stops there.
const SYNTAX_MISTAKES_MAX: usize = 100;

/// Of more mistakes than this the rest is not looked into, nor told.
const MISTAKES_MAX: usize = 1_000;

/// Tables of the settings file that are no flags.
pub(super) const TABLES: [&str; 4] = ["palette", "channel", "stage", "limits"];

/// What an entry of `output` or `source` may be.
const OUTPUTS: &str = "expected targets in quotes, such as [\"a.mov\"], or one [[output]] table for \
                       each output";
const SOURCES: &str = "expected addresses in quotes, such as [\"twitch:somebody\"], or one \
                       [[source]] table for each source";

/// What `stage` and `limits` may be.
const STAGE: &str = "expected a table, such as [stage] with sprites_max = 500";
const LIMITS: &str = "expected a table, such as [limits] with publisher_rate = 5";

/// One thing wrong in a settings file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The key, such as `size` or `channel.name`; `None` where the text is no TOML.
    pub key: Option<String>,
    /// What is wrong, and what is accepted.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.line)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// What a settings file says.
#[derive(Clone, Debug, Default)]
pub(super) struct FileKeys {
    pub service: ServiceKeys,
    pub look: LookKeys,
    pub picture: PictureKeys,
    pub gate: GateKeys,
    pub output: OutputKeys,
    pub log: LogKeys,
    /// Each with a target.
    pub outputs: Vec<OutputTable>,
    /// Each with an address.
    pub sources: Vec<SourceKeys>,
    pub palette: Option<Palette>,
    /// Image files by the names of their reactions.
    pub images: Vec<(String, PathBuf)>,
    pub channels: Vec<ChannelTable>,
}

/// One `[[channel]]` table.
#[derive(Clone, Debug, Default)]
pub(super) struct ChannelTable {
    pub keys: ChannelKeys,
    pub look: LookKeys,
    pub picture: PictureKeys,
    pub gate: GateKeys,
}

/// One `[[output]]` table, or one text of the array `output`.
#[derive(Clone, Debug, Default)]
pub(super) struct OutputTable {
    pub keys: TargetKeys,
    pub output: OutputKeys,
}

impl OutputTable {
    /// A table with nothing but a target.
    pub(super) fn to(target: Target) -> Self {
        Self {
            keys: TargetKeys {
                to: Some(Text(target)),
                ..TargetKeys::default()
            },
            ..Self::default()
        }
    }
}

/// Reads a settings file's text.
///
/// # Errors
/// Every mistake, in the order of their lines.
pub(super) fn read(text: &str) -> Result<FileKeys, Vec<Mistake>> {
    let (text, mistakes, unread) = syntax(text);
    let (table, _) = DeTable::parse_recoverable(&text);
    let mut reader = Reader {
        lines: Lines::of(&text),
        mistakes,
    };
    let keys = reader.file(table.into_inner());
    let mut mistakes = reader.mistakes;
    mistakes.retain(|m| m.key.is_none() || !unread.contains(&m.line));
    mistakes.sort_by_key(|m| m.line);
    if mistakes.is_empty() {
        Ok(keys)
    } else {
        Err(mistakes)
    }
}

/// Every mistake in a settings file's text, in the order of their lines; none when it is good.
#[must_use]
pub fn check(text: &str) -> Vec<Mistake> {
    read(text).err().unwrap_or_default()
}

/// The file of `{ image = "logo.png" }`.
fn image(value: &DeValue<'_>) -> Option<PathBuf> {
    let table = value.as_table()?;
    let path = table.get("image")?.get_ref().as_str()?;
    (table.len() == 1 && !path.is_empty()).then(|| path.into())
}

type Entry<'i> = (Spanned<toml::de::DeString<'i>>, Spanned<DeValue<'i>>);

struct Reader {
    /// Of what spans count in: the file's text, without lines that are no TOML.
    lines: Lines,
    mistakes: Vec<Mistake>,
}

impl Reader {
    fn file(&mut self, table: DeTable<'_>) -> FileKeys {
        let mut file = FileKeys::default();
        let service = names::<ServiceKeys>();
        let look = names::<LookKeys>();
        let frame = names::<FrameKeys>();
        let sprites = names::<SpriteKeys>();
        let stage = names::<StageKeys>();
        let gate = names::<GateKeys>();
        let output = names::<OutputKeys>();
        let log = names::<LogKeys>();
        let known = key_names();
        let mut channel_lines = Vec::new();
        let mut output_lines = Vec::new();
        let mut source_lines = Vec::new();
        for (key, value) in table {
            let name = key.get_ref().to_string();
            match name.as_str() {
                "palette" => {
                    (file.palette, file.images) = self.palette(&key.span(), value);
                }
                "channel" => (file.channels, channel_lines) = self.channels(&key.span(), value),
                "output" => (file.outputs, output_lines) = self.outputs(&key.span(), value),
                "source" => (file.sources, source_lines) = self.sources(&key.span(), value),
                "stage" => {
                    let all = self.group::<StageKeys>("stage", STAGE, &key.span(), value);
                    let stage = file.picture.stage;
                    file.picture.stage = all.into_iter().fold(stage, StageKeys::over);
                }
                "limits" => {
                    let all = self.group::<GateKeys>("limits", LIMITS, &key.span(), value);
                    file.gate = all.into_iter().fold(file.gate, GateKeys::over);
                }
                k if service.iter().any(|n| n == k) => {
                    let one: ServiceKeys = self.entry("", (key, value));
                    file.service = file.service.over(one);
                }
                k if look.iter().any(|n| n == k) => {
                    file.look = file.look.over(self.entry("", (key, value)));
                }
                k if frame.iter().any(|n| n == k) => {
                    let one: FrameKeys = self.entry("", (key, value));
                    file.picture.frame = file.picture.frame.over(one);
                }
                k if sprites.iter().any(|n| n == k) => {
                    let one: SpriteKeys = self.entry("", (key, value));
                    file.picture.sprites = file.picture.sprites.over(one);
                }
                k if stage.iter().any(|n| n == k) => {
                    let one: StageKeys = self.entry("", (key, value));
                    file.picture.stage = file.picture.stage.over(one);
                }
                k if gate.iter().any(|n| n == k) => {
                    file.gate = file.gate.over(self.entry("", (key, value)));
                }
                k if output.iter().any(|n| n == k) => {
                    file.output = file.output.over(self.entry("", (key, value)));
                }
                k if log.iter().any(|n| n == k) => {
                    file.log = file.log.over(self.entry("", (key, value)));
                }
                _ => self.unknown("", &name, &key.span(), &known),
            }
        }
        let channels = file.outputs.iter().map(|table| &table.keys.channel);
        self.channels_exist("output", &file, channels, &output_lines);
        let channels = file.sources.iter().map(|keys| &keys.channel);
        self.channels_exist("source", &file, channels, &source_lines);
        if let Some(caches) = &file.service.caches {
            for (channel, line) in file.channels.iter().zip(channel_lines) {
                let cache = channel.keys.cache.as_ref();
                let cache = cache.map_or(DEFAULT_CACHE, |name| name.0.0.as_str());
                if let Err(message) = cache_exists(cache, caches) {
                    self.add(line, Some("channel.cache".into()), message);
                }
            }
        }
        file
    }

    /// The channels, and the line on which each begins.
    fn channels(
        &mut self,
        span: &Range<usize>,
        value: Spanned<DeValue<'_>>,
    ) -> (Vec<ChannelTable>, Vec<usize>) {
        let line = self.line(span.start);
        let DeValue::Array(tables) = value.into_inner() else {
            let message = "expected one [[channel]] table for each channel";
            self.add(line, Some("channel".into()), message.into());
            return Default::default();
        };
        if !(1..=CHANNELS_MAX).contains(&tables.len()) {
            let message = format!(
                "{} channels: expected 1 to {CHANNELS_MAX} [[channel]] tables",
                tables.len()
            );
            self.add(line, Some("channel".into()), message);
        }
        let mut taken = HashSet::new();
        let mut channels = Vec::new();
        let mut lines = Vec::new();
        for table in tables {
            let line = self.line(table.span().start);
            let DeValue::Table(table) = table.into_inner() else {
                let message = "expected a table with at least a name";
                self.add(line, Some("channel".into()), message.into());
                continue;
            };
            let name = table.keys().find(|key| key.get_ref() == "name");
            let name_line = name.map(|key| self.line(key.span().start));
            let channel = self.channel(table);
            match &channel.keys.name {
                Some(name) => {
                    if !taken.insert(name.0.0.clone()) {
                        let message = format!(
                            "{:?} is given twice: expected a name of its own for each channel",
                            name.0.0
                        );
                        self.add(
                            name_line.unwrap_or(line),
                            Some("channel.name".into()),
                            message,
                        );
                    }
                }
                // A name that is there and wrong has its own message.
                None if name_line.is_some() => {}
                None => {
                    let message = "is missing: expected a name, such as name = \"demo\"";
                    self.add(line, Some("channel.name".into()), message.into());
                }
            }
            channels.push(channel);
            lines.push(line);
        }
        (channels, lines)
    }

    /// The outputs, each with its target, and the line on which each begins.
    fn outputs(
        &mut self,
        span: &Range<usize>,
        value: Spanned<DeValue<'_>>,
    ) -> (Vec<OutputTable>, Vec<usize>) {
        let line = self.line(span.start);
        let DeValue::Array(values) = value.into_inner() else {
            self.add(line, Some("output".into()), OUTPUTS.into());
            return Default::default();
        };
        let mut outputs = Vec::new();
        let mut lines = Vec::new();
        for value in values {
            let line = self.line(value.span().start);
            match value.into_inner() {
                DeValue::String(text) => match text.parse() {
                    Ok(target) => {
                        outputs.push(OutputTable::to(target));
                        lines.push(line);
                    }
                    Err(error) => self.add(line, Some("output".into()), format!("{error}")),
                },
                DeValue::Table(table) => {
                    let named = table.keys().any(|key| key.get_ref() == "to");
                    let output = self.output(table);
                    if output.keys.to.is_some() {
                        outputs.push(output);
                        lines.push(line);
                    } else if !named {
                        let message = "is missing: expected a target, such as to = \"a.mov\"";
                        self.add(line, Some("output.to".into()), message.into());
                    }
                }
                _ => self.add(line, Some("output".into()), OUTPUTS.into()),
            }
        }
        (outputs, lines)
    }

    fn output(&mut self, table: DeTable<'_>) -> OutputTable {
        let mut read = OutputTable::default();
        let output = names::<OutputKeys>();
        let mut known = TargetKeys::NAMES.map(String::from).to_vec();
        known.extend_from_slice(&output);
        for (key, value) in table {
            let name = key.get_ref().to_string();
            if TargetKeys::NAMES.contains(&name.as_str()) {
                read.keys = read.keys.over(self.entry("output.", (key, value)));
            } else if output.contains(&name) {
                read.output = read.output.over(self.entry("output.", (key, value)));
            } else {
                self.unknown("output.", &name, &key.span(), &known);
            }
        }
        read
    }

    /// The sources, each with its address, and the line on which each begins.
    fn sources(
        &mut self,
        span: &Range<usize>,
        value: Spanned<DeValue<'_>>,
    ) -> (Vec<SourceKeys>, Vec<usize>) {
        let line = self.line(span.start);
        let DeValue::Array(values) = value.into_inner() else {
            self.add(line, Some("source".into()), SOURCES.into());
            return Default::default();
        };
        let mut sources = Vec::new();
        let mut lines = Vec::new();
        for value in values {
            let line = self.line(value.span().start);
            match value.into_inner() {
                DeValue::String(text) => match text.parse() {
                    Ok(address) => {
                        sources.push(SourceKeys::from(address));
                        lines.push(line);
                    }
                    Err(error) => self.add(line, Some("source".into()), format!("{error}")),
                },
                DeValue::Table(table) => {
                    let named = table.keys().any(|key| key.get_ref() == "from");
                    let source = self.source(table);
                    if source.from.is_some() {
                        sources.push(source);
                        lines.push(line);
                    } else if !named {
                        let message =
                            "is missing: expected an address, such as from = \"twitch:somebody\"";
                        self.add(line, Some("source.from".into()), message.into());
                    }
                }
                _ => self.add(line, Some("source".into()), SOURCES.into()),
            }
        }
        (sources, lines)
    }

    fn source(&mut self, table: DeTable<'_>) -> SourceKeys {
        let mut read = SourceKeys::default();
        let known = SourceKeys::NAMES.map(String::from);
        for (key, value) in table {
            let name = key.get_ref().to_string();
            if SourceKeys::NAMES.contains(&name.as_str()) {
                read = read.over(self.entry("source.", (key, value)));
            } else {
                self.unknown("source.", &name, &key.span(), &known);
            }
        }
        read
    }

    /// Looks for entries of channels that don't exist.
    fn channels_exist<'k>(
        &mut self,
        what: &str,
        file: &FileKeys,
        channels: impl Iterator<Item = &'k Option<Text<Name>>>,
        lines: &[usize],
    ) {
        let names = file
            .channels
            .iter()
            .filter_map(|table| table.keys.name.as_ref());
        let mut names: Vec<&str> = names.map(|name| name.0.0.as_str()).collect();
        if names.is_empty() {
            names.push(DEFAULT_CHANNEL);
        }
        for (channel, line) in channels.zip(lines) {
            let Some(channel) = channel else { continue };
            if !names.contains(&channel.0.0.as_str()) {
                let message = format!(
                    "{:?} is no channel: expected one of {}",
                    channel.0.0,
                    names.join(", ")
                );
                self.add(*line, Some(format!("{what}.channel")), message);
            }
        }
    }

    fn channel(&mut self, table: DeTable<'_>) -> ChannelTable {
        let mut channel = ChannelTable::default();
        let look = names::<LookKeys>();
        let frame = names::<FrameKeys>();
        let sprites = names::<SpriteKeys>();
        let stage = names::<StageKeys>();
        let mut known = ChannelKeys::NAMES.map(String::from).to_vec();
        known.extend(["stage", "limits"].map(String::from));
        known.extend_from_slice(&look);
        known.extend_from_slice(&frame);
        known.extend_from_slice(&sprites);
        known.extend_from_slice(&stage);
        let gate = names::<GateKeys>();
        known.extend_from_slice(&gate);
        for (key, value) in table {
            let name = key.get_ref().to_string();
            if ChannelKeys::NAMES.contains(&name.as_str()) {
                channel.keys = channel.keys.over(self.entry("channel.", (key, value)));
            } else if look.contains(&name) {
                channel.look = channel.look.over(self.entry("channel.", (key, value)));
            } else if frame.contains(&name) {
                let one: FrameKeys = self.entry("channel.", (key, value));
                channel.picture.frame = channel.picture.frame.over(one);
            } else if sprites.contains(&name) {
                let one: SpriteKeys = self.entry("channel.", (key, value));
                channel.picture.sprites = channel.picture.sprites.over(one);
            } else if stage.contains(&name) {
                let one: StageKeys = self.entry("channel.", (key, value));
                channel.picture.stage = channel.picture.stage.over(one);
            } else if gate.contains(&name) {
                channel.gate = channel.gate.over(self.entry("channel.", (key, value)));
            } else if name == "stage" {
                let all = self.group("channel.stage", STAGE, &key.span(), value);
                let stage = channel.picture.stage;
                channel.picture.stage = all.into_iter().fold(stage, StageKeys::over);
            } else if name == "limits" {
                let all = self.group("channel.limits", LIMITS, &key.span(), value);
                channel.gate = all.into_iter().fold(channel.gate, GateKeys::over);
            } else {
                self.unknown("channel.", &name, &key.span(), &known);
            }
        }
        channel
    }

    /// A table of keys that may also stand outside of it, each by itself.
    fn group<G: clap::Args + DeserializeOwned + Default>(
        &mut self,
        name: &str,
        expected: &str,
        span: &Range<usize>,
        value: Spanned<DeValue<'_>>,
    ) -> Vec<G> {
        let DeValue::Table(table) = value.into_inner() else {
            self.add(self.line(span.start), Some(name.into()), expected.into());
            return Vec::new();
        };
        let known = names::<G>();
        let prefix = format!("{name}.");
        let mut all = Vec::new();
        for (key, value) in table {
            let one = key.get_ref().to_string();
            if known.contains(&one) {
                all.push(self.entry(&prefix, (key, value)));
            } else {
                self.unknown(&prefix, &one, &key.span(), &known);
            }
        }
        all
    }

    /// The palette, and the image files of those reactions that have one.
    fn palette(
        &mut self,
        span: &Range<usize>,
        value: Spanned<DeValue<'_>>,
    ) -> (Option<Palette>, Vec<(String, PathBuf)>) {
        let line = self.line(span.start);
        let DeValue::Table(table) = value.into_inner() else {
            let message = "expected a table of names and emoji, such as heart = \"❤️\"";
            self.add(line, Some("palette".into()), message.into());
            return (None, Vec::new());
        };
        if table.is_empty() {
            let message = "is empty: expected at least one entry, such as heart = \"❤️\"";
            self.add(line, Some("palette".into()), message.into());
            return (None, Vec::new());
        }
        let mut entries = Vec::new();
        let mut images = Vec::new();
        for (key, value) in table {
            let name = key.get_ref().to_string();
            let line = self.line(key.span().start);
            let emoji = match value.get_ref() {
                // What stands for an image may not be written as an emoji.
                DeValue::String(text) if text.starts_with(':') => {
                    let error = PaletteError::Emoji {
                        name: name.clone(),
                        emoji: text.to_string(),
                    };
                    self.palette_mistake(line, &name, &error);
                    continue;
                }
                DeValue::String(text) => text.to_string(),
                value => {
                    let Some(path) = image(value) else {
                        let message = "expected one emoji in quotes, or a file such as \
                                       { image = \"logo.png\" }";
                        self.add(line, Some(format!("palette.{name}")), message.into());
                        continue;
                    };
                    images.push((name.clone(), path));
                    Emoji::of_image(&name).as_str().to_owned()
                }
            };
            match Palette::new([(&name, &emoji)]) {
                Ok(_) => entries.push((key.span().start, name, emoji)),
                Err(error) => self.palette_mistake(line, &name, &error),
            }
        }
        // The file's order, which is the order of buttons; the parser sorts by name.
        entries.sort();
        loop {
            match Palette::new(entries.iter().map(|(_, name, emoji)| (name, emoji))) {
                Ok(palette) => return (Some(palette), images),
                Err(error) => {
                    // Each entry is good alone, so this one's name was there before.
                    let PaletteError::Twice(name) = &error else {
                        return (None, images);
                    };
                    let Some(at) = entries.iter().rposition(|(_, n, _)| n == name) else {
                        return (None, images);
                    };
                    let (start, name, _) = entries.remove(at);
                    self.palette_mistake(self.line(start), &name, &error);
                }
            }
        }
    }

    fn palette_mistake(&mut self, line: usize, name: &str, error: &PaletteError) {
        let accepted = match error {
            PaletteError::Name(_) => "expected a name with a letter or digit",
            PaletteError::Emoji { .. } => "expected one emoji in quotes",
            PaletteError::Twice(_) => "expected each name once",
        };
        self.add(
            line,
            Some(format!("palette.{name}")),
            format!("{error}; {accepted}"),
        );
    }

    /// One entry of a table as a group of keys with that entry alone.
    fn entry<G: DeserializeOwned + Default>(&mut self, prefix: &str, (key, value): Entry<'_>) -> G {
        let name = key.get_ref().to_string();
        let span = key.span().start..value.span().end;
        let start = key.span().start;
        let mut table = DeTable::new();
        table.insert(key, value);
        match G::deserialize(toml::de::Deserializer::from(Spanned::new(span, table))) {
            Ok(group) => group,
            Err(error) => {
                let line = self.line(error.span().map_or(start, |span| span.start));
                let message = error.message();
                let message = message
                    .strip_prefix(&format!("{name} "))
                    .unwrap_or(message)
                    .replace('\n', "; ");
                self.add(line, Some(format!("{prefix}{name}")), message);
                G::default()
            }
        }
    }

    fn unknown(&mut self, prefix: &str, name: &str, span: &Range<usize>, known: &[String]) {
        if self.mistakes.len() >= MISTAKES_MAX {
            return;
        }
        // No key is this long, and distances of long texts take long.
        let short = name.len() <= 64;
        let nearest = known
            .iter()
            .filter(|_| short)
            .min_by_key(|key| distance(name, key));
        let message = match nearest {
            Some(key) if distance(name, key) <= name.chars().count().div_ceil(3) => {
                format!("is no key: did you mean {key}?")
            }
            _ => {
                let mut known = known.to_vec();
                known.sort();
                format!("is no key: expected one of {}", known.join(", "))
            }
        };
        let line = self.line(span.start);
        self.add(line, Some(format!("{prefix}{name}")), message);
    }

    fn add(&mut self, line: usize, key: Option<String>, message: String) {
        if self.mistakes.len() >= MISTAKES_MAX {
            return;
        }
        self.mistakes.push(Mistake { line, key, message });
    }

    fn line(&self, offset: usize) -> usize {
        self.lines.line(offset)
    }
}

/// Finds the lines that are no TOML. Returns the text without them, one mistake for each, and
/// the lines on which a key can't be judged.
///
/// The parser gives up at some mistakes, so their lines are blanked and the rest is read again,
/// as long as that shows another line.
fn syntax(text: &str) -> (String, Vec<Mistake>, HashSet<usize>) {
    let mut lines: Vec<&str> = text.split('\n').collect();
    let mut mistakes = Vec::new();
    let mut broken = HashSet::new();
    loop {
        let left = lines.join("\n");
        let lines_left = Lines::of(&left);
        let before = broken.len();
        for error in DeTable::parse_recoverable(&left).1 {
            let line = lines_left.line(error.span().map_or(0, |span| span.start));
            if broken.insert(line) {
                lines[line - 1] = "";
                mistakes.push(Mistake {
                    line,
                    key: None,
                    message: error.message().replace('\n', "; "),
                });
            }
        }
        if broken.len() == before || broken.len() >= SYNTAX_MISTAKES_MAX {
            return (left, mistakes, unread(text, broken));
        }
    }
}

/// The broken lines, and those under a table's head that is broken: whose keys they are is not
/// known.
fn unread(text: &str, mut broken: HashSet<usize>) -> HashSet<usize> {
    let mut headless = false;
    for (n, line) in text.split('\n').enumerate() {
        if line.trim_start().starts_with('[') {
            headless = broken.contains(&(n + 1));
        }
        if headless {
            broken.insert(n + 1);
        }
    }
    broken
}

/// Where the lines of a text end.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    /// The line of a byte, from 1.
    fn line(&self, offset: usize) -> usize {
        1 + self.0.partition_point(|&end| end < offset)
    }
}
