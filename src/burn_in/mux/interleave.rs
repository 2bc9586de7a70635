//! In which order packets of several streams are written.

use std::collections::VecDeque;

/// Copied packets that wait, of all streams; those beyond are the first to go.
pub(super) const HELD_MAX: usize = 65_536;

/// Copied packets that wait for the video to come to their time, for its pictures take a while to
/// be coded. The video waits for nothing; so no stream that has nothing to say, such as captions,
/// holds a programme up.
pub(super) struct Held<T> {
    /// Of each stream in order, with their times in microseconds.
    streams: Vec<VecDeque<(i64, T)>>,
    count: usize,
    /// The latest time of all that came.
    newest_us: i64,
    /// None waits for longer than this, by the others' times.
    longest_us: i64,
}

impl<T> Held<T> {
    /// For so many streams.
    pub(super) fn new(streams: usize, longest_us: i64) -> Self {
        Self {
            streams: (0..streams).map(|_| VecDeque::new()).collect(),
            count: 0,
            newest_us: i64::MIN,
            longest_us,
        }
    }

    /// Takes a packet of a stream; one without a time goes with the one before it.
    pub(super) fn push(&mut self, stream: usize, at_us: Option<i64>, packet: T) {
        let Some(held) = self.streams.get_mut(stream) else {
            return;
        };
        let at_us = at_us.or(held.back().map(|(at, _)| *at)).unwrap_or(i64::MIN);
        self.newest_us = self.newest_us.max(at_us);
        held.push_back((at_us, packet));
        self.count += 1;
    }

    /// The next packet that is due when the video is at this time, by rising time; each stream's
    /// stay in order.
    pub(super) fn due(&mut self, video_us: i64) -> Option<T> {
        let first = self.first()?;
        let (at, _) = self.streams[first].front()?;
        let is_overdue = self.newest_us.saturating_sub(*at) > self.longest_us;
        let is_due = *at <= video_us || is_overdue || self.count > HELD_MAX;
        if is_due { self.pop(first) } else { None }
    }

    /// The first packet, if there are too many.
    pub(super) fn beyond(&mut self) -> Option<T> {
        let first = self.first().filter(|_| self.count > HELD_MAX)?;
        self.pop(first)
    }

    /// Whether a packet of this stream waits.
    pub(super) fn has(&self, stream: usize) -> bool {
        self.streams
            .get(stream)
            .is_some_and(|held| !held.is_empty())
    }

    /// Forgets all that wait.
    pub(super) fn clear(&mut self) {
        self.streams.iter_mut().for_each(VecDeque::clear);
        self.count = 0;
        self.newest_us = i64::MIN;
    }

    /// The stream whose next packet is the earliest.
    fn first(&self) -> Option<usize> {
        let heads = self.streams.iter().enumerate();
        let heads = heads.filter_map(|(stream, held)| Some((held.front()?.0, stream)));
        heads.min().map(|(_, stream)| stream)
    }

    fn pop(&mut self, stream: usize) -> Option<T> {
        let (_, packet) = self.streams[stream].pop_front()?;
        self.count -= 1;
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_due(held: &mut Held<&'static str>, video_us: i64) -> Vec<&'static str> {
        std::iter::from_fn(|| held.due(video_us)).collect()
    }

    #[test]
    fn each_waits_for_the_video_alone() {
        let mut held = Held::new(3, 1_000);
        held.push(2, Some(900), "caption of later");
        held.push(0, Some(20), "a");
        held.push(1, Some(10), "b");
        held.push(0, Some(40), "c");
        assert_eq!(all_due(&mut held, 5), [""; 0]);
        assert_eq!(all_due(&mut held, 40), ["b", "a", "c"]);
        assert_eq!(all_due(&mut held, i64::MAX), ["caption of later"]);
    }

    #[test]
    fn a_stream_keeps_its_order() {
        let mut held = Held::new(1, 1_000);
        held.push(0, Some(30), "a");
        held.push(0, Some(10), "b");
        held.push(0, None, "c");
        assert_eq!(all_due(&mut held, 10), [""; 0]);
        assert_eq!(all_due(&mut held, 30), ["a", "b", "c"]);
    }

    #[test]
    fn a_video_that_stands_still_holds_nothing_for_ever() {
        let mut held = Held::new(2, 100);
        held.push(0, Some(0), "a");
        held.push(1, Some(100), "b");
        assert_eq!(all_due(&mut held, -1), [""; 0]);
        held.push(1, Some(101), "c");
        assert_eq!(all_due(&mut held, -1), ["a"]);
    }

    #[test]
    fn there_are_never_too_many() {
        let mut held = Held::new(1, i64::MAX);
        for at in 0..HELD_MAX {
            held.push(0, i64::try_from(at).ok(), at);
            assert_eq!(held.beyond(), None);
        }
        held.push(0, Some(1_000_000), 0);
        assert_eq!(held.beyond(), Some(0));
        assert_eq!(held.beyond(), None);
    }
}
