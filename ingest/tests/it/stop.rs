//! The graceful stop: what is open is finished, what is idle is closed, and nothing lasts longer than it may.

use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ingest::receiver::Outcome;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

use crate::support::{PATH, PATIENCE, Running, SHORT, Tls, post_body};

#[tokio::test]
async fn open_posts_are_finished_and_idle_connections_closed() {
    let server = Running::start().await;
    server.keeper.hold();
    let (mut idle, mut fresh, mut half, mut waiting) = (server.connect().await, server.connect().await, server.connect().await, server.connect().await);
    assert_eq!(idle.get(PATH).await.status, 200);
    let body = post_body();
    half.send_head(&format!("POST {PATH}"), &format!("Content-Length: {}\r\n", body.len())).await;
    server.until(|counts| counts.open == 1).await;
    let post = tokio::spawn(async move { waiting.post("", post_body()).await });
    server.keeper.arrived(1).await;

    let (keeper, address) = (server.keeper.clone(), server.address);
    let stopping = server.tell_stop();
    assert!(idle.closed().await);
    fresh.closed().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nothing is accepted any more");
    half.send(body).await;
    keeper.arrived(2).await;
    keeper.release();
    let replies = [half.reply().await, post.await.unwrap()];
    assert_eq!(replies.map(|reply| (reply.status, reply.header("connection").map(str::to_owned))), [(200, Some("close".into())), (200, Some("close".into()))]);
    assert_eq!(stopping.stopped().await.cut_connections, 0);
}

#[tokio::test]
async fn posts_that_come_after_the_stop_are_503() {
    let server = Running::start().await;
    let mut peer = server.connect().await;
    assert!(!server.ingress.is_stopping());
    server.ingress.stop();
    assert!(server.ingress.is_stopping());
    assert_eq!(peer.get(PATH).await.status, 200);
    let reply = peer.post("", post_body()).await;
    assert_eq!((reply.status, reply.header("connection")), (503, Some("close")));
    drop(peer);
    assert_eq!(server.counts().of(Outcome::ShedStopping), 1);
    server.finish().await;
}

#[tokio::test]
async fn what_is_not_done_in_time_is_cut_and_counted() {
    for tls in [Tls::Http1, Tls::Http2] {
        let server = Running::start_with(|limits| limits.stop_timeout = SHORT, tls).await;
        server.keeper.hold();
        let (mut waiting, mut left, mut half) = (server.connect().await, server.connect().await, server.connect().await);
        for peer in [&mut waiting, &mut left] {
            let body = post_body();
            peer.send_head(&format!("POST {PATH}"), &format!("Content-Length: {}\r\n", body.len())).await;
            peer.send(body).await;
        }
        half.send_head(&format!("POST {PATH}"), "Content-Length: 10\r\n").await;
        server.until(|counts| counts.open == 3).await;
        server.keeper.arrived(2).await;
        drop(left);
        let ingress = Arc::clone(&server.ingress);
        let stopped = server.tell_stop().stopped().await;
        assert!((2..=3).contains(&stopped.cut_connections), "{stopped:?}");
        waiting.closed().await;
        half.closed().await;
        let counts = ingress.receivers().all()[0].counts();
        assert_eq!((counts.of(Outcome::ShedStopping), counts.of(Outcome::Aborted)), (2, 1));
    }
}

#[tokio::test]
async fn a_server_that_is_dropped_leaves_nothing_behind() {
    let server = Running::start_with(|limits| limits.stop_timeout = Duration::ZERO, Tls::Http1).await;
    let (mut idle, mut half) = (server.connect().await, server.connect().await);
    assert_eq!(idle.get(PATH).await.status, 200);
    half.send_head(&format!("POST {PATH}"), "Content-Length: 10\r\n").await;
    server.until(|counts| counts.open == 1).await;
    let ingress = server.abort().await;
    idle.closed().await;
    half.closed().await;
    let counts = ingress.receivers().all()[0].counts();
    assert_eq!((counts.of(Outcome::Aborted), counts.open), (1, 0));
}

#[tokio::test]
async fn http2_is_stopped_in_good_order_too() {
    let server = Running::start_with(|_| {}, Tls::Http2).await;
    server.keeper.hold();
    let [busy, idle] = [server.try_connect(&["h2"]).await.unwrap(), server.try_connect(&["h2"]).await.unwrap()];
    let ((mut busy, busy_end), (mut idle, idle_end)) = (http2(busy.stream).await, http2(idle.stream).await);
    assert_eq!(idle.send_request(request("GET", "")).await.unwrap().status(), 200);
    let post = tokio::spawn(busy.send_request(request("POST", String::from_utf8(post_body()).unwrap())));
    server.keeper.arrived(1).await;
    let keeper = server.keeper.clone();
    let stopping = server.tell_stop();
    tokio::time::timeout(PATIENCE, idle_end).await.unwrap().unwrap().unwrap();
    keeper.release();
    assert_eq!(post.await.unwrap().unwrap().status(), 200);
    tokio::time::timeout(PATIENCE, busy_end).await.unwrap().unwrap().unwrap();
    assert_eq!(stopping.stopped().await.cut_connections, 0);
}

async fn http2(stream: TlsStream<TcpStream>) -> (SendRequest<String>, JoinHandle<hyper::Result<()>>) {
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

fn request(method: &str, body: impl Into<String>) -> Request<String> {
    Request::builder().method(method).uri(format!("https://localhost{PATH}")).body(body.into()).unwrap()
}
