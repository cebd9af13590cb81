//! Tests of the links between the documents.

use super::{document, pages, root};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Documents outside of `docs/` whose links are checked as well.
const OTHERS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "BENCHMARKS.md",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "SUPPORT.md",
    "deploy/README.md",
];

/// Returns the targets of the links and images in a document, without those in code.
fn targets(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
            let links = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            targets.extend(links.map(str::to_owned));
        }
    }
    targets
}

/// Returns the anchors of the headings, as GitHub and mdBook build them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut in_block = false;
    let mut anchors = BTreeSet::new();
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if let (false, Some(heading)) = (in_block, line.strip_prefix('#')) {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            anchors.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    anchors
}

/// Returns `path` without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = plain.pop(),
            part => plain.push(part),
        }
    }
    plain
}

/// Returns why a link of the document `from` leads nowhere.
fn problem(from: &str, target: &str) -> Option<String> {
    if target.starts_with("http://") || target.starts_with("https://") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(from).parent().unwrap_or(Path::new(""));
    let file = if path.is_empty() { PathBuf::from(from) } else { plain(&folder.join(path)) };
    if !root().join(&file).exists() {
        return Some(format!("{from}: {target}: there is no {}", file.display()));
    }
    if !anchor.is_empty() && !anchors(&document(&file.display().to_string())).contains(anchor) {
        return Some(format!("{from}: {target}: {} has no such heading", file.display()));
    }
    None
}

#[test]
fn links_lead_somewhere() {
    let documents = pages().into_iter().chain(OTHERS.iter().map(|name| (*name).to_owned()));
    let (mut problems, mut links) = (Vec::new(), 0);
    for name in documents {
        for target in targets(&document(&name)) {
            links += 1;
            problems.extend(problem(&name, &target));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(links > 100, "expected more links than {links}");
}

#[test]
fn broken_links_are_found() {
    assert_eq!(targets("[a](b.md) `[c](d)` ![e](f.png)\n```\n[g](h)\n```"), ["b.md", "f.png"]);
    assert_eq!(problem("docs/README.md", "install/linux.md#3-check-and-start"), None);
    assert!(problem("docs/README.md", "install/windows.md").is_some());
    assert!(problem("docs/README.md", "delivery.md#no-such-heading").is_some());
    assert!(problem("docs/install/linux.md", "delivery.md").is_some());
}

#[test]
fn each_page_is_in_the_summary_and_in_the_index() {
    for list in ["docs/SUMMARY.md", "docs/README.md"] {
        let targets = targets(&document(list));
        let listed: BTreeSet<String> = targets.iter().cloned().collect();
        let twice = list.ends_with("SUMMARY.md").then(|| targets.len() - listed.len());
        assert!(
            twice.is_none_or(|twice| twice == 0),
            "{list} lists a page twice, and mdBook would build it twice: {targets:?}"
        );
        for page in pages() {
            let page = page.strip_prefix("docs/").expect("expected a page below docs/");
            if page != "SUMMARY.md" && page != "README.md" {
                assert!(listed.contains(page), "{list} does not list {page}");
            }
        }
    }
}

/// Files and folders of the sources that CONTRIBUTING.md and docs/development.md name, in code, exist.
#[test]
fn named_sources_exist() {
    const FOLDERS: [&str; 9] =
        ["src/", "tests/", "cli/", "receiver/", "testkit/", "fuzz/", "packaging/", ".ci/", ".github/"];
    let mut named = 0;
    for name in ["CONTRIBUTING.md", "docs/development.md"] {
        for path in document(name).split('`').skip(1).step_by(2) {
            let is_path = FOLDERS.iter().any(|folder| path.starts_with(folder));
            // A pattern, or what a tool makes.
            if is_path && !path.contains(['<', '*', ' ']) && !path.ends_with("/artifacts") {
                assert!(root().join(path).exists(), "{name}: there is no {path}");
                named += 1;
            }
        }
    }
    assert!(named > 10, "expected more than {named}");
}
