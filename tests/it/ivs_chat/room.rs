//! A chat room on loopback that a test plays by hand.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use crate::in_process::DEADLINE;

/// A request for a token, as it came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) head: String,
    pub(super) body: Json,
}

/// What is sent back.
const ECHO: &[u8; 5] = b"ECHO ";

#[derive(Default)]
struct Script {
    /// What the next requests for a token are answered with; a token of its own after that.
    tokens: VecDeque<(u16, String)>,
    /// What the next connections are answered with; they are let in after that.
    refusals: VecDeque<&'static str>,
    asked: Vec<Asked>,
    /// The tokens of all connections.
    shown: Vec<String>,
}

/// The room, and what gives tokens for it, at one address.
pub(super) struct Room {
    pub(super) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    peers: mpsc::Receiver<Peer>,
    task: AbortHandle,
}

impl Room {
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script: Arc<Mutex<Script>> = Arc::default();
        let (sender, peers) = mpsc::channel(16);
        let task = tokio::spawn(accept(listener, script.clone(), sender)).abort_handle();
        Self {
            address,
            script,
            peers,
            task,
        }
    }

    /// Answers the next request for a token so.
    pub(super) fn answer(&self, status: u16, body: impl ToString) {
        let answer = (status, body.to_string());
        self.script.lock().unwrap().tokens.push_back(answer);
    }

    /// Answers the next connection with this status line, and perhaps headers.
    pub(super) fn refuse(&self, status: &'static str) {
        self.script.lock().unwrap().refusals.push_back(status);
    }

    /// The next connection.
    pub(super) async fn peer(&mut self) -> Peer {
        let peer = timeout(DEADLINE, self.peers.recv()).await;
        peer.expect("a connection in time")
            .expect("the room is open")
    }

    /// Whether somebody has connected whom nobody has looked at.
    pub(super) fn has_peer(&self) -> bool {
        !self.peers.is_empty()
    }

    /// Goes to and fro a few times, while whoever is about to ask or to connect can do so, without
    /// any look at the clock.
    pub(super) async fn settle(&self) {
        for _ in 0..5 {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(ECHO).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, ECHO);
        }
    }

    /// Does so until something is so, with time held.
    pub(super) async fn settle_until(&self, condition: impl Fn() -> bool) {
        for _ in 0..10_000 {
            if condition() {
                return;
            }
            self.settle().await;
        }
        panic!("in vain");
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.script.lock().unwrap().asked.clone()
    }

    pub(super) fn shown(&self) -> Vec<String> {
        self.script.lock().unwrap().shown.clone()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, script: Arc<Mutex<Script>>, peers: mpsc::Sender<Peer>) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut first = [0; 5];
        while stream
            .peek(&mut first)
            .await
            .is_ok_and(|length| (1..5).contains(&length))
        {}
        match &first {
            b"POST " => token(stream, &script).await,
            ECHO => echo(stream).await,
            _ => connection(stream, &script, &peers).await,
        }
    }
}

async fn echo(mut stream: TcpStream) {
    let mut asked = [0; ECHO.len()];
    stream.read_exact(&mut asked).await.unwrap();
    stream.write_all(&asked).await.unwrap();
}

async fn token(mut stream: TcpStream, script: &Mutex<Script>) {
    let (head, body) = request(&mut stream).await;
    let (status, answer) = {
        let mut script = script.lock().unwrap();
        script.asked.push(Asked {
            head,
            body: serde_json::from_slice(&body).unwrap(),
        });
        let count = script.asked.len();
        let own = || (200, format!(r#"{{"token":"token#{count}"}}"#));
        script.tokens.pop_front().unwrap_or_else(own)
    };
    let length = answer.len();
    let head =
        format!("HTTP/1.1 {status} Told\r\nconnection: close\r\ncontent-length: {length}\r\n");
    drop(
        stream
            .write_all(format!("{head}\r\n{answer}").as_bytes())
            .await,
    );
}

async fn request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "{bytes:?}");
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse::<usize>().unwrap())
    });
    let end = head + length.unwrap_or(0);
    while bytes.len() < end {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "{bytes:?}");
    }
    (text, bytes.split_off(head))
}

async fn connection(mut stream: TcpStream, script: &Mutex<Script>, peers: &mpsc::Sender<Peer>) {
    let refusal = script.lock().unwrap().refusals.pop_front();
    if let Some(status) = refusal {
        drop(request(&mut stream).await);
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\n\r\nno!\n");
        drop(stream.write_all(answer.as_bytes()).await);
        return;
    }
    let mut token = String::new();
    #[expect(clippy::result_large_err, reason = "the type is the library's")]
    let echo = |request: &Request, mut response: Response| {
        let protocol = &request.headers()["sec-websocket-protocol"];
        token = protocol.to_str().unwrap().to_owned();
        response
            .headers_mut()
            .insert("sec-websocket-protocol", protocol.clone());
        Ok(response)
    };
    let socket = accept_hdr_async(stream, echo).await.unwrap();
    script.lock().unwrap().shown.push(token);
    drop(peers.send(Peer(socket)).await);
}

/// The room's end of one connection.
pub(super) struct Peer(WebSocketStream<TcpStream>);

impl Peer {
    pub(super) async fn send(&mut self, frame: impl ToString) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    pub(super) async fn send_bytes(&mut self, bytes: &'static [u8]) {
        self.0
            .send(Message::Binary(Bytes::from_static(bytes)))
            .await
            .unwrap();
    }

    /// Sends what no WebSocket library would.
    pub(super) async fn send_raw(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).await.unwrap();
    }

    pub(super) async fn close(mut self, code: u16) {
        let frame = CloseFrame {
            code: code.into(),
            reason: "so it is".into(),
        };
        drop(self.0.close(Some(frame)).await);
        // Until the other side has closed, too.
        while let Ok(Some(Ok(_))) = timeout(DEADLINE, self.0.next()).await {}
    }

    /// Cuts the connection, as a crash would.
    pub(super) fn cut(self) {
        self.0.into_inner().set_zero_linger().unwrap();
    }

    /// Waits for a ping. The answer is ready, and not sent.
    pub(super) async fn pinged(&mut self) {
        loop {
            let heard = timeout(DEADLINE, self.0.next())
                .await
                .expect("a ping in time");
            if let Message::Ping(_) = heard.expect("it is open").unwrap() {
                return;
            }
        }
    }

    pub(super) async fn answer_pings(&mut self) {
        self.0.flush().await.unwrap();
    }

    /// Waits until the other side has said good-bye.
    pub(super) async fn left(mut self) {
        loop {
            match timeout(DEADLINE, self.0.next())
                .await
                .expect("good-bye in time")
            {
                Some(Ok(Message::Close(_))) | None => return,
                Some(heard) => drop(heard.unwrap()),
            }
        }
    }
}
