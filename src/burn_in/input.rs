//! The programme that comes in: opening it, and what its streams are.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use ffmpeg_next::codec::{self, Parameters};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::{Disposition, Stream};
use ffmpeg_next::{self as ffmpeg, Dictionary, Rational, media};

use super::ffi::{self, Program, Properties};
use super::now;

/// An input that says nothing for this long is lost.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// One that comes in segments may say nothing for a segment or two.
const SEGMENT_SILENCE_MAX: Duration = Duration::from_secs(30);

/// Time stamps of the container may jump: `AVFMT_TS_DISCONT`.
const MAY_JUMP: [&str; 5] = ["mpegts", "mpeg", "mpegtsraw", "hls", "rtp"];

/// Where a programme comes from.
#[derive(Debug)]
pub(super) struct Origin {
    /// As it was given.
    name: String,
    address: OsString,
    options: Vec<(&'static str, String)>,
    format: Option<String>,
    /// Whether it waits for somebody to connect.
    listens: bool,
    /// Whether what is read comes as fast as it is made.
    pub(super) is_live: bool,
    /// Whether it is an address on a network.
    pub(super) is_address: bool,
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
}

impl Origin {
    /// What a person calls it; reads end when `stop` is set.
    pub(super) fn new(name: &OsStr, format: Option<String>, stop: Arc<AtomicBool>) -> Self {
        let shown = name.display().to_string();
        let text = name.to_str().unwrap_or_default();
        let is_address = text.contains("://") && !text.starts_with("file:");
        let mut options = Vec::new();
        let mut listens = false;
        let (address, is_live) = if name == "-" {
            ("pipe:0".into(), true)
        } else if is_address {
            let mut address = text.to_owned();
            for listen in ["?listen", "&listen"] {
                let by_option = ["rtmp", "http"]
                    .iter()
                    .any(|scheme| text.starts_with(scheme));
                if by_option && let Some(rest) = address.strip_suffix(listen) {
                    address = rest.to_owned();
                    options.push(("listen", "1".into()));
                    listens = true;
                }
            }
            listens |= text.contains("listen");
            (address.into(), true)
        } else {
            // So that no file's name is taken for another protocol's address.
            let mut address = OsString::from("file:");
            address.push(name);
            let is_file = std::fs::metadata(Path::new(name)).map_or(true, |m| m.is_file());
            (address, !is_file)
        };
        let watch = Watch {
            stop,
            began: now(),
            heard_ms: AtomicU64::new(0),
            silence_ms: AtomicU64::new(0),
        };
        Self {
            name: shown,
            address,
            options,
            format,
            listens,
            is_live,
            is_address,
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
        let options = self.options.iter().map(|(name, value)| (*name, &**value));
        let options: Dictionary<'_> = options.collect();
        let watch = Arc::clone(&self.watch);
        watch.hear();
        // Who listens waits for as long as it takes.
        let silence = if self.listens {
            Duration::ZERO
        } else {
            SEGMENT_SILENCE_MAX
        };
        self.expect_within(silence);
        let format = self.format.as_deref();
        if let Some(name) = format
            && !ffi::has_demuxer(name)
        {
            bail!("--input-format {name}: this system's FFmpeg has no demuxer of that name");
        }
        let over = move || watch.is_over();
        let opened = ffi::open_input(&self.address, format, options, over);
        let input = opened.with_context(|| format!("cannot read {}", self.name))?;
        // It takes any text for a picture of characters.
        if input.format().name() == "tty" {
            bail!("cannot read {}: it is text", self.name);
        }
        let in_segments = matches!(input.format().name(), "hls" | "dash");
        let silence = match (self.is_address, in_segments) {
            (false, _) => Duration::ZERO,
            (true, false) => SILENCE_MAX,
            (true, true) => SEGMENT_SILENCE_MAX,
        };
        self.watch.hear();
        self.expect_within(silence);
        Ok(input)
    }

    /// As libavformat takes it.
    pub(super) fn address(&self) -> &OsStr {
        &self.address
    }

    fn expect_within(&self, silence: Duration) {
        let silence = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
        self.watch.silence_ms.store(silence, Ordering::Relaxed);
    }

    /// A packet has come.
    pub(super) fn hear(&self) {
        self.watch.hear();
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
            });
        }
        if streams[video].tag_of_codec() == *b"encv" {
            bail!("{origin}: its video is encrypted, and can't be decoded without a key");
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
            format: name,
            streams,
        })
    }

    /// The video that reactions are burned into.
    pub(super) fn main_video(&self) -> &StreamInfo {
        &self.streams[self.video]
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
