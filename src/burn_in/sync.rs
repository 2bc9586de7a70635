//! The programme's calendar: when its pictures were made, so that a reaction appears in the one
//! that its viewer saw.
//!
//! A playlist's dates are those of HLS (RFC 8216, 4.3.2.6). A live input without dates has those
//! at which it arrives. Calendars go from the time stamps of the programme's video to the time
//! since the Unix epoch.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use ffmpeg_next::format::context::Input;
use reqwest::Url;

use super::input::Origin;
use super::playlist::{BYTES_MAX, Dated, Media, Playlist};
use super::settings::{Delay, Sync};
use crate::fetch::client;
use crate::shown;
use crate::source::since_epoch;

/// A reaction to a picture that comes later than this is shown at once: one of the clocks is wrong.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// How long a playlist may take; the programme begins without its dates after that.
const PATIENCE: Duration = Duration::from_secs(5);

/// Dates of a calendar. Where there would be more, the oldest are forgotten, and what has them is
/// past.
const PIECES_MAX: usize = 10_000;

/// What is known of the dates of an input that has been opened.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Dates {
    /// Nothing.
    Unknown,
    /// Its first packet is of the time at which it comes.
    Arrival,
    /// Those of its playlist; at least one.
    Listed(Vec<Dated>),
}

/// When each part of the programme was made.
#[derive(Debug, Default)]
struct Calendar {
    /// By rising time stamp.
    pieces: Vec<Piece>,
}

/// From this time stamp on, the calendar goes on as time does.
#[derive(Clone, Copy, Debug)]
struct Piece {
    from_us: i64,
    /// Since the Unix epoch.
    date: Duration,
}

impl Calendar {
    /// What begins with this time stamp, now, has these dates; what was expected from there on is
    /// void.
    fn begin(&mut self, at_us: i64, dates: &Dates, now: Duration) {
        self.pieces.retain(|piece| piece.from_us < at_us);
        let mut push = |after: Duration, date: Duration| {
            let from_us = at_us.saturating_add(whole_us(after));
            self.pieces.push(Piece { from_us, date });
        };
        match dates {
            Dates::Unknown => {}
            Dates::Arrival => push(Duration::ZERO, now),
            Dates::Listed(dates) => dates.iter().for_each(|dated| push(dated.after, dated.date)),
        }
        let over = self.pieces.len().saturating_sub(PIECES_MAX);
        self.pieces.drain(..over);
    }

    /// The time stamp of what was made then: the latest, if that is more than one. What was made
    /// between two parts belongs to the beginning of the next, and what was made before all to the
    /// beginning.
    fn time_of(&self, date: Duration) -> Option<i64> {
        let mut end_us = None;
        for piece in self.pieces.iter().rev() {
            if let Some(since) = date.checked_sub(piece.date) {
                let at_us = piece.from_us.saturating_add(whole_us(since));
                return Some(end_us.map_or(at_us, |end_us| at_us.min(end_us)));
            }
            end_us = Some(piece.from_us);
        }
        end_us
    }
}

fn whole_us(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// The calendar, as the threads of a burn-in share it; none if reactions appear as they arrive.
#[derive(Clone, Debug)]
pub(super) struct Timekeeper(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    /// Whether what has no dates has those at which it comes.
    is_live: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    calendar: Calendar,
    /// Of an input that is open, and of which no packet has come.
    opened: Option<Dates>,
    /// The time stamp of the programme's first picture.
    first_us: i64,
    /// Whether it was said that a reaction is too far ahead.
    is_ahead: bool,
}

impl Timekeeper {
    pub(super) fn new(sync: Sync, is_live: bool) -> Self {
        let shared = Shared {
            is_live,
            state: Mutex::default(),
        };
        Self((sync == Sync::Pts).then(|| Arc::new(shared)))
    }

    /// Opens the input, and finds out its dates.
    ///
    /// # Errors
    /// Those of [`Origin::open`]; without dates it goes on.
    pub(super) fn open(&self, origin: &Origin) -> Result<Input> {
        let Some(shared) = &self.0 else {
            return origin.open();
        };
        let before = match is_playlist(&origin.address.url) {
            true => read(&origin.address.url),
            false => Err(anyhow!("its name is not that of a playlist")),
        };
        let input = origin.open()?;
        let is_segments = input.format().name() == "hls";
        let (dates, why) = match is_segments {
            false => (Vec::new(), None),
            true => match listed(before, || read(&origin.address.url)) {
                Ok(dates) => (dates, None),
                Err(error) => (Vec::new(), Some(error)),
            },
        };
        if let Some(why) = why {
            tracing::warn!("{origin}: its playlist's dates can't be read: {why:#}");
        }
        let dates = match dates.is_empty() {
            false => Dates::Listed(dates),
            true if shared.is_live => Dates::Arrival,
            true => Dates::Unknown,
        };
        match dates {
            Dates::Listed(_) => {}
            Dates::Arrival => {
                tracing::info!("{origin}: it has no dates: those of its arrival count");
            }
            Dates::Unknown => {
                tracing::warn!("{origin}: it has no dates: reactions appear as they arrive");
            }
        }
        shared.lock().opened = Some(dates);
        Ok(input)
    }

    /// A packet of the video has come, of this time stamp.
    pub(super) fn packet(&self, at_us: i64) {
        let Some(shared) = &self.0 else { return };
        let mut state = shared.lock();
        if let Some(dates) = state.opened.take() {
            state.calendar.begin(at_us, &dates, since_epoch());
        }
    }

    /// The programme's time begins with the picture of this time stamp.
    pub(super) fn begin(&self, first_us: i64) {
        if let Some(shared) = &self.0 {
            shared.lock().first_us = first_us;
        }
    }

    /// The programme's time at which a reaction is to be seen that was sent then, when it is `now`
    /// there; never before `now`. `None` if there is no calendar.
    pub(super) fn due(&self, sent_at: Duration, delay: Delay, now: Duration) -> Option<Duration> {
        let mut state = self.0.as_ref()?.lock();
        let date = match delay.earlier {
            false => sent_at.saturating_add(delay.by),
            true => sent_at.saturating_sub(delay.by),
        };
        let at_us = state.calendar.time_of(date)?.saturating_sub(state.first_us);
        let at = Duration::from_micros(u64::try_from(at_us).unwrap_or(0));
        let ahead = at.saturating_sub(now);
        if ahead <= AHEAD_MAX {
            return Some(at.max(now));
        }
        if !std::mem::replace(&mut state.is_ahead, true) {
            tracing::warn!(
                "a reaction is {:.0} s ahead of the programme; such ones are shown at once",
                ahead.as_secs_f64()
            );
        }
        Some(now)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an address ends as those of playlists do.
fn is_playlist(address: &OsStr) -> bool {
    let text = address.to_string_lossy().to_ascii_lowercase();
    let path = text.split(['?', '#']).next().unwrap_or_default();
    path.ends_with(".m3u8") || path.ends_with(".m3u")
}

/// The dates of what libavformat reads of a playlist that is read before and after it is opened.
///
/// A live one may move on meanwhile. libavformat reads it first of all, so that it begins where it
/// would have begun just before.
fn listed(before: Result<Media>, after: impl FnOnce() -> Result<Media>) -> Result<Vec<Dated>> {
    let before = match before {
        Ok(media) if media.is_whole => return Ok(media.dates(media.start())),
        before => before.ok(),
    };
    let after = after();
    let start = before.as_ref().or(after.as_ref().ok()).map(Media::start);
    let Some(start) = start else {
        return after.map(|_| Vec::new());
    };
    // The newer one knows more of what comes, unless it has forgotten the beginning.
    let dates = [after.ok(), before].into_iter().flatten();
    let mut dates = dates.map(|media| media.dates(start));
    Ok(dates.find(|dates| !dates.is_empty()).unwrap_or_default())
}

/// Reads the playlist of segments at an address, or the first one with video that it leads to.
///
/// # Errors
/// It can't be read within [`PATIENCE`], is longer than [`BYTES_MAX`], or is something else.
fn read(address: &OsStr) -> Result<Media> {
    let (text, base) = fetch(address)?;
    let variant = match Playlist::parse(&text)? {
        Playlist::Media(media) => return Ok(media),
        Playlist::Master(variant) => variant,
    };
    let address = match base {
        Base::Url(url) => {
            let url = url.join(&variant)?;
            // Nobody on a network names a file of this machine.
            ensure!(
                matches!(url.scheme(), "http" | "https"),
                "{}: expected an http address",
                shown::place(url.as_str().as_ref())
            );
            url.to_string().into()
        }
        Base::Folder(folder) if !variant.contains("://") => folder.join(variant).into_os_string(),
        Base::Folder(_) => variant.into(),
    };
    let (text, _) = fetch(&address).with_context(|| shown::place(&address))?;
    match Playlist::parse(&text)? {
        Playlist::Media(media) => Ok(media),
        Playlist::Master(_) => bail!("{}: it lists lists of lists", shown::place(&address)),
    }
}

/// What addresses in a playlist are relative to.
enum Base {
    Url(Url),
    Folder(std::path::PathBuf),
}

fn fetch(address: &OsStr) -> Result<(String, Base)> {
    let shown = address.to_string_lossy();
    if shown.starts_with("http://") || shown.starts_with("https://") {
        let url: Url = shown.parse()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (bytes, url) = runtime.block_on(download(url))?;
        return Ok((String::from_utf8(bytes)?, Base::Url(url)));
    }
    let path = match address.to_str().and_then(|text| text.strip_prefix("file:")) {
        Some(path) => Path::new(path),
        None => Path::new(address),
    };
    let file = File::open(path)?;
    // What is no file can be read once, and not by us.
    ensure!(file.metadata()?.is_file(), "it is no file");
    let mut text = String::new();
    let read = file.take(BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    ensure!(read <= BYTES_MAX, "it is longer than {BYTES_MAX} bytes");
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok((text, Base::Folder(folder.to_owned())))
}

/// What is at an address, and the address where it was found in the end.
async fn download(url: Url) -> Result<(Vec<u8>, Url)> {
    let client = client(&url).timeout(PATIENCE).build()?;
    let mut response = client.get(url).send().await?.error_for_status()?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        ensure!(
            bytes.len() + chunk.len() <= BYTES_MAX,
            "it is longer than {BYTES_MAX} bytes"
        );
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes, response.url().clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn dated(after: u64, date: u64) -> Dated {
        Dated {
            after: Duration::from_secs(after),
            date: Duration::from_secs(date),
        }
    }

    fn time_of(calendar: &Calendar, seconds: u64) -> Option<i64> {
        calendar.time_of(Duration::from_secs(seconds))
    }

    #[test]
    fn a_calendar_goes_on_as_time_does_and_jumps_where_dates_do() {
        let mut calendar = Calendar::default();
        assert_eq!(time_of(&calendar, 100), None);
        let dates = Dates::Listed(vec![dated(0, 1_000), dated(10, 2_000), dated(20, 2_010)]);
        calendar.begin(1_400_000, &dates, Duration::ZERO);
        for (date, expected) in [
            (0, 1_400_000),
            (999, 1_400_000),
            (1_000, 1_400_000),
            (1_003, 4_400_000),
            // Between two parts.
            (1_010, 11_400_000),
            (1_500, 11_400_000),
            (2_000, 11_400_000),
            (2_004, 15_400_000),
            (2_010, 21_400_000),
            (5_000, 3_011_400_000),
        ] {
            assert_eq!(time_of(&calendar, date), Some(expected), "{date}");
        }
        assert_eq!(calendar.time_of(Duration::MAX), Some(i64::MAX));
    }

    #[test]
    fn an_input_that_is_back_has_new_dates() {
        let mut calendar = Calendar::default();
        let dates = Dates::Listed(vec![dated(0, 1_000), dated(60, 9_000)]);
        calendar.begin(0, &dates, Duration::ZERO);
        calendar.begin(30_000_000, &Dates::Arrival, 1_100 * SECOND);
        assert_eq!(time_of(&calendar, 1_010), Some(10_000_000));
        assert_eq!(time_of(&calendar, 1_050), Some(30_000_000));
        assert_eq!(time_of(&calendar, 1_105), Some(35_000_000));
        assert_eq!(
            time_of(&calendar, 9_000),
            Some(7_930_000_000),
            "the old date is void"
        );
        calendar.begin(0, &Dates::Unknown, 1_200 * SECOND);
        assert_eq!(time_of(&calendar, 1_010), None);
    }

    #[test]
    fn a_calendar_is_bounded() {
        let mut calendar = Calendar::default();
        let many = (0..2 * PIECES_MAX as u64)
            .map(|n| dated(n, 2 * n))
            .collect();
        calendar.begin(0, &Dates::Listed(many), Duration::ZERO);
        assert_eq!(calendar.pieces.len(), PIECES_MAX);
        assert_eq!(time_of(&calendar, 39_998), Some(19_999_000_000));
        assert_eq!(time_of(&calendar, 0), Some(10_000_000_000));
    }

    #[test]
    fn a_reaction_is_due_when_its_picture_is() {
        let keeper = Timekeeper::new(Sync::Pts, true);
        let delay = |text: &str| text.parse::<Delay>().unwrap();
        let due = |sent: u32, by: &str, now: u32| {
            let due = keeper.due(sent * SECOND, delay(by), now * SECOND)?;
            Some(due.as_secs())
        };
        assert_eq!(due(1_000, "0", 0), None, "without a calendar");
        let shared = keeper.0.as_ref().unwrap();
        shared.lock().opened = Some(Dates::Listed(vec![dated(0, 1_000)]));
        keeper.packet(1_400_000);
        keeper.packet(9_000_000);
        keeper.begin(1_400_000);
        for (sent, by, now, expected) in [
            (1_010, "0", 0, 10),
            (1_010, "3s", 0, 13),
            (1_010, "-3s", 0, 7),
            (1_010, "0", 10, 10),
            // It is past.
            (1_010, "0", 11, 11),
            (900, "0", 5, 5),
            // A minute ahead is as far as it may be.
            (1_065, "0", 5, 65),
            (1_066, "0", 5, 5),
            (1_062, "4s", 5, 5),
            (1_072, "-8s", 5, 64),
        ] {
            assert_eq!(due(sent, by, now), Some(expected), "{sent} {by} {now}");
        }
        let arrival = Timekeeper::new(Sync::Arrival, true);
        arrival.packet(0);
        assert_eq!(arrival.due(SECOND, Delay::default(), SECOND), None);
    }

    const LIVE: &str = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7
#EXTINF:4,\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T01:00:00Z\na\n#EXTINF:4,\nb\n#EXTINF:4,\nc\n";

    fn media(text: &str) -> Media {
        match Playlist::parse(text) {
            Ok(Playlist::Media(media)) => media,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_live_playlist_may_move_on_while_it_is_opened() {
        let first = |dates: Result<Vec<Dated>>| dates.unwrap().first().map(|at| at.date.as_secs());
        let none = || bail!("it is gone");
        let same = || Ok(media(LIVE));
        assert_eq!(first(listed(same(), same)), Some(3_600));
        // One segment came, and one left.
        let newer = LIVE
            .replace("QUENCE:7", "QUENCE:8")
            .replace("1:00:00Z", "1:00:04Z");
        let newer = || Ok(media(&(newer.clone() + "#EXTINF:4,\nd\n")));
        assert_eq!(first(listed(same(), newer)), Some(3_600));
        let longer = || Ok(media(&format!("{LIVE}#EXTINF:4,\nd\n")));
        assert_eq!(first(listed(same(), longer)), Some(3_600));
        assert_eq!(first(listed(same(), none)), Some(3_600));
        assert_eq!(first(listed(none(), longer)), Some(3_604));
        assert!(listed(none(), none).is_err());
        let whole = Ok(media(&format!("{LIVE}#EXT-X-ENDLIST")));
        assert_eq!(
            first(listed(whole, || unreachable!("it can't move on"))),
            Some(3_600)
        );
    }

    #[test]
    fn playlists_are_read_from_files_and_through_lists() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        let segments = write("low/v.m3u8", LIVE);
        let list = write(
            "all.m3u8",
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow/v.m3u8\n",
        );
        let mut address = std::ffi::OsString::from("file:");
        address.push(&list);
        assert!(is_playlist(&address));
        assert_eq!(read(&address).unwrap(), media(LIVE));
        assert_eq!(read(segments.as_os_str()).unwrap(), media(LIVE));
        let refused = |path: std::path::PathBuf| read(path.as_os_str()).unwrap_err().to_string();
        let nested = write(
            "nested.m3u8",
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nall.m3u8\n",
        );
        assert!(refused(nested).contains("lists of lists"));
        let long = write(
            "long.m3u8",
            &("#EXTM3U\n".to_owned() + &" ".repeat(BYTES_MAX)),
        );
        assert!(refused(long).contains("longer than 1048576 bytes"));
        assert!(refused(write("page.m3u8", "<html>")).contains("#EXTM3U"));
        assert!(refused(folder.path().join("nowhere")).contains("No such file"));
        assert!(refused(folder.path().to_owned()).contains("no file"));
        let named = |name: &str| is_playlist(OsStr::new(name));
        assert!(named("https://host/a.M3U8?token=1#x") && named("a.m3u"));
        assert!(!named("https://host/a.mp4?next=b.m3u8"));
    }
}
