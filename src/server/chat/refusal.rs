//! Requests of the control API, read member by member, and its errors.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::server::answer::json as answer;
use crate::server::chat::wire::{Attributes, attributes};

/// An error answer: its kind in `x-amzn-ErrorType`, and JSON as the API's model has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    body: Value,
}

impl Refusal {
    /// A member that can't be taken: its name, and what is accepted.
    pub(super) fn field(name: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let body = json!({
            "message": format!("{name}: {message}"),
            "reason": "FIELD_VALIDATION_FAILED",
            "fieldList": [{"name": name, "message": message}],
        });
        Self::new(StatusCode::BAD_REQUEST, "ValidationException", body)
    }

    /// A request that can't be read at all.
    pub(super) fn unreadable(message: impl Into<String>) -> Self {
        let body = json!({"message": message.into(), "reason": "OTHER"});
        Self::new(StatusCode::BAD_REQUEST, "ValidationException", body)
    }

    pub(super) fn denied(message: impl Into<String>) -> Self {
        let body = json!({"message": message.into()});
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", body)
    }

    /// The room of such an id is not there.
    pub(super) fn no_room(id: &str) -> Self {
        let body = json!({
            "message": "there is no such room; ListRooms lists those that there are",
            "resourceId": id,
            "resourceType": "ROOM",
        });
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", body)
    }

    /// Too often, for now.
    pub(super) fn throttled(what: &str, id: &str, per_second: usize) -> Self {
        let body = json!({
            "message": format!("at most {per_second} {what} a second are accepted"),
            "resourceId": id,
            "resourceType": "ROOM",
            "limit": per_second,
        });
        Self::new(StatusCode::TOO_MANY_REQUESTS, "ThrottlingException", body)
    }

    /// More rooms than fit.
    pub(super) fn quota(max: usize) -> Self {
        let body = json!({
            "message": format!("there are {max} rooms already; delete one"),
            "resourceId": "",
            "resourceType": "ROOM",
            "limit": max,
        });
        let status = StatusCode::PAYMENT_REQUIRED;
        Self::new(status, "ServiceQuotaExceededException", body)
    }

    /// It would undo what something else rests on.
    pub(super) fn conflict(message: impl Into<String>, id: &str) -> Self {
        let body = json!({
            "message": message.into(),
            "resourceId": id,
            "resourceType": "ROOM",
        });
        Self::new(StatusCode::CONFLICT, "ConflictException", body)
    }

    fn new(status: StatusCode, kind: &'static str, body: Value) -> Self {
        Self { status, kind, body }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = answer(self.status, &self.body);
        let name = HeaderName::from_static("x-amzn-errortype");
        let kind = HeaderValue::from_static(self.kind);
        response.headers_mut().insert(name, kind);
        response
    }
}

/// A request's members. Those that are not asked for are passed over.
#[derive(Debug)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// A JSON object; an empty body is one without members.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        if body.is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(Refusal::unreadable("expected a JSON object")),
            Err(error) => Err(Refusal::unreadable(format!(
                "the body is not JSON: {error}"
            ))),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Text of so many characters.
    pub(super) fn text(
        &self,
        name: &str,
        characters: RangeInclusive<usize>,
    ) -> Result<Option<&str>, Refusal> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let text = value.as_str();
        let text = text.filter(|text| characters.contains(&text.chars().count()));
        text.map(Some).ok_or_else(|| {
            let (min, max) = (characters.start(), characters.end());
            Refusal::field(name, format!("expected text of {min} to {max} characters"))
        })
    }

    /// The same, and it must be there.
    pub(super) fn required(
        &self,
        name: &str,
        characters: RangeInclusive<usize>,
    ) -> Result<&str, Refusal> {
        let text = self.text(name, characters)?;
        text.ok_or_else(|| Refusal::field(name, "is missing"))
    }

    /// A whole number in this range.
    pub(super) fn whole(
        &self,
        name: &str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<u32>, Refusal> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| {
            let (min, max) = (range.start(), range.end());
            Refusal::field(name, format!("expected a whole number from {min} to {max}"))
        })
    }

    /// Attributes, or none.
    pub(super) fn attributes(&self, name: &str) -> Result<Attributes, Refusal> {
        attributes(self.get(name)).map_err(|fault| {
            let message = fault.message.trim_start_matches("Attributes: ");
            Refusal::field(name, message)
        })
    }

    /// Tags: at most 50, with names of 1 to 128 characters and values of at most 256.
    pub(super) fn tags(&self) -> Result<Option<BTreeMap<String, String>>, Refusal> {
        let Some(value) = self.get("tags") else {
            return Ok(None);
        };
        let refusal = || {
            let message = "expected an object of at most 50 texts, with names of 1 to 128 \
                           characters and values of at most 256";
            Refusal::field("tags", message)
        };
        let entries = value.as_object().filter(|entries| entries.len() <= 50);
        let tag = |(name, value): (&String, &Value)| {
            let value = value.as_str().filter(|text| text.chars().count() <= 256)?;
            let fits = (1..=128).contains(&name.chars().count());
            fits.then(|| (name.clone(), value.to_owned()))
        };
        let tags: Option<_> = entries.ok_or_else(refusal)?.iter().map(tag).collect();
        tags.map(Some).ok_or_else(refusal)
    }
}
