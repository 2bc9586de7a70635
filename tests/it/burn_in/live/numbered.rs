//! A programme whose every picture says which one it is, and that shows where a reaction is.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::floatup::{Running, until, wait};
use crate::media::tool;

/// Of all pictures.
pub(super) const SIZE: (usize, usize) = (320, 192);

/// Pictures a second.
pub(super) const RATE: u32 = 25;

/// Side of the square that is one bit of a picture's number, in a row at the top.
const BIT: usize = 16;

/// Where reactions may be: the rows below.
const LIT_FROM: usize = 96;

/// The filter graph of the pictures from this number on, brought to a size.
pub(super) fn pictures_of(base: u32, (to_width, to_height): (usize, usize)) -> String {
    let (width, height) = SIZE;
    format!(
        "nullsrc=s=320x32:r={RATE},\
         geq=lum='if(mod(floor((N+{base})/pow(2,floor(X/{BIT}))),2),235,16)':cb=128:cr=128,\
         pad={width}:{height}:0:0:color=0x606060,scale={to_width}:{to_height},format=yuv420p"
    )
}

/// One picture as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) number: u32,
    /// Pixels of the lower half that are not its grey.
    pub(super) lit: usize,
    /// Luma of the lowest row's middle.
    pub(super) ground: u8,
}

impl Seen {
    pub(super) fn has_reactions(self) -> bool {
        self.lit > 20
    }

    /// Whether it is one of the numbered pictures, and not one that stands in for them.
    pub(super) fn is_programme(self) -> bool {
        self.ground.abs_diff(98) < 24
    }
}

/// Bytes of a decoded picture, of which this looks at the luma.
const BYTES: usize = SIZE.0 * SIZE.1 * 3 / 2;

fn see(picture: &[u8]) -> Seen {
    let luma = |x: usize, y: usize| picture[y * SIZE.0 + x];
    // Of the middle of it, whatever noise there is.
    let is_set = |bit: usize| {
        let from = bit * BIT + BIT / 4;
        let pixels = (from..from + BIT / 2).flat_map(|x| (BIT - 4..BIT + 4).map(move |y| (x, y)));
        let sum: usize = pixels.map(|(x, y)| usize::from(luma(x, y))).sum();
        sum > 125 * (BIT / 2) * 8
    };
    let below = &picture[LIT_FROM * SIZE.0..SIZE.1 * SIZE.0];
    Seen {
        number: (0..SIZE.0 / BIT)
            .filter(|bit| is_set(*bit))
            .map(|bit| 1 << bit)
            .sum(),
        lit: below.iter().filter(|luma| luma.abs_diff(98) > 24).count(),
        ground: luma(SIZE.0 / 2, SIZE.1 - 1),
    }
}

/// The real ffmpeg, which decodes what floatup sends while it is sent.
pub(super) struct Viewer {
    child: Running,
    seen: Arc<Mutex<Vec<Seen>>>,
    reading: Option<JoinHandle<()>>,
}

impl Viewer {
    /// Of an address, with arguments that stand before it.
    pub(super) fn start(before: &[&str], address: &str) -> Self {
        Self::of(before, address, Stdio::null())
    }

    /// Of what a child says.
    pub(super) fn of(before: &[&str], address: &str, input: Stdio) -> Self {
        let mut command = tool("ffmpeg");
        command.args(["-probesize", "500k", "-analyzeduration", "1M"]);
        command.args(before).args(["-i", address, "-map", "0:v:0"]);
        command.args([
            "-fps_mode",
            "passthrough",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv420p",
            "-",
        ]);
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .spawn()
            .expect("ffmpeg: apt-get install ffmpeg");
        let mut pictures = child.stdout.take().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        let reading = std::thread::spawn(move || {
            let mut picture = vec![0; BYTES];
            while pictures.read_exact(&mut picture).is_ok() {
                into.lock().unwrap().push(see(&picture));
            }
        });
        Self {
            child: Running(child),
            seen,
            reading: Some(reading),
        }
    }

    /// All pictures so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many pictures so far.
    pub(super) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// Waits for so many more pictures.
    pub(super) fn until_more(&self, count: usize) {
        let enough = self.count() + count;
        until(&format!("{count} more pictures"), || self.count() >= enough);
    }

    /// Waits for a picture like this among those from the one at `from` on.
    pub(super) fn until_seen(&self, what: &str, from: usize, is_it: impl Fn(&Seen) -> bool) {
        until(what, || {
            self.seen.lock().unwrap()[from..].iter().any(&is_it)
        });
    }

    /// Whether it has given up.
    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Kills it, as a crash would.
    pub(super) fn kill(mut self) -> Vec<Seen> {
        self.child.kill().unwrap();
        self.rest()
    }

    /// All pictures, once there are no more.
    pub(super) fn rest(mut self) -> Vec<Seen> {
        wait(&mut self.child);
        self.reading.take().unwrap().join().unwrap();
        self.seen()
    }
}

/// The pictures of a file.
pub(super) fn pictures_in(path: &Path) -> Vec<Seen> {
    Viewer::start(&[], path.to_str().unwrap()).rest()
}

/// Checks that none is missing or twice, from the first to the last; gives both.
#[track_caller]
pub(super) fn check_whole(seen: &[Seen]) -> (u32, u32) {
    let numbers: Vec<u32> = seen.iter().map(|picture| picture.number).collect();
    assert!(!numbers.is_empty(), "there are pictures");
    for (before, after) in numbers.iter().zip(&numbers[1..]) {
        assert_eq!(before + 1, *after, "{numbers:?}");
    }
    (numbers[0], numbers[numbers.len() - 1])
}
