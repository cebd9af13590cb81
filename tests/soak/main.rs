//! Rounds that do not fit the gate: `make soak`. `SOAK_MINUTES` (10) is how long the leak watch lasts, `SOAK_KILLS` (20)
//! how many kills there are; a seed that kills printed is had again with `SEED`.

#[expect(dead_code, reason = "the tests of the host use more of it")]
#[path = "../fluent_bit/counters.rs"]
mod counters;
mod disk;
#[expect(dead_code, reason = "the tests of the host use more of it")]
#[path = "../fluent_bit/feed.rs"]
mod feed;
#[expect(dead_code, reason = "the tests of the host use more of it")]
#[path = "../fluent_bit/kills.rs"]
mod kills;
mod leaks;
#[expect(dead_code, reason = "the tests of the host use more of it")]
#[path = "../fluent_bit/rig.rs"]
mod rig;
#[expect(dead_code, reason = "the tests of the host use more of it")]
#[path = "../fluent_bit/seen.rs"]
mod seen;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;
use support::fluent_bit::FluentBit;
use support::suite::Suite;

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() -> ExitCode {
    let (host, small) = (FluentBit::find(), disk::Small::mount(1).map(|_| ()));
    Suite::default()
        .at_once(1)
        .needing(&small, "a_full_disk_under_the_spool", |()| disk::full())
        .needing(&small, "a_spool_that_can_be_read_only", |()| disk::read_only())
        .needing(&host, "kills_with_a_spool", |_| kills::rounds(setting("SOAK_KILLS", 20) as usize, rig::SPOOL))
        .needing(&host, "kills_with_a_worker", |_| kills::rounds(setting("SOAK_KILLS", 20) as usize, "Workers 1"))
        .needing(&host, "reloads_and_faults_leak_nothing", |_| leaks::watch(setting("SOAK_MINUTES", 10)))
        .run()
}
