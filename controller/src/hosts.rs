//! Which hosts lead to a route and its tags (Knative, `domain-template` and `tag-template` at their defaults).

use crate::limits::CLUSTER_DOMAIN;
use crate::name::ObjectName;
use crate::settings::Settings;

/// The hosts of a route or of one of its tags, without ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// `NAME.NAMESPACE.DOMAIN`; none for a route that is `cluster-local`.
    pub external: Option<String>,
    /// `NAME.NAMESPACE`, `NAME.NAMESPACE.svc` and `NAME.NAMESPACE.svc.cluster.local`.
    pub local: Vec<String>,
}

impl Hosts {
    /// Every host, the external one first.
    pub fn iter(&self) -> impl Iterator<Item = &String> {
        self.external.iter().chain(&self.local)
    }
}

/// Who may use a route's hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visibility {
    External,
    ClusterLocal,
}

/// The first label of a target's hosts: `NAME`, or `TAG-NAME`.
pub(crate) fn label(name: &str, tag: Option<&str>) -> String {
    match tag {
        Some(tag) => format!("{tag}-{name}"),
        None => name.to_owned(),
    }
}

/// The hosts of `route`, or of its tag.
pub(crate) fn hosts(
    route: &ObjectName,
    tag: Option<&str>,
    visibility: Visibility,
    settings: &Settings,
) -> Hosts {
    let label = label(&route.name, tag);
    let short = format!("{label}.{}", route.namespace);
    let external = match visibility {
        Visibility::External => Some(format!("{short}.{}", settings.domain())),
        Visibility::ClusterLocal => None,
    };
    let service = format!("{short}.svc");
    let full = format!("{service}.{CLUSTER_DOMAIN}");
    let mut local = vec![short, service, full];
    local.retain(|host| !ends_in_number(host));
    Hosts { external, local }
}

/// Whether the last label is a number, as in a namespace `42`: browsers and proxies take such a host for an
/// IPv4 address, so Knative leaves it out.
fn ends_in_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(route: (&str, &str), tag: Option<&str>, visibility: Visibility, expected: &[&str]) {
        let settings = Settings::new("localhost", 8080).unwrap();
        let hosts = hosts(&ObjectName::new(route.0, route.1), tag, visibility, &settings);
        assert_eq!(hosts.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_route_has_an_external_host_and_those_inside_a_cluster() {
        use Visibility::{ClusterLocal, External};
        let local = [
            "hello.default",
            "hello.default.svc",
            "hello.default.svc.cluster.local",
        ];
        let all = [&["hello.default.localhost"], local.as_slice()].concat();
        check(("default", "hello"), None, External, &all);
        check(("default", "hello"), None, ClusterLocal, &local);
        let tagged = [
            "new-hello.x.localhost",
            "new-hello.x",
            "new-hello.x.svc",
            "new-hello.x.svc.cluster.local",
        ];
        check(("x", "hello"), Some("new"), External, &tagged);
        let number = ["a.42.localhost", "a.42.svc", "a.42.svc.cluster.local"];
        check(("42", "a"), None, External, &number);
    }
}
