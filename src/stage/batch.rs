//! Messages that stand for many: how many sprites a count asks for, and when each comes on.

use std::time::Duration;

/// Every reaction up to so many in one message has a sprite of its own.
const EACH_MAX: u32 = 10;

/// How many sprites stand for `count` reactions of one message: each for itself up to ten, and
/// `10 + 10 ln(count / 10)` rounded down beyond that. So 37 are 23, 100 are 33 and 1,000 are 56:
/// the more there are, the more are seen, and no crowd hides the picture.
///
/// `assets/stage.js` has the same; no count's logarithm is so near a whole number that two libraries
/// could round it to different ones.
#[must_use]
pub fn shown(count: u32) -> u32 {
    if count <= EACH_MAX {
        return count;
    }
    let each = f64::from(EACH_MAX);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "above 10 and far below a u32's end, and rounded down"
    )]
    let more = (each * (f64::from(count) / each).ln()) as u32;
    EACH_MAX + more
}

/// How far apart messages of several sprites come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Batches {
    last: Option<Duration>,
    interval: Option<Duration>,
}

impl Batches {
    /// The time until the next batch, as far as can be told when one comes `at`: as long as since the
    /// one before, and at most `most`, as also for the first.
    pub(super) fn interval(&mut self, at: Duration, most: Duration) -> Duration {
        if let Some(last) = self.last
            && at > last
        {
            self.interval = Some(at - last);
        }
        self.last = Some(at);
        self.interval.unwrap_or(most).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reaction::SPRITES_PER_PAYLOAD_MAX;

    #[test]
    fn a_crowd_has_fewer_sprites_than_heads_and_never_fewer_for_more() {
        let some = [0, 1, 9, 10, 11, 37, 100, 1_000].map(shown);
        assert_eq!(some, [0, 1, 9, 10, 10, 23, 33, 56]);
        for count in 1..SPRITES_PER_PAYLOAD_MAX {
            let step = shown(count + 1) - shown(count);
            assert!(step <= 1, "{count}");
            let exact = 10.0 * (f64::from(count) / 10.0).ln();
            let is_told = count == 10 || (exact - exact.round()).abs() > 1e-6;
            assert!(is_told, "{count} could be rounded either way");
        }
    }

    #[test]
    fn the_time_between_batches_is_that_between_the_last_two() {
        let ms = Duration::from_millis;
        let mut batches = Batches::default();
        let told: Vec<_> = [5_000, 5_200, 5_200, 5_450, 9_000]
            .map(|at| batches.interval(ms(at), ms(1_000)))
            .into();
        assert_eq!(told, [1_000, 200, 200, 250, 1_000].map(ms));
        assert_eq!(Batches::default().interval(ms(1), ms(0)), ms(0));
    }
}
