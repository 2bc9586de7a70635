//! One connection to a broker, and what is remembered from one to the next.

use std::collections::{BTreeSet, VecDeque, hash_map::DefaultHasher};
use std::hash::{Hash as _, Hasher as _};

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{
    Connect, ConnectReturnCode, Packet, PubAck, PubComp, PubRec, Publish, Subscribe,
    SubscribeReasonCode,
};
use tokio::time::{Instant, sleep_until, timeout};

use super::wire::{Incoming, Wire};
use super::{KEEP_ALIVE, Mqtt};
use crate::reaction::Message;
use crate::source::broker::{CONNECT_TIMEOUT, text};
use crate::source::inbox::{Arrival, Inbox};
use crate::source::retry::Failure;

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
    /// Whether a session was subscribed before.
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
            let mut wire = Wire::connect(host, source.tls.as_ref()).await?;
            wire.send(&Packet::Connect(hello(source))).await?;
            let Some(Incoming::Packet(Packet::ConnAck(connack))) = wire.next().await? else {
                let why = "this is no MQTT broker";
                return Err(Failure::passing(format_args!("{host}: {why}")));
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
        if !is_kept {
            self.memory.taken.clear();
            self.memory.unreleased.clear();
            if self.memory.is_known && self.source.address.client_id.is_some() {
                // What the broker had kept is gone; how much that was, nobody knows.
                self.inbox.gap(0, true);
            }
        }
        if is_kept && self.memory.is_known {
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
        let mut failure = self.follow().await;
        if !failure.is_refused && self.source.address.client_id.is_none() {
            failure.why += "; messages sent meanwhile are lost, unless the address has a client_id";
        }
        failure
    }

    async fn follow(&mut self) -> Failure {
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
                    match self.wire.send(&Packet::PingReq).await {
                        Ok(()) => continue,
                        Err(failure) => return failure,
                    }
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
        Failure::passing(format_args!("{host}: {why}"))
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
                    self.memory.is_known = true;
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
