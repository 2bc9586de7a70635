//! Reactions in the pictures that their viewers saw: later, earlier, and by the calendar.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::floatup::{
    Running, Service, floatup, http, publish, run, send_signal, stderr, until, wait,
};
use crate::in_process::now_unix;
use crate::media::{decode_rgba, tool};

const FPS: usize = 25;

/// Black pictures, so that whatever else shows is a reaction.
const BLACK: &str = "-f lavfi -i color=black:s=320x180:r=25";

/// Pictures come out as they were composed.
const LOSSLESS: [&str; 6] = [
    "--video-codec",
    "libx264",
    "--preset",
    "ultrafast",
    "--crf",
    "0",
];

/// Runs ffmpeg in a folder: its arguments are words.
fn ffmpeg(folder: &Path, arguments: &str) {
    let mut command = tool("ffmpeg");
    // Playlists have the dates of the local zone.
    command.current_dir(folder).env("TZ", "UTC");
    let made = command.args(arguments.split_whitespace()).status();
    assert!(
        made.expect("apt-get install ffmpeg").success(),
        "{arguments}"
    );
}

/// Each picture of a file as RGBA.
fn pictures(path: &Path) -> Vec<Vec<u8>> {
    let pixels = decode_rgba(path, &[]);
    pixels.chunks(320 * 180 * 4).map(<[u8]>::to_vec).collect()
}

/// The number of the first picture that isn't black.
fn first_shown(pictures: &[Vec<u8>]) -> Option<usize> {
    let is_black = |picture: &[u8]| {
        let (pixels, _) = picture.as_chunks::<4>();
        pixels.iter().all(|pixel| pixel[..3] == [0; 3])
    };
    pictures.iter().position(|picture| !is_black(picture))
}

/// Burns a log of one entry in, and gives the pictures.
fn burn_log(folder: &Path, input: &str, at_ms: u32, arguments: &[&str]) -> Vec<Vec<u8>> {
    let log = format!("{{\"at_ms\":{at_ms},\"reaction\":\"heart\",\"count\":5}}\n");
    fs::write(folder.join("log.ndjson"), log).unwrap();
    let words = [
        "burn-in",
        "--reactions",
        "log.ndjson",
        "--force",
        input,
        "log.mkv",
    ];
    let output = run(folder, &[&words, &LOSSLESS[..], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    pictures(&folder.join("log.mkv"))
}

#[test]
fn a_log_is_burned_in_later_or_earlier() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ffmpeg(folder, &format!("{BLACK} -t 4 -c:v libx264 in.mp4"));
    let plain = burn_log(folder, "in.mp4", 1_500, &[]);
    assert_eq!(plain.len(), 4 * FPS);
    let first = first_shown(&plain).expect("it is seen");
    assert!((FPS * 3 / 2..FPS * 2).contains(&first), "{first}");
    let later = burn_log(folder, "in.mp4", 1_500, &["--delay", "1s"]);
    assert!(first_shown(&later) == Some(first + FPS) && later[FPS..] == plain[..3 * FPS]);
    let earlier = burn_log(folder, "in.mp4", 1_500, &["--delay", "-1s"]);
    assert!(first_shown(&earlier) == Some(first - FPS) && earlier[..3 * FPS] == plain[FPS..]);
}

/// A burn-in that follows the topic of a service, and says what went wrong when it ends.
struct Live {
    child: Running,
    said: JoinHandle<String>,
}

impl Live {
    fn start(folder: &Path, service: &Service, arguments: &[&str]) -> Self {
        let url = service.url("");
        let mut child = floatup()
            .current_dir(folder)
            .args(["burn-in", "--url", &url, "--on-input-loss", "exit"])
            .args(LOSSLESS)
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("floatup starts");
        let mut stderr = child.stderr.take().expect("it is piped");
        let said = std::thread::spawn(move || {
            let mut said = String::new();
            stderr.read_to_string(&mut said).expect("UTF-8");
            said
        });
        let child = Running(child);
        Self { child, said }
    }

    fn end(mut self) -> String {
        let status = wait(&mut self.child);
        let said = self.said.join().expect("it is read");
        assert!(status.success(), "{said}");
        said
    }
}

/// A figure of a service, or the sum of those with labels.
fn figure(service: &Service, name: &str) -> u64 {
    let (_, text) = http(&service.address, "GET", "/metrics", b"");
    let text = String::from_utf8(text).unwrap();
    let values = text.lines().filter_map(|line| {
        let (series, value) = line.split_once(' ')?;
        (series.split('{').next() == Some(name)).then(|| value.parse::<u64>().unwrap())
    });
    values.sum()
}

/// Waits until the topic is followed.
fn followed(service: &Service) {
    until("the topic is followed", || {
        figure(service, "floatup_polls_waiting") == 1
    });
}

/// Publishes a reaction, and waits until whoever follows the topic has it.
fn react(service: &Service, payload: &str) {
    followed(service);
    let before = figure(service, "floatup_polls_total");
    publish(&service.address, "demo", payload);
    until("it is delivered", || {
        figure(service, "floatup_polls_total") > before
    });
    // It asks for more when it has handed on what it has.
    followed(service);
}

/// Serves a folder over HTTP; a request for a name with `gated` in it is answered once the gate is
/// opened.
fn serve(folder: &Path, gated: &'static str, gate: Receiver<()>) -> String {
    let files = fs::read_dir(folder).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (format!("/{name}"), fs::read(path).unwrap())
    });
    let files: BTreeMap<_, _> = files.collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let Some(request) = lines.next() else {
                continue;
            };
            for _ in lines.by_ref().take_while(|line| !line.is_empty()) {}
            let path = request.split(' ').nth(1).unwrap_or_default();
            if path.contains(gated) && gate.recv().is_err() {
                return;
            }
            answer(&stream, files.get(path));
        }
    });
    address
}

fn answer(mut stream: &TcpStream, file: Option<&Vec<u8>>) {
    let head = match file {
        Some(file) => format!("HTTP/1.0 200 OK\r\ncontent-length: {}\r\n\r\n", file.len()),
        None => "HTTP/1.0 404 Not Found\r\n\r\n".into(),
    };
    let body = file.map_or(&[][..], Vec::as_slice);
    // Who asked may have gone.
    stream.write_all(&[head.as_bytes(), body].concat()).ok();
}

/// The first date of a playlist of today, in UTC: milliseconds since 1970.
fn first_date_ms(playlist: &str) -> u64 {
    let dates = playlist.lines();
    let mut dates = dates.filter_map(|line| line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:"));
    let (_, time) = dates.next().expect("a date").split_once('T').unwrap();
    let time = time
        .strip_suffix("+0000")
        .expect("UTC")
        .replace(['.', ':'], " ");
    let parts: Vec<u64> = time.split(' ').map(|part| part.parse().unwrap()).collect();
    let ms = ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * 1_000 + parts[3];
    let now = now_unix();
    let today = now / 86_400 * 86_400 * 1_000 + ms;
    // The day may have ended meanwhile.
    if today > now * 1_000 + 43_200_000 {
        today - 86_400_000
    } else {
        today
    }
}

#[test]
fn a_reaction_is_seen_at_its_date_of_an_hls_programme() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let hls = folder.join("hls");
    fs::create_dir(&hls).unwrap();
    let segments = "-f hls -hls_time 2 -hls_flags program_date_time -hls_segment_type fmp4 \
                    -hls_playlist_type vod -master_pl_name all.m3u8";
    // Filled up, so that one segment is more than it takes to find out what is in it.
    let coded = "-c:v libx264 -g 50 -b:v 4M -minrate 4M -maxrate 4M -bufsize 4M \
                 -x264-params nal-hrd=cbr";
    ffmpeg(&hls, &format!("{BLACK} -t 6 {coded} {segments} show.m3u8"));
    let playlist = fs::read_to_string(hls.join("show.m3u8")).unwrap();
    let began_ms = first_date_ms(&playlist);
    let (open, gate) = sync_channel(1);
    let address = serve(&hls, "show1.m4s", gate);
    let service = Service::start(folder, &[]);
    let input = format!("http://{address}/all.m3u8");
    let live = Live::start(folder, &service, &["--sync", "pts", &input, "out.mkv"]);
    // No more than two seconds of the programme can be over.
    let payload = |at_ms: u64| {
        let at = began_ms + at_ms;
        format!("{{\"reaction\":\"heart\",\"count\":5,\"timestamp\":{at}}}")
    };
    react(&service, &payload(3_000));
    open.send(()).unwrap();
    live.end();
    let shown = pictures(&folder.join("out.mkv"));
    assert_eq!(shown.len(), 6 * FPS);
    // Where a log's would be; reactions that are late to be drawn are left out of a live picture.
    ffmpeg(folder, &format!("{BLACK} -t 6 -c:v libx264 in.mp4"));
    let expected = first_shown(&burn_log(folder, "in.mp4", 3_000, &[])).unwrap();
    let first = first_shown(&shown).expect("it is seen");
    assert!(
        (expected..expected + FPS).contains(&first),
        "{first}, {expected}"
    );
}

/// Each packet of a sound track: its time and its data's hash.
fn sound(path: &Path, track: &str) -> Vec<String> {
    let mut command = tool("ffprobe");
    command.args([
        "-select_streams",
        track,
        "-show_packets",
        "-show_data_hash",
        "md5",
    ]);
    command.args([
        "-show_entries",
        "packet=pts,duration,data_hash",
        "-of",
        "flat",
    ]);
    let output = command.arg(path).output().expect("apt-get install ffmpeg");
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    // How packets are put into transport packets is the muxer's.
    let own = text.lines().filter(|line| !line.contains(".side_data"));
    own.map(str::to_owned).collect()
}

/// Sends a transport stream to the first who asks for it, and gives its address.
fn send_once(stream: Vec<u8>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let sending = std::thread::spawn(move || {
        let (mut to, _) = listener.accept().unwrap();
        to.write_all(&stream).unwrap();
    });
    (address, sending)
}

fn make_stream(folder: &Path) {
    let sound = "-f lavfi -i sine=440:r=48000 -f lavfi -i sine=880:r=48000";
    let coded = "-map 0 -map 1 -map 2 -c:v libx264 -g 25 -c:a:0 aac -c:a:1 mp2";
    ffmpeg(folder, &format!("{BLACK} {sound} -t 3 {coded} in.ts"));
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "that nothing is handed on earlier is told by the clock alone"
)]
fn a_live_programme_is_held_back_for_reactions_that_come_later() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    make_stream(folder);
    let hold = Duration::from_secs(5);
    let (input, sending) = send_once(fs::read(folder.join("in.ts")).unwrap());
    let service = Service::start(folder, &[]);
    let live = Live::start(
        folder,
        &service,
        &["--delay", "-5s", "--realtime", &input, "out.ts"],
    );
    // All of the programme is sent before anybody reacts.
    sending.join().unwrap();
    let sent = std::time::Instant::now();
    react(&service, "{\"heart\":5}");
    live.end();
    assert!(sent.elapsed() >= hold, "{:?}", sent.elapsed());
    let [before, after] = ["in.ts", "out.ts"].map(|name| folder.join(name));
    let shown = pictures(&after);
    assert_eq!(shown.len(), 3 * FPS);
    assert!(
        first_shown(&shown).is_some(),
        "it is in what was sent before it"
    );
    for track in ["a:0", "a:1"] {
        let packets = sound(&before, track);
        assert!(packets.len() > 3 * 100, "{packets:?}");
        assert!(packets == sound(&after, track), "{track}");
    }
}

#[test]
fn what_is_held_back_does_not_hold_up_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    make_stream(folder);
    let (input, sending) = send_once(fs::read(folder.join("in.ts")).unwrap());
    let service = Service::start(folder, &[]);
    let live = Live::start(folder, &service, &["--delay", "-60s", &input, "out.ts"]);
    sending.join().unwrap();
    followed(&service);
    send_signal(&live.child, "INT");
    live.end();
}

#[test]
fn a_recording_is_not_held_back() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    make_stream(folder);
    let output = run(
        folder,
        &["burn-in", "--delay", "-1500ms", "in.ts", "out.ts"],
    );
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    for part in [
        "--delay -1.5s",
        "in.ts is a recording",
        "--realtime",
        "--reactions",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!folder.join("out.ts").exists());
    let mut realtime = floatup();
    realtime.current_dir(folder).stdin(Stdio::null());
    realtime.args([
        "burn-in",
        "--delay",
        "-1500ms",
        "--realtime",
        "--dry-run",
        "in.ts",
        "out.ts",
    ]);
    let output = realtime.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}
