//! Who the client is taken for, what of its fields is not believed, and which id its requests have.

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::core::v3::http_protocol_options::HeadersWithUnderscoresAction;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::ForwardClientCertDetails;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::http::original_ip_detection::xff::v3::XffConfig;
use http::HeaderName;
use tidegate_proxy::normalize::certificate::{CertificateField, Details};
use tidegate_proxy::normalize::edge::{EdgePolicy, Underscores};
use tidegate_proxy::normalize::forwarded::Forwarding;
use tidegate_proxy::observe::request_id::{MakeRequestId, RequestIdPolicy, RequestIdResponse};

use super::super::chain::OfListener;
use super::truth;
use crate::translate::Reject;
use crate::translate::any::{is, unpack, unregistered, unsupported, unsupported_field};

/// Whether the one that has the connection counts as the client.
pub(super) struct Trust {
    pub(super) forwarding: Forwarding,
    /// Whether this proxy is the first that a client meets: `use_remote_address`.
    pub(super) is_edge: bool,
    /// What an upstream is told about certificates, and whether what a client says about them passes.
    pub(super) certificates: CertificateField,
    /// Whether such a field is taken out of every request.
    hides_certificates: bool,
}

impl Trust {
    pub(super) fn of(manager: &HttpConnectionManager) -> Result<Self, Reject> {
        let is_edge = truth(manager.use_remote_address);
        let trusted_hops = manager.xff_num_trusted_hops;
        let forwarding = match manager.original_ip_detection_extensions.as_slice() {
            [] if is_edge => Forwarding::Append { trusted_hops },
            [] => Forwarding::Keep { trusted_hops },
            _ if is_edge => {
                return Err(Reject::Resource(
                    "Original IP detection extensions and use_remote_address may not be mixed".to_owned(),
                ));
            }
            [one] => detection(one)?,
            [_, ..] => {
                let field = "original_ip_detection_extensions[1]";
                return Err(unsupported_field("http_connection_manager", field));
            }
        };
        let (certificates, hides_certificates) = certificates(manager);
        Ok(Self {
            forwarding,
            is_edge,
            certificates,
            hides_certificates,
        })
    }
}

/// What becomes of the field about certificates, and whether what a client says under its name is always removed.
fn certificates(manager: &HttpConnectionManager) -> (CertificateField, bool) {
    let wanted = manager.set_current_client_cert_details.as_ref();
    let details = wanted.map_or(Details::default(), |wanted| Details {
        certificate: wanted.cert,
        chain: wanted.chain,
        subject: truth(wanted.subject),
        uris: wanted.uri,
        hosts: wanted.dns,
    });
    match manager.forward_client_cert_details() {
        ForwardClientCertDetails::Sanitize => (CertificateField::Pass, true),
        ForwardClientCertDetails::ForwardOnly => (CertificateField::PassOfKnown, false),
        ForwardClientCertDetails::AppendForward => (CertificateField::Append(details), false),
        ForwardClientCertDetails::SanitizeSet => (CertificateField::Set(details), true),
        ForwardClientCertDetails::AlwaysForwardOnly => (CertificateField::Pass, false),
    }
}

fn detection(extension: &TypedExtensionConfig) -> Result<Forwarding, Reject> {
    const PACKAGE: &str = "envoy.extensions.http.original_ip_detection.";
    let place = "http_connection_manager.original_ip_detection_extensions[0]";
    let config = extension.typed_config.as_ref();
    let config = config.ok_or_else(|| unregistered(&extension.name, None))?;
    if !is::<XffConfig>(config) {
        let known = crate::translate::any::type_name(config).starts_with(PACKAGE);
        return Err(if known {
            unsupported(place, config)
        } else {
            unregistered(&extension.name, Some(config))
        });
    }
    let xff: XffConfig = unpack(config)?;
    if xff.xff_trusted_cidrs.is_some() {
        return Err(unsupported_field(place, "xff_trusted_cidrs"));
    }
    let hops = xff.xff_num_trusted_hops;
    // The field stays as it came, unless that is switched off.
    Ok(if xff.skip_xff_append.is_none_or(|skip| skip.value) {
        Forwarding::Keep { trusted_hops: hops }
    } else {
        Forwarding::Append {
            trusted_hops: hops.saturating_add(1),
        }
    })
}

/// What no upstream may believe of a client: what Envoy removes, and at an external listener what the embedder says.
pub(super) fn edge(of: &OfListener<'_>, trust: &Trust) -> EdgePolicy {
    let at_edge: &[&str] = if trust.is_edge { &OF_THE_EDGE } else { &[] };
    // A certificate is vouched for by whoever speaks TLS, and that is this proxy.
    let certificates: &[&str] = if trust.hides_certificates {
        &["x-forwarded-client-cert"]
    } else {
        &[]
    };
    let names = OF_CLIENTS.iter().chain(at_edge).chain(certificates);
    let ours = EdgePolicy::removing(names.filter_map(|name| HeaderName::try_from(*name).ok()));
    let internal = &of.context.internal_listeners;
    if internal.iter().any(|name| **name == *of.name) {
        ours
    } else {
        ours.and(of.context.edge.clone())
    }
}

/// The fields by which Envoy can be told what to do: nobody is internal unless a listener says so, and none here does.
const OF_CLIENTS: [&str; 15] = [
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-is-timeout-retry",
    "x-envoy-max-retries",
    "x-envoy-original-url",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-ms",
];

/// And what only another Envoy in front may say.
const OF_THE_EDGE: [&str; 6] = [
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-external-address",
    "x-envoy-original-host",
    "x-envoy-original-path",
];

/// What becomes of fields with underscores.
pub(super) fn underscores(manager: &HttpConnectionManager) -> Underscores {
    let common = manager.common_http_protocol_options.as_ref();
    match common.map(|common| common.headers_with_underscores_action()) {
        None | Some(HeadersWithUnderscoresAction::Allow) => Underscores::Keep,
        Some(HeadersWithUnderscoresAction::DropHeader) => Underscores::Remove,
        Some(HeadersWithUnderscoresAction::RejectRequest) => Underscores::Refuse,
    }
}

/// Which id a request gets: at the edge a client's own counts only where that is asked for.
pub(super) fn request_id(manager: &HttpConnectionManager, trust: &Trust) -> RequestIdPolicy {
    let make = if manager.generate_request_id.is_some_and(|make| !make.value) {
        MakeRequestId::Never
    } else if trust.is_edge && !manager.preserve_external_request_id {
        MakeRequestId::Always
    } else {
        MakeRequestId::Missing
    };
    RequestIdPolicy {
        make,
        response: if manager.always_set_request_id_in_response {
            RequestIdResponse::Set
        } else {
            RequestIdResponse::Pass
        },
    }
}
