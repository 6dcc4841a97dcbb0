//! A TCP proxy between the program and Postgres that understands the protocol well enough to fail at a chosen message.
//!
//! It has no clock: what it holds back waits until the test says otherwise. See <https://www.postgresql.org/docs/15/protocol.html>.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use crate::harness::PATIENCE;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The next COMMIT reaches the server and is done; its answer is swallowed and the connection cut.
    LoseCommitAnswer,
    /// The connection is cut before the next COMMIT reaches the server.
    LoseCommit,
    /// The connection is cut after so many bytes of rows.
    CutRows(u64),
    /// From the next COMMIT on nothing goes through, neither there nor back nor on new connections, and no connection is closed.
    SwallowFromCommit,
    /// Nothing goes through.
    Swallow,
    /// So many bytes go to the server, and then no more until it is set anew.
    Allow(u64),
}

/// A running proxy.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    socket: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    /// Faults that have happened.
    hits: u32,
    /// Where bytes go, to cut them.
    ends: Vec<(TcpStream, UnixStream)>,
    stopping: bool,
}

impl Proxy {
    /// Starts one in front of a server's socket.
    pub(crate) fn start(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { socket, state: Mutex::default(), changed: Condvar::new() });
        let accepting = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for client in listener.incoming() {
                    if shared.lock().stopping {
                        return;
                    }
                    // A server that is away refuses: so does the proxy, by closing.
                    if let (Ok(client), Ok(server)) = (client, UnixStream::connect(&shared.socket)) {
                        shared.join(client, server);
                    }
                }
            }
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    /// The URL of a database by way of the proxy.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}?sslmode=disable", self.address)
    }

    /// Makes something go wrong from now on, or nothing any more.
    pub(crate) fn set(&self, fault: Option<Fault>) {
        self.shared.lock().fault = fault;
        self.shared.changed.notify_all();
    }

    /// Lets so many more bytes through.
    pub(crate) fn allow(&self, more: u64) {
        let mut state = self.shared.lock();
        let left = if let Some(Fault::Allow(left)) = state.fault { left } else { 0 };
        state.fault = Some(Fault::Allow(left + more));
        self.shared.changed.notify_all();
    }

    /// Waits until a fault has happened, and heals.
    pub(crate) fn wait_for_hit(&self) {
        let state = self.shared.lock();
        let (mut state, waited) = self.shared.changed.wait_timeout_while(state, PATIENCE, |state| state.hits == 0).unwrap();
        assert!(!waited.timed_out(), "the fault never happened: {:?}", state.fault);
        state.hits = 0;
    }

    /// Cuts every connection on the program's side. What is held back for the server still arrives when the fault is over.
    pub(crate) fn hang_up(&self) {
        for (client, _) in &self.shared.lock().ends {
            let _ = client.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.stopping = true;
            state.fault = None;
            self.shared.cut_all(&mut state);
        }
        self.shared.changed.notify_all();
        // Wakes the one that accepts.
        let _ = TcpStream::connect(self.address);
        let _ = self.accepting.take().unwrap().join();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked with the lock still wants its proxy to end.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn cut_all(&self, state: &mut State) {
        for (client, server) in state.ends.drain(..) {
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        }
    }

    fn join(self: &Arc<Self>, client: TcpStream, server: UnixStream) {
        let _ = client.set_nodelay(true);
        self.lock().ends.push((client.try_clone().unwrap(), server.try_clone().unwrap()));
        let link = Arc::new(Link { shared: Arc::clone(self), client, server, commit_sent: Mutex::new(false) });
        for pump in [Link::to_server, Link::to_client] {
            let link = Arc::clone(&link);
            std::thread::spawn(move || {
                let _ = pump(&link);
                link.cut();
            });
        }
    }
}

/// One connection.
struct Link {
    shared: Arc<Shared>,
    client: TcpStream,
    server: UnixStream,
    /// The answer to a COMMIT is on its way and will be swallowed.
    commit_sent: Mutex<bool>,
}

impl Link {
    fn cut(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }

    fn to_server(&self) -> io::Result<()> {
        let (mut client, mut server) = (&self.client, &self.server);
        // The first message has no type.
        let mut message = vec![0; 4];
        client.read_exact(&mut message)?;
        read_rest(&mut client, &mut message, 0)?;
        loop {
            let through = self.judge(&message);
            server.write_all(&message[..through])?;
            if through < message.len() {
                return Ok(());
            }
            message.resize(HEAD_BYTES, 0);
            client.read_exact(&mut message)?;
            read_rest(&mut client, &mut message, 1)?;
        }
    }

    /// How many bytes of a message of the client go on; fewer than all of them cut the connection. May wait.
    fn judge(&self, message: &[u8]) -> usize {
        let is_commit = message == COMMIT;
        let mut state = self.shared.lock();
        loop {
            match state.fault {
                Some(Fault::LoseCommitAnswer) if is_commit => {
                    *self.commit_sent.lock().unwrap() = true;
                    state.fault = None;
                    return message.len();
                }
                Some(Fault::LoseCommit) if is_commit => {
                    self.hit(&mut state);
                    return 0;
                }
                Some(Fault::CutRows(left)) if message[0] == COPY_DATA => {
                    let bytes = (message.len() - HEAD_BYTES) as u64;
                    if bytes >= left {
                        self.hit(&mut state);
                        return HEAD_BYTES + left as usize;
                    }
                    state.fault = Some(Fault::CutRows(left - bytes));
                    return message.len();
                }
                Some(Fault::SwallowFromCommit) if is_commit => {
                    self.hit(&mut state);
                    state.fault = Some(Fault::Swallow);
                }
                Some(Fault::Allow(left)) if left >= message.len() as u64 => {
                    state.fault = Some(Fault::Allow(left - message.len() as u64));
                    return message.len();
                }
                Some(Fault::Swallow | Fault::Allow(_)) => state = self.shared.changed.wait(state).unwrap(),
                _ => return message.len(),
            }
        }
    }

    fn to_client(&self) -> io::Result<()> {
        let (mut client, mut server) = (&self.client, &self.server);
        loop {
            let mut message = vec![0; HEAD_BYTES];
            server.read_exact(&mut message)?;
            read_rest(&mut server, &mut message, 1)?;
            if message == COMMITTED && *self.commit_sent.lock().unwrap() {
                self.hit(&mut self.shared.lock());
                return Ok(());
            }
            let state = self.shared.lock();
            drop(self.shared.changed.wait_while(state, |state| state.fault == Some(Fault::Swallow)).unwrap());
            client.write_all(&message)?;
        }
    }

    fn hit(&self, state: &mut State) {
        state.fault = None;
        state.hits += 1;
        self.shared.changed.notify_all();
    }
}

/// Reads what the length of a message promises, which stands after its type.
fn read_rest(from: &mut impl Read, message: &mut Vec<u8>, type_bytes: usize) -> io::Result<()> {
    let length = u32::from_be_bytes(message[type_bytes..type_bytes + 4].try_into().unwrap());
    let have = message.len();
    message.resize(type_bytes + length as usize, 0);
    from.read_exact(&mut message[have..])
}

/// Type and length.
const HEAD_BYTES: usize = 5;
const COPY_DATA: u8 = b'd';
/// A simple query.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";
/// Its good answer.
const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0";
