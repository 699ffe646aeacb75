//! What does a route that forwards make of a request: to whom, with which time, as what?

use std::time::Duration;

use http::{HeaderMap, Request};
use tidegate_proxy::Body;
use tidegate_proxy::rehearsal::{Arrived, Stop};
use tidegate_proxy::route::{Destination, Forward, ForwardPolicy};

use super::{Trip, cluster, words};
use crate::page::Page;

impl Trip<'_> {
    /// Whether there is an endpoint for it.
    pub(super) fn forward(
        &self,
        stop: Stop<'_>,
        forward: &Forward,
        arrived: &Arrived,
        request: &Request<Body>,
        page: &mut Page,
    ) -> bool {
        self.show_policy(stop.route.policy.as_deref(), page);
        match &forward.to {
            Destination::Split(split) => {
                let total: u64 = split.parts().iter().map(|part| u64::from(part.weight)).sum();
                let mut any = false;
                let mut pages = Vec::new();
                for share in split.parts() {
                    let mut one = Page::default();
                    if split.parts().len() > 1 {
                        one.text("share", format!("{} of {total} requests", share.weight));
                    }
                    let stop = Stop {
                        share: Some(share),
                        ..stop
                    };
                    any |= self.share(stop, (forward, &share.cluster), arrived, request, &mut one);
                    pages.push(one);
                }
                page.pages("to", pages);
                any
            }
            Destination::Header(name) => {
                let cluster = request.headers().get(name);
                let Some(cluster) = cluster.and_then(|value| value.to_str().ok()) else {
                    page.text(
                        "cluster",
                        format!("the one that the field {name} names, which is not there"),
                    );
                    return Self::missing(forward, page);
                };
                let mut one = Page::default();
                one.text("named by", name.to_string());
                let routed = self.share(stop, (forward, cluster), arrived, request, &mut one);
                page.page("to", one);
                routed
            }
        }
    }

    fn share(
        &self,
        stop: Stop<'_>,
        (forward, name): (&Forward, &str),
        arrived: &Arrived,
        request: &Request<Body>,
        page: &mut Page,
    ) -> bool {
        page.list("header edits", words::edits(stop));
        let mut sent = copy(request);
        let hash = match self.rehearsal.forward(stop, forward, arrived, &mut sent) {
            Ok(hash) => hash,
            Err(error) => return self.refused(page, error.kind(), &error.to_string()),
        };
        let Some(cluster) = self.configuration.clusters.get(name) else {
            page.text("cluster", format!("{name}: it is not there"));
            return Self::missing(forward, page);
        };
        let routed = cluster::show(self.configuration, cluster, hash, page);
        let mut upstream = Page::default();
        let target = sent.uri().to_string();
        upstream.text("line", format!("{} {target}", sent.method()));
        upstream.list(
            "headers",
            fields(self.question.request().headers(), sent.headers()),
        );
        page.page("upstream gets", upstream);
        let answer = if routed {
            "whatever the endpoint answers".to_owned()
        } else {
            let status = self
                .rehearsal
                .status(tidegate_proxy::error::Kind::NoHealthyUpstream);
            format!("{status}: the cluster has no endpoint")
        };
        page.text("answer", answer);
        routed
    }

    fn missing(forward: &Forward, page: &mut Page) -> bool {
        let status = forward.missing;
        page.text("answer", format!("{status}: there is no such cluster"));
        false
    }

    /// Deadlines and further tries.
    fn show_policy(&self, policy: Option<&ForwardPolicy>, page: &mut Page) {
        let times = policy.map(|policy| policy.timeouts).unwrap_or_default();
        let listener = &self.chain.http.timeouts;
        let (idle, whose) = match times.idle {
            Some(idle) => (Some(idle), "route"),
            None => (listener.stream_idle, "listener"),
        };
        let mut timeouts = vec![format!("request: {}", within(times.request))];
        timeouts.push(format!("without a byte: {}, by the {whose}", within(idle)));
        let more = [
            ("stream, at most", times.stream_max),
            ("grpc-timeout, at most", times.grpc_timeout_max),
            ("until the request is there whole", listener.request),
        ];
        for (what, time) in more {
            if time.is_some() {
                timeouts.push(format!("{what}: {}", within(time)));
            }
        }
        page.list("timeouts", timeouts);
        if let Some(retry) = policy.and_then(|policy| policy.retry.as_ref()) {
            let on: Vec<String> = retry.on.iter().map(words::retry_on).collect();
            let per_try = retry
                .per_try
                .map_or_else(String::new, |time| format!(", each try within {time:?}"));
            let text = format!(
                "at most {} more, on {}, after {:?} to {:?}{per_try}",
                retry.retries_max,
                on.join(", "),
                retry.backoff_base,
                retry.backoff_max
            );
            page.text("retries", text);
        }
    }
}

/// No deadline is told as such; Envoy's zero is none.
fn within(time: Option<Duration>) -> String {
    match time.filter(|time| !time.is_zero()) {
        Some(time) => format!("{time:?}"),
        None => "no end".to_owned(),
    }
}

fn copy(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::new(Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// The fields that are sent: `+` marks what is added, `~` what is changed, `-` what of the client's is left out.
fn fields(before: &HeaderMap, after: &HeaderMap) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, value) in after {
        let was: Vec<_> = before.get_all(name).iter().collect();
        let mark = match was.is_empty() {
            true => '+',
            false if was.contains(&value) => ' ',
            false => '~',
        };
        lines.push(format!(
            "{mark} {name}: {}",
            String::from_utf8_lossy(value.as_bytes())
        ));
    }
    let left_out = before.keys().filter(|name| !after.contains_key(*name));
    lines.extend(left_out.map(|name| format!("- {name}")));
    lines.sort_by(|one, other| one.get(2..).cmp(&other.get(2..)));
    lines
}
