//! Outputs that are locked frame to frame: key and fill.
//!
//! Each is a sink of its own, since a reader of both may wait for the one before it looks at the
//! other. They begin with the same frame, that which is next when the first of them is open; and
//! when one of them loses its reader, both begin again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What locked outputs share.
#[derive(Clone, Debug, Default)]
pub(super) struct Lock(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// One of them is open.
    open: bool,
    /// The first frame of all, once one is open.
    start: Option<u64>,
    /// How often they have begun again.
    generation: u64,
}

impl Lock {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the frame loop, before it gives a frame to any of them: whether they take it.
    pub(super) fn admits(&self, index: u64) -> bool {
        let mut state = self.state();
        if state.open {
            state.start.get_or_insert(index);
        }
        state.start.is_some()
    }

    /// Whether a frame is one of all since they began.
    pub(super) fn has(&self, index: u64) -> bool {
        self.state().start.is_some_and(|start| start <= index)
    }

    /// One of them is open. Returns the generation that it belongs to.
    pub(super) fn opened(&self) -> u64 {
        let mut state = self.state();
        state.open = true;
        state.generation
    }

    /// Whether one of them is.
    pub(super) fn is_open(&self) -> bool {
        self.state().open
    }

    /// One of them has lost its reader: all begin again, if they have not meanwhile.
    pub(super) fn lost(&self, generation: u64) {
        let mut state = self.state();
        if state.generation == generation {
            let generation = generation + 1;
            *state = State {
                generation,
                ..State::default()
            };
        }
    }

    /// How often they have begun again.
    pub(super) fn generation(&self) -> u64 {
        self.state().generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_begin_with_one_frame_and_begin_again_together() {
        let lock = Lock::default();
        assert!(!lock.admits(3));
        let first = lock.opened();
        assert!(!lock.has(4), "not before the frame loop says so");
        assert!(lock.admits(5) && lock.admits(6));
        assert!(!lock.has(4) && lock.has(5) && lock.has(6));
        assert_eq!(lock.opened(), first, "the other one, later");

        lock.lost(first);
        assert!(!lock.admits(7) && !lock.has(6));
        lock.lost(first);
        let second = lock.opened();
        assert_eq!(second, first + 1, "lost once, though both say so");
        assert!(lock.admits(9) && !lock.has(8));
    }
}
