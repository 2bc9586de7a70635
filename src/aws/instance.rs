//! Asking for credentials over HTTP: a container's agent, and an instance's metadata service.

use std::time::Duration;

use reqwest::header::AUTHORIZATION;
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;

use super::keyring::CredentialsError;
use super::{Authorization, Credentials};
use crate::calendar::iso_8601;
use crate::fetch::{FetchError, client, message, read};

/// How long an answer may take. Off EC2 nobody answers at all.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How long the metadata service's token is to last, in seconds: for one round of questions.
const TOKEN_TTL_S: &str = "60";

const ROLES: &str = "latest/meta-data/iam/security-credentials/";

/// Credentials, as both write them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wire {
    /// Of an instance; `Success`, or why there are none.
    code: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    token: Option<String>,
    expiration: Option<String>,
}

/// What asks at an address: never over a proxy, nor where an answer would lead.
pub(super) fn asker(url: &Url) -> reqwest::Result<reqwest::Client> {
    let client = client(url).no_proxy().redirect(Policy::none());
    client.timeout(PATIENCE).build()
}

pub(super) async fn of_container(
    client: &reqwest::Client,
    url: &Url,
    authorization: &Authorization,
) -> Result<Credentials, CredentialsError> {
    let mut request = client.get(url.clone());
    let token = match authorization {
        Authorization::None => None,
        Authorization::Token(token) => Some(token.clone()),
        Authorization::File(path) => Some(super::keyring::file(path).await?),
    };
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, token.trim());
    }
    parse(&ask(request, "the container's agent").await?)
}

pub(super) async fn of_instance(
    client: &reqwest::Client,
    endpoint: &Url,
) -> Result<Credentials, CredentialsError> {
    let service = "the instance's metadata service";
    let request = |method, path: &str| {
        let mut url = endpoint.clone();
        url.set_path(&format!("{}/{path}", endpoint.path().trim_end_matches('/')));
        client.request(method, url)
    };
    let ttl = ("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_TTL_S);
    let token = request(Method::PUT, "latest/api/token").header(ttl.0, ttl.1);
    let token = text(ask(token, service).await?)?;
    let get = |path: &str| request(Method::GET, path).header("x-aws-ec2-metadata-token", &token);
    let roles = match ask(get(ROLES), service).await {
        Err(CredentialsError::Status { status: 404, .. }) => return Err(CredentialsError::NoRole),
        roles => text(roles?)?,
    };
    let role = roles.lines().next().unwrap_or_default().trim();
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if role.is_empty() || !role.chars().all(is_letter) {
        return Err(CredentialsError::NoRole);
    }
    parse(&ask(get(&format!("{ROLES}{role}")), service).await?)
}

async fn ask(request: RequestBuilder, who: &'static str) -> Result<Vec<u8>, CredentialsError> {
    let failed = |error| CredentialsError::Fetch(who, error);
    let sent = request.send().await;
    let mut response = sent.map_err(|error| failed(FetchError::from(error)))?;
    let body = read(&mut response, ANSWER_BYTES_MAX)
        .await
        .map_err(failed)?;
    match response.status() {
        StatusCode::OK => Ok(body),
        status => Err(CredentialsError::Status {
            who,
            status: status.as_u16(),
            message: message(&body),
        }),
    }
}

fn text(body: Vec<u8>) -> Result<String, CredentialsError> {
    let text = String::from_utf8(body).map_err(|_| CredentialsError::Malformed)?;
    let is_plain = text
        .lines()
        .all(|line| line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    is_plain.then_some(text).ok_or(CredentialsError::Malformed)
}

fn parse(body: &[u8]) -> Result<Credentials, CredentialsError> {
    let wire: Wire = serde_json::from_slice(body).map_err(|_| CredentialsError::Malformed)?;
    if let Some(code) = wire.code.filter(|code| code != "Success") {
        let code = code.chars().filter(char::is_ascii_graphic).take(40);
        return Err(CredentialsError::Code(code.collect()));
    }
    let (Some(id), Some(secret)) = (wire.access_key_id, wire.secret_access_key) else {
        return Err(CredentialsError::Malformed);
    };
    let expires_at = match wire.expiration {
        Some(date) => Some(iso_8601(&date).ok_or(CredentialsError::Malformed)?),
        None => None,
    };
    Ok(Credentials::new(&id, &secret, wire.token.as_deref())?.until(expires_at))
}
