//! One stream's stage and its frame loop: the only reader of the clock.
//!
//! Time stamps are media time since the channel's start. A reaction appears in the first frame
//! that is due when or after it arrives; frame `n` is due at `pts(n)`, exactly, however late the
//! frames before it were.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::cast::Placement;
use crate::config::ChannelConfig;
use crate::frame::FrameRate;
use crate::look::Look;
use crate::metrics::Channel as ChannelMetrics;
use crate::output::still::png;
use crate::output::{Flow, Output};
use crate::paint::Painter;
use crate::source::Cue;
use crate::stage::{Overflow, Stage, StageSettings};

/// A channel that is on.
#[derive(Debug)]
pub struct Channel {
    rate: FrameRate,
    overflow: Overflow,
    started: Instant,
    metrics: ChannelMetrics,
    substituted: u64,
    /// Locked for a spawn or for one frame's placements, never while pixels are drawn.
    stage: Mutex<OnStage>,
    /// For stills, one at a time. The frame loop has a painter of its own.
    still: Mutex<Painter>,
    loop_painter: Mutex<Option<Painter>>,
    /// The frame loop's, and those that help it to draw.
    threads: Arc<ThreadPool>,
}

#[derive(Debug)]
struct OnStage {
    stage: Stage,
    /// The frame loop has yet to draw this time and all after it; `None` without a frame loop.
    drawn_until: Option<Duration>,
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
        let stage = Stage::new(StageSettings {
            cast,
            sprites_max: picture.sprites_max,
            overflow: picture.overflow,
        });
        let substituted = sheet.substituted().len() as u64;
        let threads = ThreadPoolBuilder::new().num_threads(picture.threads);
        let threads = threads.thread_name(|n| format!("paint-{n}")).build();
        let threads = Arc::new(threads.context("cannot start threads to draw on")?);
        let painter = Painter::new(sheet, picture.size).with_level(picture.simd);
        Ok(Self {
            substituted,
            rate: picture.rate,
            overflow: picture.overflow,
            started: now(),
            metrics,
            stage: Mutex::new(OnStage {
                stage,
                drawn_until: None,
            }),
            still: Mutex::new(painter.clone()),
            loop_painter: Mutex::new(Some(painter.with_threads(Arc::clone(&threads)))),
            threads,
        })
    }

    /// How many emoji of the palette no font has.
    #[must_use]
    pub fn substituted(&self) -> u64 {
        self.substituted
    }

    /// Puts a cue on stage, in the frame that is next.
    pub fn deliver(&self, cue: &Cue) {
        let mut on_stage = lock(&self.stage);
        let elapsed = self.started.elapsed();
        let at = self.rate.pts(self.rate.first_at_or_after(elapsed));
        let over = on_stage.drawn_until.unwrap_or(elapsed);
        on_stage.stage.retire(over);
        let dropped = on_stage
            .stage
            .spawn(cue.page, cue.sequence, &cue.reactions, at);
        match self.overflow {
            Overflow::DropNewest => &self.metrics.sprites_dropped_newest,
            Overflow::RetireOldest => &self.metrics.sprites_retired_oldest,
        }
        .inc_by(dropped as u64);
        self.show_live(&on_stage.stage);
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
        let mut placements = Vec::new();
        self.place(pts, None, &mut placements);
        let mut painter = lock(&self.still);
        png(&mut painter.paint(placements))
    }

    /// Draws frame after frame, each when it is due, and writes it to every output, until `stop`,
    /// until `frames` are written, or until no output is open any more.
    ///
    /// An output that is slow delays the next frame but loses none: frames that are late follow
    /// one another without pause until the clock is caught up.
    ///
    /// An output that fails is given up; the others go on. All are finished in any case.
    ///
    /// # Errors
    /// The first output that can't be written or finished.
    pub fn run(&self, outputs: Vec<Output>, frames: Option<u64>, stop: &Stop) -> Result<()> {
        let Some(painter) = lock(&self.loop_painter).take() else {
            anyhow::bail!("the channel's frame loop runs already");
        };
        // On one of the threads that draw, so that it hands nothing over to them as a whole.
        self.threads
            .install(|| self.draw(painter, outputs, frames, stop))
    }

    fn draw(
        &self,
        mut painter: Painter,
        mut outputs: Vec<Output>,
        frames: Option<u64>,
        stop: &Stop,
    ) -> Result<()> {
        let first = self.rate.first_at_or_after(self.started.elapsed());
        let last = frames.map(|frames| first.saturating_add(frames));
        let mut result = Ok(());
        let mut index = first;
        let mut placements = Vec::new();
        while last.is_none_or(|last| index < last) && !outputs.is_empty() {
            let pts = self.rate.pts(index);
            if stop.wait_until(self.started + pts) {
                break;
            }
            let begun = now();
            if begun > self.started + self.rate.pts(index + 1) {
                self.metrics.frames_late.inc();
            }
            self.place(pts, Some(pts), &mut placements);
            let mut painting = painter.paint(placements.iter().copied());
            for output in &mut outputs {
                output.draw(&mut painting);
            }
            self.metrics
                .frame_render_seconds
                .observe(begun.elapsed().as_secs_f64());
            self.metrics.frames_rendered.inc();
            let mut open = Vec::with_capacity(outputs.len());
            for mut output in outputs {
                match output.write() {
                    Ok(Flow::Open) => open.push(output),
                    Ok(Flow::Closed) => result = result.and(output.finish()),
                    Err(error) => {
                        // Said now, since the service may go on for days.
                        tracing::error!("{error:#}");
                        result = result.and(Err(error));
                    }
                }
            }
            outputs = open;
            index += 1;
        }
        lock(&self.stage).drawn_until = None;
        for output in outputs {
            result = result.and(output.finish());
        }
        result
    }

    /// Copied out, so that the stage is free while pixels are drawn.
    fn place(&self, pts: Duration, drawn_until: Option<Duration>, out: &mut Vec<Placement>) {
        let mut on_stage = lock(&self.stage);
        if let Some(until) = drawn_until {
            on_stage.drawn_until = Some(until);
            on_stage.stage.retire(until);
            self.show_live(&on_stage.stage);
        } else if on_stage.drawn_until.is_none() {
            on_stage.stage.retire(pts);
            self.show_live(&on_stage.stage);
        }
        out.clear();
        out.extend(on_stage.stage.placements(pts));
    }

    fn show_live(&self, stage: &Stage) {
        self.metrics
            .sprites_live
            .set(i64::try_from(stage.len()).unwrap_or(i64::MAX));
    }
}

/// Tells frame loops to end, at once even if they wait.
#[derive(Debug, Default)]
pub struct Stop {
    asked: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Ends every wait, now and from now on.
    pub fn stop(&self) {
        *lock(&self.asked) = true;
        self.changed.notify_all();
    }

    /// Waits until `deadline`, and says whether to stop.
    fn wait_until(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(now());
        let asked = lock(&self.asked);
        let waited = self
            .changed
            .wait_timeout_while(asked, left, |asked| !*asked);
        *waited.unwrap_or_else(PoisonError::into_inner).0
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
