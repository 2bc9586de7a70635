//! From a reaction that is accepted to the first frame in a raw pipe that shows it.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::child::Again;
use crate::crowd::Crowd;
use crate::floatup::Service;
use crate::measure::{median_of, now, quantile, sleep_until};
use crate::page::{Page, Table, ms, three};
use crate::pipe::{self, FPS, HEIGHT, Part, Reader, WIDTH, WRITE};
use crate::process::figure;
use crate::reached;

/// Rounds, of each of whose figures the median is told.
const ROUNDS: usize = 5;

/// How many reactions are timed in each, and how far apart they are: no multiple of a frame's time.
const PROBES: usize = 200;
const APART: Duration = Duration::from_millis(131);

/// Sprites that are alive meanwhile, of two seconds each.
const ALIVE: u32 = 200;

/// Until so many are alive, and the service is warm.
const WARM_UP: Duration = Duration::from_secs(4);

/// Over an interval of frames, what is allowed.
const OVER: Duration = Duration::from_millis(3);

/// Blue squares beside each other in the upper left corner, above all other sprites, each for so long
/// that it is seen on a machine that stands still for a while, and gone when it is sent again.
const PROBE: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8" fill="#0000ff"/></svg>"##;
const PLACES: usize = 16;
const PLACE_PX: usize = 40;
const CSS: &str = "
.animated-emoji { position: absolute; bottom: 0; font-size: 30px; animation: up 2s linear forwards; }
@keyframes up { from { bottom: 0%; opacity: 1; } to { bottom: 80%; opacity: 0; } }
@keyframes stay { from { bottom: 95%; opacity: 1; } to { bottom: 95%; opacity: 1; } }
";
const SETTINGS: &str = "
[palette]
heart = '❤️'
fire = '🔥'
clap = '👏'
";

/// A pixel of the first square.
const AT: (usize, usize) = (8, 43);
const BLUE: [u8; 4] = [0, 0, 255, 255];

/// What was measured in each round: of floatup, and of a program that writes frames and marks them.
#[derive(Default)]
pub(crate) struct Latency {
    floatup: Vec<Round>,
    writer: Vec<Round>,
}

#[derive(Default)]
struct Round {
    /// Until the square's pixel has been read, and until all of its frame has.
    pixel: Vec<Duration>,
    frame: Vec<Duration>,
    alive: f64,
    late: f64,
    rendered: f64,
}

pub(crate) fn measure() -> Result<Latency> {
    let mut latency = Latency::default();
    for number in 1..=ROUNDS {
        eprintln!("from reaction to pixel, round {number} of {ROUNDS}");
        latency.floatup.push(of_floatup()?);
        latency.writer.push(of_writer()?);
    }
    Ok(latency)
}

/// The stylesheet and the settings, with a reaction for each place.
fn write_files(folder: &Path) -> Result<()> {
    let (mut css, mut settings) = (CSS.to_owned(), SETTINGS.to_owned());
    for place in 0..PLACES {
        let left = place * PLACE_PX;
        css += &format!(
            ".reaction-probe{place} {{ left: {left}px; font-size: 20px; animation: stay 1s linear forwards; }}\n"
        );
        settings += &format!("probe{place} = {{ image = 'probe.svg' }}\n");
    }
    fs::write(folder.join("probe.svg"), PROBE)?;
    fs::write(folder.join("probe.css"), css)?;
    Ok(fs::write(folder.join("floatup.toml"), settings)?)
}

/// Where squares begin to show: the place, when its pixel was read, and when all of the frame was.
type Seen = Receiver<(usize, [Instant; 2])>;

/// Looks for squares in the frames that come from a FIFO.
fn watch(path: PathBuf) -> Result<(Reader, Seen)> {
    let (tell, told) = sync_channel(PROBES);
    let (mut was, mut begun) = ([false; PLACES], Vec::new());
    let see = move |part: Part<'_>, at| match part {
        Part::Top(bytes) => {
            for (place, was) in was.iter_mut().enumerate() {
                let first = pixel_of(place);
                let shows = bytes[first..first + 4] == BLUE;
                if shows && !*was {
                    begun.push((place, at));
                }
                *was = shows;
            }
        }
        Part::Whole => {
            for (place, begun) in begun.drain(..) {
                // Nobody waits for what comes too late.
                tell.try_send((place, [begun, at])).ok();
            }
        }
    };
    let top = 4 * WIDTH * (AT.1 + 1);
    let reader = Reader::start(path, (4 * WIDTH * HEIGHT, top), see)?;
    Ok((reader, told))
}

/// Where a pixel of a square is in a frame.
fn pixel_of(place: usize) -> usize {
    4 * (AT.1 * WIDTH + AT.0 + place * PLACE_PX)
}

/// Sends all reactions, each with a call that gives the time just before, and waits for their squares.
fn time(mut send: impl FnMut(usize) -> Result<Instant>, told: &Seen) -> Result<Round> {
    let (mut sent, begun) = (Vec::new(), now());
    for number in 0..PROBES {
        sleep_until(begun + APART * u32::try_from(number)?);
        sent.push(send(number)?);
    }
    let mut round = Round::default();
    let mut seen: [VecDeque<[Instant; 2]>; PLACES] = Default::default();
    for (number, sent) in sent.into_iter().enumerate() {
        let [first, whole] = loop {
            if let Some(seen) = seen[number % PLACES].pop_front() {
                break seen;
            }
            let next = told.recv_timeout(Duration::from_secs(5));
            let (place, times) = next.context("a reaction is nowhere in the picture")?;
            seen[place].push_back(times);
        };
        round.pixel.push(first - sent);
        round.frame.push(whole - sent);
    }
    Ok(round)
}

fn of_floatup() -> Result<Round> {
    let folder = tempfile::tempdir()?;
    write_files(folder.path())?;
    let (reader, told) = watch(folder.path().join("frames.rgba"))?;
    let (size, fps) = (format!("{WIDTH}x{HEIGHT}"), FPS.to_string());
    let output = reader.path.display().to_string();
    let picture = ["--size", &size, "--fps", &fps, "--css", "probe.css"];
    let rest = ["--config", "floatup.toml", "--output", &output];
    let service = Service::start(folder.path(), &[&picture[..], &rest].concat());
    let length = APART * u32::try_from(PROBES)? + 2 * WARM_UP;
    let (rate, duration) = (format!("{}/s", ALIVE / 2), format!("{}s", length.as_secs()));
    let crowd = [
        "--rate",
        &rate,
        "--duration",
        &duration,
        "--publishers",
        "4",
    ];
    let crowd = Crowd::start(&service.address, &crowd)?;
    sleep_until(now() + WARM_UP);
    let mut alive = Vec::new();
    let mut connection = TcpStream::connect(&service.address)?;
    connection.set_nodelay(true)?;
    let send = |number| {
        if number % 16 == 0 {
            alive.push(figure(&service.address, "floatup_sprites_live", &[])?);
        }
        publish(&mut connection, &service.address, number % PLACES)
    };
    let round = time(send, &told)?;
    let late = figure(&service.address, "floatup_frames_late_total", &[])?;
    let rendered = figure(&service.address, "floatup_frames_rendered_total", &[])?;
    crowd.report()?;
    service.stop();
    reader.join()?;
    Ok(Round {
        alive: alive.iter().sum::<f64>() / alive.len() as f64,
        late,
        rendered,
        ..round
    })
}

/// The peer: frames from one buffer, in which the square of each place shows for a second once its
/// number has come over a connection. What it takes is the machine's, and the wait for the next frame.
fn of_writer() -> Result<Round> {
    let folder = tempfile::tempdir()?;
    let (reader, told) = watch(folder.path().join("frames.rgba"))?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let writer = Again::start(&[WRITE, &reader.path.display().to_string(), &address])?;
    let (mut connection, _) = listener.accept()?;
    connection.set_nodelay(true)?;
    sleep_until(now() + WARM_UP);
    let send = |number: usize| {
        let place = [u8::try_from(number % PLACES)?];
        let sent = now();
        connection.write_all(&place)?;
        Ok(sent)
    };
    let round = time(send, &told)?;
    drop(writer);
    // Its last frame may be cut.
    drop(reader.join());
    Ok(round)
}

/// What the peer's process does.
pub(crate) fn write_marked(path: &str, address: &str) -> Result<()> {
    let mut connection = TcpStream::connect(address)?;
    let (tell, told) = sync_channel(PROBES);
    std::thread::spawn(move || {
        let mut place = [0];
        while connection.read_exact(&mut place).is_ok() && tell.send(place[0]).is_ok() {}
    });
    let mut shown: VecDeque<(Instant, usize)> = VecDeque::new();
    pipe::write(path, |frame| {
        let due = now();
        while let Some(&(until, place)) = shown.front()
            && until <= due
        {
            shown.pop_front();
            frame[pixel_of(place)..][..4].fill(0);
        }
        for place in told.try_iter().map(usize::from) {
            frame[pixel_of(place)..][..4].copy_from_slice(&BLUE);
            shown.push_back((due + Duration::from_secs(1), place));
        }
    })
}

/// Publishes a probe, and gives the time just before that.
fn publish(connection: &mut TcpStream, address: &str, place: usize) -> Result<Instant> {
    let body = format!(r#"{{"reaction":"probe{place}"}}"#);
    let request = format!(
        "POST /topics/video/demo HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let sent = now();
    connection.write_all(request.as_bytes())?;
    let mut answer = [0; 1_024];
    let length = connection.read(&mut answer)?;
    ensure!(
        answer[..length].starts_with(b"HTTP/1.1 204 "),
        "a probe is refused"
    );
    Ok(sent)
}

impl Latency {
    pub(crate) fn row(&self) -> [String; 4] {
        let allowed = Duration::from_secs(1) / FPS + OVER;
        let p99 = quantile_of(&self.floatup, 0.99, |round| &round.pixel);
        [
            format!(
                "reaction accepted to the first frame in a raw pipe that shows it, 1080p{FPS}, \
                 {ALIVE} sprites: p99"
            ),
            format!("at most {} ms", ms(allowed)),
            format!("{} ms", ms(p99)),
            reached(p99 <= allowed),
        ]
    }

    pub(crate) fn tell(&self, page: &mut Page) {
        page.paragraph(&format!(
            "{ROUNDS} times {PROBES} reactions, {} ms apart, each a blue square in the picture's upper \
             left, among {:.0} other sprites; of each figure the median of the rounds is told. The time \
             goes from just before the request is sent until a pixel of the square has been read from \
             a FIFO, and until the whole frame has, which is {} MB. A frame is due each {} ms, and a \
             reaction has to wait for the next one.",
            APART.as_millis(),
            median(&self.floatup, |round| round.alive),
            three(4e-6 * (WIDTH * HEIGHT) as f64),
            ms(Duration::from_secs(1) / FPS),
        ));
        page.paragraph(
            "In turn with that, a program does nothing but write frames from one buffer, and puts a \
             square into the next one when a byte comes over a connection: what it takes is the wait \
             for a frame, and the machine.",
        );
        let mut table = Table::new(["program", "until", "median, ms", "p90", "p99", "longest"]);
        for (program, rounds) in [("floatup", &self.floatup), ("the writer", &self.writer)] {
            let mut row = |what: &str, of: fn(&Round) -> &Vec<Duration>| {
                let cells = [0.5, 0.9, 0.99, 1.0].map(|share| ms(quantile_of(rounds, share, of)));
                table.row(
                    [program.to_owned(), what.to_owned()]
                        .into_iter()
                        .chain(cells),
                );
            };
            row("its pixel is read", |round| &round.pixel);
            row("its frame is read", |round| &round.frame);
        }
        page.table(&table);
        let sum = |of: fn(&Round) -> f64| self.floatup.iter().map(of).sum::<f64>();
        page.paragraph(&format!(
            "Of {:.0} frames of floatup {:.0} were late.",
            sum(|round| round.rendered),
            sum(|round| round.late)
        ));
    }
}

/// The median of what the rounds say.
fn median(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    median_of(&rounds.iter().map(of).collect::<Vec<_>>())
}

fn quantile_of(rounds: &[Round], share: f64, of: impl Fn(&Round) -> &Vec<Duration>) -> Duration {
    Duration::from_secs_f64(median(rounds, |round| {
        quantile(of(round), share).as_secs_f64()
    }))
}
