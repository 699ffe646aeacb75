//! Whose certificates are believed between the activator and pods, and which one does the activator show?
//!
//! ```
//! use tidegate_activator::certificates::Certificates;
//!
//! let certificates = Certificates::default();
//! assert!(certificates.identity().is_none());
//! // Nobody is believed yet: connections to these pods fail.
//! assert_eq!(&**certificates.cluster("ns").name(), "revisions/ns");
//! ```

use std::{collections::BTreeMap, sync::Arc};

use tidegate_proxy::{
    cluster::{Cluster, ClusterSettings, Protocol, TransportSettings},
    tls::{
        TlsError,
        identity::Identity,
        pin::Pin,
        server::TlsVersion,
        trust::{NameMatch, Trust},
        upstream::{ClientTls, ClientTlsSettings, NameCheck, ServerName},
    },
};

use crate::wire;

/// What is known about certificates.
#[derive(Debug, Default)]
pub struct Certificates {
    secret: Option<Secret>,
    /// Certificates of authorities, by the name of the ConfigMap that they are in.
    bundles: BTreeMap<String, Vec<String>>,
}

/// The secret of everything that sends to pods (`routing-serving-certs`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secret {
    /// `ca.crt`: who signs pods' certificates.
    pub authority: Vec<u8>,
    /// `tls.crt`.
    pub chain: Vec<u8>,
    /// `tls.key`.
    pub key: Vec<u8>,
}

/// The name that all pods' certificates have, and that handshakes ask for.
const SERVER_NAME: &str = "data-plane.knative.dev";

impl Certificates {
    /// Replaces the secret. One that is gone is on its way back, as one without an authority is: until then the last one counts, and
    /// traffic goes on.
    pub fn set_secret(&mut self, secret: Option<Secret>) {
        let Some(mut secret) = secret else {
            return;
        };
        if secret.authority.is_empty()
            && let Some(last) = &mut self.secret
        {
            secret.authority = std::mem::take(&mut last.authority);
        }
        self.secret = Some(secret);
    }

    /// Replaces the texts of one ConfigMap.
    pub fn set_bundle(&mut self, name: &str, texts: Option<Vec<String>>) {
        match texts {
            Some(texts) => _ = self.bundles.insert(name.to_owned(), texts),
            None => _ = self.bundles.remove(name),
        }
    }

    /// What the activator shows to those who connect to it.
    #[must_use]
    pub fn identity(&self) -> Option<Result<Identity, TlsError>> {
        let secret = self.secret.as_ref()?;
        Some(Identity::from_pem(&secret.chain, &secret.key))
    }

    /// How the pods of a namespace are connected to: over TLS, whatever happens. Where nobody is believed, nobody is.
    #[must_use]
    pub fn cluster(&self, namespace: &str) -> Arc<Cluster> {
        let trust = Trust::in_pem(self.anchors().as_bytes()).unwrap_or_else(|error| {
            tracing::error!(%error, namespace, "no pod's certificate is believed");
            // The certificate that this is the fingerprint of is none.
            Trust::in_pinned(vec![Pin::of_certificate(&[])])
        });
        let own = NameMatch::dns(format!("kn-user-{}", namespace.to_lowercase()));
        let settings = ClientTlsSettings {
            server_name: ServerName::Literal(SERVER_NAME.into()),
            name_check: NameCheck::Both,
            // Pods tell HTTP/2 by its first bytes.
            alpn: Some(Vec::new()),
            lowest: TlsVersion::Tls13,
            ..ClientTlsSettings::trusting(trust.with_names(vec![own]))
        };
        let tls = ClientTls::new(settings);
        #[expect(
            clippy::expect_used,
            reason = "nothing in them is anybody's but ours, and a test makes them"
        )]
        let tls = tls.expect("settings that are good");
        let transport = |protocol| TransportSettings {
            tls: Some(tls.clone()),
            ..wire::transport(protocol)
        };
        Cluster::new(ClusterSettings {
            transport: transport(Protocol::Http1).into(),
            transport_http2: Some(Box::new(transport(Protocol::Http2))),
            ..ClusterSettings::new(format!("revisions/{namespace}"))
        })
    }

    /// All that are believed: the first of the secret, and each of the bundles that can be read.
    fn anchors(&self) -> String {
        let secret = self.secret.as_ref();
        let secret = secret.map(|secret| String::from_utf8_lossy(&secret.authority).into_owned());
        let first = secret.iter().flat_map(|text| blocks(text).take(1));
        let bundles = self.bundles.values().flatten().flat_map(|text| blocks(text));
        let good = |block: &&str| Trust::in_pem(block.as_bytes()).is_ok();
        // Whatever ended a line in its text, each begins on one of its own: what follows an end on its line is not read.
        let each = first.chain(bundles).filter(good);
        each.flat_map(|block| [block, "\n"]).collect()
    }
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The certificates in a text, without the line end after each.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(BEGIN).filter_map(|(begin, _)| {
        let rest = text.get(begin..)?;
        let end = rest.find(END)? + END.len();
        rest.get(..end)
    })
}

#[cfg(test)]
mod tests;
