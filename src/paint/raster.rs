//! Shapes that are drawn again and again, computed once.
//!
//! A sprite's picture depends on its emoji, its size and its age alone, and at a frame rate ages
//! repeat: one heart that is half a second old looks like every other. A look that is soon seen for the
//! second time is computed and kept, opacity included, its transparent margins cut row by row;
//! from then on drawing it is source-over of rows. A look that is seen once (a still, a shape that
//! differs from sprite to sprite) is never kept.
//!
//! A look that has not been drawn for long is kept no longer, and one that a single frame draws,
//! though often, for a few more. Of sprites that come between two frames or fade away before
//! their time there are so many looks that those which hardly ever come again would add up for hours;
//! and of a crowd that comes at once, in each frame as many new ones.

use std::hash::BuildHasher as _;
use std::mem::size_of;
use std::ops::Range;

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::shape::{CHUNK, Look, Shape};
use crate::pixel::{Rows, SimdLevel, Work};
use crate::sprite::Layer;

/// At most this many bytes of pixels are kept for one frame's painter; when it is full, what has
/// not been drawn in the frame at hand gives way, and what then still finds no room is computed
/// each time.
pub(super) const RASTER_BYTES_MAX: usize = 256 << 20;

/// A look that was not drawn for more frames than this goes, and one that was seen once is seen for the
/// first time again: ten seconds at 60 frames a second.
const FRAMES_KEPT: u64 = 600;

/// The same of a look that one frame alone has drawn, several times over.
const FRAMES_KEPT_BRIEFLY: u64 = 4;

/// In so many frames all rasters are looked at once, whether they are to go.
const ROUND: usize = 60;

/// A shape with more pixels than this is computed each time.
const PIXELS_MAX: usize = 4 << 20;

/// How many looks are remembered as seen once: a power of two, a newer one in place of an older.
const SEEN: usize = 1 << 16;

/// A shape's pixels, row after row, without what is transparent at the ends of rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Raster {
    /// The first row, from the top of the sprite's box.
    top: i32,
    /// From the left of the sprite's box.
    columns: Range<i32>,
    pub(super) lines: Vec<Line>,
    pixels: Vec<[u8; 4]>,
}

/// One row of a raster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// The first column, from the left of the sprite's box.
    pub(super) left: i32,
    start: u32,
    end: u32,
}

impl Raster {
    /// The line's pixels, premultiplied.
    #[inline(always)]
    pub(super) fn pixels(&self, line: Line) -> &[[u8; 4]] {
        &self.pixels[line.start as usize..line.end as usize]
    }

    /// From the top of the sprite's box.
    #[inline(always)]
    pub(super) fn rows(&self) -> Range<i32> {
        self.top..self.top + whole(self.lines.len())
    }

    /// From the left of the sprite's box.
    #[inline(always)]
    pub(super) fn columns(&self) -> Range<i32> {
        self.columns.clone()
    }

    /// What keeping it takes, its slot and its look included.
    fn bytes(&self) -> usize {
        self.pixels.capacity() * size_of::<[u8; 4]>()
            + self.lines.capacity() * size_of::<Line>()
            + size_of::<Slot>()
            + size_of::<(Look, u32)>()
    }
}

/// A count of at most [`PIXELS_MAX`].
fn whole(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Computes a raster.
struct Compute<'a>(&'a Shape, &'a Layer);

impl Work for Compute<'_> {
    type Output = Raster;

    #[inline(always)]
    fn run<R: Rows>(self, rows: R) -> Raster {
        let Self(shape, layer) = self;
        let mut raster = Raster {
            top: shape.rows.start,
            ..Raster::default()
        };
        let mut line = Vec::new();
        for y in shape.rows.clone() {
            let span = shape.span(y);
            line.clear();
            line.resize(span.len(), [0; 4]);
            for (x, chunk) in span.clone().step_by(CHUNK).zip(line.chunks_mut(CHUNK)) {
                shape.row(rows, layer, x, y, chunk);
            }
            let shows = |pixel: &[u8; 4]| *pixel != [0; 4];
            let first = line.iter().position(shows).unwrap_or(0);
            let end = line.iter().rposition(shows).map_or(0, |last| last + 1);
            let start = raster.pixels.len();
            raster.pixels.extend_from_slice(&line[first..end]);
            // Whole vectors; what is clear changes nothing.
            let padded = raster.pixels.len().next_multiple_of(4);
            raster.pixels.resize(padded, [0; 4]);
            raster.lines.push(Line {
                left: span.start + whole(first),
                start: u32::try_from(start).unwrap_or(u32::MAX),
                end: u32::try_from(raster.pixels.len()).unwrap_or(u32::MAX),
            });
        }
        let shows = |line: &Line| line.start < line.end;
        let end = raster
            .lines
            .iter()
            .rposition(shows)
            .map_or(0, |last| last + 1);
        raster.lines.truncate(end);
        let first = raster.lines.iter().position(shows).unwrap_or(0);
        raster.lines.drain(..first);
        raster.top += whole(first);
        let ends = |line: &Line| line.left + whole((line.end - line.start) as usize);
        raster.columns = raster.lines.iter().map(|line| line.left).min().unwrap_or(0)
            ..raster.lines.iter().map(ends).max().unwrap_or(0);
        raster.pixels.shrink_to_fit();
        raster.lines.shrink_to_fit();
        raster
    }
}

/// Rasters by look: [`RASTER_BYTES_MAX`] of them.
#[derive(Clone, Debug)]
pub(super) struct Rasters {
    by_look: FxHashMap<Look, u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Slots that are kept briefly, or have been.
    brief: Vec<u32>,
    /// The slot that is looked at next.
    next: usize,
    /// Looks that were seen once: half a hash, and half of the frame's number.
    seen: Vec<u64>,
    bytes: usize,
    bytes_max: usize,
    frame: u64,
    /// The frame in which no room was to be found.
    full: u64,
}

#[derive(Clone, Debug)]
struct Slot {
    look: Look,
    raster: Raster,
    /// The last frame that drew it; [`FREE`] of a slot without a raster.
    used: u64,
    keeping: Keeping,
}

/// For how many frames that do not draw it a look is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeping {
    /// [`FRAMES_KEPT_BRIEFLY`], until another frame draws it.
    Brief,
    /// [`FRAMES_KEPT`].
    Long,
}

const FREE: u64 = u64::MAX;

impl Rasters {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            by_look: FxHashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            brief: Vec::new(),
            next: 0,
            seen: vec![0; SEEN],
            bytes: 0,
            bytes_max,
            frame: 0,
            full: u64::MAX,
        }
    }

    /// The bytes that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A new frame: what was found for the one before may go.
    pub(super) fn begin(&mut self) {
        self.frame += 1;
        let mut brief = std::mem::take(&mut self.brief);
        brief.retain(|number| self.is_brief(*number as usize));
        self.brief = brief;
        for _ in 0..self.slots.len().div_ceil(ROUND) {
            self.forget_one(self.next, FRAMES_KEPT);
            self.next = (self.next + 1) % self.slots.len();
        }
    }

    pub(super) fn raster(&self, number: u32) -> &Raster {
        &self.slots[number as usize].raster
    }

    /// The look's raster, if it has one.
    pub(super) fn find(&mut self, look: &Look) -> Option<u32> {
        let number = *self.by_look.get(look)?;
        let slot = &mut self.slots[number as usize];
        if slot.used != self.frame {
            slot.used = self.frame;
            slot.keeping = Keeping::Long;
        }
        Some(number)
    }

    /// How a look is to be kept that isn't yet; `None` if it was not seen lately. From now on it was.
    pub(super) fn saw(&mut self, look: &Look) -> Option<Keeping> {
        const FRAME: u64 = u32::MAX as u64;
        let hash = FxBuildHasher.hash_one(look);
        let place = (hash >> 40) as usize % SEEN;
        let sighting = (hash << 32) | (self.frame & FRAME);
        let before = std::mem::replace(&mut self.seen[place], sighting);
        let frames = self.frame.wrapping_sub(before) & FRAME;
        match before >> 32 == sighting >> 32 {
            true if frames == 0 => Some(Keeping::Brief),
            true if frames <= FRAMES_KEPT => Some(Keeping::Long),
            _ => None,
        }
    }

    /// Computes a shape and keeps it; `None` where it finds no room.
    pub(super) fn keep(
        &mut self,
        look: Look,
        keeping: Keeping,
        shape: &Shape,
        layer: &Layer,
        level: SimdLevel,
    ) -> Option<u32> {
        let most = shape.columns.len().checked_mul(shape.rows.len())?;
        // Each row may be made longer by up to three pixels.
        let pixels = most + 3 * shape.rows.len();
        let bytes = pixels * size_of::<[u8; 4]>()
            + shape.rows.len() * size_of::<Line>()
            + Raster::default().bytes();
        if most > PIXELS_MAX || !self.has_room(bytes) {
            return None;
        }
        let raster = level.run(Compute(shape, layer));
        self.bytes += raster.bytes();
        let slot = Slot {
            look,
            raster,
            used: self.frame,
            keeping,
        };
        let number = if let Some(number) = self.free.pop() {
            self.slots[number as usize] = slot;
            number
        } else {
            self.slots.push(slot);
            u32::try_from(self.slots.len() - 1).ok()?
        };
        self.by_look.insert(look, number);
        if keeping == Keeping::Brief {
            self.brief.push(number);
        }
        Some(number)
    }

    /// Whether so many bytes find room, once what was not drawn for long has gone.
    fn has_room(&mut self, bytes: usize) -> bool {
        for frames in [256, 16, 1] {
            if self.bytes + bytes <= self.bytes_max {
                return true;
            }
            if self.full == self.frame {
                return false;
            }
            self.forget(frames);
        }
        let room = self.bytes + bytes <= self.bytes_max;
        if !room {
            self.full = self.frame;
        }
        room
    }

    /// Lets go what the last so many frames did not draw.
    fn forget(&mut self, frames: u64) {
        (0..self.slots.len()).for_each(|number| self.forget_one(number, frames));
    }

    /// Whether one is kept briefly, once it has gone if that is over.
    fn is_brief(&mut self, number: usize) -> bool {
        let is_brief = |slot: &Slot| slot.used != FREE && slot.keeping == Keeping::Brief;
        if is_brief(&self.slots[number]) {
            self.forget_one(number, FRAMES_KEPT_BRIEFLY);
        }
        is_brief(&self.slots[number])
    }

    /// Lets one go that the last so many frames did not draw.
    fn forget_one(&mut self, number: usize, frames: u64) {
        let slot = &mut self.slots[number];
        if slot.used != FREE && slot.used + frames < self.frame {
            slot.used = FREE;
            self.by_look.remove(&slot.look);
            self.bytes -= slot.raster.bytes();
            slot.raster = Raster::default();
            self.free.extend(u32::try_from(number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_stays_within_its_bytes_whatever_comes() {
        const BYTES_MAX: usize = 64 << 10;
        let layer = |alpha| Layer {
            width: 20,
            height: 20,
            top: 0,
            scale: 1.0,
            pixels: vec![[alpha; 4]; 400],
        };
        // Some show nothing at all, and are kept as well.
        let layers = [layer(200), layer(0)];
        let mut rasters = Rasters::new(BYTES_MAX);
        let mut kept = 0;
        for n in 0..5_000_u32 {
            rasters.begin();
            let matrix = [1.0, 0.0, 0.0, 1.0, f64::from(n), 0.0];
            let look = Look::new(n % 2, 1.0, matrix).unwrap();
            let layer = &layers[(n % 2) as usize];
            let shape = Shape::new(&look, layer).unwrap();
            let number = rasters.keep(look, Keeping::Long, &shape, layer, SimdLevel::scalar());
            kept += usize::from(number.is_some());
            assert_eq!(rasters.find(&look), number);
            assert!(rasters.bytes() <= BYTES_MAX, "{n}: {}", rasters.bytes());
            assert_eq!(
                rasters.by_look.len() + rasters.free.len(),
                rasters.slots.len()
            );
        }
        assert!(
            kept > 4_000,
            "{kept}: what was not drawn for long gives way"
        );
        assert!(rasters.slots.len() < 1_000, "{}", rasters.slots.len());
        rasters.begin();
        rasters.frame += 1_000;
        rasters.forget(1);
        assert_eq!((rasters.bytes(), rasters.by_look.len()), (0, 0));
    }

    #[test]
    fn what_was_not_drawn_for_long_goes_and_what_is_drawn_stays() {
        let layer = Layer {
            width: 20,
            height: 20,
            top: 0,
            scale: 1.0,
            pixels: vec![[200; 4]; 400],
        };
        let look = |n: u32| Look::new(0, 1.0, [1.0, 0.0, 0.0, 1.0, f64::from(n), 0.0]).unwrap();
        let mut rasters = Rasters::new(RASTER_BYTES_MAX);
        let keep = |rasters: &mut Rasters, n| {
            let shape = Shape::new(&look(n), &layer).unwrap();
            let keeping = [Keeping::Long, Keeping::Brief][usize::from(n >= 150)];
            let number = rasters.keep(look(n), keeping, &shape, &layer, SimdLevel::scalar());
            assert!(number.is_some());
        };
        (0..200).for_each(|n| keep(&mut rasters, n));
        for frame in 1..=FRAMES_KEPT {
            rasters.begin();
            // One of each kind.
            let n = [0, 150][usize::try_from(frame % 2).unwrap()];
            assert!(rasters.find(&look(n)).is_some());
            let brief = if frame > FRAMES_KEPT_BRIEFLY { 0 } else { 49 };
            let kept = (rasters.by_look.len(), rasters.brief.len());
            // The list still has the one that was drawn again in the frame at hand.
            assert_eq!(
                kept,
                (151 + brief, brief + usize::from(frame == 1)),
                "{frame}"
            );
        }
        // As often as each is looked at.
        for _ in 0..ROUND {
            rasters.begin();
        }
        assert_eq!((rasters.by_look.len(), rasters.free.len()), (2, 198));
        let kept = [0, 150].map(|n| rasters.find(&look(n)).unwrap());
        let bytes = kept.map(|number| rasters.raster(number).bytes());
        assert_eq!(rasters.bytes(), bytes.iter().sum::<usize>());
        // What comes then takes their places.
        (200..398).for_each(|n| keep(&mut rasters, n));
        assert_eq!((rasters.by_look.len(), rasters.slots.len()), (200, 200));
    }

    #[test]
    fn a_look_is_seen_again_only_soon() {
        let look = |n: u32| Look::new(n, 1.0, [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]).unwrap();
        let mut rasters = Rasters::new(RASTER_BYTES_MAX);
        // Beyond what half of its number counts to as well.
        for begun in [0, u64::from(u32::MAX) - 3] {
            rasters.frame = begun;
            assert_eq!(rasters.saw(&look(1)), None);
            assert_eq!(rasters.saw(&look(1)), Some(Keeping::Brief));
            rasters.frame += FRAMES_KEPT;
            assert_eq!(rasters.saw(&look(1)), Some(Keeping::Long));
            assert_eq!(rasters.saw(&look(2)), None);
            rasters.frame += FRAMES_KEPT + 1;
            assert_eq!(rasters.saw(&look(1)), None);
        }
    }
}
