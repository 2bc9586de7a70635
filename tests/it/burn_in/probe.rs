//! What ffprobe tells of a file, and in what two files differ.

use std::path::Path;

use serde_json::Value;

use crate::media::{output, tool};

/// A time in seconds, as a reduced fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time {
    num: i64,
    den: i64,
}

impl Time {
    /// So many ticks of a time base such as `1/90000`.
    fn new(ticks: i64, base: &str) -> Self {
        let (num, den) = base.split_once('/').unwrap();
        let (num, den): (i64, i64) = (num.parse().unwrap(), den.parse().unwrap());
        let num = num * ticks;
        let (mut a, mut b) = (num.abs(), den);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        Self {
            num: num / a.max(1),
            den: den / a.max(1),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "programmes here are short")]
    pub(super) fn seconds(self) -> f64 {
        self.num as f64 / self.den as f64
    }
}

/// One packet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Packet {
    pub(super) pts: Option<Time>,
    dts: Option<Time>,
    duration: Option<Time>,
    flags: String,
    /// Of its bytes.
    hash: String,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) told: Value,
    pub(super) packets: Vec<Packet>,
}

impl Stream {
    pub(super) fn kind(&self) -> &str {
        self.text("codec_type")
    }

    /// An entry that is text.
    pub(super) fn text(&self, entry: &str) -> &str {
        self.told[entry].as_str().unwrap_or_default()
    }

    /// Whether it is the programme's picture: video, but no cover.
    fn is_picture(&self) -> bool {
        self.kind() == "video" && self.told["disposition"]["attached_pic"] != 1
    }
}

/// A file.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) streams: Vec<Stream>,
    chapters: Value,
    tags: Value,
}

impl Probe {
    pub(super) fn of(folder: &Path, name: &str) -> Self {
        let mut command = tool("ffprobe");
        command.current_dir(folder).args(["-of", "json"]);
        command.args(["-show_data_hash", "md5", "-show_streams", "-show_chapters"]);
        let told = output(command.args(["-show_format", "-show_packets", name]));
        let mut told: Value = serde_json::from_slice(&told).unwrap();
        let listed = |value: &mut Value| match value.take() {
            Value::Array(values) => values,
            _ => Vec::new(),
        };
        let mut streams: Vec<_> = listed(&mut told["streams"])
            .into_iter()
            .map(|told| Stream {
                told,
                packets: Vec::new(),
            })
            .collect();
        for packet in listed(&mut told["packets"]) {
            let index = usize::try_from(packet["stream_index"].as_u64().unwrap()).unwrap();
            let base = streams[index].text("time_base").to_owned();
            let time = |entry: &str| packet[entry].as_i64().map(|ticks| Time::new(ticks, &base));
            let text = |entry: &str| packet[entry].as_str().unwrap_or_default().to_owned();
            streams[index].packets.push(Packet {
                pts: time("pts"),
                dts: time("dts"),
                duration: time("duration"),
                flags: text("flags"),
                hash: text("data_hash"),
            });
        }
        Self {
            streams,
            chapters: told["chapters"].take(),
            tags: told["format"]["tags"].take(),
        }
    }

    /// The programme's picture.
    pub(super) fn picture(&self) -> &Stream {
        self.streams
            .iter()
            .find(|stream| stream.is_picture())
            .unwrap()
    }

    /// All but the programme's picture.
    pub(super) fn others(&self) -> Vec<&Stream> {
        let picture = &self.picture().told["index"];
        let others = self.streams.iter();
        others
            .filter(|stream| stream.told["index"] != *picture)
            .collect()
    }

    /// When the picture's packets are shown, in order.
    pub(super) fn picture_times(&self) -> Vec<Time> {
        let mut times: Vec<_> = self
            .picture()
            .packets
            .iter()
            .filter_map(|packet| packet.pts)
            .collect();
        times.sort_by(|a, b| a.seconds().total_cmp(&b.seconds()));
        times
    }
}

/// What a muxer writes by itself into tags.
fn is_own_tag(name: &str) -> bool {
    let name = name.to_lowercase();
    name == "encoder"
        || name == "duration"
        || name == "major_brand"
        || name == "minor_version"
        || name == "compatible_brands"
        || name.starts_with("bps")
        || name.contains("statistics")
        || name.starts_with("number_of_")
}

/// The tags that a person gave.
fn tags(value: &Value) -> Vec<(String, &Value)> {
    let tags = value.as_object().into_iter().flatten();
    let tags = tags.filter(|(name, _)| !is_own_tag(name));
    let mut tags: Vec<_> = tags
        .map(|(name, value)| (name.to_lowercase(), value))
        .collect();
    tags.sort_by(|a, b| a.0.cmp(&b.0));
    tags
}

/// In what two differ, in words.
#[derive(Debug, Default)]
pub(super) struct Differences(pub(super) Vec<String>);

impl Differences {
    fn see<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, before: &T, after: &T) {
        if before != after {
            self.0.push(format!("{what}: {before:?} became {after:?}"));
        }
    }

    fn see_entries(&mut self, what: &str, before: &Value, after: &Value, entries: &[&str]) {
        for entry in entries {
            self.see(&format!("{what}: {entry}"), &before[entry], &after[entry]);
        }
    }

    #[track_caller]
    pub(super) fn none(&self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

/// What is copied: all streams but the picture, packet by packet, and what is told of them.
pub(super) fn copies(before: &Probe, after: &Probe) -> Differences {
    let mut found = Differences::default();
    let kinds = |probe: &Probe| -> Vec<_> {
        let streams = probe.streams.iter();
        streams.map(|stream| stream.kind().to_owned()).collect()
    };
    found.see("streams", &kinds(before), &kinds(after));
    for (n, (before, after)) in before.others().into_iter().zip(after.others()).enumerate() {
        let what = format!("other stream {n}, {}", before.text("codec_name"));
        found.see_entries(
            &what,
            &before.told,
            &after.told,
            &[
                "codec_name",
                "profile",
                "id",
                "sample_rate",
                "channels",
                "channel_layout",
                "disposition",
                "width",
                "height",
            ],
        );
        // What libavformat reads of mov_text has the bit rate that it writes beside it once more.
        if before.text("codec_name") != "mov_text" {
            found.see_entries(&what, &before.told, &after.told, &["extradata_hash"]);
        }
        let tags = [before, after].map(|stream| {
            let mut tags = tags(&stream.told["tags"]);
            // A track of time codes or chapter names is made anew, under a name of the muxer's.
            tags.retain(|(name, _)| stream.kind() != "data" || name != "handler_name");
            tags
        });
        found.see(&what, &tags[0], &tags[1]);
        found.see(
            &format!("{what}: packets"),
            &before.packets.len(),
            &after.packets.len(),
        );
        let packets = before.packets.iter().zip(&after.packets);
        if let Some((n, (before, after))) = packets.enumerate().find(|(_, (a, b))| a != b) {
            found.see(&format!("{what}: packet {n}"), before, after);
        }
    }
    found
}

/// What is told of a file as a whole, and of its parts.
pub(super) fn about(before: &Probe, after: &Probe) -> Differences {
    let mut found = Differences::default();
    found.see("tags", &tags(&before.tags), &tags(&after.tags));
    let chapters = |probe: &Probe| -> Vec<_> {
        let chapters = probe.chapters.as_array().into_iter().flatten();
        let one = |chapter: &Value| {
            let base = chapter["time_base"].as_str().unwrap();
            let time = |entry: &str| Time::new(chapter[entry].as_i64().unwrap(), base);
            (time("start"), time("end"), chapter["tags"]["title"].clone())
        };
        chapters.map(one).collect()
    };
    found.see("chapters", &chapters(before), &chapters(after));
    found
}

/// What the picture keeps: when its frames are shown, and what is told of them.
pub(super) fn picture(before: &Probe, after: &Probe) -> Differences {
    let mut found = times(before, after);
    let (before, after) = (before.picture(), after.picture());
    found.see_entries(
        "picture",
        &before.told,
        &after.told,
        &[
            "width",
            "height",
            "pix_fmt",
            "sample_aspect_ratio",
            "display_aspect_ratio",
            "color_range",
            "color_space",
            "color_transfer",
            "color_primaries",
            "chroma_location",
            "field_order",
            "r_frame_rate",
            "avg_frame_rate",
            "disposition",
        ],
    );
    found.see(
        "picture: tags",
        &tags(&before.told["tags"]),
        &tags(&after.told["tags"]),
    );
    for kind in [
        "Display Matrix",
        "Mastering display metadata",
        "Content light level metadata",
    ] {
        let told = |stream: &Stream| {
            let all = stream.told["side_data_list"]
                .as_array()
                .into_iter()
                .flatten();
            let mut all = all.filter(|told| told["side_data_type"] == kind);
            all.next().cloned()
        };
        found.see("picture: side data", &told(before), &told(after));
    }
    found
}

/// When the picture's frames are shown.
pub(super) fn times(before: &Probe, after: &Probe) -> Differences {
    let mut found = Differences::default();
    let (before, after) = (before.picture_times(), after.picture_times());
    found.see("frames", &before.len(), &after.len());
    let mut times = before.iter().zip(&after).enumerate();
    if let Some((n, (before, after))) = times.find(|(_, (before, after))| before != after) {
        found.see(&format!("time of frame {n}"), before, after);
    }
    found
}

/// What each decoded frame of the picture says of itself: fields, colours and side data.
pub(super) fn frames(folder: &Path, name: &str) -> Vec<Value> {
    let mut command = tool("ffprobe");
    command
        .current_dir(folder)
        .args(["-of", "json", "-select_streams", "v:0"]);
    let told = output(command.args(["-show_frames", name]));
    let told: Value = serde_json::from_slice(&told).unwrap();
    let frames = told["frames"].as_array().unwrap();
    let one = |frame: &Value| {
        let mut kept = serde_json::Map::new();
        for entry in [
            "interlaced_frame",
            "top_field_first",
            "color_range",
            "color_space",
            "color_primaries",
            "color_transfer",
        ] {
            kept.insert(entry.to_owned(), frame[entry].clone());
        }
        let side_data = frame["side_data_list"].as_array().into_iter().flatten();
        for told in side_data {
            let kind = told["side_data_type"].as_str().unwrap_or_default();
            if kind.starts_with("Mastering") || kind.starts_with("Content light") {
                kept.insert(kind.to_owned(), told.clone());
            }
        }
        Value::Object(kept)
    };
    frames.iter().map(one).collect()
}

/// By how many seconds at most a packet lies in the file after one that is due later.
pub(super) fn lag(folder: &Path, name: &str) -> f64 {
    let mut command = tool("ffprobe");
    command.current_dir(folder).args(["-of", "json"]);
    let told = output(command.args(["-show_entries", "packet=pos,dts_time,pts_time", name]));
    let told: Value = serde_json::from_slice(&told).unwrap();
    let number = |value: &Value| -> Option<f64> { value.as_str()?.parse().ok() };
    let packets = told["packets"].as_array().unwrap().iter();
    let mut packets: Vec<_> = packets
        .filter_map(|packet| {
            let due = number(&packet["dts_time"]).or(number(&packet["pts_time"]))?;
            Some((number(&packet["pos"])?, due))
        })
        .collect();
    assert!(!packets.is_empty(), "{name}: packets have places");
    packets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut latest = f64::MIN;
    let lags = packets.into_iter().map(|(_, due)| {
        latest = latest.max(due);
        latest - due
    });
    lags.fold(0.0, f64::max)
}
