//! `envoy.extensions.filters.http.compressor.v3`: which responses are compressed, and how.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{RuntimeFeatureFlag, TypedExtensionConfig};
use envoy_types::pb::envoy::extensions::filters::http::compressor::v3::compressor::CommonDirectionConfig;
use envoy_types::pb::envoy::extensions::filters::http::compressor::v3::compressor_per_route::Override as OfRoute;
use envoy_types::pb::envoy::extensions::filters::http::compressor::v3::{Compressor, CompressorPerRoute};
use tidegate_proxy::filter::compression::Encoding;
use tidegate_proxy::filter::{Compression, Filter, Override};

use crate::translate::Reject;
use crate::translate::any::{constraint, type_name, unregistered};
use crate::translate::notes::Notes;

pub(super) const SETTINGS: &str = "envoy.extensions.filters.http.compressor.v3.Compressor";
pub(super) const PER_ROUTE: &str = "envoy.extensions.filters.http.compressor.v3.CompressorPerRoute";

const LIBRARIES: [(&str, Encoding); 3] = [
    (
        "envoy.extensions.compression.gzip.compressor.v3.Gzip",
        Encoding::Gzip,
    ),
    (
        "envoy.extensions.compression.brotli.compressor.v3.Brotli",
        Encoding::Brotli,
    ),
    (
        "envoy.extensions.compression.zstd.compressor.v3.Zstd",
        Encoding::Zstd,
    ),
];

/// What a filter compresses.
pub(super) fn settings(compressor: &Compressor, notes: &mut Notes) -> Result<Filter, Reject> {
    let library = compressor.compressor_library.as_ref();
    let library =
        library.ok_or_else(|| constraint::<Compressor>("CompressorLibrary", "value is required"))?;
    let encoding = encoding(library)?;
    let direction = compressor.response_direction_config.as_ref();
    let common = direction.and_then(|direction| direction.common_config.as_ref());
    let requests = compressor.request_direction_config.as_ref();
    let requests = requests.and_then(|requests| requests.common_config.as_ref());
    notes.add_set(&[
        (
            "request_direction_config",
            requests.is_some_and(|common| is_on(common.enabled.as_ref())),
        ),
        (
            "response_direction_config.disable_on_etag_header",
            direction.is_some_and(|direction| direction.disable_on_etag_header),
        ),
        (
            "response_direction_config.remove_accept_encoding_header",
            direction.is_some_and(|direction| direction.remove_accept_encoding_header),
        ),
        (
            "response_direction_config.uncompressible_response_codes",
            direction.is_some_and(|direction| !direction.uncompressible_response_codes.is_empty()),
        ),
        ("choose_first", compressor.choose_first),
    ]);
    #[expect(deprecated, reason = "it is what older control planes send")]
    let older = compressor.runtime_enabled.as_ref();
    let enabled = common.map_or(older, |common| common.enabled.as_ref());
    if !is_on(enabled) {
        return Ok(Filter::Nothing);
    }
    let mut compression = Compression {
        encodings: vec![encoding],
        ..Compression::default()
    };
    if let Some(common) = common {
        restrict(&mut compression, common);
    }
    Ok(Filter::Compression(Arc::new(compression)))
}

fn restrict(compression: &mut Compression, common: &CommonDirectionConfig) {
    if let Some(least) = common.min_content_length {
        compression.bytes_min = u64::from(least.value);
    }
    #[expect(deprecated, reason = "it is what control planes send")]
    let types = &common.content_type;
    if !types.is_empty() {
        compression.content_types = types.iter().map(|of| of.as_str().into()).collect();
    }
}

fn is_on(flag: Option<&RuntimeFeatureFlag>) -> bool {
    let value = flag.and_then(|flag| flag.default_value);
    value.is_none_or(|value| value.value)
}

fn encoding(library: &TypedExtensionConfig) -> Result<Encoding, Reject> {
    let config = library.typed_config.as_ref();
    let of = config.map(type_name).unwrap_or_default();
    let known = LIBRARIES.into_iter().find(|(name, _)| *name == of);
    known
        .map(|(_, encoding)| encoding)
        .ok_or_else(|| unregistered(&library.name, config))
}

/// What a route makes of it.
pub(super) fn per_route(config: &CompressorPerRoute) -> Result<Override, Reject> {
    match &config.r#override {
        Some(OfRoute::Disabled(_)) => Ok(Override::Disabled),
        Some(OfRoute::Overrides(_)) => Ok(Override::Enabled),
        None => Err(constraint::<CompressorPerRoute>("Override", "value is required")),
    }
}
