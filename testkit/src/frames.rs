//! What exactly went over an HTTP/2 connection? Every frame is the test's own: nothing is checked, answered or counted
//! unless the test asks for it.
//!
//! For floods and violations. A test of good behaviour wants [`Client`](crate::client::Client).

use std::fmt;
use std::io;
use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wait::soon;

pub mod hpack;

/// What a client sends first (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113 §6).
pub mod kind {
    /// Bytes of a body.
    pub const DATA: u8 = 0;
    /// Begins a block of fields.
    pub const HEADERS: u8 = 1;
    /// Deprecated, and still to be put up with.
    pub const PRIORITY: u8 = 2;
    /// Ends a stream at once.
    pub const RST_STREAM: u8 = 3;
    /// What a side takes.
    pub const SETTINGS: u8 = 4;
    /// A request made by a server.
    pub const PUSH_PROMISE: u8 = 5;
    /// Asks for its own payload.
    pub const PING: u8 = 6;
    /// Ends a connection in order.
    pub const GOAWAY: u8 = 7;
    /// Lets the peer send more.
    pub const WINDOW_UPDATE: u8 = 8;
    /// More of a block of fields.
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames; the same bit means different things on different types.
pub mod flag {
    /// On DATA and HEADERS: the sender's last on this stream.
    pub const END_STREAM: u8 = 1;
    /// On SETTINGS and PING: an answer.
    pub const ACK: u8 = 1;
    /// On HEADERS and CONTINUATION: the last of a block of fields.
    pub const END_HEADERS: u8 = 4;
    /// On DATA and HEADERS: the payload is padded.
    pub const PADDED: u8 = 8;
    /// On HEADERS: five bytes of priority come first.
    pub const PRIORITY: u8 = 32;
}

/// Why a stream or connection ended (RFC 9113 §7).
pub mod reason {
    /// Nothing is wrong.
    pub const NO_ERROR: u32 = 0;
    /// A rule was broken.
    pub const PROTOCOL_ERROR: u32 = 1;
    /// Something failed on the sender's own side.
    pub const INTERNAL_ERROR: u32 = 2;
    /// More was sent than the window had room for.
    pub const FLOW_CONTROL_ERROR: u32 = 3;
    /// A frame on a stream that has ended.
    pub const STREAM_CLOSED: u32 = 5;
    /// A frame of the wrong size.
    pub const FRAME_SIZE_ERROR: u32 = 6;
    /// The request was not looked at: it may be sent again.
    pub const REFUSED_STREAM: u32 = 7;
    /// Nobody wants it any more.
    pub const CANCEL: u32 = 8;
    /// Fields that cannot be decoded; the connection's table is lost with them.
    pub const COMPRESSION_ERROR: u32 = 9;
    /// The peer makes too much work.
    pub const ENHANCE_YOUR_CALM: u32 = 11;
}

/// One frame, as it is on the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type: see [`kind`].
    pub kind: u8,
    /// Its flags: see [`flag`].
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// What follows the nine bytes of its head.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Any frame.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            flags,
            stream,
            payload: payload.into(),
        }
    }

    /// HEADERS that hold a whole block of fields and end the request.
    pub fn request(stream: u32, block: impl Into<Vec<u8>>) -> Self {
        Self::new(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, stream, block)
    }

    /// HEADERS that hold a whole block of fields; a body follows.
    pub fn head(stream: u32, block: impl Into<Vec<u8>>) -> Self {
        Self::new(kind::HEADERS, flag::END_HEADERS, stream, block)
    }

    /// RST_STREAM.
    #[must_use]
    pub fn reset(stream: u32, reason: u32) -> Self {
        Self::new(kind::RST_STREAM, 0, stream, reason.to_be_bytes())
    }

    /// WINDOW_UPDATE.
    #[must_use]
    pub fn window_update(stream: u32, increment: u32) -> Self {
        Self::new(kind::WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
    }

    /// SETTINGS with these identifiers and values.
    #[must_use]
    pub fn settings(values: &[(u16, u32)]) -> Self {
        let pair = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        let payload: Vec<u8> = values.iter().flat_map(pair).collect();
        Self::new(kind::SETTINGS, 0, 0, payload)
    }

    /// Its bytes on the wire, also those of a frame that breaks the rules. The length is the payload's: to lie about it,
    /// change the first three bytes.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// Whether a flag is set.
    #[must_use]
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The reason of a GOAWAY or RST_STREAM.
    #[must_use]
    pub fn reason(&self) -> Option<u32> {
        let at = match self.kind {
            kind::RST_STREAM => 0,
            kind::GOAWAY => 4,
            _ => return None,
        };
        let bytes = self.payload.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    }

    /// The status that a response's HEADERS begin with.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        (self.kind == kind::HEADERS).then(|| hpack::status(&self.payload))?
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 10] = [
            "DATA",
            "HEADERS",
            "PRIORITY",
            "RST_STREAM",
            "SETTINGS",
            "PUSH_PROMISE",
            "PING",
            "GOAWAY",
            "WINDOW_UPDATE",
            "CONTINUATION",
        ];
        let name = NAMES.get(usize::from(self.kind)).copied().unwrap_or("unknown");
        write!(f, "{name}(stream {}, flags {:#04x}, ", self.stream, self.flags)?;
        match (self.reason(), self.status()) {
            (Some(reason), _) => write!(f, "reason {reason})"),
            (_, Some(status)) => write!(f, "status {status})"),
            _ => write!(f, "{} bytes)", self.payload.len()),
        }
    }
}

/// An HTTP/2 connection without a will of its own, used from either end.
#[derive(Debug)]
pub struct Frames<S = TcpStream> {
    stream: S,
    unread: BytesMut,
    ended: bool,
}

impl Frames<TcpStream> {
    /// Connects, and sends preface and empty SETTINGS. It does not wait for the server's.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use tidegate_testkit::frames::{Frame, Frames, hpack, kind};
    /// use tidegate_testkit::upstream::Upstream;
    ///
    /// let upstream = Upstream::echo().await;
    /// let mut frames = Frames::connect(upstream.address()).await;
    /// frames.send(Frame::request(1, hpack::get("a.example", "/"))).await;
    /// assert_eq!(frames.response(1).await, 200);
    /// # }
    /// ```
    ///
    /// # Panics
    /// When nobody listens at `address`.
    pub async fn connect(address: SocketAddr) -> Self {
        let connected = soon("a connection", TcpStream::connect(address)).await;
        let stream = connected.unwrap_or_else(|error| panic!("connect to {address}: {error}"));
        stream
            .set_nodelay(true)
            .expect("a fresh socket takes TCP_NODELAY");
        let mut frames = Self::over(stream);
        frames.begin().await;
        frames
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    /// Wraps a connection that stands and sends nothing on it, no preface either.
    pub fn over(stream: S) -> Self {
        Self {
            stream,
            unread: BytesMut::new(),
            ended: false,
        }
    }

    /// Sends a client's preface and empty SETTINGS.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn begin(&mut self) {
        let bytes = [PREFACE, &Frame::settings(&[]).encoded()].concat();
        self.send_bytes(&bytes).await;
    }

    /// Sends one frame.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn send(&mut self, frame: Frame) {
        if let Err(error) = self.try_send(&frame.encoded()).await {
            panic!("send {frame:?}: {error}");
        }
    }

    /// Sends exactly these bytes.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        if let Err(error) = self.try_send(bytes).await {
            panic!("send {} bytes: {error}", bytes.len());
        }
    }

    /// Sends exactly these bytes, or says why that failed. What comes meanwhile is kept, so that a peer whose own
    /// writes block cannot hold ours.
    ///
    /// # Errors
    /// The connection's own.
    pub async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut reader, mut writer) = tokio::io::split(&mut self.stream);
        let (unread, ended) = (&mut self.unread, &mut self.ended);
        let reading = async {
            while !*ended {
                *ended = !matches!(reader.read_buf(unread).await, Ok(1..));
            }
            // The peer's end says nothing about what it still takes: writing decides.
            std::future::pending::<std::convert::Infallible>().await
        };
        let writing = async {
            writer.write_all(bytes).await?;
            writer.flush().await
        };
        let sent = async {
            tokio::select! {
                biased;
                sent = writing => sent,
                never = reading => match never {},
            }
        };
        soon("the peer to read", sent).await
    }

    /// Sends `make(0)`, `make(1)`, … until `count` were sent or the peer has ended the connection; how many were sent.
    pub async fn flood(&mut self, count: u32, mut make: impl FnMut(u32) -> Vec<u8>) -> u32 {
        for number in 0..count {
            if self.ended || self.try_send(&make(number)).await.is_err() {
                return number;
            }
        }
        count
    }

    /// The next frame; none when the connection has ended, in order or not.
    ///
    /// # Panics
    /// When nothing comes until the deadline.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.buffered() {
                return Some(frame);
            }
            if self.ended {
                return None;
            }
            let what = format!("a frame, after {} bytes of one", self.unread.len());
            let read = soon(&what, self.stream.read_buf(&mut self.unread)).await;
            self.ended = !matches!(read, Ok(1..));
        }
    }

    /// The next frame that `fits`; others are passed over.
    ///
    /// # Panics
    /// When the connection ends before, or nothing comes until the deadline; the message lists what came instead.
    pub async fn find(&mut self, what: &str, fits: impl Fn(&Frame) -> bool) -> Frame {
        let mut others = Vec::new();
        while let Some(frame) = self.next().await {
            if fits(&frame) {
                return frame;
            }
            others.push(frame);
        }
        panic!("waiting for {what}: the connection ended after {others:?}")
    }

    /// Waits for the peer's SETTINGS and acknowledges them.
    ///
    /// # Panics
    /// As [`Frames::find`].
    pub async fn settle(&mut self) {
        let theirs = |frame: &Frame| frame.kind == kind::SETTINGS && !frame.has(flag::ACK);
        self.find("SETTINGS", theirs).await;
        self.send(Frame::new(kind::SETTINGS, flag::ACK, 0, [])).await;
    }

    /// Waits until everything that was sent so far has been looked at: a PING of the test's own comes back.
    ///
    /// # Panics
    /// As [`Frames::find`].
    pub async fn ping(&mut self) {
        const OURS: [u8; 8] = *b"tidegate";
        self.send(Frame::new(kind::PING, 0, 0, OURS)).await;
        let pong = |frame: &Frame| frame.kind == kind::PING && frame.has(flag::ACK) && frame.payload == OURS;
        self.find("a PING's answer", pong).await;
    }

    /// The status of the response on `stream`.
    ///
    /// # Panics
    /// As [`Frames::find`], or when the stream is reset instead.
    pub async fn response(&mut self, stream: u32) -> u16 {
        let about =
            |frame: &Frame| frame.stream == stream && matches!(frame.kind, kind::HEADERS | kind::RST_STREAM);
        let frame = self.find("a response", about).await;
        frame
            .status()
            .unwrap_or_else(|| panic!("waiting for a response: {frame:?}"))
    }

    /// Waits for GOAWAY; of those that say [`reason::NO_ERROR`] more may come first (a drain sends two).
    ///
    /// # Panics
    /// As [`Frames::find`], or when the reason is another.
    pub async fn expect_goaway(&mut self, reason: u32) {
        let last = |frame: &Frame| {
            frame.kind == kind::GOAWAY
                && (reason == reason::NO_ERROR || frame.reason() != Some(reason::NO_ERROR))
        };
        let frame = self.find("GOAWAY", last).await;
        assert_eq!(frame.reason(), Some(reason), "the reason of {frame:?}");
    }

    /// Waits for RST_STREAM of `stream`.
    ///
    /// # Panics
    /// As [`Frames::find`], or when the reason is another, or the connection is ended with an error instead.
    pub async fn expect_reset(&mut self, stream: u32, reason: u32) {
        let frame = self.refusal(stream).await;
        assert_eq!(
            (frame.kind, frame.reason()),
            (kind::RST_STREAM, Some(reason)),
            "the reason of {frame:?}"
        );
    }

    /// The frame that refuses what was sent on `stream`: its RST_STREAM, or a GOAWAY that names an error. A peer may answer
    /// any error of a stream by ending the connection (RFC 9113 §5.4.2).
    ///
    /// # Panics
    /// As [`Frames::find`].
    pub async fn refusal(&mut self, stream: u32) -> Frame {
        let fits = |frame: &Frame| {
            (frame.kind == kind::RST_STREAM && frame.stream == stream)
                || (frame.kind == kind::GOAWAY && frame.reason() != Some(reason::NO_ERROR))
        };
        self.find("RST_STREAM or GOAWAY", fits).await
    }

    /// Reads up to the end of the connection; the reason of the last GOAWAY before it, if one came. After a flood a GOAWAY
    /// can be lost: a peer that closes with bytes unread sends a TCP reset, which overtakes it.
    ///
    /// # Panics
    /// When the connection is still open at the deadline.
    pub async fn ending(&mut self) -> Option<u32> {
        let mut last = None;
        while let Some(frame) = self.next().await {
            if frame.kind == kind::GOAWAY {
                last = frame.reason();
            }
        }
        last
    }

    /// The connection itself. What was received and not read is lost.
    pub fn into_stream(self) -> S {
        self.stream
    }

    fn buffered(&mut self) -> Option<Frame> {
        let (head, rest) = self.unread.split_at_checked(9)?;
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        let length = number(&head[..3]) as usize;
        let payload = rest.get(..length)?.to_vec();
        let frame = Frame::new(head[3], head[4], number(&head[5..9]) & (u32::MAX >> 1), payload);
        self.unread.advance(9 + length);
        Some(frame)
    }
}

#[cfg(test)]
mod tests;
