//! What do Kubernetes' Endpoints and Services say about addresses?
//!
//! Ports are found by their name, which is the protocol's: `http` or `http2`.
//!
//! ```
//! use tidegate_activator::backends::endpoints::{Endpoints, backends};
//!
//! let endpoints: Endpoints = serde_json::from_str(
//!     r#"{"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "http", "port": 8012}]}]}"#,
//! )?;
//! let sets = backends(&endpoints, "http");
//! assert!(sets.ready.contains(&"10.0.0.1:8012".parse()?) && sets.not_ready.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use serde::Deserialize;

/// As much as is read of `v1/Endpoints`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Endpoints {
    /// Its name and labels.
    pub metadata: Meta,
    /// Addresses that share ports.
    #[serde(deserialize_with = "list")]
    pub subsets: Vec<Subset>,
}

/// As much as is read of an object's metadata.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Addresses that share ports.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Subset {
    /// Those that are ready.
    #[serde(deserialize_with = "list")]
    pub addresses: Vec<Address>,
    /// Those that are not.
    #[serde(deserialize_with = "list")]
    pub not_ready_addresses: Vec<Address>,
    /// Where they listen.
    #[serde(deserialize_with = "list")]
    pub ports: Vec<Port>,
}

/// One address of a [`Subset`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Address {
    /// The address, as text.
    pub ip: String,
}

/// A port with a name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Port {
    /// The name: the protocol.
    pub name: String,
    /// The number.
    pub port: u16,
}

/// As much as is read of `v1/Service`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its name.
    pub metadata: Meta,
    /// Its address and ports.
    pub spec: ServiceSpec,
}

/// The address and ports of a [`Service`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceSpec {
    /// Its address, as text; empty, or `None`, where it has none.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: String,
    /// Its ports.
    #[serde(deserialize_with = "list")]
    pub ports: Vec<Port>,
}

/// The addresses of a revision, as Kubernetes knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sets {
    /// Of pods that are ready.
    pub ready: BTreeSet<SocketAddr>,
    /// Of pods that are not.
    pub not_ready: BTreeSet<SocketAddr>,
}

impl Sets {
    /// All addresses.
    #[must_use]
    pub fn all(&self) -> BTreeSet<SocketAddr> {
        self.ready.union(&self.not_ready).copied().collect()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.not_ready.is_empty()
    }
}

/// Where the pods of a revision listen that speaks the protocol with this port name.
#[must_use]
pub fn backends(endpoints: &Endpoints, port_name: &str) -> Sets {
    let mut sets = Sets::default();
    for subset in &endpoints.subsets {
        let Some(port) = named(&subset.ports, port_name) else {
            continue;
        };
        let at = |address: &Address| Some(SocketAddr::new(address.ip.parse().ok()?, port));
        sets.ready.extend(subset.addresses.iter().filter_map(at));
        sets.not_ready
            .extend(subset.not_ready_addresses.iter().filter_map(at));
    }
    sets
}

/// Who sends requests to the revision whose public Endpoints these are: its activators, or its own pods.
#[must_use]
pub fn senders(endpoints: &Endpoints, port_name: &str) -> Vec<IpAddr> {
    let subsets = endpoints.subsets.iter();
    let speaking = subsets.filter(|subset| named(&subset.ports, port_name).is_some());
    let addresses: BTreeSet<IpAddr> = speaking
        .flat_map(|subset| &subset.addresses)
        .filter_map(|address| address.ip.parse().ok())
        .collect();
    addresses.into_iter().collect()
}

/// Where a service takes requests of the protocol with this port name.
///
/// # Errors
/// What it lacks for that.
pub fn service_address(service: &Service, port_name: &str) -> Result<SocketAddr, String> {
    let Meta { name, namespace, .. } = &service.metadata;
    let address = service.spec.cluster_ip.parse::<IpAddr>();
    let address = address.map_err(|_| format!("service {namespace}/{name} has no address"))?;
    let port = named(&service.spec.ports, port_name)
        .ok_or_else(|| format!("service {namespace}/{name} has no port {port_name:?}"))?;
    Ok(SocketAddr::new(address, port))
}

fn named(ports: &[Port], name: &str) -> Option<u16> {
    ports.iter().find(|port| port.name == name).map(|port| port.port)
}

/// Go writes an empty list as `null`.
pub(crate) fn list<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<Vec<T>>::deserialize(from).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn addresses(of: &BTreeSet<SocketAddr>) -> Vec<String> {
        of.iter().map(SocketAddr::to_string).collect()
    }

    fn check(subsets: serde_json::Value, port_name: &str, ready: &[&str], not_ready: &[&str]) {
        let endpoints: Endpoints = serde_json::from_value(json!({ "subsets": subsets })).unwrap();
        let sets = backends(&endpoints, port_name);
        assert_eq!(addresses(&sets.ready), ready, "ready in {subsets}");
        assert_eq!(addresses(&sets.not_ready), not_ready, "not ready in {subsets}");
    }

    #[test]
    fn ac_28_backends_are_found_by_the_name_of_the_protocols_port() {
        let ports = json!([{"name": "http", "port": 8012}, {"name": "queue", "port": 9090}]);
        let both = json!([{
            "addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}],
            "notReadyAddresses": [{"ip": "10.0.0.3"}],
            "ports": ports,
        }]);
        check(
            both.clone(),
            "http",
            &["10.0.0.1:8012", "10.0.0.2:8012"],
            &["10.0.0.3:8012"],
        );
        check(both, "http2", &[], &[]);
        let two = json!([
            {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "http2", "port": 8013}]},
            {"addresses": [{"ip": "10.0.0.2"}], "ports": [{"name": "other", "port": 8013}]},
            {"notReadyAddresses": [{"ip": "fd00::3"}], "ports": [{"name": "http2", "port": 8013}]},
        ]);
        check(two, "http2", &["10.0.0.1:8013"], &["[fd00::3]:8013"]);
    }

    #[test]
    fn ac_28_no_addresses_are_no_backends() {
        check(json!(null), "http", &[], &[]);
        check(json!([]), "http", &[], &[]);
        check(json!([{"addresses": null, "ports": null}]), "http", &[], &[]);
        check(
            json!([{"addresses": [{"ip": "no address"}], "ports": [{"name": "http", "port": 1}]}]),
            "http",
            &[],
            &[],
        );
    }

    #[test]
    fn ac_20_senders_are_the_ready_addresses_with_the_protocols_port() {
        let subsets = json!([
            {"addresses": [{"ip": "10.0.0.2"}, {"ip": "10.0.0.1"}], "notReadyAddresses": [{"ip": "10.0.0.9"}],
             "ports": [{"name": "http", "port": 8012}]},
            {"addresses": [{"ip": "10.0.0.3"}], "ports": [{"name": "https", "port": 8112}]},
        ]);
        let endpoints: Endpoints = serde_json::from_value(json!({ "subsets": subsets })).unwrap();
        let senders = senders(&endpoints, "http");
        assert_eq!(
            senders,
            ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse::<IpAddr>().unwrap())
        );
    }

    #[test]
    fn ac_29_a_services_address_is_found_by_the_name_of_the_protocols_port() {
        let service = |spec: serde_json::Value| {
            let object = json!({"metadata": {"name": "r-private", "namespace": "ns"}, "spec": spec});
            let service: Service = serde_json::from_value(object).unwrap();
            service_address(&service, "http").map(|address| address.to_string())
        };
        let ports = json!([{"name": "http2", "port": 81}, {"name": "http", "port": 80}]);
        let found = service(json!({"clusterIP": "10.9.0.1", "ports": ports}));
        assert_eq!(found.as_deref(), Ok("10.9.0.1:80"));
        let no_port = service(json!({"clusterIP": "10.9.0.1", "ports": [{"name": "http2", "port": 81}]}));
        assert_eq!(no_port.unwrap_err(), "service ns/r-private has no port \"http\"");
        let headless = service(json!({"clusterIP": "None", "ports": ports}));
        assert_eq!(headless.unwrap_err(), "service ns/r-private has no address");
    }
}
