//! What YouTube answers, as far as it matters here. Whatever is missing or of another shape than
//! expected is passed over, never a reason to stop.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use super::{QUOTA_PAUSE, Trouble};
use crate::source::retry::Failure;

/// The longest part of an error's text that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// Text at a place in an answer.
fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path)?.as_str()
}

fn owned(value: &Value, path: &str) -> Option<String> {
    text(value, path).map(str::to_owned)
}

/// The answer of `videos.list`: its first video.
#[derive(Debug)]
pub(super) struct Videos {
    pub(super) first: Option<Video>,
}

#[derive(Debug)]
pub(super) struct Video {
    pub(super) live: Option<Live>,
}

#[derive(Debug)]
pub(super) struct Live {
    pub(super) chat: Option<String>,
    pub(super) has_begun: bool,
    pub(super) has_ended: bool,
}

impl From<Value> for Videos {
    fn from(answer: Value) -> Self {
        let live = |details: &Value| Live {
            chat: owned(details, "/activeLiveChatId"),
            has_begun: !details["actualStartTime"].is_null(),
            has_ended: !details["actualEndTime"].is_null(),
        };
        let video = |video: &Value| Video {
            live: video.get("liveStreamingDetails").map(live),
        };
        Self {
            first: answer.pointer("/items/0").map(video),
        }
    }
}

/// The answer of `liveChatMessages.list`.
#[derive(Debug)]
pub(super) struct Chat {
    pub(super) next_page: Option<String>,
    pub(super) pause: Option<Duration>,
    /// Whether the stream has ended.
    pub(super) is_over: bool,
    pub(super) items: Vec<Message>,
}

impl From<Value> for Chat {
    fn from(mut answer: Value) -> Self {
        let items = match answer["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        };
        let pause_ms = answer["pollingIntervalMillis"].as_f64();
        let pause = pause_ms.and_then(|ms| Duration::try_from_secs_f64(ms / 1_000.0).ok());
        Self {
            next_page: owned(&answer, "/nextPageToken"),
            pause,
            is_over: !answer["offlineAt"].is_null(),
            items: items.into_iter().map(Message).collect(),
        }
    }
}

/// One message, of any shape.
#[derive(Debug)]
pub(super) struct Message(Value);

impl Message {
    fn of(&self, path: &str) -> Option<&str> {
        text(&self.0["snippet"], path)
    }

    pub(super) fn id(&self) -> Option<&str> {
        text(&self.0, "/id")
    }

    /// Such as `textMessageEvent`.
    pub(super) fn kind(&self) -> &str {
        self.of("/type").unwrap_or_default()
    }

    pub(super) fn is(&self, kind: &str) -> bool {
        self.kind() == kind
    }

    /// What someone wrote, alone or with what he paid.
    pub(super) fn text(&self) -> Option<&str> {
        match self.kind() {
            "textMessageEvent" => {
                let text = self.of("/textMessageDetails/messageText");
                text.or_else(|| self.of("/displayMessage"))
            }
            "superChatEvent" => self.of("/superChatDetails/userComment"),
            "memberMilestoneChatEvent" => self.of("/memberMilestoneChatDetails/userComment"),
            _ => None,
        }
    }

    /// The id of the message that was taken back.
    pub(super) fn deleted(&self) -> Option<&str> {
        match self.kind() {
            "messageDeletedEvent" => self.of("/messageDeletedDetails/deletedMessageId"),
            "messageRetractedEvent" => self.of("/messageRetractedDetails/retractedMessageId"),
            // What stands where a message was.
            "tombstone" => self.id(),
            _ => None,
        }
    }

    /// The id of the user whose messages were taken back.
    pub(super) fn banned(&self) -> Option<&str> {
        match self.kind() {
            "userBannedEvent" => self.of("/userBannedDetails/bannedUserDetails/channelId"),
            _ => None,
        }
    }

    pub(super) fn author(&self) -> Option<&str> {
        self.of("/authorChannelId")
    }

    pub(super) fn published_at(&self) -> Option<&str> {
        self.of("/publishedAt")
    }
}

/// An error answer.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
    /// The words for it of the Data API and of Google's newer ones, such as `quotaExceeded` and
    /// `API_KEY_INVALID`.
    reasons: Vec<String>,
    /// The pause that it asks for.
    pause: Option<Duration>,
}

impl Refusal {
    /// That of an answer, whose text is made fit to be shown.
    pub(super) fn read(
        status: StatusCode,
        pause: Option<Duration>,
        body: &[u8],
        redacted: impl FnOnce(&str) -> String,
    ) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = &json["error"];
        let of = |list: &str| error[list].as_array().cloned().unwrap_or_default();
        let reasons = of("errors").into_iter().chain(of("details"));
        let reasons = reasons.filter_map(|one| Some(one["reason"].as_str()?.to_owned()));
        let told = error["message"].as_str().map(str::to_owned);
        let told = told.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
        Self {
            status,
            // What is cut before might keep a part of what it hides.
            message: redacted(&told).chars().take(SHOWN_CHARS_MAX).collect(),
            reasons: reasons.collect(),
            pause,
        }
    }

    fn says(&self, reasons: &[&str]) -> bool {
        self.reasons
            .iter()
            .any(|reason| reasons.contains(&reason.as_str()))
    }

    /// What it means for us.
    pub(super) fn trouble(&self) -> Trouble {
        let told = format!("answered {}: {}", self.status, self.message);
        let refused = |what: &str| Failure::refused(format!("{told}; {what}"));
        Trouble::Failure(if self.says(&["quotaExceeded", "dailyLimitExceeded"]) {
            let why = "the daily quota of the key is used up: wait until midnight Pacific time, \
                       when it is renewed, or ask Google for more";
            Failure::refused(why).with_pause(Some(QUOTA_PAUSE))
        } else if self.says(&[
            "rateLimitExceeded",
            "userRateLimitExceeded",
            "RATE_LIMIT_EXCEEDED",
        ]) || self.status == StatusCode::TOO_MANY_REQUESTS
        {
            Failure::passing(told).with_pause(self.pause.or(Some(super::PAUSE_UNTOLD)))
        } else if self.says(&["pageTokenInvalid", "invalidPageToken"]) {
            return Trouble::BadPage;
        } else if self.says(&["liveChatEnded"]) {
            return Trouble::Over("the stream is over");
        } else if self.says(&["liveChatDisabled"]) {
            refused("turn the chat on in YouTube Studio")
        } else if self.says(&["liveChatNotFound", "videoNotFound"]) {
            refused("name a stream that there is")
        } else if self.says(&["accessNotConfigured", "SERVICE_DISABLED"]) {
            refused("turn the YouTube Data API v3 on for the key's project")
        } else if self.says(&["keyInvalid", "keyExpired", "API_KEY_INVALID"]) {
            refused("give another key")
        } else {
            match self.status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    refused("give a key that may use the YouTube Data API v3 from here")
                }
                status if status.is_client_error() => refused("check the address of the source"),
                _ => Failure::passing(told).with_pause(self.pause),
            }
        })
    }
}
