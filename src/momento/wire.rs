//! The two messages, as Momento's `token.proto` and `permissionmessages.proto` have them.

use prost::{Enumeration, Message, Oneof};

use crate::token::Role;

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct GenerateDisposableToken {
    #[prost(message, optional, tag = "1")]
    expires: Option<Expires>,
    #[prost(string, tag = "2")]
    auth_token: String,
    #[prost(message, optional, tag = "3")]
    permissions: Option<Permissions>,
    #[prost(string, tag = "4")]
    token_id: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Expires {
    #[prost(uint32, tag = "1")]
    valid_for_seconds: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Permissions {
    #[prost(message, optional, tag = "2")]
    explicit: Option<ExplicitPermissions>,
}

#[derive(Clone, PartialEq, Message)]
struct ExplicitPermissions {
    #[prost(message, repeated, tag = "1")]
    permissions: Vec<PermissionsType>,
}

#[derive(Clone, PartialEq, Message)]
struct PermissionsType {
    #[prost(message, optional, tag = "2")]
    topic_permissions: Option<TopicPermissions>,
}

#[derive(Clone, PartialEq, Message)]
struct TopicPermissions {
    #[prost(enumeration = "TopicRole", tag = "1")]
    role: i32,
    #[prost(message, optional, tag = "3")]
    cache_selector: Option<CacheSelector>,
    #[prost(message, optional, tag = "5")]
    topic_selector: Option<TopicSelector>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
enum TopicRole {
    None = 0,
    ReadWrite = 1,
    ReadOnly = 2,
    WriteOnly = 3,
}

#[derive(Clone, PartialEq, Message)]
struct CacheSelector {
    #[prost(oneof = "CacheKind", tags = "1")]
    kind: Option<CacheKind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum CacheKind {
    #[prost(string, tag = "1")]
    CacheName(String),
}

#[derive(Clone, PartialEq, Message)]
struct TopicSelector {
    #[prost(oneof = "TopicKind", tags = "1")]
    kind: Option<TopicKind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum TopicKind {
    #[prost(string, tag = "1")]
    TopicName(String),
}

/// The answer.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct DisposableToken {
    #[prost(string, tag = "1")]
    pub(super) api_key: String,
    #[prost(string, tag = "2")]
    pub(super) endpoint: String,
    /// In seconds since 1970.
    #[prost(uint64, tag = "3")]
    pub(super) valid_until: u64,
}

impl GenerateDisposableToken {
    /// Asks for a token of one topic of a cache.
    pub(super) fn new(
        key: &str,
        (cache, topic, role): (&str, &str, Role),
        id: &str,
        valid_for_seconds: u32,
    ) -> Self {
        let role = match role {
            Role::PublishSubscribe => TopicRole::ReadWrite,
            Role::PublishOnly => TopicRole::WriteOnly,
            Role::SubscribeOnly => TopicRole::ReadOnly,
        };
        let permissions = TopicPermissions {
            role: role.into(),
            cache_selector: Some(CacheSelector {
                kind: Some(CacheKind::CacheName(cache.into())),
            }),
            topic_selector: Some(TopicSelector {
                kind: Some(TopicKind::TopicName(topic.into())),
            }),
        };
        let one = PermissionsType {
            topic_permissions: Some(permissions),
        };
        Self {
            expires: Some(Expires { valid_for_seconds }),
            auth_token: key.into(),
            permissions: Some(Permissions {
                explicit: Some(ExplicitPermissions {
                    permissions: vec![one],
                }),
            }),
            token_id: id.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `protoc` from Momento's own files.
    const REQUEST: &str = "0a0308880e12034b45591a1712150a13121108011a070a05766964656f2a040a0273312\
                           208706c617965722d31";
    const ANSWER: &str = "0a0765794a2e612e62122563656c6c2d75732d656173742d312d312e70726f642e612e6d6\
                          f6d656e746f68712e636f6d1880a4a7da06";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_request_is_byte_for_byte_what_protoc_makes() {
        let topic = ("video", "s1", Role::PublishSubscribe);
        let request = GenerateDisposableToken::new("KEY", topic, "player-1", 1_800);
        assert_eq!(hex(&request.encode_to_vec()), REQUEST);
    }

    #[test]
    fn an_answer_is_read_as_protoc_makes_it() {
        let bytes: Vec<u8> = (0..ANSWER.len() / 2)
            .map(|at| u8::from_str_radix(&ANSWER[at * 2..][..2], 16).unwrap())
            .collect();
        let answer = DisposableToken::decode(&*bytes).unwrap();
        assert_eq!(answer.api_key, "eyJ.a.b");
        assert_eq!(answer.endpoint, "cell-us-east-1-1.prod.a.momentohq.com");
        assert_eq!(answer.valid_until, 1_800_000_000);
        assert_eq!(hex(&answer.encode_to_vec()), ANSWER);
    }

    #[test]
    fn each_role_has_its_number() {
        for (role, number) in [
            (Role::PublishSubscribe, 1),
            (Role::SubscribeOnly, 2),
            (Role::PublishOnly, 3),
        ] {
            let request =
                GenerateDisposableToken::new("KEY", ("video", "s1", role), "player-1", 1_800);
            let expected = REQUEST.replace("121108011a", &format!("121108{number:02x}1a"));
            assert_eq!(hex(&request.encode_to_vec()), expected, "{role:?}");
        }
    }
}
