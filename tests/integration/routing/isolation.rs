//! Tests that a destination that is deleted, limited, failing or dead costs the others nothing.

use super::{DEFAULT, KEY, Setting, TAG, assert_arrived, chunk_of, default, receive, said};
use plugin_host::Verdict;
use std::fs;
use std::time::{Duration, Instant};
use testkit::output::{Ledger, PATIENCE, flush_all};
use testkit::{net, wait};

/// Fault of one destination out of many.
#[derive(Clone, Copy)]
pub(super) enum Trouble {
    /// The server's answers to its project.
    Answers(&'static str),
    /// Nobody listens there.
    Refused,
}

/// Of many namespaces with projects of their own one is in trouble; the others' records all arrive, and the host is not
/// held up for any of theirs.
pub(super) fn one_in_trouble_costs_the_others_nothing(delivery: &'static str, trouble: Trouble) {
    const NAMESPACES: u64 = 200;
    const DEAD: u64 = 1_007;
    let receiver = match trouble {
        Trouble::Answers(faults) => receive(&format!("forever:project={DEAD}:{faults}")),
        Trouble::Refused => receive(""),
    };
    let setting = Setting::new(delivery);
    let dead = match trouble {
        Trouble::Answers(_) => receiver.dsn_for(DEAD),
        Trouble::Refused => format!("http://{KEY}@127.0.0.1:{}/7", net::free_port().expect("expected a free port")),
    };
    let name = |n: u64| format!("ns-{n}");
    for n in 0..NAMESPACES {
        let dsn = if 1_000 + n == DEAD { dead.clone() } else { receiver.dsn_for(1_000 + n) };
        setting.file(&name(n), &dsn);
    }
    let options = [("exit_timeout", "200ms"), ("ack_timeout", "5s"), ("batch_max_items", "100")];
    let instance = setting.start(&default(&receiver), &options);
    let of_the_dead = |from: u64| chunk_of(&name(DEAD - 1_000), from..from + 10);
    let (mut waiting, mut flushed) = (Vec::new(), 0);
    // Fifty flushes that each wait for the dead as long as they may take four times as long.
    let deadline = Instant::now() + 2 * PATIENCE;
    for n in (0..NAMESPACES).filter(|n| 1_000 + n != DEAD) {
        if n.is_multiple_of(4) {
            let chunk = of_the_dead(100_000 + n * 10);
            flushed += 10;
            match instance.flush(TAG, &chunk) {
                Verdict::Ok => {}
                _ => waiting.push(chunk),
            }
        }
        let verdict = instance.flush(TAG, &chunk_of(&name(n), n * 10..n * 10 + 10));
        assert_eq!(verdict, Verdict::Ok, "{}: {:#?}", name(n), instance.log_lines());
        assert!(Instant::now() < deadline, "the host is held up: {:#?}", instance.log_lines());
    }
    assert_eq!(waiting.is_empty(), delivery != "ack", "what waits for the dead stays with the host only in ack");
    let others: Vec<_> =
        (0..NAMESPACES).filter(|n| 1_000 + n != DEAD).map(|n| (1_000 + n, n * 10..n * 10 + 10)).collect();
    assert_arrived(&receiver, &instance, &others);
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    let all = (NAMESPACES - 1) * 10;
    assert_eq!((ledger.get("log.accepted"), ledger.get("event.accepted")), (all, NAMESPACES - 1), "{ledger:?}");
    assert_eq!(ledger.get("records"), all + flushed);
    let rest = if delivery == "memory" { "log.lost" } else { "log.pending" };
    assert_eq!(ledger.get(rest), flushed, "{ledger:?}");
}

/// In memory there is nowhere else to wait: a dead destination keeps to its share, and what is beyond is given up and said.
pub(super) fn in_memory_the_dead_keep_to_their_share() {
    let receiver = receive("forever:project=7:503");
    let other = receive("");
    let setting = Setting::new("memory");
    setting.file("dead", &receiver.dsn_for(7));
    let options = [("queue_max_size", "200K"), ("exit_timeout", "200ms")];
    let instance = setting.start(&default(&other), &options);
    for turn in 0..60 {
        flush_all(&instance, TAG, [chunk_of("dead", 10_000 + turn * 40..10_040 + turn * 40)]);
        flush_all(&instance, TAG, [chunk_of("other", turn * 10..turn * 10 + 10)]);
    }
    assert_arrived(&other, &instance, &[(DEFAULT, 0..600)]);
    assert!(said(&instance, "fill their share of the queue"), "{:#?}", instance.log_lines());
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    assert!(ledger.get("log.overflow") > 0 && ledger.get("log.lost") > 0, "{ledger:?}");
    assert_eq!(ledger.get("log.overflow") + ledger.get("log.lost"), 2_400, "{ledger:?}");
}

/// A spool holds what waits for one destination while what waits for others is replayed by the next process.
pub(super) fn a_spool_is_replayed_around_a_dead_destination() {
    let receiver = receive("forever:503");
    let setting = Setting::new("spool");
    let names = ["a", "b", "dead"];
    (7..).zip(names).for_each(|(project, name)| setting.file(name, &receiver.dsn_for(project)));
    let first = setting.start(&default(&receiver), &[("exit_timeout", "100ms")]);
    for (n, name) in (0..60).step_by(10).zip(["dead", "a", "b"].into_iter().cycle()) {
        flush_all(&first, TAG, [chunk_of(name, n..n + 10)]);
    }
    let ledger = Ledger::read(&first.exit());
    ledger.assert_closed();
    assert_eq!(ledger.get("log.pending"), 60, "{ledger:?}");
    receiver.script("forever:project=9:403".parse().expect("expected a script"));
    let second = setting.start(&default(&receiver), &[("exit_timeout", "100ms")]);
    assert_arrived(&receiver, &second, &[(7, 10..20), (7, 40..50), (8, 20..30), (8, 50..60)]);
    let ledger = Ledger::read(&second.exit());
    assert_eq!((ledger.get("log.accepted"), ledger.get("log.pending")), (40, 20), "{ledger:?}");
}

/// A dead destination fills the spool until it has to give way: the others' chunks are never refused for it.
pub(super) fn in_the_spool_the_dead_give_way() {
    let receiver = receive("forever:project=7:503");
    let setting = Setting::new("spool");
    setting.file("dead", &receiver.dsn_for(7));
    let options = [("spool_max_size", "400K"), ("exit_timeout", "200ms")];
    let instance = setting.start(&default(&receiver), &options);
    let (mut n, mut dead) = (0, 0);
    let gave_way = wait::until_true(PATIENCE, || {
        if n < 2_000 {
            // What is refused stays with the host, and is no more than a chunk.
            if instance.flush(TAG, &chunk_of("dead", 100_000 + dead..100_040 + dead)) == Verdict::Ok {
                dead += 40;
            }
        }
        flush_all(&instance, TAG, [chunk_of("other", n..n + 10)]);
        n += 10;
        said(&instance, "spool is 75 % full")
    });
    assert!(gave_way, "{dead} {:#?}", instance.log_lines());
    flush_all(&instance, TAG, [chunk_of("other", n..n + 10)]);
    assert_arrived(&receiver, &instance, &[(DEFAULT, 0..n + 10)]);
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    assert!(ledger.get("log.overflow") > 0, "{ledger:?}");
    assert_eq!(ledger.get("log.overflow") + ledger.get("log.pending"), dead, "{ledger:?}");
}

/// Records that wait for a dead destination keep their own bytes of the spool, and not those of other records in the same
/// segments.
pub(super) fn records_for_a_dead_destination_do_not_fill_the_spool() {
    let receiver = receive("forever:project=7:403");
    let setting = Setting::new("spool");
    setting.file("dead", &receiver.dsn_for(7));
    let options = [("spool_max_size", "600K"), ("exit_timeout", "200ms"), ("summary_interval", "1s")];
    let instance = setting.start(&default(&receiver), &options);
    let spool = setting.path("spool");
    let files_of = |suffix: &'static str| {
        let files = fs::read_dir(&spool).into_iter().flatten().flatten();
        let files = files.filter(move |file| file.path().extension().is_some_and(|end| end == suffix));
        files.filter_map(|file| file.metadata().ok())
    };
    let taken = || -> u64 { files_of("msgpack").map(|about| about.len()).sum() };
    let (mut n, mut dead, mut bytes) = (0, 0, 0);
    // More than the spool may hold without compaction, and no more at a time than is given back.
    while bytes < 900_000 {
        assert!(wait::until_true(PATIENCE, || taken() < 380_000), "{bytes} {} {:#?}", taken(), instance.log_lines());
        let chunks = [chunk_of("dead", 1_000_000 + dead..1_000_001 + dead), chunk_of("other", n..n + 20)];
        (dead, n, bytes) = (dead + 1, n + 20, bytes + chunks.iter().map(Vec::len).sum::<usize>());
        for chunk in chunks {
            assert_eq!(instance.flush(TAG, &chunk), Verdict::Ok, "after {bytes} bytes: {:#?}", instance.log_lines());
        }
        // Chunks that come together are read together.
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_arrived(&receiver, &instance, &[(DEFAULT, 0..n)]);
    assert!(!said(&instance, "three quarters full"), "{:#?}", instance.log_lines());
    // What waits is read again and again; that says nothing new.
    let notes = || -> u64 { files_of("progress").map(|about| about.len()).sum() };
    let before = notes();
    std::thread::sleep(Duration::from_secs(3));
    assert!(notes() <= before + 1_000, "{before} {}", notes());
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    let counts = ["log.pending", "log.overflow"].map(|cell| ledger.get(cell));
    assert_eq!(counts, [dead, 0], "{ledger:?}");
    // What was kept is whole.
    receiver.script("".parse().expect("expected a script"));
    let again = setting.start(&default(&receiver), &[]);
    assert_arrived(&receiver, &again, &[(7, 1_000_000..1_000_000 + dead), (DEFAULT, 0..n)]);
    again.exit();
}
