//! Reactions into pictures: each output's size of them, keyed over the programme, and handed to its
//! encoder.
//!
//! A picture that no reaction touches goes on as it was decoded, without a copy. Others are copied
//! once, because the decoder needs its own for what comes next, and only touched blocks are
//! changed.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::software::scaling::{self, Flags};
use ffmpeg_next::{Codec, Rational, frame};

use super::decode::Decoded;
use super::ffi;
use super::geometry::{Geometry, Shape};
use super::mux::micros;
use super::now;
use super::overlay::{Canvas, Missing, Overlay, Pictures};
use super::settings::{Fit, OnInputLoss, Region};
use super::status::Status;
use crate::frame::{Frame, Size};
use crate::keyer::{Keyer, Parity, PictureFormat, PlaneMut, Rows};

/// Pictures between the compositor and an encoder. A recording waits for room; a live programme
/// waits for [`PATIENCE`], then drops the picture for that output alone.
const PICTURES: usize = 4;

/// How long a live programme waits for an encoder that others don't wait for.
const PATIENCE: Duration = Duration::from_millis(500);

/// Pictures kept to copy others into: more than an encoder that looks ahead holds.
const POOL_MAX: usize = 96;

/// Without a rate, pictures are taken to come this often.
const INTERVAL: Duration = Duration::from_millis(40);

/// What an encoder gets.
pub(super) enum Keyed {
    Picture(frame::Video),
    End,
}

/// An output, as the compositor sees it.
pub(super) struct Rung {
    pub(super) encoder: Codec,
    pub(super) size: Option<Size>,
    pub(super) fit: Fit,
    pictures: Option<SyncSender<Keyed>>,
    /// What it is a user of.
    raster: usize,
    dropped: Arc<std::sync::atomic::AtomicU64>,
}

impl Rung {
    /// An output's two ends.
    pub(super) fn new(
        encoder: Codec,
        size: Option<Size>,
        fit: Fit,
        dropped: Arc<std::sync::atomic::AtomicU64>,
    ) -> (Self, Receiver<Keyed>) {
        let (pictures, ends) = sync_channel(PICTURES);
        let rung = Self {
            encoder,
            size,
            fit,
            pictures: Some(pictures),
            raster: 0,
            dropped,
        };
        (rung, ends)
    }
}

/// How pictures are composed.
pub(super) struct Settings {
    pub(super) region: Region,
    /// Whether the programme waits for nothing.
    pub(super) is_live: bool,
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

/// One size and format of pictures, of one or more outputs.
struct Raster {
    size: Size,
    format: Pixel,
    fit: Fit,
    scaler: Option<Scaler>,
    pool: Vec<frame::Video>,
    view: Option<View>,
}

/// How reactions get into a raster's pictures.
struct View {
    shape: Shape,
    geometry: Geometry,
    keyer: Keyer,
    turned: Option<Frame>,
}

/// Brings pictures to a raster's size and format.
struct Scaler {
    of: (Pixel, u32, u32),
    scaler: scaling::Context,
    /// What is scaled to, where that is not all of the picture or more than it.
    part: Option<frame::Video>,
}

/// Composes until the end.
pub(super) struct Compositor {
    settings: Settings,
    overlay: Overlay,
    rungs: Vec<Rung>,
    rasters: Vec<Raster>,
    status: Arc<Status>,
    /// The first picture's time stamp.
    first: Option<i64>,
    last: Option<i64>,
    /// The picture that came last, for a slate to be like it.
    like: Option<frame::Video>,
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
            first: None,
            last: None,
            like: None,
            was_missing: None,
        }
    }

    /// Composes what comes until the end.
    ///
    /// # Errors
    /// The first picture is of a format that can't be composed in.
    pub(super) fn run(mut self, pictures: &Receiver<Decoded>) -> Result<()> {
        let mut is_lost = false;
        let interval = self.interval();
        let mut due = now();
        let done = loop {
            let next = if is_lost && self.settings.on_loss == OnInputLoss::Slate {
                due += interval;
                match pictures.recv_timeout(due.saturating_duration_since(now())) {
                    Err(RecvTimeoutError::Timeout) => {
                        if let Err(error) = self.slate() {
                            break Err(error);
                        }
                        continue;
                    }
                    Ok(next) => next,
                    Err(RecvTimeoutError::Disconnected) => Decoded::End,
                }
            } else {
                pictures.recv().unwrap_or(Decoded::End)
            };
            match next {
                Decoded::Picture(picture) => {
                    is_lost = false;
                    if let Err(error) = self.compose(picture) {
                        break Err(error);
                    }
                }
                Decoded::Lost => {
                    is_lost = true;
                    due = now();
                }
                Decoded::End => break Ok(()),
            }
            if self.rungs.iter().all(|rung| rung.pictures.is_none()) {
                break Ok(());
            }
        };
        for rung in &self.rungs {
            if let Some(pictures) = &rung.pictures {
                drop(pictures.send(Keyed::End));
            }
        }
        done
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
        let patience = self.settings.is_live.then(|| self.interval() / 2);
        let painted = match is_asked {
            true => self.overlay.take(patience),
            false => Err(Missing::Late),
        };
        self.tell(painted.as_ref().err().copied());
        let began = now();
        let mut keyed = Vec::new();
        for ((raster, scaled), number) in self.rasters.iter_mut().zip(scaled).zip(0..) {
            let pictures = painted
                .as_ref()
                .ok()
                .map(|painted: &Vec<Pictures>| &painted[number]);
            keyed.push(raster.key(&picture, scaled, pictures)?);
        }
        self.status.keyed(began.elapsed());
        if let Ok(pictures) = painted {
            self.overlay.give_back(pictures);
        }
        self.hand_on(&keyed)?;
        if self.settings.on_loss == OnInputLoss::Slate {
            self.like = Some(picture);
        }
        Ok(())
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
        let mut picture = frame::Video::new(like.format(), like.width(), like.height());
        ffi::copy_properties(&like, &mut picture)?;
        match &self.settings.slate {
            Some(image) => lay_image(image, &mut picture)?,
            None => ffi::fill_black(&mut picture),
        }
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
            let format = ffi::nearest_format(rung.encoder, first.format(), can_key);
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
                self.rasters.push(Raster {
                    size,
                    format,
                    fit: rung.fit,
                    scaler: None,
                    pool: Vec::new(),
                    view: None,
                });
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
            let shape = Shape::of(
                picture,
                raster.format,
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
            let format = name(raster.format).and_then(PictureFormat::named);
            let format = format.context("a pixel format that can be keyed")?;
            raster.view = Some(View {
                keyer: Keyer::new(raster.size, format, shape.colour),
                turned: geometry.turned_frame(),
                geometry,
                shape,
            });
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
        let alone = self.rungs.len() == 1;
        for rung in &mut self.rungs {
            let Some(pictures) = &rung.pictures else {
                continue;
            };
            let mut picture = Keyed::Picture(ffi::share(&keyed[rung.raster])?);
            let until = now() + PATIENCE;
            let is_there = loop {
                if alone || !self.settings.is_live {
                    break pictures.send(picture).is_ok();
                }
                match pictures.try_send(picture) {
                    Ok(()) => break true,
                    Err(TrySendError::Disconnected(_)) => break false,
                    Err(TrySendError::Full(back)) if now() < until => {
                        picture = back;
                        std::thread::park_timeout(Duration::from_millis(2));
                    }
                    Err(TrySendError::Full(_)) => {
                        rung.dropped
                            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        break true;
                    }
                }
            };
            if !is_there {
                rung.pictures = None;
            }
        }
        Ok(())
    }
}

impl Raster {
    /// The picture in this raster's size and format, if it isn't already.
    fn scale(&mut self, picture: &frame::Video) -> Result<Option<frame::Video>> {
        let of = (picture.format(), picture.width(), picture.height());
        let to = (self.format, self.size.width(), self.size.height());
        if of == to {
            return Ok(None);
        }
        let part = part_of((of.1, of.2), (to.1, to.2), self.fit);
        let scaler = match &mut self.scaler {
            Some(scaler) if scaler.of == of => scaler,
            scaler => {
                let flags = Flags::BICUBIC | Flags::ACCURATE_RND | Flags::FULL_CHR_H_INT;
                let (width, height) = part;
                let made = scaling::Context::get(of.0, of.1, of.2, to.0, width, height, flags);
                let made = made.with_context(|| {
                    format!("pictures can't be converted from {:?} to {:?}", of.0, to.0)
                })?;
                let is_part = part != (to.1, to.2);
                scaler.insert(Scaler {
                    of,
                    scaler: made,
                    part: is_part.then(|| frame::Video::new(to.0, width, height)),
                })
            }
        };
        let mut out = take(&mut self.pool, to.0, to.1, to.2)?;
        match &mut scaler.part {
            None => scaler.scaler.run(picture, &mut out)?,
            Some(part) => {
                scaler.scaler.run(picture, part)?;
                ffi::copy_properties(picture, &mut out)?;
                ffi::fill_black(&mut out);
                lay_middle(part, &mut out);
            }
        }
        ffi::copy_properties(picture, &mut out)?;
        Ok(Some(out))
    }

    /// The picture with reactions in it: another, if they show on it.
    fn key(
        &mut self,
        picture: &frame::Video,
        scaled: Option<frame::Video>,
        painted: Option<&Pictures>,
    ) -> Result<frame::Video> {
        let painted = painted.filter(|pictures| !pictures.is_clear);
        let (Some(painted), Some(view)) = (painted, &mut self.view) else {
            return Ok(match scaled {
                Some(scaled) => scaled,
                None => ffi::share(picture)?,
            });
        };
        let mut out = match scaled {
            Some(scaled) => scaled,
            None => {
                let (width, height) = (picture.width(), picture.height());
                let mut out = take(&mut self.pool, picture.format(), width, height)?;
                ffi::copy_pixels(picture, &mut out)?;
                ffi::copy_properties(picture, &mut out)?;
                out
            }
        };
        let fields: &[Rows] = match (painted.frames.len(), view.shape.top_first) {
            (2, true) => &[Rows::Field(Parity::Top), Rows::Field(Parity::Bottom)],
            (2, false) => &[Rows::Field(Parity::Bottom), Rows::Field(Parity::Top)],
            _ => &[Rows::All],
        };
        for (overlay, rows) in painted.frames.iter().zip(fields) {
            let overlay = view.geometry.turn(overlay, &mut view.turned);
            let mut planes = planes(&mut out);
            view.keyer
                .key(overlay, view.geometry.origin, *rows, &mut planes);
        }
        if self.pool.len() < POOL_MAX {
            self.pool.push(ffi::share(&out)?);
        }
        Ok(out)
    }
}

/// libavutil's name of a pixel format.
fn name(format: Pixel) -> Option<&'static str> {
    format.descriptor().map(|about| about.name())
}

/// A picture that nobody else holds: one that was used before, or a new one.
fn take(
    pool: &mut Vec<frame::Video>,
    format: Pixel,
    width: u32,
    height: u32,
) -> Result<frame::Video> {
    pool.retain(|kept| (kept.format(), kept.width(), kept.height()) == (format, width, height));
    let free = pool.iter_mut().position(ffi::is_alone);
    Ok(match free {
        Some(free) => pool.swap_remove(free),
        None => frame::Video::new(format, width, height),
    })
}

/// The planes of a picture that nobody else holds.
fn planes(picture: &mut frame::Video) -> Vec<PlaneMut<'_>> {
    let strides: Vec<usize> = (0..picture.planes()).map(|n| picture.stride(n)).collect();
    ffi::planes_mut(picture)
        .into_iter()
        .zip(strides)
        .map(|(bytes, stride)| PlaneMut { bytes, stride })
        .collect()
}

/// The size of what is to be seen of a picture in another.
fn part_of(of: (u32, u32), to: (u32, u32), fit: Fit) -> (u32, u32) {
    let across = f64::from(to.0) / f64::from(of.0);
    let down = f64::from(to.1) / f64::from(of.1);
    let by = match fit {
        Fit::Stretch => return to,
        Fit::Contain => across.min(down),
        Fit::Cover => across.max(down),
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a side of a picture"
    )]
    let even = |side: u32| ((f64::from(side) * by / 2.0).round() as u32 * 2).max(2);
    (even(of.0), even(of.1))
}

/// Lays one picture on the middle of another of its format; what is beyond it is cut.
fn lay_middle(part: &frame::Video, on: &mut frame::Video) {
    let format = on.format();
    let cut = |part: u32, on: u32| {
        let (more, less) = (part.max(on) - part.min(on), part.min(on));
        // Whole samples of chroma.
        let beside = more / 4 * 2;
        (
            beside * u32::from(part > on),
            beside * u32::from(part < on),
            less,
        )
    };
    let (from_x, to_x, width) = cut(part.width(), on.width());
    let (from_y, to_y, height) = cut(part.height(), on.height());
    for plane in 0..part.planes() {
        let down = part
            .height()
            .div_ceil(part.plane_height(plane).max(1))
            .max(1);
        let bytes = |pixels: u32| ffi::row_bytes(format, pixels, plane);
        let (part_stride, on_stride) = (part.stride(plane), on.stride(plane));
        let source = part.data(plane);
        let target = on.data_mut(plane);
        for row in 0..(height / down) as usize {
            let source = &source[(row + (from_y / down) as usize) * part_stride..][bytes(from_x)..];
            let target = &mut target[(row + (to_y / down) as usize) * on_stride..][bytes(to_x)..];
            target[..bytes(width)].copy_from_slice(&source[..bytes(width)]);
        }
    }
}

/// Shows an image on a picture, all of it, over black.
fn lay_image(image: &image::RgbaImage, on: &mut frame::Video) -> Result<()> {
    let (width, height) = (image.width(), image.height());
    let mut source = frame::Video::new(Pixel::RGBA, width, height);
    let stride = source.stride(0);
    let rows = source.data_mut(0).chunks_mut(stride);
    for (row, line) in rows.zip(image.as_raw().chunks(4 * width as usize)) {
        row[..line.len()].copy_from_slice(line);
    }
    let (to_width, to_height) = part_of((width, height), (on.width(), on.height()), Fit::Contain);
    let (to_width, to_height) = (to_width.min(on.width()), to_height.min(on.height()));
    let flags = Flags::BICUBIC | Flags::ACCURATE_RND;
    let mut scaler = scaling::Context::get(
        Pixel::RGBA,
        width,
        height,
        on.format(),
        to_width,
        to_height,
        flags,
    )?;
    let mut part = frame::Video::empty();
    scaler.run(&source, &mut part)?;
    ffi::fill_black(on);
    lay_middle(&part, on);
    Ok(())
}
