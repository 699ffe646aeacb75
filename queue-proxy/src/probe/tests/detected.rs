//! By which version of HTTP is an application asked where that is to be found out (check QP-34)?

use super::*;

/// The versions by which an application that answers HTTP/1.1 and HTTP/2 with these statuses is asked, and whether it is ready.
async fn detected(http1: u16, http2: u16) -> (Vec<Version>, bool) {
    let app = Upstream::start(move |request| {
        let status = if request.version() == Version::HTTP_2 {
            http2
        } else {
            http1
        };
        async move { answer(StatusCode::from_u16(status).unwrap(), "") }
    })
    .await;
    let probe = ReadinessProbe {
        attempt_timeout: LONG,
        ..ready_probe(http("/")).detecting_http2()
    };
    let outcome = probe.attempt(&Replica::at(app.address())).await;
    (
        app.seen().iter().map(|seen| seen.version).collect(),
        outcome.is_ok(),
    )
}

#[tokio::test]
async fn qp_34_http_2_is_preferred_where_it_is_answered_well() {
    let (one, two) = (Version::HTTP_11, Version::HTTP_2);
    assert_eq!(detected(200, 200).await, (vec![two, two], true));
    assert_eq!(detected(500, 200).await, (vec![two, two], true));
    assert_eq!(detected(200, 503).await, (vec![two, one], true));
    assert_eq!(detected(500, 503).await, (vec![two, one], false));
}

#[tokio::test]
async fn qp_34_an_application_of_one_version_is_ready_by_that() {
    let over_http1 = RawUpstream::start(async |mut connection: RawConnection| {
        let head = connection.wire.head().await;
        let is_http1 = head.start_line().ends_with("HTTP/1.1");
        let status = if is_http1 { "200 OK" } else { "400 Bad Request" };
        connection
            .wire
            .send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"))
            .await;
    })
    .await;
    let probe = ReadinessProbe {
        attempt_timeout: LONG,
        ..ready_probe(http("/")).detecting_http2()
    };
    probe.attempt(&Replica::at(over_http1.address())).await.unwrap();
}
