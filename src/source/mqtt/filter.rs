//! Which topics a filter covers.

/// What begins the filter of a subscription that others have a part in, before the filter itself:
/// MQTT 5's, which brokers know of 3.1.1, too, and EMQX's own.
const SHARES: [&str; 3] = ["$share/", "$queue/", "$exclusive/"];

/// Whether a topic is one of a filter's (4.7).
pub(super) fn covers(filter: &str, topic: &str) -> bool {
    let shared = SHARES.iter().find_map(|share| {
        let rest = filter.strip_prefix(share)?;
        // The group's name comes first.
        match *share == SHARES[0] {
            true => rest.split_once('/').map(|(_, filter)| filter),
            false => Some(rest),
        }
    });
    let filter = shared.unwrap_or(filter);
    // Wildcards at the beginning don't stand for the broker's own topics.
    if topic.starts_with('$') && filter.starts_with(['#', '+']) {
        return false;
    }
    let mut levels = topic.split('/');
    for part in filter.split('/') {
        match (part, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (part, Some(level)) if part == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_covers_topics() {
        for (filter, topic, expected) in [
            ("live", "live", true),
            ("live", "live/a", false),
            ("live/a", "live", false),
            ("live/+", "live/a", true),
            ("live/+", "live/", true),
            ("live/+", "live", false),
            ("live/+", "live/a/b", false),
            ("+/a", "live/a", true),
            ("live/#", "live", true),
            ("live/#", "live/a/b", true),
            ("live/#", "lives", false),
            ("#", "\u{e9}/a", true),
            ("#", "$SYS/a", false),
            ("+/a", "$SYS/a", false),
            ("$SYS/#", "$SYS/a", true),
            ("$share/group/live/+", "live/a", true),
            ("$share/group/live/+", "group/live/a", false),
            ("$queue/live", "live", true),
        ] {
            assert_eq!(covers(filter, topic), expected, "{filter} {topic}");
        }
    }
}
