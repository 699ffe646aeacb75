//! `envoy.service.auth.v3.Authorization/Check`: a question of gRPC about a request, and what its answer means.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, HeaderValueOption, SocketAddress};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{
    HttpRequest, Peer, Request as Described, TlsSession,
};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{
    AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use envoy_types::pb::google::protobuf::Timestamp;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use prost::Message;
use tidegate_proxy::Body;
use tidegate_proxy::error::BoxError;
use tidegate_proxy::filter::ext_authz::{About, Answer, Changes, Codec, Decision, QueryChange};
use tidegate_proxy::normalize::certificate::pem;
use tidegate_proxy::route::{HeaderMutations, Mutation, TextMatch, Write};

const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
const GRPC_STATUS: &str = "grpc-status";
const GRPC_MESSAGE: &str = "grpc-message";
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const PARTIAL_BODY: &str = "x-envoy-auth-partial-body";

/// How requests are described, and by whom the question is read.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) authority: HeaderValue,
    pub(super) timeout: Duration,
    pub(super) metadata: Vec<(HeaderName, HeaderValue)>,
    /// Which fields are told; `None` for all.
    pub(super) allowed: Option<Vec<TextMatch>>,
    /// Which are not, whatever `allowed` says.
    pub(super) disallowed: Vec<TextMatch>,
    /// Whether the body is told as bytes and not as text.
    pub(super) raw_body: bool,
    pub(super) certificate: bool,
    pub(super) server_name: bool,
}

impl Codec for Check {
    fn question(&self, about: &About<'_>) -> Result<Request<Body>, BoxError> {
        let message = CheckRequest {
            attributes: Some(self.describe(about)),
        };
        let mut request = Request::new(Body::full(framed(&message)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(PATH);
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        headers.insert(HOST, self.authority.clone());
        headers.insert(CONTENT_TYPE, GRPC);
        headers.insert(TE, TRAILERS);
        let timeout = format!("{}m", self.timeout.as_millis().min(99_999_999));
        headers.insert(GRPC_TIMEOUT, HeaderValue::try_from(timeout)?);
        for (name, value) in &self.metadata {
            headers.append(name, value.clone());
        }
        Ok(request)
    }

    fn decision(&self, answer: &Answer) -> Result<Decision, BoxError> {
        let response = read(answer)?;
        let passes = response.status.as_ref().is_none_or(|status| status.code == 0);
        match (passes, response.http_response) {
            (true, Some(HttpResponse::OkResponse(changes))) => Ok(Decision::Pass(changes_of(&changes)?)),
            (true, _) => Ok(Decision::Pass(Changes::default())),
            (false, Some(HttpResponse::DeniedResponse(denied))) => Ok(Decision::Refuse(refusal(&denied))),
            (false, Some(HttpResponse::ErrorResponse(_))) => {
                Err("the service says that it has failed".into())
            }
            (false, _) => Ok(Decision::Refuse(refusal(&DeniedHttpResponse::default()))),
        }
    }
}

impl Check {
    fn describe(&self, about: &About<'_>) -> AttributeContext {
        let peer = |address: Option<SocketAddr>, certificate: String| Peer {
            address: address.map(described),
            certificate,
            ..Peer::default()
        };
        let certificate = about.certificate.filter(|_| self.certificate);
        let context = about.context.iter();
        AttributeContext {
            source: Some(peer(about.source, certificate.map(pem).unwrap_or_default())),
            destination: Some(peer(about.destination, String::new())),
            request: Some(Described {
                time: SystemTime::now()
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .ok()
                    .map(|now| Timestamp {
                        seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
                        nanos: i32::try_from(now.subsec_nanos()).unwrap_or(0),
                    }),
                http: Some(self.http(about)),
            }),
            context_extensions: context
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            tls_session: about
                .server_name
                .filter(|_| self.server_name)
                .map(|sni| TlsSession { sni: sni.to_owned() }),
            ..AttributeContext::default()
        }
    }

    fn http(&self, about: &About<'_>) -> HttpRequest {
        let headers = about.request.headers();
        let text = |name: &HeaderName| {
            headers
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let path = about.target.path_and_query().map_or("/", |path| path.as_str());
        let size = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        let mut request = HttpRequest {
            id: text(&HeaderName::from_static("x-request-id")).unwrap_or_default(),
            method: about.request.method().to_string(),
            headers: self.fields(about),
            path: path.to_owned(),
            host: text(&HOST).unwrap_or_default(),
            scheme: about.scheme.to_owned(),
            size: size.unwrap_or(-1),
            protocol: protocol(about.version).to_owned(),
            ..HttpRequest::default()
        };
        if let Some(seen) = about.body {
            if self.raw_body {
                request.raw_body = seen.bytes.to_vec();
            } else {
                request.body = String::from_utf8_lossy(&seen.bytes).into_owned();
            }
            let cut_off = if seen.cut_off { "true" } else { "false" };
            request
                .headers
                .insert(PARTIAL_BODY.to_owned(), cut_off.to_owned());
        }
        request
    }

    /// The fields of the head as Envoy tells them: HTTP/2's own among them, lines of one name joined.
    fn fields(&self, about: &About<'_>) -> HashMap<String, String> {
        let mut fields: HashMap<String, String> = HashMap::new();
        let path = about.target.path_and_query().map_or("/", |path| path.as_str());
        let own = [
            (":method", about.request.method().as_str()),
            (":path", path),
            (":scheme", about.scheme),
        ];
        for (name, value) in own.into_iter().filter(|(name, _)| self.tells(name)) {
            fields.insert(name.to_owned(), value.to_owned());
        }
        for (name, value) in about.request.headers() {
            let name = if *name == HOST {
                ":authority"
            } else {
                name.as_str()
            };
            if !self.tells(name) {
                continue;
            }
            let value = String::from_utf8_lossy(value.as_bytes());
            fields
                .entry(name.to_owned())
                .and_modify(|joined| {
                    joined.push(',');
                    joined.push_str(&value);
                })
                .or_insert_with(|| value.clone().into_owned());
        }
        fields
    }

    fn tells(&self, name: &str) -> bool {
        let meets = |conditions: &[TextMatch]| conditions.iter().any(|one| one.matches(name.as_bytes()));
        self.allowed.as_deref().is_none_or(meets) && !meets(&self.disallowed)
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

fn described(address: SocketAddr) -> Address {
    let socket = SocketAddress {
        address: address.ip().to_canonical().to_string(),
        port_specifier: Some(PortSpecifier::PortValue(u32::from(address.port()))),
        ..SocketAddress::default()
    };
    Address {
        address: Some(Kind::SocketAddress(socket)),
    }
}

fn framed(message: &CheckRequest) -> Bytes {
    let length = message.encoded_len();
    let mut framed = BytesMut::with_capacity(5 + length);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    framed.extend_from_slice(&message.encode_to_vec());
    framed.freeze()
}

/// The message of an answer that has one.
fn read(answer: &Answer) -> Result<CheckResponse, BoxError> {
    if answer.status != StatusCode::OK {
        return Err(format!("it answered {}", answer.status).into());
    }
    let field = |name: &str| {
        let value = answer.trailers.get(name).or_else(|| answer.headers.get(name));
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    match field(GRPC_STATUS).as_deref() {
        Some("0") => {}
        Some(code) => {
            let message = field(GRPC_MESSAGE).unwrap_or_default();
            return Err(format!("it answered with gRPC status {code}: {message}").into());
        }
        None => return Err("its answer has no gRPC status".into()),
    }
    let message = match answer.body.split_first_chunk::<5>() {
        Some(([0, length @ ..], message)) if u32::from_be_bytes(*length) as usize == message.len() => message,
        _ => return Err("its answer is not one message".into()),
    };
    Ok(CheckResponse::decode(message)?)
}

/// What a service changes about a request that passes. What must not be changed stays as it is.
fn changes_of(response: &OkHttpResponse) -> Result<Changes, BoxError> {
    let removed = response
        .headers_to_remove
        .iter()
        .filter_map(|name| Mutation::remove(name).ok());
    let request = response.headers.iter().filter_map(|option| {
        let write = if appends(option).unwrap_or(false) {
            Write::Append
        } else {
            Write::Overwrite
        };
        mutation(option, write)
    });
    let client = response.response_headers_to_add.iter().filter_map(|option| {
        let write = match (appends(option), option.append_action()) {
            (Some(true), _) | (None, HeaderAppendAction::AppendIfExistsOrAdd) => Write::Append,
            (Some(false), _) | (None, HeaderAppendAction::OverwriteIfExistsOrAdd) => Write::Overwrite,
            (None, HeaderAppendAction::AddIfAbsent) => Write::AddIfAbsent,
            (None, HeaderAppendAction::OverwriteIfExists) => Write::OverwriteIfPresent,
        };
        mutation(option, write)
    });
    let request: Vec<_> = removed.chain(request).collect();
    let set = response.query_parameters_to_set.iter();
    let set = set.map(|one| QueryChange::Set(one.key.as_str().into(), one.value.as_str().into()));
    let removed = response.query_parameters_to_remove.iter();
    let removed = removed.map(|name| QueryChange::Remove(name.as_str().into()));
    Ok(Changes {
        fields: HeaderMutations::new(request, client.collect::<Vec<_>>())?,
        query: set.chain(removed).collect(),
    })
}

#[expect(deprecated, reason = "services still say it so")]
fn appends(option: &HeaderValueOption) -> Option<bool> {
    option.append.map(|append| append.value)
}

fn field(option: &HeaderValueOption) -> Option<(HeaderName, HeaderValue)> {
    let header = option.header.as_ref()?;
    let name = HeaderName::try_from(header.key.as_str()).ok()?;
    let value = if header.raw_value.is_empty() {
        HeaderValue::try_from(header.value.as_str())
    } else {
        HeaderValue::from_bytes(&header.raw_value)
    };
    Some((name, value.ok()?))
}

fn mutation(option: &HeaderValueOption, write: Write) -> Option<Mutation> {
    let (name, value) = field(option)?;
    Mutation::constant(name, value, write).ok()
}

fn refusal(denied: &DeniedHttpResponse) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(denied.body.clone().into_bytes()));
    let code = denied
        .status
        .as_ref()
        .and_then(|status| u16::try_from(status.code).ok());
    let status = code.and_then(|code| StatusCode::from_u16(code).ok());
    *response.status_mut() = status
        .filter(|status| status.as_u16() >= 200)
        .unwrap_or(StatusCode::FORBIDDEN);
    let mut headers = HeaderMap::new();
    for option in &denied.headers {
        let Some((name, value)) = field(option) else {
            continue;
        };
        if appends(option).unwrap_or(false) {
            headers.append(name, value);
        } else {
            headers.insert(name, value);
        }
    }
    headers.remove(CONTENT_LENGTH);
    headers.remove(http::header::TRANSFER_ENCODING);
    *response.headers_mut() = headers;
    response
}
