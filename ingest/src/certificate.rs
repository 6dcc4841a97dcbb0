//! Certificates of the listeners: read from files, read again when their content changes, and never replaced by something broken.

mod self_signed;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::{Counter, Gauge};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use zeroize::Zeroizing;

pub use self::self_signed::{SelfSigned, self_signed};
use crate::handler::Clock;
use crate::metrics::{CERTIFICATE_EXPIRY_SECONDS, CERTIFICATE_REFUSED_TOTAL};

/// Where a certificate chain and its key stand, both PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Files {
    /// The leaf first, then what leads to the authority.
    pub chain: PathBuf,
    /// The leaf's private key.
    pub key: PathBuf,
}

/// Why a certificate cannot be used or made.
#[derive(thiserror::Error, Debug)]
pub enum CertificateError {
    /// A file is missing or unreadable.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no PEM, or not the kind that belongs there.
    #[error("find {what} in {path}")]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The key is not the certificate's, or of a kind that is not supported.
    #[error("use {chain} with its key")]
    Pair {
        /// The chain's file.
        chain: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The leaf is no X.509 certificate.
    #[error("read the certificate in {0}")]
    Leaf(PathBuf),
    /// The private authority has lost its key.
    #[error("sign with {0}: its key is gone; restore the key, or remove the certificate to have a new authority made")]
    AuthorityKey(PathBuf),
    /// A certificate cannot be made.
    #[error("make a certificate")]
    Make(#[from] rcgen::Error),
    /// The clock stands outside of the years that a certificate can tell.
    #[error("make a certificate at this date")]
    Date(#[from] jiff::Error),
    /// No TLS can be spoken with this build's cryptography.
    #[error("configure TLS")]
    Tls(#[source] rustls::Error),
}

/// What [`Certificate::reload`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reload {
    /// The files are as they were.
    Unchanged,
    /// The new certificate serves from the next handshake on.
    Replaced,
    /// The files have changed and are of no use; the old certificate goes on.
    Kept,
}

/// The certificate of a listener.
pub struct Certificate {
    listener: String,
    files: Files,
    current: ArcSwap<Loaded>,
    /// The hash of the contents that were read last, useful or not. Under its lock, so that two reloads do not warn twice.
    seen: Mutex<u64>,
    hasher: RandomState,
    expiry: Gauge,
    refused: Counter,
}

/// A chain with its key, and when it ends.
struct Loaded {
    key: Arc<CertifiedKey>,
    expires_at: i64,
}

impl Certificate {
    /// Reads the files of a listener. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// When a file is missing, holds something else, or the key does not fit.
    pub fn load(listener: &str, files: Files, now: i64) -> Result<Arc<Self>, CertificateError> {
        let contents = Contents::read(&files)?;
        let hasher = RandomState::new();
        let loaded = contents.load(&files)?;
        let this = Self {
            expiry: metrics::gauge!(CERTIFICATE_EXPIRY_SECONDS, "listener" => listener.to_owned()),
            refused: metrics::counter!(CERTIFICATE_REFUSED_TOTAL, "listener" => listener.to_owned()),
            listener: listener.to_owned(),
            seen: Mutex::new(contents.hash(&hasher)),
            current: ArcSwap::from_pointee(loaded),
            files,
            hasher,
        };
        this.tell_expiry(now);
        Ok(Arc::new(this))
    }

    /// When the leaf expires, seconds since 1970.
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        self.current.load().expires_at
    }

    /// Reads the files again and takes them if they are of use; otherwise warns once until they change again. Blocks on the files.
    pub fn reload(&self, now: i64) -> Reload {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = Contents::read(&self.files);
        let hash = match &contents {
            Ok(contents) => contents.hash(&self.hasher),
            Err(error) => self.hasher.hash_one(error.to_string()),
        };
        let reload = if hash == *seen { Reload::Unchanged } else { self.take(contents) };
        *seen = hash;
        drop(seen);
        self.tell_expiry(now);
        reload
    }

    fn take(&self, contents: Result<Contents, CertificateError>) -> Reload {
        match contents.and_then(|contents| contents.load(&self.files)) {
            Ok(loaded) => {
                tracing::info!(listener = self.listener, "the certificate is replaced");
                self.current.store(Arc::new(loaded));
                Reload::Replaced
            }
            Err(error) => {
                self.refused.increment(1);
                let why = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(listener = self.listener, %error, why, "the changed certificate files are of no use, the old certificate stays");
                Reload::Kept
            }
        }
    }

    fn tell_expiry(&self, now: i64) {
        self.expiry.set((self.expires_at() - now) as f64);
    }

    /// TLS 1.2 and 1.3 with this certificate, for a listener; HTTP/2 is offered beside HTTP/1.1 when asked for.
    ///
    /// # Errors
    /// When the cryptography of this build lacks what these versions need.
    pub fn server_config(self: &Arc<Self>, http2: bool) -> Result<Arc<ServerConfig>, CertificateError> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(CertificateError::Tls)?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        let protocols: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().key))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("listener", &self.listener).field("files", &self.files).finish_non_exhaustive()
    }
}

/// Reloads certificates whenever their files have changed. It never ends; the caller drops it.
pub async fn watch(certificates: Vec<Arc<Certificate>>, period: Duration, clock: Clock) {
    loop {
        tokio::time::sleep(period).await;
        for certificate in &certificates {
            let (certificate, now) = (Arc::clone(certificate), clock() / 1_000);
            // The files may be on a disk that hangs. An error says that the runtime is going away.
            let _ = tokio::task::spawn_blocking(move || certificate.reload(now)).await;
        }
    }
}

fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

/// What stands in the files.
struct Contents {
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Contents {
    fn read(files: &Files) -> Result<Self, CertificateError> {
        Ok(Self { chain: read(&files.chain)?, key: Zeroizing::new(read(&files.key)?) })
    }

    fn hash(&self, hasher: &RandomState) -> u64 {
        hasher.hash_one((&self.chain, &*self.key))
    }

    fn load(&self, files: &Files) -> Result<Loaded, CertificateError> {
        let of_chain = |source| CertificateError::Pem { what: "a certificate", path: files.chain.clone(), source };
        let mut chain = CertificateDer::pem_slice_iter(&self.chain).collect::<Result<Vec<_>, _>>().map_err(of_chain)?;
        if chain.is_empty() {
            chain.push(CertificateDer::from_pem_slice(&self.chain).map_err(of_chain)?);
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key);
        let key = key.map_err(|source| CertificateError::Pem { what: "a private key", path: files.key.clone(), source })?;
        let expires_at = leaf(&chain[0]).map(|leaf| leaf.validity().not_after.timestamp());
        let expires_at = expires_at.ok_or_else(|| CertificateError::Leaf(files.chain.clone()))?;
        let key = CertifiedKey::from_der(chain, key, &provider());
        let key = key.map_err(|source| CertificateError::Pair { chain: files.chain.clone(), source })?;
        Ok(Loaded { key: Arc::new(key), expires_at })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(path).map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}

fn leaf<'a>(der: &'a CertificateDer<'_>) -> Option<x509_parser::certificate::X509Certificate<'a>> {
    x509_parser::parse_x509_certificate(der).ok().map(|(_, certificate)| certificate)
}
