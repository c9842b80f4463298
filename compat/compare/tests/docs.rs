//! The documents keep up with what they document.

use kerneld_compare::scenario;
use kerneld_compare::verdict::differences;
use kerneld_protocol::wire::Layout;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The name that a link gives a heading.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings =
        text.lines().filter_map(|line| line.strip_prefix('#').map(|rest| rest.trim_start_matches('#')));
    let anchor = |heading: &str| {
        let kept = heading.trim().to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn each_difference_links_to_a_heading() {
    for difference in differences::load(&project().join("tests/differences.toml")).unwrap() {
        let (file, heading) = difference.docs.split_once('#').unwrap_or((&difference.docs, ""));
        let text = std::fs::read_to_string(project().join(file)).expect(file);
        assert!(anchors(&text).contains(heading), "{}: {} has no heading {heading}", difference.id, file);
    }
}

#[test]
fn each_scenario_is_in_the_list_of_behaviours_and_the_other_way_round() {
    let text = std::fs::read_to_string(project().join("docs/behaviour.md")).unwrap();
    let (_, lists) = text.split_once("Scenarios: ").unwrap();
    let lists: String = lists.split("\n\n").filter(|part| !part.starts_with('#')).collect();
    let mentioned: BTreeSet<&str> = lists.split('`').skip(1).step_by(2).collect();
    let scenarios = scenario::load(&project().join("tests/scenarios"), Layout::Lp64New).unwrap();
    let existing: BTreeSet<&str> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    let missing: Vec<_> = existing.difference(&mentioned).collect();
    assert!(missing.is_empty(), "not in docs/behaviour.md: {missing:?}");
}
