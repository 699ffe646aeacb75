//! What becomes of a request's path.

use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::PathWithEscapedSlashesAction as Escaped;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::StripPortMode;
use tidegate_proxy::normalize::host::{HostDot, HostPort};
use tidegate_proxy::normalize::path::{DotSegments, EscapedSlashes, PathPolicy, Slashes, Unreserved};

use super::truth;

/// What becomes of the port in a host.
pub(super) fn host_port(manager: &HttpConnectionManager) -> HostPort {
    match manager.strip_port_mode {
        Some(StripPortMode::StripAnyHostPort(true)) => HostPort::Remove,
        _ if manager.strip_matching_host_port => HostPort::RemoveOwn,
        _ => HostPort::Keep,
    }
}

/// What becomes of a dot at the end of a host.
pub(super) fn host_dot(manager: &HttpConnectionManager) -> HostDot {
    if manager.strip_trailing_host_dot {
        HostDot::Remove
    } else {
        HostDot::Keep
    }
}

/// Nothing, unless it says so.
pub(super) fn policy(manager: &HttpConnectionManager) -> PathPolicy {
    PathPolicy {
        dots: if truth(manager.normalize_path) {
            DotSegments::Resolve
        } else {
            DotSegments::Keep
        },
        unreserved: if truth(manager.normalize_path) {
            Unreserved::Decode
        } else {
            Unreserved::Keep
        },
        slashes: if manager.merge_slashes {
            Slashes::Merge
        } else {
            Slashes::Keep
        },
        escaped_slashes: match manager.path_with_escaped_slashes_action() {
            Escaped::ImplementationSpecificDefault | Escaped::KeepUnchanged => EscapedSlashes::Keep,
            Escaped::RejectRequest => EscapedSlashes::Refuse,
            Escaped::UnescapeAndRedirect => EscapedSlashes::UnescapeAndRedirect,
            Escaped::UnescapeAndForward => EscapedSlashes::Unescape,
        },
    }
}
