//! What `ffmpeg-next` has no safe function for: the one place with `unsafe` code.
//!
//! Each function is safe to call: it takes the bindings' own values, whose pointers are valid as
//! long as they live, and gives back nothing that points into them.

#![expect(
    unsafe_code,
    reason = "the bindings have no safe function for these fields"
)]

mod coder;
mod connection;
mod input;
mod output;
mod packet;
mod picture;
mod stream;

pub(super) use self::coder::{add_flags, codec_named, has_option, nearest_format, video_encoders};
pub(super) use self::connection::Connection;
pub(super) use self::input::{
    Program, has_demuxer, has_known_end, open_input, owned, programs, start_us,
};
pub(super) use self::output::{
    OpenOutput, add_program, can_hold, flush, muxer, open_output, output_to,
};
pub(super) use self::packet::{prepend, skip, stream_id_mut};
pub(super) use self::picture::{
    copy_pixels, copy_properties, fill_black, is_alone, is_upright, planes_mut, row_bytes, share,
    without_pixels,
};
pub(super) use self::stream::{
    Properties, codec_tag, field_order, frame_rate, has_extradata, opus_pre_skip, set_extradata,
    set_profile, set_properties,
};
