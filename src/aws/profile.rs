//! The files that the AWS command line keeps credentials in, `~/.aws/credentials` and
//! `~/.aws/config`: INI sections, one a profile.

use super::{BadCredentials, Credentials};

/// Keys of a profile that gets its credentials in a way that is not known here.
const ELSEWHERE: [&str; 5] = [
    "sso_session",
    "sso_start_url",
    "credential_process",
    "web_identity_token_file",
    "login_session",
];

/// The same of a profile that assumes a role, even if it has an access key.
const ROLE: &str = "role_arn";

/// Why a profile gives no credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Neither file has a section for it.
    #[error("profile {0:?} is in neither the credentials file nor the config file")]
    Missing(String),
    /// It is there, without both halves of an access key.
    #[error(
        "profile {0:?} has no {1}: expected aws_access_key_id and aws_secret_access_key, and \
         aws_session_token of temporary ones"
    )]
    Incomplete(String, &'static str),
    /// Its credentials come by another way.
    #[error(
        "profile {0:?} gets its credentials by {1}, which is not supported; \
         `aws configure export-credentials` writes keys that are"
    )]
    Elsewhere(String, &'static str),
    /// A key is none.
    #[error("profile {0:?}: {1}")]
    Bad(String, BadCredentials),
}

/// The credentials of a profile, by the text of the two files; a missing file is an empty one.
/// What the credentials file says counts before what the config file says.
///
/// # Errors
/// [`ProfileError`], without any part of the credentials.
pub fn credentials(
    credentials: &str,
    config: &str,
    profile: &str,
) -> Result<Credentials, ProfileError> {
    let sections = [
        section(credentials, |name| name == profile),
        section(config, |name| is_profile(name, profile)),
    ];
    if sections.iter().all(Option::is_none) {
        return Err(ProfileError::Missing(profile.into()));
    }
    let find = |key: &str| {
        let mut entries = sections.iter().flatten().flatten();
        let (_, value) = entries.find(|(name, _)| name.eq_ignore_ascii_case(key))?;
        Some(*value)
    };
    // Its keys, if there are some, are those to assume the role with, and another identity.
    if find(ROLE).is_some() {
        return Err(ProfileError::Elsewhere(profile.into(), ROLE));
    }
    let (id, secret) = (find("aws_access_key_id"), find("aws_secret_access_key"));
    let incomplete = |what| match ELSEWHERE.iter().find(|key| find(key).is_some()) {
        Some(way) => ProfileError::Elsewhere(profile.into(), way),
        None => ProfileError::Incomplete(profile.into(), what),
    };
    let id = id.ok_or_else(|| incomplete("aws_access_key_id"))?;
    let secret = secret.ok_or_else(|| incomplete("aws_secret_access_key"))?;
    Credentials::new(id, secret, find("aws_session_token"))
        .map_err(|bad| ProfileError::Bad(profile.into(), bad))
}

/// Whether a section of the config file is this profile's: `[profile NAME]`, or `[default]`.
fn is_profile(section: &str, profile: &str) -> bool {
    match section.split_once(char::is_whitespace) {
        Some(("profile", name)) => name.trim() == profile,
        Some(_) => false,
        None => section == "default" && profile == "default",
    }
}

/// The keys and values of the sections that are asked for, together; `None` if there is none.
/// Lines that are neither are passed over, as are those that go on with another.
fn section(text: &str, is_it: impl Fn(&str) -> bool) -> Option<Vec<(&str, &str)>> {
    let (mut found, mut within) = (None, false);
    for line in text.lines() {
        let is_nested = line.starts_with(char::is_whitespace);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let name = rest.split(']').next().unwrap_or_default().trim();
            within = is_it(name);
            if within {
                found.get_or_insert_with(Vec::new);
            }
        } else if within
            && !is_nested
            && let Some((key, value)) = line.split_once('=')
            && let Some(found) = &mut found
        {
            found.push((key.trim(), without_comment(value)));
        }
    }
    found
}

/// A value, without what stands after ` #` or ` ;`.
fn without_comment(value: &str) -> &str {
    let ends = [" #", " ;", "\t#", "\t;"]
        .iter()
        .filter_map(|mark| value.find(mark));
    value[..ends.min().unwrap_or(value.len())].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "\
# The file that `aws configure` writes.
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key=wJalr/K7MDENG+bPx ; a comment
[ live ]
AWS_ACCESS_KEY_ID=ASIALIVE
aws_secret_access_key = se#cret=
aws_session_token = tok/en==

[half]
aws_access_key_id = AKIAHALF
";

    const CONFIG: &str = "\
[default]
region = us-west-2
[profile live]
region = eu-central-1
s3 =
  aws_access_key_id = AKIANESTED
[profile\tconfigured]
aws_access_key_id = AKIACONFIG
aws_secret_access_key = secret
[half]
aws_secret_access_key = of-no-profile
[profile sso]
sso_session = corp
[profile role]
role_arn = arn:aws:iam::123456789012:role/chat
aws_access_key_id = AKIAROLE
aws_secret_access_key = secret
[profile bad]
aws_access_key_id = AKIA BAD
aws_secret_access_key = secret
";

    fn check(profile: &str, expected: Result<(&str, &str, Option<&str>), &str>) {
        let found = credentials(CREDENTIALS, CONFIG, profile);
        let expected = match expected {
            Ok((id, secret, token)) => Ok(Credentials::new(id, secret, token).unwrap()),
            Err(part) => Err(part),
        };
        match (found, expected) {
            // Compared here, since they are hidden where they would be shown.
            (Ok(found), Ok(expected)) => assert!(found == expected, "{profile}"),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{profile}: {error}");
                assert!(!error.to_string().contains("AKIA"), "{error}");
            }
            (found, expected) => panic!("{profile}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_profile_is_found_in_either_file() {
        check("default", Ok(("AKIADEFAULT", "wJalr/K7MDENG+bPx", None)));
        check("live", Ok(("ASIALIVE", "se#cret=", Some("tok/en=="))));
        check("configured", Ok(("AKIACONFIG", "secret", None)));
    }

    #[test]
    fn what_gives_no_credentials_says_why() {
        check(
            "none",
            Err("in neither the credentials file nor the config file"),
        );
        check("half", Err("has no aws_secret_access_key"));
        check("sso", Err("by sso_session, which is not supported"));
        check("role", Err("by role_arn, which is not supported"));
        check("bad", Err("access key id: expected 1 to"));
        for text in [
            "[",
            "[default",
            "[default]\n=\n==",
            "[default]\naws_access_key_id",
            "\u{0}",
        ] {
            assert!(credentials(text, text, "default").is_err(), "{text:?}");
        }
    }
}
