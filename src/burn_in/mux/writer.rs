//! The thread of one output's container: filled in order, and opened again when it is lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, TryRecvError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use ffmpeg_next::{Packet, Rational, media};
use prometheus_client::metrics::counter::Counter;

use super::container::{Container, Lost};
use super::interleave::Held;
use super::link::{Begin, Item, Link};
use super::micros;
use super::target::Target;
use crate::burn_in::input::Programme;
use crate::burn_in::now;
use crate::burn_in::queue::Receiver;

/// Copied packets are never held for longer than this of their own time, in microseconds: more
/// than any encoder keeps pictures.
const HELD_US: i64 = 10_000_000;

/// Live, they are held for this long at most,
const HELD_LIVE_US: i64 = 3_000_000;

/// or for as long as so many pictures last: an encoder that looks ahead keeps fewer.
const HELD_PICTURES: f64 = 64.0;

/// At the beginning pictures wait for sound that belongs before them: for this long of their own
/// time, in microseconds, and no more of them than so many.
const START_US: i64 = 1_000_000;
const START_PICTURES: usize = 256;

/// Pauses between attempts to connect double from the first to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));

/// Writes one container until its end.
pub(in crate::burn_in) struct Writer {
    pub(in crate::burn_in) target: Target,
    pub(in crate::burn_in) link: Link,
    /// What is in the input.
    pub(in crate::burn_in) programme: Programme,
    /// Which of its streams are copied.
    pub(in crate::burn_in) kept: Vec<usize>,
    pub(in crate::burn_in) is_live: bool,
    /// Of the packets that were written.
    pub(in crate::burn_in) bytes: Counter,
    /// Set when all is to end now.
    pub(in crate::burn_in) stop: Arc<AtomicBool>,
}

impl Writer {
    /// Takes what comes until the end; connects again as long as it takes.
    ///
    /// # Errors
    /// It can't be opened the first time, or a file or pipe can't be written.
    pub(in crate::burn_in) fn run(self, items: &Receiver<Item>) -> Result<()> {
        let done = self.work(items);
        self.link.leave();
        self.link.counts().open(false);
        done.with_context(|| format!("cannot write {}", self.target.name))
    }

    fn work(&self, items: &Receiver<Item>) -> Result<()> {
        let mut held = Held::new(self.programme.streams.len(), self.longest_us());
        let Some(begin) = self.await_video(items, &mut held) else {
            return Ok(());
        };
        let mut first = match self.open(&begin) {
            Ok(container) => Some(container),
            Err(error) if self.reconnects() => {
                if !self.is_stopped() {
                    tracing::warn!("{}: {error:#}; trying again", self.target.name);
                }
                None
            }
            Err(error) => return Err(error),
        };
        // Who waited for somebody to connect has nothing old for them.
        let mut is_late = self.is_live && self.target.address.listens || first.is_none();
        loop {
            let Some(mut container) = first.take().or_else(|| self.connect(items, &begin)) else {
                return Ok(());
            };
            self.link.counts().open(true);
            if is_late {
                held.clear();
                self.link.wish_for_key();
                if self.skip(items) {
                    return Ok(());
                }
            }
            match self.fill(&mut container, items, &mut held, begin.time_base, is_late) {
                Ok(()) => return Ok(()),
                Err(Lost::Closed) if !self.target.is_network() => return Ok(()),
                Err(lost) if !self.reconnects() => return Err(lost.into()),
                Err(lost) if self.is_stopped() => {
                    tracing::warn!("{}: {lost}: its end may be cut off", self.target.name);
                    return Ok(());
                }
                Err(lost) => tracing::warn!("{}: {lost}; connecting again", self.target.name),
            }
            self.link.counts().open(false);
            self.link.counts().reopened();
            is_late = true;
        }
    }

    /// Whether it is connected again when it is lost. What isn't live can't go on in the middle.
    fn reconnects(&self) -> bool {
        self.target.is_network() && self.is_live
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn longest_us(&self) -> i64 {
        if !self.is_live {
            // They are as early as the reader is ahead of the encoder, which is told in packets.
            return i64::MAX;
        }
        let rate = self.programme.main_video().rate.map(f64::from);
        let rate = rate.filter(|rate| rate.is_normal()).unwrap_or(25.0);
        let pictures = Duration::try_from_secs_f64(HELD_PICTURES / rate).unwrap_or_default();
        let pictures = i64::try_from(pictures.as_micros()).unwrap_or(HELD_US);
        pictures.clamp(HELD_LIVE_US, HELD_US)
    }

    /// Keeps what comes before the video's encoder is open; `None` if there never is a picture.
    fn await_video(&self, items: &Receiver<Item>, held: &mut Held<Packet>) -> Option<Box<Begin>> {
        let mut is_told = false;
        loop {
            match items.recv() {
                Ok(Item::Begin(begin)) => return Some(begin),
                Ok(Item::Copy(packet)) => self.hold(held, packet),
                Ok(Item::Video(_)) => {}
                Ok(Item::End) | Err(_) => return None,
            }
            while held.beyond().is_some() {
                self.link.counts().status.dropped();
                if !is_told {
                    let name = &self.target.name;
                    tracing::warn!("{name}: no picture comes: the first packets are dropped");
                    is_told = true;
                }
            }
        }
    }

    fn hold(&self, held: &mut Held<Packet>, packet: Packet) {
        let stream = packet.stream();
        if self.kept.contains(&stream) {
            let time_base = self.programme.streams[stream].time_base;
            held.push(stream, time_us(&packet, time_base), packet);
        }
    }

    /// Writes what comes until the end; after a pause from a picture on from which decoding can
    /// begin.
    fn fill(
        &self,
        container: &mut Container,
        items: &Receiver<Item>,
        held: &mut Held<Packet>,
        time_base: Rational,
        is_late: bool,
    ) -> Result<(), Lost> {
        let mut needs_key = is_late;
        let mut video_us = i64::MIN;
        let mut silent = self.kept.clone();
        silent.retain(|stream| {
            let is_sound = self.programme.streams[*stream].medium == media::Type::Audio;
            is_sound && !held.has(*stream)
        });
        let mut first: VecDeque<Packet> = VecDeque::new();
        let mut has_begun = false;
        loop {
            let item = items.recv().unwrap_or(Item::End);
            let is_end = matches!(item, Item::End);
            match item {
                Item::Video(packet) if needs_key && !packet.is_key() => {
                    self.link.counts().drop_picture();
                }
                Item::Video(packet) => {
                    needs_key = false;
                    first.push_back(packet);
                }
                Item::Copy(packet) if !needs_key => {
                    silent.retain(|stream| *stream != packet.stream());
                    self.hold(held, packet);
                }
                Item::Begin(_) | Item::Copy(_) | Item::End => {}
            }
            if !silent.is_empty() && !is_end && !is_long(&first, time_base) {
                continue;
            }
            silent.clear();
            let is_picture = !first.is_empty();
            for packet in first.drain(..) {
                video_us = video_us.max(time_us(&packet, time_base).unwrap_or(video_us));
                self.write_due(container, held, video_us)?;
                self.write(container, packet, self.programme.video)?;
            }
            if is_end {
                self.write_due(container, held, i64::MAX)?;
                return container.finish();
            }
            self.write_due(container, held, video_us)?;
            if is_picture && !has_begun && self.target.in_fragments(self.is_live) {
                container.flush()?;
            }
            has_begun |= is_picture;
        }
    }

    /// Writes the copied packets whose time the video has come to.
    fn write_due(
        &self,
        container: &mut Container,
        held: &mut Held<Packet>,
        video_us: i64,
    ) -> Result<(), Lost> {
        while let Some(packet) = held.due(video_us) {
            let stream = packet.stream();
            self.write(container, packet, stream)?;
        }
        Ok(())
    }

    /// Writes a packet, and counts what it has.
    fn write(&self, container: &mut Container, packet: Packet, stream: usize) -> Result<(), Lost> {
        let bytes = u64::try_from(packet.size()).unwrap_or(0);
        container.write(packet, stream)?;
        self.bytes.inc_by(bytes);
        Ok(())
    }

    /// Connects, with pauses in which what comes is dropped; `None` at the end of all.
    fn connect(&self, items: &Receiver<Item>, begin: &Begin) -> Option<Container> {
        let mut pause = BACKOFF.0;
        loop {
            let until = now() + pause;
            loop {
                match items.recv_timeout(until.saturating_duration_since(now())) {
                    Ok(Item::End) | Err(RecvTimeoutError::Disconnected) => return None,
                    Ok(Item::Video(_)) => self.link.counts().drop_picture(),
                    Ok(Item::Begin(_) | Item::Copy(_)) => {}
                    Err(RecvTimeoutError::Timeout) => break,
                }
            }
            if self.is_stopped() {
                return None;
            }
            match self.open(begin) {
                Ok(container) => {
                    tracing::info!("{}: connected again", self.target.name);
                    return Some(container);
                }
                Err(error) => tracing::debug!("{}: {error:#}", self.target.name),
            }
            pause = (2 * pause).min(BACKOFF.1);
        }
    }

    /// Drops what came while nobody was connected; whether that was all.
    fn skip(&self, items: &Receiver<Item>) -> bool {
        loop {
            match items.try_recv() {
                Ok(Item::End) | Err(TryRecvError::Disconnected) => return true,
                Ok(Item::Video(_)) => self.link.counts().drop_picture(),
                Ok(Item::Begin(_) | Item::Copy(_)) => {}
                Err(TryRecvError::Empty) => return false,
            }
        }
    }

    fn open(&self, begin: &Begin) -> Result<Container> {
        Container::open(&self.target, begin, &self.kept, self.is_live, &self.stop)
    }
}

/// Whether pictures have waited for long enough.
fn is_long(pictures: &VecDeque<Packet>, time_base: Rational) -> bool {
    let time = |packet: Option<&Packet>| packet.and_then(|packet| time_us(packet, time_base));
    let ends = time(pictures.front()).zip(time(pictures.back()));
    pictures.len() >= START_PICTURES || ends.is_some_and(|(from, to)| to - from >= START_US)
}

fn time_us(packet: &Packet, time_base: Rational) -> Option<i64> {
    packet
        .dts()
        .or(packet.pts())
        .map(|at| micros(at, time_base))
}
