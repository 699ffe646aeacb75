//! How do explanations name things?

use tidegate_proxy::cluster::{Balance, BalanceSettings};
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::filter::named::Switch;
use tidegate_proxy::filter::{FilterOverrides, named::Override};
use tidegate_proxy::listener::chain::{ChainMatch, Criterion, Prefix, SourceType, Transport};
use tidegate_proxy::rehearsal::Stop;
use tidegate_proxy::route::{
    Action, Destination, HeaderMutations, Mutation, MutationOrder, MutationRule, RetryOn, Route, Write,
};
use tidegate_xds::translate::listener::{ChainConfig, ListenerConfig};

/// A listener: its name, where it listens, what its chains speak.
pub(super) fn listener(listener: &ListenerConfig) -> String {
    let addresses: Vec<String> = listener
        .addresses
        .iter()
        .map(|(address, _)| address.to_string())
        .collect();
    format!("{} on {}", listener.name, addresses.join(", "))
}

pub(super) fn chain(index: usize, chain: &ChainConfig) -> String {
    let name = match &*chain.name {
        "" => String::new(),
        name => format!(" '{name}'"),
    };
    format!("#{index}{name}, {}", protocol(chain))
}

pub(super) fn protocol(chain: &ChainConfig) -> &'static str {
    match (&chain.relay, &chain.tls) {
        (None, None) => "http",
        (None, Some(_)) => "https",
        (Some(_), None) => "bytes",
        (Some(_), Some(_)) => "bytes over TLS",
    }
}

/// What a chain asks for by one criterion.
pub(super) fn criterion(criterion: Criterion, matches: &ChainMatch) -> String {
    let prefixes = |prefixes: &[Prefix]| list(prefixes.iter().map(Prefix::to_string));
    match criterion {
        Criterion::DestinationPort => list(matches.destination_port.iter().map(u16::to_string)),
        Criterion::Destination => prefixes(&matches.destinations),
        Criterion::ServerName => list(matches.server_names.iter().map(|name| format!("'{name}'"))),
        Criterion::Transport => match matches.transport {
            Some(Transport::Tls) => "TLS".to_owned(),
            Some(Transport::Raw) => "no TLS".to_owned(),
            None => "any".to_owned(),
        },
        Criterion::ApplicationProtocol => {
            let names = matches.application_protocols.iter();
            list(names.map(|name| name.escape_ascii().to_string()))
        }
        Criterion::DirectSource => prefixes(&matches.direct_sources),
        Criterion::SourceType => match matches.source_type {
            Some(SourceType::SameHost) => "a client on this machine".to_owned(),
            Some(SourceType::External) => "a client elsewhere".to_owned(),
            None => "any".to_owned(),
        },
        Criterion::Source => prefixes(&matches.sources),
        Criterion::SourcePort => list(matches.source_ports.iter().map(u16::to_string)),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    items.join(" or ")
}

/// The first of many, and how many more there are.
pub(super) fn at_most(mut all: Vec<String>, most: usize) -> Vec<String> {
    let more = all.len().saturating_sub(most);
    all.truncate(most);
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    all
}

pub(super) fn route(index: usize, route: &Route) -> String {
    match &route.name {
        Some(name) => format!("#{index} '{name}'"),
        None => format!("#{index}"),
    }
}

/// What a route asks for.
pub(super) fn conditions(route: &Route) -> String {
    let conditions = route.matcher.conditions();
    let texts: Vec<String> = conditions
        .iter()
        .map(|(criterion, wanted)| format!("{criterion} {wanted}"))
        .collect();
    texts.join(", ")
}

/// What a route does, in short.
pub(super) fn action(route: &Route) -> String {
    match &route.action {
        Action::Forward(forward) => match &forward.to {
            Destination::Split(split) => {
                let names: Vec<_> = split.parts().iter().map(|part| &*part.cluster).collect();
                format!("to {}", names.join(", "))
            }
            Destination::Header(name) => format!("to the cluster that the field {name} names"),
        },
        Action::Redirect(_) => "redirects".to_owned(),
        Action::Respond(direct) => format!("answers {}", direct.status().as_u16()),
    }
}

/// The filters of the listener in their order, and what the most specific level makes of each.
pub(super) fn filters(http: &HttpSettings, stop: Stop<'_>) -> Vec<String> {
    let nothing = FilterOverrides::default();
    let levels = [
        ("share", stop.share.map_or(&nothing, |share| &share.overrides)),
        ("route", &stop.route.overrides),
        ("virtual host", &stop.host.overrides),
        ("route configuration", &stop.table.settings().overrides),
    ];
    let filters = http.filters.as_slice().iter();
    let texts = filters.map(|filter| {
        let change = levels
            .iter()
            .find_map(|(level, overrides)| Some((level, overrides.get(&filter.name)?)));
        let text = match change {
            Some((level, Override::Disabled)) => format!(", disabled by the {level}"),
            Some((level, Override::Enabled)) => format!(", enabled by the {level}"),
            Some((level, Override::Replaced(_) | Override::Authorization(_))) => {
                format!(", configured by the {level}")
            }
            None if filter.initially != Switch::On => ", disabled".to_owned(),
            None => String::new(),
        };
        format!("{}{text}", filter.name)
    });
    texts.collect()
}

/// The changes of fields in the order in which they are made.
pub(super) fn edits(stop: Stop<'_>) -> Vec<String> {
    let nothing = HeaderMutations::default();
    let share = ("share", stop.share.map_or(&nothing, |share| &share.headers));
    let route = ("route", &stop.route.headers);
    let host = ("virtual host", &stop.host.headers);
    let settings = stop.table.settings();
    let table = ("route configuration", &settings.headers);
    let levels = match settings.order {
        MutationOrder::TableLast => [share, route, host, table],
        MutationOrder::MostSpecificLast => [share, table, host, route],
    };
    let mut texts = Vec::new();
    for (level, mutations) in levels {
        let requests = mutations.request().iter().map(|one| ("request", one));
        let responses = mutations.response().iter().map(|one| ("response", one));
        texts.extend(
            requests
                .chain(responses)
                .map(|(of, one)| format!("{of}, by the {level}: {}", edit(one))),
        );
    }
    texts
}

fn edit(mutation: &Mutation) -> String {
    let name = mutation.name();
    let (write, value) = match mutation.rule() {
        MutationRule::Remove => return format!("remove {name}"),
        MutationRule::Constant(write, value) => {
            (write, String::from_utf8_lossy(value.as_bytes()).into_owned())
        }
        MutationRule::Made(write, template) => (write, template.to_string()),
    };
    match write {
        Write::Append => format!("append {name}: {value}"),
        Write::AddIfAbsent => format!("add {name}: {value}, if it is not there"),
        Write::Overwrite => format!("set {name}: {value}"),
        Write::OverwriteIfPresent => format!("set {name}: {value}, if it is there"),
    }
}

/// How an endpoint is chosen.
pub(super) fn balance(settings: &BalanceSettings) -> &'static str {
    match settings.policy {
        Balance::RoundRobin(_) => "round robin",
        Balance::LeastRequest(..) => "least requests",
        Balance::Random => "random",
        Balance::RingHash(_) => "ring hash",
        Balance::Maglev(_) => "maglev",
    }
}

/// What is tried again, in Envoy's words.
pub(super) fn retry_on(on: &RetryOn) -> String {
    match on {
        RetryOn::ServerError => "5xx".to_owned(),
        RetryOn::GatewayError => "gateway-error".to_owned(),
        RetryOn::Reset => "reset".to_owned(),
        RetryOn::ResetBeforeRequest => "reset-before-request".to_owned(),
        RetryOn::ConnectFailure => "connect-failure".to_owned(),
        RetryOn::RefusedStream => "refused-stream".to_owned(),
        RetryOn::RetriableClientError => "retriable-4xx".to_owned(),
        RetryOn::Status(status) => status.as_u16().to_string(),
        RetryOn::Header(name) => format!("field {name}"),
        RetryOn::Grpc(code) => format!("grpc-status {code}"),
    }
}
