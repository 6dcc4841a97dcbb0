//! A running server, and peers that speak to it byte by byte.

pub(crate) mod keeper;
pub(crate) mod meters;
pub(crate) mod peer;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ingest::certificate::{Certificate, Files};
use ingest::handler::{Clock, Ingress, Limits};
use ingest::receiver::{Counts, Receiver, Receivers};
use ingest::server::{Listener, Socket, Stopped, serve};
use ingest::wire::Secret;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use store::optout::OptOuts;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

use self::keeper::Keeper;
use self::peer::Peer;

/// 2026-11-22 12:00 UTC: the time in all tests, also for the certificates.
pub(crate) const NOW: i64 = 1_795_348_800;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Short enough to wait for, long enough for an honest peer on a busy machine.
pub(crate) const SHORT: Duration = Duration::from_millis(150);

pub(crate) const PATH: &str = "/meraki/mall";
pub(crate) const VALIDATOR: &str = "0123456789abcdef0123456789abcdef01234567";

/// A post that is accepted.
pub(crate) fn post_body() -> Vec<u8> {
    padded_post(0)
}

/// A post that is accepted, with so many more bytes.
pub(crate) fn padded_post(more: usize) -> Vec<u8> {
    let padding = " ".repeat(more);
    format!(r#"{{"version":"3.0","secret":"open sesame","type":"WiFi","data":{{"networkId":"N_1","observations":[]}}}}{padding}"#).into_bytes()
}

/// How a listener is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    Off,
    Http1,
    Http2,
}

/// A server on port 0 and everything behind it.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) ingress: Arc<Ingress<Keeper>>,
    pub(crate) keeper: Keeper,
    pub(crate) authority: Authority,
    pub(crate) certificate: Arc<Certificate>,
    pub(crate) receiver_name: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Stopped>,
}

pub(crate) fn limits() -> Limits {
    Limits {
        body: 256 * 1024,
        memory: 16 * 1024 * 1024,
        connections: 64,
        connections_per_address: 64,
        handshake_timeout: PATIENCE,
        header_timeout: PATIENCE,
        body_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        stop_timeout: PATIENCE,
    }
}

impl Running {
    /// With TLS, HTTP/1.1 and generous limits.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}, Tls::Http1).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Limits), tls: Tls) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        Self::start_on(Socket::Tcp(socket), address, change, tls)
    }

    /// With some devices opted out.
    pub(crate) async fn start_without(opted_out: OptOuts) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        Self::start_all(Socket::Tcp(socket), address, |_| {}, Tls::Off, Arc::new(opted_out))
    }

    pub(crate) fn start_on(socket: Socket, address: SocketAddr, change: impl FnOnce(&mut Limits), tls: Tls) -> Self {
        Self::start_all(socket, address, change, tls, Arc::default())
    }

    fn start_all(socket: Socket, address: SocketAddr, change: impl FnOnce(&mut Limits), tls: Tls, opted_out: Arc<OptOuts>) -> Self {
        static SERVERS: AtomicUsize = AtomicUsize::new(0);
        meters::install();
        let mut limits = limits();
        change(&mut limits);
        let receiver_name = format!("mall{}", SERVERS.fetch_add(1, Ordering::Relaxed));
        let secrets = vec![Secret::new("old sesame".into()), Secret::new("open sesame".into())];
        let receivers = Receivers::new(vec![Receiver::new(&receiver_name, PATH, VALIDATOR, secrets)]).unwrap();
        let keeper = Keeper::default();
        let ingress = Ingress::new(limits, receivers, opted_out, keeper.clone(), clock());
        let authority = Authority::new();
        let certificate = Certificate::load(&receiver_name, authority.issue("first"), NOW).unwrap();
        let config = (tls != Tls::Off).then(|| certificate.server_config(tls == Tls::Http2).unwrap());
        let (stop, stopped) = oneshot::channel();
        let listeners = vec![Listener { socket, tls: config }];
        let task = tokio::spawn(serve(listeners, Arc::clone(&ingress), async {
            stopped.await.unwrap();
        }));
        Self { address, ingress, keeper, authority, certificate, receiver_name, stop, task }
    }

    /// A connection after its handshake.
    pub(crate) async fn connect(&self) -> Peer<TlsStream<TcpStream>> {
        self.try_connect(&[]).await.unwrap()
    }

    pub(crate) async fn try_connect(&self, protocols: &[&str]) -> std::io::Result<Peer<TlsStream<TcpStream>>> {
        peer::connect(self.address, &self.authority.certificate, protocols).await
    }

    pub(crate) async fn connect_plain(&self) -> Peer<TcpStream> {
        Peer::new(TcpStream::connect(self.address).await.unwrap())
    }

    pub(crate) fn counts(&self) -> Counts {
        self.ingress.receivers().all()[0].counts()
    }

    /// Waits until the counts are as wished.
    pub(crate) async fn until(&self, wished: impl Fn(&Counts) -> bool) {
        eventually(|| wished(&self.counts())).await;
    }

    /// Tells the server to stop; the answer comes with `stopped`.
    pub(crate) fn tell_stop(self) -> Stopping {
        self.stop.send(()).unwrap();
        Stopping { ingress: self.ingress, task: self.task }
    }

    /// Stops the server, which must be done at once, and checks the law and the budget.
    pub(crate) async fn finish(self) {
        let stopped = self.tell_stop().stopped().await;
        assert_eq!(stopped.cut_connections, 0);
    }

    /// Drops the server as it is.
    pub(crate) async fn abort(self) -> Arc<Ingress<Keeper>> {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
        self.ingress
    }
}

pub(crate) struct Stopping {
    ingress: Arc<Ingress<Keeper>>,
    task: JoinHandle<Stopped>,
}

impl Stopping {
    pub(crate) async fn stopped(self) -> Stopped {
        let stopped = tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
        let counts = self.ingress.receivers().all()[0].counts();
        assert!(counts.balance(), "{counts:?}");
        assert_eq!(counts.open, 0, "{counts:?}");
        assert_eq!(self.ingress.budget().claimed(), 0);
        stopped
    }
}

pub(crate) fn clock() -> Clock {
    Arc::new(|| NOW * 1_000)
}

/// Lets others run until something is so.
pub(crate) async fn eventually(mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

/// A certificate authority and a directory for what it issues.
pub(crate) struct Authority {
    pub(crate) certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { certificate, issuer: Issuer::new(params, key), dir: TempDir::new().unwrap() }
    }

    /// Writes a new pair for localhost under a name.
    pub(crate) fn issue(&self, name: &str) -> Files {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = Files { chain: self.path(name, "pem"), key: self.path(name, "key") };
        std::fs::write(&files.chain, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    fn path(&self, name: &str, extension: &str) -> PathBuf {
        self.dir.path().join(name).with_extension(extension)
    }
}
