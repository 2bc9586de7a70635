//! A reaction log: NDJSON, one reaction a line, each with its own time.

use std::time::Duration;

use serde::Deserialize;

use crate::reaction::{Palette, Reaction, SPRITES_PER_PAYLOAD_MAX};

/// The latest time that an entry may have: one week.
pub const AT_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The line's number, from 1. It stands for the sequence number in the placement hash.
    pub line: u64,
    /// From the log's start, at most [`AT_MAX`].
    pub at: Duration,
    /// What floats up then.
    pub reaction: Reaction,
}

/// A line that is no entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct BadLine {
    /// The line's number, from 1.
    pub line: u64,
    /// What is wrong, and what is accepted.
    pub reason: String,
}

/// A line of a log, without its end. The time is that of its last whole millisecond.
#[must_use]
pub fn line(at: Duration, reaction: &Reaction) -> String {
    let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
    let emoji = reaction.emoji.as_str();
    serde_json::json!({ "at_ms": at_ms, "reaction": emoji, "count": reaction.count }).to_string()
}

#[derive(Deserialize)]
struct EntryJson<'a> {
    at_ms: f64,
    #[serde(borrow)]
    reaction: std::borrow::Cow<'a, str>,
    count: Option<u32>,
}

/// Reads a log line by line: `{"at_ms":1234,"reaction":"heart","count":1}`, `count` 1 if it is
/// left out. Blank lines are passed over; so are other fields. Lines need not be in order of time.
pub fn entries<'a>(
    log: &'a [u8],
    palette: &'a Palette,
) -> impl Iterator<Item = Result<Entry, BadLine>> + 'a {
    (1..)
        .zip(log.split(|&byte| byte == b'\n'))
        .filter_map(move |(line, text)| {
            let text = text.trim_ascii();
            (!text.is_empty())
                .then(|| entry(line, text, palette).map_err(|reason| BadLine { line, reason }))
        })
}

fn entry(line: u64, text: &[u8], palette: &Palette) -> Result<Entry, String> {
    let text = std::str::from_utf8(text).map_err(|_| "not UTF-8".to_owned())?;
    let json: EntryJson<'_> = serde_json::from_str(text).map_err(|e| {
        // `serde_json` counts lines within the text it is given, which is always one.
        let reason = e.to_string();
        let place = format!(" at line {} column {}", e.line(), e.column());
        format!(
            "{}, column {}",
            reason.strip_suffix(&place).unwrap_or(&reason),
            e.column()
        )
    })?;
    let at = Duration::try_from_secs_f64(json.at_ms / 1_000.0)
        .ok()
        .filter(|at| *at <= AT_MAX);
    let at = at.ok_or_else(|| {
        format!(
            "at_ms: {}; expected 0 to {}",
            json.at_ms,
            AT_MAX.as_millis()
        )
    })?;
    let emoji = palette.find(&json.reaction).ok_or_else(|| {
        let name = json.reaction.chars().take(40).collect::<String>();
        format!("reaction: {name:?} is not in the palette")
    })?;
    let count = json.count.unwrap_or(1);
    if !(1..=SPRITES_PER_PAYLOAD_MAX).contains(&count) {
        return Err(format!(
            "count: {count}; expected 1 to {SPRITES_PER_PAYLOAD_MAX}"
        ));
    }
    Ok(Entry {
        line,
        at,
        reaction: Reaction { emoji, count },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(log: &str) -> Vec<Result<Entry, BadLine>> {
        entries(log.as_bytes(), &Palette::default()).collect()
    }

    #[test]
    fn lines_keep_their_numbers_across_blank_and_bad_ones() {
        let log = "{\"at_ms\":10,\"reaction\":\"heart\"}\n\nnonsense\r\n{\"at_ms\":5.5,\"reaction\":\"🔥\",\"count\":3}";
        let lines = read(log);
        assert_eq!(lines.len(), 3);
        let first = lines[0].as_ref().unwrap();
        assert_eq!(
            (first.line, first.at, first.reaction.count),
            (1, Duration::from_millis(10), 1)
        );
        assert_eq!(lines[1].as_ref().unwrap_err().line, 3);
        let last = lines[2].as_ref().unwrap();
        assert_eq!(
            (last.line, last.at, last.reaction.count),
            (4, Duration::from_micros(5_500), 3)
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (line, reason) in [
            ("{", "line 1: EOF while parsing an object, column 1"),
            ("{\"reaction\":\"heart\"}", "missing field `at_ms`"),
            (
                "{\"at_ms\":-1,\"reaction\":\"heart\"}",
                "at_ms: -1; expected 0 to 604800000",
            ),
            ("{\"at_ms\":1e300,\"reaction\":\"heart\"}", "at_ms: "),
            (
                "{\"at_ms\":NaN,\"reaction\":\"heart\"}",
                "expected value, column 10",
            ),
            (
                "{\"at_ms\":1,\"reaction\":\"nope\"}",
                "\"nope\" is not in the palette",
            ),
            (
                "{\"at_ms\":1,\"reaction\":\"heart\",\"count\":0}",
                "count: 0; expected 1 to 1000",
            ),
        ] {
            let error = read(line).remove(0).expect_err(line).to_string();
            assert!(error.contains(reason), "{line}: {error}");
        }
        let bytes = entries(b"\xff", &Palette::default())
            .next()
            .unwrap()
            .unwrap_err()
            .to_string();
        assert_eq!(bytes, "line 1: not UTF-8");
    }
}
