//! Further releases of Fluent Bit, named in `FLUENT_BITS`, and the table in `docs/compatibility.md` of what works with each.
//!
//! A run with a release compares what it finds with the row of the table. With `WRITE=1` it writes the row instead.

use super::counters::{self, Counters};
use super::feed::{EVENT_EVERY, Feed};
use super::harness::{self, ARRIVES_WITHIN, NAME, SPOOL};
use super::received::Seen;
use out_sentry::ledger::{Category, Outcome};
use receiver::Receiver;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use std::{env, fs};
use testkit::fluent_bit::{FluentBit, Format};
use testkit::suite::Suite;
use testkit::{http, plugin, wait};

/// Records of each test, and the reloads of one of them.
const TOTAL: u64 = 1_000;
const RELOADS: usize = 3;

/// Longest wait for the metrics.
const METRICS_WITHIN: Duration = Duration::from_secs(10);

/// Records every ten milliseconds.
const PACE: u64 = 10;

/// Adds the tests of every release in `FLUENT_BITS`: paths of programs, separated by colons or white space.
pub fn add(suite: Suite) -> Suite {
    let programs = env::var("FLUENT_BITS").unwrap_or_default();
    let programs: Vec<_> = programs.split([':', ' ', '\n']).filter(|path| !path.is_empty()).collect();
    if programs.is_empty() {
        let none = Err("FLUENT_BITS is not set".to_owned());
        return suite.needing(&none, "other_releases_of_fluent_bit_work_as_documented", |()| {});
    }
    programs.into_iter().fold(suite, |suite, path| {
        let (program, version) = (PathBuf::from(path), FluentBit::version(Path::new(path)));
        let release = version.trim_start_matches("Fluent Bit v").to_owned();
        suite
            .test(&format!("fluent_bit_{release}_works_as_documented"), move || works_as_documented(&program, &release))
    })
}

/// Abilities of one release: a row of the table.
struct Row {
    release: String,
    reload: Reload,
    has_metrics: bool,
    ends_well: bool,
}

/// Result of a hot reload under load.
enum Reload {
    /// It delivers each record exactly once.
    Delivers,
    /// Fluent Bit passes no chunk to the plugin until the reload is over, and waits for the chunks to be taken.
    RefusesChunks,
    /// This release has none.
    Missing,
}

impl Row {
    fn render(&self) -> String {
        let reload = match self.reload {
            Reload::Delivers => format!("yes, {RELOADS} under load"),
            Reload::RefusesChunks => "no, it may never end; a restart delivers everything".to_owned(),
            Reload::Missing => "not part of this release".to_owned(),
        };
        let metrics = if self.has_metrics { "yes" } else { "no" };
        let exit = if self.ends_well { "status 0" } else { "Fluent Bit crashes, after everything was sent" };
        format!("| {} | yes | yes | {reload} | {metrics} | {exit} |", self.release)
    }
}

fn works_as_documented(program: &Path, release: &str) {
    let (has_metrics, ends_well) = two_outputs(program);
    let row = Row { release: release.to_owned(), reload: reload(program), has_metrics, ends_well }.render();
    if env::var("WRITE").is_ok_and(|write| write == "1") {
        write(&row, release);
    } else {
        let page = fs::read_to_string(page()).expect("expected the page");
        let documented = page.lines().find(|line| line.starts_with(&format!("| {release} |")));
        assert_eq!(
            documented,
            Some(row.as_str()),
            "docs/compatibility.md; `make compatibility WRITE=1` writes the row"
        );
    }
}

fn start(program: &Path, config: &str) -> FluentBit {
    let library = plugin().display().to_string();
    FluentBit::start_program(program.to_owned(), config, Format::Classic, &["-e", &library])
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Delivers each record exactly once to two outputs; returns if there are metrics, and if Fluent Bit ends with status 0.
fn two_outputs(program: &Path) -> (bool, bool) {
    let (feed, receiver) = (Feed::new(), harness::receiver(""));
    let outputs = [
        harness::output("first", &receiver.dsn_for(7), &["spool_path ${STATE}/first"]),
        harness::output("second", &receiver.dsn_for(8), &["spool_path ${STATE}/second"]),
    ];
    let mut host = start(program, &harness::config(&feed, &outputs));
    feed.append(0..TOTAL);
    wait_for_all(&receiver, &[7, 8], &host);
    // A busy Fluent Bit does not answer at once, and has no metrics in its first moments.
    let has_metrics = wait::until_true(METRICS_WITHIN, || {
        let answer = http::get(host.http_port(), "/api/v2/metrics/prometheus", &[]);
        answer.is_ok_and(|answer| answer.status == 200 && answer.text().contains("fluentbit_sentry_"))
    });
    if has_metrics {
        for name in ["first", "second"] {
            counters::wait_for(&host, name, "all logs accepted", |counters| {
                counters.ended(Category::Log, Outcome::Accepted) == TOTAL as f64 && counters.pending() == 0.0
            });
            Counters::of(&host, name).assert_all_series();
            counters::assert_add_up(&host, name);
        }
    }
    let status = host.sigterm_and_wait(harness::ENDS_WITHIN);
    for project in [7, 8] {
        Seen::of_project(&receiver, project).assert_exactly(TOTAL);
    }
    assert_eq!(receiver.problems(), Vec::<String>::new());
    (has_metrics, status.is_some_and(|status| status.success()))
}

/// Reloads under load; each record must be delivered exactly once, at the latest by the process that follows.
fn reload(program: &Path) -> Reload {
    let (feed, receiver) = (Feed::new(), harness::receiver(""));
    let config = harness::config(&feed, &[harness::output(NAME, &receiver.dsn_for(7), &[SPOOL])]);
    let mut host = start(program, &config);
    let answer = http::get(host.http_port(), "/api/v2/reload", &[]).expect("expected an answer");
    if !answer.text().contains("hot_reload_count") {
        return Reload::Missing;
    }
    let load = feed.load(0, PACE);
    let mut result = Reload::Delivers;
    for _ in 0..RELOADS {
        let before = receiver.totals().logs;
        if let Err(error) = host.reload() {
            assert!(host.log().contains("failed to flush chunk"), "{error}");
            host.restart().unwrap_or_else(|error| panic!("{error}"));
            result = Reload::RefusesChunks;
            break;
        }
        let more = receiver.wait_until(Duration::from_secs(20), |seen| seen.totals.logs > before);
        assert!(more, "expected logs after the reload:\n{}", host.log());
    }
    let total = load.stop();
    let events = total.div_ceil(EVENT_EVERY);
    let all = receiver.wait_until(ARRIVES_WITHIN, |seen| seen.totals.logs >= total && seen.totals.events >= events);
    assert!(all, "{total}: {:?}\n{}", receiver.totals(), host.log());
    harness::stop(&mut host);
    Seen::of_project(&receiver, 7).assert_exactly(total);
    assert_eq!(receiver.problems(), Vec::<String>::new());
    result
}

fn wait_for_all(receiver: &Receiver, projects: &[u64], host: &FluentBit) {
    let complete = || projects.iter().all(|project| Seen::of_project(receiver, *project).is_complete(TOTAL));
    assert!(wait::until_true(ARRIVES_WITHIN, complete), "{:?}\n{}", receiver.totals(), host.log());
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compatibility.md")
}

/// Replaces the row of a release in the table, or adds it; the rows stay sorted, the newest first.
fn write(row: &str, release: &str) {
    /// Tests of several releases run at once and write the same page.
    static PAGE: Mutex<()> = Mutex::new(());
    const BEGIN: &str = "<!-- releases: written by `make compatibility WRITE=1` -->\n";
    const END: &str = "<!-- end -->";
    let _guard = PAGE.lock().unwrap_or_else(|error| error.into_inner());
    let page = fs::read_to_string(page()).expect("expected the page");
    let (before, rest) = page.split_once(BEGIN).expect("expected the beginning of the table");
    let (table, after) = rest.split_once(END).expect("expected the end of the table");
    let mut lines = table.lines();
    let mut text: String = lines.by_ref().take(2).fold(String::new(), |text, line| text + line + "\n");
    let mut rows: Vec<&str> = lines.filter(|line| !line.starts_with(&format!("| {release} |"))).chain([row]).collect();
    let key = |row: &&str| {
        let name = row.trim_start_matches("| ").split(' ').next().unwrap_or_default().to_owned();
        name.split('.').map(|part| part.parse::<u32>().unwrap_or_default()).collect::<Vec<_>>()
    };
    rows.sort_by_key(key);
    rows.iter().rev().for_each(|row| _ = writeln!(text, "{row}"));
    fs::write(self::page(), format!("{before}{BEGIN}{text}{END}{after}")).expect("expected to write the page");
}
