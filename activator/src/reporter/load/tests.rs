//! Averages against the sequences of Knative's own tests, and under real threads.

use std::thread;

use super::*;

/// Starts, ends and ticks at these milliseconds, in order.
#[derive(Debug, Clone, Copy)]
enum Event {
    Start(u64),
    End(u64),
    Tick(u64),
}

use Event::{End, Start, Tick};

fn check(events: &[Event], expected: &[[f64; 2]]) {
    let load = Load::new();
    let at = |ms| load.epoch + Duration::from_millis(ms);
    let reports = events.iter().filter_map(|event| match *event {
        Start(ms) => load.arrive(at(ms)),
        End(ms) => {
            load.depart(at(ms));
            None
        }
        Tick(ms) => load.report(at(ms)),
    });
    let got: Vec<_> = reports.map(|period| [period.average, period.count]).collect();
    assert_eq!(got, expected, "{events:?}");
}

#[test]
fn periods_are_reported_as_knative_does() {
    check(&[], &[]);
    check(&[Tick(1000)], &[]);
    check(
        &[Start(0), Start(0), Tick(1000), Tick(2000)],
        &[[1.0, 1.0], [1.0, 1.0], [2.0, 0.0]],
    );
    let once = [
        Start(0),
        End(1000),
        Tick(1000),
        Tick(2000),
        Tick(3000),
        Start(3000),
    ];
    check(&once, &[[1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]);
    check(&[Start(500), Start(500), Tick(1000)], &[[1.0, 1.0], [1.0, 1.0]]);
    check(
        &[Start(0), Tick(1000), End(1250), Tick(2000)],
        &[[1.0, 1.0], [0.0, 0.0], [0.25, 0.0]],
    );
    // Nothing in flight at the tick, but the period had load: known for another period.
    check(
        &[Start(0), End(500), Tick(1000), Start(1500)],
        &[[1.0, 1.0], [0.0, 0.0]],
    );
}

#[test]
fn a_load_that_began_long_after_the_last_one_is_not_diluted() {
    let later = [
        Start(0),
        End(0),
        Tick(1000),
        Start(60_500),
        Start(60_500),
        Tick(61_000),
    ];
    check(&later, &[[1.0, 1.0], [0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]);
}

#[test]
fn two_ticks_at_once_divide_by_nothing() {
    check(
        &[Start(0), Tick(0), Tick(0)],
        &[[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]],
    );
}

#[test]
fn the_sum_of_stamps_may_wrap_around() {
    let load = Load::new();
    let turn = Duration::from_micros(1 << (u64::BITS - CONCURRENCY_BITS));
    let at = |seconds| load.epoch + turn + Duration::from_secs(seconds) - Duration::from_secs(1);
    for _ in 0..1000 {
        load.arrive(at(0));
    }
    assert_eq!(
        load.report(at(2)),
        Some(Period {
            average: 999.0,
            count: 999.0
        })
    );
    assert_eq!(load.concurrency(), 1000);
}

#[test]
fn threads_leave_neither_load_nor_arrivals_behind() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 5_000;
    let load = Load::new();
    let visit = || {
        (0..ROUNDS)
            .filter_map(|_| serve(&load))
            .map(|poke| poke.count)
            .sum::<f64>()
    };
    let total = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(visit)).collect();
        let mut count = 0.0;
        while !threads.iter().all(thread::ScopedJoinHandle::is_finished) {
            let period = load.report(Instant::now()).unwrap_or(Period {
                average: 0.0,
                count: 0.0,
            });
            assert!((0.0..=THREADS as f64).contains(&period.average), "{period:?}");
            count += period.count;
            thread::yield_now();
        }
        count
            + threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum::<f64>()
    });
    let rest = load.report(Instant::now()).map_or(0.0, |period| period.count);
    assert_eq!(total + rest, (THREADS * ROUNDS) as f64);
    assert_eq!(load.concurrency(), 0);
}

fn serve(load: &Load) -> Option<Period> {
    let poke = load.arrive(Instant::now());
    load.depart(Instant::now());
    poke
}
