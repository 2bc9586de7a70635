//! One connection to a broker, and what is remembered from one to the next.

use std::collections::{BTreeSet, VecDeque, hash_map::DefaultHasher};
use std::fmt;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use rumqttc::mqttbytes::v4::{
    Connect, ConnectReturnCode, Packet, PubAck, PubComp, PubRec, Publish, Subscribe,
    SubscribeReasonCode,
};
use rumqttc::mqttbytes::{Error as PacketError, QoS};
use rumqttc::tokio_rustls::TlsConnector;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::{KEEP_ALIVE, Mqtt};
use crate::reaction::Message;
use crate::source::address::AddressError;
use crate::source::broker::{CONNECT_TIMEOUT, PAYLOAD_BYTES_MAX, text};
use crate::source::inbox::{Arrival, Inbox};
use crate::source::retry::Failure;

/// The longest packet that is held: the longest payload with the longest topic.
const PACKET_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 65_535 + 4;

/// Messages of QoS 1 that are remembered, in case the broker did not get our acknowledgement and
/// sends them again. The oldest is forgotten first; brokers have far fewer on their way at once.
const TAKEN_MAX: usize = 1_024;

/// The packet identifier of the only request that we make.
const SUBSCRIBE_ID: u16 = 1;

/// What is remembered across connections.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The newest messages of QoS 1: packet identifier, and a hash of topic and payload.
    /// At most [`TAKEN_MAX`].
    taken: VecDeque<(u16, u64)>,
    /// The messages of QoS 2 that were taken and not yet released. Bounded by their 16 bits.
    unreleased: BTreeSet<u16>,
    /// Whether there was a session before.
    is_known: bool,
}

impl Memory {
    /// Whether a message is to be shown: QoS 0 always, others unless they came before.
    fn is_new(&mut self, publish: &Publish) -> bool {
        match publish.qos {
            QoS::AtMostOnce => true,
            QoS::ExactlyOnce => self.unreleased.insert(publish.pkid),
            QoS::AtLeastOnce => {
                let mut hasher = DefaultHasher::new();
                (&publish.topic, &publish.payload).hash(&mut hasher);
                let mark = (publish.pkid, hasher.finish());
                if publish.dup && self.taken.contains(&mark) {
                    return false;
                }
                if self.taken.len() >= TAKEN_MAX {
                    self.taken.pop_front();
                }
                self.taken.push_back(mark);
                true
            }
        }
    }
}

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

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One connection.
pub(super) struct Session<'a> {
    wire: Wire,
    source: &'a Mqtt,
    memory: &'a mut Memory,
    inbox: &'a Inbox,
    /// Whether what the broker has kept for topics is shown.
    with_retained: bool,
}

impl<'a> Session<'a> {
    /// Connects and subscribes.
    pub(super) async fn open(
        source: &'a Mqtt,
        memory: &'a mut Memory,
        inbox: &'a Inbox,
    ) -> Result<Self, Failure> {
        let host = &source.address.host;
        let welcome = async {
            let mut wire = connect(source).await?;
            wire.send(&Packet::Connect(hello(source))).await?;
            let connack = match wire.next().await? {
                Some(Incoming::Packet(Packet::ConnAck(connack))) => connack,
                _ => {
                    return Err(Failure::passing(format_args!(
                        "{host}: this is no MQTT broker"
                    )));
                }
            };
            refusal(source, connack.code)?;
            Ok((wire, connack.session_present))
        };
        let welcome = timeout(CONNECT_TIMEOUT, welcome).await;
        let (wire, is_kept) =
            welcome.map_err(|_| Failure::passing(format_args!("{host}: no answer")))??;
        let mut session = Self {
            wire,
            with_retained: source.address.with_retained && !memory.is_known,
            source,
            memory,
            inbox,
        };
        session.resume(is_kept).await?;
        Ok(session)
    }

    /// Goes on with the session that the broker has kept, or subscribes.
    async fn resume(&mut self, is_kept: bool) -> Result<(), Failure> {
        let was_known = std::mem::replace(&mut self.memory.is_known, true);
        if !is_kept {
            self.memory.taken.clear();
            self.memory.unreleased.clear();
            if was_known && self.source.address.client_id.is_some() {
                // What the broker had kept is gone; how much that was, nobody knows.
                self.inbox.gap(0, true);
            }
        }
        if is_kept && was_known {
            self.inbox.live();
            return Ok(());
        }
        let (filter, qos) = (&self.source.address.filter, self.source.address.qos());
        let mut subscribe = Subscribe::new(filter, qos);
        subscribe.pkid = SUBSCRIBE_ID;
        self.wire.send(&Packet::Subscribe(subscribe)).await
    }

    /// Takes messages until the connection is over.
    pub(super) async fn run(mut self) -> Failure {
        let mut ping_at = Instant::now() + KEEP_ALIVE;
        let mut heard_at = Instant::now();
        loop {
            let incoming = tokio::select! {
                incoming = self.wire.next() => incoming,
                () = sleep_until(ping_at) => {
                    if heard_at.elapsed() > KEEP_ALIVE.mul_f64(1.5) {
                        return self.lost("nothing was heard of it");
                    }
                    ping_at = Instant::now() + KEEP_ALIVE;
                    if let Err(failure) = self.wire.send(&Packet::PingReq).await {
                        return failure;
                    }
                    continue;
                }
            };
            heard_at = Instant::now();
            let answered = match incoming {
                Ok(Some(incoming)) => self.take(incoming).await,
                Ok(None) => return self.lost("it closed the connection"),
                Err(failure) => return failure,
            };
            if let Err(failure) = answered {
                return failure;
            }
        }
    }

    fn lost(&self, why: &str) -> Failure {
        let host = &self.source.address.host;
        Failure::passing(match self.source.address.client_id {
            Some(_) => format!("{host}: {why}"),
            None => format!(
                "{host}: {why}; messages sent meanwhile are lost, unless the address has a \
                 client_id"
            ),
        })
    }

    /// Takes what came, and answers it.
    async fn take(&mut self, incoming: Incoming) -> Result<(), Failure> {
        let packet = match incoming {
            Incoming::Packet(packet) => packet,
            Incoming::TooLong(qos, id) => {
                self.inbox.refuse();
                if qos == QoS::ExactlyOnce {
                    self.memory.unreleased.insert(id);
                }
                return self.acknowledge(qos, id).await;
            }
        };
        match packet {
            Packet::Publish(publish) => {
                self.message(&publish);
                self.acknowledge(publish.qos, publish.pkid).await
            }
            // Also of a message that we don't know of: that is how its exchange ends (4.3.3).
            Packet::PubRel(release) => {
                self.memory.unreleased.remove(&release.pkid);
                let complete = PubComp { pkid: release.pkid };
                self.wire.send(&Packet::PubComp(complete)).await
            }
            Packet::SubAck(answer) => match answer.return_codes.first() {
                Some(SubscribeReasonCode::Success(_)) => {
                    self.inbox.live();
                    Ok(())
                }
                _ => Err(Failure::refused(format_args!(
                    "{}: the broker refuses a subscription to {:?}; allow this user to read it",
                    self.source.address.host, self.source.address.filter
                ))),
            },
            _ => Ok(()),
        }
    }

    fn message(&mut self, publish: &Publish) {
        if publish.retain && !self.with_retained {
            // It stands for how things are, not for somebody who reacts now. Its identifier must
            // not be forgotten for that.
            self.memory.is_new(publish);
            self.inbox.refuse();
            return;
        }
        if !self.memory.is_new(publish) {
            return;
        }
        if let Some(text) = text(self.inbox, &publish.payload) {
            self.inbox.take(&Arrival::of(Message::payload(text)));
        }
    }

    async fn acknowledge(&mut self, qos: QoS, id: u16) -> Result<(), Failure> {
        match qos {
            QoS::AtMostOnce => Ok(()),
            QoS::AtLeastOnce => self.wire.send(&Packet::PubAck(PubAck::new(id))).await,
            QoS::ExactlyOnce => self.wire.send(&Packet::PubRec(PubRec::new(id))).await,
        }
    }
}

fn hello(source: &Mqtt) -> Connect {
    let mut connect = Connect::new(&source.client_id);
    connect.keep_alive = u16::try_from(KEEP_ALIVE.as_secs()).unwrap_or(u16::MAX);
    connect.clean_session = source.address.client_id.is_none();
    if let Some(login) = &source.login {
        connect.set_login(login.user.clone().unwrap_or_default(), &login.password);
    }
    connect
}

/// What a broker's refusal of a connection means (3.2.2.3).
fn refusal(source: &Mqtt, code: ConnectReturnCode) -> Result<(), Failure> {
    use ConnectReturnCode as Code;
    let host = &source.address.host;
    Err(match code {
        Code::Success => return Ok(()),
        Code::ServiceUnavailable => Failure::passing(format_args!("{host}: it is not available")),
        Code::BadUserNamePassword | Code::NotAuthorized => {
            let what = match source.login {
                Some(_) => "refuses this user and password",
                None => "wants a user and a password",
            };
            Failure::refused(format_args!(
                "{host}: it {what}; give MQTT_USERNAME and MQTT_PASSWORD, or USER:PASSWORD as the \
                 source's secret"
            ))
        }
        Code::BadClientId => Failure::refused(format_args!(
            "{host}: it refuses the client_id {:?}; give another",
            source.client_id
        )),
        Code::RefusedProtocolVersion => Failure::refused(format_args!(
            "{host}: it does not speak MQTT 3.1.1; enable that on the broker"
        )),
    })
}

async fn connect(source: &Mqtt) -> Result<Wire, Failure> {
    let host = &source.address.host;
    let failed = |error: std::io::Error| Failure::passing(format_args!("{host}: {error}"));
    let tcp = TcpStream::connect((host.bare(), host.port)).await;
    let tcp = tcp.map_err(failed)?;
    tcp.set_nodelay(true).map_err(failed)?;
    let stream: Box<dyn Stream> = match &source.tls {
        None => Box::new(tcp),
        Some(tls) => {
            let secured = tls.connector.connect(tls.name.clone(), tcp).await;
            Box::new(secured.map_err(failed)?)
        }
    };
    Ok(Wire {
        host: host.to_string(),
        stream,
        received: BytesMut::new(),
        skipped: 0,
    })
}

/// What comes from the broker.
enum Incoming {
    Packet(Packet),
    /// A message that is longer than a packet may be, passed over.
    TooLong(QoS, u16),
}

/// Packets over a connection.
struct Wire {
    host: String,
    stream: Box<dyn Stream>,
    /// At most [`PACKET_BYTES_MAX`], and what comes with it in one read.
    received: BytesMut,
    /// How much of a packet that is too long is still to come.
    skipped: usize,
}

impl Wire {
    fn failed(&self, error: impl fmt::Display) -> Failure {
        Failure::passing(format_args!("{}: {error}", self.host))
    }

    async fn send(&mut self, packet: &Packet) -> Result<(), Failure> {
        let mut bytes = BytesMut::new();
        packet
            .write(&mut bytes, usize::MAX)
            .map_err(|error| self.failed(error))?;
        let sent = timeout(CONNECT_TIMEOUT, self.stream.write_all(&bytes)).await;
        match sent {
            Ok(sent) => sent.map_err(|error| self.failed(error)),
            Err(_) => Err(self.failed("it reads nothing any more")),
        }
    }

    /// The next packet; `None` at the connection's end. What was read stays when the future is
    /// dropped.
    async fn next(&mut self) -> Result<Option<Incoming>, Failure> {
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
