//! `UpstreamTlsContext` as TLS towards endpoints.

use std::path::Path;
use std::sync::Arc;

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as envoy;
use tidegate_proxy::tls::server::TlsVersion;
use tidegate_proxy::tls::upstream::{ClientTls, ClientTlsSettings, NameCheck, ServerName};

use super::held::{self, Held};
use super::parameters::{self, Parameters};
use super::validation::Believed;
use super::{SecretName, Secrets, ShownCertificate, constraints};
use crate::translate::message::number;
use crate::translate::notes::Notes;
use crate::translate::{Context, Reject};

/// An `UpstreamTlsContext`, its secrets apart.
#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// The secrets that it names and does not hold.
    pub secrets: Vec<SecretName>,
    /// The files that it was read from; read once, as in Envoy.
    pub files: Vec<Arc<Path>>,
    /// What the certificates in it say.
    pub certificates: Vec<ShownCertificate>,
    held: Held,
    parameters: Parameters,
    alpn: Option<Vec<Vec<u8>>>,
    server_name: ServerName,
    name_check: NameCheck,
    sessions: Option<usize>,
}

/// What TLS to endpoints makes of a request's host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostNames {
    /// The handshake asks for it.
    pub(crate) asked_for: bool,
    /// The certificate has to have it.
    pub(crate) checked: bool,
}

impl UpstreamTls {
    /// Reads a context.
    ///
    /// # Errors
    /// When Envoy would refuse it, in Envoy's words; or when it asks for something that restricts or authenticates and that is not
    /// done here.
    pub(crate) fn read(
        message: &envoy::UpstreamTlsContext,
        names: HostNames,
        context: &Context,
        notes: &mut Notes,
    ) -> Result<Self, Reject> {
        // What a resource does not say makes no difference to TLS.
        _ = context;
        constraints::upstream(message).map_err(|broken| broken.of_resource())?;
        let nothing = envoy::CommonTlsContext::default();
        let common = message.common_tls_context.as_ref().unwrap_or(&nothing);
        let held = Held::read(common, notes)?;
        let (inside, named) = held.count();
        if inside + named > 1 {
            return refuse("Multiple TLS certificates are not supported for client contexts");
        }
        if message.auto_sni_san_validation && !held.validates() {
            return refuse("'auto_sni_san_validation' was configured without a validation context");
        }
        notes.ignored("allow_renegotiation", message.allow_renegotiation);
        let checked = names.checked || message.auto_sni_san_validation;
        let alpn = held::alpn(common)?;
        Ok(Self {
            secrets: held.names(),
            files: held.files.clone(),
            certificates: held.shown.clone(),
            parameters: parameters::read(common.tls_params.as_ref(), TlsVersion::Tls13, notes)?,
            alpn: (!alpn.is_empty()).then_some(alpn),
            server_name: server_name(message, names)?,
            name_check: if checked {
                NameCheck::Checked
            } else {
                NameCheck::Unchecked
            },
            sessions: number(message.max_session_keys.as_ref()).map(|keys| keys as usize),
            held,
        })
    }

    /// Looks for the secrets of the bootstrap that it names.
    ///
    /// # Errors
    /// When one is not there, or is something else.
    pub fn check_static(&self, secrets: &Secrets) -> Result<(), Reject> {
        self.held.check_static(secrets)
    }

    /// TLS as it is spoken to endpoints; `None` while a secret is missing.
    ///
    /// # Errors
    /// When a secret does not fit.
    pub fn build(&self, secrets: &Secrets) -> Result<Option<ClientTls>, Reject> {
        let (Some(identities), Some(believed)) =
            (self.held.identities(secrets)?, self.held.believed(secrets)?)
        else {
            return Ok(None);
        };
        let mut settings = match believed {
            Believed::Anyone => ClientTlsSettings::dangerously_trusting_anyone(),
            Believed::Some(mut trust) => {
                if self.name_check == NameCheck::Checked {
                    // The name that is asked for replaces those that are listed, as in Envoy.
                    trust.names.clear();
                }
                ClientTlsSettings::trusting(trust)
            }
        };
        settings.server_name = self.server_name.clone();
        settings.name_check = self.name_check;
        settings.identity = identities.into_iter().next();
        settings.alpn.clone_from(&self.alpn);
        settings.lowest = self.parameters.lowest;
        settings.highest = self.parameters.highest;
        settings.offer = self.parameters.offer.clone();
        settings.sessions = self.sessions.unwrap_or(settings.sessions);
        let built = ClientTls::new(settings).map_err(|error| Reject::Resource(error.to_string()))?;
        Ok(Some(built))
    }
}

/// The host of a request comes before what is fixed; without any there is no name in the handshake.
fn server_name(message: &envoy::UpstreamTlsContext, names: HostNames) -> Result<ServerName, Reject> {
    if names.asked_for {
        return Ok(ServerName::Host);
    }
    if message.auto_host_sni {
        return match message.sni.is_empty() {
            true => Ok(ServerName::Endpoint),
            false => Err(Reject::unsupported("transport_socket: auto_host_sni beside sni")),
        };
    }
    Ok(match message.sni.as_str() {
        "" => ServerName::Address,
        name => ServerName::Literal(name.into()),
    })
}

fn refuse<T>(why: &str) -> Result<T, Reject> {
    Err(Reject::Resource(why.to_owned()))
}
