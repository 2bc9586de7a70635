//! What is between the reader and the rest: nothing, or packets that are held back for a time, so
//! that reactions to them are there when they are handed on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SendError, SyncSender, TrySendError, sync_channel,
};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ffmpeg_next::Packet;

use super::mux::Link;
use super::now;
use super::queue::Sender;
use super::reader::Coded;

/// Packets that are held back have at most so many bytes. Where there would be more, the oldest are
/// handed on earlier, and from then on the programme is held back for less.
const HELD_BYTES_MAX: usize = 512 << 20;

/// What a packet takes beside its data, in bytes: about.
const PACKET_BYTES: usize = 512;

/// Packets between the reader and what holds them. They are waited for.
const PACKETS: usize = 64;

/// How soon a stop is noticed.
const TICK: Duration = Duration::from_millis(50);

/// Where packets go in the end.
pub(super) struct Way {
    /// To the decoder: it is waited for.
    pub(super) video: Sender<Coded>,
    /// To every output.
    pub(super) links: Vec<Link>,
}

impl Way {
    fn copy(&self, packet: Packet) {
        let Some((last, links)) = self.links.split_last() else {
            return;
        };
        for link in links {
            link.pass_copy(packet.clone());
        }
        last.pass_copy(packet);
    }
}

/// What the reader hands on, at once or later.
pub(super) enum Outlet {
    /// It goes its way.
    AtOnce(Way),
    /// To the thread that holds it, with when it was read.
    Later(SyncSender<(Instant, Handed)>),
}

/// One thing that the reader hands on.
pub(super) enum Handed {
    Coded(Coded),
    Copy(Packet),
}

impl Handed {
    fn bytes(&self) -> usize {
        match self {
            Self::Coded(Coded::Packet(packet)) | Self::Copy(packet) => packet.size() + PACKET_BYTES,
            Self::Coded(_) => PACKET_BYTES,
        }
    }
}

impl Outlet {
    /// Holds packets back for so long, if it isn't zero, on a thread of its own. When `stop` is
    /// set or no output is left, nothing more is handed on; at the input's end all is, each in its
    /// time.
    ///
    /// # Errors
    /// There can be no other thread.
    pub(super) fn new(
        way: Way,
        by: Duration,
        stop: Arc<AtomicBool>,
    ) -> Result<(Self, Option<JoinHandle<Result<()>>>)> {
        if by.is_zero() {
            return Ok((Self::AtOnce(way), None));
        }
        let (handed, held) = sync_channel(PACKETS);
        let work = move || {
            hold(&way, by, &held, &stop);
            Ok(())
        };
        let thread = thread::Builder::new().name("hold".into()).spawn(work);
        let thread = thread.context("cannot start a thread")?;
        Ok((Self::Later(handed), Some(thread)))
    }

    /// Hands on what is the decoder's.
    ///
    /// # Errors
    /// Nobody takes it any more.
    pub(super) fn send(&self, coded: Coded) -> Result<(), SendError<()>> {
        let sent = match self {
            Self::AtOnce(way) => way.video.send(coded).is_ok(),
            Self::Later(held) => held.send((now(), Handed::Coded(coded))).is_ok(),
        };
        sent.then_some(()).ok_or(SendError(()))
    }

    /// Hands on what is the decoder's, if there is room for it.
    ///
    /// # Errors
    /// There is none, or nobody takes it any more.
    pub(super) fn try_send(&self, coded: Coded) -> Result<(), TrySendError<()>> {
        let nothing = |is_full| match is_full {
            true => TrySendError::Full(()),
            false => TrySendError::Disconnected(()),
        };
        match self {
            Self::AtOnce(way) => {
                let sent = way.video.try_send(coded);
                sent.map_err(|error| nothing(matches!(error, TrySendError::Full(_))))
            }
            Self::Later(held) => {
                let sent = held.try_send((now(), Handed::Coded(coded)));
                sent.map_err(|error| nothing(matches!(error, TrySendError::Full(_))))
            }
        }
    }

    /// Hands on a packet of a stream that is copied.
    pub(super) fn copy(&self, packet: Packet) {
        match self {
            Self::AtOnce(way) => way.copy(packet),
            // Who holds it is gone when the decoder is, which the reader hears of.
            Self::Later(held) => drop(held.send((now(), Handed::Copy(packet)))),
        }
    }
}

/// Hands on what comes, so much later.
fn hold(way: &Way, by: Duration, handed: &Receiver<(Instant, Handed)>, stop: &AtomicBool) {
    let mut queue = Queue::new(by, HELD_BYTES_MAX);
    let mut is_over = false;
    while !(is_over && queue.items.is_empty()) {
        if stop.load(Ordering::Relaxed) || way.links.iter().all(Link::is_gone) {
            // Who has gone already needs no end.
            way.video.send(Coded::End).ok();
            return;
        }
        let due = queue.due().map(|due| due.saturating_duration_since(now()));
        let pause = due.map_or(TICK, |due| due.min(TICK));
        if is_over {
            thread::park_timeout(pause);
        } else {
            match handed.recv_timeout(pause) {
                Ok((read, item)) => queue.put(read, item.bytes(), item),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => is_over = true,
            }
        }
        while let Some(item) = queue.take(now()) {
            match item {
                Handed::Coded(coded) => {
                    if way.video.send(coded).is_err() {
                        return;
                    }
                }
                Handed::Copy(packet) => way.copy(packet),
            }
        }
    }
}

/// Things that are handed on in order, so long after they came.
struct Queue<T> {
    by: Duration,
    bytes_max: usize,
    items: VecDeque<(Instant, usize, T)>,
    bytes: usize,
    is_short: bool,
}

impl<T> Queue<T> {
    fn new(by: Duration, bytes_max: usize) -> Self {
        Self {
            by,
            bytes_max,
            items: VecDeque::new(),
            bytes: 0,
            is_short: false,
        }
    }

    fn put(&mut self, came: Instant, bytes: usize, item: T) {
        self.bytes += bytes;
        self.items.push_back((came, bytes, item));
    }

    /// When the oldest is to be handed on.
    fn due(&self) -> Option<Instant> {
        let (came, ..) = self.items.front()?;
        Some(*came + self.by)
    }

    /// The oldest, if it is due or there is no room for it.
    fn take(&mut self, now: Instant) -> Option<T> {
        let (came, ..) = *self.items.front()?;
        if self.bytes > self.bytes_max {
            // Never longer again: pictures would have to wait for it.
            self.by = self.by.min(now.saturating_duration_since(came));
            if !std::mem::replace(&mut self.is_short, true) {
                tracing::warn!(
                    "the programme is held back for {:.1} s only: more than {} MiB come meanwhile",
                    self.by.as_secs_f64(),
                    self.bytes_max >> 20
                );
            }
        } else if came + self.by > now {
            return None;
        }
        let (_, bytes, item) = self.items.pop_front()?;
        self.bytes -= bytes;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_held_is_handed_on_in_order_and_in_its_time() {
        let mut queue = Queue::new(8 * SECOND, 100);
        let began = now();
        for n in 0..5 {
            queue.put(began + n * SECOND, 10, n);
        }
        assert_eq!(queue.due(), Some(began + 8 * SECOND));
        assert_eq!(queue.take(began + 7 * SECOND), None);
        let mut taken = |at: u32| std::iter::from_fn(|| queue.take(began + at * SECOND)).collect();
        let expected: [(u32, Vec<u32>); 4] = [
            (8, vec![0]),
            (8, vec![]),
            (11, vec![1, 2, 3]),
            (60, vec![4]),
        ];
        for (at, numbers) in expected {
            let taken: Vec<u32> = taken(at);
            assert_eq!(taken, numbers, "{at}");
        }
        assert_eq!((queue.due(), queue.bytes), (None, 0));
    }

    #[test]
    fn what_has_no_room_is_handed_on_earlier_and_the_rest_too() {
        let mut queue = Queue::new(8 * SECOND, 30);
        let began = now();
        for n in 0..3 {
            queue.put(began + n * SECOND, 10, n);
            assert_eq!(queue.take(began + n * SECOND), None);
        }
        queue.put(began + 3 * SECOND, 10, 3);
        assert_eq!(queue.take(began + 3 * SECOND), Some(0));
        assert_eq!(queue.take(began + 3 * SECOND), None);
        // From now on three seconds, though there is room.
        assert_eq!(queue.due(), Some(began + 4 * SECOND));
        assert_eq!(queue.take(began + 4 * SECOND), Some(1));
        assert_eq!(queue.take(began + 4 * SECOND), None);
        // One that is larger than all the room still goes.
        queue.put(began + 5 * SECOND, 1_000, 4);
        let taken = std::iter::from_fn(|| queue.take(began + 5 * SECOND));
        assert_eq!(taken.collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(queue.bytes, 0);
    }
}
