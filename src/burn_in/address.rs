//! Where a programme comes from or goes to, as libavformat takes it.

use std::ffi::{OsStr, OsString};

/// Protocols whose address says by `?listen` that it waits for somebody to connect, and whose
/// implementation takes that as an option.
const LISTEN_BY_OPTION: [&str; 2] = ["rtmp", "http"];

/// Protocols that hold nobody back: what isn't taken in time is lost.
const DATAGRAMS: [&str; 5] = ["udp", "udplite", "rtp", "srt", "rist"];

/// Bytes of a UDP packet: seven packets of a transport stream, so that none is in two.
const UDP_BYTES: &str = "1316";

/// An input or output that a person has named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// As libavformat takes it.
    pub(super) url: OsString,
    /// Options of its protocol.
    pub(super) options: Vec<(&'static str, String)>,
    /// Whether it is on a network.
    pub(super) is_network: bool,
    /// Whether it waits for somebody to connect.
    pub(super) listens: bool,
    /// Whether nobody is held back who sends faster than is taken.
    pub(super) is_datagrams: bool,
}

impl Address {
    /// Of `-`, a path or an address; `pipe` is what `-` stands for.
    pub(super) fn new(given: &OsStr, pipe: &str) -> Self {
        let text = given.to_str().unwrap_or_default();
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        let mut address = Self {
            url: pipe.into(),
            options: Vec::new(),
            is_network: false,
            listens: false,
            is_datagrams: false,
        };
        match scheme.filter(|scheme| *scheme != "file") {
            Some(scheme) => address.set_network(scheme, text),
            None if given == "-" => {}
            // So that no file's name is taken for another protocol's address.
            None if !text.starts_with("file:") => {
                address.url = "file:".into();
                address.url.push(given);
            }
            None => address.url = given.to_owned(),
        }
        address
    }

    fn set_network(&mut self, scheme: &str, text: &str) {
        let mut url = text;
        let query = text.split_once('?').map_or("", |(_, query)| query);
        self.listens = query
            .split('&')
            .any(|part| matches!(part, "listen" | "listen=1" | "listen=2" | "mode=listener"));
        if self.listens && LISTEN_BY_OPTION.contains(&scheme) {
            self.options.push(("listen", "1".into()));
            for end in ["?listen", "&listen", "?listen=1", "&listen=1"] {
                url = url.strip_suffix(end).unwrap_or(url);
            }
        }
        if scheme == "udp" && !query.contains("pkt_size=") {
            self.options.push(("pkt_size", UDP_BYTES.into()));
        }
        self.url = url.into();
        self.is_network = true;
        self.is_datagrams = DATAGRAMS.contains(&scheme);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(given: &str) -> Address {
        Address::new(OsStr::new(given), "pipe:0")
    }

    #[test]
    fn no_file_is_taken_for_an_address() {
        assert_eq!(of("-").url, "pipe:0");
        assert_eq!(of("a.ts").url, "file:a.ts");
        assert_eq!(of("udp:1.ts").url, "file:udp:1.ts");
        assert_eq!(of("file:///a.ts").url, "file:///a.ts");
        assert!(!of("file:///a.ts").is_network);
    }

    #[test]
    fn who_listens_says_so_in_its_protocols_way() {
        let rtmp = of("rtmp://127.0.0.1:1/live/x?listen");
        assert_eq!(rtmp.url, "rtmp://127.0.0.1:1/live/x");
        assert_eq!(rtmp.options, [("listen", "1".to_owned())]);
        assert!(rtmp.listens);
        let tcp = of("tcp://127.0.0.1:1?listen");
        assert_eq!(tcp.url, "tcp://127.0.0.1:1?listen");
        assert!(tcp.listens && tcp.options.is_empty());
        assert!(of("srt://127.0.0.1:1?mode=listener&latency=9").listens);
        assert!(!of("rtmp://listen.example/live").listens);
        assert!(!of("rtmp://127.0.0.1/listen?key=listener").listens);
    }

    #[test]
    fn transport_packets_are_whole_in_each_datagram() {
        assert_eq!(
            of("udp://127.0.0.1:1").options,
            [("pkt_size", "1316".to_owned())]
        );
        assert_eq!(of("udp://127.0.0.1:1?pkt_size=188").options, []);
        assert!(of("srt://127.0.0.1:1").is_datagrams && !of("tcp://127.0.0.1:1").is_datagrams);
    }
}
