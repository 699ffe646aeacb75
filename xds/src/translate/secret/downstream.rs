//! `DownstreamTlsContext` as TLS towards clients.

use std::path::Path;
use std::sync::Arc;

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as envoy;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::downstream_tls_context::{
    OcspStaplePolicy, SessionTicketKeysType,
};
use tidegate_proxy::tls::server::{ClientCertificates, Resumption, ServerTls, ServerTlsSettings, TlsVersion};
use tidegate_proxy::tls::trust::Trust;

use super::held::{self, Held};
use super::parameters::{self, Parameters};
use super::validation::Believed;
use super::{SecretName, Secrets, ShownCertificate, certificate, constraints};
use crate::translate::message::truth;
use crate::translate::notes::Notes;
use crate::translate::{Context, Reject};

/// A `DownstreamTlsContext`, its secrets apart.
#[derive(Clone, Debug)]
pub struct DownstreamTls {
    /// The secrets that it names and does not hold.
    pub secrets: Vec<SecretName>,
    /// The files that it was read from; read once, as in Envoy.
    pub files: Vec<Arc<Path>>,
    /// What the certificates in it say.
    pub certificates: Vec<ShownCertificate>,
    held: Held,
    parameters: Parameters,
    alpn: Vec<Vec<u8>>,
    required: bool,
    resumption: Resumption,
}

impl DownstreamTls {
    /// Reads a context.
    ///
    /// # Errors
    /// When Envoy would refuse it, in Envoy's words; or when it asks for something that restricts or authenticates and that is not
    /// done here.
    pub fn read(
        message: &envoy::DownstreamTlsContext,
        context: &Context,
        notes: &mut Notes,
    ) -> Result<Self, Reject> {
        // What a resource does not say makes no difference to TLS.
        _ = context;
        constraints::downstream(message).map_err(|broken| broken.of_resource())?;
        let nothing = envoy::CommonTlsContext::default();
        let common = message.common_tls_context.as_ref().unwrap_or(&nothing);
        let held = Held::read(common, notes)?;
        match held.count() {
            (0, 0) => return refuse("No TLS certificates found for server context"),
            (1.., 1..) => {
                return refuse("SDS and non-SDS TLS certificates may not be mixed in server contexts");
            }
            _ => {}
        }
        if truth(message.require_sni.as_ref()) {
            return Err(Reject::unsupported("require_sni"));
        }
        stapled(message, common)?;
        let resumption = resumption(message, notes)?;
        without_effect(message, notes);
        Ok(Self {
            secrets: held.names(),
            files: held.files.clone(),
            certificates: held.shown.clone(),
            parameters: parameters::read(common.tls_params.as_ref(), TlsVersion::Tls13, notes)?,
            alpn: held::alpn(common)?,
            required: truth(message.require_client_certificate.as_ref()),
            resumption,
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

    /// TLS as a filter chain speaks it; `None` while a secret is missing.
    ///
    /// # Errors
    /// When a secret does not fit.
    pub fn build(&self, secrets: &Secrets) -> Result<Option<Arc<ServerTls>>, Reject> {
        let (Some(identities), Some(believed)) =
            (self.held.identities(secrets)?, self.held.believed(secrets)?)
        else {
            return Ok(None);
        };
        let clients = match (believed, self.required) {
            (Believed::Anyone, false) => ClientCertificates::NotAsked,
            (Believed::Anyone, true) => ClientCertificates::Required(Trust::dangerously_in_anyone()),
            (Believed::Some(trust), false) => ClientCertificates::Optional(trust),
            (Believed::Some(trust), true) => ClientCertificates::Required(trust),
        };
        let settings = ServerTlsSettings {
            lowest: self.parameters.lowest,
            highest: self.parameters.highest,
            offer: self.parameters.offer.clone(),
            alpn: self.alpn.clone(),
            clients,
            resumption: self.resumption,
            ..ServerTlsSettings::new(identities)
        };
        let built = ServerTls::new(settings).map_err(|error| Reject::Resource(error.to_string()))?;
        Ok(Some(Arc::new(built)))
    }
}

fn stapled(message: &envoy::DownstreamTlsContext, common: &envoy::CommonTlsContext) -> Result<(), Reject> {
    let must = message.ocsp_staple_policy == OcspStaplePolicy::MustStaple as i32;
    let missing = common
        .tls_certificates
        .iter()
        .any(|one| one.ocsp_staple.is_none());
    match must && missing {
        true => refuse("Required OCSP response is missing from TLS context"),
        false => Ok(()),
    }
}

fn resumption(message: &envoy::DownstreamTlsContext, notes: &mut Notes) -> Result<Resumption, Reject> {
    match &message.session_ticket_keys_type {
        Some(SessionTicketKeysType::DisableStatelessSessionResumption(true)) => return Ok(Resumption::Never),
        Some(SessionTicketKeysType::SessionTicketKeys(keys)) => {
            certificate::ticket_keys(keys)?;
            notes.ignored("session_ticket_keys", true);
        }
        Some(SessionTicketKeysType::SessionTicketKeysSdsSecretConfig(_)) => {
            notes.ignored("session_ticket_keys_sds_secret_config", true);
        }
        Some(SessionTicketKeysType::DisableStatelessSessionResumption(false)) | None => {}
    }
    Ok(Resumption::ByTicket)
}

fn without_effect(message: &envoy::DownstreamTlsContext, notes: &mut Notes) {
    let fields = [
        (
            "ocsp_staple_policy",
            message.ocsp_staple_policy == OcspStaplePolicy::StrictStapling as i32,
        ),
        ("session_timeout", message.session_timeout.is_some()),
        (
            "full_scan_certs_on_sni_mismatch",
            truth(message.full_scan_certs_on_sni_mismatch.as_ref()),
        ),
        ("prefer_client_ciphers", message.prefer_client_ciphers),
    ];
    for (field, there) in fields {
        notes.ignored(field, there);
    }
}

fn refuse<T>(why: &str) -> Result<T, Reject> {
    Err(Reject::Resource(why.to_owned()))
}
