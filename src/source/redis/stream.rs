//! A stream, read by the ids of its entries.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError, Value};
use tokio::time::Instant;

use super::Redis;
use super::entries::{Entry, Id, Info, Malformed, entries, payload};
use crate::reaction::Message;
use crate::source::broker::text;
use crate::source::inbox::{Arrival, Inbox};
use crate::source::retry::Failure;
use crate::topic::ItemId;

/// Entries that are asked for at once.
const ENTRIES_MAX: usize = 200;

/// How long the server holds a read of a stream that has nothing new.
const HOLD: Duration = Duration::from_secs(5);

/// A server answers within this beyond [`HOLD`], or is gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How often it is checked whether entries were deleted before they were read.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Where the reading of a stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The last entry that was read, and how many the stream had been given by then, as far as the
    /// server counts them. `None` before the first connection.
    at: Option<(Id, Option<u64>)>,
}

/// Why a read came to nothing.
enum ReadError {
    Server(RedisError),
    Malformed,
}

impl From<RedisError> for ReadError {
    fn from(error: RedisError) -> Self {
        Self::Server(error)
    }
}

impl From<Malformed> for ReadError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Redis {
    /// Follows a stream until the connection is over.
    pub(super) async fn stream(
        &self,
        key: &str,
        field: Option<&str>,
        place: &mut Place,
        inbox: &Inbox,
    ) -> Failure {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(HOLD + ANSWER_TIMEOUT));
        let mut connection = match self.connect(config).await {
            Ok(connection) => connection,
            Err(failure) => return failure,
        };
        let reading = Reading {
            key,
            field,
            place,
            inbox,
        };
        match reading.follow(&mut connection).await {
            ReadError::Server(error) => self.failure(&error),
            ReadError::Malformed => Failure::passing(format_args!(
                "{}: an answer is not as Redis documents it",
                self.address.host
            )),
        }
    }
}

struct Reading<'a> {
    key: &'a str,
    field: Option<&'a str>,
    place: &'a mut Place,
    inbox: &'a Inbox,
}

impl Reading<'_> {
    async fn follow(mut self, connection: &mut MultiplexedConnection) -> ReadError {
        loop {
            if let Err(error) = self.round(connection).await {
                return error;
            }
        }
    }

    /// Reads with a look at the whole, then as entries come, until the next look is due.
    async fn round(&mut self, connection: &mut MultiplexedConnection) -> Result<(), ReadError> {
        self.look(connection).await?;
        let looked = Instant::now();
        while looked.elapsed() < CHECK_INTERVAL {
            let Some((last, _)) = self.place.at else {
                return Ok(());
            };
            let (count, last) = (ENTRIES_MAX.to_string(), last.to_string());
            let hold_ms = HOLD.as_millis().to_string();
            let read = ["XREAD", "BLOCK", &hold_ms, "COUNT", &count];
            let read = [&read, &["STREAMS", self.key, &last][..]].concat();
            let answer = run(connection, &read).await?;
            let entries = entries(&answer)?;
            if !entries.is_empty() {
                self.inbox.live();
            }
            self.take(&entries);
        }
        Ok(())
    }

    /// Reads what there is together with how many entries there ever were, so that what is missing
    /// can be told. The server does both in one step.
    async fn look(&mut self, connection: &mut MultiplexedConnection) -> Result<(), ReadError> {
        let from = self.place.at.map_or(Id::default(), |(last, _)| last);
        let count = ENTRIES_MAX.to_string();
        // As single commands: to a MULTI that is refused the library's own transactions panic.
        run(connection, &["MULTI"]).await?;
        run(connection, &["XINFO", "STREAM", self.key]).await?;
        let read = [
            "XREAD",
            "COUNT",
            &count,
            "STREAMS",
            self.key,
            &from.to_string(),
        ];
        run(connection, &read).await?;
        let (about, answer) = match run(connection, &["EXEC"]).await {
            Err(error) if is_no_such_key(&error) => {
                // What it is given next is all new.
                self.place.at = Some((Id::default(), Some(0)));
                self.inbox.degraded(format_args!(
                    "there is no stream {:?} yet; waiting for its first entry",
                    self.key
                ));
                return Ok(());
            }
            answered => redis::from_redis_value(answered?).map_err(|_| Malformed)?,
        };
        let info = Info::of(about)?;
        let entries = entries(&answer)?;
        self.inbox.live();
        let Some((last, read)) = self.place.at else {
            self.place.at = Some((info.last, info.added));
            return Ok(());
        };
        let now = Now {
            info,
            found: entries.len(),
        };
        match now.compare(last, read) {
            Verdict::Whole => {}
            Verdict::Lost(lost) => self.inbox.gap(lost, false),
            Verdict::Another(lost) => self.inbox.gap(lost, true),
            Verdict::Older => {
                // It was put back to an earlier state: what is in it was seen.
                self.inbox.gap(0, true);
                self.place.at = Some((info.last, info.added));
                return Ok(());
            }
        }
        self.take(&entries);
        if let (Some((_, read)), true) = (&mut self.place.at, now.found < ENTRIES_MAX) {
            *read = info.added;
        }
        Ok(())
    }

    fn take(&mut self, entries: &[Entry<'_>]) {
        for (id, fields) in entries {
            let read = self.place.at.and_then(|(_, read)| read);
            self.place.at = Some((*id, read.map(|read| read.saturating_add(1))));
            let Some(payload) = payload(fields, self.field) else {
                self.inbox.refuse();
                continue;
            };
            let Some(text) = text(self.inbox, payload) else {
                continue;
            };
            let Id(milliseconds, number) = *id;
            self.inbox.take(&Arrival {
                place: Some(ItemId {
                    page: milliseconds,
                    sequence: number,
                }),
                published_at: Some(Duration::from_millis(milliseconds)),
                ..Arrival::of(Message::payload(text))
            });
        }
    }
}

/// A stream as it is now, beside where its reader is.
struct Now {
    info: Info,
    /// Entries after the reader's last, at most [`ENTRIES_MAX`].
    found: usize,
}

/// What became of a stream since it was read.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing is missing, as far as can be told.
    Whole,
    /// So many entries were deleted before they were read.
    Lost(u64),
    /// It is another stream, which has lost so many.
    Another(u64),
    /// It ends before what was read.
    Older,
}

impl Now {
    fn compare(&self, last: Id, read: Option<u64>) -> Verdict {
        if self.info.last < last {
            return Verdict::Older;
        }
        // If there may be more than was asked for, the next look tells.
        let (Some(added), Some(read), true) = (self.info.added, read, self.found < ENTRIES_MAX)
        else {
            return Verdict::Whole;
        };
        let found = self.found as u64;
        if added < read {
            return Verdict::Another(added.saturating_sub(found));
        }
        match (added - read).saturating_sub(found) {
            0 => Verdict::Whole,
            lost => Verdict::Lost(lost),
        }
    }
}

async fn run(connection: &mut MultiplexedConnection, words: &[&str]) -> Result<Value, RedisError> {
    let mut command = redis::Cmd::new();
    command.arg(words).query_async(connection).await
}

fn is_no_such_key(error: &RedisError) -> bool {
    let text = error.to_string().to_ascii_lowercase();
    text.contains("no such key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_of_a_stream_is_told() {
        let compare = |(last, added): (u64, Option<u64>), found, read| {
            let info = Info {
                last: Id(last, 0),
                added,
            };
            Now { info, found }.compare(Id(10, 0), read)
        };
        // Nothing new; three new ones, all there; one of them is not; none of them is.
        assert_eq!(compare((10, Some(5)), 0, Some(5)), Verdict::Whole);
        assert_eq!(compare((13, Some(8)), 3, Some(5)), Verdict::Whole);
        assert_eq!(compare((13, Some(8)), 2, Some(5)), Verdict::Lost(1));
        assert_eq!(compare((13, Some(8)), 0, Some(5)), Verdict::Lost(3));
        // More than was asked for.
        assert_eq!(compare((999, Some(505)), 200, Some(5)), Verdict::Whole);
        // Made anew, with all of its three entries, and with the last only.
        assert_eq!(compare((13, Some(3)), 3, Some(5)), Verdict::Another(0));
        assert_eq!(compare((13, Some(3)), 1, Some(5)), Verdict::Another(2));
        // Put back.
        assert_eq!(compare((9, Some(4)), 0, Some(5)), Verdict::Older);
        // Servers that don't count.
        assert_eq!(compare((13, None), 1, None), Verdict::Whole);
        assert_eq!(compare((9, None), 0, None), Verdict::Older);
    }
}
