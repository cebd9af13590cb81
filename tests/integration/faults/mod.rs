//! The network below HTTP, servers that mean harm, limits in every form, long outages, a clock and a disk that cannot be relied
//! on: nothing lost, nothing doubled, nothing in the way.

mod attacks;
mod clock;
mod hostile;
mod hostile_server;
mod limits;
mod network;
mod outage;
mod readonly_disk;
mod tls;

use std::process::ExitCode;
use testkit::arrivals::DELIVERIES;
use testkit::suite::Suite;

/// A promise, put to one delivery.
type Promise = fn(&'static str);

const PROMISES: &[(&str, Promise)] = &[
    ("limits_are_kept", limits::are_kept),
    ("limits_of_others_are_no_invitation", limits::limits_of_other_categories_do_not_end_the_wait),
    ("a_name_that_does_not_resolve", network::a_name_that_does_not_resolve),
    ("a_server_without_tls", network::a_server_without_tls),
    ("a_certificate_that_is_not_trusted", network::a_certificate_that_is_not_trusted),
    ("a_redirect_is_not_followed", network::a_redirect_is_not_followed),
    ("a_server_that_restarts", network::a_server_that_restarts),
    ("a_limit_of_no_time_is_no_invitation", limits::of_no_time_are_no_invitation),
    ("hostile::redirects_lead_nowhere", hostile::redirects_lead_nowhere),
];

/// Runs the half of a test that is a process of its own, if this process is one; returns the status it ends with.
pub fn child() -> Option<ExitCode> {
    outage::host().or_else(hostile::host)
}

pub fn add(suite: Suite) -> Suite {
    let mut suite = suite;
    for delivery in DELIVERIES {
        for (name, promise) in PROMISES {
            suite = suite.test(&format!("{delivery}::{name}"), move || promise(delivery));
        }
    }
    for delivery in ["spool", "memory"] {
        let name = format!("{delivery}::an_outage_under_full_input");
        suite = suite.test(&name, move || outage::under_full_input(delivery));
    }
    for delivery in ["spool", "ack"] {
        let name = format!("{delivery}::a_quota_that_stays_exhausted");
        suite = suite.test(&name, move || limits::exhausted_for_good(delivery));
    }
    for (number, attack) in attacks::all().into_iter().enumerate() {
        // All of them in each delivery would take minutes, and HTTP knows nothing of deliveries.
        let delivery = DELIVERIES[number % DELIVERIES.len()];
        let name = format!("{delivery}::hostile::{}", attack.name);
        suite = suite.test(&name, move || hostile::survives(&attack, delivery));
    }
    let library = clock::library();
    for delivery in DELIVERIES {
        let name = format!("{delivery}::a_clock_that_jumps");
        suite = suite.needing(&library, &name, move |library| clock::jumps(&library, delivery));
    }
    suite
        .needing(&readonly_disk::possible(), "spool::a_disk_that_becomes_read_only", |()| {
            readonly_disk::while_running()
        })
        .test("spool::hostile::limits_of_nonsense", hostile::limits_of_nonsense)
        .test("spool::hostile::a_body_that_never_comes_holds_nobody", hostile::a_body_that_never_comes_holds_nobody)
        .test("memory::events_flow_beside_an_exhausted_log_quota", limits::events_flow_beside_an_exhausted_log_quota)
}
