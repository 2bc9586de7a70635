//! Pictures of noise, and overlays.

use crate::frame::{Alpha, Frame, PixelFormat, Size, mark};
use crate::keyer::{PictureFormat, PlaneMut};

/// Numbers without a pattern, alike for the same seed.
pub(super) struct Noise(u64);

impl Noise {
    pub(super) fn new(seed: u32) -> Self {
        Self(u64::from(seed) << 32 | 0x9e37_79b9)
    }

    pub(super) fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 32).unwrap()
    }

    pub(super) fn below(&mut self, end: u32) -> u32 {
        self.next() % end
    }
}

/// A picture in a format, its rows apart.
#[derive(Clone, PartialEq)]
pub(super) struct Picture {
    pub(super) size: Size,
    pub(super) format: PictureFormat,
    /// Bytes and stride.
    pub(super) planes: Vec<(Vec<u8>, usize)>,
}

impl Picture {
    /// Samples of any level; what is beside them in their bytes and between rows is noise, too.
    pub(super) fn noise(size: Size, format: PictureFormat, noise: &mut Noise) -> Self {
        let plane = |n| {
            let (row_bytes, rows) = format.plane(n, size);
            let stride = row_bytes + noise.below(40) as usize;
            let bytes = (0..stride * rows).map(|_| noise.next().to_le_bytes()[3]);
            (bytes.collect(), stride)
        };
        let mut picture = Self {
            size,
            format,
            planes: (0..format.planes()).map(plane).collect(),
        };
        let spec = format.spec();
        if spec.bits > 8 && spec.shift == 0 {
            let most = u16::try_from((1_u32 << spec.bits) - 1).unwrap();
            for (n, (bytes, stride)) in picture.planes.iter_mut().enumerate() {
                let (row_bytes, _) = format.plane(n, size);
                for row in bytes.chunks_mut(*stride) {
                    for sample in row[..row_bytes].as_chunks_mut::<2>().0 {
                        *sample = (u16::from_le_bytes(*sample) & most).to_le_bytes();
                    }
                }
            }
        }
        picture
    }

    pub(super) fn planes_mut(&mut self) -> Vec<PlaneMut<'_>> {
        let planes = self.planes.iter_mut().map(|(bytes, stride)| PlaneMut {
            bytes,
            stride: *stride,
        });
        planes.collect()
    }

    /// The levels of a channel, row by row.
    pub(super) fn samples(&self, n: usize) -> Vec<Vec<u16>> {
        let spec = self.format.spec();
        let channel = spec.channels[n];
        let (bytes, stride) = &self.planes[channel.plane];
        let (cell_width, cell_height) = match (spec.is_yuv, n) {
            (true, 1 | 2) => self.format.cell(),
            _ => (1, 1),
        };
        let columns = self.size.width().div_ceil(cell_width) as usize;
        let rows = self.size.height().div_ceil(cell_height) as usize;
        let sample = |row: usize, column: usize| {
            let at = column * channel.step + channel.offset;
            let row = &bytes[row * stride..];
            if spec.bits == 8 {
                u16::from(row[at])
            } else {
                u16::from_le_bytes([row[2 * at], row[2 * at + 1]]) >> spec.shift
            }
        };
        let row = |row| (0..columns).map(|column| sample(row, column)).collect();
        (0..rows).map(row).collect()
    }
}

/// A premultiplied frame with these pixels.
pub(super) fn frame(size: Size, pixels: &[[u8; 4]]) -> Frame {
    let mut frame = Frame::new(size, Alpha::Premultiplied, PixelFormat::Rgba);
    let width = size.width() as usize;
    let (out, ink) = frame.parts_mut();
    for (n, pixel) in pixels.iter().enumerate().filter(|(_, pixel)| pixel[3] > 0) {
        out[n] = *pixel;
        mark(ink.row_mut(n / width), &(n % width..n % width + 1));
    }
    frame
}

/// Clear, opaque and other pixels in runs, the clear ones at times longer than a row.
pub(super) fn overlay(size: Size, noise: &mut Noise) -> Frame {
    let mut pixels = Vec::new();
    let count = size.frame_bytes() / 4;
    while pixels.len() < count {
        let kind = noise.below(4);
        let length = noise.below(if kind == 0 { 160 } else { 40 });
        for _ in 0..length {
            let [r, g, b, a] = noise.next().to_le_bytes();
            let a = match kind {
                0 | 1 => 0,
                2 => 255,
                _ => a,
            };
            let product = |c: u8| u8::try_from(u32::from(c) * u32::from(a) / 255).unwrap();
            pixels.push([product(r), product(g), product(b), a]);
        }
    }
    pixels.truncate(count);
    frame(size, &pixels)
}
