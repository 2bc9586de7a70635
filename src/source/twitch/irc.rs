//! What one line of Twitch's chat says.
//!
//! Lines are taken apart by `twitch-irc`. Its typed messages are not used: they count with emote
//! positions as they come, so that one line could end the process, and refuse messages that lack a
//! tag which is of no use here.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use twitch_irc::message::IRCMessage;

use crate::reaction::Emote;

/// The longest line that is read, in bytes. Twitch's are at most half as long, tags included.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024;

/// At most this many emotes of one message are looked at. A message has 500 characters.
const EMOTES_MAX: usize = 512;

/// A line of the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// It asks whether we are there; the answer repeats its text.
    Ping(String),
    /// We are in the channel.
    Joined,
    /// It does not do what we asked for with `CAP REQ`.
    NoCapability,
    /// Someone wrote something.
    Chat(Chat),
    /// The message of this id was taken back.
    Deleted(String),
    /// All that the user of this id wrote was taken back; `None`: all that anyone did.
    Cleared(Option<String>),
    /// It tells something, of this kind if it says so.
    Notice {
        /// Such as `msg_channel_suspended`.
        id: String,
        /// What people read.
        text: String,
    },
    /// It is about to close the connection.
    Reconnect,
    /// Nothing that matters here.
    Other,
}

/// What someone wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chat {
    /// What tells it from every other message.
    pub id: Option<String>,
    /// Who wrote it.
    pub user: Option<String>,
    /// When, since the Unix epoch.
    pub sent_at: Option<Duration>,
    /// What.
    pub text: String,
    /// The ids of emotes, and the bytes of the text that each stands for; in their order, none
    /// overlapping.
    emotes: Vec<(String, Range<usize>)>,
}

impl Chat {
    /// The parts of the text that are pictures.
    #[must_use]
    pub fn emotes(&self) -> Vec<Emote<'_>> {
        let emotes = self.emotes.iter().map(|(id, range)| Emote {
            id,
            range: range.clone(),
        });
        emotes.collect()
    }
}

impl Line {
    /// Reads a line without its end; `None` if it is none of IRC's.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        if line.len() > LINE_BYTES_MAX {
            return None;
        }
        let IRCMessage {
            tags,
            command,
            params,
            ..
        } = IRCMessage::parse(line).ok()?;
        let mut tags = tags.0;
        let mut tag = |name: &str| tags.remove(name).filter(|value| !value.is_empty());
        let last = || params.last().cloned().unwrap_or_default();
        Some(match command.as_str() {
            "PING" => Self::Ping(last()),
            // The end of the list of names; it stands for the other two, should they be missing.
            "JOIN" | "ROOMSTATE" | "366" => Self::Joined,
            "CAP" if params.get(1).is_some_and(|answer| answer == "NAK") => Self::NoCapability,
            // What is written with a subscription or an announcement is a notice with a text.
            "PRIVMSG" | "USERNOTICE" => match params.get(1) {
                Some(text) => Self::Chat(chat(text, tags)),
                None => Self::Other,
            },
            "CLEARMSG" => match tag("target-msg-id") {
                Some(id) => Self::Deleted(id),
                None => Self::Other,
            },
            // With a name but without its id, it is not the whole chat that was cleared.
            "CLEARCHAT" => match (params.len(), tag("target-user-id")) {
                (_, Some(user)) => Self::Cleared(Some(user)),
                (0 | 1, None) => Self::Cleared(None),
                (_, None) => Self::Other,
            },
            "NOTICE" => Self::Notice {
                id: tag("msg-id").unwrap_or_default(),
                text: last(),
            },
            "RECONNECT" => Self::Reconnect,
            _ => Self::Other,
        })
    }
}

fn chat(text: &str, mut tags: HashMap<String, String>) -> Chat {
    // What `/me` makes of a text; positions in it don't count the wrapper.
    let inner = text.strip_prefix("\u{1}ACTION ");
    let inner = inner.map(|inner| inner.strip_suffix('\u{1}').unwrap_or(inner));
    let text = inner.unwrap_or(text);
    let emotes = tags.remove("emotes").unwrap_or_default();
    let mut tag = |name: &str| tags.remove(name).filter(|value| !value.is_empty());
    let sent_ms = tag("tmi-sent-ts").and_then(|ms| ms.parse().ok());
    Chat {
        id: tag("id"),
        user: tag("user-id"),
        sent_at: sent_ms.map(Duration::from_millis),
        emotes: emote_ranges(&emotes, text),
        text: text.into(),
    }
}

/// Reads `id:from-to,from-to/id:from-to`: positions of characters, the last one included. They may
/// be beyond the end of the text (Twitch's issue 104), and are cut there. Of those that overlap the
/// first stays.
fn emote_ranges(tag: &str, text: &str) -> Vec<(String, Range<usize>)> {
    let mut starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    starts.push(text.len());
    let count = starts.len() - 1;
    let mut found = Vec::new();
    let emotes = tag.split('/').filter_map(|emote| emote.split_once(':'));
    let ranges = emotes.flat_map(|(id, ranges)| ranges.split(',').map(move |range| (id, range)));
    for (id, range) in ranges.take(EMOTES_MAX) {
        let Some((from, to)) = range.split_once('-') else {
            continue;
        };
        let (Ok(from), Ok(to)) = (from.parse::<usize>(), to.parse::<usize>()) else {
            continue;
        };
        if from < count && from <= to {
            let end = starts[to.saturating_add(1).min(count)];
            found.push((id.to_owned(), starts[from]..end));
        }
    }
    found.sort_by_key(|(_, range)| range.start);
    let mut end = 0;
    found.retain(|(_, range)| {
        let is_free = range.start >= end;
        if is_free {
            end = range.end;
        }
        is_free
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(line: &str) -> Chat {
        match Line::read(line) {
            Some(Line::Chat(chat)) => chat,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// What each emote stands for.
    fn shown(emotes: &str, text: &str) -> Vec<(String, String)> {
        let chat = chat(&format!("@emotes={emotes} :a!a@a PRIVMSG #x :{text}"));
        let shown = |emote: Emote<'_>| (emote.id.to_owned(), chat.text[emote.range].to_owned());
        chat.emotes().into_iter().map(shown).collect()
    }

    #[test]
    fn a_message_has_its_id_its_writer_its_time_and_its_emotes() {
        let line = "@badge-info=;badges=;color=#0000FF;display-name=Ann;emotes=25:0-4,12-16/1902:6-10;\
                    flags=;id=e9d998c3-36f1-430f-89ec-6b887c28af36;mod=0;room-id=11148817;subscriber=0;\
                    tmi-sent-ts=1594545155039;turbo=0;user-id=29803735;user-type= \
                    :ann!ann@ann.tmi.twitch.tv PRIVMSG #somebody :Kappa Keepo Kappa";
        let chat = chat(line);
        assert_eq!(
            chat.id.as_deref(),
            Some("e9d998c3-36f1-430f-89ec-6b887c28af36")
        );
        assert_eq!(chat.user.as_deref(), Some("29803735"));
        assert_eq!(chat.sent_at, Some(Duration::from_millis(1_594_545_155_039)));
        assert_eq!(chat.text, "Kappa Keepo Kappa");
        let ranges: Vec<_> = chat.emotes().into_iter().map(|e| (e.id, e.range)).collect();
        assert_eq!(ranges, [("25", 0..5), ("1902", 6..11), ("25", 12..17)]);
    }

    #[test]
    fn positions_are_those_of_characters_without_the_wrapper_of_me() {
        let kappa = ("25".to_owned(), "Kappa".to_owned());
        for text in [
            "🔥é Kappa",
            "\u{1}ACTION 🔥é Kappa\u{1}",
            "\u{1}ACTION 🔥é Kappa",
        ] {
            assert_eq!(
                shown("25:3-7", text),
                std::slice::from_ref(&kappa),
                "{text:?}"
            );
        }
        assert_eq!(chat("PRIVMSG #x :\u{1}ACTION \u{1}").text, "");
        assert_eq!(chat("PRIVMSG #x :\u{1}PING\u{1}").text, "\u{1}PING\u{1}");
    }

    #[test]
    fn emotes_that_make_no_sense_are_cut_or_passed_over() {
        let kappa = || ("25".to_owned(), "Kappa".to_owned());
        for (emotes, expected) in [
            ("", vec![]),
            ("25:0-4", vec![kappa()]),
            // Beyond the end.
            ("25:0-900", vec![("25".into(), "Kappa 🔥".into())]),
            (
                "25:0-18446744073709551615",
                vec![("25".into(), "Kappa 🔥".into())],
            ),
            ("25:6-6", vec![("25".into(), "🔥".into())]),
            ("25:7-7", vec![]),
            ("25:18446744073709551615-18446744073709551615", vec![]),
            ("25:0-18446744073709551616", vec![]),
            // Backwards.
            ("25:4-0", vec![]),
            // Overlapping: the first one.
            ("25:0-4/9:2-6", vec![kappa()]),
            ("9:2-6/25:0-4", vec![kappa()]),
            ("25:0-4,0-4", vec![kappa()]),
            // Not of this form.
            ("25", vec![]),
            ("25:", vec![]),
            ("25:-", vec![]),
            ("25:a-b", vec![]),
            ("25:-1-4", vec![]),
            ("////:,,,-", vec![]),
            ("x/25:0-4", vec![kappa()]),
        ] {
            assert_eq!(shown(emotes, "Kappa 🔥"), expected, "{emotes}");
        }
        let many = "25:0-0,".repeat(100_000 / 7);
        assert_eq!(
            Line::read(&format!("@emotes={many} PRIVMSG #x :K")),
            None,
            "is too long"
        );
    }

    #[test]
    fn lines_say_what_has_happened() {
        let server = ":tmi.twitch.tv";
        for (line, expected) in [
            ("PING :tmi.twitch.tv", Line::Ping("tmi.twitch.tv".into())),
            ("PING", Line::Ping(String::new())),
            (":justinfan1!justinfan1@h JOIN #x", Line::Joined),
            (
                "@emote-only=0;room-id=1 :tmi.twitch.tv ROOMSTATE #x",
                Line::Joined,
            ),
            (":h 366 justinfan1 #x :End of /NAMES list", Line::Joined),
            (":h CAP * NAK :twitch.tv/tags", Line::NoCapability),
            (":h CAP * ACK :twitch.tv/tags", Line::Other),
            (":h 001 justinfan1 :Welcome, GLHF!", Line::Other),
            ("RECONNECT", Line::Reconnect),
            (
                "@login=ann;room-id=;target-msg-id=3c92;tmi-sent-ts=1 :h CLEARMSG #x :bad",
                Line::Deleted("3c92".into()),
            ),
            (":h CLEARMSG #x :bad", Line::Other),
            (
                "@ban-duration=1;target-user-id=148 :h CLEARCHAT #x :ann",
                Line::Cleared(Some("148".into())),
            ),
            (":h CLEARCHAT #x :ann", Line::Other),
            ("@room-id=1 :h CLEARCHAT #x", Line::Cleared(None)),
            (
                "@msg-id=msg_channel_suspended :h NOTICE #x :Suspended.",
                Line::Notice {
                    id: "msg_channel_suspended".into(),
                    text: "Suspended.".into(),
                },
            ),
            ("@msg-id=raid :h USERNOTICE #x", Line::Other),
            ("PRIVMSG #x", Line::Other),
        ] {
            assert_eq!(Line::read(line), Some(expected), "{line}");
        }
        assert_eq!(chat("@msg-id=resub :h USERNOTICE #x :🔥").text, "🔥");
        for line in [
            "",
            "@",
            "@ ",
            ":",
            ": x",
            "@a=b",
            "PING  ",
            "\u{1F525}",
            "a1",
        ] {
            assert_eq!(Line::read(line), None, "{line:?}");
        }
        assert!(
            Line::read(&format!(
                "{server} PRIVMSG #x :{}",
                "x".repeat(LINE_BYTES_MAX)
            ))
            .is_none()
        );
    }
}
