//! What YouTube answers, as far as it matters here. Whatever is missing or of another shape than
//! expected is passed over, never a reason to stop.

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::{QUOTA_PAUSE, Trouble};
use crate::source::retry::Failure;

/// The longest part of an error's text that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// The answer of `videos.list`.
#[derive(Debug, Deserialize)]
pub(super) struct Videos {
    pub(super) items: Option<Vec<Video>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Video {
    pub(super) live_streaming_details: Option<Live>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Live {
    pub(super) active_live_chat_id: Option<String>,
    pub(super) actual_start_time: Option<String>,
    pub(super) actual_end_time: Option<String>,
}

/// The answer of `liveChatMessages.list`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Chat {
    pub(super) next_page_token: Option<String>,
    pub(super) polling_interval_millis: Option<u64>,
    /// Once the stream has ended.
    pub(super) offline_at: Option<String>,
    pub(super) items: Option<Vec<Message>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) id: Option<String>,
    /// Of any shape, so that one odd message doesn't stop the chat.
    #[serde(default)]
    snippet: Value,
}

impl Message {
    fn of(&self, path: &str) -> Option<&str> {
        self.snippet.pointer(path)?.as_str()
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
            "tombstone" => self.id.as_deref(),
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
}

impl Refusal {
    pub(super) fn read(status: StatusCode, body: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = &json["error"];
        let of = |list: &str| error[list].as_array().cloned().unwrap_or_default();
        let reasons = of("errors").into_iter().chain(of("details"));
        let reasons = reasons.filter_map(|one| Some(one["reason"].as_str()?.to_owned()));
        let told = error["message"].as_str().map(str::to_owned);
        let told = told.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
        Self {
            status,
            message: told.chars().take(SHOWN_CHARS_MAX).collect(),
            reasons: reasons.collect(),
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
            Failure::passing(told).with_pause(Some(super::PAUSE_UNTOLD))
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
                _ => Failure::passing(told),
            }
        })
    }
}
