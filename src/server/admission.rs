//! Who calls, and what they may do.

use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::header::{AUTHORIZATION, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};

use crate::server::answer::ApiError;
use crate::server::path::parameter;
use crate::server::{Access, App, first};
use crate::source::since_epoch;
use crate::token::{Claims, Role, TokenError, verify};
use crate::topic::TopicName;

/// The topic of a script that put its address in single quotes, where JavaScript fills nothing in.
const UNFILLED: &str = "${streamId}";

/// One admitted caller.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// None for an anonymous one.
    pub(super) claims: Option<Claims>,
    /// Where the connection comes from.
    pub(super) address: SocketAddr,
    /// Whose polls, and chats, are counted together: the token, or else address and user agent.
    pub(super) counted_as: u64,
    /// Token, address and user agent.
    looks_like: u64,
}

impl Caller {
    /// Lets the caller in, or says with 401 or 400 why not.
    pub(super) fn admit(app: &App, head: &Parts) -> Result<Self, ApiError> {
        let token = sent_token(head)?;
        let claims = match &token {
            Some(token) => verify(token, &app.service.key, since_epoch().as_secs()),
            None => Err(TokenError::Unreadable),
        };
        let claims = match (claims, app.service.access) {
            (Ok(claims), _) => Some(claims),
            (Err(TokenError::Unreadable), Access::Open) => None,
            (Err(error), _) => return Err(refusal(error, token.as_deref())),
        };
        if claims.is_none() {
            app.service.metrics.anonymous_admissions.inc();
            if first(&app.told_of_anonymous) {
                tracing::warn!(
                    "letting in callers without a readable token, since this is loopback and no \
                     signing key is set; said once"
                );
            }
        }
        // Absent in a router that is not served with connect info.
        let address = head.extensions.get::<ConnectInfo<SocketAddr>>().map_or(
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            |ConnectInfo(address)| *address,
        );
        let agent = head.headers.get(USER_AGENT);
        let known_by: (Option<&str>, Option<IpAddr>, _) = match &claims {
            Some(_) => (token.as_deref(), None, None),
            None => (None, Some(address.ip()), agent),
        };
        Ok(Self {
            counted_as: app.hasher.hash_one(known_by),
            looks_like: app.hasher.hash_one((&token, address.ip(), agent)),
            claims,
            address,
        })
    }

    /// The topic that the caller means by `name`, if it may do `method` there.
    pub(super) fn topic(
        &self,
        app: &App,
        name: TopicName,
        method: &Method,
    ) -> Result<TopicName, ApiError> {
        let name = self.filled_in(app, name)?;
        if let Some(claims) = &self.claims {
            let permitted = match claims.role {
                role if *method == Method::POST => role.publishes(),
                role => role.subscribes(),
            };
            if claims.cache != name.cache() || claims.topic != name.topic() || !permitted {
                let role = match claims.role {
                    Role::PublishSubscribe => "publish and subscribe",
                    Role::PublishOnly => "publish",
                    Role::SubscribeOnly => "subscribe",
                };
                let message = format!(
                    "the token lets its holder {role} on topic {:?} of cache {:?} alone",
                    claims.topic, claims.cache
                );
                return Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", message));
            }
        }
        app.check_cache(&name)?;
        Ok(name)
    }

    /// A hash of the caller and a topic, for the gap cure.
    pub(super) fn on(&self, app: &App, name: &TopicName) -> u64 {
        app.hasher.hash_one((self.looks_like, name))
    }

    fn filled_in(&self, app: &App, name: TopicName) -> Result<TopicName, ApiError> {
        if name.topic() != UNFILLED {
            return Ok(name);
        }
        let meant = match &self.claims {
            Some(claims) => &claims.topic,
            None => &app.service.default_topic,
        };
        if first(&app.told_of_unfilled) {
            tracing::warn!(
                "a script asks for the topic {UNFILLED:?}, taken for {meant:?}: its address \
                 stands in single quotes, where JavaScript fills nothing in; said once"
            );
        }
        Ok(TopicName::new(name.cache(), meant)?)
    }
}

fn sent_token(head: &Parts) -> Result<Option<String>, ApiError> {
    let mut headers = head.headers.get_all(AUTHORIZATION).iter();
    let header = headers.next();
    let parameter = parameter(&head.uri, "token")?;
    if headers.next().is_some() || (header.is_some() && parameter.is_some()) {
        let message = "the token is given more than once; only one value must be set: the \
                       Authorization header or ?token=";
        return Err(ApiError::bad_request("two_tokens", message));
    }
    let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Ok(header.or(parameter))
}

fn refusal(error: TokenError, token: Option<&str>) -> ApiError {
    let (code, message) = match error {
        TokenError::Expired => (
            "token_expired",
            "the token has expired; get a new one".into(),
        ),
        TokenError::Unreadable => {
            let why = match token.map(|token| token.trim().trim_start_matches("Bearer ")) {
                None => "no token was sent: send it in the Authorization header or as ?token=",
                Some("" | "Bearer") => "the token is empty: was it sent before it was fetched?",
                Some("undefined" | "null") => {
                    "the script sent a variable that holds no token: was the answer of \
                     POST /tokens awaited, and its `token` read?"
                }
                Some(token) if token.starts_with("{{") => {
                    "the script sent a placeholder that nothing filled in: send the `token` that \
                     POST /tokens answers with (in the tutorial, `authToken`)"
                }
                Some(_) => "the token is not one of this service, or not whole",
            };
            ("token_invalid", format!("{why}; POST /tokens makes one"))
        }
    };
    ApiError::new(StatusCode::UNAUTHORIZED, code, message)
}
