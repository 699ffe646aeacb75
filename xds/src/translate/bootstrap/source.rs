//! Where resources come from: control planes by gRPC, and files.

use std::path::PathBuf;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as pb;
use http::{HeaderName, HeaderValue};
use pb::api_config_source::ApiType;
use pb::config_source::ConfigSourceSpecifier;
use pb::grpc_service::TargetSpecifier;

use super::{Known, Reject};
use crate::limits::INITIAL_FETCH_TIMEOUT;
use crate::translate::constraint::{Rules, Violation, one_of};
use crate::translate::duration::duration;

/// Where the resources of one kind come from.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigSource {
    /// From where.
    pub source: Source,
    /// How long the start waits for the first of them; `None` for ever.
    pub initial_fetch_timeout: Option<Duration>,
}

/// From where resources come.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The stream of `ads_config`.
    Ads,
    /// A stream of their own.
    Api(ApiSource),
    /// A file that holds a response.
    Path {
        /// The file.
        path: PathBuf,
        /// The directory whose replacement means a change of the file.
        watched_directory: Option<PathBuf>,
        /// How often the file is looked at; by default it is watched.
        poll_interval: Option<Duration>,
    },
}

/// A control plane.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiSource {
    /// What messages carry.
    pub variant: Variant,
    /// Where it is; the first of several that can be used.
    pub target: Target,
    /// `:authority`, where it is not the cluster's name; empty for that.
    pub authority: String,
    /// Headers of each stream.
    pub initial_metadata: Vec<(HeaderName, HeaderValue)>,
    /// Between two attempts at a stream: the first pause, and the longest.
    pub backoff: Option<(Duration, Duration)>,
    /// Requests: how many at once, and how many a second after those. Without it nothing holds them back.
    pub rate_limit: Option<(u32, f64)>,
    /// Whether the node is said in the first request of a stream only.
    pub node_on_first_message_only: bool,
}

/// What messages carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// All resources of a kind.
    StateOfTheWorld,
    /// What has changed.
    Delta,
}

/// Where a control plane is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A static cluster (`envoy_grpc`).
    Cluster(String),
    /// A host and a port (`google_grpc`), in clear text.
    Uri(String),
}

/// Why a source is refused: a broken constraint is worded with the messages around it.
pub(super) enum Refusal {
    Violation(Violation),
    Other(Reject),
}

impl Refusal {
    pub(super) fn within(self, outer: Rules, rules: Rules, field: &str) -> Reject {
        match self {
            Self::Violation(violation) => outer
                .within("DynamicResources", rules.within(field, Err(violation)))
                .err()
                .map_or_else(|| Reject::Message(String::new()), Reject::from),
            Self::Other(reject) => reject,
        }
    }
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        Self::Other(reject)
    }
}

/// A `ConfigSource` for clusters or listeners.
#[expect(deprecated, reason = "`path` is out of date, and still in use")]
pub(super) fn config(message: &pb::ConfigSource, known: &Known) -> Result<ConfigSource, Refusal> {
    let specifier = one_of(
        "config_source_specifier",
        message.config_source_specifier.as_ref(),
    );
    let source = match specifier.map_err(Refusal::Violation)? {
        ConfigSourceSpecifier::Ads(_) | ConfigSourceSpecifier::Self_(_) => Source::Ads,
        ConfigSourceSpecifier::ApiConfigSource(api) => {
            let api = self::api(api)?;
            static_cluster(&api.target, known)?;
            Source::Api(api)
        }
        ConfigSourceSpecifier::Path(path) => Source::Path {
            path: PathBuf::from(path),
            watched_directory: None,
            poll_interval: None,
        },
        ConfigSourceSpecifier::PathConfigSource(file) => Source::Path {
            path: PathBuf::from(&file.path),
            watched_directory: file
                .watched_directory
                .as_ref()
                .map(|watched| PathBuf::from(&watched.path)),
            poll_interval: duration(file.poll_interval.as_ref())?,
        },
    };
    let timeout = duration(message.initial_fetch_timeout.as_ref())?.unwrap_or(INITIAL_FETCH_TIMEOUT);
    Ok(ConfigSource {
        source,
        initial_fetch_timeout: Some(timeout).filter(|timeout| !timeout.is_zero()),
    })
}

/// The source of the one stream for all.
pub(super) fn ads(message: &pb::ApiConfigSource, known: &Known) -> Result<ApiSource, Reject> {
    let source = api(message)?;
    match &source.target {
        Target::Cluster(name) if !known.iter().any(|(known, _)| known == name) => {
            Err(Reject::Resource(format!("Unknown gRPC client cluster '{name}'")))
        }
        _ => Ok(source),
    }
}

/// A control plane is reached through a cluster that is there before anything else is.
pub(super) fn static_cluster(target: &Target, known: &Known) -> Result<(), Reject> {
    let Target::Cluster(name) = target else {
        return Ok(());
    };
    if known.contains(&(name.clone(), true)) {
        return Ok(());
    }
    Err(Reject::Resource(format!(
        "envoy.config.core.v3.ApiConfigSource must have a statically defined non-EDS cluster: '{name}' does not exist, was \
         added via api, or is an EDS cluster"
    )))
}

fn api(message: &pb::ApiConfigSource) -> Result<ApiSource, Reject> {
    let refuse = |text: &str| Err(Reject::Resource(text.to_owned()));
    let variant = match message.api_type() {
        ApiType::Grpc | ApiType::AggregatedGrpc => Variant::StateOfTheWorld,
        ApiType::DeltaGrpc | ApiType::AggregatedDeltaGrpc => Variant::Delta,
        _ if !message.grpc_services.is_empty() => {
            return refuse(
                "envoy.config.core.v3.ApiConfigSource, if not a gRPC type, must not have a gRPC service specified",
            );
        }
        _ => {
            return refuse("api_type REST is not supported here: use GRPC or DELTA_GRPC");
        }
    };
    let Some(service) = message.grpc_services.first() else {
        return refuse("API configs must have either a gRPC service or a cluster name defined");
    };
    let specifier = one_of("target_specifier", service.target_specifier.as_ref())?;
    let (target, authority, retry) = match specifier {
        TargetSpecifier::EnvoyGrpc(envoy) => (
            Target::Cluster(envoy.cluster_name.clone()),
            envoy.authority.clone(),
            envoy.retry_policy.as_ref(),
        ),
        TargetSpecifier::GoogleGrpc(google) => {
            let secured =
                google.channel_credentials.is_some() || !google.channel_credentials_plugin.is_empty();
            if secured {
                return refuse(
                    "google_grpc.channel_credentials is not supported here: use envoy_grpc and a cluster with TLS",
                );
            }
            (Target::Uri(google.target_uri.clone()), String::new(), None)
        }
    };
    let limit = message.rate_limit_settings.as_ref();
    Ok(ApiSource {
        variant,
        target,
        authority,
        initial_metadata: metadata(&service.initial_metadata)?,
        backoff: backoff(retry)?,
        rate_limit: limit.map(|limit| {
            (
                limit
                    .max_tokens
                    .as_ref()
                    .map_or(TOKENS_MAX, |tokens| tokens.value),
                limit
                    .fill_rate
                    .as_ref()
                    .map_or(TOKENS_PER_SECOND, |rate| rate.value),
            )
        }),
        node_on_first_message_only: message.set_node_on_first_message_only,
    })
}

/// The headers of each stream. One that cannot be sent is said at once: a control plane would let nobody in without it.
fn metadata(pairs: &[pb::HeaderValue]) -> Result<Vec<(HeaderName, HeaderValue)>, Reject> {
    let field = |pair: &pb::HeaderValue| {
        if pair.key.starts_with(':') || pair.key.eq_ignore_ascii_case("host") {
            let why = ":-prefixed or host headers may not be modified";
            return Err(Reject::Resource(why.to_owned()));
        }
        let name = HeaderName::try_from(&pair.key);
        let name = name.map_err(|_| no_field("name", &pair.key))?;
        // What is in a value may be a secret.
        let value = HeaderValue::try_from(&pair.value).map_err(|_| no_field("value", &pair.key))?;
        Ok((name, value))
    };
    pairs.iter().map(field).collect()
}

fn no_field(what: &str, name: &str) -> Reject {
    Reject::Resource(format!(
        "grpc_services.initial_metadata: '{}' has no {what} that a request can carry",
        name.escape_debug()
    ))
}

/// The defaults of `rate_limit_settings`.
const TOKENS_MAX: u32 = 100;
const TOKENS_PER_SECOND: f64 = 10.0;

/// The longest pause is ten times the first, where it is not said.
fn backoff(retry: Option<&pb::RetryPolicy>) -> Result<Option<(Duration, Duration)>, Reject> {
    let Some(backoff) = retry.and_then(|retry| retry.retry_back_off.as_ref()) else {
        return Ok(None);
    };
    let Some(base) = duration(backoff.base_interval.as_ref())? else {
        return Ok(None);
    };
    let max = duration(backoff.max_interval.as_ref())?.unwrap_or(base * 10);
    if max < base {
        let text = "max_interval must be greater than or equal to the base_interval";
        return Err(Reject::Resource(text.to_owned()));
    }
    Ok(Some((base, max)))
}
