//! What do the variables of OpenTelemetry's SDK, and those of Knative's Prometheus listener, change about exports?

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::{Export, Observability, Protocol, per_million};

/// Where a listener for Prometheus listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// On this address; none is every one.
    pub host: Option<IpAddr>,
    /// On this port.
    pub port: u16,
}

/// A place where nobody can listen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the metrics' endpoint {0:?} is no address and port")]
pub struct NoAddress(String);

/// Of a million requests.
const ALL: u32 = 1_000_000;

impl Observability {
    /// What it comes to with these variables: the SDK's win. Endpoints are URLs then.
    #[must_use]
    pub fn heeding(self, get: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let interval = get("OTEL_METRIC_EXPORT_INTERVAL").and_then(|millis| millis.parse().ok());
        let metrics = |export: Export| {
            let export = resolved(export, ("METRICS", "/v1/metrics"), &get);
            Export {
                interval: interval.map_or(export.interval, Duration::from_millis),
                ..export
            }
        };
        let argument = || get("OTEL_TRACES_SAMPLER_ARG");
        let (sampled, overrules_clients) = match get("OTEL_TRACES_SAMPLER") {
            Some(sampler) => sampling(&sampler, argument),
            // Whoever looks at standard output, or wants every request, wants to see all.
            None if self.tracing.protocol == Protocol::Stdout || self.sample_per_million >= ALL => {
                (ALL, true)
            }
            None => (self.sample_per_million, self.sample_per_million == 0),
        };
        Self {
            request_metrics: metrics(self.request_metrics),
            metrics: metrics(self.metrics),
            tracing: resolved(self.tracing, ("TRACES", "/v1/traces"), &get),
            sample_per_million: sampled,
            overrules_clients,
            ..self
        }
    }

    /// Whether no request is traced, whoever it comes from.
    #[must_use]
    pub fn samples_nothing(&self) -> bool {
        self.sample_per_million == 0 && self.overrules_clients
    }
}

/// How many of a million a sampler of the SDK's takes, and whether it leaves clients no say (`sdk/trace/sampler_env.go` in Go's).
/// What is wrong about a ratio makes it one, and a name that is none is what the SDK does without a name.
fn sampling(sampler: &str, argument: impl Fn() -> Option<String>) -> (u32, bool) {
    let ratio = || {
        let ratio = argument().and_then(|ratio| ratio.trim().parse().ok());
        per_million(ratio.filter(|ratio| (0.0..=1.0).contains(ratio)).unwrap_or(1.0))
    };
    match sampler.trim().to_ascii_lowercase().as_str() {
        "always_on" => (ALL, true),
        "always_off" => (0, true),
        "traceidratio" => (ratio(), true),
        "parentbased_always_off" => (0, false),
        "parentbased_traceidratio" => (ratio(), false),
        _ => (ALL, false),
    }
}

impl Listen {
    /// By an endpoint such as `:9091` or `127.0.0.1:9091`, on `usual` where it is empty; the variables
    /// `METRICS_PROMETHEUS_HOST` and `METRICS_PROMETHEUS_PORT` win.
    ///
    /// # Errors
    /// What is no address and port.
    pub fn at(endpoint: &str, usual: u16, get: impl Fn(&str) -> Option<String>) -> Result<Self, NoAddress> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let wrong = |what: &str| NoAddress(what.to_owned());
        let (host, port) = match endpoint {
            "" => ("", usual.to_string()),
            endpoint => {
                let (host, port) = endpoint.rsplit_once(':').ok_or_else(|| wrong(endpoint))?;
                (host, port.to_owned())
            }
        };
        let host = get("METRICS_PROMETHEUS_HOST").unwrap_or_else(|| host.to_owned());
        let port = get("METRICS_PROMETHEUS_PORT").unwrap_or(port);
        Ok(Self {
            host: match host.trim_matches(['[', ']']) {
                "" => None,
                "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
                host => Some(host.parse().map_err(|_| wrong(host))?),
            },
            port: port.parse().map_err(|_| wrong(&port))?,
        })
    }
}

/// The endpoint as a URL. Without a scheme it is one over TLS (Knative `pkg:observability/metrics/provider.go`).
fn resolved(export: Export, (signal, path): (&str, &str), get: &impl Fn(&str) -> Option<String>) -> Export {
    if !matches!(export.protocol, Protocol::Grpc | Protocol::Http) {
        return export;
    }
    let of_signal = get(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"));
    let of_all = get("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| match export.protocol {
        Protocol::Http => format!("{}{path}", base.trim_end_matches('/')),
        _ => base,
    });
    let endpoint = of_signal.or(of_all).unwrap_or(export.endpoint);
    let endpoint = if endpoint.contains("://") {
        endpoint
    } else {
        format!("https://{endpoint}")
    };
    Export { endpoint, ..export }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heeding(export: Export, variables: &[(&str, &str)]) -> Observability {
        let said = Observability {
            metrics: export.clone(),
            tracing: export,
            sample_per_million: 7,
            ..Observability::default()
        };
        said.heeding(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_sdks_variables_win() {
        let export = Export {
            protocol: Protocol::Http,
            endpoint: "otel:4318".to_owned(),
            interval: Duration::from_secs(1),
        };
        let check = |variables: &[(&str, &str)], metrics: &str, tracing: &str| {
            let heeded = heeding(export.clone(), variables);
            assert_eq!(
                (&*heeded.metrics.endpoint, &*heeded.tracing.endpoint),
                (metrics, tracing)
            );
        };
        check(&[], "https://otel:4318", "https://otel:4318");
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:1/");
        check(&[all], "http://all:1/v1/metrics", "http://all:1/v1/traces");
        let one = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://one:1");
        check(&[all, one], "http://one:1", "http://all:1/v1/traces");
        let heeded = heeding(export, &[("OTEL_METRIC_EXPORT_INTERVAL", "20")]);
        assert_eq!(heeded.metrics.interval, Duration::from_millis(20));
    }

    #[test]
    fn only_who_wants_a_part_heeds_what_clients_say() {
        let check = |protocol, sample_per_million, sampler: &str, expected| {
            let said = Observability {
                tracing: Export {
                    protocol,
                    ..Export::default()
                },
                sample_per_million,
                ..Observability::default()
            };
            let heeded = said.heeding(|name| (name == "OTEL_TRACES_SAMPLER").then(|| sampler.to_owned()));
            assert_eq!(heeded.overrules_clients, expected, "{sampler}");
        };
        check(Protocol::Grpc, 0, "", true);
        check(Protocol::Grpc, ALL - 1, "", false);
        check(Protocol::Grpc, ALL, "", true);
        check(Protocol::Stdout, 7, "", true);
        check(Protocol::Grpc, ALL, "parentbased_always_on", false);
        check(Protocol::Stdout, ALL, "parentbased_traceidratio", false);
    }

    #[test]
    fn a_sampler_is_what_gos_sdk_makes_of_its_name_and_argument() {
        let check = |sampler: &str, argument: Option<&str>, expected| {
            let made = sampling(sampler, || argument.map(str::to_owned));
            assert_eq!(made, expected, "{sampler} {argument:?}");
        };
        check("always_on", None, (ALL, true));
        check(" Always_Off ", Some("1"), (0, true));
        check("traceidratio", Some(" 0.25 "), (250_000, true));
        check("traceidratio", None, (ALL, true));
        check("traceidratio", Some("0"), (0, true));
        check("parentbased_always_on", Some("0.5"), (ALL, false));
        check("parentbased_always_off", None, (0, false));
        check("parentbased_traceidratio", Some("0.5"), (500_000, false));
        for wrong in ["much", "-0.5", "1.5", "nan"] {
            check("traceidratio", Some(wrong), (ALL, true));
            check("parentbased_traceidratio", Some(wrong), (ALL, false));
        }
        check("jaeger_remote", Some("0.5"), (ALL, false));
    }

    #[test]
    fn nothing_is_sampled_where_neither_the_share_nor_a_client_has_it() {
        let check = |sampler: &str, expected| {
            let said = Observability::default();
            let heeded = said.heeding(|name| (name == "OTEL_TRACES_SAMPLER").then(|| sampler.to_owned()));
            assert_eq!(heeded.samples_nothing(), expected, "{sampler}");
        };
        check("", true);
        check("always_off", true);
        check("parentbased_always_off", false);
        check("parentbased_always_on", false);
    }

    #[test]
    fn the_sampler_is_the_sdks_where_it_is_set() {
        let check = |protocol, variables: &[(&str, &str)], expected| {
            let export = Export {
                protocol,
                ..Export::default()
            };
            assert_eq!(
                heeding(export, variables).sample_per_million,
                expected,
                "{variables:?}"
            );
        };
        let ratio = [
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
        ];
        check(Protocol::Grpc, &[], 7);
        check(Protocol::Grpc, &[("OTEL_TRACES_SAMPLER_ARG", "1")], 7);
        check(Protocol::Grpc, &ratio, 500_000);
        check(Protocol::Grpc, &[("OTEL_TRACES_SAMPLER", "always_off")], 0);
        check(Protocol::Stdout, &[], 1_000_000);
    }

    #[test]
    fn numbers_are_shown_where_the_operator_says() {
        let none = |_: &str| None;
        let check = |endpoint: &str, host: Option<[u8; 4]>, port| {
            let host = host.map(IpAddr::from);
            assert_eq!(Listen::at(endpoint, 9091, none), Ok(Listen { host, port }));
        };
        check("", None, 9091);
        check(":9464", None, 9464);
        check("127.0.0.1:1", Some([127, 0, 0, 1]), 1);
        assert!(Listen::at("here", 9091, none).is_err());
        let said = |name: &str| (name == "METRICS_PROMETHEUS_PORT").then(|| "7".to_owned());
        assert_eq!(Listen::at("", 9091, said), Ok(Listen { host: None, port: 7 }));
    }
}
