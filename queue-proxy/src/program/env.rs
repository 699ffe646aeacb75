//! What is the sidecar told when it starts? Knative's environment variables, by the names that its controller sets.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_knative::observability::Observability;
use tidegate_knative::request_log::Described;
use tidegate_proxy::layers::timeout::Timeouts;
use tidegate_proxy::tls::terms::{Terms, TermsError};

use super::log::Level;
use super::tls;
use crate::limits::QUIET_PERIOD;
use crate::readiness::{Declared, InvalidProbes, Reading};

/// Where the certificate is mounted.
const CERTIFICATES: &str = "/var/lib/knative/certs";

/// What the sidecar is told.
#[derive(Clone, Debug)]
pub struct Env {
    /// How many requests the application takes at a time; 0 for any number.
    pub container_concurrency: u32,
    /// How long requests may take.
    pub timeouts: Timeouts,
    /// The one address it listens on, where it is not all of them.
    pub address: Option<IpAddr>,
    /// The ports it listens on.
    pub ports: Ports,
    /// The port of the application.
    pub user_port: u16,
    /// Its readiness probes.
    pub probes: Vec<Declared>,
    /// Whose sidecar it is.
    pub identity: Identity,
    /// What it writes and measures about requests.
    pub observability: Observability,
    /// What it is called in spans, where that was said.
    pub otel_service_name: Option<String>,
    /// From which level on it logs.
    pub log_level: Level,
    /// Where its certificate may be.
    pub certificates: PathBuf,
    /// How it speaks TLS, or why that is not known; it matters where there is a certificate.
    pub tls: Result<Terms, TermsError>,
    /// How long no request must have come before a drain ends.
    pub quiet: Duration,
    /// How many threads are asked for.
    pub threads: Option<usize>,
}

/// The ports that the sidecar listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// For requests.
    pub main: u16,
    /// For requests over TLS.
    pub tls: u16,
    /// Where the end of a container is announced.
    pub admin: u16,
    /// Where the autoscaler reads.
    pub stats: u16,
    /// Where profiles are asked for, where that is enabled.
    pub profiling: u16,
}

/// Whose sidecar it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The revision's namespace.
    pub namespace: String,
    /// The revision.
    pub revision: String,
    /// Its configuration.
    pub configuration: String,
    /// Its service, where it has one.
    pub service: String,
    /// The pod.
    pub pod: String,
    /// The pod's address.
    pub pod_ip: String,
}

impl Identity {
    /// What it is called in spans and numbers: the largest thing that has a name.
    #[must_use]
    pub fn service_name(&self) -> &str {
        let names = [&self.service, &self.configuration, &self.revision, &self.pod];
        names
            .into_iter()
            .find(|name| !name.is_empty())
            .map_or("", String::as_str)
    }
}

impl Described for Identity {
    fn get(&self, name: &str) -> Option<&str> {
        Some(match name {
            "Name" => &self.revision,
            "Namespace" => &self.namespace,
            "Service" => &self.service,
            "Configuration" => &self.configuration,
            "PodName" => &self.pod,
            "PodIP" => &self.pod_ip,
            _ => return None,
        })
    }
}

/// Why the sidecar cannot start with what it is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// A variable is missing.
    #[error("required key {0} missing value")]
    Missing(&'static str),
    /// A variable is not what it should be.
    #[error("{name} is {value:?}: it has to be {wanted}")]
    Invalid {
        /// Its name.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it has to be.
        wanted: &'static str,
    },
    /// What is to be logged and measured cannot be understood.
    #[error("OBSERVABILITY_CONFIG: {0}")]
    Observability(String),
    /// The readiness probe cannot be understood.
    #[error("SERVING_READINESS_PROBE: {0}")]
    Probe(String),
}

/// The variables, by name.
struct Variables<F>(F);

impl Env {
    /// Reads what `get` knows by name.
    ///
    /// # Errors
    /// The first variable that is missing or wrong.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, EnvError> {
        let vars = Variables(get);
        let concurrency = vars.required("CONTAINER_CONCURRENCY", vars.int("CONTAINER_CONCURRENCY")?)?;
        let request = vars.required("REVISION_TIMEOUT_SECONDS", vars.int("REVISION_TIMEOUT_SECONDS")?)?;
        let response_start = vars.int("REVISION_RESPONSE_START_TIMEOUT_SECONDS")?;
        let idle = vars.int("REVISION_IDLE_TIMEOUT_SECONDS")?;
        let user_port = vars.port("USER_PORT")?;
        let (main, tls) = (
            vars.port("QUEUE_SERVING_PORT")?,
            vars.port("QUEUE_SERVING_TLS_PORT")?,
        );
        let config = vars.text("SERVING_LOGGING_CONFIG")?;
        let level = vars.text("SERVING_LOGGING_LEVEL")?;
        let identity = vars.identity()?;
        // It has no effect: here it is always so.
        vars.bool("ENABLE_HTTP_FULL_DUPLEX")?;
        let reading = Reading {
            is_list: vars.bool("ENABLE_MULTI_CONTAINER_PROBES")?,
            detects_http2: vars.bool("ENABLE_HTTP2_AUTO_DETECTION")?,
            user_port,
        };
        let observability = vars.get("OBSERVABILITY_CONFIG").unwrap_or_default();
        let observability = Observability::parse(&observability)
            .map_err(|error| EnvError::Observability(error.to_string()))?
            .heeding(|name| vars.get(name));
        let probe = vars.get("SERVING_READINESS_PROBE").unwrap_or_default();
        let probes = Declared::parse(&probe, reading);
        Ok(Self {
            container_concurrency: seconds(Some(concurrency)),
            timeouts: Timeouts::from_seconds(seconds(Some(request)), seconds(response_start), seconds(idle)),
            address: vars.address()?,
            ports: Ports {
                main,
                tls,
                ..vars.side_ports()?
            },
            user_port,
            probes: probes.map_err(|error: InvalidProbes| EnvError::Probe(error.to_string()))?,
            identity,
            observability,
            otel_service_name: vars.get("OTEL_SERVICE_NAME").filter(|name| !name.is_empty()),
            log_level: Level::parse(&level)
                .or_else(|| of_config(&config))
                .unwrap_or(Level::Info),
            certificates: vars
                .get("TIDEGATE_CERTIFICATES")
                .unwrap_or_else(|| CERTIFICATES.to_owned())
                .into(),
            tls: Terms::read(tls::PREFIX, |name| vars.get(name)),
            quiet: vars.int("TIDEGATE_QUIET_SECONDS")?.map_or(QUIET_PERIOD, |quiet| {
                Duration::from_secs(seconds(Some(quiet)).into())
            }),
            threads: vars.get("GOMAXPROCS").and_then(|count| count.parse().ok()),
        })
    }
}

/// The level in zap's configuration. One that cannot be understood is as good as none.
fn of_config(config: &str) -> Option<Level> {
    let config: serde_json::Value = serde_json::from_str(config).ok()?;
    Level::parse(config.get("level")?.as_str()?)
}

/// What is not positive means that there is none.
fn seconds(value: Option<i64>) -> u32 {
    let value = value.unwrap_or_default().clamp(0, i64::from(u32::MAX));
    u32::try_from(value).unwrap_or_default()
}

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }

    fn required<T>(&self, name: &'static str, value: Option<T>) -> Result<T, EnvError> {
        value.ok_or(EnvError::Missing(name))
    }

    /// A text that has to be there and may be empty.
    fn text(&self, name: &'static str) -> Result<String, EnvError> {
        self.required(name, self.get(name))
    }

    fn int(&self, name: &'static str) -> Result<Option<i64>, EnvError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(invalid(name, value, "a whole number")),
        }
    }

    fn port(&self, name: &'static str) -> Result<u16, EnvError> {
        let value = self.text(name)?;
        value.parse().map_err(|_| invalid(name, value, "a port"))
    }

    fn address(&self) -> Result<Option<IpAddr>, EnvError> {
        let name = "TIDEGATE_ADDRESS";
        let address = self.get(name).map(|value| match value.parse() {
            Ok(address) => Ok(address),
            Err(_) => Err(invalid(name, value, "an IP address")),
        });
        address.transpose()
    }

    /// Go's words for true and false; not there is false.
    fn bool(&self, name: &'static str) -> Result<bool, EnvError> {
        let value = self.get(name);
        match value.as_deref() {
            None | Some("0" | "f" | "F" | "FALSE" | "false" | "False") => Ok(false),
            Some("1" | "t" | "T" | "TRUE" | "true" | "True") => Ok(true),
            Some(other) => Err(invalid(name, other.to_owned(), "true or false")),
        }
    }

    fn identity(&self) -> Result<Identity, EnvError> {
        Ok(Identity {
            namespace: self.text("SERVING_NAMESPACE")?,
            configuration: self.text("SERVING_CONFIGURATION")?,
            revision: self.text("SERVING_REVISION")?,
            pod: self.text("SERVING_POD")?,
            pod_ip: self.text("SERVING_POD_IP")?,
            service: self.get("SERVING_SERVICE").unwrap_or_default(),
        })
    }

    /// The ports that Knative fixes. Tests let the system choose them, so that many sidecars fit on one machine.
    fn side_ports(&self) -> Result<Ports, EnvError> {
        let of = |name, usual| match self.int(name)? {
            None => Ok(usual),
            Some(port) => u16::try_from(port).map_err(|_| invalid(name, port.to_string(), "a port")),
        };
        Ok(Ports {
            main: 0,
            tls: 0,
            admin: of("TIDEGATE_ADMIN_PORT", 8022)?,
            stats: of("TIDEGATE_STATS_PORT", 9090)?,
            profiling: of("PROFILING_PORT", 8008)?,
        })
    }
}

fn invalid(name: &'static str, value: String, wanted: &'static str) -> EnvError {
    EnvError::Invalid { name, value, wanted }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const REQUIRED: [(&str, &str); 13] = [
        ("CONTAINER_CONCURRENCY", "7"),
        ("QUEUE_SERVING_PORT", "8013"),
        ("QUEUE_SERVING_TLS_PORT", "8112"),
        ("USER_PORT", "8080"),
        ("REVISION_TIMEOUT_SECONDS", "300"),
        ("SERVING_LOGGING_CONFIG", "{}"),
        ("SERVING_LOGGING_LEVEL", ""),
        ("SERVING_NAMESPACE", "default"),
        ("SERVING_CONFIGURATION", "hello"),
        ("SERVING_REVISION", "hello-00001"),
        ("SERVING_POD", "hello-00001-abc"),
        ("SERVING_POD_IP", "10.0.0.7"),
        ("SYSTEM_NAMESPACE", "knative-serving"),
    ];

    fn read(changes: &[(&'static str, Option<&'static str>)]) -> Result<Env, EnvError> {
        let mut vars = HashMap::from(REQUIRED);
        for (name, value) in changes {
            match value {
                Some(value) => _ = vars.insert(name, value),
                None => _ = vars.remove(name),
            }
        }
        Env::read(|name| vars.get(name).map(|&value| value.to_owned()))
    }

    #[test]
    fn qp_67_what_the_controller_sets_is_read_and_the_rest_has_defaults() {
        let env = read(&[]).unwrap();
        assert_eq!(env.container_concurrency, 7);
        let ports = [
            env.ports.main,
            env.ports.tls,
            env.ports.admin,
            env.ports.stats,
            env.user_port,
        ];
        assert_eq!(ports, [8013, 8112, 8022, 9090, 8080]);
        assert_eq!(env.timeouts.request, Duration::from_secs(300));
        assert_eq!((env.timeouts.response_start, env.timeouts.idle), (None, None));
        assert!(env.probes.is_empty());
        assert_eq!(env.certificates.to_str(), Some("/var/lib/knative/certs"));
        assert_eq!(env.identity.service, "");
    }

    #[test]
    fn qp_67_each_required_variable_has_to_be_there() {
        for (name, _) in REQUIRED.iter().filter(|(name, _)| *name != "SYSTEM_NAMESPACE") {
            let error = read(&[(name, None)]).unwrap_err();
            assert_eq!(error.to_string(), format!("required key {name} missing value"));
        }
        for name in ["SERVING_LOGGING_CONFIG", "SERVING_POD_IP"] {
            assert!(read(&[(name, Some(""))]).is_ok(), "{name} may be empty");
        }
    }

    #[test]
    fn the_level_is_the_variables_or_else_the_configurations() {
        let check = |level, config, expected| {
            let said = [
                ("SERVING_LOGGING_LEVEL", Some(level)),
                ("SERVING_LOGGING_CONFIG", Some(config)),
            ];
            assert_eq!(read(&said).unwrap().log_level, expected, "{level} {config}");
        };
        check("debug", r#"{"level":"error"}"#, Level::Debug);
        check("", r#"{"level":"error","encoding":"json"}"#, Level::Error);
        check("", "{", Level::Info);
        check("loud", "", Level::Info);
    }

    #[test]
    fn qp_67_what_cannot_be_understood_is_named() {
        let check = |name, value, expected: &str| {
            let error = read(&[(name, Some(value))]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(expected), "{error}");
        };
        check("CONTAINER_CONCURRENCY", "", "a whole number");
        check("TIDEGATE_ADDRESS", "localhost", "an IP address");
        check("REVISION_IDLE_TIMEOUT_SECONDS", "1s", "a whole number");
        check("USER_PORT", "http", "a port");
        check("ENABLE_MULTI_CONTAINER_PROBES", "yes", "true or false");
        check("SERVING_READINESS_PROBE", "{", "failed to parse");
        check("OBSERVABILITY_CONFIG", "{", "EOF");
        assert_eq!(
            read(&[("CONTAINER_CONCURRENCY", Some("-1"))])
                .unwrap()
                .container_concurrency,
            0
        );
    }
}
