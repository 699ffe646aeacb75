//! How do the names of the cluster's services end?

/// From the search list of `/etc/resolv.conf`, else from `CLUSTER_DOMAIN`, which counts only where there is such a file
/// (Knative `pkg:network/domain.go`).
#[must_use]
pub fn cluster_domain(resolv_conf: Option<&str>, environment: Option<String>) -> String {
    let Some(text) = resolv_conf else {
        return DEFAULT.to_owned();
    };
    let searches = text.lines().filter_map(|line| line.strip_prefix("search "));
    let mut names = searches.flat_map(|names| names.split(' '));
    let found = names.find_map(|name| name.strip_prefix("svc."));
    let found = found.map(|name| name.strip_suffix('.').unwrap_or(name).to_owned());
    let environment = environment.filter(|name| !name.is_empty());
    found.or(environment).unwrap_or_else(|| DEFAULT.to_owned())
}

const DEFAULT: &str = "cluster.local";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(resolv_conf: Option<&str>, environment: Option<&str>, expected: &str) {
        let environment = environment.map(str::to_owned);
        assert_eq!(
            cluster_domain(resolv_conf, environment),
            expected,
            "{resolv_conf:?}"
        );
    }

    #[test]
    fn the_domain_is_what_the_resolver_searches() {
        let usual = "nameserver 10.0.0.10\nsearch ns.svc.a.b svc.a.b a.b\noptions ndots:5\n";
        check(Some(usual), Some("c.d"), "a.b");
        check(Some("search svc.abc.d. d\n"), None, "abc.d");
        check(Some("search example\n"), Some("c.d"), "c.d");
        check(Some(""), Some(""), "cluster.local");
        check(None, Some("c.d"), "cluster.local");
    }
}
