//! A file, a pipe or a socket that takes bytes.

use std::fs::File;
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};

use prometheus_client::metrics::counter::Counter;

use super::target::{Role, Target, is_fifo};

/// It is open. A reader that goes away is an error of [`io::ErrorKind::BrokenPipe`] or
/// [`io::ErrorKind::ConnectionReset`] at the next write.
#[derive(Debug)]
pub(super) struct Stream {
    way: Way,
    /// What it has taken.
    bytes: Counter,
}

#[derive(Debug)]
enum Way {
    File(File),
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Opens a target's stream, once or again.
#[derive(Debug)]
pub(super) struct Door {
    target: Target,
    /// Of a target that listens; from the first attempt on, so that readers find it.
    listener: Option<Listener>,
    /// Of a reader who has come already.
    came: Option<Stream>,
    /// What its streams have taken.
    bytes: Counter,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Door {
    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            listener: None,
            came: None,
            bytes: Counter::default(),
        }
    }

    /// Counts what its streams take from now on there.
    pub(super) fn count_bytes(&mut self, bytes: Counter) {
        self.bytes = bytes;
    }

    /// The way to a reader who has come to a target that listens.
    pub(super) fn of_reader(target: Target, came: Stream) -> Self {
        let came = Some(came);
        Self {
            came,
            ..Self::new(target)
        }
    }

    /// Opens the stream; `None` while its reader is not there. Doesn't wait for one.
    ///
    /// # Errors
    /// It can't be opened at all. What libavformat opens can't be opened here.
    pub(super) fn open(&mut self) -> io::Result<Option<Stream>> {
        if let Some(stream) = self.came.take() {
            return Ok(Some(stream));
        }
        let way = self.way()?;
        let bytes = self.bytes.clone();
        Ok(way.map(|way| Stream { way, bytes }))
    }

    fn way(&mut self) -> io::Result<Option<Way>> {
        match &self.target {
            Target::Stdout => stdout().map(|file| Some(Way::File(file))),
            #[cfg(unix)]
            Target::File(path) if is_fifo(path) => open_fifo(path),
            Target::File(path) => File::create(path).map(|file| Some(Way::File(file))),
            Target::Tcp { role, .. } | Target::Unix { role, .. } => match role {
                Role::Listen => self.accept(),
                Role::Connect => absent_is_none(self.connect()),
            },
            Target::Url(_) | Target::Feed => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn connect(&self) -> io::Result<Way> {
        match &self.target {
            Target::Tcp { address, .. } => {
                let stream = TcpStream::connect(address)?;
                // A port of the range that connections are made from connects to itself now and
                // then when nobody listens at it.
                if stream.local_addr()? == stream.peer_addr()? {
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                stream.set_nodelay(true)?;
                Ok(Way::Tcp(stream))
            }
            #[cfg(unix)]
            Target::Unix { path, .. } => UnixStream::connect(path).map(Way::Unix),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn accept(&mut self) -> io::Result<Option<Way>> {
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => listen(&self.target)?,
        };
        let stream = match self.listener.insert(listener) {
            Listener::Tcp(listener) => listener.accept().and_then(|(stream, _)| {
                stream.set_nonblocking(false)?;
                stream.set_nodelay(true)?;
                Ok(Way::Tcp(stream))
            }),
            #[cfg(unix)]
            Listener::Unix(listener) => listener.accept().and_then(|(stream, _)| {
                stream.set_nonblocking(false)?;
                Ok(Way::Unix(stream))
            }),
        };
        absent_is_none(stream)
    }
}

fn listen(target: &Target) -> io::Result<Listener> {
    match target {
        Target::Tcp { address, .. } => {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(Listener::Tcp(listener))
        }
        #[cfg(unix)]
        Target::Unix { path, .. } => {
            remove_stale(path)?;
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            Ok(Listener::Unix(listener))
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Removes a socket's file that a process left behind: one at which nobody listens.
#[cfg(unix)]
fn remove_stale(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket && UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

fn absent_is_none(way: io::Result<Way>) -> io::Result<Option<Way>> {
    match way {
        Ok(way) => Ok(Some(way)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether nobody is there yet who may come.
fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotFound, WouldBlock};
    matches!(error.kind(), WouldBlock | ConnectionRefused | NotFound)
}

/// A FIFO that has a reader.
#[cfg(unix)]
fn open_fifo(path: &std::path::Path) -> io::Result<Option<Way>> {
    use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
    use rustix::io::Errno;

    // Without this flag, to open it is to wait for a reader, and nothing could end that.
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match open(path, flags, Mode::empty()) {
        Ok(fifo) => {
            fcntl_setfl(&fifo, OFlags::empty())?;
            Ok(Some(Way::File(fifo.into())))
        }
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The process's stdout, without the line buffer of `std::io::stdout`.
fn stdout() -> io::Result<File> {
    #[cfg(unix)]
    let handle = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned();
    #[cfg(windows)]
    let handle = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned();
    handle.map(File::from)
}

impl Stream {
    /// Whether it is a file, or what the system takes for one.
    #[cfg(feature = "ffmpeg")]
    pub(super) fn is_file(&self) -> bool {
        matches!(self.way, Way::File(_))
    }

    /// Lets a pipe hold `bytes`, or as much of them as it may: writer and reader then take turns a
    /// few times a frame and not after every 64 KiB, which is half of the CPU time that writing
    /// takes. No more than a frame, so that a slow reader is not further behind.
    #[cfg(target_os = "linux")]
    pub(super) fn widen(&self, bytes: usize) {
        use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};

        /// What Linux lets every user's pipe hold.
        const PIPE_BYTES_MAX: usize = 1 << 20;

        let Way::File(file) = &self.way else { return };
        let wanted = bytes.min(PIPE_BYTES_MAX);
        // What is no pipe has no size.
        if fcntl_getpipe_size(file).is_ok_and(|bytes| bytes < wanted)
            && let Err(error) = fcntl_setpipe_size(file, wanted)
        {
            tracing::debug!("a pipe stays small: {error}");
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.way {
            Way::File(file) => file.write(bytes),
            Way::Tcp(socket) => socket.write(bytes),
            #[cfg(unix)]
            Way::Unix(socket) => socket.write(bytes),
        };
        written.inspect(|bytes| {
            self.bytes.inc_by(*bytes as u64);
        })
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = match &mut self.way {
            Way::File(file) => file.write_vectored(parts),
            Way::Tcp(socket) => socket.write_vectored(parts),
            #[cfg(unix)]
            Way::Unix(socket) => socket.write_vectored(parts),
        };
        written.inspect(|bytes| {
            self.bytes.inc_by(*bytes as u64);
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.way {
            Way::File(file) => file.flush(),
            Way::Tcp(socket) => socket.flush(),
            #[cfg(unix)]
            Way::Unix(socket) => socket.flush(),
        }
    }
}

/// A file alone can be gone back in.
impl Seek for Stream {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.way {
            Way::File(file) => file.seek(to),
            _ => Err(io::ErrorKind::NotSeekable.into()),
        }
    }
}

/// Whether a write failed because the reader is gone.
pub(super) fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionReset | ConnectionAborted
    )
}
