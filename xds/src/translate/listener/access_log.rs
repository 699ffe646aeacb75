//! `envoy.config.accesslog.v3.AccessLog`: what is written about requests, where to, and about which.

use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::config::accesslog::v3 as pb;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::FileAccessLog;
use envoy_types::pb::envoy::extensions::access_loggers::stream::v3 as stream;
use envoy_types::pb::google::protobuf::Any;
use http::header::HeaderName;
use pb::access_log::ConfigType;
use pb::access_log_filter::FilterSpecifier;
use pb::comparison_filter::Op;
use prost::Message as _;
use tidegate_proxy::observe::access_log::{AccessLog, Filter, Format, Target, ValueMatch};

use self::format::{of_file, of_string};
use crate::translate::any::{inner, type_name, unpack, unregistered};
use crate::translate::constraint::Rules;
use crate::translate::fraction::per_million;
use crate::translate::notes::Notes;
use crate::translate::{Context, Reject};

mod format;
mod sinks;

pub use sinks::Sinks;

/// The logs of a connection manager.
pub(super) fn logs(
    logs: &[pb::AccessLog],
    context: &Context,
    notes: &mut Notes,
) -> Result<Vec<AccessLog>, Reject> {
    let mut read = Vec::with_capacity(logs.len());
    for (index, log) in logs.iter().enumerate() {
        let one = notes.within(&format!("access_log[{index}]"), |notes| one(log, context, notes));
        read.extend(one?);
    }
    Ok(read)
}

/// The logs of admin endpoints, each encoded, and one in the default format at `path`, if there is any.
///
/// # Errors
/// When Envoy would refuse one.
pub fn of_admin(encoded: &[Bytes], path: &str, context: &Context) -> Result<Vec<AccessLog>, Reject> {
    let undecodable = |_| Reject::Message("an access log is not a message of its type".to_owned());
    let decoded: Result<Vec<_>, _> = encoded
        .iter()
        .map(|log| pb::AccessLog::decode(log.clone()).map_err(undecodable))
        .collect();
    let mut read = logs(&decoded?, context, &mut Notes::default())?;
    if !path.is_empty() {
        let target = Target::File(path.into());
        let sink = context.sinks.open(&target);
        let sink = sink.map_err(|error| unwritable(&target, &error))?;
        read.push(AccessLog::new(Format::default(), sink));
    }
    Ok(read)
}

fn one(log: &pb::AccessLog, context: &Context, notes: &mut Notes) -> Result<Option<AccessLog>, Reject> {
    let Some(ConfigType::TypedConfig(config)) = &log.config_type else {
        return Err(unregistered(&log.name, None));
    };
    let Some((target, format)) = output(&log.name, config, notes)? else {
        return Ok(None);
    };
    let sink = context
        .sinks
        .open(&target)
        .map_err(|error| unwritable(&target, &error))?;
    let written = AccessLog::new(format, sink);
    let filter = log
        .filter
        .as_ref()
        .and_then(|filter| filter.filter_specifier.as_ref());
    let filter = filter.and_then(|filter| notes.within("filter", |notes| condition(filter, notes)));
    Ok(Some(match filter {
        Some(filter) => written.only(filter),
        None => written,
    }))
}

fn unwritable(target: &Target, error: &std::io::Error) -> Reject {
    let path = match target {
        Target::File(path) => path.display().to_string(),
        Target::Stdout => "/dev/stdout".to_owned(),
        Target::Stderr => "/dev/stderr".to_owned(),
    };
    let text = error.to_string();
    let why = text.split(" (os error").next().unwrap_or(&text);
    Reject::Resource(format!("unable to open file '{path}': {why}"))
}

/// Where a log goes, and what it says; `None` where it goes somewhere that is not known here.
fn output(name: &str, config: &Any, notes: &mut Notes) -> Result<Option<(Target, Format)>, Reject> {
    Ok(Some(match type_name(config) {
        FILE => {
            let file: FileAccessLog = unpack(config)?;
            inner(Rules::of("FileAccessLog").not_empty("Path", &file.path))?;
            let target = match file.path.as_str() {
                "/dev/stdout" => Target::Stdout,
                "/dev/stderr" => Target::Stderr,
                path => Target::File(path.into()),
            };
            (target, of_file(file.access_log_format.as_ref(), notes)?)
        }
        STDOUT => {
            let log: stream::StdoutAccessLog = unpack(config)?;
            let format = log
                .access_log_format
                .map(|stream::stdout_access_log::AccessLogFormat::LogFormat(format)| format);
            (Target::Stdout, of_string(format.as_ref(), notes)?)
        }
        STDERR => {
            let log: stream::StderrAccessLog = unpack(config)?;
            let format = log
                .access_log_format
                .map(|stream::stderr_access_log::AccessLogFormat::LogFormat(format)| format);
            (Target::Stderr, of_string(format.as_ref(), notes)?)
        }
        of if OTHERS.contains(&of) => {
            notes.add("", format!("{of} has no effect"));
            return Ok(None);
        }
        _ => return Err(unregistered(name, Some(config))),
    }))
}

const FILE: &str = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
const STDOUT: &str = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";
const STDERR: &str = "envoy.extensions.access_loggers.stream.v3.StderrAccessLog";
const OTHERS: [&str; 7] = [
    "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
    "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig",
    "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
    "envoy.extensions.access_loggers.fluentd.v3.FluentdAccessLogConfig",
    "envoy.extensions.access_loggers.wasm.v3.WasmAccessLog",
    "envoy.extensions.access_loggers.dynamic_modules.v3.DynamicModuleAccessLog",
    "envoy.extensions.access_loggers.stats.v3.Config",
];

/// Which requests a log speaks of; `None` for all, also where that cannot be said here.
fn condition(filter: &FilterSpecifier, notes: &mut Notes) -> Option<Filter> {
    let unknown = |notes: &mut Notes, what: &str| {
        notes.add("", format!("{what} is not known: every request is logged"));
        None
    };
    match filter {
        FilterSpecifier::StatusCodeFilter(filter) => {
            let (op, value) = comparison(filter.comparison.as_ref());
            let at_least = |value: u32| Filter::StatusAtLeast(u16::try_from(value).unwrap_or(u16::MAX));
            Some(compared(op, value, at_least))
        }
        FilterSpecifier::DurationFilter(filter) => {
            let (op, value) = comparison(filter.comparison.as_ref());
            let at_least = |value: u32| Filter::DurationAtLeast(Duration::from_millis(u64::from(value)));
            Some(compared(op, value, at_least))
        }
        FilterSpecifier::RuntimeFilter(filter) => filter
            .percent_sampled
            .map(|share| Filter::Sample(per_million(share))),
        FilterSpecifier::ResponseFlagFilter(filter) => {
            let flags = filter.flags.iter().map(|flag| flag.as_str().into());
            Some(Filter::Flag(flags.collect()))
        }
        FilterSpecifier::AndFilter(filter) => {
            let all = filter
                .filters
                .iter()
                .filter_map(|filter| filter.filter_specifier.as_ref());
            Some(Filter::All(
                all.filter_map(|filter| condition(filter, notes)).collect(),
            ))
        }
        FilterSpecifier::OrFilter(filter) => {
            let any = filter
                .filters
                .iter()
                .filter_map(|filter| filter.filter_specifier.as_ref());
            let any: Vec<_> = any.map(|filter| condition(filter, notes)).collect();
            // Where one of them lets everything through, so do all together.
            any.into_iter().collect::<Option<Vec<_>>>().map(Filter::Any)
        }
        FilterSpecifier::HeaderFilter(filter) => {
            let header = filter.header.as_ref().and_then(header);
            header.or_else(|| unknown(notes, "this condition on a header"))
        }
        FilterSpecifier::NotHealthCheckFilter(_) => unknown(notes, "not_health_check_filter"),
        FilterSpecifier::TraceableFilter(_) => unknown(notes, "traceable_filter"),
        FilterSpecifier::GrpcStatusFilter(_) => unknown(notes, "grpc_status_filter"),
        FilterSpecifier::ExtensionFilter(_) => unknown(notes, "extension_filter"),
        FilterSpecifier::MetadataFilter(_) => unknown(notes, "metadata_filter"),
        FilterSpecifier::LogTypeFilter(_) => unknown(notes, "log_type_filter"),
    }
}

fn comparison(comparison: Option<&pb::ComparisonFilter>) -> (Op, u32) {
    let value = comparison.and_then(|comparison| comparison.value.as_ref());
    let op = comparison.map_or(Op::Eq, pb::ComparisonFilter::op);
    (op, value.map_or(0, |value| value.default_value))
}

fn compared(op: Op, value: u32, at_least: impl Fn(u32) -> Filter) -> Filter {
    let above = || at_least(value.saturating_add(1));
    let equal = || Filter::All(vec![at_least(value), Filter::Not(Box::new(above()))]);
    match op {
        Op::Ge => at_least(value),
        Op::Le => Filter::Not(Box::new(above())),
        Op::Eq => equal(),
        Op::Ne => Filter::Not(Box::new(equal())),
    }
}

/// A condition on one field, as far as it is about being there, a value or how that begins.
fn header(matcher: &envoy_types::pb::envoy::config::route::v3::HeaderMatcher) -> Option<Filter> {
    use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier as Kind;
    use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
    let name = HeaderName::try_from(matcher.name.as_str()).ok()?;
    let value = match &matcher.header_match_specifier {
        None | Some(Kind::PresentMatch(true)) => ValueMatch::Present,
        Some(Kind::StringMatch(text)) if !text.ignore_case => match &text.match_pattern {
            Some(MatchPattern::Exact(text)) => ValueMatch::Exact(text.as_str().into()),
            Some(MatchPattern::Prefix(text)) => ValueMatch::Prefix(text.as_str().into()),
            _ => return None,
        },
        Some(_) => return None,
    };
    let filter = Filter::RequestField(name, value);
    Some(if matcher.invert_match {
        Filter::Not(Box::new(filter))
    } else {
        filter
    })
}

#[cfg(test)]
mod tests;
