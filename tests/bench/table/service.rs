//! The `floatup serve` program under a steady load, by its own metrics.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::floatup::{Service, http};
use crate::machine::descendants_cpu_s;
use crate::measure::{median_of, now, sleep_until};
use crate::page::Table;
use crate::scene::{FPS, rate};
use crate::{Results, progress};

/// What a service did while it was looked at.
pub(crate) struct Run {
    before: Metrics,
    after: Metrics,
    /// Sprites that were alive, at the median.
    pub(crate) alive: f64,
    /// CPU seconds a second of the whole program, its HTTP server included.
    pub(crate) cores: f64,
    pub(crate) took: Duration,
}

impl Run {
    /// What a counter has come to since the service began.
    pub(crate) fn total(&self, name: &str) -> f64 {
        self.after.get(name)
    }

    /// How much a counter grew.
    pub(crate) fn grown(&self, name: &str) -> f64 {
        self.after.get(name) - self.before.get(name)
    }
}

/// Publishes reactions to a service, 60 times a second and evenly, so that so many sprites of two
/// seconds are alive, and looks at it for so many seconds when it has warmed up.
pub(crate) fn under_load(service: &Service, sprites: u32, seconds: u32) -> Result<Run> {
    const WARM_UP: u32 = 4;
    let begun = now();
    let (mut published, mut alive, mut start) = (0, Vec::new(), None);
    for tick in 0..(WARM_UP + seconds) * FPS {
        sleep_until(begun + rate().pts(tick.into()));
        let due = (tick + 1) * sprites / (2 * FPS);
        publish(service, published..due)?;
        published = due;
        if tick == WARM_UP * FPS {
            start = Some((
                now(),
                Metrics::read(&service.address)?,
                descendants_cpu_s()?,
            ));
        }
        if tick > WARM_UP * FPS && tick % FPS == 0 {
            alive.push(Metrics::read(&service.address)?.get("floatup_sprites_live"));
        }
    }
    let (started, before, cpu_s) = start.context("the loop passes it")?;
    let (took, cpu_s) = (started.elapsed(), descendants_cpu_s()? - cpu_s);
    Ok(Run {
        before,
        after: Metrics::read(&service.address)?,
        alive: median_of(&alive),
        cores: cpu_s / took.as_secs_f64(),
        took,
    })
}

/// The whole service at full load: reactions by HTTP, 5,000 sprites of 48 px at 4K and 60 frames a
/// second, to a file that forgets them.
pub(crate) fn live(results: &mut Results, folder: &Path) -> Result<()> {
    progress("the service at 4K, 5000 sprites");
    let output = null_file(folder)?.display().to_string();
    let picture = ["--size", "3840x2160", "--font-size", "48", "--fps", "60"];
    let rest = ["--sprites-max", "20000", "--output", &output];
    let service = Service::start(folder, &[&picture[..], &rest].concat());
    let run = under_load(&service, 5_000, 20)?;
    service.stop();
    let frames = run.grown("floatup_frames_rendered_total");
    let late = run.grown("floatup_frames_late_total");
    ensure!(frames > 0.0, "the service drew nothing");
    let mut table = Table::new(["figure of `/metrics`", "in 20 s"]);
    table.row(["sprites alive, median".to_owned(), run.alive.to_string()]);
    table.row(["frames rendered".to_owned(), format!("{frames}")]);
    table.row(["frames late".to_owned(), format!("{late}")]);
    for le in ["0.004", "0.008", "0.0167", "0.0333"] {
        let name = format!("floatup_frame_render_seconds_bucket le={le}");
        let share = 100.0 * run.grown(&name) / frames;
        table.row([format!("drawn in at most {le} s"), format!("{share:.2} %")]);
    }
    results.live = Some((table, late));
    Ok(())
}

/// One message with counts of the four emoji, if there are any.
pub(crate) fn publish(service: &Service, numbers: Range<u32>) -> Result<()> {
    if numbers.is_empty() {
        return Ok(());
    }
    let names = ["heart", "100", "thumbsup", "mindblown"];
    let counts = (0..).zip(names).map(|(place, name)| {
        let count = numbers.clone().filter(|number| number % 4 == place).count();
        format!(r#""{name}":{count}"#)
    });
    let counts: Vec<_> = counts.collect();
    let body = format!("{{{}}}", counts.join(","));
    let (status, answer) = http(
        &service.address,
        "POST",
        "/topics/video/demo",
        body.as_bytes(),
    );
    ensure!(
        status == 204,
        "{status}: {}",
        String::from_utf8_lossy(&answer)
    );
    Ok(())
}

/// A raw output that takes frames at no cost.
fn null_file(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("null.rgba");
    std::os::unix::fs::symlink("/dev/null", &path).context("cannot make a link to /dev/null")?;
    Ok(path)
}

/// A process's metrics at one moment.
pub(crate) struct Metrics(String);

impl Metrics {
    /// From a host and a port.
    pub(crate) fn read(address: &str) -> Result<Self> {
        let (status, body) = http(address, "GET", "/metrics", b"");
        ensure!(status == 200, "/metrics answers {status}");
        Ok(Self(String::from_utf8(body)?))
    }

    /// Of the one channel and all its outputs; 0 where there is no such figure. A bucket's bound
    /// follows its name.
    pub(crate) fn get(&self, name: &str) -> f64 {
        let (name, bound) = name
            .split_once(" le=")
            .map_or((name, None), |(n, b)| (n, Some(b)));
        let all = self.0.lines().filter_map(|line| {
            let (key, value) = line.rsplit_once(' ')?;
            let key = key.strip_prefix(name)?;
            let named = key.is_empty() || key.starts_with('{');
            let bounded = bound.is_none_or(|b| key.contains(&format!("le=\"{b}\"")));
            (named && bounded).then(|| value.parse::<f64>().ok())?
        });
        all.sum()
    }
}
