//! Does WebSocket pass as it does without a proxy, between a client and a server that others wrote (PyPI's `websockets`)?

mod support;

use support::interop::{self, By};
use tidegate_proxy::cluster::Protocol;

async fn check(case: &str, expected: &str) {
    interop::check("websocket_peer.py", By::Tcp, Protocol::Http1, case, expected).await;
}

#[tokio::test]
async fn texts_the_empty_one_too() {
    check("texts", "'one' '' 'größer'").await;
}

#[tokio::test]
async fn every_byte() {
    check("bytes_of_all_kinds", "same").await;
}

#[tokio::test]
async fn a_message_of_a_mebibyte() {
    check("large", "1048576 bytes fbbab289").await;
}

#[tokio::test]
async fn fragments_stay_as_they_were_cut_both_ways() {
    check("fragments", "'4 ' '3 ' '3 ' '0 ' ''").await;
}

#[tokio::test]
async fn messages_compressed_by_permessage_deflate() {
    let expected = "['permessage-deflate'] 1048576 bytes 3ac3338d 'fragmented'";
    check("deflate", expected).await;
}

#[tokio::test]
async fn pings_of_either_side() {
    check("pings_of_the_client", "ponged").await;
    check("pings_of_the_server", "ponged").await;
}

#[tokio::test]
async fn the_clients_close_code_and_reason() {
    check("client_closes", "client 4001 'done'; server 4001 'done'").await;
}

#[tokio::test]
async fn the_servers_close_code_and_reason() {
    let expected = "client 4002 'geht größer'; server 4002 'geht größer'";
    check("server_closes", expected).await;
}

#[tokio::test]
async fn who_vanishes_is_seen_to_have_vanished() {
    check("client_vanishes", "server 1006 ''").await;
    check("server_vanishes", "client 1006 ''").await;
}

#[tokio::test]
async fn a_subprotocol_is_agreed_on() {
    check("subprotocol", "chat.v2").await;
}

#[tokio::test]
async fn a_refusal_is_an_ordinary_answer() {
    check("refused", "403 b'not you\\n'").await;
}

#[tokio::test]
async fn messages_and_close_codes_over_tls() {
    for (case, expected) in [
        ("texts", "'one' '' 'größer'"),
        ("fragments", "'4 ' '3 ' '3 ' '0 ' ''"),
        ("client_closes", "client 4001 'done'; server 4001 'done'"),
        ("client_vanishes", "server 1006 ''"),
    ] {
        interop::check("websocket_peer.py", By::Tls, Protocol::Http1, case, expected).await;
    }
}
