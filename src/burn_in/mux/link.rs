//! The way to a container: one bounded queue, with the copied packets and the coded pictures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::TrySendError;
use std::time::Duration;

use ffmpeg_next::codec::Parameters;
use ffmpeg_next::{Packet, Rational};
use prometheus_client::metrics::gauge::Gauge;

use crate::burn_in::input::Programme;
use crate::burn_in::queue::{Receiver, Sender, queue};
use crate::burn_in::status::Status;
use crate::metrics;

/// Packets on their way to a container. Where there is no room, it is waited for as long as the
/// [`Link`]'s patience lasts; from then on packets are dropped until there is some, and video goes
/// on with a picture from which decoding can begin. The log says so once, and [`Status`] and the
/// output's metrics count it.
const PACKETS: usize = 1_024;

/// What goes to a container.
pub(in crate::burn_in) enum Item {
    /// The video's encoder is open: what the container is to know of its pictures.
    Begin(Box<Begin>),
    /// A coded picture.
    Video(Packet),
    /// A packet of a stream that is copied, by its number in the input.
    Copy(Packet),
    /// There are no more.
    End,
}

/// What a container is to know of the video.
pub(in crate::burn_in) struct Begin {
    pub(in crate::burn_in) parameters: Parameters,
    /// The unit of its packets' time stamps.
    pub(in crate::burn_in) time_base: Rational,
    /// What streams have that are copied; the video's own tags and side data.
    pub(in crate::burn_in) programme: Programme,
}

/// What an output's figures are made of.
#[derive(Clone, Default)]
pub(in crate::burn_in) struct Counts {
    pub(in crate::burn_in) metrics: Option<metrics::Output>,
    pub(in crate::burn_in) status: Arc<Status>,
}

impl Counts {
    /// A picture was not given to the output, or not written.
    pub(in crate::burn_in) fn drop_picture(&self) {
        self.status.dropped();
        if let Some(metrics) = &self.metrics {
            metrics.frames_dropped.inc();
        }
    }

    /// A picture has gone to the encoder.
    pub(in crate::burn_in) fn picture(&self) {
        if let Some(metrics) = &self.metrics {
            metrics.frames.inc();
        }
    }

    pub(super) fn open(&self, is_open: bool) {
        if let Some(metrics) = &self.metrics {
            metrics.open.set(i64::from(is_open));
        }
    }

    pub(super) fn reopened(&self) {
        if let Some(metrics) = &self.metrics {
            metrics.reopened.inc();
        }
    }
}

/// The way to a container, from several threads.
#[derive(Clone)]
pub(in crate::burn_in) struct Link {
    items: Sender<Item>,
    shared: Arc<Shared>,
    counts: Counts,
}

struct Shared {
    /// What a person calls the output.
    name: String,
    /// How long room is waited for; `None` for as long as it takes.
    patience: Option<Duration>,
    /// There was no room for so long; none is waited for until there is.
    is_stuck: AtomicBool,
    /// A picture was dropped: those that need it are, too.
    is_broken: AtomicBool,
    /// The next picture must be one from which decoding can begin.
    wants_key: AtomicBool,
    /// The container is done with: nothing is to be sent any more.
    is_gone: AtomicBool,
}

impl Link {
    /// The two ends of the way to the output of this name; the figure says how much is on it.
    pub(in crate::burn_in) fn new(
        name: &str,
        patience: Option<Duration>,
        counts: Counts,
        waiting: &Gauge,
    ) -> (Self, Receiver<Item>) {
        let (items, ends) = queue(PACKETS, waiting);
        let shared = Shared {
            name: name.to_owned(),
            patience,
            is_stuck: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
            wants_key: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
        };
        let link = Self {
            items,
            shared: Arc::new(shared),
            counts,
        };
        (link, ends)
    }

    /// What is counted of the output.
    pub(in crate::burn_in) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Wishes for a picture from which decoding can begin.
    pub(super) fn wish_for_key(&self) {
        self.shared.wants_key.store(true, Ordering::Relaxed);
    }

    /// Whether the next picture must be one from which decoding can begin; asked once.
    pub(in crate::burn_in) fn take_wish_for_key(&self) -> bool {
        self.shared.wants_key.swap(false, Ordering::Relaxed)
    }

    /// Nothing is to be sent any more.
    pub(super) fn leave(&self) {
        self.shared.is_gone.store(true, Ordering::Relaxed);
    }

    /// Whether nothing is to be sent any more.
    pub(in crate::burn_in) fn is_gone(&self) -> bool {
        self.shared.is_gone.load(Ordering::Relaxed)
    }

    /// Sends what must arrive.
    pub(in crate::burn_in) fn send(&self, item: Item) {
        if self.items.send(item).is_err() {
            self.leave();
        }
    }

    /// Sends a copied packet.
    pub(in crate::burn_in) fn pass_copy(&self, packet: Packet) {
        if !self.pass(Item::Copy(packet)) {
            self.counts.status.dropped();
        }
    }

    /// Sends a coded picture.
    pub(in crate::burn_in) fn pass_picture(&self, packet: Packet) {
        let broken = &self.shared.is_broken;
        if broken.load(Ordering::Relaxed) && !packet.is_key() {
            self.counts.drop_picture();
            return;
        }
        let is_sent = self.pass(Item::Video(packet));
        broken.store(!is_sent, Ordering::Relaxed);
        if !is_sent {
            self.counts.drop_picture();
            self.wish_for_key();
        }
    }

    /// Whether there was room in time.
    fn pass(&self, item: Item) -> bool {
        let Some(patience) = self.shared.patience else {
            self.send(item);
            return true;
        };
        let stuck = &self.shared.is_stuck;
        let was_stuck = stuck.load(Ordering::Relaxed);
        let patience = if was_stuck { Duration::ZERO } else { patience };
        match self.items.send_within(item, patience) {
            Ok(()) => {
                stuck.store(false, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Full(_)) => {
                if !stuck.swap(true, Ordering::Relaxed) {
                    let name = &self.shared.name;
                    tracing::warn!("{name}: it is too slow: packets are dropped");
                }
                false
            }
            Err(TrySendError::Disconnected(_)) => {
                self.leave();
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(is_key: bool) -> Packet {
        let mut packet = Packet::empty();
        if is_key {
            packet.set_flags(ffmpeg_next::codec::packet::Flags::KEY);
        }
        packet
    }

    #[test]
    fn video_that_was_dropped_goes_on_with_a_key() {
        let counts = Counts::default();
        let waiting = Gauge::default();
        let (link, items) = Link::new("x", Some(Duration::ZERO), counts.clone(), &waiting);
        for _ in 0..PACKETS {
            link.pass_copy(packet(true));
        }
        link.pass_picture(packet(false));
        assert!(link.take_wish_for_key() && !link.take_wish_for_key());
        drop(items.recv().unwrap());
        link.pass_picture(packet(false));
        assert_eq!(counts.status.dropped.get(), 2);
        assert_eq!(waiting.get(), 1_023);
        link.pass_picture(packet(true));
        let last = std::iter::from_fn(|| items.try_recv().ok()).last().unwrap();
        assert!(matches!(last, Item::Video(packet) if packet.is_key()));
        link.pass_picture(packet(false));
        assert!(matches!(items.try_recv(), Ok(Item::Video(_))));
        assert_eq!(counts.status.dropped.get(), 2);
        assert_eq!(waiting.get(), 0);
    }
}
