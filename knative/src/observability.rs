//! What is a sidecar told to log and measure? The form of `OBSERVABILITY_CONFIG` (Knative Serving `pkg/observability`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::go_duration;

mod sdk;

pub use sdk::{Listen, NoAddress};

/// The request log's template unless another is set.
pub const REQUEST_LOG_TEMPLATE: &str = r#"{"httpRequest": {"requestMethod": "{{.Request.Method}}", "requestUrl": "{{js .Request.RequestURI}}", "requestSize": "{{.Request.ContentLength}}", "status": {{.Response.Code}}, "responseSize": "{{.Response.Size}}", "userAgent": "{{js .Request.UserAgent}}", "remoteIp": "{{js .Request.RemoteAddr}}", "serverIp": "{{.Revision.PodIP}}", "referer": "{{js .Request.Referer}}", "latency": "{{.Response.Latency}}s", "protocol": "{{.Request.Proto}}"}, "traceId": "{{.TraceID}}"}"#;

/// What a program is told. By default it writes, measures and traces nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observability {
    /// The template of the request log; empty where there is none.
    pub request_log: String,
    /// Whether probes are logged too.
    pub logs_probes: bool,
    /// How a sidecar's numbers are exported.
    pub request_metrics: Export,
    /// How those of the other programs are.
    pub metrics: Export,
    /// How spans are exported.
    pub tracing: Export,
    /// About how many of a million requests are traced.
    pub sample_per_million: u32,
    /// Whether that is said of all requests: else a client's word on its trace counts more.
    pub overrules_clients: bool,
    /// Whether profiles may be taken.
    pub is_profiled: bool,
}

/// Where numbers or spans go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// By which protocol.
    pub protocol: Protocol,
    /// To whom, or where a listener listens; empty is the protocol's usual one.
    pub endpoint: String,
    /// How often numbers are sent; zero is as often as usual.
    pub interval: Duration,
}

/// How numbers or spans are exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Not at all.
    #[default]
    None,
    /// As text that Prometheus scrapes; numbers alone.
    Prometheus,
    /// On standard output; spans alone.
    Stdout,
    /// By OTLP over gRPC.
    Grpc,
    /// By OTLP over HTTP.
    Http,
}

/// A configuration that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum ObservabilityError {
    /// It is no JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A field is not what it should be.
    #[error("{field} has to be {wanted}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What it has to be.
        wanted: &'static str,
    },
}

impl Observability {
    /// Reads the JSON; an empty text is the default: nothing is logged, measured or traced.
    ///
    /// # Errors
    /// A text that cannot be understood.
    pub fn parse(text: &str) -> Result<Self, ObservabilityError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let Value::Object(fields) = serde_json::from_str(text)? else {
            return Err(wrong("it", "an object"));
        };
        let template = string(&fields, "requestLogTemplate")?;
        let template = template.unwrap_or(REQUEST_LOG_TEMPLATE);
        let request_log = if boolean(&fields, "enableRequestLog")? {
            template
        } else {
            ""
        };
        Ok(Self {
            request_log: request_log.to_owned(),
            logs_probes: boolean(&fields, "enableProbeRequestLog")?,
            request_metrics: export(&fields, "requestMetrics")?,
            metrics: export(&fields, "metrics")?,
            tracing: export(&fields, "tracing")?,
            sample_per_million: sampling(&fields)?,
            overrules_clients: false,
            is_profiled: profiling(&fields)?,
        })
    }

    /// Reads the ConfigMap `config-observability`.
    ///
    /// # Errors
    /// A value that cannot be understood.
    pub fn of_config_map(config: &BTreeMap<String, String>) -> Result<Self, ObservabilityError> {
        let text = |key: &str| config.get(key).map(String::as_str).unwrap_or_default();
        let truth = |key: &'static str| match text(key) {
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            _ => Err(wrong(key, "true or false")),
        };
        let export = |[protocol, endpoint, interval]: [&'static str; 3]| {
            let interval = match text(interval) {
                "" => Duration::ZERO,
                said => go_duration::parse(said).map_err(|_| wrong(interval, "a duration such as 30s"))?,
            };
            Ok::<_, ObservabilityError>(Export {
                protocol: self::protocol(protocol, text(protocol))?,
                endpoint: text(endpoint).to_owned(),
                interval,
            })
        };
        let template = config.get("logging.request-log-template").map(String::as_str);
        let is_logged = truth("logging.enable-request-log")?;
        Ok(Self {
            request_log: if is_logged {
                template.unwrap_or(REQUEST_LOG_TEMPLATE).to_owned()
            } else {
                String::new()
            },
            logs_probes: truth("logging.enable-probe-request-log")?,
            request_metrics: export(REQUEST_METRICS_KEYS)?,
            metrics: export(METRICS_KEYS)?,
            tracing: export(TRACING_KEYS)?,
            sample_per_million: match text("tracing-sampling-rate") {
                "" => 0,
                rate => per_million(
                    rate.parse()
                        .map_err(|_| wrong("tracing-sampling-rate", "a number from 0 to 1"))?,
                ),
            },
            overrules_clients: false,
            is_profiled: is_enabled("runtime-profiling", text("runtime-profiling"))?,
        })
    }
}

const REQUEST_METRICS_KEYS: [&str; 3] = [
    "request-metrics-protocol",
    "request-metrics-endpoint",
    "request-metrics-export-interval",
];
const METRICS_KEYS: [&str; 3] = ["metrics-protocol", "metrics-endpoint", "metrics-export-interval"];
/// Spans leave when they are there: there is no key for how often.
const TRACING_KEYS: [&str; 3] = ["tracing-protocol", "tracing-endpoint", ""];

/// The field of this name in any case, as Go finds it; null is not there.
fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let found = fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value).filter(|value| !value.is_null())
}

fn boolean(fields: &Map<String, Value>, name: &'static str) -> Result<bool, ObservabilityError> {
    match field(fields, name) {
        None => Ok(false),
        Some(value) => value.as_bool().ok_or(wrong(name, "true or false")),
    }
}

fn string<'a>(
    fields: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, ObservabilityError> {
    match field(fields, name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(wrong(name, "a text")),
    }
}

fn export(fields: &Map<String, Value>, name: &'static str) -> Result<Export, ObservabilityError> {
    let fields = match field(fields, name) {
        None => return Ok(Export::default()),
        Some(Value::Object(fields)) => fields,
        Some(_) => return Err(wrong(name, "an object")),
    };
    let endpoint = string(fields, "endpoint")?.unwrap_or_default().to_owned();
    let interval = match field(fields, "exportInterval") {
        None => 0,
        Some(nanos) => nanos
            .as_u64()
            .ok_or(wrong("exportInterval", "a number of nanoseconds"))?,
    };
    Ok(Export {
        protocol: protocol(name, string(fields, "protocol")?.unwrap_or_default())?,
        endpoint,
        interval: Duration::from_nanos(interval),
    })
}

fn protocol(name: &'static str, word: &str) -> Result<Protocol, ObservabilityError> {
    Ok(match word {
        "" | "none" => Protocol::None,
        "prometheus" => Protocol::Prometheus,
        "stdout" => Protocol::Stdout,
        "grpc" => Protocol::Grpc,
        "http/protobuf" => Protocol::Http,
        _ => return Err(wrong(name, "of a protocol that is known")),
    })
}

fn profiling(fields: &Map<String, Value>) -> Result<bool, ObservabilityError> {
    let said = field(fields, "runtime").and_then(|runtime| field(runtime.as_object()?, "profiling"));
    let Some(said) = said else { return Ok(false) };
    is_enabled("profiling", said.as_str().ok_or(wrong("profiling", "a text"))?)
}

fn is_enabled(name: &'static str, word: &str) -> Result<bool, ObservabilityError> {
    match word {
        "" | "disabled" => Ok(false),
        "enabled" => Ok(true),
        _ => Err(wrong(name, "enabled or disabled")),
    }
}

/// `samplingRate`, a share from 0 to 1.
fn sampling(fields: &Map<String, Value>) -> Result<u32, ObservabilityError> {
    let rate = field(fields, "tracing").and_then(|tracing| field(tracing.as_object()?, "samplingRate"));
    let Some(rate) = rate else { return Ok(0) };
    let rate = rate.as_f64().ok_or(wrong("samplingRate", "a number"))?;
    Ok(per_million(rate))
}

fn per_million(rate: f64) -> u32 {
    // Never negative, never above a million.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is clamped"
    )]
    let per_million = (rate.clamp(0.0, 1.0) * 1e6).round() as u32;
    per_million
}

fn wrong(field: &'static str, wanted: &'static str) -> ObservabilityError {
    ObservabilityError::Field { field, wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Observability {
        Observability::parse(text).unwrap()
    }

    #[test]
    fn what_is_not_said_is_off() {
        assert_eq!(parse(""), Observability::default());
        assert_eq!(
            parse(r#"{"tracing":{},"metrics":{},"runtime":{}}"#),
            Observability::default()
        );
        assert_eq!(parse(r#"{"requestLogTemplate":"a"}"#).request_log, "");
    }

    #[test]
    fn what_is_said_is_read_in_any_case() {
        let said = r#"{"tracing":{},"RequestMetrics":{"protocol":"http/protobuf","endpoint":"otel:55678","exportInterval":30000000000},
            "ENABLEREQUESTLOG":true,"enableProbeRequestLog":true}"#;
        let read = parse(said);
        let endpoint = "otel:55678".to_owned();
        assert_eq!(
            read.request_metrics,
            Export {
                protocol: Protocol::Http,
                endpoint,
                interval: Duration::from_secs(30),
            }
        );
        assert_eq!(
            (read.request_log.as_str(), read.logs_probes),
            (REQUEST_LOG_TEMPLATE, true)
        );
        let own = parse(r#"{"enableRequestLog":true,"requestLogTemplate":"{{.TraceID}}"}"#);
        assert_eq!(own.request_log, "{{.TraceID}}");
    }

    #[test]
    fn the_config_map_is_read_by_its_own_keys() {
        let read = |said: &[(&str, &str)]| {
            let said = said
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            Observability::of_config_map(&said.collect())
        };
        assert_eq!(read(&[("_example", "x")]).unwrap(), Observability::default());
        let said = read(&[
            ("logging.enable-request-log", "true"),
            ("metrics-protocol", "grpc"),
            ("metrics-endpoint", "otel:4317"),
            ("metrics-export-interval", "1m30s"),
            ("tracing-protocol", "stdout"),
            ("tracing-sampling-rate", "0.25"),
            ("runtime-profiling", "enabled"),
        ]);
        let said = said.unwrap();
        assert_eq!(said.request_log, REQUEST_LOG_TEMPLATE);
        assert_eq!(said.metrics.endpoint, "otel:4317");
        assert_eq!(said.metrics.interval, Duration::from_secs(90));
        assert_eq!(
            (said.tracing.protocol, said.sample_per_million),
            (Protocol::Stdout, 250_000)
        );
        assert!(said.is_profiled);
        for (key, value) in [
            ("metrics-protocol", "pigeon"),
            ("runtime-profiling", "yes"),
            ("logging.enable-request-log", "yes"),
            ("tracing-sampling-rate", "much"),
            ("metrics-export-interval", "30"),
        ] {
            let problem = read(&[(key, value)]).unwrap_err().to_string();
            assert!(problem.starts_with(key), "{problem}");
        }
    }

    #[test]
    fn the_share_of_what_is_traced_stays_in_its_bounds() {
        let check = |rate: &str, expected| {
            let said = format!(r#"{{"tracing":{{"samplingRate":{rate}}}}}"#);
            assert_eq!(parse(&said).sample_per_million, expected, "{rate}");
        };
        check("0.1", 100_000);
        check("7", 1_000_000);
        check("-1", 0);
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for text in [
            "{",
            "7",
            r#"{"tracing":7}"#,
            r#"{"requestMetrics":{"protocol":"carrier pigeon"}}"#,
        ] {
            assert!(Observability::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_usual_template_is_one_that_is_known_here() {
        assert!(crate::template::Template::parse(REQUEST_LOG_TEMPLATE).is_ok());
    }
}
