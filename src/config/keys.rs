//! Every key, once: its name, its type, its flag and its help, shared by the command line, the
//! environment and the settings file.
//!
//! A field's name is the key's name in the file; `FLOATUP_` and the name in capitals is its
//! environment variable; with dashes it is the flag.

mod gate;
mod log;
mod stage;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub(super) use self::gate::GateKeys;
pub(super) use self::log::LogKeys;
pub(super) use self::stage::StageKeys;

use crate::config::value::{
    FontSize, Listen, MetadataAddress, Name, ScaleFactor, Text, Vary, VideoMode, Weight, Whole,
    switch, target,
};
use crate::frame::{Alpha, FrameRate, Scan, Size};
use crate::matte::{Colour, Matte};
use crate::output::{Codec, Container, Policy, Quality, Speed, Target};
use crate::pixel::SimdLevel;
use crate::planes::{Range, VideoFormat};
use crate::server::{Network, ReviewFallback, ReviewUri};
use crate::source::Address;

/// The service: what it listens on, whom it lets in, what its topics hold.
#[derive(Clone, Debug, Default, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "Service")]
#[serde(default, deny_unknown_fields)]
pub(super) struct ServiceKeys {
    /// IP address and port to listen on [default: 127.0.0.1:8787]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<Text<Listen>>,

    /// File with the key that signs tokens, at least 32 bytes of text; or put the key itself in
    /// `FLOATUP_SIGNING_KEY` [default: a new key at each start; beyond loopback a key is needed]
    #[arg(long, value_name = "FILE")]
    pub signing_key_file: Option<PathBuf>,

    /// File with the secret that signs `POST /reactions/CHANNEL`, at least 16 bytes of text; or put
    /// the secret itself in `FLOATUP_WEBHOOK_SECRET` [default: none; unsigned ones are taken on
    /// loopback, where no token is required]
    #[arg(long, value_name = "FILE")]
    pub webhook_secret_file: Option<PathBuf>,

    /// File with the key that opens all that changes the service, at least 16 bytes of text; or put
    /// the key itself in `FLOATUP_CONTROL_KEY` [default: none; this machine may where no token is
    /// required, and nobody elsewhere]
    #[arg(long, value_name = "FILE")]
    pub control_key_file: Option<PathBuf>,

    /// File with the certificate to speak TLS with, and those that sign it, as PEM; read again when
    /// it changes [default: none; plain HTTP]
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// File with the certificate's private key, as PEM [default: none]
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Refuse a missing or unreadable token also on loopback; always on beyond it
    /// [default: false on loopback]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", value_parser = switch)]
    pub require_token: Option<bool>,

    /// The caches that exist, separated by commas; any other answers 404 [default: any exists]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub caches: Option<Vec<Text<Name>>>,

    /// Resume a poll that gives no sequence number where the same client's last one ended
    /// [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", value_parser = switch)]
    pub gap_cure: Option<bool>,

    /// Seconds that a poll waits for an item, 1 to 300 [default: 25]
    #[arg(long, value_name = "SECONDS")]
    pub poll_hold_seconds: Option<Text<Whole<1, 300>>>,

    /// Items that a topic keeps for resuming readers, 1 to 100000 [default: 1000]
    #[arg(long, value_name = "COUNT")]
    pub ring_items: Option<Text<Whole<1, 100_000>>>,

    /// Seconds that a topic keeps an item, 1 to 86400 [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub ring_seconds: Option<Text<Whole<1, 86_400>>>,

    /// Topics at once, 1 to 1000000; one more is refused [default: 1000]
    #[arg(long, value_name = "COUNT")]
    pub topics_max: Option<Text<Whole<1, 1_000_000>>>,

    /// Seconds after which a topic that nobody uses is removed, 1 to 604800 [default: 600]
    #[arg(long, value_name = "SECONDS")]
    pub topic_idle_seconds: Option<Text<Whole<1, 604_800>>>,

    /// Connections at once, 1 to 1000000; one more is refused [default: 32768]
    #[arg(long, value_name = "COUNT")]
    pub connections_max: Option<Text<Whole<1, 1_000_000>>>,

    /// Connections of one address at once, 1 to 1000000 [default: 4000]
    #[arg(long, value_name = "COUNT")]
    pub connections_per_address: Option<Text<Whole<1, 1_000_000>>>,

    /// Requests of one address in a second, 1 to 1000000; as many more may come at once
    /// [default: 2000]
    #[arg(long, value_name = "COUNT")]
    pub requests_per_second: Option<Text<Whole<1, 1_000_000>>>,

    /// Addresses and networks, separated by commas, whose connections and requests are not
    /// limited one by one [default: `127.0.0.0/8,::1`]
    #[arg(long, value_name = "ADDRESS,...", value_delimiter = ',')]
    pub unlimited_addresses: Option<Vec<Text<Network>>>,

    /// Addresses and networks of proxies, separated by commas, that are believed when they say for
    /// whom they speak, in `X-Forwarded-For` [default: none]
    #[arg(long, value_name = "ADDRESS,...", value_delimiter = ',')]
    pub trusted_proxies: Option<Vec<Text<Network>>>,

    /// Messages a second in a channel's chat room, 1 to 100 [default: 10]
    #[arg(long, value_name = "COUNT")]
    pub chat_rate: Option<Text<Whole<1, 100>>>,

    /// Characters of a chat message, 1 to 500 [default: 500]
    #[arg(long, value_name = "COUNT")]
    pub chat_length: Option<Text<Whole<1, 500>>>,

    /// Ask an http or https address about each chat message before anyone sees it [default: none]
    #[arg(long, value_name = "URL")]
    pub chat_review: Option<Text<ReviewUri>>,

    /// What becomes of a chat message that it gives no answer to: ALLOW or DENY [default: ALLOW]
    #[arg(long, value_name = "RESULT")]
    pub chat_review_fallback: Option<Text<ReviewFallback>>,

    /// Write the first channel's frames to a file, a FIFO, - for stdout, tcp://HOST:PORT,
    /// unix:PATH (both with ?listen to wait for readers), or an address such as srt://HOST:PORT;
    /// may be given several times [default: none]
    #[arg(long, value_name = "TARGET", value_parser = target())]
    #[serde(skip)]
    pub output: Option<Vec<Target>>,

    /// Hand out tokens of a Momento account at `POST /tokens` in place of our own: a region or a host,
    /// or key, for where the key says that it is good; the key is in `MOMENTO_API_KEY`
    /// [default: none, our own]
    #[arg(long, value_name = "ENDPOINT")]
    pub momento_tokens: Option<String>,

    /// Send the first channel's reactions as timed metadata of this Amazon IVS channel, by its ARN,
    /// with AWS credentials of the environment [default: none]
    #[arg(long, value_name = "ARN")]
    pub timed_metadata: Option<Text<MetadataAddress>>,

    /// Take reactions from here too, for the first channel, such as twitch:CHANNEL; may be given
    /// several times [default: none]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip)]
    pub source: Option<Vec<Text<Address>>>,
}

impl ServiceKeys {
    /// These keys, and where one is not given, `under`'s.
    pub(super) fn over(self, under: Self) -> Self {
        Self {
            listen: self.listen.or(under.listen),
            signing_key_file: self.signing_key_file.or(under.signing_key_file),
            webhook_secret_file: self.webhook_secret_file.or(under.webhook_secret_file),
            control_key_file: self.control_key_file.or(under.control_key_file),
            tls_cert: self.tls_cert.or(under.tls_cert),
            tls_key: self.tls_key.or(under.tls_key),
            require_token: self.require_token.or(under.require_token),
            caches: self.caches.or(under.caches),
            gap_cure: self.gap_cure.or(under.gap_cure),
            poll_hold_seconds: self.poll_hold_seconds.or(under.poll_hold_seconds),
            ring_items: self.ring_items.or(under.ring_items),
            ring_seconds: self.ring_seconds.or(under.ring_seconds),
            topics_max: self.topics_max.or(under.topics_max),
            topic_idle_seconds: self.topic_idle_seconds.or(under.topic_idle_seconds),
            connections_max: self.connections_max.or(under.connections_max),
            connections_per_address: self
                .connections_per_address
                .or(under.connections_per_address),
            requests_per_second: self.requests_per_second.or(under.requests_per_second),
            unlimited_addresses: self.unlimited_addresses.or(under.unlimited_addresses),
            trusted_proxies: self.trusted_proxies.or(under.trusted_proxies),
            chat_rate: self.chat_rate.or(under.chat_rate),
            chat_length: self.chat_length.or(under.chat_length),
            chat_review: self.chat_review.or(under.chat_review),
            chat_review_fallback: self.chat_review_fallback.or(under.chat_review_fallback),
            output: self.output.or(under.output),
            source: self.source.or(under.source),
            momento_tokens: self.momento_tokens.or(under.momento_tokens),
            timed_metadata: self.timed_metadata.or(under.timed_metadata),
        }
    }
}

/// What sprites look like, and what draws them: all that a still needs beside its scene.
#[derive(Clone, Debug, Default, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "Picture")]
#[serde(default, deny_unknown_fields)]
pub(super) struct LookKeys {
    /// Stylesheet with the animation: a file, or a preset's name [default: float-up-and-out]
    #[arg(long, value_name = "FILE|PRESET")]
    pub css: Option<PathBuf>,

    /// Ranges of the stylesheet's custom properties, in which each sprite has its own value, such
    /// as sway=10px..29px,turn=-30deg..29deg [default: the stylesheet's]
    #[arg(long, value_name = "NAME=FROM..TO,...")]
    pub vary: Option<Vary>,

    /// Device pixels to a CSS px, 0.25 to 8 [default: 1]
    #[arg(long, value_name = "FACTOR")]
    pub scale_factor: Option<Text<ScaleFactor>>,

    /// Colour bitmap font for emoji that the built-in set lacks [default: the system's Noto
    /// Color Emoji, where there is one]
    #[arg(long, value_name = "FILE")]
    pub emoji_font: Option<PathBuf>,

    /// Threads that draw one channel's frames, 1 to 64 [default: one for each core, at most 4]
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<Text<Whole<1, 64>>>,

    /// Vector instructions to draw with: scalar, sse2, sse4.2, avx2, avx512 or neon; no pixel
    /// differs [default: the widest that the processor has]
    #[arg(long, value_name = "LEVEL")]
    pub simd: Option<Text<SimdLevel>>,
}

impl LookKeys {
    /// These keys, and where one is not given, `under`'s.
    pub(super) fn over(self, under: Self) -> Self {
        Self {
            css: self.css.or(under.css),
            vary: self.vary.or(under.vary),
            scale_factor: self.scale_factor.or(under.scale_factor),
            emoji_font: self.emoji_font.or(under.emoji_font),
            threads: self.threads.or(under.threads),
            simd: self.simd.or(under.simd),
        }
    }
}

/// What a channel's frames are, and what is on them.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct PictureKeys {
    #[command(flatten)]
    pub frame: FrameKeys,
    #[command(flatten)]
    pub sprites: SpriteKeys,
    #[command(flatten)]
    pub stage: StageKeys,
}

impl PictureKeys {
    /// These keys with the video mode's size, rate and scan, where they are not given.
    pub(super) fn with_mode(self) -> Self {
        Self {
            frame: self.frame.with_mode(),
            ..self
        }
    }

    /// These keys, and where one is not given, `under`'s.
    pub(super) fn over(self, under: Self) -> Self {
        Self {
            frame: self.frame.over(under.frame),
            sprites: self.sprites.over(under.sprites),
            stage: self.stage.over(under.stage),
        }
    }
}

/// The frames: their size, rate, scan and kind of alpha. A programme has its own.
#[derive(Clone, Debug, Default, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "Picture")]
#[serde(default, deny_unknown_fields)]
pub(super) struct FrameKeys {
    /// Frame size in pixels, each side 1 to 16384 [default: 1920x1080]
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    pub size: Option<Text<Size>>,

    /// Frames a second, 1 to 1000, whole or a fraction such as 60000/1001 [default: 60]
    #[arg(long, value_name = "RATE")]
    pub fps: Option<Text<FrameRate>>,

    /// How a frame is scanned: progressive, or interlaced, tff (top field first) or bff, each field
    /// at its own time [default: progressive]
    #[arg(long, value_name = "SCAN")]
    pub scan: Option<Text<Scan>>,

    /// Size, rate and scan in one, as a switcher names them: 720p50, 1080i50, 1080i5994, 2160p60;
    /// the three keys above are over it [default: none]
    #[arg(long, value_name = "MODE")]
    pub video_mode: Option<Text<VideoMode>>,

    /// How colour and alpha are related in pixels that leave: straight or premultiplied
    /// [default: straight]
    #[arg(long, value_name = "KIND")]
    pub alpha: Option<Text<Alpha>>,
}

impl FrameKeys {
    /// These keys with the video mode's size, rate and scan, where they are not given.
    fn with_mode(self) -> Self {
        let Some(Text(mode)) = self.video_mode else {
            return self;
        };
        Self {
            size: self.size.or(Some(Text(mode.size))),
            fps: self.fps.or(Some(Text(mode.rate))),
            scan: self.scan.or(Some(Text(mode.scan))),
            ..self
        }
    }

    /// These keys, and where one is not given, `under`'s.
    pub(super) fn over(self, under: Self) -> Self {
        Self {
            size: self.size.or(under.size),
            fps: self.fps.or(under.fps),
            scan: self.scan.or(under.scan),
            video_mode: self.video_mode.or(under.video_mode),
            alpha: self.alpha.or(under.alpha),
        }
    }
}

/// What is on the frames.
#[derive(Clone, Debug, Default, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "Picture")]
#[serde(default, deny_unknown_fields)]
pub(super) struct SpriteKeys {
    /// Font size of an emoji in px, 1 to 1000 [default: the stylesheet's]
    #[arg(long = "font-size", visible_alias = "font-size-px", value_name = "PX")]
    pub font_size_px: Option<Text<FontSize>>,

    /// Number that decides where a reaction log's sprites go, 0 to 2^64-1 [default: 0]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<Text<Whole<0, { u64::MAX }>>>,

    /// Draw a test chart of known colours and alpha in place of reactions [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", value_parser = switch)]
    pub test_pattern: Option<bool>,
}

impl SpriteKeys {
    /// These keys, and where one is not given, `under`'s.
    pub(super) fn over(self, under: Self) -> Self {
        Self {
            font_size_px: self.font_size_px.or(under.font_size_px),
            seed: self.seed.or(under.seed),
            test_pattern: self.test_pattern.or(under.test_pattern),
        }
    }
}

/// What frames are written as. Of several outputs in a file's `[[output]]` tables each may have its
/// own.
#[derive(Clone, Debug, Default, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "Output")]
#[serde(default, deny_unknown_fields)]
pub(super) struct OutputKeys {
    /// What the bytes are: raw, png, mov, mkv, webm, nut, avi, apng, webp, gif, mp4, ts or flv
    /// [default: the target's ending; raw for stdout, FIFOs and sockets]
    #[arg(long, value_name = "NAME")]
    pub container: Option<Text<Container>>,

    /// What pictures are coded with: rawvideo, qtrle, prores, png, ffv1, utvideo, hap, vp9, vp8,
    /// apng, webp, gif, or without alpha h264, hevc, mpeg2 or dnxhr [default: the
    /// container's]
    #[arg(long, value_name = "NAME")]
    pub codec: Option<Text<Codec>>,

    /// How good what a codec loses something of should be, 0 (smallest) to 100 (best)
    /// [default: the codec's]
    #[arg(long, value_name = "NUMBER")]
    pub quality: Option<Text<Quality>>,

    /// How fast a codec should be, 0 (smallest) to 10 (fastest), or best, slow, medium, fast or
    /// fastest [default: the codec's]
    #[arg(long, value_name = "NUMBER")]
    pub speed: Option<Text<Speed>>,

    /// Pixel format, by ffmpeg's name, such as rgba, bgra, rgba64le or yuva444p10le [default: rgba
    /// for raw frames, otherwise the codec's]
    #[arg(long, value_name = "NAME")]
    pub format: Option<Text<VideoFormat>>,

    /// Opaque colour to show frames over, such as #00b140 or black, for what carries no alpha
    /// [default: none, and alpha stays]
    #[arg(long, value_name = "COLOUR")]
    pub background: Option<Text<Colour>>,

    /// What is written in place of frames with alpha: fill (colour over black), key (alpha as luma),
    /// or both in one picture, side-by-side or stacked [default: frames with alpha]
    #[arg(long, value_name = "MATTE", conflicts_with = "background")]
    pub matte: Option<Text<Matte>>,

    /// Levels of a key: full or limited [default: limited for luma and chroma, full for RGB]
    #[arg(long, value_name = "RANGE")]
    pub key_range: Option<Text<Range>>,

    /// What happens to frames that an output is too slow for: block (it gets them later) or drop
    /// (it gets the newest) [default: drop for addresses such as srt://HOST:PORT, otherwise block]
    #[arg(long, value_name = "POLICY")]
    pub policy: Option<Text<Policy>>,
}

impl OutputKeys {
    /// These keys, and where one is not given, `under`'s.
    pub(super) fn over(self, under: Self) -> Self {
        Self {
            container: self.container.or(under.container),
            codec: self.codec.or(under.codec),
            quality: self.quality.or(under.quality),
            speed: self.speed.or(under.speed),
            format: self.format.or(under.format),
            background: self.background.or(under.background),
            matte: self.matte.or(under.matte),
            key_range: self.key_range.or(under.key_range),
            policy: self.policy.or(under.policy),
        }
    }
}

/// What an `[[output]]` table has beside [`OutputKeys`].
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TargetKeys {
    /// Where frames go; must be given.
    pub to: Option<Text<Target>>,
    /// The channel whose frames they are; the first when not given.
    pub channel: Option<Text<Name>>,
    /// How colour and alpha are related in them; the channel's when not given.
    pub alpha: Option<Text<Alpha>>,
    /// Where the key goes; the fill goes to `to`.
    pub key: Option<Text<Target>>,
    /// Whether the service is not ready while it is not open.
    pub required: Option<bool>,
}

impl TargetKeys {
    /// The names of the fields.
    pub(super) const NAMES: [&str; 5] = ["to", "channel", "alpha", "key", "required"];

    /// These keys, and where one is not given, `under`'s.
    pub(super) fn over(self, under: Self) -> Self {
        Self {
            to: self.to.or(under.to),
            channel: self.channel.or(under.channel),
            alpha: self.alpha.or(under.alpha),
            key: self.key.or(under.key),
            required: self.required.or(under.required),
        }
    }
}

/// What a `[[source]]` table has.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SourceKeys {
    /// Its address; must be given.
    pub from: Option<Text<Address>>,
    /// The channel whose source it is; the first when not given.
    pub channel: Option<Text<Name>>,
    /// A file with what opens it.
    pub secret_file: Option<PathBuf>,
    /// The environment variable with what opens it.
    pub secret_env: Option<String>,
    /// How often each of its reactions counts.
    pub weight: Option<Text<Weight>>,
    /// How many emoji of a chat text count that has other words too.
    pub emoji_in_text: Option<Text<Whole<0, 100>>>,
    /// Whether a chat text that is a bare name is that reaction.
    pub words: Option<bool>,
    /// Whether the service is not ready without it.
    pub required: Option<bool>,
    /// What it calls reactions of the palette.
    pub names: Option<BTreeMap<String, String>>,
}

impl SourceKeys {
    /// The names of the fields.
    pub(super) const NAMES: [&str; 9] = [
        "from",
        "channel",
        "secret_file",
        "secret_env",
        "weight",
        "emoji_in_text",
        "words",
        "required",
        "names",
    ];

    /// A table with nothing but an address.
    pub(super) fn from(address: Text<Address>) -> Self {
        Self {
            from: Some(address),
            ..Self::default()
        }
    }

    /// These keys, and where one is not given, `under`'s.
    pub(super) fn over(self, under: Self) -> Self {
        Self {
            from: self.from.or(under.from),
            channel: self.channel.or(under.channel),
            secret_file: self.secret_file.or(under.secret_file),
            secret_env: self.secret_env.or(under.secret_env),
            weight: self.weight.or(under.weight),
            emoji_in_text: self.emoji_in_text.or(under.emoji_in_text),
            words: self.words.or(under.words),
            required: self.required.or(under.required),
            names: self.names.or(under.names),
        }
    }
}

/// What a `[[channel]]` table has beside [`LookKeys`] and [`PictureKeys`].
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ChannelKeys {
    /// The channel's name in addresses; must be given, once.
    pub name: Option<Text<Name>>,
    /// The cache of its topic.
    pub cache: Option<Text<Name>>,
    /// Its topic; the channel's name when not given.
    pub topic: Option<Text<Name>>,
}

impl ChannelKeys {
    /// The names of the fields.
    pub(super) const NAMES: [&str; 3] = ["name", "cache", "topic"];

    /// These keys, and where one is not given, `under`'s.
    pub(super) fn over(self, under: Self) -> Self {
        Self {
            name: self.name.or(under.name),
            cache: self.cache.or(under.cache),
            topic: self.topic.or(under.topic),
        }
    }
}

/// The names of a group's keys, as in the settings file.
pub(super) fn names<G: clap::Args>() -> Vec<String> {
    G::augment_args(clap::Command::new("keys"))
        .get_arguments()
        .map(|argument| argument.get_id().to_string())
        .collect()
}
