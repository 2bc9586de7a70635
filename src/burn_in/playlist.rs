//! What an HLS playlist says of the calendar (RFC 8216): when its segments were made, and with
//! which of them libavformat begins.

use std::time::Duration;

use crate::calendar;

/// The longest playlist that is read, in bytes.
pub(super) const BYTES_MAX: usize = 1 << 20;

/// libavformat begins a live playlist with the third segment from its end (`live_start_index`).
const LIVE_START: usize = 3;

/// Dates that are further than this from where they would be begin anew.
const TOLERANCE: Duration = Duration::from_secs(1);

/// The longest segment that is believed.
const SEGMENT_MAX: Duration = Duration::from_secs(24 * 3_600);

/// A playlist.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Playlist {
    /// A list of others that show the same: the address of the first one with video, as it is
    /// written.
    Master(String),
    /// A list of segments.
    Media(Media),
}

/// A list of segments (RFC 8216, 4.3.3).
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Media {
    /// The number of its first segment (`EXT-X-MEDIA-SEQUENCE`).
    sequence: u64,
    /// Whether no more are added (`EXT-X-ENDLIST`).
    pub(super) is_whole: bool,
    segments: Vec<Segment>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Segment {
    duration: Duration,
    /// When its first picture was made, since the Unix epoch, if that is written.
    date: Option<Duration>,
    /// Whether its time stamps don't go on with those of the one before.
    is_new: bool,
}

/// A place in what is read from a playlist, and when that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dated {
    /// From the beginning of what is read.
    pub(super) after: Duration,
    /// Since the Unix epoch.
    pub(super) date: Duration,
}

/// Why a text is no playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAPlaylist {
    #[error("it doesn't begin with #EXTM3U")]
    Other,
    #[error("it lists no video")]
    Empty,
}

impl Playlist {
    /// Reads one. Tags that say nothing of the calendar are passed over, and so are those that
    /// can't be read.
    ///
    /// # Errors
    /// It isn't one, or one of nothing.
    pub(super) fn parse(text: &str) -> Result<Self, NotAPlaylist> {
        let text = text.trim_start_matches('\u{feff}');
        let mut lines = text.lines().map(str::trim);
        if !lines.next().is_some_and(|line| line.starts_with("#EXTM3U")) {
            return Err(NotAPlaylist::Other);
        }
        let mut media = Media::default();
        let mut next = Segment::default();
        // Whether what stands above the next address is of a segment, or of a variant with video.
        let (mut is_segment, mut variant) = (false, None);
        for line in lines.filter(|line| !line.is_empty()) {
            let tag = |name: &str| line.strip_prefix(name);
            if let Some(duration) = tag("#EXTINF:") {
                next.duration = seconds(duration).unwrap_or_default();
                is_segment = true;
            } else if let Some(date) = tag("#EXT-X-PROGRAM-DATE-TIME:") {
                next.date = calendar::iso_8601(date);
            } else if line == "#EXT-X-DISCONTINUITY" {
                next.is_new = true;
            } else if let Some(number) = tag("#EXT-X-MEDIA-SEQUENCE:") {
                media.sequence = number.trim().parse().unwrap_or(0);
            } else if line == "#EXT-X-ENDLIST" {
                media.is_whole = true;
            } else if let Some(attributes) = tag("#EXT-X-STREAM-INF:") {
                variant = Some(has_video(attributes));
            } else if line.starts_with('#') {
                // A comment, or a tag of something else.
            } else if variant.take() == Some(true) {
                return Ok(Self::Master(line.into()));
            } else if std::mem::take(&mut is_segment) {
                media.segments.push(std::mem::take(&mut next));
            }
        }
        match media.segments.is_empty() {
            true => Err(NotAPlaylist::Empty),
            false => Ok(Self::Media(media)),
        }
    }
}

impl Media {
    /// The number of the segment with which libavformat begins that opens this playlist.
    pub(super) fn start(&self) -> u64 {
        let before = match self.is_whole {
            true => 0,
            false => self.segments.len().saturating_sub(LIVE_START),
        };
        self.sequence.saturating_add(before as u64)
    }

    /// The dates of what is read from the segment of this number on: of its beginning, and of
    /// each place where dates don't go on as time does. Empty if it isn't there, or without dates.
    pub(super) fn dates(&self, start: u64) -> Vec<Dated> {
        let skipped = start
            .checked_sub(self.sequence)
            .and_then(|skipped| usize::try_from(skipped).ok());
        let Some(skipped) = skipped.filter(|skipped| *skipped < self.segments.len()) else {
            return Vec::new();
        };
        let (before, read) = self.segments.split_at(skipped);
        let mut dates = Vec::new();
        dates.extend(self.date_of(before, read).map(|date| Dated {
            after: Duration::ZERO,
            date,
        }));
        let mut after = Duration::ZERO;
        for segment in read {
            if let (
                Some(date),
                Some(Dated {
                    after: from,
                    date: since,
                }),
            ) = (segment.date, dates.last().copied())
            {
                let expected = since.saturating_add(after.saturating_sub(from));
                let off = date.abs_diff(expected);
                if off > TOLERANCE || segment.is_new && !off.is_zero() {
                    dates.push(Dated { after, date });
                }
            }
            after = after.saturating_add(segment.duration);
        }
        dates
    }

    /// The date between two parts of the list: written there, or reckoned from the last one before,
    /// or else from the first one after it (RFC 8216, 6.3.3).
    fn date_of(&self, before: &[Segment], read: &[Segment]) -> Option<Duration> {
        let total = |segments: &[Segment]| {
            let durations = segments.iter().map(|segment| segment.duration);
            durations.fold(Duration::ZERO, Duration::saturating_add)
        };
        let own = read.first().and_then(|segment| segment.date);
        let forward = || {
            let at = before.iter().rposition(|segment| segment.date.is_some())?;
            before[at].date?.checked_add(total(&before[at..]))
        };
        let backward = || {
            let at = read.iter().position(|segment| segment.date.is_some())?;
            read[at].date?.checked_sub(total(&read[..at]))
        };
        own.or_else(forward).or_else(backward)
    }
}

/// Whether a variant's attributes (RFC 8216, 4.3.4.2) allow for video: it has a size, or names a
/// codec of pictures, or no codec at all.
fn has_video(attributes: &str) -> bool {
    const AUDIO: [&str; 8] = [
        "mp4a", "ac-3", "ec-3", "ac-4", "opus", "flac", "alac", "mp3",
    ];
    let mut codecs = None;
    // A comma in quotes divides nothing.
    let mut is_quoted = false;
    for attribute in attributes.split(|c| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    }) {
        match attribute.trim().split_once('=') {
            Some(("RESOLUTION", _)) => return true,
            Some(("CODECS", list)) => codecs = Some(list.trim_matches('"')),
            _ => {}
        }
    }
    let is_sound = |codec: &str| {
        let codec = codec.trim().to_ascii_lowercase();
        AUDIO.iter().any(|sound| codec.starts_with(sound))
    };
    codecs.is_none_or(|codecs| !codecs.split(',').all(is_sound))
}

/// The duration of a segment: `9.009,` and a title.
fn seconds(text: &str) -> Option<Duration> {
    let number = text.split(',').next()?.trim().parse().ok()?;
    let duration = Duration::try_from_secs_f64(number).ok()?;
    Some(duration).filter(|duration| *duration <= SEGMENT_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
    use proptest::sample::select;

    use super::*;

    fn media(text: &str) -> Media {
        match Playlist::parse(text) {
            Ok(Playlist::Media(media)) => media,
            other => panic!("{text}: {other:?}"),
        }
    }

    /// Milliseconds into what is read, and milliseconds since the Unix epoch.
    fn dates(text: &str) -> Vec<(u128, u128)> {
        let media = media(text);
        let dates = media.dates(media.start());
        let one = |dated: &Dated| (dated.after.as_millis(), dated.date.as_millis());
        dates.iter().map(one).collect()
    }

    const RECORDING: &str = "#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:0
#EXTINF:4.000000,
#EXT-X-PROGRAM-DATE-TIME:1970-01-01T01:00:00.000+0000
a0.ts
#EXTINF:4.000000,
#EXT-X-PROGRAM-DATE-TIME:1970-01-01T01:00:04.010+0000
a1.ts
#EXTINF:2.000000,
a2.ts
#EXT-X-ENDLIST
";

    #[test]
    fn a_recording_begins_with_its_first_segment_and_a_live_one_near_its_end() {
        assert_eq!(dates(RECORDING), [(0, 3_600_000)]);
        let live = RECORDING.replace("#EXT-X-ENDLIST\n", "#EXTINF:4,\na3.ts\n#EXTINF:4,\na4.ts\n");
        let live = live.replace("SEQUENCE:0", "SEQUENCE:70");
        assert_eq!(media(&live).start(), 72);
        // Neither has it a date nor what comes after it.
        assert_eq!(dates(&live), [(0, 3_608_010)]);
        let media = media(&live);
        assert_eq!(
            media.dates(70),
            [Dated {
                after: Duration::ZERO,
                date: Duration::from_secs(3_600)
            }]
        );
        assert!(media.dates(69).is_empty() && media.dates(75).is_empty());
        let short = RECORDING.replace("#EXT-X-ENDLIST\n", "");
        assert_eq!(dates(&short), [(0, 3_600_000)]);
    }

    #[test]
    fn a_date_is_reckoned_from_one_before_or_after_it() {
        let late = "#EXTM3U\r\n#EXTINF:4,\r\na\r\n#EXTINF:3.5,title, more\r\nb\r\n#EXTINF:4\r\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T01:00:00Z\r\n\r\nc\r\n#EXT-X-ENDLIST";
        assert_eq!(dates(late), [(0, 3_592_500)]);
        assert!(dates("#EXTM3U\n#EXTINF:4,\na\n").is_empty());
        let unread = "#EXTM3U\n#EXTINF:4,\n#EXT-X-PROGRAM-DATE-TIME:yesterday\na\n";
        assert!(dates(unread).is_empty());
    }

    #[test]
    fn dates_begin_anew_where_they_jump() {
        let text = "#EXTM3U
#EXT-X-PROGRAM-DATE-TIME:1970-01-01T01:00:00Z
#EXTINF:4,
a
#EXT-X-DISCONTINUITY
#EXTINF:4,
advert
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:1970-01-01T01:00:04.500Z
#EXTINF:4,
b
#EXT-X-PROGRAM-DATE-TIME:1970-01-01T01:00:09Z
#EXTINF:4,
c
#EXT-X-PROGRAM-DATE-TIME:1970-01-01T02:00:00Z
#EXTINF:4,
d
#EXT-X-ENDLIST";
        // Of c, half a second is not worth a jump.
        let expected = [(0, 3_600_000), (8_000, 3_604_500), (16_000, 7_200_000)];
        assert_eq!(dates(text), expected);
    }

    #[test]
    fn a_master_playlist_leads_to_the_first_with_video() {
        let text = "#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",URI=\"en.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS=\"mp4a.40.5\"
sound.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9000,URI=\"i.m3u8\"
";
        let empty = Err(NotAPlaylist::Empty);
        assert_eq!(Playlist::parse(text), empty);
        for attributes in [
            "BANDWIDTH=1280000",
            "BANDWIDTH=1280000,CODECS=\"mp4a.40.2, avc1.4d401f\"",
            "CODECS=\"mp4a.40.2\",RESOLUTION=320x180",
            "NAME=\"a,CODECS=mp4a\",BANDWIDTH=1",
        ] {
            let text = format!(
                "{text}#EXT-X-STREAM-INF:{attributes}\nlow/v.m3u8?a=b\n#EXT-X-STREAM-INF:X=1\nhigh.m3u8"
            );
            let expected = Ok(Playlist::Master("low/v.m3u8?a=b".into()));
            assert_eq!(Playlist::parse(&text), expected, "{attributes}");
        }
        assert_eq!(Playlist::parse("<html>"), Err(NotAPlaylist::Other));
        assert_eq!(Playlist::parse(""), Err(NotAPlaylist::Other));
    }

    const LINES: &[&str] = &[
        "#EXTINF:",
        "#EXTINF:1e300,",
        "#EXTINF:-1,",
        "#EXTINF:86400,",
        "#EXT-X-PROGRAM-DATE-TIME:9999-12-31T23:59:59Z",
        "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00Z",
        "#EXT-X-MEDIA-SEQUENCE:18446744073709551615",
        "#EXT-X-DISCONTINUITY",
        "#EXT-X-ENDLIST",
        "#EXT-X-STREAM-INF:CODECS=\"",
        "a.ts",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn any_text_is_read_without_panic(
            lines in prop::collection::vec(
                prop_oneof![select(LINES).prop_map(str::to_owned), any::<String>()], 0..40),
            time in "[-0-9TZ:.+ é]{0,30}",
            start: u64,
        ) {
            let text = format!("#EXTM3U\n{}\n#EXT-X-PROGRAM-DATE-TIME:{time}\n#EXTINF:4,\nb", lines.join("\n"));
            if let Ok(Playlist::Media(media)) = Playlist::parse(&text) {
                let dates = media.dates(media.start());
                assert!(dates.is_sorted_by_key(|dated| dated.after));
                media.dates(start);
            }
            drop(Playlist::parse(&lines.join("\n")));
        }
    }
}
