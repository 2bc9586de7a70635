//! Reactions into pictures: each output's size of them, keyed over the programme, and handed to its
//! encoder.
//!
//! A picture that no reaction touches goes on as it was decoded, without a copy. Others are copied
//! once if the decoder still needs its own for what comes next, and only touched blocks are
//! changed.

mod raster;
mod rung;

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Rational, frame};

use self::raster::{Raster, View, lay_image, name, plain};
pub(super) use self::rung::Rung;
use super::decode::Decoded;
use super::ffi;
use super::geometry::{Geometry, Shape};
use super::mux::micros;
use super::now;
use super::overlay::{Canvas, Missing, Overlay, Pictures};
use super::queue::Receiver;
use super::settings::{OnInputLoss, Region};
use super::status::Status;
use crate::frame::Size;
use crate::keyer::{Keyer, PictureFormat};

/// How long a live programme's first picture waits for its reactions, whose pictures are made by
/// then.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);

/// Without a rate, pictures are taken to come this often.
const INTERVAL: Duration = Duration::from_millis(40);

/// How pictures are composed.
pub(super) struct Settings {
    pub(super) region: Region,
    /// Whether the programme waits for nothing.
    pub(super) is_live: bool,
    /// How long an encoder is waited for that others don't wait for; `None` for as long as it
    /// takes.
    pub(super) patience: Option<Duration>,
    pub(super) on_loss: OnInputLoss,
    /// Pictures a second, if that is known.
    pub(super) rate: Option<Rational>,
    pub(super) time_base: Rational,
    /// A display matrix of the container.
    pub(super) matrix: Option<[i32; 9]>,
    /// Of a pixel, where pictures don't say.
    pub(super) sample_aspect_ratio: (i32, i32),
    /// The picture to show while there is no input.
    pub(super) slate: Option<image::RgbaImage>,
}

/// Composes until the end.
pub(super) struct Compositor {
    settings: Settings,
    overlay: Overlay,
    rungs: Vec<Rung>,
    rasters: Vec<Raster>,
    status: Arc<Status>,
    /// Pictures that were composed.
    frames_before: u64,
    /// The first picture's time stamp.
    first: Option<i64>,
    last: Option<i64>,
    /// All of the picture that came last but its pixels, for a slate to be like it.
    like: Option<frame::Video>,
    /// The slate that is like it.
    slate: Option<frame::Video>,
    was_missing: Option<Missing>,
}

impl Compositor {
    pub(super) fn new(
        settings: Settings,
        overlay: Overlay,
        rungs: Vec<Rung>,
        status: Arc<Status>,
    ) -> Self {
        Self {
            settings,
            overlay,
            rungs,
            rasters: Vec::new(),
            status,
            frames_before: 0,
            first: None,
            last: None,
            like: None,
            slate: None,
            was_missing: None,
        }
    }

    /// Composes what comes until the end.
    ///
    /// # Errors
    /// The first picture is of a format that can't be composed in.
    pub(super) fn run(mut self, pictures: &Receiver<Decoded>) -> Result<()> {
        let interval = self.interval();
        // When the last slate was due; none are while the input is there.
        let mut slate_at: Option<Instant> = None;
        while !self.rungs.iter().all(Rung::is_gone) {
            let next = match &mut slate_at {
                None => pictures.recv().unwrap_or(Decoded::End),
                Some(at) => {
                    let due = *at + interval;
                    match pictures.recv_timeout(due.saturating_duration_since(now())) {
                        Ok(next) => next,
                        Err(RecvTimeoutError::Disconnected) => Decoded::End,
                        Err(RecvTimeoutError::Timeout) => {
                            *at = due;
                            self.slate()?;
                            continue;
                        }
                    }
                }
            };
            match next {
                Decoded::Picture(picture) => {
                    self.slate = None;
                    self.compose(picture)?;
                }
                Decoded::Lost(since) => {
                    slate_at = (self.settings.on_loss == OnInputLoss::Slate).then_some(since);
                }
                Decoded::Back => slate_at = None,
                Decoded::End => break,
            }
        }
        Ok(())
    }

    fn interval(&self) -> Duration {
        let rate = self.settings.rate.map(f64::from);
        let rate = rate.filter(|rate| (0.1..=1_000.0).contains(rate));
        rate.map_or(INTERVAL, |rate| Duration::from_secs_f64(1.0 / rate))
    }

    fn compose(&mut self, mut picture: frame::Video) -> Result<()> {
        let asked = picture.pts().or_else(|| {
            // Without time stamps, pictures follow each other at their rate.
            let step = self.ticks(self.interval());
            self.last.map(|last| last.saturating_add(step))
        });
        let asked = asked.unwrap_or(0);
        let pts = self.last.map_or(asked, |last| asked.max(last + 1));
        picture.set_pts(Some(pts));
        self.last = Some(pts);
        if self.first.is_none() {
            self.overlay.begin(micros(pts, self.settings.time_base));
        }
        let first = *self.first.get_or_insert(pts);
        let since = micros(pts.saturating_sub(first), self.settings.time_base);
        self.status.shown(since);
        let at = Duration::from_micros(u64::try_from(since).unwrap_or(0));
        if self.rasters.is_empty() {
            self.set_rasters(&picture)?;
        }
        self.set_views(&picture)?;
        let is_asked = self.overlay.ask(at, at + self.interval() / 2);
        let scaled = self.rasters.iter_mut();
        let scaled = scaled
            .map(|raster| raster.scale(&picture))
            .collect::<Result<Vec<_>>>()?;
        let patience = match self.frames_before {
            // Nobody waits for a programme's beginning as long as for its next picture.
            0 => FIRST_PATIENCE,
            _ => self.interval() / 2,
        };
        self.frames_before += 1;
        let patience = self.settings.is_live.then_some(patience);
        let painted = match is_asked {
            true => self.overlay.take(patience),
            false => Err(Missing::Late),
        };
        self.tell(painted.as_ref().err().copied());
        let began = now();
        let mut keyed = Vec::new();
        if self.settings.on_loss == OnInputLoss::Slate {
            self.like = Some(ffi::without_pixels(&picture)?);
        }
        // What nobody else has is changed as it is.
        drop(picture);
        for ((raster, scaled), number) in self.rasters.iter_mut().zip(scaled).zip(0..) {
            let pictures = painted
                .as_ref()
                .ok()
                .map(|painted: &Vec<Pictures>| &painted[number]);
            keyed.push(raster.key(scaled, pictures)?);
        }
        self.status.keyed(began.elapsed());
        if let Ok(pictures) = painted {
            self.overlay.give_back(pictures);
        }
        self.hand_on(&keyed)
    }

    fn ticks(&self, time: Duration) -> i64 {
        use ffmpeg_next::Rescale as _;
        let us = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        us.rescale(Rational::new(1, 1_000_000), self.settings.time_base)
            .max(1)
    }

    /// A picture in place of one that hasn't come.
    fn slate(&mut self) -> Result<()> {
        let Some(like) = self.like.take() else {
            return Ok(());
        };
        let slate = match self.slate.take() {
            Some(slate) => slate,
            None => {
                let mut slate = frame::Video::new(like.format(), like.width(), like.height());
                ffi::copy_properties(&like, &mut slate)?;
                match &self.settings.slate {
                    Some(image) => lay_image(image, &mut slate)?,
                    None => ffi::fill_black(&mut slate),
                }
                slate
            }
        };
        let mut picture = ffi::share(&slate)?;
        self.slate = Some(slate);
        let step = self.ticks(self.interval());
        picture.set_pts(self.last.map(|last| last.saturating_add(step)));
        self.status.slate();
        self.compose(picture)?;
        self.like = Some(like);
        Ok(())
    }

    /// What every output's pictures are, from the first one on.
    fn set_rasters(&mut self, first: &frame::Video) -> Result<()> {
        let can_key =
            |format: Pixel| name(format).is_some_and(|name| PictureFormat::named(name).is_some());
        for rung in &mut self.rungs {
            let own = Size::new(first.width(), first.height())?;
            let size = rung.size.unwrap_or(own);
            let takes = |to: Pixel| ffi::nearest_format(rung.encoder, to, can_key);
            let format = first.format();
            let format = match takes(format) {
                // By another name it is taken as it is.
                nearest
                    if nearest != Some(format) && takes(plain(format)) == Some(plain(format)) =>
                {
                    Some(plain(format))
                }
                nearest => nearest,
            };
            let Some(format) = format else {
                bail!(
                    "encoder {}: it takes no pixel format that reactions can be put into",
                    rung.encoder.name()
                );
            };
            let is_like = |raster: &Raster| {
                (raster.size, raster.format, raster.fit) == (size, format, rung.fit)
            };
            let found = self.rasters.iter().position(is_like);
            rung.raster = found.unwrap_or_else(|| {
                self.rasters.push(Raster::new(size, format, rung.fit));
                self.rasters.len() - 1
            });
        }
        Ok(())
    }

    /// Where reactions are in every raster's pictures, which are made of pictures like this one.
    fn set_views(&mut self, picture: &frame::Video) -> Result<()> {
        let Settings {
            region,
            matrix,
            sample_aspect_ratio,
            ..
        } = &self.settings;
        let mut is_new = false;
        let own_side = picture.width().min(picture.height());
        for raster in &mut self.rasters {
            let format = name(raster.format).and_then(PictureFormat::named);
            let format = format.context("a pixel format that can be keyed")?;
            let shape = Shape::of(
                picture,
                raster.format,
                format,
                raster.size,
                *matrix,
                *sample_aspect_ratio,
            );
            if raster.view.as_ref().is_some_and(|view| view.shape == shape) {
                continue;
            }
            is_new = true;
            let side = raster.size.width().min(raster.size.height());
            let scale = f64::from(side) / f64::from(own_side);
            let geometry = Geometry::new(&shape, *region, scale)?;
            let keyer = Keyer::new(raster.size, format, shape.colour);
            raster.view = Some(View::new(shape, geometry, keyer));
        }
        if is_new {
            let views = self
                .rasters
                .iter()
                .filter_map(|raster| raster.view.as_ref());
            let canvases: Vec<Canvas> = views.map(|view| view.geometry.canvas).collect();
            self.overlay.set_canvases(canvases);
        }
        Ok(())
    }

    /// Says once that pictures go on without reactions, and that they have them again.
    fn tell(&mut self, missing: Option<Missing>) {
        if missing.is_some() {
            self.status.without_overlay();
        }
        if missing == self.was_missing {
            return;
        }
        match missing {
            Some(Missing::Late) => {
                tracing::warn!("reactions are late: the programme goes on without them");
            }
            Some(Missing::Failed) => {
                tracing::error!("reactions can't be drawn: the programme goes on without them");
            }
            None => tracing::info!("reactions are in the picture again"),
        }
        self.was_missing = missing;
    }

    /// Gives every output its picture.
    fn hand_on(&mut self, keyed: &[frame::Video]) -> Result<()> {
        // An only output's encoder holds up nobody else.
        let patience = self.settings.patience.filter(|_| self.rungs.len() > 1);
        for rung in &mut self.rungs {
            rung.give(ffi::share(&keyed[rung.raster])?, patience);
        }
        Ok(())
    }
}
