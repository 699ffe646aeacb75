use std::time::Duration;

use envoy_types::pb::google::rpc::Status;

use super::*;
use crate::limits::{NACK_RETRY_MIN, ORDER_WAIT};
use crate::server::Reference;

/// A client of one stream that the test plays.
struct Client {
    stream: Stream,
    now: Instant,
}

/// What came: the kind, the names with their content, and the names that are gone.
type Seen = (Kind, Vec<(String, String)>, Vec<String>);

fn resource(name: &str, body: &str) -> Resource {
    Resource::new(name, body.to_owned())
}

fn resources(kind: Kind, all: &[(&str, &str)]) -> Resources {
    Resources::default().with(kind, all.iter().map(|(name, body)| resource(name, body)))
}

fn seen(kind: Kind, all: &[(&str, &str)], gone: &[&str]) -> Seen {
    let all = all
        .iter()
        .map(|(name, body)| ((*name).to_owned(), (*body).to_owned()));
    (
        kind,
        all.collect(),
        gone.iter().map(|name| (*name).to_owned()).collect(),
    )
}

impl Client {
    fn new(protocol: Protocol, resources: &Resources) -> Self {
        Self {
            stream: Stream::new(protocol, Arc::new(resources.clone())),
            now: Instant::now(),
        }
    }

    fn sotw(&mut self, kind: Kind, nonce: &str, names: &[&str], error: Option<&str>) {
        let request = DiscoveryRequest {
            response_nonce: nonce.to_owned(),
            resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
            error_detail: error.map(status),
            ..DiscoveryRequest::default()
        };
        self.stream.sotw(kind, &request, self.now);
    }

    fn delta(&mut self, kind: Kind, nonce: &str, subscribe: &[&str], error: Option<&str>) {
        let request = DeltaDiscoveryRequest {
            response_nonce: nonce.to_owned(),
            resource_names_subscribe: subscribe.iter().map(|name| (*name).to_owned()).collect(),
            error_detail: error.map(status),
            ..DeltaDiscoveryRequest::default()
        };
        self.stream.delta(kind, &request, self.now);
    }

    fn publish(&mut self, resources: &Resources) {
        self.stream.follow(Arc::new(resources.clone()));
    }

    fn due(&mut self) -> Vec<Seen> {
        let due = self.stream.due(self.now);
        let text = |resource: &Arc<Resource>| {
            let body = String::from_utf8(resource.body().to_vec()).unwrap();
            (resource.name().to_string(), body)
        };
        due.into_iter()
            .map(|outgoing| {
                let all = outgoing.resources.iter().map(text).collect();
                let gone = outgoing.removed.iter().map(ToString::to_string).collect();
                (outgoing.kind, all, gone)
            })
            .collect()
    }

    fn nonce(&self) -> String {
        self.stream.nonces.to_string()
    }

    /// Accepts what came last.
    fn ack(&mut self, kind: Kind, names: &[&str]) {
        let nonce = self.nonce();
        match self.stream.protocol {
            Protocol::Sotw => self.sotw(kind, &nonce, names, None),
            Protocol::Delta => self.delta(kind, &nonce, &[], None),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.stream.wake(self.now);
    }
}

fn status(message: &str) -> Status {
    Status {
        code: 13,
        message: message.to_owned(),
        ..Status::default()
    }
}

#[test]
fn the_world_is_sent_whole_once_for_each_change() {
    let mut client = Client::new(
        Protocol::Sotw,
        &resources(Kind::Cluster, &[("a", "1"), ("b", "1")]),
    );
    client.sotw(Kind::Cluster, "", &[], None);
    assert_eq!(
        client.due(),
        [seen(Kind::Cluster, &[("a", "1"), ("b", "1")], &[])]
    );
    client.publish(&resources(Kind::Cluster, &[("a", "2"), ("b", "1")]));
    assert_eq!(client.due(), [], "one is on its way");
    client.ack(Kind::Cluster, &[]);
    assert_eq!(
        client.due(),
        [seen(Kind::Cluster, &[("a", "2"), ("b", "1")], &[])]
    );
    client.ack(Kind::Cluster, &[]);
    assert_eq!(client.due(), []);
}

#[test]
fn delta_sends_what_changed_and_what_is_gone_last() {
    let mut client = Client::new(
        Protocol::Delta,
        &resources(Kind::Cluster, &[("a", "1"), ("b", "1")]),
    );
    client.delta(Kind::Cluster, "", &[], None);
    assert_eq!(
        client.due(),
        [seen(Kind::Cluster, &[("a", "1"), ("b", "1")], &[])]
    );
    client.ack(Kind::Cluster, &[]);
    client.publish(&resources(Kind::Cluster, &[("b", "1"), ("c", "1")]));
    assert_eq!(client.due(), [seen(Kind::Cluster, &[("c", "1")], &[])]);
    client.ack(Kind::Cluster, &[]);
    assert_eq!(client.due(), [seen(Kind::Cluster, &[], &["a"])]);
    client.ack(Kind::Cluster, &[]);
    assert_eq!(client.due(), []);
}

#[test]
fn a_swap_of_clusters_makes_before_it_breaks() {
    let world = |cluster, route| {
        resources(Kind::Cluster, &[(cluster, "1")]).with(Kind::Routes, [resource("r", route)])
    };
    let mut client = Client::new(Protocol::Sotw, &world("old", "to old"));
    client.sotw(Kind::Cluster, "", &[], None);
    client.due();
    client.ack(Kind::Cluster, &[]);
    client.sotw(Kind::Routes, "", &["r"], None);
    assert_eq!(client.due(), [seen(Kind::Routes, &[("r", "to old")], &[])]);
    client.ack(Kind::Routes, &["r"]);
    assert_eq!(client.due(), []);
    client.publish(&world("new", "to new"));
    assert_eq!(
        client.due(),
        [seen(Kind::Cluster, &[("new", "1"), ("old", "1")], &[])]
    );
    assert_eq!(client.due(), [], "routes wait for clusters");
    client.ack(Kind::Cluster, &[]);
    assert_eq!(client.due(), [seen(Kind::Routes, &[("r", "to new")], &[])]);
    client.ack(Kind::Routes, &["r"]);
    assert_eq!(client.due(), [seen(Kind::Cluster, &[("new", "1")], &[])]);
}

#[test]
fn a_client_that_never_answers_keeps_nothing_back_for_ever() {
    let world = resources(Kind::Cluster, &[("a", "1")]).with(Kind::Routes, [resource("r", "1")]);
    let mut client = Client::new(Protocol::Sotw, &world);
    client.sotw(Kind::Cluster, "", &[], None);
    client.sotw(Kind::Routes, "", &["r"], None);
    assert_eq!(client.due(), [seen(Kind::Cluster, &[("a", "1")], &[])]);
    assert_eq!(client.stream.deadline(), Some(client.now + ORDER_WAIT));
    client.pass(ORDER_WAIT);
    assert_eq!(client.due(), [seen(Kind::Routes, &[("r", "1")], &[])]);
}

#[test]
fn a_changed_cluster_brings_its_endpoints_again() {
    let world = |body| {
        let reference = Reference {
            kind: Kind::Endpoints,
            name: "e".into(),
        };
        Resources::default()
            .with(Kind::Cluster, [resource("c", body).naming([reference])])
            .with(Kind::Endpoints, [resource("e", "1")])
    };
    let mut client = Client::new(Protocol::Sotw, &world("1"));
    client.sotw(Kind::Cluster, "", &[], None);
    client.sotw(Kind::Endpoints, "", &["e"], None);
    client.due();
    client.sotw(Kind::Cluster, "1", &[], None);
    client.sotw(Kind::Endpoints, "2", &["e"], None);
    assert_eq!(client.due(), []);
    client.publish(&world("2"));
    let expected = [
        seen(Kind::Cluster, &[("c", "2")], &[]),
        seen(Kind::Endpoints, &[("e", "1")], &[]),
    ];
    assert_eq!(
        client.due(),
        expected,
        "no endpoints wait for an ACK that waits for them"
    );
}

#[test]
fn a_refused_cluster_of_the_world_keeps_its_last_body_and_the_rest_goes_on() {
    let mut client = Client::new(
        Protocol::Sotw,
        &resources(Kind::Cluster, &[("a", "1"), ("b", "1")]),
    );
    client.sotw(Kind::Cluster, "", &[], None);
    client.due();
    client.ack(Kind::Cluster, &[]);
    let bad = resources(Kind::Cluster, &[("a", "bad"), ("b", "2"), ("c", "bad")]);
    client.publish(&bad);
    client.due();
    let nonce = client.nonce();
    client.sotw(
        Kind::Cluster,
        &nonce,
        &[],
        Some("Error adding/updating cluster(s) a, c: no"),
    );
    let rest = [seen(Kind::Cluster, &[("a", "1"), ("b", "2")], &[])];
    assert_eq!(client.due(), rest);
    client.ack(Kind::Cluster, &[]);
    assert_eq!(client.due(), [], "no loop");
    client.publish(&bad.with(Kind::Cluster, [resource("a", "good")]));
    assert_eq!(
        client.due(),
        [seen(Kind::Cluster, &[("a", "good"), ("b", "2")], &[])]
    );
}

#[test]
fn what_was_refused_is_tried_again_later_and_when_what_it_names_changes() {
    let to_c = || Reference {
        kind: Kind::Cluster,
        name: "c".into(),
    };
    let routes = Resources::default().with(Kind::Routes, [resource("r", "1").naming([to_c()])]);
    let mut client = Client::new(Protocol::Delta, &routes);
    client.delta(Kind::Routes, "", &["r"], None);
    let again = [seen(Kind::Routes, &[("r", "1")], &[])];
    for wait in [NACK_RETRY_MIN, NACK_RETRY_MIN * 2] {
        assert_eq!(client.due(), again);
        let nonce = client.nonce();
        client.delta(Kind::Routes, &nonce, &[], Some("route: unknown cluster 'c'"));
        assert_eq!(client.due(), []);
        assert_eq!(client.stream.deadline(), Some(client.now + wait));
        client.pass(wait);
    }
    assert_eq!(client.due(), again);
    let nonce = client.nonce();
    client.delta(Kind::Routes, &nonce, &[], Some("route: unknown cluster 'c'"));
    assert_eq!(client.due(), []);
    client.publish(&routes.with(Kind::Cluster, [resource("c", "1")]));
    assert_eq!(client.due(), again);
}

#[test]
fn a_refusal_that_names_nothing_holds_back_the_same_response() {
    let mut client = Client::new(
        Protocol::Delta,
        &resources(Kind::Cluster, &[("a", "1"), ("b", "1")]),
    );
    client.delta(Kind::Cluster, "", &[], None);
    client.due();
    client.delta(Kind::Cluster, "1", &[], Some("Unable to unpack"));
    assert_eq!(client.due(), []);
    assert_eq!(client.stream.deadline(), Some(client.now + NACK_RETRY_MIN));
    client.publish(&resources(Kind::Cluster, &[("a", "2"), ("b", "1")]));
    assert_eq!(
        client.due(),
        [seen(Kind::Cluster, &[("a", "2"), ("b", "1")], &[])]
    );
}

#[test]
fn names_that_do_not_exist_are_answered() {
    let mut client = Client::new(Protocol::Delta, &Resources::default());
    client.delta(Kind::Endpoints, "", &["e"], None);
    assert_eq!(client.due(), [seen(Kind::Endpoints, &[], &["e"])]);
    client.ack(Kind::Endpoints, &[]);
    assert_eq!(client.due(), []);
    client.publish(&resources(Kind::Endpoints, &[("e", "1")]));
    assert_eq!(client.due(), [seen(Kind::Endpoints, &[("e", "1")], &[])]);
    let mut client = Client::new(Protocol::Sotw, &Resources::default());
    client.sotw(Kind::Endpoints, "", &["e"], None);
    assert_eq!(client.due(), [seen(Kind::Endpoints, &[], &[])]);
}

#[test]
fn who_returns_gets_only_what_he_lacks() {
    let world = resources(Kind::Cluster, &[("a", "1"), ("b", "1")]);
    let version = |name| world.get(Kind::Cluster, name).unwrap().version().to_owned();
    let mut client = Client::new(Protocol::Delta, &world);
    let request = DeltaDiscoveryRequest {
        initial_resource_versions: [
            ("a".to_owned(), version("a")),
            ("b".to_owned(), "other".to_owned()),
            ("c".to_owned(), "gone".to_owned()),
        ]
        .into(),
        ..DeltaDiscoveryRequest::default()
    };
    client.stream.delta(Kind::Cluster, &request, client.now);
    assert_eq!(client.due(), [seen(Kind::Cluster, &[("b", "1")], &[])]);
    client.ack(Kind::Cluster, &[]);
    assert_eq!(client.due(), [seen(Kind::Cluster, &[], &["c"])]);
    let mut client = Client::new(Protocol::Sotw, &world);
    let request = DiscoveryRequest {
        version_info: world.version(Kind::Cluster).to_owned(),
        ..DiscoveryRequest::default()
    };
    client.stream.sotw(Kind::Cluster, &request, client.now);
    assert_eq!(client.due(), []);
}

#[test]
fn a_wildcard_ends_with_the_first_name_and_names_end_one_by_one() {
    let world = resources(Kind::Cluster, &[("a", "1"), ("b", "1")]);
    let mut client = Client::new(Protocol::Sotw, &world);
    client.sotw(Kind::Cluster, "", &["a"], None);
    assert_eq!(client.due(), [seen(Kind::Cluster, &[("a", "1")], &[])]);
    client.ack(Kind::Cluster, &["a", "b"]);
    assert_eq!(
        client.due(),
        [seen(Kind::Cluster, &[("a", "1"), ("b", "1")], &[])]
    );
    client.ack(Kind::Cluster, &[]);
    client.publish(&resources(Kind::Cluster, &[("a", "2"), ("b", "1")]));
    assert_eq!(client.due(), [], "nothing is wanted any more");
    client.sotw(Kind::Cluster, &client.nonce(), &["*"], None);
    assert_eq!(
        client.due(),
        [seen(Kind::Cluster, &[("a", "2"), ("b", "1")], &[])]
    );
}

#[test]
fn a_request_that_crossed_a_response_is_not_its_answer() {
    let mut client = Client::new(Protocol::Sotw, &resources(Kind::Routes, &[("r", "1")]));
    client.sotw(Kind::Routes, "", &["r"], None);
    client.due();
    client.sotw(Kind::Routes, "0", &["r"], Some("stale"));
    let (_, subscription) = client.stream.subscriptions().next().unwrap();
    assert_eq!((subscription.error(), subscription.accepted()), (None, None));
}
