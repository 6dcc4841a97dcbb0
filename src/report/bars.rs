//! Bars of blocks, and numbers as people read them.

const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// A bar as long as `value` is of `most`, in eighths of a character; what is not nothing is never drawn as nothing.
pub(super) fn bar(value: f64, most: f64, width: usize) -> String {
    let share = if most > 0.0 { (value / most).clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * width as f64 * 8.0).round() as usize;
    let eighths = if value > 0.0 { eighths.max(1) } else { eighths };
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(EIGHTHS[eighths % 8]);
    }
    bar
}

/// A text filled with spaces to a width in characters.
pub(super) fn left(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.chars().count())))
}

/// The same, at the right end.
pub(super) fn right(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text.chars().count())))
}

/// A text cut to a width, without what could steer a terminal: names come from strangers.
pub(super) fn short(text: &str, width: usize) -> String {
    let clean = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    if text.chars().count() <= width {
        return clean.collect();
    }
    clean.take(width.saturating_sub(1)).chain(['…']).collect()
}

/// A count; a dash when it is hidden.
pub(super) fn count(value: Option<i64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A share as percent, finer when it is small; a dash when there is none.
pub(super) fn share(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value > 0.0 && value < 0.095 => format!("{:.1} %", value * 100.0),
        Some(value) => format!("{:.0} %", value * 100.0),
    }
}

/// A sum of times of many people, in hours; a dash when it is hidden.
pub(super) fn hours(seconds: Option<i64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{:.1} h", seconds as f64 / 3_600.0))
}

/// A length of time in its two largest units; a dash when there is none.
pub(super) fn length(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else { return "-".to_owned() };
    if seconds < 59.5 {
        return format!("{seconds:.0} s");
    }
    let minutes = (seconds / 60.0).round() as i64;
    match minutes {
        ..120 => format!("{minutes} min"),
        120..2_880 => format!("{} h {:02} min", minutes / 60, minutes % 60),
        _ => format!("{} d {:02} h", minutes / 1_440, minutes % 1_440 / 60),
    }
}
