//! The report on privacy as text, and the notice for the entrance.

use std::fmt::Write as _;

use super::Report;
use crate::config::{Mode, Privacy};

/// The whole report.
pub(super) fn page(report: &Report) -> String {
    let mut text = String::from("Privacy of devices that footfall hears\n\n");
    line(&mut text, "Purpose", &report.purpose);
    if !report.contact.is_empty() {
        line(&mut text, "Contact", &report.contact);
    }
    line(&mut text, "Mode", &mode(report));
    if let Some(basis) = &report.legal_basis {
        line(&mut text, "Legal basis", basis);
    }
    line(&mut text, "Kept", &report.fields.kept.join(", "));
    let dropped = report.fields.dropped.join(", ");
    line(&mut text, "Dropped", if dropped.is_empty() { "nothing" } else { &dropped });

    text.push_str("\nKeys in use\n");
    if report.keys.in_use.is_empty() {
        text.push_str(if report.mode == "static" { "  one, for good\n" } else { "  none: nobody was heard since the last was destroyed\n" });
    }
    for key in &report.keys.in_use {
        let _ = writeln!(text, "  {} to {}, made {}, destroyed {} at the earliest", key.from, key.to, key.made_at, key.destroyed_at);
    }
    let _ = writeln!(text, "\nKeys destroyed: {}", report.keys.destroyed);
    for key in &report.keys.latest {
        let rows = match (&key.cleared_at, key.rows) {
            (Some(at), Some(rows)) => format!("{rows} rows had lost their client by {at}"),
            _ => "its rows are losing their clients".to_owned(),
        };
        let _ = writeln!(text, "  {} to {}, destroyed {}; {rows}", key.from, key.to, key.destroyed_at);
    }

    text.push_str("\nRows\n");
    let _ = writeln!(text, "  {:<27} {:<9} {:<23} {:<21} names a client", "view", "kept for", "setting", "oldest");
    for table in &report.tables {
        let oldest = table.oldest.as_deref().unwrap_or("-");
        let names = match (table.has_clients, report.mode) {
            (false, _) => "no",
            (true, "static") => "yes",
            (true, _) => "until its epoch has ended",
        };
        let _ = writeln!(text, "  {:<27} {:<9} {:<23} {oldest:<21} {names}", table.view, table.kept_for, table.key);
    }
    text.push_str("\nSealed in the data directory\n");
    for (name, sealed) in [("journal", &report.journal), ("quarantine", &report.quarantine)] {
        let _ = writeln!(text, "  {name:<12} {} file(s), {}: {}", sealed.files, sealed.kept_for, sealed.what);
    }
    let _ = writeln!(text, "\nOpted out: {} device(s), of which nothing is written", report.opted_out);
    let _ = writeln!(text, "Excluded: {} device(s) of our own, which are written and in no count", report.excluded);
    let _ = write!(text, "\nNotice for the entrance\n\n{}", report.notice);
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name:<12} {value}");
}

fn mode(report: &Report) -> String {
    let zone = report.time_zone.as_deref().unwrap_or("UTC");
    let told = match report.mode {
        "anonymous" => "a device has a pseudonym for ten minutes; then the key is destroyed and only counts are kept".to_owned(),
        "day" => format!("a device has a pseudonym from 04:00 to 04:00 ({zone}); its key is destroyed an hour later, and its rows lose it"),
        "extended" => {
            format!("a device keeps its pseudonym for privacy.epoch, changing at 04:00 ({zone}); its key is destroyed an hour later, and its rows lose it")
        }
        _ if report.clients == "plain" => "devices are known by their address for as long as rows are kept".to_owned(),
        _ => "a device keeps its pseudonym for good".to_owned(),
    };
    format!("{}: {told}", report.mode)
}

/// What to tell people before they come in: plain words, and what they can do.
pub(super) fn notice(privacy: &Privacy) -> String {
    let known = match privacy.mode() {
        Mode::Anonymous => "We know a device again for ten minutes at most. Then only numbers are left.".to_owned(),
        Mode::Day => "We know a device again until four o'clock in the morning. Then the key is destroyed and only numbers are left.".to_owned(),
        Mode::Extended => {
            let days = privacy.epoch.0.as_secs() / 86_400;
            format!("We know a device again for up to {days} days. We may do so because of: {}.", privacy.legal_basis.trim_end_matches('.'))
        }
        Mode::Static => "We know a device again whenever it comes back.".to_owned(),
    };
    let contact = if privacy.contact.is_empty() { "the staff".to_owned() } else { privacy.contact.clone() };
    format!(
        "  Wi-Fi devices are counted here\n\n  Our access points hear Wi-Fi devices nearby, connected or not. We use this {}.\n  {known}\n  We do not look at what you send or receive.\n  \
         If you do not want your device to be counted, ask {contact}; we take it off the count.\n",
        privacy.purpose.trim_end_matches('.')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notice_says_for_how_long_and_what_to_do() {
        let privacy = Privacy { contact: "privacy@example.org".to_owned(), ..Privacy::default() };
        let text = notice(&privacy);
        assert!(text.contains("until four o'clock in the morning") && text.contains("ask privacy@example.org"), "{text}");
        let extended = Privacy { mode: Some(Mode::Extended), legal_basis: "consent in our app".to_owned(), ..Privacy::default() };
        let text = notice(&extended);
        assert!(text.contains("for up to 90 days."), "{text}");
        assert!(text.contains("because of: consent in our app.") && text.contains("ask the staff"), "{text}");
    }
}
