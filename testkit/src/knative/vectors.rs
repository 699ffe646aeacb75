//! What do Knative's programs send each other, byte for byte?
//!
//! Written by hand from Knative's behaviour (`pkg/queue`, `pkg/activator`, `pkg/autoscaler/metrics/stat.proto`), and by none of our
//! encoders. Of heads neither the order of fields nor the case of their names counts, nor `Date`: [`canonical`] is for that.

/// A request, and how it is answered.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// The request.
    pub request: &'static str,
    /// The response.
    pub response: &'static str,
}

/// Questions to a sidecar whose application is ready: of a kubelet, an activator, an autoscaler and an ingress.
pub const SIDECAR_READY: [Exchange; 7] = [
    Exchange {
        request: "GET / HTTP/1.1\r\nHost: 10.0.0.7:8012\r\nUser-Agent: kube-probe/1.33\r\nAccept: */*\r\nK-Network-Probe: queue\r\n\r\n",
        response: QUEUE,
    },
    Exchange {
        request: "GET /healthz HTTP/1.1\r\nHost: 10.0.0.7:8012\r\nUser-Agent: Knative-Activator-Probe\r\nK-Network-Probe: queue\r\n\r\n",
        response: QUEUE,
    },
    Exchange {
        request: "GET /healthz HTTP/1.1\r\nHost: hello\r\nUser-Agent: Knative-Autoscaling-Probe\r\nK-Network-Probe: activator\r\n\r\n",
        response: "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n\
                   Content-Length: 41\r\n\r\nunexpected probe header value: activator\n",
    },
    Exchange {
        request: "GET / HTTP/1.1\r\nHost: 10.0.0.7:8012\r\nUser-Agent: kube-probe/1.33\r\n\r\n",
        response: "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n\
                   Content-Length: 32\r\n\r\nunexpected probe header value: \n",
    },
    Exchange {
        request: "GET /healthz HTTP/1.1\r\nHost: hello\r\nUser-Agent: Knative-Ingress-Probe\r\nK-Network-Probe: probe\r\nK-Network-Hash: 5f0c\r\n\r\n",
        response: ECHO,
    },
    Exchange {
        request: "GET /healthz HTTP/1.1\r\nHost: hello\r\nUser-Agent: Knative-Ingress-Probe\r\nK-Network-Probe: probe\r\n\r\n",
        response: NO_HASH,
    },
    Exchange {
        request: "POST /any?thing HTTP/1.1\r\nHost: hello\r\nUser-Agent: Knative-Activator-Probe/2\r\nK-Network-Probe: queue\r\nContent-Length: 0\r\n\r\n",
        response: QUEUE,
    },
];

/// The same to a sidecar whose application is not ready.
pub const SIDECAR_NOT_READY: Exchange = Exchange {
    request: SIDECAR_READY[1].request,
    response: "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
};

/// What a sidecar that drains answers all of [`SIDECAR_READY`].
pub const SIDECAR_DRAINS: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
     X-Content-Type-Options: nosniff\r\nContent-Length: 14\r\n\r\nshutting down\n";

const QUEUE: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\nqueue";
const ECHO: &str = "HTTP/1.1 200 OK\r\nK-Network-Hash: 5f0c\r\nContent-Length: 0\r\n\r\n";
const NO_HASH: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
     X-Content-Type-Options: nosniff\r\nContent-Length: 65\r\n\r\n\
     a probe request must contain a non-empty \"K-Network-Hash\" header\n";

/// What an activator asks a pod at `{pod}`, which answers as [`SIDECAR_READY`] has it.
pub const ACTIVATOR_ASKS: &str = "GET /healthz HTTP/1.1\r\nHost: {pod}\r\nUser-Agent: Knative-Activator-Probe\r\nK-Network-Probe: queue\r\n\r\n";

/// Questions to an activator that is healthy, and requests for what it does not know.
pub const ACTIVATOR_HEALTHY: [Exchange; 8] = [
    Exchange {
        request: KUBELET_ASKS,
        response: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    },
    Exchange {
        request: "GET / HTTP/1.1\r\nHost: activator\r\nK-Kubelet-Probe: any\r\n\r\n",
        response: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    },
    Exchange {
        request: SIDECAR_READY[4].request,
        response: ECHO,
    },
    Exchange {
        request: SIDECAR_READY[5].request,
        response: NO_HASH,
    },
    Exchange {
        request: SIDECAR_READY[2].request,
        response: "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 9\r\n\r\nactivator",
    },
    Exchange {
        request: SIDECAR_READY[1].request,
        response: "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n\
                   Content-Length: 39\r\n\r\nunexpected probe header value: \"queue\"\n",
    },
    Exchange {
        request: "GET / HTTP/1.1\r\nHost: hello\r\nK-Network-Probe: <b>&\r\n\r\n",
        response: "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n\
                   Content-Length: 48\r\n\r\nunexpected probe header value: \"&lt;b&gt;&amp;\"\n",
    },
    Exchange {
        request: "GET / HTTP/1.1\r\nHost: nobody.default.svc.cluster.local\r\n\r\n",
        response: "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n\
                   Content-Length: 79\r\n\r\nError getting active endpoint: revision.serving.knative.dev \"nobody\" not found\n",
    },
];

/// What a kubelet asks an activator.
pub const KUBELET_ASKS: &str =
    "GET / HTTP/1.1\r\nHost: 10.0.9.1:8012\r\nUser-Agent: kube-probe/1.33\r\nAccept: */*\r\n\r\n";

/// What an activator answers a kubelet once it was told to end.
pub const ACTIVATOR_ENDS: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\
     X-Content-Type-Options: nosniff\r\nContent-Length: 30\r\n\r\nreceived SIGTERM from kubelet\n";

/// What an activator answers a kubelet that has no connection to the autoscaler.
pub const ACTIVATOR_UNCONNECTED: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\
     X-Content-Type-Options: nosniff\r\nContent-Length: 40\r\n\r\nconnection has not yet been established\n";

/// A request as an ingress sends it to an activator, for the revision `default/hello-00001`.
pub const INGRESS_SENDS: &str = "POST /path?query=%2f HTTP/1.1\r\nHost: hello.default.example.com\r\n\
     Knative-Serving-Namespace: default\r\nKnative-Serving-Revision: hello-00001\r\nK-Network-Hash: 5f0c\r\n\
     X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nAccept-Encoding: gzip\r\nContent-Length: 4\r\n\r\nbody";

/// The same as it arrives at its pod's sidecar, from an activator at 127.0.0.1; `{pod}` is the pod's address.
pub const ACTIVATOR_SENDS: &str = "POST /path?query=%2f HTTP/1.1\r\nHost: {pod}\r\n\
     K-Original-Host: hello.default.example.com\r\nK-Proxy-Request: activator\r\n\
     X-Forwarded-For: 203.0.113.9, 127.0.0.1\r\nX-Forwarded-Proto: https\r\nAccept-Encoding: gzip\r\nContent-Length: 4\r\n\r\nbody";

/// The same as it arrives at the application.
pub const SIDECAR_SENDS: &str = "POST /path?query=%2f HTTP/1.1\r\nHost: hello.default.example.com\r\n\
     K-Proxy-Request: activator\r\nForwarded: for=203.0.113.9;proto=https, for=127.0.0.1\r\n\
     X-Forwarded-For: 203.0.113.9, 127.0.0.1, 127.0.0.1\r\nX-Forwarded-Proto: https\r\nAccept-Encoding: gzip\r\n\
     Content-Length: 4\r\n\r\nbody";

/// What a sidecar whose pod is `hello-00001-abc` reports before its first second is over.
pub const STAT_AT_FIRST: &[u8] = b"\x0a\x0fhello-00001-abc";

/// A report with a value in every field: pod `p`, concurrency 1.5, proxied 0.5, 3 and 2 requests a second, up for 8 seconds, at 1.
pub const STAT_FULL: &[u8] = b"\x0a\x01p\
    \x11\x00\x00\x00\x00\x00\x00\xf8\x3f\
    \x19\x00\x00\x00\x00\x00\x00\xe0\x3f\
    \x21\x00\x00\x00\x00\x00\x00\x08\x40\
    \x29\x00\x00\x00\x00\x00\x00\x00\x40\
    \x31\x00\x00\x00\x00\x00\x00\x20\x40\
    \x38\x01";

/// What `activator-1` sends the autoscaler at the first request for `default/hello-00001`.
pub const POKE: &[u8] = b"\x0a\x37\x0a\x07default\x12\x0bhello-00001\x1a\x1f\
    \x0a\x0bactivator-1\
    \x11\x00\x00\x00\x00\x00\x00\xf0\x3f\
    \x21\x00\x00\x00\x00\x00\x00\xf0\x3f";

/// What it sends last, once there was none for a second.
pub const AT_REST: &[u8] = b"\x0a\x25\x0a\x07default\x12\x0bhello-00001\x1a\x0d\x0a\x0bactivator-1";

/// A message in a form in which two are alike that mean the same: fields sorted, their names in lower case, without `Date`.
///
/// ```
/// use tidegate_testkit::knative::vectors::canonical;
///
/// let one = canonical("HTTP/1.1 200 OK\r\nDate: now\r\nB: 2\r\nA: 1\r\n\r\nbody");
/// assert_eq!(one, "HTTP/1.1 200 OK\na: 1\nb: 2\n\nbody");
/// ```
#[must_use]
pub fn canonical(message: &str) -> String {
    let (head, body) = message.split_once("\r\n\r\n").unwrap_or((message, ""));
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap_or_default();
    let fields = lines.map(|line| match line.split_once(':') {
        Some((name, value)) => format!("{}: {}", name.to_ascii_lowercase(), value.trim()),
        None => line.to_owned(),
    });
    let mut fields: Vec<_> = fields.filter(|field| !field.starts_with("date: ")).collect();
    fields.sort();
    format!("{start}\n{}\n\n{body}", fields.join("\n"))
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use tidegate_knative::stat::{Stat, WireStatMessage, WireStatMessages};

    use super::*;

    fn stat(pod_name: &str) -> Stat {
        Stat {
            pod_name: pod_name.to_owned(),
            ..Stat::default()
        }
    }

    fn frame(stat: Stat) -> WireStatMessages {
        let message = WireStatMessage {
            namespace: "default".to_owned(),
            name: "hello-00001".to_owned(),
            stat: Some(stat),
        };
        WireStatMessages {
            messages: vec![message],
        }
    }

    fn check<M: Message + Default + PartialEq>(message: &M, bytes: &[u8]) {
        assert_eq!(message.encode_to_vec(), bytes);
        assert!(M::decode(bytes).is_ok_and(|read| read == *message));
    }

    #[test]
    fn reports_are_read_and_written_so() {
        check(&stat("hello-00001-abc"), STAT_AT_FIRST);
        let full = Stat {
            average_concurrent_requests: 1.5,
            average_proxied_concurrent_requests: 0.5,
            request_count: 3.0,
            proxied_request_count: 2.0,
            process_uptime: 8.0,
            timestamp: 1,
            ..stat("p")
        };
        check(&full, STAT_FULL);
        let poke = Stat {
            average_concurrent_requests: 1.0,
            request_count: 1.0,
            ..stat("activator-1")
        };
        check(&frame(poke), POKE);
        check(&frame(stat("activator-1")), AT_REST);
    }

    #[test]
    fn lengths_are_right() {
        let all = SIDECAR_READY
            .iter()
            .chain(&ACTIVATOR_HEALTHY)
            .flat_map(|exchange| [exchange.request, exchange.response]);
        let others = [
            SIDECAR_DRAINS,
            ACTIVATOR_ENDS,
            ACTIVATOR_UNCONNECTED,
            INGRESS_SENDS,
            ACTIVATOR_SENDS,
            SIDECAR_SENDS,
        ];
        for message in all.chain(others) {
            let (head, body) = message.split_once("\r\n\r\n").expect("a head");
            let length = head
                .split("Content-Length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next());
            let length: usize = length.map_or(0, |length| length.parse().expect("a number"));
            assert_eq!(length, body.len(), "{message}");
        }
    }
}
