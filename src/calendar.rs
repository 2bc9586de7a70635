//! Dates as protocols write them, and the time since the Unix epoch that they stand for.
//!
//! Nothing here reads a clock.

use std::time::Duration;

const DAY_S: u64 = 86_400;

/// A date and time of ISO 8601, as time since the Unix epoch: `2026-11-22T03:49:40.078+00:00`. The
/// zone is `Z`, hours and minutes with or without a colon, hours alone, or UTC if there is none.
#[must_use]
pub fn iso_8601(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (day, time) = text.split_once(['T', 't', ' '])?;
    let mut parts = day.split('-');
    let mut number = |digits: usize| whole(parts.next()?, digits);
    let (year, month, day) = (number(4)?, number(2)?, number(2)?);
    if parts.next().is_some() {
        return None;
    }
    let days = days(year, month, day)?;
    let end = time
        .find(|c: char| !matches!(c, '0'..='9' | ':' | '.' | ','))
        .unwrap_or(time.len());
    let (time, zone) = time.split_at(end);
    let (time, fraction) = time.split_once(['.', ',']).unwrap_or((time, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut parts = time.split(':');
    let mut number = |most: i64| whole(parts.next()?, 2).filter(|number| *number <= most);
    // A minute may have a leap second.
    let (hour, minute, second) = (number(23)?, number(59)?, number(60)?);
    if parts.next().is_some() {
        return None;
    }
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset(zone)?;
    let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = nanos.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    Some(Duration::new(u64::try_from(seconds).ok()?, nanos))
}

/// How far a zone is ahead of UTC, in seconds.
fn offset(zone: &str) -> Option<i64> {
    let sign = match zone.bytes().next() {
        None | Some(b'Z' | b'z') if zone.len() <= 1 => return Some(0),
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return None,
    };
    let zone = &zone[1..];
    let (hours, minutes) = match zone.split_once(':') {
        Some(parts) => parts,
        None => zone.split_at_checked(2)?,
    };
    let minutes = if minutes.is_empty() { "00" } else { minutes };
    let hours = whole(hours, 2).filter(|hours| *hours <= 23)?;
    let minutes = whole(minutes, 2).filter(|minutes| *minutes <= 59)?;
    Some(sign * (hours * 3_600 + minutes * 60))
}

/// A number of so many digits.
fn whole(text: &str, digits: usize) -> Option<i64> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

/// Days of the Gregorian calendar from 1970-01-01 on.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    const LENGTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let is_leap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
    let at = usize::try_from(month - 1).ok()?;
    let length = LENGTHS.get(at)? + i64::from(is_leap && month == 2);
    if !(1..=length).contains(&day) || year < 1970 {
        return None;
    }
    let last = year - 1;
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let leap_days = leaps(last) - leaps(1969) + i64::from(is_leap && month > 2);
    Some((year - 1970) * 365 + leap_days + BEFORE[at] + day - 1)
}

/// The `Date` of an HTTP answer (RFC 9110, 5.6.7), as time since the Unix epoch, in its one form
/// that is still written: `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub fn http_date(text: &str) -> Option<Duration> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, date) = text.trim().split_once(", ")?;
    let mut parts = date.split(' ');
    let mut part = || parts.next();
    let (day, month, year, time, zone) = (part()?, part()?, part()?, part()?, part()?);
    let month = 1 + MONTHS.iter().position(|name| *name == month)?;
    let whole = zone == "GMT" && parts.next().is_none();
    whole.then(|| iso_8601(&format!("{year}-{month:02}-{day}T{time}Z")))?
}

/// A time since the Unix epoch in the basic format of ISO 8601, to the second:
/// `20150830T123600Z`.
#[must_use]
pub fn basic(at: Duration) -> String {
    let (year, month, day) = date(at.as_secs() / DAY_S);
    let (hour, minute, second) = time(at);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// A time since the Unix epoch in the extended format of ISO 8601, to the millisecond:
/// `2026-11-21T02:51:00.113Z`.
#[must_use]
pub fn extended(at: Duration) -> String {
    let (year, month, day) = date(at.as_secs() / DAY_S);
    let (hour, minute, second) = time(at);
    let millisecond = at.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
}

/// Hour, minute and second of the day.
fn time(at: Duration) -> (u64, u64, u64) {
    let second = at.as_secs() % DAY_S;
    (second / 3_600, second / 60 % 60, second % 60)
}

/// Year, month and day, so many days after 1970-01-01, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    // Years that begin in March have their leap day at the end, and 400 of them a fixed length.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn iso_dates_are_read_in_all_forms() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            // What `date -u -d … +%s%3N` says.
            ("2010-02-19T14:54:23.031+08:00", Some(1_266_562_463_031)),
            ("2026-11-22T03:49:40.078+0000", Some(1_795_319_380_078)),
            ("2024-02-29T23:59:59.5-01", Some(1_709_254_799_500)),
            ("2000-12-31 12:00:00", Some(978_264_000_000)),
            ("2100-03-01T00:00:00,25Z", Some(4_107_542_400_250)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_800_000)),
            (
                "2026-11-22T03:49:40.0781234567899Z",
                Some(1_795_319_380_078),
            ),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799_000)),
            ("2023-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-00-01T00:00:00Z", None),
            ("2026-11-00T00:00:00Z", None),
            ("2026-11-22T24:00:00Z", None),
            ("2026-11-22T03:49Z", None),
            ("2026-11-22T03:49:40.0.5Z", None),
            ("2026-11-22T03:49:40ZZ", None),
            ("2026-11-22T03:49:40+8", None),
            ("2026-11-22T03:49:40+0é", None),
            ("1970-01-01T00:00:00+01:00", None),
            ("1969-12-31T23:59:59Z", None),
            ("22.11.2026 03:49:40", None),
            ("2026-11-22", None),
            ("", None),
        ] {
            let read = iso_8601(text).map(|date| date.as_millis());
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn dates_of_http_are_read_in_the_form_that_is_written() {
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199)),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT+1", None),
            ("Sun, 31 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 nov 1994 08:49:37 GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun Nov  6 08:49:37 1994", None),
            ("", None),
        ] {
            let read = http_date(text).map(|date| date.as_secs());
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn the_basic_format_is_what_amazon_signs() {
        // What `date -u -d @… +%Y%m%dT%H%M%SZ` says.
        for (at, expected) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (4_107_542_399, "21000228T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
            (253_402_300_799, "99991231T235959Z"),
        ] {
            assert_eq!(basic(Duration::from_secs(at)), expected);
        }
    }

    #[test]
    fn the_extended_format_has_milliseconds() {
        for (at_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (1_709_251_199_001, "2024-02-29T23:59:59.001Z"),
            (1_763_693_460_113, "2025-11-21T02:51:00.113Z"),
            (1_798_761_600_000, "2027-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(extended(Duration::from_millis(at_ms)), expected);
        }
    }

    proptest! {
        #[test]
        fn days_follow_each_other(day in 0_i64..2_932_896) {
            // From 1970 to 9999: one number for each date, without holes.
            let mut found = (1970..=9999).skip_while(|year| days(*year, 12, 31).is_some_and(|last| last < day));
            let year = found.next().unwrap();
            let dates = (1..=12).flat_map(|month| (1..=31).filter_map(move |of| days(year, month, of)));
            assert_eq!(dates.filter(|other| *other == day).count(), 1);
        }

        #[test]
        fn what_is_written_is_read_back(at in 0..253_402_300_799_u64) {
            let text = basic(Duration::from_secs(at));
            let cut = |from: usize, to: usize| &text[from..to];
            let spread = format!(
                "{}-{}-{}T{}:{}:{}",
                cut(0, 4), cut(4, 6), cut(6, 8), cut(9, 11), cut(11, 13), cut(13, 16)
            );
            prop_assert_eq!(iso_8601(&spread), Some(Duration::from_secs(at)));
        }
    }
}
