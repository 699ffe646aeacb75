//! What do the parts show each other where the cluster asks for TLS between them, and whom do they believe? As
//! `system-internal-tls` has it: one authority, a secret for those who send to pods, a folder with the certificate of all pods.

use std::mem;
use std::os::unix::fs::symlink;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType;
use envoy_types::pb::envoy::config::core::v3::{DataSource, TransportSocket};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as envoy;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol;
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher};
use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_testkit::certificates::{Authority, Identity, Wanted};

/// The certificates of one cluster.
pub(crate) struct Certificates {
    signing: Authority,
    /// One that is believed as well.
    other: Option<Authority>,
    /// The secret `serving-certs`, as a kubelet shows it to the pods of a namespace.
    mount: TempDir,
    /// How often it was written.
    written: usize,
}

/// What the certificate of an activator says.
const OF_ACTIVATORS: [&str; 2] = ["kn-routing", "data-plane.knative.dev"];
/// What that of pods says.
const OF_PODS: [&str; 2] = ["kn-user-default", "data-plane.knative.dev"];

impl Certificates {
    pub(crate) fn new() -> Self {
        let mut this = Self {
            signing: Authority::new("first"),
            other: None,
            mount: tempfile::tempdir().expect("a folder"),
            written: 0,
        };
        this.write();
        this
    }

    /// Where pods find theirs.
    pub(crate) fn mount(&self) -> &Path {
        self.mount.path()
    }

    /// A successor, which is believed from now on and signs nothing yet.
    pub(crate) fn announce(&mut self) {
        self.other = Some(Authority::new("successor"));
    }

    /// Everybody's certificate is the successor's from now on.
    pub(crate) fn change(&mut self) {
        let successor = self.other.as_mut().expect("it was announced");
        mem::swap(successor, &mut self.signing);
        self.write();
    }

    /// The predecessor is not believed any more.
    pub(crate) fn retire(&mut self) {
        self.other = None;
    }

    /// Who signs what is shown now.
    pub(crate) fn signing(&self) -> &Authority {
        &self.signing
    }

    /// Writes the certificate of pods as a kubelet does: both files change at once.
    fn write(&mut self) {
        self.written += 1;
        let Identity {
            certificate_pem,
            key_pem,
            ..
        } = self.signing.issue(&Wanted::names(OF_PODS));
        let (mount, version) = (self.mount.path(), format!("..{}", self.written));
        std::fs::create_dir(mount.join(&version)).expect("a folder");
        for (file, text) in [("tls.crt", certificate_pem), ("tls.key", key_pem)] {
            std::fs::write(mount.join(&version).join(file), text).expect("a file");
            if self.written == 1 {
                symlink(format!("..data/{file}"), mount.join(file)).expect("a link");
            }
        }
        symlink(version, mount.join("..next")).expect("a link");
        std::fs::rename(mount.join("..next"), mount.join("..data")).expect("a link that is replaced");
    }

    /// The secret of those who send to pods.
    pub(crate) fn secret(&self) -> Value {
        let identity = self.signing.issue(&Wanted::names(OF_ACTIVATORS));
        let text = |text: &str| BASE64_STANDARD.encode(text);
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"namespace": "knative-serving", "name": "routing-serving-certs"},
            "data": {"ca.crt": text(&self.signing.pem), "tls.crt": text(&identity.certificate_pem),
                "tls.key": text(&identity.key_pem)},
        })
    }

    /// The ConfigMap of all that are believed.
    pub(crate) fn bundle(&self) -> Value {
        config_map(
            "bundle",
            &json!({"networking.knative.dev/trust-bundle": "true"}),
            &json!({"all.pem": self.believed()}),
        )
    }

    fn believed(&self) -> String {
        let all = self.other.iter().chain([&self.signing]);
        all.map(|authority| &*authority.pem).collect()
    }

    /// How an ingress connects to whoever is behind it, as Kourier says it.
    pub(crate) fn transport_socket(&self, alpn: &str) -> TransportSocket {
        let common = envoy::CommonTlsContext {
            tls_params: Some(envoy::TlsParameters {
                tls_minimum_protocol_version: TlsProtocol::TlSv13 as i32,
                tls_maximum_protocol_version: TlsProtocol::TlSv13 as i32,
                ..Default::default()
            }),
            alpn_protocols: vec![alpn.to_owned()],
            validation_context_type: Some(ValidationContextType::ValidationContext(
                envoy::CertificateValidationContext {
                    trusted_ca: Some(DataSource {
                        specifier: Some(Specifier::InlineString(self.believed())),
                        ..Default::default()
                    }),
                    match_typed_subject_alt_names: ["kn-routing", "kn-user-default"].map(named).into(),
                    ..Default::default()
                },
            )),
            ..Default::default()
        };
        let context = envoy::UpstreamTlsContext {
            common_tls_context: Some(common),
            ..Default::default()
        };
        TransportSocket {
            name: "envoy.transport_sockets.tls".to_owned(),
            config_type: Some(ConfigType::TypedConfig(Any {
                type_url: envoy::UpstreamTlsContext::type_url(),
                value: context.encode_to_vec(),
            })),
        }
    }
}

/// What tells a cluster's programs to speak TLS to each other.
pub(crate) fn network() -> Value {
    config_map(
        "config-network",
        &json!({}),
        &json!({"system-internal-tls": "Enabled"}),
    )
}

fn config_map(name: &str, labels: &Value, data: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"namespace": "knative-serving", "name": name, "labels": labels},
    })
}

fn named(exact: &str) -> envoy::SubjectAltNameMatcher {
    envoy::SubjectAltNameMatcher {
        san_type: SanType::Dns as i32,
        matcher: Some(StringMatcher {
            match_pattern: Some(string_matcher::MatchPattern::Exact(exact.to_owned())),
            ignore_case: false,
        }),
        ..Default::default()
    }
}
