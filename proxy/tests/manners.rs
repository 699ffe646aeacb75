//! What are clients and upstreams told beside what they say to each other?

mod support;

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use support::{Front, HOST};
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::config::manners::{LocalReplies, LocalReply, Manners, ServerField};
use tidegate_proxy::error::Kind;
use tidegate_testkit::client::get;
use tidegate_testkit::upstream::{Upstream, nobody};

fn speaking(manners: Manners) -> HttpSettings {
    HttpSettings {
        manners: Some(Arc::new(manners)),
        ..HttpSettings::default()
    }
}

#[tokio::test]
async fn a_client_learns_who_serves_and_how_long_it_took_and_an_upstream_who_asks() {
    let app = Upstream::echo().await;
    let http = speaking(Manners {
        server: ServerField::Overwrite(HeaderValue::from_static("edge")),
        via: Some(HeaderValue::from_static("1.1 edge")),
        upstream_time: Some(HeaderName::from_static("x-took")),
        client_address: Some(HeaderName::from_static("x-client")),
        ..Manners::default()
    });
    let front = Front::speaking(http, app.address());
    let answer = get(front.address, HOST, "/").await;
    assert_eq!(answer.header("server"), Some("edge"));
    assert_eq!(answer.header("via"), Some("1.1 edge"));
    answer.header("x-took").unwrap().parse::<u64>().unwrap();
    let seen = &app.seen()[0].headers;
    assert_eq!(seen["x-client"], "127.0.0.1");
    assert_eq!(seen["via"], "1.1 edge");
}

#[tokio::test]
async fn an_error_looks_as_it_was_said_and_is_signed_too() {
    let mut replies = LocalReplies::default();
    let mut reply = LocalReply {
        status: Some(StatusCode::IM_A_TEAPOT),
        text: Some("gone fishing".into()),
        ..LocalReply::default()
    };
    reply.fields.insert("x-why", HeaderValue::from_static("tide"));
    replies.set(Kind::ConnectFailed, reply);
    let http = speaking(Manners {
        server: ServerField::IfAbsent(HeaderValue::from_static("edge")),
        replies: Some(replies),
        ..Manners::default()
    });
    let front = Front::speaking(http, nobody().await);
    let answer = get(front.address, HOST, "/").await;
    assert_eq!(
        (answer.status.as_u16(), answer.text()),
        (418, "gone fishing".into())
    );
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert_eq!(
        (answer.header("x-why"), answer.header("server")),
        (Some("tide"), Some("edge"))
    );
}
