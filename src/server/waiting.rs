//! How many polls wait at once, over all and for each caller.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::server::answer::ApiError;

/// Waiting polls of one caller. A browser opens six connections to a host, and a few pages of
/// one player must fit.
const PER_CALLER_MAX: u32 = 16;

/// Waiting polls of all callers.
const TOTAL_MAX: u32 = 10_000;

/// Counts the polls that wait. A poll beyond a bound is answered 429.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Callers>);

#[derive(Debug, Default)]
struct Callers {
    /// At most [`TOTAL_MAX`] entries: each has at least one poll.
    polls: HashMap<u64, u32>,
    total: u32,
}

/// One waiting poll's place, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    waiting: &'a Waiting,
    caller: u64,
}

impl Waiting {
    /// A place for one more poll of `caller`, which is a hash of who it is.
    pub(super) fn place(&self, caller: u64) -> Result<Place<'_>, ApiError> {
        let mut callers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.total >= TOTAL_MAX {
            let message = format!("{TOTAL_MAX} polls are waiting already");
            return Err(ApiError::too_many("too_many_polls", message));
        }
        if callers.polls.get(&caller) >= Some(&PER_CALLER_MAX) {
            let message = format!("this caller has {PER_CALLER_MAX} polls waiting already");
            return Err(ApiError::too_many("too_many_polls", message));
        }
        callers.total += 1;
        *callers.polls.entry(caller).or_default() += 1;
        Ok(Place {
            waiting: self,
            caller,
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut callers = self
            .waiting
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        callers.total -= 1;
        if let Some(polls) = callers.polls.get_mut(&self.caller) {
            *polls -= 1;
            if *polls == 0 {
                callers.polls.remove(&self.caller);
            }
        }
    }
}
