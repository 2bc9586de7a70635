//! The machine that is measured on, and the CPU time that its processes have used.

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

/// Linux counts CPU time in hundredths of a second, on all processors.
const TICKS_PER_SECOND: f64 = 100.0;

/// Such as `AMD EPYC`.
pub(crate) fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = info.lines().find_map(|line| {
        let (key, name) = line.split_once(':')?;
        (key.trim() == "model name").then(|| name.trim().to_owned())
    });
    named.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What a program says in one line, such as its version.
pub(crate) fn line_of(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("cannot run {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// One process's line in `/proc`.
struct Stat {
    parent: u32,
    /// Its own CPU time and that of its children that have ended, in s.
    cpu_s: f64,
    /// Of children that have ended alone, in s.
    ended_s: f64,
}

fn stat(process: &str) -> Option<Stat> {
    let line = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The program's name is in parentheses, and may have any character in it.
    let fields: Vec<_> = line[line.rfind(')')? + 1..].split_whitespace().collect();
    let ticks = |field: usize| Some(fields.get(field)?.parse::<f64>().ok()? / TICKS_PER_SECOND);
    let ended_s = ticks(13)? + ticks(14)?;
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        cpu_s: ticks(11)? + ticks(12)? + ended_s,
        ended_s,
    })
}

/// CPU seconds, user and system, of this process's children that have ended and been waited for,
/// with theirs.
pub(crate) fn ended_children_cpu_s() -> f64 {
    stat("self").map_or(0.0, |stat| stat.ended_s)
}

/// CPU seconds, user and system, of all processes that descend from this one, those included
/// that they have waited for.
pub(crate) fn descendants_cpu_s() -> Result<f64> {
    let mut stats = HashMap::new();
    for entry in fs::read_dir("/proc").context("cannot list processes")? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        // A process may end while this reads.
        if let Ok(id) = name.parse::<u32>()
            && let Some(stat) = stat(&name)
        {
            stats.insert(id, stat);
        }
    }
    let own = std::process::id();
    let descends = |id: u32| {
        let mut ancestors = std::iter::successors(Some(id), |id| Some(stats.get(id)?.parent));
        ancestors.any(|ancestor| ancestor == own)
    };
    let descendants = stats.iter().filter(|(id, _)| **id != own && descends(**id));
    Ok(descendants.map(|(_, stat)| stat.cpu_s).sum())
}

/// The memory of a process that is in RAM, in bytes: now, and at the most.
pub(crate) fn resident_bytes(process: u32) -> Result<[f64; 2]> {
    let file = format!("/proc/{process}/status");
    let status = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let field = |name: &str| -> Result<f64> {
        let found = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = found.and_then(|rest| rest.split_whitespace().next());
        let kib = kib.with_context(|| format!("{file} has no {name}"))?;
        Ok(1_024.0 * kib.parse::<f64>()?)
    };
    Ok([field("VmRSS:")?, field("VmHWM:")?])
}

/// The share of all processors' time, since boot and in s, that was not idle.
pub(crate) fn busy_s() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_whitespace();
    let ticks: Vec<f64> = fields
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    let all: f64 = ticks.iter().take(8).sum();
    (all - idle) / TICKS_PER_SECOND
}
