//! How often lines of one kind may be said.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::Event;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};

/// Lines of one kind that are said in a [`WINDOW`]; the others are counted.
const LINES_MAX: u32 = 20;

/// From a kind's first line on, and then from the first after it.
const WINDOW: Duration = Duration::from_secs(60);

/// Kinds that are told from each other. All further ones count as one.
const KINDS_MAX: usize = 4_096;

/// What is kept of a line that was left out, in characters.
const MESSAGE_CHARS_MAX: usize = 200;

/// What a line is about, beside the place in the code that says it.
const LABELS: [&str; 3] = ["channel", "output", "source"];

/// Lines of each kind: of one place in the code, and about one channel, output and source.
#[derive(Debug, Default)]
pub(super) struct Limits(Mutex<HashMap<Option<(Identifier, u64)>, Kind>>);

#[derive(Debug)]
struct Kind {
    since: Instant,
    said: u32,
    left_out: Option<LeftOut>,
}

/// Lines of one kind that were not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) count: u64,
    /// The beginning of the last one.
    pub(super) last: String,
}

impl Limits {
    /// Whether a line is said now, and what was left out before it.
    pub(super) fn admit(&self, event: &Event<'_>, now: Instant) -> Option<Option<LeftOut>> {
        let mut seen = Seen::default();
        event.record(&mut seen);
        let place = event.metadata().callsite();
        self.admit_one((place, seen.labels.finish()), now, seen.message)
    }

    fn admit_one(
        &self,
        kind: (Identifier, u64),
        now: Instant,
        message: String,
    ) -> Option<Option<LeftOut>> {
        let mut kinds = self.lock();
        let is_known = kinds.contains_key(&Some(kind.clone()));
        let key = (is_known || kinds.len() < KINDS_MAX).then_some(kind);
        let kind = kinds.entry(key).or_insert(Kind {
            since: now,
            said: 0,
            left_out: None,
        });
        if now.saturating_duration_since(kind.since) >= WINDOW {
            kind.since = now;
            kind.said = 0;
        }
        if kind.said == LINES_MAX {
            let left_out = kind.left_out.get_or_insert_default();
            left_out.count += 1;
            left_out.last = message;
            return None;
        }
        kind.said += 1;
        Some(kind.left_out.take())
    }

    /// What has been left out and not been told.
    pub(super) fn take_left_out(&self) -> Vec<LeftOut> {
        let mut kinds = self.lock();
        kinds
            .values_mut()
            .filter_map(|kind| kind.left_out.take())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<(Identifier, u64)>, Kind>> {
        // No code under the lock leaves a change half made, so a poisoned value is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What of an event's fields counts.
#[derive(Default)]
struct Seen {
    labels: DefaultHasher,
    message: String,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if LABELS.contains(&field.name()) {
            (field.name(), format!("{value:?}")).hash(&mut self.labels);
        } else if field.name() == "message" {
            let message = format!("{value:?}");
            self.message = message.chars().take(MESSAGE_CHARS_MAX).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place in the code.
    fn place() -> Identifier {
        use tracing::callsite::Callsite as _;
        tracing::callsite!(name: "place", kind: tracing::metadata::Kind::EVENT, fields: message)
            .metadata()
            .callsite()
    }

    #[test]
    fn so_many_lines_of_a_kind_are_said_a_minute_and_how_many_were_not() {
        let limits = Limits::default();
        let start = crate::stderr::now();
        let say = |label: u64, second: u64| {
            let now = start + Duration::from_secs(second);
            limits.admit_one((place(), label), now, format!("line of {second}"))
        };
        let said =
            |label, second, lines: usize| (0..lines).filter_map(|_| say(label, second)).count();
        assert_eq!(said(1, 0, 1_000), 20);
        assert_eq!(said(1, 59, 1_000), 0);
        assert_eq!(said(2, 59, 5), 5, "another kind");
        let left_out = LeftOut {
            count: 1_980,
            last: "line of 59".into(),
        };
        assert_eq!(say(1, 60), Some(Some(left_out)));
        assert_eq!(say(1, 60), Some(None));
        assert_eq!(said(1, 61, 1_000), 18);
        let left_out = LeftOut {
            count: 982,
            last: "line of 61".into(),
        };
        assert_eq!(limits.take_left_out(), [left_out]);
        assert_eq!(limits.take_left_out(), []);
    }

    #[test]
    fn kinds_are_bounded() {
        let limits = Limits::default();
        let start = crate::stderr::now();
        let say = |label| limits.admit_one((place(), label), start, String::new());
        let said = (0..10_000).filter_map(say).count();
        assert_eq!(said, KINDS_MAX + LINES_MAX as usize);
        assert_eq!(limits.lock().len(), KINDS_MAX + 1);
    }
}
