//! How probes are read, completed and checked.

use super::field::Field;
use super::fields::Fields;
use crate::object::{HttpHeader, PortRef, Probe, ProbeHandler, Scheme};

/// What a probe without thresholds gets from Kubernetes.
const KUBERNETES_PERIOD_SECONDS: u32 = 10;
const TIMEOUT_SECONDS: u32 = 1;
const SUCCESS_THRESHOLD: u32 = 1;
const FAILURE_THRESHOLD: u32 = 3;

/// The readiness probe of a serving container that has none: a connection, tried as fast as possible.
pub(super) fn default_readiness() -> Probe {
    Probe {
        handler: ProbeHandler::TcpSocket {
            port: PortRef::default(),
            host: None,
        },
        initial_delay_seconds: 0,
        timeout_seconds: 0,
        period_seconds: 0,
        success_threshold: SUCCESS_THRESHOLD,
        failure_threshold: 0,
    }
}

/// The readiness probe of a container; on a serving container one without a handler connects (Knative's defaults).
pub(super) fn readiness(field: &Field<'_>, port_name: &str, fallback: Option<ProbeHandler>) -> Option<Probe> {
    let mut probe = decode(field, port_name, fallback)?;
    let or = |value: u32, default: u32| if value == 0 { default } else { value };
    probe.success_threshold = or(probe.success_threshold, SUCCESS_THRESHOLD);
    if probe.period_seconds > 0 {
        probe.timeout_seconds = or(probe.timeout_seconds, TIMEOUT_SECONDS);
        probe.failure_threshold = or(probe.failure_threshold, FAILURE_THRESHOLD);
        return Some(probe);
    }
    for (name, value) in [
        ("failureThreshold", probe.failure_threshold),
        ("timeoutSeconds", probe.timeout_seconds),
    ] {
        if value > 0 {
            let message = format!("{name} is disallowed when periodSeconds is zero");
            field.refuse_below(&[name], message, "set periodSeconds, or remove it");
        }
    }
    Some(probe)
}

/// A liveness or startup probe, with Kubernetes' defaults.
pub(super) fn other(field: &Field<'_>, port_name: &str) -> Option<Probe> {
    let mut probe = decode(field, port_name, None)?;
    let or = |value: u32, default: u32| if value == 0 { default } else { value };
    probe.period_seconds = or(probe.period_seconds, KUBERNETES_PERIOD_SECONDS);
    probe.timeout_seconds = or(probe.timeout_seconds, TIMEOUT_SECONDS);
    probe.success_threshold = or(probe.success_threshold, SUCCESS_THRESHOLD);
    probe.failure_threshold = or(probe.failure_threshold, FAILURE_THRESHOLD);
    if probe.success_threshold != SUCCESS_THRESHOLD {
        let message = format!("expected 1 <= {} <= 1", probe.success_threshold);
        field.refuse_below(
            &["successThreshold"],
            message,
            "only a readiness probe may ask for more",
        );
    }
    Some(probe)
}

fn decode(field: &Field<'_>, port_name: &str, fallback: Option<ProbeHandler>) -> Option<Probe> {
    let mut fields = field.fields()?;
    let mut handlers: Vec<Option<ProbeHandler>> = Vec::new();
    if let Some(field) = fields.take("httpGet") {
        handlers.push(http_get(&field, port_name));
    }
    if let Some(field) = fields.take("tcpSocket") {
        handlers.push(tcp_socket(&field, port_name));
    }
    if let Some(field) = fields.take("grpc") {
        handlers.push(grpc(&field));
    }
    if let Some(field) = fields.take("exec") {
        handlers.push(exec(&field));
    }
    let mut seconds = |name| fields.take(name).and_then(|field| field.unsigned()).unwrap_or(0);
    let (initial_delay_seconds, timeout_seconds) =
        (seconds("initialDelaySeconds"), seconds("timeoutSeconds"));
    let (period_seconds, success_threshold) = (seconds("periodSeconds"), seconds("successThreshold"));
    let failure_threshold = seconds("failureThreshold");
    fields.finish();
    if handlers.len() > 1 {
        field.refuse(
            "expected exactly one, got both",
            "keep one of httpGet, tcpSocket, grpc and exec",
        );
    }
    let handler = match handlers.pop() {
        Some(handler) => handler?,
        None => fallback.or_else(|| {
            field.refuse(
                "expected exactly one, got neither: httpGet, tcpSocket, exec, grpc",
                "say how to probe",
            );
            None
        })?,
    };
    Some(Probe {
        handler,
        initial_delay_seconds,
        timeout_seconds,
        period_seconds,
        success_threshold,
        failure_threshold,
    })
}

fn http_get(field: &Field<'_>, port_name: &str) -> Option<ProbeHandler> {
    let mut fields = field.fields()?;
    let port = port(&mut fields, port_name);
    let path = fields.text("path").unwrap_or_default();
    let host = fields.text("host").filter(|host| !host.is_empty());
    let scheme = fields
        .take("scheme")
        .and_then(|field| scheme(&field))
        .unwrap_or_default();
    let headers = fields
        .take("httpHeaders")
        .map(|field| field.items())
        .unwrap_or_default();
    let http_headers = headers.iter().filter_map(header).collect();
    fields.finish();
    Some(ProbeHandler::HttpGet {
        path,
        port: port?,
        host,
        scheme,
        http_headers,
    })
}

fn scheme(field: &Field<'_>) -> Option<Scheme> {
    match field.text()?.as_str() {
        "" | "HTTP" => Some(Scheme::Http),
        "HTTPS" => Some(Scheme::Https),
        other => {
            field.refuse_value(other, "expected HTTP or HTTPS");
            None
        }
    }
}

fn header(item: &Field<'_>) -> Option<HttpHeader> {
    let mut fields = item.fields()?;
    let name = fields.require_text("name", "name the header");
    let value = fields
        .require("value", "give the header a value")
        .and_then(|field| field.text());
    fields.finish();
    let header = HttpHeader {
        name: name?,
        value: value?,
    };
    if header.name.bytes().any(|b| !is_token_byte(b)) || header.value.bytes().any(|b| b.is_ascii_control()) {
        item.refuse_value(
            format!("{}: {}", header.name, header.value),
            "write one HTTP header",
        );
    }
    Some(header)
}

/// RFC 9110 §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn tcp_socket(field: &Field<'_>, port_name: &str) -> Option<ProbeHandler> {
    let mut fields = field.fields()?;
    let port = port(&mut fields, port_name);
    let host = fields.text("host").filter(|host| !host.is_empty());
    fields.finish();
    Some(ProbeHandler::TcpSocket { port: port?, host })
}

fn grpc(field: &Field<'_>) -> Option<ProbeHandler> {
    let mut fields = field.fields()?;
    let port = fields.take("port").map(|field| port_number(&field));
    let service = fields.text("service").unwrap_or_default();
    fields.finish();
    Some(ProbeHandler::Grpc {
        port: PortRef::Number(port.unwrap_or(Some(0))?),
        service,
    })
}

fn exec(field: &Field<'_>) -> Option<ProbeHandler> {
    let mut fields = field.fields()?;
    let command = fields
        .take("command")
        .map(|field| field.texts())
        .unwrap_or_default();
    if command.is_empty() {
        fields.missing("command", "write the program and its arguments");
    }
    fields.finish();
    Some(ProbeHandler::Exec { command })
}

/// The port of a probe; a name has to be that of the container's port.
fn port(fields: &mut Fields<'_>, port_name: &str) -> Option<PortRef> {
    let Some(field) = fields.take("port") else {
        return Some(PortRef::default());
    };
    if !field.is_text() {
        return port_number(&field).map(PortRef::Number);
    }
    let name = field.text()?;
    if !name.is_empty() && name != port_name {
        field.refuse_value(
            &name,
            &format!("probe port must match container port, which is named {port_name:?}"),
        );
    }
    Some(PortRef::Name(name))
}

fn port_number(field: &Field<'_>) -> Option<u16> {
    u16::try_from(field.integer(0..=i64::from(u16::MAX))?).ok()
}
