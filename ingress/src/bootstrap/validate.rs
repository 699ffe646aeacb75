//! Is a configuration sound? Everything goes through the constructors that the running program uses; nothing is opened.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_xds::resource::Kind;
use tidegate_xds::translate::bootstrap::{Source, StaticResource};
use tidegate_xds::translate::listener::{ListenerConfig, RouteSource};
use tidegate_xds::translate::secret::Secrets;
use tidegate_xds::translate::{Context, Reject, UnknownFields, cluster, listener, secret};

use super::{Loaded, Report, load, refusal};
use crate::flags::Flags;

/// Reads the configuration and everything in it.
///
/// # Errors
/// The first thing that Envoy would refuse, in its words, with its place.
pub fn validate(flags: &Flags) -> Result<(), Report> {
    let loaded = load(flags)?;
    files(flags, &loaded)?;
    let context = context(flags);
    let names: BTreeSet<&str> = loaded
        .bootstrap
        .resources
        .iter()
        .filter(|resource| resource.kind == Kind::Cluster)
        .map(|resource| &*resource.raw.name)
        .collect();
    let mut secrets = Secrets::new();
    for resource in &loaded.bootstrap.resources {
        check(resource, &context, &names, &mut secrets)
            .map_err(|reject| refusal(flags, &loaded.places, &resource.path, &reject))?;
    }
    Ok(())
}

/// How the static resources of these flags are read.
#[must_use]
pub fn context(flags: &Flags) -> Context {
    Context {
        internal_listeners: flags
            .internal_listeners
            .iter()
            .map(|name| name.as_str().into())
            .collect(),
        unknown_fields: if flags.unknown.reject_dynamic {
            UnknownFields::Rejected
        } else if flags.unknown.ignore_dynamic {
            UnknownFields::Uncounted
        } else {
            UnknownFields::Ignored
        },
        edge: crate::edge::policy(),
        disabled: flags
            .disable_extensions
            .iter()
            .map(|name| name.as_str().into())
            .collect(),
        ..Context::default()
    }
}

/// What resources are read from has to be there.
fn files(flags: &Flags, loaded: &Loaded) -> Result<(), Report> {
    let bootstrap = &loaded.bootstrap;
    let sources = [
        ("cds_config", &bootstrap.clusters),
        ("lds_config", &bootstrap.listeners),
    ];
    for (field, source) in sources {
        if let Some(Source::Path { path, .. }) = source.as_ref().map(|config| &config.source)
            && !path.exists()
        {
            let path = path.display();
            let message =
                format!("paths must refer to an existing path in the system: '{path}' does not exist");
            let field = format!("dynamic_resources.{field}");
            return Err(refusal(flags, &loaded.places, &field, &Reject::Resource(message)));
        }
    }
    Ok(())
}

fn check(
    resource: &StaticResource,
    context: &Context,
    clusters: &BTreeSet<&str>,
    secrets: &mut Secrets,
) -> Result<(), Reject> {
    let body = &resource.raw.body;
    match resource.kind {
        Kind::Secret => {
            let secret = secret::secret(body, context)?;
            secrets.insert(Arc::clone(&resource.raw.name), Arc::new(secret));
            Ok(())
        }
        Kind::Cluster => {
            let config = cluster::cluster(body, context)?;
            config.tls.map_or(Ok(()), |tls| tls.check_static(secrets))
        }
        Kind::Listener => {
            let named = |reject| named(&resource.raw.name, &reject);
            let config = listener::listener(body, context).map_err(named)?;
            let chains = config.chains.iter().chain(&config.default_chain);
            let mut tls = chains.filter_map(|chain| chain.tls.as_ref());
            tls.try_for_each(|tls| tls.check_static(secrets))?;
            routes(&config, clusters)
        }
        Kind::Endpoints | Kind::Routes | Kind::Runtime => Ok(()),
    }
}

/// Envoy names the listener in what it says of it.
fn named(name: &str, reject: &Reject) -> Reject {
    match reject {
        Reject::Message(text) => Reject::Message(text.clone()),
        Reject::Resource(text) => Reject::Resource(format!("error adding listener named '{name}': {text}")),
    }
}

/// Routes that stand in a listener may only name clusters that are there.
fn routes(config: &ListenerConfig, clusters: &BTreeSet<&str>) -> Result<(), Reject> {
    for chain in config.chains.iter().chain(&config.default_chain) {
        if let RouteSource::Inline(routes) = &chain.routes
            && routes.validate_clusters != Some(false)
            && let Some(message) = routes.unknown_cluster(|name| clusters.contains(name))
        {
            return Err(Reject::Resource(message));
        }
    }
    Ok(())
}
