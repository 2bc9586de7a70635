//! What goes wrong with who takes the frames.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use super::{Watched, get, right_again};
use crate::floatup::{Running, Service, send_signal, shell, until, wait};
use crate::media::tool;
use crate::sinks::{FRAME_BYTES, assert_no_gap, fifo, numbers};

fn ffmpeg(path: &Path) -> Running {
    let mut reader = tool("ffmpeg");
    reader.args(["-f", "rawvideo", "-pix_fmt", "rgba", "-s", "320x180", "-i"]);
    Running(reader.arg(path).args(["-f", "null", "-"]).spawn().unwrap())
}

#[test]
fn an_ffmpeg_that_reads_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    fifo(&path);
    let name = path.display().to_string();
    let watched = Watched::start("", &["--output", &name]);
    let figure = |figure: &str| watched.service.figure(figure, &name);
    let mut killed = ffmpeg(&path);
    until("it is read", || figure("frames_total") > 10);
    send_signal(&killed, "KILL");
    assert!(!wait(&mut killed).success());
    until("that is noticed", || {
        (figure("open"), figure("reopened_total")) == (0, 1)
    });
    watched.says("is closed, and waits for a reader");
    watched.record(15);
    assert!(figure("frames_dropped_total") > 0, "what nobody reads");
    let before = figure("frames_total");
    let mut next = ffmpeg(&path);
    let took = until("it is read again", || figure("frames_total") > before);
    right_again("ffmpeg killed", took, Duration::from_secs(1));
    assert_eq!(figure("open"), 1);
    watched.record(15);
    let (status, log) = watched.ends();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.matches("fifo is open").count() >= 2, "{log}");
    assert_eq!(wait(&mut next).code(), Some(0));
}

/// One is owed every frame, the other the newest.
#[test]
fn an_output_blocks_for_10_s() {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [all, newest] = listeners
        .each_ref()
        .map(|listener| format!("tcp://{}", listener.local_addr().unwrap()));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("floatup.toml");
    let settings = format!(
        "[[output]]\nto = 'all.rgba'\n[[output]]\nto = '{all}'\n\
         [[output]]\nto = '{newest}'\npolicy = 'drop'\n"
    );
    fs::write(&config, settings).unwrap();
    let watched = Watched::start("", &["--config", config.to_str().unwrap()]);
    let [mut stuck, mut overtaken] = listeners.each_ref().map(|l| l.accept().unwrap().0);
    watched.record(300);
    assert_eq!(watched.service.figure("frames_dropped_total", &all), 0);
    let dropped = watched.service.figure("frames_dropped_total", &newest);
    assert!(dropped > 200, "{dropped}");
    watched.says(&format!("{all} is more than 1 s behind"));
    let mut bytes = vec![0; 300 * FRAME_BYTES];
    let mut is_read = false;
    let took = until("it has caught up", || {
        if !is_read {
            stuck.read_exact(&mut bytes).unwrap();
            is_read = true;
        }
        let mut frame = vec![0; FRAME_BYTES];
        stuck.read_exact(&mut frame).unwrap();
        watched.service.said().contains("has caught up")
    });
    right_again("10 s of a blocked output", took, Duration::from_secs(5));
    assert_no_gap("what was owed", &bytes);
    assert_eq!(watched.service.figure("frames_dropped_total", &all), 0);
    let mut bytes = vec![0; 60 * FRAME_BYTES];
    overtaken.read_exact(&mut bytes).unwrap();
    let shown = numbers(&bytes);
    assert!(shown.is_sorted_by(|a, b| a < b), "{shown:?}");
    // The listeners first, which would take the next try and read nothing of it.
    drop(listeners);
    drop((stuck, overtaken));
    let (status, log) = watched.ends();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(
        log.matches(&format!("{all} is more than")).count(),
        1,
        "{log}"
    );
}

/// No room at all, and room for 17 frames; the other goes to a socket, which takes none on the disk.
#[test]
fn a_disk_is_full() {
    let folder = tempfile::tempdir().unwrap();
    symlink("/dev/full", folder.path().join("full.rgba")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = format!(
        "trap '' XFSZ; ulimit -f 8000; exec floatup --listen 127.0.0.1:0 --test-pattern \
         --size 320x180 --fps 30 --output full.rgba --output part.rgba --output tcp://{address}"
    );
    let service = Service::run(shell(folder.path(), &script));
    let (mut reader, _) = listener.accept().unwrap();
    let mut bytes = vec![0; 90 * FRAME_BYTES];
    reader.read_exact(&mut bytes).unwrap();
    assert_no_gap("the other output", &bytes);
    for output in ["full.rgba", "part.rgba"] {
        until("it is given up", || service.figure("open", output) == 0);
    }
    assert_eq!(service.figure("open", &format!("tcp://{address}")), 1);
    assert_eq!(get(&service, "/readyz").0, 200);
    drop(listener);
    drop(reader);
    let (status, log) = service.stop();
    assert_eq!(status.code(), Some(1), "{log}");
    for said in [
        "cannot write to full.rgba: No space left on device",
        "cannot write to part.rgba: File too large",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
    let part = fs::read(folder.path().join("part.rgba")).unwrap();
    assert!(part.len() > 15 * FRAME_BYTES, "{} bytes", part.len());
    let kept = part.len() - part.len() % FRAME_BYTES;
    assert_no_gap("what was written before", &part[..kept]);
}
