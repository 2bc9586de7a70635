//! One stream's stage and its frame loop: the only reader of the clock.
//!
//! Time stamps are media time since the channel's start. A reaction appears in the first frame
//! that is due when or after it arrives; frame `n` is due at `pts(n)`, exactly, however late the
//! frames before it were.

mod delivery;
mod pulse;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};

use self::pulse::Pulse;
use crate::chart::Chart;
use crate::config::ChannelConfig;
use crate::flash::FlashGuard;
use crate::frame::{Alpha, Frame, FrameRate, PixelFormat, Scan, Size};
use crate::look::Look;
use crate::metrics::{self, Channel as ChannelMetrics};
use crate::output::still::png;
use crate::output::{Artist, Debuts, Fanout, Moment, Pace, Plan, Policy, Sink};
use crate::paint::Painter;
use crate::stage::{Limits, Stage};

/// A channel that is on.
#[derive(Debug)]
pub struct Channel {
    size: Size,
    scan: Scan,
    rate: FrameRate,
    started: Instant,
    metrics: ChannelMetrics,
    substituted: u64,
    /// Locked for a spawn or for one frame's placements, never while pixels are drawn.
    stage: Mutex<OnStage>,
    /// For stills, one at a time. The frame loop has an artist of its own.
    still: Mutex<Artist>,
    /// Sees the frames of the frame loop.
    flashes: Mutex<FlashGuard>,
    loop_artist: Mutex<Option<Artist>>,
    /// What outputs time reactions by.
    debuts: Debuts,
    /// Draws nothing: those of outputs that fall behind are its clones.
    spare_artist: Arc<Artist>,
    /// The frame loop's, and those that help it to draw.
    threads: Arc<ThreadPool>,
    control: Mutex<Control>,
    changed: Condvar,
    pulse: Pulse,
}

/// What the frame loop is told.
#[derive(Debug, Default)]
struct Control {
    stop: bool,
    /// Outputs that it has yet to take over.
    attached: Vec<Sink>,
}

/// How a channel's frame loop runs.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// How many frames it makes; `None` for no end.
    pub frames: Option<u64>,
    /// Whether it follows the clock or its readers.
    pub pace: Pace,
    /// Whether it waits for another output when none is open any more, in place of ending.
    pub lasting: bool,
}

#[derive(Debug)]
struct OnStage {
    stage: Stage,
    /// The frame loop has yet to draw this time and all after it; `None` without a frame loop.
    drawn_until: Option<Duration>,
    /// The time of the frame that is next, where no clock says it.
    next: Option<Duration>,
}

impl Channel {
    /// A channel whose time begins now.
    ///
    /// # Errors
    /// The palette's pictures don't fit into one sprite sheet.
    pub fn new(config: &ChannelConfig, look: &Look, metrics: ChannelMetrics) -> Result<Self> {
        let picture = &config.picture;
        let palette = &picture.palette;
        let cast = look.cast(
            palette,
            palette.entries().map(|(_, emoji)| emoji),
            picture.size,
        )?;
        let sheet = Arc::clone(cast.sheet());
        let stage = Stage::new(cast, picture.limits);
        let substituted = sheet.substituted().len() as u64;
        let threads = ThreadPoolBuilder::new().num_threads(picture.threads);
        let threads = threads.thread_name(|n| format!("paint-{n}")).build();
        let threads = Arc::new(threads.context("cannot start threads to draw on")?);
        let flashes = FlashGuard::new(&sheet, picture.size).with_level(picture.simd);
        let painter = Painter::new(sheet, picture.size).with_level(picture.simd);
        let chart = picture.test_pattern.then(|| Chart::new(picture.size));
        let chart = chart.transpose()?;
        let artist = |painter| Artist::new(painter, picture.scan, chart);
        Ok(Self {
            substituted,
            size: picture.size,
            scan: picture.scan,
            rate: picture.rate,
            started: now(),
            metrics,
            stage: Mutex::new(OnStage {
                stage,
                drawn_until: None,
                next: None,
            }),
            debuts: Debuts::default(),
            still: Mutex::new(artist(painter.clone())),
            flashes: Mutex::new(flashes),
            spare_artist: Arc::new(artist(painter.clone())),
            loop_artist: Mutex::new(Some(artist(painter.with_threads(Arc::clone(&threads))))),
            threads,
            control: Mutex::default(),
            changed: Condvar::new(),
            pulse: Pulse::default(),
        })
    }

    /// How many emoji of the palette no font has.
    #[must_use]
    pub fn substituted(&self) -> u64 {
        self.substituted
    }

    /// How full the stage may get.
    pub fn limits(&self) -> Limits {
        *lock(&self.stage).stage.limits()
    }

    /// Bounds the stage otherwise from the next frame on.
    pub fn set_limits(&self, limits: Limits) {
        let mut on_stage = lock(&self.stage);
        let at = self.next_frame(&on_stage);
        on_stage.stage.set_limits(limits, at);
        self.metrics.stage.show(&mut on_stage.stage);
    }

    /// Takes everything off the stage.
    pub fn clear(&self) {
        let mut on_stage = lock(&self.stage);
        on_stage.stage.clear();
        self.metrics.stage.show(&mut on_stage.stage);
    }

    /// How many sprites are on stage.
    pub fn sprites(&self) -> usize {
        let mut on_stage = lock(&self.stage);
        if on_stage.drawn_until.is_none() {
            on_stage.stage.retire(self.started.elapsed());
            self.metrics.stage.show(&mut on_stage.stage);
        }
        on_stage.stage.len()
    }

    /// The media time of the frame that is next.
    fn next_frame(&self, on_stage: &OnStage) -> Duration {
        let first = || {
            self.rate
                .pts(self.rate.first_at_or_after(self.started.elapsed()))
        };
        on_stage.next.unwrap_or_else(first)
    }

    /// For how long its frame loop has stood still that follows the clock and has outputs, if that is
    /// too long: more than 2 s, and more than three frames.
    #[must_use]
    pub fn stalled(&self) -> Option<Duration> {
        self.pulse.stalled(now(), self.rate.interval())
    }

    /// The frame that is due now, as a PNG with straight alpha.
    ///
    /// # Errors
    /// The PNG can't be made.
    pub fn still(&self) -> Result<Vec<u8>> {
        let due = self
            .rate
            .first_at_or_after(self.started.elapsed() + Duration::from_nanos(1));
        let pts = self.rate.pts(due.saturating_sub(1));
        let mut moment = Moment {
            index: due.saturating_sub(1),
            ..Moment::default()
        };
        if self.place(pts, None, &mut moment) {
            moment.opacity = moment.opacity.min(lock(&self.flashes).last());
        }
        let frame = Frame::new(self.size, Alpha::Straight, PixelFormat::Rgba);
        let mut frame = [Arc::new(frame)];
        lock(&self.still).draw(&moment, &mut frame);
        png(&frame[0])
    }

    /// Adds an output, from the frame on that is next.
    ///
    /// # Errors
    /// It can't be opened, and never will be.
    pub fn attach(&self, plan: Plan, policy: Policy, metrics: metrics::Output) -> Result<()> {
        let (artist, debuts) = (Arc::clone(&self.spare_artist), self.debuts.clone());
        let sink = Sink::start(plan, policy, metrics, artist, debuts)?;
        lock(&self.control).attached.push(sink);
        self.changed.notify_all();
        Ok(())
    }

    /// Adds outputs that are to have the same frames, from the same one on, such as key and fill.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn attach_locked(&self, plans: Vec<(Plan, metrics::Output)>) -> Result<()> {
        let sinks = Sink::start_all(plans, &self.spare_artist, &self.debuts, true)?;
        lock(&self.control).attached.extend(sinks);
        self.changed.notify_all();
        Ok(())
    }

    /// Ends the frame loop, at once even if it waits: the last frame whole, every file finished.
    pub fn stop(&self) {
        lock(&self.control).stop = true;
        self.changed.notify_all();
    }

    /// Gives frame after frame to every output that is attached, until [`stop`](Self::stop), until
    /// there are as many as asked for, or until no output is open any more.
    ///
    /// By the clock, frame `n` is drawn when it is due, and no output is waited for. One that is so
    /// late that the next is due already is drawn by those outputs alone that must have it.
    /// In the pace of readers each frame follows the one before as soon as outputs have room for it.
    ///
    /// An output that fails is given up, or opened again; the others go on. All are finished in any
    /// case.
    ///
    /// # Errors
    /// The first output that can't be written or finished.
    pub fn run(&self, run: Run) -> Result<()> {
        let Some(artist) = lock(&self.loop_artist).take() else {
            anyhow::bail!("the channel's frame loop runs already");
        };
        let fanout = Fanout::new(artist, run.pace);
        // On one of the threads that draw, so that it hands nothing over to them as a whole.
        self.threads.install(|| self.draw(fanout, run))
    }

    fn draw(&self, mut fanout: Fanout, run: Run) -> Result<()> {
        // Without a clock the first frame is the first, however long all took to start.
        let index = match run.pace {
            Pace::Clock => self.rate.first_at_or_after(self.started.elapsed()),
            Pace::Readers => 0,
        };
        let mut moment = Moment {
            index,
            ..Moment::default()
        };
        let last = run.frames.map(|n| moment.index.saturating_add(n));
        while last.is_none_or(|last| moment.index < last) {
            if !self.take_over(&mut fanout) {
                break;
            }
            if fanout.is_empty() {
                self.rest();
                if !run.lasting || !self.wait(None) {
                    break;
                }
                moment.index = self.rate.first_at_or_after(self.started.elapsed());
                continue;
            }
            let pts = self.rate.pts(moment.index);
            let next = self.rate.pts(moment.index + 1);
            if run.pace == Pace::Clock {
                self.pulse.beat(now());
                let due = self.started + pts;
                if now() < due && self.wait(Some(due)) {
                    // It is due, or there is another output.
                    continue;
                }
            }
            let begun = now();
            let late = run.pace == Pace::Clock && begun > self.started + next;
            if run.pace == Pace::Clock {
                let lateness = begun.saturating_duration_since(self.started + pts);
                let lateness = lateness.as_secs_f64();
                self.metrics.frame_lateness_seconds.observe(lateness);
            }
            if self.place(pts, Some(pts), &mut moment) {
                let most = moment.opacity;
                moment.guard(&mut lock(&self.flashes), self.rate);
                let is_fainter = moment.opacity < most;
                self.metrics.stage.fainter.inc_by(u64::from(is_fainter));
            }
            if run.pace == Pace::Readers {
                lock(&self.stage).next = Some(next);
            }
            let enough = || lock(&self.control).stop;
            if fanout.give(&moment, late, enough) {
                let seconds = begun.elapsed().as_secs_f64();
                self.metrics.frame_render_seconds.observe(seconds);
            }
            self.metrics.frames_rendered.inc();
            self.metrics.frames_late.inc_by(u64::from(late));
            moment.index += 1;
        }
        self.rest();
        fanout.finish()
    }

    /// Hands new outputs over; `false` if it is to stop.
    fn take_over(&self, fanout: &mut Fanout) -> bool {
        let mut control = lock(&self.control);
        control.attached.drain(..).for_each(|sink| fanout.add(sink));
        !control.stop
    }

    /// Waits for another output, and until `due` at most; `false` if it is to stop.
    fn wait(&self, due: Option<Instant>) -> bool {
        let control = lock(&self.control);
        let nothing = |control: &mut Control| !control.stop && control.attached.is_empty();
        let control = match due {
            Some(due) => {
                let left = due.saturating_duration_since(now());
                let waited = self.changed.wait_timeout_while(control, left, nothing);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.changed.wait_while(control, nothing);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
        !control.stop
    }

    /// Nothing is drawn from now on.
    fn rest(&self) {
        let mut on_stage = lock(&self.stage);
        on_stage.drawn_until = None;
        on_stage.next = None;
        self.pulse.rest();
    }

    /// Copied out, so that the stage is free while pixels are drawn. Returns whether flashes are to
    /// be guarded against.
    fn place(&self, pts: Duration, drawn_until: Option<Duration>, moment: &mut Moment) -> bool {
        let mut on_stage = lock(&self.stage);
        if let Some(until) = drawn_until {
            on_stage.drawn_until = Some(until);
            on_stage.stage.retire(until);
            self.metrics.stage.show(&mut on_stage.stage);
        } else if on_stage.drawn_until.is_none() {
            on_stage.stage.retire(pts);
            self.metrics.stage.show(&mut on_stage.stage);
        }
        moment.see(&on_stage.stage, self.rate, self.scan);
        on_stage.stage.limits().flash_guard
    }
}

/// No code under these locks leaves a change half made, so a poisoned value is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock for frames"
)]
fn now() -> Instant {
    Instant::now()
}
