//! The messages of the dump: which resource stands where, and what is said about it?

use std::sync::Arc;
use std::time::SystemTime;

use tidegate_xds::resource::Kind;
use tidegate_xds::store::view::{Entry, Origin, State, View};
use tidegate_xds::text::{Json, Schema, Secrets};
use tidegate_xds::translate::listener::inline;

use super::super::json::{map, text, timestamp};
use super::super::{Admin, server_info};
use super::endpoints;
use super::message::{Element, Field, Message, Part, Wanted};

/// Makes resources JSON.
struct Maker {
    view: Arc<View>,
    schema: Arc<Schema>,
}

/// In Envoy's order.
pub(super) fn messages(admin: &Admin, wanted: &Wanted) -> Vec<Message> {
    let view = admin.view();
    let bodies = view.resources.values().flatten().flat_map(|entry| {
        let attempt = entry.error.as_ref().map(|failure| failure.attempt.body());
        std::iter::once(entry.raw.body()).chain(attempt)
    });
    let bodies: Vec<_> = bodies.collect();
    let roots = Kind::ALL.map(|kind| kind.type_url().trim_start_matches("type.googleapis.com/"));
    let schema = Schema::for_contents(&roots, bodies.iter().map(|body| &body[..]));
    let maker = Maker {
        view,
        schema: Arc::new(schema),
    };
    let mut messages = vec![bootstrap(admin), maker.clusters(wanted)];
    if wanted.endpoints {
        messages.push(endpoints::message(admin, wanted));
    }
    messages.extend([
        maker.listeners(wanted),
        scoped_routes(),
        maker.routes(wanted),
        maker.secrets(wanted),
    ]);
    messages
}

fn bootstrap(admin: &Admin) -> Message {
    let (admin, read_at) = (admin.clone(), admin.settings().bootstrap.read_at);
    Message {
        name: "envoy.admin.v3.BootstrapConfigDump",
        scalars: vec![
            ("bootstrap", Part::new(move || server_info::bootstrap(&admin))),
            ("last_updated", Part::new(move || timestamp(read_at))),
        ],
        lists: Vec::new(),
    }
}

fn scoped_routes() -> Message {
    let element = Element {
        name: "envoy.admin.v3.ScopedRoutesConfigDump.InlineScopedRouteConfigs",
        fields: &["name", "scoped_route_configs", "last_updated"],
    };
    Message {
        name: "envoy.admin.v3.ScopedRoutesConfigDump",
        scalars: Vec::new(),
        lists: ["inline_scoped_route_configs", "dynamic_scoped_route_configs"]
            .map(|name| Field::new(name, element, Vec::new()))
            .into(),
    }
}

impl Maker {
    fn clusters(&self, wanted: &Wanted) -> Message {
        let of = |origin, states: &'static [State]| {
            let entries = self.entries(Kind::Cluster, wanted, origin, states);
            entries.map(|entry| self.dynamic("cluster", entry)).collect()
        };
        Message {
            name: "envoy.admin.v3.ClustersConfigDump",
            scalars: self.version(Kind::Cluster),
            lists: vec![
                Field::new(
                    "static_clusters",
                    Element {
                        name: "envoy.admin.v3.ClustersConfigDump.StaticCluster",
                        fields: &["cluster", "last_updated"],
                    },
                    self.statics(Kind::Cluster, "cluster", wanted),
                ),
                Field::new(
                    "dynamic_active_clusters",
                    DYNAMIC_CLUSTER,
                    of(Origin::Dynamic, IN_FORCE),
                ),
                Field::new(
                    "dynamic_warming_clusters",
                    DYNAMIC_CLUSTER,
                    of(Origin::Dynamic, NOT_YET),
                ),
            ],
        }
    }

    fn listeners(&self, wanted: &Wanted) -> Message {
        let dynamic = self.entries(Kind::Listener, wanted, Origin::Dynamic, EVERY);
        let mut names: Vec<Vec<Arc<Entry>>> = Vec::new();
        for entry in dynamic {
            match names
                .last_mut()
                .filter(|last| last.iter().any(|other| other.raw.name == entry.raw.name))
            {
                Some(last) => last.push(Arc::clone(entry)),
                None => names.push(vec![Arc::clone(entry)]),
            }
        }
        let parts = names.into_iter().map(|entries| self.listener(entries));
        Message {
            name: "envoy.admin.v3.ListenersConfigDump",
            scalars: self.version(Kind::Listener),
            lists: vec![
                Field::new(
                    "static_listeners",
                    Element {
                        name: "envoy.admin.v3.ListenersConfigDump.StaticListener",
                        fields: &["listener", "last_updated"],
                    },
                    self.statics(Kind::Listener, "listener", wanted),
                ),
                Field::new(
                    "dynamic_listeners",
                    Element {
                        name: "envoy.admin.v3.ListenersConfigDump.DynamicListener",
                        fields: &[
                            "name",
                            "active_state",
                            "warming_state",
                            "draining_state",
                            "error_state",
                            "client_status",
                        ],
                    },
                    parts.collect(),
                ),
            ],
        }
    }

    /// What there is of one listener: one that is in force, one that warms, one that drains.
    fn listener(&self, entries: Vec<Arc<Entry>>) -> Part {
        let (schema, stale) = (Arc::clone(&self.schema), self.view.stale);
        Part::new(move || {
            let state = |wanted: State| {
                let entry = entries.iter().find(|entry| entry.state == wanted)?;
                Some(map([
                    version(entry),
                    ("listener", any(&schema, Kind::Listener, entry)),
                    ("last_updated", Some(timestamp(entry.updated))),
                ]))
            };
            let first = entries.first();
            let error = entries
                .iter()
                .find_map(|entry| error(&schema, Kind::Listener, entry));
            map([
                ("name", first.map(|entry| text(&*entry.raw.name))),
                ("active_state", state(State::Active)),
                ("warming_state", state(State::Warming)),
                ("draining_state", state(State::Draining)),
                ("error_state", error),
                (
                    "client_status",
                    first.and_then(|entry| client_status(entry, stale)),
                ),
            ])
        })
    }

    fn routes(&self, wanted: &Wanted) -> Message {
        let dynamic = self.entries(Kind::Routes, wanted, Origin::Dynamic, EVERY);
        Message {
            name: "envoy.admin.v3.RoutesConfigDump",
            scalars: Vec::new(),
            lists: vec![
                Field::new(
                    "static_route_configs",
                    Element {
                        name: "envoy.admin.v3.RoutesConfigDump.StaticRouteConfig",
                        fields: &["route_config", "last_updated"],
                    },
                    self.inline_routes(wanted),
                ),
                Field::new(
                    "dynamic_route_configs",
                    Element {
                        name: "envoy.admin.v3.RoutesConfigDump.DynamicRouteConfig",
                        fields: &[
                            "version_info",
                            "route_config",
                            "last_updated",
                            "error_state",
                            "client_status",
                        ],
                    },
                    dynamic.map(|entry| self.dynamic("route_config", entry)).collect(),
                ),
            ],
        }
    }

    /// The route configurations that listeners in force bring themselves, whoever brought those.
    fn inline_routes(&self, wanted: &Wanted) -> Vec<Part> {
        let listeners = self.view.resources.get(&Kind::Listener).into_iter().flatten();
        let in_force = listeners.filter(|entry| IN_FORCE.contains(&entry.state));
        let routes = in_force.flat_map(|entry| {
            let all = inline::routes(&entry.raw.body()).into_iter();
            all.map(|(name, body)| (name, body, entry.updated))
        });
        let part = |(_, body, updated): (String, Vec<u8>, SystemTime)| {
            let schema = Arc::clone(&self.schema);
            Part::new(move || {
                map([
                    ("route_config", Some(message(&schema, Kind::Routes, &body))),
                    ("last_updated", Some(timestamp(updated))),
                ])
            })
        };
        routes
            .filter(|(name, _, _)| wanted.wants(name))
            .map(part)
            .collect()
    }

    fn secrets(&self, wanted: &Wanted) -> Message {
        let of = |origin, states: &'static [State]| {
            let entries = self.entries(Kind::Secret, wanted, origin, states);
            entries.map(|entry| self.secret(entry)).collect()
        };
        Message {
            name: "envoy.admin.v3.SecretsConfigDump",
            scalars: Vec::new(),
            lists: vec![
                Field::new(
                    "static_secrets",
                    Element {
                        name: "envoy.admin.v3.SecretsConfigDump.StaticSecret",
                        fields: &["name", "last_updated", "secret"],
                    },
                    of(Origin::Static, EVERY),
                ),
                Field::new(
                    "dynamic_active_secrets",
                    DYNAMIC_SECRET,
                    of(Origin::Dynamic, IN_FORCE),
                ),
                Field::new(
                    "dynamic_warming_secrets",
                    DYNAMIC_SECRET,
                    of(Origin::Dynamic, NOT_YET),
                ),
            ],
        }
    }

    fn secret(&self, entry: &Arc<Entry>) -> Part {
        let (schema, entry, stale) = (Arc::clone(&self.schema), Arc::clone(entry), self.view.stale);
        Part::new(move || {
            let dynamic = entry.origin == Origin::Dynamic;
            map([
                ("name", Some(text(&*entry.raw.name))),
                if dynamic {
                    version(&entry)
                } else {
                    ("version_info", None)
                },
                ("last_updated", Some(timestamp(entry.updated))),
                ("secret", any(&schema, Kind::Secret, &entry)),
                ("error_state", error(&schema, Kind::Secret, &entry)),
                ("client_status", client_status(&entry, stale)),
            ])
        })
    }

    fn statics(&self, kind: Kind, field: &'static str, wanted: &Wanted) -> Vec<Part> {
        let part = |entry: &Arc<Entry>| {
            let (schema, entry) = (Arc::clone(&self.schema), Arc::clone(entry));
            Part::new(move || {
                map([
                    (field, any(&schema, kind, &entry)),
                    ("last_updated", Some(timestamp(entry.updated))),
                ])
            })
        };
        self.entries(kind, wanted, Origin::Static, EVERY)
            .map(part)
            .collect()
    }

    fn dynamic(&self, field: &'static str, entry: &Arc<Entry>) -> Part {
        let (schema, entry, stale) = (Arc::clone(&self.schema), Arc::clone(entry), self.view.stale);
        let kind = if field == "cluster" {
            Kind::Cluster
        } else {
            Kind::Routes
        };
        Part::new(move || {
            map([
                version(&entry),
                (field, any(&schema, kind, &entry)),
                ("last_updated", Some(timestamp(entry.updated))),
                ("error_state", error(&schema, kind, &entry)),
                ("client_status", client_status(&entry, stale)),
            ])
        })
    }

    fn entries<'a>(
        &'a self,
        kind: Kind,
        wanted: &'a Wanted,
        origin: Origin,
        states: &'static [State],
    ) -> impl Iterator<Item = &'a Arc<Entry>> {
        let all = self.view.resources.get(&kind).into_iter().flatten();
        all.filter(move |entry| {
            entry.origin == origin && states.contains(&entry.state) && wanted.wants(&entry.raw.name)
        })
    }

    /// `version_info` of a kind, once there is one.
    fn version(&self, kind: Kind) -> Vec<(&'static str, Part)> {
        let version = self
            .view
            .versions
            .get(&kind)
            .filter(|version| !version.is_empty());
        let part = |version: &Arc<str>| {
            let version = Arc::clone(version);
            ("version_info", Part::new(move || text(&*version)))
        };
        version.map(part).into_iter().collect()
    }
}

fn version(entry: &Entry) -> (&'static str, Option<Json>) {
    let version = &entry.raw.version;
    ("version_info", (!version.is_empty()).then(|| text(&**version)))
}

/// The resource, in an `Any`; none of one that was never accepted.
fn any(schema: &Schema, kind: Kind, entry: &Entry) -> Option<Json> {
    if entry.state == State::Refused {
        return None;
    }
    Some(message(schema, kind, &entry.raw.body()))
}

fn message(schema: &Schema, kind: Kind, body: &[u8]) -> Json {
    let json = schema.to_json(kind.type_url(), body, Secrets::Redacted);
    let mut fields = vec![("@type".into(), text(kind.type_url()))];
    if let Some(Json::Map(rest)) = json {
        fields.extend(rest);
    }
    Json::Map(fields)
}

/// `admin.v3.UpdateFailureState`.
fn error(schema: &Schema, kind: Kind, entry: &Entry) -> Option<Json> {
    let failure = entry.error.as_ref()?;
    let version = &failure.attempt.version;
    Some(map([
        (
            "failed_configuration",
            Some(message(schema, kind, &failure.attempt.body())),
        ),
        ("last_update_attempt", Some(timestamp(failure.at))),
        ("details", Some(text(&*failure.details))),
        ("version_info", (!version.is_empty()).then(|| text(&**version))),
    ]))
}

/// `admin.v3.ClientResourceStatus`, where it says more than that all is well.
fn client_status(entry: &Entry, stale: bool) -> Option<Json> {
    if entry.error.is_some() {
        return Some(text("NACKED"));
    }
    (stale && entry.origin == Origin::Dynamic).then(|| text("REQUESTED"))
}

const DYNAMIC_CLUSTER: Element = Element {
    name: "envoy.admin.v3.ClustersConfigDump.DynamicCluster",
    fields: &[
        "version_info",
        "cluster",
        "last_updated",
        "error_state",
        "client_status",
    ],
};

const DYNAMIC_SECRET: Element = Element {
    name: "envoy.admin.v3.SecretsConfigDump.DynamicSecret",
    fields: &[
        "name",
        "version_info",
        "last_updated",
        "secret",
        "error_state",
        "client_status",
    ],
};

const IN_FORCE: &[State] = &[State::Active, State::Draining];
const NOT_YET: &[State] = &[State::Warming, State::Refused];
const EVERY: &[State] = &[State::Active, State::Warming, State::Draining, State::Refused];
