//! Where a sprite goes: one integer hash, the same in Rust and in the page's script.
//!
//! Every per-sprite random value is a pure function of the topic item that asked for the sprite:
//! the item's *page* (one incarnation of the topic), its *sequence* number, the sprite's *index*
//! within the item, and a *lane* (which of the sprite's random values is wanted).
//! So every viewer's page, the browser source and the rendered frames put the same emoji at the
//! same place, with nothing sent but the item itself.
//!
//! The hash folds six 32-bit words, in this order, with the `lowbias32` finaliser
//! (Chris Wellons, "Prospecting for Hash Functions", 2018), all arithmetic modulo 2^32:
//!
//! ```text
//! h = 0
//! for word in [page, page >> 32, sequence, sequence >> 32, index, lane]:   (low 32 bits of each)
//!     h = mix((h ^ word) + 0x9e3779b9)
//! mix(x): x ^= x >> 16; x *= 0x7feb352d; x ^= x >> 15; x *= 0x846ca68b; x ^= x >> 16
//! ```
//!
//! Lane 0 is the horizontal start. A variable of the stylesheet has the lane that its name gives,
//! without the leading dashes, as UTF-8:
//!
//! ```text
//! lane = 0
//! for byte in name:
//!     lane = mix((lane ^ byte) + 0x9e3779b9)
//! lane = 1 if lane is 0
//! ```
//!
//! and its share of the way through its range is `(h >> 26) / 63`.
//!
//! `assets/sprites.js` holds the same function; `tests/vectors/scatter.json` holds values that
//! both are tested against.

/// Which of a sprite's random values a hash is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane(u32);

impl Lane {
    /// The horizontal start, a share of the frame's width less one font size.
    pub const LEFT: Self = Self(0);

    /// The lane of a variable of the stylesheet, by its name without the leading dashes.
    ///
    /// It is never [`LEFT`](Self::LEFT). Two names may share a lane, which nobody sees.
    #[must_use]
    pub fn of(variable: &str) -> Self {
        let lane = variable.bytes().fold(0, |lane, byte| {
            mix((lane ^ u32::from(byte)).wrapping_add(STEP))
        });
        Self(lane.max(1))
    }
}

/// Added before each mixing, so that a row of zeros changes the hash too.
const STEP: u32 = 0x9e37_79b9;

/// The identity of one sprite: the topic item that asked for it, and which of the item's sprites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpriteId {
    /// The incarnation of the topic (Momento's `sequence_page`); the seed, for a reaction log.
    pub page: u64,
    /// The item's number on its page, from 1; the entry's number, for a reaction log.
    pub sequence: u64,
    /// The sprite's number within the item, from 0.
    pub index: u32,
}

impl SpriteId {
    /// The 32-bit hash of this sprite on `lane`.
    #[must_use]
    pub fn hash(self, lane: Lane) -> u32 {
        let words = [
            low(self.page),
            high(self.page),
            low(self.sequence),
            high(self.sequence),
            self.index,
            lane.0,
        ];
        words
            .into_iter()
            .fold(0, |h, word| mix((h ^ word).wrapping_add(STEP)))
    }

    /// The hash as a number in `0.0..1.0`: `hash / 2^32`, exact in an IEEE double.
    #[must_use]
    pub fn unit(self, lane: Lane) -> f64 {
        f64::from(self.hash(lane)) / 4_294_967_296.0
    }

    /// How far a variable on `lane` is from the beginning of its range to the end, in
    /// `0.0..=1.0`: `(hash >> 26) / 63`, one of 64 evenly spaced values, both ends included.
    ///
    /// They are few so that sprites have shares in common: a page can keep a class of styles for
    /// each, and a renderer the pictures that it has scaled, and use them again.
    #[must_use]
    pub fn share(self, lane: Lane) -> f64 {
        f64::from(self.hash(lane) >> 26) / 63.0
    }

    /// The sprite's CSS `left`, in px: `unit(LEFT) * max(0, width_px - font_size_px)`.
    ///
    /// One font size is kept free at the right, as the tutorial's page does.
    #[must_use]
    pub fn left_px(self, width_px: f64, font_size_px: f64) -> f64 {
        self.unit(Lane::LEFT) * (width_px - font_size_px).max(0.0)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low word is what is wanted"
)]
fn low(word: u64) -> u32 {
    word as u32
}

fn high(word: u64) -> u32 {
    (word >> 32) as u32
}

fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn lanes_and_shares_are_the_documented_ones() {
        let vectors = include_str!("../tests/vectors/scatter.json");
        let vectors: Vec<Value> = serde_json::from_str(vectors).unwrap();
        let mut seen = 0;
        for v in vectors.iter().filter(|v| v["variable"].is_string()) {
            let id = SpriteId {
                page: v["page"].as_u64().unwrap(),
                sequence: v["sequence"].as_u64().unwrap(),
                index: u32::try_from(v["index"].as_u64().unwrap()).unwrap(),
            };
            let lane = Lane::of(v["variable"].as_str().unwrap());
            assert_eq!(u64::from(lane.0), v["lane"], "{v}");
            assert_eq!(u64::from(id.hash(lane)), v["hash"], "{v}");
            let off = id.share(lane) - v["share"].as_f64().unwrap();
            assert!(off.abs() < 1e-12, "{v}");
            seen += 1;
        }
        assert!(seen >= 20, "{seen} vectors");
    }

    #[test]
    fn shares_reach_both_ends_and_names_have_lanes_of_their_own() {
        let shares = |name| {
            (0..2_000).map(move |sequence| {
                let id = SpriteId {
                    page: 1,
                    sequence,
                    index: 0,
                };
                id.share(Lane::of(name))
            })
        };
        assert!(shares("sway").any(|s| s <= 0.0) && shares("sway").any(|s| s >= 1.0));
        let same = shares("sway")
            .zip(shares("spin"))
            .filter(|(a, b)| (a - b).abs() < 1e-9);
        assert!(same.count() < 100, "a share in 64 is the same by chance");
        assert_ne!(Lane::of(""), Lane::LEFT);
    }
}
