//! Does the proxy's configuration come back as it was, once Envoy's messages have been made of it and read again?

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::time::Duration;

use http::HeaderValue;
use proptest::prelude::*;
use tidegate_proxy::cluster::balance::{LeastRequest, RingHash};
use tidegate_proxy::cluster::breaker::{BreakerSettings, RequestPriority, Thresholds};
use tidegate_proxy::cluster::{Balance, BalanceSettings, Locality, Status};
use tidegate_proxy::route::{
    Action, DirectResponse, ForwardPolicy, Fraction, HostRewrite, MutationOrder, MutationRule, PathRewrite,
    ProtocolMatch, QueryMatch, Redirect, RedirectQuery, Resend, RetryOn, RetryPolicy, RouteTimeouts,
    TextMatch, Upgrades,
};

use super::*;
use crate::translate::cluster::EndpointSource;
use crate::translate::listener::RouteSource;
use crate::translate::{self, Context};

fn word() -> impl Strategy<Value = String> {
    "[a-z]{1,4}"
}

fn time() -> impl Strategy<Value = Duration> {
    (1_u64..100_000).prop_map(Duration::from_millis)
}

fn condition() -> impl Strategy<Value = TextMatch> {
    let plain = (word(), 0..4, prop::bool::ANY).prop_map(|(text, kind, ignoring_case)| {
        let condition = match kind {
            0 => TextMatch::exact(text),
            1 => TextMatch::prefix(text),
            2 => TextMatch::suffix(text),
            _ => TextMatch::contains(text),
        };
        if ignoring_case {
            condition.ignoring_case()
        } else {
            condition
        }
    });
    let regex = word().prop_map(|text| TextMatch::regex("x", &format!("{text}.*")).expect("it is one"));
    prop_oneof![plain, regex]
}

fn field() -> impl Strategy<Value = HeaderMatch> {
    let rule = prop_oneof![
        word().prop_map(|name| HeaderMatch::present(&name)),
        word().prop_map(|name| HeaderMatch::absent(&name)),
        (word(), condition()).prop_map(|(name, text)| HeaderMatch::text(&name, text)),
        (word(), 0_i64..5).prop_map(|(name, start)| HeaderMatch::range(&name, start, start + 5)),
    ];
    (rule, prop::bool::ANY, prop::bool::ANY).prop_map(|(rule, inverted, empty)| {
        let rule = rule.expect("it is one");
        let rule = if inverted { rule.inverted() } else { rule };
        if empty { rule.missing_is_empty() } else { rule }
    })
}

fn matcher() -> impl Strategy<Value = tidegate_proxy::route::Matcher> {
    let path = (0..5, word(), prop::bool::ANY).prop_map(|(kind, text, ignoring_case)| {
        let path = match kind {
            0 => PathMatch::default(),
            1 => PathMatch::prefix(format!("/{text}")),
            2 => PathMatch::exact(format!("/{text}")),
            3 => PathMatch::segments(format!("/{text}")).expect("it is one"),
            _ => return PathMatch::regex(&format!("/{text}.*")).expect("it is one"),
        };
        if ignoring_case && kind > 0 {
            path.ignoring_case()
        } else {
            path
        }
    });
    let query = prop_oneof![
        word().prop_map(QueryMatch::present),
        (word(), condition()).prop_map(|(name, text)| QueryMatch::text(name, text)),
    ];
    let fraction = (1_u32..100).prop_map(|take| Fraction { take, of: 100 });
    (
        path,
        prop::collection::vec(field(), 0..3),
        prop::collection::vec(query, 0..2),
        prop::option::of(fraction),
        prop::bool::ANY,
    )
        .prop_map(
            |(path, headers, query, fraction, grpc)| tidegate_proxy::route::Matcher {
                path,
                headers,
                query,
                fraction,
                protocol: if grpc {
                    ProtocolMatch::Grpc
                } else {
                    ProtocolMatch::default()
                },
                ..Default::default()
            },
        )
}

/// Fields that are removed and others that are written, as Envoy's two lists have them.
fn mutations() -> impl Strategy<Value = HeaderMutations> {
    let write = prop_oneof![
        Just(Write::Append),
        Just(Write::AddIfAbsent),
        Just(Write::Overwrite),
        Just(Write::OverwriteIfPresent)
    ];
    let value = prop_oneof![Just(""), Just("50%%"), Just("plain"), Just("%REQ(x-b)%")];
    let written = || {
        (word(), value.clone(), write.clone(), prop::bool::ANY).prop_map(|(name, value, write, keeps)| {
            let mutation = Mutation::write(&format!("x-{name}"), value, write).expect("it is one");
            // An empty one that is not kept does nothing, and is not read.
            if keeps || value.is_empty() {
                mutation.keeping_empty()
            } else {
                mutation
            }
        })
    };
    let removed = || word().prop_map(|name| Mutation::remove(&format!("y-{name}")).expect("it is one"));
    let list = || {
        let lists = (
            prop::collection::vec(removed(), 0..2),
            prop::collection::vec(written(), 0..3),
        );
        lists.prop_map(|(removed, mut written)| {
            // As Envoy has it: what writes over comes first, and once for each field.
            let adds = |one: &Mutation| match one.rule() {
                MutationRule::Constant(write, _) | MutationRule::Made(write, _) => {
                    matches!(write, Write::Append | Write::AddIfAbsent)
                }
                MutationRule::Remove => false,
            };
            written.sort_by_key(|one| (adds(one), one.name().to_string()));
            let mut seen = BTreeSet::new();
            written.retain(|one| seen.insert(one.name().to_string()));
            removed.into_iter().chain(written)
        })
    };
    (list(), list())
        .prop_map(|(request, response)| HeaderMutations::new(request, response).expect("they are few"))
}

fn policy() -> impl Strategy<Value = ForwardPolicy> {
    let on = prop_oneof![
        Just(RetryOn::ServerError),
        Just(RetryOn::ConnectFailure),
        Just(RetryOn::Status(StatusCode::CONFLICT)),
        Just(RetryOn::Grpc(14)),
    ];
    let retry =
        (prop::collection::vec(on, 1..3), 1_u32..5, time()).prop_map(|(mut on, retries_max, base)| {
            on.dedup();
            RetryPolicy {
                on,
                retries_max,
                backoff_base: base,
                backoff_max: base * 3,
                ..RetryPolicy::on([])
            }
        });
    let timeouts = (
        prop::option::of(time()),
        prop::option::of(time()),
        prop::option::of(time()),
    );
    (timeouts, prop::option::of(retry), prop::bool::ANY).prop_map(|(timeouts, retry, high)| ForwardPolicy {
        timeouts: RouteTimeouts {
            request: timeouts.0.filter(|_| timeouts.2.is_none()),
            idle: timeouts.1,
            stream_max: timeouts.2,
            ..RouteTimeouts::default()
        },
        retry,
        resend: Resend::Unwritten,
        priority: if high {
            RequestPriority::High
        } else {
            RequestPriority::default()
        },
        reset_status: StatusCode::SERVICE_UNAVAILABLE,
        ..ForwardPolicy::default()
    })
}

fn action() -> impl Strategy<Value = (Action, Option<ForwardPolicy>)> {
    let part = (word(), 1_u32..100, mutations()).prop_map(|(cluster, weight, headers)| WeightedCluster {
        cluster: cluster.as_str().into(),
        weight,
        headers,
        overrides: Default::default(),
        host: None,
    });
    let rewrite = prop_oneof![
        Just(PathRewrite::default()),
        word().prop_map(|to| PathRewrite::prefix(&format!("/{to}")).expect("it is one")),
        word().prop_map(|to| PathRewrite::regex("/(.*)", &format!("/{to}/\\1")).expect("it is one")),
    ];
    let host = prop_oneof![
        Just(HostRewrite::default()),
        word().prop_map(|host| HostRewrite::literal(&host).expect("it is one")),
        Just(HostRewrite::endpoint()),
    ];
    let forward = (
        prop::collection::vec(part, 1..3),
        rewrite,
        host,
        prop::bool::ANY,
        policy(),
    );
    let forward = forward.prop_map(|(parts, path, host, upgrades, policy)| {
        let mut route = Route::forward(Split::new(parts).expect("it has a weight"));
        if let Action::Forward(forward) = &mut route.action {
            let forward = Arc::get_mut(forward).expect("nobody else has it");
            (forward.path, forward.host) = (path, host);
            if upgrades {
                forward.upgrades = Upgrades::Each([("websocket".into(), true), ("h2c".into(), false)].into());
            }
        }
        (route.action, Some(policy))
    });
    let redirect = (word(), prop::bool::ANY, 1_u16..9).prop_map(|(host, strip, port)| {
        let mut redirect = Redirect::to_https().with_host(&host).expect("it is one");
        if strip {
            redirect.query = RedirectQuery::Strip;
        }
        (
            Action::Redirect(Box::new(redirect.with_port(port).expect("it is one"))),
            None,
        )
    });
    let respond = (200_u16..599, word()).prop_map(|(status, body)| {
        let status = StatusCode::from_u16(status).expect("it is one");
        (Action::Respond(DirectResponse::new(status, body).into()), None)
    });
    prop_oneof![4 => forward, 1 => redirect, 1 => respond]
}

fn hosts() -> impl Strategy<Value = Vec<VirtualHost>> {
    let route = (matcher(), action(), mutations(), prop::option::of(word()));
    let route = route.prop_map(|(matcher, (action, policy), headers, name)| {
        let mut route = Route::new(action);
        route.matcher = matcher.into();
        route.headers = headers;
        route.policy = policy.map(Arc::new);
        route.name = name.map(|name| name.as_str().into());
        Arc::new(route)
    });
    let host = (prop::collection::vec(route, 0..4), mutations());
    prop::collection::vec(host, 0..3).prop_map(|hosts| {
        let hosts = hosts.into_iter().enumerate().map(|(number, (routes, headers))| {
            let domains = [format!("h{number}.example"), format!("*.h{number}.example")];
            let domains = domains
                .iter()
                .map(|domain| Domain::parse(domain).expect("it is one"));
            let mut host = VirtualHost::new(format!("h{number}"), domains, routes);
            host.headers = headers;
            host
        });
        hosts.collect()
    })
}

fn balance() -> impl Strategy<Value = BalanceSettings> {
    let policy = prop_oneof![
        Just(Balance::RoundRobin(None)),
        Just(Balance::Random),
        (2_u32..5).prop_map(|choices| Balance::LeastRequest(
            LeastRequest {
                choices,
                ..Default::default()
            },
            None
        )),
        (1_usize..100).prop_map(|points_min| Balance::RingHash(RingHash {
            points_min,
            points_max: 200
        })),
    ];
    (policy, 0_u8..100, 100_u32..200).prop_map(|(policy, panic, overprovisioning_percent)| BalanceSettings {
        policy,
        panic_below_percent: panic,
        overprovisioning_percent,
        ..BalanceSettings::default()
    })
}

fn settings() -> impl Strategy<Value = ClusterSettings> {
    let bound = || prop::option::of(1_usize..5000);
    let bounds =
        (bound(), bound(), bound(), bound()).prop_map(|(connections, pending, requests, retries)| {
            Thresholds {
                connections,
                pending,
                requests,
                retries,
            }
        });
    let transport = (time(), time(), prop::option::of(1_u64..100), prop::bool::ANY);
    (
        balance(),
        bounds.clone(),
        bounds,
        transport,
        prop::option::of(word()),
    )
        .prop_map(
            |(balance, default, high, (connect, idle, requests, http2), metrics)| {
                let mut settings = ClusterSettings::new("app");
                settings.balance = balance.into();
                settings.breakers = BreakerSettings { default, high }.into();
                settings.transport.connect_timeout = connect;
                settings.transport.idle_timeout = idle;
                settings.transport.requests_per_connection_max = requests.and_then(NonZeroU64::new);
                if http2 {
                    settings.transport.protocol = Protocol::Http2;
                }
                settings.metrics_name = metrics.map(|name| name.as_str().into());
                settings
            },
        )
}

fn endpoints() -> impl Strategy<Value = Vec<Arc<Endpoint>>> {
    let status = prop_oneof![
        Just(Status::Healthy),
        Just(Status::Degraded),
        Just(Status::Unhealthy),
        Just(Status::Draining)
    ];
    let one = (
        1_u32..9,
        0_u32..3,
        status,
        prop::option::of(word()),
        prop::option::of(word()),
    );
    prop::collection::vec((one, prop::option::of((word(), 0_u32..5))), 0..5).prop_map(|list| {
        let list = list.into_iter().zip(1_u16..);
        let list = list.map(|(((weight, priority, status, hostname, key), locality), port)| {
            let at = SocketAddr::from(([127, 0, 0, 1], port));
            let mut one = Endpoint::new(at)
                .with_weight(weight)
                .with_priority(priority)
                .with_status(status);
            if let Some((zone, weight)) = locality {
                one = one.with_locality(Arc::new(Locality {
                    zone: zone.into(),
                    weight,
                    ..Locality::default()
                }));
            }
            if let Some(hostname) = hostname {
                one = one.with_hostname(hostname.as_str());
            }
            Arc::new(match key {
                Some(key) => one.with_hash_key(key.as_str()),
                None => one,
            })
        });
        list.collect()
    })
}

/// What requests are told apart by, in words.
fn shown(endpoints: &[Arc<Endpoint>]) -> Vec<String> {
    let mut shown: Vec<String> = endpoints
        .iter()
        .map(|one| {
            format!(
                "{} {} {} {:?} {:?} {:?} {:?}",
                one.address(),
                one.weight(),
                one.priority(),
                one.status(),
                one.hostname(),
                one.own_hash_key(),
                one.locality()
            )
        })
        .collect();
    shown.sort();
    shown
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn routes_come_back(hosts in hosts(), headers in mutations(), specific in prop::bool::ANY) {
        let settings = TableSettings {
            headers,
            order: if specific { MutationOrder::MostSpecificLast } else { MutationOrder::TableLast },
            ..TableSettings::default()
        };
        let encoder = Encoder::default();
        let first = encoder.routes("all", &settings, &hosts).expect("it is expressed");
        let read = translate::routes::routes(first.body(), &[], &Context::default()).expect("it is read");
        prop_assert_eq!(&read.notes, &Vec::new());
        let back = read.hosts.iter().map(|(_, host)| &*host.host);
        let second = encoder.routes("all", read.table.settings(), back).expect("it is expressed again");
        let decoded = |resource: &crate::server::Resource| {
            pb::RouteConfiguration::decode(resource.body().clone()).expect("it decodes")
        };
        prop_assert_eq!(decoded(&first), decoded(&second));
    }

    #[test]
    fn clusters_come_back(settings in settings(), endpoints in endpoints()) {
        let encoder = Encoder::default();
        let first = encoder.cluster(&settings, Endpoints::Inline(&endpoints)).expect("it is expressed");
        let read = translate::cluster::cluster(first.body(), &Context::default()).expect("it is read");
        let EndpointSource::Inline(back) = &read.endpoints else { panic!("they are in it") };
        prop_assert_eq!(shown(&endpoints), shown(back));
        let second = encoder.cluster(&read.settings, Endpoints::Inline(&[])).expect("it is expressed again");
        let decoded = |resource: &crate::server::Resource| {
            let mut cluster = cluster::Cluster::decode(resource.body().clone()).expect("it decodes");
            if let Some(all) = &mut cluster.load_assignment {
                all.endpoints.clear();
            }
            cluster
        };
        prop_assert_eq!(decoded(&first), decoded(&second));
    }

    #[test]
    fn endpoints_come_back(endpoints in endpoints()) {
        let resource = Encoder::default().endpoints("app", &endpoints).expect("they are expressed");
        let read = translate::endpoints::endpoints(resource.body(), &Context::default()).expect("they are read");
        prop_assert_eq!(shown(&endpoints), shown(&read.endpoints));
    }
}

#[test]
fn a_listener_comes_back() {
    let settings = ListenerSettings {
        name: "l".into(),
        address: SocketAddr::from(([127, 0, 0, 1], 8080)),
        routes: "all".into(),
        upgrades: vec!["websocket".into()],
        edge: Edge::External,
    };
    let resource = Encoder::default().listener(&settings);
    let read = translate::listener::listener(resource.body(), &Context::default()).expect("it is read");
    assert_eq!(
        (&*read.name, read.addresses[0].0.to_string().as_str()),
        ("l", "127.0.0.1:8080")
    );
    let [chain] = &read.chains[..] else {
        panic!("there is one")
    };
    assert!(matches!(&chain.routes, RouteSource::Rds { name, .. } if **name == *"all"));
    assert!(
        chain
            .http
            .upgrades
            .iter()
            .any(|upgrade| **upgrade == *"websocket")
    );
}

#[test]
fn what_nobody_else_reads_is_named() {
    let check = |change: fn(&mut ClusterSettings), endpoint: Endpoint, expected: &str| {
        let mut settings = ClusterSettings::new("app");
        change(&mut settings);
        let all = [Arc::new(endpoint)];
        let error = Encoder::default().cluster(&settings, Endpoints::Inline(&all));
        assert_eq!(
            error.map(drop).expect_err("it cannot be written").to_string(),
            expected
        );
    };
    let at = || Endpoint::new(SocketAddr::from(([127, 0, 0, 1], 80)));
    let mut beside = http::Extensions::new();
    beside.insert(HeaderValue::from_static("mine"));
    let said = "cluster 'app': cluster 'app': endpoint: what is said of it beside is not written for Envoy";
    check(|_| {}, at().with_metadata(beside), said);
    let said = "cluster 'app': metadata: what only this process reads is not written for Envoy";
    check(|settings| _ = settings.metadata.insert(1_u8), at(), said);
    let said = "cluster 'app': balance: endpoints that are hashed by their names is not written for Envoy";
    check(|settings| settings.balance.placed_by_name = true, at(), said);
}
