//! Where an output goes: its muxer, and which streams that takes.

use std::ffi::OsStr;
use std::io::Cursor;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use ffmpeg_next::format::context::StreamIo;
use ffmpeg_next::format::{self, Flags};
use ffmpeg_next::{Dictionary, codec, media};

use super::container::{add_stream, with_config};
use crate::burn_in::address::Address;
use crate::burn_in::ffi;
use crate::burn_in::input::{Programme, StreamInfo};
use crate::burn_in::settings::OutputSettings;

/// The muxers of protocols whose addresses don't tell.
const MUXERS: [(&str, &str); 9] = [
    ("rtmp", "flv"),
    ("rtsp", "rtsp"),
    ("srt", "mpegts"),
    ("udp", "mpegts"),
    ("rtp", "rtp_mpegts"),
    ("tcp", "mpegts"),
    ("rist", "mpegts"),
    ("unix", "mpegts"),
    ("http", "mpegts"),
];

/// How long before it is decoded a picture is in a transport stream, in microseconds: the program
/// clock is behind by as much.
const TS_DELAY_US: &str = "350000";

/// PIDs that a transport stream's program map may have.
const MAP_PIDS: std::ops::RangeInclusive<i32> = 0x20..=0x1ffa;

/// Where an output goes, checked.
pub(in crate::burn_in) struct Target {
    /// As it was given.
    pub(in crate::burn_in) name: String,
    /// As libavformat takes it.
    pub(super) address: Address,
    /// The muxer's name.
    pub(in crate::burn_in) container: String,
    flags: Flags,
    /// Whether it is a file, whose bytes can be gone back to.
    is_file: bool,
}

/// Whether two names are of one file that is there.
#[cfg(unix)]
fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |path: &Path| std::fs::metadata(path).map(|about| (about.dev(), about.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// Whether two names are of one file that is there.
#[cfg(not(unix))]
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = std::fs::canonicalize::<&Path>;
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

impl Target {
    /// Finds the muxer: the one that is named, that of the file's ending, of the address, or of
    /// the input.
    ///
    /// # Errors
    /// There is none; the file is there already, and isn't to be overwritten; it is the input.
    pub(in crate::burn_in) fn new(
        settings: &OutputSettings,
        input: &OsStr,
        input_format: &str,
        force: bool,
    ) -> Result<Self> {
        let given = &settings.target;
        let name = settings.name();
        let address = Address::new(given, "pipe:1");
        let is_stdout = given == "-";
        let path = Path::new(given);
        let is_local = !address.is_network && !is_stdout;
        let is_file = is_local && std::fs::metadata(path).map_or(true, |about| about.is_file());
        let container = match &settings.container {
            Some(named) => ffi::muxer(Some(named), None).with_context(|| {
                format!("--container {named}: this system's FFmpeg has no muxer of that name")
            })?,
            None => guess(given, &address, input_format).with_context(|| {
                format!(
                    "{name}: its ending names no container: expected one such as .mp4, .mkv, \
                     .mov, .ts or .flv, or --container"
                )
            })?,
        };
        if is_file && path.exists() {
            if is_same_file(path, Path::new(input)) {
                bail!("{name}: input and output are one file: expected two");
            }
            if !force {
                bail!("{name} exists: --force overwrites it");
            }
        }
        Ok(Self {
            name,
            address,
            flags: container.flags(),
            container: container.name().to_owned(),
            is_file,
        })
    }

    /// Whether it is on a network, and connected again when it is lost.
    pub(in crate::burn_in) fn is_network(&self) -> bool {
        self.address.is_network
    }

    /// The path by which libavformat would guess a codec.
    pub(in crate::burn_in) fn path(&self) -> &str {
        self.address.url.to_str().unwrap_or_default()
    }

    /// The muxer.
    pub(in crate::burn_in) fn muxer(&self) -> Option<format::Output> {
        ffi::muxer(Some(&self.container), None)
    }

    /// Whether the container keeps what decoders need in its header.
    pub(in crate::burn_in) fn global_header(&self) -> bool {
        self.flags.contains(Flags::GLOBAL_HEADER)
    }

    /// Whether two packets of audio or video may have one time.
    pub(super) fn may_stand_still(&self) -> bool {
        self.flags.contains(Flags::TS_NONSTRICT)
    }

    /// Whether its time begins at zero with each connection: that of RTMP is counted in 24 bits
    /// before it is extended, from when the stream began.
    pub(super) fn begins_at_zero(&self) -> bool {
        self.is_network() && self.container == "flv"
    }

    /// By how many samples Opus is to be later than it says. Matroska's demuxer takes off the time
    /// of what comes before the first sample; up to libavformat 59 its muxer does not put it back.
    pub(super) fn later(&self, stream: &StreamInfo) -> i64 {
        let takes_off = matches!(&*self.container, "matroska" | "webm");
        let is_opus = stream.parameters.id() == codec::Id::OPUS;
        match takes_off && is_opus && format::version() >> 16 <= 59 {
            true => ffi::opus_pre_skip(&stream.parameters).into(),
            false => 0,
        }
    }

    /// Whether its header tells what is before each frame of AAC in a transport stream.
    pub(super) fn tells_aac(&self) -> bool {
        self.is_mp4() || matches!(&*self.container, "matroska" | "webm")
    }

    /// Whether it is in fragments, of which the first waits for each stream, unless it is told to
    /// write what there is.
    pub(super) fn in_fragments(&self, is_live: bool) -> bool {
        self.is_mp4() && (is_live || !self.is_file)
    }

    fn is_mp4(&self) -> bool {
        matches!(
            &*self.container,
            "mp4" | "mov" | "ipod" | "3gp" | "3g2" | "psp" | "f4v"
        )
    }

    /// Which streams the container takes along with the video, each with why it is left out if it
    /// is: found out by writing a header to nowhere.
    pub(in crate::burn_in) fn takes(&self, programme: &Programme) -> Vec<Result<()>> {
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
            let stream = &programme.streams[*stream];
            add_stream(&mut container, &with_config(stream, self.tells_aac())?)?;
        }
        let options = self.muxer_options(programme, true);
        let options: Dictionary<'_> = options.iter().map(|(k, v)| (*k, &**v)).collect();
        let written = container.write_header_with(options).map(|_| ());
        written.with_context(|| format!("{} can't be in {}", id.name(), self.container))
    }

    /// How the muxer is set up.
    pub(super) fn muxer_options(
        &self,
        programme: &Programme,
        is_live: bool,
    ) -> Vec<(&'static str, String)> {
        let mut options = vec![("flush_packets", if is_live { "1" } else { "-1" }.into())];
        let mut set = |name, value: &str| options.push((name, value.to_owned()));
        match &*self.container {
            // What can't be gone back to is in fragments; so is what may be cut off. The header
            // comes with the first, for it says when each stream begins.
            _ if self.in_fragments(is_live) => {
                set("movflags", "+frag_keyframe+delay_moov+default_base_moof");
            }
            "mpegts" => {
                set("mpegts_copyts", "1");
                set("max_delay", TS_DELAY_US);
                let map = programme.programs.first().map(|program| program.map_pid);
                if let Some(map) = map.filter(|pid| MAP_PIDS.contains(pid)) {
                    set("mpegts_pmt_start_pid", &map.to_string());
                }
            }
            "hls" if is_live => {
                // A playlist that goes on for ever has an end on the disk.
                set("hls_list_size", "6");
                set("hls_flags", "+delete_segments+program_date_time");
            }
            "hls" => set("hls_playlist_type", "vod"),
            "flv" if !self.is_file => set("flvflags", "no_duration_filesize"),
            _ => {}
        }
        options
    }
}

/// The muxer of a target that has no other said.
fn guess(given: &OsStr, address: &Address, input_format: &str) -> Option<format::Output> {
    if given == "-" {
        let own = input_format
            .split(',')
            .find_map(|name| ffi::muxer(Some(name), None));
        return own.or_else(|| ffi::muxer(Some("matroska"), None));
    }
    let text = given.to_str()?;
    let by_ending = ffi::muxer(None, Some(text.split(['?', '#']).next()?));
    if !address.is_network {
        return ffi::muxer(None, Some(text));
    }
    // A path on a server has an ending; a port or the name of a stream has none.
    if text.starts_with("http") && by_ending.is_some() {
        return by_ending;
    }
    let by_scheme = MUXERS.iter().find(|(scheme, _)| text.starts_with(scheme));
    by_scheme
        .and_then(|(_, muxer)| ffi::muxer(Some(muxer), None))
        .or(by_ending)
}
