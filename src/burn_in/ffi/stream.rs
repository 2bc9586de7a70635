//! Streams, and the parameters of their codecs.

use std::ffi::{c_int, c_uint};
use std::ptr;

use ffmpeg_next::codec::packet::side_data::Type as SideDataType;
use ffmpeg_next::format::context::{Input, Output};
use ffmpeg_next::{Discard, Error, Rational, Stream, codec, ffi};

/// What a stream has beside its codec's parameters, metadata and time base.
#[derive(Clone, Debug, Default)]
pub(in crate::burn_in) struct Properties {
    /// `AV_DISPOSITION_*`.
    pub(in crate::burn_in) disposition: c_int,
    /// The container's own number of it, such as a PID.
    pub(in crate::burn_in) id: c_int,
    /// Of the container: a display matrix, mastering display metadata.
    pub(in crate::burn_in) side_data: Vec<(SideDataType, Vec<u8>)>,
    /// Of a pixel, width to height; 0 if it isn't known.
    pub(in crate::burn_in) sample_aspect_ratio: (c_int, c_int),
    /// Whether its demuxer gives no packets of it.
    pub(in crate::burn_in) is_discarded: bool,
}

impl Properties {
    /// A stream's.
    pub(in crate::burn_in) fn of(stream: &Stream<'_>) -> Self {
        let side_data = stream.side_data();
        let side_data = side_data.map(|data| (data.kind(), data.data().to_vec()));
        // SAFETY: a stream's pointer is valid while it is borrowed, and so are its parameters.
        let (disposition, ratio, of_codec) = unsafe {
            let stream = &*stream.as_ptr();
            let of_codec = (*stream.codecpar).sample_aspect_ratio;
            (stream.disposition, stream.sample_aspect_ratio, of_codec)
        };
        let ratio = if ratio.num > 0 { ratio } else { of_codec };
        Self {
            disposition,
            id: stream.id(),
            side_data: side_data.collect(),
            sample_aspect_ratio: (ratio.num, ratio.den),
            is_discarded: stream.discard() == Discard::All,
        }
    }
}

/// Gives a stream of an output these properties, and a tag of its codec that the container knows.
///
/// # Errors
/// There is no memory.
pub(in crate::burn_in) fn set_properties(
    output: &mut Output,
    index: usize,
    properties: &Properties,
) -> Result<(), Error> {
    // SAFETY: the context is valid while it is borrowed; the index is checked against it. Side
    // data is copied to memory of libavutil's, which the stream owns from then on.
    unsafe {
        let context = output.as_mut_ptr();
        if index >= (*context).nb_streams as usize {
            return Err(Error::StreamNotFound);
        }
        let stream = *(*context).streams.add(index);
        (*stream).disposition = properties.disposition;
        (*stream).id = properties.id;
        let (num, den) = properties.sample_aspect_ratio;
        if num > 0 {
            (*stream).sample_aspect_ratio = ffi::AVRational { num, den };
        }
        for (kind, data) in &properties.side_data {
            let copy = ffi::av_memdup(data.as_ptr().cast(), data.len());
            if copy.is_null() {
                return Err(Error::Other {
                    errno: ffmpeg_next::error::ENOMEM,
                });
            }
            add_side_data(stream, *kind, copy.cast(), data.len());
        }
        let parameters = (*stream).codecpar;
        let tags = (*(*context).oformat).codec_tag;
        let mut other: c_uint = 0;
        let is_known = tags.is_null()
            || ffi::av_codec_get_id(tags, (*parameters).codec_tag) == (*parameters).codec_id
            || ffi::av_codec_get_tag2(tags, (*parameters).codec_id, &raw mut other) == 0;
        if !is_known {
            // The muxer picks its own.
            (*parameters).codec_tag = 0;
        }
    }
    Ok(())
}

/// How many samples of Opus come before the first that is heard: the pre-skip of RFC 7845, 5.1.
pub(in crate::burn_in) fn opus_pre_skip(parameters: &codec::Parameters) -> u16 {
    // SAFETY: parameters are valid while they are borrowed, and their extradata is as long as they
    // say.
    let head = unsafe {
        let parameters = &*parameters.as_ptr();
        let size = usize::try_from(parameters.extradata_size).unwrap_or(0);
        if parameters.extradata.is_null() {
            return 0;
        }
        std::slice::from_raw_parts(parameters.extradata, size)
    };
    match head.get(10..12) {
        Some(&[low, high]) if head.starts_with(b"OpusHead") => u16::from_le_bytes([low, high]),
        _ => 0,
    }
}

/// In which order a stream's fields are coded and shown, as encoders' option `field_order` has it;
/// `None` if the stream doesn't say.
pub(in crate::burn_in) fn field_order(parameters: &codec::Parameters) -> Option<&'static str> {
    // SAFETY: parameters are valid while they are borrowed.
    match unsafe { (*parameters.as_ptr()).field_order } {
        ffi::AVFieldOrder::AV_FIELD_UNKNOWN => None,
        ffi::AVFieldOrder::AV_FIELD_PROGRESSIVE => Some("progressive"),
        ffi::AVFieldOrder::AV_FIELD_TT => Some("tt"),
        ffi::AVFieldOrder::AV_FIELD_BB => Some("bb"),
        ffi::AVFieldOrder::AV_FIELD_TB => Some("tb"),
        ffi::AVFieldOrder::AV_FIELD_BT => Some("bt"),
    }
}

/// The four characters by which a container names a codec, low byte first.
pub(in crate::burn_in) fn codec_tag(parameters: &codec::Parameters) -> u32 {
    // SAFETY: parameters are valid while they are borrowed.
    unsafe { (*parameters.as_ptr()).codec_tag }
}

/// Hands `data` to the stream, which frees it.
///
/// # Safety
/// The stream is valid; `data` is of libavutil's memory and has `size` bytes.
#[cfg(not(ffmpeg_8))]
unsafe fn add_side_data(
    stream: *mut ffi::AVStream,
    kind: SideDataType,
    data: *mut u8,
    size: usize,
) {
    // SAFETY: as the caller says. It takes the data over unless it fails.
    unsafe {
        if ffi::av_stream_add_side_data(stream, kind.into(), data, size) < 0 {
            ffi::av_free(data.cast());
        }
    }
}

/// Hands `data` to the stream, which frees it.
///
/// # Safety
/// The stream is valid; `data` is of libavutil's memory and has `size` bytes.
#[cfg(ffmpeg_8)]
unsafe fn add_side_data(
    stream: *mut ffi::AVStream,
    kind: SideDataType,
    data: *mut u8,
    size: usize,
) {
    // SAFETY: as the caller says. It takes the data over unless it fails.
    unsafe {
        let parameters = (*stream).codecpar;
        let added = ffi::av_packet_side_data_add(
            &raw mut (*parameters).coded_side_data,
            &raw mut (*parameters).nb_coded_side_data,
            kind.into(),
            data.cast(),
            size,
            0,
        );
        if added.is_null() {
            ffi::av_free(data.cast());
        }
    }
}

/// Whether it is there what decoders need of a codec beside its packets.
pub(in crate::burn_in) fn has_extradata(parameters: &codec::Parameters) -> bool {
    // SAFETY: parameters are valid while they are borrowed.
    unsafe { (*parameters.as_ptr()).extradata_size > 0 }
}

/// Says which profile a codec is of: `AV_PROFILE_*`.
pub(in crate::burn_in) fn set_profile(parameters: &mut codec::Parameters, profile: c_int) {
    // SAFETY: parameters are valid while they are borrowed.
    unsafe { (*parameters.as_mut_ptr()).profile = profile };
}

/// Says what decoders need of a codec beside its packets.
///
/// # Errors
/// There is no memory.
pub(in crate::burn_in) fn set_extradata(
    parameters: &mut codec::Parameters,
    data: &[u8],
) -> Result<(), Error> {
    let padding = ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
    // SAFETY: parameters are valid while they are borrowed; what they had is freed, and they own
    // the new memory, which is as long as the data and its padding.
    unsafe {
        let memory: *mut u8 = ffi::av_mallocz(data.len() + padding).cast();
        if memory.is_null() {
            return Err(Error::Other {
                errno: ffmpeg_next::error::ENOMEM,
            });
        }
        ptr::copy_nonoverlapping(data.as_ptr(), memory, data.len());
        let parameters = parameters.as_mut_ptr();
        ffi::av_freep((&raw mut (*parameters).extradata).cast());
        (*parameters).extradata = memory;
        (*parameters).extradata_size = c_int::try_from(data.len()).unwrap_or(0);
    }
    Ok(())
}

/// How often a picture is shown a second, as far as is known.
pub(in crate::burn_in) fn frame_rate(input: &mut Input, index: usize) -> Option<Rational> {
    // SAFETY: the context is valid while it is borrowed; the index is checked against it.
    let rate = unsafe {
        let context = input.as_mut_ptr();
        if index >= (*context).nb_streams as usize {
            return None;
        }
        let stream = *(*context).streams.add(index);
        ffi::av_guess_frame_rate(context, stream, ptr::null_mut())
    };
    (rate.num > 0 && rate.den > 0).then(|| rate.into())
}
