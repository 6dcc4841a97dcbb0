//! Silent and stalled peers are really closed, and the patient ones are not.

use ingest::receiver::Outcome;
use tokio::io::AsyncWriteExt;

use crate::support::meters::counter;
use crate::support::{PATH, PATIENCE, Running, SHORT, Tls, post_body};

#[tokio::test]
async fn a_silent_handshake_is_closed() {
    let server = Running::start_with(|limits| limits.handshake_timeout = SHORT, Tls::Http1).await;
    let mut peer = server.connect_plain().await;
    peer.closed().await;
    let mut peer = server.connect_plain().await;
    peer.send([22, 3, 1]).await;
    peer.closed().await;
    assert!(counter("footfall_connections_timed_out_total{phase=handshake}") >= 2);
    server.finish().await;
}

/// Ruling 9.
#[tokio::test]
async fn a_head_that_never_ends_is_closed_and_so_is_one_that_never_begins() {
    let server = Running::start_with(|limits| limits.header_timeout = SHORT, Tls::Http1).await;
    let mut peer = server.connect().await;
    peer.closed().await;
    let mut peer = server.connect().await;
    peer.send(format!("POST {PATH} HTTP/1.1\r\nHost: loc")).await;
    peer.closed().await;
    let mut peer = server.connect().await;
    assert_eq!(peer.get(PATH).await.status, 200);
    peer.send("G").await;
    peer.closed().await;
    assert!(counter("footfall_connections_timed_out_total{phase=header}") >= 3);
    assert_eq!(server.counts().received, 0, "without a whole head there is no post");
    server.finish().await;
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_deadline() {
    let server = Running::start_with(|limits| limits.header_timeout = SHORT, Tls::Http1).await;
    let mut idle = server.connect().await;
    assert_eq!(idle.get(PATH).await.status, 200);
    let mut silent = server.connect().await;
    silent.closed().await;
    // The header deadline has passed since the idle one was answered.
    assert_eq!(idle.post("", post_body()).await.status, 200);
    server.finish().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_good_order() {
    for tls in [Tls::Http1, Tls::Http2] {
        let server = Running::start_with(|limits| limits.idle_timeout = SHORT, tls).await;
        let mut peer = server.connect().await;
        assert_eq!(peer.get(PATH).await.status, 200);
        assert!(peer.closed().await, "TLS is ended before the socket");
        server.finish().await;
    }
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed() {
    let server = Running::start_with(|limits| limits.idle_timeout = SHORT, Tls::Http2).await;
    let peer = server.try_connect(&["h2"]).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(peer.stream);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get(format!("https://localhost{PATH}")).body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    tokio::time::timeout(PATIENCE, connection).await.unwrap().unwrap().unwrap();
    server.finish().await;
}

/// Ruling 9.
#[tokio::test]
async fn a_body_that_comes_too_slowly_is_408() {
    let server = Running::start_with(|limits| limits.body_timeout = SHORT, Tls::Http1).await;
    for sent in ["", "{\"version\":"] {
        let mut peer = server.connect().await;
        peer.send_head(&format!("POST {PATH}"), "Content-Length: 1000\r\n").await;
        peer.send(sent).await;
        let reply = peer.reply().await;
        assert_eq!((reply.status, reply.header("connection")), (408, Some("close")));
        peer.stream.shutdown().await.unwrap();
        peer.closed().await;
    }
    assert_eq!(server.counts().of(Outcome::TooSlow), 2);
    assert_eq!(server.ingress.budget().claimed(), 0);
    server.finish().await;
}

/// Requests without end, of whose answers none is read.
#[tokio::test]
async fn a_peer_that_reads_no_answer_is_closed() {
    let server = Running::start_with(|limits| limits.body_timeout = SHORT, Tls::Off).await;
    let mut peer = server.connect_plain().await;
    let requests = format!("GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(1_000);
    let flood = async { while peer.stream.write_all(requests.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, flood).await.unwrap();
    assert!(counter("footfall_connections_timed_out_total{phase=write}") >= 1);
    server.finish().await;
}

/// While a post waits for the disk, no deadline of the connection runs.
#[tokio::test]
async fn a_slow_journal_is_not_the_peers_fault() {
    let change = |limits: &mut ingest::handler::Limits| (limits.header_timeout, limits.body_timeout, limits.idle_timeout) = (SHORT, SHORT, SHORT);
    let server = Running::start_with(change, Tls::Http1).await;
    server.keeper.hold();
    let mut waiting = server.connect().await;
    let mut silent = server.connect().await;
    let post = tokio::spawn(async move { waiting.post("", post_body()).await.status });
    server.keeper.arrived(1).await;
    silent.closed().await;
    let mut another = server.connect().await;
    another.closed().await;
    server.keeper.release();
    assert_eq!(post.await.unwrap(), 200);
    server.finish().await;
}
