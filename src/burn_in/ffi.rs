//! What `ffmpeg-next` has no safe function for: the one place with `unsafe` code.
//!
//! Each function is safe to call: it takes the bindings' own values, whose pointers are valid as
//! long as they live, and gives back nothing that points into them.

#![expect(
    unsafe_code,
    reason = "the bindings have no safe function for these fields"
)]

use std::ffi::{CStr, CString, OsStr, c_int, c_uint};
use std::io::{self, Write};
use std::ptr;

use ffmpeg_next::codec::packet::side_data::Type as SideDataType;
use ffmpeg_next::ffi;
use ffmpeg_next::format::context::{Input, Output, StreamIo};
use ffmpeg_next::format::{self, Pixel};
use ffmpeg_next::util::interrupt;
use ffmpeg_next::{
    Codec, Dictionary, DictionaryRef, Discard, Error, Packet, Rational, Stream, codec, frame,
};

/// Whether this FFmpeg has a demuxer of that name.
pub(super) fn has_demuxer(name: &str) -> bool {
    // SAFETY: a C string; formats are static.
    CString::new(name)
        .is_ok_and(|name| unsafe { !ffi::av_find_input_format(name.as_ptr()).is_null() })
}

/// Opens an input, of the demuxer of that name or one that is found out, and finds its streams.
/// `over` is asked again and again while it is waited for, and ends the wait.
///
/// # Errors
/// It can't be read, or is nothing that libavformat knows.
pub(super) fn open_input(
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
pub(super) fn has_known_end(input: &Input) -> bool {
    // SAFETY: the context is valid while it is borrowed.
    let (duration, method) = unsafe {
        let context = &*input.as_ptr();
        (context.duration, context.duration_estimation_method)
    };
    duration > 0 && method != ffi::AVDurationEstimationMethod::AVFMT_DURATION_FROM_BITRATE
}

/// The earliest time stamp of an input in microseconds, if that is known.
pub(super) fn start_us(input: &Input) -> Option<i64> {
    // SAFETY: the context is valid while it is borrowed.
    let start = unsafe { (*input.as_ptr()).start_time };
    (start != ffi::AV_NOPTS_VALUE).then_some(start)
}

/// What a stream has beside its codec's parameters, metadata and time base.
#[derive(Clone, Debug, Default)]
pub(super) struct Properties {
    /// `AV_DISPOSITION_*`.
    pub(super) disposition: c_int,
    /// The container's own number of it, such as a PID.
    pub(super) id: c_int,
    /// Of the container: a display matrix, mastering display metadata.
    pub(super) side_data: Vec<(SideDataType, Vec<u8>)>,
    /// Of a pixel, width to height; 0 if it isn't known.
    pub(super) sample_aspect_ratio: (c_int, c_int),
    /// Whether its demuxer gives no packets of it.
    pub(super) is_discarded: bool,
}

impl Properties {
    /// A stream's.
    pub(super) fn of(stream: &Stream<'_>) -> Self {
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
pub(super) fn set_properties(
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
pub(super) fn opus_pre_skip(parameters: &codec::Parameters) -> u16 {
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
pub(super) fn field_order(parameters: &codec::Parameters) -> Option<&'static str> {
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
pub(super) fn codec_tag(parameters: &codec::Parameters) -> u32 {
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

/// A programme of a transport stream: its number, what it is called, and its streams.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) id: c_int,
    /// The PID of its map.
    pub(super) map_pid: c_int,
    pub(super) metadata: Vec<(String, String)>,
    pub(super) streams: Vec<usize>,
}

/// The programmes of an input.
pub(super) fn programs(input: &Input) -> Vec<Program> {
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

/// Adds a programme to an output, with those of its streams that are there.
pub(super) fn add_program(output: &mut Output, program: &Program) {
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

/// A dictionary's names and values.
pub(super) fn owned(dictionary: &DictionaryRef<'_>) -> Vec<(String, String)> {
    let pairs = dictionary.iter();
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// Whether a container can hold a codec; `None` if it doesn't say.
pub(super) fn can_hold(container: &format::Output, codec: codec::Id) -> Option<bool> {
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
pub(super) struct OpenOutput {
    /// Goes first: it asks the other.
    pub(super) container: Output,
    _interrupt: Option<interrupt::InterruptGuard>,
}

/// Opens an output of the muxer of that name. `over` is asked again and again while it is waited
/// for, and ends the wait.
///
/// # Errors
/// It can't be written to, or there is no such muxer.
pub(super) fn open_output(
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

/// Bytes on their way to an address, and what ends a write that would never return.
pub(super) struct Connection {
    /// Not null; closed when this goes, before the other.
    io: *mut ffi::AVIOContext,
    _interrupt: interrupt::InterruptGuard,
}

// SAFETY: libavformat's context is bound to no thread, and only one at a time can write.
unsafe impl Send for Connection {}

impl Connection {
    /// Opens an address. `over` is asked again and again while it is waited for, and ends the wait.
    ///
    /// # Errors
    /// It can't be written to.
    pub(super) fn open(
        address: &OsStr,
        options: Dictionary<'_>,
        over: impl FnMut() -> bool + Send + 'static,
    ) -> Result<Self, Error> {
        let address = CString::new(address.as_encoded_bytes()).map_err(|_| Error::Other {
            errno: ffmpeg_next::error::EINVAL,
        })?;
        let interrupt = interrupt::new(Box::new(over));
        let mut io = ptr::null_mut();
        // SAFETY: a C string; the callback lives as long as the context, which is closed when this
        // goes; options that are left are owned again.
        let opened = unsafe {
            let mut left = options.disown();
            let opened = ffi::avio_open2(
                &raw mut io,
                address.as_ptr(),
                ffi::AVIO_FLAG_WRITE,
                &raw const interrupt.interrupt,
                &raw mut left,
            );
            drop(Dictionary::own(left));
            opened
        };
        if opened < 0 {
            return Err(Error::from(opened));
        }
        Ok(Self {
            io,
            _interrupt: interrupt.guard,
        })
    }

    /// Writes all of it, at once.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let length = c_int::try_from(bytes.len()).map_err(|_| Error::InvalidData)?;
        // SAFETY: the context is open; it reads as many bytes as there are.
        let error = unsafe {
            ffi::avio_write(self.io, bytes.as_ptr(), length);
            ffi::avio_flush(self.io);
            (*self.io).error
        };
        if error < 0 {
            Err(Error::from(error))
        } else {
            Ok(())
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.send(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(Error::Other { errno }) => Err(io::Error::from_raw_os_error(errno)),
            Err(Error::Exit) => Err(io::Error::from_raw_os_error(ffmpeg_next::error::ETIMEDOUT)),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: the context is open, and nobody uses it any more. What it says has been said by
        // the last write, for nothing is left in it.
        unsafe { ffi::avio_close(self.io) };
    }
}

/// An output whose bytes go to a writer.
///
/// # Errors
/// There is no such muxer, or it writes by itself.
pub(super) fn output_to(
    writer: impl Write + Send + 'static,
    muxer: &str,
) -> Result<OpenOutput, Error> {
    Ok(OpenOutput {
        container: format::output_to_stream(StreamIo::from_write(writer)?, None, Some(muxer))?,
        _interrupt: None,
    })
}

/// Makes a muxer write what it keeps.
///
/// # Errors
/// It can't be written.
pub(super) fn flush(output: &mut Output) -> Result<(), Error> {
    // SAFETY: the context is valid while it is borrowed; no packet asks for this.
    match unsafe { ffi::av_write_frame(output.as_mut_ptr(), ptr::null_mut()) } {
        failed if failed < 0 => Err(Error::from(failed)),
        _ => Ok(()),
    }
}

/// Whether it is there what decoders need of a codec beside its packets.
pub(super) fn has_extradata(parameters: &codec::Parameters) -> bool {
    // SAFETY: parameters are valid while they are borrowed.
    unsafe { (*parameters.as_ptr()).extradata_size > 0 }
}

/// Says what decoders need of a codec beside its packets.
///
/// # Errors
/// There is no memory.
pub(super) fn set_extradata(parameters: &mut codec::Parameters, data: &[u8]) -> Result<(), Error> {
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

/// Leaves a packet's first bytes out, at most all of them.
pub(super) fn skip(packet: &mut Packet, bytes: usize) {
    use ffmpeg_next::packet::Mut as _;
    let bytes = bytes.min(packet.size());
    let Ok(count) = c_int::try_from(bytes) else {
        return;
    };
    // SAFETY: the packet has at least as many bytes; it owns its memory by another pointer.
    unsafe {
        let packet = packet.as_mut_ptr();
        (*packet).data = (*packet).data.add(bytes);
        (*packet).size -= count;
    }
}

/// Whether an encoder has an option of that name.
pub(super) fn has_option(encoder: Codec, name: &str) -> bool {
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

/// A muxer by its name, or by the ending of a file's.
pub(super) fn muxer(name: Option<&str>, file: Option<&str>) -> Option<format::Output> {
    let name = name.map(CString::new).transpose().ok()?;
    let file = file.map(CString::new).transpose().ok()?;
    let pointer = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |text| text.as_ptr());
    // SAFETY: both are C strings or null, and formats are static.
    unsafe {
        let found = ffi::av_guess_format(pointer(&name), pointer(&file), ptr::null());
        (!found.is_null()).then(|| format::Output::wrap(found.cast_mut()))
    }
}

/// The codec that a name such as `h264` stands for.
pub(super) fn codec_named(name: &str) -> Option<codec::Id> {
    let name = CString::new(name).ok()?;
    // SAFETY: a C string; descriptors are static.
    unsafe {
        let found = ffi::avcodec_descriptor_get_by_name(name.as_ptr());
        (!found.is_null()).then(|| (*found).id.into())
    }
}

/// The encoders of a medium that this FFmpeg has, by name.
pub(super) fn video_encoders() -> Vec<String> {
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
pub(super) fn nearest_format(
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

/// The planes of a picture, to be changed together.
pub(super) fn planes_mut(frame: &mut frame::Video) -> Vec<&mut [u8]> {
    let lengths = (0..frame.planes()).map(|n| frame.data(n).len());
    let lengths: Vec<usize> = lengths.collect();
    // SAFETY: planes don't overlap; each has as many bytes as the bindings say of it, for as long
    // as the frame is borrowed.
    unsafe {
        let data = (*frame.as_mut_ptr()).data;
        let planes = data.iter().zip(lengths);
        planes
            .map(|(start, length)| std::slice::from_raw_parts_mut(*start, length))
            .collect()
    }
}

/// Makes a picture black.
pub(super) fn fill_black(frame: &mut frame::Video) {
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
pub(super) fn row_bytes(format: Pixel, width: u32, plane: usize) -> usize {
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
pub(super) fn share(frame: &frame::Video) -> Result<frame::Video, Error> {
    let mut shared = frame::Video::empty();
    // SAFETY: both are frames; the new one is empty.
    let answer = unsafe { ffi::av_frame_ref(shared.as_mut_ptr(), frame.as_ptr()) };
    if answer < 0 {
        return Err(Error::from(answer));
    }
    Ok(shared)
}

/// Whether nobody else holds the picture's pixels.
pub(super) fn is_alone(frame: &frame::Video) -> bool {
    // SAFETY: it is a frame, which is only looked at.
    unsafe { ffi::av_frame_is_writable(frame.as_ptr().cast_mut()) > 0 }
}

/// Gives `to` the time stamps, tags and side data of `from`, without its pixels.
///
/// # Errors
/// There is no memory.
pub(super) fn copy_properties(from: &frame::Video, to: &mut frame::Video) -> Result<(), Error> {
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
pub(super) fn copy_pixels(from: &frame::Video, to: &mut frame::Video) -> Result<(), Error> {
    // SAFETY: both are frames, and `to` is alone with its pixels, as its owner has seen.
    let answer = unsafe { ffi::av_frame_copy(to.as_mut_ptr(), from.as_ptr()) };
    if answer < 0 {
        return Err(Error::from(answer));
    }
    Ok(())
}

/// How often a picture is shown a second, as far as is known.
pub(super) fn frame_rate(input: &mut Input, index: usize) -> Option<Rational> {
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
