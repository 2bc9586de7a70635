//! One call of gRPC over HTTP/1.1, as gRPC's document PROTOCOL-WEB has it: frames with a flag and a
//! length, the last one with the status; all of it in base64 where it is text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

/// The flag of a frame that is the end's, and of one that is compressed.
const END: u8 = 0x80;
const COMPRESSED: u8 = 0x01;

/// A frame's flag and length, in bytes.
const HEAD: usize = 5;

/// The code of a call too many.
pub(super) const RESOURCE_EXHAUSTED: u8 = 8;

/// gRPC's words for its codes.
const WORDS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// What an answer has.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its message, if there is one.
    pub(super) message: Option<Vec<u8>>,
    /// How the call ended, if it says so.
    pub(super) end: Option<End>,
}

/// How a call ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// 0 is well; `None` if there is no number.
    pub(super) code: Option<u8>,
    pub(super) message: String,
}

impl End {
    /// By the values of `grpc-status` and `grpc-message`, as they stand there.
    pub(super) fn new(code: &str, message: &str) -> Self {
        Self {
            code: code.trim().parse().ok(),
            message: percent_decode_str(message.trim())
                .decode_utf8_lossy()
                .into_owned(),
        }
    }
}

/// gRPC's word for a code.
pub(super) fn word(code: u8) -> String {
    let word = WORDS.get(usize::from(code));
    word.map_or_else(|| format!("code {code}"), |word| (*word).to_owned())
}

/// The body of a request with one message, as text.
pub(super) fn request(message: &[u8]) -> String {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let frame = [&[0][..], &length.to_be_bytes(), message].concat();
    STANDARD.encode(frame)
}

/// Reads an answer's body.
///
/// # Errors
/// What is wrong with it.
pub(super) fn answer(body: &[u8], is_text: bool) -> Result<Answer, &'static str> {
    let decoded = match is_text {
        true => decoded(body)?,
        false => body.to_vec(),
    };
    let mut rest = decoded.as_slice();
    let mut answer = Answer::default();
    while let Some((head, after)) = rest.split_at_checked(HEAD) {
        let [flag, length @ ..] = head else {
            return Err("a frame is cut short");
        };
        let length = length
            .iter()
            .fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        let (content, after) = after
            .split_at_checked(length)
            .ok_or("a frame is cut short")?;
        match *flag {
            END => answer.end = Some(end(content)),
            0 if answer.message.is_none() => answer.message = Some(content.to_vec()),
            0 => return Err("it has more than one message"),
            flag if flag & COMPRESSED != 0 => return Err("it is compressed"),
            _ => return Err("a frame is of a kind that is not known"),
        }
        rest = after;
    }
    match rest {
        [] => Ok(answer),
        _ => Err("a frame is cut short"),
    }
}

/// Base64, of which each part may have been padded for itself.
fn decoded(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3);
    let text: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    for four in text.chunks(4) {
        let wrong = |_| "it is no base64";
        STANDARD.decode_vec(four, &mut decoded).map_err(wrong)?;
    }
    Ok(decoded)
}

/// The end: headers, a line each.
fn end(content: &[u8]) -> End {
    let text = String::from_utf8_lossy(content);
    let find = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
        Some(value)
    };
    End::new(
        find("grpc-status").unwrap_or_default(),
        find("grpc-message").unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(flag: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[flag][..], &length, content].concat()
    }

    #[test]
    fn a_request_is_what_the_sdk_for_browsers_sends() {
        let message =
            b"\n\x03\x08\x88\x0e\x12\x03KEY\x1a\x17\x12\x15\n\x13\x12\x11\x08\x01\x1a\x07\
                        \n\x05video*\x04\n\x02s1\"\x08player-1";
        assert_eq!(
            request(message),
            "AAAAAC0KAwiIDhIDS0VZGhcSFQoTEhEIARoHCgV2aWRlbyoECgJzMSIIcGxheWVyLTE="
        );
    }

    #[test]
    fn an_answer_may_be_one_text_or_several_or_bytes() {
        let (data, ended) = (frame(0, b"token"), frame(END, b"grpc-status: 0\r\n"));
        let expected = Answer {
            message: Some(b"token".to_vec()),
            end: Some(End::new("0", "")),
        };
        let whole = [&data[..], &ended].concat();
        assert_eq!(answer(&whole, false).as_ref(), Ok(&expected));
        for split in 0..=whole.len() {
            let (first, last) = whole.split_at(split);
            let text = [STANDARD.encode(first), STANDARD.encode(last)].join("\r\n");
            assert_eq!(
                answer(text.as_bytes(), true).as_ref(),
                Ok(&expected),
                "{split}"
            );
        }
    }

    #[test]
    fn an_end_is_read_in_any_writing() {
        for (text, code, message) in [
            (
                "grpc-status:7\r\ngrpc-message:not%20yours%3A%20%C3%A9\r\n",
                Some(7),
                "not yours: é",
            ),
            ("Grpc-Message: a b \nGRPC-STATUS: 16", Some(16), "a b"),
            ("grpc-status: many", None, ""),
            ("grpc-status: 999", None, ""),
            ("", None, ""),
            ("\u{fffd}", None, ""),
        ] {
            let answer = answer(&frame(END, text.as_bytes()), false).unwrap();
            assert_eq!(answer.message, None);
            let end = answer.end.unwrap();
            assert_eq!((end.code, end.message.as_str()), (code, message), "{text}");
        }
        assert_eq!(
            [0, 8, 16, 17].map(word),
            ["OK", "RESOURCE_EXHAUSTED", "UNAUTHENTICATED", "code 17"]
        );
    }

    #[test]
    fn what_is_no_answer_is_told_apart() {
        let twice = [frame(0, b"a"), frame(0, b"b")].concat();
        let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
        for (body, is_text, told) in [
            (twice, false, "more than one message"),
            (frame(1, b"a"), false, "compressed"),
            (frame(0x81, b"a"), false, "compressed"),
            (frame(2, b"a"), false, "not known"),
            (cut(&frame(0, b"a")), false, "cut short"),
            (vec![0, 0, 0], false, "cut short"),
            (vec![0, 0xff, 0xff, 0xff, 0xff, 1], false, "cut short"),
            (b"AAAA AA=A".to_vec(), true, "no base64"),
            (b"<html>".to_vec(), true, "no base64"),
        ] {
            let error = answer(&body, is_text).unwrap_err();
            assert!(error.contains(told), "{body:?}: {error}");
        }
        assert_eq!(answer(b"", true), Ok(Answer::default()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in any::<Vec<u8>>(), is_text in any::<bool>()) {
            drop(answer(&body, is_text));
        }
    }
}
