//! `footfall privacy report`: what is known of people's devices here, for how long, and what has been destroyed.
//!
//! It is made of the configuration, the book of keys and the database, so that it says what is, and not what was meant.

use clap::Args;
use serde::Serialize;
use store::epoch::Ring;
use store::optout::OptOuts;

use crate::ask::{Asker, Reader};
use crate::cli::ConfigFile;
use crate::config::{Clients, Config, Mode, Personal, Retention};
use crate::config_command::{self, print};
use crate::failure::{Code, Failure};
use crate::{keys, optout};

mod layout;

/// The options of `footfall privacy report`.
#[derive(Args)]
#[command(after_help = "Print it, give it to whoever asks, keep it with your assessment. The notice at its end is for the entrance.")]
pub(crate) struct Arguments {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: ConfigFile,
}

/// Asks, and prints the report.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (config, _) = config_command::load(arguments.at.config.as_deref())?;
    let report = Report::gather(&config).await?;
    if arguments.json {
        let text = serde_json::to_string_pretty(&report).map_err(|error| Failure::new(Code::Software, format!("write JSON: {error}")))?;
        return print(&(text + "\n"));
    }
    print(&layout::page(&report))
}

/// All of it. Times are ISO 8601 in UTC.
#[derive(Serialize)]
struct Report {
    purpose: String,
    contact: String,
    mode: &'static str,
    /// For `extended`.
    legal_basis: Option<String>,
    /// For `extended`: the length of an epoch.
    epoch: Option<String>,
    /// `pseudonym` or `plain`.
    clients: &'static str,
    /// Where it is four in the morning when keys change; none where they do not change by the clock.
    time_zone: Option<String>,
    fields: Fields,
    keys: Keys,
    tables: Vec<Table>,
    journal: Sealed,
    quarantine: Sealed,
    /// Devices on the opt-out list.
    opted_out: usize,
    /// Devices that are written and in no count.
    excluded: usize,
    notice: String,
}

#[derive(Serialize)]
struct Fields {
    kept: Vec<&'static str>,
    dropped: Vec<&'static str>,
}

/// The keys of epochs.
#[derive(Serialize)]
struct Keys {
    in_use: Vec<InUse>,
    /// How many were destroyed, as far as the book goes back.
    destroyed: usize,
    /// Of them, those whose rows have clients yet.
    being_cleared: usize,
    /// The latest of them, the latest first.
    latest: Vec<Destroyed>,
}

#[derive(Serialize)]
struct InUse {
    from: String,
    to: String,
    made_at: String,
    destroyed_at: String,
}

#[derive(Serialize)]
struct Destroyed {
    from: String,
    to: String,
    destroyed_at: String,
    cleared_at: Option<String>,
    rows: Option<u64>,
}

/// A table, and for how long its rows are kept.
#[derive(Serialize)]
struct Table {
    view: &'static str,
    what: &'static str,
    key: &'static str,
    kept_for: String,
    /// Whether its rows name a client until its epoch has ended.
    has_clients: bool,
    /// The oldest row; of those with clients, the oldest that has one.
    oldest: Option<String>,
}

/// What stands sealed in the data directory.
#[derive(Serialize)]
struct Sealed {
    what: &'static str,
    kept_for: String,
    files: usize,
}

impl Report {
    async fn gather(config: &Config) -> Result<Self, Failure> {
        let privacy = &config.privacy;
        let mode = privacy.mode();
        let keeps = |fact: Personal| privacy.keep.contains(&fact);
        let personal = [("IP addresses", Personal::Ip), ("host names", Personal::Hostname), ("users", Personal::User), ("device names", Personal::DeviceName)];
        let of = |kept: bool| personal.iter().filter(move |(_, fact)| keeps(*fact) == kept).map(|(name, _)| *name);
        let seen = ["when and by which access point it was heard", "signal strength", "network name", "place on the plan", "maker", "operating system"];
        let address = if privacy.clients == Clients::Plain { "the device's address" } else { "a pseudonym of the device's address" };
        let ring = keys::look_at_ring(config)?;
        let mut store = Asker::connect(config).await?;
        let tables = tables(&mut store, &config.retention).await;
        store.close().await;
        Ok(Self {
            purpose: privacy.purpose.clone(),
            contact: privacy.contact.clone(),
            mode: mode.name(),
            legal_basis: (mode == Mode::Extended).then(|| privacy.legal_basis.clone()),
            epoch: (mode == Mode::Extended).then(|| privacy.epoch.to_string()),
            clients: if privacy.clients == Clients::Plain { "plain" } else { "pseudonym" },
            time_zone: matches!(mode, Mode::Day | Mode::Extended).then(|| privacy.time_zone.as_ref().unwrap_or(&config.presence.time_zone).clone()),
            fields: Fields { kept: std::iter::once(address).chain(seen).chain(of(true)).collect(), dropped: of(false).collect() },
            keys: ring.as_ref().map_or_else(Keys::none, Keys::of),
            tables: tables?,
            journal: Sealed {
                what: "posts as they came, addresses in them, until the database has them and then for as long",
                kept_for: config.journal.keep.to_string(),
                files: files(config, "journal"),
            },
            quarantine: Sealed {
                what: "posts of unknown shape, damaged places of the journal, rows that the database refused",
                kept_for: config.retention.quarantine.to_string(),
                files: files(config, "quarantine"),
            },
            opted_out: OptOuts::open(&config.data_dir).map_err(optout::failure)?.entries(),
            excluded: config.presence.excluded.len(),
            notice: layout::notice(privacy),
        })
    }
}

impl Keys {
    fn none() -> Self {
        Self { in_use: Vec::new(), destroyed: 0, being_cleared: 0, latest: Vec::new() }
    }

    fn of(ring: &Ring) -> Self {
        let in_use = ring.alive().iter().map(|alive| InUse {
            from: time(alive.epoch.from),
            to: time(alive.epoch.to),
            made_at: time(alive.made_at),
            destroyed_at: time(alive.until),
        });
        let latest = ring.ended().iter().rev().take(LATEST).map(|ended| Destroyed {
            from: time(ended.epoch.from),
            to: time(ended.epoch.to),
            destroyed_at: time(ended.destroyed_at),
            cleared_at: ended.cleared.map(|(at, _)| time(at)),
            rows: ended.cleared.map(|(_, rows)| rows),
        });
        Self {
            in_use: in_use.collect(),
            destroyed: ring.ended().len(),
            being_cleared: ring.ended().iter().filter(|ended| ended.cleared.is_none()).count(),
            latest: latest.collect(),
        }
    }
}

/// The views, and what is oldest in them.
async fn tables(store: &mut Asker, keep: &Retention) -> Result<Vec<Table>, Failure> {
    let views = [
        ("observations", "who was heard when and where", "retention.observations", keep.observations, true, "min(observed_at) FROM observations"),
        ("locations", "where the cloud placed it", "retention.observations", keep.observations, true, "min(observed_at) FROM locations"),
        ("clients", "facts about it", "retention.clients", keep.clients, true, "min(last_seen) FROM clients"),
        ("visits, stays", "how long it was there", "retention.visits", keep.visits, true, "min(started_at) FROM visits WHERE client IS NOT NULL"),
        ("occupancy", "how many were there by the minute", "retention.occupancy", keep.occupancy, false, "min(minute) FROM occupancy"),
        ("hourly, daily, flow, heard", "how many there were", "retention.counts", keep.counts, false, "min(hour) FROM hourly"),
        ("posts", "how many posts came", "retention.observations", keep.observations, false, "min(minute) FROM posts"),
    ];
    let mut tables = Vec::new();
    for (view, what, key, kept_for, has_clients, oldest) in views {
        let rows = store.rows(&format!("SELECT {oldest}")).await?;
        let oldest = rows.first().and_then(|row| Reader::new(row).some_text());
        tables.push(Table { view, what, key, kept_for: kept_for.to_string(), has_clients, oldest });
    }
    Ok(tables)
}

/// How many files there are in a part of the data directory; 0 when it is not there.
fn files(config: &Config, part: &str) -> usize {
    std::fs::read_dir(config.data_dir.join(part)).map_or(0, Iterator::count)
}

/// A time; `always` for the end of time and before its beginning.
fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "always".to_owned(), |time| time.to_string())
}

/// Destroyed keys that are listed.
const LATEST: usize = 14;
