//! `/listeners`: where does this program listen?

use std::net::SocketAddr;

use tidegate_proxy::listener::ListenAddress;
use tidegate_xds::text::Json;

use super::Admin;
use super::answer::Answer;
use super::json::{map, number, text};
use super::parameters::Parameters;

pub(super) fn show(admin: &Admin, parameters: &Parameters) -> Answer {
    let mut listeners = admin.settings().proxy.counts().listeners();
    listeners.sort_by(|one, other| one.name().cmp(other.name()));
    if parameters.get("format") != Some("json") {
        let line = |listener: &_| -> String {
            let listener: &std::sync::Arc<tidegate_proxy::observe::counts::ListenerCounts> = listener;
            format!("{}::{}\n", listener.name(), listener.address())
        };
        return Answer::ok(listeners.iter().map(line).collect::<String>());
    }
    let statuses = listeners.iter().map(|listener| {
        map([
            ("name", Some(text(&**listener.name()))),
            ("local_address", Some(address(listener.address()))),
        ])
    });
    let statuses: Vec<Json> = statuses.collect();
    let statuses = (!statuses.is_empty()).then_some(Json::List(statuses));
    Answer::json(map([("listener_statuses", statuses)]).pretty() + "\n")
}

fn address(address: &ListenAddress) -> Json {
    match address {
        ListenAddress::Tcp(address) => socket_address(*address),
        ListenAddress::Unix(_) => pipe(address),
    }
}

/// `core.v3.Address` of a TCP address.
pub(super) fn socket_address(address: SocketAddr) -> Json {
    let socket = map([
        ("address", Some(text(address.ip().to_string()))),
        ("port_value", Some(number(address.port()))),
    ]);
    map([("socket_address", Some(socket))])
}

/// `core.v3.Address` of a unix socket.
pub(super) fn pipe(path: impl ToString) -> Json {
    let pipe = map([("path", Some(text(path.to_string())))]);
    map([("pipe", Some(pipe))])
}
