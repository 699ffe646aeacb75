//! HTTP filters: those of a connection manager, and what routes make of them.

use std::borrow::Cow;
use std::collections::HashMap;

use envoy_types::pb::envoy::config::route::v3::FilterConfig;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType;
use envoy_types::pb::google::protobuf::Any;
use tidegate_proxy::filter::{Filter, FilterOverrides, NamedFilter, NamedFilters, Override, Switch};

use self::known::Effect;
use super::any::{is, type_name, unpack, unregistered, unsupported, unsupported_field};
use super::notes::Notes;
use super::{Context, Reject};

mod compression;
mod cors;
mod ext_authz;
mod health_check;
mod known;
mod rate_limit;
mod rbac;
mod router;
mod scripts;

pub use router::RouterSettings;

/// The HTTP filters of a connection manager.
#[derive(Debug, Default)]
pub struct HttpFilters {
    /// All but the router, in order.
    pub filters: NamedFilters,
    /// What the router is told; `None` where there is no filter at all.
    pub router: Option<RouterSettings>,
}

/// What the routes of a level make of filters, by the name that these have in a connection manager
/// (`typed_per_filter_config`).
///
/// # Errors
/// When Envoy would refuse it, in Envoy's words; or when a filter that restricts requests is not there in the proxy.
pub fn overrides(configs: &HashMap<String, Any>) -> Result<FilterOverrides, Reject> {
    let mut changes = Vec::with_capacity(configs.len());
    for (name, config) in configs {
        if let Some(change) = override_of(name, config)? {
            changes.push((name.as_str(), settings_in(config), change));
        }
    }
    // A hash map has no order, and what is equal has to look equal.
    changes.sort_by_key(|(name, ..)| *name);
    let changes = changes.iter().map(|(name, settings, change)| {
        // As in Envoy settings for another sort of filter are none, though the filter then runs.
        (*name, settings.as_deref().map(sort), change.clone())
    });
    Ok(FilterOverrides::of_sorts(changes))
}

/// The settings for a filter in an override. Whether a filter runs at all is said without any, whatever filter it is.
fn settings_in(config: &Any) -> Option<Cow<'_, str>> {
    if !is::<FilterConfig>(config) {
        return Some(Cow::Borrowed(type_name(config)));
    }
    let wrapped: FilterConfig = unpack(config)
        .ok()
        .filter(|wrapped: &FilterConfig| !wrapped.disabled)?;
    let config = wrapped.config.filter(|config| !config.type_url.is_empty())?;
    Some(Cow::Owned(type_name(&config).to_owned()))
}

/// The sort of filter that a message is of: its package. A filter takes settings of its own sort only.
fn sort(of: &str) -> &str {
    of.rsplit_once('.').map_or(of, |(package, _)| package)
}

fn override_of(name: &str, config: &Any) -> Result<Option<Override>, Reject> {
    if !is::<FilterConfig>(config) {
        return settings_of_route(name, config, Need::Required);
    }
    let wrapped: FilterConfig = unpack(config)?;
    let need = if wrapped.is_optional {
        Need::Optional
    } else {
        Need::Required
    };
    match &wrapped.config {
        _ if wrapped.disabled => Ok(Some(Override::Disabled)),
        None => Err(Reject::Resource(format!(
            "Empty route/virtual host per filter configuration for {name} filter"
        ))),
        // It runs as its listener has it: so control planes switch filters on that are off for most routes.
        Some(config) if config.type_url.is_empty() => Ok(Some(Override::Enabled)),
        Some(config) => settings_of_route(name, config, need),
    }
}

/// Whether something that nobody knows may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Required,
    Optional,
}

fn settings_of_route(name: &str, config: &Any, need: Need) -> Result<Option<Override>, Reject> {
    let change = match type_name(config) {
        cors::POLICY => Override::Replaced(cors::policy(&unpack(config)?)?),
        rate_limit::SETTINGS => {
            Override::Replaced(rate_limit::settings(&unpack(config)?, &mut Notes::default())?)
        }
        compression::PER_ROUTE => compression::per_route(&unpack(config)?)?,
        ext_authz::PER_ROUTE => ext_authz::per_route(config)?,
        rbac::PER_ROUTE => rbac::per_route(name, config)?,
        scripts::LUA_PER_ROUTE => scripts::per_route(name, config)?,
        other => match (known::per_route(other), need) {
            (Some(Effect::Restricts), Need::Required) => {
                return Err(unsupported(format!("typed_per_filter_config['{name}']"), config));
            }
            (Some(_), _) => Override::Enabled,
            (None, Need::Optional) => return Ok(None),
            (None, Need::Required) => return Err(unregistered(name, Some(config))),
        },
    };
    Ok(Some(change))
}

/// The HTTP filters of a connection manager.
///
/// # Errors
/// As [`overrides`], and when the last of them is not the router, or another one is.
pub fn http_filters(
    filters: &[HttpFilter],
    context: &Context,
    notes: &mut Notes,
) -> Result<HttpFilters, Reject> {
    let mut read = HttpFilters::default();
    let mut named = Vec::new();
    for (index, filter) in filters.iter().enumerate() {
        let last = index + 1 == filters.len();
        let one = notes.within(&format!("http_filters[{index}]"), |notes| {
            http_filter(filter, last, context, notes)
        });
        match one? {
            Read::Filter(filter) => named.push(filter),
            Read::Router(router) => read.router = Some(router),
            Read::Nothing => {}
        }
    }
    read.filters = named.into_iter().collect();
    Ok(read)
}

/// Looks at the filters that a kind of upgrade has in place of `common`, those of every request. It gets the common ones here.
///
/// # Errors
/// As [`http_filters`], and where one of them restricts requests and is not among the common ones: upgrades would go without it.
pub fn of_upgrade(filters: &[HttpFilter], common: &[HttpFilter], notes: &mut Notes) -> Result<(), Reject> {
    // What comes of them is dropped: any readiness will do.
    http_filters(filters, &Context::default(), notes)?;
    for (index, filter) in filters.iter().enumerate() {
        let effect = typed_config(filter).and_then(known::filter);
        if effect == Some(Effect::Restricts) && !filter.disabled && !common.contains(filter) {
            return Err(unsupported_field(
                notes.place(),
                &format!("http_filters[{index}]"),
            ));
        }
    }
    Ok(())
}

/// What Envoy calls extensions of this kind together.
const CATEGORY: &str = "envoy.filters.http";

enum Read {
    Filter(NamedFilter),
    Router(RouterSettings),
    Nothing,
}

fn http_filter(
    filter: &HttpFilter,
    last: bool,
    context: &Context,
    notes: &mut Notes,
) -> Result<Read, Reject> {
    let config = typed_config(filter);
    let is_disabled = |config: &&Any| context.disables(CATEGORY, &known::factory(config));
    if let Some(config) = config.filter(is_disabled)
        && !filter.is_optional
    {
        return Err(unregistered(&filter.name, Some(config)));
    }
    let config = config.filter(|config| !is_disabled(config));
    if let Some(config) = config.filter(|config| type_name(config) == router::SETTINGS) {
        ends_chain(filter, last)?;
        return Ok(Read::Router(router::settings(&unpack(config)?, notes)?));
    }
    let known = config.and_then(|config| Some((config, known::filter(config)?)));
    let Some((config, effect)) = known else {
        if filter.is_optional {
            notes.add("", "it is optional, and nobody knows it");
            return Ok(Read::Nothing);
        }
        return Err(unregistered(&filter.name, config));
    };
    if last {
        let (name, factory) = (&filter.name, known::factory(config));
        return Err(Reject::Resource(format!(
            "Error: non-terminal filter named {name} of type {factory} is the last filter in a http filter chain."
        )));
    }
    Ok(Read::Filter(NamedFilter {
        name: filter.name.as_str().into(),
        sort: Some(sort(type_name(config)).into()),
        filter: match type_name(config) {
            health_check::SETTINGS => health_check::settings(&unpack(config)?, &context.readiness, notes)?,
            _ => settings(filter, config, effect, notes)?,
        },
        initially: if filter.disabled { Switch::Off } else { Switch::On },
    }))
}

fn typed_config(filter: &HttpFilter) -> Option<&Any> {
    match &filter.config_type {
        Some(ConfigType::TypedConfig(config)) => Some(config),
        Some(ConfigType::ConfigDiscovery(_)) | None => None,
    }
}

/// Refuses a router that is not the end of its chain.
fn ends_chain(filter: &HttpFilter, last: bool) -> Result<(), Reject> {
    let name = &filter.name;
    if !last {
        let factory = router::FACTORY;
        return Err(Reject::Resource(format!(
            "Error: terminal filter named {name} of type {factory} must be the last filter in a http filter chain."
        )));
    }
    if filter.disabled {
        return Err(Reject::Resource(format!(
            "Error: the last (terminal) filter ({name}) in the chain cannot be disabled by default."
        )));
    }
    Ok(())
}

fn settings(filter: &HttpFilter, config: &Any, effect: Effect, notes: &mut Notes) -> Result<Filter, Reject> {
    match type_name(config) {
        // Only routes say whose pages may do what.
        cors::SETTINGS => Ok(Filter::Nothing),
        rate_limit::SETTINGS => rate_limit::settings(&unpack(config)?, notes),
        compression::SETTINGS => compression::settings(&unpack(config)?, notes),
        ext_authz::SETTINGS => ext_authz::settings(&unpack(config)?, notes),
        rbac::SETTINGS => rbac::settings(config, notes),
        scripts::LUA => scripts::settings(config, notes),
        _ if effect == Effect::Restricts && !filter.disabled && !filter.is_optional => {
            Err(unsupported(notes.place(), config))
        }
        of if effect == Effect::Restricts && filter.disabled => {
            notes.add("", format!("{of}: a route that switches it on takes no request"));
            Ok(Filter::Missing)
        }
        of => {
            notes.add("", format!("{of} has no effect"));
            Ok(Filter::Nothing)
        }
    }
}

#[cfg(test)]
mod tests;
