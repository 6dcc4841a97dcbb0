//! Documents that say what the code says.

use std::fs;
use std::path::Path;

use crate::harness::{Site, files_below};

#[test]
fn every_metric_is_documented_with_its_type_and_meaning() {
    let site = Site::sqlite();
    let served = site.serve();
    let document = fs::read_to_string("docs/metrics.md").unwrap();
    let metrics = served.admin("/metrics").1;
    served.stop();
    let helps: Vec<&str> = metrics.lines().filter_map(|line| line.strip_prefix("# HELP ")).collect();
    assert!(helps.len() >= 15, "{metrics}");
    for help in helps {
        let (name, meaning) = help.split_once(' ').unwrap();
        let kind = metrics.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {name} "))).unwrap();
        let row = format!("| `{name}` | {kind} | {meaning} |");
        assert!(document.contains(&row), "docs/metrics.md lacks the row\n{row}");
    }
}

/// A renamed test must not leave the table of faults behind.
#[test]
fn every_test_that_the_table_of_faults_names_exists() {
    let table = fs::read_to_string("docs/reliability.md").unwrap();
    let sources: Vec<_> = ["tests", "src", "store", "ingest", "analytics", "fuzz"].iter().flat_map(|folder| files_below(Path::new(folder))).collect();
    let rows = table.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit());
    let named = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let mut count = 0;
    for name in named.flat_map(|name| name.split("::")) {
        let is_there = match name.strip_suffix(".rs") {
            Some(_) => sources.iter().any(|(path, _)| path.ends_with(name)),
            None => sources.iter().any(|(_, text)| String::from_utf8_lossy(text).contains(&format!("fn {name}("))),
        };
        assert!(is_there || name.starts_with("make "), "docs/reliability.md names {name}, which is not there");
        count += 1;
    }
    assert!(count > 40, "{count}");
}
