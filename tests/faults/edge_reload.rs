//! Certificates and secrets replaced under load, and replacements that are of no use.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::edge_support::{Posts, metric, small_post, status_of, trust, wait_for_metric};
use crate::harness::{PATIENCE, SECRET, Served, Site};

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A connection after its handshake.
fn connect(served: &Served, config: &Arc<ClientConfig>) -> Tls {
    let socket = TcpStream::connect(&served.https).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut tls = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut socket = socket;
    while tls.is_handshaking() {
        tls.complete_io(&mut socket).unwrap();
    }
    StreamOwned::new(tls, socket)
}

/// The certificate that the server has shown.
fn leaf(connection: &Tls) -> Vec<u8> {
    connection.conn.peer_certificates().unwrap()[0].to_vec()
}

/// A post and its answer on an open connection.
fn post(connection: &mut Tls, body: &str) -> u16 {
    let head = format!("POST /meraki/mall HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    connection.write_all((head + body).as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    let status = status_of(&answer).unwrap();
    assert!(status == 200 || status == 403, "{}", String::from_utf8_lossy(&answer));
    if status == 403 {
        connection.read_exact(&mut vec![0; "the secret is missing or wrong".len()]).unwrap();
    }
    status
}

/// Asks again and again until it is so; each answer is an event of the program.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "not {what}");
    }
}

/// A certificate and its key, made by a server of its own.
fn made(site: &Site) -> (PathBuf, PathBuf, PathBuf) {
    site.serve().stop();
    let of = |name: &str| site.data().join("certificates").join(name);
    (of("server.pem"), of("server.key"), of("ca.pem"))
}

/// Puts a file in another one's place, whole.
fn put(bytes: &[u8], to: &Path) {
    let new = to.with_extension("new");
    fs::write(&new, bytes).unwrap();
    fs::rename(new, to).unwrap();
}

fn edit(site: &Site, from: &str, to: &str) {
    let path = site.path("footfall.toml");
    let config = fs::read_to_string(&path).unwrap();
    assert!(config.contains(from), "{config}");
    put(config.replace(from, to).as_bytes(), &path);
}

#[test]
fn a_certificate_replaced_under_load_breaks_no_connection_and_a_broken_one_is_not_taken() {
    let donors = [Site::sqlite(), Site::sqlite()];
    let [first, second] = [made(&donors[0]), made(&donors[1])];
    let config = trust(&[first.2.clone(), second.2.clone()]);
    let site = Site::sqlite();
    let (chain, key) = (site.path("live.pem"), site.path("live.key"));
    let install = |from: &(PathBuf, PathBuf, PathBuf)| {
        put(&fs::read(&from.1).unwrap(), &key);
        put(&fs::read(&from.0).unwrap(), &chain);
    };
    install(&first);
    edit(&site, "tls = \"self-signed\"", &format!("tls = {{ chain = {chain:?}, key = {key:?} }}"));
    let served = site.serve();
    let (done, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut old = connect(&served, &config);
    let old_leaf = leaf(&old);

    thread::scope(|scope| {
        for _ in 0..3 {
            // New connections all the time, two posts on each: one that breaks is a failure.
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let mut connection = connect(&served, &config);
                    for _ in 0..2 {
                        assert_eq!(post(&mut connection, &small_post(answered.fetch_add(1, Ordering::Relaxed))), 200);
                    }
                }
            });
        }
        until("under load", || answered.load(Ordering::Relaxed) > 20);
        install(&second);
        served.signal("HUP");
        until("replaced", || leaf(&connect(&served, &config)) != old_leaf);
        let new_leaf = leaf(&connect(&served, &config));
        assert_eq!(post(&mut old, &small_post(answered.fetch_add(1, Ordering::Relaxed))), 200, "a connection lives on with the old certificate");

        let refused = || metric(&served, "footfall_certificate_refused_total{listener=\"0\"}");
        // No PEM; half of one; another certificate's key; no file at all.
        let half = fs::read(&second.1).unwrap();
        let cases: [&dyn Fn(); 4] = [&|| put(b"no key", &key), &|| put(&half[..half.len() / 2], &key), &|| put(&fs::read(&first.1).unwrap(), &key), &|| {
            fs::remove_file(&chain).unwrap();
        }];
        for spoil in cases {
            let before = refused();
            let at = answered.load(Ordering::Relaxed);
            spoil();
            served.signal("HUP");
            wait_for_metric(&served, "footfall_certificate_refused_total{listener=\"0\"}", |refused| refused > before);
            until("answering", || answered.load(Ordering::Relaxed) > at + 10);
            assert!(leaf(&connect(&served, &config)) == new_leaf, "the one that serves stays");
        }
        install(&first);
        served.signal("HUP");
        until("back", || leaf(&connect(&served, &config)) == old_leaf);
        done.store(true, Ordering::Relaxed);
    });
    let status = served.wait_until_applied();
    let posts = Posts::of(&status, 0);
    assert_eq!((posts.outcome("accepted"), posts.received()), (answered.load(Ordering::Relaxed), answered.load(Ordering::Relaxed)));
    assert_eq!(metric(&served, "footfall_handshake_errors_total"), 0);
    let log = served.stop();
    assert!(log.contains("the certificate is replaced") && log.contains("the old certificate stays"), "{log}");
}

const NEW: &str = "another-fake-one-91bd";

#[test]
fn a_secret_replaced_under_load_refuses_no_right_post() {
    let site = Site::sqlite();
    let served = site.serve();
    let (done, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let of = |secret: &str| small_post(answered.fetch_add(1, Ordering::Relaxed)).replace(SECRET, secret);
    let once = |secret: &str| served.post("/meraki/mall", of(secret).as_bytes()).0;
    // Whether the senders are to go over to the new secret, and how often each has used it.
    let over = AtomicBool::new(false);
    let used = [(); 3].map(|()| AtomicU64::new(0));
    thread::scope(|scope| {
        for used in &used {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let is_over = over.load(Ordering::Relaxed);
                    assert_eq!(once(if is_over { NEW } else { SECRET }), 200, "the new one: {is_over}");
                    used.fetch_add(u64::from(is_over), Ordering::Relaxed);
                }
            });
        }
        until("under load", || answered.load(Ordering::Relaxed) > 50);
        edit(&site, &format!("secrets = [\"{SECRET}\"]"), &format!("secrets = [\"{SECRET}\", \"{NEW}\"]"));
        served.signal("HUP");
        until("both taken", || once(NEW) == 200);
        assert_eq!(once(SECRET), 200);
        over.store(true, Ordering::Relaxed);
        until("gone over", || used.iter().all(|used| used.load(Ordering::Relaxed) > 0));

        // A configuration that cannot be read changes nothing.
        edit(&site, "[[receiver]]", "[[receiver");
        served.signal("HUP");
        served.wait_for_log("the configuration is not taken; the old secrets stay");
        assert_eq!((once(SECRET), once(NEW)), (200, 200));
        edit(&site, "[[receiver", "[[receiver]]");

        edit(&site, &format!("secrets = [\"{SECRET}\", \"{NEW}\"]"), &format!("secrets = [\"{NEW}\"]"));
        served.signal("HUP");
        until("the old one out", || once(SECRET) == 403);
        assert_eq!(once(NEW), 200);
        done.store(true, Ordering::Relaxed);
    });
    let status = served.wait_until_applied();
    Posts::of(&status, 0).balance();
    let log = served.stop();
    assert!(!log.contains(SECRET) && !log.contains(NEW));
}
