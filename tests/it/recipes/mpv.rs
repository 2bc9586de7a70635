//! mpv's, on a screen that nobody sees.

use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use floatup::frame::Size;

use super::{FRAMES, Recipe, farthest};
use crate::chart;
use crate::floatup::{Running, Service, until, wait};
use crate::media::tool;
use crate::screen::Screen;

/// Whole tiles of mpv's background, 16 pixels a side.
const SIZE: (&str, usize) = ("512x288", 512);

fn size() -> Size {
    Size::new(512, 288).unwrap()
}

/// The windows are in the screen's corner, and stay open after the last frame.
const SETTINGS: &str = "vo=gpu\ngpu-context=x11egl\nborder=no\ngeometry=512x288+0+0\n\
     keep-open=yes\nosc=no\nosd-level=0\naudio=no\ndither-depth=no\n";

/// A running mpv, and its screen.
struct Mpv<'a> {
    shell: Running,
    screen: Screen,
    folder: &'a Path,
}

impl<'a> Mpv<'a> {
    fn start(folder: &'a Path, recipe: &Recipe) -> Self {
        let screen = Screen::start(&folder.join("xvfb.log"));
        let socket = folder.join("socket");
        let settings = format!("{SETTINGS}input-ipc-server={}\n", socket.display());
        fs::write(folder.join("mpv.conf"), settings).unwrap();
        let mut shell = recipe.command(folder);
        shell.env("MPV_HOME", folder);
        shell.env("DISPLAY", screen.display());
        let shell = Running(shell.spawn().expect("sh runs"));
        Self {
            shell,
            screen,
            folder,
        }
    }

    /// Waits until it shows what passes for a frame of the chart, whose number is given, and gives
    /// that.
    fn shows(&mut self, expected: impl Fn(u64) -> bool) -> u64 {
        let mut number = None;
        until("mpv shows the chart", || {
            let ended = self.shell.try_wait().unwrap();
            assert_eq!(ended, None, "mpv (apt-get install mpv) still runs");
            let shown = self.grab();
            number = chart::first_number(&shown, size());
            // A grab may be of two pictures.
            number.is_some_and(|n| expected(n) && is_over_tiles(&shown, n))
        });
        number.expect("it was looked for")
    }

    fn grab(&self) -> Vec<u8> {
        let mut grab = tool("ffmpeg");
        grab.args(["-f", "x11grab", "-draw_mouse", "0"]);
        grab.args(["-video_size", SIZE.0, "-i", &self.screen.display()]);
        grab.args(["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgba", "-"]);
        let grab = grab.output().expect("apt-get install ffmpeg");
        assert!(grab.status.success());
        grab.stdout
    }

    fn quit(mut self) {
        let mut socket = UnixStream::connect(self.folder.join("socket")).unwrap();
        socket.write_all(b"{\"command\":[\"quit\"]}\n").unwrap();
        assert!(wait(&mut self.shell).success());
    }
}

/// Whether a grab is a frame of the chart over mpv's chequered background, of whichever greys.
fn is_over_tiles(shown: &[u8], number: u64) -> bool {
    let frame = chart::frame(number, size());
    let tile = |n: usize| (n % SIZE.1 / 16 + n / SIZE.1 / 16) % 2;
    let grey = |which: usize| {
        let pixels = shown.chunks(4).zip(frame.chunks(4)).enumerate();
        let mut clear = pixels.filter(|(n, (_, frame))| frame[3] == 0 && tile(*n) == which);
        let (_, (shown, _)) = clear.next().expect("the chart is clear there");
        [shown[0], shown[1], shown[2]]
    };
    let greys = [grey(0), grey(1)];
    greys[0] != greys[1] && farthest(shown, &frame, |n| greys[tile(n)]) <= 1.0
}

#[test]
fn mpv_shows_what_is_piped_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe::with("| mpv -")
        .replace("1280x720", SIZE.0)
        .of_the_chart();
    let mut mpv = Mpv::start(folder.path(), &recipe);
    // The last one stays.
    mpv.shows(|number| number + 1 == FRAMES as u64);
    mpv.quit();
}

#[test]
fn mpv_shows_the_live_feed() {
    let folder = tempfile::tempdir().unwrap();
    let chart = ["--test-pattern", "--size", SIZE.0, "--fps", "10"];
    let service = Service::start(folder.path(), &chart);
    let recipe = Recipe::with("mpv 'http").replace("127.0.0.1:8787", &service.address);
    let mut mpv = Mpv::start(folder.path(), &recipe);
    let first = mpv.shows(|_| true);
    mpv.shows(|number| number > first + 30);
    mpv.quit();
    service.stop();
}
