//! What a server answers of a stream. None of it is trusted.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use redis::Value;

/// The fields that are a payload, in order, where the address names none.
const FIELDS: [&str; 3] = ["payload", "message", "reaction"];

/// An entry's id: milliseconds since the Unix epoch, and a number among those.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(pub(super) u64, pub(super) u64);

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

/// What a server says of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Info {
    pub(super) last: Id,
    /// How many entries it was ever given; Redis 7 counts.
    pub(super) added: Option<u64>,
}

/// An answer that is not as documented.
#[derive(Debug)]
pub(super) struct Malformed;

/// An entry, its fields in order.
pub(super) type Entry<'a> = (Id, Vec<(&'a [u8], &'a [u8])>);

impl Info {
    pub(super) fn of(answer: Value) -> Result<Self, Malformed> {
        let fields: HashMap<String, Value> =
            redis::from_redis_value(answer).map_err(|_| Malformed)?;
        let last = match fields.get("last-generated-id") {
            Some(Value::BulkString(id)) => str(id)?.parse()?,
            _ => return Err(Malformed),
        };
        let added = match fields.get("entries-added") {
            Some(Value::Int(added)) => u64::try_from(*added).ok(),
            _ => None,
        };
        Ok(Self { last, added })
    }
}

fn str(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed)
}

/// The entries of an answer to XREAD for one stream: nil, or in RESP 3 a map from the key.
pub(super) fn entries(answer: &Value) -> Result<Vec<Entry<'_>>, Malformed> {
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
pub(super) fn payload<'a>(
    fields: &[(&'a [u8], &'a [u8])],
    wanted: Option<&str>,
) -> Option<&'a [u8]> {
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
