//! A way to a real upstream on which things go wrong.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use floatup::token::{Claims, Key, Role, mint};

use crate::in_process::now_unix;

/// What is done with a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    /// It reaches the upstream.
    Open,
    /// Nobody listens.
    Refuses,
    /// It is read, and never answered.
    Hangs,
    /// The beginning of an answer, and a reset.
    Resets,
    /// A poll is answered so: the status, headers and the body.
    Answers(u16, &'static str, &'static str),
}

/// Listens, and lets through or not.
pub(super) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    way: Mutex<Way>,
    /// Connections that wait for their answers.
    held: Mutex<Vec<TcpStream>>,
    /// The key of tokens, how long they last in seconds, and how many there were.
    tokens: Mutex<Option<(Key, u64, u64)>>,
}

impl Proxy {
    pub(super) fn start(upstream: &str, way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::new(Shared {
                upstream: upstream.into(),
                way: Mutex::new(way),
                held: Mutex::default(),
                tokens: Mutex::default(),
            }),
        };
        proxy.listen(listener);
        proxy
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn topic(&self) -> String {
        format!("http://{}/topics/video/demo", self.address)
    }

    /// Vends tokens of its own, that last so many seconds.
    pub(super) fn vend(&self, key: Key, lifetime_s: u64) {
        *self.shared.tokens.lock().unwrap() = Some((key, lifetime_s, 0));
    }

    /// How many it has vended.
    pub(super) fn vended(&self) -> u64 {
        let tokens = self.shared.tokens.lock().unwrap();
        tokens.as_ref().map_or(0, |(_, _, count)| *count)
    }

    /// What waits for an answer is cut off if the way is no longer open.
    pub(super) fn set(&self, way: Way) {
        let before = std::mem::replace(&mut *self.shared.way.lock().unwrap(), way);
        match (before, way) {
            (Way::Refuses, _) => self.listen(TcpListener::bind(self.address).unwrap()),
            // Its thread sees that it is to end.
            (_, Way::Refuses) => drop(TcpStream::connect(self.address).unwrap()),
            _ => {}
        }
        if !matches!(way, Way::Open) {
            for held in self.shared.held.lock().unwrap().drain(..) {
                // It may be closed already.
                drop(held.shutdown(Shutdown::Both));
            }
        }
    }

    fn listen(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let way = *shared.way.lock().unwrap();
                if matches!(way, Way::Refuses) {
                    return;
                }
                let (client, shared) = (client.unwrap(), Arc::clone(&shared));
                std::thread::spawn(move || shared.serve(client, way));
            }
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if !matches!(*self.shared.way.lock().unwrap(), Way::Refuses) {
            self.set(Way::Refuses);
        }
    }
}

impl Shared {
    /// Handles the one request of a connection; either side may be gone at any time.
    fn serve(&self, mut client: TcpStream, way: Way) {
        if matches!(way, Way::Resets) {
            let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"items\":[";
            // To close what has bytes that are not read resets it.
            let asked = client.peek(&mut [0]).unwrap_or(0);
            drop((asked > 0).then(|| client.write_all(cut)));
            return;
        }
        self.held.lock().unwrap().push(client.try_clone().unwrap());
        let Some(request) = request(&mut client) else {
            return;
        };
        let is_poll = request.starts_with(b"GET ");
        match way {
            Way::Answers(status, headers, body) if is_poll => {
                answer(&mut client, status, headers, body);
            }
            Way::Hangs => drop(client.read(&mut [0])),
            _ => match self.token().filter(|_| !is_poll) {
                Some(token) => answer(&mut client, 201, "", &token),
                None => self.forward(client, &request),
            },
        }
    }

    /// The answer with a token, if this vends them.
    fn token(&self) -> Option<String> {
        let mut tokens = self.tokens.lock().unwrap();
        let (key, lifetime_s, count) = tokens.as_mut()?;
        *count += 1;
        let token = token_until(key, now_unix() + *lifetime_s);
        Some(serde_json::json!({ "token": token }).to_string())
    }

    fn forward(&self, mut client: TcpStream, request: &[u8]) {
        let mut server = TcpStream::connect(&self.upstream).unwrap();
        // One request a connection, so that each is seen here.
        let line = 2 + request.windows(2).position(|w| w == b"\r\n").unwrap();
        let (first, rest) = request.split_at(line);
        let request = [first, b"connection: close\r\n", rest].concat();
        server.write_all(&request).unwrap();
        let (mut from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || {
            drop(from.read(&mut [0]));
            drop(to.shutdown(Shutdown::Both));
        });
        drop(std::io::copy(&mut server, &mut client));
        drop(client.shutdown(Shutdown::Both));
    }
}

/// A token for what is followed.
pub(super) fn token_until(key: &Key, expires_at: u64) -> String {
    let claims = Claims {
        cache: "video".into(),
        topic: "demo".into(),
        role: Role::PublishSubscribe,
        id: "ann".into(),
        expires_at,
    };
    mint(&claims, key)
}

/// A request with its body; nothing if the client is gone.
fn request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    client.read_exact(&mut body).ok()?;
    bytes.append(&mut body);
    Some(bytes)
}

fn answer(client: &mut TcpStream, status: u16, headers: &str, body: &str) {
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} Told\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    drop(client.write_all(answer.as_bytes()));
    drop(client.shutdown(Shutdown::Write));
}
