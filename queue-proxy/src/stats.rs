//! How much did one replica carry over the last second?

use std::time::{Duration, Instant};

use tidegate_knative::stat::Stat;

mod loads;
mod page;

pub use loads::{Arrived, Load, Loads};
pub use page::Page;

/// Where a request came from. The autoscaler counts those of an activator there, not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Anybody.
    Direct,
    /// An activator (`K-Proxy-Request: activator`).
    Activator,
}

/// Requests at a time, averaged over time, and arrivals (Knative networking `http/stats`). Time is passed in.
///
/// A request counts from its arrival to its end, also while it waits for a place.
#[derive(Clone, Debug)]
pub struct RequestStats {
    pod_name: String,
    began: Instant,
    last_change: Instant,
    elapsed: Duration,
    all: Tally,
    proxied: Tally,
}

/// One family of requests.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    running: u32,
    arrived: u32,
    /// Requests times seconds.
    request_seconds: f64,
}

impl Tally {
    fn pass(&mut self, elapsed: Duration) {
        self.request_seconds += f64::from(self.running) * elapsed.as_secs_f64();
    }

    fn arrive(&mut self) {
        self.running += 1;
        self.arrived += 1;
    }

    fn leave(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// Average and arrivals since the last call.
    fn take(&mut self, elapsed: Duration) -> (f64, u32) {
        let seconds = elapsed.as_secs_f64();
        let average = if seconds > 0.0 {
            self.request_seconds / seconds
        } else {
            0.0
        };
        self.request_seconds = 0.0;
        (average, std::mem::take(&mut self.arrived))
    }
}

impl RequestStats {
    /// Nothing carried yet.
    #[must_use]
    pub fn new(pod_name: impl Into<String>, now: Instant) -> Self {
        Self {
            pod_name: pod_name.into(),
            began: now,
            last_change: now,
            elapsed: Duration::ZERO,
            all: Tally::default(),
            proxied: Tally::default(),
        }
    }

    /// A request arrived.
    pub fn arrived(&mut self, now: Instant, origin: Origin) {
        self.advance(now);
        self.all.arrive();
        if origin == Origin::Activator {
            self.proxied.arrive();
        }
    }

    /// A request that had arrived has ended.
    pub fn ended(&mut self, now: Instant, origin: Origin) {
        self.advance(now);
        self.all.leave();
        if origin == Origin::Activator {
            self.proxied.leave();
        }
    }

    /// The report at the end of a `period`; what is counted begins anew.
    pub fn report(&mut self, now: Instant, period: Duration) -> Stat {
        self.advance(now);
        let elapsed = std::mem::take(&mut self.elapsed);
        let (average_concurrent_requests, arrived) = self.all.take(elapsed);
        let (average_proxied_concurrent_requests, proxied) = self.proxied.take(elapsed);
        let per_second = |count: u32| f64::from(count) / period.as_secs_f64().max(f64::MIN_POSITIVE);
        Stat {
            pod_name: self.pod_name.clone(),
            average_concurrent_requests,
            average_proxied_concurrent_requests,
            request_count: per_second(arrived),
            proxied_request_count: per_second(proxied),
            process_uptime: now.saturating_duration_since(self.began).as_secs_f64(),
            timestamp: 0,
        }
    }

    fn advance(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.last_change);
        if !elapsed.is_zero() {
            self.elapsed += elapsed;
            self.all.pass(elapsed);
            self.proxied.pass(elapsed);
            self.last_change = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(1);

    /// A replica's stats and a clock that the test moves.
    struct Replica {
        stats: RequestStats,
        now: Instant,
    }

    impl Replica {
        fn new() -> Self {
            let now = Instant::now();
            Self {
                stats: RequestStats::new("hello-00001-abc", now),
                now,
            }
        }

        fn after(&mut self, millis: u64) -> &mut Self {
            self.now += Duration::from_millis(millis);
            self
        }

        fn arrived(&mut self, origin: Origin) -> &mut Self {
            self.stats.arrived(self.now, origin);
            self
        }

        fn ended(&mut self, origin: Origin) -> &mut Self {
            self.stats.ended(self.now, origin);
            self
        }
    }

    /// Reports and compares both averages and both rates.
    fn check(replica: &mut Replica, period: Duration, averages: [f64; 2], rates: [f64; 2]) {
        let stat = replica.stats.report(replica.now, period);
        let got = [
            stat.average_concurrent_requests,
            stat.average_proxied_concurrent_requests,
        ];
        assert!(
            got.iter()
                .zip(averages)
                .all(|(got, expected)| (got - expected).abs() < 1e-9),
            "{stat:?}"
        );
        assert_eq!([stat.request_count, stat.proxied_request_count], rates);
    }

    #[test]
    fn concurrency_is_weighted_by_time() {
        let mut replica = Replica::new();
        replica
            .arrived(Origin::Direct)
            .after(500)
            .arrived(Origin::Activator)
            .after(250);
        replica.ended(Origin::Activator).after(250);
        check(&mut replica, PERIOD, [1.25, 0.25], [2.0, 1.0]);
    }

    #[test]
    fn what_runs_on_counts_in_the_next_period_but_arrived_once() {
        let mut replica = Replica::new();
        check(
            replica.arrived(Origin::Direct).after(1000),
            PERIOD,
            [1.0, 0.0],
            [1.0, 0.0],
        );
        check(replica.after(1000), PERIOD, [1.0, 0.0], [0.0, 0.0]);
        check(
            replica.ended(Origin::Direct).after(1000),
            PERIOD,
            [0.0, 0.0],
            [0.0, 0.0],
        );
    }

    #[test]
    fn qp_15_arrivals_are_told_per_second() {
        let mut replica = Replica::new();
        for index in 0..39 {
            let origin = if index < 15 {
                Origin::Activator
            } else {
                Origin::Direct
            };
            replica.arrived(origin).ended(origin);
        }
        check(replica.after(10_000), PERIOD * 10, [0.0, 0.0], [3.9, 1.5]);
    }

    #[test]
    fn qp_15_uptime_grows_and_the_name_stays() {
        let mut replica = Replica::new();
        for seconds in 1..4 {
            replica.after(1000);
            let stat = replica.stats.report(replica.now, PERIOD);
            assert_eq!(
                (stat.pod_name.as_str(), stat.process_uptime),
                ("hello-00001-abc", f64::from(seconds))
            );
        }
    }

    #[test]
    fn a_report_without_time_is_zero() {
        check(
            Replica::new().arrived(Origin::Direct),
            PERIOD,
            [0.0, 0.0],
            [1.0, 0.0],
        );
    }
}
