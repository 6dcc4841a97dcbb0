//! Sends posts: HTTP/1.1 over TLS or plain TCP, one connection kept alive, one post at a time.
//!
//! It is the client of the benchmarks, so a post costs one request head and a reference to its body. Redirects are not followed,
//! and nothing is sent twice unless the caller does it, with one exception: when a kept connection turns out to be closed before
//! any byte of the request left, the request goes out on a new one.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::tls::Trust;

/// How long connecting, TLS included, may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take, connecting included.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Answers are short; what is longer is not read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where posts go.
pub struct Target {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    authority: HeaderValue,
    path: Uri,
}

impl Target {
    /// Reads `https://HOST:PORT/PATH` (or `http://`) and prepares TLS for it.
    ///
    /// # Errors
    /// The text says what is wrong with the URL or the certificates, and the remedy.
    pub fn parse(url: &str, trust: &Trust) -> Result<Self, String> {
        let form = "it must look like https://HOST:PORT/PATH";
        let uri: Uri = url.parse().map_err(|error| format!("--url cannot be read: {error}; {form}"))?;
        let is_secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(format!("--url starts with neither https:// nor http://; {form}")),
        };
        let authority = uri.authority().ok_or_else(|| format!("--url names no host; {form}"))?;
        if authority.as_str().contains('@') {
            return Err(format!("--url holds a user name, which Meraki never sends; {form}"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let tls = if is_secure {
            let name = ServerName::try_from(host.clone()).map_err(|error| format!("--url names a host that no certificate can have: {error}"))?;
            Some((TlsConnector::from(Arc::new(trust.config()?)), name))
        } else {
            None
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            port: authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 }),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| format!("--url names a host that no header can hold; {form}"))?,
            path: path.parse().map_err(|error| format!("--url has a path that cannot be sent: {error}"))?,
            host,
            tls,
        })
    }

    /// The host and port, for messages.
    #[must_use]
    pub fn address(&self) -> String {
        if self.host.contains(':') { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, SendError> {
        let connecting = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(SendError::Connect)?;
            stream.set_nodelay(true).map_err(SendError::Connect)?;
            match &self.tls {
                Some((connector, name)) => handshake(connector.connect(name.clone(), stream).await.map_err(SendError::Tls)?).await,
                None => handshake(stream).await,
            }
        };
        timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or(Err(SendError::Timeout("connect")))
    }

    fn request(&self, method: Method, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        let has_body = method == Method::POST;
        *request.method_mut() = method;
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.authority.clone());
        headers.insert(USER_AGENT, HeaderValue::from_static("footfall-simulate"));
        if has_body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        request
    }
}

async fn handshake<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, SendError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(SendError::Http)?;
    // It ends by itself when the sender is dropped or the peer closes; what went wrong is told to whoever waits for an answer.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// Why no answer came.
#[derive(Debug, Error)]
pub enum SendError {
    /// No TCP connection.
    #[error("connect: {0}")]
    Connect(#[source] std::io::Error),
    /// No TLS on it.
    #[error("TLS handshake: {0}")]
    Tls(#[source] std::io::Error),
    /// The connection broke before the answer was there.
    #[error("exchange: {0}")]
    Http(#[source] hyper::Error),
    /// It took too long.
    #[error("{0}: no answer in time")]
    Timeout(&'static str),
}

impl SendError {
    /// Whether the server's certificate was refused.
    #[must_use]
    pub fn is_distrust(&self) -> bool {
        let Self::Tls(error) = self else { return false };
        matches!(error.get_ref().and_then(|inner| inner.downcast_ref()), Some(rustls::Error::InvalidCertificate(_)))
    }
}

/// What became of a post.
#[derive(Debug)]
pub struct Answer {
    /// The status, or 0 when no answer came.
    pub status: u16,
    /// From the call to the end of the answer, connecting included when it was necessary.
    pub elapsed: Duration,
    /// Why no answer came.
    pub error: Option<SendError>,
}

impl Answer {
    /// Whether the receiver has taken the post.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the same post may be taken later: no answer, too busy, or the server's own trouble.
    #[must_use]
    pub fn is_worth_retrying(&self) -> bool {
        matches!(self.status, 0 | 408 | 429 | 500..)
    }
}

/// One connection's worth of sending.
pub struct Sender {
    target: Arc<Target>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Sender {
    /// A sender that connects with its first post.
    #[must_use]
    pub fn new(target: Arc<Target>) -> Self {
        Self { target, connection: None }
    }

    /// Connects now, to know whether that is possible.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn connect(&mut self) -> Result<(), SendError> {
        if self.connection.is_none() {
            self.connection = Some(self.target.connect().await?);
        }
        Ok(())
    }

    /// Sends one post. Dropping the future closes the connection; whether the post arrived is then unknown.
    pub async fn post(&mut self, body: &Bytes) -> Answer {
        let begun = Instant::now();
        let outcome = within(self.exchange(Method::POST, body.clone())).await;
        let elapsed = begun.elapsed();
        match outcome {
            Ok((status, _)) => Answer { status, elapsed, error: None },
            Err(error) => Answer { status: 0, elapsed, error: Some(error) },
        }
    }

    /// Asks for the validator, as Meraki does when an operator enters the URL.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn validator(&mut self) -> Result<(u16, Bytes), SendError> {
        within(self.exchange(Method::GET, Bytes::new())).await
    }

    async fn exchange(&mut self, method: Method, body: Bytes) -> Result<(u16, Bytes), SendError> {
        let mut request = self.target.request(method, body);
        loop {
            // Taken out, so that a dropped future leaves no half-used connection behind.
            let mut kept = self.connection.take();
            if let Some(connection) = &mut kept
                && connection.ready().await.is_err()
            {
                kept = None;
            }
            let is_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.target.connect().await?,
            };
            let mut error = match connection.try_send_request(request).await {
                Ok(response) => {
                    let status = response.status().as_u16();
                    // The status is what counts; an answer that breaks off or never ends only costs the connection.
                    let Ok(answer) = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await else {
                        return Ok((status, Bytes::new()));
                    };
                    self.connection = Some(connection);
                    return Ok((status, answer.to_bytes()));
                }
                Err(error) => error,
            };
            match error.take_message() {
                Some(unsent) if is_kept => request = unsent,
                _ => return Err(SendError::Http(error.into_error())),
            }
        }
    }
}

async fn within<T>(exchange: impl Future<Output = Result<T, SendError>>) -> Result<T, SendError> {
    timeout(ANSWER_TIMEOUT, exchange).await.unwrap_or(Err(SendError::Timeout("exchange")))
}
