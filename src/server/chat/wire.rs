//! The frames of the messaging API: requests of clients, and what they are sent.
//!
//! The names of keys are accepted in any case, since clients in the field write them small; what
//! stands in `Attributes` stays as it is.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use serde_json::{Map, Value, json};

use crate::calendar::extended;
use crate::server::chat::{ID_CHARS, new_id};

/// What a message, a user or an event carries besides: text by name.
pub type Attributes = BTreeMap<String, String>;

/// The names and values of attributes together, in bytes; more are refused with 413.
pub(super) const ATTRIBUTES_BYTES_MAX: usize = 1024;

/// The longest request id, in bytes; a longer one is refused with 413.
const REQUEST_ID_BYTES_MAX: usize = 256;

/// The longest reason, in characters; a longer one is refused with 413.
pub(super) const REASON_CHARS_MAX: usize = 256;

/// The longest user id, in characters.
pub(super) const USER_ID_CHARS_MAX: usize = 128;

/// What the sender of a request is told went wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// 400, 403, 404, 406, 413 or 429, as HTTP has them.
    pub code: u16,
    /// What is wrong, and what is accepted.
    pub message: String,
}

impl Fault {
    pub(super) fn new(code: u16, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// That everyone is sent a message.
    Send {
        /// Its text.
        content: String,
        /// At most 1 KB of names and values.
        attributes: Attributes,
    },
    /// That a message is taken back.
    Delete {
        /// The message's.
        id: String,
        /// At most 256 characters.
        reason: Option<String>,
    },
    /// That a user is disconnected.
    Disconnect {
        /// 1 to 128 characters.
        user_id: String,
        /// At most 256 characters.
        reason: Option<String>,
    },
}

/// Reads a request, and its id even if the rest can't be read.
///
/// # Errors
/// [`Fault`]: what the sender is told.
pub fn read(text: &str) -> (Option<String>, Result<Request, Fault>) {
    // Nesting is bounded by the parser, at 128.
    let fields = match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return (None, Err(Fault::new(400, "expected a JSON object"))),
        Err(error) => {
            let fault = Fault::new(400, format!("the frame is not JSON: {error}"));
            return (None, Err(fault));
        }
    };
    let request_id = match optional(&fields, "RequestId") {
        Ok(Some(id)) if id.len() > REQUEST_ID_BYTES_MAX => {
            let message = format!("RequestId: at most {REQUEST_ID_BYTES_MAX} bytes are accepted");
            return (None, Err(Fault::new(413, message)));
        }
        Ok(id) => id.map(str::to_owned),
        Err(fault) => return (None, Err(fault)),
    };
    (request_id, request(&fields))
}

fn request(fields: &Map<String, Value>) -> Result<Request, Fault> {
    match required(fields, "Action")? {
        "SEND_MESSAGE" => Ok(Request::Send {
            content: required(fields, "Content")?.to_owned(),
            attributes: attributes(field(fields, "Attributes"))?,
        }),
        "DELETE_MESSAGE" => {
            let id = required(fields, "Id")?;
            if !is_id(id) {
                let message = format!("Id: expected {ID_CHARS} letters and digits");
                return Err(Fault::new(400, message));
            }
            Ok(Request::Delete {
                id: id.to_owned(),
                reason: reason(fields)?,
            })
        }
        "DISCONNECT_USER" => {
            let user_id = required(fields, "UserId")?;
            if !(1..=USER_ID_CHARS_MAX).contains(&user_id.chars().count()) {
                let message = format!("UserId: expected 1 to {USER_ID_CHARS_MAX} characters");
                return Err(Fault::new(400, message));
            }
            Ok(Request::Disconnect {
                user_id: user_id.to_owned(),
                reason: reason(fields)?,
            })
        }
        _ => {
            let expected = "expected SEND_MESSAGE, DELETE_MESSAGE or DISCONNECT_USER";
            Err(Fault::new(400, format!("Action: {expected}")))
        }
    }
}

/// Whether text has the form of a message's or a room's id.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID_CHARS && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Reads attributes; none are an empty map.
pub(super) fn attributes(value: Option<&Value>) -> Result<Attributes, Fault> {
    let entries = match value {
        None | Some(Value::Null) => return Ok(Attributes::new()),
        Some(Value::Object(entries)) => entries,
        Some(_) => return Err(Fault::new(400, "Attributes: expected an object of texts")),
    };
    let mut attributes = Attributes::new();
    let mut bytes = 0;
    for (name, value) in entries {
        let Value::String(value) = value else {
            return Err(Fault::new(400, "Attributes: expected text for each value"));
        };
        bytes += name.len() + value.len();
        if bytes > ATTRIBUTES_BYTES_MAX {
            let message = format!("Attributes: at most {ATTRIBUTES_BYTES_MAX} bytes are accepted");
            return Err(Fault::new(413, message));
        }
        attributes.insert(name.clone(), value.clone());
    }
    Ok(attributes)
}

fn reason(fields: &Map<String, Value>) -> Result<Option<String>, Fault> {
    let reason = optional(fields, "Reason")?;
    if reason.is_some_and(|reason| reason.chars().count() > REASON_CHARS_MAX) {
        let message = format!("Reason: at most {REASON_CHARS_MAX} characters are accepted");
        return Err(Fault::new(413, message));
    }
    Ok(reason.filter(|text| !text.is_empty()).map(str::to_owned))
}

fn required<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, Fault> {
    match optional(fields, name)? {
        Some("") | None => Err(Fault::new(400, format!("{name} is missing"))),
        Some(text) => Ok(text),
    }
}

fn optional<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Fault> {
    match field(fields, name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Fault::new(400, format!("{name}: expected text"))),
    }
}

/// A field under this name in any case; as it is documented, first.
fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).or_else(|| {
        let mut others = fields.iter();
        let found = others.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    })
}

/// One message, as everyone in the room is sent it.
#[derive(Clone, Debug)]
pub struct Message {
    /// Of its own.
    pub id: String,
    /// Of the request that it answers.
    pub request_id: Option<String>,
    /// Its text.
    pub content: String,
    /// What it carries besides.
    pub attributes: Attributes,
    /// Who sent it.
    pub sender: Sender,
    /// Since the Unix epoch.
    pub sent_at: Duration,
}

/// Who sends, by what stands in the token.
#[derive(Clone, Debug)]
pub struct Sender {
    /// Of the token.
    pub user_id: String,
    /// Of the token too.
    pub attributes: Attributes,
}

impl Message {
    /// It as it is sent.
    #[must_use]
    pub fn frame(&self) -> Utf8Bytes {
        let mut frame = json!({
            "Type": "MESSAGE",
            "Id": self.id,
            "Content": self.content,
            "Attributes": self.attributes,
            "SendTime": extended(self.sent_at),
            "Sender": {
                "UserId": self.sender.user_id,
                "Attributes": self.sender.attributes,
            },
        });
        put_request_id(&mut frame, self.request_id.as_deref());
        frame.to_string().into()
    }
}

/// An event's id and its frame.
pub(super) fn event(
    name: &str,
    attributes: &Attributes,
    request_id: Option<&str>,
    sent_at: Duration,
) -> (String, Utf8Bytes) {
    let id = new_id();
    let mut frame = json!({
        "Type": "EVENT",
        "Id": id,
        "EventName": name,
        "Attributes": attributes,
        "SendTime": extended(sent_at),
    });
    put_request_id(&mut frame, request_id);
    (id, frame.to_string().into())
}

/// An error's frame. It has attributes too, though empty: clients read them off every frame.
#[must_use]
pub fn error(fault: &Fault, request_id: Option<&str>) -> Utf8Bytes {
    let mut frame = json!({
        "Type": "ERROR",
        "Id": new_id(),
        "ErrorCode": fault.code,
        "ErrorMessage": fault.message,
        "Attributes": {},
    });
    put_request_id(&mut frame, request_id);
    frame.to_string().into()
}

fn put_request_id(frame: &mut Value, request_id: Option<&str>) {
    if let Some(id) = request_id {
        frame["RequestId"] = id.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, request_id: Option<&str>, expected: Result<Request, (u16, &str)>) {
        let (found_id, found) = read(text);
        assert_eq!(found_id.as_deref(), request_id, "{text:.200}");
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text:.200}"),
            (Err(fault), Err((code, part))) => {
                assert_eq!(fault.code, code, "{text:.200}");
                assert!(
                    fault.message.contains(part),
                    "{text:.200}: {}",
                    fault.message
                );
            }
            (found, expected) => panic!("{text:.200}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn keys_are_read_in_any_case_and_attributes_as_they_are() {
        let send = |content: &str, name: &str, value: &str| {
            Ok(Request::Send {
                content: content.into(),
                attributes: Attributes::from([(name.into(), value.into())]),
            })
        };
        check(
            r#"{"Action":"SEND_MESSAGE","RequestId":"1","Content":"hi","Attributes":{"K":"V"}}"#,
            Some("1"),
            send("hi", "K", "V"),
        );
        check(
            r#"{"action":"SEND_MESSAGE","requestId":"2","CONTENT":"hi","attributes":{"k":"v"}}"#,
            Some("2"),
            send("hi", "k", "v"),
        );
        // The documented spelling wins.
        check(
            r#"{"action":"NO","Action":"SEND_MESSAGE","content":"no","Content":"yes","Attributes":{"a":""}}"#,
            None,
            send("yes", "a", ""),
        );
        check(
            r#"{"Action":"DELETE_MESSAGE","id":"AYk6xKitV4On","reason":null}"#,
            None,
            Ok(Request::Delete {
                id: "AYk6xKitV4On".into(),
                reason: None,
            }),
        );
        check(
            r#"{"Action":"DISCONNECT_USER","userid":"ann","Reason":"spam"}"#,
            None,
            Ok(Request::Disconnect {
                user_id: "ann".into(),
                reason: Some("spam".into()),
            }),
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_the_request() {
        check("", None, Err((400, "not JSON")));
        check("[]", None, Err((400, "a JSON object")));
        check(&"[".repeat(10_000), None, Err((400, "not JSON")));
        check(
            &format!("{{\"Action\":{}", "{\"a\":".repeat(5_000)),
            None,
            Err((400, "not JSON")),
        );
        check("{}", None, Err((400, "Action is missing")));
        check(
            r#"{"Action":7,"RequestId":"r"}"#,
            Some("r"),
            Err((400, "Action: expected text")),
        );
        check(
            r#"{"Action":"SHOUT","RequestId":"r"}"#,
            Some("r"),
            Err((400, "SEND_MESSAGE")),
        );
        check(
            r#"{"RequestId":{}}"#,
            None,
            Err((400, "RequestId: expected text")),
        );
        let long = format!(r#"{{"RequestId":"{}"}}"#, "r".repeat(257));
        check(&long, None, Err((413, "RequestId")));
        check(
            r#"{"Action":"SEND_MESSAGE"}"#,
            None,
            Err((400, "Content is missing")),
        );
        check(
            r#"{"Action":"SEND_MESSAGE","Content":"a","Attributes":{"n":1}}"#,
            None,
            Err((400, "expected text for each")),
        );
        check(
            r#"{"Action":"SEND_MESSAGE","Content":"a","Attributes":["n"]}"#,
            None,
            Err((400, "an object")),
        );
        let bytes = |n: usize| {
            let value = "v".repeat(n - 1);
            format!(r#"{{"Action":"SEND_MESSAGE","Content":"a","Attributes":{{"k":"{value}"}}}}"#)
        };
        check(&bytes(1025), None, Err((413, "1024")));
        assert!(read(&bytes(1024)).1.is_ok());
        check(
            r#"{"Action":"DELETE_MESSAGE","Id":"short"}"#,
            None,
            Err((400, "12 letters")),
        );
        check(
            r#"{"Action":"DISCONNECT_USER","UserId":""}"#,
            None,
            Err((400, "UserId is missing")),
        );
        let long = "u".repeat(129);
        check(
            &format!(r#"{{"Action":"DISCONNECT_USER","UserId":"{long}"}}"#),
            None,
            Err((400, "1 to 128")),
        );
        let long = "r".repeat(257);
        check(
            &format!(r#"{{"Action":"DISCONNECT_USER","UserId":"u","Reason":"{long}"}}"#),
            None,
            Err((413, "Reason")),
        );
    }
}
