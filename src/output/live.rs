//! A live feed: one reader's stream, joined at any time, in which each frame is shown when it
//! arrives.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

#[cfg(feature = "ffmpeg")]
use super::convert::Converter;
use super::convert::Samples;
#[cfg(feature = "ffmpeg")]
use super::encode;
use super::form::{self, Codec, Container};
use super::{Flow, Spec, matroska, nut, qtrle, quicktime, still};
use crate::frame::{Alpha, Frame, FrameRate, PixelFormat};
use crate::planes::VideoFormat;

/// A clear frame after a clear frame is not written, once a player has been opened, but for one in
/// this time: a reader that is gone is noticed by it.
const CLEAR_AGAIN: Duration = Duration::from_secs(5);

/// Frames that libavformat may look at before a player has any: about 40. A feed that doesn't say
/// its rate begins with as many clear ones at once, where they are small; else they come one by one.
const FRAMES_PROBED: u64 = 45;

/// The PNG of the newest frame, so that readers of one channel share it.
#[derive(Clone, Debug, Default)]
pub struct Newest(Arc<Mutex<Option<(u64, Bytes)>>>);

impl Newest {
    /// The frame's PNG: that which another reader has made of it, or one that is made now.
    fn png(&self, frame: &Frame, index: u64) -> Result<Bytes> {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, png)) = &*newest
            && *made == index
        {
            return Ok(png.clone());
        }
        let png = Bytes::from(still::png(frame)?);
        // One that is behind keeps nobody else from sharing.
        if newest.as_ref().is_none_or(|(made, _)| *made < index) {
            *newest = Some((index, png.clone()));
        }
        Ok(png)
    }
}

/// How a feed's time stamps advance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamps {
    /// A millisecond a frame, so that a player never waits: it shows each when it arrives.
    #[default]
    Arrival,
    /// With the time that passes, for what records or mixes by time stamps.
    Media,
}

impl Stamps {
    /// How long a frame is shown: until the next one's time stamp.
    fn lasts(self, rate: FrameRate) -> Duration {
        match self {
            Self::Arrival => Duration::from_millis(1),
            Self::Media => rate.interval(),
        }
    }
}

/// What is in a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// One that has [`codecs`](Self::codecs).
    pub container: Container,
    /// What a frame is: one of those.
    pub codec: Codec,
    /// When it is shown.
    pub stamps: Stamps,
}

impl Form {
    /// The containers of feeds.
    pub const CONTAINERS: [Container; 4] = [
        Container::Mkv,
        Container::Nut,
        Container::WebM,
        Container::Mov,
    ];

    /// What can be in a container's feed, the default first; nothing if there is no such feed.
    #[must_use]
    pub fn codecs(container: Container) -> &'static [Codec] {
        match container {
            Container::Mkv | Container::Nut => &[Codec::Png, Codec::RawVideo],
            Container::WebM => &[Codec::Vp9],
            Container::Mov => &[Codec::Qtrle, Codec::Png],
            _ => &[],
        }
    }

    /// Whether each reader has an encoder of its own; frames of all else are shared.
    #[must_use]
    pub fn is_encoded(self) -> bool {
        matches!(self.codec, Codec::Vp9 | Codec::Qtrle)
    }

    /// Whether that encoder is one of `FFmpeg`'s.
    #[must_use]
    pub fn needs_ffmpeg(self) -> bool {
        matches!(self.codec, Codec::Vp9)
    }

    /// Whether it says how many frames a second there are.
    fn says_rate(self) -> bool {
        matches!(self.container, Container::Mkv | Container::WebM)
    }

    /// The samples of its pictures.
    pub(super) fn samples(self) -> Samples {
        let format = match self.codec {
            Codec::Vp9 => VideoFormat::Yuva420p,
            Codec::Qtrle => VideoFormat::Packed(PixelFormat::Argb),
            _ => VideoFormat::Packed(PixelFormat::Rgba),
        };
        Samples::new(self.codec, format, form::Form::default())
    }
}

/// The writing end of an answer's body: a few chunks long, so that a reader that is slow is waited
/// for, and frames give way in the sink's queue.
#[derive(Clone, Debug)]
pub struct Body {
    chunks: mpsc::Sender<Bytes>,
    /// What it has taken.
    bytes: Counter,
}

impl Body {
    /// Chunks that wait for the socket: a word ahead, the head of a frame, and the frame.
    const CHUNKS: usize = 3;

    /// A body, and the end that its chunks come out of.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Bytes>) {
        let (chunks, receiver) = mpsc::channel(Self::CHUNKS);
        let bytes = Counter::default();
        (Self { chunks, bytes }, receiver)
    }

    /// It, with its bytes counted there.
    pub(super) fn counted(self, bytes: Counter) -> Self {
        Self { bytes, ..self }
    }

    /// Waits until there is room; `Closed` if nobody reads any more.
    fn send(&self, chunk: impl Into<Bytes>) -> Flow {
        let chunk = chunk.into();
        let bytes = chunk.len() as u64;
        match self.chunks.blocking_send(chunk) {
            Ok(()) => {
                self.bytes.inc_by(bytes);
                Flow::Open
            }
            Err(_) => Flow::Closed,
        }
    }
}

/// A frame as a chunk.
struct Shared(Arc<Frame>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A picture as it is sent.
struct Picture {
    bytes: Bytes,
    /// Of VP9, whose alpha is a picture of its own.
    alpha: Vec<u8>,
    /// Whether decoding can begin with it.
    key: bool,
}

impl From<Bytes> for Picture {
    fn from(bytes: Bytes) -> Self {
        let (alpha, key) = (Vec::new(), true);
        Self { bytes, alpha, key }
    }
}

/// Makes pictures of frames.
#[derive(Debug)]
enum Coder {
    Png(Newest),
    Raw,
    Qtrle(qtrle::Encoder),
    #[cfg(feature = "ffmpeg")]
    Libav(Box<encode::Encoder>),
}

impl Coder {
    fn new(form: Form, newest: Newest, spec: Spec) -> Result<Self> {
        match form.codec {
            Codec::Png => Ok(Self::Png(newest)),
            Codec::RawVideo => Ok(Self::Raw),
            Codec::Qtrle => Ok(Self::Qtrle(qtrle::Encoder::new(spec.size, 4, spec.rate))),
            _ => Self::libav(form, spec),
        }
    }

    #[cfg(feature = "ffmpeg")]
    fn libav(form: Form, mut spec: Spec) -> Result<Self> {
        spec.form.speed = Some(form::Speed::FAST);
        let (samples, size) = (form.samples(), spec.size);
        let recipe = encode::Recipe::new(form.container, form.codec, samples, spec, size, false)?;
        let converter = Converter::new(size, samples)?;
        let encoder = encode::Encoder::new(&recipe, converter)?;
        Ok(Self::Libav(Box::new(encoder)))
    }

    #[cfg(not(feature = "ffmpeg"))]
    fn libav(form: Form, _: Spec) -> Result<Self> {
        bail!(
            "this floatup was built without FFmpeg, which {} needs",
            form.codec
        )
    }

    /// The picture of the frame of an index.
    fn picture(&mut self, frame: &Arc<Frame>, index: u64) -> Result<Option<Picture>> {
        Ok(match self {
            Self::Png(newest) => Some(newest.png(frame, index)?.into()),
            Self::Raw => Some(Bytes::from_owner(Shared(Arc::clone(frame))).into()),
            Self::Qtrle(encoder) => {
                let (packet, key) = encoder.encode(frame.as_bytes());
                Some(Picture {
                    bytes: Bytes::copy_from_slice(packet),
                    alpha: Vec::new(),
                    key,
                })
            }
            #[cfg(feature = "ffmpeg")]
            Self::Libav(encoder) => encoder.encode(frame)?.map(|coded| Picture {
                bytes: coded.bytes.into(),
                alpha: coded.alpha,
                key: coded.key,
            }),
        })
    }
}

/// Puts pictures into a container, so that a player needs nothing that comes after one to show it.
#[derive(Debug)]
enum Muxer {
    Matroska,
    /// With the last picture's time stamp.
    WebM(Duration),
    Nut(nut::Muxer),
    /// With the last fragment's number.
    QuickTime(u32),
}

impl Muxer {
    /// A muxer, and what stands before the first picture.
    fn new(form: Form, spec: Spec) -> Result<(Self, Vec<u8>)> {
        let (codec, size) = (form.codec, spec.size);
        Ok(match form.container {
            Container::Mkv => (Self::Matroska, matroska::header(codec, size, spec.rate)),
            Container::WebM => {
                let header = matroska::header(codec, size, spec.rate);
                (Self::WebM(Duration::ZERO), header)
            }
            Container::Nut => {
                let mut muxer = nut::Muxer::default();
                let header = muxer.header(codec, size);
                (Self::Nut(muxer), header)
            }
            Container::Mov => (Self::QuickTime(0), quicktime::header(codec, size)),
            container => bail!(
                "there is no live feed in {container}; expected one of {}",
                form::list(&Form::CONTAINERS)
            ),
        })
    }

    /// What goes ahead of a frame that is not made yet, on its own.
    ///
    /// OBS asks to be let out of a read only when it has not asked for 20 ms: when the first bytes
    /// after a pause are there. If they are a frame's, libavformat gives up this frame, looks for
    /// the next one and tells nobody, again and again, and all of OBS waits for it
    /// (`interrupt_callback` of its media-playback, and `matroska_resync`).
    fn word(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Matroska | Self::WebM(_) => Some(matroska::void()),
            Self::Nut(muxer) => Some(muxer.nothing()),
            // A fragment that is cut off is an error there.
            Self::QuickTime(_) => None,
        }
    }

    /// What stands before a picture, and what is sent of the picture itself.
    fn frame(&mut self, at: Duration, lasts: Duration, picture: Picture) -> (Vec<u8>, Bytes) {
        let Picture { bytes, alpha, key } = picture;
        let head = match self {
            Self::Matroska => matroska::cluster(at, bytes.len()),
            Self::WebM(last) => {
                let after = (!key).then(|| at.saturating_sub(*last));
                *last = at;
                let cluster = matroska::cluster_with_alpha(at, &bytes, &alpha, after);
                return (cluster, Bytes::new());
            }
            Self::Nut(muxer) => muxer.frame(at, bytes.len()),
            Self::QuickTime(number) => {
                *number = number.wrapping_add(1);
                quicktime::fragment(*number, at, lasts, bytes.len(), key)
            }
        };
        (head, bytes)
    }
}

/// A feed that is being written.
#[derive(Debug)]
pub struct Feed {
    body: Body,
    muxer: Muxer,
    coder: Coder,
    form: Form,
    rate: FrameRate,
    /// The first frame's index.
    first: Option<u64>,
    /// The last one's, and whether it was clear.
    last: Option<(u64, bool)>,
    written: u64,
}

impl Feed {
    /// A feed that begins with a header.
    ///
    /// # Errors
    /// There is no such feed, or no such encoder.
    pub(super) fn new(body: Body, form: Form, newest: Newest, spec: Spec) -> Result<Self> {
        let coder = Coder::new(form, newest, spec)?;
        let (muxer, mut start) = Muxer::new(form, spec)?;
        let mut feed = Self {
            body,
            muxer,
            coder,
            form,
            rate: spec.rate,
            first: None,
            last: None,
            written: 0,
        };
        let small = matches!(form.codec, Codec::Png | Codec::Qtrle);
        if small && form.stamps == Stamps::Arrival && !form.says_rate() {
            let clear = Frame::new(spec.size, Alpha::Straight, form.samples().source());
            feed.begin(&Arc::new(clear), &mut start)?;
        }
        if feed.body.send(start) == Flow::Closed {
            bail!("the feed's reader has gone");
        }
        Ok(feed)
    }

    /// Adds the clear frames that a player looks at before it shows any.
    fn begin(&mut self, clear: &Arc<Frame>, start: &mut Vec<u8>) -> Result<()> {
        let png = match self.coder {
            Coder::Png(_) => Some(Bytes::from(still::png(clear)?)),
            _ => None,
        };
        for _ in 0..FRAMES_PROBED {
            let picture = match &png {
                Some(png) => Some(png.clone().into()),
                None => self.coder.picture(clear, 0)?,
            };
            let (head, bytes) = self.mux(picture, Duration::from_millis(self.written));
            start.extend(head);
            start.extend(bytes);
        }
        Ok(())
    }

    pub(super) fn write(&mut self, frame: &Arc<Frame>, index: u64) -> Result<Flow> {
        let clear = frame.is_clear();
        if clear
            && self.written >= FRAMES_PROBED
            && let Some((last, true)) = self.last
            && self.rate.pts(index.saturating_sub(last)) < CLEAR_AGAIN
        {
            return Ok(Flow::Open);
        }
        if let Some(word) = self.muxer.word()
            && self.body.send(word) == Flow::Closed
        {
            return Ok(Flow::Closed);
        }
        self.last = Some((index, clear));
        let first = *self.first.get_or_insert(index);
        let at = match self.form.stamps {
            Stamps::Arrival => Duration::from_millis(self.written),
            Stamps::Media => self.rate.pts(index - first),
        };
        let picture = self.coder.picture(frame, index)?;
        let (head, bytes) = self.mux(picture, at);
        for chunk in [head.into(), bytes] {
            if !chunk.is_empty() && self.body.send(chunk) == Flow::Closed {
                return Ok(Flow::Closed);
            }
        }
        Ok(Flow::Open)
    }

    /// What stands before a picture, and what is sent of the picture itself.
    fn mux(&mut self, picture: Option<Picture>, at: Duration) -> (Vec<u8>, Bytes) {
        self.written += 1;
        let lasts = self.form.stamps.lasts(self.rate);
        let muxed = picture.map(|picture| self.muxer.frame(at, lasts, picture));
        muxed.unwrap_or_default()
    }
}
