//! What is explained is what is selected.

use proptest::prelude::*;

use super::*;
use crate::listener::chain::{FilterChains, SourceType};

fn matches() -> impl Strategy<Value = ChainMatch> {
    let name = prop::sample::select(vec!["a.example", "b.example", "*.example", "*.b.example"]);
    let prefix = prop::sample::select(vec!["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0"]);
    let source_type = prop::sample::select(vec![SourceType::SameHost, SourceType::External]);
    (
        prop::option::of(80_u16..82),
        prop::collection::vec(name, 0..3),
        prop::collection::vec(prefix, 0..2),
        prop::option::of(source_type),
        prop::option::of(Just(b"h2".to_vec())),
    )
        .prop_map(|(port, names, sources, source_type, alpn)| ChainMatch {
            destination_port: port,
            server_names: names.into_iter().map(Into::into).collect(),
            sources: sources.iter().map(|prefix| prefix.parse().unwrap()).collect(),
            source_type,
            application_protocols: alpn.into_iter().collect(),
            ..ChainMatch::default()
        })
}

proptest! {
    #[test]
    fn the_chain_that_is_taken_is_the_selected_one(
        all in prop::collection::vec(matches(), 1..6),
        name in prop::option::of(prop::sample::select(vec!["a.example", "x.b.example", "org"])),
        port in 80_u16..82,
        ip in prop::sample::select(vec!["10.1.2.3", "10.2.2.2", "127.0.0.1"]),
    ) {
        let chains = all.iter().enumerate().map(|(index, matches)| FilterChain {
            matches: matches.clone(),
            ..FilterChain::plain(HttpSettings::default()).named(index.to_string())
        });
        // What overlaps is refused, and needs no explanation.
        let Ok(chains) = FilterChains::new(chains.collect(), None) else { return Ok(()) };
        let ip: std::net::IpAddr = ip.parse().unwrap();
        let (source, destination) = (SocketAddr::from((ip, 5)), SocketAddr::from(([192, 0, 2, 1], port)));
        let connection = Connection {
            source: Some(source),
            destination: Some(destination),
            server_name: name,
            ..Connection::of(Transport::Raw)
        };
        let verdicts = explain(&all, &connection);
        let taken = verdicts.iter().position(|verdict| *verdict == Verdict::Taken);
        let selected = chains.select(&Arrival {
            destination: Some(destination),
            source: Some(source),
            direct: Some(source.ip()),
            transport: Transport::Raw,
            server_name: name,
            application_protocols: &[],
        });
        prop_assert_eq!(taken.map(|at| at.to_string()), selected.map(|chain| chain.name.to_string()));
    }
}
