//! A thousand peers that are silent or slow in every phase, while honest posts are answered.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::edge_support::{MIB, Posts, memory_of, metric, small_post, status_of, trust, wait_for_metric};
use crate::harness::{PATIENCE, Served, Site};

/// How a peer is bad.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bad {
    /// Connects and says nothing.
    Mute,
    /// Stops within its first message of TLS.
    HalfHello,
    /// Speaks TLS and then nothing.
    Silent,
    /// Sends its head byte by byte and never ends.
    Head,
    /// Sends its body byte by byte and never ends.
    Body,
}

const ALL: [(Bad, usize); 5] = [(Bad::Mute, 250), (Bad::HalfHello, 100), (Bad::Silent, 150), (Bad::Head, 250), (Bad::Body, 250)];
const COUNT: usize = 1_000;
/// Below the cap per address, so that this many addresses hold all.
const PER_ADDRESS: usize = 125;

struct Peer {
    bad: Bad,
    stream: TcpStream,
    read: Vec<u8>,
    is_closed: bool,
}

impl Peer {
    /// Connects from an address of its group's, and sends what it sends at first.
    async fn connect(n: usize, bad: Bad, served: &Served, tls: &Arc<ClientConfig>) -> Self {
        let is_tls = matches!(bad, Bad::Mute | Bad::HalfHello | Bad::Silent);
        let to: SocketAddr = if is_tls { &served.https } else { &served.http }.parse().unwrap();
        let mut stream = connect_from(Ipv4Addr::new(127, 0, 7, 1 + (n / PER_ADDRESS) as u8), to).await;
        match bad {
            Bad::Mute => {}
            Bad::HalfHello => stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap(),
            Bad::Silent => shake_hands(&mut stream, tls).await,
            Bad::Head => stream.write_all(b"POST /meraki/mall HTTP/1.1\r\nHost: f\r\nX-Slow: ").await.unwrap(),
            Bad::Body => stream.write_all(b"POST /meraki/mall HTTP/1.1\r\nHost: f\r\nContent-Length: 100000\r\n\r\n{\"version\":").await.unwrap(),
        }
        Self { bad, stream, read: Vec::new(), is_closed: false }
    }

    /// Sends one byte more if that is its way, and looks whether it was closed.
    fn drip(&mut self) {
        if matches!(self.bad, Bad::Head | Bad::Body) {
            let _ = self.stream.try_write(b"1");
        }
        let mut buffer = [0; 4096];
        match self.stream.try_read(&mut buffer) {
            Ok(0) => self.is_closed = true,
            Ok(count) => self.read.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => self.is_closed = true,
        }
    }
}

async fn connect_from(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// The handshake to its end, after which the client has nothing to say.
async fn shake_hands(stream: &mut TcpStream, config: &Arc<ClientConfig>) {
    let mut tls = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost").unwrap()).unwrap();
    while tls.is_handshaking() || tls.wants_write() {
        let mut out = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut out).unwrap();
        }
        stream.write_all(&out).await.unwrap();
        if tls.is_handshaking() {
            let mut buffer = [0; 8192];
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "closed within the handshake");
            tls.read_tls(&mut &buffer[..count]).unwrap();
            tls.process_new_packets().unwrap();
        }
    }
}

/// One honest post on a connection of its own.
async fn honest(served: &Served, number: u64) -> u16 {
    let body = small_post(number);
    let mut stream = TcpStream::connect(&served.http).await.unwrap();
    let head = format!("POST /meraki/mall HTTP/1.1\r\nHost: f\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    status_of(&answer).unwrap()
}

#[tokio::test]
async fn a_thousand_silent_and_slow_peers_keep_no_honest_post_from_its_answer() {
    let site = Site::sqlite_with("[limits]\nhandshake_timeout = \"10s\"\nheader_timeout = \"10s\"\nbody_timeout = \"10s\"\nidle_timeout = \"10s\"\n");
    let served = site.serve();
    assert_eq!(honest(&served, 0).await, 200);
    let before = memory_of(&served, "VmRSS");
    let tls = trust(&[site.data().join("certificates/ca.pem")]);
    let kinds = ALL.iter().flat_map(|(bad, count)| std::iter::repeat_n(*bad, *count));
    let mut peers = Vec::with_capacity(COUNT);
    for (n, bad) in kinds.enumerate() {
        peers.push(Peer::connect(n, bad, &served, &tls).await);
    }
    assert_eq!(peers.len(), COUNT);
    let at_most = wait_for_metric(&served, "footfall_connections", |open| open >= COUNT as u64);

    // Each answered honest post lets every slow peer send one more byte; this ends when the last bad one was closed.
    let mut answered = 0;
    let started = Instant::now();
    while peers.iter().any(|peer| !peer.is_closed) {
        assert!(started.elapsed() < PATIENCE, "still open: {:?}", peers.iter().filter(|peer| !peer.is_closed).map(|peer| peer.bad).collect::<Vec<_>>());
        answered += 1;
        assert_eq!(honest(&served, answered).await, 200, "after {answered} honest posts");
        peers.iter_mut().filter(|peer| !peer.is_closed).for_each(Peer::drip);
    }
    assert!(answered > 20, "{answered} honest posts beside {at_most} connections");
    let highest = memory_of(&served, "VmHWM");
    assert!(highest - before <= COUNT as u64 * 128 * 1024 + 32 * MIB, "{} MiB before, {} MiB at most", before / MIB, highest / MIB);

    wait_for_metric(&served, "footfall_connections", |open| open == 0);
    let timed_out = |phase: &str| metric(&served, &format!("footfall_connections_timed_out_total{{phase=\"{phase}\"}}"));
    assert_eq!([timed_out("handshake"), timed_out("header")], [350, 400]);
    let status = served.wait_until_applied();
    let posts = Posts::of(&status, 0);
    posts.balance();
    assert_eq!((posts.outcome("too_slow"), posts.outcome("accepted")), (250, answered + 1));
    assert!(peers.iter().all(|peer| (status_of(&peer.read) == Some(408)) == (peer.bad == Bad::Body)), "408 for a slow body, nothing for the others");
    assert_eq!(site.number("SELECT count(*) FROM observations"), answered as i64 + 1);
    assert_eq!(metric(&served, "footfall_memory_claimed_bytes"), 0);
    println!("{answered} honest posts; resident {} MiB before and {} MiB at most", before / MIB, highest / MIB);
    served.stop();
}

#[tokio::test]
async fn one_address_takes_no_more_connections_than_its_share() {
    let site = Site::sqlite_with("[limits]\nconnections_per_address = 40\nhandshake_timeout = \"1m\"\nheader_timeout = \"1m\"\n");
    let served = site.serve();
    let to: SocketAddr = served.http.parse().unwrap();
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(connect_from(Ipv4Addr::new(127, 0, 7, 1), to).await);
    }
    wait_for_metric(&served, "footfall_connections_refused_total{reason=\"address\"}", |refused| refused == 60);
    assert_eq!(metric(&served, "footfall_connections"), 40);
    for number in 0..10 {
        assert_eq!(honest(&served, number).await, 200, "from another address");
    }
    drop(held);
    wait_for_metric(&served, "footfall_connections", |open| open == 0);
    served.stop();
}
