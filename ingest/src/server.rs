//! The receiver listeners: accepting, the caps on connections, and the graceful stop.
//!
//! The caller binds the sockets and says when to stop, so that the bind errors, port 0 and the signals are its own matter.

mod connection;
mod deadline;
mod life;
mod slots;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use self::life::{Life, Run};
use self::slots::{Over, Slots};
use crate::handler::{Ingress, Keep};
use crate::metrics::{ACCEPT_ERRORS_TOTAL, CONNECTIONS, CONNECTIONS_REFUSED_TOTAL, CONNECTIONS_TIMED_OUT_TOTAL, HANDSHAKE_ERRORS_TOTAL};

/// The pause after an error that the next call would only meet again, such as the want of a file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket. The file of a unix socket is the caller's to remove.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpListener),
    /// A unix stream socket. Its peers have no address, so that only the cap in all holds for them.
    Unix(UnixListener),
}

/// A socket and how it is spoken to.
#[derive(Debug)]
pub struct Listener {
    /// Where connections come from.
    pub socket: Socket,
    /// TLS, with the protocols that ALPN offers; none for plain HTTP/1.1.
    pub tls: Option<Arc<ServerConfig>>,
}

/// How a stop went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stopped {
    /// Connections that were not done within `limits.stop_timeout`.
    pub cut_connections: usize,
}

/// Serves until `stop` is done, then finishes what is open. Nothing of it runs on when this returns or is dropped.
pub async fn serve<K: Keep>(listeners: Vec<Listener>, ingress: Arc<Ingress<K>>, stop: impl Future<Output = ()>) -> Stopped {
    let meters = Arc::new(Meters::new());
    let limits = ingress.limits();
    let slots = Slots::new(limits.connections, limits.connections_per_address, metrics::gauge!(CONNECTIONS));
    let (mut lives, life) = life::begin();
    for listener in listeners {
        let door = Door { listener, ingress: Arc::clone(&ingress), slots: Arc::clone(&slots), meters: Arc::clone(&meters), life: life.clone() };
        life.spawn(door.keep());
    }
    drop(life);

    stop.await;
    ingress.stop();
    lives.tell(Run::Stopping);
    let finished = async {
        lives.ended().await;
        ingress.join_detached().await;
    };
    let in_time = tokio::time::timeout(limits.stop_timeout, finished).await.is_ok();
    let cut_connections = if in_time { 0 } else { slots.open() };
    if !in_time {
        lives.tell(Run::Cut);
        lives.ended().await;
        ingress.end_detached().await;
    }
    Stopped { cut_connections }
}

/// The counters of connections.
struct Meters {
    over_total: Counter,
    over_address: Counter,
    handshake_timed_out: Counter,
    header_timed_out: Counter,
    write_timed_out: Counter,
    closing_timed_out: Counter,
    handshake_errors: Counter,
    accept_errors: Counter,
}

impl Meters {
    fn new() -> Self {
        Self {
            over_total: metrics::counter!(CONNECTIONS_REFUSED_TOTAL, "reason" => "total"),
            over_address: metrics::counter!(CONNECTIONS_REFUSED_TOTAL, "reason" => "address"),
            handshake_timed_out: metrics::counter!(CONNECTIONS_TIMED_OUT_TOTAL, "phase" => "handshake"),
            header_timed_out: metrics::counter!(CONNECTIONS_TIMED_OUT_TOTAL, "phase" => "header"),
            write_timed_out: metrics::counter!(CONNECTIONS_TIMED_OUT_TOTAL, "phase" => "write"),
            closing_timed_out: metrics::counter!(CONNECTIONS_TIMED_OUT_TOTAL, "phase" => "closing"),
            handshake_errors: metrics::counter!(HANDSHAKE_ERRORS_TOTAL),
            accept_errors: metrics::counter!(ACCEPT_ERRORS_TOTAL),
        }
    }
}

enum Accepted {
    Tcp(TcpStream, IpAddr),
    Unix(UnixStream),
}

impl Socket {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(socket, peer)| Accepted::Tcp(socket, peer.ip())),
            Self::Unix(listener) => listener.accept().await.map(|(socket, _)| Accepted::Unix(socket)),
        }
    }
}

/// A listener with all that its connections need.
struct Door<K> {
    listener: Listener,
    ingress: Arc<Ingress<K>>,
    slots: Arc<Slots>,
    meters: Arc<Meters>,
    life: Life,
}

impl<K: Keep> Door<K> {
    /// Accepts until the server stops.
    async fn keep(self) {
        let mut life = self.life.clone();
        tokio::select! {
            biased;
            () = life.reaches(Run::Stopping) => {}
            () = self.accept_all() => {}
        }
    }

    async fn accept_all(&self) {
        let mut is_failing = false;
        loop {
            match self.listener.socket.accept().await {
                Ok(accepted) => {
                    is_failing = false;
                    self.admit(accepted);
                }
                Err(error) if is_of_one_peer(&error) => {}
                Err(error) => {
                    self.meters.accept_errors.increment(1);
                    if !is_failing {
                        tracing::error!(%error, "accepting a connection failed; trying again until it works");
                    }
                    is_failing = true;
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Starts the connection's task, or drops the connection when it is over a cap.
    fn admit(&self, accepted: Accepted) {
        let address = match &accepted {
            Accepted::Tcp(_, address) => Some(*address),
            Accepted::Unix(_) => None,
        };
        let slot = match self.slots.take(address) {
            Ok(slot) => slot,
            Err(Over::Total) => return self.meters.over_total.increment(1),
            Err(Over::Address) => return self.meters.over_address.increment(1),
        };
        let (tls, ingress, life, meters) = (self.listener.tls.clone(), Arc::clone(&self.ingress), self.life.clone(), Arc::clone(&self.meters));
        self.life.spawn(async move {
            match accepted {
                Accepted::Tcp(socket, _) => {
                    // Answers are one write each: waiting for more only delays them. A socket that refuses is closing anyway.
                    let _ = socket.set_nodelay(true);
                    connection::serve(socket, tls, ingress, life, meters).await;
                }
                Accepted::Unix(socket) => connection::serve(socket, tls, ingress, life, meters).await,
            }
            drop(slot);
        });
    }
}

/// Whether an error of `accept` concerns only the connection that would have been accepted.
fn is_of_one_peer(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted)
}
