//! The token vending machine: `POST /tokens`, as the tutorial's script calls it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::momento::{MintError, Minted, Minter};
use crate::server::answer::{ApiError, body, json};
use crate::server::{App, REACTION_CACHE};
use crate::source::since_epoch;
use crate::token::{self, Claims, Role};
use crate::topic::TopicName;

/// How long a token lasts, in seconds, as in the tutorial.
const LIFETIME_S: u64 = 30 * 60;

/// The longest player id, in characters, as in the Momento API; a longer one is cut.
const ID_CHARS_MAX: usize = 64;

/// The longest request, in bytes.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// Mints a token for one player to publish and subscribe on one stream's topic.
///
/// The body is JSON under any content type: the tutorial's script names none.
pub(super) async fn mint(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct Wire {
        token: String,
        #[serde(rename = "expiresAt")]
        expires_at: u64,
    }
    let (head, sent) = request.into_parts();
    let sent = body(sent, BODY_BYTES_MAX, "body_too_large").await?;
    let (player, stream) = player_and_stream(&object(&sent)?)?;
    let name = TopicName::new(REACTION_CACHE, &stream)
        .map_err(|error| ApiError::bad_request("bad_field", format!("streamId: {error}")))?;
    let id = player.unwrap_or_else(new_player);
    let wire = match &app.service.minter {
        Some(minter) => {
            let minted = of_account(minter, &name, &id).await?;
            Wire {
                token: minted.token,
                expires_at: minted.expires_at,
            }
        }
        None => {
            let claims = Claims {
                cache: name.cache().into(),
                topic: name.topic().into(),
                role: Role::PublishSubscribe,
                id,
                expires_at: since_epoch().as_secs() + LIFETIME_S,
            };
            let jwt = token::mint(&claims, &app.service.key);
            Wire {
                token: token::wrap(&jwt, &endpoint(&head.headers, app.service.address)),
                expires_at: claims.expires_at,
            }
        }
    };
    Ok(json(StatusCode::CREATED, &wire))
}

/// A token of a Momento account.
async fn of_account(minter: &Minter, name: &TopicName, id: &str) -> Result<Minted, ApiError> {
    let lifetime = Duration::from_secs(LIFETIME_S);
    let role = Role::PublishSubscribe;
    let minted = minter.mint(name.cache(), name.topic(), role, id, lifetime);
    minted.await.map_err(|error| {
        let message = error.to_string();
        tracing::warn!("no token: {message}");
        match error {
            MintError::Busy { .. } => ApiError::busy("upstream_busy", message),
            _ => ApiError::new(StatusCode::BAD_GATEWAY, "upstream_failed", message),
        }
    })
}

/// An id for a player who has none.
pub(super) fn new_player() -> String {
    format!("player-{:032x}", rand::random::<u128>())
}

/// The fields of a body.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let bad_json = |message| ApiError::bad_request("bad_json", message);
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(bad_json("expected a JSON object with streamId".into())),
        Err(error) => Err(bad_json(format!("the body is not JSON: {error}"))),
    }
}

/// The player's id, if there is one, and the stream's.
pub(super) fn player_and_stream(
    fields: &Map<String, Value>,
) -> Result<(Option<String>, String), ApiError> {
    let player = match field(fields, "playerId")? {
        None | Some(None) => None,
        Some(Some(id)) => Some(id.chars().take(ID_CHARS_MAX).collect::<String>()),
    };
    let stream = match field(fields, "streamId")? {
        // What the page has when its address names no video, and what it puts into the path.
        Some(None) => "null".into(),
        Some(Some(stream)) => stream,
        None => {
            let message = "streamId is missing: the stream whose topic the token is for";
            return Err(ApiError::bad_request("bad_field", message));
        }
    };
    Ok((player.filter(|id| !id.is_empty()), stream))
}

/// A field under this name in any case: `Some(None)` is null; a number is taken for its text.
fn field(fields: &Map<String, Value>, name: &str) -> Result<Option<Option<String>>, ApiError> {
    let found = fields.get(name).or_else(|| {
        fields
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    });
    match found {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(Value::String(text)) => Ok(Some(Some(text.clone()))),
        Some(Value::Number(number)) => Ok(Some(Some(number.to_string()))),
        Some(_) => {
            let message = format!("{name}: expected text");
            Err(ApiError::bad_request("bad_field", message))
        }
    }
}

/// Where the holder reaches us: what it called us, if that can be an address at all.
fn endpoint(headers: &HeaderMap, address: SocketAddr) -> String {
    headers
        .get(HOST)
        .and_then(|host| host.to_str().ok()?.parse::<Authority>().ok())
        .filter(|host| !host.as_str().contains('@'))
        .map_or_else(|| address.to_string(), |host| host.to_string())
}
