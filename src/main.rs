//! footfall: the receiver and presence engine for Cisco Meraki's Scanning API.
//!
//! This file is the table of contents: each command is one line below and one file beside.

use std::process::ExitCode;

use clap::Parser;

mod admin;
mod ask;
mod cli;
mod clock;
mod config;
mod config_command;
mod failure;
mod journal_command;
mod keys;
mod log;
mod memory;
mod metrics;
mod migrate;
mod optout;
mod pipeline;
mod privacy;
mod query;
mod recompute;
mod report;
mod serve;
mod simulate;

use cli::{Cli, Command, ConfigCommand, JournalCommand, PrivacyCommand};
use failure::{Code, Failure};

fn main() -> ExitCode {
    memory::give_large_blocks_back();
    // The one cryptographic provider of the process; the second call of a process would fail, and there is none.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(Code::Usage as u8) } else { ExitCode::SUCCESS };
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("footfall: {failure}");
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Serve(at) => serve::run(at.config.as_deref()),
        Command::Simulate(arguments) => runtime()?.block_on(simulate::run(*arguments)),
        Command::Config { command: ConfigCommand::Check(at) } => config_command::check(at.config.as_deref()),
        Command::Config { command: ConfigCommand::Example } => config_command::example(),
        Command::Migrate(at) => runtime()?.block_on(migrate::run(at.config.as_deref())),
        Command::Recompute(arguments) => runtime()?.block_on(recompute::run(&arguments)),
        Command::Report(arguments) => runtime()?.block_on(report::run(&arguments)),
        Command::Query(arguments) => runtime()?.block_on(query::run(&arguments)),
        Command::Privacy { command: PrivacyCommand::Report(arguments) } => runtime()?.block_on(privacy::run(&arguments)),
        Command::Journal { command: JournalCommand::Inspect(at) } => journal_command::inspect(at.config.as_deref()),
        Command::Journal { command: JournalCommand::Verify(at) } => journal_command::verify(at.config.as_deref()),
        Command::Privacy { command: PrivacyCommand::Optout { command } } => optout::run(&command),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| Failure::new(Code::Software, format!("start the runtime: {error}")))
}
