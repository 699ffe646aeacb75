//! How many of those who were let go are under way at once, whatever becomes of their cluster?

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use tidegate_proxy::cluster::breaker::Used;

use super::*;
use crate::throttle::tests::bounded;

fn check(requests: Option<usize>, pending: Option<usize>, expected: usize) {
    let used = |bound: Option<usize>| bound.map(|max| Used { now: 0, max });
    let usage = Usage {
        requests: used(requests),
        pending: used(pending),
        ..Usage::default()
    };
    assert_eq!(at_once(usage), expected, "{usage:?}");
}

#[test]
fn half_of_the_tightest_bound_may_go_at_once_and_one_always() {
    check(Some(1024), Some(1024), 512);
    check(Some(1024), Some(10), 5);
    check(Some(6), None, 3);
    check(None, Some(1), 1);
    check(Some(0), Some(0), 1);
    check(None, None, RELEASED_AT_ONCE_MAX);
}

fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// As many turns as can be had at once.
fn turns(release: &Release, priority: RequestPriority) -> Vec<Onward> {
    std::iter::from_fn(|| match poll(pin!(release.turn(priority))) {
        Poll::Ready(turn) => Some(turn.unwrap()),
        Poll::Pending => None,
    })
    .collect()
}

#[test]
fn a_cluster_in_place_of_another_brings_its_own_bounds() {
    let (of_default, of_high) = (RequestPriority::Default, RequestPriority::High);
    let release = Release::to(&bounded(8, 4), &Turns::new());
    drop(turns(&release, of_default));
    release.move_to(&bounded(4, 12));
    let mut held = turns(&release, of_default);
    assert_eq!((held.len(), turns(&release, of_high).len()), (2, 6));
    release.move_to(&bounded(2, 2));
    _ = held.pop();
    assert_eq!(turns(&release, of_default).len(), 0, "one is under way");
    _ = held.pop();
    assert_eq!(turns(&release, of_default).len(), 1);
    let first = turns(&release, of_default);
    let mut waiting = pin!(release.turn(of_default));
    assert!(poll(waiting.as_mut()).is_pending());
    release.move_to(&bounded(4, 4));
    assert!(poll(waiting).is_ready(), "there is room beside {}", first.len());
}

#[test]
fn a_release_that_is_revoked_lets_nobody_go_on() {
    let release = Release::to(&bounded(2, 2), &Turns::new());
    let first = turns(&release, RequestPriority::Default);
    let mut waiting = pin!(release.turn(RequestPriority::Default));
    assert!(poll(waiting.as_mut()).is_pending());
    assert_eq!(release.revoke(), 1);
    drop(first);
    assert!(matches!(poll(waiting), Poll::Ready(Err(NoTurn::Revoked))));
    let late = pin!(release.turn(RequestPriority::High));
    assert!(matches!(poll(late), Poll::Ready(Err(NoTurn::Revoked))));
    assert_eq!(release.waiting(), 0);
}

#[test]
fn what_goes_on_by_one_release_counts_in_the_next_too() {
    let all = Turns::new();
    let before = Release::to(&bounded(8, 8), &all);
    let mut held = turns(&before, RequestPriority::Default);
    before.revoke();
    let after = Release::to(&bounded(6, 6), &all);
    assert_eq!(
        (held.len(), turns(&after, RequestPriority::Default).len()),
        (4, 0)
    );
    held.truncate(1);
    assert_eq!(turns(&after, RequestPriority::Default).len(), 2);
}
