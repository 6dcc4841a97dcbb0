//! One connection from its handshake to its end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::CONNECTION;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio_rustls::TlsAcceptor;

use super::Meters;
use super::deadline::{Alarm, Deadlines, Expired, Phases, Watched};
use super::life::{Life, Run};
use crate::handler::{Answer, Ingress, Keep};

/// Read from the socket at once. rustls alone asks for 4 KiB at a time.
const SOCKET_BUFFER_BYTES: usize = 64 * 1024;

/// hyper's read buffer, which also holds the head.
const HTTP1_BUFFER_BYTES: usize = 64 * 1024;

/// A head over this is answered 431.
const HEAD_BYTES: usize = 16 * 1024;

// HTTP/2 holds what has arrived and is not read yet outside of the memory budget: little per connection, therefore.
const HTTP2_STREAM_WINDOW: u32 = 64 * 1024;
const HTTP2_CONNECTION_WINDOW: u32 = 256 * 1024;
const HTTP2_STREAMS: u32 = 32;
const HTTP2_SEND_BUFFER_BYTES: usize = 16 * 1024;
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves a connection until it ends, a deadline passes or the server stops.
pub(super) async fn serve<K: Keep, S>(socket: S, tls: Option<Arc<ServerConfig>>, ingress: Arc<Ingress<K>>, life: Life, meters: Arc<Meters>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limits = ingress.limits();
    let phases = Phases::new(Deadlines { header: limits.header_timeout, idle: limits.idle_timeout, write: limits.body_timeout });
    let socket = Watched::new(socket, Arc::clone(&phases));
    let Some(tls) = tls else {
        phases.start(false);
        return http1(socket, ingress, phases, life, &meters).await;
    };
    let socket = BufReader::with_capacity(SOCKET_BUFFER_BYTES, socket);
    let handshake = tokio::time::timeout(limits.handshake_timeout, TlsAcceptor::from(tls).accept(socket));
    let mut stop = life.clone();
    let shaken = tokio::select! {
        biased;
        shaken = handshake => shaken,
        // Nobody has asked for anything yet.
        () = stop.reaches(Run::Stopping) => return,
    };
    match shaken {
        Err(_) => meters.handshake_timed_out.increment(1),
        Ok(Err(_)) => meters.handshake_errors.increment(1),
        Ok(Ok(stream)) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            phases.start(is_http2);
            if is_http2 {
                http2(stream, ingress, phases, life, &meters).await;
            } else {
                http1(stream, ingress, phases, life, &meters).await;
            }
        }
    }
}

async fn http1<K: Keep, S>(stream: S, ingress: Arc<Ingress<K>>, phases: Arc<Phases>, life: Life, meters: &Meters)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let watched = Arc::clone(&phases);
    let service = service_fn(move |request| answer(Arc::clone(&ingress), Arc::clone(&watched), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // A peer that has said all it has to say is still owed its answer; without this its post is dropped, or not, as the reads fall.
        .half_close(true)
        .header_read_timeout(None)
        .max_header_size(HEAD_BYTES)
        .max_buf_size(HTTP1_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    drive(connection, http1::Connection::graceful_shutdown, &phases, life, meters).await;
}

async fn http2<K: Keep, S>(stream: S, ingress: Arc<Ingress<K>>, phases: Arc<Phases>, life: Life, meters: &Meters)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let watched = Arc::clone(&phases);
    let service = service_fn(move |request| answer(Arc::clone(&ingress), Arc::clone(&watched), request));
    let connection = http2::Builder::new(life.clone())
        .timer(TokioTimer::new())
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(HEAD_BYTES as u32)
        .max_send_buf_size(HTTP2_SEND_BUFFER_BYTES)
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    drive(connection, http2::Connection::graceful_shutdown, &phases, life, meters).await;
}

async fn answer<K: Keep>(ingress: Arc<Ingress<K>>, phases: Arc<Phases>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let open = phases.request();
    let version = request.version();
    let mut answer = ingress.handle(request).await;
    if answer.headers().contains_key(CONNECTION) {
        if version == Version::HTTP_2 {
            // There the rest of one request is the matter of its stream alone.
            answer.headers_mut().remove(CONNECTION);
        } else {
            phases.leave_unread();
        }
    }
    drop(open);
    Ok(answer)
}

/// Polls a connection to its end and watches its deadlines and the stop meanwhile.
async fn drive<C>(connection: C, part: fn(Pin<&mut C>), phases: &Arc<Phases>, mut life: Life, meters: &Meters)
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    let mut stopping = pin!(life.reaches(Run::Stopping));
    let mut alarm = Alarm::new(phases);
    let mut is_parting = false;
    let expired = poll_fn(|context| {
        loop {
            // Errors here are the peer's: a broken head, a connection that went away.
            if connection.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            if !is_parting && stopping.as_mut().poll(context).is_ready() {
                is_parting = true;
                part(connection.as_mut());
                continue;
            }
            match alarm.poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Expired::Idle) => {
                    phases.close();
                    part(connection.as_mut());
                }
                Poll::Ready(expired) => return Poll::Ready(Some(expired)),
            }
        }
    })
    .await;
    match expired {
        None | Some(Expired::Idle) => {}
        Some(Expired::Header) => meters.header_timed_out.increment(1),
        Some(Expired::Write) => meters.write_timed_out.increment(1),
        Some(Expired::Closing) => meters.closing_timed_out.increment(1),
    }
}
