//! A TCP connection that can be watched for its client's leaving while nothing reads it.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Sleep;

use socket2::SockRef;

use super::detect::Prefix;
use crate::config::limits::WRITE_STALL_TIMEOUT;

/// The connection for whoever speaks HTTP on it. Bytes that detection has read are read again.
pub(crate) struct Socket {
    pub(super) prefix: Prefix,
    read: OwnedReadHalf,
    write: Arc<OwnedWriteHalf>,
    stall: Stall,
}

/// Sees whether the client is still there, and whether it has sent something that nobody has read.
#[derive(Clone)]
pub(crate) struct Presence {
    stream: Arc<OwnedWriteHalf>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> (Self, Presence) {
        let (read, write) = stream.into_split();
        let write = Arc::new(write);
        (
            Self {
                prefix: Prefix::default(),
                read,
                write: Arc::clone(&write),
                stall: Stall::default(),
            },
            Presence { stream: write },
        )
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
        let ready = self.stream.ready(tokio::io::Interest::PRIORITY).await;
        if ready.is_ok_and(|ready| !ready.is_read_closed()) {
            std::future::pending::<()>().await;
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) async fn ended(&self) {
        std::future::pending::<()>().await;
    }

    /// Resolves once the runtime knows of all that the kernel has received by now: at once, as a rule.
    ///
    /// Whoever polls the reader before this in one task has read it then. A connection that is closed on bytes
    /// that were not read is reset, and its client never learns why.
    pub(crate) async fn caught_up(&self) {
        let stream: &TcpStream = (*self.stream).as_ref();
        let mut byte = [MaybeUninit::uninit()];
        if SockRef::from(stream)
            .peek(&mut byte)
            .is_ok_and(|unread| unread > 0)
        {
            // An error shows when the connection is read.
            _ = stream.readable().await;
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.replay(buffer) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.read).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
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
        let stream: &TcpStream = (*self.write).as_ref();
        Poll::Ready(SockRef::from(stream).shutdown(std::net::Shutdown::Write))
    }
}

impl Socket {
    fn write_with(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let stream: &TcpStream = (*self.write).as_ref();
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match write(stream) {
                // The readiness was stale and is cleared now: ask again, which registers us.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

/// The deadline of a client that does not read. Nothing is set up as long as the kernel takes what is written.
#[derive(Default)]
struct Stall {
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    /// Passes the outcome of a write on; one that has been waiting for too long has failed.
    fn limit(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_STALL_TIMEOUT)));
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
        let almost = WRITE_STALL_TIMEOUT - Duration::from_secs(1);
        for _slow_read in 0..3 {
            let waiting = poll_fn(|cx| stall.limit(cx, Poll::Pending));
            assert!(tokio::time::timeout(almost, waiting).await.is_err());
            let written = poll_fn(|cx| stall.limit(cx, Poll::Ready(Ok(1)))).await;
            assert_eq!(written.unwrap(), 1);
        }
        let since = Instant::now();
        let error = poll_fn(|cx| stall.limit(cx, Poll::Pending)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(since.elapsed().as_secs(), WRITE_STALL_TIMEOUT.as_secs());
    }
}
