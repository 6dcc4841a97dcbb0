//! The memory budget under peers who promise much and peers who send much.

use ingest::receiver::Outcome;

use crate::support::{PATH, Running, Tls, eventually, padded_post, post_body};

fn scarce(limits: &mut ingest::handler::Limits) {
    limits.body = 64 * 1024 * 1024;
    limits.memory = 256 * 1024;
}

/// Ruling 9.
#[tokio::test]
async fn empty_promises_shed_nobody() {
    let server = Running::start_with(scarce, Tls::Http1).await;
    let mut promises = Vec::new();
    for _ in 0..12 {
        let mut peer = server.connect().await;
        peer.send_head(&format!("POST {PATH}"), &format!("Content-Length: {}\r\n", 60 * 1024 * 1024)).await;
        promises.push(peer);
    }
    server.until(|counts| counts.open == 12).await;
    assert_eq!(server.ingress.budget().claimed(), 0);
    for _ in 0..3 {
        assert_eq!(server.connect().await.post("", post_body()).await.status, 200);
    }
    drop(promises);
    server.until(|counts| counts.of(Outcome::Aborted) == 12).await;
    server.finish().await;
}

/// Ruling 9.
#[tokio::test]
async fn a_body_that_cannot_claim_more_is_503_and_gives_back_what_it_had() {
    let server = Running::start_with(scarce, Tls::Http1).await;
    let mut honest = server.connect().await;
    for coding in ["", "Transfer-Encoding: chunked\r\n"] {
        let mut greedy = server.connect().await;
        let length = if coding.is_empty() { "Content-Length: 1000000\r\n" } else { coding };
        greedy.send_head(&format!("POST {PATH}"), length).await;
        // A little more than the budget, and no end.
        let start = if coding.is_empty() { String::new() } else { "80000\r\n".into() };
        greedy.send(format!("{start}{}", " ".repeat(0x4_2000))).await;
        let reply = greedy.reply().await;
        assert_eq!((reply.status, reply.header("retry-after"), reply.header("connection")), (503, Some("5"), Some("close")));
        assert_eq!(server.ingress.budget().claimed(), 0);
        assert_eq!(honest.post("", post_body()).await.status, 200);
    }
    assert_eq!(server.counts().of(Outcome::ShedMemory), 2);
    server.finish().await;
}

#[tokio::test]
async fn what_parsing_takes_is_claimed_too() {
    let server = Running::start_with(scarce, Tls::Http1).await;
    let mut peer = server.connect().await;
    // The body fits. A usual one needs no more; of one that is spelled oddly the tables would not fit.
    assert_eq!(peer.post("", padded_post(180_000)).await.status, 200);
    let odd = String::from_utf8(padded_post(180_000)).unwrap().replace("\"type\"", "\"typ\\u0065\"");
    assert_eq!(peer.post("", odd.into_bytes()).await.status, 503);
    assert_eq!(peer.post("", post_body()).await.status, 200, "the connection goes on: the body was read");
    assert_eq!(server.counts().of(Outcome::ShedMemory), 1);
    server.finish().await;
}

#[tokio::test]
async fn memory_is_held_until_the_post_is_kept() {
    let server = Running::start().await;
    server.keeper.hold();
    let mut peer = server.connect().await;
    let post = tokio::spawn(async move { peer.post("", padded_post(100_000)).await.status });
    server.keeper.arrived(1).await;
    assert!(server.ingress.budget().claimed() >= 100_000);
    server.keeper.release();
    assert_eq!(post.await.unwrap(), 200);
    eventually(|| server.ingress.budget().claimed() == 0).await;
    server.finish().await;
}
