//! The kernel's side of a connection: what nothing reads can still be watched for its client's leaving, and who does not
//! read what is written is cut.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::net::{TcpStream, UnixStream, tcp, unix};
use tokio::time::Sleep;

use socket2::SockRef;

use crate::config::limits::{PARTED_BYTES_MAX, STALL_TIMEOUT};

/// A TCP connection or one of a unix socket. Bytes that were read too early are read again.
pub(crate) struct Stream {
    early: Option<Box<Early>>,
    read: ReadHalf,
    write: Arc<WriteHalf>,
    stall: Stall,
}

/// What was read before it was known who has to read it.
struct Early {
    bytes: Vec<u8>,
    replayed: usize,
}

enum ReadHalf {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
}

enum WriteHalf {
    Tcp(TcpOut),
    Unix(unix::OwnedWriteHalf),
}

/// The way out of a TCP connection. Dropped, it ends nothing by itself: closing the socket does that, and can be a reset.
struct TcpOut(Option<tcp::OwnedWriteHalf>);

/// Sees whether the client is still there, and whether it has sent something that nobody has read.
#[derive(Clone)]
pub(crate) struct Presence {
    stream: Arc<WriteHalf>,
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        let (read, write) = stream.into_split();
        Self::new(ReadHalf::Tcp(read), WriteHalf::Tcp(TcpOut(Some(write))))
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        let (read, write) = stream.into_split();
        Self::new(ReadHalf::Unix(read), WriteHalf::Unix(write))
    }
}

impl Stream {
    fn new(read: ReadHalf, write: WriteHalf) -> Self {
        Self {
            early: None,
            read,
            write: Arc::new(write),
            stall: Stall::default(),
        }
    }

    pub(crate) fn presence(&self) -> Presence {
        Presence {
            stream: Arc::clone(&self.write),
        }
    }

    /// Lets its client leave what is written unread for so long, or as long as it likes.
    pub(crate) fn may_stall(&mut self, timeout: Option<Duration>) {
        self.stall.timeout = timeout;
    }

    /// Gives bytes back that were read from it: the next reads begin with them. Only before anybody else reads.
    pub(crate) fn unread(&mut self, mut bytes: Vec<u8>) {
        if let Some(early) = self.early.take() {
            bytes.extend_from_slice(early.bytes.get(early.replayed..).unwrap_or_default());
        }
        if !bytes.is_empty() {
            self.early = Some(Box::new(Early { bytes, replayed: 0 }));
        }
    }

    /// Puts what is left of the early bytes into `buffer`; false when nothing is.
    fn replay(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let Some(early) = &mut self.early else {
            return false;
        };
        let left = early.bytes.get(early.replayed..).unwrap_or_default();
        let fits = left.len().min(buffer.remaining());
        buffer.put_slice(left.get(..fits).unwrap_or_default());
        early.replayed += fits;
        if early.replayed == early.bytes.len() {
            self.early = None;
        }
        fits > 0
    }
}

impl Deref for TcpOut {
    type Target = tcp::OwnedWriteHalf;

    #[expect(clippy::expect_used, reason = "only its drop takes it")]
    fn deref(&self) -> &tcp::OwnedWriteHalf {
        self.0.as_ref().expect("only its drop takes it")
    }
}

impl Drop for TcpOut {
    fn drop(&mut self) {
        if let Some(half) = self.0.take() {
            half.forget();
        }
    }
}

/// How much is read at once to be dropped, on the stack.
const PART_READ_BYTES: usize = 8 * 1024;

impl WriteHalf {
    async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        match self {
            Self::Tcp(half) => half.ready(interest).await,
            Self::Unix(half) => half.ready(interest).await,
        }
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(half) => AsRef::<TcpStream>::as_ref(&**half).poll_write_ready(cx),
            Self::Unix(half) => AsRef::<UnixStream>::as_ref(half).poll_write_ready(cx),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.try_write(bytes),
            Self::Unix(half) => half.try_write(bytes),
        }
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.try_write_vectored(slices),
            Self::Unix(half) => half.try_write_vectored(slices),
        }
    }

    /// Looks whether there is something to read; that there is not, the runtime learns too.
    fn peek(&self) -> io::Result<usize> {
        let peek = || self.socket().peek(&mut [MaybeUninit::uninit()]);
        match self {
            Self::Tcp(half) => AsRef::<TcpStream>::as_ref(&**half).try_io(Interest::READABLE, peek),
            Self::Unix(half) => AsRef::<UnixStream>::as_ref(half).try_io(Interest::READABLE, peek),
        }
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(half) => SockRef::from(AsRef::<TcpStream>::as_ref(&**half)),
            Self::Unix(half) => SockRef::from(AsRef::<UnixStream>::as_ref(half)),
        }
    }
}

impl Presence {
    /// Resolves when the client has closed its side of the connection or reset it.
    ///
    /// The kernel reports the end of input apart from its bytes (`EPOLLRDHUP`), so unread data does not hide
    /// it. Elsewhere than on Linux this never resolves; HTTP's own reads notice a client that sent nothing more.
    #[cfg(target_os = "linux")]
    pub(crate) async fn ended(&self) {
        // Only for its end-of-input half: no socket of ours is registered for urgent data.
        // Spelt out instead of `WriteHalf::ready`: every request has room for this future.
        let ready = match &*self.stream {
            WriteHalf::Tcp(half) => {
                AsRef::<TcpStream>::as_ref(&**half)
                    .ready(Interest::PRIORITY)
                    .await
            }
            WriteHalf::Unix(half) => AsRef::<UnixStream>::as_ref(half).ready(Interest::PRIORITY).await,
        };
        if ready.is_ok_and(|ready| !ready.is_read_closed()) {
            std::future::pending::<()>().await;
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) async fn ended(&self) {
        std::future::pending::<()>().await;
    }

    /// Has the connection reset when it is closed, so that nobody takes its end for that of a message. Unix sockets know
    /// no reset.
    pub(crate) fn reset_on_close(&self) {
        if let Err(error) = self.stream.socket().set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "a broken response may look complete");
        }
    }

    /// Ends the connection, which is about to be closed: what has come and was not read is dropped, so that its client sees an end
    /// and no reset, if it does not go on sending.
    pub(crate) fn part(&self) {
        let socket = self.stream.socket();
        // Who has left already needs nothing.
        _ = socket.shutdown(std::net::Shutdown::Write);
        let (mut unread, mut dropped) = ([MaybeUninit::uninit(); PART_READ_BYTES], 0);
        while dropped < PARTED_BYTES_MAX {
            match socket.recv(&mut unread) {
                Ok(read @ 1..) => dropped += read,
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Resolves when there is something to read, the end included.
    pub(crate) async fn readable(&self) {
        // An error shows when the connection is read. Readiness may be spurious: only bytes, or the end, count.
        while self.stream.ready(Interest::READABLE).await.is_ok() {
            let peeked = self.stream.peek();
            if !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                break;
            }
        }
    }

    /// Resolves once the runtime knows of all that the kernel has received by now: at once, as a rule.
    ///
    /// Whoever polls the reader before this in one task has read it then. A connection that is closed on bytes
    /// that were not read is reset, and its client never learns why.
    pub(crate) async fn caught_up(&self) {
        let mut byte = [MaybeUninit::uninit()];
        if self
            .stream
            .socket()
            .peek(&mut byte)
            .is_ok_and(|unread| unread > 0)
        {
            self.readable().await;
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.replay(buffer) {
            return Poll::Ready(Ok(()));
        }
        match &mut self.read {
            ReadHalf::Tcp(half) => Pin::new(half).poll_read(cx, buffer),
            ReadHalf::Unix(half) => Pin::new(half).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.write_with(cx, |stream| stream.try_write(bytes));
        self.stall.limit(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.write_with(cx, |stream| stream.try_write_vectored(slices));
        self.stall.limit(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.write.socket().shutdown(std::net::Shutdown::Write))
    }
}

impl Stream {
    fn write_with(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&WriteHalf) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.write.poll_write_ready(cx))?;
            match write(&self.write) {
                // The readiness was stale and is cleared now: ask again, which registers us.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

/// The deadline of a client that does not read. Nothing is set up as long as the kernel takes what is written.
struct Stall {
    deadline: Option<Pin<Box<Sleep>>>,
    timeout: Option<Duration>,
}

impl Default for Stall {
    fn default() -> Self {
        Self {
            deadline: None,
            timeout: Some(STALL_TIMEOUT),
        }
    }
}

impl Stall {
    /// Passes the outcome of a write on; one that has been waiting for too long has failed.
    fn limit(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let Some(timeout) = self.timeout.filter(|_| written.is_pending()) else {
            self.deadline = None;
            return written;
        };
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not read its response",
        )))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_cut_and_one_that_reads_now_and_then_is_not() {
        let mut stall = Stall::default();
        let almost = STALL_TIMEOUT - Duration::from_secs(1);
        for _slow_read in 0..3 {
            let waiting = poll_fn(|cx| stall.limit(cx, Poll::Pending));
            assert!(tokio::time::timeout(almost, waiting).await.is_err());
            let written = poll_fn(|cx| stall.limit(cx, Poll::Ready(Ok(1)))).await;
            assert_eq!(written.unwrap(), 1);
        }
        let since = Instant::now();
        let error = poll_fn(|cx| stall.limit(cx, Poll::Pending)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(since.elapsed().as_secs(), STALL_TIMEOUT.as_secs());
    }
}
