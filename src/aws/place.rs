//! Where credentials are kept.

use std::fmt;
use std::path::PathBuf;

use reqwest::Url;

use super::{BadCredentials, Credentials};
use crate::fetch::is_loopback;

/// Where a container asks on Amazon ECS.
const CONTAINER_HOST: &str = "http://169.254.170.2";

/// Hosts that may be asked without TLS: those of ECS, EKS and EC2, beside this machine.
const PLAIN_HOSTS: [&str; 5] = [
    "169.254.170.2",
    "169.254.170.23",
    "[fd00:ec2::23]",
    "169.254.169.254",
    "[fd00:ec2::254]",
];

/// Where an instance of EC2 asks.
const INSTANCE_HOST: &str = "http://169.254.169.254";

/// Where to get credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Here they are.
    Given(Credentials),
    /// A profile of the files of the AWS command line. They are read anew when it is asked again.
    Profile {
        /// `~/.aws/credentials`
        credentials: PathBuf,
        /// `~/.aws/config`
        config: PathBuf,
        /// The profile's name.
        name: String,
    },
    /// What gives a container its credentials.
    Container {
        /// The address to ask.
        url: Url,
        /// What to show it.
        authorization: Authorization,
    },
    /// The metadata service of an instance of EC2 (`IMDSv2`).
    Instance {
        /// Its address.
        endpoint: Url,
    },
}

/// What a container shows to get its credentials.
#[derive(Clone, PartialEq, Eq)]
pub enum Authorization {
    /// Nothing, as on ECS.
    None,
    /// This value of `Authorization`.
    Token(String),
    /// The content of a file, which changes, as on EKS.
    File(PathBuf),
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token(_) => "Token(hidden)",
            Self::File(_) => "File",
        })
    }
}

/// Settings that name no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// An access key that is none.
    #[error("AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN: {0}")]
    Key(#[from] BadCredentials),
    /// Half an access key.
    #[error("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: only one of them is set")]
    HalfKey,
    /// An address that can't be asked.
    #[error(
        "{variable}: expected an address with https://, or with http:// one of this machine, of \
         the container's agent or of the instance's metadata service ({hosts})",
        hosts = PLAIN_HOSTS.join(", ")
    )]
    Address {
        /// The variable that has it.
        variable: &'static str,
    },
    /// A role that is assumed by a way that is not known here.
    #[error(
        "AWS_WEB_IDENTITY_TOKEN_FILE: roles that a token file stands for are not supported; give \
         the role by EKS Pod Identity, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
         AWS_PROFILE"
    )]
    WebIdentity,
    /// There is none.
    #[error(
        "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or \
         run where a role gives them (AWS_EC2_METADATA_DISABLED is set)"
    )]
    Nowhere,
}

impl Place {
    /// The place that the environment names, looked for in the order of AWS's own SDKs: an access
    /// key, a profile, a container's agent, the instance. `env` gives a variable's value.
    /// `is_file` says whether a file is there, and decides whether the default profile is meant.
    ///
    /// # Errors
    /// [`PlaceError`] names the variable and what it takes.
    pub fn from_env(
        env: &dyn Fn(&str) -> Option<String>,
        is_file: &dyn Fn(&std::path::Path) -> bool,
    ) -> Result<Self, PlaceError> {
        let var = |name: &str| env(name).filter(|value| !value.trim().is_empty());
        match (var("AWS_ACCESS_KEY_ID"), var("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => {
                let token = var("AWS_SESSION_TOKEN");
                return Ok(Self::Given(Credentials::new(
                    &id,
                    &secret,
                    token.as_deref(),
                )?));
            }
            (None, None) => {}
            _ => return Err(PlaceError::HalfKey),
        }
        let home = var("HOME").map(|home| PathBuf::from(home).join(".aws"));
        let file = |variable: &str, name: &str| {
            let given = var(variable).map(PathBuf::from);
            given.or_else(|| Some(home.as_ref()?.join(name)))
        };
        let credentials = file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let config = file("AWS_CONFIG_FILE", "config");
        let profile = var("AWS_PROFILE");
        let is_kept = credentials.as_deref().is_some_and(is_file);
        if profile.is_some() || is_kept {
            return Ok(Self::Profile {
                credentials: credentials.unwrap_or_default(),
                config: config.unwrap_or_default(),
                name: profile.unwrap_or_else(|| "default".into()),
            });
        }
        if var("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() {
            return Err(PlaceError::WebIdentity);
        }
        if let Some(place) = Self::container(&var)? {
            return Ok(place);
        }
        let disabled = var("AWS_EC2_METADATA_DISABLED");
        if disabled.is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
            return Err(PlaceError::Nowhere);
        }
        let variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
        let endpoint = var(variable).unwrap_or_else(|| INSTANCE_HOST.into());
        let endpoint = endpoint.trim().parse().ok().filter(may_be_asked);
        let endpoint = endpoint.ok_or(PlaceError::Address { variable })?;
        Ok(Self::Instance { endpoint })
    }

    fn container(var: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, PlaceError> {
        const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
        const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
        let (variable, url) = match (var(RELATIVE), var(FULL)) {
            (Some(path), _) => (RELATIVE, format!("{CONTAINER_HOST}{}", path.trim())),
            (None, Some(url)) => (FULL, url),
            (None, None) => return Ok(None),
        };
        let url = url.trim().parse().ok().filter(may_be_asked);
        let file = var("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        let token = var("AWS_CONTAINER_AUTHORIZATION_TOKEN");
        Ok(Some(Self::Container {
            url: url.ok_or(PlaceError::Address { variable })?,
            authorization: match (file, token) {
                (Some(file), _) => Authorization::File(file.into()),
                (None, Some(token)) => Authorization::Token(token),
                (None, None) => Authorization::None,
            },
        }))
    }
}

/// Whether credentials may come from there: nobody on the way can read or change them.
fn may_be_asked(url: &Url) -> bool {
    let is_near = is_loopback(url) || PLAIN_HOSTS.contains(&url.host_str().unwrap_or_default());
    match url.scheme() {
        "https" => true,
        "http" => is_near,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(env: &[(&str, &str)], files: &[&str]) -> Result<String, String> {
        let var = |name: &str| {
            let found = env.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let is_file = |path: &std::path::Path| files.iter().any(|file| path == *file);
        match Place::from_env(&var, &is_file) {
            Ok(place) => Ok(format!("{place:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_environment_names_the_place_in_the_order_of_the_sdks() {
        let key = [
            ("AWS_ACCESS_KEY_ID", "AKIA"),
            ("AWS_SECRET_ACCESS_KEY", "s3cret"),
        ];
        let home = ("HOME", "/home/ann");
        let files = ["/home/ann/.aws/credentials"];
        let agent = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/creds");
        let all = [key[0], key[1], home, agent];
        assert_eq!(place(&all, &files).unwrap(), "Given(Credentials(hidden))");
        let profile = place(&[home, agent], &files).unwrap();
        assert!(profile.contains("/home/ann/.aws/config") && profile.contains("\"default\""));
        let named = place(&[home, agent, ("AWS_PROFILE", "live")], &[]).unwrap();
        assert!(named.contains("\"live\""), "{named}");
        let moved = [home, ("AWS_SHARED_CREDENTIALS_FILE", "/run/keys")];
        assert!(place(&moved, &["/run/keys"]).unwrap().contains("/run/keys"));
        let container = place(&[home, agent], &[]).unwrap();
        assert!(container.contains("169.254.170.2"), "{container}");
        let blank = place(&[("AWS_ACCESS_KEY_ID", " "), home], &[]).unwrap();
        assert!(blank.starts_with("Instance"), "{blank}");
        let role = ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token");
        let error = place(&[home, role, agent], &[]).unwrap_err();
        assert!(error.contains("not supported"), "not another: {error}");
        assert!(place(&[home, role, key[0], key[1]], &[]).is_ok());
        let off = ("AWS_EC2_METADATA_DISABLED", "True");
        assert!(
            place(&[home, off], &[])
                .unwrap_err()
                .contains("set AWS_ACCESS_KEY_ID")
        );
    }

    #[test]
    fn what_is_no_place_says_which_variable_it_is() {
        let half = place(&[("AWS_ACCESS_KEY_ID", "AKIA")], &[]).unwrap_err();
        assert!(half.contains("only one of them"), "{half}");
        let key = [
            ("AWS_ACCESS_KEY_ID", "AK IA"),
            ("AWS_SECRET_ACCESS_KEY", "s3cret"),
        ];
        let bad = place(&key, &[]).unwrap_err();
        assert!(
            bad.contains("access key id") && !bad.contains("AK IA"),
            "{bad}"
        );
    }

    #[test]
    fn credentials_come_over_no_open_network() {
        let full = |url| place(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)], &[]);
        for url in [
            "https://agent.example/creds",
            "http://127.0.0.1:81/creds",
            "http://[::1]/creds",
            "http://localhost:81/creds",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
        ] {
            assert!(full(url).is_ok(), "{url}");
        }
        for url in [
            "http://agent.example/creds",
            "http://10.0.0.1/",
            "file:///x",
            "creds",
        ] {
            let error = full(url).unwrap_err();
            assert!(
                error.contains("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_instance_is_asked_over_no_open_network_either() {
        let at = |url| place(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)], &[]);
        for url in [
            "http://[fd00:ec2::254]/",
            "http://169.254.169.254",
            "http://127.0.0.1:1338",
        ] {
            assert!(at(url).is_ok(), "{url}");
        }
        for url in ["http://metadata.example/", "ftp://127.0.0.1/", "x"] {
            let error = at(url).unwrap_err();
            assert!(error.contains("_SERVICE_ENDPOINT"), "{url}: {error}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let env = [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "s3cret"),
        ];
        let shown = place(&env, &[]).unwrap();
        assert!(
            shown.contains("Token(hidden)") && !shown.contains("s3cret"),
            "{shown}"
        );
    }
}
