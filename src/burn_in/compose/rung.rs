//! An output, as the compositor sees it: the way to its encoder, which ends when it goes.

use std::sync::mpsc::TrySendError;
use std::time::Duration;

use ffmpeg_next::{Codec, frame};
use prometheus_client::metrics::gauge::Gauge;

use crate::burn_in::mux::Counts;
use crate::burn_in::queue::{Receiver, Sender, queue};
use crate::burn_in::settings::Fit;
use crate::frame::Size;

/// Pictures between the compositor and an encoder. A recording waits for room; a live programme
/// waits for as long as its patience lasts, then drops pictures for that output alone until it has
/// room.
const PICTURES: usize = 4;

/// An output, as the compositor sees it.
pub(in crate::burn_in) struct Rung {
    pub(super) encoder: Codec,
    pub(super) size: Option<Size>,
    pub(super) fit: Fit,
    pictures: Option<Sender<frame::Video>>,
    /// The number of the raster whose pictures it has.
    pub(super) raster: usize,
    /// It was waited for in vain; it isn't until it has taken a picture.
    is_stuck: bool,
    counts: Counts,
}

impl Rung {
    /// An output's two ends; the figure says how many pictures wait for the encoder.
    pub(in crate::burn_in) fn new(
        encoder: Codec,
        size: Option<Size>,
        fit: Fit,
        counts: Counts,
        waiting: &Gauge,
    ) -> (Self, Receiver<frame::Video>) {
        let (pictures, ends) = queue(PICTURES, waiting);
        let rung = Self {
            encoder,
            size,
            fit,
            pictures: Some(pictures),
            raster: 0,
            is_stuck: false,
            counts,
        };
        (rung, ends)
    }

    /// Whether there is nobody any more to give pictures to.
    pub(super) fn is_gone(&self) -> bool {
        self.pictures.is_none()
    }

    /// Gives the encoder a picture; waits for room that long, or as long as it takes.
    pub(super) fn give(&mut self, picture: frame::Video, patience: Option<Duration>) {
        let Some(pictures) = &self.pictures else {
            return;
        };
        let sent = match patience {
            Some(_) if self.is_stuck => pictures.send_within(picture, Duration::ZERO),
            Some(patience) => pictures.send_within(picture, patience),
            None => {
                let sent = pictures.send(picture);
                sent.map_err(|back| TrySendError::Disconnected(back.0))
            }
        };
        self.is_stuck = matches!(sent, Err(TrySendError::Full(_)));
        match sent {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.counts.drop_picture(),
            Err(TrySendError::Disconnected(_)) => self.pictures = None,
        }
    }
}
