//! Whether the certificate that an endpoint shows is good enough.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::{ClientTlsSettings, NameCheck, Trusted};
use crate::tls::trust::{Revocation, Trust};
use crate::tls::{TlsError, provider};

pub(super) fn verifier(settings: &ClientTlsSettings) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let trust = match &settings.trust {
        Trusted(Some(trust)) => trust.clone(),
        Trusted(None) => Trust::dangerously_in_anyone(),
    };
    let Some(roots) = trust.roots() else {
        return Ok(Arc::new(Unsigned(trust)));
    };
    let mut builder = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider()))
        .with_crls(trust.revoked().iter().cloned());
    if trust.revocation == Revocation::Own {
        builder = builder.only_check_end_entity_revocation();
    }
    let signed = builder
        .build()
        .map_err(|error| TlsError::RevocationList(error.to_string()))?;
    let has_names = !trust.names.is_empty();
    let by_handshake = match settings.name_check {
        NameCheck::Checked => !has_names,
        NameCheck::Both => true,
        NameCheck::Unchecked => false,
    };
    if by_handshake && !has_names && trust.pins.is_empty() {
        return Ok(signed);
    }
    Ok(Arc::new(Named {
        signed,
        trust,
        by_handshake,
    }))
}

/// Asks for what the trust asks for, after the signature has proved to be good.
#[derive(Debug)]
struct Named {
    signed: Arc<WebPkiServerVerifier>,
    trust: Trust,
    /// Whether the name in the handshake counts too.
    by_handshake: bool,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        let signed = self
            .signed
            .verify_server_cert(certificate, intermediates, server_name, ocsp, now);
        match signed {
            // The name is looked at last: everything else is as it has to be.
            Ok(_) => {}
            Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
                if !self.by_handshake => {}
            Err(error) => return Err(error),
        }
        if self.trust.accepts(certificate) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(NotValidForName.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

/// Looks at a certificate, whoever has signed it. That its holder has the key is still proved.
#[derive(Debug)]
struct Unsigned(Trust);

impl ServerCertVerifier for Unsigned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.0.accepts(certificate) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
