//! How errors are printed.

use serde_json::{Value, json};

use super::compare::{Comparison, Measure, Pair};
use super::presence::Moments;

/// Each place, then the summary.
pub(super) fn table(comparison: &Comparison) -> String {
    let mut text = String::new();
    for measure in &comparison.measures {
        text.push_str(&format!(
            "{:<28}{:>10}{:>12}{:>12}{:>10}\n",
            format!("{}, {}", measure.name, measure.unit),
            "truth",
            "published",
            "difference",
            "percent"
        ));
        let places = measure.aps.iter().map(|(ap, pair)| (ap.as_str(), *pair));
        for (place, pair) in std::iter::once(("site", measure.site)).chain(places) {
            let line = format!("  {place:<26}{}", numbers(pair, measure.decimals));
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text.push('\n');
    }
    text + &summary(comparison)
}

/// A line per number, and what differs at all.
pub(super) fn summary(comparison: &Comparison) -> String {
    let time = |seconds| jiff::Timestamp::from_second(seconds).unwrap_or_default();
    let mut text = format!(
        "{}, {} to {}, profile {}\ntruth: {}\n",
        comparison.site,
        time(comparison.from),
        time(comparison.to),
        comparison.profile,
        match comparison.moments {
            Moments::Second => "where everybody was at each second",
            Moments::Minute => "where everybody was once a minute, as a perfect radio hears it",
        }
    );
    text.push_str(&format!("\n{:<12}{:>10}{:>12}{:>12}{:>10}   {}\n", "site", "truth", "published", "difference", "percent", "per access point"));
    for measure in &comparison.measures {
        let spread = measure.spread().map_or_else(String::new, |spread| {
            let percent = |value: Option<f64>| value.map_or_else(String::new, |value| format!(" ({value:.1} %)"));
            format!(
                "   mean absolute error {:.2}{}, bias {:+.2}{}",
                spread.mean_absolute_error,
                percent(spread.mean_absolute_error_percent),
                spread.bias,
                percent(spread.bias_percent)
            )
        });
        let line = format!("{:<12}{}{spread}", measure.name, numbers(measure.site, measure.decimals));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str("\nsingle values that differ\n");
    for cells in &comparison.cells {
        text.push_str(&format!("  {} of {} {}\n", cells.different, cells.compared, cells.name));
    }
    if comparison.differences() == 0 {
        text.push_str("equal: every published number is the true one\n");
    }
    text
}

/// One object with a member per site.
pub(super) fn json(comparisons: &[Comparison]) -> String {
    let sites: Vec<Value> = comparisons.iter().map(site).collect();
    format!("{:#}\n", json!({ "differences": comparisons.iter().map(Comparison::differences).sum::<usize>(), "sites": sites }))
}

fn site(comparison: &Comparison) -> Value {
    let time = |seconds| jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string();
    let measures: serde_json::Map<String, Value> =
        comparison.measures.iter().map(|measure| (measure.name.replace([' ', '-'], "_"), self::measure(measure))).collect();
    let cells: Vec<Value> =
        comparison.cells.iter().map(|cells| json!({ "what": cells.name, "compared": cells.compared, "different": cells.different })).collect();
    json!({
        "site": comparison.site,
        "profile": comparison.profile,
        "truth_every": match comparison.moments { Moments::Second => "second", Moments::Minute => "minute" },
        "from": time(comparison.from),
        "to": time(comparison.to),
        "measures": measures,
        "cells": cells,
    })
}

fn measure(measure: &Measure) -> Value {
    let pair = |pair: Pair| json!({ "truth": pair.truth, "published": pair.published, "difference": pair.difference(), "percent": pair.percent() });
    let aps: serde_json::Map<String, Value> = measure.aps.iter().map(|(ap, error)| (ap.clone(), pair(*error))).collect();
    let spread = measure.spread().map(|spread| {
        json!({
            "mean_absolute_error": spread.mean_absolute_error,
            "mean_absolute_error_percent": spread.mean_absolute_error_percent,
            "bias": spread.bias,
            "bias_percent": spread.bias_percent,
        })
    });
    json!({ "unit": measure.unit, "site": pair(measure.site), "access_points": aps, "per_access_point": spread })
}

fn numbers(pair: Pair, decimals: usize) -> String {
    let difference = pair.difference();
    let percent = pair.percent().filter(|_| difference != 0.0).map_or_else(String::new, |percent| format!("{percent:+.1} %"));
    let difference = if difference == 0.0 { "0".to_owned() } else { format!("{difference:+.decimals$}") };
    format!("{:>10.decimals$}{:>12.decimals$}{difference:>12}{percent:>10}", pair.truth, pair.published)
}
