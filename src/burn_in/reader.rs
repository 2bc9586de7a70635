//! The programme's packets, on a thread of their own: read, placed in time, and handed on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::TrySendError;
use std::time::{Duration, Instant};

use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Error, Packet, Rational, Rescale as _, codec, media};

use super::ffi;
use super::hold::Outlet;
use super::input::{Origin, Programme, StreamInfo};
use super::metadata;
use super::mux::{Link, micros};
use super::sections::move_splice;
use super::settings::OnInputLoss;
use super::status::Status;
use super::sync::Timekeeper;
use super::timeline::Timeline;
use super::{now, rest};

/// Pauses between attempts to open an input that is lost double from the first to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Damaged packets in a row after which an input is lost.
const DAMAGED_MAX: u32 = 1_000;

const MICROS: Rational = Rational(1, 1_000_000);

/// A demuxer that has nothing yet is asked again after this.
const AGAIN: Duration = Duration::from_millis(2);

/// Packets of video on their way to the decoder. Where there is no room, it is waited for: a file
/// or a connection is then read later, and holds back what sends it. Datagrams are not held back:
/// of those that find no room each is dropped until decoding can begin again, which the log says
/// once and [`Status::overrun`] counts.
pub(super) const PACKETS: usize = 512;

/// What the decoder gets.
pub(super) enum Coded {
    /// A packet of the video.
    Packet(Packet),
    /// The input is lost, and nothing has come since then: all pictures that it had are to come
    /// out.
    Lost(Instant),
    /// It is back, with this video in the units of old.
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

/// What is known of an input that is being read.
struct Course {
    timeline: Timeline,
    pace: Pace,
    /// From a stream of the input to the one of the programme that it goes on with.
    places: Vec<Option<usize>>,
    /// How many packets the decoder has had no room for, until it has again.
    missed: usize,
    /// Its first packets.
    ahead: VecDeque<Packet>,
}

impl Reader {
    /// Hands on these packets and all that follow.
    pub(super) fn run(self, mut input: Input, ahead: VecDeque<Packet>) {
        let streams = &self.programme.streams;
        let is_dense =
            |stream: &StreamInfo| matches!(stream.medium, media::Type::Video | media::Type::Audio);
        let dense = streams.iter().map(is_dense).collect();
        let mut course = Course {
            timeline: Timeline::new(dense, self.programme.may_jump),
            pace: Pace::default(),
            places: (0..streams.len()).map(Some).collect(),
            missed: 0,
            ahead,
        };
        loop {
            let ended = self.read(&mut input, &mut course);
            let Ended::Lost(why) = ended else { break };
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            if self.on_loss == OnInputLoss::Exit {
                tracing::warn!("{}: {why}", self.origin);
                break;
            }
            let since = now().checked_sub(self.origin.quiet()).unwrap_or_else(now);
            tracing::warn!("{}: {why}; opening it again", self.origin);
            self.status.input_lost(true);
            if self.out.send(Coded::Lost(since)).is_err() {
                return;
            }
            drop(input);
            let Some((again, programme)) = self.open_again() else {
                break;
            };
            input = again;
            course.places = self.match_streams(&programme);
            course.timeline.resume(programme.start_us, since.elapsed());
            course.pace = Pace::default();
            course.ahead.clear();
            let video = StreamInfo {
                time_base: self.programme.main_video().time_base,
                ..programme.main_video().clone()
            };
            if self.out.send(Coded::Back(Box::new(video))).is_err() {
                return;
            }
            tracing::info!("{}: it is back", self.origin);
            self.status.input_lost(false);
        }
        // Nobody listens any more who isn't told.
        self.out.send(Coded::End).ok();
    }

    /// Waits for the input; `None` if all is to end, or there is no more of it.
    fn open_again(&self) -> Option<(Input, Programme)> {
        let mut pause = BACKOFF.0;
        while !self.stop.load(Ordering::Relaxed) {
            let opened = self.timekeeper.open(&self.origin);
            let opened = opened.and_then(|mut input| {
                let programme = Programme::of(&mut input, &self.origin)?;
                Ok((input, programme))
            });
            match opened {
                Ok((_, programme)) if programme.is_finite => {
                    tracing::info!("{}: it has ended", self.origin);
                    return None;
                }
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
    fn read(&self, input: &mut Input, course: &mut Course) -> Ended {
        let mut damaged = 0;
        let mut new_streams = 0;
        // A finite one can't be taken up where it broke off.
        let can_be_lost = self.origin.is_live && !self.programme.is_finite;
        loop {
            if self.stop.load(Ordering::Relaxed) || self.links.iter().all(Link::is_gone) {
                return Ended::Whole;
            }
            // Whatever was waited for before, the input was not.
            self.origin.hear();
            let (mut packet, read) = match course.ahead.pop_front() {
                Some(packet) => (packet, Ok(())),
                None => {
                    let mut packet = Packet::empty();
                    let read = packet.read(input);
                    (packet, read)
                }
            };
            match read {
                Ok(()) => damaged = 0,
                Err(Error::Eof) if can_be_lost && self.origin.address.is_network => {
                    return Ended::Lost("it has ended".into());
                }
                Err(Error::Eof) => return Ended::Whole,
                Err(Error::Other { errno: EAGAIN }) => {
                    rest(AGAIN, &self.stop);
                    continue;
                }
                Err(error) if error == Error::InvalidData && damaged < DAMAGED_MAX => {
                    damaged += 1;
                    self.status.damaged();
                    continue;
                }
                Err(Error::Exit) if can_be_lost => {
                    let quiet = self.origin.quiet().as_secs();
                    return Ended::Lost(format!("nothing has come for {quiet} s"));
                }
                Err(error) if can_be_lost => return Ended::Lost(error.to_string()),
                Err(error) => {
                    tracing::warn!("{}: it can't be read on: {error}", self.origin);
                    return Ended::Whole;
                }
            }
            self.origin.hear();
            let number = packet.stream();
            let Some(place) = course.places.get(number).copied() else {
                if new_streams <= number {
                    tracing::warn!("{}: stream {number} is new, and is left out", self.origin);
                    new_streams = number + 1;
                }
                continue;
            };
            let (Some(place), Some(stream)) = (place, input.stream(number)) else {
                continue;
            };
            let unit = stream.time_base();
            self.place(&mut packet, unit, place, &mut course.timeline);
            packet.set_stream(place);
            self.restore(&mut packet, place);
            if packet.is_corrupt() {
                self.status.damaged();
            }
            if self.paced
                && let Some(at) = packet.dts().or(packet.pts())
            {
                let unit = self.programme.streams[place].time_base;
                let due = course.pace.due(micros(at, unit));
                rest(due.saturating_duration_since(now()), &self.stop);
            }
            if place != self.programme.video {
                self.out.copy(packet);
            } else if !self.hand_on(packet, &mut course.missed) {
                return Ended::Whole;
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
                "{}: its time jumps; it goes on {:+.3} s from what it says",
                self.origin,
                Duration::from_micros(offset.unsigned_abs()).as_secs_f64()
                    * if offset < 0 { -1.0 } else { 1.0 }
            );
        }
        if offset != 0 {
            let offset = offset.rescale(MICROS, unit);
            packet.set_pts(packet.pts().map(|pts| pts.saturating_add(offset)));
            packet.set_dts(packet.dts().map(|dts| dts.saturating_add(offset)));
        }
        let stream = &self.programme.streams[place];
        if offset != 0
            && stream.parameters.id() == codec::Id::SCTE_35
            && let Some(section) = packet.data_mut()
        {
            move_splice(section, offset.rescale(MICROS, Rational::new(1, 90_000)));
        }
        let own = stream.time_base;
        if unit != own {
            packet.rescale_ts(unit, own);
        }
    }

    /// Puts back what the demuxer has taken off.
    fn restore(&self, packet: &mut Packet, place: usize) {
        if self.programme.streams[place].parameters.id() == codec::Id::TIMED_ID3
            && let Some(lost) = packet.data().and_then(metadata::lost_of_id3)
            && let Err(error) = ffi::prepend(packet, &lost)
        {
            tracing::warn!("{}: stream {place}: {error}", self.origin);
        }
    }

    /// Gives the decoder a packet; `false` if it takes no more.
    fn hand_on(&self, packet: Packet, missed: &mut usize) -> bool {
        let own = self.programme.main_video().time_base;
        if let Some(at) = packet.pts().or(packet.dts()) {
            self.timekeeper.packet(micros(at, own));
        }
        if !self.origin.address.is_datagrams {
            return self.out.send(Coded::Packet(packet)).is_ok();
        }
        // One without any picture from which decoding can begin goes on somewhere.
        if *missed > 0 && !packet.is_key() && *missed < PACKETS {
            *missed += 1;
            self.status.overrun();
            return true;
        }
        match self.out.try_send(Coded::Packet(packet)) {
            Ok(()) => *missed = 0,
            Err(TrySendError::Full(_)) => {
                if *missed == 0 {
                    tracing::warn!("{}: this machine is too slow for it", self.origin);
                }
                *missed += 1;
                self.status.overrun();
            }
            Err(TrySendError::Disconnected(_)) => return false,
        }
        true
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
