//! TLS settings: whom to trust, and what to show of oneself.

use anyhow::{Context as _, anyhow};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;

/// Whose certificates are good.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trust<'a> {
    /// Anybody's: a load test asks whether a server answers, not whether it is the right one.
    Anybody,
    /// Those of the system's authorities.
    System,
    /// Those of the authorities in this file (PEM).
    File(&'a Path),
}

/// Settings for connections that offer these protocols (ALPN), with a certificate and key of our own (PEM files) if given.
pub(crate) fn config(
    trust: Trust<'_>,
    identity: Option<(&Path, &Path)>,
    protocols: &[&str],
) -> anyhow::Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match trust {
        Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))),
        Trust::System => builder.with_root_certificates(roots(rustls_native_certs::load_native_certs().certs)?),
        Trust::File(path) => builder.with_root_certificates(roots(certificates(path)?)?),
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let secret = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| anyhow!("reading the key in {}: {error}", key.display()))?;
            builder.with_client_auth_cert(certificates(chain)?, secret).context("certificate and key do not fit")?
        }
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = || -> Result<Vec<_>, rustls::pki_types::pem::Error> { CertificateDer::pem_file_iter(path)?.collect() };
    read().map_err(|error| anyhow!("reading certificates in {}: {error}", path.display()))
}

fn roots(certificates: Vec<CertificateDer<'static>>) -> anyhow::Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    // One that cannot be read is left out; the others may still do.
    store.add_parsable_certificates(certificates);
    if store.is_empty() {
        return Err(anyhow!(
            "no certificate authority is known: name one with --cacert, or use --skipTLS or --insecure"
        ));
    }
    Ok(store)
}

/// Accepts every certificate.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
