//! What the painter does: puts reactions on stage when they are due, and paints them.

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::{Answer, Ask, CUES_MAX, Canvas, Pictures, Reactions, Show, lock};
use crate::burn_in::settings::Delay;
use crate::burn_in::sync::Timekeeper;
use crate::cast::Placement;
use crate::chart::Chart;
use crate::flash::FlashGuard;
use crate::frame::Frame;
use crate::paint::Painter;
use crate::source::Cue;
use crate::stage::{Entrance, Stage, Tally};

/// What paints on one canvas.
struct Board {
    canvas: Canvas,
    stage: Stage,
    painter: Painter,
    flashes: Option<FlashGuard>,
    placements: Vec<Placement>,
    chart: Option<Chart>,
    /// Pictures that were drawn.
    drawn: u64,
}

/// The painter: all boards, and what comes on them.
pub(super) struct Easel {
    show: Show,
    reactions: Reactions,
    timekeeper: Timekeeper,
    /// How many entries of a log are on stage.
    shown: usize,
    /// Cues for later, by rising time. At most [`CUES_MAX`].
    waiting: VecDeque<(Duration, Cue)>,
    canvases: Vec<Canvas>,
    boards: Vec<Board>,
}

impl Easel {
    pub(super) fn new(show: Show, reactions: Reactions, timekeeper: Timekeeper) -> Self {
        Self {
            show,
            reactions,
            timekeeper,
            shown: 0,
            waiting: VecDeque::new(),
            canvases: Vec::new(),
            boards: Vec::new(),
        }
    }

    /// Does what is asked; `None` if there is nothing to say of it.
    pub(super) fn answer(&mut self, ask: Ask) -> Option<Answer> {
        match ask {
            Ask::Canvases(canvases) => {
                self.canvases = canvases;
                self.set_up();
                None
            }
            Ask::Paint {
                number,
                at,
                second,
                mut pictures,
            } => {
                if self.boards.len() != self.canvases.len() {
                    self.set_up();
                }
                // Whatever is wrong with a sprite is no reason to end the programme.
                let paint = AssertUnwindSafe(|| self.paint(at, second, &mut pictures));
                Some(match catch_unwind(paint) {
                    Ok(()) => Answer::Painted { number, pictures },
                    Err(_) => {
                        self.boards.clear();
                        Answer::Failed { number }
                    }
                })
            }
        }
    }

    /// A stage and a painter for each canvas, or none.
    fn set_up(&mut self) {
        let boards = self.canvases.iter().map(|canvas| {
            let cast = (self.show.cast)(canvas.layout, canvas.scale)?;
            let sheet = Arc::clone(cast.sheet());
            let stage = Stage::new(cast, self.show.limits);
            let guard = || FlashGuard::new(&sheet, canvas.layout).with_level(self.show.simd);
            let flashes = self.show.limits.flash_guard.then(guard);
            let chart = self.show.test_pattern.then(|| Chart::new(canvas.size));
            Ok(Board {
                chart: chart.transpose()?,
                drawn: 0,
                canvas: *canvas,
                stage,
                painter: Painter::new(sheet, canvas.size)
                    .with_level(self.show.simd)
                    .with_threads(Arc::clone(&self.show.threads)),
                flashes,
                placements: Vec::new(),
            })
        });
        match boards.collect::<Result<Vec<_>>>() {
            Ok(boards) => self.boards = boards,
            Err(error) => {
                tracing::error!("no reactions are shown: {error:#}");
                self.boards.clear();
            }
        }
    }

    fn paint(&mut self, at: Duration, second: Duration, pictures: &mut [Pictures]) {
        // Reactions of a log that are to be earlier: its time is ahead of the programme's.
        let Delay { by, earlier } = self.show.delay;
        let is_ahead = earlier && matches!(self.reactions, Reactions::Log(_));
        let ahead = if is_ahead { by } else { Duration::ZERO };
        let (at, second) = (at.saturating_add(ahead), second.saturating_add(ahead));
        self.bring_on(at);
        let (mut live, mut waiting, mut fainter) = (0, 0, false);
        for (board, pictures) in self.boards.iter_mut().zip(pictures) {
            board.stage.retire(at);
            live = live.max(board.stage.len());
            waiting = waiting.max(board.stage.waiting());
            let nothing = board.stage.is_empty() && board.chart.is_none();
            if nothing && pictures.is_clear {
                continue;
            }
            pictures.is_clear = true;
            for (frame, time) in pictures.frames.iter_mut().zip([at, second]) {
                fainter |= board.draw(time, frame);
                pictures.is_clear &= frame.is_clear();
            }
        }
        let gauge = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.show.metrics.stage.live.set(gauge(live));
        self.show.metrics.stage.waiting.set(gauge(waiting));
        self.show.metrics.stage.fainter.inc_by(u64::from(fainter));
        self.count();
    }

    /// Puts what is due by this time on every stage.
    fn bring_on(&mut self, now: Duration) {
        let Delay { by, earlier } = self.show.delay;
        let later = if earlier { Duration::ZERO } else { by };
        let mut refused = 0;
        self.take_back();
        let stages = &mut self.boards;
        let mut spawn = |entrance: &Entrance<'_>| {
            for board in stages.iter_mut() {
                board.stage.retire(entrance.at);
                board.stage.spawn(entrance);
            }
        };
        match &self.reactions {
            Reactions::Log(entries) => {
                while let Some(entry) = entries.get(self.shown)
                    && entry.at.saturating_add(later) <= now
                {
                    self.shown += 1;
                    spawn(&Entrance {
                        page: self.show.seed,
                        sequence: entry.line,
                        publisher: None,
                        reactions: std::slice::from_ref(&entry.reaction),
                        at: entry.at.saturating_add(later),
                    });
                }
            }
            Reactions::Live(inbox) => {
                for cue in lock(&inbox.cues).drain(..) {
                    let sent_at = cue.sent_at;
                    let due = sent_at.and_then(|at| self.timekeeper.due(at, self.show.delay, now));
                    // What the programme is held back for is done already.
                    let at = due.unwrap_or(now.saturating_add(later));
                    if self.waiting.len() == CUES_MAX {
                        refused += 1;
                        continue;
                    }
                    let place = self.waiting.partition_point(|(before, _)| *before <= at);
                    self.waiting.insert(place, (at, cue));
                }
                while let Some((at, cue)) = self.waiting.front()
                    && *at <= now
                {
                    spawn(&cue.entrance(now));
                    self.waiting.pop_front();
                }
            }
        }
        self.show.metrics.stage.dropped.inc_by(refused);
    }

    /// Counts what has become of reactions, on all boards; the first board's is what they have in
    /// common.
    fn count(&mut self) {
        let tallies = self.boards.iter_mut().map(|board| board.stage.take_tally());
        let tallies: Vec<Tally> = tallies.collect();
        if let Some(first) = tallies.first() {
            self.show.metrics.stage.count(*first);
        }
    }

    /// Takes off what has been taken back, and lets nothing of it on.
    fn take_back(&mut self) {
        let Reactions::Live(inbox) = &self.reactions else {
            return;
        };
        let items: HashSet<_> = lock(&inbox.retracted)
            .drain(..)
            .map(|item| (item.page, item.sequence))
            .collect();
        if items.is_empty() {
            return;
        }
        let is_retracted = |page, sequence| items.contains(&(page, sequence));
        lock(&inbox.cues).retain(|cue| !is_retracted(cue.page, cue.sequence));
        self.waiting
            .retain(|(_, cue)| !is_retracted(cue.page, cue.sequence));
        for board in &mut self.boards {
            board.stage.retract(is_retracted);
        }
    }
}

impl Board {
    /// Draws what is on stage at this time; `true` if it is fainter than it would be, so that it
    /// doesn't flash.
    fn draw(&mut self, at: Duration, frame: &mut Frame) -> bool {
        if let Some(chart) = &self.chart {
            chart.draw(self.drawn, frame);
            self.drawn += 1;
            return false;
        }
        let Canvas { size, layout, .. } = self.canvas;
        let ratio = |of: u32, to: u32| f64::from(of) / f64::from(to);
        let across = ratio(size.width(), layout.width());
        let down = ratio(size.height(), layout.height());
        self.placements.clear();
        self.placements.extend(self.stage.placements(at));
        let most = self.stage.limits().opacity_max;
        let mut opacity = most;
        if let Some(flashes) = &mut self.flashes {
            opacity = flashes.opacity(&self.placements, opacity, at);
        }
        let placed = self.placements.iter();
        self.painter
            .paint(placed.map(|placement| placement.stretched(across, down)))
            .faded(opacity)
            .draw(frame);
        opacity < most
    }
}
