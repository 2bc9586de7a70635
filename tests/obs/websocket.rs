//! A client of obs-websocket's protocol 5, as much of it as the tests need.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tungstenite::{Message, WebSocket};

/// An answer must come within this time.
const DEADLINE: Duration = Duration::from_secs(20);

/// The protocol's operation codes, its section "`WebSocketOpCode`".
mod op {
    pub(super) const HELLO: u64 = 0;
    pub(super) const IDENTIFY: u64 = 1;
    pub(super) const IDENTIFIED: u64 = 2;
    pub(super) const REQUEST: u64 = 6;
    pub(super) const REQUEST_RESPONSE: u64 = 7;
}

/// A request that OBS refused, in its words.
#[derive(Debug)]
pub(crate) struct Refusal(String);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A connection on which OBS takes requests.
pub(crate) struct Client {
    socket: WebSocket<TcpStream>,
    last_id: u64,
}

impl Client {
    /// Connects and says hello. `None`: nobody listens there yet.
    pub(crate) fn connect(port: u16) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).expect("a time-out");
        stream.set_nodelay(true).expect("requests go at once");
        let (socket, _) = tungstenite::client(format!("ws://127.0.0.1:{port}/"), stream)
            .unwrap_or_else(|e| panic!("no obs-websocket on port {port}: {e}"));
        let mut client = Self { socket, last_id: 0 };
        let hello = client.receive(op::HELLO);
        assert_eq!(
            hello["authentication"],
            Json::Null,
            "it asks for no password"
        );
        // No events.
        client.send(
            op::IDENTIFY,
            &json!({"rpcVersion": 1, "eventSubscriptions": 0}),
        );
        client.receive(op::IDENTIFIED);
        Some(client)
    }

    /// Sends one request, and gives what OBS answers.
    pub(crate) fn request(&mut self, kind: &str, data: Json) -> Result<Json, Refusal> {
        self.last_id += 1;
        let id = self.last_id.to_string();
        let request = json!({"requestType": kind, "requestId": id, "requestData": data});
        self.send(op::REQUEST, &request);
        let mut answer = self.receive(op::REQUEST_RESPONSE);
        assert_eq!(answer["requestId"], id, "{kind}: one answer to a request");
        let status = &answer["requestStatus"];
        if status["result"] == true {
            Ok(answer["responseData"].take())
        } else {
            Err(Refusal(format!("{kind}: {status}")))
        }
    }

    fn send(&mut self, op: u64, data: &Json) {
        let message = json!({"op": op, "d": data}).to_string();
        let sent = self.socket.send(Message::text(message));
        sent.unwrap_or_else(|e| panic!("OBS takes no message: {e}"));
    }

    fn receive(&mut self, op: u64) -> Json {
        let message = loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => break text,
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(other) => panic!("obs-websocket sent {other:?}"),
                Err(e) => panic!("OBS does not answer: {e}"),
            }
        };
        let mut message: Json = serde_json::from_str(&message).expect("JSON");
        assert_eq!(message["op"], op, "{message}");
        message["d"].take()
    }
}
