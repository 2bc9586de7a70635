//! `floatup obs source`: how OBS Studio shows a channel's live feed.
//!
//! The settings are those with which OBS 29, 30 and 32 show it soonest and come back by themselves:
//! the defaults restart the source at every change of scene, and wait ten seconds to reconnect.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};

use crate::config::{ObsForm, ObsJob};
use crate::topic::encoded;

pub(super) fn run(job: &ObsJob) -> Result<()> {
    let base = job.url.as_str().trim_end_matches('/');
    let url = format!("{base}/channels/{}/feed.mkv", encoded(&job.channel));
    match &job.form {
        ObsForm::Text => super::tell(&text(&url)),
        ObsForm::Json => super::tell(&format!("{:#}\n", settings(&url))),
        ObsForm::SceneCollection(path) => {
            let collection = format!("{:#}\n", scene_collection(&job.channel, &url));
            if path.as_os_str() == "-" {
                return super::tell(&collection);
            }
            fs::write(path, collection).with_context(|| format!("cannot write {}", path.display()))
        }
    }
}

/// As OBS's own dialogue has them.
fn text(url: &str) -> String {
    format!(
        "\
Add a Media Source with these settings:

  Local File                                   off
  Input                                        {url}
  Input Format                                 (empty)
  Network Buffering                            2 MB
  Reconnect Delay                              1 s
  Restart playback when source becomes active  off
  Close file when inactive                     off
  Show nothing when playback ends              on
  Use hardware decoding when available         off

In the menu of the source, set Blending Method to SRGB Off: half-transparent
edges then look as on a web page.

Or import them: floatup obs source --scene-collection floatup.json writes a scene
collection, which OBS takes in at Scene Collection > Import.
"
    )
}

/// As OBS stores them.
fn settings(url: &str) -> Json {
    json!({
        "is_local_file": false,
        "input": url,
        "input_format": "",
        "buffering_mb": 2,
        "reconnect_delay_sec": 1,
        "restart_on_activate": false,
        "close_when_inactive": false,
        "clear_on_media_end": true,
        "hw_decode": false,
    })
}

/// One scene with the source alone. What is left out has OBS's default.
fn scene_collection(channel: &str, url: &str) -> Json {
    let source = format!("Reactions {channel}");
    let (source_id, scene_id) = (uuid(), uuid());
    let item = json!({
        "id": 1,
        "name": source,
        "source_uuid": source_id,
        "visible": true,
        "locked": false,
        "align": 5,
        "pos": { "x": 0.0, "y": 0.0 },
        "scale": { "x": 1.0, "y": 1.0 },
        "blend_method": "srgb_off",
        "blend_type": "normal",
    });
    json!({
        "name": "floatup",
        "current_scene": "floatup",
        "current_program_scene": "floatup",
        "scene_order": [{ "name": "floatup" }],
        "sources": [
            {
                "id": "ffmpeg_source",
                "versioned_id": "ffmpeg_source",
                "name": source,
                "uuid": source_id,
                "settings": settings(url),
            },
            {
                "id": "scene",
                "versioned_id": "scene",
                "name": "floatup",
                "uuid": scene_id,
                "settings": { "id_counter": 1, "custom_size": false, "items": [item] },
            },
        ],
    })
}

/// A random UUID (RFC 9562, version 4).
fn uuid() -> String {
    let bits = rand::random::<u128>() & !(0xF << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}
