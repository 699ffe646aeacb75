//! Which probes does `SERVING_READINESS_PROBE` declare?

use serde_json::Value;
use tidegate_knative::object::{Probe, ProbeHandler};

use crate::probe::ReadinessProbe;

/// One probe of a pod.
#[derive(Clone, Debug)]
pub enum Declared {
    /// Polled until it succeeds (`periodSeconds: 0`).
    Aggressive(ReadinessProbe),
    /// Attempted once; the kubelet counts.
    Standard(ReadinessProbe),
    /// One that fails whenever it is executed, and why.
    Never(String),
}

/// A text that declares no probes.
#[derive(Debug, thiserror::Error)]
pub enum InvalidProbes {
    /// It is no JSON, or no probe.
    #[error("failed to parse the readiness probe: {0}")]
    Json(#[from] serde_json::Error),
    /// There is one where there should be a list, or the other way round.
    #[error("failed to parse the readiness probe: it has to be {0}")]
    Shape(&'static str),
}

const HANDLERS: [&str; 4] = ["httpGet", "tcpSocket", "grpc", "exec"];

/// How probes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whether there is an array of them, not one object.
    pub is_list: bool,
    /// Whether those over HTTP find out if HTTP/2 is spoken.
    pub detects_http2: bool,
    /// The user port of their containers.
    pub user_port: u16,
}

impl Declared {
    /// The probes in `text`. An empty text declares none.
    ///
    /// # Errors
    /// A text that cannot be understood.
    pub fn parse(text: &str, reading: Reading) -> Result<Vec<Self>, InvalidProbes> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let probes = match (serde_json::from_str(text)?, reading.is_list) {
            (Value::Array(probes), true) => probes,
            (_, true) => return Err(InvalidProbes::Shape("an array")),
            (Value::Array(_), false) => return Err(InvalidProbes::Shape("an object")),
            (probe, false) => vec![probe],
        };
        probes.into_iter().map(|probe| Self::of(probe, reading)).collect()
    }

    fn of(probe: Value, reading: Reading) -> Result<Self, InvalidProbes> {
        let has_handler = HANDLERS
            .iter()
            .any(|name| probe.get(name).is_some_and(|handler| !handler.is_null()));
        // The controller writes null for a serving container without a probe.
        if probe.is_null() || probe.is_object() && !has_handler {
            return Ok(Self::Never("no probe found".to_owned()));
        }
        let probe: Probe = serde_json::from_value(probe)?;
        if matches!(probe.handler, ProbeHandler::Exec { .. }) {
            return Ok(Self::Never("exec probe not supported".to_owned()));
        }
        let checked = ReadinessProbe::new(&probe, reading.user_port).map(|checked| {
            if reading.detects_http2 {
                checked.detecting_http2()
            } else {
                checked
            }
        });
        Ok(match checked {
            Ok(checked) if probe.period_seconds == 0 => Self::Aggressive(checked),
            Ok(checked) => Self::Standard(checked),
            Err(invalid) => Self::Never(invalid.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, is_list: bool) -> Result<Vec<Declared>, InvalidProbes> {
        let reading = Reading {
            is_list,
            detects_http2: false,
            user_port: 8080,
        };
        Declared::parse(text, reading)
    }

    /// The kinds of the declared probes: `aggressive`, `standard`, or why one never succeeds.
    fn check(text: &str, is_list: bool, expected: &[&str]) {
        let declared = parse(text, is_list).unwrap();
        let kinds = declared.iter().map(|declared| match declared {
            Declared::Aggressive(_) => "aggressive",
            Declared::Standard(_) => "standard",
            Declared::Never(reason) => reason,
        });
        assert_eq!(kinds.collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn qp_44_one_probe_or_several_are_read() {
        check("", false, &[]);
        check(r#"{"tcpSocket":{"port":8080}}"#, false, &["aggressive"]);
        check(
            r#"{"httpGet":{"port":"8080","path":"/a?b"},"periodSeconds":1}"#,
            false,
            &["standard"],
        );
        check(
            r#"[null,{"grpc":{"port":1,"service":null}}]"#,
            true,
            &["no probe found", "aggressive"],
        );
    }

    #[test]
    fn qp_36_a_probe_without_a_handler_or_with_a_command_never_succeeds() {
        check(r#"{"periodSeconds":1}"#, false, &["no probe found"]);
        check(
            r#"{"exec":{"command":["true"]}}"#,
            false,
            &["exec probe not supported"],
        );
    }

    #[test]
    fn qp_44_garbage_and_the_wrong_shape_are_errors() {
        let check = |text, is_list| assert!(parse(text, is_list).is_err(), "{text}");
        check("[", true);
        check("7", false);
        check(r#"[{"tcpSocket":{"port":8080}}]"#, false);
        check(r#"{"tcpSocket":{"port":8080}}"#, true);
    }
}
