//! How many files this process may have open.

use crate::server::Bounds;

/// Files that are kept from connections: outputs, sources, fonts, the runtime's own.
const RESERVED: u64 = 256;

/// Has this process have as many files open as it is let, and says how many connections there may be
/// of those that are asked for. A process that has no more files can't even open its outputs again.
pub(super) fn connections(asked: u32) -> u32 {
    let possible = possible();
    // Nobody has asked for as many as there are by default.
    if possible < asked && asked > Bounds::default().connections {
        warn(possible, asked);
    }
    possible.min(asked)
}

/// The same for one that needs as many as that, and tries it in any case.
pub(super) fn make_room(connections: usize) {
    let asked = u32::try_from(connections).unwrap_or(u32::MAX);
    let possible = possible();
    if possible < asked {
        warn(possible, asked);
    }
}

fn possible() -> u32 {
    let possible = open_files_max().map_or(u64::MAX, |files| {
        files.saturating_sub(RESERVED).max(files / 2).max(1)
    });
    u32::try_from(possible).unwrap_or(u32::MAX)
}

fn warn(possible: u32, asked: u32) {
    tracing::warn!(
        "there may be {possible} connections in place of {asked}, since this process may have no \
         more files open (ulimit -n)"
    );
}

/// The limit, raised as far as it goes; none where there is none.
#[cfg(unix)]
fn open_files_max() -> Option<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.maximum,
        // Some systems have a lower limit than they say.
        Err(_) => before,
    }
}

#[cfg(not(unix))]
fn open_files_max() -> Option<u64> {
    None
}
