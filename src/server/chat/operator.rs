//! Who rules the rooms.
//!
//! Whoever has the [control key](crate::server::operator), and otherwise that is decided as for
//! topics. With [`Access::Required`] it takes a token for the topic `rooms` of the cache `ivschat`,
//! which `POST /tokens` never mints: the holder of the signing key does. It is sent in
//! `Authorization`, or by AWS's own tools as their session token.

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::server::chat::refusal::Refusal;
use crate::server::{Access, App, operator};
use crate::source::since_epoch;
use crate::token::{TokenError, verify};

/// The topic whose tokens rule the rooms.
const OPERATORS: (&str, &str) = ("ivschat", "rooms");

/// Lets an operator in. Where everyone is one, because this is loopback and no key is set, pages of
/// other sites that a browser of this computer shows are still refused.
pub(super) fn admit(app: &App, head: &Parts) -> Result<(), Refusal> {
    let admitted = operator::admit(app, head);
    if app.service.control_key.is_some() && admitted.is_ok() {
        return Ok(());
    }
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let signature = |value: &&str| !value.starts_with("AWS4-");
    let token = text(AUTHORIZATION.as_str()).filter(signature);
    let token = token.or_else(|| text("x-amz-security-token"));
    let claims = match token {
        Some(token) => verify(token, &app.service.key, since_epoch().as_secs()),
        None => Err(TokenError::Unreadable),
    };
    match (claims, app.service.access) {
        (Ok(claims), _) if (&claims.cache[..], &claims.topic[..]) == OPERATORS => {
            match claims.role.publishes() {
                true => Ok(()),
                false => Err(Refusal::denied(
                    "the token lets its holder subscribe alone; rooms are ruled with one that \
                     lets its holder publish",
                )),
            }
        }
        (Ok(claims), _) => Err(Refusal::denied(format!(
            "the token is for topic {:?} of cache {:?}; rooms are ruled with one for topic {:?} \
             of cache {:?}",
            claims.topic, claims.cache, OPERATORS.1, OPERATORS.0
        ))),
        (Err(TokenError::Unreadable), Access::Open) => {
            admitted.map_err(|error| Refusal::denied(error.message()))
        }
        (Err(error), _) => Err(no_token(error)),
    }
}

fn no_token(error: TokenError) -> Refusal {
    Refusal::denied(format!(
        "{error}: expected one for topic {:?} of cache {:?}, in Authorization or, of AWS's tools, \
         as the session token; or the control key, in Authorization after Bearer or in \
         X-Floatup-Key",
        OPERATORS.1, OPERATORS.0
    ))
}
