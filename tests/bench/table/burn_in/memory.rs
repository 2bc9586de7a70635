//! The memory of a live burn-in that goes on.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{SPRITES, ffmpeg, free_address};
use crate::floatup::{Running, Service, floatup};
use crate::machine::resident_bytes;
use crate::measure::{median_of, now, sleep_until};
use crate::page::{Table, three};
use crate::progress;
use crate::service::{Metrics, publish};

/// What was measured.
pub(crate) struct Memory {
    pub(crate) table: Table,
    pub(crate) minutes: u32,
    /// At the most, in MB.
    pub(crate) most_mb: f64,
    /// From the first quarter's median to the last one's, in MB.
    pub(crate) growth_mb: f64,
    /// A programme that is kept up with has 30.
    pub(crate) pictures_per_s: f64,
}

/// A programme at the rate at which it plays, again and again, with reactions of a topic.
pub(super) fn watch(clip: &Path, minutes: u32, folder: &Path) -> Result<Memory> {
    /// Messages a second.
    const TICKS: u32 = 20;
    /// Until it decodes, encodes, and all sprites are alive.
    const WARM_UP_S: u32 = 10;
    progress(&format!("memory of a live burn-in, {minutes} minutes"));
    let service = Service::start(folder, &[]);
    let metrics = free_address()?;
    let mut send = ffmpeg();
    send.args(["-re", "-stream_loop", "-1", "-i"]).arg(clip);
    send.args(["-map", "0", "-c", "copy", "-f", "mpegts", "-"]);
    let sender = send.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut sender = Running(sender.context("cannot run ffmpeg")?);
    let programme = sender.stdout.take().context("it is piped")?;
    let mut command = floatup();
    command.args(["burn-in", "--url", &service.url("")]);
    command.args(["--video-codec", "libx264", "--container", "mpegts"]);
    command.args(["--metrics", &metrics, "-", "-"]);
    let child = command.stdin(programme).stdout(Stdio::null()).spawn();
    let mut child = Running(child.context("floatup does not start")?);

    let (begun, seconds) = (now(), WARM_UP_S + 60 * minutes);
    let (mut resident, mut alive, mut most) = (Vec::new(), Vec::new(), 0.0);
    let (mut published, mut before) = (0, None);
    for tick in 0..seconds * TICKS {
        sleep_until(begun + Duration::from_secs(1) * tick / TICKS);
        // Each lives for two seconds.
        let due = (tick + 1) * SPRITES / (2 * TICKS);
        publish(&service, published..due)?;
        published = due;
        if tick < WARM_UP_S * TICKS || !tick.is_multiple_of(TICKS) {
            continue;
        }
        let [now, highest] = resident_bytes(child.id())?;
        resident.push(now / 1e6);
        most = highest / 1e6;
        if before.is_none() || tick % (10 * TICKS) == 0 {
            let figures = Metrics::read(&metrics)?;
            alive.push(figures.get("floatup_sprites_live"));
            before.get_or_insert(figures);
        }
    }
    let before = before.context("it is looked at after the warm-up")?;
    ensure!(child.try_wait()?.is_none(), "{command:?} has ended early");
    let after = Metrics::read(&metrics)?;
    sender.kill()?;
    child.kill()?;
    service.stop();

    let quarter = resident.len() / 4;
    let first = median_of(&resident[..quarter]);
    let last = median_of(&resident[resident.len() - quarter..]);
    let grown = |name: &str| after.get(name) - before.get(name);
    let frames = grown("floatup_programme_frames_total");
    let alive = median_of(&alive);
    let pictures_per_s = frames / f64::from(60 * minutes);
    let mut table = Table::new([format!("1080p30, {minutes} minutes"), "figure".to_owned()]);
    for (name, figure) in [
        ("resident memory at the most, MB", three(most)),
        ("median of the first quarter, MB", three(first)),
        ("median of the last quarter, MB", three(last)),
        ("growth, MB", three(last - first)),
        ("sprites alive, median", format!("{alive}")),
        ("pictures/s", three(pictures_per_s)),
        (
            "pictures without reactions",
            grown("floatup_programme_frames_without_overlay_total").to_string(),
        ),
        (
            "packets and pictures dropped",
            grown("floatup_programme_dropped_total").to_string(),
        ),
    ] {
        table.row([name.to_owned(), figure]);
    }
    Ok(Memory {
        table,
        minutes,
        most_mb: most,
        growth_mb: last - first,
        pictures_per_s,
    })
}
