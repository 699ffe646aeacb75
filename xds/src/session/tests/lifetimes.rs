//! When do resources end that are not renewed, in both variants?

use super::*;
use Variant::{Delta, StateOfTheWorld};

const ALL: &[&str] = &[];

/// One resource in a response: its name, whether it has a body, and for how many seconds it lives.
type Brought<'a> = (&'a str, bool, Option<i64>);

impl Talk {
    fn brings(&mut self, variant: Variant, kind: Kind, nonce: &str, brought: &[Brought<'_>]) {
        let resources = brought.iter().map(|(name, has_body, seconds)| Resource {
            name: (*name).to_owned(),
            version: "1".to_owned(),
            resource: has_body.then(|| any(kind, name)),
            ttl: seconds.map(|seconds| wire::Duration { seconds, nanos: 0 }),
            ..Resource::default()
        });
        let (type_url, nonce) = (kind.type_url().to_owned(), nonce.to_owned());
        if variant == Delta {
            return self.receive(&DeltaDiscoveryResponse {
                resources: resources.collect(),
                type_url,
                nonce,
                ..DeltaDiscoveryResponse::default()
            });
        }
        let wrapped = resources.map(|resource| Any {
            type_url: wire::RESOURCE_TYPE_URL.to_owned(),
            value: resource.encode_to_vec().into(),
        });
        self.receive(&DiscoveryResponse {
            version_info: "1".to_owned(),
            resources: wrapped.collect(),
            type_url,
            nonce,
            ..DiscoveryResponse::default()
        });
    }

    /// Seconds pass; says what is removed, and that nobody is told.
    fn ages(&mut self, seconds: u64) -> Option<String> {
        self.pass(seconds * 1000);
        self.session.end_lifetimes(self.now);
        let removed = self.session.has_delivery().then(|| self.accept());
        assert!(self.ask().is_empty(), "there is no response to answer");
        removed
    }
}

fn both(check: impl Fn(Talk, Variant)) {
    for variant in [StateOfTheWorld, Delta] {
        check(Talk::begun(variant, &[(Kind::Cluster, ALL)]), variant);
    }
}

#[test]
fn what_is_not_renewed_is_removed_when_its_time_is_over_and_once() {
    both(|mut talk, variant| {
        talk.brings(
            variant,
            Kind::Cluster,
            "n",
            &[("a", true, Some(9)), ("b", true, Some(20)), ("c", true, None)],
        );
        talk.accept();
        talk.ask();
        let end = talk.now + Duration::from_secs(9);
        assert_eq!(talk.session.wake(talk.now), Some(end));
        assert_eq!(talk.ages(8), None);
        assert_eq!(talk.ages(1).as_deref(), Some("Cluster -a"));
        assert_eq!(talk.ages(60).as_deref(), Some("Cluster -b"));
        assert_eq!(talk.ages(60), None);
        assert_eq!(talk.session.wake(talk.now), None);
    });
}

#[test]
fn heartbeats_renew_and_one_without_a_time_takes_the_end_away() {
    both(|mut talk, variant| {
        talk.brings(variant, Kind::Cluster, "1", &[("a", true, Some(9))]);
        talk.accept();
        talk.ask();
        assert_eq!(talk.ages(8), None);
        talk.brings(variant, Kind::Cluster, "2", &[("a", false, Some(9))]);
        assert_eq!(talk.ask().len(), 1, "a heartbeat is answered");
        assert_eq!(talk.ages(8), None);
        talk.brings(variant, Kind::Cluster, "3", &[("a", false, None)]);
        talk.ask();
        assert_eq!(talk.ages(600), None);
    });
}

#[test]
fn the_same_resource_renews_and_a_stream_that_is_gone_keeps_nothing_alive() {
    both(|mut talk, variant| {
        talk.brings(variant, Kind::Cluster, "1", &[("a", true, Some(9))]);
        talk.accept();
        talk.ask();
        assert_eq!(talk.ages(8), None);
        talk.brings(variant, Kind::Cluster, "2", &[("a", true, Some(9))]);
        talk.accept();
        talk.ask();
        talk.session.disconnected(0.0);
        assert_eq!(talk.ages(8), None);
        assert_eq!(talk.ages(1).as_deref(), Some("Cluster -a"));
    });
}

#[test]
fn an_end_is_no_news_for_what_is_gone_and_none_of_what_never_was() {
    let mut talk = Talk::begun(Delta, &[(Kind::Cluster, ALL)]);
    talk.brings(Delta, Kind::Cluster, "1", &[("a", true, Some(9))]);
    talk.accept();
    talk.hear_changes(Kind::Cluster, "2", &[], &["a"]);
    talk.accept();
    // Nobody knows these.
    talk.brings(Delta, Kind::Cluster, "3", &[("b", false, Some(9))]);
    talk.ask();
    talk.brings(Delta, Kind::Cluster, "4", &[("c", true, Some(9))]);
    talk.reject("no", &["c"]);
    talk.pass(100);
    talk.ask();
    assert_eq!(talk.ages(60), None);
}

#[test]
fn what_ends_while_it_waits_to_be_judged_goes_with_what_it_came_with() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Cluster, ALL)]);
    talk.brings(
        StateOfTheWorld,
        Kind::Cluster,
        "n",
        &[("a", true, Some(9)), ("b", true, None)],
    );
    talk.pass(9000);
    talk.session.end_lifetimes(talk.now);
    assert_eq!(talk.accept(), "Cluster b@1 alone");
    assert_eq!(talk.ask(), ["Cluster  v'1' n'n'"]);
}

#[test]
fn what_has_ended_is_not_held_on_the_next_stream() {
    let mut talk = Talk::begun(Delta, &[(Kind::Cluster, ALL)]);
    talk.brings(
        Delta,
        Kind::Cluster,
        "n",
        &[("a", true, Some(9)), ("b", true, None)],
    );
    talk.accept();
    talk.ask();
    talk.ages(9);
    talk.session.connected();
    assert_eq!(talk.ask(), ["Cluster + - {\"b\": \"1\"} n''"]);
}

#[test]
fn a_time_below_zero_is_refused() {
    both(|mut talk, variant| {
        talk.brings(variant, Kind::Cluster, "n", &[("a", true, Some(-1))]);
        let [said] = talk.ask().try_into().expect("one answer");
        assert!(said.ends_with("!13 Invalid duration: Expected positive duration: seconds: -1, nanos: 0"));
    });
}
