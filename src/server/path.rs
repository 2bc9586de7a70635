//! Raw request paths and queries, each part percent-decoded once.

use axum::http::Uri;
use percent_encoding::percent_decode_str;

use crate::server::answer::ApiError;

/// The segments of a path. One that is `.` or `..` once decoded is refused wherever it stands:
/// nothing here is a file, and a client that sends one is confused or hostile.
pub(super) fn segments(uri: &Uri) -> Result<Vec<String>, ApiError> {
    let path = uri.path().strip_prefix('/').unwrap_or(uri.path());
    path.split('/')
        .map(|raw| {
            let segment = decode(raw).ok_or_else(|| {
                let message =
                    format!("path segment {raw:?} is not UTF-8 once it is percent-decoded");
                ApiError::bad_request("bad_path", message)
            })?;
            if segment == "." || segment == ".." {
                let message = "'.' and '..' are not accepted in a path";
                return Err(ApiError::bad_request("bad_path", message));
            }
            Ok(segment)
        })
        .collect()
}

/// The value of one query parameter; an error if it is given twice. `+` stands for itself, as
/// in base64, not for a space.
pub(super) fn parameter(uri: &Uri, name: &str) -> Result<Option<String>, ApiError> {
    let mut found = None;
    for pair in uri.query().unwrap_or("").split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decode(key).as_deref() != Some(name) {
            continue;
        }
        let value = decode(value).ok_or_else(|| {
            ApiError::bad_request("bad_parameter", format!("?{name}= is not UTF-8"))
        })?;
        if found.replace(value).is_some() {
            let message = format!("?{name}= is given twice; only one value must be set");
            return Err(ApiError::bad_request("bad_parameter", message));
        }
    }
    Ok(found)
}

/// A parameter that is a whole number.
pub(super) fn number(uri: &Uri, name: &str) -> Result<Option<u64>, ApiError> {
    let Some(text) = parameter(uri, name)? else {
        return Ok(None);
    };
    match whole(&text) {
        Some(number) => Ok(Some(number)),
        None => {
            let text: String = text.chars().take(64).collect();
            let message = format!(
                "?{name}={text:?}: expected a whole number from 0 to {}",
                u64::MAX
            );
            Err(ApiError::bad_request("bad_parameter", message))
        }
    }
}

/// Digits alone: no sign, no spaces.
pub(super) fn whole(text: &str) -> Option<u64> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn decode(raw: &str) -> Option<String> {
    let text = percent_decode_str(raw).decode_utf8().ok()?;
    Some(text.into_owned())
}
