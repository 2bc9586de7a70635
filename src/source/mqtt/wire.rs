//! Packets over a connection, each of them bounded.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use rumqttc::mqttbytes::v4::Packet;
use rumqttc::mqttbytes::{Error as PacketError, QoS};
use rumqttc::tokio_rustls::TlsConnector;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::source::address::AddressError;
use crate::source::broker::{CONNECT_TIMEOUT, Host, PAYLOAD_BYTES_MAX};
use crate::source::retry::Failure;

/// The longest packet that is held: the longest payload with the longest topic.
const PACKET_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 65_535 + 4;

/// Room to read into, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// What a connection over TLS needs.
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// With this system's roots.
    pub(super) fn new(host: &str) -> Result<Self, AddressError> {
        let loaded = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (taken, _) = roots.add_parsable_certificates(loaded.certs);
        if taken == 0 {
            return Err(AddressError::new("this system has no TLS roots"));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(AddressError::new)?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).map_err(AddressError::new)?;
        Ok(Self {
            connector: Arc::new(config).into(),
            name,
        })
    }
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What comes from the broker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Packet(Packet),
    /// A message that is longer than a packet may be, passed over.
    TooLong(QoS, u16),
}

/// Packets over a connection.
pub(super) struct Wire {
    host: String,
    stream: Box<dyn Stream>,
    /// At most [`PACKET_BYTES_MAX`], and what comes with it in one read.
    received: BytesMut,
    /// How much of a packet that is too long is still to come.
    skipped: usize,
}

impl Wire {
    pub(super) async fn connect(host: &Host, tls: Option<&Tls>) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::passing(format_args!("{host}: {error}"));
        let tcp = TcpStream::connect((host.bare(), host.port)).await;
        let tcp = tcp.map_err(failed)?;
        tcp.set_nodelay(true).map_err(failed)?;
        Ok(match tls {
            None => Self::over(host, tcp),
            Some(tls) => {
                let secured = tls.connector.connect(tls.name.clone(), tcp).await;
                Self::over(host, secured.map_err(failed)?)
            }
        })
    }

    pub(super) fn over(host: &Host, stream: impl Stream + 'static) -> Self {
        Self {
            host: host.to_string(),
            stream: Box::new(stream),
            received: BytesMut::new(),
            skipped: 0,
        }
    }

    fn failed(&self, error: impl fmt::Display) -> Failure {
        Failure::passing(format_args!("{}: {error}", self.host))
    }

    pub(super) async fn send(&mut self, packet: &Packet) -> Result<(), Failure> {
        let mut bytes = BytesMut::new();
        packet
            .write(&mut bytes, usize::MAX)
            .map_err(|error| self.failed(error))?;
        let write = async {
            self.stream.write_all(&bytes).await?;
            // TLS may keep what the connection does not take at once.
            self.stream.flush().await
        };
        match timeout(CONNECT_TIMEOUT, write).await {
            Ok(sent) => sent.map_err(|error| self.failed(error)),
            Err(_) => Err(self.failed("it reads nothing any more")),
        }
    }

    /// The next packet; `None` at the connection's end. What was read stays when the future is
    /// dropped.
    pub(super) async fn next(&mut self) -> Result<Option<Incoming>, Failure> {
        loop {
            let skipped = self.skipped.min(self.received.len());
            self.received.advance(skipped);
            self.skipped -= skipped;
            if self.skipped == 0
                && let Some(incoming) = self.framed()?
            {
                return Ok(Some(incoming));
            }
            if self.skipped == 0 || self.received.is_empty() {
                self.received.reserve(READ_BYTES);
                let read = self.stream.read_buf(&mut self.received).await;
                if read.map_err(|error| self.failed(error))? == 0 {
                    return Ok(None);
                }
            }
        }
    }

    /// The next packet of what is received, if all of it is.
    fn framed(&mut self) -> Result<Option<Incoming>, Failure> {
        match Packet::read(&mut self.received, PACKET_BYTES_MAX) {
            Ok(packet) => Ok(Some(Incoming::Packet(packet))),
            Err(PacketError::InsufficientBytes(missing)) => {
                self.received.reserve(missing);
                Ok(None)
            }
            Err(PacketError::PayloadSizeLimitExceeded(length)) => self.too_long(length),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Passes over a packet that is too long, once its head is there: first byte, length, topic,
    /// and the packet identifier (3.3).
    fn too_long(&mut self, length: usize) -> Result<Option<Incoming>, Failure> {
        const PUBLISH: u8 = 3;
        let first = self.received.first().copied().unwrap_or_default();
        if first >> 4 != PUBLISH {
            return Err(self.failed("a packet is too long"));
        }
        let qos = match (first >> 1) & 3 {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            2 => QoS::ExactlyOnce,
            _ => return Err(self.failed("a packet has a QoS of 3")),
        };
        let bytes = self.received.iter().skip(1);
        let head = 2 + bytes.take_while(|byte| *byte & 0x80 != 0).count();
        let number = |at: usize| {
            let bytes = self.received.get(at..at + 2)?;
            Some(u16::from_be_bytes([bytes[0], bytes[1]]))
        };
        let Some(topic) = number(head) else {
            return Ok(None);
        };
        let id = match qos {
            QoS::AtMostOnce => Some(0),
            _ => number(head + 2 + usize::from(topic)),
        };
        let Some(id) = id else { return Ok(None) };
        self.skipped = head + length;
        Ok(Some(Incoming::TooLong(qos, id)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rumqttc::mqttbytes::v4::Publish;
    use tokio::io::duplex;

    use super::*;

    const LONG: usize = PACKET_BYTES_MAX + 1;

    fn publish(qos: QoS, id: u16, payload: usize) -> Vec<u8> {
        let mut publish = Publish::new("live", qos, vec![b'x'; payload]);
        publish.pkid = id;
        let mut bytes = BytesMut::new();
        Packet::Publish(publish)
            .write(&mut bytes, usize::MAX)
            .unwrap();
        bytes.to_vec()
    }

    /// What comes of bytes that arrive in chunks of this size, up to the end or an error.
    async fn received(bytes: &[u8], chunk: usize) -> (Vec<Incoming>, Option<Failure>) {
        let (near, mut far) = duplex(chunk);
        let host = Host::of(&"mqtt://localhost".parse().unwrap(), 1883);
        let mut wire = Wire::over(&host, near);
        let bytes = bytes.to_vec();
        let written = tokio::spawn(async move { far.write_all(&bytes).await });
        let mut all = Vec::new();
        let failure = loop {
            match wire.next().await {
                Ok(Some(incoming)) => all.push(incoming),
                Ok(None) => break None,
                Err(failure) => break Some(failure),
            }
        };
        drop(wire);
        drop(written.await);
        (all, failure)
    }

    #[tokio::test]
    async fn what_is_too_long_is_passed_over_however_it_arrives() {
        for chunk in [1, 2, 1_000, 1 << 20] {
            for (qos, id) in [
                (QoS::AtMostOnce, 0),
                (QoS::AtLeastOnce, 7),
                (QoS::ExactlyOnce, 65_535),
            ] {
                let long = publish(qos, id, LONG);
                let short = publish(QoS::AtLeastOnce, 9, 3);
                let bytes = [&short[..], &long, &short].concat();
                let (all, failure) = received(&bytes, chunk).await;
                assert_eq!(failure, None);
                assert_eq!(all.len(), 3, "{qos:?} in chunks of {chunk}");
                assert_eq!(all[1], Incoming::TooLong(qos, id));
                assert_eq!(all[0], all[2]);
                assert!(matches!(&all[2], Incoming::Packet(Packet::Publish(_))));
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_mqtt_ends_the_connection() {
        let mut odd = publish(QoS::AtLeastOnce, 1, LONG);
        odd[0] |= 6;
        let mut subscribe = publish(QoS::AtMostOnce, 0, LONG);
        subscribe[0] = 0x82;
        for (bytes, told) in [
            (&odd[..], "QoS of 3"),
            (&subscribe, "too long"),
            (&[0xf0, 0x00], "localhost:1883"),
            (&[0x30, 0xff, 0xff, 0xff, 0xff], "localhost:1883"),
        ] {
            let (_, failure) = received(bytes, 1 << 20).await;
            let failure = failure.unwrap_or_else(|| panic!("{told}"));
            assert!(failure.why.contains(told), "{}", failure.why);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            // What begins as a packet that we read, too.
            for first in [bytes.first().copied().unwrap_or_default(), 0x20, 0x30, 0x32, 0x62, 0x90] {
                let mut bytes = bytes.clone();
                if let [kind, length, ..] = &mut bytes[..] {
                    (*kind, *length) = (first, *length % 8);
                }
                runtime.block_on(received(&bytes, 64));
            }
        }
    }
}
