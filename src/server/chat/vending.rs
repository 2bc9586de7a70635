//! `POST /chat/tokens`: a viewer's own token for the room of a stream.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;

use crate::server::answer::{ApiError, body, json};
use crate::server::chat::crowd::Party;
use crate::server::chat::wire::{Sender, USER_ID_CHARS_MAX, attributes};
use crate::server::chat::{Capabilities, TOKENS_PER_SECOND, control};
use crate::server::{App, REACTION_CACHE, admission::Caller, tokens};
use crate::topic::TopicName;

/// The longest request, in bytes: attributes of 1 KB, escaped, fit.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// Vends as `POST /tokens` does, and to whom the topic of the stream is open: with a token of ours
/// the user's id is the token's; without one, where none is required, that of the body or a new
/// one. It may send if its holder may publish, and neither delete nor disconnect.
pub(super) async fn vend(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (head, sent) = request.into_parts();
    let caller = Caller::admit(&app, &head)?;
    let sent = body(sent, BODY_BYTES_MAX, "body_too_large").await?;
    let fields = tokens::object(&sent)?;
    let (player, stream) = tokens::player_and_stream(&fields)?;
    let name = TopicName::new(REACTION_CACHE, &stream)
        .map_err(|error| ApiError::bad_request("bad_field", format!("streamId: {error}")))?;
    let name = caller.topic(&app, name, &Method::GET)?;
    let room = app.chat.room_of_topic(&name).ok_or_else(|| {
        let message = format!("no channel floats the reactions of {name}, so it has no chat");
        ApiError::not_found("no_room", message)
    })?;
    let attributes = attributes(fields.get("attributes")).map_err(|fault| {
        let message = fault.message.replacen("Attributes", "attributes", 1);
        ApiError::bad_request("bad_field", message)
    })?;
    let (user_id, send) = match caller.claims {
        Some(claims) => (claims.id, claims.role.publishes()),
        None => (player.unwrap_or_else(tokens::new_player), true),
    };
    let sender = Sender {
        user_id: user_id.chars().take(USER_ID_CHARS_MAX).collect(),
        attributes,
    };
    let capabilities = Capabilities {
        send,
        ..Capabilities::default()
    };
    let party = Party::at(caller.address.ip(), || Party::Caller(caller.counted_as));
    let message = format!(
        "at most {} chat tokens a second are made for one caller, and {TOKENS_PER_SECOND} for all",
        party.tokens_per_second()
    );
    let token = control::mint(&app.chat, &room, sender, Some(party), capabilities, None);
    let token = token.ok_or_else(|| ApiError::too_many("too_many_tokens", message))?;
    Ok(json(StatusCode::CREATED, &token))
}
