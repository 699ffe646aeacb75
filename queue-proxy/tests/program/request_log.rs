//! What is written about requests, where the operator wants that?

use tidegate_testkit::upstream::{self, Upstream};
use tidegate_testkit::websocket::WebSocket;

use crate::rig::{HOST, PROBER, Sidecar};

/// A sidecar that logs by `config`, the rest of `OBSERVABILITY_CONFIG`.
async fn logging(app: std::net::SocketAddr, config: &str) -> Sidecar {
    let config = format!(r#"{{"enableRequestLog":true{config}}}"#);
    Sidecar::start(app, &[("OBSERVABILITY_CONFIG", &config)]).await
}

#[tokio::test]
async fn qp_60_the_usual_template_says_who_asked_for_what_and_what_became_of_it() {
    let app = Upstream::fixed(http::StatusCode::CREATED, "twelve bytes").await;
    let mut sidecar = logging(app.address(), "").await;
    let headers = [
        ("user-agent", "<ada>"),
        ("referer", "r"),
        ("traceparent", "00-abc-def-01"),
    ];
    sidecar.get(&headers).await;
    let line = sidecar.program.line_with("httpRequest").await;
    let begins = concat!(
        r#"{"httpRequest": {"requestMethod": "GET", "requestUrl": "/path?query", "requestSize": "0", "status": 201, "#,
        r#""responseSize": "12", "userAgent": "\u003Cada\u003E", "remoteIp": "127.0.0.1:"#,
    );
    // `=` is escaped, and there is none in this URL.
    assert!(line.starts_with(begins), "{line}");
    let latency = line.split_once(r#""latency": ""#).expect("a latency").1;
    let latency = latency.split_once('s').expect("seconds").0;
    assert!(latency.parse::<f64>().expect("a number") > 0.0);
    let ends = r#"", "protocol": "HTTP/1.1"}, "traceId": "abc"}"#;
    assert!(
        line.ends_with(ends) && line.contains(r#""serverIp": "127.0.0.1", "referer": "r""#),
        "{line}"
    );
}

#[tokio::test]
async fn qp_60_probes_are_logged_only_where_that_is_wanted() {
    let template = r#","requestLogTemplate":"status {{.Response.Code}} of {{.Revision.Name}}"#;
    let probe = [("user-agent", PROBER), ("k-network-probe", "queue")];
    for (wanted, expected) in [
        (r#"""#, "status 502"),
        // A line end that the template has is the one of its lines.
        (r#"\n","enableProbeRequestLog":true"#, "status 200"),
    ] {
        let config = format!("{template}{wanted}");
        let mut sidecar = logging(upstream::nobody().await, &config).await;
        sidecar.get(&probe).await;
        sidecar.get(&[]).await;
        let line = sidecar.program.line_with("status ").await;
        assert_eq!(line, format!("{expected} of hello-00001"));
        sidecar.get(&[]).await;
        sidecar.program.line_with("status 502").await;
        assert!(!sidecar.program.output().iter().any(String::is_empty));
    }
}

#[tokio::test]
async fn qp_60_qp_61_a_template_that_is_wrong_never_holds_a_request_up() {
    let app = Upstream::echo().await;
    let invalid = logging(app.address(), r#","requestLogTemplate":"{{""#).await;
    assert_eq!(invalid.get(&[]).await.status, 200);
    assert!(
        invalid
            .program
            .output()
            .iter()
            .any(|line| line.contains("requests are not logged"))
    );
    let mut fails = logging(app.address(), r#","requestLogTemplate":"{{.Nothing}}""#).await;
    assert_eq!(fails.get(&[]).await.status, 200);
    let line = fails.program.line_with("Invalid request log template: ").await;
    assert!(
        line.contains("method: GET, response code: 200, latency: 0"),
        "{line}"
    );
    assert!(line.ends_with("url: /path?query"), "{line}");
}

#[tokio::test]
async fn qp_69_an_upgrade_is_logged_as_one_when_its_tunnel_ends() {
    let app = Upstream::websocket().await;
    let template = r#","requestLogTemplate":"status {{.Response.Code}} size {{.Response.Size}}""#;
    let mut sidecar = logging(app.address(), template).await;
    let mut socket = WebSocket::connect(sidecar.main, HOST, "/")
        .await
        .expect("a socket");
    socket.say("hello").await;
    assert_eq!(socket.hear().await, "hello");
    assert!(
        !sidecar
            .program
            .output()
            .iter()
            .any(|line| line.contains("status"))
    );
    socket.close().await;
    assert_eq!(sidecar.program.line_with("status ").await, "status 101 size 0");
}
