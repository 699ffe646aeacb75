//! How errors of the proxy look to clients: Envoy's texts, and what `local_reply_config` makes of them.
//!
//! Which error a mapper is about is decided here, once: whether a status or a flag fits is known of each kind of error.

use bytes::Bytes;
use envoy_types::pb::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier;
use envoy_types::pb::envoy::config::accesslog::v3::comparison_filter::Op;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::config::core::v3::substitution_format_string::Format;
use envoy_types::pb::envoy::config::core::v3::{DataSource, SubstitutionFormatString};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as pb;
use envoy_types::pb::google::protobuf::value::Kind as ValueKind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use http::{HeaderName, HeaderValue, StatusCode};
use pb::{LocalReplyConfig, ResponseMapper};
use tidegate_proxy::config::manners::{LocalReplies, LocalReply};
use tidegate_proxy::error::Kind;

use crate::translate::Reject;
use crate::translate::any::inner;
use crate::translate::constraint::Rules;
use crate::translate::notes::Notes;

const RESET: &str = "upstream connect error or disconnect/reset before headers. reset reason: ";

/// The status and the text of each kind of error that Envoy words in its own way; the others are ours alone.
fn envoys(kind: Kind) -> Option<(u16, String)> {
    let reset = |status, reason: &str| Some((status, format!("{RESET}{reason}")));
    let text = |status, text: &str| Some((status, text.to_owned()));
    match kind {
        Kind::BadRequest | Kind::ExpectationFailed => text(400, "Bad Request"),
        Kind::HeadTooLarge | Kind::TargetTooLong => text(431, "Request Header Fields Too Large"),
        Kind::CodingUnknown => text(501, "Not Implemented"),
        Kind::VersionRefused => text(426, "Upgrade Required"),
        Kind::RequestIncomplete => text(408, "request timeout"),
        Kind::BodyTooLarge => text(413, "Payload Too Large"),
        Kind::UpgradeRefused => text(403, ""),
        Kind::RateLimited => text(429, "local_rate_limited"),
        Kind::AuthorizationFailed => text(403, ""),
        Kind::ConnectRefused | Kind::NoRoute => text(404, ""),
        Kind::Overloaded => text(503, "envoy overloaded"),
        Kind::ClusterMissing => text(503, ""),
        Kind::NoHealthyUpstream => text(503, "no healthy upstream"),
        Kind::BreakerOpen => reset(503, "overflow"),
        Kind::ConnectFailed => reset(503, "remote connection failure"),
        Kind::ConnectTimeout => reset(503, "connection timeout"),
        Kind::UpstreamTls => reset(
            503,
            "remote connection failure, transport failure reason: TLS_error",
        ),
        Kind::StreamRefused => reset(503, "remote refused stream reset"),
        Kind::UpstreamReset => reset(503, "connection termination"),
        Kind::UpstreamProtocol => reset(502, "protocol error"),
        Kind::RequestTimeout | Kind::PerTryTimeout | Kind::ResponseStartTimeout => {
            text(504, "upstream request timeout")
        }
        Kind::StreamTooLong => text(504, "downstream duration timeout"),
        Kind::IdleTimeout => text(504, "stream timeout"),
        _ => None,
    }
}

const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// How errors look under this configuration.
pub(super) fn replies(config: Option<&LocalReplyConfig>, notes: &mut Notes) -> Result<LocalReplies, Reject> {
    let mut replies = LocalReplies::default();
    let mappers = config.map(|config| config.mappers.as_slice()).unwrap_or_default();
    let filtered = Rules::of("LocalReplyConfig").each("Mappers", mappers, |mapper| {
        Rules::of("ResponseMapper").required("Filter", mapper.filter.as_ref(), |_| Ok(()))
    });
    inner(Rules::of("HttpConnectionManager").within("LocalReplyConfig", filtered))?;
    for (index, mapper) in mappers.iter().enumerate() {
        let filter = mapper
            .filter
            .as_ref()
            .and_then(|filter| filter.filter_specifier.as_ref());
        if filter.is_none_or(|filter| !is_of_kind(filter)) {
            let field = format!("local_reply_config.mappers[{index}]");
            notes.add(&field, "its filter looks at the request: it has no effect");
        }
    }
    let format = config.and_then(|config| config.body_format.as_ref());
    for kind in Kind::ALL {
        let ours = envoys(*kind);
        let status = ours
            .as_ref()
            .map_or(kind.row().status, |(status, _)| of_code(*status));
        let mut reply = LocalReply {
            status: Some(status),
            text: ours.map(|(_, text)| text.into()),
            ..LocalReply::default()
        };
        if matches!(kind, Kind::BreakerOpen | Kind::QueueFull) {
            reply.fields.insert(OVERLOADED, TRUE);
        }
        let found = mappers
            .iter()
            .enumerate()
            .find(|(_, mapper)| fits(mapper, *kind, status));
        if let Some((index, mapper)) = found {
            notes.within(&format!("local_reply_config.mappers[{index}]"), |notes| {
                map(&mut reply, mapper, notes);
            });
        }
        let own = found.and_then(|(_, mapper)| mapper.body_format_override.as_ref());
        if let Some(format) = own.or(format) {
            notes.within("local_reply_config", |notes| {
                shape(&mut reply, *kind, format, notes);
            });
        }
        replies.set(*kind, reply);
    }
    Ok(replies)
}

fn of_code(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Whether a filter is one about the status or the flag of a response, which are known of each kind of error.
fn is_of_kind(filter: &FilterSpecifier) -> bool {
    let all = |filters: &[envoy_types::pb::envoy::config::accesslog::v3::AccessLogFilter]| {
        let mut each = filters.iter().map(|filter| filter.filter_specifier.as_ref());
        each.all(|filter| filter.is_some_and(is_of_kind))
    };
    match filter {
        FilterSpecifier::StatusCodeFilter(_) | FilterSpecifier::ResponseFlagFilter(_) => true,
        FilterSpecifier::AndFilter(filter) => all(&filter.filters),
        FilterSpecifier::OrFilter(filter) => all(&filter.filters),
        _ => false,
    }
}

fn fits(mapper: &ResponseMapper, kind: Kind, status: StatusCode) -> bool {
    let filter = mapper
        .filter
        .as_ref()
        .and_then(|filter| filter.filter_specifier.as_ref());
    filter.is_some_and(|filter| is_of_kind(filter) && holds(filter, kind, status))
}

fn holds(filter: &FilterSpecifier, kind: Kind, status: StatusCode) -> bool {
    let one = |filter: &envoy_types::pb::envoy::config::accesslog::v3::AccessLogFilter| {
        let filter = filter.filter_specifier.as_ref();
        filter.is_some_and(|filter| holds(filter, kind, status))
    };
    match filter {
        FilterSpecifier::StatusCodeFilter(filter) => {
            let Some(comparison) = &filter.comparison else {
                return false;
            };
            let value = comparison.value.as_ref().map_or(0, |value| value.default_value);
            let status = u32::from(status.as_u16());
            match comparison.op() {
                Op::Eq => status == value,
                Op::Ge => status >= value,
                Op::Le => status <= value,
                Op::Ne => status != value,
            }
        }
        FilterSpecifier::ResponseFlagFilter(filter) => {
            let flag = kind.row().flag;
            flag != "-" && (filter.flags.is_empty() || filter.flags.iter().any(|wanted| wanted == flag))
        }
        FilterSpecifier::AndFilter(filter) => filter.filters.iter().all(one),
        FilterSpecifier::OrFilter(filter) => filter.filters.iter().any(one),
        _ => false,
    }
}

/// Makes of a reply what its mapper says.
fn map(reply: &mut LocalReply, mapper: &ResponseMapper, notes: &mut Notes) {
    if let Some(status) = mapper.status_code.and_then(|code| u16::try_from(code.value).ok()) {
        reply.status = Some(of_code(status));
    }
    if let Some(body) = &mapper.body {
        match text_of(body) {
            Some(text) => reply.text = Some(text),
            None => notes.add("body", "it is read from nowhere: it has no effect"),
        }
    }
    for option in &mapper.headers_to_add {
        let header = option.header.as_ref();
        let field = header.and_then(|header| {
            let name = HeaderName::try_from(header.key.as_str()).ok()?;
            Some((name, HeaderValue::try_from(header.value.as_str()).ok()?))
        });
        match field.filter(|(_, value)| !value.as_bytes().contains(&b'%')) {
            Some((name, value)) => _ = reply.fields.append(name, value),
            None => notes.add("headers_to_add", "a value with commands has no effect"),
        }
    }
}

fn text_of(body: &DataSource) -> Option<Bytes> {
    match &body.specifier {
        Some(Specifier::InlineString(text)) => Some(Bytes::from(text.clone().into_bytes())),
        Some(Specifier::InlineBytes(bytes)) => Some(Bytes::from(bytes.clone())),
        Some(Specifier::Filename(_) | Specifier::EnvironmentVariable(_)) | None => None,
    }
}

/// Writes the body as a format has it, of which two commands are known before there is a request.
fn shape(reply: &mut LocalReply, kind: Kind, format: &SubstitutionFormatString, notes: &mut Notes) {
    let text = reply.text.clone().unwrap_or_else(|| kind.row().text.into());
    let mut filling = Filling {
        text: &String::from_utf8_lossy(&text),
        status: reply.status.unwrap_or(kind.row().status).as_u16(),
        lacks: false,
    };
    let (shaped, content_type) = match &format.format {
        Some(Format::TextFormatSource(source)) => {
            let template = text_of(source).unwrap_or_default();
            (filling.text(&String::from_utf8_lossy(&template)), "text/plain")
        }
        Some(Format::TextFormat(template)) => (filling.text(template), "text/plain"),
        Some(Format::JsonFormat(members)) => (format!("{}\n", filling.object(members)), "application/json"),
        None => {
            notes.add("body_format", "it has no effect");
            return;
        }
    };
    if filling.lacks {
        notes.add(
            "body_format",
            "only LOCAL_REPLY_BODY and RESPONSE_CODE are known: what others say is not there",
        );
    }
    reply.text = Some(shaped.into());
    let content_type = if format.content_type.is_empty() {
        content_type
    } else {
        format.content_type.as_str()
    };
    reply.content_type = HeaderValue::try_from(content_type).ok();
}

/// What is put in the place of commands. It is not looked through for commands itself.
struct Filling<'a> {
    text: &'a str,
    status: u16,
    /// Whether there was a command that is not known.
    lacks: bool,
}

impl Filling<'_> {
    fn text(&mut self, template: &str) -> String {
        let (mut filled, mut rest) = (String::new(), template);
        while let Some((before, from)) = rest.split_once('%') {
            filled.push_str(before);
            let Some((command, after)) = command(from) else {
                filled.push('%');
                rest = from;
                break;
            };
            match command {
                "" => filled.push('%'),
                "LOCAL_REPLY_BODY" => filled.push_str(self.text),
                "RESPONSE_CODE" => filled.push_str(&self.status.to_string()),
                _ => {
                    self.lacks = true;
                    filled.push('-');
                }
            }
            rest = after;
        }
        filled + rest
    }

    fn object(&mut self, members: &Struct) -> serde_json::Value {
        let members = members.fields.iter();
        serde_json::Value::Object(
            members
                .map(|(name, value)| (name.clone(), self.value(value)))
                .collect(),
        )
    }

    /// A command alone has its value's type: of one that is not known nothing.
    fn value(&mut self, value: &Value) -> serde_json::Value {
        match &value.kind {
            Some(ValueKind::StringValue(template)) => {
                let alone = template.strip_prefix('%').and_then(command);
                match alone {
                    Some(("RESPONSE_CODE", "")) => self.status.into(),
                    Some((other, "")) if !matches!(other, "LOCAL_REPLY_BODY" | "") => {
                        self.lacks = true;
                        serde_json::Value::Null
                    }
                    _ => self.text(template).into(),
                }
            }
            Some(ValueKind::StructValue(members)) => self.object(members),
            Some(ValueKind::ListValue(list)) => list.values.iter().map(|value| self.value(value)).collect(),
            Some(ValueKind::NumberValue(number)) => (*number).into(),
            Some(ValueKind::BoolValue(is)) => (*is).into(),
            Some(ValueKind::NullValue(_)) | None => serde_json::Value::Null,
        }
    }
}

/// The command that begins behind a percent sign, and what comes after its end; nothing between two signs is one sign. What stands
/// in its brackets may be a percent sign too.
fn command(from: &str) -> Option<(&str, &str)> {
    let brackets = from
        .find(['(', '%'])
        .filter(|at| from.as_bytes().get(*at) == Some(&b'('));
    let end = match brackets {
        Some(open) => open + from.get(open..)?.find(')')?,
        None => 0,
    };
    let end = end + from.get(end..)?.find('%')?;
    Some((from.get(..end)?, from.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::accesslog::v3 as log;
    use envoy_types::pb::envoy::config::core::v3::RuntimeUInt32;
    use envoy_types::pb::google::protobuf::UInt32Value;

    use super::*;

    fn text(reply: Option<&LocalReply>) -> String {
        let text = reply.and_then(|reply| reply.text.clone()).unwrap();
        String::from_utf8(text.into()).unwrap()
    }

    #[test]
    fn errors_are_worded_as_by_envoy() {
        let replies = replies(None, &mut Notes::default()).unwrap();
        let check = |kind: Kind, status: u16, expected: &str| {
            let reply = replies.get(kind);
            assert_eq!(reply.unwrap().status.unwrap().as_u16(), status, "{kind:?}");
            assert_eq!(text(reply), expected);
        };
        check(Kind::NoRoute, 404, "");
        check(Kind::ClusterMissing, 503, "");
        let reset = "upstream connect error or disconnect/reset before headers. reset reason: ";
        check(
            Kind::ConnectFailed,
            503,
            &format!("{reset}remote connection failure"),
        );
        check(
            Kind::UpstreamReset,
            503,
            &format!("{reset}connection termination"),
        );
        check(Kind::RequestTimeout, 504, "upstream request timeout");
        let overflow = replies.get(Kind::BreakerOpen).unwrap();
        assert_eq!(overflow.fields["x-envoy-overloaded"], "true");
    }

    #[test]
    fn a_mapper_changes_the_errors_that_its_filter_is_about() {
        let comparison = log::ComparisonFilter {
            op: 1,
            value: Some(RuntimeUInt32 {
                default_value: 504,
                runtime_key: "x".into(),
            }),
        };
        let filter = log::StatusCodeFilter {
            comparison: Some(comparison),
        };
        let mapper = ResponseMapper {
            filter: Some(log::AccessLogFilter {
                filter_specifier: Some(FilterSpecifier::StatusCodeFilter(filter)),
            }),
            status_code: Some(UInt32Value { value: 599 }),
            body: Some(DataSource {
                specifier: Some(Specifier::InlineString("late".into())),
                ..DataSource::default()
            }),
            ..ResponseMapper::default()
        };
        let config = LocalReplyConfig {
            mappers: vec![mapper],
            body_format: None,
        };
        let replies = replies(Some(&config), &mut Notes::default()).unwrap();
        let late = replies.get(Kind::RequestTimeout);
        assert_eq!(
            (late.unwrap().status.unwrap().as_u16(), text(late)),
            (599, "late".to_owned())
        );
        assert_eq!(
            replies.get(Kind::NoRoute).unwrap().status,
            Some(StatusCode::NOT_FOUND)
        );
    }

    #[test]
    fn a_mapper_without_a_filter_is_refused_in_envoys_words() {
        let config = LocalReplyConfig {
            mappers: vec![ResponseMapper::default()],
            body_format: None,
        };
        let refused = replies(Some(&config), &mut Notes::default())
            .unwrap_err()
            .to_string();
        let expected = "Proto constraint validation failed (HttpConnectionManagerValidationError.LocalReplyConfig: \
            embedded message failed validation | caused by LocalReplyConfigValidationError.Mappers[0]: embedded message \
            failed validation | caused by ResponseMapperValidationError.Filter: value is required)";
        assert_eq!(refused, expected);
    }

    /// What a reply to a request without a route looks like by this format, whose mapper says `body`.
    fn shaped(format: Format, body: &str) -> String {
        let mut reply = LocalReply {
            text: Some(body.to_owned().into()),
            ..LocalReply::default()
        };
        let format = SubstitutionFormatString {
            format: Some(format),
            ..SubstitutionFormatString::default()
        };
        shape(&mut reply, Kind::NoRoute, &format, &mut Notes::default());
        text(Some(&reply))
    }

    #[test]
    fn commands_that_are_not_known_do_not_reach_clients() {
        for (template, expected) in [
            ("%RESPONSE_CODE% %LOCAL_REPLY_BODY%", "404 no %RESPONSE_CODE%"),
            ("a %REQ(:path)% b", "a - b"),
            ("%START_TIME(%Y)%%RESPONSE_CODE%", "-404"),
            ("%REQ(a?b):3%.%NOPE%", "-.-"),
            ("100%% of %", "100% of %"),
            ("%REQ(x", "%REQ(x"),
        ] {
            let found = shaped(Format::TextFormat(template.to_owned()), "no %RESPONSE_CODE%");
            assert_eq!(found, expected, "{template}");
        }
    }

    #[test]
    fn a_format_in_json_keeps_types_and_what_is_within() {
        let string = |text: &str| Value {
            kind: Some(ValueKind::StringValue(text.to_owned())),
        };
        let inner = Struct {
            fields: [("path".to_owned(), string("%REQ(:path)%"))].into(),
        };
        let inner = Value {
            kind: Some(ValueKind::StructValue(inner)),
        };
        for (value, expected) in [
            (string("%RESPONSE_CODE%"), "404"),
            (string("c %RESPONSE_CODE%"), "\"c 404\""),
            (string("%LOCAL_REPLY_BODY%"), "\"%REQ(a)%\""),
            (string("%REQ(a)% b"), "\"- b\""),
            (inner, "{\"path\":null}"),
        ] {
            let members = Struct {
                fields: [("a".to_owned(), value)].into(),
            };
            let found = shaped(Format::JsonFormat(members), "%REQ(a)%");
            assert_eq!(found, format!("{{\"a\":{expected}}}\n"));
        }
    }
}
