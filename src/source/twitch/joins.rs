//! How many channels may be joined at once.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Channels joined per span of time, as Twitch limits it.
const JOINS: (usize, Duration) = (20, Duration::from_secs(10));

/// Waits until this process may join one more channel.
pub(super) async fn turn_to_join() {
    /// When the last ones were joined, at most [`JOINS`]; all of this process's count together.
    static JOINED: Mutex<VecDeque<Instant>> = Mutex::new(VecDeque::new());
    let (count, span) = JOINS;
    let at = {
        let mut joined = JOINED.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let at = match joined.len() < count {
            true => now,
            false => joined
                .pop_front()
                .map_or(now, |first| now.max(first + span)),
        };
        joined.push_back(at);
        at
    };
    sleep_until(at).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_more_channels_are_joined_at_once_than_twitch_allows() {
        let begun = Instant::now();
        let (count, span) = JOINS;
        for n in 0..3 * count {
            turn_to_join().await;
            let least = span * u32::try_from(n / count).unwrap();
            let took = begun.elapsed();
            assert!(took >= least && took < least + span, "{n}: {took:?}");
        }
    }
}
