//! What does the program's environment say?

use std::{net::IpAddr, time::Duration};

use tidegate_knative::go_duration;

use crate::{
    backends::watch::Pace,
    limits::{PROBE_INTERVAL, PROBE_TIMEOUT},
};

/// As much of the environment as the program goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Env {
    /// `POD_NAME`.
    pub pod_name: String,
    /// `POD_IP`.
    pub pod_ip: IpAddr,
    /// `SYSTEM_NAMESPACE`.
    pub system_namespace: String,
    /// `PROBE_FREQUENCY` and `PROBE_TIMEOUT`.
    pub pace: Pace,
}

/// What is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// Something that has to be there is not.
    #[error("required key {0} missing value")]
    Missing(&'static str),
    /// Something does not read as what it should be.
    #[error("{key}: {value:?} is not {wanted}")]
    Invalid {
        /// What.
        key: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
}

impl Env {
    /// Reads it.
    ///
    /// # Errors
    /// When something is missing or wrong.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, EnvError> {
        let required = |key: &'static str| get(key).ok_or(EnvError::Missing(key));
        let duration = |key: &'static str, default: Duration| match get(key) {
            None => Ok(default),
            Some(value) => match go_duration::parse(&value) {
                Ok(duration) if !duration.is_zero() => Ok(duration),
                _ => Err(invalid(key, value, "a duration such as 300ms")),
            },
        };
        let pod_ip = required(POD_IP)?;
        let system_namespace = required("SYSTEM_NAMESPACE")?;
        if system_namespace.is_empty() {
            return Err(EnvError::Missing("SYSTEM_NAMESPACE"));
        }
        Ok(Self {
            pod_name: required("POD_NAME")?,
            pod_ip: pod_ip
                .parse()
                .map_err(|_| invalid(POD_IP, pod_ip, "an IP address"))?,
            system_namespace,
            pace: Pace {
                interval: duration("PROBE_FREQUENCY", PROBE_INTERVAL)?,
                timeout: duration("PROBE_TIMEOUT", PROBE_TIMEOUT)?,
            },
        })
    }
}

const POD_IP: &str = "POD_IP";

fn invalid(key: &'static str, value: String, wanted: &'static str) -> EnvError {
    EnvError::Invalid { key, value, wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changes: &[(&str, Option<&str>)]) -> Result<Env, String> {
        let all = [
            ("POD_NAME", "activator-1"),
            ("POD_IP", "10.0.0.1"),
            ("SYSTEM_NAMESPACE", "knative-serving"),
        ];
        let get = |key: &str| {
            let changed = changes.iter().find(|(changed, _)| *changed == key);
            let usual = all.iter().find(|(usual, _)| *usual == key);
            let value = match (changed, usual) {
                (Some((_, value)), _) => *value,
                (None, usual) => usual.map(|(_, value)| *value),
            };
            value.map(str::to_owned)
        };
        Env::read(get).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_is_as_knative_has_it() {
        let env = read(&[]).unwrap();
        assert_eq!(
            (&*env.pod_name, &*env.system_namespace),
            ("activator-1", "knative-serving")
        );
        assert_eq!(env.pace.interval, Duration::from_millis(200));
        assert_eq!(env.pace.timeout, Duration::from_millis(300));
        let env = read(&[("PROBE_FREQUENCY", Some("1s")), ("PROBE_TIMEOUT", Some("1m2s"))]).unwrap();
        assert_eq!(env.pace.interval, Duration::from_secs(1));
        assert_eq!(env.pace.timeout, Duration::from_secs(62));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for key in ["POD_NAME", "POD_IP", "SYSTEM_NAMESPACE"] {
            let expected = format!("required key {key} missing value");
            assert_eq!(read(&[(key, None)]), Err(expected));
        }
        let wrong = read(&[("PROBE_TIMEOUT", Some("300"))]).unwrap_err();
        assert_eq!(wrong, "PROBE_TIMEOUT: \"300\" is not a duration such as 300ms");
        assert!(read(&[("POD_IP", Some("here"))]).is_err());
        assert!(read(&[("PROBE_FREQUENCY", Some("0s"))]).is_err());
    }
}
