//! Live programmes, which never fail: real senders, floatup, real recorders, and what goes wrong
//! between them. Every picture has its number in it, so that none is lost unseen.

mod numbered;
mod parts;
mod transport;

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;

use self::numbered::{SIZE, Seen, Viewer, check_whole, pictures_in};
use self::parts::{BurnIn, Mute, Sender, encoder, output_of, port};
use crate::floatup::{Running, Service, publish, until, wait};
use crate::media::{packets, stream, tool};

/// A log whose reactions come all the time.
fn write_log(folder: &Path) {
    let line = |n: u32| format!("{{\"at_ms\":{},\"reaction\":\"heart\"}}\n", n * 200);
    fs::write(
        folder.join("log.ndjson"),
        (0..1_000).map(line).collect::<String>(),
    )
    .unwrap();
}

const LOG: [&str; 2] = ["--reactions", "log.ndjson"];

/// An address at which floatup waits for a transport stream, and what sends one there.
fn tcp_input() -> (String, Vec<String>) {
    let port = port();
    let to = format!("tcp://127.0.0.1:{port}");
    (
        format!("{to}?listen"),
        vec!["-f".into(), "mpegts".into(), to],
    )
}

fn send(base: u32, to: &[String]) -> Sender {
    let to: Vec<&str> = to.iter().map(|part| &**part).collect();
    Sender::start(base, &to)
}

/// Somebody who waits for floatup's transport stream, and the address of them.
fn tcp_viewer() -> (Viewer, String) {
    let address = format!("tcp://127.0.0.1:{}", port());
    (viewer_at(&address), address)
}

fn viewer_at(address: &str) -> Viewer {
    Viewer::start(&["-f", "mpegts"], &format!("{address}?listen"))
}

/// Publishes until a viewer sees reactions in a picture after those of now.
fn publish_until_seen(service: &Service, viewer: &Viewer) {
    let from = viewer.count();
    until("reactions are in the picture", || {
        publish(
            &service.address,
            "demo",
            "{\"reaction\":\"heart\",\"count\":3}",
        );
        let before = viewer.count();
        until("another picture", || viewer.count() > before);
        viewer.seen()[from..]
            .iter()
            .any(|picture| picture.has_reactions())
    });
}

/// Checks that time goes forward in every stream; gives the gaps between pictures in seconds.
#[track_caller]
fn gaps(path: &Path) -> Vec<f64> {
    let mut command = tool("ffprobe");
    command
        .args(["-show_entries", "packet=stream_index,dts", "-of", "csv=p=0"])
        .arg(path);
    let output = command.output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let mut last = [None; 8];
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let mut fields = line.split(',').map(str::parse::<i64>);
        let (Some(Ok(stream)), Some(Ok(dts))) = (fields.next(), fields.next()) else {
            continue;
        };
        let last = &mut last[usize::try_from(stream).unwrap()];
        assert!(
            last.is_none_or(|last| last <= dts),
            "stream {stream}: {last:?}, {dts}"
        );
        *last = Some(dts);
    }
    let mut times: Vec<i64> = packets(path).into_iter().map(|(pts, _)| pts).collect();
    times.sort_unstable();
    // ffprobe tells of a transport stream's twice.
    let unit = stream(path, "time_base");
    let unit: f64 = unit
        .lines()
        .next()
        .unwrap()
        .strip_prefix("1/")
        .unwrap()
        .parse()
        .unwrap();
    let gaps = times.windows(2);
    #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
    gaps.map(|pair| (pair[1] - pair[0]) as f64 / unit).collect()
}

/// Checks that pictures come at their rate, none early and none late.
#[track_caller]
fn check_steady(path: &Path) {
    for gap in gaps(path) {
        assert!((gap - 0.04).abs() < 0.002, "{}: {gap} s", path.display());
    }
}

#[test]
fn a_programme_goes_on_while_its_topic_server_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let service = Service::start(folder, &[]);
    let address = service.address.clone();
    let (input, to) = tcp_input();
    let (viewer, output) = tcp_viewer();
    let url = format!("http://{address}");
    let args = [
        &*input,
        &output,
        "--url",
        &url,
        "--on-input-loss",
        "exit",
        "--output",
        "rec.ts",
    ];
    let burn_in = BurnIn::start(folder, &args);
    let sender = send(0, &to);
    publish_until_seen(&service, &viewer);
    service.kill();
    viewer.until_more(50);
    let service = Service::start(folder, &["--listen", &address]);
    publish_until_seen(&service, &viewer);
    sender.end();
    burn_in.succeed();
    check_whole(&viewer.rest());
    let recorded = folder.join("rec.ts");
    assert_eq!(check_whole(&pictures_in(&recorded)).0, 0);
    check_steady(&recorded);
}

#[test]
fn a_topic_server_that_hangs_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mute = Mute::start();
    let (input, to) = tcp_input();
    let (viewer, output) = tcp_viewer();
    let url = format!("http://{}", mute.address);
    let args = [
        &*input,
        &output,
        "--url",
        &url,
        "--on-input-loss",
        "exit",
        "--output",
        "rec.ts",
    ];
    let burn_in = BurnIn::start(folder, &args);
    let sender = send(0, &to);
    viewer.until_more(75);
    assert!(mute.connections() > 0);
    sender.end();
    burn_in.succeed();
    check_whole(&viewer.rest());
    assert_eq!(check_whole(&pictures_in(&folder.join("rec.ts"))).0, 0);
    check_steady(&folder.join("rec.ts"));
}

/// 10,000 reactions for each second of the programme, in 500 messages.
#[test]
fn a_flood_of_reactions_costs_no_picture() {
    const A_PICTURE: u64 = 10_000 / numbered::RATE as u64;
    const A_MESSAGE: u64 = 20;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let service = Service::start(folder, &[]);
    let (input, to) = tcp_input();
    let (viewer, output) = tcp_viewer();
    let url = service.url("");
    let args = [
        &*input,
        &output,
        "--url",
        &url,
        "--on-input-loss",
        "exit",
        "--output",
        "rec.ts",
    ];
    let burn_in = BurnIn::start(folder, &args);
    let sender = send(0, &to);
    publish_until_seen(&service, &viewer);
    let mut publisher = Publisher::new(&service.address);
    let begun = sender.sent();
    let mut flooded = 0;
    let mut flood_to = |pictures: u64| {
        while flooded < pictures * A_PICTURE {
            publisher.publish(&format!("{{\"reaction\":\"heart\",\"count\":{A_MESSAGE}}}"));
            flooded += A_MESSAGE;
        }
    };
    until("a hundred pictures are flooded", || {
        flood_to(sender.sent() - begun);
        sender.sent() >= begun + 100
    });
    // It is not behind: while the flood goes on, what was sent by now is seen.
    let last = u32::try_from(sender.sent()).unwrap();
    until("the last picture is seen", || {
        flood_to(sender.sent() - begun);
        viewer
            .seen()
            .last()
            .is_some_and(|picture| picture.number >= last)
    });
    sender.end();
    burn_in.succeed();
    check_whole(&viewer.rest());
    assert_eq!(check_whole(&pictures_in(&folder.join("rec.ts"))).0, 0);
    check_steady(&folder.join("rec.ts"));
}

/// Publishes on one connection.
struct Publisher {
    stream: TcpStream,
    host: String,
}

impl Publisher {
    fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        // Answers are all the same, and read by nobody who waits for them.
        let mut answers = stream.try_clone().unwrap();
        std::thread::spawn(move || std::io::copy(&mut answers, &mut std::io::sink()));
        Self {
            stream,
            host: address.to_owned(),
        }
    }

    fn publish(&mut self, payload: &str) {
        let (host, length) = (&self.host, payload.len());
        let request = format!(
            "POST /topics/video/demo HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n\
             {payload}"
        );
        self.stream.write_all(request.as_bytes()).unwrap();
    }
}

/// Through floatup by these addresses, with what a viewer needs to know before its own.
fn check_protocol(input: &str, send_to: &[&str], output: &str, view: (&[&str], &str)) {
    let folder = tempfile::tempdir().unwrap();
    write_log(folder.path());
    let viewer = Viewer::start(view.0, view.1);
    let args = [&[input, output], &LOG[..]].concat();
    let burn_in = BurnIn::start(folder.path(), &args);
    let sender = Sender::start(0, send_to);
    viewer.until_seen("reactions", 0, |picture| picture.has_reactions());
    viewer.until_more(50);
    let (status, log) = burn_in.signal("INT");
    assert!(status.success(), "{log}");
    sender.cut();
    check_whole(&viewer.kill());
}

#[test]
fn a_transport_stream_goes_by_udp() {
    let (from, to) = (port(), port());
    let from = format!("udp://127.0.0.1:{from}");
    let view = format!("udp://127.0.0.1:{to}");
    check_protocol(
        &from,
        &["-f", "mpegts", &format!("{from}?pkt_size=1316")],
        &view,
        (&[], &view),
    );
}

#[test]
fn a_transport_stream_goes_by_srt() {
    let (from, to) = (port(), port());
    let from = format!("srt://127.0.0.1:{from}");
    let to = format!("srt://127.0.0.1:{to}");
    let listen = |address: &str| format!("{address}?mode=listener");
    check_protocol(
        &listen(&from),
        &["-f", "mpegts", &from],
        &to,
        (&[], &listen(&to)),
    );
}

#[test]
fn a_programme_goes_by_rtmp() {
    let (from, to) = (port(), port());
    let from = format!("rtmp://127.0.0.1:{from}/live/in");
    let to = format!("rtmp://127.0.0.1:{to}/live/out");
    let listen = format!("{from}?listen");
    check_protocol(
        &listen,
        &["-f", "flv", &from],
        &to,
        (&["-listen", "1"], &to),
    );
}

/// Time stamps of a day and more are too large for RTMP's 24 bits.
#[test]
fn the_time_of_rtmp_begins_at_zero() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_log(folder);
    let (input, to) = tcp_input();
    let output = format!("rtmp://127.0.0.1:{}/live/out", port());
    let mut recorder = tool("ffmpeg");
    recorder.args(["-listen", "1", "-copyts", "-i", &output, "-c", "copy"]);
    let mut recorder = Running(recorder.arg(folder.join("rec.mkv")).spawn().unwrap());
    let args = [
        &*input,
        &output,
        "--on-input-loss",
        "exit",
        "--output",
        "rec.ts",
    ];
    let burn_in = BurnIn::start(folder, &[&args[..4], &LOG, &args[4..]].concat());
    let high = [
        "-output_ts_offset".into(),
        "90000".into(),
        "-t".into(),
        "4".into(),
    ];
    let sender = send(0, &[&high[..], &to].concat());
    burn_in.succeed();
    sender.end();
    assert!(wait(&mut recorder).success());
    check_steady(&folder.join("rec.mkv"));
    check_steady(&folder.join("rec.ts"));
    let first = |file: &str| packets(&folder.join(file))[0].0;
    assert!(first("rec.mkv") < 1_000, "{} ms", first("rec.mkv"));
    assert!(first("rec.ts") >= 90_000 * 90_000, "{}", first("rec.ts"));
}

/// A playlist that grows, as a file.
#[test]
fn a_programme_comes_and_goes_as_hls() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_log(folder);
    for name in ["in", "out"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    let from = folder.join("in/live.m3u8").display().to_string();
    let hls = ["-f", "hls", "-hls_time", "1", "-hls_list_size", "4", &from];
    let sender = Sender::start(0, &hls);
    until("there is a playlist", || {
        folder.join("in/live.m3u8").exists()
    });
    let args = [&["in/live.m3u8", "out/live.m3u8"], &LOG[..]].concat();
    let burn_in = BurnIn::start(folder, &args);
    let playlist = folder.join("out/live.m3u8");
    until("there is a playlist of it", || playlist.exists());
    let viewer = Viewer::start(&["-live_start_index", "0"], playlist.to_str().unwrap());
    viewer.until_seen("reactions", 0, |picture| picture.has_reactions());
    viewer.until_more(75);
    assert!(
        fs::read_to_string(&playlist)
            .unwrap()
            .contains("#EXT-X-PROGRAM-DATE-TIME")
    );
    // It ends by itself: the input's playlist says so.
    sender.end();
    burn_in.succeed();
    check_whole(&viewer.rest());
    assert!(
        fs::read_to_string(&playlist)
            .unwrap()
            .contains("#EXT-X-ENDLIST")
    );
}

/// What comes through a pipe may be faster than it plays; it is held back, and nothing is lost.
#[test]
fn a_programme_goes_through_pipes() {
    let folder = tempfile::tempdir().unwrap();
    write_log(folder.path());
    for container in ["mpegts", "matroska", "nut"] {
        let mut sender = encoder(0, SIZE, false);
        sender.args(["-t", "6", "-f", container, "-"]);
        let mut sender = Running(sender.stdout(Stdio::piped()).spawn().unwrap());
        let input = output_of(&mut sender);
        let args = [&["-", "-"], &LOG[..]].concat();
        let mut burn_in = BurnIn::with(folder.path(), &args, input, Stdio::piped());
        let viewer = Viewer::of(&["-f", container], "-", output_of(&mut burn_in.child));
        let log = burn_in.succeed();
        let seen = viewer.rest();
        assert_eq!(check_whole(&seen), (0, 149), "{container}: {log}");
        assert!(
            seen.iter().any(|picture| picture.has_reactions()),
            "{container}"
        );
    }
}

/// The input is cut off in the middle, and another comes in its place.
fn check_cut(more: &[&str]) -> (Vec<Seen>, Vec<f64>, String) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_log(folder);
    let white = image::RgbaImage::from_pixel(64, 64, image::Rgba([255; 4]));
    white.save(folder.join("white.png")).unwrap();
    let (input, to) = tcp_input();
    let (viewer, output) = tcp_viewer();
    let args = [&[&*input, &output], &LOG[..], more, &["--output", "rec.ts"]].concat();
    let burn_in = BurnIn::start(folder, &args);
    let sender = send(0, &to);
    viewer.until_more(50);
    sender.cut();
    burn_in.until_says("opening it again", 1);
    if more.contains(&"slate") {
        viewer.until_seen("the slate", 0, |picture| !picture.is_programme());
        viewer.until_more(25);
    }
    let sender = send(10_000, &to);
    viewer.until_seen("it is back", 0, |picture| {
        picture.is_programme() && picture.number >= 10_000
    });
    viewer.until_more(50);
    let (status, log) = burn_in.signal("TERM");
    assert!(status.success(), "{log}");
    sender.cut();
    let recorded = folder.join("rec.ts");
    let seen = pictures_in(&recorded);
    // The viewer's connection was never closed: it has all that the file has.
    let viewed = viewer.rest();
    let first = seen
        .iter()
        .position(|picture| *picture == viewed[0])
        .unwrap();
    assert_eq!(seen[first..].len(), viewed.len());
    for programme in [0..10_000, 10_000..u32::MAX] {
        let pictures = seen
            .iter()
            .copied()
            .filter(|picture| picture.is_programme());
        let pictures = pictures.filter(|picture| programme.contains(&picture.number));
        assert_eq!(
            check_whole(&pictures.collect::<Vec<_>>()).0,
            programme.start
        );
    }
    (seen, gaps(&recorded), log)
}

#[test]
fn an_input_that_was_cut_is_waited_for() {
    let (seen, gaps, _) = check_cut(&[]);
    assert!(seen.iter().all(|picture| picture.is_programme()));
    let long: Vec<f64> = gaps.into_iter().filter(|gap| *gap > 0.05).collect();
    assert_eq!(long.len(), 1, "one hole: {long:?}");
}

#[test]
fn a_slate_fills_the_hole_of_an_input_that_was_cut() {
    for (more, ground) in [(&[][..], 16), (&["--slate", "white.png"], 235)] {
        let (seen, gaps, _) = check_cut(&[&["--on-input-loss", "slate"], more].concat());
        let slates = seen.iter().filter(|picture| !picture.is_programme());
        let slates: Vec<&Seen> = slates.collect();
        assert!(slates.len() >= 25, "{}", slates.len());
        assert!(
            slates
                .iter()
                .all(|picture| picture.ground.abs_diff(ground) < 8)
        );
        let longest = gaps.into_iter().fold(0.0, f64::max);
        assert!(longest < 0.5, "{longest} s");
    }
}

#[test]
fn an_input_that_was_cut_may_be_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_log(folder);
    let (input, to) = tcp_input();
    let (viewer, output) = tcp_viewer();
    let args = [&[&*input, &output], &LOG[..], &["--on-input-loss", "exit"]].concat();
    let burn_in = BurnIn::start(folder, &[&args[..], &["--output", "rec.mkv"]].concat());
    let sender = send(0, &to);
    viewer.until_more(50);
    sender.cut();
    burn_in.succeed();
    check_whole(&viewer.rest());
    assert_eq!(check_whole(&pictures_in(&folder.join("rec.mkv"))).0, 0);
}

#[test]
fn an_output_whose_server_was_killed_is_connected_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_log(folder);
    let (input, to) = tcp_input();
    let (killed, address) = tcp_viewer();
    let (other, other_address) = tcp_viewer();
    let args = [
        &[&*input, &*address],
        &LOG[..],
        &["--on-input-loss", "exit"],
    ]
    .concat();
    let outputs = ["--output", &*other_address, "--output", "rec.mkv"];
    let burn_in = BurnIn::start(folder, &[&args[..], &outputs].concat());
    let sender = send(0, &to);
    killed.until_more(50);
    other.until_more(1);
    let last = killed.kill().last().unwrap().number;
    burn_in.until_says(
        &format!("{address}: the reader is gone; connecting again"),
        1,
    );
    other.until_more(50);
    let again = viewer_at(&address);
    again.until_more(50);
    sender.end();
    burn_in.succeed();
    assert!(check_whole(&again.rest()).0 > last);
    check_whole(&other.rest());
    assert_eq!(check_whole(&pictures_in(&folder.join("rec.mkv"))).0, 0);
}

/// floatup waits for viewers; each begins with a picture from which decoding can begin, and with
/// what is sent by then, not before.
#[test]
fn viewers_connect_to_an_output_that_listens() {
    let protocols = [("tcp", "listen", ""), ("srt", "mode=listener", "")];
    for (scheme, listen, _) in protocols {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write_log(folder);
        let (input, to) = tcp_input();
        let address = format!("{scheme}://127.0.0.1:{}", port());
        let output = format!("{address}?{listen}");
        let (other, other_address) = tcp_viewer();
        let args = [
            &[&*input, &*output],
            &LOG[..],
            &["--output", &other_address],
        ]
        .concat();
        let burn_in = BurnIn::start(folder, &args);
        let sender = send(0, &to);
        other.until_more(50);
        let mut last = 0;
        for _ in 0..2 {
            // Who isn't let in yet tries again.
            let mut viewer = None;
            until("a viewer is let in", || {
                let tried =
                    viewer.get_or_insert_with(|| Viewer::start(&["-f", "mpegts"], &address));
                if tried.count() == 0 && tried.has_ended() {
                    viewer = None;
                }
                viewer.as_ref().is_some_and(|viewer| viewer.count() >= 50)
            });
            let seen = viewer.unwrap().kill();
            let (first, end) = check_whole(&seen);
            assert!(first > last.max(20), "{scheme}: {first} {last}");
            last = end;
        }
        let (status, log) = burn_in.signal("INT");
        assert!(status.success(), "{log}");
        sender.cut();
        check_whole(&other.rest());
    }
}

/// Whatever ends it, files are whole.
#[test]
fn a_signal_finishes_files() {
    for signal in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write_log(folder);
        let (input, to) = tcp_input();
        let (viewer, output) = tcp_viewer();
        let files = ["rec.mp4", "rec.mkv", "rec.mov", "rec.flv", "rec.ts"];
        let outputs = files
            .iter()
            .flat_map(|file| ["--output", file])
            .collect::<Vec<_>>();
        let args = [&[&*input, &*output], &LOG[..], &outputs].concat();
        let burn_in = BurnIn::start(folder, &args);
        let sender = send(0, &to);
        viewer.until_more(50);
        let (status, log) = burn_in.signal(signal);
        assert!(status.success(), "{log}");
        sender.cut();
        let viewed = check_whole(&viewer.rest()).1;
        for file in files {
            let path = folder.join(file);
            assert_eq!(check_whole(&pictures_in(&path)), (0, viewed), "{file}");
            check_steady(&path);
            let sound = tool("ffmpeg")
                .arg("-i")
                .arg(&path)
                .args(["-map", "0:a", "-f", "null", "-"])
                .output()
                .unwrap();
            assert!(
                sound.status.success() && sound.stderr.is_empty(),
                "{file}: {sound:?}"
            );
        }
    }
}

/// Of an input that says nothing, all that it said is written.
#[test]
fn a_signal_ends_what_waits_for_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_log(folder);
    let mut sender = encoder(0, SIZE, false);
    sender.args(["-t", "4"]).arg(folder.join("in.ts"));
    assert!(sender.status().unwrap().success());
    let viewer = TcpListener::bind("127.0.0.1:0").unwrap();
    let output = format!("tcp://{}", viewer.local_addr().unwrap());
    let args = [&["-", &*output], &LOG[..], &["--output", "rec.mkv"]].concat();
    let mut burn_in = BurnIn::with(folder, &args, Stdio::piped(), Stdio::null());
    let mut pipe = burn_in.child.0.stdin.take().unwrap();
    pipe.write_all(&fs::read(folder.join("in.ts")).unwrap())
        .unwrap();
    let stream = OwnedFd::from(viewer.accept().unwrap().0);
    let viewer = Viewer::of(&["-f", "mpegts"], "-", stream.into());
    until("all but what waits for more is seen", || {
        viewer.count() > 80
    });
    let (status, log) = burn_in.signal("INT");
    assert!(status.success(), "{log}");
    drop(pipe);
    let (first, last) = check_whole(&pictures_in(&folder.join("rec.mkv")));
    // The last two wait for what follows them.
    assert!(first == 0 && last >= 97, "{first} to {last}");
    check_whole(&viewer.rest());
}

/// A reader that takes nothing is left behind, and holds up neither the others nor the end.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "that it ends in time is what is tested"
)]
fn an_output_that_hangs_holds_up_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_log(folder);
    // Noise, so that what the connection holds is soon full.
    let mut noise = tool("ffmpeg");
    let graph = format!("{},noise=alls=60:allf=t", numbered::pictures_of(0, SIZE));
    noise.args(["-f", "lavfi", "-i", &graph, "-t", "20", "-c:v", "libx264"]);
    noise.args(["-preset", "ultrafast", "-crf", "5", "-g", "25", "-bf", "0"]);
    assert!(noise.arg(folder.join("in.ts")).status().unwrap().success());
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!(
        "tcp://{}?send_buffer_size=16384",
        hung.local_addr().unwrap()
    );
    let (viewer, output) = tcp_viewer();
    let args = [&["in.ts", &*address, "--realtime"], &LOG[..]].concat();
    let outputs = ["--output", &*output, "--output", "rec.mkv"];
    let burn_in = BurnIn::start(folder, &[&args[..], &outputs].concat());
    let connection = hung.accept().unwrap();
    burn_in.until_says("it takes nothing; connecting again", 1);
    let again = hung.accept().unwrap();
    viewer.until_more(75);
    let asked = std::time::Instant::now();
    let (status, log) = burn_in.signal("INT");
    assert!(status.success(), "{log}");
    assert!(asked.elapsed().as_secs_f64() < 5.0, "{:?}", asked.elapsed());
    assert!(log.contains("its end may be cut off"), "{log}");
    check_whole(&viewer.rest());
    assert_eq!(check_whole(&pictures_in(&folder.join("rec.mkv"))).0, 0);
    drop((connection, again));
}

#[test]
fn an_output_that_fails_is_named_and_leaves_the_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_log(folder);
    let (input, to) = tcp_input();
    let (viewer, output) = tcp_viewer();
    let failing = [
        "--output",
        "/dev/full",
        "--container",
        "mpegts",
        "--output",
        "nowhere/x.ts",
    ];
    let refusing = ["--output", "x.mkv", "--encoder-option", "profile=nonsense"];
    let good = ["--output", "rec.mkv"];
    let args = [&[&*input, &*output, "--on-input-loss", "exit"], &LOG[..]].concat();
    let args = [&args[..], &failing, &refusing, &good].concat();
    let burn_in = BurnIn::start(folder, &args);
    let sender = send(0, &to);
    burn_in.until_says("the other outputs go on", 3);
    viewer.until_more(50);
    sender.end();
    let (status, log) = burn_in.end();
    assert_eq!(status.code(), Some(1), "{log}");
    for (name, why) in [
        ("/dev/full", "No space left on device"),
        ("nowhere/x.ts", "No such file or directory"),
        ("x.mkv", "encoder libx264 refuses"),
    ] {
        let is_it = |line: &&str| line.contains(&format!("cannot write {name}: {why}"));
        assert!(log.lines().any(|line| is_it(&line)), "{name}: {log}");
    }
    let last = log.lines().last().unwrap();
    assert!(last.starts_with("error: cannot write "), "{log}");
    check_whole(&viewer.rest());
    assert_eq!(check_whole(&pictures_in(&folder.join("rec.mkv"))).0, 0);
}

/// Entries of a file by ffprobe, a line each.
fn probe(path: &Path, args: &[&str]) -> Vec<String> {
    let output = tool("ffprobe")
        .args(args)
        .args(["-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// From one transport stream to another all stays: programs, identifiers, times, and every byte of
/// what isn't the video, be it known to libavformat or not.
#[test]
fn a_transport_stream_stays_what_it_is() {
    const MAP: u16 = 0x150;
    const VIDEO: u16 = 0x123;
    const BEGIN: u64 = 90_000;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_log(folder);
    let (from, to) = (folder.join("in.ts"), folder.join("out.ts"));
    let begin = BEGIN.to_string();
    let mut made = encoder(0, SIZE, false);
    made.args([
        "-map",
        "1:a",
        "-metadata:s:a:1",
        "language=deu",
        "-c:a:1",
        "mp2",
        "-bf",
        "2",
    ]);
    made.args([
        "-t",
        "6",
        "-output_ts_offset",
        &begin,
        "-mpegts_service_id",
        "7",
    ]);
    made.args([
        "-metadata",
        "service_name=One",
        "-metadata",
        "service_provider=Two",
    ]);
    made.args([
        "-streamid",
        "0:0x123",
        "-streamid",
        "1:0x200",
        "-streamid",
        "2:0x300",
    ]);
    made.args(["-mpegts_pmt_start_pid", "0x150"]).arg(&from);
    assert!(made.status().unwrap().success());
    let plain = fs::read(&from).unwrap();
    fs::write(&from, transport::with_data(&plain, MAP, BEGIN * 90_000)).unwrap();
    BurnIn::start(folder, &[&["in.ts", "out.ts"], &LOG[..]].concat()).succeed();

    let about = "program=program_id,pmt_pid,pcr_pid:program_tags:stream=id,codec_name:\
                 stream_tags=language";
    let about = ["-show_programs", "-show_entries", about];
    assert_eq!(probe(&to, &about), probe(&from, &about));
    let times = ["-select_streams", "v", "-show_entries", "packet=pts"];
    let sorted = |path: &Path| {
        let mut times = probe(path, &times);
        // Where a packet has side data, there is a comma more.
        times.iter_mut().for_each(|time| time.retain(|c| c != ','));
        times.sort_unstable();
        times
    };
    assert_eq!(sorted(&to), sorted(&from));
    // Data are compared below, by all that is in the stream.
    for stream in ["1", "2"] {
        let packets = |path: &Path| {
            let entries = [
                "-show_entries",
                "packet=pts,dts,data_hash",
                "-show_data_hash",
                "md5",
            ];
            let lines = probe(path, &[&["-select_streams", stream], &entries[..]].concat());
            // Where a packet has side data, there is a comma and a line more.
            let text = lines.concat().replace(",,", ",");
            text.split("MD5:").map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(packets(&from).len() > 20, "stream {stream}");
        assert_eq!(packets(&to), packets(&from), "stream {stream}");
    }

    let (sent, kept) = (fs::read(&from).unwrap(), fs::read(&to).unwrap());
    let splices = transport::sections(&sent, transport::DATA[0]);
    assert!(splices.len() > 20);
    assert_eq!(transport::sections(&kept, transport::DATA[0]), splices);
    for pid in &transport::DATA[1..] {
        let data = transport::pes_packets(&sent, *pid);
        assert!(data.len() > 20);
        assert_eq!(transport::pes_packets(&kept, *pid), data, "{pid:#x}");
    }
    let types = |stream: &[u8]| transport::types(&transport::sections(stream, MAP)[0]);
    assert_eq!(types(&kept), types(&sent));
    // The clock goes on, and is well before pictures are decoded.
    let clocks = transport::clocks(&kept, VIDEO);
    assert!(clocks.len() > 60);
    for pair in clocks.windows(2) {
        let step = pair[1].0 - pair[0].0;
        assert!(step > 0 && step <= 9_000, "{pair:?}");
    }
    assert!(
        clocks
            .iter()
            .all(|(clock, decoded)| decoded - clock == 31_500),
        "{clocks:?}"
    );
    let mut decoder = tool("ffmpeg");
    decoder
        .args(["-v", "error", "-i"])
        .arg(&to)
        .args(["-f", "null", "-"]);
    let decoded = decoder.output().unwrap();
    assert!(
        decoded.status.success() && decoded.stderr.is_empty(),
        "{decoded:?}"
    );
}

/// Of a discontinuity that is closed, splices know.
#[test]
fn splices_move_with_the_programmes_time() {
    const MAP: u16 = 0x1000;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_log(folder);
    let mut both = Vec::new();
    for (base, begin) in [(0, 1_000), (50, 5_000)] {
        let (part, at) = (folder.join("part.ts"), begin.to_string());
        let mut made = encoder(base, SIZE, false);
        made.args(["-t", "2", "-output_ts_offset", &at, "-y"])
            .arg(&part);
        assert!(made.status().unwrap().success());
        let part = fs::read(&part).unwrap();
        both.extend(transport::with_data(&part, MAP, begin * 90_000));
    }
    fs::write(folder.join("in.ts"), both).unwrap();
    BurnIn::start(folder, &[&["in.ts", "out.ts"], &LOG[..]].concat()).succeed();
    let out = folder.join("out.ts");
    assert_eq!(check_whole(&pictures_in(&out)), (0, 99));
    let adjusted = |splice: &Vec<u8>| {
        splice[5..9]
            .iter()
            .fold(u64::from(splice[4] & 1), |n, byte| {
                n << 8 | u64::from(*byte)
            })
    };
    let splices = transport::sections(&fs::read(&out).unwrap(), transport::DATA[0]);
    let adjusted: Vec<u64> = splices.iter().map(adjusted).collect();
    assert_eq!(adjusted[0], 0, "{adjusted:?}");
    // From 5,000 s to 1,002 s, give or take what audio and video differ by.
    let moved = (1_u64 << 33) - adjusted.last().unwrap();
    assert!(moved.abs_diff(3_998 * 90_000) < 18_000, "{adjusted:?}");
}

/// AAC as transport streams have it, in containers that say it once.
#[test]
fn aac_of_a_transport_stream_goes_into_any_container() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_log(folder);
    let mut made = encoder(0, SIZE, false);
    assert!(
        made.args(["-t", "3"])
            .arg(folder.join("in.ts"))
            .status()
            .unwrap()
            .success()
    );
    for container in ["matroska", "mp4", "mov", "flv", "nut"] {
        let out = folder.join(container);
        let file = fs::File::create(&out).unwrap();
        let args = [&["in.ts", "-", "--container", container], &LOG[..]].concat();
        let log = BurnIn::with(folder, &args, Stdio::null(), file.into()).succeed();
        assert_eq!(
            check_whole(&pictures_in(&out)),
            (0, 74),
            "{container}: {log}"
        );
        let sound = |path: &Path| {
            let mut decoder = tool("ffmpeg");
            decoder
                .arg("-i")
                .arg(path)
                .args(["-map", "0:a", "-f", "md5", "-"]);
            let output = decoder.output().unwrap();
            assert!(output.stderr.is_empty(), "{container}: {output:?}");
            output.stdout
        };
        assert_eq!(sound(&out), sound(&folder.join("in.ts")), "{container}");
    }
}

/// What comes in another size is brought to the first one's.
#[test]
fn a_programme_that_changes_its_size_goes_on_in_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_log(folder);
    let mut both = Vec::new();
    for (base, size) in [(0, SIZE), (50, (640, 384)), (100, (240, 144))] {
        let mut sender = encoder(base, size, false);
        let part = folder.join("part.ts");
        assert!(
            sender
                .args(["-t", "2", "-y"])
                .arg(&part)
                .status()
                .unwrap()
                .success()
        );
        both.extend(fs::read(&part).unwrap());
    }
    fs::write(folder.join("in.ts"), both).unwrap();
    let args = [&["in.ts", "out.mkv"], &LOG[..]].concat();
    let log = BurnIn::start(folder, &args).succeed();
    let path = folder.join("out.mkv");
    assert_eq!(check_whole(&pictures_in(&path)), (0, 149), "{log}");
    assert_eq!(stream(&path, "width,height"), "320,192");
    assert!(gaps(&path).iter().all(|gap| *gap < 0.2));
}
