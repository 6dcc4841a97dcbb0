//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{privacy, recompute, report, simulate};

/// Receives Cisco Meraki's Scanning API posts, keeps every one it has answered, writes them to a database, and turns them into presence.
#[derive(Parser)]
#[command(name = "footfall", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Receive posts until SIGTERM or SIGINT; SIGHUP reads certificates, secrets and the opt-out list again
    Serve(ConfigFile),
    /// Send posts as Meraki's cloud would, from simulated sites
    Simulate(Box<simulate::Arguments>),
    /// Check or show the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Bring the database's tables up to date, and end
    Migrate(ConfigFile),
    /// Make presence anew from the stored observations, also while footfall runs
    Recompute(recompute::Arguments),
    /// Show a site's day or week: visitors, dwell, occupancy, access points, ways
    Report(report::Report),
    /// Run one read-only SQL statement on the database
    Query(Query),
    /// What is known of people's devices and for how long, and who is never written
    Privacy {
        #[command(subcommand)]
        command: PrivacyCommand,
    },
    /// Look at the journal, also while footfall runs
    Journal {
        #[command(subcommand)]
        command: JournalCommand,
    },
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read the whole configuration, and say what is wrong or unwise; binds no port and changes nothing
    Check(ConfigFile),
    /// Print a configuration file with every key, its meaning, unit, default and range
    Example,
}

#[derive(Subcommand)]
pub(crate) enum PrivacyCommand {
    /// Say what is kept of people's devices, for how long, which keys are destroyed, and what to tell people at the entrance
    Report(privacy::Arguments),
    /// The list of devices that are never written, also while footfall runs: it takes a change within ten seconds, or at once with SIGHUP
    Optout {
        #[command(subcommand)]
        command: OptOutCommand,
    },
}

#[derive(Subcommand)]
pub(crate) enum JournalCommand {
    /// List the segments and what is in quarantine
    Inspect(ConfigFile),
    /// Read every record and check it; exits 74 when one is damaged
    Verify(ConfigFile),
}

#[derive(Subcommand)]
pub(crate) enum OptOutCommand {
    /// Put the addresses of a CSV file on the list: all, or none when a line is wrong
    Import(Import),
    /// Put addresses on the list
    Add(Addresses),
    /// Take addresses off the list: what is heard of them from then on is written
    Remove(Addresses),
    /// Print how many devices are on the list
    Count(ConfigFile),
}

#[derive(Args)]
pub(crate) struct Import {
    /// One address per line, in the first column or in one named mac, address or client; lines with # are left out
    #[arg(value_name = "FILE.csv")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) at: ConfigFile,
}

#[derive(Args)]
pub(crate) struct Addresses {
    /// Addresses as in 02:00:5e:00:00:01; hyphens, dots or nothing will do
    #[arg(required = true, value_name = "MAC")]
    pub(crate) addresses: Vec<String>,
    #[command(flatten)]
    pub(crate) at: ConfigFile,
}

/// Which configuration a command uses.
#[derive(Args)]
pub(crate) struct ConfigFile {
    /// The configuration file; without it ./footfall.toml, else built-in defaults
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "The views: observations, locations, access_points, clients, posts; visits, stays, occupancy, hourly, daily, flow, now, heard.\nExample: footfall query \"SELECT ap, count(*) FROM observations GROUP BY ap\" --format csv"
)]
pub(crate) struct Query {
    /// One SQL statement in the database's own dialect
    pub(crate) sql: String,
    /// How rows are printed; json is an array of objects
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) at: ConfigFile,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Csv,
    Json,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 64 the command line or the configuration is wrong;\n69 something needed is not reachable; 70 a defect of footfall;\n73, 74 a file cannot be created, read or written.";
