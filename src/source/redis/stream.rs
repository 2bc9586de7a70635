//! A stream, read by the ids of its entries.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError, Value};
use tokio::time::Instant;

use super::Redis;
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

/// The fields that are a payload, in order, where the address names none.
const FIELDS: [&str; 3] = ["payload", "message", "reaction"];

/// An entry's id: milliseconds since the Unix epoch, and a number among those.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Id(u64, u64);

impl FromStr for Id {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let id = text.split_once('-').and_then(|(milliseconds, number)| {
            Some(Self(milliseconds.parse().ok()?, number.parse().ok()?))
        });
        id.ok_or(Malformed)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

/// Where the reading of a stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The last entry that was read, and how many the stream had been given by then, as far as the
    /// server counts them. `None` before the first connection.
    at: Option<(Id, Option<u64>)>,
}

/// What a server says of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Info {
    last: Id,
    /// How many entries it was ever given; Redis 7 counts.
    added: Option<u64>,
}

/// An answer that is not as documented.
#[derive(Debug)]
struct Malformed;

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

/// An entry, its fields in order.
type Entry<'a> = (Id, Vec<(&'a [u8], &'a [u8])>);

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

impl Info {
    fn of(answer: Value) -> Result<Self, ReadError> {
        let fields: HashMap<String, Value> =
            redis::from_redis_value(answer).map_err(|_| Malformed)?;
        let last = match fields.get("last-generated-id") {
            Some(Value::BulkString(id)) => str(id)?.parse()?,
            _ => return Err(ReadError::Malformed),
        };
        let added = match fields.get("entries-added") {
            Some(Value::Int(added)) => u64::try_from(*added).ok(),
            _ => None,
        };
        Ok(Self { last, added })
    }
}

async fn run(connection: &mut MultiplexedConnection, words: &[&str]) -> Result<Value, RedisError> {
    let mut command = redis::Cmd::new();
    command.arg(words).query_async(connection).await
}

fn str(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed)
}

fn is_no_such_key(error: &RedisError) -> bool {
    let text = error.to_string().to_ascii_lowercase();
    text.contains("no such key")
}

/// The entries of an answer to XREAD for one stream: nil, or in RESP 3 a map from the key.
fn entries(answer: &Value) -> Result<Vec<Entry<'_>>, Malformed> {
    let entries = match answer {
        Value::Nil => return Ok(Vec::new()),
        Value::Map(streams) => match &streams[..] {
            [(_, Value::Array(entries))] => entries,
            _ => return Err(Malformed),
        },
        _ => return Err(Malformed),
    };
    entries.iter().map(entry).collect()
}

fn entry(value: &Value) -> Result<Entry<'_>, Malformed> {
    let Value::Array(parts) = value else {
        return Err(Malformed);
    };
    let [Value::BulkString(id), Value::Array(fields)] = &parts[..] else {
        return Err(Malformed);
    };
    let fields: Result<_, _> = fields.chunks(2).map(pair).collect();
    Ok((str(id)?.parse()?, fields?))
}

fn pair(pair: &[Value]) -> Result<(&[u8], &[u8]), Malformed> {
    match pair {
        [Value::BulkString(name), Value::BulkString(value)] => Ok((name, value)),
        _ => Err(Malformed),
    }
}

/// The field that is an entry's payload.
fn payload<'a>(fields: &[(&'a [u8], &'a [u8])], wanted: Option<&str>) -> Option<&'a [u8]> {
    let named = |wanted: &str| {
        let is_it = |(name, _): &&(&[u8], &[u8])| *name == wanted.as_bytes();
        fields.iter().find(is_it).map(|(_, value)| *value)
    };
    match (wanted, fields) {
        (Some(wanted), _) => named(wanted),
        (None, [(_, only)]) => Some(only),
        (None, _) => FIELDS.iter().find_map(|name| named(name)),
    }
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

    #[test]
    fn a_payload_is_the_field_that_is_asked_for_or_known_or_alone() {
        let fields = |names: &[&'static str]| {
            let pair = |name: &&'static str| (name.as_bytes(), name.as_bytes());
            names.iter().map(pair).collect::<Vec<_>>()
        };
        for (names, wanted, expected) in [
            (&["x"][..], None, Some("x")),
            (&["x", "y"], None, None),
            (&["x", "reaction"], None, Some("reaction")),
            (&["reaction", "message", "payload"], None, Some("payload")),
            (&["x", "y"], Some("y"), Some("y")),
            (&["x"], Some("y"), None),
            (&[], None, None),
        ] {
            let got = payload(&fields(names), wanted);
            assert_eq!(got, expected.map(str::as_bytes), "{names:?} {wanted:?}");
        }
    }

    #[test]
    fn ids_are_ordered_and_answers_are_not_trusted() {
        let id = |text: &str| text.parse::<Id>().ok();
        assert!(id("5-9") < id("5-10") && id("5-10") < id("40-0"));
        assert_eq!(id("18446744073709551615-0"), Some(Id(u64::MAX, 0)));
        for text in ["", "5", "5-", "-5", "5-x", "5--1", "18446744073709551616-0"] {
            assert_eq!(id(text), None, "{text}");
        }
        let bulk = |text: &str| Value::BulkString(text.into());
        let one = Value::Array(vec![bulk("5-1"), Value::Array(vec![bulk("a"), bulk("b")])]);
        let map = |entry: Value| Value::Map(vec![(bulk("key"), Value::Array(vec![entry]))]);
        let answer = map(one);
        let got = entries(&answer).unwrap();
        assert_eq!(got, [(Id(5, 1), vec![(&b"a"[..], &b"b"[..])])]);
        assert!(entries(&Value::Nil).unwrap().is_empty());
        for odd in [
            Value::Okay,
            Value::Map(Vec::new()),
            map(Value::Nil),
            map(Value::Array(vec![bulk("5"), Value::Array(Vec::new())])),
            map(Value::Array(vec![
                bulk("5-1"),
                Value::Array(vec![bulk("a")]),
            ])),
        ] {
            assert!(entries(&odd).is_err(), "{odd:?}");
        }
    }
}
