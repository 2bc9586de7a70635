//! Who rules the rooms.
//!
//! That is decided as for topics. With [`Access::Required`] it takes a token for the topic `rooms` of
//! the cache `ivschat`, which `POST /tokens` never mints: the holder of the signing key does. It is
//! sent in `Authorization`, or by AWS's own tools as their session token.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;

use crate::server::chat::refusal::Refusal;
use crate::server::{Access, App};
use crate::source::since_epoch;
use crate::token::{TokenError, verify};

/// The topic whose tokens rule the rooms.
const OPERATORS: (&str, &str) = ("ivschat", "rooms");

/// Lets an operator in. Where everyone is one, because this is loopback and no key is set, pages of
/// other sites that a browser of this computer shows are still refused.
pub(super) fn admit(app: &App, head: &Parts) -> Result<(), Refusal> {
    let headers = &head.headers;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
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
        (Err(TokenError::Unreadable), Access::Open) if is_of_another_site(headers) => {
            let message = "a page of another site may not rule rooms here without a token";
            Err(Refusal::denied(message))
        }
        (Err(TokenError::Unreadable), Access::Open) if !is_called_as_it_is(head) => {
            let message = "rooms are ruled without a token at http://localhost or an IP address \
                           alone: any other name may be that of another site";
            Err(Refusal::denied(message))
        }
        (Err(TokenError::Unreadable), Access::Open) => Ok(()),
        (Err(error), _) => Err(Refusal::denied(format!(
            "{error}: expected one for topic {:?} of cache {:?}, in Authorization or, of AWS's \
             tools, as the session token",
            OPERATORS.1, OPERATORS.0
        ))),
    }
}

fn is_of_another_site(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return false;
    };
    let site = origin.to_str().ok().and_then(|text| text.split_once("://"));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    site.map(|(_, site)| site) != host
}

/// Whether the name that this server was called is certainly its own. A page of another site can
/// have the name of its site lead here once it is loaded (DNS rebinding), and is then, as its browser
/// sees it, of this site.
fn is_called_as_it_is(head: &Parts) -> bool {
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let named = host.and_then(|host| host.parse().ok());
    let Some(authority) = head.uri.authority().cloned().or(named) else {
        return false;
    };
    let host: &str = Authority::host(&authority);
    host.eq_ignore_ascii_case("localhost")
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}
