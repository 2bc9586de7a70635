//! How much of the server callers may have, and whose word counts for where they are.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The header in which a proxy says for whom it speaks.
pub(super) const FORWARDED_FOR: &str = "x-forwarded-for";

/// Bits of an IPv6 address that tell one household or machine from another (RFC 6177); the rest are
/// its own to choose.
const IPV6_PREFIX_BITS: u32 = 64;

/// An address, or a network of them: `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = |_| text.parse().map(|address: IpAddr| IpNet::from(address));
        text.parse().or_else(one).map(Self).map_err(|_| {
            format!("{text:?}: expected an IP address, or a network such as 10.0.0.0/8")
        })
    }
}

/// How much of the server callers may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at once; a further one is answered 503 and closed.
    pub connections: u32,
    /// Connections of one address at once, or of one IPv6 network of 64 bits; a further one is
    /// answered 503 and closed.
    pub connections_per_address: u32,
    /// Requests of one address, or of one such network, in a second, and as many more that come at
    /// once. Further ones are answered 429.
    pub requests_per_second: u32,
    /// Whose connections and requests are not counted by address.
    pub unlimited: Vec<Network>,
    /// Proxies whose `X-Forwarded-For` is believed. Their connections are not counted by address.
    pub trusted_proxies: Vec<Network>,
}

impl Default for Bounds {
    /// Behind one address there may be a venue with hundreds of viewers, whose browsers each have six
    /// connections when they come. This machine is not limited, since a proxy may be there.
    fn default() -> Self {
        let loopback = [
            IpNet::new_assert(IpAddr::from([127, 0, 0, 0]), 8),
            IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ];
        Self {
            connections: 32_768,
            connections_per_address: 4_000,
            requests_per_second: 2_000,
            unlimited: loopback.map(Network).into(),
            trusted_proxies: Vec::new(),
        }
    }
}

impl Bounds {
    /// For whom connections are counted; nobody if they are not.
    pub(super) fn connects_as(&self, peer: IpAddr) -> Option<IpAddr> {
        let uncounted = has(&self.unlimited, peer) || self.is_proxy(peer);
        (!uncounted).then(|| household(peer))
    }

    /// For whom requests are counted; nobody if they are not.
    pub(super) fn asks_as(&self, caller: IpAddr) -> Option<IpAddr> {
        (!has(&self.unlimited, caller)).then(|| household(caller))
    }

    /// Whether the connections of an address are those of a proxy that is believed.
    pub(super) fn is_proxy(&self, peer: IpAddr) -> bool {
        has(&self.trusted_proxies, peer)
    }

    /// From where a request comes: the connection's other end, or who that end says it speaks for, if
    /// it is a proxy that is believed. Of a chain of proxies it is the last that is not believed.
    /// The port stays that of the connection.
    pub(super) fn caller(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let values = headers.get_all(FORWARDED_FOR).iter().rev();
        // Each proxy appends whom it sees, so what comes first may be anybody's invention.
        let mut chain = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
        let mut caller = peer.ip();
        while self.is_proxy(caller) {
            match chain.next().and_then(address) {
                Some(before) => caller = before,
                None => break,
            }
        }
        SocketAddr::new(caller, peer.port())
    }
}

/// What is counted as one: an IPv4 address, or the network of an IPv6 address.
pub(super) fn household(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        ip @ IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => {
            let prefix = u128::MAX << (u128::BITS - IPV6_PREFIX_BITS);
            Ipv6Addr::from_bits(ip.to_bits() & prefix).into()
        }
    }
}

fn has(networks: &[Network], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    networks.iter().any(|Network(net)| net.contains(&ip))
}

/// One entry of `X-Forwarded-For`; some proxies put a port behind it.
fn address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let with_port = || entry.parse().ok().map(|address: SocketAddr| address.ip());
    let ip: Option<IpAddr> = entry.parse().ok().or_else(with_port);
    ip.map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn networks_are_read_and_others_refused() {
        for (text, inside, outside) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
            ("10.1.0.0/16", "10.1.255.1", "10.2.0.1"),
            ("2001:db8::/32", "2001:db8:f::1", "2001:db9::1"),
        ] {
            let networks = networks(&[text]);
            assert!(has(&networks, inside.parse().unwrap()), "{text} {inside}");
            assert!(
                !has(&networks, outside.parse().unwrap()),
                "{text} {outside}"
            );
        }
        for bad in ["", "10.0.0.0/33", "localhost", "10.0.0.1:80", "10.0.0"] {
            let error = bad.parse::<Network>().unwrap_err();
            assert!(error.contains("10.0.0.0/8"), "{bad}: {error}");
        }
    }

    #[test]
    fn one_household_is_one_address() {
        let of = |ip: &str| household(ip.parse().unwrap());
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }

    #[test]
    fn this_machine_and_proxies_are_not_counted_by_address() {
        let bounds = Bounds {
            trusted_proxies: networks(&["10.0.0.1"]),
            ..Bounds::default()
        };
        let connects = |ip: &str| bounds.connects_as(ip.parse().unwrap()).is_some();
        let asks = |ip: &str| bounds.asks_as(ip.parse().unwrap()).is_some();
        for ip in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(!connects(ip) && !asks(ip), "{ip}");
        }
        assert!(!connects("10.0.0.1") && asks("10.0.0.1"));
        assert!(connects("192.0.2.1") && asks("192.0.2.1"));
    }

    #[test]
    fn only_who_is_trusted_is_believed() {
        let bounds = Bounds {
            trusted_proxies: networks(&["10.0.0.0/8", "::1"]),
            ..Bounds::default()
        };
        for (peer, said, expected) in [
            ("192.0.2.9:7", &["192.0.2.1"][..], "192.0.2.9:7"),
            ("10.0.0.1:7", &[], "10.0.0.1:7"),
            ("10.0.0.1:7", &["192.0.2.1"], "192.0.2.1:7"),
            ("[::ffff:10.0.0.1]:7", &["192.0.2.1"], "192.0.2.1:7"),
            // The first entries are what the caller itself has sent.
            ("10.0.0.1:7", &["127.0.0.1, 192.0.2.1"], "192.0.2.1:7"),
            ("10.0.0.1:7", &["192.0.2.1", "10.0.0.2"], "192.0.2.1:7"),
            (
                "10.0.0.1:7",
                &["192.0.2.1 ,10.0.0.2, 10.0.0.3"],
                "192.0.2.1:7",
            ),
            ("10.0.0.1:7", &["10.0.0.5, 10.0.0.2"], "10.0.0.5:7"),
            ("10.0.0.1:7", &["192.0.2.1:4711"], "192.0.2.1:7"),
            ("[::1]:7", &["[2001:db8::1]:4711"], "[2001:db8::1]:7"),
            ("10.0.0.1:7", &["192.0.2.1, unknown"], "10.0.0.1:7"),
            ("10.0.0.1:7", &["192.0.2.1, \u{fe}"], "10.0.0.1:7"),
            ("10.0.0.1:7", &[""], "10.0.0.1:7"),
        ] {
            let mut headers = HeaderMap::new();
            for value in said {
                let value = axum::http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
                headers.append(FORWARDED_FOR, value);
            }
            let caller = bounds.caller(peer.parse().unwrap(), &headers);
            let expected: SocketAddr = expected.parse().unwrap();
            assert_eq!(caller.port(), expected.port());
            let ip = caller.ip().to_canonical();
            assert_eq!(ip, expected.ip(), "{peer} {said:?}");
        }
    }
}
