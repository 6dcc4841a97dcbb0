//! Which certificates the simulator believes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Where Debian and its relatives keep the roots of the public authorities.
pub const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Whom to believe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trust {
    /// The public authorities that the system trusts.
    System,
    /// The authorities in a PEM file, and no others.
    File(PathBuf),
    /// Anybody: for a first try on one's own machine.
    AnyCertificate,
}

impl Trust {
    /// Makes the client's side of TLS 1.2 and 1.3.
    ///
    /// # Errors
    /// The text says which file cannot be used and what to do.
    pub fn config(&self) -> Result<ClientConfig, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| format!("set up TLS: {error}"))?;
        let roots = match self {
            Self::System if Path::new(SYSTEM_ROOTS).exists() => roots(Path::new(SYSTEM_ROOTS))?,
            Self::System => {
                return Err(format!("{SYSTEM_ROOTS} is missing, so no authority is known; give one with --ca FILE, or --insecure to believe any certificate"));
            }
            Self::File(path) => roots(path)?,
            Self::AnyCertificate => {
                let verifier = Arc::new(Gullible { provider });
                return Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth());
            }
        };
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

fn roots(path: &Path) -> Result<RootCertStore, String> {
    let reading = |error| format!("read certificates from {}: {error}; --ca FILE takes a PEM file with one CA certificate or more", path.display());
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(reading)?.collect();
    let mut store = RootCertStore::empty();
    // A system's bundle may hold a root that this library cannot read; the others still serve.
    let (added, _) = store.add_parsable_certificates(certificates.map_err(reading)?);
    if added == 0 {
        return Err(format!("{} holds no certificate that can be used; --ca FILE takes a PEM file with one CA certificate or more", path.display()));
    }
    Ok(store)
}

/// Believes any certificate, but still checks that the peer holds its key.
#[derive(Debug)]
struct Gullible {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Gullible {
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
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
