//! What the two do differently on purpose: the rows of `docs/conformance.md` that this test meets.
//!
//! Each has a name, and makes alike what differs in exactly that way. How often each did is counted and printed.

use super::ask::Ask;
use super::pair::{EDGE, Outcome, TIDY};
use super::upstream::{Seen, join};

/// A way to differ on purpose.
type Way = (&'static str, fn(&Ask, &mut Outcome, &mut Outcome));

const WAYS: [Way; 15] = [
    ("vary by origin", vary),
    ("gRPC to HTTP/1.1", grpc_to_http1),
    ("own URL in direct responses", own_url),
    ("what is left of grpc-timeout", grpc_timeout),
    ("lines of one field", joined),
    ("unread body", unread),
    ("framing of HEAD", framing_of_head),
    ("framing of no body", framing_of_nothing),
    ("length of no body", length_of_nothing),
    ("path of redirects", path_of_redirects),
    ("host of endpoints", host_of_endpoints),
    ("forwarded host at the edge", forwarded_host),
    ("slashes of rewrites", slashes),
    ("scheme of HTTP/2", scheme),
    ("words of refusals", refused),
];

/// Makes alike what is settled to be different, and names what that was.
pub(crate) fn level(ask: &Ask, ours: &mut Outcome, envoys: &mut Outcome) -> Vec<&'static str> {
    let mut names = Vec::new();
    for (name, way) in WAYS {
        if ours == envoys {
            break;
        }
        let before = (ours.clone(), envoys.clone());
        way(ask, ours, envoys);
        if (&before.0, &before.1) != (&*ours, &*envoys) {
            names.push(name);
        }
    }
    names
}

/// It cannot work, and ours says so instead of sending it.
fn grpc_to_http1(_ask: &Ask, ours: &mut Outcome, envoys: &mut Outcome) {
    let message = ours.field("grpc-message").unwrap_or_default();
    if message.starts_with("gRPC needs HTTP/2") && ours.upstream.is_empty() && !envoys.upstream.is_empty() {
        *ours = envoys.clone();
    }
}

/// A direct response that sends elsewhere gets, from Envoy, the URL that it was asked for, where nobody says another.
fn own_url(ask: &Ask, ours: &mut Outcome, envoys: &mut Outcome) {
    let leads = matches!(ours.status, 201 | 300..=399) || ours.field("grpc-status").is_some();
    if leads && answered_here(ours, envoys) && ours.field("location").is_none() {
        let host = ask.host.split(':').next().unwrap_or_default();
        let own = format!("://{host}").to_ascii_lowercase();
        let is_own = |value: &str| value.to_ascii_lowercase().contains(&own);
        envoys
            .fields
            .retain(|(name, value)| name != "location" || !is_own(value));
    }
}

/// Ours takes off the client's what has gone by, and Envoy passes it on. Where there is none Envoy tells the route's own.
fn grpc_timeout(ask: &Ask, ours: &mut Outcome, envoys: &mut Outcome) {
    const NAME: &str = "grpc-timeout";
    let asked = ask.field(NAME).and_then(milliseconds);
    for (our, envoy) in tries(ours, envoys) {
        let is_settled = match [our.field(NAME), envoy.field(NAME)].map(|time| time.and_then(milliseconds)) {
            [None, Some(_)] => asked.is_none(),
            [Some(left), Some(whole)] => Some(whole) == asked && left <= whole && whole - left < 1500,
            _ => false,
        };
        if is_settled {
            our.fields.retain(|(name, _)| name != NAME);
            envoy.fields.retain(|(name, _)| name != NAME);
        }
    }
}

fn milliseconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    match unit {
        "S" => Some(number * 1000),
        "m" => Some(number),
        "u" => Some(number / 1000),
        _ => None,
    }
}

/// Envoy appends to a field that it knows in the same line.
fn joined(_ask: &Ask, ours: &mut Outcome, envoys: &mut Outcome) {
    for (our, envoy) in tries(ours, envoys) {
        for name in ["content-type", "user-agent", "x-forwarded-host"] {
            join(&mut our.fields, name);
            join(&mut envoy.fields, name);
        }
    }
    for outcome in [ours, envoys] {
        join(&mut outcome.fields, "content-type");
    }
}

/// Envoy ends a connection whose request it answers before it has read its body; ours reads on, as far as it is not too much.
fn unread(ask: &Ask, ours: &mut Outcome, envoys: &mut Outcome) {
    let has_body = ask.body.is_some_and(|body| !body.is_empty());
    if has_body && answered_here(ours, envoys) {
        envoys
            .fields
            .retain(|(name, value)| name != "connection" || value != "close");
    }
}

/// What is for one origin is not for caches to give to others.
fn vary(_ask: &Ask, ours: &mut Outcome, _envoys: &mut Outcome) {
    if ours.field("access-control-allow-origin").is_some() {
        ours.fields
            .retain(|(name, value)| name != "vary" || value != "origin");
    }
}

/// What frames the response that a HEAD does not get: Envoy says `chunked`, or the length of another body; and no reason in gRPC.
fn framing_of_head(ask: &Ask, ours: &mut Outcome, envoys: &mut Outcome) {
    if ask.method != "HEAD" {
        return;
    }
    if answered_here(ours, envoys) && ours.field("grpc-status").is_some() {
        ours.fields.retain(|(name, _)| name != "grpc-message");
    }
    for outcome in [ours, envoys] {
        let is_framing = |name: &str| matches!(name, "transfer-encoding" | "content-length");
        outcome.fields.retain(|(name, _)| !is_framing(name));
    }
}

/// A status without a body has no length and no type of one.
fn framing_of_nothing(_ask: &Ask, ours: &mut Outcome, envoys: &mut Outcome) {
    if matches!(ours.status, 204 | 304) && answered_here(ours, envoys) {
        for outcome in [ours, envoys] {
            let of_body = ["content-length", "content-type"];
            outcome
                .fields
                .retain(|(name, _)| !of_body.contains(&name.as_str()));
        }
    }
}

/// Envoy says that there is no body with methods for which RFC 9110 §8.6 does not ask for that.
fn length_of_nothing(ask: &Ask, ours: &mut Outcome, envoys: &mut Outcome) {
    if matches!(ask.method, "OPTIONS" | "PATCH") {
        for (_, envoy) in tries(ours, envoys) {
            envoy
                .fields
                .retain(|(name, value)| name != "content-length" || value != "0");
        }
    }
}

/// The path that a redirect makes is not taken for the request's in what its response is told.
fn path_of_redirects(_ask: &Ask, ours: &mut Outcome, envoys: &mut Outcome) {
    let locations = [&*ours, &*envoys].map(|outcome| outcome.field("location").map(str::to_owned));
    let [Some(our), Some(envoy)] = &locations else {
        return;
    };
    if our == envoy && answered_here(ours, envoys) {
        for outcome in [ours, envoys] {
            let is_kept = |name: &str, value: &str| name == "location" || !value.contains('/');
            outcome.fields.retain(|(name, value)| is_kept(name, value));
        }
    }
}

/// The endpoint's name as host is not known to what is made of the response. Where there are several tries, Envoy takes the
/// endpoint's name of the one before for the client's.
fn host_of_endpoints(ask: &Ask, ours: &mut Outcome, envoys: &mut Outcome) {
    const ENDPOINT: &str = "endpoint.example";
    if !envoys.upstream.iter().any(|seen| seen.says(ENDPOINT)) {
        return;
    }
    let name = ask.host.split(':').next().unwrap_or_default();
    for (_, value) in ours.fields.iter_mut().chain(&mut envoys.fields) {
        let same = value.replace(ask.host, name).replace(ENDPOINT, name);
        *value = same.replace("share.example", name);
    }
    for (our, envoy) in tries(ours, envoys).skip(1) {
        if envoy.field("x-envoy-original-host") == Some(ENDPOINT) {
            our.fields.retain(|(name, _)| name != "x-envoy-original-host");
            envoy.fields.retain(|(name, _)| name != "x-envoy-original-host");
        }
        let is_forwarded = |(name, _): &&mut (String, String)| name == "x-forwarded-host";
        for (_, value) in envoy.fields.iter_mut().filter(is_forwarded) {
            if let Some(before) = value.strip_suffix(",endpoint.example") {
                *value = before.to_owned();
            }
        }
    }
}

/// At the edge no client says by which name it came, so that routes find nothing there.
fn forwarded_host(ask: &Ask, ours: &mut Outcome, envoys: &mut Outcome) {
    for name in ["x-forwarded-host", "forwarded"] {
        if ask.listener == EDGE && ask.field(name).is_some() {
            for (our, envoy) in tries(ours, envoys) {
                our.fields.retain(|(of, _)| of != name);
                envoy.fields.retain(|(of, _)| of != name);
            }
        }
    }
}

/// What a rewrite makes is as tidy as what came.
fn slashes(ask: &Ask, ours: &mut Outcome, envoys: &mut Outcome) {
    if ask.listener != TIDY {
        return;
    }
    for outcome in [ours, envoys] {
        for (_, value) in &mut outcome.fields {
            *value = tidy(value);
        }
        for seen in &mut outcome.upstream {
            seen.target = tidy(&seen.target);
        }
    }
}

/// Without double slashes, but for those of a scheme.
fn tidy(text: &str) -> String {
    let parts = text.split("://").map(|part| part.replace("//", "/"));
    parts.collect::<Vec<_>>().join("://")
}

/// The scheme of HTTP/2 is the connection's own, not what a proxy in front says.
fn scheme(ask: &Ask, ours: &mut Outcome, envoys: &mut Outcome) {
    if ask.field("x-forwarded-proto") == Some("https") {
        for (_, envoy) in tries(ours, envoys) {
            if let Some(rest) = envoy.target.strip_prefix("https://") {
                envoy.target = format!("http://{rest}");
            }
        }
    }
}

/// A request that is refused for what it is: why is said in our own words, and not as gRPC, as its fields are not believed.
fn refused(ask: &Ask, ours: &mut Outcome, envoys: &mut Outcome) {
    let is_400 = |outcome: &Outcome| outcome.status == 400 || outcome.field("grpc-status") == Some("13");
    // A backslash is a slash to some and to Envoy, where paths are made tidy; ours takes none.
    let backslash = ask.listener == TIDY && ask.path.contains("%5C");
    let is_settled = backslash || is_400(envoys) && envoys.upstream.is_empty();
    if is_400(ours) && ours.upstream.is_empty() && is_settled {
        *ours = envoys.clone();
    }
}

/// Whether no upstream saw it.
fn answered_here(ours: &Outcome, envoys: &Outcome) -> bool {
    ours.upstream.is_empty() && envoys.upstream.is_empty()
}

fn tries<'a>(
    ours: &'a mut Outcome,
    envoys: &'a mut Outcome,
) -> impl Iterator<Item = (&'a mut Seen, &'a mut Seen)> {
    ours.upstream.iter_mut().zip(&mut envoys.upstream)
}

/// What ours says of resources that it refuses and Envoy takes: they would send requests where nobody is, or serve no name.
const REFUSED_HERE: [&str; 16] = [
    "a filter chain needs a connection manager",
    "Unexpected secret type",
    "cluster_header: invalid HTTP header name",
    "host_rewrite_header: invalid HTTP header name",
    "no field can have this name",
    "invalid path prefix rewrite '",
    "invalid redirect path '",
    "invalid redirect host '",
    "there is no port 7",
    "route_config.vhds is not supported here",
    "it is not supported, and traffic would go otherwise without it",
    "the lowest version of TLS is above the highest",
    "it names a group that the pattern does not have",
    "behind a backslash there has to be a digit",
    "partial wildcards are not supported in server_names",
    "is neither http nor https",
];

/// Whether a resource is one of those that are settled to be refused by ours and not by Envoy.
pub(crate) fn is_settled(ours: Option<&str>, envoys: Option<&str>) -> bool {
    envoys.is_none() && ours.is_some_and(|ours| REFUSED_HERE.iter().any(|why| ours.contains(why)))
}
