//! The order of the parts of `src/delivery`, held by reading their imports.

use super::{Line, lines_of};
use std::collections::BTreeMap;

/// The parts of `src/delivery`: folders, and files beside them. A part may use those above it, and none below. A longer path
/// wins, so that the thread in `store/worker` is no part of `store`.
const DELIVERY: &[&str] = &[
    "route",
    "transport",
    "report",
    "costs",
    "store",
    "track",
    "accept",
    "shared",
    "store/worker",
    "map",
    "dispatch",
    "start",
    "mod",
    "admission",
];

/// Returns the place in [`DELIVERY`] of a path below `src/delivery`, such as `store/worker/mod` or `store::worker::lost`.
fn part(path: &str) -> Option<usize> {
    let is_within = |part: &str| path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let parts = DELIVERY.iter().enumerate().filter(|(_, part)| is_within(part));
    parts.max_by_key(|(_, part)| part.len()).map(|(place, _)| place)
}

/// Returns the paths below `crate::delivery` that a text names. Groups (`delivery::{a, b::C}`) are taken apart.
fn delivery_paths(text: &str) -> Vec<String> {
    let ends = text.match_indices("crate::delivery::").map(|(at, found)| at + found.len());
    let mut paths = Vec::new();
    for rest in ends.map(|end| &text[end..]) {
        let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        match rest.strip_prefix('{') {
            Some(group) => {
                let group = group.split('}').next().unwrap_or_default();
                paths.extend(group.split(',').map(|path| path.trim().to_owned()).filter(|path| !path.is_empty()));
            }
            None => paths.push(rest.chars().take_while(|c| is_path(*c)).collect()),
        }
    }
    paths.iter().map(|path| path.trim_end_matches(':').replace("::", "/")).collect()
}

/// Returns the imports of `src/delivery` that run back up, as `file uses path`.
fn imports_that_run_back_up(lines: &[Line]) -> Vec<String> {
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    for line in lines {
        let text = texts.entry(&line.file).or_default();
        // Unit tests stand at the end of their file, and put parts together.
        if !text.contains("\nmod tests {") {
            *text += &format!("\n{}", line.code);
        }
    }
    let mut found = Vec::new();
    for (file, text) in texts {
        let path = file.trim_start_matches("src/delivery/").trim_end_matches(".rs");
        if path.ends_with("tests")
            || path.contains("/tests/")
            || ["model", "property"].iter().any(|t| path.starts_with(t))
        {
            continue;
        }
        let own = part(path).unwrap_or_else(|| panic!("{file}: expected its part in DELIVERY"));
        for used in delivery_paths(&text) {
            // What stands in `mod.rs` itself, such as `Delivery`, is below every other part.
            let place = part(&used).unwrap_or_else(|| part("mod").expect("expected mod in DELIVERY"));
            if place > own {
                found.push(format!("{file} uses delivery::{}", used.replace('/', "::")));
            }
        }
    }
    found
}

#[test]
fn imports_in_delivery_never_run_back_up() {
    let found = imports_that_run_back_up(&lines_of("src/delivery"));
    assert!(found.is_empty(), "expected the order {DELIVERY:?}:\n{}", found.join("\n"));
}

#[test]
fn an_import_that_runs_back_up_is_found() {
    let line = |file: &str, code: &str| Line { file: file.to_owned(), number: 1, code: code.to_owned() };
    let uses = |file: &str, code: &str| imports_that_run_back_up(&[line(file, code)]).len();
    assert_eq!(uses("src/delivery/dispatch/scheduler.rs", "use crate::delivery::transport::response::Limits;"), 0);
    assert_eq!(uses("src/delivery/transport/sender.rs", "use crate::delivery::dispatch::dispatcher;"), 1);
    assert_eq!(uses("src/delivery/store/spool.rs", "use crate::delivery::{route, store::worker::lost};"), 1);
    assert_eq!(uses("src/delivery/store/worker/mod.rs", "use crate::delivery::store::Spool;"), 0);
    assert_eq!(uses("src/delivery/map/sink.rs", "use crate::delivery::Delivery;"), 1);
    assert_eq!(uses("src/delivery/report/host.rs", "    crate::delivery::shared::state::f();"), 1);
}
