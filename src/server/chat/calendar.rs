//! Times as the API writes them: ISO 8601 in UTC, with milliseconds.

use std::time::Duration;

const DAY_S: u64 = 86_400;

/// A time since the Unix epoch, such as `2026-11-21T02:51:00.113Z`.
pub(super) fn iso8601(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = date(seconds / DAY_S);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let milliseconds = since_epoch.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// Year, month and day, so many days after 1970-01-01, in the Gregorian calendar.
///
/// The year is taken to begin in March, so that the leap day is its last; from there, 400 years
/// always have 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    // 719,468 days are from 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Five months from March or August on have 153 days.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, milliseconds, expected) in [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, 999, "2000-02-28T23:59:59.999Z"),
            (951_782_400, 0, "2000-02-29T00:00:00.000Z"),
            (951_868_800, 0, "2000-03-01T00:00:00.000Z"),
            (1_709_251_199, 1, "2024-02-29T23:59:59.001Z"),
            (1_763_693_460, 113, "2025-11-21T02:51:00.113Z"),
            (1_798_761_599, 0, "2026-12-31T23:59:59.000Z"),
            (1_798_761_600, 0, "2027-01-01T00:00:00.000Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
        ] {
            let time = Duration::from_secs(seconds) + Duration::from_millis(milliseconds);
            assert_eq!(iso8601(time), expected, "{seconds}");
        }
    }
}
