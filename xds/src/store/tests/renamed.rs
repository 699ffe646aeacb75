//! A listener that takes the place of another in one update.

use super::listeners::listening;
use super::*;

#[test]
fn a_listener_may_have_the_address_of_one_that_goes_with_the_same_update() {
    let mut rig = Rig::new();
    rig.accepts(&state(Kind::Cluster, "1", Vec::new()));
    rig.accepts(&state(Kind::Listener, "1", vec![("a", listening("a", 8080, ""))]));
    rig.accepts(&state(Kind::Listener, "2", vec![("b", listening("b", 8080, ""))]));
    let open: Vec<_> = rig
        .store
        .outside()
        .sockets
        .values()
        .map(|(at, _)| at.clone())
        .collect();
    assert_eq!(open, ["127.0.0.1:8080"]);
    let both = vec![("b", listening("b", 8080, "")), ("c", listening("c", 8080, ""))];
    assert_eq!(
        rig.refuses(&state(Kind::Listener, "3", both)).failed,
        ["c".into()]
    );
}
