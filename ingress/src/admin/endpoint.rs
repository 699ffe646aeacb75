//! Which endpoints are there, what does each take, and who answers it?

use http::{Method, StatusCode};

use super::answer::{Answer, HTML, TEXT};
use super::parameters::Parameters;
use super::{Admin, certs, clusters, config_dump, help, listeners, logging, orders, runtime, server_info};
use crate::stats::{Format, Query};

/// One endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) path: &'static str,
    pub(super) changes: Changes,
    pub(super) about: &'static str,
    /// What it takes, and what that does.
    pub(super) parameters: &'static [(&'static str, &'static str)],
    what: What,
}

/// Whether an endpoint changes anything: then it takes POST alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changes {
    No,
    Yes,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Home,
    Certs,
    Clusters,
    ConfigDump,
    DrainListeners,
    HealthFail,
    HealthOk,
    Help,
    HotRestartVersion,
    InitDump,
    Listeners,
    Logging,
    Memory,
    Quit,
    Ready,
    ReopenLogs,
    ResetCounters,
    Runtime,
    RuntimeModify,
    ServerInfo,
    Stats,
    Prometheus,
}

/// Answers a request for a path, whatever slashes are doubled in front of it.
pub(super) fn answer(admin: &Admin, method: &Method, path: &str, query: Option<&str>) -> Answer {
    let path = path.trim_start_matches('/');
    let Some(endpoint) = ENDPOINTS.iter().find(|endpoint| endpoint.path == path) else {
        let text = format!("invalid path. {}", help::text());
        return Answer::text(StatusCode::NOT_FOUND, text);
    };
    if endpoint.changes == Changes::Yes && method != Method::POST {
        let text = format!("Method {method} not allowed, POST required.");
        return Answer::text(StatusCode::METHOD_NOT_ALLOWED, text);
    }
    endpoint.what.answer(admin, &Parameters::read(query))
}

impl What {
    fn answer(self, admin: &Admin, parameters: &Parameters) -> Answer {
        match self {
            Self::Home => Answer {
                content_type: HTML,
                ..Answer::ok(help::home())
            },
            Self::Certs => certs::show(admin),
            Self::Clusters => clusters::show(admin, parameters),
            Self::ConfigDump => config_dump::show(admin, parameters),
            Self::DrainListeners => orders::drain_listeners(admin, parameters),
            Self::HealthFail => orders::health_fail(admin),
            Self::HealthOk => orders::health_ok(admin),
            Self::Help => Answer::ok(help::text()),
            Self::HotRestartVersion => Answer::ok(format!("{}\n", server_info::HOT_RESTART)),
            Self::InitDump => Answer::json("{}\n"),
            Self::Listeners => listeners::show(admin, parameters),
            Self::Logging => logging::change(admin, parameters),
            Self::Memory => runtime::memory(),
            Self::Quit => orders::quit(admin),
            Self::Ready => orders::ready(admin),
            Self::ReopenLogs => orders::reopen_logs(admin),
            Self::ResetCounters => orders::reset_counters(admin),
            Self::Runtime => runtime::values(admin),
            Self::RuntimeModify => runtime::modify(parameters),
            Self::ServerInfo => server_info::show(admin),
            Self::Stats => stats(admin, parameters, None),
            Self::Prometheus => stats(admin, parameters, Some(Format::Prometheus)),
        }
    }
}

fn stats(admin: &Admin, parameters: &Parameters, format: Option<Format>) -> Answer {
    let mut query = match Query::read(parameters.iter()) {
        Ok(query) => query,
        Err(invalid) => return Answer::text(StatusCode::BAD_REQUEST, invalid.to_string()),
    };
    query.format = format.unwrap_or(query.format);
    let content_type = match query.format {
        Format::Json => super::answer::JSON,
        Format::Html => HTML,
        Format::Text | Format::Prometheus => TEXT,
    };
    let admin = admin.clone();
    Answer::written(content_type, move |out| {
        admin.settings().stats.collect(&admin.facts()).write(&query, out)
    })
}

type About = &'static [(&'static str, &'static str)];

const fn shows(path: &'static str, what: What, about: &'static str, parameters: About) -> Endpoint {
    Endpoint {
        path,
        changes: Changes::No,
        about,
        parameters,
        what,
    }
}

const fn changes(path: &'static str, what: What, about: &'static str, parameters: About) -> Endpoint {
    Endpoint {
        path,
        changes: Changes::Yes,
        about,
        parameters,
        what,
    }
}

/// In Envoy's order and words.
pub(super) const ENDPOINTS: &[Endpoint] = &[
    shows("", What::Home, "Admin home page", &[]),
    shows("certs", What::Certs, "print certs on machine", &[]),
    shows(
        "clusters",
        What::Clusters,
        "upstream cluster status",
        &[(
            "filter",
            "Regular expression (Google re2) for filtering clusters by name",
        )],
    ),
    shows(
        "config_dump",
        What::ConfigDump,
        "dump current Envoy configs",
        &[
            ("resource", "The resource to dump"),
            (
                "mask",
                "The mask to apply. When both resource and mask are specified, the mask is applied to every element in the desired repeated field so that only a subset of fields are returned. The mask is parsed as a Protobuf::FieldMask",
            ),
            (
                "name_regex",
                "Dump only the currently loaded configurations whose names match the specified regex. Can be used with both resource and mask query parameters.",
            ),
            (
                "include_eds",
                "Dump currently loaded configuration including EDS. See the response definition for more information",
            ),
        ],
    ),
    changes(
        "drain_listeners",
        What::DrainListeners,
        "drain listeners",
        &[
            (
                "graceful",
                "When draining listeners, enter a graceful drain period prior to closing listeners. This behaviour and duration is configurable via server options or CLI",
            ),
            (
                "skip_exit",
                "When draining listeners, drain the connections but never stop the listeners. The graceful parameter has no effect when this is set, since the drain period only delays stopping the listeners",
            ),
            (
                "inboundonly",
                "Drains all inbound listeners. traffic_direction field in envoy_v3_api_msg_config.listener.v3.Listener is used to determine whether a listener is inbound or outbound.",
            ),
        ],
    ),
    changes(
        "healthcheck/fail",
        What::HealthFail,
        "cause the server to fail health checks",
        &[],
    ),
    changes(
        "healthcheck/ok",
        What::HealthOk,
        "cause the server to pass health checks",
        &[],
    ),
    shows("help", What::Help, "print out list of admin commands", &[]),
    shows(
        "hot_restart_version",
        What::HotRestartVersion,
        "print the hot restart compatibility version",
        &[],
    ),
    shows(
        "init_dump",
        What::InitDump,
        "dump current Envoy init manager information (experimental)",
        &[(
            "mask",
            "The desired component to dump unready targets. The mask is parsed as a Protobuf::FieldMask. For example, get the unready targets of all listeners with /init_dump?mask=listener`",
        )],
    ),
    shows(
        "listeners",
        What::Listeners,
        "print listener info",
        &[("format", "File format to use; One of (text, json)")],
    ),
    changes(
        "logging",
        What::Logging,
        "query/change logging levels",
        &[
            (
                "paths",
                "Change multiple logging levels by setting to <logger_name1>:<desired_level1>,<logger_name2>:<desired_level2>. If fine grain logging is enabled, use __FILE__ or a glob experision as the logger name. For example, source/common*:warning",
            ),
            (
                "group",
                "Change given logger group to desired level, set to <logger_group_name>:<desired_level>. logger_group_name must be a logger name.",
            ),
            (
                "level",
                "desired logging level, this will change all loggers's level; One of (, trace, debug, info, warning, error, critical, off)",
            ),
        ],
    ),
    shows("memory", What::Memory, "print current allocation/heap usage", &[]),
    changes("quitquitquit", What::Quit, "exit the server", &[]),
    shows(
        "ready",
        What::Ready,
        "print server state, return 200 if LIVE, otherwise return 503",
        &[],
    ),
    changes("reopen_logs", What::ReopenLogs, "reopen access logs", &[]),
    changes(
        "reset_counters",
        What::ResetCounters,
        "reset all counters to zero",
        &[],
    ),
    shows("runtime", What::Runtime, "print runtime values", &[]),
    changes(
        "runtime_modify",
        What::RuntimeModify,
        "Adds or modifies runtime values as passed in query parameters. To delete a previously added key, use an empty string as the value. Note that deletion only applies to overrides added via this endpoint; values loaded from disk can be modified via override but not deleted. E.g. ?key1=value1&key2=value2...",
        &[],
    ),
    shows(
        "server_info",
        What::ServerInfo,
        "print server version/status information",
        &[],
    ),
    shows("stats", What::Stats, "print server stats", STATS),
    shows(
        "stats/prometheus",
        What::Prometheus,
        "print server stats in prometheus format",
        PROMETHEUS,
    ),
];

const STATS: About = &[
    (
        "usedonly",
        "Only include stats that have been written by system since restart",
    ),
    ("filter", "Regular expression (Google re2) for filtering stats"),
    ("invert_filter", "Invert the filter regex"),
    ("format", "Format to use; One of (html, active-html, text, json)"),
    (
        "type",
        "Stat types to include.; One of (All, Counters, Histograms, Gauges, TextReadouts)",
    ),
    (
        "histogram_buckets",
        "Histogram bucket display mode; One of (cumulative, disjoint, detailed, summary)",
    ),
];

const PROMETHEUS: About = &[
    (
        "usedonly",
        "Only include stats that have been written by system since restart",
    ),
    (
        "text_readouts",
        "Render text_readouts as new gaugues with value 0 (increases Prometheus data size)",
    ),
    ("filter", "Regular expression (Google re2) for filtering stats"),
    ("invert_filter", "Invert the filter regex"),
    (
        "histogram_buckets",
        "Histogram bucket display mode; One of (cumulative, summary)",
    ),
];
