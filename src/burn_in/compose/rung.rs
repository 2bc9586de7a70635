//! An output, as the compositor sees it: the way to its encoder.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use ffmpeg_next::{Codec, frame};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::burn_in::now;
use crate::burn_in::settings::Fit;
use crate::frame::Size;

/// Pictures between the compositor and an encoder. A recording waits for room; a live programme
/// waits for [`PATIENCE`], then drops the picture for that output alone.
const PICTURES: usize = 4;

/// How long a live programme waits for an encoder that others don't wait for.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often it looks whether there is room.
const ROOM_CHECK: Duration = Duration::from_millis(2);

/// What an encoder gets.
pub(in crate::burn_in) enum Keyed {
    Picture(frame::Video),
    End,
}

/// An output, as the compositor sees it.
pub(in crate::burn_in) struct Rung {
    pub(super) encoder: Codec,
    pub(super) size: Option<Size>,
    pub(super) fit: Fit,
    pictures: Option<SyncSender<Keyed>>,
    /// The number of the raster whose pictures it has.
    pub(super) raster: usize,
    dropped: Counter,
    /// How many pictures wait for the encoder.
    waiting: Gauge,
}

impl Rung {
    /// An output's two ends.
    pub(in crate::burn_in) fn new(
        encoder: Codec,
        size: Option<Size>,
        fit: Fit,
        dropped: Counter,
        waiting: Gauge,
    ) -> (Self, Receiver<Keyed>) {
        let (pictures, ends) = sync_channel(PICTURES);
        let rung = Self {
            encoder,
            size,
            fit,
            pictures: Some(pictures),
            raster: 0,
            dropped,
            waiting,
        };
        (rung, ends)
    }

    /// Whether there is nobody any more to give pictures to.
    pub(super) fn is_gone(&self) -> bool {
        self.pictures.is_none()
    }

    /// Gives the encoder a picture; waits for room, but if it is `live` only so long.
    pub(super) fn give(&mut self, picture: frame::Video, live: bool) {
        let Some(pictures) = &self.pictures else {
            return;
        };
        let mut picture = Keyed::Picture(picture);
        let until = now() + PATIENCE;
        loop {
            let given = match live {
                true => pictures.try_send(picture),
                false => pictures
                    .send(picture)
                    .map_err(|error| TrySendError::Disconnected(error.0)),
            };
            match given {
                Ok(()) => drop(self.waiting.inc()),
                Err(TrySendError::Full(back)) if now() < until => {
                    picture = back;
                    std::thread::park_timeout(ROOM_CHECK);
                    continue;
                }
                Err(TrySendError::Full(_)) => drop(self.dropped.inc()),
                Err(TrySendError::Disconnected(_)) => self.pictures = None,
            }
            return;
        }
    }

    /// Says that there are no more pictures.
    pub(super) fn end(&self) {
        if let Some(pictures) = &self.pictures {
            // It may be gone already.
            pictures.send(Keyed::End).ok();
        }
    }
}
