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
    /// `None` before the first connection.
    at: Option<At>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct At {
    /// The last entry that was read.
    last: Id,
    /// `None` if the server does not count.
    count: Option<Count>,
}

/// How many entries there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    /// The stream had been given so many before the first that is ours to read.
    begun: u64,
    /// It had been given so many when all that it had was read.
    looked: u64,
    /// So many were read since.
    taken: u64,
}

impl At {
    /// Where all is read that a stream has.
    fn end(info: &Info) -> Self {
        let count = |added| Count {
            begun: added,
            looked: added,
            taken: 0,
        };
        Self {
            last: info.last,
            count: info.added.map(count),
        }
    }
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
            let Some(At { last, .. }) = self.place.at else {
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
        let from = self.place.at.map_or(Id::default(), |at| at.last);
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
                self.place.at = Some(At::end(&Info {
                    last: Id::default(),
                    added: Some(0),
                }));
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
        let Some(at) = self.place.at else {
            self.place.at = Some(At::end(&info));
            self.inbox.live();
            return Ok(());
        };
        let now = Now {
            info,
            found: entries.len(),
        };
        match now.compare(&at) {
            Verdict::Whole => {}
            Verdict::Lost(lost) => self.inbox.gap(lost, false),
            Verdict::Another(lost) => self.inbox.gap(lost, true),
            Verdict::Behind => {
                self.inbox.degraded(format_args!(
                    "the stream ends before what was read of it, as that of a replica which lags \
                     or of a server which was put back: it is shown from after {} on",
                    at.last
                ));
                return Ok(());
            }
            Verdict::Older => {
                // What is in it is of before.
                self.inbox.gap(0, true);
                self.place.at = Some(At::end(&info));
                self.inbox.live();
                return Ok(());
            }
        }
        self.inbox.live();
        self.take(&entries);
        if let (Some(At { count, .. }), true) = (&mut self.place.at, now.found < ENTRIES_MAX) {
            *count = info.added.map(|added| Count {
                begun: count.map_or(added, |count| count.begun.min(added)),
                looked: added,
                taken: 0,
            });
        }
        Ok(())
    }

    fn take(&mut self, entries: &[Entry<'_>]) {
        for (id, fields) in entries {
            let count = self.place.at.and_then(|at| at.count);
            let count = count.map(|count| Count {
                taken: count.taken.saturating_add(1),
                ..count
            });
            self.place.at = Some(At { last: *id, count });
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
    /// It ends before what was read, and what it was given until then is not all read anew.
    Behind,
    /// It ends before anything that was read.
    Older,
}

impl Now {
    fn compare(&self, at: &At) -> Verdict {
        let counts = self.info.added.zip(at.count);
        if self.info.last < at.last {
            return match counts {
                Some((added, count)) if added < count.begun => Verdict::Older,
                _ => Verdict::Behind,
            };
        }
        // If there may be more than was asked for, the next look tells.
        let (Some((added, count)), true) = (counts, self.found < ENTRIES_MAX) else {
            return Verdict::Whole;
        };
        let got = count.taken.saturating_add(self.found as u64);
        if added < count.looked.saturating_add(count.taken) {
            // What was read since the last look may be of either; it is taken for this one's.
            return Verdict::Another(added.saturating_sub(got));
        }
        match (added - count.looked).saturating_sub(got) {
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
        // Begun at the third, all read when there were five, then `taken`.
        let after = |taken, (last, added): (u64, Option<u64>), found, looked: Option<u64>| {
            let info = Info {
                last: Id(last, 0),
                added,
            };
            let count = |looked| Count {
                begun: 3,
                looked,
                taken,
            };
            let at = At {
                last: Id(10, 0),
                count: looked.map(count),
            };
            Now { info, found }.compare(&at)
        };
        let compare = |now, found, looked| after(0, now, found, looked);
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
        // Read between looks: three of three, of four; and of a stream that was made anew, with all
        // of its three entries, with another, and with one that is gone.
        assert_eq!(after(3, (13, Some(8)), 0, Some(5)), Verdict::Whole);
        assert_eq!(after(3, (13, Some(9)), 0, Some(5)), Verdict::Lost(1));
        assert_eq!(after(3, (13, Some(3)), 0, Some(5)), Verdict::Another(0));
        assert_eq!(after(3, (13, Some(4)), 1, Some(5)), Verdict::Another(0));
        assert_eq!(after(3, (13, Some(4)), 0, Some(5)), Verdict::Another(1));
        // A backlog, of as much as is asked for at once and more.
        assert_eq!(
            after(200, (13, Some(230)), 30, Some(500)),
            Verdict::Another(0)
        );
        // A replica that lags; what is older than all that was read.
        assert_eq!(compare((9, Some(4)), 0, Some(5)), Verdict::Behind);
        assert_eq!(compare((9, Some(2)), 0, Some(5)), Verdict::Older);
        // Servers that don't count.
        assert_eq!(compare((13, None), 1, None), Verdict::Whole);
        assert_eq!(compare((9, None), 0, None), Verdict::Behind);
    }
}
