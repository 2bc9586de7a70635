//! Signature Version 4, in a header: what AWS checks of a request.
//!
//! Steps and words are those of AWS's documentation ("Create a signed AWS API request"). A request
//! has no query here, and the characters of its path are all unreserved or `/`.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::Credentials;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What is signed of a request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `POST`
    pub method: &'a str,
    /// From the first `/` on.
    pub path: &'a str,
    /// Every header that is to be signed, by name and value in any order; `Host` must be among
    /// them.
    pub headers: &'a [(&'a str, &'a str)],
    /// What is sent.
    pub body: &'a [u8],
}

/// What a signature is good for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The region that is called, such as `us-east-1`.
    pub region: &'a str,
    /// The service's name in signatures, such as `ivschat`.
    pub service: &'a str,
    /// The value of `X-Amz-Date`, as [`basic`](crate::calendar::basic) gives it. AWS takes a
    /// signature for about 5 minutes.
    pub date: &'a str,
}

/// The value of `Authorization` for a request.
#[must_use]
pub fn authorization(request: &Request<'_>, scope: Scope<'_>, credentials: &Credentials) -> String {
    let (canonical, signed_headers) = canonical(request);
    let day = scope.date.split('T').next().unwrap_or_default();
    let terms = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let to_sign = format!(
        "{ALGORITHM}\n{}\n{terms}\n{}",
        scope.date,
        hex(&Sha256::digest(canonical))
    );
    let secret = format!("AWS4{}", credentials.secret_access_key);
    let key = terms
        .split('/')
        .fold(secret.into_bytes(), |key, term| mac(&key, term));
    let signature = hex(&mac(&key, &to_sign));
    format!(
        "{ALGORITHM} Credential={}/{terms}, SignedHeaders={signed_headers}, Signature={signature}",
        credentials.access_key_id
    )
}

/// The canonical request, and the names of its headers.
fn canonical(request: &Request<'_>) -> (String, String) {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in request.headers {
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        let name = name.to_ascii_lowercase();
        // Several of one name are one, in their order.
        match headers.iter_mut().find(|(other, _)| *other == name) {
            Some((_, all)) => *all = format!("{all},{value}"),
            None => headers.push((name, value)),
        }
    }
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines = headers
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"));
    let canonical = format!(
        "{}\n{}\n\n{}\n{names}\n{}",
        request.method,
        request.path,
        lines.collect::<String>(),
        hex(&Sha256::digest(request.body))
    );
    (canonical, names)
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key).expect("invariant: HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
