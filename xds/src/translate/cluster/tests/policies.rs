//! Load balancing policies that are extensions.

use envoy_types::pb::envoy::config::cluster::v3::load_balancing_policy::Policy;
use envoy_types::pb::envoy::extensions::load_balancing_policies as policies;
use prost::Name;

use super::*;

fn policy<M: Message + Name>(message: &M) -> Policy {
    Policy {
        typed_extension_config: Some(core::TypedExtensionConfig {
            name: "zz".into(),
            typed_config: Some(protobuf::Any {
                type_url: M::type_url(),
                value: message.encode_to_vec(),
            }),
        }),
    }
}

fn list(policies: Vec<Policy>) -> envoy::LoadBalancingPolicy {
    envoy::LoadBalancingPolicy { policies }
}

fn balancing(policies: Vec<Policy>) -> envoy::Cluster {
    with(|cluster| cluster.load_balancing_policy = Some(list(policies)))
}

#[test]
fn the_first_known_policy_counts() {
    let unknown = policy(&protobuf::Duration::default());
    let random = policy(&policies::random::v3::Random::default());
    let maglev = policy(&policies::maglev::v3::Maglev::default());
    let config = read(&balancing(vec![unknown.clone(), random, maglev])).unwrap();
    assert_eq!(config.settings.balance.policy, Balance::Random);
    let none = "cluster: didn't find a registered load balancer factory implementation for cluster: 'app' with names \
                from";
    refused(&balancing(vec![unknown]), &format!("{none} [zz]"));
    refused(&balancing(Vec::new()), &format!("{none} []"));
}

#[test]
fn least_request_has_its_choices_and_slow_start() {
    let least = policies::least_request::v3::LeastRequest {
        choice_count: Some(protobuf::UInt32Value { value: 5 }),
        slow_start_config: Some(policies::common::v3::SlowStartConfig {
            slow_start_window: seconds(60),
            ..Default::default()
        }),
        ..Default::default()
    };
    let balance = read(&balancing(vec![policy(&least)])).unwrap().settings.balance;
    let Balance::LeastRequest(choice, Some(slow_start)) = balance.policy else {
        panic!("{balance:?}");
    };
    assert_eq!((choice.choices, slow_start.window.as_secs()), (5, 60));
}

#[test]
fn a_policy_by_locality_has_another_inside() {
    let inner = list(vec![policy(&policies::ring_hash::v3::RingHash {
        use_hostname_for_hashing: true,
        ..Default::default()
    })]);
    let outer = policies::wrr_locality::v3::WrrLocality {
        endpoint_picking_policy: Some(inner),
    };
    let balance = read(&balancing(vec![policy(&outer)])).unwrap().settings.balance;
    assert!(matches!(balance.policy, Balance::RingHash(_)) && balance.by_locality && balance.placed_by_name);
}

#[test]
fn a_policy_that_would_select_otherwise_is_refused() {
    let first = policies::pick_first::v3::PickFirst::default();
    refused(
        &balancing(vec![policy(&first)]),
        "load_balancing_policy.policies[0]: it is not supported, and traffic would go otherwise without it",
    );
}
