//! How does the sidecar speak TLS, where its pod has a certificate?

use std::sync::Arc;

use tidegate_testkit::certificates::Authority;
use tidegate_testkit::client::Client;
use tidegate_testkit::tls;
use tidegate_testkit::upstream::Upstream;

use crate::rig::{Sidecar, listening, request};

const RELOADED: &str = "Certificate and/or key have changed on disk and were reloaded.";

#[tokio::test]
async fn qp_65_a_certificate_that_is_replaced_is_shown_and_http_2_needs_no_alpn() {
    let authority = Authority::new("knative");
    let folder = tempfile::tempdir().expect("a folder");
    let write = |names: &str| {
        let pair = authority.server(names);
        for (file, text) in [("tls.crt", &pair.certificate_pem), ("tls.key", &pair.key_pem)] {
            std::fs::write(folder.path().join(file), text).expect("a file");
        }
    };
    write("kn-user-default");
    let certificates = folder.path().to_str().expect("a path");
    let app = Upstream::echo().await;
    let mut sidecar = Sidecar::start(app.address(), &[("TIDEGATE_CERTIFICATES", certificates)]).await;
    let address = listening(&mut sidecar.program, "tls").await;
    // No protocol is offered, and HTTP/2 is spoken.
    let client = Arc::new(authority.client_config(&[], None));
    let stream = tls::connect(address, "kn-user-default", &client)
        .await
        .expect("a handshake");
    let answer = Client::http2_over(stream).await.call(request(&[])).await;
    assert_eq!(answer.status, 200);
    write("data-plane.knative.dev");
    sidecar.program.line_with(RELOADED).await;
    let stream = tls::connect(address, "data-plane.knative.dev", &client)
        .await
        .expect("a handshake");
    assert_eq!(
        Client::http1_over(stream).await.call(request(&[])).await.status,
        200
    );
    assert_eq!(sidecar.get(&[]).await.status, 200, "the plain port stays");
}
