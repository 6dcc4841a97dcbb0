//! The receiver that one would write in an afternoon, kept here to be held against: hyper, typed serde_json, one COPY of the rows per post, and the
//! answer after the commit. It keeps no journal, knows no repeats and merges no facts. It runs in a process of its own, as footfall does.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use store::batch::Batch;
use store::texts::Text;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_postgres::Client;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_rustls::TlsAcceptor;

use super::process::{cpu_of, peak_memory};
use super::typed;

/// A running rival, ended by its process id when dropped.
pub struct Rival {
    child: Child,
    dir: tempfile::TempDir,
    url: String,
}

impl Rival {
    /// Starts it on an empty database of the bench's cluster; `v3` is what it parses.
    pub fn start(database: &str, v3: bool) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.env(DATABASE, database).env(DIRECTORY, dir.path()).env(VERSION, if v3 { "3" } else { "2" });
        let mut child = command.stdout(Stdio::piped()).spawn().expect("start the rival");
        let mut url = String::new();
        BufReader::new(child.stdout.take().expect("its output is piped")).read_line(&mut url).expect("it says its address");
        Self { child, dir, url: url.trim().to_owned() }
    }

    /// Where posts go.
    pub fn url(&self) -> String {
        format!("https://{}/", self.url)
    }

    /// The authority that its certificate is from.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    /// Processor time so far.
    pub fn cpu(&self) -> Duration {
        cpu_of(self.child.id())
    }

    /// The most memory so far.
    pub fn peak_memory(&self) -> u64 {
        peak_memory(self.child.id())
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Becomes the rival when the environment says so; a bench's `main` calls this first.
pub fn become_rival() {
    let (Ok(database), Ok(directory), Ok(version)) = (std::env::var(DATABASE), std::env::var(DIRECTORY), std::env::var(VERSION)) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(serve(&database, &PathBuf::from(directory), version == "3"));
}

async fn serve(database: &str, directory: &std::path::Path, v3: bool) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).expect("a key");
    let certificate = CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).expect("a certificate");
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).expect("a TLS configuration");
    fs::write(directory.join("cert.pem"), made.cert.pem()).expect("write the certificate");

    let pool = Arc::new(Pool::connect(database).await);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("listen");
    let mut out = std::io::stdout();
    writeln!(out, "{}", listener.local_addr().expect("an address")).and_then(|()| out.flush()).expect("say the address");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let (stream, _) = listener.accept().await.expect("accept");
        let (acceptor, pool) = (acceptor.clone(), Arc::clone(&pool));
        tokio::spawn(async move { connection(stream, acceptor, pool, v3).await });
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, pool: Arc<Pool>, v3: bool) {
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request: Request<Incoming>| {
        let pool = Arc::clone(&pool);
        async move {
            let body = request.into_body().collect().await?.to_bytes();
            pool.write(&read(&body, v3)).await;
            Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::new())))
        }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn read(body: &[u8], v3: bool) -> Batch {
    let mut batch = Batch { received_at_ms: jiff::Timestamp::now().as_millisecond(), ..Batch::default() };
    if v3 {
        serde_json::from_slice::<typed::Post<'_, typed::V3<'_>>>(body).expect("a v3 post").rows(&mut batch);
    } else {
        serde_json::from_slice::<typed::Post<'_, typed::V2<'_>>>(body).expect("a v2 post").rows(&mut batch);
    }
    batch
}

/// Connections that are free, and the numbers of strings and access points.
struct Pool {
    free: tokio::sync::Mutex<mpsc::Receiver<Client>>,
    back: mpsc::Sender<Client>,
    numbers: Mutex<HashMap<String, i32>>,
}

impl Pool {
    async fn connect(url: &str) -> Self {
        let (back, free) = mpsc::channel(CONNECTIONS);
        let (_, rest) = url.split_once("@localhost/").expect("the bench's own URL");
        let (database, host) = rest.split_once("?host=").expect("the bench's own URL");
        for at in 0..CONNECTIONS {
            let config = tokio_postgres::Config::new().user("postgres").host_path(host).dbname(database).to_owned();
            let (client, connection) = config.connect(tokio_postgres::NoTls).await.expect("connect");
            tokio::spawn(connection);
            if at == 0 {
                client.batch_execute(TABLES).await.expect("make the tables");
            }
            back.send(client).await.expect("room for every connection");
        }
        Self { free: tokio::sync::Mutex::new(free), back, numbers: Mutex::default() }
    }

    async fn write(&self, batch: &Batch) {
        let mut client = self.free.lock().await.recv().await.expect("the pool lives");
        let transaction = client.transaction().await.expect("begin");
        {
            let copy = transaction.copy_in("COPY observation FROM STDIN (FORMAT binary)").await.expect("copy observations");
            let mut writer = std::pin::pin!(BinaryCopyInWriter::new(copy, OBSERVATION));
            for row in &batch.observations {
                let client = batch.clients[row.client as usize].mac.bits().cast_signed();
                let (source, ssid) = (self.number(&format!("{:?}{}", batch.network, row.ap.bits())), self.text(batch, row.ssid));
                let values: [&(dyn ToSql + Sync); 6] =
                    [&time(row.observed_at * 1_000), &time(batch.received_at_ms), &client, &source, &ssid, &i16::from(row.rssi_dbm)];
                writer.as_mut().write(&values).await.expect("an observation");
            }
            writer.finish().await.expect("copy observations");
        }
        if !batch.locations.is_empty() {
            let copy = transaction.copy_in("COPY location FROM STDIN (FORMAT binary)").await.expect("copy locations");
            let mut writer = std::pin::pin!(BinaryCopyInWriter::new(copy, LOCATION));
            for row in &batch.locations {
                let client = batch.clients[row.client as usize].mac.bits().cast_signed();
                let source = self.number(&format!("{:?}", batch.network));
                let (plan, name) = (self.text(batch, row.floor_plan), self.text(batch, row.floor_plan_name));
                let [x, y, lat, lng, uncertainty] = [row.x_m, row.y_m, row.lat, row.lng, row.uncertainty_m].map(|number| (!number.is_nan()).then_some(number));
                let values: [&(dyn ToSql + Sync); 11] =
                    [&time(row.observed_at * 1_000), &time(batch.received_at_ms), &client, &source, &plan, &name, &x, &y, &lat, &lng, &uncertainty];
                writer.as_mut().write(&values).await.expect("a location");
            }
            writer.finish().await.expect("copy locations");
        }
        transaction.commit().await.expect("commit");
        self.back.send(client).await.expect("the pool lives");
    }

    fn text(&self, batch: &Batch, text: Text) -> Option<i32> {
        batch.texts.get(text).map(|text| self.number(text))
    }

    /// Numbers are given in memory alone, which flatters it.
    fn number(&self, text: &str) -> i32 {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&number) = numbers.get(text) {
            return number;
        }
        let next = numbers.len() as i32;
        numbers.insert(text.to_owned(), next);
        next
    }
}

fn time(ms: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms.unsigned_abs())
}

const DATABASE: &str = "FOOTFALL_BENCH_RIVAL_DATABASE";
const DIRECTORY: &str = "FOOTFALL_BENCH_RIVAL_DIRECTORY";
const VERSION: &str = "FOOTFALL_BENCH_RIVAL_VERSION";
/// More of them make it slower on two cores.
const CONNECTIONS: usize = 8;
/// The same columns and indexes as footfall's.
const TABLES: &str = "
    CREATE TABLE observation (observed_at timestamptz NOT NULL, received_at timestamptz NOT NULL, client bigint NOT NULL, source integer NOT NULL,
        ssid integer, rssi smallint NOT NULL);
    CREATE INDEX ON observation USING brin (observed_at) WITH (autosummarize = on);
    CREATE TABLE location (observed_at timestamptz NOT NULL, received_at timestamptz NOT NULL, client bigint NOT NULL, source integer NOT NULL,
        floor_plan integer, floor_plan_name integer, x_m float8, y_m float8, lat float8, lng float8, uncertainty_m float8);
    CREATE INDEX ON location USING brin (observed_at) WITH (autosummarize = on)";
const OBSERVATION: &[Type] = &[Type::TIMESTAMPTZ, Type::TIMESTAMPTZ, Type::INT8, Type::INT4, Type::INT4, Type::INT2];
const LOCATION: &[Type] = &[
    Type::TIMESTAMPTZ,
    Type::TIMESTAMPTZ,
    Type::INT8,
    Type::INT4,
    Type::INT4,
    Type::INT4,
    Type::FLOAT8,
    Type::FLOAT8,
    Type::FLOAT8,
    Type::FLOAT8,
    Type::FLOAT8,
];
