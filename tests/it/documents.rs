//! Documents that say what the code says.

use std::fs;

use crate::harness::Site;

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
