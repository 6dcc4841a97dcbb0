//! What each request is answered, and how each post is counted.

use ingest::receiver::{Class, Outcome};
use store::journal::AppendError;

use crate::support::meters::counter;
use crate::support::{NOW, PATH, Running, Tls, VALIDATOR, post_body};

/// Ruling 8.
#[tokio::test]
async fn get_answers_the_validator_to_the_byte_and_head_all_but_that() {
    let server = Running::start().await;
    let mut peer = server.connect().await;
    let reply = peer.get(&format!("{PATH}?network=one")).await;
    assert_eq!((reply.status, reply.body.as_slice()), (200, VALIDATOR.as_bytes()));
    assert_eq!(reply.header("content-type"), Some("text/plain"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("content-length"), Some("40"));
    peer.send_head(&format!("HEAD {PATH}"), "").await;
    let reply = peer.reply_without_body().await;
    assert_eq!((reply.status, reply.header("content-length")), (200, Some("40")));
    assert_eq!(peer.get(PATH).await.status, 200, "the connection goes on");
    server.finish().await;
}

#[tokio::test]
async fn a_post_is_kept_without_its_secret_and_answered_200() {
    let server = Running::start().await;
    let mut peer = server.connect().await;
    for _ in 0..3 {
        let reply = peer.post("Content-Type: application/json\r\n", post_body()).await;
        assert_eq!((reply.status, reply.body.as_slice()), (200, b"".as_slice()));
    }
    let counts = server.counts();
    assert_eq!((counts.received, counts.of(Outcome::Accepted), counts.last_post_at_ms), (3, 3, Some(NOW * 1_000)));
    assert_eq!(counter(&format!("footfall_posts_total{{receiver={},outcome=accepted}}", server.receiver_name)), 3);
    {
        let kept = server.keeper.kept();
        assert_eq!(kept.len(), 3);
        assert_eq!(kept[0].body, String::from_utf8(post_body()).unwrap().replace("open sesame", "           "));
        assert_eq!((kept[0].is_unknown, kept[0].has_batch, kept[0].received_at_ms), (false, true, NOW * 1_000));
        assert_eq!(kept[0].receiver, server.receiver_name);
    }
    server.finish().await;
}

/// Ruling 8.
#[tokio::test]
async fn an_unknown_path_is_404_before_a_byte_of_the_body_is_read() {
    let server = Running::start().await;
    for path in ["/", "/meraki/mal", "/meraki/mall/", "/MERAKI/mall", "/meraki/mal%6c"] {
        let mut peer = server.connect().await;
        peer.send_head(&format!("POST {path}"), "Content-Length: 1000\r\n").await;
        let reply = peer.reply().await;
        assert_eq!((reply.status, reply.header("connection")), (404, Some("close")), "{path}");
    }
    assert_eq!(server.connect().await.get("/elsewhere").await.status, 404);
    assert_eq!(server.counts().received, 0);
    server.finish().await;
}

#[tokio::test]
async fn other_methods_are_405_and_say_which_are_not() {
    let server = Running::start().await;
    let mut peer = server.connect().await;
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        peer.send_head(&format!("{method} {PATH}"), "").await;
        let reply = peer.reply().await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD, POST")), "{method}");
    }
    server.finish().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_post_is_told_and_counted_apart() {
    let server = Running::start().await;
    let mut peer = server.connect().await;
    let wrong = String::from_utf8(post_body()).unwrap().replace("open", "shut");
    assert_eq!(peer.post("", b"{").await.status, 400);
    assert_eq!(peer.post("", b"").await.status, 400);
    assert_eq!(peer.post("", wrong).await.status, 403);
    assert_eq!(peer.post("", b"[]").await.status, 403);
    let rotated = String::from_utf8(post_body()).unwrap().replace("open", "old");
    assert_eq!(peer.post("", &rotated).await.status, 200, "each of several secrets is right");
    server.ingress.receivers().all()[0].replace_secrets(Vec::new());
    assert_eq!(peer.post("", &rotated).await.status, 403, "replaced secrets hold from the next post on");
    let reply = peer.post("Content-Encoding: br\r\n", post_body()).await;
    assert_eq!((reply.status, reply.header("connection")), (415, Some("close")));
    let counts = server.counts();
    assert_eq!([Outcome::NotJson, Outcome::Secret, Outcome::Encoding].map(|outcome| counts.of(outcome)), [2, 3, 1]);
    assert_eq!((counts.of_class(Class::Rejected), counts.of_class(Class::Kept)), (6, 1));
    drop(peer);
    server.finish().await;
}

#[tokio::test]
async fn an_authentic_post_of_unknown_shape_is_200_and_marked_for_quarantine() {
    let server = Running::start().await;
    let mut peer = server.connect().await;
    assert_eq!(peer.post("", br#"{"version":"9.0","secret":"open sesame","type":"X","data":{}}"#).await.status, 200);
    assert_eq!(server.counts().of(Outcome::Quarantined), 1);
    assert!(server.keeper.kept()[0].is_unknown && !server.keeper.kept()[0].has_batch);
    server.finish().await;
}

#[tokio::test]
async fn what_the_journal_says_is_what_the_peer_hears() {
    let failures = [
        (AppendError::Full, 503, Some("30"), Outcome::ShedJournal),
        (AppendError::Failed, 503, Some("30"), Outcome::ShedJournal),
        (AppendError::Fenced, 503, Some("30"), Outcome::ShedFenced),
        (AppendError::Stopped, 503, Some("5"), Outcome::ShedStopping),
        (AppendError::TooLarge, 413, None, Outcome::TooLarge),
    ];
    let server = Running::start().await;
    let mut peer = server.connect().await;
    for (failure, status, retry_after, outcome) in failures {
        let before = server.counts().of(outcome);
        server.keeper.fail(failure);
        let reply = peer.post("", post_body()).await;
        assert_eq!((reply.status, reply.header("retry-after")), (status, retry_after), "{outcome:?}");
        assert_eq!(server.counts().of(outcome), before + 1);
    }
    assert_eq!(server.counts().last_post_at_ms, None);
    server.finish().await;
}

#[tokio::test]
async fn too_large_a_head_is_431() {
    let server = Running::start().await;
    let mut peer = server.connect().await;
    peer.send_head(&format!("GET {PATH}"), &format!("X-Long: {}\r\n", "x".repeat(40_000))).await;
    assert_eq!(peer.reply().await.status, 431);
    drop(peer);
    server.finish().await;
}

#[tokio::test]
async fn http2_is_spoken_only_where_it_is_switched_on() {
    let server = Running::start_with(|_| {}, Tls::Http2).await;
    let peer = server.try_connect(&["h2", "http/1.1"]).await.unwrap();
    assert_eq!(peer.stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (status, body) = http2::get(peer.stream).await;
    assert_eq!((status, body.as_slice()), (200, VALIDATOR.as_bytes()));
    let peer = server.try_connect(&["h2"]).await.unwrap();
    assert_eq!(http2::posts(peer.stream, 100).await, [200; 100]);
    assert_eq!(server.counts().of(Outcome::Accepted), 101);
    let mut peer = server.try_connect(&["http/1.1"]).await.unwrap();
    assert_eq!(peer.post("", post_body()).await.status, 200);
    server.finish().await;

    let server = Running::start().await;
    let mut peer = server.try_connect(&["h2", "http/1.1"]).await.unwrap();
    assert_eq!(peer.stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    assert_eq!(peer.get(PATH).await.status, 200);
    assert!(server.try_connect(&["h2"]).await.is_err());
    server.finish().await;
}

mod http2 {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use hyper::Request;
    use hyper::client::conn::http2::{SendRequest, handshake};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::net::TcpStream;
    use tokio_rustls::client::TlsStream;

    use crate::support::{PATH, post_body};

    async fn sender(stream: TlsStream<TcpStream>) -> SendRequest<Full<Bytes>> {
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    fn request(method: &str, body: Vec<u8>) -> Request<Full<Bytes>> {
        Request::builder().method(method).uri(format!("https://localhost{PATH}")).body(Full::from(body)).unwrap()
    }

    pub(super) async fn get(stream: TlsStream<TcpStream>) -> (u16, Vec<u8>) {
        let reply = sender(stream).await.send_request(request("GET", Vec::new())).await.unwrap();
        (reply.status().as_u16(), reply.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    /// Many at once on one connection, after a first one: until its answer the client knows no limit to its streams.
    pub(super) async fn posts(stream: TlsStream<TcpStream>, count: usize) -> Vec<u16> {
        let mut sender = sender(stream).await;
        assert_eq!(sender.send_request(request("POST", post_body())).await.unwrap().status(), 200);
        let posts: Vec<_> = (0..count)
            .map(|_| {
                let mut sender = sender.clone();
                tokio::spawn(async move {
                    sender.ready().await.unwrap();
                    sender.send_request(request("POST", post_body())).await.unwrap().status().as_u16()
                })
            })
            .collect();
        let mut statuses = Vec::new();
        for post in posts {
            statuses.push(post.await.unwrap());
        }
        statuses
    }
}
