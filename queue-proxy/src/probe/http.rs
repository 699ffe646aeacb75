//! Does a GET succeed, over HTTP/1.1 or, where that is to be found out, over HTTP/2 first?

mod place;

use std::sync::{Arc, OnceLock};

use ::http::header::{AUTHORIZATION, COOKIE, HOST, USER_AGENT, WWW_AUTHENTICATE};
use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use tidegate_knative::headers::KUBE_PROBE_USER_AGENT;
use tidegate_knative::object::{HttpHeader, Scheme};
use tidegate_proxy::tls::TlsError;
use tidegate_proxy::tls::trust::Trust;
use tidegate_proxy::tls::upstream::{ClientTls, ClientTlsSettings};

use super::{Authority, Failure, InvalidProbe};
use crate::limits::PROBE_REQUESTS_MAX;
use place::{Place, Version};

/// What is only for the host that it was configured for, and those below it.
const SECRET: [HeaderName; 4] = [
    AUTHORIZATION,
    COOKIE,
    WWW_AUTHENTICATE,
    HeaderName::from_static("cookie2"),
];

/// The request of a probe. Each attempt has a connection of its own, and follows where it is sent, as Go's client does.
#[derive(Clone, Debug)]
pub(super) struct Get {
    uri: Uri,
    is_encrypted: bool,
    /// Whom to believe over TLS, at first or where a redirect leads: found out once, and only where somebody is to be asked so.
    trust: Arc<OnceLock<Result<ClientTls, TlsError>>>,
    headers: HeaderMap,
    /// Whether HTTP/2 is tried first.
    detects: bool,
}

impl Get {
    pub(super) fn new(path: &str, scheme: Scheme, headers: &[HttpHeader]) -> Result<Self, InvalidProbe> {
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        let uri = path.parse().map_err(|_| InvalidProbe::Path(path))?;
        let mut all = HeaderMap::new();
        all.insert(USER_AGENT, HeaderValue::from_static(KUBE_PROBE_USER_AGENT));
        for header in headers {
            let invalid = || InvalidProbe::Header(header.name.clone());
            let name = HeaderName::try_from(&header.name).map_err(|_| invalid())?;
            let value = HeaderValue::try_from(&header.value).map_err(|_| invalid())?;
            // A configured Host has no effect, as with Knative; the others come after our own.
            if name != HOST {
                all.append(name, value);
            }
        }
        let is_encrypted = scheme == Scheme::Https;
        let trust = OnceLock::new();
        if is_encrypted {
            _ = trust.set(system());
        }
        Ok(Self {
            uri,
            is_encrypted,
            trust: Arc::new(trust),
            headers: all,
            detects: false,
        })
    }

    /// The same, which tries HTTP/2 first.
    pub(super) fn detecting(self) -> Self {
        Self {
            detects: true,
            ..self
        }
    }

    /// Sends it. To find out whether HTTP/2 is spoken, a request without the configured headers goes first; whoever answers that
    /// well gets the whole one the same way, and its answer counts (Knative `pkg/queue/health/probe.go`).
    pub(super) async fn send(&self, authority: &Authority) -> Result<(), Failure> {
        if self.detects {
            let bare = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static(KUBE_PROBE_USER_AGENT))]);
            if self.follow(authority, Version::Http2, &bare).await.is_ok() {
                return self.follow(authority, Version::Http2, &self.headers).await;
            }
        }
        self.follow(authority, Version::Http1, &self.headers).await
    }

    async fn follow(
        &self,
        authority: &Authority,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<(), Failure> {
        let mut place = Place {
            is_encrypted: self.is_encrypted,
            authority: authority.clone(),
            uri: self.uri.clone(),
        };
        let mut headers = headers.clone();
        for _ in 0..PROBE_REQUESTS_MAX {
            let answer = place.ask(version, &headers, &self.tls(&place)).await?;
            match place.next(&answer)? {
                Some(next) => place = next,
                None => return self.judge(answer.status()),
            }
            if !place.authority.is_within(&authority.host) {
                SECRET.iter().for_each(|name| drop(headers.remove(name)));
            }
        }
        Err(Failure::Protocol {
            protocol: version.name(),
            message: format!("stopped after {PROBE_REQUESTS_MAX} redirects"),
        })
    }

    /// How to speak TLS there, where that is wanted.
    fn tls(&self, place: &Place) -> Option<Result<ClientTls, TlsError>> {
        let trust = || self.trust.get_or_init(system).clone();
        place.is_encrypted.then(trust)
    }

    fn judge(&self, status: StatusCode) -> Result<(), Failure> {
        if (200..400).contains(&status.as_u16()) {
            Ok(())
        } else {
            Err(Failure::Status {
                path: self.uri.to_string(),
                status: status.as_u16(),
            })
        }
    }
}

/// Certificates are verified by whom the system believes, as Knative's sidecar does, and a kubelet does not.
fn system() -> Result<ClientTls, TlsError> {
    ClientTls::new(ClientTlsSettings::trusting(Trust::of_system()?))
}
