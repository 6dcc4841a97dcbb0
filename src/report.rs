//! `footfall report`: what a site's day or week was like, as a page for the terminal.
//!
//! [`choice`] decides which sites and days, [`rows`] asks the views, [`layout`] makes the text; the layout knows no database and no clock.

use std::io::IsTerminal;
use std::path::PathBuf;

use analytics::presence::engine::Settings;
use clap::Args;

use crate::ask::Asker;
use crate::config_command;
use crate::failure::{Code, Failure};

mod bars;
mod choice;
mod layout;
mod page;
mod rows;
#[cfg(test)]
mod tests;

use choice::{Asked, Span};
use layout::Style;

/// More pages than this become one table.
const PAGES_MAX: usize = 3;
const WIDTH: usize = 80;

/// The options of `footfall report`.
#[derive(Args)]
#[command(after_help = "Examples: footfall report\n          footfall report --site mall/L_1 --day 2026-11-26\n          footfall report --week")]
pub(crate) struct Report {
    /// One site [default: all; a table when there are more than 3]
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// The profile, with or without its version [default: the first configured]
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// A local day of the site [default: the latest that has rows]
    #[arg(long, value_name = "YYYY-MM-DD", conflicts_with = "week")]
    day: Option<jiff::civil::Date>,
    /// A week from Monday, named by any of its days [default: the latest that has rows]
    #[arg(long, value_name = "YYYY-MM-DD", num_args = 0..=1)]
    week: Option<Option<jiff::civil::Date>>,
    /// The configuration file; without it ./footfall.toml, else built-in defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Asks, and prints the pages.
pub(crate) async fn run(arguments: &Report) -> Result<(), Failure> {
    let (config, _) = config_command::load(arguments.config.as_deref())?;
    let settings = config.presence_settings(0).map_err(|(key, what, remedy)| Failure::new(Code::Usage, format!("{key}: {what}; {remedy}")))?;
    let mut store = Asker::connect(&config).await?;
    let written = write(&mut store, arguments, &settings).await;
    store.close().await;
    written?.map_or(Ok(()), |text| config_command::print(&text))
}

/// The pages; none of a store that has no presence.
async fn write(store: &mut Asker, arguments: &Report, settings: &Settings) -> Result<Option<String>, Failure> {
    let there = rows::what_is_there(store).await?;
    if there.is_empty() {
        eprintln!(
            "the store has no presence yet: footfall serve counts visits as posts arrive; has a post been taken (footfall query \"SELECT * FROM posts\")?"
        );
        return Ok(None);
    }
    let span = match (arguments.day, arguments.week) {
        (Some(day), _) => Span::Day(day),
        (None, Some(Some(day))) => Span::WeekOf(day),
        (None, Some(None)) => Span::LatestWeek,
        (None, None) => Span::LatestDay,
    };
    let main = settings.profiles.first().map_or("", |profile| profile.name.as_str());
    let asked = Asked { site: arguments.site.as_deref(), profile: arguments.profile.as_deref(), main, span };
    let chosen = choice::choose(&there, &asked).map_err(|what| Failure::new(Code::Usage, what))?;
    let style = style();
    let mut text = String::new();
    if chosen.len() > PAGES_MAX {
        let mut lines = Vec::new();
        for page in &chosen {
            lines.push(rows::summary(store, settings, page).await?);
        }
        text = layout::sites(&lines, style);
    } else {
        for (number, page) in chosen.iter().enumerate() {
            text.push_str(if number == 0 { "" } else { "\n\n" });
            text.push_str(&layout::page(&rows::page(store, settings, page).await?, style));
        }
    }
    Ok(Some(text))
}

/// As wide as the terminal, in colour on one.
fn style() -> Style {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return Style { width: WIDTH, is_coloured: false };
    }
    let columns = rustix::termios::tcgetwinsize(&out).map_or(0, |size| usize::from(size.ws_col));
    let is_coloured = std::env::var_os("NO_COLOR").is_none();
    Style { width: if columns == 0 { WIDTH } else { columns }, is_coloured }
}
