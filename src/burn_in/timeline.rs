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
    /// What was added before the last jump: other streams' packets may still be from before it.
    before_us: Option<i64>,
    streams: Vec<Stream>,
    /// The end of the latest packet of audio or video, on the timeline.
    latest_us: Option<i64>,
    /// Where an input that is back belongs, and the earliest time that it says itself.
    resume: Option<(i64, Option<i64>)>,
}

#[derive(Debug)]
struct Stream {
    /// Whether it always has something to say, as audio and video have; captions haven't.
    is_dense: bool,
    /// Where its next packet is expected, on the timeline.
    next_us: Option<i64>,
}

impl Timeline {
    /// Of a format whose time stamps may jump or not; for each stream, whether it is audio or
    /// video.
    pub(super) fn new(are_dense: Vec<bool>, may_jump: bool) -> Self {
        let stream = |is_dense| Stream {
            is_dense,
            next_us: None,
        };
        Self {
            may_jump,
            offset_us: 0,
            before_us: None,
            streams: are_dense.into_iter().map(stream).collect(),
            latest_us: None,
            resume: None,
        }
    }

    /// The input is back this long after its last packet; its time stamps begin at `start`, if that
    /// is known.
    pub(super) fn resume(&mut self, start_us: Option<i64>, after: Duration) {
        let ends = self
            .streams
            .iter_mut()
            .filter_map(|stream| stream.next_us.take());
        let end = ends.max().or(self.resume.map(|(at, _)| at));
        let after = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
        self.resume = end.map(|end| (end.saturating_add(after), start_us));
        self.latest_us = None;
        self.before_us = None;
    }

    /// What is to be added to the time stamps of a packet of this stream that is decoded at `dts`
    /// and lasts for `duration`, in microseconds; and whether that is another time than before.
    pub(super) fn place(&mut self, stream: usize, dts: i64, duration: i64) -> (i64, bool) {
        let was = self.offset_us;
        if let Some((resume, start)) = self.resume.take() {
            self.offset_us = resume.saturating_sub(start.map_or(dts, |start| start.min(dts)));
        }
        let mut offset = self.offset_us;
        if self.may_jump && !self.fits(stream, dts.saturating_add(offset)) {
            let old = self
                .before_us
                .filter(|old| self.fits(stream, dts.saturating_add(*old)));
            match (old, self.expected(stream)) {
                (Some(old), _) => offset = old,
                (None, Some(expected)) => {
                    self.before_us = Some(self.offset_us);
                    offset = expected.saturating_sub(dts);
                    self.offset_us = offset;
                }
                (None, None) => {}
            }
        }
        let end = dts.saturating_add(offset).saturating_add(duration.max(0));
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.next_us = Some(stream.next_us.map_or(end, |next| next.max(end)));
            if stream.is_dense {
                self.latest_us = Some(self.latest_us.map_or(end, |latest| latest.max(end)));
            }
        }
        (offset, self.offset_us != was)
    }

    /// Whether a packet of this stream may be at this time without a jump.
    fn fits(&self, stream: usize, at: i64) -> bool {
        let Some(latest) = self.latest_us else {
            return true;
        };
        let is_near = at.abs_diff(latest) <= JUMP_US.unsigned_abs();
        let goes_back = |next| at.saturating_add(BACK_US) < next;
        let stream = self.streams.get(stream);
        let next = stream
            .filter(|stream| stream.is_dense)
            .and_then(|stream| stream.next_us);
        is_near && !next.is_some_and(goes_back)
    }

    /// Where a packet of this stream belongs that jumps; `None` for a stream whose time alone
    /// proves nothing.
    fn expected(&self, stream: usize) -> Option<i64> {
        let stream = self.streams.get(stream).filter(|stream| stream.is_dense)?;
        stream.next_us.or(self.latest_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO: usize = 0;
    const AUDIO: usize = 1;
    const CAPTIONS: usize = 2;

    /// A second of it in microseconds.
    const S: i64 = 1_000_000;

    fn timeline(may_jump: bool) -> Timeline {
        Timeline::new(vec![true, true, false], may_jump)
    }

    #[test]
    fn what_goes_on_is_left_alone() {
        let mut timeline = timeline(true);
        for n in 0..100 {
            assert_eq!(
                timeline.place(VIDEO, 90_000 + n * 40_000, 40_000),
                (0, false)
            );
            assert_eq!(
                timeline.place(AUDIO, 80_000 + n * 40_000, 21_333),
                (0, false)
            );
        }
    }

    #[test]
    fn a_jump_is_closed_once_for_all_streams() {
        let mut timeline = timeline(true);
        timeline.place(VIDEO, 0, 40_000);
        timeline.place(AUDIO, 0, 20_000);
        let closed = 40_000 - 60 * S;
        assert_eq!(timeline.place(VIDEO, 60 * S, 40_000), (closed, true));
        // Audio is from before it for a while, and then from after it.
        assert_eq!(timeline.place(AUDIO, 20_000, 20_000), (0, false));
        assert_eq!(
            timeline.place(VIDEO, 60 * S + 40_000, 40_000),
            (closed, false)
        );
        assert_eq!(timeline.place(AUDIO, 60 * S, 20_000), (closed, false));
        // Then back to the first one's time.
        assert_eq!(timeline.place(AUDIO, 100_000, 20_000), (0, false));
        assert_eq!(timeline.place(VIDEO, 0, 40_000), (120_000, true));
    }

    #[test]
    fn captions_may_be_silent_for_as_long_as_they_like() {
        let mut timeline = timeline(true);
        timeline.place(CAPTIONS, 0, 0);
        for n in 0..1_000 {
            assert_eq!(timeline.place(VIDEO, n * 40_000, 40_000), (0, false));
        }
        assert_eq!(timeline.place(CAPTIONS, 40 * S, 2 * S), (0, false));
        // Nor are they believed where they alone have another time.
        assert_eq!(timeline.place(CAPTIONS, 900 * S, 0), (0, false));
        assert_eq!(timeline.place(VIDEO, 40 * S, 40_000), (0, false));
    }

    #[test]
    fn time_that_goes_back_is_a_jump() {
        let mut timeline = timeline(true);
        timeline.place(VIDEO, 5 * S, 40_000);
        assert_eq!(timeline.place(VIDEO, 4 * S, 40_000), (S + 40_000, true));
        // A little of it is disorder.
        assert_eq!(
            timeline.place(VIDEO, 4 * S + 30_000, 40_000),
            (S + 40_000, false)
        );
    }

    #[test]
    fn without_jumps_in_the_format_none_is_closed() {
        let mut timeline = timeline(false);
        timeline.place(VIDEO, 0, 40_000);
        assert_eq!(timeline.place(VIDEO, 60 * S, 40_000), (0, false));
    }

    #[test]
    fn an_input_that_is_back_goes_on_where_it_would_be() {
        let mut timeline = timeline(true);
        timeline.place(VIDEO, 5 * S, 40_000);
        timeline.place(AUDIO, 5 * S, 60_000);
        timeline.resume(Some(100), Duration::from_secs(3));
        // Whichever stream comes first, the earliest time stamp is where it goes on.
        let moved = 8 * S + 60_000 - 100;
        assert_eq!(timeline.place(AUDIO, 500_000, 0), (moved, true));
        assert_eq!(timeline.place(VIDEO, 100, 40_000), (moved, false));
        timeline.resume(None, Duration::from_secs(1));
        assert_eq!(
            timeline.place(VIDEO, 90 * S, 0),
            (9 * S + 559_900 - 90 * S, true)
        );
    }
}
