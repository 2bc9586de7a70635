//! One container that is open, and what ends a write that would never return.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use ffmpeg_next::error::{ECONNABORTED, ECONNRESET, EINVAL, EPIPE};
use ffmpeg_next::format::context::Output;
use ffmpeg_next::{Codec, Dictionary, Error, Packet, Rational, Rescale as _, media};

use super::link::Begin;
use super::micros;
use super::tables::{self, Tables};
use super::target::Target;
use crate::burn_in::adts;
use crate::burn_in::ffi::{self, Connection, OpenOutput};
use crate::burn_in::input::StreamInfo;
use crate::burn_in::metadata;
use crate::burn_in::now;

/// A connection that takes nothing for this long is lost.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// Samples of Opus a second.
const OPUS_RATE: Rational = Rational(1, 48_000);

/// When all is to end, what is still to be written has this long.
const FINISH_MAX: Duration = Duration::from_secs(3);

/// Tags of the container that come in, and are for the one that is written to say.
const NOT_COPIED: [&str; 4] = [
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
];

/// What is asked by libavformat again and again while it waits.
struct Watch {
    began: Instant,
    /// Milliseconds from then at which the write at hand is too late; 0 for never.
    deadline_ms: AtomicU64,
    /// Whether it is being opened: when all is to end, that is given up at once.
    is_opening: AtomicBool,
    /// Set when all is to end.
    stop: Arc<AtomicBool>,
    /// Milliseconds from the beginning to when that was seen; 0 before.
    stopped_ms: AtomicU64,
}

impl Watch {
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_over(&self) -> bool {
        let now = self.elapsed_ms();
        let deadline = self.deadline_ms.load(Ordering::Relaxed);
        if deadline > 0 && now > deadline {
            return true;
        }
        if !self.stop.load(Ordering::Relaxed) {
            return false;
        }
        let order = Ordering::Relaxed;
        let seen = self
            .stopped_ms
            .compare_exchange(0, now.max(1), order, order);
        let since = now.saturating_sub(seen.err().unwrap_or(now));
        self.is_opening.load(order) || u128::from(since) > FINISH_MAX.as_millis()
    }

    fn expect_within(&self, time: Option<Duration>) {
        let at = time.map_or(0, |time| {
            let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            self.elapsed_ms().saturating_add(time)
        });
        self.deadline_ms.store(at, Ordering::Relaxed);
    }
}

/// Why nothing more can be written.
#[derive(Debug)]
pub(super) enum Lost {
    /// Nobody reads it any more.
    Closed,
    Failed(Error),
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        match error {
            Error::Other {
                errno: EPIPE | ECONNRESET | ECONNABORTED,
            } => Self::Closed,
            other => Self::Failed(other),
        }
    }
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => f.write_str("the reader is gone"),
            // So a write that took too long ends.
            Self::Failed(Error::Exit) => f.write_str("it takes nothing"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Lost {}

/// Where a stream of the input is in an output.
struct Place {
    index: usize,
    /// The units of its time, in and out.
    time_bases: [Rational; 2],
    last_dts: Option<i64>,
    /// What is added to its time, in the unit out.
    later: i64,
    /// Whether two packets may have one time.
    may_stand_still: bool,
    /// Whether each packet's header is left out, for the container's says the same.
    tells_aac: bool,
    /// Whether it is data in the PES packets of a transport stream, and how many of them had
    /// access units.
    metadata: Option<u8>,
    /// Packets that the muxer has refused.
    refused: u64,
}

/// A container that is open.
pub(super) struct Container {
    output: OpenOutput,
    watch: Arc<Watch>,
    /// How long a write may take.
    patience: Option<Duration>,
    /// For each of the input's streams.
    places: Vec<Option<Place>>,
    /// Where its time begins at zero, the time of its first packet in microseconds.
    begins_at_zero: bool,
    zero_us: Option<i64>,
}

impl Container {
    /// Opens it with these of the input's streams beside the video, and writes its header.
    ///
    /// # Errors
    /// It can't be opened, or it took too long.
    pub(super) fn open(
        target: &Target,
        begin: &Begin,
        kept: &[usize],
        is_live: bool,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self> {
        let address = &target.address;
        let watch = Arc::new(Watch {
            began: now(),
            deadline_ms: AtomicU64::new(0),
            is_opening: AtomicBool::new(true),
            stop: Arc::clone(stop),
            stopped_ms: AtomicU64::new(0),
        });
        let (asked, is_network) = (Arc::clone(&watch), address.is_network);
        let over = move || is_network && asked.is_over();
        // Who listens waits for as long as it takes.
        watch.expect_within((!address.listens).then_some(WRITE_MAX));
        let options = address
            .options
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        let streams = kept.iter().map(|kept| &begin.programme.streams[*kept]);
        let output = if target.container == "mpegts" && tables::are_needed(streams.clone()) {
            let to = Connection::open(&address.url, options, over)?;
            ffi::output_to(Tables::new(to, streams), &target.container)?
        } else {
            ffi::open_output(&address.url, &target.container, options, over)?
        };
        let mut container = Self {
            output,
            watch,
            patience: is_live.then_some(WRITE_MAX),
            places: Vec::new(),
            begins_at_zero: target.begins_at_zero(),
            zero_us: None,
        };
        container.write_header(target, begin, kept, is_live)?;
        container.watch.is_opening.store(false, Ordering::Relaxed);
        container.watch.expect_within(None);
        Ok(container)
    }

    fn write_header(
        &mut self,
        target: &Target,
        begin: &Begin,
        kept: &[usize],
        is_live: bool,
    ) -> Result<()> {
        let Begin {
            parameters,
            time_base,
            programme,
        } = begin;
        let container = &mut self.output.container;
        let mut indices = Vec::new();
        for (number, stream) in programme.streams.iter().enumerate() {
            let index = if number == programme.video {
                let video = StreamInfo {
                    parameters: parameters.clone(),
                    time_base: *time_base,
                    ..stream.clone()
                };
                Some(add_stream(container, &video)?)
            } else if kept.contains(&number) {
                Some(add_stream(
                    container,
                    &with_config(stream, target.tells_aac())?,
                )?)
            } else {
                None
            };
            indices.push(index);
        }
        let metadata = programme.metadata.iter();
        let metadata = metadata.filter(|(name, _)| !NOT_COPIED.contains(&&**name));
        container.set_metadata(metadata.map(|(k, v)| (&**k, &**v)).collect());
        for chapter in &programme.chapters {
            let (start, end) = (chapter.start, chapter.end);
            container.add_chapter(chapter.id, chapter.time_base, start, end, &chapter.title)?;
        }
        for program in &programme.programs {
            let streams = program.streams.iter();
            let streams = streams.filter_map(|stream| indices.get(*stream).copied().flatten());
            let program = ffi::Program {
                streams: streams.collect(),
                ..program.clone()
            };
            ffi::add_program(container, &program);
        }
        let options = target.muxer_options(programme, is_live);
        let options: Dictionary<'_> = options.iter().map(|(k, v)| (*k, &**v)).collect();
        container.write_header_with(options)?;
        let places = indices.iter().zip(&programme.streams).enumerate();
        let places = places.map(|(number, (index, stream))| {
            let own = if number == programme.video {
                *time_base
            } else {
                stream.time_base
            };
            let out = container.stream((*index)?)?;
            let is_sparse = !matches!(stream.medium, media::Type::Video | media::Type::Audio);
            Some(Place {
                index: (*index)?,
                time_bases: [own, out.time_base()],
                last_dts: None,
                later: target.later(stream).rescale(OPUS_RATE, out.time_base()),
                may_stand_still: is_sparse || target.may_stand_still(),
                tells_aac: target.tells_aac() && stream.aac.is_some(),
                metadata: tables::is_metadata(stream)
                    .then_some(0)
                    .filter(|_| target.container == "mpegts"),
                refused: 0,
            })
        });
        self.places = places.collect();
        Ok(())
    }

    /// Writes a packet of this stream of the input, if that is in the container. One that the muxer
    /// refuses by itself, because it has no time or is empty, is passed by.
    ///
    /// # Errors
    /// Nothing more can be written.
    pub(super) fn write(&mut self, mut packet: Packet, stream: usize) -> Result<(), Lost> {
        let Some(Some(place)) = self.places.get_mut(stream) else {
            return Ok(());
        };
        packet.set_stream(place.index);
        packet.set_position(-1);
        if place.tells_aac {
            let header = adts::header_len(packet.data().unwrap_or_default());
            ffi::skip(&mut packet, header);
        }
        if let Some(number) = &mut place.metadata
            && let Err(error) = carry(&mut packet, number)
        {
            return Err(error.into());
        }
        let [own, out] = place.time_bases;
        if self.begins_at_zero
            && let Some(at) = packet.dts().or(packet.pts())
        {
            let zero = *self.zero_us.get_or_insert_with(|| micros(at, own));
            let zero = zero.rescale(Rational::new(1, 1_000_000), own);
            packet.set_pts(packet.pts().map(|pts| pts.saturating_sub(zero)));
            packet.set_dts(packet.dts().map(|dts| dts.saturating_sub(zero)));
        }
        packet.rescale_ts(own, out);
        if packet.pts().is_none() && packet.dts().is_none() {
            // A cover has no time, and muxers refuse what has none.
            let last = place.last_dts.unwrap_or(0);
            packet.set_pts(Some(last));
            packet.set_dts(Some(last));
        }
        packet.set_pts(packet.pts().map(|pts| pts.saturating_add(place.later)));
        packet.set_dts(packet.dts().map(|dts| dts.saturating_add(place.later)));
        // Muxers refuse time that goes back.
        if let (Some(dts), Some(last)) = (packet.dts(), place.last_dts) {
            let least = if place.may_stand_still {
                last
            } else {
                last + 1
            };
            if dts < least {
                packet.set_dts(Some(least));
                packet.set_pts(packet.pts().map(|pts| pts.max(least)));
            }
        }
        place.last_dts = packet.dts().or(place.last_dts);
        self.watch.expect_within(self.patience);
        let written = packet.write(&mut self.output.container);
        self.watch.expect_within(None);
        match written {
            Ok(_) => Ok(()),
            Err(Error::InvalidData | Error::Other { errno: EINVAL }) => {
                if place.refused == 0 {
                    tracing::warn!("stream {stream}: the container refuses a packet of it");
                }
                place.refused += 1;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what the muxer keeps, whichever streams have said nothing yet.
    ///
    /// # Errors
    /// Nothing more can be written.
    pub(super) fn flush(&mut self) -> Result<(), Lost> {
        self.watch.expect_within(self.patience);
        let flushed = ffi::flush(&mut self.output.container);
        self.watch.expect_within(None);
        Ok(flushed?)
    }

    /// Ends it as its format does.
    ///
    /// # Errors
    /// It can't be written any more.
    pub(super) fn finish(&mut self) -> Result<(), Lost> {
        self.watch.expect_within(self.patience);
        Ok(self.output.container.write_trailer()?)
    }
}

/// Sees to it that metadata is in a PES packet such as it came in.
///
/// # Errors
/// There is no memory.
fn carry(packet: &mut Packet, number: &mut u8) -> Result<(), Error> {
    let has_time = packet.pts().is_some();
    match ffi::stream_id_mut(packet) {
        Some(id) if *id == metadata::PRIVATE_STREAM && has_time => *id = tables::TIMED,
        Some(id) if *id == metadata::METADATA_STREAM => {
            let header = packet
                .data()
                .and_then(|data| metadata::cell_header(data, *number));
            if let Some(header) = header {
                ffi::prepend(packet, &header)?;
                *number = number.wrapping_add(1);
            }
        }
        _ => {}
    }
    Ok(())
}

/// The stream as a container has it whose header tells, or not, what is before each frame of AAC.
pub(super) fn with_config(stream: &StreamInfo, tells_aac: bool) -> Result<StreamInfo> {
    let mut stream = stream.clone();
    if let Some(config) = stream.aac.filter(|_| tells_aac) {
        ffi::set_extradata(&mut stream.parameters, &config)?;
    }
    Ok(stream)
}

/// Adds a stream like this one, and gives its number.
pub(super) fn add_stream(container: &mut Output, like: &StreamInfo) -> Result<usize> {
    let mut stream = container.add_stream(None::<Codec>)?;
    stream.set_parameters(like.parameters.clone());
    stream.set_time_base(like.time_base);
    if let Some(rate) = like.rate {
        stream.set_avg_frame_rate(rate);
        stream.set_rate(rate);
    }
    let metadata = like.metadata.iter();
    let metadata = metadata.filter(|(name, _)| !NOT_COPIED.contains(&&**name));
    stream.set_metadata(metadata.map(|(k, v)| (&**k, &**v)).collect());
    let index = stream.index();
    ffi::set_properties(container, index, &like.properties)?;
    Ok(index)
}
