//! Redis: channels of publish and subscribe, and streams, over RESP 3.
//!
//! A channel keeps nothing: what is published while nobody listens is gone. A stream is read from a
//! place, which is an entry's id, so that a reader that comes back misses nothing.

mod channel;
mod entries;
mod stream;

use std::fmt;

use percent_encoding::percent_decode_str;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo as _,
    ProtocolVersion, RedisConnectionInfo, RedisError, ServerErrorKind,
};

use self::stream::Place;
use super::address::{AddressError, Parts, Secrets, url};
use super::broker::{CONNECT_TIMEOUT, Host, Login};
use super::inbox::Inbox;
use super::retry::{Backoff, Failure};

/// Where user and password are looked for.
pub(super) const VARIABLES: &[&str] = &["REDIS_USERNAME", "REDIS_PASSWORD"];

/// What comes before the words of a command that a server does not know.
const QUOTES: &str = "with args beginning with";

/// What reactions come by.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    Channel(String),
    /// Channels whose names match a glob.
    Pattern(String),
    Stream {
        key: String,
        /// The field of an entry that is its payload.
        field: Option<String>,
    },
}

/// `redis://HOST:6379/DB?channel=NAME`, `?pattern=GLOB` or `?stream=KEY&field=NAME`; `rediss://`
/// for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    text: String,
    host: Host,
    is_tls: bool,
    database: u16,
    way: Way,
}

impl std::str::FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let expected = |what: &str| AddressError::new(format_args!("{text:?}: expected {what}"));
        let parts = Parts::of(text, &["channel", "pattern", "stream", "field"])?;
        let url = url(parts.path, &["redis", "rediss"])?;
        let database = match url.path().trim_matches('/') {
            "" => Some(0),
            path => percent_decode_str(path)
                .decode_utf8()
                .ok()
                .and_then(|number| number.parse().ok()),
        };
        let option = |name| parts.option(name).filter(|value| !value.is_empty());
        let field = option("field").map(str::to_owned);
        let way = match (option("channel"), option("pattern"), option("stream")) {
            (Some(name), None, None) => Way::Channel(name.to_owned()),
            (None, Some(glob), None) => Way::Pattern(glob.to_owned()),
            (None, None, Some(key)) => Way::Stream {
                key: key.to_owned(),
                field: field.clone(),
            },
            _ => {
                return Err(expected(
                    "one of ?channel=NAME, ?pattern=GLOB and ?stream=KEY",
                ));
            }
        };
        if field.is_some() && !matches!(way, Way::Stream { .. }) {
            return Err(expected("field only with stream"));
        }
        Ok(Self {
            text: text.to_owned(),
            host: Host::of(&url, 6379),
            is_tls: url.scheme() == "rediss",
            database: database.ok_or_else(|| expected("the database's number after the host"))?,
            way,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A server's channel or stream.
pub struct Redis {
    address: Address,
    client: Client,
    login: Option<Login>,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Redis {
    /// What is at an address, read by whom the secrets say: `PASSWORD`, `USER:PASSWORD`, or the
    /// variables [`VARIABLES`].
    pub(super) fn at(address: &Address, secrets: &Secrets) -> Result<Self, AddressError> {
        if address.is_tls {
            // An error says that one is installed already, which is as good.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        let (host, port) = (address.host.bare().to_owned(), address.host.port);
        let to = match address.is_tls {
            false => ConnectionAddr::Tcp(host, port),
            true => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            },
        };
        let login = Login::of(secrets, "REDIS_USERNAME", "REDIS_PASSWORD")?;
        let mut settings = RedisConnectionInfo::default()
            .set_db(address.database.into())
            .set_protocol(ProtocolVersion::RESP3);
        if let Some(login) = &login {
            settings = settings.set_password(&login.password);
            if let Some(user) = &login.user {
                settings = settings.set_username(user);
            }
        }
        let info = to.into_connection_info().map_err(AddressError::new)?;
        let client = Client::open(info.set_redis_settings(settings));
        Ok(Self {
            client: client.map_err(AddressError::new)?,
            address: address.clone(),
            login,
        })
    }

    /// Follows the channel or stream for as long as the future is kept.
    pub(super) async fn follow(self, inbox: &Inbox) -> ! {
        let mut place = Place::default();
        let mut backoff = Backoff::default();
        loop {
            let failure = match &self.address.way {
                Way::Channel(name) => self.channel(name, false, inbox).await,
                Way::Pattern(glob) => self.channel(glob, true, inbox).await,
                Way::Stream { key, field } => {
                    let session = self.stream(key, field.as_deref(), &mut place, inbox);
                    session.await
                }
            };
            let held = inbox.lost(&failure);
            backoff.wait(&failure, held).await;
        }
    }

    async fn connect(
        &self,
        config: AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, Failure> {
        let config = config.set_connection_timeout(Some(CONNECT_TIMEOUT));
        let connected = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        connected.await.map_err(|error| self.failure(&error))
    }

    /// A server's words without secrets. Of a command that it does not know it quotes the words,
    /// cut somewhere, and logging in is one.
    fn redacted(&self, error: &RedisError) -> String {
        let text = error.to_string();
        let text = match text.split_once(QUOTES) {
            Some((told, _)) => told.trim_end_matches([' ', ',']),
            None => &text,
        };
        match &self.login {
            Some(login) => login.redacted(text),
            None => text.to_owned(),
        }
    }

    /// What a person is told of an error.
    fn failure(&self, error: &RedisError) -> Failure {
        let host = &self.address.host;
        let told = self.redacted(error);
        let needs_login = matches!(error.code(), Some("NOAUTH" | "WRONGPASS"));
        if needs_login || error.kind() == ErrorKind::AuthenticationFailed {
            let what = match self.login {
                Some(_) => "refuses this password",
                None => "wants a password",
            };
            return Failure::refused(format_args!(
                "{host}: it {what}; give REDIS_PASSWORD, with REDIS_USERNAME if there are users, \
                 or USER:PASSWORD as the source's secret"
            ));
        }
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::NoPerm) => Failure::refused(format_args!(
                "{host}: {told}; allow this user what {} needs",
                self.address
            )),
            _ if error.kind() == ErrorKind::RESP3NotSupported || is_unknown_hello(error) => {
                Failure::refused(format_args!(
                    "{host}: it does not speak RESP 3; Redis 6 and newer do, where the command \
                     HELLO is neither renamed nor turned off"
                ))
            }
            _ if error.code() == Some("WRONGTYPE") => Failure::refused(format_args!(
                "{host}: {} names something that is no stream; name one",
                self.address
            )),
            _ => Failure::passing(format_args!("{host}: {told}")),
        }
    }
}

/// Whether a server does not know the command that asks for RESP 3.
fn is_unknown_hello(error: &RedisError) -> bool {
    let told = error.detail().unwrap_or_default().to_ascii_lowercase();
    let command = told.strip_prefix("unknown command ");
    command.is_some_and(|command| {
        command
            .trim_start_matches(['\'', '`', '"'])
            .starts_with("hello")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_server_and_a_channel_or_stream() {
        let parse = |text: &str| text.parse::<Address>();
        let address = parse("redis://localhost?channel=live").unwrap();
        assert_eq!(address.host.to_string(), "localhost:6379");
        assert_eq!(
            (address.database, address.way),
            (0, Way::Channel("live".into()))
        );
        let text = "rediss://[::1]:7/3?stream=live%3Areactions&field=text";
        let address = parse(text).unwrap();
        assert_eq!(address.to_string(), text);
        assert!(address.is_tls && address.database == 3);
        let stream = Way::Stream {
            key: "live:reactions".into(),
            field: Some("text".into()),
        };
        assert_eq!(address.way, stream);
        let address = parse("redis://localhost/?pattern=live.*").unwrap();
        assert_eq!(address.way, Way::Pattern("live.*".into()));
        for (text, told) in [
            ("redis://localhost", "one of ?channel=NAME"),
            ("redis://localhost?channel=", "one of ?channel=NAME"),
            (
                "redis://localhost?channel=a&stream=b",
                "one of ?channel=NAME",
            ),
            ("redis://localhost?channel=a&field=b", "only with stream"),
            ("redis://localhost/live?channel=a", "the database's number"),
            ("redis://:secret@localhost?channel=a", "secret_file"),
            ("redis://localhost?queue=a", "the options are: channel"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
            assert!(!error.contains(":secret"), "{error}");
        }
    }

    #[test]
    fn what_is_shown_of_a_source_has_no_secret() {
        let address = "redis://localhost?channel=a".parse().unwrap();
        let source = Redis::at(&address, &Secrets::of(Some("ann:s3cret".into()))).unwrap();
        assert!(!format!("{source:?}").contains("s3cret"));
        // In a server's words, too, and the part of it that they are cut in.
        for (told, shown) in [
            ("it is s3cret of ann", "it is [password] of [user]"),
            (
                "unknown command 'AUTH', with args beginning with: 'ann' 's3c",
                "unknown command 'AUTH'",
            ),
        ] {
            let error = RedisError::from((ErrorKind::Io, "", told.to_owned()));
            let failure = source.failure(&error);
            assert!(failure.why.ends_with(shown), "{}", failure.why);
        }
    }
}
