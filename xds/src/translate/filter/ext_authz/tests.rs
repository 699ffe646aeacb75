use envoy_types::pb::envoy::config::core::v3::grpc_service::EnvoyGrpc;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValueOption, HttpUri, QueryParameter};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{
    CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::rpc::Status;
use envoy_types::util::pack_any;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use pb::CheckSettings;
use prost::Message;
use tidegate_proxy::Body;
use tidegate_proxy::filter::ext_authz::{About, Answer, Codec, Decision, QueryChange, Seen};

use super::*;

fn grpc_service() -> GrpcService {
    GrpcService {
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
            cluster_name: "extAuthz".into(),
            ..EnvoyGrpc::default()
        })),
        initial_metadata: vec![Field {
            key: "client".into(),
            value: "kourier".into(),
            ..Field::default()
        }],
        ..GrpcService::default()
    }
}

fn check() -> Check {
    let config = pb::ExtAuthz::default();
    let disallowed = vec![tidegate_proxy::route::TextMatch::exact("cookie")];
    assert!(of_grpc(&config, &grpc_service()).is_ok());
    Check {
        authority: HeaderValue::from_static("extAuthz"),
        timeout: Duration::from_secs(2),
        metadata: vec![(
            HeaderName::from_static("client"),
            HeaderValue::from_static("kourier"),
        )],
        allowed: None,
        disallowed,
        raw_body: false,
        certificate: false,
        server_name: false,
    }
}

#[tokio::test]
async fn a_question_describes_the_request() {
    let request = Request::post("/a?b")
        .header("host", "a.example")
        .header("x-two", "1")
        .header("x-two", "2")
        .header("cookie", "secret")
        .body(Body::empty())
        .unwrap();
    let seen = Seen {
        bytes: "hel".into(),
        cut_off: true,
    };
    let about = About {
        request: &request,
        body: Some(&seen),
        version: request.version(),
        target: request.uri(),
        scheme: "https",
        source: Some("10.0.0.1:7".parse().unwrap()),
        destination: None,
        server_name: None,
        certificate: None,
        context: vec![("virtual-host", "x")],
    };
    let question = check().question(&about).unwrap();
    assert_eq!(
        question.uri().path(),
        "/envoy.service.auth.v3.Authorization/Check"
    );
    assert_eq!(question.headers()["client"], "kourier");
    assert_eq!(question.headers()["grpc-timeout"], "2000m");
    let body = question.into_body().collect().await.unwrap().to_bytes();
    let attributes = CheckRequest::decode(&body[5..]).unwrap().attributes.unwrap();
    assert_eq!(attributes.context_extensions["virtual-host"], "x");
    let http = attributes.request.unwrap().http.unwrap();
    assert_eq!(
        (&*http.method, &*http.path, &*http.host, &*http.scheme),
        ("POST", "/a?b", "a.example", "https")
    );
    assert_eq!(
        (&*http.body, &*http.headers["x-envoy-auth-partial-body"]),
        ("hel", "true")
    );
    assert_eq!(
        (&*http.headers["x-two"], &*http.headers[":authority"]),
        ("1,2", "a.example")
    );
    assert!(!http.headers.contains_key("cookie"));
}

fn answered(response: &CheckResponse) -> Answer {
    let message = response.encode_to_vec();
    let mut body = vec![0];
    body.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend_from_slice(&message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    Answer {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: body.into(),
        trailers,
    }
}

fn option(key: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(Field {
            key: key.into(),
            value: value.into(),
            ..Field::default()
        }),
        append_action: HeaderAppendAction::AppendIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

#[test]
fn an_answer_lets_pass_with_changes_or_refuses_with_a_response() {
    let pass = CheckResponse {
        status: Some(Status::default()),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse {
            headers: vec![option("x-user", "ann"), option("host", "evil")],
            query_parameters_to_set: vec![QueryParameter {
                key: "user".into(),
                value: "ann".into(),
            }],
            query_parameters_to_remove: vec!["token".into()],
            ..OkHttpResponse::default()
        })),
        ..CheckResponse::default()
    };
    let Ok(Decision::Pass(changes)) = check().decision(&answered(&pass)) else {
        panic!("refused")
    };
    let set = QueryChange::Set("user".into(), "ann".into());
    assert_eq!(changes.query, [set, QueryChange::Remove("token".into())]);
    let shown = format!("{:?}", changes.fields);
    assert!(shown.contains("x-user") && !shown.contains("evil"), "{shown}");
    let denied = CheckResponse {
        status: Some(Status {
            code: 7,
            ..Status::default()
        }),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus { code: 401 }),
            headers: vec![option("www-authenticate", "Basic")],
            body: "who?".into(),
        })),
        ..CheckResponse::default()
    };
    let Ok(Decision::Refuse(refusal)) = check().decision(&answered(&denied)) else {
        panic!("passed")
    };
    assert_eq!(
        (refusal.status(), &**refusal.body()),
        (StatusCode::UNAUTHORIZED, b"who?".as_slice())
    );
    assert_eq!(refusal.headers()["www-authenticate"], "Basic");
}

#[test]
fn an_answer_that_is_none_is_a_failure() {
    let good = answered(&CheckResponse::default());
    assert!(check().decision(&good).is_ok());
    let fails = |change: fn(&mut Answer)| {
        let mut answer = answered(&CheckResponse::default());
        change(&mut answer);
        assert!(check().decision(&answer).is_err());
    };
    fails(|answer| answer.status = StatusCode::BAD_GATEWAY);
    fails(|answer| answer.trailers.clear());
    fails(|answer| {
        _ = answer
            .trailers
            .insert("grpc-status", HeaderValue::from_static("14"));
    });
    fails(|answer| answer.body = "x".into());
}

#[test]
fn kouriers_settings_are_read_and_envoys_refusals_said() {
    let read = |config: &pb::ExtAuthz| settings(config, &mut Notes::default());
    let grpc = pb::ExtAuthz {
        services: Some(Services::GrpcService(grpc_service())),
        with_request_body: Some(BufferSettings {
            max_request_bytes: 8192,
            allow_partial_message: true,
            pack_as_bytes: true,
        }),
        ..pb::ExtAuthz::default()
    };
    let Ok(Filter::ExtAuthz(authz)) = read(&grpc) else {
        panic!("no filter")
    };
    assert_eq!(
        authz.body.as_ref().map(|body| (body.bytes_max, body.longer)),
        Some((8192, Longer::CutOff))
    );
    let http = |path_prefix: &str| pb::ExtAuthz {
        services: Some(Services::HttpService(HttpService {
            server_uri: Some(HttpUri {
                uri: "http://x:80".into(),
                http_upstream_type: Some(HttpUpstreamType::Cluster("extAuthz".into())),
                ..HttpUri::default()
            }),
            path_prefix: path_prefix.into(),
            ..HttpService::default()
        })),
        ..pb::ExtAuthz::default()
    };
    assert!(matches!(read(&http("/check")), Ok(Filter::ExtAuthz(_))));
    let refused = read(&http("zz")).unwrap_err();
    assert_eq!(
        refused,
        Reject::Resource(r#"path_prefix should start with "/"."#.into())
    );
}

#[test]
fn a_route_switches_authorization_off_or_adds_to_the_question() {
    let off = ExtAuthzPerRoute {
        r#override: Some(OfRoute::Disabled(true)),
    };
    assert!(matches!(per_route(&pack_any(off)), Ok(Override::Disabled)));
    let more = ExtAuthzPerRoute {
        r#override: Some(OfRoute::CheckSettings(CheckSettings {
            context_extensions: [("a".to_owned(), "b".to_owned())].into(),
            disable_request_body_buffering: true,
            ..CheckSettings::default()
        })),
    };
    let Ok(Override::Authorization(change)) = per_route(&pack_any(more)) else {
        panic!("no change")
    };
    assert_eq!(change.context, [("a".into(), "b".into())]);
    assert_eq!(change.body, Some(None));
    let nothing = per_route(&pack_any(ExtAuthzPerRoute::default())).unwrap_err();
    let expected = r#"Proto constraint validation failed (field: "override", reason: is required)"#;
    assert_eq!(nothing, Reject::Resource(expected.into()));
}
