//! `footfall simulate`: the command line of the simulator, and what it prints.
//!
//! `--check` sends nothing and is in `simulate/check.rs`. The simulated world and the sending are in the `ingest` crate; here options become a world, the clock is read once, signals
//! stop the run, and the summary goes to standard output.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use ingest::simulate::ledger::{Paths, WallClock};
use ingest::simulate::load::{self, Load};
use ingest::simulate::replay::{self, Replay, Speed};
use ingest::simulate::sender::{Sender, Target};
use ingest::simulate::tls::Trust;
use ingest::simulate::{Addresses, RadioModel, Radios, RunError, Version, WorldOptions};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::clock;
use crate::failure::{self, Code};

mod check;

const LOAD_CONNECTIONS: usize = 64;
const LOAD_SECONDS: u64 = 10;
const LOAD_MODE: &str = "Load mode (with --rate or --connections)";
const FILES: &str = "Files to write";

/// The options of `footfall simulate`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where posts go: https://HOST:PORT/PATH, or http:// for a receiver without TLS
    #[arg(long, value_name = "URL", required_unless_present = "check")]
    url: Option<String>,
    /// The shared secret in each body; env:NAME and file:PATH are followed
    #[arg(long, value_name = "SECRET", required_unless_present = "check")]
    secret: Option<String>,
    /// Believe the authorities in this PEM file, and no others [default: the system's]
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,
    /// Believe any certificate
    #[arg(long)]
    insecure: bool,
    /// Ask the URL for its validator first, as Meraki does, and print the answer
    #[arg(long)]
    validate: bool,

    /// The Scanning API's version: 2 posts per access point, 3 per network
    #[arg(long, value_name = "2|3", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=3))]
    version: u8,
    /// Which radios post; each posts for itself
    #[arg(long, value_enum, default_value_t = RadioChoice::Both)]
    radio: RadioChoice,
    /// Sites, each a network of its own [default: 1; in load mode as many as fill about five minutes of posts]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sites: Option<u32>,
    /// Access points per site
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    aps: u32,
    /// People and fixtures present per site on average, passers-by included
    #[arg(long, value_name = "N", default_value_t = 60)]
    clients: u32,
    /// What the air does: noisy as in a building, or perfect, so that each device is heard once a minute by its nearest access point alone
    #[arg(long, value_enum, default_value_t = AirChoice::Noisy)]
    radio_model: AirChoice,
    /// Addresses: mixed has makers' and random ones as people carry them [default: mixed; with a perfect radio global]
    #[arg(long, value_enum)]
    addresses: Option<AddressChoice>,
    /// The seed of all chance: the same options and seed give the same bodies to the byte
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// When the simulated time begins, RFC 3339 [default: so that it ends when the last post is sent]
    #[arg(long, value_name = "TIME")]
    start: Option<Timestamp>,
    /// Simulated minutes
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=5_256_000))]
    minutes: u64,
    /// Simulated minutes per real minute, or max: as fast as answers come
    #[arg(long, value_name = "X|max", default_value = "max", value_parser = speed)]
    speed: Speed,
    /// Send a post again, for up to 5 minutes, until it gets a 2xx (Meraki does not); 4xx is final but for 408 and 429
    #[arg(long)]
    retry: bool,
    /// The share of posts, from 0 to 1, that are made and not sent
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    lose_posts: f64,
    /// Connections at most; up to this many networks have one of their own
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = connections)]
    parallel: usize,

    /// Who was where when: JSON lines of access points, stays and visits
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    truth: Option<PathBuf>,
    /// One JSON line per answered post, written as soon as the answer is there
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    ledger: Option<PathBuf>,
    /// One JSON line per observation of each post that got a 2xx
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    observations: Option<PathBuf>,

    /// Open loop: posts per second, whatever the answers do; answer time counts from the intended send time
    #[arg(long, value_name = "POSTS_PER_S", help_heading = LOAD_MODE, value_parser = positive, conflicts_with_all = ["minutes", "speed", "retry", "lose_posts", "parallel", "truth"])]
    rate: Option<f64>,
    /// Closed loop: connections that send as soon as they have an answer; with --rate the posts under way at most [default there: 64]
    #[arg(long, value_name = "N", help_heading = LOAD_MODE, value_parser = connections, conflicts_with_all = ["minutes", "speed", "retry", "lose_posts", "parallel", "truth"])]
    connections: Option<usize>,
    /// How long [default: 10]
    #[arg(long, value_name = "N", help_heading = LOAD_MODE, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Bodies made before the clock starts, 512 MiB at most, sent again from the first when they run out [default: rate times
    /// seconds, or 20000]
    #[arg(long, value_name = "N", help_heading = LOAD_MODE, value_parser = clap::value_parser!(u64).range(1..))]
    bodies: Option<u64>,

    #[command(flatten)]
    check: check::CheckArguments,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum RadioChoice {
    Wifi,
    Ble,
    Both,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum AirChoice {
    Noisy,
    Perfect,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum AddressChoice {
    Mixed,
    Global,
}

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" { Ok(Speed::Max) } else { positive(text).map(Speed::Factor).map_err(|error| format!("{error}, or max")) }
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number| (0.0..=1.0).contains(number)).ok_or_else(|| "write a number from 0 to 1, as in 0.05".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0).ok_or_else(|| "write a number above 0".to_owned())
}

fn connections(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| (1..=10_000).contains(number)).ok_or_else(|| "write a number from 1 to 10000".to_owned())
}

/// Why the command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// Nothing answered.
    Unreachable(String),
    /// A file cannot be created.
    Create(String),
    /// A file, or standard output, cannot be written.
    Output(String),
    /// A defect of ours.
    Defect(String),
}

impl From<Failure> for failure::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Usage(message) => Self::new(Code::Usage, message),
            Failure::Unreachable(message) => Self::new(Code::Unavailable, message),
            Failure::Create(message) => Self::new(Code::CannotCreate, message),
            Failure::Output(message) => Self::new(Code::Io, message),
            Failure::Defect(message) => Self::new(Code::Software, message),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Unreachable(message) => Self::Unreachable(message),
            RunError::Create(message) => Self::Create(message),
            RunError::Write(message) => Self::Output(message),
            RunError::Defect(message) => Self::Defect(message),
        }
    }
}

/// Simulates, sends, and prints the summary; or compares what came of an earlier run with its truth.
pub(crate) async fn run(arguments: Arguments) -> Result<(), failure::Failure> {
    match &arguments.truth {
        Some(truth) if arguments.check.check => check::run(&arguments.check, truth).await,
        _ => Ok(send(arguments).await?),
    }
}

async fn send(arguments: Arguments) -> Result<(), Failure> {
    let now = Timestamp::from_millisecond(clock::now_ms()).unwrap_or(Timestamp::UNIX_EPOCH);
    let wall_clock = WallClock::new(now);
    let is_load = arguments.rate.is_some() || arguments.connections.is_some();
    if !is_load && (arguments.seconds.is_some() || arguments.bodies.is_some()) {
        return Err(Failure::Usage("--seconds and --bodies belong to load mode; add --rate POSTS_PER_S or --connections N".to_owned()));
    }
    if arguments.check.has_options() {
        return Err(Failure::Usage(
            "--config, --site, --profile, --truth-every and --format belong to --check, which sends nothing; leave out --url".to_owned(),
        ));
    }
    let target = arguments.target()?;
    let world = arguments.world(now)?;
    if arguments.validate {
        validate(&target).await?;
    }
    let paths = Paths { ledger: arguments.ledger.clone(), observations: arguments.observations.clone(), truth: arguments.truth.clone() };
    let stop = stop_by_signal()?;
    let progress = progress_bar();
    let outcome = if is_load {
        let load = arguments.load(world, paths, now)?;
        load::run(load, target, wall_clock, stop, &progress).await
    } else {
        let Arguments { minutes, speed, retry, lose_posts, parallel, .. } = arguments;
        replay::run(Replay { world, minutes, speed, retry, lose_posts, parallel, paths }, target, wall_clock, stop, &progress).await
    };
    progress.finish_and_clear();
    print(&outcome?.to_string())
}

impl Arguments {
    fn target(&self) -> Result<Arc<Target>, Failure> {
        let trust = match &self.ca {
            _ if self.insecure => Trust::AnyCertificate,
            Some(file) => Trust::File(file.clone()),
            None => Trust::System,
        };
        if trust == Trust::AnyCertificate {
            eprintln!("warning: --insecure believes any certificate; whoever stands between sees the secret");
        }
        Target::parse(self.url.as_deref().unwrap_or_default(), &trust).map(Arc::new).map_err(Failure::Usage)
    }

    fn world(&self, now: Timestamp) -> Result<WorldOptions, Failure> {
        let start = self.start.map_or_else(|| replay::default_start(now.as_second(), self.minutes, self.speed), Timestamp::as_second);
        let world = WorldOptions {
            version: if self.version == 2 { Version::V2 } else { Version::V3 },
            radios: match self.radio {
                RadioChoice::Wifi => Radios::Wifi,
                RadioChoice::Ble => Radios::Ble,
                RadioChoice::Both => Radios::Both,
            },
            sites: self.sites.unwrap_or(1),
            access_points: self.aps,
            clients: self.clients,
            seed: self.seed,
            radio_model: match self.radio_model {
                AirChoice::Noisy => RadioModel::Noisy,
                AirChoice::Perfect => RadioModel::Perfect,
            },
            addresses: match (self.addresses, self.radio_model) {
                (Some(AddressChoice::Mixed), _) | (None, AirChoice::Noisy) => Addresses::Mixed,
                (Some(AddressChoice::Global), _) | (None, AirChoice::Perfect) => Addresses::Global,
            },
            start,
            warm_up_minutes: 0,
            secret: secret(self.secret.as_deref().unwrap_or_default())?.into(),
            keep_rows: false,
            keep_truth: false,
        };
        world.check().map_err(Failure::Usage)?;
        Ok(world)
    }

    fn load(&self, world: WorldOptions, paths: Paths, now: Timestamp) -> Result<Load, Failure> {
        let seconds = self.seconds.unwrap_or(LOAD_SECONDS);
        let bodies = self.bodies.unwrap_or_else(|| Load::bodies_needed(self.rate, seconds));
        let mut load = Load { world, rate: self.rate, connections: self.connections.unwrap_or(LOAD_CONNECTIONS), seconds, bodies, paths };
        load.fit(self.sites.is_none(), self.start.is_none(), now.as_second());
        load.world.check().map_err(Failure::Usage)?;
        Ok(load)
    }
}

/// Follows env: and file:, so that a secret need not stand in the list of processes.
fn secret(text: &str) -> Result<String, Failure> {
    if let Some(name) = text.strip_prefix("env:") {
        return std::env::var(name).map_err(|_| {
            Failure::Usage(format!("--secret names the environment variable {name}, which is not set or is no text; set it, or write file:PATH"))
        });
    }
    if let Some(path) = text.strip_prefix("file:") {
        let read = std::fs::read_to_string(path);
        return read
            .map(|secret| secret.trim_end_matches(['\r', '\n']).to_owned())
            .map_err(|error| Failure::Usage(format!("--secret names {path}, which cannot be read: {error}; correct the path")));
    }
    Ok(text.to_owned())
}

async fn validate(target: &Arc<Target>) -> Result<(), Failure> {
    let answer = Sender::new(Arc::clone(target)).validator().await;
    let (status, body) = answer.map_err(|error| Failure::Unreachable(format!("ask {} for its validator: {error}", target.address())))?;
    print(&format!("validator     {status} {:?}", String::from_utf8_lossy(&body)))
}

/// The first SIGINT or SIGTERM ends the run with a summary of what was sent; the second ends the process.
fn stop_by_signal() -> Result<watch::Receiver<bool>, Failure> {
    let (stopper, stop) = watch::channel(false);
    let listen = |kind| signal(kind).map_err(|error| Failure::Defect(format!("listen for signals: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    tokio::spawn(async move {
        for last in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if last {
                std::process::exit(130);
            }
            let _ = stopper.send(true);
        }
    });
    Ok(stop)
}

/// Shown on a terminal only.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} [{elapsed_precise}] {wide_bar} {pos}/{len} {eta}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

fn print(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{text}").map_err(|error| Failure::Output(format!("write to standard output: {error}")))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        let words = "simulate --url https://h:1/p --secret s".split(' ').chain(line.split_whitespace());
        Command::try_parse_from(words).map(|command| command.arguments)
    }

    #[test]
    fn the_options_stand_together() {
        Command::command().debug_assert();
        let plain = parse("").unwrap();
        assert_eq!((plain.version, plain.aps, plain.clients, plain.seed, plain.speed), (3, 6, 60, 1, Speed::Max));
        assert_eq!(parse("--speed 60").unwrap().speed, Speed::Factor(60.0));
        assert_eq!(parse("--start 2026-01-02T03:04:05Z").unwrap().start.unwrap().as_second(), 1_767_323_045);
        for wrong in [
            "--version 1",
            "--speed 0",
            "--speed inf",
            "--rate -1",
            "--rate 10 --truth t",
            "--connections 5 --retry",
            "--ca f --insecure",
            "--radio lora",
            "--start yesterday",
            "--lose-posts 5",
            "--lose-posts 0.1 --rate 10",
            "--check --truth t",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_check_needs_the_truth_and_nothing_of_a_sender() {
        let check = |line: &str| Command::try_parse_from(line.split(' ')).map(|command| command.arguments);
        assert!(check("simulate --check --truth t --config f --site s --format json").is_ok());
        assert!(check("simulate --check").is_err());
        assert!(check("simulate --truth t").is_err());
        assert!(check("simulate --check --truth t --url https://h:1/p").is_err());
    }

    #[test]
    fn load_mode_fits_its_sites_to_the_number_of_bodies() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let arguments = parse("--rate 100 --seconds 60 --version 2 --aps 10 --radio wifi").unwrap();
        let load = arguments.load(arguments.world(now).unwrap(), Paths::default(), now).unwrap();
        assert_eq!((load.bodies, load.world.sites, load.world.start), (6000, 120, 1_800_000_000 - 300));
    }

    #[test]
    fn an_unset_variable_is_named_and_a_file_loses_its_line_break() {
        assert!(matches!(secret("env:FOOTFALL_SURELY_UNSET"), Err(Failure::Usage(message)) if message.contains("FOOTFALL_SURELY_UNSET")));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hush\n").unwrap();
        assert_eq!(secret(&format!("file:{}", file.path().display())).unwrap(), "hush");
    }
}
