//! `footfall journal inspect|verify`: what lies on disk, also while footfall runs.

use std::fmt::Write as _;
use std::path::Path;

use comfy_table::{Table, presets};
use jiff::Timestamp;
use store::journal::{self, HeaderState, SegmentReport};
use store::key::Key;
use store::quarantine::Quarantine;

use crate::config_command::{self, print};
use crate::failure::{Code, Failure};
use crate::keys::Keys;

/// `footfall journal inspect`
pub(crate) fn inspect(named: Option<&Path>) -> Result<(), Failure> {
    let (config, _) = config_command::load(named)?;
    let dir = config.data_dir.join("journal");
    // Without its key a journal can still be counted and checksummed.
    let key = Keys::journal_only(&config).ok();
    let segments = journal::inspect(&dir, key.as_ref()).map_err(|error| unreadable(&dir, &error))?;
    let mut text = format!("{}\n", segment_table(&segments));
    let _ = writeln!(text, "{} segment(s), {} record(s), {} bytes", segments.len(), sum(&segments, |one| one.records), sum(&segments, |one| one.bytes));

    if let Some(key) = key {
        text.push_str(&quarantine_table(&config.data_dir.join("quarantine"), key)?);
    }
    print(&text)
}

/// `footfall journal verify`
pub(crate) fn verify(named: Option<&Path>) -> Result<(), Failure> {
    let (config, _) = config_command::load(named)?;
    let dir = config.data_dir.join("journal");
    let key = Keys::journal_only(&config)?;
    let report = journal::verify(&dir, &key).map_err(|error| unreadable(&dir, &error))?;
    let mut text = format!("{}\n", segment_table(&report.segments));
    for segment in &report.segments {
        for damage in &segment.damages {
            let what = if damage.unfinished { "unfinished" } else { "damaged" };
            let _ = writeln!(text, "{}: {what}: {} bytes from offset {}", segment.file, damage.bytes, damage.offset);
        }
    }
    let _ = writeln!(text, "{} record(s) verified, {} place(s) damaged", report.records, report.damaged);
    print(&text)?;
    if report.is_whole() {
        Ok(())
    } else {
        Err(Failure::new(
            Code::Io,
            format!(
                "the journal in {} is damaged; serve sets the damaged places aside in quarantine and goes on with the rest; look at the disk",
                dir.display()
            ),
        ))
    }
}

/// What is in quarantine; empty when nothing is.
fn quarantine_table(dir: &Path, key: Key) -> Result<String, Failure> {
    if !dir.exists() {
        return Ok(String::new());
    }
    let held = Quarantine::open(dir, key).and_then(|quarantine| quarantine.list()).map_err(|error| unreadable(dir, &error))?;
    if held.is_empty() {
        return Ok(String::new());
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(["quarantine file", "reason", "first position", "bytes"]);
    for file in held {
        table.add_row([file.file, file.reason, file.first.to_string(), file.bytes.to_string()]);
    }
    Ok(format!("{table}\n"))
}

fn segment_table(segments: &[SegmentReport]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header([
        "segment",
        "header",
        "positions",
        "records",
        "unknown",
        "bytes",
        "first received",
        "last received",
        "damages",
    ]);
    for segment in segments {
        let (first, last) = segment.received_ms.map_or_else(Default::default, |(first, last)| (time(first), time(last)));
        table.add_row([
            segment.file.clone(),
            header(segment.header),
            segment.positions.map_or_else(String::new, |(first, last)| format!("{first} to {last}")),
            segment.records.to_string(),
            segment.unknown.to_string(),
            segment.bytes.to_string(),
            first,
            last,
            segment.damages.len().to_string(),
        ]);
    }
    table
}

fn header(state: HeaderState) -> String {
    match state {
        HeaderState::Whole => "whole".to_owned(),
        HeaderState::OneCopy => "one copy damaged".to_owned(),
        HeaderState::Unreadable => "unreadable".to_owned(),
        HeaderState::Newer(version) => format!("of newer format {version}"),
        HeaderState::WrongKey => "sealed with another key".to_owned(),
    }
}

fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn sum(segments: &[SegmentReport], of: fn(&SegmentReport) -> u64) -> u64 {
    segments.iter().map(of).sum()
}

fn unreadable(dir: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Code::Io, format!("cannot read {}: {error}; is data_dir right, and may this user read it?", dir.display()))
}
