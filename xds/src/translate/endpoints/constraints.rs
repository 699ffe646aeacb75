//! Which constraints of its own may an assignment break?

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::socket_address::{PortSpecifier, Protocol};
use envoy_types::pb::envoy::config::endpoint::v3 as envoy;
use envoy_types::pb::envoy::config::endpoint::v3::cluster_load_assignment::Policy;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;

use crate::translate::constraint::{Checked, Rules, Violation};
use crate::translate::message::wide;

/// Of an assignment.
pub(crate) fn assignment(message: &envoy::ClusterLoadAssignment) -> Checked {
    let of = Rules::of("ClusterLoadAssignment");
    of.not_empty("ClusterName", &message.cluster_name)?;
    of.each("Endpoints", &message.endpoints, locality)?;
    for (name, endpoint) in &message.named_endpoints {
        of.within(&format!("NamedEndpoints[{name}]"), one(endpoint))?;
    }
    of.optional("Policy", message.policy.as_ref(), policy)
}

fn policy(message: &Policy) -> Checked {
    let of = Rules::of("Policy");
    of.each("DropOverloads", &message.drop_overloads, |drop| {
        Rules::of("DropOverload").not_empty("Category", &drop.category)
    })?;
    if message
        .overprovisioning_factor
        .is_some_and(|factor| factor.value == 0)
    {
        return Err(of.broken("OverprovisioningFactor", "value must be greater than 0"));
    }
    of.longer(
        "EndpointStaleAfter",
        message.endpoint_stale_after.as_ref(),
        Duration::ZERO,
    )
}

fn locality(message: &envoy::LocalityLbEndpoints) -> Checked {
    let of = Rules::of("LocalityLbEndpoints");
    of.each("LbEndpoints", &message.lb_endpoints, listed)?;
    of.at_least(
        "LoadBalancingWeight",
        wide(message.load_balancing_weight.as_ref()),
        1,
    )?;
    of.at_most("Priority", Some(message.priority.into()), 128)
}

fn listed(message: &envoy::LbEndpoint) -> Checked {
    let of = Rules::of("LbEndpoint");
    of.at_least(
        "LoadBalancingWeight",
        wide(message.load_balancing_weight.as_ref()),
        1,
    )?;
    match &message.host_identifier {
        Some(HostIdentifier::Endpoint(endpoint)) => of.within("Endpoint", one(endpoint)),
        _ => Ok(()),
    }
}

fn one(message: &envoy::Endpoint) -> Checked {
    let of = Rules::of("Endpoint");
    of.optional("Address", message.address.as_ref(), address)?;
    of.optional(
        "HealthCheckConfig",
        message.health_check_config.as_ref(),
        |config| {
            let of = Rules::of("HealthCheckConfig");
            of.at_most("PortValue", Some(config.port_value.into()), 65535)?;
            of.optional("Address", config.address.as_ref(), address)
        },
    )
}

/// Of an address.
pub(crate) fn address(message: &core::Address) -> Checked {
    let of = Rules::of("Address");
    match &message.address {
        Some(Kind::SocketAddress(socket)) => of.within("SocketAddress", socket_address(socket)),
        Some(Kind::Pipe(pipe)) => {
            let held = || {
                let of = Rules::of("Pipe");
                of.not_empty("Path", &pipe.path)?;
                of.at_most("Mode", Some(pipe.mode.into()), 511)
            };
            of.within("Pipe", held())
        }
        Some(Kind::EnvoyInternalAddress(_)) => Ok(()),
        None => Err(Violation::unset("address")),
    }
}

/// Of the address of a socket.
pub(crate) fn socket_address(message: &core::SocketAddress) -> Checked {
    let of = Rules::of("SocketAddress");
    of.defined::<Protocol>("Protocol", message.protocol)?;
    of.not_empty("Address", &message.address)?;
    match &message.port_specifier {
        Some(PortSpecifier::PortValue(port)) => of.at_most("PortValue", Some((*port).into()), 65535),
        Some(PortSpecifier::NamedPort(_)) => Ok(()),
        None => Err(Violation::unset("port_specifier")),
    }
}
