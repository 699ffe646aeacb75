//! Does a cluster find its endpoints by name?

mod support;

use support::{CLUSTER, Front, HOST, everything_to, with_endpoints};
use tidegate_proxy::cluster::ClusterSettings;
use tidegate_proxy::cluster::discovery::{Discovery, DnsName, Family};
use tidegate_testkit::client::get;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::eventually;

#[tokio::test]
async fn a_name_becomes_endpoints() {
    let upstream = Upstream::echo().await;
    for name in ["localhost", "127.0.0.1"] {
        let discovery = Discovery {
            family: Family::V4,
            ..Discovery::of([DnsName::new(name, upstream.address().port())])
        };
        let settings = ClusterSettings {
            discovery: Some(discovery.into()),
            ..ClusterSettings::new(CLUSTER)
        };
        let cluster = with_endpoints(settings, &[]);
        let front = Front::start(everything_to(&cluster, None));
        cluster.watch(&front.watch);
        eventually("an endpoint", async || !cluster.endpoints().is_empty()).await;
        assert_eq!(get(front.address, HOST, "/").await.status, 200);
        assert_eq!(cluster.endpoints()[0].hostname().map(|host| &**host), Some(name));
    }
}
