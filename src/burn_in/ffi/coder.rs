//! Encoders and codecs by their names, and what they take.

use std::ffi::{CStr, CString, c_int};
use std::ptr;

use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Codec, codec, ffi};

/// Whether an encoder has an option of that name.
pub(in crate::burn_in) fn has_option(encoder: Codec, name: &str) -> bool {
    let Ok(name) = CString::new(name) else {
        return false;
    };
    let flags = ffi::AV_OPT_SEARCH_FAKE_OBJ as c_int;
    // SAFETY: codecs and their classes are static; a pointer to a class's pointer is what a search
    // of a fake object takes.
    unsafe {
        let own = (*encoder.as_ptr()).priv_class;
        let general = ffi::avcodec_get_class();
        let has = |class: *const ffi::AVClass| {
            let object = (&raw const class).cast_mut().cast();
            let null = ptr::null();
            !class.is_null() && !ffi::av_opt_find(object, name.as_ptr(), null, 0, flags).is_null()
        };
        has(own) || has(general)
    }
}

/// The codec that a name such as `h264` stands for.
pub(in crate::burn_in) fn codec_named(name: &str) -> Option<codec::Id> {
    let name = CString::new(name).ok()?;
    // SAFETY: a C string; descriptors are static.
    unsafe {
        let found = ffi::avcodec_descriptor_get_by_name(name.as_ptr());
        (!found.is_null()).then(|| (*found).id.into())
    }
}

/// The encoders of a medium that this FFmpeg has, by name.
pub(in crate::burn_in) fn video_encoders() -> Vec<String> {
    let mut names = Vec::new();
    let mut state = ptr::null_mut();
    // SAFETY: codecs are static, and the state is the iteration's own.
    unsafe {
        loop {
            let codec = ffi::av_codec_iterate(&raw mut state);
            if codec.is_null() {
                return names;
            }
            let is_video = (*codec).type_ == ffi::AVMediaType::AVMEDIA_TYPE_VIDEO;
            if is_video && ffi::av_codec_is_encoder(codec) != 0 {
                let name = CStr::from_ptr((*codec).name);
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
}

/// Of an encoder's pixel formats that can be keyed, the one that loses least of another; that other
/// one for an encoder that takes any.
pub(in crate::burn_in) fn nearest_format(
    encoder: Codec,
    to: Pixel,
    can_key: impl Fn(Pixel) -> bool,
) -> Option<Pixel> {
    let Some(formats) = encoder.video().ok()?.formats() else {
        return can_key(to).then_some(to);
    };
    let formats: Vec<Pixel> = formats.filter(|format| can_key(*format)).collect();
    if formats.contains(&to) {
        return Some(to);
    }
    let list = formats.iter().map(|format| (*format).into());
    let list: Vec<ffi::AVPixelFormat> = list.chain([ffi::AVPixelFormat::AV_PIX_FMT_NONE]).collect();
    // SAFETY: the list ends with none.
    let found = unsafe {
        ffi::avcodec_find_best_pix_fmt_of_list(list.as_ptr(), to.into(), 0, ptr::null_mut())
    };
    Some(Pixel::from(found)).filter(|format| *format != Pixel::None)
}

/// Sets these flags beside those that an encoder has by itself, such as libx264's closed groups of
/// pictures, which the bindings' own function takes away.
pub(in crate::burn_in) fn add_flags(context: &mut codec::Context, flags: codec::Flags) {
    // SAFETY: the context is valid while it is borrowed, and not open yet.
    unsafe { (*context.as_mut_ptr()).flags |= flags.bits().cast_signed() };
}
