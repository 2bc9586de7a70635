//! Frames from the service, in any of the shapes that are known or likely.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::calendar::iso_8601;
use crate::fetch::shown;
use crate::source::milliseconds;

/// What a frame is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody says something.
    Message,
    /// Something happens, by this name.
    Event(String),
    /// Something was refused.
    Error,
    /// Something that is not known, and not needed.
    Other,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// The message's or event's own.
    pub id: Option<String>,
    /// The text of a message.
    pub content: String,
    /// What else it carries, each as text.
    pub attributes: BTreeMap<String, String>,
    /// Who sent it.
    pub user: Option<String>,
    /// When, since the Unix epoch.
    pub sent_at: Option<Duration>,
    /// An error's number and text.
    pub code: Option<u64>,
    message: String,
}

impl Frame {
    /// An attribute by its name in any case.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let mut all = self.attributes.iter();
        let (_, value) = all.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// An error's text, after a colon.
    #[must_use]
    pub fn told(&self) -> String {
        match shown(&self.message).as_str() {
            "" => String::new(),
            text => format!(": {text}"),
        }
    }
}

/// Reads what came at once: an object, or an array of some. `None` if it is neither.
#[must_use]
pub fn read(text: &str) -> Option<Vec<Frame>> {
    match serde_json::from_str(text).ok()? {
        Value::Object(object) => Some(vec![frame(&object)]),
        Value::Array(items) => items
            .iter()
            .map(|item| Some(frame(item.as_object()?)))
            .collect(),
        _ => None,
    }
}

/// Without a `Type`, a frame is what its other members make it.
fn frame(object: &Map<String, Value>) -> Frame {
    let word = member(object, "Type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let event = member(object, "EventName").and_then(text);
    let code = member(object, "ErrorCode");
    let content = member(object, "Content").and_then(text);
    let kind = match word.to_ascii_uppercase().as_str() {
        "MESSAGE" => Kind::Message,
        "EVENT" => Kind::Event(event.unwrap_or_default()),
        "ERROR" => Kind::Error,
        "" => match (event, code, &content) {
            (Some(event), ..) => Kind::Event(event),
            (None, Some(_), _) => Kind::Error,
            (None, None, Some(_)) => Kind::Message,
            _ => Kind::Other,
        },
        _ => Kind::Other,
    };
    let sender = member(object, "Sender");
    let user = match sender {
        Some(Value::Object(sender)) => member(sender, "UserId").or(member(sender, "Id")),
        other => other,
    };
    let attributes = member(object, "Attributes").and_then(Value::as_object);
    let attributes = attributes.into_iter().flatten();
    Frame {
        kind,
        id: member(object, "Id").and_then(text),
        content: content.unwrap_or_default(),
        attributes: attributes
            .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
            .collect(),
        user: user.and_then(text).filter(|user| !user.is_empty()),
        sent_at: member(object, "SendTime").and_then(time),
        code: code.and_then(number),
        message: member(object, "ErrorMessage")
            .and_then(text)
            .unwrap_or_default(),
    }
}

/// A member by its name in any case; the name as it should be counts first.
fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        let mut all = object.iter();
        let (_, value) = all.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(value)
    })
}

/// A text, or what stands for one.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn number(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| value.as_str()?.trim().parse().ok())
}

/// A date, or milliseconds since the Unix epoch.
fn time(value: &Value) -> Option<Duration> {
    match value {
        Value::String(text) => iso_8601(text),
        number => milliseconds(number),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Frame {
        let frames = read(text).unwrap();
        assert_eq!(frames.len(), 1, "{text}");
        frames.into_iter().next().unwrap()
    }

    #[test]
    fn a_message_is_read_in_any_case() {
        let documented = r#"{"Type":"MESSAGE","Id":"AYk6xKitV4On","RequestId":"..","Attributes":
            {"reaction":"heart","n":2,"is":true,"none":null,"deep":{}},"Content":"hi",
            "SendTime":"2026-11-21T02:51:00.113Z","Sender":{"UserId":"u","Attributes":{"username":"A"}}}"#;
        let frame = one(documented);
        assert_eq!(frame.kind, Kind::Message);
        assert_eq!(frame.id.as_deref(), Some("AYk6xKitV4On"));
        assert_eq!(
            (frame.content.as_str(), frame.user.as_deref()),
            ("hi", Some("u"))
        );
        assert_eq!(
            frame.sent_at,
            Some(Duration::from_millis(1_795_229_460_113))
        );
        let attributes: Vec<_> = frame
            .attributes
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        assert_eq!(attributes, ["is=true", "n=2", "reaction=heart"]);
        let lower = r#"{"type":"message","id":"AYk6xKitV4On","attributes":{"n":2,"is":true,
            "reaction":"heart"},"content":"hi","sendTime":1795229460113,"sender":{"userId":"u"}}"#;
        assert_eq!(one(lower), frame);
        assert_eq!(frame.attribute("REACTION"), Some("heart"));
    }

    #[test]
    fn a_frame_without_a_type_is_what_its_members_make_it() {
        let kind = |text: &str| one(text).kind;
        assert_eq!(kind(r#"{"Content":"❤","Sender":"u"}"#), Kind::Message);
        assert_eq!(
            kind(r#"{"EventName":"x","Content":"y"}"#),
            Kind::Event("x".into())
        );
        assert_eq!(kind(r#"{"ErrorCode":401}"#), Kind::Error);
        assert_eq!(kind("{}"), Kind::Other);
        assert_eq!(kind(r#"{"Type":"HEARTBEAT","Content":"x"}"#), Kind::Other);
        assert_eq!(kind(r#"{"Type":7}"#), Kind::Other);
        let error = one(r#"{"Type":"ERROR","ErrorCode":"403","ErrorMessage":"a\u0000b"}"#);
        assert_eq!((error.code, error.told().as_str()), (Some(403), ": ab"));
        assert_eq!(one(r#"{"Type":"ERROR","ErrorCode":-1}"#).code, None);
        let two = read(r#"[{"Type":"MESSAGE"},{"Type":"ERROR"}]"#).unwrap();
        assert_eq!(two.len(), 2);
    }

    #[test]
    fn what_is_no_frame_is_none() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let objects = r#"{"a":"#.repeat(50_000);
        for text in [
            "", "heart", "7", "null", "[1]", "[[{}]]", "{", "{}{}", &deep, &objects,
        ] {
            assert_eq!(read(text), None, "{}", shown(text));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}:,\"A-Za-z0-9 ]{0,60}") {
            drop(read(&text));
        }
    }
}
