//! The programme's packets, on a thread of their own: read, placed in time, and handed on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Error, Packet, Rational, Rescale as _};

use super::hold::Outlet;
use super::input::{Origin, Programme, StreamInfo};
use super::mux::{Link, micros};
use super::settings::OnInputLoss;
use super::status::Status;
use super::sync::Timekeeper;
use super::timeline::Timeline;
use super::{now, rest};

/// Pauses between attempts to open an input that is lost double from the first to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Damaged packets in a row after which an input is lost.
const DAMAGED_MAX: u32 = 1_000;

/// What the decoder gets.
pub(super) enum Coded {
    /// A packet of the video.
    Packet(Packet),
    /// The input is lost: all pictures that it had are to come out.
    Lost,
    /// It is back, with this video.
    Back(Box<StreamInfo>),
    /// There are no more.
    End,
}

/// Reads one input to its end.
pub(super) struct Reader {
    pub(super) origin: Origin,
    pub(super) programme: Programme,
    /// To the decoder, and of copied packets to every output.
    pub(super) out: Outlet,
    /// The outputs.
    pub(super) links: Vec<Link>,
    pub(super) timekeeper: Timekeeper,
    /// Whether packets are handed on no faster than they play.
    pub(super) paced: bool,
    pub(super) on_loss: OnInputLoss,
    pub(super) status: Arc<Status>,
    pub(super) stop: Arc<AtomicBool>,
}

/// Why there are no more packets.
enum Ended {
    /// It is over, or is to be.
    Whole,
    /// The input is lost.
    Lost(String),
}

impl Reader {
    pub(super) fn run(mut self, mut input: Input) {
        let count = self.programme.streams.len();
        let mut timeline = Timeline::new(count, self.programme.may_jump);
        let mut pace = Pace::default();
        // From a stream of an input that is back to the one that it was.
        let mut places: Vec<Option<usize>> = (0..count).map(Some).collect();
        loop {
            let ended = self.read(&mut input, &places, &mut timeline, &mut pace);
            let is_over = self.stop.load(Ordering::Relaxed);
            let why = match ended {
                Ended::Lost(why) if !is_over => why,
                _ => break,
            };
            if self.on_loss == OnInputLoss::Exit {
                tracing::warn!("{}: {why}", self.origin);
                break;
            }
            let lost = now();
            tracing::warn!("{}: {why}; opening it again", self.origin);
            self.status.input_lost(true);
            if self.out.send(Coded::Lost).is_err() {
                return;
            }
            drop(input);
            let Some((again, programme)) = self.open_again() else {
                break;
            };
            input = again;
            places = self.match_streams(&programme);
            timeline.resume(programme.streams.len(), lost.elapsed());
            pace = Pace::default();
            let video = programme.main_video().clone();
            if self.out.send(Coded::Back(Box::new(video))).is_err() {
                return;
            }
            self.programme = Programme {
                streams: self.with_units(&programme, &places),
                ..self.programme
            };
            tracing::info!("{}: it is back", self.origin);
            self.status.input_lost(false);
        }
        // Who has gone already needs no end.
        self.out.send(Coded::End).ok();
    }

    /// The streams of old, with the units of time of those that are their successors.
    fn with_units(&self, programme: &Programme, places: &[Option<usize>]) -> Vec<StreamInfo> {
        let mut streams = self.programme.streams.clone();
        for (stream, place) in programme.streams.iter().zip(places) {
            if let Some(place) = place {
                streams[*place].time_base = stream.time_base;
            }
        }
        streams
    }

    /// Waits for the input; `None` if all is to end.
    fn open_again(&self) -> Option<(Input, Programme)> {
        let mut pause = BACKOFF.0;
        while !self.stop.load(Ordering::Relaxed) {
            let opened = self.timekeeper.open(&self.origin);
            let opened = opened.and_then(|mut input| {
                let programme = Programme::of(&mut input, &self.origin)?;
                Ok((input, programme))
            });
            match opened {
                Ok(opened) => return Some(opened),
                Err(error) => tracing::debug!("{error:#}"),
            }
            rest(pause, &self.stop);
            pause = (2 * pause).min(BACKOFF.1);
        }
        None
    }

    /// Which stream of old each new one goes on with: the next of its medium and codec.
    fn match_streams(&self, programme: &Programme) -> Vec<Option<usize>> {
        let mut free: Vec<bool> = vec![true; self.programme.streams.len()];
        let mut places = Vec::new();
        for (number, stream) in programme.streams.iter().enumerate() {
            let is_like = |old: &StreamInfo| {
                old.medium == stream.medium && old.parameters.id() == stream.parameters.id()
            };
            let place = if number == programme.video {
                Some(self.programme.video)
            } else {
                let mut olds = self.programme.streams.iter().enumerate();
                let found = olds.find(|(old, about)| {
                    *old != self.programme.video && free[*old] && is_like(about)
                });
                found.map(|(old, _)| old)
            };
            match place {
                Some(place) => free[place] = false,
                None => tracing::warn!("{}: stream {number} is new, and is left out", self.origin),
            }
            places.push(place);
        }
        places
    }

    /// Hands packets on until there are no more.
    fn read(
        &self,
        input: &mut Input,
        places: &[Option<usize>],
        timeline: &mut Timeline,
        pace: &mut Pace,
    ) -> Ended {
        let mut damaged = 0;
        let units: Vec<Rational> = input.streams().map(|stream| stream.time_base()).collect();
        loop {
            if self.stop.load(Ordering::Relaxed) || self.links.iter().all(Link::is_gone) {
                return Ended::Whole;
            }
            let mut packet = Packet::empty();
            match packet.read(input) {
                Ok(()) => damaged = 0,
                Err(Error::Eof) if self.origin.is_address => {
                    return Ended::Lost("it has ended".into());
                }
                Err(Error::Eof) => return Ended::Whole,
                Err(error) if error == Error::InvalidData && damaged < DAMAGED_MAX => {
                    damaged += 1;
                    self.status.damaged();
                    continue;
                }
                Err(error) if self.origin.is_live => return Ended::Lost(error.to_string()),
                Err(error) => {
                    tracing::warn!("{}: it can't be read on: {error}", self.origin);
                    return Ended::Whole;
                }
            }
            self.origin.hear();
            let Some(Some(place)) = places.get(packet.stream()).copied() else {
                continue;
            };
            let unit = units[packet.stream()];
            self.place(&mut packet, unit, place, timeline);
            packet.set_stream(place);
            if packet.is_corrupt() {
                self.status.damaged();
            }
            if self.paced
                && let Some(at) = packet.dts().or(packet.pts())
            {
                let due = pace.due(micros(at, unit));
                rest(due.saturating_duration_since(now()), &self.stop);
            }
            if place == self.programme.video {
                let own = self.programme.streams[place].time_base;
                if let Some(at) = packet.pts().or(packet.dts()) {
                    self.timekeeper.packet(micros(at, own));
                }
                if self.out.send(Coded::Packet(packet)).is_err() {
                    return Ended::Whole;
                }
            } else {
                self.out.copy(packet);
            }
        }
    }

    /// Puts a packet where it belongs in the programme's time.
    fn place(&self, packet: &mut Packet, unit: Rational, place: usize, timeline: &mut Timeline) {
        let Some(dts) = packet.dts().or(packet.pts()) else {
            return;
        };
        let duration = micros(packet.duration(), unit);
        let (offset, is_new) = timeline.place(place, micros(dts, unit), duration);
        if is_new {
            self.status.jumped();
            tracing::warn!(
                "{}: its time jumps; it goes on {:.3} s later than it says",
                self.origin,
                Duration::from_micros(offset.unsigned_abs()).as_secs_f64()
                    * if offset < 0 { -1.0 } else { 1.0 }
            );
        }
        if offset != 0 {
            let offset = offset.rescale(Rational::new(1, 1_000_000), unit);
            packet.set_pts(packet.pts().map(|pts| pts.saturating_add(offset)));
            packet.set_dts(packet.dts().map(|dts| dts.saturating_add(offset)));
        }
        let own = self.programme.streams[place].time_base;
        if unit != own {
            packet.rescale_ts(unit, own);
        }
    }
}

/// When packets are due that are to be handed on no faster than they play.
#[derive(Default)]
struct Pace(Option<(Instant, i64)>);

impl Pace {
    fn due(&mut self, at_us: i64) -> Instant {
        let (began, first) = *self.0.get_or_insert_with(|| (now(), at_us));
        let since = u64::try_from(at_us.saturating_sub(first)).unwrap_or(0);
        began + Duration::from_micros(since)
    }
}
