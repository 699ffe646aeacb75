//! The command line, the exit codes, and what is printed.

use std::io::Write as _;

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: ExplainArgs,
}

const CONFIG: &str = "static_resources: {listeners: [{name: edge, address: {socket_address: {address: 127.0.0.1, \
    port_value: 80}}, filter_chains: [{filters: [{name: envoy.filters.network.http_connection_manager, typed_config: \
    {\"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, \
    stat_prefix: s, http_filters: [{name: envoy.filters.http.router, typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}], route_config: {virtual_hosts: [{name: a, \
    domains: [a.example], routes: [{match: {prefix: /}, direct_response: {status: 204}}]}]}}}]}]}]}\n";

fn asked(config: &str, words: &[&str]) -> Result<(String, u8), Failure> {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.write_all(config.as_bytes()).unwrap();
    let path = file.path().display().to_string();
    let mut line = vec!["explain", "-c", &path, "GET"];
    line.extend(words);
    run(&Line::parse_from(line).args)
}

#[test]
fn the_exit_code_says_whether_a_request_gets_anywhere() {
    let check = |words: &[&str], code: u8, expected: &str| {
        let (text, found) = asked(CONFIG, words).unwrap();
        assert!(text.contains(expected), "{text}");
        assert_eq!(found, code);
    };
    check(
        &["http://a.example/x"],
        0,
        "204 No Content: the route answers by itself",
    );
    check(&["http://b.example/x"], 1, "404 Not Found: no virtual host");
    check(
        &["http://b.example/x", "-H", "host: a.example", "--output", "json"],
        0,
        "\"answer\": \"204 No Content",
    );
}

#[test]
fn what_is_wrong_has_an_exit_code_of_its_own() {
    let check = |config: &str, words: &[&str], code: u8, expected: &str| {
        let failure = asked(config, words).unwrap_err();
        assert_eq!(failure.exit_code(), code, "{failure}");
        assert!(failure.to_string().contains(expected), "{failure}");
    };
    check(CONFIG, &["ftp://a/"], 2, "neither http nor https");
    check(CONFIG, &["http://a/", "--listener", "x"], 2, "there are: edge");
    check("nonsense: 1\n", &["http://a/"], 65, ".yaml:1:1: ");
    let broken = CONFIG.replace("[a.example]", "[a.example, a.example]");
    check(&broken, &["http://a/"], 65, "Duplicate entry of domain a.example");
}

#[test]
fn a_configuration_has_to_be_named() {
    let read = |line: &str| Line::try_parse_from(line.split(' '));
    assert_eq!(read("explain GET http://a/").unwrap_err().exit_code(), 2);
    assert!(read("explain -c x --admin y GET http://a/").is_err());
    assert!(read("explain --admin localhost:9901 GET a.example -H x:y").is_ok());
}

#[test]
fn a_running_program_is_asked_for_its_configuration() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 1024];
        let read = std::io::Read::read(&mut stream, &mut head).unwrap();
        let body = "{\"configs\": []}";
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        String::from_utf8_lossy(&head[..read]).into_owned()
    });
    let line = ["explain", "--admin", &address, "GET", "http://a/"];
    let failure = run(&Line::parse_from(line).args).unwrap_err();
    assert_eq!(failure.to_string(), "the configuration has no listener");
    assert!(
        server
            .join()
            .unwrap()
            .starts_with("GET /config_dump?include_eds HTTP/1.1\r\n")
    );
    let gone = run(&Line::parse_from(line).args).unwrap_err();
    assert_eq!(gone.exit_code(), 69, "{gone}");
}
