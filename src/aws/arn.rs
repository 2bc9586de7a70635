//! Names of resources.

use std::fmt;

/// The longest name that is taken, in bytes; those of IVS are at most 128.
const BYTES_MAX: usize = 1_024;

/// What names a resource of AWS for good: `arn:aws:ivschat:us-east-1:123456789012:room/AbCdEf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arn {
    text: String,
    region: String,
}

/// A name that can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?}: expected an ARN as arn:aws:{service}:REGION:ACCOUNT:{kind}/ID")]
pub struct ArnError {
    given: String,
    service: &'static str,
    kind: &'static str,
}

impl Arn {
    /// The name of a resource of this kind of a service, such as a `room` of `ivschat`.
    ///
    /// # Errors
    /// [`ArnError`] says what is accepted.
    pub fn parse(text: &str, service: &'static str, kind: &'static str) -> Result<Self, ArnError> {
        Self::read(text, service, kind).ok_or_else(|| ArnError {
            given: text.chars().take(200).collect(),
            service,
            kind,
        })
    }

    fn read(text: &str, service: &str, kind: &str) -> Option<Self> {
        let text = text.trim();
        let mut parts = text.split(':');
        let mut part = || parts.next();
        let (scheme, partition, of) = (part()?, part()?, part()?);
        let (region, account, resource) = (part()?, part()?, part()?);
        let id = resource.strip_prefix(kind)?.strip_prefix('/')?;
        let is_id =
            |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let is_one = text.len() <= BYTES_MAX
            && (scheme, of) == ("arn", service)
            && partition.starts_with("aws")
            && is_region(region)
            && account.len() == 12
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && is_id(id)
            && parts.next().is_none();
        is_one.then(|| Self {
            text: text.to_owned(),
            region: region.to_owned(),
        })
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The region that the resource is in.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a region may be called this: it becomes a part of a host's name.
#[must_use]
pub fn is_region(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    text.len() <= 32 && text.split('-').all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_where_its_resource_is() {
        let room = "arn:aws:ivschat:eu-central-1:123456789012:room/AbCdEf012345";
        let arn = Arn::parse(&format!(" {room}\n"), "ivschat", "room").unwrap();
        assert_eq!((arn.as_str(), arn.region()), (room, "eu-central-1"));
        for bad in [
            "",
            "room/AbC",
            "arn:aws:ivs:eu-central-1:123456789012:room/AbC",
            "arn:aws:ivschat:eu-central-1:123456789012:channel/AbC",
            "arn:aws:ivschat:eu-central-1:123456789012:room/",
            "arn:aws:ivschat:eu-central-1:123456789012:room/a/b",
            "arn:aws:ivschat:eu-central-1:123456789012:room/a:b",
            "arn:aws:ivschat::123456789012:room/a",
            "arn:aws:ivschat:evil.example/:123456789012:room/a",
            "arn:aws:ivschat:EU:123456789012:room/a",
            "arn:aws:ivschat:eu-central-1:12345678901x:room/a",
            "arn:google:ivschat:eu-central-1:123456789012:room/a",
        ] {
            let error = Arn::parse(bad, "ivschat", "room").unwrap_err().to_string();
            assert!(
                error.ends_with("arn:aws:ivschat:REGION:ACCOUNT:room/ID"),
                "{error}"
            );
        }
    }
}
