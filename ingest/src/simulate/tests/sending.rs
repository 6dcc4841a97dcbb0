//! Sending, to a receiver of a few lines that writes down what it got and answers as told.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use indicatif::ProgressBar;
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::super::ledger::{Paths, WallClock};
use super::super::load::{self, Load, Pool};
use super::super::replay::{self, Replay, Speed};
use super::super::sender::{Sender, Target};
use super::super::tls::Trust;
use super::*;

/// Takes every post; each `refuse`th request gets a 503, each `hang_up`th no answer.
#[derive(Default)]
struct Receiver {
    requests: AtomicUsize,
    connections: AtomicUsize,
    refuse: usize,
    hang_up: usize,
    bodies: Mutex<Vec<Bytes>>,
}

impl Receiver {
    async fn start(self, tls: Option<TlsAcceptor>) -> (Arc<Self>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Arc::new(self);
        let serving = Arc::clone(&receiver);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let (receiver, tls) = (Arc::clone(&serving), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            // A client that does not believe us ends the handshake.
                            if let Ok(stream) = tls.accept(stream).await {
                                receiver.converse(stream).await;
                            }
                        }
                        None => receiver.converse(stream).await,
                    }
                });
            }
        });
        (receiver, address)
    }

    async fn converse(self: Arc<Self>, stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
        let service = service_fn(|request| Arc::clone(&self).answer(request));
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
        if request.method() == Method::GET {
            return Ok(Response::new(Full::from("the-validator")));
        }
        assert_eq!(request.headers()["content-type"], "application/json");
        assert_eq!(request.uri().path(), "/meraki/mall");
        let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
        let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        if self.hang_up > 0 && number.is_multiple_of(self.hang_up) {
            return Err(std::io::Error::other("hang up"));
        }
        let mut response = Response::new(Full::default());
        if self.refuse > 0 && number.is_multiple_of(self.refuse) {
            *response.status_mut() = hyper::StatusCode::SERVICE_UNAVAILABLE;
        } else {
            self.bodies.lock().unwrap().push(body);
        }
        Ok(response)
    }

    fn body_set(&self) -> BTreeSet<Bytes> {
        self.bodies.lock().unwrap().iter().cloned().collect()
    }
}

fn target(address: SocketAddr) -> Arc<Target> {
    Arc::new(Target::parse(&format!("http://{address}/meraki/mall"), &Trust::System).unwrap())
}

fn paths(folder: &TempDir) -> Paths {
    let path = |name| Some(folder.path().join(name));
    Paths { ledger: path("ledger"), observations: path("observations"), truth: path("truth") }
}

fn lines(path: Option<&std::path::PathBuf>) -> Vec<Value> {
    std::fs::read_to_string(path.unwrap()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn replay(version: Version, retry: bool, paths: &Paths) -> Replay {
    Replay { world: options(version), minutes: 3, speed: Speed::Max, retry, lose_posts: 0.0, parallel: 8, paths: paths.clone() }
}

async fn send(replay: Replay, address: SocketAddr) -> Result<super::super::summary::Summary, RunError> {
    let (_sender, stop) = watch::channel(false);
    let clock = WallClock::new(Timestamp::from_second(START).unwrap());
    replay::run(replay, target(address), clock, stop, &ProgressBar::hidden()).await
}

#[tokio::test]
async fn a_replay_sends_each_post_once_and_keeps_books() {
    let folder = TempDir::new().unwrap();
    let paths = paths(&folder);
    let (receiver, address) = Receiver::default().start(None).await;
    let summary = send(replay(Version::V2, false, &paths), address).await.unwrap();
    let expected = posts(&options(Version::V2), 3);
    assert_eq!(receiver.body_set(), expected.iter().map(|post| post.body.clone()).collect());
    assert_eq!(receiver.connections.load(Ordering::SeqCst), 2, "one connection per network");
    let observations: u64 = expected.iter().map(|post| u64::from(post.observations)).sum();
    assert_eq!((summary.tally.posts, summary.tally.observations), (expected.len() as u64, observations));
    let ledger = lines(paths.ledger.as_ref());
    assert_eq!(ledger.iter().map(|line| line["post"].as_u64().unwrap()).collect::<Vec<_>>(), (1..=expected.len() as u64).collect::<Vec<_>>());
    assert_eq!(ledger.iter().map(|line| line["observations"].as_u64().unwrap()).sum::<u64>(), observations);
    assert!(ledger.iter().all(|line| line["status"] == 200 && line["ap"].is_string() && line["network"].is_string() && line["answer_ms"].is_f64()));
    assert!(ledger[0]["sent_at"].as_str().unwrap().starts_with("2027-01-15T08:00:0"), "{}", ledger[0]);
    let rows = lines(paths.observations.as_ref());
    assert_eq!(rows.len() as u64, observations);
    assert!(rows.iter().all(|row| row["network"].is_null() && row["rssi_dbm"].as_i64().unwrap() < 0));
    assert!(lines(paths.truth.as_ref()).iter().any(|line| line["record"] == "visit"));
}

#[tokio::test]
async fn a_share_of_posts_is_lost_and_the_others_are_as_they_were() {
    let folder = TempDir::new().unwrap();
    let paths = paths(&folder);
    let (receiver, address) = Receiver::default().start(None).await;
    let summary = send(Replay { lose_posts: 0.3, ..replay(Version::V2, false, &paths) }, address).await.unwrap();
    let all: BTreeSet<Bytes> = posts(&options(Version::V2), 3).iter().map(|post| post.body.clone()).collect();
    assert!(receiver.body_set().is_subset(&all));
    assert_eq!(summary.tally.posts + summary.tally.lost, 3 * 2 * options(Version::V2).posts_per_minute());
    assert!((10..60).contains(&summary.tally.lost), "{}", summary.tally.lost);
    assert_eq!(lines(paths.ledger.as_ref()).len() as u64, summary.tally.posts);
    assert_eq!(lines(paths.truth.as_ref()).iter().filter(|line| line["record"] == "site").count(), 2, "the truth is whole");
    assert!(summary.to_string().contains("posts made and not sent"));
}

#[tokio::test]
async fn without_retry_a_refused_post_is_lost_and_said_so() {
    let folder = TempDir::new().unwrap();
    let paths = paths(&folder);
    let (receiver, address) = Receiver { refuse: 4, hang_up: 7, ..Receiver::default() }.start(None).await;
    let summary = send(replay(Version::V2, false, &paths), address).await.unwrap();
    let ledger = lines(paths.ledger.as_ref());
    let with_status = |status: u64| ledger.iter().filter(|line| line["status"] == status).count();
    assert_eq!(with_status(200), receiver.bodies.lock().unwrap().len());
    assert!(with_status(503) > 0 && with_status(0) > 0);
    assert_eq!(with_status(200) + with_status(503) + with_status(0), summary.tally.posts as usize);
    assert_eq!(receiver.requests.load(Ordering::SeqCst), summary.tally.posts as usize, "nothing was tried twice");
}

#[tokio::test]
async fn with_retry_every_post_arrives() {
    let folder = TempDir::new().unwrap();
    let paths = paths(&folder);
    let (receiver, address) = Receiver { refuse: 5, hang_up: 7, ..Receiver::default() }.start(None).await;
    let summary = send(replay(Version::V3, true, &paths), address).await.unwrap();
    assert_eq!(receiver.body_set(), posts(&options(Version::V3), 3).iter().map(|post| post.body.clone()).collect());
    assert!(lines(paths.ledger.as_ref()).iter().all(|line| line["status"] == 200 && line["ap"].is_null()));
    assert!(summary.tally.statuses[&503] > 0 && summary.tally.statuses[&0] > 0, "{:?}", summary.tally.statuses);
}

#[tokio::test]
async fn nothing_to_reach_is_an_error_that_names_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = send(replay(Version::V3, false, &Paths::default()), address).await.unwrap_err();
    assert!(matches!(&error, RunError::Unreachable(message) if message.contains(&address.to_string())), "{error}");
}

#[tokio::test]
async fn a_stop_ends_a_paced_replay_at_once() {
    let (_receiver, address) = Receiver::default().start(None).await;
    let (stopper, stop) = watch::channel(true);
    let paced = Replay { speed: Speed::Factor(0.001), ..replay(Version::V3, false, &Paths::default()) };
    let clock = WallClock::new(Timestamp::UNIX_EPOCH);
    let summary = replay::run(paced, target(address), clock, stop, &ProgressBar::hidden()).await.unwrap();
    assert_eq!(summary.tally.posts, 0);
    drop(stopper);
}

#[tokio::test]
async fn a_stop_leaves_no_post_without_an_answer() {
    for _ in 0..8 {
        let folder = TempDir::new().unwrap();
        let paths = paths(&folder);
        let (receiver, address) = Receiver { hang_up: 2, ..Receiver::default() }.start(None).await;
        let (stopper, stop) = watch::channel(false);
        let (clock, progress) = (WallClock::new(Timestamp::from_second(START).unwrap()), ProgressBar::hidden());
        let stopping = async {
            while receiver.requests.load(Ordering::SeqCst) < 5 {
                tokio::task::yield_now().await;
            }
            stopper.send(true).unwrap();
        };
        let (sent, ()) = tokio::join!(replay::run(replay(Version::V2, true, &paths), target(address), clock, stop, &progress), stopping);
        sent.unwrap();
        assert!(lines(paths.ledger.as_ref()).iter().all(|line| line["status"] == 200), "each post that was begun has its answer");
    }
}

#[tokio::test]
async fn load_keeps_its_rate_and_counts_everything() {
    let (receiver, address) = Receiver::default().start(None).await;
    let mut load = Load { world: options(Version::V2), rate: Some(150.0), connections: 4, seconds: 1, bodies: 100, paths: Paths::default() };
    load.fit(true, true, START);
    let (_stopper, stop) = watch::channel(false);
    let summary = load::run(load, target(address), WallClock::new(Timestamp::UNIX_EPOCH), stop, &ProgressBar::hidden()).await.unwrap();
    let facts = summary.load.unwrap();
    assert_eq!(summary.tally.posts + facts.unsent, 150);
    assert_eq!(facts.bodies, 100);
    assert_eq!(receiver.bodies.lock().unwrap().len() as u64, summary.tally.posts);
    assert!(receiver.body_set().len() <= 100);
    assert_eq!(receiver.connections.load(Ordering::SeqCst), 4);
    assert!(summary.elapsed >= std::time::Duration::from_millis(950), "{:?}", summary.elapsed);
}

#[tokio::test]
async fn a_closed_loop_ends_after_its_time() {
    let (receiver, address) = Receiver::default().start(None).await;
    let mut load = Load { world: options(Version::V3), rate: None, connections: 2, seconds: 1, bodies: 20, paths: Paths::default() };
    load.fit(false, false, START);
    let (_stopper, stop) = watch::channel(false);
    let summary = load::run(load, target(address), WallClock::new(Timestamp::UNIX_EPOCH), stop, &ProgressBar::hidden()).await.unwrap();
    assert_eq!(receiver.requests.load(Ordering::SeqCst) as u64, summary.tally.posts);
    assert!(summary.tally.posts > 20, "bodies are sent again from the first");
}

#[test]
fn a_pool_is_bounded_in_bytes() {
    let world = options(Version::V2);
    let pool = Pool::make(&world, 1000, 200_000, &ProgressBar::hidden());
    assert!(pool.bytes <= 200_000 && pool.posts.len() > 1 && pool.posts.len() < 1000);
    assert_eq!(Pool::make(&world, 1000, 1, &ProgressBar::hidden()).posts.len(), 1);
}

#[tokio::test]
async fn tls_believes_only_whom_it_is_told_to() {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, key.cert.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = rustls::pki_types::PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()).into();
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![key.cert.der().clone()], private).unwrap();
    let (_receiver, address) = Receiver::default().start(Some(TlsAcceptor::from(Arc::new(config)))).await;
    let url = format!("https://localhost:{}/meraki/mall", address.port());
    for (trust, is_believed) in [(Trust::File(file), true), (Trust::AnyCertificate, true), (Trust::System, false)] {
        let Ok(target) = Target::parse(&url, &trust) else {
            assert_eq!(trust, Trust::System, "only a machine without roots may refuse");
            continue;
        };
        let mut sender = Sender::new(Arc::new(target));
        match sender.connect().await {
            Ok(()) => assert!(is_believed, "{trust:?}"),
            Err(error) => assert!(!is_believed && error.is_distrust(), "{trust:?}: {error}"),
        }
        if is_believed {
            assert_eq!(sender.validator().await.unwrap(), (200, Bytes::from("the-validator")));
            assert_eq!(sender.post(&Bytes::from("{}")).await.status, 200);
        }
    }
}

#[test]
fn urls_that_cannot_be_are_refused_with_a_remedy() {
    for url in ["", "localhost:8443/x", "ftp://h/x", "https:///x", "http://user:word@h/x", "/meraki"] {
        let message = Target::parse(url, &Trust::AnyCertificate).err().unwrap_or_default();
        assert!(message.contains("--url") && !message.contains("word"), "{url}: {message}");
    }
    assert_eq!(Target::parse("http://[::1]:80/x?y=1", &Trust::System).unwrap().address(), "[::1]:80");
    let missing = Target::parse("https://h/x", &Trust::File("/nowhere".into())).err().unwrap();
    assert!(missing.contains("--ca"), "{missing}");
}
