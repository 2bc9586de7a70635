//! Pictures: their planes, and whose their memory is.

use std::ffi::c_int;

use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Error, ffi, frame};

/// The planes of a picture, to be changed together.
pub(in crate::burn_in) fn planes_mut(frame: &mut frame::Video) -> Vec<&mut [u8]> {
    let lengths = (0..frame.planes()).map(|n| {
        let rows = frame.plane_height(n) as usize;
        // The last row ends where its pixels do: a cropped picture's memory may end there.
        frame.stride(n) * rows.saturating_sub(1) + row_bytes(frame.format(), frame.width(), n)
    });
    let lengths: Vec<usize> = lengths.collect();
    // SAFETY: planes don't overlap; each has so many rows, as far apart, and its rows so many bytes,
    // for as long as the frame is borrowed. What is upside down its owner has not let come here.
    unsafe {
        let data = (*frame.as_mut_ptr()).data;
        let planes = data.iter().zip(lengths);
        planes
            .map(|(start, length)| std::slice::from_raw_parts_mut(*start, length))
            .collect()
    }
}

/// Makes a picture black.
pub(in crate::burn_in) fn fill_black(frame: &mut frame::Video) {
    // SAFETY: a frame's planes are as large as its format and size say; that nobody else holds them
    // its owner has seen.
    unsafe {
        let about = frame.as_mut_ptr();
        let lines = (*about).linesize.map(|bytes| bytes as isize);
        ffi::av_image_fill_black(
            (*about).data.as_mut_ptr(),
            lines.as_ptr(),
            frame.format().into(),
            frame.color_range().into(),
            (*about).width,
            (*about).height,
        );
    }
}

/// Bytes of so many pixels in a row of a plane.
pub(in crate::burn_in) fn row_bytes(format: Pixel, width: u32, plane: usize) -> usize {
    let number = |n: usize| c_int::try_from(n).unwrap_or(c_int::MAX);
    // SAFETY: it looks at the format's static description.
    let bytes =
        unsafe { ffi::av_image_get_linesize(format.into(), number(width as usize), number(plane)) };
    usize::try_from(bytes).unwrap_or(0)
}

/// Another handle of the same picture: pixels are shared, so neither may be written to.
///
/// # Errors
/// There is no memory.
pub(in crate::burn_in) fn share(frame: &frame::Video) -> Result<frame::Video, Error> {
    let mut shared = frame::Video::empty();
    // SAFETY: both are frames; the new one is empty.
    let answer = unsafe { ffi::av_frame_ref(shared.as_mut_ptr(), frame.as_ptr()) };
    if answer < 0 {
        return Err(Error::from(answer));
    }
    Ok(shared)
}

/// Whether a picture's rows go up in memory: some decoders give pictures upside down.
pub(in crate::burn_in) fn is_upright(frame: &frame::Video) -> bool {
    // SAFETY: it is a frame, which is only looked at.
    unsafe { (*frame.as_ptr()).linesize.iter().all(|bytes| *bytes >= 0) }
}

/// Whether nobody else holds the picture's pixels.
pub(in crate::burn_in) fn is_alone(frame: &frame::Video) -> bool {
    // SAFETY: it is a frame, which is only looked at.
    unsafe { ffi::av_frame_is_writable(frame.as_ptr().cast_mut()) > 0 }
}

/// A picture's size, format, time stamps, tags and side data.
///
/// # Errors
/// There is no memory.
pub(in crate::burn_in) fn without_pixels(frame: &frame::Video) -> Result<frame::Video, Error> {
    let mut like = frame::Video::empty();
    like.set_format(frame.format());
    like.set_width(frame.width());
    like.set_height(frame.height());
    copy_properties(frame, &mut like)?;
    Ok(like)
}

/// Gives `to` the time stamps, tags and side data of `from`, without its pixels.
///
/// # Errors
/// There is no memory.
pub(in crate::burn_in) fn copy_properties(
    from: &frame::Video,
    to: &mut frame::Video,
) -> Result<(), Error> {
    // SAFETY: both are frames. What `to` had is freed first, for properties are added to.
    unsafe {
        let frame = to.as_mut_ptr();
        for _ in 0..(*frame).nb_side_data {
            // All of a kind go at once.
            if (*frame).nb_side_data > 0 {
                let first = *(*frame).side_data;
                ffi::av_frame_remove_side_data(frame, (*first).type_);
            }
        }
        ffi::av_dict_free(&raw mut (*frame).metadata);
        match ffi::av_frame_copy_props(frame, from.as_ptr()) {
            answer if answer < 0 => Err(Error::from(answer)),
            _ => Ok(()),
        }
    }
}

/// Copies the pixels of a picture of the same size and format.
///
/// # Errors
/// They aren't of one size and format.
pub(in crate::burn_in) fn copy_pixels(
    from: &frame::Video,
    to: &mut frame::Video,
) -> Result<(), Error> {
    // SAFETY: both are frames, and `to` is alone with its pixels, as its owner has seen.
    let answer = unsafe { ffi::av_frame_copy(to.as_mut_ptr(), from.as_ptr()) };
    if answer < 0 {
        return Err(Error::from(answer));
    }
    Ok(())
}
