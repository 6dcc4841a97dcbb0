//! The sockets of one process and their certificates: made, bound, watched and taken away again.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;
use std::time::Duration;

use ingest::certificate::{self, Certificate, Files};
use ingest::server::{Listener, Socket};
use tokio::net::{TcpListener, UnixListener};

use crate::clock::now_ms;
use crate::config::{Address, Config, Tls};
use crate::failure::{Code, Failure};

/// Takes changed files, and has the leaf of the private authority made again before it expires. It never ends; the caller aborts it.
pub(super) async fn watch_certificates(config: Config, certificates: Vec<Arc<Certificate>>) {
    let renew = async {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            if config.listen.iter().any(|listen| listen.tls == Tls::SelfSigned)
                && let Err(error) = certificate::self_signed(&config.data_dir, &self_signed_names(&config), now_ms().div_euclid(1_000))
            {
                tracing::warn!(error = %error, "the self-signed certificate could not be renewed; it is tried again tomorrow");
            }
        }
    };
    tokio::join!(certificate::watch(certificates, CERTIFICATES_EVERY, Arc::new(now_ms)), renew);
}

/// Every name and address that a self-signed listener is reached by.
fn self_signed_names(config: &Config) -> Vec<String> {
    let names = config.listen.iter().flat_map(|listen| listen.names.clone());
    let addresses = config.listen.iter().filter_map(|listen| match &listen.address {
        Address::Tcp(address) => Some(address.ip().to_string()),
        Address::Unix(_) => None,
    });
    names.chain(addresses).collect()
}

/// The certificate of each listener that has one, by its place among the listeners.
pub(super) fn load_certificates(config: &Config) -> Result<Vec<(usize, Arc<Certificate>)>, Failure> {
    let now = now_ms().div_euclid(1_000);
    let failed = |error: certificate::CertificateError| {
        let why = std::error::Error::source(&error).map_or_else(String::new, |why| format!(": {why}"));
        Failure::new(Code::Usage, format!("certificate: {error}{why}"))
    };
    let mut own: Option<Files> = None;
    let mut certificates = Vec::new();
    for (n, listen) in config.listen.iter().enumerate() {
        let files = match &listen.tls {
            Tls::Off => continue,
            Tls::Files { chain, key } => Files { chain: chain.clone(), key: key.clone() },
            Tls::SelfSigned => match &own {
                Some(files) => files.clone(),
                None => {
                    let made = certificate::self_signed(&config.data_dir, &self_signed_names(config), now).map_err(failed)?;
                    eprintln!("self-signed: clients trust this server with the authority {} (curl --cacert {0})", made.authority.display());
                    own.insert(made.files).clone()
                }
            },
        };
        certificates.push((n, Certificate::load(&n.to_string(), files, now).map_err(failed)?));
    }
    Ok(certificates)
}

/// Binds every receiver listener, and says how each is reached.
pub(super) async fn bind_all(config: &Config, certificates: &[(usize, Arc<Certificate>)]) -> Result<(Vec<Listener>, Vec<String>), Failure> {
    let (mut listeners, mut shown) = (Vec::new(), Vec::new());
    for (n, listen) in config.listen.iter().enumerate() {
        let tls = match certificates.iter().find(|(at, _)| *at == n) {
            Some((_, certificate)) => {
                Some(certificate.server_config(listen.http2).map_err(|error| Failure::new(Code::Software, format!("configure TLS: {error}")))?)
            }
            None => None,
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (socket, address) = match bind(&listen.address, &format!("listen[{n}].address")).await? {
            Bound::Tcp(socket, address) => (Socket::Tcp(socket), format!("{scheme}://{address}")),
            Bound::Unix(socket, path) => (Socket::Unix(socket), format!("unix:{path}")),
        };
        listeners.push(Listener { socket, tls });
        shown.push(address);
    }
    Ok((listeners, shown))
}

/// A bound socket and its real address.
pub(super) enum Bound {
    Tcp(TcpListener, std::net::SocketAddr),
    Unix(UnixListener, String),
}

pub(super) async fn bind(address: &Address, key: &str) -> Result<Bound, Failure> {
    let failed = |shown: String, error: io::Error| {
        Failure::new(
            Code::Unavailable,
            format!("{key}: cannot listen on {shown}: {error}; end what listens there, choose another address, or allow this user to bind it"),
        )
    };
    match address {
        Address::Tcp(tcp) => {
            let socket = TcpListener::bind(tcp).await.map_err(|error| failed(tcp.to_string(), error))?;
            let real = socket.local_addr().map_err(|error| failed(tcp.to_string(), error))?;
            Ok(Bound::Tcp(socket, real))
        }
        Address::Unix(path) => {
            // A socket that nobody listens on is left over from a process that was killed.
            let is_left_over = std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket()) && std::os::unix::net::UnixStream::connect(path).is_err();
            if is_left_over {
                let _ = std::fs::remove_file(path);
            }
            let socket = UnixListener::bind(path).map_err(|error| failed(path.display().to_string(), error))?;
            Ok(Bound::Unix(socket, path.display().to_string()))
        }
    }
}

pub(super) fn remove_sockets(config: &Config) {
    let addresses = config.listen.iter().map(|listen| &listen.address).chain([&config.admin.address]);
    for address in addresses {
        if let Address::Unix(path) = address {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// How often the private authority is asked whether its leaf is due.
const RENEW_EVERY: Duration = Duration::from_secs(86_400);
/// How often certificate files are looked at.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(10);
