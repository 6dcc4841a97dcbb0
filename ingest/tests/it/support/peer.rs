//! A peer that writes what it is told and reads answers, byte by byte.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{NOW, PATIENCE};

pub(crate) struct Peer<S> {
    pub(crate) stream: S,
    read: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).filter_map(|line| line.split_once(": ")).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

#[derive(Debug)]
struct Fixed;

impl TimeProvider for Fixed {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(NOW as u64)))
    }
}

/// A client that trusts one authority, at the time of the tests.
pub(crate) fn client_config(authority: &CertificateDer<'static>, protocols: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).unwrap();
    let mut config = ClientConfig::builder_with_details(Arc::new(aws_lc_rs::default_provider()), Arc::new(Fixed))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

pub(crate) async fn connect(address: SocketAddr, authority: &CertificateDer<'static>, protocols: &[&str]) -> io::Result<Peer<TlsStream<TcpStream>>> {
    let name = ServerName::try_from("localhost").unwrap();
    let socket = TcpStream::connect(address).await?;
    let connector = TlsConnector::from(client_config(authority, protocols));
    timeout(PATIENCE, connector.connect(name, socket)).await.unwrap().map(Peer::new)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends a head, with the blank line after it.
    pub(crate) async fn send_head(&mut self, line: &str, headers: &str) {
        self.send(format!("{line} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")).await;
    }

    /// A post in one piece.
    pub(crate) async fn post(&mut self, headers: &str, body: impl AsRef<[u8]>) -> Reply {
        let body = body.as_ref();
        let mut request = format!("POST {} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n", super::PATH, body.len()).into_bytes();
        request.extend_from_slice(body);
        self.send(request).await;
        self.reply().await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.send_head(&format!("GET {path}"), "").await;
        self.reply().await
    }

    pub(crate) async fn reply(&mut self) -> Reply {
        timeout(PATIENCE, self.read_reply(true)).await.unwrap().unwrap()
    }

    /// The answer to HEAD.
    pub(crate) async fn reply_without_body(&mut self) -> Reply {
        timeout(PATIENCE, self.read_reply(false)).await.unwrap().unwrap()
    }

    async fn read_reply(&mut self, has_body: bool) -> io::Result<Reply> {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            self.read_more().await?;
        };
        let head = String::from_utf8(self.read[..end].to_vec()).unwrap();
        let mut reply = Reply { status: head[9..12].parse().unwrap(), head, body: Vec::new() };
        let length = if has_body { reply.header("content-length").map_or(0, |length| length.parse().unwrap()) } else { 0 };
        while self.read.len() < end + 4 + length {
            self.read_more().await?;
        }
        reply.body = self.read[end + 4..end + 4 + length].to_vec();
        self.read.drain(..end + 4 + length);
        Ok(reply)
    }

    async fn read_more(&mut self) -> io::Result<()> {
        if self.stream.read_buf(&mut self.read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Waits until the server has closed the connection; whether it said so in good order.
    pub(crate) async fn closed(&mut self) -> bool {
        let mut rest = Vec::new();
        let is_orderly = timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.unwrap().is_ok();
        assert!(self.read.is_empty() && rest.is_empty(), "more came than was asked for");
        is_orderly
    }
}
