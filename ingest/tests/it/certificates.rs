//! Certificates under a live listener, and the private authority.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ingest::certificate::{Certificate, CertificateError, Files, Reload, SelfSigned, self_signed, watch};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::meters::{counter, gauge};
use crate::support::{NOW, PATH, PATIENCE, Running, clock};

/// The leaf that a new connection is shown.
async fn leaf(server: &Running) -> CertificateDer<'static> {
    let peer = server.connect().await;
    peer.stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

fn leaf_of(files: &Files) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(&files.chain).unwrap()
}

#[tokio::test]
async fn a_replaced_pair_serves_from_the_next_handshake_on() {
    let server = Running::start().await;
    let first = server.authority.issue("first");
    let mut old_connection = server.connect().await;
    assert_eq!(server.certificate.reload(NOW), Reload::Replaced);
    assert_eq!(server.certificate.reload(NOW), Reload::Unchanged);
    assert_eq!(leaf(&server).await, leaf_of(&first));
    assert_eq!(old_connection.get(PATH).await.status, 200, "open connections go on");
    server.finish().await;
}

#[tokio::test]
async fn half_a_pair_or_nothing_keeps_the_old_one_with_one_warning() {
    let server = Running::start().await;
    let old = leaf(&server).await;
    let refused = format!("footfall_certificate_refused_total{{listener={}}}", server.receiver_name);
    let new = server.authority.issue("second");
    let serving = Files { chain: new.chain.with_file_name("first.pem"), key: new.key.with_file_name("first.key") };
    let copy = |from: &Path, to: &Path| fs::write(to, fs::read(from).unwrap()).unwrap();

    copy(&new.chain, &serving.chain);
    assert_eq!((server.certificate.reload(NOW), server.certificate.reload(NOW), counter(&refused)), (Reload::Kept, Reload::Unchanged, 1));
    for useless in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        fs::write(&serving.chain, useless).unwrap();
        assert_eq!((server.certificate.reload(NOW), server.certificate.reload(NOW)), (Reload::Kept, Reload::Unchanged), "{useless}");
    }
    fs::remove_file(&serving.chain).unwrap();
    assert_eq!((server.certificate.reload(NOW), server.certificate.reload(NOW), counter(&refused)), (Reload::Kept, Reload::Unchanged, 5));
    assert_eq!(leaf(&server).await, old);

    copy(&new.chain, &serving.chain);
    assert_eq!(server.certificate.reload(NOW), Reload::Kept);
    copy(&new.key, &serving.key);
    assert_eq!(server.certificate.reload(NOW), Reload::Replaced);
    assert_eq!(leaf(&server).await, leaf_of(&new));
    server.finish().await;
}

#[tokio::test]
async fn files_are_watched() {
    let server = Running::start().await;
    let watching = tokio::spawn(watch(vec![Arc::clone(&server.certificate)], Duration::from_millis(5), clock()));
    let new = leaf_of(&server.authority.issue("first"));
    let replaced = async { while leaf(&server).await != new {} };
    tokio::time::timeout(PATIENCE, replaced).await.unwrap();
    watching.abort();
    server.finish().await;
}

#[test]
fn what_cannot_serve_is_an_error_at_the_start() {
    let dir = TempDir::new().unwrap();
    let made = self_signed(dir.path(), &[], NOW).unwrap();
    let missing = Files { chain: made.files.chain.clone(), key: dir.path().join("missing") };
    assert!(matches!(Certificate::load("l", missing, NOW), Err(CertificateError::Read { .. })));
    let swapped = Files { chain: made.files.key.clone(), key: made.files.chain.clone() };
    assert!(matches!(Certificate::load("l", swapped, NOW), Err(CertificateError::Pem { .. })));
    let mixed = Files { chain: made.authority.clone(), key: made.files.key };
    assert!(matches!(Certificate::load("l", mixed, NOW), Err(CertificateError::Pair { .. })));
}

const DAY: i64 = 86_400;

fn contents(made: &SelfSigned) -> [Vec<u8>; 3] {
    [&made.files.chain, &made.files.key, &made.authority].map(|path| fs::read(path).unwrap())
}

#[test]
fn the_authority_stays_and_the_leaf_is_made_again_when_due() {
    let dir = TempDir::new().unwrap();
    let names = ["shop.example".to_owned(), "192.0.2.7".to_owned()];
    let made = self_signed(dir.path(), &names, NOW).unwrap();
    let first = contents(&made);
    let again = |names: &[String], now| contents(&self_signed(dir.path(), names, now).unwrap());
    assert_eq!(again(&names, NOW + 300 * DAY), first);
    assert_eq!(again(&["192.0.2.7".into(), "SHOP.example".into(), "0.0.0.0".into(), "[::]".into(), "[::1]".into()], NOW), first, "the same names");

    let renewed = again(&names, NOW + 367 * DAY);
    assert!(renewed[0] != first[0] && renewed[1] != first[1], "30 days before its end");
    assert_eq!(renewed[2], first[2]);
    let renamed = again(&names[..1], NOW);
    assert!(renamed[0] != renewed[0] && renamed[2] == first[2], "other names, and a date before the leaf's own");

    fs::write(&made.files.key, "half").unwrap();
    let mended = again(&names[..1], NOW);
    assert!(mended[0] != renamed[0] && mended[2] == first[2]);

    let key = dir.path().join("certificates/ca.key");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(key.parent().unwrap()), mode(&key), mode(&made.files.key)), (0o700, 0o600, 0o600));
    fs::remove_file(&key).unwrap();
    assert_eq!(again(&names[..1], NOW), mended, "a leaf that serves needs no authority");
    assert!(matches!(self_signed(dir.path(), &names, NOW), Err(CertificateError::AuthorityKey(_))));
    fs::remove_file(&made.authority).unwrap();
    assert_ne!(again(&names, NOW)[2], first[2], "once it is given up, a new one is made");
}

#[test]
fn a_leaf_tells_its_names_its_dates_and_when_it_ends() {
    let dir = TempDir::new().unwrap();
    let made = self_signed(dir.path(), &["shop.example".to_owned()], NOW).unwrap();
    let der = leaf_of(&made.files);
    let (_, leaf) = x509_parser::parse_x509_certificate(&der).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(names.len(), 4, "{names:?}");
    let validity = leaf.validity();
    let (start, end) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    assert!(start <= NOW - DAY / 2 && end - start == 397 * DAY);
    assert_eq!(leaf.raw_serial().len(), 16);
    crate::support::meters::install();
    let certificate = Certificate::load("expiry test", made.files, NOW).unwrap();
    let expiry = || gauge("footfall_certificate_expiry_seconds{listener=expiry test}");
    assert_eq!((certificate.expires_at(), expiry()), (end, (end - NOW) as f64));
    assert_eq!(certificate.reload(end + 10), Reload::Unchanged);
    assert_eq!(expiry(), -10.0);
}

#[tokio::test]
async fn whoever_trusts_the_authority_trusts_the_listener() {
    let dir = TempDir::new().unwrap();
    let made = self_signed(dir.path(), &[], NOW).unwrap();
    let authority = CertificateDer::from_pem_file(&made.authority).unwrap();
    let certificate = Certificate::load("self-signed", made.files, NOW).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(certificate.server_config(false).unwrap());
    let server = tokio::spawn(async move { acceptor.accept(listener.accept().await.unwrap().0).await.map(drop) });
    let peer = crate::support::peer::connect(address, &authority, &[]).await.unwrap();
    assert_eq!(peer.stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    server.await.unwrap().unwrap();
}
