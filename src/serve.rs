//! `footfall serve`: the wiring of one process, from the configuration to the last fsync.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ingest::certificate::Certificate;
use ingest::handler::{Ingress, Limits};
use ingest::receiver::{Receiver, Receivers};
use ingest::server;
use ingest::wire::Secret;
use metrics_exporter_prometheus::PrometheusHandle;
use rustix::process::{Resource, Rlimit, setrlimit};
use store::database::Database;
use store::group::Keep;
use store::journal::{self, Journal, OpenError};
use store::key::Key;
use store::optout::OptOuts;
use store::quarantine::Quarantine;
use store::writer::Store;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use crate::admin::{self, Admin};
use crate::clock::now_ms;
use crate::config::{Config, Personal};
use crate::failure::{Code, Failure};
use crate::keys::Keys;
use crate::log::{Dropped, Log};
use crate::pipeline::{Pipeline, Report, Settings};
use crate::{clock, config_command, keys, metrics};

mod listeners;
mod opt_outs;

use listeners::{Bound, bind, bind_all, load_certificates, remove_sockets, watch_certificates};
use opt_outs::Watched;

/// Serves until a signal ends it.
pub(crate) fn run(named: Option<&Path>) -> Result<(), Failure> {
    let (config, file) = config_command::load(named)?;
    let log = Log::start(&config);
    for warning in config_command::warnings(&config, file.as_deref()) {
        tracing::warn!("{warning}");
    }
    if !config.process.core_dumps {
        // A core would hold keys and secrets.
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        if let Err(error) = setrlimit(Resource::Core, none) {
            tracing::warn!(error = %error, "core dumps could not be switched off");
        }
    }
    let metrics = metrics::install().map_err(|error| Failure::new(Code::Software, format!("install the metrics recorder: {error}")))?;
    keys::make_private_dir(&config.data_dir)?;
    let keys = Keys::open(&config)?;
    let opted_out = Watched::open(&config.data_dir)?;
    let (journal, newest_ms) = open_journal(&config, &keys.journal)?;
    let journal = Arc::new(journal);
    let quarantine = Quarantine::open(&config.data_dir.join("quarantine"), keys.journal.clone())
        .map_err(|error| Failure::new(Code::CannotCreate, format!("open the quarantine in {}: {error}", config.data_dir.display())))?;
    let database = crate::migrate::open(&config)?;
    let runtime = crate::runtime()?;
    let result = runtime.block_on(Process { config, file, metrics, dropped: log.dropped(), keys, opted_out, journal, newest_ms, quarantine, database }.serve());
    // Tasks that a dead database or disk holds up must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

/// Everything that was opened before the first port is bound.
struct Process {
    config: Config,
    file: Option<PathBuf>,
    metrics: PrometheusHandle,
    dropped: Dropped,
    keys: Keys,
    opted_out: Arc<Watched>,
    journal: Arc<Journal>,
    /// When the newest record in the journal had arrived.
    newest_ms: i64,
    quarantine: Quarantine,
    database: Database,
}

impl Process {
    async fn serve(self) -> Result<(), Failure> {
        // First of all: a supervisor may answer the first line below with a signal.
        let mut signals = Signals::new()?;
        let receivers: Vec<Arc<Receiver>> =
            self.config.receiver.iter().map(|one| Receiver::new(&one.name, &one.path, one.validator.reveal(), secrets_of(one))).collect();
        let by_path = Receivers::new(receivers.clone()).map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
        let certificates = load_certificates(&self.config)?;
        let (listeners, shown) = bind_all(&self.config, &certificates).await?;
        let (stop, stopping) = watch::channel(false);

        let store_kind = self.database.kind();
        let report = Arc::new(Report::new());
        let ingress = Ingress::new(
            limits_of(&self.config),
            by_path,
            Arc::clone(&self.opted_out.list),
            Arc::clone(&self.journal),
            Arc::new(clock::of_arrivals(self.newest_ms)),
        );
        let settings = pipeline_settings(&self.config, &self.keys, Arc::clone(&self.opted_out.list), &ingress)?;
        let pipeline = Pipeline::new(self.database, Arc::clone(&self.journal), self.quarantine, settings, Arc::clone(&report), stopping.clone());
        let (mut pipeline_ended, pipeline_thread) = start_pipeline(pipeline)?;
        let wait_for_stop = |mut stopping: watch::Receiver<bool>| async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        let admin = Admin {
            receivers: receivers.clone(),
            journal: Arc::clone(&self.journal),
            report,
            store_kind,
            database: self.config.database.clone(),
            metrics: self.metrics,
            dropped: self.dropped,
            stopping: stopping.clone(),
            started: Instant::now(),
            now_ms,
        };
        let (admin_stop, admin_stopping) = watch::channel(false);
        let (admin_shown, admin_task) = start_admin(&self.config, admin, wait_for_stop(admin_stopping)).await?;
        let mut server = tokio::spawn(server::serve(listeners, ingress, wait_for_stop(stopping)));
        let watching = tokio::spawn(watch_certificates(self.config.clone(), certificates.iter().map(|(_, one)| Arc::clone(one)).collect()));
        let watching_list = tokio::spawn(Arc::clone(&self.opted_out).watch());

        for address in &shown {
            eprintln!("listening receiver {address}");
        }
        eprintln!("listening admin {admin_shown}");

        let outcome = until_told(&mut signals, &mut pipeline_ended, || reload(self.file.as_deref(), &receivers, &certificates, &self.opted_out)).await;
        let _ = stop.send(true);
        match (&mut server).await {
            Ok(stopped) if stopped.cut_connections > 0 => tracing::warn!(cut = stopped.cut_connections, "connections were cut off at the end of stop_timeout"),
            Ok(_) => {}
            Err(error) => tracing::error!(error = %error, "the server has ended by a defect"),
        }
        watching.abort();
        watching_list.abort();
        finish(Arc::clone(&self.journal), pipeline_thread, self.config.limits.stop_timeout.0 / 4).await;
        let _ = admin_stop.send(true);
        let _ = tokio::time::timeout(Duration::from_millis(100), admin_task).await;
        remove_sockets(&self.config);
        tracing::info!("stopped");
        let failed = self.journal.status().state == journal::State::Failed;
        outcome.and_then(|()| if failed { Err(Failure::new(Code::Io, "the journal could not be written at the end; see the log")) } else { Ok(()) })
    }
}

/// Waits until a signal or a defect ends the process. A fenced pipeline's end is none: the process stays up and says so.
async fn until_told(signals: &mut Signals, pipeline_ended: &mut oneshot::Receiver<()>, reload: impl Fn()) -> Result<(), Failure> {
    let mut pipeline_runs = true;
    loop {
        tokio::select! {
            name = signals.next() => match name {
                "SIGHUP" => reload(),
                name => {
                    tracing::info!(signal = name, "stopping: no new posts, what is open is finished, what the store lacks stays in the journal");
                    return Ok(());
                }
            },
            ended = &mut *pipeline_ended, if pipeline_runs => {
                pipeline_runs = false;
                if ended.is_err() {
                    return Err(Failure::new(Code::Software, "the pipeline has ended by a defect; what was answered is in the journal"));
                }
            }
        }
    }
}

/// The last fsync, and the group that the pipeline has in hand.
async fn finish(journal: Arc<Journal>, pipeline: thread::JoinHandle<()>, timeout: Duration) {
    let ended = tokio::task::spawn_blocking(move || {
        journal.stop();
        let _ = pipeline.join();
    });
    if tokio::time::timeout(timeout, ended).await.is_err() {
        tracing::warn!("the store did not finish its transaction in time; it stays in the journal and is settled at the next start");
    }
}

/// The journal, and when its newest record had arrived.
fn open_journal(config: &Config, key: &Key) -> Result<(Journal, i64), Failure> {
    let opened = Journal::open(journal::Settings {
        dir: config.data_dir.join("journal"),
        quarantine: config.data_dir.join("quarantine"),
        key: key.clone(),
        segment_bytes: config.segment_bytes(),
        max_bytes: config.journal.max.0,
        free_min_bytes: config.journal.free_min.0,
        keep: config.journal.keep.0,
        record_bytes_max: config.record_bytes_max(),
        tail_bytes_max: usize::try_from(config.pipeline.tail.0).unwrap_or(usize::MAX),
        now_ms,
    });
    let (journal, found) = opened.map_err(|error| match &error {
        OpenError::Locked { .. } => Failure::new(Code::Unavailable, format!("{error}; stop the other process, or set another data_dir")),
        OpenError::Newer { .. } | OpenError::WrongKey { .. } => Failure::new(Code::Usage, error.to_string()),
        OpenError::Io { .. } => Failure::new(Code::CannotCreate, error.to_string()),
    })?;
    tracing::info!(journal = %journal.id(), first = %found.first, next = %found.next, torn = found.torn, corrupt = found.corrupt, "journal opened");
    Ok((journal, found.last_received_ms.unwrap_or(0)))
}

fn pipeline_settings(config: &Config, keys: &Keys, opted_out: Arc<OptOuts>, ingress: &Arc<Ingress<Arc<Journal>>>) -> Result<Settings, Failure> {
    let filter_key = Key::random().map_err(|error| Failure::new(Code::Software, format!("make a key: {error}")))?;
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = *filter_key.bytes();
    let keeps = |fact: Personal| config.privacy.keep.contains(&fact);
    let wrong = |(key, what, remedy): (String, String, &str)| Failure::new(Code::Usage, format!("{key}: {what}; {remedy}"));
    Ok(Settings {
        pseudonyms: keys.clients.clone(),
        ring: Some(Arc::clone(&keys.ring)),
        keep: Keep { ip: keeps(Personal::Ip), hostname: keeps(Personal::Hostname), user: keeps(Personal::User), device_name: keeps(Personal::DeviceName) },
        opted_out,
        excluded: Arc::new(config.excluded().map_err(wrong)?),
        presence: config.presence_settings(keys.born_at).map_err(wrong)?,
        receivers: config.receiver.iter().map(|receiver| receiver.name.clone()).collect(),
        rows_max: config.pipeline.rows,
        retention: config.retention.observations.0,
        keep_quarantine: config.retention.quarantine.0,
        keep_presence: config.retention.presence(config.presence.allowed_lateness),
        now_ms,
        filter_key: (u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes([i, j, k, l, m, n, o, p])),
        reuse: Box::new({
            let ingress = Arc::clone(ingress);
            move |batch| ingress.reuse(batch)
        }),
    })
}

/// The pipeline on a thread and a runtime of its own. The channel's sender is dropped without a word when it ends by a defect.
fn start_pipeline(pipeline: Pipeline<Database>) -> Result<(oneshot::Receiver<()>, thread::JoinHandle<()>), Failure> {
    let failed = |error: io::Error| Failure::new(Code::Software, format!("start the pipeline: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (ended, end) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("pipeline".to_owned())
        .spawn(move || {
            runtime.block_on(pipeline.run());
            let _ = ended.send(());
        })
        .map_err(failed)?;
    Ok((end, thread))
}

fn limits_of(config: &Config) -> Limits {
    let bytes = |size: crate::config::Size| usize::try_from(size.0).unwrap_or(usize::MAX);
    let limits = &config.limits;
    Limits {
        body: bytes(limits.body),
        memory: bytes(limits.memory),
        connections: limits.connections,
        connections_per_address: limits.connections_per_address,
        handshake_timeout: limits.handshake_timeout.0,
        header_timeout: limits.header_timeout.0,
        body_timeout: limits.body_timeout.0,
        idle_timeout: limits.idle_timeout.0,
        // The rest of the time is the journal's and the store's.
        stop_timeout: limits.stop_timeout.0 * 5 / 8,
    }
}

fn secrets_of(receiver: &crate::config::Receiver) -> Vec<Secret> {
    receiver.secrets.iter().map(|secret| Secret::new(secret.reveal().to_owned())).collect()
}

async fn start_admin(
    config: &Config,
    admin: Admin,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(String, tokio::task::JoinHandle<io::Result<()>>), Failure> {
    let router = admin::router(Arc::new(admin));
    Ok(match bind(&config.admin.address, "admin.address").await? {
        Bound::Tcp(socket, address) => (format!("http://{address}"), tokio::spawn(axum::serve(socket, router).with_graceful_shutdown(stop).into_future())),
        Bound::Unix(socket, path) => (format!("unix:{path}"), tokio::spawn(axum::serve(socket, router).with_graceful_shutdown(stop).into_future())),
    })
}

/// SIGHUP: certificates, secrets and the opt-out list as they are in their files now. What is wrong keeps the old.
fn reload(file: Option<&Path>, receivers: &[Arc<Receiver>], certificates: &[(usize, Arc<Certificate>)], opted_out: &Watched) {
    opted_out.reload();
    for (_, certificate) in certificates {
        certificate.reload(now_ms().div_euclid(1_000));
    }
    match config_command::load(file) {
        Ok((config, _)) => {
            for receiver in receivers {
                if let Some(found) = config.receiver.iter().find(|one| one.name == **receiver.name()) {
                    receiver.replace_secrets(secrets_of(found));
                }
            }
            tracing::info!("certificates and secrets are read again; other settings take effect at the next start");
        }
        Err(error) => tracing::warn!(error = %error, "the configuration is not taken; the old secrets stay"),
    }
}

/// The signals that this process acts on.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::new(Code::Software, format!("listen for signals: {error}")));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())?, hang_up: listen(SignalKind::hangup())? })
    }

    /// Cancel-safe.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hang_up.recv() => "SIGHUP",
        }
    }
}
