//! The test chart in what others have made of it.

use floatup::chart::{Chart, Picture, number};
use floatup::frame::{Alpha, Frame, PixelFormat, Size};

/// The number of the first picture, of straight RGBA or of any in front of something, if it can
/// be read.
pub(crate) fn first_number(pictures: &[u8], size: Size) -> Option<u64> {
    let (pixels, _) = pictures.as_chunks();
    let pixels = pixels.get(..size.width() as usize * size.height() as usize)?;
    let has_alpha = false;
    let picture = Picture {
        pixels,
        size,
        has_alpha,
    };
    number(&picture).map(u64::from)
}

/// A frame as it should be, in straight RGBA.
pub(crate) fn frame(number: u64, size: Size) -> Vec<u8> {
    let mut frame = Frame::new(size, Alpha::Straight, PixelFormat::Rgba);
    let chart = Chart::new(size).expect("it is large enough");
    chart.draw(number, &mut frame);
    frame.pixels().as_flattened().to_vec()
}
