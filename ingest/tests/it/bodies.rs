//! Bodies in all their ways: chunked, compressed, too large, broken off.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use ingest::receiver::Outcome;

use crate::support::peer::Peer;
use crate::support::{PATH, Running, Tls, padded_post, post_body};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn chunked(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut coded = Vec::new();
    for chunk in bytes.chunks(size) {
        write!(coded, "{:x}\r\n", chunk.len()).unwrap();
        coded.extend_from_slice(chunk);
        coded.extend_from_slice(b"\r\n");
    }
    coded.extend_from_slice(b"0\r\n\r\n");
    coded
}

#[tokio::test]
async fn chunked_bodies_are_taken_like_any_other() {
    let server = Running::start().await;
    let mut peer = server.connect().await;
    for size in [1, 7, 100_000] {
        peer.send_head(&format!("POST {PATH}"), "Transfer-Encoding: chunked\r\n").await;
        peer.send(chunked(&padded_post(1_000), size)).await;
        assert_eq!(peer.reply().await.status, 200, "chunks of {size}");
    }
    assert!(server.keeper.kept().iter().all(|kept| kept.body.len() == padded_post(1_000).len()));
    server.finish().await;
}

#[tokio::test]
async fn broken_chunks_are_400() {
    let server = Running::start().await;
    let mut peer = server.connect().await;
    peer.send_head(&format!("POST {PATH}"), "Transfer-Encoding: chunked\r\n").await;
    peer.send("5\r\n{\"a\":\r\nnot a size\r\n").await;
    let reply = peer.reply().await;
    assert_eq!((reply.status, reply.header("connection")), (400, Some("close")));
    drop(peer);
    assert_eq!(server.counts().of(Outcome::NotJson), 1);
    server.finish().await;
}

#[tokio::test]
async fn a_length_over_the_limit_is_413_at_once() {
    let server = Running::start().await;
    let limit = server.ingress.limits().body;
    let mut peer = server.connect().await;
    peer.send_head(&format!("POST {PATH}"), &format!("Content-Length: {}\r\n", limit + 1)).await;
    let reply = peer.reply().await;
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close")));
    drop(peer);
    let mut peer = server.connect().await;
    assert_eq!(peer.post("", padded_post(limit - post_body().len())).await.status, 200, "the limit itself is taken");
    assert_eq!(server.counts().of(Outcome::TooLarge), 1);
    server.finish().await;
}

/// The peer goes on sending: it must get to read its answer all the same, and not a reset.
#[tokio::test]
async fn a_body_that_grows_over_the_limit_is_413_while_it_is_sent() {
    let server = Running::start().await;
    let mut peer = server.connect().await;
    let body = chunked(&vec![b' '; 4 * 1024 * 1024], 16 * 1024);
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    peer.send(head).await;
    let (reading, mut writing) = tokio::io::split(peer.stream);
    let writer = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        // Whether all of it is taken is the server's matter.
        let _ = writing.write_all(&body).await;
        let _ = writing.shutdown().await;
        writing
    });
    let mut peer = Peer::new(tokio::io::join(reading, tokio::io::sink()));
    let reply = peer.reply().await;
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close")));
    peer.closed().await;
    writer.await.unwrap();
    server.finish().await;
}

/// Ruling 8.
#[tokio::test]
async fn gzip_is_taken_and_its_pieces_too() {
    let server = Running::start().await;
    let mut peer = server.connect().await;
    let body = padded_post(100_000);
    let (first, second) = body.split_at(40);
    let members = [gzip(first), gzip(second)].concat();
    for (coding, coded) in [("gzip", gzip(&body)), ("x-gzip", gzip(&body)), ("GZIP", members), ("identity", body.clone())] {
        assert_eq!(peer.post(&format!("Content-Encoding: {coding}\r\n"), coded).await.status, 200, "{coding}");
    }
    assert!(server.keeper.kept().iter().all(|kept| kept.body.len() == body.len()));
    let twice = peer.post("Content-Encoding: gzip, gzip\r\n", gzip(&gzip(&body))).await;
    assert_eq!(twice.status, 415);
    drop(peer);
    server.finish().await;
}

#[tokio::test]
async fn gzip_that_is_not_whole_or_not_gzip_is_400() {
    let server = Running::start().await;
    let whole = gzip(&padded_post(1_000));
    let truncated = |bytes: usize| whole[..bytes].to_vec();
    let garbage = [whole.as_slice(), b"and something more"].concat();
    let mut wrong_sum = whole.clone();
    let sum_at = wrong_sum.len() - 8;
    wrong_sum[sum_at] ^= 1;
    let broken = [truncated(0), truncated(5), truncated(whole.len() - 9), truncated(whole.len() - 1), garbage, wrong_sum, post_body()];
    let count = broken.len() as u64;
    for (at, body) in broken.into_iter().enumerate() {
        let reply = server.connect().await.post("Content-Encoding: gzip\r\n", body).await;
        assert_eq!(reply.status, 400, "case {at}");
    }
    assert_eq!(server.counts().of(Outcome::NotJson), count);
    server.finish().await;
}

/// Ruling 8.
#[tokio::test]
async fn a_gzip_bomb_is_413_and_costs_no_more_than_the_limit() {
    let server = Running::start_with(|limits| limits.memory = 512 * 1024, Tls::Http1).await;
    let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
    assert!(bomb.len() < server.ingress.limits().body);
    let reply = server.connect().await.post("Content-Encoding: gzip\r\n", bomb).await;
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close")));
    assert_eq!(server.ingress.budget().claimed(), 0);
    server.finish().await;
}

#[tokio::test]
async fn a_peer_that_leaves_within_its_body_is_counted_as_aborted() {
    let server = Running::start().await;
    for headers in ["Content-Length: 100\r\n", "Transfer-Encoding: chunked\r\n", "Content-Encoding: gzip\r\nContent-Length: 100\r\n"] {
        let mut peer = server.connect().await;
        peer.send_head(&format!("POST {PATH}"), headers).await;
        server.until(|counts| counts.open == 1).await;
        drop(peer);
        server.until(|counts| counts.open == 0).await;
    }
    assert_eq!(server.counts().of(Outcome::Aborted), 3);
    server.finish().await;
}

#[tokio::test]
async fn a_peer_that_has_said_all_it_has_to_say_is_answered() {
    use tokio::io::AsyncWriteExt;
    let server = Running::start().await;
    for _ in 0..20 {
        let mut peer = server.connect().await;
        let body = post_body();
        peer.send([format!("POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat()).await;
        peer.stream.shutdown().await.unwrap();
        assert_eq!(peer.reply().await.status, 200);
        peer.closed().await;
    }
    assert_eq!(server.counts().of(Outcome::Accepted), 20);
    server.finish().await;
}

#[tokio::test]
async fn a_whole_post_is_kept_and_counted_also_when_its_peer_has_left() {
    let server = Running::start().await;
    server.keeper.hold();
    let mut peer = server.connect().await;
    let body = post_body();
    peer.send_head(&format!("POST {PATH}"), &format!("Content-Length: {}\r\n", body.len())).await;
    peer.send(body).await;
    server.keeper.arrived(1).await;
    drop(peer);
    server.keeper.release();
    server.until(|counts| counts.of(Outcome::Accepted) == 1).await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_are_parsed_apart_and_come_back_whole() {
    let change = |limits: &mut ingest::handler::Limits| {
        limits.body = 8 * 1024 * 1024;
        limits.memory = 256 * 1024 * 1024;
    };
    let server = Running::start_with(change, Tls::Http1).await;
    let mut peer = server.connect().await;
    for size in [3 * 1024 * 1024, 10, 7 * 1024 * 1024] {
        assert_eq!(peer.post("", padded_post(size)).await.status, 200);
    }
    assert_eq!(server.keeper.kept().iter().map(|kept| kept.body.len() - post_body().len()).collect::<Vec<_>>(), [3 * 1024 * 1024, 10, 7 * 1024 * 1024]);
    server.finish().await;
}

#[tokio::test]
async fn expect_continue_is_answered_before_the_body_and_not_for_what_is_refused() {
    let server = Running::start().await;
    let mut peer = server.connect().await;
    let body = post_body();
    peer.send_head(&format!("POST {PATH}"), &format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len())).await;
    assert_eq!(peer.reply().await.status, 100);
    peer.send(body).await;
    assert_eq!(peer.reply().await.status, 200);
    peer.send_head(&format!("POST {PATH}"), "Expect: 100-continue\r\nContent-Length: 99999999\r\n").await;
    assert_eq!(peer.reply().await.status, 413);
    drop(peer);
    server.finish().await;
}
