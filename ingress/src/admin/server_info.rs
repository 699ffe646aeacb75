//! `/server_info`: which program this is, how it was started, and how far it is.

use std::sync::Arc;

use tidegate_xds::text::{Json, Schema, Secrets};

use super::Admin;
use super::answer::{Answer, JSON};
use super::json::{map, number, text};

const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";

/// As Envoy lays it out.
pub(super) fn show(admin: &Admin) -> Answer {
    let admin = admin.clone();
    Answer::written(JSON, move |out| {
        let settings = admin.settings();
        let uptime = Some(text(format!("{}s", admin.uptime().as_secs())));
        let info = map([
            ("version", Some(text(version()))),
            ("state", Some(text(settings.lifecycle.state().name()))),
            ("uptime_current_epoch", uptime.clone()),
            ("uptime_all_epochs", uptime),
            ("hot_restart_version", Some(text(HOT_RESTART))),
            ("command_line_options", Some(settings.options.clone())),
            ("node", Some(node(&admin))),
            ("hot_restart_initializing", Some(Json::Bool(false))),
        ]);
        out.write_str(&info.pretty())?;
        out.write_str("\n")
    })
}

/// What stands for hot restart, which there is none of.
pub(super) const HOT_RESTART: &str = "disabled";

/// `<what>/<version>/Clean/RELEASE/<TLS>`, as Envoy's.
pub(crate) fn version() -> String {
    format!("tidegate/{}/Clean/RELEASE/rustls", env!("CARGO_PKG_VERSION"))
}

/// The bootstrap as JSON, keys redacted, and with what the program adds to its node.
pub(super) fn bootstrap(admin: &Admin) -> Json {
    let message = &admin.settings().bootstrap.message;
    let schema = Arc::new(Schema::for_contents(&[BOOTSTRAP], [&message[..]]));
    let mut bootstrap = schema
        .to_json(BOOTSTRAP, message, Secrets::Redacted)
        .unwrap_or(Json::Null);
    if let Json::Map(fields) = &mut bootstrap {
        match fields.iter_mut().find(|(name, _)| &**name == "node") {
            Some((_, node)) => introduce(node),
            None => {
                let mut node = Json::Map(Vec::new());
                introduce(&mut node);
                fields.insert(0, ("node".into(), node));
            }
        }
    }
    bootstrap
}

fn node(admin: &Admin) -> Json {
    let node = bootstrap(admin).get("node").cloned();
    node.unwrap_or(Json::Map(Vec::new()))
}

/// What the program says about itself to control planes.
fn introduce(node: &mut Json) {
    let Json::Map(fields) = node else { return };
    if fields.iter().any(|(name, _)| &**name == "user_agent_name") {
        return;
    }
    let mut parts = env!("CARGO_PKG_VERSION").split('.');
    let mut part = || parts.next().filter(|part| *part != "0").map(number);
    let version = map([
        ("major_number", part()),
        ("minor_number", part()),
        ("patch", part()),
    ]);
    fields.push(("user_agent_name".into(), text("envoy")));
    fields.push((
        "user_agent_build_version".into(),
        map([("version", Some(version))]),
    ));
}
