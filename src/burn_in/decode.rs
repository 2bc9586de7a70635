//! Packets to pictures, on a thread of their own. What is damaged is concealed by the decoder,
//! counted, and passed by.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use ffmpeg_next::codec::packet::side_data::Type as SideData;
use ffmpeg_next::codec::{self, decoder, threading};
use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::{Dictionary, Error, frame};

use super::input::StreamInfo;
use super::queue::{Receiver, Sender};
use super::reader::Coded;
use super::status::Status;

/// When all is to end, what the reader still has is waited for this long: it may be in a read of a
/// pipe, which nothing ends.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What the compositor gets.
pub(super) enum Decoded {
    Picture(frame::Video),
    /// There are none until further notice; nothing has come since then.
    Lost(Instant),
    /// There will be some again.
    Back,
    End,
}

/// A decoder at work.
pub(super) struct Decoder {
    decoder: decoder::Video,
    status: Arc<Status>,
    stop: Arc<AtomicBool>,
    out: Sender<Decoded>,
}

/// Opens a stream's decoder.
///
/// # Errors
/// There is none, or it can't do with the stream.
pub(super) fn open(stream: &StreamInfo) -> Result<decoder::Video> {
    let id = stream.parameters.id();
    let codec = decoder::find(id);
    let codec =
        codec.with_context(|| format!("this system's FFmpeg has no decoder of {}", id.name()))?;
    let mut context = codec::context::Context::from_parameters(stream.parameters.clone())?;
    context.set_threading(threading::Config {
        kind: threading::Type::Frame,
        ..threading::Config::default()
    });
    let mut context = context.decoder();
    context.set_packet_time_base(stream.time_base);
    let options: Dictionary<'_> = [("threads", "auto")].into_iter().collect();
    let opened = context.open_as_with(codec, options);
    let opened =
        opened.with_context(|| format!("the decoder of {} refuses the video", id.name()))?;
    Ok(opened.video()?)
}

impl Decoder {
    pub(super) fn new(
        decoder: decoder::Video,
        status: Arc<Status>,
        stop: Arc<AtomicBool>,
        out: Sender<Decoded>,
    ) -> Self {
        Self {
            decoder,
            status,
            stop,
            out,
        }
    }

    /// Decodes what comes until the end.
    ///
    /// # Errors
    /// The reader is gone without a word; the video is encrypted.
    pub(super) fn run(mut self, coded: &Receiver<Coded>) -> Result<()> {
        loop {
            let goes_on = match self.next(coded)? {
                Coded::Packet(packet) => {
                    let mut side_data = packet.side_data();
                    if side_data.any(|data| data.kind() == SideData::EncryptionInfo) {
                        bail!("the video is encrypted, and can't be decoded without its key");
                    }
                    match self.decoder.send_packet(&packet) {
                        Ok(()) => {}
                        Err(Error::Other { errno: EAGAIN }) => {
                            // Its pictures are taken out each time, so it has room.
                            self.status.damaged();
                        }
                        Err(_) => self.status.damaged(),
                    }
                    self.drain()
                }
                Coded::Lost(since) => self.flush() && self.out.send(Decoded::Lost(since)).is_ok(),
                Coded::Back(stream) => {
                    match open(&stream) {
                        Ok(decoder) => self.decoder = decoder,
                        Err(error) => tracing::error!("{error:#}"),
                    }
                    self.out.send(Decoded::Back).is_ok()
                }
                Coded::End => {
                    self.flush();
                    drop(self.out.send(Decoded::End));
                    false
                }
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    fn next(&self, coded: &Receiver<Coded>) -> Result<Coded> {
        loop {
            let is_last = self.stop.load(Ordering::Relaxed);
            match coded.recv_timeout(LAST_WORDS) {
                Ok(next) => return Ok(next),
                Err(RecvTimeoutError::Timeout) if is_last => return Ok(Coded::End),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("the input's thread has panicked"),
            }
        }
    }

    /// Hands on all pictures that are still in it; `false` if nobody takes them.
    fn flush(&mut self) -> bool {
        // One that is at its end already has nothing more to say.
        self.decoder.send_eof().ok();
        self.drain()
    }

    fn drain(&mut self) -> bool {
        loop {
            let mut picture = frame::Video::empty();
            match self.decoder.receive_frame(&mut picture) {
                Ok(()) => {
                    if picture.is_corrupt() || picture.has_decode_errors() {
                        self.status.damaged();
                    }
                    let at = picture.timestamp().or(picture.pts());
                    picture.set_pts(at);
                    if self.out.send(Decoded::Picture(picture)).is_err() {
                        return false;
                    }
                }
                Err(Error::Eof | Error::Other { errno: EAGAIN }) => return true,
                Err(_) => {
                    self.status.damaged();
                    return true;
                }
            }
        }
    }
}
