//! How to ask a container whether it is ready or alive; the form of `SERVING_READINESS_PROBE` too.

use serde::{Deserialize, Deserializer, Serialize};

/// A Kubernetes probe. Its JSON form is Kubernetes' own (`{"tcpSocket":{"port":8080},"successThreshold":1}`).
///
/// A threshold, period or timeout of 0 means "not set".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// What is done.
    #[serde(flatten)]
    pub handler: ProbeHandler,
    /// Seconds before the first attempt. Default 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub initial_delay_seconds: u32,
    /// Seconds until an attempt fails. Default 1; 0 when `period_seconds` is 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeout_seconds: u32,
    /// Seconds between attempts. On a readiness probe 0, the default, means "as fast as possible".
    #[serde(default, skip_serializing_if = "is_zero")]
    pub period_seconds: u32,
    /// Successes in a row that count as success. Default 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub success_threshold: u32,
    /// Failures in a row that count as failure. Default 3; 0 when `period_seconds` is 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failure_threshold: u32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// Kubernetes writes an absent service as null.
fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What a probe does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ProbeHandler {
    /// A GET that succeeds with a status from 200 to 399.
    HttpGet {
        /// Path and query. Default: `/`.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        path: String,
        /// Which port. Default: the user port.
        #[serde(default)]
        port: PortRef,
        /// Which host. Default: the container's own address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// `HTTP` or `HTTPS`. Default: `HTTP`.
        #[serde(default)]
        scheme: Scheme,
        /// Headers that are added.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        http_headers: Vec<HttpHeader>,
    },
    /// A connection that can be opened.
    TcpSocket {
        /// Which port. Default: the user port.
        #[serde(default)]
        port: PortRef,
        /// Which host. Default: the container's own address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
    },
    /// `grpc.health.v1.Health/Check` that answers `SERVING`.
    Grpc {
        /// Which port. Default: the user port.
        #[serde(default)]
        port: PortRef,
        /// Which service. Default: the empty name, the whole server.
        #[serde(default, deserialize_with = "null_is_empty")]
        service: String,
    },
    /// A command that exits with 0.
    Exec {
        /// Program and arguments.
        #[serde(default)]
        command: Vec<String>,
    },
}

/// A port by number or by name; the default is the number 0, which stands for the user port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PortRef {
    /// A number; 0 means the user port.
    Number(u16),
    /// The name of a declared port.
    Name(String),
}

impl PortRef {
    /// The port this leads to: its number (also when written as text), else the user port (Knative's rule).
    #[must_use]
    pub fn resolve(&self, user_port: u16) -> u16 {
        let number = match self {
            Self::Number(number) => *number,
            Self::Name(name) => name.parse().unwrap_or(0),
        };
        if number == 0 { user_port } else { number }
    }
}

impl Default for PortRef {
    fn default() -> Self {
        Self::Number(0)
    }
}

/// The scheme of an HTTP probe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Scheme {
    /// Plain HTTP.
    #[default]
    Http,
    /// HTTP over TLS.
    Https,
}

/// A header that an HTTP probe sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpHeader {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}
