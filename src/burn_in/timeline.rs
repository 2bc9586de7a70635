//! The programme's time: what keeps time stamps going forward where those of an input jump.
//!
//! Time stamps are kept as they are until a transport stream has a discontinuity or the input comes
//! back after it was lost; from then on those of all streams are moved by the same time.

use std::time::Duration;

/// Where a transport stream's time jumps by more than this, it is a discontinuity: as ffmpeg has
/// it (`dts_delta_threshold`).
const JUMP_US: i64 = 10_000_000;

/// Time that goes back by more than this is one, too.
const BACK_US: i64 = 100_000;

/// What is added to an input's time stamps.
#[derive(Debug)]
pub(super) struct Timeline {
    /// Whether the format's time stamps may jump.
    may_jump: bool,
    offset_us: i64,
    /// Where each stream's next packet is expected, on the timeline.
    next_us: Vec<Option<i64>>,
    /// Where the first packet of an input that is back belongs.
    resume_us: Option<i64>,
}

impl Timeline {
    /// For so many streams, of a format whose time stamps may jump or not.
    pub(super) fn new(streams: usize, may_jump: bool) -> Self {
        Self {
            may_jump,
            offset_us: 0,
            next_us: vec![None; streams],
            resume_us: None,
        }
    }

    /// The input is back, as so many streams, this long after its last packet.
    pub(super) fn resume(&mut self, streams: usize, after: Duration) {
        let end = self.next_us.iter().flatten().max().copied();
        let after = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
        self.resume_us = end.map(|end| end.saturating_add(after)).or(self.resume_us);
        self.next_us = vec![None; streams];
    }

    /// What is to be added to the time stamps of a packet of this stream that is decoded at `dts`
    /// and lasts for `duration`, in microseconds; and whether that is another time than before.
    pub(super) fn place(&mut self, stream: usize, dts: i64, duration: i64) -> (i64, bool) {
        let before = self.offset_us;
        if let Some(resume) = self.resume_us.take() {
            self.offset_us = resume.saturating_sub(dts);
        }
        let mut at = dts.saturating_add(self.offset_us);
        let next = self.next_us.get(stream).copied().flatten();
        if let Some(next) = next
            && self.may_jump
            && (at.abs_diff(next) > JUMP_US.unsigned_abs() || at.saturating_add(BACK_US) < next)
        {
            self.offset_us = self.offset_us.saturating_add(next.saturating_sub(at));
            at = next;
        }
        if let Some(next) = self.next_us.get_mut(stream) {
            let end = at.saturating_add(duration.max(0));
            *next = Some(next.map_or(end, |before| before.max(end)));
        }
        (self.offset_us, self.offset_us != before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_left_alone() {
        let mut timeline = Timeline::new(2, true);
        for n in 0..100 {
            assert_eq!(timeline.place(0, 90_000 + n * 40_000, 40_000), (0, false));
            assert_eq!(timeline.place(1, 80_000 + n * 40_000, 21_333), (0, false));
        }
    }

    #[test]
    fn a_jump_is_closed_for_all_streams() {
        let mut timeline = Timeline::new(2, true);
        timeline.place(0, 0, 40_000);
        timeline.place(1, 0, 20_000);
        assert_eq!(timeline.place(0, 60_000_000, 40_000), (-59_960_000, true));
        // The other one's time is still the old one for a while, and is closed back.
        assert_eq!(timeline.place(1, 60_000_000, 20_000), (-59_960_000, false));
        assert_eq!(timeline.place(0, 1_000_000, 40_000).0, -920_000);
    }

    #[test]
    fn without_jumps_in_the_format_none_is_closed() {
        let mut timeline = Timeline::new(1, false);
        timeline.place(0, 0, 40_000);
        assert_eq!(timeline.place(0, 60_000_000, 40_000), (0, false));
    }

    #[test]
    fn an_input_that_is_back_goes_on_where_it_would_be() {
        let mut timeline = Timeline::new(1, false);
        timeline.place(0, 5_000_000, 40_000);
        timeline.resume(2, Duration::from_secs(3));
        assert_eq!(timeline.place(1, 100, 0), (8_039_900, true));
        assert_eq!(timeline.place(0, 200, 40_000), (8_039_900, false));
    }
}
