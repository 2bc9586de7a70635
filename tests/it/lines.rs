//! The plain ways in: lines of another program, and reaction logs.

use std::io::{Cursor, Read, Write as _};
use std::path::Path;
use std::time::Duration;

use floatup::source::lines::Lines;
use floatup::source::replay::{self, Replay};
use floatup::source::{Source, State};
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;

use crate::following::Following;
use crate::in_process::until;

fn lines(reader: impl Read + Send + 'static) -> Following {
    Following::start(Source::Lines(Lines::of(reader)))
}

fn log(folder: &Path, options: &str, text: &str) -> Following {
    let path = folder.join("reactions.ndjson");
    std::fs::write(&path, text).unwrap();
    replay(&path, options)
}

fn replay(path: &Path, options: &str) -> Following {
    let address: replay::Address = format!("log:{}{options}", path.display()).parse().unwrap();
    Following::start(Source::Log(Replay::new(&address)))
}

/// Messages by what became of them: accepted, unknown, refused.
fn counted(following: &Following) -> [u64; 3] {
    let metrics = &following.metrics;
    [&metrics.accepted, &metrics.unknown, &metrics.refused].map(Counter::get)
}

#[tokio::test]
async fn each_line_is_a_message() {
    let mut text = "heart\n {\"r\":{\"fire\":2}}\r\n\n\r\n🔥🔥\nnope\n"
        .as_bytes()
        .to_vec();
    text.extend_from_slice(b"\xff\xfe\n");
    text.extend_from_slice(&b"x".repeat(64 * 1024));
    text.extend_from_slice(b"\n");
    text.extend_from_slice(&b"x".repeat(64 * 1024 + 1));
    text.extend_from_slice("\nclap".as_bytes());
    let following = lines(Cursor::new(text));
    let status = following.is(State::Ended).await;
    assert_eq!(status.why, "it is at its end");
    assert_eq!(following.shown(), ["❤️1", "🔥2", "🔥2", "👏1"]);
    // The line of 64 KiB is looked at, the one of a byte more is not.
    assert_eq!(counted(&following), [4, 2, 2]);
}

#[tokio::test]
async fn lines_are_taken_as_they_come() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let following = lines(reader);
    for count in 1..=3 {
        writer.write_all(b"heart\n").unwrap();
        assert_eq!(following.delivered(count).await.len(), count);
    }
    let state = following.is(State::Live).await;
    assert_eq!(state.why, "");
    // The last line may lack its end.
    writer.write_all(b"heart").unwrap();
    drop(writer);
    following.is(State::Ended).await;
    assert_eq!(following.now().len(), 4);
}

#[tokio::test]
async fn the_rest_of_a_long_line_is_thrown_away_as_it_comes() {
    let long = std::io::repeat(b'x').take(256 << 20);
    let following = lines(long.chain(Cursor::new("\nheart\n")));
    following.is(State::Ended).await;
    assert_eq!(counted(&following), [1, 0, 1]);
}

#[tokio::test]
async fn a_reader_that_fails_is_at_its_end() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the pipe is made of clay"))
        }
    }
    let following = lines(Cursor::new("heart\n").chain(Broken));
    let status = following.is(State::Ended).await;
    assert!(status.why.contains("made of clay"), "{status:?}");
    assert_eq!(counted(&following), [1, 0, 0]);
}

#[tokio::test]
async fn a_log_is_played_in_the_order_of_its_times() {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let text = "{\"at_ms\":400,\"reaction\":\"clap\"}\n{\"at_ms\":0,\"reaction\":\"heart\",\"count\":3}\n\
                \n{\"at_ms\":100,\"reaction\":\"🔥\"}";
    let following = log(folder.path(), "?speed=2", text);
    let status = following.is(State::Ended).await;
    assert_eq!(status.why, "it is at its end, after 3 reactions");
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(following.shown(), ["❤️3", "🔥1", "👏1"]);
}

#[tokio::test]
async fn bad_lines_of_a_log_are_said_and_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let good = "{\"at_ms\":0,\"reaction\":\"heart\"}\n{\"at_ms\":60000,\"reaction\":\"heart\"}\n";
    let following = log(folder.path(), "", &format!("{good}nonsense\n"));
    let status = following.is(State::Degraded).await;
    assert!(status.why.starts_with("line 3: "), "{status:?}");
    let more = "{\"at_ms\":-1,\"reaction\":\"heart\"}\n{\"at_ms\":1,\"reaction\":\"nope\"}\n";
    let following = log(folder.path(), "", &format!("{more}{good}"));
    let status = following.is(State::Degraded).await;
    let told = "line 1: at_ms: -1; expected 0 to 604800000 (and 1 more such lines)";
    assert_eq!(status.why, told);
    following.delivered(1).await;
    assert_eq!(counted(&following), [1, 0, 2]);
}

#[tokio::test]
async fn a_log_is_played_again_and_again_if_asked() {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let following = log(
        folder.path(),
        "?loop=true",
        "{\"at_ms\":0,\"reaction\":\"heart\"}\n",
    );
    following.delivered(3).await;
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "not as fast as it can"
    );
    following.is(State::Live).await;
    // One without reactions has nothing to play again.
    let following = log(folder.path(), "?loop=true", "\n\n");
    let status = following.is(State::Ended).await;
    assert!(status.why.contains("no reaction"), "{status:?}");
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["missing.ndjson", "."] {
        let following = replay(&folder.path().join(path), "");
        let status = following.is(State::Refused).await;
        assert!(status.why.contains("expected a reaction log"), "{status:?}");
    }
    let path = folder.path().join("long.ndjson");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len((64 << 20) + 1).unwrap();
    let following = replay(&path, "");
    until("it is refused", || {
        following
            .monitor
            .status
            .borrow()
            .why
            .contains("longer than 64 MiB")
    })
    .await;
}
