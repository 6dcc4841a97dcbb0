//! `footfall recompute`: presence made anew from the stored observations, while footfall goes on receiving.
//!
//! The new rows are made beside the live ones, by the same engine. They take their place in one transaction, which also lets every process that
//! writes begin anew from the store. A job that is interrupted goes on where it was.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use analytics::presence::calendar::Calendar;
use analytics::presence::engine::{Engine, Settings, shadow_of};
use analytics::presence::profile::Profile;
use analytics::presence::record::Record;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::ToSpan;
use jiff::civil::Date;
use store::database::Database;
use store::group::Group;
use store::position::JournalId;
use store::presence::rebuild::{Job, Rebuild, Replaced, Step, Which};
use store::presence::{Changes, RecordKey};
use store::writer::{Class, Store, WriteError};

use crate::cli::ConfigFile;
use crate::clock::now_ms;
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::{config_command, keys, migrate};

#[derive(Args)]
#[command(
    after_help = "Rows of whole local days up to now are made anew from the observations that are stored (retention.observations); earlier ones stay.\nDays in which late observations may still change rows are always among them. Interrupted, the same command goes on where it was.\nfootfall may run meanwhile."
)]
pub(crate) struct Arguments {
    /// First local day, YYYY-MM-DD
    #[arg(long, value_name = "DAY")]
    from: Date,
    /// Last local day: today or later, and without it all days up to now, since the rows of all later days rest on those of the earlier ones
    #[arg(long, value_name = "DAY")]
    to: Option<Date>,
    /// The profile, without its version; without it all of presence.profiles
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    #[command(flatten)]
    at: ConfigFile,
}

/// Recomputes one profile after the other.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (config, _) = config_command::load(arguments.at.config.as_deref())?;
    let today = jiff::Timestamp::from_millisecond(now_ms()).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).date();
    if let Some(to) = arguments.to.filter(|to| *to < today) {
        return Err(Failure::new(
            Code::Usage,
            format!("--to {to}: what is known of clients today rests on the days before, and all of it is made anew; leave --to out, or name today, {today}"),
        ));
    }
    let wrong = |(key, what, remedy): (String, String, &str)| Failure::new(Code::Usage, format!("{key}: {what}; {remedy}"));
    let settings = config.presence_settings(keys::born_at(&config)).map_err(wrong)?;
    let gone_until = keys::look_at_ring(&config)?.and_then(|ring| ring.gone_until());
    let profiles = match &arguments.profile {
        Some(name) => vec![config.profile(name.split('@').next().unwrap_or(name), "--profile").map_err(wrong)?],
        None => settings.profiles.clone(),
    };
    for profile in profiles {
        Recompute::new(&config, &settings, profile, arguments.from, today, gone_until)?.run().await?;
    }
    Ok(())
}

/// One profile's job.
struct Recompute<'a> {
    config: &'a Config,
    profile: Profile,
    settings: Settings,
    job: Job,
    from: Date,
    /// Up to where observations are gone with their keys.
    gone_until: Option<i64>,
}

impl<'a> Recompute<'a> {
    fn new(config: &'a Config, settings: &Settings, profile: Profile, from: Date, today: Date, gone_until: Option<i64>) -> Result<Self, Failure> {
        // Rows that what comes late may still change stand on what is known of clients, which is made anew.
        let reach = profile.allowed_lateness_s + profile.max_visit_s + profile.gap_s;
        let changeable = today.checked_sub((reach / DAY_S + 2).days()).unwrap_or(from);
        let from = match gone_until {
            None => from.min(changeable),
            // Nothing can change rows of an epoch whose key is destroyed, and nothing of it is stored.
            Some(until) => {
                check_ended(settings, from, until)?;
                from.min(changeable.max(first_whole_day(settings, until)))
            }
        };
        let mut made_by = DefaultHasher::new();
        format!("{profile:?} {:?} {:?} {:?}", settings.sites, settings.time_zone, config.presence.excluded).hash(&mut made_by);
        let job = Job {
            profile: profile.name.clone(),
            shadow: shadow_of(&profile.name),
            from_day: from.to_string(),
            made_by: format!("{:016x}", made_by.finish()),
            committed_ms: 0,
        };
        let settings = Settings { profiles: vec![profile.clone()], rebuilding: true, ..settings.clone() };
        Ok(Self { config, profile, settings, job, from, gone_until })
    }

    async fn run(mut self) -> Result<(), Failure> {
        let name = self.job.profile.clone();
        let said = |error: WriteError| {
            let code = if error.class == Class::Retry { Code::Unavailable } else { Code::Usage };
            Failure::new(code, format!("recompute {name}: {error}"))
        };
        let mut writer = migrate::open(self.config)?;
        writer.connect().await.map_err(said)?;
        let Some((oldest_ms, committed_ms)) = writer.arrivals().await.map_err(said)? else {
            eprintln!("no observation is stored: nothing to recompute");
            return Ok(());
        };
        let since = self.since();
        self.check_kept(since, oldest_ms)?;
        let mut engine = Engine::new(self.settings.clone());
        let stored = writer.presence(NO_JOURNAL).await.map_err(said)?;
        engine.recall(&stored.scopes);
        engine.recall_members(&stored.members);
        self.job.committed_ms = committed_ms;
        let reached = self.begin(&mut writer, since).await.map_err(said)?;
        let told = self.replay(&mut writer, &mut engine, reached).await?;
        self.finish(&mut writer, &mut engine).await.map_err(said)?;
        eprintln!("recomputed {name} from {} on: {told} observations", self.job.from_day);
        Ok(())
    }

    /// The first observation that matters for the rows of the first day.
    fn since(&self) -> i64 {
        let day = i64::from(number_of(self.from)) * DAY_S;
        day - ZONES_S - self.profile.max_visit_s - self.profile.gap_s
    }

    /// Rows whose observations have gone cannot be made anew.
    fn check_kept(&self, since: i64, oldest_ms: i64) -> Result<(), Failure> {
        let keep = self.config.retention.observations;
        let horizon = (now_ms().div_euclid(1_000) - i64::try_from(keep.0.as_secs()).unwrap_or(i64::MAX)).div_euclid(DAY_S) * DAY_S;
        let has_dropped = oldest_ms.div_euclid(1_000) < horizon + 2 * DAY_S;
        // Those of ended epochs went all at once, and nothing of the later ones rests on them.
        if self.gone_until.is_some_and(|until| until >= horizon) || !has_dropped || since >= horizon {
            return Ok(());
        }
        let earliest = jiff::Timestamp::from_second(horizon + ZONES_S + self.profile.max_visit_s + self.profile.gap_s + DAY_S);
        let earliest = earliest.map_or(String::new(), |at| at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string());
        Err(Failure::new(
            Code::Usage,
            format!(
                "--from {}: the observations of that day are not all stored any more (retention.observations = {keep}); take {earliest} or later",
                self.from
            ),
        ))
    }

    /// Begins, or goes on: from which second.
    async fn begin(&mut self, writer: &mut Database, since: i64) -> Result<i64, WriteError> {
        if let Some(found) = writer.found(&self.job.profile).await?
            && (&found.from_day, &found.made_by) == (&self.job.from_day, &self.job.made_by)
        {
            if let Some(reached) = found.reached {
                eprintln!("going on from {}", jiff::Timestamp::from_second(reached).unwrap_or_default());
            }
            // What arrived since it began is taken in at the end, also what was observed before.
            self.job.committed_ms = found.committed_ms;
            return Ok(found.reached.unwrap_or(since));
        }
        writer.open(false).await?;
        writer.run(Step::Begin(&self.job)).await?;
        writer.commit().await?;
        Ok(since)
    }

    /// Feeds the engine with what is stored, and commits about once a second.
    async fn replay(&self, writer: &mut Database, engine: &mut Engine, reached: i64) -> Result<u64, Failure> {
        let said = |error: WriteError| Failure::new(Code::Unavailable, format!("recompute {}: {error}", self.job.profile));
        let (groups, reading) = read(self.config, Which::Observed(reached))?;
        let bar = progress_bar(reached);
        let (mut told, mut last, mut committed) = (0, reached, Instant::now());
        // A batch is waited for on this thread, which has nothing else to do.
        while let Ok(group) = groups.recv() {
            engine.absorb(&group, &group.observations);
            engine.next_group();
            told += group.observations.len() as u64;
            last = group.observations.last().map_or(last, |row| row.observed_at);
            bar.set_position((last - reached).unsigned_abs());
            if committed.elapsed() >= COMMIT_EVERY {
                let changes = self.publish(writer, engine, false).await.map_err(said)?;
                writer.open(false).await.map_err(said)?;
                self.check_job(writer).await.map_err(said)?;
                writer.write_presence(&changes).await.map_err(said)?;
                writer.run(Step::Reach(&self.job, changes.unpublished_since.unwrap_or(last))).await.map_err(said)?;
                writer.commit().await.map_err(said)?;
                committed = Instant::now();
            }
        }
        bar.finish_and_clear();
        let read = reading.join().map_err(|_| Failure::new(Code::Software, "reading the observations has ended by a defect"))?;
        read.map_err(said)?;
        Ok(told)
    }

    /// An epoch that has ended meanwhile has taken with it what was read.
    async fn check_job(&self, writer: &mut Database) -> Result<(), WriteError> {
        let found = writer.found(&self.job.profile).await?;
        // The book says that a key is destroyed before the first of its observations goes.
        let gone_until = keys::look_at_ring(self.config).map_err(|error| WriteError::new(Class::Schema, error.to_string()))?.and_then(|ring| ring.gone_until());
        if gone_until == self.gone_until && found.is_some_and(|found| (found.from_day, found.made_by) == (self.job.from_day.clone(), self.job.made_by.clone()))
        {
            return Ok(());
        }
        Err(WriteError::new(Class::Retry, "another one has begun, or the key of an epoch was destroyed meanwhile; nothing was changed: run it again"))
    }

    /// What is due, or all of it, as rows.
    async fn publish(&self, writer: &mut Database, engine: &mut Engine, all: bool) -> Result<Changes, WriteError> {
        let asked = engine.prepare(now_ms(), all);
        let mut bodies = writer.records(&asked).await?;
        // Who was never published anew may have been known before: what the days before left behind stays true.
        let live: Vec<RecordKey> = asked.iter().map(|key| RecordKey { profile: self.profile.name.as_str().into(), ..key.clone() }).collect();
        let before = writer.records(&live).await?;
        let (since, day) = (self.since(), number_of(self.from));
        for (body, before) in bodies.iter_mut().zip(before).filter(|(body, _)| body.is_empty()) {
            if let Some(record) = Record::unpack(&before) {
                record.before(since, day).pack(body);
            }
        }
        engine.fill(bodies);
        let mut changes = Changes::default();
        engine.publish(&mut changes);
        Ok(changes)
    }

    /// Takes in what came meanwhile, while nobody else can write, and puts the new rows in the place of the old ones.
    async fn finish(&self, writer: &mut Database, engine: &mut Engine) -> Result<(), WriteError> {
        writer.open(true).await?;
        self.check_job(writer).await?;
        let mut take_in = |group: &Group| {
            engine.absorb(group, &group.observations);
            engine.next_group();
        };
        writer.replay(Which::Received(self.job.committed_ms), &mut take_in).await?;
        let changes = self.publish(writer, engine, true).await?;
        writer.write_presence(&changes).await?;
        let sites = self.replaced(writer, engine).await?;
        writer.run(Step::Replace(&self.job, &sites)).await?;
        writer.commit().await
    }

    /// Which rows of each site the new ones replace.
    async fn replaced(&self, writer: &mut Database, engine: &Engine) -> Result<Vec<Replaced>, WriteError> {
        let stored = writer.presence(NO_JOURNAL).await?;
        let ours = stored.scopes.iter().filter(|scope| *scope.profile == *self.job.profile || *scope.profile == *self.job.shadow);
        let mut sites: Vec<String> = ours.map(|scope| scope.site.to_string()).collect();
        sites.sort();
        sites.dedup();
        let elsewhere = Calendar::new(self.settings.time_zone.clone(), None);
        let start = |site: &str, date: Date| {
            let day = number_of(date);
            engine.day_start(site, day).or_else(|| elsewhere.first_second_of(day)).unwrap_or(i64::from(day) * DAY_S)
        };
        let replaced = |site: String| Replaced { from: start(&site, self.from), definition: engine.definition_of(&site, &self.profile), site };
        Ok(sites.into_iter().map(replaced).collect())
    }
}

/// The first day that is whole for all sites after what is gone.
fn first_whole_day(settings: &Settings, until: i64) -> Date {
    let zones = settings.sites.iter().map(|site| &site.time_zone).chain([&settings.time_zone]);
    let at = jiff::Timestamp::from_second(until - 1).unwrap_or_default();
    let days = zones.filter_map(|zone| at.to_zoned(zone.clone()).date().tomorrow().ok());
    days.max().unwrap_or(Date::MAX)
}

fn check_ended(settings: &Settings, from: Date, until: i64) -> Result<(), Failure> {
    let earliest = first_whole_day(settings, until);
    if from >= earliest {
        return Ok(());
    }
    let until = jiff::Timestamp::from_second(until).unwrap_or_default();
    Err(Failure::new(
        Code::Usage,
        format!(
            "--from {from}: with this privacy.mode what was observed before {until} is gone with its keys, and its rows stay as they are; days from {earliest} on can \
             be made anew. A profile or a site under another name begins anew at once"
        ),
    ))
}

type Reading = (Receiver<Group>, JoinHandle<Result<(), WriteError>>);

/// Reads observations on a thread and a connection of its own, a few batches ahead.
fn read(config: &Config, which: Which) -> Result<Reading, Failure> {
    let mut reader = migrate::open(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Code::Software, format!("start the runtime: {error}")))?;
    let (sender, groups) = sync_channel(BATCHES_AHEAD);
    let reading = std::thread::spawn(move || {
        runtime.block_on(async {
            reader.connect().await?;
            // Whoever listens no more has failed, and says so.
            reader.replay(which, &mut |group| _ = sender.send(group.clone())).await
        })
    });
    Ok((groups, reading))
}

fn progress_bar(from: i64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {elapsed} gone, {eta} left").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new((now_ms().div_euclid(1_000) - from).unsigned_abs()).with_style(style)
}

/// Days since 1970.
fn number_of(date: Date) -> i32 {
    jiff::civil::date(1970, 1, 1).until(date).map_or(0, |span| span.get_days())
}

const DAY_S: i64 = 86_400;
/// By how much the clocks of the world differ from UTC at most.
const ZONES_S: i64 = 14 * 3_600;
const COMMIT_EVERY: Duration = Duration::from_secs(1);
const BATCHES_AHEAD: usize = 2;
/// Nobody's journal: what is not published of one is none of our business.
const NO_JOURNAL: JournalId = JournalId([0; 16]);
