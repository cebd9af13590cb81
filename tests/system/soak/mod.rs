//! Rounds that do not fit the gate: `make soak`. `SOAK_MINUTES` (10) is how long the leak watch lasts, `SOAK_KILLS` (20)
//! how many kills there are; a seed that kills printed is had again with `SEED`.

mod address;
mod disk;
mod fleet;
mod leaks;

use crate::fluent_bit::forward::{Files, Forwarder, Source};
use crate::fluent_bit::outage::Outage;
use crate::fluent_bit::{harness, kills, slow_answers, slow_disk};
use std::path::PathBuf;
use std::time::Duration;
use testkit::fluent_bit::FluentBit;
use testkit::suite::Suite;

/// A line a second for 45 seconds, and as many descriptors as systemd allows.
const REPORTED: Outage = Outage { rounds: 45, interval: Duration::from_secs(1), limit: 1024, most: 200 };

/// An outage with 5,000 chunks.
const LONG: Outage = Outage { rounds: 125, interval: Duration::from_millis(210), limit: 1024, most: 200 };

/// Times after which a server answers, in milliseconds.
const ANSWERS: [u64; 5] = [300, 1_000, 1_500, 2_500, 6_000];

/// Outages, slow disks and slow answers as they were reported: minutes each.
fn reported(suite: Suite, host: &Result<PathBuf, String>) -> Suite {
    let sources = host.clone().and_then(|_| slow_disk::sources());
    let mut suite = suite;
    for (name, outage) in [("an_outage", &REPORTED), ("an_outage_of_5000_chunks", &LONG)] {
        suite = suite
            .needing(host, name, |_| outage.run(Source::Forward(Forwarder::new()), false))
            .needing(host, &format!("{name}_of_many_files"), |_| outage.run(Source::Files(Files::new()), false))
            .needing(host, &format!("{name}_with_a_kill"), |_| outage.run(Source::Files(Files::new()), true));
    }
    for ms in ["12", "20"] {
        let name = format!("a_disk_whose_syncs_take_{ms}_ms");
        suite = suite.needing(&sources, &name, move |root| slow_disk::run(&root, ms, 30));
    }
    suite = suite.needing(&sources, "a_changed_address_is_followed", |root| address::a_change(&root));
    for ms in ANSWERS {
        for has_backlog in [false, true] {
            let name = format!("answers_after_{ms}_ms{}", if has_backlog { "_with_a_backlog" } else { "" });
            let delay = Duration::from_millis(ms);
            suite = suite.needing(host, &name, move |_| slow_answers::run(delay, has_backlog));
        }
    }
    suite
}

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub fn add(suite: Suite) -> Suite {
    let (host, small) = (FluentBit::find(), disk::Small::mount(1).map(|_| ()));
    reported(suite, &host)
        .test("a_fleet_shares_a_quota", fleet::run)
        .needing(&small, "a_full_disk_under_the_spool", |()| disk::full())
        .needing(&small, "a_spool_that_can_be_read_only", |()| disk::read_only())
        .needing(&host, "kills_with_a_spool", |_| kills::rounds(setting("SOAK_KILLS", 20) as usize, harness::SPOOL))
        .needing(&host, "kills_with_a_worker", |_| kills::rounds(setting("SOAK_KILLS", 20) as usize, "Workers 1"))
        .needing(&host, "reloads_and_faults_leak_nothing", |_| leaks::watch(setting("SOAK_MINUTES", 10)))
}
