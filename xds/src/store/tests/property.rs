//! However listeners, routes, secrets and those who need them came: what is in force is what the last of each make together.

use std::sync::LazyLock;

use envoy_types::pb::envoy::config::route::v3::{RouteConfiguration, VirtualHost};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::util::pack_any;
use proptest::prelude::*;
use tidegate_testkit::certificates::Authority;

use super::listeners::on;
use super::secrets::{by_ads, secured};
use super::*;

/// One step of a control plane.
#[derive(Clone, Debug)]
enum Step {
    Listeners(BTreeMap<usize, Listening>),
    Routes(BTreeMap<usize, Table>),
    Secrets(BTreeMap<usize, Kept>),
    /// Clusters by name, each with the secret that it shows.
    Clusters(BTreeMap<usize, usize>),
    Pass(u64),
}

#[derive(Clone, Debug)]
enum Listening {
    /// At this port, with these routes, and with this certificate.
    At(u16, usize, Option<usize>),
    /// Without a chain.
    Bad,
}

#[derive(Clone, Debug)]
enum Table {
    /// With so many hosts.
    Hosts(usize),
    /// With the same domain twice.
    Bad,
}

#[derive(Clone, Debug)]
enum Kept {
    Certificate(usize),
    Bad,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

static CERTIFICATES: LazyLock<[(String, String); 2]> = LazyLock::new(|| {
    let authority = Authority::new("store");
    ["one.example", "two.example"].map(|name| {
        let identity = authority.server(name);
        (identity.certificate_pem.clone(), identity.key_pem.clone())
    })
});

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let listening = prop_oneof![
        5 => (8000_u16..8003, 0..3_usize, prop::option::of(0..3_usize)).prop_map(|(port, routes, secret)| {
            Listening::At(port, routes, secret)
        }),
        1 => Just(Listening::Bad),
    ];
    let table = prop_oneof![4 => (0..3_usize).prop_map(Table::Hosts), 1 => Just(Table::Bad)];
    let kept = prop_oneof![4 => (0..2_usize).prop_map(Kept::Certificate), 1 => Just(Kept::Bad)];
    let step = prop_oneof![
        3 => prop::collection::btree_map(0..3_usize, listening, 0..3).prop_map(Step::Listeners),
        2 => prop::collection::btree_map(0..3_usize, table, 0..3).prop_map(Step::Routes),
        2 => prop::collection::btree_map(0..3_usize, kept, 0..3).prop_map(Step::Secrets),
        1 => prop::collection::btree_map(0..3_usize, 0..3_usize, 0..3).prop_map(Step::Clusters),
        1 => (0..20_u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..14)
}

impl Listening {
    fn body(&self, name: &str) -> Vec<u8> {
        let Self::At(port, routes, secret) = self else {
            let mut bad = on(name, 8000, "");
            bad.filter_chains.clear();
            return bad.encode_to_vec();
        };
        let mut listener = on(name, *port, NAMES[*routes]);
        if let Some(secret) = secret {
            let context = tls::DownstreamTlsContext {
                common_tls_context: Some(tls::CommonTlsContext {
                    tls_certificate_sds_secret_configs: vec![by_ads(NAMES[*secret])],
                    ..Default::default()
                }),
                ..Default::default()
            };
            listener.filter_chains[0].transport_socket = Some(core::TransportSocket {
                name: "tls".to_owned(),
                config_type: Some(core::transport_socket::ConfigType::TypedConfig(pack_any(context))),
            });
        }
        listener.encode_to_vec()
    }
}

impl Table {
    fn body(&self, name: &str) -> Vec<u8> {
        let host = |number: usize, domain: String| VirtualHost {
            name: number.to_string(),
            domains: vec![domain],
            ..Default::default()
        };
        let hosts = match self {
            Self::Hosts(count) => (0..*count)
                .map(|number| host(number, format!("h{number}")))
                .collect(),
            Self::Bad => vec![host(0, "twice".to_owned()), host(1, "twice".to_owned())],
        };
        RouteConfiguration {
            name: name.to_owned(),
            virtual_hosts: hosts,
            ..Default::default()
        }
        .encode_to_vec()
    }
}

impl Kept {
    fn body(&self, name: &str) -> Vec<u8> {
        let inline = |text: &str| core::DataSource {
            specifier: Some(core::data_source::Specifier::InlineString(text.to_owned())),
            ..Default::default()
        };
        let (chain, key) = match self {
            Self::Certificate(number) => CERTIFICATES[*number].clone(),
            Self::Bad => ("none".to_owned(), "none".to_owned()),
        };
        let certificate = tls::TlsCertificate {
            certificate_chain: Some(inline(&chain)),
            private_key: Some(inline(&key)),
            ..Default::default()
        };
        tls::Secret {
            name: name.to_owned(),
            r#type: Some(tls::secret::Type::TlsCertificate(certificate)),
        }
        .encode_to_vec()
    }
}

impl Step {
    fn happens(&self, rig: &mut Rig, version: &str) {
        let mut apply = |kind, bodies| _ = rig.apply(&state(kind, version, bodies));
        match self {
            Self::Listeners(all) => apply(Kind::Listener, bodies(all, Listening::body)),
            Self::Routes(all) => apply(Kind::Routes, bodies(all, Table::body)),
            Self::Secrets(all) => apply(Kind::Secret, bodies(all, Kept::body)),
            Self::Clusters(all) => apply(
                Kind::Cluster,
                bodies(all, |secret, name| secured(name, by_ads(NAMES[*secret]))),
            ),
            Self::Pass(seconds) => rig.pass(Duration::from_secs(*seconds)),
        }
    }
}

fn bodies<T>(all: &BTreeMap<usize, T>, body: impl Fn(&T, &str) -> Vec<u8>) -> Vec<(&'static str, Vec<u8>)> {
    let all = all.iter();
    all.map(|(at, one)| (NAMES[*at], body(one, NAMES[*at]))).collect()
}

/// What connections and requests meet: the addresses with their chains, the hosts of each table, the clusters.
#[derive(Debug, PartialEq)]
struct Met {
    sockets: BTreeMap<String, Vec<(String, bool)>>,
    hosts: BTreeMap<&'static str, Option<usize>>,
    clusters: Vec<&'static str>,
}

fn met(rig: &mut Rig) -> Met {
    let snapshot = rig.config.load();
    let hosts = NAMES.map(|name| {
        (
            name,
            snapshot.table(name).map(|table| table.hosts().domains().count()),
        )
    });
    let clusters = NAMES.into_iter().filter(|name| rig.cluster(name).is_some());
    let clusters = clusters.collect();
    let world = rig.store.outside();
    let sockets = world.sockets.iter().map(|(id, (address, _))| {
        let served = world.served.get(id).cloned().unwrap_or_default();
        (address.clone(), served)
    });
    Met {
        sockets: sockets.collect(),
        hosts: hosts.into(),
        clusters,
    }
}

/// Long enough for what warms to come into force, and for what that replaces to drain.
fn rest(rig: &mut Rig) {
    (0..4).for_each(|_| rig.pass(TIMEOUT));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_way_there_makes_no_difference(steps in steps()) {
        let mut rig = Rig::new();
        for (number, step) in steps.iter().enumerate() {
            step.happens(&mut rig, &number.to_string());
            let world = rig.store.outside();
            let addresses: BTreeSet<_> = world.sockets.values().map(|(address, _)| address).collect();
            prop_assert_eq!(addresses.len(), world.sockets.len(), "no address is open twice");
        }
        // What lacks a secret keeps what it had, which depends on what that was.
        let all = (0..NAMES.len()).map(|at| (at, Kept::Certificate(0))).collect();
        Step::Secrets(all).happens(&mut rig, "last");
        rest(&mut rig);
        let mut fresh = Rig::new();
        for update in rig.store.accepted() {
            fresh.apply(&update.update());
        }
        rest(&mut fresh);
        prop_assert_eq!(met(&mut rig), met(&mut fresh));
        prop_assert_eq!(rig.store.wanted(), fresh.store.wanted());
    }
}
