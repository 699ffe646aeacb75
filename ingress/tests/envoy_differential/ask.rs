//! One request by chance, as bytes of HTTP/1.1.

use fastrand::Rng;

use super::upstream::{ANSWER, CASE};
use super::world::one;

const METHODS: [&str; 10] = [
    "GET", "GET", "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "OPTIONS", "PATCH",
];

const HOSTS: [&str; 17] = [
    "a.example",
    "a.example",
    "A.Example",
    "b.example",
    "b.example:8080",
    "b.example:80",
    "a.example:80",
    "a.example:443",
    "x-a.example",
    "-a.example",
    "a.org",
    "c.a.example",
    "d.c.a.example:8080",
    "other",
    "other:1234",
    "a.ex",
    "example",
];

const PATHS: [&str; 36] = [
    "/",
    "/a",
    "/a",
    "/a/",
    "/a/b",
    "/a/b",
    "/ab",
    "/A/b",
    "/b",
    "/a/b?q=1",
    "/a?q=2&q=1&r",
    "/a/b/c",
    "/a?q",
    "/a?q=",
    "/a?r=1&q=12#no",
    "/a%2Fb",
    "/a%20b",
    "//a",
    "/a//b",
    "/a/../b",
    "/a/./b",
    "/a/12",
    "/a;x=1/b",
    "/a?q=%31",
    "/a/b/?q=1?2",
    "/a?Q=1",
    "/%61/b",
    "/a/%2E%2E/b",
    "/a/%2e/b",
    "/a/..%2Fb",
    "/a/../../b",
    "/a%5Cb",
    "/a/b%3Fq=1",
    "///a///b",
    "/a/b/..",
    "/a~b/%7E",
];

/// Fields by which routes choose, which others change, or which Envoy itself reads.
const FIELDS: [(&str, &str); 69] = [
    ("x-h", "1"),
    ("x-h", "12"),
    ("x-h", "Abc"),
    ("X-H", "abc"),
    ("x-h", ""),
    ("x-h", "7"),
    ("x-h", "-3"),
    ("x-h", "1,abc"),
    ("x-h", "/a/b"),
    ("x-a", "of client"),
    ("x-a", "second"),
    ("x-b", "b"),
    ("x-b", ""),
    ("x-cluster", "ns/two"),
    ("x-cluster", "ns/missing"),
    ("x-to", "to.example"),
    ("x-to", "to.example:81"),
    ("x-to", ""),
    ("cookie", "c=1; d=2"),
    ("cookie", "c=2"),
    ("user-agent", "tester"),
    ("accept", "*/*"),
    ("content-type", "application/grpc"),
    ("content-type", "application/grpc+proto"),
    ("content-type", "text/plain"),
    ("te", "trailers"),
    ("te", "gzip"),
    ("grpc-timeout", "5S"),
    ("x-forwarded-for", "10.0.0.1"),
    ("x-forwarded-for", "192.0.2.7, 10.0.0.2"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-host", "forwarded.example"),
    ("x-request-id", "id-of-client"),
    ("x-envoy-upstream-rq-timeout-ms", "4000"),
    ("x-envoy-expected-rq-timeout-ms", "9000"),
    ("x-envoy-original-path", "/lie"),
    ("x-envoy-max-retries", "0"),
    ("x-envoy-internal", "true"),
    ("x-envoy-attempt-count", "9"),
    ("connection", "keep-alive"),
    ("connection", "x-b"),
    ("x_under_score", "1"),
    ("via", "1.1 other"),
    ("authorization", "Bearer x"),
    ("origin", "https://a.example"),
    ("origin", "https://b.example"),
    ("origin", "http://elsewhere"),
    ("access-control-request-method", "PUT"),
    ("access-control-request-method", "GET"),
    ("access-control-request-headers", "x-a"),
    ("access-control-request-private-network", "true"),
    ("x-forwarded-for", "not an address"),
    ("x-forwarded-for", "192.0.2.1, [2001:db8::1]"),
    ("x-forwarded-for", ""),
    ("x-forwarded-proto", "ftp"),
    ("x-forwarded-port", "1234"),
    ("forwarded", "for=192.0.2.9"),
    ("x-envoy-retry-on", "5xx"),
    ("x-envoy-retry-grpc-on", "unavailable"),
    ("x-envoy-retriable-status-codes", "404"),
    ("x-envoy-upstream-rq-per-try-timeout-ms", "3000"),
    ("x-envoy-hedge-on-per-try-timeout", "true"),
    ("x-envoy-external-address", "192.0.2.3"),
    ("x-envoy-original-host", "lie.example"),
    ("x-envoy-decorator-operation", "lie"),
    ("x-envoy-downstream-service-cluster", "lie"),
    ("x-envoy-ip-tags", "lie"),
    ("x-envoy-force-trace", "true"),
];

/// Those that may come more than once.
const LISTS: [&str; 4] = ["x-h", "X-H", "x-a", "x-b"];

const ANSWERS: [&str; 8] = [
    "200",
    "200",
    "200",
    "404",
    "500",
    "503",
    "200;twice",
    "302;elsewhere",
];

/// Which listener, and what is sent there.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) listener: usize,
    pub(crate) method: &'static str,
    pub(crate) host: &'static str,
    pub(crate) path: &'static str,
    pub(crate) fields: Vec<(&'static str, &'static str)>,
    pub(crate) answer: &'static str,
    pub(crate) body: Option<&'static str>,
}

impl Ask {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let method = one(rng, &METHODS);
        let mut fields: Vec<(&str, &str)> = Vec::new();
        for _ in 0..rng.usize(..5) {
            let (name, value) = one(rng, &FIELDS);
            // What Envoy makes one value of, and what it then makes of that, is nobody's concern.
            let is_repeated = fields.iter().any(|(other, _)| *other == name);
            if !is_repeated || LISTS.contains(&name) {
                fields.push((name, value));
            }
        }
        Self {
            listener: rng.usize(..super::pair::LISTENERS.len()),
            method,
            host: one(rng, &HOSTS),
            path: one(rng, &PATHS),
            fields,
            answer: one(rng, &ANSWERS),
            body: matches!(method, "POST" | "PUT").then(|| one(rng, &["a body", ""])),
        }
    }

    /// The first field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(of, _)| *of == name);
        values.next().map(|(_, value)| *value)
    }

    pub(crate) fn bytes(&self, case: &str) -> String {
        let (method, path, host, answer) = (self.method, self.path, self.host, self.answer);
        let mut text =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{CASE}: {case}\r\n{ANSWER}: {answer}\r\n");
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = self.body.unwrap_or_default();
        if self.body.is_some() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text + "\r\n" + body
    }

    /// This one with less.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut all = Vec::new();
        for place in 0..self.fields.len() {
            let mut less = self.clone();
            less.fields.remove(place);
            all.push(less);
        }
        let plain = [
            (self.method != "GET").then(|| Self {
                method: "GET",
                body: None,
                ..self.clone()
            }),
            (self.path != "/").then(|| Self {
                path: "/",
                ..self.clone()
            }),
            (self.answer != "200").then(|| Self {
                answer: "200",
                ..self.clone()
            }),
            (self.listener != 0).then(|| Self {
                listener: 0,
                ..self.clone()
            }),
        ];
        all.extend(plain.into_iter().flatten());
        all
    }
}
