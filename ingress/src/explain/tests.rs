//! What is explained is what the proxy would do, and why it would do nothing else.

use std::path::Path;

use super::*;
use crate::resources::Resources;

fn configuration() -> Configuration {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/explain/tests/edge.yaml");
    Configuration::read(&Resources::of_file(&path).unwrap()).unwrap()
}

fn ask(url: &str, headers: &[&str]) -> Answer {
    let headers: Vec<String> = headers.iter().map(ToString::to_string).collect();
    let question = Question::new("GET", url, &headers).unwrap();
    explain(&configuration(), &question).unwrap()
}

/// Every line has to be on the page, in this order; the spaces between words do not count.
#[track_caller]
fn has(answer: &Answer, expected: &[&str]) {
    let text = answer.page.to_text();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines = text.lines().map(words);
    for line in expected {
        assert!(lines.any(|one| one == *line), "'{line}' is not in:\n{text}");
    }
}

#[test]
fn a_request_is_followed_to_its_endpoints() {
    let answer = ask("http://hello.example.com:8080/api/users?x=1", &["x-mine: 1"]);
    assert!(answer.routed);
    has(
        &answer,
        &[
            "request GET http://hello.example.com:8080/api/users?x=1",
            "listener listener_8080 on 0.0.0.0:8080",
            "filter chain #0, http",
            "routes 'external', written in the listener",
            "virtual host hello, by its domain 'hello.example.com:*'",
            "route #3 'api', path '/api' or what lies below it",
            "not #0 'admin': path: wanted prefix '/admin', found '/api/users'; header x-admin:",
            "timeouts request: 15s",
            "retries at most 2 more, on 5xx, reset, after 25ms to 250ms",
            "share 90 of 100 requests",
            "header edits request, by the share: append x-revision: one",
            "cluster stable, HTTP/1.1",
            "endpoints 10.0.0.1:8012, healthy, in eu/a: asked",
            "10.0.0.2:8012, unhealthy, in eu/a: not asked while others can be",
            "line GET /v1/users?x=1",
            "+ x-revision: one",
            "share 10 of 100 requests",
            "cluster next, HTTP/1.1",
            "endpoints next.local:80, whatever DNS says",
        ],
    );
}

#[test]
fn each_thing_that_was_passed_over_has_its_reason() {
    let check = |url: &str, headers: &[&str], expected: &[&str]| has(&ask(url, headers), expected);
    check(
        "http://a.example.com/",
        &[],
        &[
            "other listeners listener_8443 on 0.0.0.0:8443: does not speak http",
            "stats on 127.0.0.1:9000: would do as well; --listener stats asks it",
            "virtual host wild, by its domain '*.example.com'",
            "not by exact: none of 1 takes 'a.example.com': 'hello.example.com'",
        ],
    );
    check(
        "http://hello.example.com/",
        &[],
        &[
            "virtual host hello, by its domain 'hello.example.com'",
            "also matching wild by '*.example.com', which is less specific",
            "prefixed by 'hello.*', which is less specific",
            "#1 'canary': query parameter v: wanted exactly '2', found nothing",
        ],
    );
    check(
        "https://secure.example.com:8443/",
        &[],
        &[
            "filter chain #0 'named', https",
            "other chains #1 'wild', https: another matches more specifically by server name",
        ],
    );
    check(
        "https://other.example.com:8443/",
        &[],
        &["other chains #0 'named', https: server name: wanted 'secure.example.com'"],
    );
}

#[test]
fn what_the_client_gets_is_said() {
    let check = |url: &str, headers: &[&str], routed: bool, expected: &str| {
        let answer = ask(url, headers);
        has(&answer, &[expected]);
        assert_eq!(answer.routed, routed, "{url}");
    };
    let host = "http://hello.example.com";
    let admin = "answer 403 Forbidden: the route answers by itself, with 0 bytes";
    check(&format!("{host}/admin"), &["x-admin: yes"], true, admin);
    let redirect = "answer 301 Moved Permanently: redirect to https://hello.example.com/new";
    check(&format!("{host}/old"), &[], true, redirect);
    let gone = "answer 503 Service Unavailable: there is no such cluster";
    check(&format!("{host}/?v=2"), &[], false, gone);
    let nobody = "answer 404 Not Found: no virtual host has a domain for it";
    check("http://example.org/", &[], false, nobody);
    let empty = "answer 503 Service Unavailable: the cluster has no endpoint";
    check("http://a.example.com/", &[], false, empty);
    let closed = "answer none: no filter chain takes the connection, it is closed";
    check("https://example.org:8443/", &[], false, closed);
    let twice = "answer 400 Bad Request: more than one Host";
    check(host, &["host: a", "host: b"], false, twice);
}

#[test]
fn a_question_that_makes_no_sense_is_refused() {
    let check = |method: &str, url: &str, header: &str, expected: &str| {
        let headers: Vec<String> = Some(header.to_owned())
            .filter(|header| !header.is_empty())
            .into_iter()
            .collect();
        let refused = Question::new(method, url, &headers).unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
    };
    check("G T", "http://a/", "", "method");
    check("GET", "ftp://a/", "", "neither http nor https");
    check("GET", "http://a b/", "", "no URL");
    check("GET", "http://a/", "nonsense", "'name: value'");
    let mut question = Question::new("GET", "a.example.com/x", &[]).unwrap();
    question.listener = Some("nobody".to_owned());
    let refused = explain(&configuration(), &question).unwrap_err();
    let expected = "there is no listener 'nobody'; there are: listener_8080, listener_8443, stats";
    assert_eq!(refused.to_string(), expected);
    question.listener = Some("stats".to_owned());
    let answer = explain(&configuration(), &question).unwrap();
    has(
        &answer,
        &["listener stats on 127.0.0.1:9000", "virtual host none"],
    );
}

#[test]
fn certificates_of_elsewhere_are_no_hindrance() {
    let remarks = configuration().remarks;
    assert!(
        remarks
            .iter()
            .any(|one| one.contains("'listener_8443' is read without")),
        "{remarks:?}"
    );
}
