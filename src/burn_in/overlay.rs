//! The reactions' pictures. Those of a live programme are drawn on a thread of their own: whatever
//! becomes of it, the programme goes on without them.
//!
//! A picture is asked for, and taken when it is done. It is a live programme that decides how long
//! it waits; a recording waits for every one, which whoever asks for it draws.

mod easel;

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rayon::ThreadPool;

use self::easel::Easel;
use super::settings::Delay;
use super::sync::Timekeeper;
use crate::cast::Cast;
use crate::frame::{Alpha, Frame, PixelFormat, Size};
use crate::log::Entry;
use crate::metrics::Channel as ChannelMetrics;
use crate::pixel::SimdLevel;
use crate::source::{self, Cue};
use crate::stage::Limits;
use crate::topic::ItemId;

/// Cues that have come and are not on stage yet. One more is dropped, and counted: what is due
/// later than so many others would not be seen among them.
const CUES_MAX: usize = 10_000;

/// Who can appear on a frame of this size, with that many device px per CSS px over what is set.
pub(crate) type MakeCast = dyn Fn(Size, f64) -> Result<Cast> + Send;

/// How reactions are drawn, however large the frame.
pub struct Show {
    /// Who can appear on a frame of a size, with so many device px per CSS px over what is set.
    pub cast: Box<MakeCast>,
    /// How full a frame may get, and what happens beyond that.
    pub limits: Limits,
    /// The vector instructions to draw with.
    pub simd: SimdLevel,
    /// The threads to draw on, where that is faster.
    pub threads: Arc<ThreadPool>,
    /// The page number of a reaction log's sprites.
    pub seed: u64,
    /// Whether a test chart is drawn in place of sprites.
    pub test_pattern: bool,
    /// By how much later than they came reactions appear, or earlier.
    pub delay: Delay,
    /// What is counted.
    pub metrics: ChannelMetrics,
}

impl std::fmt::Debug for Show {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Show({} sprites)", self.limits.sprites_max)
    }
}

/// Where reactions come from.
#[derive(Debug)]
pub enum Reactions {
    /// A log, by rising time from the programme's first frame.
    Log(Vec<Entry>),
    /// Whoever delivers them while the programme runs.
    Live(Arc<Inbox>),
}

/// Reactions that have come, until the next frame is drawn.
#[derive(Debug, Default)]
pub struct Inbox {
    cues: Mutex<VecDeque<Cue>>,
    /// What is taken back. At most [`CUES_MAX`]; of more, the oldest stay on.
    retracted: Mutex<Vec<ItemId>>,
}

impl Inbox {
    /// Puts a cue in; `false` if there is no room for it.
    pub fn deliver(&self, cue: Cue) -> bool {
        let mut cues = lock(&self.cues);
        let has_room = cues.len() < CUES_MAX;
        if has_room {
            cues.push_back(cue);
        }
        has_room
    }
}

impl source::Receiver for Arc<Inbox> {
    fn cue(&self, cue: Cue) -> Option<ItemId> {
        let item = cue.item();
        self.deliver(cue).then_some(item)
    }

    fn retract(&self, items: &[ItemId]) {
        let mut retracted = lock(&self.retracted);
        retracted.extend_from_slice(items);
        let over = retracted.len().saturating_sub(CUES_MAX);
        retracted.drain(..over);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One size of overlay: what is painted of it, and where it lies in the programme's picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Canvas {
    /// Of what is painted.
    pub(super) size: Size,
    /// Of what it is laid out for, in square pixels.
    pub(super) layout: Size,
    /// Device px per CSS px, over what is set.
    pub(super) scale: f64,
    /// Whether both fields of an interlaced picture are painted.
    pub(super) fields: bool,
}

/// The pictures of one canvas: one, or that of each field.
pub(super) struct Pictures {
    pub(super) frames: Vec<Frame>,
    /// Whether nothing shows on any of them.
    pub(super) is_clear: bool,
}

impl Pictures {
    fn new(canvas: &Canvas) -> Self {
        let count = if canvas.fields { 2 } else { 1 };
        let frame = || Frame::new(canvas.size, Alpha::Premultiplied, PixelFormat::Rgba);
        Self {
            frames: (0..count).map(|_| frame()).collect(),
            is_clear: true,
        }
    }
}

/// What is asked of the painter.
enum Ask {
    /// The canvases to paint on from now on.
    Canvases(Vec<Canvas>),
    /// The pictures at this time, and those of second fields at the other.
    Paint {
        number: u64,
        at: Duration,
        second: Duration,
        pictures: Vec<Pictures>,
    },
}

/// What it answers.
enum Answer {
    Painted {
        number: u64,
        pictures: Vec<Pictures>,
    },
    /// It failed, and goes on with an empty stage.
    Failed { number: u64 },
}

/// Who paints.
enum Worker {
    /// A thread, which may hang.
    Thread {
        asks: SyncSender<Ask>,
        answers: Receiver<Answer>,
    },
    /// Whoever asks, so that what is painted is still in the cache of the processor that keys it.
    Here {
        easel: Box<Easel>,
        answer: Option<Answer>,
    },
}

impl Worker {
    /// A thread that does what is asked.
    fn thread(mut easel: Easel) -> Result<Self> {
        let (asks, asked) = sync_channel(2);
        let (tell, answers) = sync_channel(2);
        let work = move || {
            while let Ok(ask) = asked.recv() {
                let answer = easel.answer(ask);
                if answer.is_some_and(|answer| tell.send(answer).is_err()) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("overlay".into())
            .spawn(work);
        drop(thread.context("cannot start a thread")?);
        Ok(Self::Thread { asks, answers })
    }

    fn set_canvases(&mut self, canvases: Vec<Canvas>) {
        let ask = Ask::Canvases(canvases);
        match self {
            Self::Thread { asks, .. } => drop(asks.send(ask)),
            Self::Here { easel, answer } => *answer = easel.answer(ask),
        }
    }

    /// Asks for pictures; `false` if there is no room for that.
    fn ask(&mut self, ask: Ask) -> bool {
        match self {
            Self::Thread { asks, .. } => asks.try_send(ask).is_ok(),
            Self::Here { easel, answer } => {
                *answer = easel.answer(ask);
                true
            }
        }
    }

    /// The next answer, for which it waits that long, or as long as it takes.
    fn answer(&mut self, patience: Option<Duration>) -> Result<Answer, RecvTimeoutError> {
        match (self, patience) {
            (Self::Thread { answers, .. }, Some(patience)) => answers.recv_timeout(patience),
            (Self::Thread { answers, .. }, None) => {
                answers.recv().map_err(|_| RecvTimeoutError::Disconnected)
            }
            (Self::Here { answer, .. }, _) => answer.take().ok_or(RecvTimeoutError::Disconnected),
        }
    }

    /// The next answer, if there is one.
    fn answer_now(&mut self) -> Option<Answer> {
        match self {
            Self::Thread { answers, .. } => answers.try_recv().ok(),
            Self::Here { answer, .. } => answer.take(),
        }
    }
}

/// The painter, as the compositor sees it.
pub(super) struct Overlay {
    worker: Worker,
    /// What is being painted.
    asked: Option<u64>,
    next: u64,
    canvases: Vec<Canvas>,
    /// What the next pictures are painted on.
    spare: Option<Vec<Pictures>>,
    timekeeper: Timekeeper,
}

/// Why there are no pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// They are not done yet.
    Late,
    /// The painter has failed.
    Failed,
}

impl Overlay {
    /// With a thread of its own, unless each picture is waited for.
    ///
    /// # Errors
    /// There can be no other thread.
    pub(super) fn start(
        show: Show,
        reactions: Reactions,
        timekeeper: Timekeeper,
        waits: bool,
    ) -> Result<Self> {
        let easel = Easel::new(show, reactions, timekeeper.clone());
        let worker = match waits {
            true => Worker::Here {
                easel: Box::new(easel),
                answer: None,
            },
            false => Worker::thread(easel)?,
        };
        Ok(Self {
            worker,
            asked: None,
            next: 0,
            canvases: Vec::new(),
            spare: None,
            timekeeper,
        })
    }

    /// The programme's time begins with the picture of this time stamp, in microseconds.
    pub(super) fn begin(&self, first_us: i64) {
        self.timekeeper.begin(first_us);
    }

    /// The canvases to paint on from now on.
    pub(super) fn set_canvases(&mut self, canvases: Vec<Canvas>) {
        if self.canvases == canvases {
            return;
        }
        self.canvases.clone_from(&canvases);
        self.spare = None;
        // What was asked before is of other canvases.
        self.asked = None;
        self.worker.set_canvases(canvases);
    }

    /// Asks for the pictures at this time, and of second fields at the other; `false` if the thread
    /// is still busy with others.
    pub(super) fn ask(&mut self, at: Duration, second: Duration) -> bool {
        self.collect();
        if self.asked.is_some() {
            return false;
        }
        let fresh = || self.canvases.iter().map(Pictures::new).collect();
        let pictures = self.spare.take().unwrap_or_else(fresh);
        let number = self.next;
        self.next += 1;
        let ask = Ask::Paint {
            number,
            at,
            second,
            pictures,
        };
        let is_sent = self.worker.ask(ask);
        self.asked = is_sent.then_some(number);
        is_sent
    }

    /// Takes the pictures that were asked for last, for which it waits that long, or as long as it
    /// takes.
    ///
    /// # Errors
    /// They are late, or the painter has failed.
    pub(super) fn take(&mut self, patience: Option<Duration>) -> Result<Vec<Pictures>, Missing> {
        let Some(wanted) = self.asked else {
            return Err(Missing::Late);
        };
        loop {
            match self.worker.answer(patience) {
                Ok(Answer::Painted { number, pictures }) if number == wanted => {
                    self.asked = None;
                    return Ok(pictures);
                }
                Ok(Answer::Painted { .. }) => {}
                Ok(Answer::Failed { number }) if number == wanted => {
                    self.asked = None;
                    return Err(Missing::Failed);
                }
                Ok(Answer::Failed { .. }) => {}
                Err(RecvTimeoutError::Timeout) => return Err(Missing::Late),
                Err(RecvTimeoutError::Disconnected) => return Err(Missing::Failed),
            }
        }
    }

    /// Gives pictures back, to be painted on again.
    pub(super) fn give_back(&mut self, pictures: Vec<Pictures>) {
        self.spare = Some(pictures);
    }

    /// Takes back what came too late.
    fn collect(&mut self) {
        while let Some(answer) = self.worker.answer_now() {
            let (number, pictures) = match answer {
                Answer::Painted { number, pictures } => (number, Some(pictures)),
                Answer::Failed { number } => (number, None),
            };
            if self.asked == Some(number) {
                self.asked = None;
                let fits = |pictures: &Vec<Pictures>| pictures.len() == self.canvases.len();
                self.spare = pictures.filter(fits).filter(|_| self.spare.is_none());
            }
        }
    }
}
