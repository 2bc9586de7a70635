//! Who may change what the service does.
//!
//! Whoever sends the control key may, from anywhere: a page of another site can't send it without
//! knowing it. Where there is none, because everyone is let in to the topics as well, whoever is at
//! this machine may; but not a page of another site in a browser here, whose requests are told by
//! their origin, or by a name of this service that isn't certainly its own.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, FORWARDED, HOST, HeaderMap, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::server::answer::ApiError;
use crate::server::bounds::FORWARDED_FOR;
use crate::server::{Access, App};

/// The shortest control key, in bytes.
pub const CONTROL_KEY_BYTES_MIN: usize = 16;

/// Where the key may stand beside `Authorization`, for those who send something else there.
const KEY_HEADER: &str = "x-floatup-key";

/// What opens all that changes the service. It is never printed.
#[derive(Clone)]
pub struct ControlKey(Vec<u8>);

/// A control key that can't be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("control key: {0} bytes, expected at least {min}", min = CONTROL_KEY_BYTES_MIN)]
pub struct ControlKeyError(usize);

impl ControlKey {
    /// A key of at least [`CONTROL_KEY_BYTES_MIN`] secret bytes.
    ///
    /// # Errors
    /// Fewer bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, ControlKeyError> {
        let bytes = bytes.into();
        match bytes.len() < CONTROL_KEY_BYTES_MIN {
            true => Err(ControlKeyError(bytes.len())),
            false => Ok(Self(bytes)),
        }
    }

    /// Whether this is the key, in a time that says nothing of how much of it is right.
    fn is(&self, sent: &[u8]) -> bool {
        let mac = |of: &[u8]| {
            let mac = Hmac::<Sha256>::new_from_slice(&self.0);
            let mut mac = mac.expect("invariant: HMAC takes a key of any length");
            mac.update(of);
            mac
        };
        let expected = mac(&self.0).finalize().into_bytes();
        mac(sent).verify_slice(&expected).is_ok()
    }
}

impl fmt::Debug for ControlKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ControlKey(..)")
    }
}

/// Why somebody is no operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stranger {
    /// No key was sent, where one is needed.
    NoKey,
    /// What was sent is not the key.
    WrongKey,
    /// It is a page of another site.
    OtherSite,
    /// It calls the service by a name that may be another site's.
    OtherName,
    /// It is not at this machine, though something at this machine speaks for it.
    Elsewhere,
}

impl From<Stranger> for ApiError {
    fn from(stranger: Stranger) -> Self {
        let (status, code, message) = match stranger {
            Stranger::NoKey => (
                StatusCode::UNAUTHORIZED,
                "control_key_required",
                "this takes the control key of this service, in Authorization after Bearer or in \
                 X-Floatup-Key",
            ),
            Stranger::WrongKey => (
                StatusCode::UNAUTHORIZED,
                "control_key_invalid",
                "that is not the control key",
            ),
            Stranger::OtherSite => (
                StatusCode::FORBIDDEN,
                "other_site",
                "a page of another site may not do this without the control key",
            ),
            Stranger::OtherName => (
                StatusCode::FORBIDDEN,
                "other_name",
                "without a control key this is done at http://localhost or an IP address alone: \
                 any other name may be that of another site",
            ),
            Stranger::Elsewhere => (
                StatusCode::FORBIDDEN,
                "elsewhere",
                "without a control key this is done at this machine alone, and not through a proxy",
            ),
        };
        Self::new(status, code, message)
    }
}

/// Lets an operator in, for all that changes the service.
pub(super) fn admit(app: &App, head: &Parts) -> Result<(), ApiError> {
    match app.service.control_key {
        Some(_) => keyed(app, head)?,
        None => unkeyed(app, head)?,
    }
    Ok(())
}

/// Whether somebody has sent the control key.
fn keyed(app: &App, head: &Parts) -> Result<(), Stranger> {
    let bearer = |value: &'_ [u8]| {
        let (scheme, key) = value.split_at_checked("Bearer ".len())?;
        let is_it = scheme.eq_ignore_ascii_case(b"Bearer ");
        is_it.then(|| key.trim_ascii().to_owned())
    };
    let header = head.headers.get(AUTHORIZATION);
    let in_authorization = header.and_then(|value| bearer(value.as_bytes()));
    let own = head.headers.get(KEY_HEADER);
    let own = own.map(|value| value.as_bytes().to_owned());
    let sent = own.or(in_authorization).ok_or(Stranger::NoKey)?;
    match &app.service.control_key {
        Some(key) if key.is(&sent) => Ok(()),
        _ => Err(Stranger::WrongKey),
    }
}

/// Whether somebody is an operator without a key.
fn unkeyed(app: &App, head: &Parts) -> Result<(), Stranger> {
    if app.service.control_key.is_some() || app.service.access != Access::Open {
        return Err(Stranger::NoKey);
    }
    // Absent in a router that is not served with connect info.
    let caller = head.extensions.get::<ConnectInfo<SocketAddr>>();
    let is_here = caller.is_none_or(|info| info.0.ip().to_canonical().is_loopback());
    // That of a proxy that is believed has become the caller's address.
    let is_spoken_for = [FORWARDED_FOR, FORWARDED.as_str()];
    let is_spoken_for = is_spoken_for
        .iter()
        .any(|name| head.headers.contains_key(*name));
    if is_of_another_site(&head.headers) {
        Err(Stranger::OtherSite)
    } else if !is_called_as_it_is(head) {
        Err(Stranger::OtherName)
    } else if !is_here || is_spoken_for {
        Err(Stranger::Elsewhere)
    } else {
        Ok(())
    }
}

fn is_of_another_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // What a browser says of its own accord; `none` is a person who types an address.
    let fetched = headers.contains_key("sec-fetch-site")
        && !matches!(text("sec-fetch-site"), Some("same-origin" | "none"));
    let site = text(ORIGIN.as_str()).and_then(|text| text.split_once("://"));
    let has_origin = headers.contains_key(ORIGIN);
    fetched || has_origin && site.map(|(_, site)| site) != text(HOST.as_str())
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
