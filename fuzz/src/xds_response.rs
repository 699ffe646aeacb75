//! Does a session survive any response, in both variants, and does its answer name what it answers?
//!
//! Input: an encoded `DiscoveryResponse`, read as a `DeltaDiscoveryResponse` too.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tidegate_xds::client::Wanted;
use tidegate_xds::resource::{Gone, Kind, Verdict};
use tidegate_xds::session::parse::parse;
use tidegate_xds::session::{Request, Session, Settings, Status, Variant};
use tidegate_xds::wire::Node;

/// Runs one input.
///
/// # Panics
/// When a response of a kind that is wanted is not answered once, or an update has a name that nobody asked for.
pub fn run(data: &[u8]) {
    for variant in [Variant::StateOfTheWorld, Variant::Delta] {
        converse(variant, Bytes::copy_from_slice(data));
    }
}

fn converse(variant: Variant, message: Bytes) {
    let now = Instant::now();
    let mut settings = Settings::new(Node::default());
    settings.variant = variant;
    let mut session = Session::new(settings, Arc::new(Status::default()), now);
    let wanted = Kind::ALL.map(|kind| match kind.is_wildcard() {
        true => (kind, [].into()),
        false => (kind, ["wanted".into()].into()),
    });
    session.want(&Wanted::from(wanted), now);
    session.connected();
    while session.next_request(now).is_some() {}
    let Ok(parsed) = parse(variant, message.clone()) else {
        assert!(session.receive(message, now).is_err(), "read once, and not again");
        return;
    };
    assert!(session.receive(message, now).is_ok(), "not read the second time");
    while let Some((token, update)) = session.take_delivery() {
        let gone = match &update.gone {
            Gone::Rest => &[],
            Gone::Named(names) => names.as_slice(),
        };
        let mut names = update.resources.iter().map(|raw| &raw.name).chain(gone);
        let is_asked_for = names.all(|name| update.kind.is_wildcard() || &**name == "wanted");
        assert!(is_asked_for, "{update:?}");
        session.judged(token, Some(&Verdict::Accepted));
    }
    let answers: Vec<String> = std::iter::from_fn(|| session.next_request(now))
        .map(nonce)
        .collect();
    let expected: Vec<String> = parsed.content.map(|_| parsed.nonce).into_iter().collect();
    assert_eq!(answers, expected);
}

fn nonce(request: Request) -> String {
    match request {
        Request::StateOfTheWorld(request) => request.response_nonce,
        Request::Delta(request) => request.response_nonce,
    }
}
