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
//! `assets/sprites.js` holds the same function; `tests/vectors/scatter.json` holds values that
//! both are tested against.

/// Which of a sprite's random values a hash is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Lane {
    /// The horizontal start, a share of the frame's width less one font size.
    Left = 0,
}

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
            lane as u32,
        ];
        words
            .into_iter()
            .fold(0, |h, word| mix((h ^ word).wrapping_add(0x9e37_79b9)))
    }

    /// The hash as a number in `0.0..1.0`: `hash / 2^32`, exact in an IEEE double.
    #[must_use]
    pub fn unit(self, lane: Lane) -> f64 {
        f64::from(self.hash(lane)) / 4_294_967_296.0
    }

    /// The sprite's CSS `left`, in px: `unit(Left) * max(0, width_px - font_size_px)`.
    ///
    /// One font size is kept free at the right, as the tutorial's page does.
    #[must_use]
    pub fn left_px(self, width_px: f64, font_size_px: f64) -> f64 {
        self.unit(Lane::Left) * (width_px - font_size_px).max(0.0)
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
