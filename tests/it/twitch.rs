//! Twitch chat, from a scripted server: what is said, what is taken back, and what goes wrong.

use std::time::Duration;

use floatup::reaction::Rules;
use floatup::source::twitch::{self, Twitch};
use floatup::source::{Source, State};
use futures_util::{SinkExt as _, StreamExt as _};
use prometheus_client::metrics::counter::Counter;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{WebSocketStream, accept_async};

use crate::brokers::free_port;
use crate::following::Following;
use crate::fuzz_corpus::bodies;
use crate::in_process::{DEADLINE, now_unix, until};

/// A server that does what a test says.
pub(crate) struct Server {
    pub(crate) listener: TcpListener,
}

fn twitch(server: &str) -> Twitch {
    let address = format!("twitch:Some_Body?server=ws://{server}");
    Twitch::new(&address.parse::<twitch::Address>().unwrap())
}

/// The server's side of a connection.
pub(crate) struct Peer {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener }
    }

    fn source(&self) -> Source {
        Source::Twitch(self.twitch())
    }

    fn twitch(&self) -> Twitch {
        twitch(&self.listener.local_addr().unwrap().to_string())
    }

    async fn accept(&self) -> Peer {
        let (stream, _) = timeout(DEADLINE, self.listener.accept())
            .await
            .expect("a client")
            .unwrap();
        let socket = accept_async(stream).await.unwrap();
        Peer { socket }
    }

    /// Accepts a client, and lets it join.
    pub(crate) async fn joined(&self) -> Peer {
        let mut peer = self.accept().await;
        let nick = peer.hello().await;
        peer.send(&format!(
            ":tmi.twitch.tv CAP * ACK :twitch.tv/tags twitch.tv/commands\r\n\
             :tmi.twitch.tv 001 {nick} :Welcome, GLHF!\r\n:tmi.twitch.tv 376 {nick} :>\r\n\
             :{nick}!{nick}@{nick}.tmi.twitch.tv JOIN #some_body\r\n\
             @emote-only=0;room-id=1 :tmi.twitch.tv ROOMSTATE #some_body\r\n"
        ))
        .await;
        peer
    }
}

impl Peer {
    async fn send(&mut self, lines: &str) {
        self.socket.send(Frame::text(lines)).await.unwrap();
    }

    /// The next text.
    async fn told(&mut self) -> String {
        let frame = timeout(DEADLINE, self.socket.next())
            .await
            .expect("a frame");
        frame
            .expect("an open connection")
            .unwrap()
            .into_text()
            .unwrap()
            .to_string()
    }

    /// Reads what a client says first, and gives its name.
    async fn hello(&mut self) -> String {
        let told = self.told().await;
        let lines: Vec<_> = told.lines().collect();
        let [cap, nick, join] = lines[..] else {
            panic!("{told}")
        };
        assert_eq!(cap, "CAP REQ :twitch.tv/tags twitch.tv/commands");
        assert_eq!(join, "JOIN #some_body");
        let number = nick.strip_prefix("NICK justinfan").expect(nick);
        assert!(number.parse::<u32>().is_ok(), "{nick}");
        nick.replace("NICK ", "")
    }

    pub(crate) async fn say(&mut self, id: &str, text: &str) {
        let line = format!("@emotes=;id={id};user-id=7 :ann!ann@h PRIVMSG #some_body :{text}\r\n");
        self.send(&line).await;
    }
}

/// What was shown, once so many messages have asked for something.
async fn shown(following: &Following, count: usize) -> Vec<String> {
    following.delivered(count).await;
    following.shown()
}

/// Messages by what became of them: accepted, unknown, duplicate, refused.
fn counted(following: &Following) -> [u64; 4] {
    let metrics = &following.metrics;
    let counters = [
        &metrics.accepted,
        &metrics.unknown,
        &metrics.duplicate,
        &metrics.refused,
    ];
    counters.map(Counter::get)
}

#[tokio::test]
async fn reactions_come_from_texts_and_emotes() {
    let names = |rules: Rules| {
        rules
            .with_names([("1902", "joy"), ("<3", "heart")])
            .unwrap()
    };
    let server = Server::start().await;
    let following = Following::with(|rules| names(rules).with_emoji_in_text(2), server.source());
    let mut peer = server.joined().await;
    following.is(State::Live).await;
    // Several lines in one frame; a time is kept where there is one.
    let now_ms = now_unix() * 1_000;
    peer.send(&format!(
        "@id=1;user-id=7;tmi-sent-ts={now_ms};emotes= :ann!ann@h PRIVMSG #some_body :🔥🔥\r\n\
         @id=2;emotes=1902:2-6 :bob!bob@h PRIVMSG #some_body :👍 Keepo\r\n\
         PRIVMSG #some_body :hello there\r\n\
         @id=3;emotes=1902:0-4 :ann!ann@h PRIVMSG #some_body :\u{1}ACTION Keepo\u{1}\r\n\r\n"
    ))
    .await;
    peer.send(
        "@id=4;emotes=;msg-id=resub :tmi.twitch.tv USERNOTICE #some_body :<3 what a show\r\n",
    )
    .await;
    // Emotes beyond the end, backwards and overlapping.
    peer.send("@id=5;tmi-sent-ts=1000;emotes=1902:0-900,4-1,2-3 :a!a@h PRIVMSG #some_body :Keepo")
        .await;
    let expected = ["🔥2", "👍1 😂1", "😂1", "❤️1", "😂1"];
    assert_eq!(shown(&following, 5).await, expected);
    let sent = following.sent_at();
    assert_eq!(
        sent,
        [Some(Duration::from_millis(now_ms)), None, None, None, None],
        "and one of a clock that is wrong is none"
    );
    assert_eq!(counted(&following), [5, 1, 0, 0]);
}

#[tokio::test]
async fn what_is_taken_back_is_shown_no_more() {
    let server = Server::start().await;
    let following = Following::start(server.source());
    let mut peer = server.joined().await;
    for (id, user) in [("a", 1), ("b", 1), ("c", 2), ("d", 3), ("e", 4)] {
        peer.send(&format!(
            "@id={id};user-id={user} :x!x@h PRIVMSG #some_body :🔥"
        ))
        .await;
    }
    let places = following.delivered(5).await;
    let retracted = |count: usize| {
        let what = format!("{count} taken back");
        let following = &following;
        async move {
            until(&what, || following.retracted().len() >= count).await;
            let mut items: Vec<_> = following
                .retracted()
                .iter()
                .map(|item| (item.page, item.sequence))
                .collect();
            items.sort_unstable();
            items
        }
    };
    peer.send("@login=x;target-msg-id=c :tmi.twitch.tv CLEARMSG #some_body :🔥")
        .await;
    assert_eq!(retracted(1).await, [places[2]]);
    peer.send("@ban-duration=600;target-user-id=1 :tmi.twitch.tv CLEARCHAT #some_body :x")
        .await;
    assert_eq!(retracted(3).await, places[..3]);
    // One that has yet to come, by another way.
    peer.send("@target-msg-id=f :tmi.twitch.tv CLEARMSG #some_body :🔥")
        .await;
    peer.say("f", "🔥").await;
    until("it is known", || following.metrics.duplicate.get() == 1).await;
    // The whole chat: each of those that are left.
    peer.send("@room-id=1 :tmi.twitch.tv CLEARCHAT #some_body")
        .await;
    let all = retracted(8).await;
    assert!(
        places[3..].iter().all(|place| all.contains(place)),
        "{all:?}"
    );
    peer.say("g", "🔥").await;
    assert_eq!(shown(&following, 6).await.len(), 6, "and it goes on");
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_what_comes_twice_counts_once() {
    let server = Server::start().await;
    let following = Following::start(server.source());
    let mut peer = server.joined().await;
    peer.say("1", "🔥").await;
    following.delivered(1).await;
    drop(peer);
    let status = following.is(State::Waiting).await;
    assert!(
        status.why.contains("what is written meanwhile is lost"),
        "{status:?}"
    );
    let mut peer = server.joined().await;
    following.is(State::Live).await;
    peer.say("1", "🔥").await;
    peer.say("2", "👍").await;
    assert_eq!(shown(&following, 2).await, ["🔥1", "👍1"]);
    assert_eq!(counted(&following), [2, 0, 1, 0]);
    assert_eq!(following.metrics.reconnects.get(), 1);
    // By a close frame, too.
    peer.socket.close(None).await.unwrap();
    following.is(State::Waiting).await;
    server.joined().await.say("3", "👏").await;
    following.delivered(3).await;
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for() {
    let port = free_port();
    let following = Following::start(Source::Twitch(twitch(&format!("127.0.0.1:{port}"))));
    let status = following.is(State::Waiting).await;
    assert!(status.why.contains("refused"), "{status:?}");
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let mut peer = Server { listener }.joined().await;
    peer.say("1", "🔥").await;
    following.delivered(1).await;
    following.is(State::Live).await;
}

/// A source that does what a server asks, however often.
fn obedient(server: &Server) -> Source {
    Source::Twitch(server.twitch().with_reconnect_at_least(Duration::ZERO))
}

#[tokio::test]
async fn a_reconnect_that_is_asked_for_is_no_trouble_and_loses_nothing() {
    let server = Server::start().await;
    let following = Following::start(obedient(&server));
    let mut old = server.joined().await;
    old.say("1", "🔥").await;
    following.delivered(1).await;
    old.send(":tmi.twitch.tv RECONNECT\r\n").await;
    let mut new = server.accept().await;
    old.say("2", "👍").await;
    old.say("3", "👏").await;
    assert_eq!(
        shown(&following, 3).await,
        ["🔥1", "👍1", "👏1"],
        "the old one is still read"
    );
    let nick = new.hello().await;
    new.send(&format!(":{nick}!{nick}@h JOIN #some_body\r\n"))
        .await;
    new.say("3", "👏").await;
    new.say("4", "🎉").await;
    assert_eq!(shown(&following, 4).await[3], "🎉1");
    let state = following.monitor.status.borrow().clone();
    assert_eq!(state.state, State::Live);
    assert_eq!(
        following.metrics.reconnects.get(),
        0,
        "it was live throughout"
    );
}

#[tokio::test]
async fn a_connection_that_is_to_end_is_read_until_there_is_another() {
    let server = Server::start().await;
    let following = Following::start(obedient(&server));
    let mut old = server.joined().await;
    old.say("1", "🔥").await;
    following.delivered(1).await;
    old.send("RECONNECT").await;
    drop(server.accept().await);
    let status = following.is(State::Degraded).await;
    assert!(status.why.contains("is to end soon"), "{status:?}");
    old.say("2", "👍").await;
    assert_eq!(shown(&following, 2).await, ["🔥1", "👍1"]);
    let mut new = server.joined().await;
    following.is(State::Live).await;
    new.say("3", "👏").await;
    following.delivered(3).await;
    assert_eq!(following.metrics.reconnects.get(), 0);
    // When it ends before, that is said.
    new.send("RECONNECT").await;
    drop(server.accept().await);
    following.is(State::Degraded).await;
    drop(new);
    following.is(State::Waiting).await;
    server.joined().await.say("4", "🔥").await;
    following.delivered(4).await;
}

#[tokio::test]
async fn a_server_that_asks_to_connect_again_at_once_gets_a_pause() {
    let server = Server::start().await;
    let following = Following::start(server.source());
    server.joined().await.send("RECONNECT").await;
    let status = following.is(State::Waiting).await;
    assert!(status.why.contains("again, and again"), "{status:?}");
    server.joined().await.say("1", "🔥").await;
    following.delivered(1).await;
}

#[tokio::test]
async fn pings_are_answered_and_a_silent_server_is_asked() {
    let server = Server::start().await;
    let (quiet, patience) = (Duration::from_secs(1), Duration::from_secs(4));
    let twitch = server.twitch().with_quiet(quiet).with_patience(patience);
    let following = Following::start(Source::Twitch(twitch));
    let mut peer = server.joined().await;
    peer.send("PING :tmi.twitch.tv\r\nPING").await;
    let mut told = Vec::new();
    while told.len() < 3 {
        told.push(peer.told().await);
    }
    // It may have asked before.
    told.sort_unstable();
    let expected = ["PING :floatup\r\n", "PONG :\r\n", "PONG :tmi.twitch.tv\r\n"];
    assert_eq!(told, expected);
    peer.send(":tmi.twitch.tv PONG tmi.twitch.tv :floatup\r\n")
        .await;
    peer.say("1", "🔥").await;
    following.delivered(1).await;
    assert_eq!(following.metrics.reconnects.get(), 0);
    assert_eq!(peer.told().await, "PING :floatup\r\n");
    // No answer: the connection is dead.
    let status = following.is(State::Waiting).await;
    assert!(status.why.contains("silent"), "{status:?}");
    server.joined().await.say("2", "🔥").await;
    following.delivered(2).await;
}

#[tokio::test]
async fn a_server_may_ask_for_a_pause() {
    let server = Server::start().await;
    let following = Following::start(server.source());
    let (mut stream, _) = server.listener.accept().await.unwrap();
    let asked = Instant::now();
    let head = b"HTTP/1.1 429 Too Many\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let status = following.is(State::Waiting).await;
    assert!(status.why.contains("429"), "{status:?}");
    server.joined().await.say("1", "🔥").await;
    assert!(asked.elapsed() >= Duration::from_secs(2));
    following.delivered(1).await;
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    for (answer, told) in [
        (
            "@msg-id=msg_channel_suspended :h NOTICE #some_body :This channel does not exist or has been suspended.",
            "Name another channel than \"some_body\"",
        ),
        (
            "@msg-id=tos_ban :h NOTICE #some_body :Closed.",
            "Name another channel",
        ),
        (
            ":h NOTICE * :Login authentication failed",
            "without an account",
        ),
        (":h CAP * NAK :twitch.tv/tags", "is it Twitch's?"),
        (
            ":h 001 justinfan1 :Welcome, GLHF!",
            "is there a channel at twitch.tv/some_body?",
        ),
    ] {
        let server = Server::start().await;
        // Only the last one is waited for that long.
        let patience = Duration::from_secs(2);
        let following = Following::start(Source::Twitch(server.twitch().with_patience(patience)));
        let mut peer = server.accept().await;
        peer.hello().await;
        peer.send(answer).await;
        let status = following.is(State::Refused).await;
        assert!(status.why.contains(told), "{answer}: {status:?}");
    }
}

#[tokio::test]
async fn no_frame_does_harm() {
    let server = Server::start().await;
    let following = Following::start(server.source());
    let mut peer = server.joined().await;
    let long = format!("PRIVMSG #some_body :{}", "🔥".repeat(5_000));
    for frame in [
        Frame::binary(&b"PRIVMSG #some_body :\xf0\x9f\x94\xa5"[..]),
        Frame::text("no, this is no line!"),
        Frame::text("@;;;=;=; ::: \u{0} :"),
        Frame::text(long),
    ] {
        peer.socket.send(frame).await.unwrap();
    }
    peer.socket
        .send(Frame::Ping(vec![1; 125].into()))
        .await
        .unwrap();
    peer.say("1", "🔥").await;
    following.delivered(1).await;
    assert_eq!(counted(&following), [1, 0, 0, 4]);
    assert_eq!(following.metrics.reconnects.get(), 0);
    // Longer than is read, and no text: the connection is given up.
    for (number, frame) in [Frame::text("x".repeat(1 << 20)), invalid_text()]
        .into_iter()
        .enumerate()
    {
        // The client may hang up before all of it is written.
        drop(peer.socket.send(frame).await);
        following.is(State::Waiting).await;
        peer = server.joined().await;
        peer.say(&format!("after-{number}"), "🔥").await;
        following.delivered(2 + number).await;
    }
}

/// A frame of text that is none.
fn invalid_text() -> Frame {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame as Raw;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    Frame::Frame(Raw::message(
        &b"PRIVMSG #x :\xff\xfe"[..],
        OpCode::Data(Data::Text),
        true,
    ))
}

proptest! {
    /// Pieces of lines in any order reach further than any text does.
    #[test]
    fn no_line_makes_the_reader_fail(
        pieces in proptest::collection::vec(
            prop_oneof![
                "\\PC{0,4}",
                "[0-9]{1,21}",
                prop::sample::select(vec![
                    "@", ":", " ", ";", "=", ",", "-", "/", "!", "\\", "\r", "\n", "\u{1}", "#x",
                    "emotes=", "25:0-4", "id=", "user-id=7", "tmi-sent-ts=", "PRIVMSG", "CLEARMSG",
                    "CLEARCHAT", "NOTICE", "CAP", "NAK", "PING", "\u{1}ACTION ", "🔥", "e\u{301}",
                    "@emotes=25:", " PRIVMSG #x :🔥Kappa",
                ]).prop_map(String::from),
            ],
            0..40,
        )
    ) {
        bodies::irc_line(&pieces.concat());
    }
}
