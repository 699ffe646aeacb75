//! What the two do differently on purpose: the rows of `docs/conformance.md` that this test meets.

use super::ask::Ask;
use super::pair::Outcome;

/// The listener that believes nobody, by its place.
const EDGE: usize = 1;

/// The listener that tidies paths.
const TIDY: usize = 2;

/// Makes alike what is settled to be different.
pub(crate) fn level(ask: &Ask, ours: &mut Outcome, envoys: &mut Outcome) {
    let retried = ours.upstream.len() > 1 && envoys.upstream.len() > 1;
    // gRPC to an upstream of HTTP/1.1 cannot work, and ours says so.
    let says =
        |(name, value): &(String, String)| name == "grpc-message" && value.starts_with("gRPC needs HTTP/2");
    if ours.fields.iter().any(says) && ours.upstream.is_empty() && !envoys.upstream.is_empty() {
        *ours = envoys.clone();
    }
    // A direct response that sends elsewhere gets, from Envoy, the URL that it was asked for.
    let is_location = |(name, _): &(String, String)| name == "location";
    if ours.upstream.is_empty() && !ours.fields.iter().any(is_location) {
        envoys.fields.retain(|field| !is_location(field));
    }
    for text in ours.upstream.iter_mut().chain(&mut envoys.upstream) {
        // Envoy writes no space behind the comma.
        *text = text.replace(", 127.0.0.2\n", ",127.0.0.2\n");
        // A deadline says what is left of it.
        *text = without_line(text, "grpc-timeout: ");
        // Nor does it leave what is appended to a field that it knows in a line of its own.
        for name in ["content-type", "user-agent", "x-forwarded-host"] {
            *text = text
                .replace(&format!("\n{name}: "), &format!("\n{name},"))
                .replacen(&format!("\n{name},"), &format!("\n{name}: "), 1);
            *text = text
                .replace(&format!("\n{name},\n"), "\n")
                .replace(&format!("\n{name},"), ",");
        }
    }
    // A second try is told all the time there is, not what is left of it.
    for text in ours
        .upstream
        .iter_mut()
        .chain(&mut envoys.upstream)
        .filter(|_| retried)
    {
        *text = without_line(text, "x-envoy-expected-rq-timeout-ms: ");
    }
    // Envoy ends a connection whose request it answers before it has read its body; ours reads on, as far as it is not too much.
    if ask.body.is_some() && envoys.upstream.is_empty() {
        envoys
            .fields
            .retain(|(name, value)| name != "connection" || value != "close");
    }
    // What frames the response that a HEAD does not get: Envoy says `chunked`, or the length of another body.
    if ask.method == "HEAD" {
        for outcome in [&mut *ours, &mut *envoys] {
            let framing = ["transfer-encoding", "content-length", "grpc-message"];
            outcome
                .fields
                .retain(|(name, _)| !framing.contains(&name.as_str()));
        }
    }
    // The path that a redirect makes is not taken for the request's.
    if ours.upstream.is_empty() && is_redirect(ours) && is_redirect(envoys) {
        for outcome in [&mut *ours, &mut *envoys] {
            outcome
                .fields
                .retain(|(name, value)| name == "location" || !value.contains('/'));
        }
    }
    // The endpoint's name as host is not known to what is made of the response.
    if envoys
        .upstream
        .iter()
        .any(|text| text.contains("endpoint.example"))
    {
        let name = ask.host.split(':').next().unwrap_or_default();
        for (_, value) in ours.fields.iter_mut().chain(&mut envoys.fields) {
            *value = value
                .replace(ask.host, name)
                .replace("endpoint.example", name)
                .replace("share.example", name);
        }
    }
    for text in ours.upstream.iter_mut().chain(&mut envoys.upstream) {
        // At the edge no client says by which name it came.
        if ask.listener == EDGE {
            *text = without_line(text, "x-forwarded-host: ");
        }
        // Where the host becomes the endpoint's, the one before is not told.
        if text.contains("endpoint.example") {
            *text = without_line(text, "x-envoy-original-host: ");
        }
    }
    // What a rewrite makes is as tidy as what came.
    if ask.listener == TIDY {
        for outcome in [&mut *ours, &mut *envoys] {
            for (_, value) in &mut outcome.fields {
                *value = value.replace("//", "/");
            }
            for text in &mut outcome.upstream {
                *text = text.replace("//", "/");
            }
        }
    }
    // The scheme of HTTP/2 is the connection's own, not what a proxy in front says.
    for text in ours.upstream.iter_mut().chain(&mut envoys.upstream) {
        *text = text.replacen(" https:", " http:", 1);
    }
    // Envoy says that there is no body with methods for which RFC 9110 §8.6 does not ask for that.
    if ask.method == "OPTIONS" {
        for text in ours.upstream.iter_mut().chain(&mut envoys.upstream) {
            *text = without_line(text, "content-length: 0");
        }
    }
    // A status without a body has no length and no type of one.
    if matches!(ours.status, 204 | 304) && ours.upstream.is_empty() {
        for outcome in [&mut *ours, &mut *envoys] {
            let of_body = ["content-length", "content-type"];
            outcome
                .fields
                .retain(|(name, _)| !of_body.contains(&name.as_str()));
        }
    }
    // A request that is refused for what it is: why is said in our own words.
    let both_refuse = ours.status == 400 && envoys.status == 400;
    if ours.upstream.is_empty() && (both_refuse || ask.path.contains('#')) {
        *ours = envoys.clone();
    }
}

fn is_redirect(outcome: &Outcome) -> bool {
    outcome.fields.iter().any(|(name, _)| name == "location")
}

fn without_line(text: &str, start: &str) -> String {
    let lines = text.split_inclusive('\n').filter(|line| !line.starts_with(start));
    lines.collect()
}

/// What ours says of resources that it refuses and Envoy takes: they would send requests where nobody is, or serve no name.
const REFUSED_HERE: [&str; 5] = [
    "cluster_header: invalid HTTP header name",
    "it names a group that the pattern does not have",
    "behind a backslash there has to be a digit",
    "partial wildcards are not supported in server_names",
    "is neither http nor https",
];

/// Whether a resource is one of those that are settled to be refused by ours and not by Envoy.
pub(crate) fn is_settled(ours: Option<&str>, envoys: Option<&str>) -> bool {
    envoys.is_none() && ours.is_some_and(|ours| REFUSED_HERE.iter().any(|why| ours.contains(why)))
}
