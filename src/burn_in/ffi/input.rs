//! Inputs: opening one, and what it says of itself.

use std::ffi::{CString, OsStr, c_int};
use std::ptr;

use ffmpeg_next::format::context::Input;
use ffmpeg_next::util::interrupt;
use ffmpeg_next::{Dictionary, DictionaryRef, Error, ffi};

/// Whether this FFmpeg has a demuxer of that name.
pub(in crate::burn_in) fn has_demuxer(name: &str) -> bool {
    // SAFETY: a C string; formats are static.
    CString::new(name)
        .is_ok_and(|name| unsafe { !ffi::av_find_input_format(name.as_ptr()).is_null() })
}

/// Opens an input, of the demuxer of that name or one that is found out, and finds its streams.
/// `over` is asked again and again while it is waited for, and ends the wait.
///
/// # Errors
/// It can't be read, or is nothing that libavformat knows.
pub(in crate::burn_in) fn open_input(
    address: &OsStr,
    format: Option<&str>,
    options: Dictionary<'_>,
    over: impl FnMut() -> bool + Send + 'static,
) -> Result<Input, Error> {
    let invalid = |_| Error::Other {
        errno: ffmpeg_next::error::EINVAL,
    };
    let address = CString::new(address.as_encoded_bytes()).map_err(invalid)?;
    let format = format.map(CString::new).transpose().map_err(invalid)?;
    // SAFETY: strings are C strings; the context is libavformat's own, is freed by it when opening
    // fails, and is owned by what is given back with what its callback calls.
    unsafe {
        let mut context = ffi::avformat_alloc_context();
        if context.is_null() {
            return Err(Error::Other {
                errno: ffmpeg_next::error::ENOMEM,
            });
        }
        let interrupt = interrupt::new(Box::new(over));
        (*context).interrupt_callback = interrupt.interrupt;
        let format = format.as_ref();
        let format = format.map_or(ptr::null(), |name| ffi::av_find_input_format(name.as_ptr()));
        let mut left = options.disown();
        let opened =
            ffi::avformat_open_input(&raw mut context, address.as_ptr(), format, &raw mut left);
        drop(Dictionary::own(left));
        if opened < 0 {
            return Err(Error::from(opened));
        }
        let input = Input::wrap_with_interrupt(context, interrupt.guard);
        match ffi::avformat_find_stream_info(context, ptr::null_mut()) {
            found if found < 0 => Err(Error::from(found)),
            _ => Ok(input),
        }
    }
}

/// Whether an input says how long it is: one that is live doesn't, though libavformat may guess by
/// the size of its playlist.
pub(in crate::burn_in) fn has_known_end(input: &Input) -> bool {
    // SAFETY: the context is valid while it is borrowed.
    let (duration, method) = unsafe {
        let context = &*input.as_ptr();
        (context.duration, context.duration_estimation_method)
    };
    duration > 0 && method != ffi::AVDurationEstimationMethod::AVFMT_DURATION_FROM_BITRATE
}

/// The earliest time stamp of an input in microseconds, if that is known.
pub(in crate::burn_in) fn start_us(input: &Input) -> Option<i64> {
    // SAFETY: the context is valid while it is borrowed.
    let start = unsafe { (*input.as_ptr()).start_time };
    (start != ffi::AV_NOPTS_VALUE).then_some(start)
}

/// A programme of a transport stream: its number, what it is called, and its streams.
#[derive(Clone, Debug)]
pub(in crate::burn_in) struct Program {
    pub(in crate::burn_in) id: c_int,
    /// The PID of its map.
    pub(in crate::burn_in) map_pid: c_int,
    pub(in crate::burn_in) metadata: Vec<(String, String)>,
    pub(in crate::burn_in) streams: Vec<usize>,
}

/// The programmes of an input.
pub(in crate::burn_in) fn programs(input: &Input) -> Vec<Program> {
    let mut programs = Vec::new();
    // SAFETY: the context is valid while it is borrowed, and it has as many programmes and
    // indices as it says.
    unsafe {
        let context = &*input.as_ptr();
        for number in 0..context.nb_programs as usize {
            let program = &**context.programs.add(number);
            let count = program.nb_stream_indexes as usize;
            let streams = (0..count).map(|at| *program.stream_index.add(at) as usize);
            programs.push(Program {
                id: program.id,
                map_pid: program.pmt_pid,
                metadata: owned(&DictionaryRef::wrap(program.metadata)),
                streams: streams.collect(),
            });
        }
    }
    programs
}

/// A dictionary's names and values.
pub(in crate::burn_in) fn owned(dictionary: &DictionaryRef<'_>) -> Vec<(String, String)> {
    let pairs = dictionary.iter();
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}
