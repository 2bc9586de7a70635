//! Where pollers that name no number go on.
//!
//! The tutorial's script polls without a sequence number, so each poll asks for what comes *from
//! now on*, and whatever is published between two polls is lost. So each answered poll leaves a
//! note of where it ended, and the same caller's next poll takes the note and goes on there.
//!
//! Two tabs of one browser look the same. Notes are therefore taken, not shared: as many notes
//! lie here as tabs are between two polls, and a poll prefers the one that was left on its own
//! connection, else takes the oldest.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::topic::Cursor;

/// How long a note is good for. A page re-polls at once; one that has been away for longer does
/// not want the past.
const NOTE_AGE_MAX: Duration = Duration::from_secs(5);

/// Answers remembered; the oldest makes room, whether its note was taken or not.
const NOTES_MAX: usize = 10_000;

/// Notes by caller, where a caller is a hash of token, topic, address and user agent.
#[derive(Debug, Default)]
pub(super) struct GapCure {
    /// Notes not taken yet, oldest first; no more of them than `left` is long.
    notes: HashMap<u64, VecDeque<Note>>,
    /// Every answer of the last [`NOTE_AGE_MAX`], oldest first, at most [`NOTES_MAX`].
    left: VecDeque<(Instant, u64, u64)>,
    next_id: u64,
}

#[derive(Debug)]
struct Note {
    id: u64,
    port: u16,
    cursor: Cursor,
}

impl GapCure {
    /// Takes the note that suits a poll of `caller` from `port`.
    pub(super) fn take(&mut self, caller: u64, port: u16, now: Instant) -> Option<Cursor> {
        self.expire(now);
        let notes = self.notes.get_mut(&caller)?;
        let own = notes.iter().position(|note| note.port == port);
        let note = notes.remove(own.unwrap_or(0))?;
        if notes.is_empty() {
            self.notes.remove(&caller);
        }
        Some(note.cursor)
    }

    /// Leaves a note that a poll of `caller` from `port` ended at `cursor`.
    pub(super) fn leave(&mut self, caller: u64, port: u16, cursor: Cursor, now: Instant) {
        self.expire(now);
        if self.left.len() >= NOTES_MAX {
            self.forget_oldest();
        }
        let id = self.next_id;
        self.next_id += 1;
        self.left.push_back((now, caller, id));
        let note = Note { id, port, cursor };
        self.notes.entry(caller).or_default().push_back(note);
    }

    fn expire(&mut self, now: Instant) {
        while let Some((at, ..)) = self.left.front()
            && now.duration_since(*at) > NOTE_AGE_MAX
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, caller, id)) = self.left.pop_front() else {
            return;
        };
        if let Some(notes) = self.notes.get_mut(&caller) {
            notes.retain(|note| note.id != id);
            if notes.is_empty() {
                self.notes.remove(&caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sequence: u64) -> Cursor {
        Cursor { page: 1, sequence }
    }

    #[test]
    fn a_note_is_taken_once_and_only_by_its_caller() {
        let now = Instant::now();
        let mut cure = GapCure::default();
        cure.leave(1, 80, at(5), now);
        assert_eq!(cure.take(2, 80, now), None);
        assert_eq!(cure.take(1, 81, now), Some(at(5)));
        assert_eq!(cure.take(1, 81, now), None);
    }

    #[test]
    fn of_two_tabs_each_gets_its_own_note_or_else_the_oldest() {
        let now = Instant::now();
        let mut cure = GapCure::default();
        cure.leave(1, 80, at(5), now);
        cure.leave(1, 81, at(7), now);
        assert_eq!(cure.take(1, 81, now), Some(at(7)));
        cure.leave(1, 81, at(8), now);
        assert_eq!(cure.take(1, 99, now), Some(at(5)));
        assert_eq!(cure.take(1, 99, now), Some(at(8)));
    }

    #[test]
    fn notes_end_with_age_and_with_number_and_leave_nothing_behind() {
        let start = Instant::now();
        let mut cure = GapCure::default();
        cure.leave(1, 80, at(5), start);
        assert_eq!(cure.take(1, 80, start + NOTE_AGE_MAX), Some(at(5)));
        cure.leave(1, 80, at(6), start);
        let late = start + NOTE_AGE_MAX + Duration::from_nanos(1);
        assert_eq!(cure.take(1, 80, late), None);
        for caller in 0..=NOTES_MAX as u64 {
            cure.leave(caller, 80, at(caller), late);
        }
        assert_eq!(cure.left.len(), NOTES_MAX);
        assert_eq!(cure.take(0, 80, late), None, "the oldest made room");
        assert_eq!(cure.take(1, 80, late), Some(at(1)));
        assert_eq!(cure.take(1, 80, late + NOTE_AGE_MAX * 2), None);
        assert!(cure.notes.is_empty() && cure.left.is_empty());
    }
}
