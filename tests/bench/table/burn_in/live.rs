//! A live programme: handed to a command picture by picture when each is due, and read back.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::transport::{Arrival, Receiver, Start, starts};
use super::{PROGRAMME_FPS, Picture, made};
use crate::floatup::{Running, wait};
use crate::measure::{now, sleep_until};

/// The encoder's settings, of both sides: name and value as ffmpeg has them.
pub(super) const PRESET: &str = "ultrafast";
pub(super) const TUNE: &str = "zerolatency";
pub(super) const CRF: &str = "23";
pub(super) const GOP: &str = "60";

/// From one picture to the next.
pub(super) fn interval() -> Duration {
    Duration::from_secs(1) / PROGRAMME_FPS
}

/// A transport stream, whose pictures come in the order in which they are shown.
pub(super) struct Programme {
    bytes: Vec<u8>,
    starts: Vec<Start>,
}

impl Programme {
    /// So many seconds of it, made once.
    pub(super) fn make(folder: &Path, seconds: u32) -> Result<Arc<Self>> {
        let file = folder.join(format!("live-{seconds}.ts"));
        // Each frame of sound is in a packet of its own, so that none comes late.
        let coding = ["-crf", "20", "-bf", "0", "-pes_payload_size", "0"];
        let coding = [&coding[..], &["-f", "mpegts"]].concat();
        made(&file, Picture::Flat, seconds, &coding)?;
        let bytes = std::fs::read(&file)?;
        let starts = starts(&bytes).context("ffmpeg has written no transport stream")?;
        let wanted = seconds * PROGRAMME_FPS;
        ensure!(
            u32::try_from(starts.len()) == Ok(wanted),
            "{} pictures in the programme, not {wanted}",
            starts.len()
        );
        Ok(Arc::new(Self { bytes, starts }))
    }

    /// A picture with what follows it before the next one; with the first, all that is before it.
    fn part(&self, number: usize) -> &[u8] {
        let begin = match number {
            0 => 0,
            _ => self.starts[number].offset,
        };
        let next = self.starts.get(number + 1);
        &self.bytes[begin..next.map_or(self.bytes.len(), |next| next.offset)]
    }
}

/// A command that a programme runs through, from its stdin to its stdout.
pub(super) struct Live {
    child: Running,
    programme: Arc<Programme>,
    /// When the first picture was due.
    pub(super) begun: Instant,
    sender: JoinHandle<Result<ChildStdin>>,
    reader: JoinHandle<Result<Vec<Arrival>>>,
}

impl Live {
    pub(super) fn start(command: &mut Command, programme: &Arc<Programme>) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn();
        let mut child = Running(child.with_context(|| format!("cannot run {command:?}"))?);
        let stdin = child.stdin.take().context("it is piped")?;
        let stdout = child.stdout.take().context("it is piped")?;
        let (begun, sent) = (now(), Arc::clone(programme));
        Ok(Self {
            child,
            programme: Arc::clone(programme),
            begun,
            sender: std::thread::spawn(move || send(stdin, &sent, begun)),
            reader: std::thread::spawn(move || receive(stdout)),
        })
    }

    /// Waits until all is handed in.
    pub(super) fn handed_in(self) -> Result<HandedIn> {
        let sent = self.sender.join();
        Ok(HandedIn {
            child: self.child,
            programme: self.programme,
            begun: self.begun,
            stdin: sent.map_err(|_| anyhow!("the sender has panicked"))??,
            reader: self.reader,
        })
    }
}

/// The same when all is handed in, and the command does not know yet that there is no more.
pub(super) struct HandedIn {
    child: Running,
    programme: Arc<Programme>,
    begun: Instant,
    stdin: ChildStdin,
    reader: JoinHandle<Result<Vec<Arrival>>>,
}

impl HandedIn {
    /// Ends the programme, and waits for all that comes out.
    pub(super) fn end(mut self) -> Result<Passage> {
        drop(self.stdin);
        let arrived = self.reader.join();
        let arrived = arrived.map_err(|_| anyhow!("the reader has panicked"))??;
        let status = wait(&mut self.child);
        ensure!(status.success(), "a live programme's command failed");
        Ok(Passage::new(&self.programme, self.begun, &arrived))
    }
}

fn send(mut stdin: ChildStdin, programme: &Programme, begun: Instant) -> Result<ChildStdin> {
    for (number, at) in (0..programme.starts.len()).zip(0..) {
        sleep_until(begun + interval() * at);
        let sent = stdin.write_all(programme.part(number));
        sent.context("the programme is not taken to its end")?;
    }
    Ok(stdin)
}

fn receive(mut stdout: ChildStdout) -> Result<Vec<Arrival>> {
    let mut receiver = Receiver::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = stdout.read(&mut buffer).context("cannot read it back")?;
        if read == 0 {
            return Ok(receiver.pictures);
        }
        receiver.take(&buffer[..read], now());
    }
}

/// What became of a programme's pictures.
pub(super) struct Passage {
    pub(super) pictures_in: usize,
    pub(super) pictures_out: usize,
    /// Of each picture that came out, its number and the time from when it was due to be handed
    /// in to when the last of it was out.
    latencies: Vec<(usize, Duration)>,
}

impl Passage {
    /// Pictures are told by their time since the first.
    fn new(programme: &Programme, begun: Instant, arrived: &[Arrival]) -> Self {
        let first = |pts: Option<u64>| pts.unwrap_or(0);
        let first_in = first(programme.starts.first().map(|start| start.pts));
        let first_out = first(arrived.first().map(|arrival| arrival.pts));
        let out: HashMap<u64, Instant> = arrived
            .iter()
            .map(|arrival| (arrival.pts.wrapping_sub(first_out), arrival.at))
            .collect();
        let pictures = programme.starts.iter().zip(0..).enumerate();
        let latencies = pictures.filter_map(|(number, (start, intervals))| {
            let at = out.get(&(start.pts.wrapping_sub(first_in)))?;
            let due = begun + interval() * intervals;
            Some((number, at.saturating_duration_since(due)))
        });
        Self {
            pictures_in: programme.starts.len(),
            pictures_out: arrived.len(),
            latencies: latencies.collect(),
        }
    }

    /// Pictures that went in and did not come out.
    pub(super) fn lost(&self) -> usize {
        self.pictures_in - self.latencies.len()
    }

    /// The latencies from a picture's number on.
    pub(super) fn latencies(&self, from: usize) -> Vec<Duration> {
        let all = self.latencies.iter();
        let counted = all.filter(|(number, _)| *number >= from);
        counted.map(|(_, latency)| *latency).collect()
    }
}
