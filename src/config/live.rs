//! Settings of a channel that may change while it runs, by the keys of the settings file.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::config::keys::{GateKeys, StageKeys, names};
use crate::config::resolve;
use crate::gate::Rules;
use crate::reaction::{Emoji, Palette};
use crate::stage::Limits;

/// A channel's stage and gate, as they are set now.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// How full the stage may get.
    pub limits: Limits,
    /// What is let in.
    pub rules: Rules,
}

impl Live {
    /// All of them by their keys, with `null` for what has no bound.
    #[must_use]
    pub fn settings(&self, palette: &Palette) -> Map<String, Value> {
        let Self { limits, rules } = self;
        let millis =
            |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let named = |is_meant: &dyn Fn(&Emoji) -> bool| {
            let meant = palette.entries().filter(|(_, emoji)| is_meant(emoji));
            meant.map(|(name, _)| name.into()).collect::<Vec<Value>>()
        };
        let mut publishers: Vec<&String> = rules.block_publishers.iter().collect();
        publishers.sort();
        let settings = json!({
            "sprites_max": limits.sprites_max,
            "overflow": limits.overflow.word(),
            "queue_max": limits.queue_max,
            "queue_seconds": limits.queue_age.as_secs(),
            "spread_ms": millis(limits.spread),
            "coverage_max": limits.coverage_max,
            "opacity_max": limits.opacity_max,
            "flash_guard": limits.flash_guard,
            "quiet": limits.quiet,
            "publisher_rate": rules.publisher_rate,
            "channel_rate": rules.channel_rate,
            "repeat_ms": millis(rules.repeat),
            "allow": rules.allow.as_ref().map_or_else(Vec::new, |only| named(&|e| only.contains(e))),
            "block": named(&|emoji| rules.block.contains(emoji)),
            "block_publishers": publishers,
        });
        match settings {
            Value::Object(settings) => settings,
            _ => Map::new(),
        }
    }

    /// The same with some of them changed. `null` is what there is without a setting.
    ///
    /// # Errors
    /// What is wrong with the first that can't be taken, and what is accepted.
    pub fn changed(&self, changes: &Map<String, Value>, palette: &Palette) -> Result<Self, String> {
        let (stage, gate) = (names::<StageKeys>(), names::<GateKeys>());
        let mut settings = self.settings(palette);
        for (key, value) in changes {
            if !settings.contains_key(key) {
                let known: Vec<&str> = settings.keys().map(String::as_str).collect();
                return Err(format!(
                    "{key}: is no setting: expected some of {}",
                    known.join(", ")
                ));
            }
            settings.insert(key.clone(), value.clone());
        }
        let stage: StageKeys = group(&settings, &stage)?;
        let gate: GateKeys = group(&settings, &gate)?;
        let rules = resolve::rules(gate, palette).map_err(|error| error.to_string())?;
        Ok(Self {
            limits: resolve::limits(stage, resolve::SPREAD),
            rules: Rules {
                paused: self.rules.paused,
                ..rules
            },
        })
    }
}

/// The keys of one group, each read by itself so that what is wrong is named.
fn group<G: DeserializeOwned>(
    settings: &Map<String, Value>,
    names: &[String],
) -> Result<G, String> {
    let given = settings
        .iter()
        .filter(|(key, value)| names.contains(key) && !value.is_null());
    for (key, value) in given.clone() {
        let one = json!({ key: value });
        if let Err(error) = G::deserialize(&one) {
            return Err(format!("{key}: {error}"));
        }
    }
    let all: Map<String, Value> = given
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    G::deserialize(Value::Object(all)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Overflow;

    fn live() -> Live {
        Live {
            limits: Limits::default(),
            rules: Rules::default(),
        }
    }

    fn changes(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).expect("an object")
    }

    #[test]
    fn what_is_said_of_the_settings_changes_nothing() {
        let palette = Palette::default();
        let changed = live()
            .changed(
                &changes(
                    r#"{"overflow":"queue","coverage_max":0.25,"block":["fire",":clap:"],
                        "publisher_rate":"5/s","block_publishers":["bob","ann"],"quiet":true}"#,
                ),
                &palette,
            )
            .unwrap();
        assert_eq!(changed.limits.overflow, Overflow::Queue);
        assert_eq!(
            (changed.limits.coverage_max, changed.limits.quiet),
            (Some(0.25), true)
        );
        assert_eq!(changed.rules.publisher_rate, Some(5.0));
        assert_eq!(changed.rules.block.len(), 2);
        let said = changed.settings(&palette);
        assert_eq!(said["block"], json!(["fire", "clap"]));
        assert_eq!(said["block_publishers"], json!(["ann", "bob"]));
        assert_eq!(changed.changed(&said, &palette), Ok(changed.clone()));
        let without = changes(r#"{"coverage_max":null,"publisher_rate":null,"block":null}"#);
        let without = changed.changed(&without, &palette).unwrap();
        assert_eq!(
            (without.limits.coverage_max, without.rules.publisher_rate),
            (None, None)
        );
        assert!(without.rules.block.is_empty() && without.limits.quiet);
    }

    #[test]
    fn what_can_not_be_taken_is_named_with_what_can() {
        for (text, parts) in [
            (
                r#"{"sprites_max":0}"#,
                ["sprites_max: ", "from 1 to 100000"],
            ),
            (
                r#"{"overflow":"burst"}"#,
                ["overflow: ", "retire-oldest, drop-newest"],
            ),
            (r#"{"quiet":"yes"}"#, ["quiet: ", "boolean"]),
            (
                r#"{"allow":["tomato"]}"#,
                ["allow: ", "no reaction of the palette"],
            ),
            (r#"{"allow":"heart"}"#, ["allow: ", "sequence"]),
            (
                r#"{"size":"1x1"}"#,
                ["size: is no setting", "block_publishers"],
            ),
        ] {
            let error = live()
                .changed(&changes(text), &Palette::default())
                .unwrap_err();
            assert!(
                parts.iter().all(|part| error.contains(part)),
                "{text}: {error}"
            );
        }
    }
}
