//! Outputs: muxers, opening one, and what it is told.

use std::ffi::{CString, OsStr, c_int, c_uint};
use std::io::Write;
use std::ptr;

use ffmpeg_next::format;
use ffmpeg_next::format::context::{Output, StreamIo};
use ffmpeg_next::util::interrupt;
use ffmpeg_next::{Dictionary, Error, codec, ffi};

use super::Program;

/// A muxer by its name, or by the ending of a file's.
pub(in crate::burn_in) fn muxer(name: Option<&str>, file: Option<&str>) -> Option<format::Output> {
    let name = name.map(CString::new).transpose().ok()?;
    let file = file.map(CString::new).transpose().ok()?;
    let pointer = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |text| text.as_ptr());
    // SAFETY: both are C strings or null, and formats are static.
    unsafe {
        let found = ffi::av_guess_format(pointer(&name), pointer(&file), ptr::null());
        (!found.is_null()).then(|| format::Output::wrap(found.cast_mut()))
    }
}

/// Whether a container can hold a codec; `None` if it doesn't say.
pub(in crate::burn_in) fn can_hold(container: &format::Output, codec: codec::Id) -> Option<bool> {
    // SAFETY: formats are static.
    let answer = unsafe {
        let normal = ffi::FF_COMPLIANCE_NORMAL;
        ffi::avformat_query_codec(container.as_ptr(), codec.into(), normal as c_int)
    };
    match answer {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// An output that is open, and what ends a write that would never return.
pub(in crate::burn_in) struct OpenOutput {
    /// Goes first: it asks the other.
    pub(in crate::burn_in) container: Output,
    _interrupt: Option<interrupt::InterruptGuard>,
}

/// Opens an output of the muxer of that name. `over` is asked again and again while it is waited
/// for, and ends the wait.
///
/// # Errors
/// It can't be written to, or there is no such muxer.
pub(in crate::burn_in) fn open_output(
    address: &OsStr,
    muxer: &str,
    options: Dictionary<'_>,
    over: impl FnMut() -> bool + Send + 'static,
) -> Result<OpenOutput, Error> {
    let invalid = |_| Error::Other {
        errno: ffmpeg_next::error::EINVAL,
    };
    let address = CString::new(address.as_encoded_bytes()).map_err(invalid)?;
    let muxer = CString::new(muxer).map_err(invalid)?;
    // SAFETY: strings are C strings; the context is owned by what is given back, which also closes
    // what was opened for it.
    unsafe {
        let mut context = ptr::null_mut();
        let made = ffi::avformat_alloc_output_context2(
            &raw mut context,
            ptr::null(),
            muxer.as_ptr(),
            address.as_ptr(),
        );
        if made < 0 {
            return Err(Error::from(made));
        }
        let interrupt = interrupt::new(Box::new(over));
        (*context).interrupt_callback = interrupt.interrupt;
        let output = OpenOutput {
            container: Output::wrap(context),
            _interrupt: Some(interrupt.guard),
        };
        if (*(*context).oformat).flags & ffi::AVFMT_NOFILE == 0 {
            let mut left = options.disown();
            let opened = ffi::avio_open2(
                &raw mut (*context).pb,
                address.as_ptr(),
                ffi::AVIO_FLAG_WRITE,
                &raw const (*context).interrupt_callback,
                &raw mut left,
            );
            drop(Dictionary::own(left));
            if opened < 0 {
                return Err(Error::from(opened));
            }
        }
        Ok(output)
    }
}

/// An output whose bytes go to a writer.
///
/// # Errors
/// There is no such muxer, or it writes by itself.
pub(in crate::burn_in) fn output_to(
    writer: impl Write + Send + 'static,
    muxer: &str,
) -> Result<OpenOutput, Error> {
    Ok(OpenOutput {
        container: format::output_to_stream(StreamIo::from_write(writer)?, None, Some(muxer))?,
        _interrupt: None,
    })
}

/// Adds a programme to an output, with those of its streams that are there.
pub(in crate::burn_in) fn add_program(output: &mut Output, program: &Program) {
    let metadata: Dictionary<'_> = program.metadata.iter().map(|(k, v)| (&**k, &**v)).collect();
    // SAFETY: the context is valid while it is borrowed; indices are checked against it; the
    // programme owns the dictionary from then on.
    unsafe {
        let context = output.as_mut_ptr();
        let added = ffi::av_new_program(context, program.id);
        if added.is_null() {
            return;
        }
        (*added).metadata = metadata.disown();
        for stream in &program.streams {
            if let Ok(index) = c_uint::try_from(*stream)
                && index < (*context).nb_streams
            {
                ffi::av_program_add_stream_index(context, program.id, index);
            }
        }
    }
}

/// Makes a muxer write what it keeps.
///
/// # Errors
/// It can't be written.
pub(in crate::burn_in) fn flush(output: &mut Output) -> Result<(), Error> {
    // SAFETY: the context is valid while it is borrowed; no packet asks for this.
    match unsafe { ffi::av_write_frame(output.as_mut_ptr(), ptr::null_mut()) } {
        failed if failed < 0 => Err(Error::from(failed)),
        _ => Ok(()),
    }
}
