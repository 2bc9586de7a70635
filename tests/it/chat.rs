//! Amazon IVS Chat, spoken by the server: its control API, its messages, and its own clients.

mod browser;
mod limits;
mod messages;
mod review;
mod rooms;
mod sdk;
mod source;

use std::time::Duration;

use floatup::server::{Channels, Service};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value as Json, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::in_process::{DEADLINE, Server, answer, channel, client};

/// Gives a service a channel `demo`, and with it a room.
fn with_demo(service: &mut Service) {
    let demo = channel("demo", || Err("nothing is drawn".into()));
    service.channels = Channels::from([("demo".into(), demo)]);
}

async fn start() -> Server {
    Server::with(with_demo).await
}

/// Calls the control API.
async fn call(server: &Server, operation: &str, request: Json) -> (u16, Json) {
    let url = server.url(&format!("/{operation}"));
    answer(client().post(url).body(request.to_string())).await
}

/// The same, and it must be well.
async fn ask(server: &Server, operation: &str, request: Json) -> Json {
    let (status, body) = call(server, operation, request.clone()).await;
    assert_eq!(status, 200, "{operation} {request}: {body}");
    body
}

/// The room of the channel `demo`.
async fn demo_arn(server: &Server) -> String {
    let list = ask(server, "ListRooms", json!({"name": "demo"})).await;
    assert_eq!(list["rooms"].as_array().unwrap().len(), 1, "{list}");
    list["rooms"][0]["arn"].as_str().unwrap().into()
}

/// A token with all capabilities.
async fn token(server: &Server, arn: &str, user: &str) -> String {
    let all = ["SEND_MESSAGE", "DELETE_MESSAGE", "DISCONNECT_USER"];
    token_for(server, arn, user, &all).await
}

async fn token_for(server: &Server, arn: &str, user: &str, capabilities: &[&str]) -> String {
    let request = json!({
        "roomIdentifier": arn,
        "userId": user,
        "capabilities": capabilities,
        "attributes": {"username": user.to_uppercase()},
    });
    let body = ask(server, "CreateChatToken", request).await;
    body["token"].as_str().unwrap().into()
}

/// One client of a room.
struct Member(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Member {
    /// Enters the room of a token at `/`, as clients do.
    async fn join(server: &Server, token: &str) -> Self {
        Self::try_join(server, "/", token).await.expect("let in")
    }

    /// Enters, or gives the status and the body of the refusal.
    async fn try_join(server: &Server, path: &str, token: &str) -> Result<Self, (u16, String)> {
        let url = format!("ws://{}{path}", server.address);
        let mut request = url.into_client_request().unwrap();
        let name = "sec-websocket-protocol";
        request.headers_mut().insert(name, token.parse().unwrap());
        match connect_async(request).await {
            Ok((socket, answer)) => {
                assert_eq!(answer.headers()[name], token);
                Ok(Self(socket))
            }
            Err(Error::Http(answer)) => {
                let body = answer.body().clone().unwrap_or_default();
                Err((answer.status().as_u16(), String::from_utf8(body).unwrap()))
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn send(&mut self, frame: Json) {
        self.send_text(&frame.to_string()).await;
    }

    async fn send_text(&mut self, text: &str) {
        self.0
            .send(Message::text(text))
            .await
            .expect("room to write");
    }

    async fn say(&mut self, content: &str) {
        self.send(json!({"Action": "SEND_MESSAGE", "Content": content}))
            .await;
    }

    /// The next frame of text; pings are passed over.
    async fn next(&mut self) -> Json {
        match self.step().await {
            Step::Frame(frame) => frame,
            end => panic!("no frame: {end:?}"),
        }
    }

    /// The same, as the content of a message.
    async fn hears(&mut self) -> String {
        let frame = self.next().await;
        assert_eq!(frame["Type"], "MESSAGE", "{frame}");
        frame["Content"].as_str().unwrap().into()
    }

    /// The same, as the code and text of an error.
    async fn refusal(&mut self) -> (u64, String) {
        let frame = self.next().await;
        assert_eq!(frame["Type"], "ERROR", "{frame}");
        assert_eq!(frame["Attributes"], json!({}), "{frame}");
        assert_eq!(frame["Id"].as_str().unwrap().len(), 12, "{frame}");
        let text = frame["ErrorMessage"].as_str().unwrap();
        (frame["ErrorCode"].as_u64().unwrap(), text.into())
    }

    /// How the session ends: the code of its close frame, or none without one.
    async fn end(&mut self) -> Option<u16> {
        match self.step().await {
            Step::Closed(frame) => Some(frame.map_or(1005, |frame| frame.code.into())),
            Step::Lost => None,
            Step::Frame(frame) => panic!("a frame in place of the end: {frame}"),
        }
    }

    async fn step(&mut self) -> Step {
        loop {
            let frame = timeout(DEADLINE, self.0.next()).await.expect("in time");
            return match frame {
                Some(Ok(Message::Text(text))) => {
                    Step::Frame(serde_json::from_str(&text).expect("JSON"))
                }
                Some(Ok(Message::Close(frame))) => Step::Closed(frame),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => Step::Lost,
            };
        }
    }
}

#[derive(Debug)]
enum Step {
    Frame(Json),
    Closed(Option<CloseFrame>),
    Lost,
}

/// Time stands still while this is held, though messages go to and fro.
pub(crate) struct Frozen {
    _held: std::sync::mpsc::SyncSender<()>,
}

impl Frozen {
    pub(crate) fn new() -> Self {
        tokio::time::pause();
        let (held, released) = std::sync::mpsc::sync_channel::<()>(0);
        // The paused clock goes on by itself when all wait, unless a blocking task is there.
        tokio::task::spawn_blocking(move || released.recv());
        Self { _held: held }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        tokio::time::resume();
    }
}

/// Lets so much time pass at once.
async fn pass(time: Duration) {
    let _frozen = Frozen::new();
    tokio::time::advance(time).await;
}

/// Takes out of a frame what is another in every run, and checks its form.
fn without_id_and_time(mut frame: Json) -> Json {
    let object = frame.as_object_mut().unwrap();
    let id = object.remove("Id").expect("an id");
    let id = id.as_str().unwrap();
    assert_eq!(id.len(), 12, "{id}");
    assert!(id.chars().all(|c| c.is_ascii_alphanumeric()), "{id}");
    let time = object.remove("SendTime").expect("a time");
    let time = time.as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() == 24, "{time}");
    frame
}
