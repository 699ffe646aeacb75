//! What the parts of a route configuration need to know while they are read.

use std::collections::HashMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::config::route::v3::cors_policy::EnabledSpecifier;
use envoy_types::pb::envoy::extensions::filters::http::cors::v3::CorsPolicy;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::util::pack_any;
use prost::Message;
use tidegate_proxy::filter::FilterOverrides;
use tidegate_proxy::route::HeaderMutations;
use xxhash_rust::xxh3::xxh3_64;

use super::ClusterName;
use super::named::Named;
use super::shared::Shared;
use crate::limits;
use crate::translate::headers::HeaderLists;
use crate::translate::notes::Notes;
use crate::translate::{Context, Reject, filter};

/// One route configuration while its virtual hosts are read.
pub(super) struct Reading<'a> {
    pub(super) context: &'a Context,
    pub(super) table: &'a RouteConfiguration,
    pub(super) shared: &'a mut Shared,
    /// What of the virtual host under way has no effect.
    pub(super) notes: Notes,
    /// The clusters that it names.
    pub(super) clusters: Named,
}

impl<'a> Reading<'a> {
    pub(super) fn new(table: &'a RouteConfiguration, shared: &'a mut Shared, context: &'a Context) -> Self {
        Self {
            context,
            table,
            shared,
            notes: Notes::default(),
            clusters: Named::default(),
        }
    }

    /// What the hash of a virtual host starts from: what else decides what becomes of its bytes.
    pub(super) fn seed(&self) -> u64 {
        let decisive = RouteConfiguration {
            max_direct_response_body_size_bytes: self.table.max_direct_response_body_size_bytes,
            request_mirror_policies: self.table.request_mirror_policies.clone(),
            ignore_path_parameters_in_path_matching: self.table.ignore_path_parameters_in_path_matching,
            ..RouteConfiguration::default()
        };
        xxh3_64(&decisive.encode_to_vec())
    }

    /// How long the body of a direct response may be.
    pub(super) fn direct_body_bytes_max(&self) -> u64 {
        let configured = self.table.max_direct_response_body_size_bytes.as_ref();
        configured.map_or(limits::DIRECT_RESPONSE_BODY_BYTES_MAX, |max| u64::from(max.value))
    }

    pub(super) fn headers(&mut self, lists: HeaderLists<'_>) -> Result<HeaderMutations, Reject> {
        self.shared.headers(lists, &mut self.notes)
    }

    /// What a level makes of the listener's filters; `cors` is what it said before that was a filter's own.
    pub(super) fn overrides(
        &self,
        configs: &HashMap<String, Any>,
        cors: Option<&pb::CorsPolicy>,
    ) -> Result<FilterOverrides, Reject> {
        let Some(cors) = cors.filter(|_| !configs.contains_key(CORS)) else {
            return filter::overrides(configs);
        };
        let mut configs = configs.clone();
        configs.insert(CORS.to_owned(), pack_any(as_filter(cors)));
        filter::overrides(&configs)
    }

    /// Takes note of a cluster that has to be there.
    pub(super) fn cluster(&mut self, name: &str, of: fn(Arc<str>) -> ClusterName) -> Arc<str> {
        let name = self.shared.name(name);
        self.clusters.add(of(Arc::clone(&name)));
        name
    }
}

/// The name that the filter of CORS has by habit; what is said the old way knows no other.
const CORS: &str = "envoy.filters.http.cors";

fn as_filter(cors: &pb::CorsPolicy) -> CorsPolicy {
    let enabled = cors.enabled_specifier.clone();
    CorsPolicy {
        allow_origin_string_match: cors.allow_origin_string_match.clone(),
        allow_methods: cors.allow_methods.clone(),
        allow_headers: cors.allow_headers.clone(),
        expose_headers: cors.expose_headers.clone(),
        max_age: cors.max_age.clone(),
        allow_credentials: cors.allow_credentials,
        filter_enabled: enabled.map(|EnabledSpecifier::FilterEnabled(enabled)| enabled),
        shadow_enabled: cors.shadow_enabled.clone(),
        allow_private_network_access: cors.allow_private_network_access,
        forward_not_matching_preflights: cors.forward_not_matching_preflights,
    }
}
