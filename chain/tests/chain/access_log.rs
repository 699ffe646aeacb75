//! Whom did an ingress send each request and stream to? Its access log says so, of those that failed as well.

use std::collections::HashMap;
use std::net::SocketAddr;

use envoy_types::pb::envoy::config::accesslog::v3::AccessLog;
use envoy_types::pb::envoy::config::accesslog::v3::access_log::ConfigType;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::config::core::v3::substitution_format_string::Format;
use envoy_types::pb::envoy::config::core::v3::{DataSource, SubstitutionFormatString};
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType as FilterConfig;
use envoy_types::pb::envoy::extensions::access_loggers::stream::v3::StdoutAccessLog;
use envoy_types::pb::envoy::extensions::access_loggers::stream::v3::stdout_access_log::AccessLogFormat;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};

/// To whom last, by number.
pub(crate) type Sent = HashMap<String, SocketAddr>;

/// How a line begins.
const MARK: &str = "sent ";

/// The listener, whose access log names who was sent to.
pub(crate) fn noted(listener: &[u8]) -> Vec<u8> {
    let mut listener = Listener::decode(listener).expect("what was encoded");
    let filters = listener
        .filter_chains
        .iter_mut()
        .flat_map(|chain| &mut chain.filters);
    for filter in filters {
        if let Some(FilterConfig::TypedConfig(config)) = &mut filter.config_type {
            let mut manager = HttpConnectionManager::decode(&*config.value).expect("what was encoded");
            manager.access_log.push(log());
            config.value = manager.encode_to_vec();
        }
    }
    listener.encode_to_vec()
}

fn log() -> AccessLog {
    let text = format!("{MARK}%REQ(X-ID)% %UPSTREAM_HOST%\n");
    let format = SubstitutionFormatString {
        format: Some(Format::TextFormatSource(DataSource {
            specifier: Some(Specifier::InlineString(text)),
            ..Default::default()
        })),
        ..Default::default()
    };
    let config = StdoutAccessLog {
        access_log_format: Some(AccessLogFormat::LogFormat(format)),
    };
    AccessLog {
        name: "envoy.access_loggers.stdout".to_owned(),
        config_type: Some(ConfigType::TypedConfig(Any {
            type_url: StdoutAccessLog::type_url(),
            value: config.encode_to_vec(),
        })),
        ..Default::default()
    }
}

/// What ingresses have noted in all that they wrote.
pub(crate) fn read(lines: &[String]) -> Sent {
    let noted = lines
        .iter()
        .filter_map(|line| line.strip_prefix(MARK)?.split_once(' '));
    let sent = noted.filter_map(|(number, address)| Some((number.to_owned(), address.parse().ok()?)));
    sent.collect()
}
