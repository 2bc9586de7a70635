//! A place that bytes are written to.

use std::ffi::{CString, OsStr, c_int};
use std::io::{self, Write};
use std::ptr;

use ffmpeg_next::util::interrupt;
use ffmpeg_next::{Dictionary, Error, ffi};

/// Bytes on their way to an address, and what ends a write that would never return.
pub(in crate::burn_in) struct Connection {
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
    pub(in crate::burn_in) fn open(
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
