//! Which kinds of load are there, at which door of a proxy do they knock, and what do they send?

use std::fmt;
use std::net::SocketAddr;

use crate::backend;

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
pub enum Class {
    /// HTTP/1.1, small answers, 64 connections, each with one request after the other.
    H1,
    /// HTTP/1.1, answers of 1 KiB, 64 connections.
    #[value(name = "h1-1k")]
    H1Kib,
    /// HTTP/1.1, answers of 100 KiB, 64 connections.
    #[value(name = "h1-100k")]
    H1Large,
    /// HTTP/1.1, small answers, one connection, and all processes on one core.
    H1Single,
    /// HTTP/1.1, requests with a body of 16 KiB, 64 connections.
    Post,
    /// HTTP/1.1 over TLS 1.3, small answers, 64 connections that stay.
    Tls,
    /// TLS 1.3 connections that are made for one request each, without resumption, 8 at a time.
    TlsNew,
    /// HTTP/2 by prior knowledge, small answers, 8 connections of 32 streams; HTTP/1.1 to the backend.
    H2c,
    /// The same with 4 connections; not one of the tables.
    #[value(hide = true)]
    H2Few,
    /// Unary gRPC calls, 8 connections of 32 streams; HTTP/2 by prior knowledge on both sides.
    Grpc,
    /// Messages back and forth on gRPC streams that stay, 8 connections of 32 streams.
    GrpcStream,
    /// WebSocket messages back and forth, 64 connections.
    #[value(name = "websocket")]
    WebSocket,
    /// HTTP/1.1, small answers, 5 000 requests a second whatever the answers take (open loop).
    H1Paced,
    /// HTTP/1.1, small answers, half as many requests a second as we carry of the first class (open loop).
    H1Half,
}

/// A port of a proxy, by what is spoken on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// HTTP/1.1, and HTTP/1.1 to the backend.
    H1,
    /// HTTP/2 by prior knowledge, and HTTP/1.1 to the backend.
    H2,
    /// HTTP/2 by prior knowledge on both sides.
    Grpc,
    /// HTTP/1.1 over TLS, and HTTP/1.1 in the clear to the backend.
    Tls,
    /// HTTP/1.1 that becomes WebSocket, on both sides.
    WebSocket,
}

/// The ports of a proxy, as far as it has them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Doors {
    /// [`Door::H1`].
    pub h1: Option<SocketAddr>,
    /// [`Door::H2`].
    pub h2: Option<SocketAddr>,
    /// [`Door::Grpc`].
    pub grpc: Option<SocketAddr>,
    /// [`Door::Tls`].
    pub tls: Option<SocketAddr>,
    /// [`Door::WebSocket`], which is that of HTTP/1.1 where there is one.
    pub websocket: Option<SocketAddr>,
}

impl Doors {
    /// The ports of a backend.
    #[must_use]
    pub fn of_backend(h1: SocketAddr, grpc: SocketAddr) -> Self {
        Self {
            h1: Some(h1),
            websocket: Some(h1),
            grpc: Some(grpc),
            ..Self::default()
        }
    }

    /// The address of one of them.
    #[must_use]
    pub fn at(&self, door: Door) -> Option<SocketAddr> {
        match door {
            Door::H1 => self.h1,
            Door::H2 => self.h2,
            Door::Grpc => self.grpc,
            Door::Tls => self.tls,
            Door::WebSocket => self.websocket,
        }
    }

    /// All that there are.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        [self.h1, self.h2, self.grpc, self.tls].into_iter().flatten()
    }
}

/// What is sent over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    /// `GET` of this path, again and again.
    Get(&'static str),
    /// `POST` of so many bytes, again and again.
    Post(usize),
    /// A connection for each `GET`.
    Connections,
    /// An upgrade, then messages.
    WebSocket,
    /// `GET` on streams of HTTP/2.
    Streams,
    /// A gRPC call for each message.
    Calls,
    /// A gRPC call on each stream, with one message after the other.
    Messages,
}

/// What a class comes to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) connections: usize,
    pub(super) streams: usize,
    pub(super) traffic: Traffic,
    pub(super) pace: Pace,
}

/// Who says when the next request goes?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// The answer to the one before.
    Answers,
    /// A clock, so often a second.
    PerSecond(u32),
    /// A clock; how often is measured first.
    Measured,
}

/// The body of a [`Class::Post`].
const POST_BYTES: usize = 16 * 1024;
/// The rate of [`Class::H1Paced`].
const PACED_PER_SECOND: u32 = 5_000;

impl Class {
    /// Every class of the tables, in their order.
    pub const ALL: [Self; 13] = [
        Self::H1,
        Self::H1Kib,
        Self::H1Large,
        Self::H1Single,
        Self::Post,
        Self::Tls,
        Self::TlsNew,
        Self::H2c,
        Self::Grpc,
        Self::GrpcStream,
        Self::WebSocket,
        Self::H1Paced,
        Self::H1Half,
    ];

    /// Where it knocks.
    #[must_use]
    pub fn door(self) -> Door {
        match self {
            Self::Tls | Self::TlsNew => Door::Tls,
            Self::H2c | Self::H2Few => Door::H2,
            Self::Grpc | Self::GrpcStream => Door::Grpc,
            Self::WebSocket => Door::WebSocket,
            _ => Door::H1,
        }
    }

    /// Whether all processes share one core, so that latency is the sum of everybody's work.
    #[must_use]
    pub fn on_one_core(self) -> bool {
        self == Self::H1Single
    }

    /// Whether its rate is half of what is carried of [`Class::H1`], which has to be measured first.
    #[must_use]
    pub fn is_half(self) -> bool {
        self.shape().pace == Pace::Measured
    }

    pub(super) fn shape(self) -> Shape {
        let closed = |connections, streams, traffic| Shape {
            connections,
            streams,
            traffic,
            pace: Pace::Answers,
        };
        match self {
            Self::H1 | Self::Tls => closed(64, 1, Traffic::Get("/")),
            Self::H1Kib => closed(64, 1, Traffic::Get(backend::KIB_PATH)),
            Self::H1Large => closed(64, 1, Traffic::Get(backend::LARGE_PATH)),
            Self::H1Single => closed(1, 1, Traffic::Get("/")),
            Self::Post => closed(64, 1, Traffic::Post(POST_BYTES)),
            Self::TlsNew => closed(8, 1, Traffic::Connections),
            Self::H2c => closed(8, 32, Traffic::Streams),
            Self::H2Few => closed(4, 32, Traffic::Streams),
            Self::Grpc => closed(8, 32, Traffic::Calls),
            Self::GrpcStream => closed(8, 32, Traffic::Messages),
            Self::WebSocket => closed(64, 1, Traffic::WebSocket),
            Self::H1Paced => Shape {
                pace: Pace::PerSecond(PACED_PER_SECOND),
                ..closed(64, 1, Traffic::Get("/"))
            },
            Self::H1Half => Shape {
                pace: Pace::Measured,
                ..closed(64, 1, Traffic::Get("/"))
            },
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = clap::ValueEnum::to_possible_value(self);
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}
