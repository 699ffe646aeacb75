//! The admin endpoints of the running program: where they listen, on a thread that nothing else makes wait.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tidegate_proxy::listener::ListenAddress;
use tidegate_proxy::listener::settings::UnixAddress;
use tidegate_proxy::observe::access_log::Journal;
use tidegate_xds::client::Status;
use tidegate_xds::resource::Kind;
use tidegate_xds::text::{Format, Json, Secrets, Unknown, parse};
use tidegate_xds::translate::Context;
use tidegate_xds::translate::bootstrap::{self, AdminAddress, ConfigSource, Source, TagValue};
use tidegate_xds::translate::listener::access_log::{Sinks, of_admin};

use crate::admin::{self, Admin, Loggers};
use crate::bootstrap::{Loaded, MESSAGE};
use crate::flags::Flags;
use crate::lifecycle::Stage;
use crate::listeners::reason;
use crate::serve::{Program, StartError, on_a_thread, reopen};
use crate::start::apart;
use crate::stats::{Discovery, Recorder, Registry, Rules};

/// What the endpoints show beside the running program.
pub(crate) struct Shown<'a> {
    pub(crate) flags: &'a Flags,
    pub(crate) loaded: &'a Loaded,
    pub(crate) recorder: Recorder,
    pub(crate) status: Arc<Status>,
    pub(crate) loggers: Arc<dyn Loggers>,
    pub(crate) workers: usize,
}

/// Starts them, where the bootstrap says an address.
pub(crate) fn start(shown: Shown<'_>, program: &Program) -> Result<(), StartError> {
    let admin = shown.loaded.bootstrap.admin.as_ref();
    let Some(address) = admin.and_then(|admin| admin.address.as_ref()) else {
        return Ok(());
    };
    let address = listen_address(address)?;
    let cannot_bind = |error: io::Error| {
        let why = reason(&error);
        StartError::Resource(format!("cannot bind '{address}': {why}"))
    };
    let listener = admin::bind(&address).map_err(cannot_bind)?;
    if let (Some(path), Some(at)) = (&shown.flags.admin_address_path, listener.address()) {
        std::fs::write(path, at.to_string())?;
    }
    let bootstrap = &shown.loaded.bootstrap;
    let kinds = [
        bootstrap.clusters.as_ref().map(|_| Kind::Cluster),
        bootstrap.listeners.as_ref().map(|_| Kind::Listener),
    ];
    let discovery = Discovery {
        status: shown.status,
        counts: Arc::clone(&program.counts),
        kinds: kinds.into_iter().flatten().collect(),
        control_plane: bootstrap.ads.is_some() || asks(&bootstrap.clusters) || asks(&bootstrap.listeners),
        static_unknown_fields: shown.loaded.with_unknown_fields,
    };
    let sinks = program.sinks.clone();
    let access_log = access_log(bootstrap.admin.as_ref(), &sinks)?;
    let rules = rules(shown.flags, bootstrap);
    let pages = Admin::new(admin::Settings {
        lifecycle: program.lifecycle.clone(),
        proxy: program.config.clone(),
        stats: Registry::new(program.config.clone(), shown.recorder)
            .with_discovery(discovery)
            .with_activators(program.activators.clone())
            .ruled(rules),
        view: Arc::clone(&program.view),
        revisions: Some(Arc::clone(&program.activators.revisions)),
        bootstrap: admin::Bootstrap {
            message: shown.loaded.message.clone(),
            read_at: SystemTime::now(),
        },
        options: options(shown.flags, shown.workers),
        concurrency: shown.workers,
        restart_epoch: shown.flags.hot_restart.epoch,
        logging: shown.loggers,
        reopen_logs: Arc::new(move || reopen(&sinks)),
        access_log,
    });
    let (watch, mut stages) = (program.watch.clone(), program.lifecycle.stages());
    // Ends with the traffic.
    drop(on_a_thread("admin", move || async move {
        let live = async {
            // An error means that the program ends.
            if stages.wait_for(|stage| *stage == Stage::Live).await.is_ok() {
                pages.live();
            }
        };
        let (served, ()) = tokio::join!(pages.clone().serve(listener, watch), live);
        if let Err(error) = served {
            tracing::error!(%error, "the admin endpoints cannot be served");
        }
    })?);
    Ok(())
}

/// What is written about requests to the endpoints, where the bootstrap has it.
fn access_log(admin: Option<&bootstrap::Admin>, sinks: &Sinks) -> Result<Option<Journal>, StartError> {
    let Some(admin) = admin else { return Ok(None) };
    let context = Context {
        sinks: sinks.clone(),
        ..Context::default()
    };
    let logs = of_admin(&admin.access_log, &admin.access_log_path, &context);
    let logs = logs.map_err(|reject| StartError::Resource(reject.to_string()))?;
    Ok((!logs.is_empty()).then(|| Journal::new(logs)))
}

/// Which statistics there are, and what all of them are tagged with: first what the command line says.
fn rules(flags: &Flags, bootstrap: &bootstrap::Bootstrap) -> Rules {
    let fixed = |tag: &bootstrap::TagExtractor| match &tag.value {
        TagValue::Fixed(value) => Some((tag.name.clone(), value.clone())),
        TagValue::Found(_) | TagValue::Default => None,
    };
    let of_bootstrap = bootstrap.stats.tags.iter().filter_map(fixed);
    Rules {
        matcher: bootstrap.stats.matcher.clone(),
        tags: flags.stats_tags.iter().cloned().chain(of_bootstrap).collect(),
    }
}

/// Whether a control plane is asked, and not a file read.
fn asks(config: &Option<ConfigSource>) -> bool {
    let source = config.as_ref().map(|config| &config.source);
    source.is_some_and(|source| !matches!(source, Source::Path { .. }))
}

fn listen_address(address: &AdminAddress) -> Result<ListenAddress, StartError> {
    match address {
        AdminAddress::Socket { address, port } => {
            let malformed = || StartError::Resource(format!("malformed IP address: {address}"));
            let ip = address.parse().map_err(|_malformed| malformed())?;
            let port = u16::try_from(*port).map_err(|_too_large| malformed())?;
            Ok(SocketAddr::new(ip, port).into())
        }
        AdminAddress::Pipe { path, mode } => Ok(ListenAddress::Unix(UnixAddress {
            path: path.clone(),
            mode: (*mode != 0).then_some(*mode),
        })),
    }
}

/// The command line as `/server_info` shows it.
fn options(flags: &Flags, workers: usize) -> Json {
    let text = |text: &str| Json::Text(text.to_owned());
    let seconds = |time: std::time::Duration| Json::Text(format!("{}s", time.as_secs()));
    let number = |number: u64| Json::Number(number.to_string().into());
    let strategy = match flags.drain.strategy {
        crate::flags::DrainStrategy::Gradual => "Gradual",
        crate::flags::DrainStrategy::Immediate => "Immediate",
    };
    let fields = [
        ("base_id", number(flags.hot_restart.base_id.into())),
        ("concurrency", number(u64::try_from(workers).unwrap_or(u64::MAX))),
        ("config_path", text(&flags.config_name())),
        ("config_yaml", Json::Text(config_yaml(flags))),
        ("log_level", text(flags.log.level.name())),
        ("service_cluster", text(&flags.service_cluster)),
        ("service_node", text(&flags.service_node)),
        ("service_zone", text(&flags.service_zone)),
        ("mode", text("Serve")),
        ("drain_strategy", text(strategy)),
        ("drain_time", seconds(flags.drain.time)),
        (
            "parent_shutdown_time",
            seconds(flags.hot_restart.parent_shutdown_time),
        ),
        ("restart_epoch", number(flags.hot_restart.epoch.into())),
        ("disable_hot_restart", Json::Bool(flags.hot_restart.is_disabled)),
    ];
    Json::Map(
        fields
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect(),
    )
}

/// What is shown of `--config-yaml`. Without it nothing is read: that takes the descriptors of all messages.
fn config_yaml(flags: &Flags) -> String {
    let yaml = flags.config_yaml.as_deref().filter(|yaml| !yaml.is_empty());
    yaml.map_or_else(String::new, |yaml| apart(|| without_keys(yaml)))
}

/// `--config-yaml` as it was given, unless there are keys in it: then as JSON, which is YAML too, without them.
fn without_keys(yaml: &str) -> String {
    // What is no configuration has not been started with.
    let Ok(parsed) = parse(yaml.as_bytes(), Format::Yaml, MESSAGE, Unknown::Ignored) else {
        return String::new();
    };
    let [shown, redacted] =
        [Secrets::Shown, Secrets::Redacted].map(|secrets| parsed.to_json(secrets).compact());
    if shown == redacted {
        yaml.to_owned()
    } else {
        redacted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_shown_as_it_was_given_but_for_keys() {
        let plain = "node: {id: a} # mine";
        assert_eq!(without_keys(plain), plain);
        let secret = "{static_resources: {secrets: [{name: s, tls_certificate: \
            {private_key: {inline_string: hidden}, certificate_chain: {inline_string: shown}}}]}}";
        let shown = without_keys(secret);
        assert!(
            !shown.contains("hidden") && shown.contains("[redacted]") && shown.contains("shown"),
            "{shown}"
        );
        assert_eq!(without_keys(""), "");
    }
}
