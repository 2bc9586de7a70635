//! The programme that comes in: opening it, and what its streams are.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use ffmpeg_next::codec::{self, Parameters};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::{Disposition, Stream};
use ffmpeg_next::{self as ffmpeg, Dictionary, Error, Packet, Rational, media};

use super::address::Address;
use super::adts;
use super::ffi::{self, Program, Properties};
use super::metadata::METADATA_STREAM;
use super::now;
use crate::shown;

/// An input that says nothing for this long is lost.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// One that comes in segments may say nothing for a segment or two.
const SEGMENT_SILENCE_MAX: Duration = Duration::from_secs(30);

/// One that isn't there after this long can't be opened, unless it waits for somebody to connect.
const OPEN_MAX: Duration = Duration::from_secs(30);

/// Packets that are read before all is known of an input, at most.
const AHEAD_MAX: usize = 128;

/// The profile of KLV that comes in access units: `AV_PROFILE_KLVA_SYNC`.
const SYNCHRONOUS: i32 = 0;

/// Demuxers of what comes in segments.
const IN_SEGMENTS: [&str; 2] = ["hls", "dash"];

/// Time stamps of the container may jump: `AVFMT_TS_DISCONT`.
const MAY_JUMP: [&str; 5] = ["mpegts", "mpeg", "mpegtsraw", "hls", "rtp"];

/// Where a programme comes from.
#[derive(Debug)]
pub(super) struct Origin {
    /// As it was given.
    name: String,
    pub(super) address: Address,
    format: Option<String>,
    /// Whether what is read comes as fast as it is made.
    pub(super) is_live: bool,
    watch: Arc<Watch>,
}

/// What ends a read that would never return.
#[derive(Debug)]
struct Watch {
    stop: Arc<AtomicBool>,
    began: Instant,
    /// Milliseconds from then to the last packet.
    heard_ms: AtomicU64,
    /// Milliseconds of silence that are too many; 0 for none.
    silence_ms: AtomicU64,
}

impl Watch {
    fn hear(&self) {
        self.heard_ms.store(self.elapsed_ms(), Ordering::Relaxed);
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_over(&self) -> bool {
        let silence = self.silence_ms.load(Ordering::Relaxed);
        let quiet = self
            .elapsed_ms()
            .saturating_sub(self.heard_ms.load(Ordering::Relaxed));
        self.stop.load(Ordering::Relaxed) || silence > 0 && quiet > silence
    }

    fn quiet(&self) -> Duration {
        let heard = self.heard_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.elapsed_ms().saturating_sub(heard))
    }
}

impl Origin {
    /// What a person calls it; reads end when `stop` is set.
    pub(super) fn new(name: &OsStr, format: Option<String>, stop: Arc<AtomicBool>) -> Self {
        let address = Address::new(name, "pipe:0");
        let is_file = || std::fs::metadata(Path::new(name)).map_or(true, |about| about.is_file());
        let is_live = address.is_network || name == "-" || !is_file();
        let watch = Watch {
            stop,
            began: now(),
            heard_ms: AtomicU64::new(0),
            silence_ms: AtomicU64::new(0),
        };
        Self {
            name: shown::place(name),
            address,
            format,
            is_live,
            watch: Arc::new(watch),
        }
    }

    /// Opens it, and finds out what is in it.
    ///
    /// # Errors
    /// It can't be read, or is nothing that libavformat knows.
    pub(super) fn open(&self) -> Result<Input> {
        ffmpeg::init().context("FFmpeg's libraries don't start")?;
        ffmpeg::log::set_level(ffmpeg::log::Level::Fatal);
        let options = self.address.options.iter();
        let options: Dictionary<'_> = options.map(|(name, value)| (*name, &**value)).collect();
        let watch = Arc::clone(&self.watch);
        watch.hear();
        // Who listens waits for as long as it takes.
        self.expect_within(if self.address.listens {
            Duration::ZERO
        } else {
            OPEN_MAX
        });
        let format = self.format.as_deref();
        if let Some(name) = format
            && !ffi::has_demuxer(name)
        {
            bail!("--input-format {name}: this system's FFmpeg has no demuxer of that name");
        }
        let over = move || watch.is_over();
        let opened = ffi::open_input(&self.address.url, format, options, over);
        let input = match opened {
            Err(Error::Exit) => {
                bail!(
                    "cannot read {}: nothing comes for {} s",
                    self.name,
                    OPEN_MAX.as_secs()
                )
            }
            opened => opened.with_context(|| format!("cannot read {}", self.name))?,
        };
        // It takes any text for a picture of characters.
        if input.format().name() == "tty" {
            bail!("cannot read {}: it is text", self.name);
        }
        let in_segments = IN_SEGMENTS.contains(&input.format().name());
        let silence = match (self.address.is_network, in_segments) {
            (false, _) => Duration::ZERO,
            (true, false) => SILENCE_MAX,
            (true, true) => SEGMENT_SILENCE_MAX,
        };
        self.hear();
        self.expect_within(silence);
        Ok(input)
    }

    fn expect_within(&self, silence: Duration) {
        let silence = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
        self.watch.silence_ms.store(silence, Ordering::Relaxed);
    }

    /// A packet has come, or is waited for from now on.
    pub(super) fn hear(&self) {
        self.watch.hear();
    }

    /// For how long none has come.
    pub(super) fn quiet(&self) -> Duration {
        self.watch.quiet()
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// One stream of a programme.
#[derive(Clone)]
pub(super) struct StreamInfo {
    pub(super) medium: media::Type,
    pub(super) parameters: Parameters,
    pub(super) time_base: Rational,
    /// Pictures a second, of video.
    pub(super) rate: Option<Rational>,
    pub(super) properties: Properties,
    pub(super) metadata: Vec<(String, String)>,
    /// What a file's header would say of its AAC, where that is before each frame.
    pub(super) aac: Option<[u8; 2]>,
}

impl StreamInfo {
    pub(super) fn tag(&self, name: &str) -> Option<&str> {
        let mut tags = self.metadata.iter();
        tags.find(|(tag, _)| tag == name).map(|(_, value)| &**value)
    }
}

impl StreamInfo {
    /// The four characters by which its container names its codec.
    pub(super) fn tag_of_codec(&self) -> [u8; 4] {
        ffi::codec_tag(&self.parameters).to_le_bytes()
    }

    /// Bits a second, if that is known.
    pub(super) fn bitrate(&self) -> Option<u64> {
        u64::try_from(self.parameters.bit_rate())
            .ok()
            .filter(|rate| *rate > 0)
    }
}

/// A chapter: its number, its times in its unit, its title.
#[derive(Clone, Debug)]
pub(super) struct Chapter {
    pub(super) id: i64,
    pub(super) time_base: Rational,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) title: String,
}

/// What is in an input.
#[derive(Clone)]
pub(super) struct Programme {
    pub(super) streams: Vec<StreamInfo>,
    /// The video that reactions are burned into.
    pub(super) video: usize,
    pub(super) metadata: Vec<(String, String)>,
    pub(super) chapters: Vec<Chapter>,
    pub(super) programs: Vec<Program>,
    /// The demuxer's name.
    pub(super) format: String,
    /// How long it is, if that is known.
    pub(super) duration: Option<Duration>,
    /// Bits a second of all of it, if that is known.
    pub(super) bitrate: Option<u64>,
    /// Whether its time stamps may jump.
    pub(super) may_jump: bool,
    /// Whether its end is known from the beginning: it is no live one, and a loss is its end.
    pub(super) is_finite: bool,
    /// The earliest time stamp, in microseconds, if that is known.
    pub(super) start_us: Option<i64>,
}

impl Programme {
    /// What an open input has.
    ///
    /// # Errors
    /// It has no video, or one that no decoder reads.
    pub(super) fn of(input: &mut Input, origin: &Origin) -> Result<Self> {
        let video = main_video(input).with_context(|| format!("{origin}: it has no video"))?;
        let mut streams = Vec::new();
        for index in 0..input.nb_streams() as usize {
            let rate = ffi::frame_rate(input, index);
            let Some(stream) = input.stream(index) else {
                continue;
            };
            let parameters = stream.parameters().clone();
            streams.push(StreamInfo {
                medium: parameters.medium(),
                parameters,
                time_base: stream.time_base(),
                rate,
                properties: Properties::of(&stream),
                metadata: ffi::owned(&stream.metadata()),
                aac: None,
            });
        }
        let codec = streams[video].parameters.id();
        if codec == codec::Id::None {
            bail!("{origin}: its video is of no codec that this system's FFmpeg knows");
        }
        if codec::decoder::find(codec).is_none() {
            bail!(
                "{origin}: this system's FFmpeg has no decoder of {}",
                codec.name()
            );
        }
        let chapters = input.chapters().map(|chapter| Chapter {
            id: chapter.id(),
            time_base: chapter.time_base(),
            start: chapter.start(),
            end: chapter.end(),
            title: chapter.metadata().get("title").unwrap_or_default().into(),
        });
        let duration = u64::try_from(input.duration()).ok().filter(|us| *us > 0);
        let name = input.format().name().to_owned();
        Ok(Self {
            video,
            metadata: ffi::owned(&input.metadata()),
            chapters: chapters.collect(),
            programs: ffi::programs(input),
            duration: duration.map(Duration::from_micros),
            bitrate: u64::try_from(input.bit_rate())
                .ok()
                .filter(|rate| *rate > 0),
            may_jump: MAY_JUMP.contains(&&*name),
            is_finite: ffi::has_known_end(input),
            start_us: ffi::start_us(input),
            format: name,
            streams,
        })
    }

    /// Reads the first packets, for what streams say in them alone, and gives them to be taken
    /// before all others.
    pub(super) fn read_ahead(&mut self, input: &mut Input) -> VecDeque<Packet> {
        let mut ahead = VecDeque::new();
        let mut unknown: Vec<usize> = (0..self.streams.len()).collect();
        unknown.retain(|stream| {
            let parameters = &self.streams[*stream].parameters;
            match parameters.id() {
                codec::Id::AAC => !ffi::has_extradata(parameters),
                codec::Id::SMPTE_KLV => true,
                _ => false,
            }
        });
        while !unknown.is_empty() && ahead.len() < AHEAD_MAX {
            let mut packet = Packet::empty();
            if packet.read(input).is_err() {
                // Whoever reads on sees it again.
                break;
            }
            let number = packet.stream();
            if unknown.contains(&number) {
                unknown.retain(|stream| *stream != number);
                let stream = &mut self.streams[number];
                if stream.parameters.id() == codec::Id::AAC {
                    stream.aac = packet.data().and_then(adts::config);
                } else if ffi::stream_id_mut(&mut packet).copied() == Some(METADATA_STREAM) {
                    ffi::set_profile(&mut stream.parameters, SYNCHRONOUS);
                }
            }
            ahead.push_back(packet);
        }
        ahead
    }

    /// The video that reactions are burned into.
    pub(super) fn main_video(&self) -> &StreamInfo {
        &self.streams[self.video]
    }

    /// Whether it comes in segments, several of which are there at once.
    pub(super) fn in_segments(&self) -> bool {
        IN_SEGMENTS.contains(&&*self.format)
    }
}

/// The best video that is no cover.
fn main_video(input: &Input) -> Option<usize> {
    let is_cover = |stream: &Stream<'_>| stream.disposition().contains(Disposition::ATTACHED_PIC);
    let best = input.streams().best(media::Type::Video);
    let mut videos = input
        .streams()
        .filter(|stream| stream.parameters().medium() == media::Type::Video);
    match best.filter(|stream| !is_cover(stream)) {
        Some(stream) => Some(stream.index()),
        None => videos
            .find(|stream| !is_cover(stream))
            .map(|stream| stream.index()),
    }
}
