//! Lines from another program: one message each, on standard input.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::thread;

use tokio::sync::mpsc;

use super::inbox::{Arrival, Inbox};
use super::retry::Failure;
use crate::reaction::Message;

/// What it is called.
pub(super) const NAME: &str = "-";

/// The longest line that is taken, in bytes, without its end. The rest of a longer one is thrown
/// away as it comes.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Lines that have been read and not taken. When it is full, the one who writes them waits.
const QUEUE_LINES: usize = 64;

/// A program's lines. Each is a message, as topics have them: a name, emoji, or JSON.
pub struct Lines(Box<dyn Read + Send>);

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines(..)")
    }
}

/// One line.
enum Line {
    Text(String),
    /// What is wrong with it.
    Bad(&'static str),
    /// There are no more.
    Broken(io::Error),
}

impl Lines {
    /// Those of standard input.
    #[must_use]
    pub fn stdin() -> Self {
        Self::of(io::stdin())
    }

    /// Those of a reader, which may block.
    #[must_use]
    pub fn of(reader: impl Read + Send + 'static) -> Self {
        Self(Box::new(reader))
    }

    /// Takes all lines. When the future is dropped, the thread that reads ends with the next line.
    pub(super) async fn follow(self, inbox: &Inbox) {
        let (queue, mut lines) = mpsc::channel(QUEUE_LINES);
        let reads = move || read(BufReader::new(self.0), &queue);
        if let Err(error) = thread::Builder::new().name("lines".into()).spawn(reads) {
            inbox.lost(&Failure::refused(format!("cannot start a thread: {error}")));
            return;
        }
        inbox.live();
        let (mut number, mut bad) = (0_u64, 0_u64);
        let mut why = "it is at its end".to_owned();
        while let Some(line) = lines.recv().await {
            number += 1;
            match line {
                Line::Text(text) if text.trim().is_empty() => {}
                Line::Text(text) => {
                    inbox.take(&Arrival::of(Message::payload(&text)));
                }
                Line::Bad(reason) => {
                    inbox.refuse();
                    bad += 1;
                    if bad == 1 {
                        tracing::warn!(
                            "standard input: line {number} is {reason}; further ones that can't be \
                             taken are only counted"
                        );
                    }
                }
                Line::Broken(error) => why = format!("it cannot be read any further: {error}"),
            }
        }
        inbox.ended(why);
    }
}

/// Reads lines until their end, or until nobody wants them.
fn read(mut reader: impl BufRead, queue: &mpsc::Sender<Line>) {
    loop {
        let line = match next(&mut reader) {
            Ok(Some(line)) => line,
            Ok(None) => return,
            Err(error) => Line::Broken(error),
        };
        let is_last = matches!(line, Line::Broken(_));
        if queue.blocking_send(line).is_err() || is_last {
            return;
        }
    }
}

/// The next line; `None` at the end.
fn next(reader: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut bytes = Vec::new();
    let mut is_long = false;
    let mut is_end = true;
    loop {
        let buffer = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            buffer => buffer?,
        };
        if buffer.is_empty() {
            break;
        }
        is_end = false;
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        is_long |= bytes.len() + part.len() > LINE_BYTES_MAX;
        if !is_long {
            bytes.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            break;
        }
    }
    Ok(match (is_end, is_long) {
        (true, _) => None,
        (_, true) => Some(Line::Bad("longer than 65536 bytes")),
        (_, false) => Some(match String::from_utf8(bytes) {
            Ok(text) => Line::Text(text),
            Err(_) => Line::Bad("not UTF-8"),
        }),
    })
}
