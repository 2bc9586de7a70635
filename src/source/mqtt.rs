//! MQTT topics (OASIS MQTT 3.1.1), QoS 0 to 2, over TCP or TLS.
//!
//! 3.1.1 is what every broker speaks; a reader gains nothing from version 5. `rumqttc` reads and
//! writes the packets. The session is our own: a message that is too long has to be acknowledged
//! for it not to come again after every reconnection, and so has a message of QoS 2 whose exchange
//! was cut in two; the library's own loop takes neither.

mod filter;
mod memory;
mod session;
mod wire;

use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use rumqttc::mqttbytes::QoS;

use self::memory::Memory;
use self::session::Session;
use self::wire::Tls;
use super::address::{AddressError, Parts, Secrets, url};
use super::broker::{Host, Login};
use super::inbox::Inbox;
use super::retry::Backoff;

/// Where user and password are looked for.
pub(super) const VARIABLES: &[&str] = &["MQTT_USERNAME", "MQTT_PASSWORD"];

/// How often a broker is pinged.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A broker that nothing is heard of for this long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The longest topic filter, in bytes (1.5.3).
const FILTER_BYTES_MAX: usize = 65_535;

/// Topics by a filter: `mqtt://HOST:1883/TOPIC/FILTER` or `mqtts://HOST:8883/TOPIC/FILTER`, with
/// `?qos=0|1|2`, `client_id=ID`, `retained=true`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    text: String,
    host: Host,
    is_tls: bool,
    filter: String,
    qos: u8,
    /// The name of a session that the broker keeps while we are away.
    client_id: Option<String>,
    with_retained: bool,
}

impl Address {
    /// The same, without the session that the broker keeps, which is another's to take.
    pub(super) fn for_a_look(&self) -> Self {
        Self {
            client_id: None,
            ..self.clone()
        }
    }
}

impl std::str::FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let parts = Parts::of(text, &["qos", "client_id", "retained"])?;
        // In a filter, `#` is a wildcard.
        let url = url(&parts.path.replace('#', "%23"), &["mqtt", "mqtts"])?;
        let is_tls = url.scheme() == "mqtts";
        let filter = percent_decode_str(url.path().trim_start_matches('/')).decode_utf8();
        let filter = filter
            .ok()
            .filter(|filter| {
                rumqttc::valid_filter(filter)
                    && filter.len() <= FILTER_BYTES_MAX
                    && !filter.contains(char::is_control)
            })
            .ok_or_else(|| {
                AddressError::new(format_args!(
                    "{text:?}: expected mqtt://HOST/TOPIC, in which + stands for one level and # \
                     at the end for all that follow"
                ))
            })?;
        let qos = match parts.option("qos") {
            Some("0") => 0,
            None | Some("1") => 1,
            Some("2") => 2,
            Some(qos) => {
                return Err(AddressError::new(format_args!(
                    "qos={qos}: expected 0, 1 or 2"
                )));
            }
        };
        let client_id = match parts.option("client_id") {
            Some(id) if !(1..=128).contains(&id.len()) || id.contains(char::is_control) => {
                return Err(AddressError::new("client_id: expected 1 to 128 bytes"));
            }
            id => id.map(str::to_owned),
        };
        let with_retained = match parts.option("retained") {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => {
                return Err(AddressError::new(format_args!(
                    "retained={other}: expected true or false"
                )));
            }
        };
        Ok(Self {
            host: Host::of(&url, if is_tls { 8883 } else { 1883 }),
            text: text.to_owned(),
            is_tls,
            filter: filter.into_owned(),
            qos,
            client_id,
            with_retained,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Address {
    fn qos(&self) -> QoS {
        match self.qos {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        }
    }
}

/// A broker's topics.
#[derive(Debug)]
pub struct Mqtt {
    address: Address,
    login: Option<Login>,
    /// The session's name: the address's own, or one by chance.
    client_id: String,
    tls: Option<Tls>,
}

impl Mqtt {
    /// The topics at an address, read by whom the secrets say: `USER:PASSWORD`, or the variables
    /// [`VARIABLES`].
    pub(super) fn at(address: &Address, secrets: &Secrets) -> Result<Self, AddressError> {
        let login = Login::of(secrets, "MQTT_USERNAME", "MQTT_PASSWORD")?;
        if login.as_ref().is_some_and(|login| login.user.is_none()) {
            return Err(AddressError::new(
                "a password alone: MQTT needs USER:PASSWORD, or MQTT_USERNAME and MQTT_PASSWORD",
            ));
        }
        let by_chance = || format!("floatup{:016x}", rand::random::<u64>());
        Ok(Self {
            client_id: address.client_id.clone().unwrap_or_else(by_chance),
            tls: match address.is_tls {
                true => Some(Tls::new(address.host.bare())?),
                false => None,
            },
            address: address.clone(),
            login,
        })
    }

    /// Follows the topics for as long as the future is kept.
    pub(super) async fn follow(self, inbox: &Inbox) -> ! {
        let mut memory = Memory::default();
        let mut backoff = Backoff::default();
        loop {
            let failure = match Session::open(&self, &mut memory, inbox).await {
                Ok(session) => session.run().await,
                Err(failure) => failure,
            };
            let held = inbox.lost(&failure);
            backoff.wait(&failure, held).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_broker_and_a_filter() {
        let parse = |text: &str| text.parse::<Address>();
        let address = parse("mqtt://localhost/live/+/reactions").unwrap();
        assert_eq!(address.filter, "live/+/reactions");
        assert_eq!(address.host.to_string(), "localhost:1883");
        assert_eq!((address.qos, address.client_id), (1, None));
        let text = "mqtts://[::1]:1/a%20b/#?qos=2&client_id=floatup-1&retained=true";
        let address = parse(text).unwrap();
        assert_eq!(address.to_string(), text);
        assert_eq!(address.filter, "a b/#");
        assert_eq!(address.host.to_string(), "[::1]:1");
        assert_eq!(address.host.bare(), "::1");
        assert_eq!(address.client_id.as_deref(), Some("floatup-1"));
        assert!(address.is_tls && address.with_retained && address.qos == 2);
        for (text, told) in [
            ("mqtt://localhost", "expected mqtt://HOST/TOPIC"),
            ("mqtt://localhost/a/#/b", "# at the end"),
            ("mqtt://localhost/a+b", "+ stands for one level"),
            ("mqtt://localhost/a%00", "expected mqtt://HOST/TOPIC"),
            ("mqtt://ann:secret@localhost/a", "secret_file"),
            ("mqtt://localhost/a?qos=3", "expected 0, 1 or 2"),
            ("mqtt://localhost/a?client_id=", "1 to 128 bytes"),
            ("mqtt://localhost/a?retained=1", "true or false"),
            (
                "mqtt://localhost/a?q=1",
                "the options are: qos, client_id, retained",
            ),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
            assert!(!error.contains("ann:secret"), "{error}");
        }
    }

    #[test]
    fn a_password_needs_a_user() {
        let address = "mqtt://localhost/a".parse().unwrap();
        let error = Mqtt::at(&address, &Secrets::of(Some("s3cret".into()))).unwrap_err();
        assert!(error.to_string().contains("USER:PASSWORD"), "{error}");
        let source = Mqtt::at(&address, &Secrets::of(Some("ann:s3cret".into()))).unwrap();
        assert!(!format!("{source:?}").contains("s3cret"));
    }
}
