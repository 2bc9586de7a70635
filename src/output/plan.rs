//! What is asked for, checked: which container, codec and samples an output has.

use std::fmt;

use anyhow::{Context, Result, bail};
use prometheus_client::metrics::counter::Counter;

use super::convert::{Converter, Samples};
#[cfg(feature = "ffmpeg")]
use super::encode;
use super::form::{Codec, Container, Form, list};
use super::stream::Door;
use super::target::is_fifo;
use super::{
    Body, FeedForm, Kind, Newest, Output, Policy, Spec, Target, cannot_write, gif, live, raw, still,
};
use crate::frame::{Alpha, FrameRate, Size};
use crate::matte::Matte;
use crate::planes::VideoFormat;

/// An output that can be opened: all that can be refused has been.
#[derive(Debug)]
pub struct Plan {
    target: Target,
    door: Door,
    /// Whether it is for a reader who has come, and does not come again.
    once: bool,
    content: Content,
    samples: Samples,
    /// Of pictures; with fill and key in one larger than that of frames.
    size: Size,
    spec: Spec,
    /// What it has written, however often it was opened.
    bytes: Counter,
}

/// What is written.
#[derive(Clone, Debug)]
enum Content {
    /// Frame after frame, without a header.
    Raw,
    /// A numbered PNG file a frame.
    Stills(still::Pattern),
    /// An animated GIF.
    Gif,
    /// Encoded video.
    #[cfg(feature = "ffmpeg")]
    Video(encode::Recipe),
    /// A live feed, until it is opened.
    Feed(Option<(Body, FeedForm, Newest)>),
}

impl Plan {
    /// Plans an output: what its form leaves open, its target's name decides.
    ///
    /// # Errors
    /// What is not known or doesn't go together, with what does.
    pub fn new(target: Target, spec: Spec) -> Result<Self> {
        let Form { matte, .. } = spec.form;
        let (container, named) = container(&target, spec.form)?;
        let codec = codec(&target, container, spec.form)?;
        let format = format(&target, container, codec, named, matte)?;
        let samples = Samples::new(codec, format, spec.form);
        let size = matte.map_or(Ok(spec.size), |matte| matte.size(spec.size))?;
        if let Some(why) = codec.refuses(format, size) {
            bail!("{target}: {why}");
        }
        let to_file = matches!(&target, Target::File(path) if !is_fifo(path));
        if container.seeks() && !to_file {
            bail!("{target}: {container} can be written to a file alone; {CONTAINERS}");
        }
        let to_url = matches!(target, Target::Url(_));
        if matches!(container, Container::Raw | Container::Gif) && to_url {
            bail!("{target}: {container} goes to files, pipes and sockets alone; {CONTAINERS}");
        }
        let content = match (container, &target) {
            (Container::Raw, _) => Content::Raw,
            (Container::Png, Target::File(path)) => Content::Stills(still::Pattern::new(path)?),
            (Container::Gif, _) => Content::Gif,
            #[cfg(feature = "ffmpeg")]
            _ => {
                let recipe = encode::Recipe::new(container, codec, samples, spec, size, to_file);
                Content::Video(recipe.with_context(|| target.to_string())?)
            }
            #[cfg(not(feature = "ffmpeg"))]
            _ => bail!(
                "{target}: this floatup was built without FFmpeg, which {container} needs; expected \
                 a raw pixel format such as rgba, gif, or png with a number pattern such as \
                 frames-%05d.png"
            ),
        };
        Ok(Self {
            door: Door::new(target.clone()),
            once: false,
            target,
            content,
            samples,
            size,
            spec,
            bytes: Counter::default(),
        })
    }

    /// Plans a live feed to one reader. `newest` is the channel's.
    #[must_use]
    pub fn feed(body: Body, form: FeedForm, newest: Newest, spec: Spec) -> Self {
        Self {
            door: Door::new(Target::Feed),
            once: true,
            target: Target::Feed,
            content: Content::Feed(Some((body, form, newest))),
            samples: form.samples(),
            size: spec.size,
            spec,
            bytes: Counter::default(),
        }
    }

    /// Counts the bytes that it writes from now on there. Of an address that libavformat opens they
    /// are those of the packets.
    pub(super) fn count_bytes(&mut self, bytes: Counter) {
        self.door.count_bytes(bytes.clone());
        self.bytes = bytes;
    }

    /// How often it gets one.
    pub(super) fn rate(&self) -> FrameRate {
        self.spec.rate
    }

    /// The frames that it takes.
    #[must_use]
    pub fn kind(&self) -> Kind {
        let alpha = match &self.content {
            Content::Stills(_) | Content::Gif | Content::Feed(_) => Alpha::Straight,
            _ => self.spec.alpha,
        };
        Kind {
            size: self.spec.size,
            alpha,
            format: self.samples.source(),
        }
    }

    /// What happens to frames that it is too slow for, if nothing else is asked for: an address far
    /// away gets the newest, all else every frame.
    #[must_use]
    pub fn policy(&self) -> Policy {
        match &self.target {
            Target::Url(_) | Target::Feed => Policy::Drop,
            Target::Stdout | Target::File(_) | Target::Tcp { .. } | Target::Unix { .. } => {
                Policy::Block
            }
        }
    }

    /// Whether it can be opened again after its reader has gone.
    #[must_use]
    pub fn reopens(&self) -> bool {
        !self.once && self.target.reopens()
    }

    /// Whether any number of readers may come to it.
    #[must_use]
    pub fn listens(&self) -> bool {
        !self.once && self.target.listens()
    }

    /// Of a plan that [`listens`](Self::listens), one for the next reader who has come; `None` while
    /// nobody has.
    ///
    /// # Errors
    /// Nobody can come.
    pub(super) fn accept(&mut self) -> Result<Option<Self>> {
        let stream = self.door.open();
        let stream = stream.with_context(|| cannot_write(&self.target))?;
        Ok(stream.map(|stream| Self {
            target: self.target.clone(),
            door: Door::of_reader(self.target.clone(), stream),
            once: true,
            content: self.content.clone(),
            bytes: self.bytes.clone(),
            ..*self
        }))
    }

    /// Whether what it writes has an end that is worth waiting for. A live feed has none.
    #[must_use]
    pub fn has_end(&self) -> bool {
        !matches!(self.content, Content::Feed(_))
    }

    /// Opens it; `None` while its reader is not there.
    ///
    /// # Errors
    /// It can't be written to.
    pub fn open(&mut self) -> Result<Option<Output>> {
        let name = self.target.to_string();
        let converter = Converter::new(self.spec.size, self.samples)?;
        let bytes = self.bytes.clone();
        match &mut self.content {
            Content::Feed(feed) => {
                let Some((body, form, newest)) = feed.take() else {
                    bail!("a feed's reader has gone");
                };
                let feed = live::Feed::new(body.counted(bytes), form, newest, self.spec)?;
                return Ok(Some(Output::Feed(feed)));
            }
            Content::Stills(pattern) => {
                let stills = still::Sequence::new(pattern.clone(), self.size, converter, bytes);
                return Ok(Some(Output::Stills(stills)));
            }
            #[cfg(feature = "ffmpeg")]
            Content::Video(recipe) => {
                if let Target::Url(url) = &self.target {
                    let video = encode::Video::to_url(name, url, *recipe, converter, bytes)?;
                    return Ok(Some(Output::Video(Box::new(video))));
                }
            }
            Content::Raw | Content::Gif => {}
        }
        let stream = self.door.open();
        let Some(stream) = stream.with_context(|| cannot_write(&name))? else {
            return Ok(None);
        };
        Ok(Some(match &self.content {
            Content::Raw | Content::Stills(_) | Content::Feed(_) => {
                let bytes = self.samples.format.frame_bytes(self.size);
                Output::Raw(raw::Raw::new(name, stream, converter, bytes))
            }
            Content::Gif => {
                let gif = gif::Gif::new(name, stream, converter, self.size, self.spec.rate)?;
                Output::Gif(Box::new(gif))
            }
            #[cfg(feature = "ffmpeg")]
            Content::Video(recipe) => {
                let video = encode::Video::to_stream(name, stream, *recipe, converter)?;
                Output::Video(Box::new(video))
            }
        }))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)
    }
}

/// What can be done about a target that says no container.
const CONTAINERS: &str = "--container names one, such as nut, mkv or ts";

/// What a target's bytes are, and the samples, where its ending names them.
fn container(target: &Target, form: Form) -> Result<(Container, Option<VideoFormat>)> {
    let ending = target.ending();
    let of_ending = ending.parse::<VideoFormat>().ok();
    if let Some(container) = form.container {
        let named = of_ending.filter(|_| container == Container::Raw);
        return Ok((container, agreed(target, named, form.format)?));
    }
    if let Some(named) = of_ending.filter(|_| matches!(target, Target::File(_))) {
        return Ok((Container::Raw, agreed(target, Some(named), form.format)?));
    }
    let container = match target {
        Target::File(path) if ending.is_empty() && is_fifo(path) => Container::Raw,
        Target::Stdout | Target::Tcp { .. } | Target::Unix { .. } => Container::Raw,
        Target::Url(url) if url.starts_with("rtmp") => Container::Flv,
        Target::Url(url)
            if ["srt:", "udp:"]
                .iter()
                .any(|scheme| url.starts_with(scheme)) =>
        {
            Container::Ts
        }
        _ => match ending.parse() {
            Ok(container) => container,
            Err(_) => bail!(
                "{target}: no format for the ending {ending:?}; expected {} (png with a number \
                 pattern such as frames-%05d.png), or a raw pixel format such as rgba or \
                 yuva420p; or {CONTAINERS}",
                list(&Container::ALL)
            ),
        },
    };
    Ok((container, form.format))
}

/// The samples that an ending names, unless others are asked for.
fn agreed(
    target: &Target,
    named: Option<VideoFormat>,
    asked: Option<VideoFormat>,
) -> Result<Option<VideoFormat>> {
    match (named, asked) {
        (Some(named), Some(asked)) if named != asked => bail!(
            "{target}: its ending says {named}, and --format {asked}: expected one of them, or \
             the ending raw"
        ),
        (named, asked) => Ok(named.or(asked)),
    }
}

/// What pictures are coded with.
fn codec(target: &Target, container: Container, form: Form) -> Result<Codec> {
    let can_be = container.codecs();
    let those = |good: fn(Codec) -> bool| {
        let codecs = Codec::ALL.into_iter().filter(|codec| good(*codec));
        list(&codecs.collect::<Vec<_>>())
    };
    let codec = match form.codec {
        None => can_be[0],
        Some(codec) if can_be.contains(&codec) => codec,
        Some(codec) => {
            let homes = Container::ALL.into_iter();
            let homes: Vec<_> = homes
                .filter(|home| home.codecs().contains(&codec))
                .collect();
            bail!(
                "{target}: {container} takes no codec {codec}; expected one of {}, or for {codec} \
                 --container with one of {}",
                list(can_be),
                list(&homes)
            )
        }
    };
    if form.quality.is_some() && !codec.has_quality() {
        bail!(
            "{target}: codec {codec} has no quality to choose; --quality is for {}",
            those(Codec::has_quality)
        );
    }
    if form.speed.is_some() && !codec.has_speed() {
        bail!(
            "{target}: codec {codec} has no speed to choose; --speed is for {}",
            those(Codec::has_speed)
        );
    }
    Ok(codec)
}

/// What a codec's samples are.
fn format(
    target: &Target,
    container: Container,
    codec: Codec,
    asked: Option<VideoFormat>,
    matte: Option<Matte>,
) -> Result<VideoFormat> {
    let can_be = container.formats(codec);
    if let Some(format) = asked.filter(|format| !can_be.contains(format)) {
        bail!(
            "{target}: {codec} in {container} has no samples {format}; expected one of {}",
            list(can_be)
        );
    }
    // What is RGB with alpha stays RGB without, so that what is lossless does too.
    let fits = |format: &&VideoFormat| {
        format.has_alpha() == matte.is_none() && format.is_yuv() == can_be[0].is_yuv()
    };
    let format = match asked {
        Some(format) => Some(format),
        // Raw frames stay what they are, opaque or not.
        None if container == Container::Raw => can_be.first().copied(),
        None => can_be.iter().find(fits).copied(),
    };
    match (format, matte) {
        (Some(format), None) if format.has_alpha() => Ok(format),
        (Some(format), Some(_)) => Ok(format),
        // Opaque pixels in samples that have alpha.
        (None, Some(_)) => Ok(can_be[0]),
        (_, None) => bail!("{target}: {}", no_alpha(container, codec, format)),
    }
}

/// Why frames with alpha are refused, and who takes them.
fn no_alpha(container: Container, codec: Codec, format: Option<VideoFormat>) -> String {
    let what = match format {
        Some(format) if container.keeps_alpha(codec) => format!("{format} of {codec}"),
        _ => format!("{codec} in {container}"),
    };
    let carriers: Vec<String> = Container::ALL
        .into_iter()
        .filter_map(|container| {
            let codecs = container.codecs().iter().copied();
            let codecs: Vec<Codec> = codecs
                .filter(|codec| container.keeps_alpha(*codec))
                .collect();
            let codecs = list(&codecs);
            match codecs.as_str() {
                "" => None,
                codecs if codecs == container.to_string() => Some(codecs.into()),
                codecs => Some(format!("{container} ({codecs})")),
            }
        })
        .collect();
    format!(
        "{what} cannot carry alpha: give --background a colour to show frames over, or take one \
         of {}",
        carriers.join(", ")
    )
}
