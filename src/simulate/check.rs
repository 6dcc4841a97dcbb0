//! `footfall simulate --check`: what the store publishes beside what the simulator knows to be true.
//!
//! The truth file says who was where when; the definitions of presence, applied to it, give the numbers that a perfect instrument would
//! publish ([`presence`]). The same numbers are read from the views ([`published`]), and their differences are printed. What is true
//! of a visit, a stay and a passer-by stands in docs/accuracy.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use analytics::presence::calendar::Calendar;
use analytics::presence::engine::Settings;
use analytics::presence::profile::Profile;

use crate::ask::{self, Asker, Reader};
use crate::config_command;
use crate::failure::{Code, Failure};

mod compare;
mod counts;
mod presence;
mod print;
mod published;
#[cfg(test)]
mod tests;
mod truth;

use compare::Comparison;
use counts::Counts;
use presence::Moments;
use truth::{Network, RadioModel};

const HEADING: &str = "Check of a simulation that has been sent (--check)";

/// The options of `footfall simulate --check`.
#[derive(clap::Args)]
pub(super) struct CheckArguments {
    /// Send nothing: compare what the store publishes with the truth file of an earlier run
    #[arg(long, requires = "truth", conflicts_with_all = ["url", "secret", "rate", "connections", "ledger", "observations", "validate"], help_heading = HEADING)]
    pub(super) check: bool,
    /// The configuration whose store is asked [default: ./footfall.toml, else built-in defaults]
    #[arg(long, value_name = "FILE", requires = "check", help_heading = HEADING)]
    config: Option<PathBuf>,
    /// One site of the store [default: each that has the simulation's access points]
    #[arg(long, value_name = "SITE", requires = "check", help_heading = HEADING)]
    site: Option<String>,
    /// The profile [default: the first configured]
    #[arg(long, value_name = "PROFILE", requires = "check", help_heading = HEADING)]
    profile: Option<String>,
    /// What counts as true: where everybody was at each second, or once a minute, as a perfect radio hears it [default: minute
    /// when a perfect radio wrote the truth, else second]
    #[arg(long, value_name = "MOMENTS", value_enum, requires = "check", help_heading = HEADING)]
    truth_every: Option<Moments>,
    /// How the errors are printed [default: table]
    #[arg(long, value_enum, requires = "check", help_heading = HEADING)]
    format: Option<Format>,
}

impl CheckArguments {
    /// Whether an option is given that means nothing to a sender. Clap lets it pass beside `--url`, which excludes `--check`.
    pub(super) fn has_options(&self) -> bool {
        self.config.is_some() || self.site.is_some() || self.profile.is_some() || self.truth_every.is_some() || self.format.is_some()
    }
}

/// How the errors are printed.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Each access point, and a summary per site.
    Table,
    /// The summary alone.
    Summary,
    /// All of it, as one object.
    Json,
}

/// A site of the store, and what was simulated there.
struct Watched<'a> {
    site: String,
    networks: Vec<&'a Network>,
}

/// Compares, and prints.
pub(super) async fn run(arguments: &CheckArguments, truth: &std::path::Path) -> Result<(), Failure> {
    let (config, _) = config_command::load(arguments.config.as_deref())?;
    let settings = config.presence_settings(0).map_err(|(key, what, remedy)| Failure::new(Code::Usage, format!("{key}: {what}; {remedy}")))?;
    let networks = truth::read(truth)?;
    let profile = profile(&settings, arguments.profile.as_deref())?;
    let mut store = Asker::connect(&config).await?;
    let compared = compare(&mut store, arguments, &settings, profile, &networks).await;
    store.close().await;
    let comparisons = compared?;
    let text = match arguments.format.unwrap_or(Format::Table) {
        Format::Table => comparisons.iter().map(print::table).collect::<Vec<_>>().join("\n"),
        Format::Summary => comparisons.iter().map(print::summary).collect::<Vec<_>>().join("\n"),
        Format::Json => print::json(&comparisons),
    };
    config_command::print(&text)
}

async fn compare(
    store: &mut Asker,
    arguments: &CheckArguments,
    settings: &Settings,
    profile: &Profile,
    networks: &[Network],
) -> Result<Vec<Comparison>, Failure> {
    let mut comparisons = Vec::new();
    for watched in sites(store, profile, arguments.site.as_deref(), networks).await? {
        let moments = arguments.truth_every.unwrap_or_else(|| {
            let is_perfect = watched.networks.iter().all(|network| network.radio_model == RadioModel::Perfect);
            if is_perfect { Moments::Minute } else { Moments::Second }
        });
        let mut calendar = calendar(settings, &watched.site);
        let from = watched.networks.iter().map(|network| network.from).min().unwrap_or(0);
        let to = watched.networks.iter().map(|network| network.to).max().unwrap_or(0);
        let mut truth = Counts::new(&mut calendar, from, to);
        for network in &watched.networks {
            for device in network.devices.iter().filter(|device| device.is_wifi) {
                truth.add(&presence::of(device, &network.aps, profile, moments));
            }
        }
        let published = published::counts(store, &watched.site, &profile.name, Counts::new(&mut calendar, from, to)).await?;
        let aps: BTreeSet<String> = watched.networks.iter().flat_map(|network| network.aps.iter().cloned()).collect();
        comparisons.push(Comparison::new(watched.site, &profile.name, moments, aps, &truth, &published));
    }
    Ok(comparisons)
}

fn profile<'a>(settings: &'a Settings, asked: Option<&str>) -> Result<&'a Profile, Failure> {
    let is_named = |profile: &&Profile| asked.is_none_or(|asked| profile.name == asked || profile.name.split('@').next() == Some(asked));
    settings.profiles.iter().find(is_named).ok_or_else(|| {
        let known: Vec<&str> = settings.profiles.iter().map(|profile| profile.name.as_str()).collect();
        let asked = asked.unwrap_or_default();
        Failure::new(Code::Usage, format!("--profile {asked}: no such profile is configured; there are {}", known.join(", ")))
    })
}

fn calendar(settings: &Settings, site: &str) -> Calendar {
    match settings.sites.iter().find(|known| known.name == site) {
        Some(known) => Calendar::new(known.time_zone.clone(), known.opening),
        None => Calendar::new(settings.time_zone.clone(), None),
    }
}

/// The sites that the simulated access points belong to.
async fn sites<'a>(store: &mut Asker, profile: &Profile, asked: Option<&str>, networks: &'a [Network]) -> Result<Vec<Watched<'a>>, Failure> {
    let sql = format!("SELECT DISTINCT site, place FROM daily WHERE place_kind = 'ap' AND profile = {}", ask::quoted(&profile.name));
    let mut heard: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in store.rows(&sql).await? {
        let mut row = Reader::new(&row);
        heard.entry(row.text()).or_default().insert(row.text());
    }
    if let Some(asked) = asked
        && !heard.contains_key(asked)
    {
        let known: Vec<&str> = heard.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(Failure::new(Code::Usage, format!("--site {asked}: the store has no presence of it under {}; it has {known}", profile.name)));
    }
    let mut watched = Vec::new();
    for (site, aps) in heard.into_iter().filter(|(site, _)| asked.is_none_or(|asked| asked == site)) {
        let networks: Vec<&Network> = networks.iter().filter(|network| network.aps.iter().any(|ap| aps.contains(ap))).collect();
        if !networks.is_empty() {
            watched.push(Watched { site, networks });
        }
    }
    if watched.is_empty() {
        let what = format!("the store has no presence under {} at any access point of the truth file", profile.name);
        let remedy = "was the simulation sent to the receiver of this configuration, and less than presence.allowed_lateness after its --start?";
        return Err(Failure::new(Code::Usage, format!("{what}; {remedy}")));
    }
    Ok(watched)
}
