//! One output's container: opened, written in order, and opened again when it is lost.
//!
//! Copied packets wait for the video, whose pictures take a while to be coded; the video waits for
//! nothing. So no stream that has nothing to say, such as captions, holds a live programme up.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use ffmpeg_next::codec::Parameters;
use ffmpeg_next::error::{ECONNABORTED, ECONNRESET, EPIPE};
use ffmpeg_next::format::context::StreamIo;
use ffmpeg_next::format::{self, Flags};
use ffmpeg_next::{Codec, Dictionary, Error, Packet, Rational, media};

use super::ffi::{self, OpenOutput};
use super::input::{Programme, StreamInfo};
use super::now;
use super::settings::OutputSettings;
use crate::metrics;

/// Packets on their way to a container. Of a live programme those are dropped that find no room,
/// and video then goes on with a picture from which decoding can begin; otherwise they are waited
/// for.
const PACKETS: usize = 1_024;

/// Copied packets that wait for the video; when there are more, the first is written before it.
const HELD_MAX: usize = 8_192;

/// Copied packets are never held for longer than this of their own time, in microseconds: more
/// than any encoder keeps pictures.
const HELD_US: i64 = 10_000_000;

/// Live, they are held for this long at most.
const HELD_LIVE_US: i64 = 3_000_000;

/// A connection that takes nothing for this long is lost.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// Pauses between attempts to connect double from the first to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));

/// Tags of the container that come in, and are for the one that is written to say.
const NOT_COPIED: [&str; 4] = [
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
];

/// Where an output goes, checked.
pub(super) struct Target {
    /// As it was given.
    pub(super) name: String,
    address: OsString,
    /// The muxer's name.
    pub(super) container: String,
    flags: Flags,
    /// Whether it is on a network, and connected again when it is lost.
    pub(super) is_address: bool,
    /// Whether it is a file, whose bytes can be gone back to.
    pub(super) is_file: bool,
    options: Vec<(&'static str, String)>,
}

impl Target {
    /// Finds the muxer: the one that is named, that of the file's ending, of the address, or of
    /// the input.
    ///
    /// # Errors
    /// There is none; the file is there already, and isn't to be overwritten; it is the input.
    pub(super) fn new(
        settings: &OutputSettings,
        input: &OsStr,
        input_format: &str,
        force: bool,
    ) -> Result<Self> {
        let given = &settings.target;
        let name = given.display().to_string();
        let text = given.to_str().unwrap_or_default();
        let is_address = text.contains("://") && !text.starts_with("file:");
        let is_stdout = given == "-";
        let path = Path::new(given);
        let is_file = !is_address
            && !is_stdout
            && std::fs::metadata(path).map_or(true, |about| about.is_file());
        let by_address = [
            "rtmp", "rtsp", "srt", "udp", "rtp", "tcp", "rist", "unix", "http",
        ];
        let muxers = [
            "flv",
            "rtsp",
            "mpegts",
            "mpegts",
            "rtp_mpegts",
            "mpegts",
            "mpegts",
            "mpegts",
            "mpegts",
        ];
        let container = match &settings.container {
            Some(named) => ffi::muxer(Some(named), None).with_context(|| {
                format!("--container {named}: this system's FFmpeg has no muxer of that name")
            })?,
            None => {
                let mut schemes = by_address.iter().zip(muxers);
                let by_scheme =
                    schemes.find(|(scheme, _)| is_address && text.starts_with(**scheme));
                let by_name = match by_scheme {
                    Some((_, muxer)) => ffi::muxer(Some(muxer), None),
                    None => ffi::muxer(None, given.to_str()).filter(|_| !is_stdout),
                };
                let own = || {
                    input_format
                        .split(',')
                        .find_map(|name| ffi::muxer(Some(name), None))
                };
                let of_input = || is_stdout.then(own).flatten();
                by_name
                    .or_else(of_input)
                    .or_else(|| {
                        is_stdout
                            .then(|| ffi::muxer(Some("matroska"), None))
                            .flatten()
                    })
                    .with_context(|| {
                        format!(
                            "{name}: its ending names no container: expected one such as .mp4, \
                             .mkv, .mov, .ts or .flv, or --container"
                        )
                    })?
            }
        };
        if is_file && path.exists() {
            let same = std::fs::canonicalize(path).ok();
            if same.is_some() && same == std::fs::canonicalize(Path::new(input)).ok() {
                bail!("{name}: input and output are one file: expected two");
            }
            if !force {
                bail!("{name} exists: --force overwrites it");
            }
        }
        let address = if is_stdout {
            "pipe:1".into()
        } else if is_address {
            given.clone()
        } else {
            let mut address = OsString::from("file:");
            address.push(given);
            address
        };
        Ok(Self {
            name,
            address,
            flags: container.flags(),
            container: container.name().to_owned(),
            is_address,
            is_file,
            options: Vec::new(),
        })
    }

    /// The path by which libavformat would guess a codec.
    pub(super) fn path(&self) -> &str {
        self.address.to_str().unwrap_or_default()
    }

    /// The muxer.
    pub(super) fn muxer(&self) -> Option<format::Output> {
        ffi::muxer(Some(&self.container), None)
    }

    /// Whether the container keeps what decoders need in its header.
    pub(super) fn global_header(&self) -> bool {
        self.flags.contains(Flags::GLOBAL_HEADER)
    }

    /// Which streams the container takes along with the video, each with why it is left out if it
    /// is: found out by writing a header to nowhere.
    pub(super) fn takes(&self, programme: &Programme) -> Vec<Result<()>> {
        let mut taken: Vec<usize> = Vec::new();
        let mut answers = Vec::new();
        for index in 0..programme.streams.len() {
            let answer = if index == programme.video {
                Ok(())
            } else {
                taken.push(index);
                let answer = self.try_header(programme, &taken);
                if answer.is_err() {
                    taken.pop();
                }
                answer
            };
            answers.push(answer);
        }
        answers
    }

    fn try_header(&self, programme: &Programme, streams: &[usize]) -> Result<()> {
        let newest = &programme.streams[streams[streams.len() - 1]];
        let id = newest.parameters.id();
        let muxer = self.muxer();
        let carries = muxer.as_ref().and_then(|muxer| ffi::can_hold(muxer, id));
        // Some muxers say so, and take anything all the same.
        if carries == Some(false) && newest.medium != media::Type::Attachment {
            bail!("{} can't be in {}", id.name(), self.container);
        }
        if self.flags.contains(Flags::NO_FILE) {
            return Ok(());
        }
        // Some refuse what they can't go back to.
        let io = match self.is_file {
            true => StreamIo::from_write_seek(Cursor::new(Vec::new()))?,
            false => StreamIo::from_write(std::io::sink())?,
        };
        let mut container = format::output_to_stream(io, None, Some(&self.container))?;
        for stream in streams {
            add_stream(&mut container, &programme.streams[*stream])?;
        }
        let options: Dictionary<'_> = self.muxer_options(true).into_iter().collect();
        let written = container.write_header_with(options).map(|_| ());
        written.with_context(|| format!("{} can't be in {}", id.name(), self.container))
    }

    fn muxer_options(&self, is_live: bool) -> Vec<(&'static str, &'static str)> {
        let mut options = vec![("flush_packets", if is_live { "1" } else { "-1" })];
        match &*self.container {
            "mp4" | "mov" | "ipod" | "3gp" | "3g2" | "psp" | "f4v" => {
                // What can't be gone back to is in fragments; so is what may be cut off.
                if !self.is_file || is_live {
                    options.push(("movflags", "+frag_keyframe+empty_moov+default_base_moof"));
                } else {
                    options.push(("movflags", "+use_metadata_tags"));
                }
            }
            "mpegts" => options.push(("mpegts_copyts", "1")),
            "flv" if !self.is_file => {
                options.push(("flvflags", "no_duration_filesize"));
            }
            _ => {}
        }
        options
    }
}

/// What goes to a container.
pub(super) enum Item {
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
pub(super) struct Begin {
    pub(super) parameters: Parameters,
    /// The unit of its packets' time stamps.
    pub(super) time_base: Rational,
    /// What streams have that are copied; the video's own tags and side data.
    pub(super) programme: Programme,
}

/// The way to a container, from several threads.
#[derive(Clone)]
pub(super) struct Link {
    items: SyncSender<Item>,
    /// Whether packets are dropped that find no room.
    drops: bool,
    /// Video was dropped, or a connection is new: the next picture must be one from which decoding
    /// can begin.
    wants_key: Arc<AtomicBool>,
    /// The container is done with: nothing is to be sent any more.
    gone: Arc<AtomicBool>,
    counts: Counts,
}

/// What an output's figures are made of.
#[derive(Clone, Default)]
pub(super) struct Counts {
    pub(super) metrics: Option<metrics::Output>,
    pub(super) written: Arc<AtomicU64>,
    pub(super) dropped: Arc<AtomicU64>,
    /// Bytes of all packets.
    pub(super) bytes: Arc<AtomicU64>,
}

impl Link {
    /// A container's two ends.
    pub(super) fn new(drops: bool, counts: Counts) -> (Self, Receiver<Item>) {
        let (items, ends) = sync_channel(PACKETS);
        let link = Self {
            items,
            drops,
            wants_key: Arc::new(AtomicBool::new(false)),
            gone: Arc::new(AtomicBool::new(false)),
            counts,
        };
        (link, ends)
    }

    /// Whether the next picture must be one from which decoding can begin; asked once.
    pub(super) fn take_wish_for_key(&self) -> bool {
        self.wants_key.swap(false, Ordering::Relaxed)
    }

    /// Whether nothing is to be sent any more.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// A picture has gone to the encoder.
    pub(super) fn count_picture(&self) {
        if let Some(metrics) = &self.counts.metrics {
            metrics.frames.inc();
        }
    }

    /// Sends what must arrive.
    pub(super) fn send(&self, item: Item) {
        if self.items.send(item).is_err() {
            self.gone.store(true, Ordering::Relaxed);
        }
    }

    /// Sends a packet; one that finds no room is dropped if that is so decided.
    pub(super) fn pass(&self, item: Item) {
        if !self.drops {
            return self.send(item);
        }
        match self.items.try_send(item) {
            Ok(()) => {}
            Err(TrySendError::Full(item)) => {
                if let Item::Video(_) = item {
                    self.counts.dropped.fetch_add(1, Ordering::Relaxed);
                    if let Some(metrics) = &self.counts.metrics {
                        metrics.frames_dropped.inc();
                    }
                    self.wants_key.store(true, Ordering::Relaxed);
                }
            }
            Err(TrySendError::Disconnected(_)) => self.gone.store(true, Ordering::Relaxed),
        }
    }
}

/// Writes one container until its end.
pub(super) struct Writer {
    pub(super) target: Target,
    pub(super) link: Link,
    /// Which of the input's streams are copied.
    pub(super) kept: Vec<usize>,
    pub(super) is_live: bool,
    /// Set when all is to end now.
    pub(super) stop: Arc<AtomicBool>,
}

/// A container that is open.
struct Open {
    output: OpenOutput,
    /// Milliseconds from `began` at which the write at hand is too late; 0 for never.
    deadline_ms: Arc<AtomicU64>,
    began: Instant,
    /// For each of the input's streams, where it is in the output, and the units of its time.
    places: Vec<Option<Place>>,
}

#[derive(Clone, Copy)]
struct Place {
    index: usize,
    time_bases: [Rational; 2],
    last_dts: Option<i64>,
}

/// What became of a write.
enum Written {
    Whole,
    /// Nobody reads it any more.
    Closed,
}

impl Writer {
    /// Takes what comes until the end; connects again as long as it takes.
    ///
    /// # Errors
    /// It can't be opened the first time, or a file or pipe can't be written.
    pub(super) fn run(&self, items: &Receiver<Item>) -> Result<()> {
        let done = self.work(items);
        self.link.gone.store(true, Ordering::Relaxed);
        done
    }

    fn work(&self, items: &Receiver<Item>) -> Result<()> {
        let mut held: VecDeque<Packet> = VecDeque::new();
        let begin = loop {
            match items.recv() {
                Ok(Item::Begin(begin)) => break begin,
                Ok(Item::Copy(packet)) => {
                    held.push_back(packet);
                    if held.len() > HELD_MAX {
                        held.pop_front();
                    }
                }
                Ok(Item::Video(_)) => {}
                // There never was a picture.
                Ok(Item::End) | Err(_) => return Ok(()),
            }
        };
        let cannot = || format!("cannot write {}", self.target.name);
        let mut open = match self.open(&begin) {
            Ok(open) => Some(open),
            Err(error) if self.target.is_address && self.is_live => {
                tracing::warn!("{}: {error:#}; trying again", self.target.name);
                None
            }
            Err(error) => return Err(error).with_context(cannot),
        };
        self.show_open(open.is_some());
        let mut video_us = i64::MIN;
        let mut needs_key = false;
        loop {
            if open.is_none() {
                match self.reopen(items, &begin) {
                    Some(again) => open = Some(again),
                    None => return Ok(()),
                }
                held.clear();
                needs_key = true;
                self.link.wants_key.store(true, Ordering::Relaxed);
            }
            let Some(container) = &mut open else { continue };
            let item = items.recv().unwrap_or(Item::End);
            let written = match item {
                Item::Begin(_) => continue,
                Item::Video(packet) if needs_key && !packet.is_key() => {
                    self.drop_picture();
                    continue;
                }
                Item::Copy(_) if needs_key => continue,
                Item::Video(packet) => {
                    needs_key = false;
                    let at = packet.dts().or(packet.pts()).unwrap_or(0);
                    video_us = video_us.max(micros(at, begin.time_base));
                    let stream = begin.programme.video;
                    self.release(container, &mut held, video_us)
                        .and_then(|before| match before {
                            Written::Whole => self.write(container, packet, stream),
                            Written::Closed => Ok(Written::Closed),
                        })
                }
                Item::Copy(packet) => {
                    held.push_back(packet);
                    self.release(container, &mut held, video_us)
                }
                Item::End => {
                    let rest = self.release(container, &mut held, i64::MAX);
                    let rest = rest.and_then(|_| self.finish(container));
                    self.show_open(false);
                    return match rest {
                        Err(error) if !self.target.is_address => Err(error).with_context(cannot),
                        _ => Ok(()),
                    };
                }
            };
            match written {
                Ok(Written::Whole) => {}
                Ok(Written::Closed) if !self.target.is_address => {
                    self.show_open(false);
                    return Ok(());
                }
                Ok(Written::Closed) => open = self.lose("the reader is gone"),
                Err(error) if self.target.is_address && !self.stop.load(Ordering::Relaxed) => {
                    open = self.lose(&format!("{error:#}"));
                }
                Err(error) => return Err(error).with_context(cannot),
            }
        }
    }

    fn lose(&self, why: &str) -> Option<Open> {
        tracing::warn!("{}: {why}; connecting again", self.target.name);
        self.show_open(false);
        if let Some(metrics) = &self.link.counts.metrics {
            metrics.reopened.inc();
        }
        None
    }

    fn show_open(&self, is_open: bool) {
        if let Some(metrics) = &self.link.counts.metrics {
            metrics.open.set(i64::from(is_open));
        }
    }

    fn drop_picture(&self) {
        self.link.counts.dropped.fetch_add(1, Ordering::Relaxed);
        if let Some(metrics) = &self.link.counts.metrics {
            metrics.frames_dropped.inc();
        }
    }

    /// Connects, with pauses in which what comes is dropped; `None` at the end of all.
    fn reopen(&self, items: &Receiver<Item>, begin: &Begin) -> Option<Open> {
        let mut pause = BACKOFF.0;
        loop {
            let until = now() + pause;
            loop {
                let left = until.saturating_duration_since(now());
                match items.recv_timeout(left) {
                    Ok(Item::End) => return None,
                    Ok(Item::Video(_)) => self.drop_picture(),
                    Ok(_) => {}
                    Err(std::sync::mpsc::RecvTimeoutError::Timeout) => break,
                    Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return None,
                }
            }
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            match self.open(begin) {
                Ok(open) => {
                    tracing::info!("{}: connected again", self.target.name);
                    self.show_open(true);
                    return Some(open);
                }
                Err(error) => tracing::debug!("{}: {error:#}", self.target.name),
            }
            pause = (2 * pause).min(BACKOFF.1);
        }
    }

    fn open(&self, begin: &Begin) -> Result<Open> {
        let began = now();
        let deadline_ms = Arc::new(AtomicU64::new(0));
        let (stop, deadline) = (Arc::clone(&self.stop), Arc::clone(&deadline_ms));
        let is_address = self.target.is_address;
        let over = move || {
            let deadline = deadline.load(Ordering::Relaxed);
            let is_late = || began.elapsed().as_millis() > u128::from(deadline);
            is_address
                && (stop.load(Ordering::Relaxed) && deadline == 0 || deadline > 0 && is_late())
        };
        let options = self.target.options.iter();
        let options = options.map(|(name, value)| (*name, &**value)).collect();
        let name = &self.target.container;
        let output = ffi::open_output(&self.target.address, name, options, over)?;
        let mut open = Open {
            output,
            deadline_ms,
            began,
            places: Vec::new(),
        };
        let listens = self.target.name.contains("listen");
        if !listens {
            open.expect_soon();
        }
        self.write_header(&mut open, begin)?;
        open.deadline_ms.store(0, Ordering::Relaxed);
        Ok(open)
    }

    fn write_header(&self, open: &mut Open, begin: &Begin) -> Result<()> {
        let Begin {
            parameters,
            time_base,
            programme,
        } = begin;
        let container = &mut open.output.container;
        let mut indices = Vec::new();
        for (number, stream) in programme.streams.iter().enumerate() {
            let index = if number == programme.video {
                let video = StreamInfo {
                    parameters: parameters.clone(),
                    time_base: *time_base,
                    ..stream.clone()
                };
                Some(add_stream(container, &video)?)
            } else if self.kept.contains(&number) {
                Some(add_stream(container, stream)?)
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
        let options = self.target.muxer_options(self.is_live);
        container.write_header_with(options.into_iter().collect())?;
        let places = indices.iter().zip(&programme.streams).enumerate();
        let places = places.map(|(number, (index, stream))| {
            let own = if number == programme.video {
                *time_base
            } else {
                stream.time_base
            };
            let out = container.stream((*index)?)?;
            Some(Place {
                index: (*index)?,
                time_bases: [own, out.time_base()],
                last_dts: None,
            })
        });
        open.places = places.collect();
        Ok(())
    }

    /// Writes the copied packets whose time the video has come to, and those that waited too long.
    fn release(
        &self,
        open: &mut Open,
        held: &mut VecDeque<Packet>,
        video_us: i64,
    ) -> Result<Written> {
        let time = |packet: &Packet| {
            let place = open.places.get(packet.stream()).copied().flatten();
            let at = packet.dts().or(packet.pts());
            place
                .zip(at)
                .map(|(place, at)| micros(at, place.time_bases[0]))
        };
        let longest = if self.is_live { HELD_LIVE_US } else { HELD_US };
        let newest = held.back().and_then(time);
        let newest = newest.unwrap_or(i64::MIN);
        let mut due = VecDeque::new();
        while let Some(first) = held.front() {
            let at = time(first).unwrap_or(i64::MIN);
            let waited = newest.saturating_sub(at) > longest && newest > i64::MIN;
            if at > video_us && !waited && held.len() <= HELD_MAX {
                break;
            }
            due.extend(held.pop_front());
        }
        for packet in due {
            let stream = packet.stream();
            if let Written::Closed = self.write(open, packet, stream)? {
                return Ok(Written::Closed);
            }
        }
        Ok(Written::Whole)
    }

    /// Writes a packet of this stream of the input.
    fn write(&self, open: &mut Open, mut packet: Packet, stream: usize) -> Result<Written> {
        let Some(Some(place)) = open.places.get_mut(stream) else {
            return Ok(Written::Whole);
        };
        packet.set_stream(place.index);
        packet.set_position(-1);
        let [own, out] = place.time_bases;
        packet.rescale_ts(own, out);
        // Muxers refuse time that goes back.
        if let (Some(dts), Some(last)) = (packet.dts(), place.last_dts)
            && dts <= last
        {
            packet.set_dts(Some(last + 1));
            let pts = packet.pts().map(|pts| pts.max(last + 1));
            packet.set_pts(pts);
        }
        place.last_dts = packet.dts().or(place.last_dts);
        open.expect_soon();
        let size = packet.size() as u64;
        let written = packet.write(&mut open.output.container);
        open.deadline_ms.store(0, Ordering::Relaxed);
        match written {
            Ok(_) => {
                let counts = &self.link.counts;
                counts.bytes.fetch_add(size, Ordering::Relaxed);
                counts.written.fetch_add(1, Ordering::Relaxed);
                Ok(Written::Whole)
            }
            Err(Error::Other {
                errno: EPIPE | ECONNRESET | ECONNABORTED,
            }) => Ok(Written::Closed),
            // A packet that its own container had no time for, or that is empty.
            Err(
                Error::InvalidData
                | Error::Other {
                    errno: ffmpeg_next::error::EINVAL,
                },
            ) => {
                tracing::warn!(
                    "{}: a packet of stream {stream} can't be written",
                    self.target.name
                );
                Ok(Written::Whole)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn finish(&self, open: &mut Open) -> Result<Written> {
        open.expect_soon();
        let ended = open.output.container.write_trailer();
        match ended {
            Err(Error::Other {
                errno: EPIPE | ECONNRESET | ECONNABORTED,
            }) => Ok(Written::Closed),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(Written::Whole),
        }
    }
}

impl Open {
    /// The write at hand is to be done before long.
    fn expect_soon(&self) {
        let deadline = (self.began.elapsed() + WRITE_MAX).as_millis();
        let deadline = u64::try_from(deadline).unwrap_or(u64::MAX);
        self.deadline_ms.store(deadline, Ordering::Relaxed);
    }
}

/// Adds a stream like this one, and gives its number.
fn add_stream(container: &mut format::context::Output, like: &StreamInfo) -> Result<usize> {
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

/// A time stamp in microseconds.
pub(super) fn micros(at: i64, time_base: Rational) -> i64 {
    use ffmpeg_next::Rescale as _;
    at.rescale(time_base, Rational::new(1, 1_000_000))
}
