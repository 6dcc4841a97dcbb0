//! The caps on connections, and sockets that are not TCP.

use std::net::SocketAddr;

use ingest::server::Socket;
use tokio::net::{UnixListener, UnixStream};

use crate::support::meters::counter;
use crate::support::peer::Peer;
use crate::support::{PATH, PATIENCE, Running, Tls, VALIDATOR, post_body};

/// Handshakes until one succeeds: the server notices a moment later that a connection has gone.
async fn until_connected(server: &Running) {
    let trying = async {
        while server.try_connect(&[]).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, trying).await.unwrap();
}

#[tokio::test]
async fn connections_over_a_cap_are_dropped_and_counted() {
    type Change = fn(&mut ingest::handler::Limits);
    let caps: [(Change, &str); 2] = [(|limits| limits.connections = 2, "total"), (|limits| limits.connections_per_address = 2, "address")];
    for (change, reason) in caps {
        let name = format!("footfall_connections_refused_total{{reason={reason}}}");
        let before = counter(&name);
        let server = Running::start_with(change, Tls::Http1).await;
        let (mut first, second) = (server.connect().await, server.connect().await);
        assert!(server.try_connect(&[]).await.is_err());
        assert!(counter(&name) > before);
        assert_eq!(first.post("", post_body()).await.status, 200, "the others are not concerned");
        drop(second);
        until_connected(&server).await;
        server.finish().await;
    }
}

#[tokio::test]
async fn a_unix_socket_serves_plain_http_and_has_no_cap_per_address() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("http.sock");
    let socket = Socket::Unix(UnixListener::bind(&path).unwrap());
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Running::start_on(socket, nowhere, |limits| limits.connections_per_address = 1, Tls::Off);
    let mut peers = Vec::new();
    for _ in 0..3 {
        let mut peer = Peer::new(UnixStream::connect(&path).await.unwrap());
        assert_eq!(peer.get(PATH).await.body, VALIDATOR.as_bytes());
        assert_eq!(peer.post("", post_body()).await.status, 200);
        peers.push(peer);
    }
    server.finish().await;
}

#[tokio::test]
async fn requests_in_one_piece_are_answered_one_after_another() {
    let server = Running::start().await;
    let mut peer = server.connect().await;
    let body = post_body();
    let post = format!("POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}", body.len(), String::from_utf8(body).unwrap());
    peer.send(post.repeat(20)).await;
    for _ in 0..20 {
        assert_eq!(peer.reply().await.status, 200);
    }
    server.finish().await;
}
