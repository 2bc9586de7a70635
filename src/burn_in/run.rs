//! The threads of a burn-in, and what is between them.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use ffmpeg_next::codec::packet::side_data::Type as SideData;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Packet, frame};

use super::coding::{Encoder, Task};
use super::compose::{Compositor, Rung, Settings};
use super::decode::{self, Decoder};
use super::hold::{Outlet, Way};
use super::input::{Origin, Programme, StreamInfo};
use super::mux::{Begin, Counts, Item, Link, Writer};
use super::now;
use super::overlay::{Overlay, Reactions, Show};
use super::plan::{self, Plan};
use super::queue::{Receiver, queue};
use super::reader::{PACKETS, Reader};
use super::settings::{Coding, OnInputLoss, OutputSettings, Region, Sync};
use super::status::{Encoding, Status};
use super::sync::Timekeeper;
use crate::metrics;

/// Pictures between the decoder and the compositor. They are waited for.
const PICTURES: usize = 3;

/// How long a live programme waits for an output for which others don't wait.
const PATIENCE: Duration = Duration::from_millis(500);

/// The same for one that comes through a pipe: it may be faster than it plays, and can be held
/// back.
const PIPE_PATIENCE: Duration = Duration::from_secs(10);

/// What is to be done.
#[derive(Debug)]
pub struct Job {
    /// A file, `-`, or an address.
    pub input: OsString,
    /// libavformat's name of the input's demuxer; `None` to find out.
    pub input_format: Option<String>,
    /// At least one.
    pub outputs: Vec<OutputSettings>,
    /// The part of the picture that reactions stay within.
    pub region: Region,
    /// What to do without input; `None` for what suits it.
    pub on_input_loss: Option<OnInputLoss>,
    /// A picture to show while there is no input; `None` for black.
    pub slate: Option<PathBuf>,
    /// Whether a file is read no faster than it plays.
    pub realtime: bool,
    /// In which frame a reaction of a topic appears.
    pub sync: Sync,
    /// How long the programme is held back, so that reactions of a topic appear earlier. A
    /// recording can't be.
    pub hold: Duration,
    /// Whether streams that an output can't hold are left out.
    pub drop_unsupported: bool,
    /// Whether files are overwritten.
    pub force: bool,
}

/// A burn-in that has been checked, and can begin.
pub struct BurnIn {
    job: Job,
    origin: Origin,
    input: Input,
    /// The input's first packets.
    ahead: VecDeque<Packet>,
    programme: Programme,
    plans: Vec<Plan>,
    timekeeper: Timekeeper,
    status: Arc<Status>,
    stop: Arc<AtomicBool>,
}

impl std::fmt::Debug for BurnIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BurnIn({})", self.origin)
    }
}

impl BurnIn {
    /// Opens the input and checks every output; nothing is written. When `stop` is set, all ends as
    /// if the input did. What happens is counted on `status`.
    ///
    /// # Errors
    /// The input can't be read or has no video, or is to be held back and isn't live; an output
    /// can't be, with what is expected.
    pub fn new(job: Job, status: Arc<Status>, stop: Arc<AtomicBool>) -> Result<Self> {
        let mut origin = Origin::new(&job.input, job.input_format.clone(), Arc::clone(&stop));
        let is_live = origin.is_live || job.realtime;
        if !job.hold.is_zero() && !is_live {
            bail!(
                "--delay -{}s: {origin} is a recording, which is not held back: expected a live \
                 input, --realtime, or a log with --reactions",
                job.hold.as_secs_f64()
            );
        }
        let timekeeper = Timekeeper::new(job.sync, is_live);
        let mut input = timekeeper.open(&origin)?;
        let mut programme = Programme::of(&mut input, &origin)?;
        let ahead = programme.read_ahead(&mut input);
        status.input_lost(false);
        // A playlist that grows is one, be it a file.
        origin.is_live |= programme.in_segments() && !programme.is_finite;
        let plans = job.outputs.iter().map(|output| {
            Plan::new(
                output,
                &job.input,
                &programme,
                job.force,
                job.drop_unsupported,
            )
        });
        let plans = plans.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            job,
            origin,
            input,
            ahead,
            programme,
            plans,
            timekeeper,
            status,
            stop,
        })
    }

    /// What will be done to each stream of each output.
    #[must_use]
    pub fn plan(&self) -> String {
        let mut text = plan::tell_input(&self.origin, &self.programme);
        for (plan, output) in self.plans.iter().zip(&self.job.outputs) {
            text += &plan.tell(output, &self.programme).unwrap_or_default();
        }
        text
    }

    /// How long the programme is, if that is known.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.programme.duration
    }

    /// Whether the programme comes as fast as it is made.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.origin.is_live || self.job.realtime
    }

    /// Does it all, until the input ends. Each output has its figures.
    ///
    /// # Errors
    /// The first output that can't be written, once all are done; what can't be decoded.
    pub fn run(
        self,
        show: Show,
        reactions: Reactions,
        figures: Vec<(metrics::Output, Encoding)>,
    ) -> Result<()> {
        let is_live = self.is_live();
        // A log's pictures are the same in every run.
        let waits = matches!(reactions, Reactions::Log(_)) && !is_live;
        let patience = is_live.then(|| self.patience());
        let video = self.programme.main_video().clone();
        let decoder = decode::open(&video)?;
        let overlay = Overlay::start(show, reactions, self.timekeeper.clone(), waits)?;
        let several = self.plans.len() > 1;
        let figures = figures.into_iter().map(Some).chain(std::iter::repeat(None));
        let (mut rungs, mut links, mut threads) = (Vec::new(), Vec::new(), Vec::new());
        let outputs = self.plans.into_iter().zip(self.job.outputs).zip(figures);
        for ((plan, output), figures) in outputs {
            let (figures, encoding) = figures.unzip();
            let encoding: Encoding = encoding.unwrap_or_default();
            let counts = Counts {
                metrics: figures,
                status: Arc::clone(&self.status),
            };
            let name = plan.target.name.clone();
            // Whoever reads the only output holds the programme back; but for a connection, which
            // may be lost.
            let patience = patience.filter(|_| several || plan.target.is_network());
            let to_write = &encoding.packets_waiting;
            let (link, items) = Link::new(&name, patience, counts.clone(), to_write);
            let bytes = encoding.bytes.clone();
            let to_encode = &encoding.pictures_waiting;
            let (rung, pictures) =
                Rung::new(plan.encoder, output.size, output.fit, counts, to_encode);
            let coder = Coder {
                coding: output.coding,
                encoder: plan.encoder,
                stream: video.clone(),
                programme: self.programme.clone(),
                bitrate: bitrate(&self.programme),
                is_live,
                global_header: plan.target.global_header(),
                link: link.clone(),
                encoding,
            };
            let writer = Writer {
                target: plan.target,
                link: link.clone(),
                programme: self.programme.clone(),
                kept: plan.kept,
                is_live,
                bytes,
                stop: Arc::clone(&self.stop),
            };
            let about = name.clone();
            let code = move || {
                let coded = coder
                    .run(&pictures)
                    .with_context(|| format!("cannot write {about}"));
                tell(coded, several)
            };
            threads.push(start("encode", code)?);
            threads.push(start("write", move || tell(writer.run(&items), several))?);
            rungs.push(rung);
            links.push(link);
        }
        let (packets, coded) = queue(PACKETS, &self.status.packets_waiting);
        let (pictures, decoded) = queue(PICTURES, &self.status.pictures_waiting);
        let on_loss = self
            .job
            .on_input_loss
            .unwrap_or(match self.origin.address.is_network {
                true => OnInputLoss::Wait,
                false => OnInputLoss::Exit,
            });
        let settings = Settings {
            region: self.job.region,
            is_live: !waits,
            patience,
            on_loss,
            rate: video.rate,
            time_base: video.time_base,
            matrix: display_matrix(&video),
            sample_aspect_ratio: video.properties.sample_aspect_ratio,
            slate: self.job.slate.as_deref().map(slate).transpose()?,
        };
        let way = Way {
            video: packets,
            links: links.clone(),
        };
        let (out, holding) = Outlet::new(way, self.job.hold, Arc::clone(&self.stop))?;
        let origin = self.origin.to_string();
        let reader = Reader {
            paced: self.job.realtime || is_live && self.programme.in_segments(),
            origin: self.origin,
            programme: self.programme,
            out,
            links,
            timekeeper: self.timekeeper,
            on_loss,
            status: Arc::clone(&self.status),
            stop: Arc::clone(&self.stop),
        };
        let (input, ahead) = (self.input, self.ahead);
        // It isn't waited for: nothing ends the read of a pipe that has nothing to say.
        drop(start("read", move || {
            reader.run(input, ahead);
            Ok(())
        })?);
        let (status, stop) = (Arc::clone(&self.status), Arc::clone(&self.stop));
        let decoder = Decoder::new(decoder, status, stop, pictures);
        let decode = move || decoder.run(&coded).with_context(|| origin);
        threads.push(start("decode", decode)?);
        let compositor = Compositor::new(settings, overlay, rungs, self.status);
        let mut done = compositor.run(&decoded);
        drop(decoded);
        if done.is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
        for thread in threads.into_iter().chain(holding) {
            let result = join(thread);
            done = done.and(result);
        }
        done
    }

    /// How long an output may keep a live programme waiting, before it goes on without it.
    fn patience(&self) -> Duration {
        match self.origin.address.is_network || self.job.realtime {
            true => PATIENCE,
            false => PIPE_PATIENCE,
        }
    }
}

/// Says at once that an output has failed, where others go on without it.
fn tell(result: Result<()>, others_go_on: bool) -> Result<()> {
    if let Err(error) = &result
        && others_go_on
    {
        tracing::error!("{error:#}; the other outputs go on");
    }
    result
}

fn start(
    name: &str,
    work: impl FnOnce() -> Result<()> + Send + 'static,
) -> Result<JoinHandle<Result<()>>> {
    let thread = thread::Builder::new().name(name.into()).spawn(work);
    thread.context("cannot start a thread")
}

fn join(thread: JoinHandle<Result<()>>) -> Result<()> {
    thread
        .join()
        .unwrap_or_else(|_| Err(anyhow!("a thread of the burn-in has panicked")))
}

/// Bits a second of the video; of all, if only that is known and there is little beside it.
fn bitrate(programme: &Programme) -> Option<u64> {
    let own = programme.main_video().bitrate();
    let others = || {
        let others = programme.streams.iter().enumerate();
        let others = others.filter(|(number, _)| *number != programme.video);
        others
            .map(|(_, stream)| stream.bitrate().unwrap_or(0))
            .sum::<u64>()
    };
    own.or_else(|| {
        programme
            .bitrate?
            .checked_sub(others())
            .filter(|rate| *rate > 0)
    })
}

fn display_matrix(stream: &StreamInfo) -> Option<[i32; 9]> {
    let mut side_data = stream.properties.side_data.iter();
    let (_, data) = side_data.find(|(kind, _)| *kind == SideData::DisplayMatrix)?;
    let (numbers, _) = data.as_chunks::<4>();
    let numbers: Vec<i32> = numbers
        .iter()
        .map(|bytes| i32::from_ne_bytes(*bytes))
        .collect();
    numbers.try_into().ok()
}

fn slate(path: &std::path::Path) -> Result<image::RgbaImage> {
    let image = image::open(path).with_context(|| format!("--slate {}", path.display()))?;
    Ok(image.into_rgba8())
}

/// The thread of one output's encoder.
struct Coder {
    coding: Coding,
    encoder: ffmpeg_next::Codec,
    stream: StreamInfo,
    programme: Programme,
    bitrate: Option<u64>,
    is_live: bool,
    global_header: bool,
    link: Link,
    encoding: Encoding,
}

impl Drop for Coder {
    /// Whatever has happened, what is written so far is finished.
    fn drop(&mut self) {
        self.link.send(Item::End);
    }
}

impl Coder {
    fn run(self, pictures: &Receiver<frame::Video>) -> Result<()> {
        let mut encoder: Option<Encoder> = None;
        while let Ok(picture) = pictures.recv() {
            if self.link.is_gone() {
                return Ok(());
            }
            let encoder = match &mut encoder {
                Some(encoder) => encoder,
                None => {
                    let task = Task {
                        coding: &self.coding,
                        codec: self.encoder,
                        stream: &self.stream,
                        bitrate: self.bitrate,
                        is_live: self.is_live,
                        global_header: self.global_header,
                    };
                    let opened = Encoder::open(&task, &picture)?;
                    self.link.send(Item::Begin(Box::new(Begin {
                        parameters: opened.parameters(),
                        time_base: opened.time_base(),
                        programme: self.programme.clone(),
                    })));
                    encoder.insert(opened)
                }
            };
            let began = now();
            encoder.send(picture, self.link.take_wish_for_key())?;
            self.link.counts().picture();
            self.hand_on(encoder)?;
            self.encoding.encoded(began.elapsed());
        }
        if let Some(encoder) = &mut encoder {
            encoder.end()?;
            self.hand_on(encoder)?;
        }
        Ok(())
    }

    fn hand_on(&self, encoder: &mut Encoder) -> Result<()> {
        while let Some(packet) = encoder.packet()? {
            self.link.pass_picture(packet);
        }
        Ok(())
    }
}
