//! Where in a resource are `Any`s? Found by their type URLs, without looking at what is around them.

use envoy_types::pb::envoy::extensions as ext;
use memchr::memmem;
use prost::encoding::decode_varint;
use prost::{Message, Name};

/// A message in an `Any`.
pub(super) struct Packed<'b> {
    /// Its full name.
    pub(super) name: &'b str,
    /// The message, encoded.
    pub(super) value: &'b [u8],
}

impl Packed<'_> {
    /// Whether it is one of those that are in most resources and has no field that decoding drops: then there is nothing to
    /// look for, and what that takes is not read at all.
    pub(super) fn is_clean(&self) -> bool {
        use ext::filters::http::{ext_authz::v3 as ext_authz, router::v3 as router};
        use ext::filters::network::http_connection_manager::v3 as manager;
        use ext::{transport_sockets::tls::v3 as tls, upstreams::http::v3 as http};
        let clean = [
            is_clean::<http::HttpProtocolOptions>,
            is_clean::<tls::UpstreamTlsContext>,
            is_clean::<tls::DownstreamTlsContext>,
            is_clean::<manager::HttpConnectionManager>,
            is_clean::<router::Router>,
            is_clean::<ext_authz::ExtAuthz>,
            is_clean::<ext_authz::ExtAuthzPerRoute>,
            is_clean::<ext::filters::http::cors::v3::Cors>,
            is_clean::<ext::filters::http::cors::v3::CorsPolicy>,
            is_clean::<ext::access_loggers::file::v3::FileAccessLog>,
            is_clean::<ext::access_loggers::stream::v3::StdoutAccessLog>,
            is_clean::<ext::filters::listener::tls_inspector::v3::TlsInspector>,
        ];
        self.value.is_empty() || clean.iter().any(|is_clean| is_clean(self))
    }
}

fn is_clean<M: Message + Name + Default>(packed: &Packed<'_>) -> bool {
    packed
        .name
        .strip_prefix(M::PACKAGE)
        .and_then(|rest| rest.strip_prefix('.'))
        == Some(M::NAME)
        && M::decode(packed.value).is_ok_and(|message| message.encoded_len() >= packed.value.len())
}

/// All `Any`s in an encoded message, outer ones first. Those with another host in their type URL are passed over.
pub(super) fn all(body: &[u8]) -> impl Iterator<Item = Packed<'_>> {
    memmem::find_iter(body, HOST).filter_map(|at| {
        let url = length_before(body.get(..at)?)?;
        let (url, mut rest) = body.get(at..)?.split_at_checked(url)?;
        let name = std::str::from_utf8(url.get(HOST.len()..)?).ok()?;
        let value = match rest.split_off_first() {
            Some(&VALUE) => {
                let length = decode_varint(&mut rest).ok()?;
                rest.get(..usize::try_from(length).ok()?)?
            }
            _ => &[],
        };
        Some(Packed { name, value })
    })
}

/// The length that stands before a type URL, behind the key of its field.
fn length_before(before: &[u8]) -> Option<usize> {
    match *before {
        [.., TYPE_URL, length] if length < 0x80 => Some(length.into()),
        [.., TYPE_URL, low, high] if low >= 0x80 && high < 0x80 => {
            Some(usize::from(low & 0x7f) | usize::from(high) << 7)
        }
        _ => None,
    }
}

const HOST: &[u8] = b"type.googleapis.com/";

/// The keys of the fields of an `Any`.
const TYPE_URL: u8 = 0x0a;
const VALUE: u8 = 0x12;
