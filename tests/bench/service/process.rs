//! What a process has, and how that changes.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::floatup::http;
use crate::measure::{now, sleep_until};

/// The memory of a process now, in bytes: pages of its own that are in memory, and those of files.
pub(crate) fn resident(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.context("VmRSS in kB")?.trim().parse::<f64>()? * 1024.0)
}

/// What all series of a name come to that have these words among their labels; 0 for none.
pub(crate) fn figure(address: &str, name: &str, labels: &[&str]) -> Result<f64> {
    let (status, body) = http(address, "GET", "/metrics", b"");
    ensure!(status == 200, "/metrics answers {status}");
    let text = String::from_utf8(body)?;
    let values = text.lines().filter_map(|line| {
        let (key, value) = line.rsplit_once(' ')?;
        let rest = key.strip_prefix(name)?;
        let is_meant = rest.is_empty() || rest.starts_with('{');
        let has_all = labels.iter().all(|label| rest.contains(label));
        (is_meant && has_all).then(|| value.parse::<f64>().ok())?
    });
    Ok(values.sum())
}

/// A figure over time: how it grows, and how large it gets.
#[derive(Default)]
pub(crate) struct Course {
    /// Seconds and values.
    points: Vec<(f64, f64)>,
}

impl Course {
    pub(crate) fn add(&mut self, begun: Instant, value: f64) {
        self.points.push((begun.elapsed().as_secs_f64(), value));
    }

    /// Without what was in the beginning.
    fn warm(&self, warm_up: Duration) -> impl Iterator<Item = (f64, f64)> + Clone {
        let points = self.points.iter().copied();
        points.filter(move |(second, _)| *second >= warm_up.as_secs_f64())
    }

    /// By how much it grows in an hour, by least squares.
    pub(crate) fn per_hour(&self, warm_up: Duration) -> f64 {
        let points = self.warm(warm_up);
        let count = points.clone().count() as f64;
        let mean = |of: &dyn Fn((f64, f64)) -> f64| points.clone().map(of).sum::<f64>() / count;
        let (x, y) = (mean(&|(x, _)| x), mean(&|(_, y)| y));
        let product = mean(&|(at, value)| (at - x) * (value - y));
        let square = mean(&|(at, _)| (at - x).powi(2));
        3_600.0 * product / square
    }

    /// The value at the end of each minute.
    pub(crate) fn minutes(&self) -> Vec<f64> {
        let mut minutes = Vec::new();
        for (second, value) in &self.points {
            if *second >= 60.0 * (minutes.len() + 1) as f64 {
                minutes.push(*value);
            }
        }
        minutes
    }

    pub(crate) fn most(&self) -> f64 {
        self.points
            .iter()
            .map(|(_, value)| *value)
            .fold(0.0, f64::max)
    }
}

/// A thread that does nothing but sleep until each frame is due.
pub(crate) struct Control {
    stop: Arc<AtomicBool>,
    /// How often it was late by more than half a frame, in each second.
    thread: JoinHandle<Vec<u64>>,
}

impl Control {
    pub(crate) fn start(fps: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (begun, interval) = (now(), Duration::from_secs(1) / fps);
            let mut seconds = Vec::new();
            for tick in 0_u32.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let due = begun + Duration::from_secs(1) * tick / fps;
                sleep_until(due);
                seconds.resize((tick / fps) as usize + 1, 0);
                if due.elapsed() > interval / 2 {
                    *seconds.last_mut().expect("this one") += 1;
                }
            }
            seconds
        });
        Self { stop, thread }
    }

    /// Gives that of each second.
    pub(crate) fn stop(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it only sleeps")
    }
}

/// A frame that is late counts as the machine's if a thread that only sleeps was late by half a frame
/// within a second before or after it.
const NEAR_S: usize = 1;

/// How many frames were late, of so many in each second, when a thread that only sleeps was not.
pub(crate) fn beyond_stalls(late: &[f64], stalls: &[u64]) -> f64 {
    let at_fault = |&at: &usize| {
        let near = at.saturating_sub(NEAR_S)..(at + NEAR_S + 1).min(stalls.len());
        stalls[near].iter().all(|&stalls| stalls == 0)
    };
    let own = (0..late.len().min(stalls.len())).filter(at_fault);
    own.fold(0.0, |sum, at| sum + late[at])
}
