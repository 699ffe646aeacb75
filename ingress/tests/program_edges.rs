//! Do flags and settings of the program itself do what Envoy's do: what it prints, what it logs of operators, which statistics it has?

mod support;

use std::net::SocketAddr;
use std::process::Command;

use support::{Gateway, Ports, one_listener};
use tidegate_testkit::body;
use tidegate_testkit::client::{Client, get, post_request};
use tidegate_testkit::envoy::Envoy;
use tidegate_testkit::peers;
use tidegate_testkit::program::Program;
use tidegate_testkit::wait::eventually;

const INGRESS: &str = env!("CARGO_BIN_EXE_tidegate-ingress");

#[test]
fn whoever_stops_reading_what_is_printed_is_no_failure() {
    for flag in ["--help", "--version"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = Command::new(INGRESS).arg(flag).stdout(writer).status().unwrap();
        assert!(status.success(), "{flag}: {status}");
    }
}

/// A listener, few statistics, and a line about each request of an operator.
fn bootstrap() -> String {
    let hosts = "- {name: v, domains: ['*'], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}";
    PROGRAM.to_owned() + &one_listener::resources(&[], "", hosts)
}

const PROGRAM: &str = r#"
node: {id: one, cluster: two}
admin:
  address: {socket_address: {address: 127.0.0.1, port_value: 0}}
  access_log:
  - name: out
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
      log_format: {text_format_source: {inline_string: "operator %REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %REQ(:AUTHORITY)%\n"}}
stats_config:
  stats_tags: [{tag_name: zone.a, fixed_value: one}]
  stats_matcher:
    inclusion_list:
      patterns:
      - {exact: server.live}
      - {safe_regex: {regex: 'http\.edge\.downstream_rq_[0-9]xx'}}
"#;

/// What operators see of statistics, and the lines about two of their requests.
async fn see(admin: SocketAddr, output: impl Fn() -> Vec<String>) -> [Vec<String>; 3] {
    let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
    eventually("a program that is live", async || {
        let ready = get(admin, "localhost", "/ready?first").await;
        (ready.status == 200).then_some(())
    })
    .await;
    let text = lines(get(admin, "localhost", "/stats").await.text());
    let prometheus = lines(get(admin, "localhost", "/stats/prometheus").await.text());
    get(admin, "localhost", "/ready?second").await;
    let post = post_request("localhost", "/healthcheck/ok", body::empty());
    assert_eq!(Client::http1(admin).await.call(post).await.status, 200);
    let log = eventually("both lines", async || {
        let mut all = output();
        all.retain(|line| line.starts_with("operator"));
        all.retain(|line| line.contains("second") || line.contains("POST"));
        (all.len() == 2).then_some(all)
    });
    [text, prometheus, log.await]
}

#[tokio::test]
async fn statistics_and_lines_about_operators_are_envoys() {
    let Some(program) = peers::envoy("the comparison of the program's own settings") else {
        return;
    };
    let flags = ["--stats-tag", "site:north"];
    let mut envoy = Envoy::start_with(&program, &bootstrap(), &flags).await;
    let admin = envoy.admin();
    let envoy = envoy.program();
    let expected = see(admin, || envoy.output()).await;
    let gateway = Gateway::of(Program::new(INGRESS), &bootstrap(), Ports::free(), &flags);
    let seen = see(gateway.admin().await, || gateway.program.output()).await;
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_filter_that_is_disabled_is_not_known() {
    let filter = "envoy.filters.http/envoy.filters.http.router";
    let start = Program::new(INGRESS);
    let file = start.file("bootstrap.yaml", bootstrap());
    let start = start.arg("-c").arg(file).args(["--disable-extensions", filter]);
    let mut program = start.start();
    let expected = "Didn't find a registered implementation for 'router' with type URL: \
        'envoy.extensions.filters.http.router.v3.Router'";
    program.line_with(expected).await;
    assert!(!program.exit().await.success());
}
