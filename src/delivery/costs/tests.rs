//! Tests budgets within one process and across restarts.

use super::messages::MessageKind;
use super::*;
use crate::clock::WallTime;
use crate::options::Budget;
use std::sync::atomic::AtomicU64;

const DAY: u64 = 86_400;

/// A directory that is removed at its drop.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let path = std::env::temp_dir().join(format!("out_sentry-budget-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns a steady time that passes like the wall time.
fn steady(wall: WallTime) -> Monotonic {
    Monotonic::START + wall.since(WallTime::EPOCH)
}

fn wall(day: u64, second: u64) -> WallTime {
    WallTime::from_secs(20_000 * DAY + day * DAY + second)
}

fn budget(text: &str) -> Budget {
    Budget::parse(text).unwrap()
}

fn asked<'a>(namespace: &'a str, own: Option<&str>) -> PayerQuery<'a> {
    PayerQuery { destination: 7, namespace, workload: "web", budget: own.map(budget) }
}

/// Sends logs until a budget refuses; the bytes that were accepted.
fn spend(costs: &Costs, payer: PayerId, level: Level, bytes: u64, most: u64, now: WallTime) -> u64 {
    let mut spent = 0;
    while spent < most && costs.reserve(payer, level, bytes, now, OnRefusal::Count) {
        costs.sending([(payer, bytes)].into_iter(), now).unwrap();
        costs.sent([(payer, bytes)].into_iter());
        costs.accept([(payer, bytes)].into_iter(), now);
        spent += bytes;
    }
    spent
}

/// Delivers the messages that are due.
fn delivered_messages(costs: &Costs, now: WallTime) -> Vec<(MessageKind, u64)> {
    let due = costs.due_messages(steady(now), now).into_iter();
    due.map(|(payer, message)| {
        costs.reserve_message(payer, 100);
        costs.accept([(payer, 100)].into_iter(), now);
        (message.kind, message.withheld)
    })
    .collect()
}

#[test]
fn info_stops_at_the_budget_and_warn_at_120_percent() {
    let (costs, now) = (Costs::new(Some(budget("1M/d")), None), wall(0, 5));
    let KnownPayer { number: payer, is_capped: capped } = costs.payer(asked("shop", None), now);
    assert!(capped);
    assert_eq!(spend(&costs, payer, Level::Info, 300, u64::MAX, now), 999_900);
    assert!(!costs.reserve(payer, Level::Debug, 1, now, OnRefusal::Count), "what is limited stays limited");
    assert_eq!(spend(&costs, payer, Level::Warn, 300, u64::MAX, now), 200_100);
    assert!(!costs.reserve(payer, Level::Fatal, 1, now, OnRefusal::Count));
    assert_eq!(delivered_messages(&costs, now), [(MessageKind::Begins, 1)]);
    assert_eq!(delivered_messages(&costs, now), []);
    // The next day begins with a full budget, and with the count of what was withheld.
    let tomorrow = wall(1, 0);
    assert_eq!(delivered_messages(&costs, tomorrow), [(MessageKind::Ends, 4)]);
    assert_eq!(delivered_messages(&costs, tomorrow), []);
    assert_eq!(spend(&costs, payer, Level::Info, 300, u64::MAX, tomorrow), 999_900);
}

#[test]
fn reserved_bytes_count_until_released() {
    let (costs, now) = (Costs::new(Some(budget("1000/h")), None), wall(0, 0));
    let KnownPayer { number: payer, .. } = costs.payer(asked("", None), now);
    assert!(
        costs.reserve(payer, Level::Info, 900, now, OnRefusal::Count)
            && !costs.reserve(payer, Level::Warn, 400, now, OnRefusal::Count)
    );
    costs.release([(payer, 900)].into_iter(), Release::Deferred, steady(now));
    let later = wall(0, 3_600);
    assert!(costs.reserve(payer, Level::Info, 900, later, OnRefusal::Count));
    // It is in transit when the next hour begins, and is billed then.
    let next = wall(0, 7_200);
    assert!(!costs.reserve(payer, Level::Info, 900, next, OnRefusal::Count));
}

#[test]
fn annotation_lowers_the_budget_of_a_namespace() {
    let (costs, now) = (Costs::new(Some(budget("1M/d")), Some(budget("100K/d"))), wall(0, 0));
    let of = |namespace, own| costs.payer(asked(namespace, own), now).number;
    assert_eq!(spend(&costs, of("a", None), Level::Info, 100, u64::MAX, now), 100_000);
    assert_eq!(spend(&costs, of("b", Some("1K/d")), Level::Info, 100, u64::MAX, now), 1_000);
    assert_eq!(spend(&costs, of("b", Some("9G/d")), Level::Info, 100, u64::MAX, now), 99_000);
    // Records without a namespace have only the destination's.
    assert_eq!(spend(&costs, of("", None), Level::Info, 100, u64::MAX, now), 800_000);
    assert_eq!(costs.most_expensive(1), ["a:100000"]);
    assert_eq!(costs.most_expensive(9), ["a:100000", "b:100000"]);
}

#[test]
fn restart_keeps_spent_budget_and_notices() {
    let directory = Directory::new();
    let (mut all, mut begins) = (0, 0);
    for run in 0..4 {
        let now = wall(0, run);
        let costs = Costs::new(Some(budget("1M/d")), None);
        costs.open(&directory.0, now).unwrap();
        let KnownPayer { number: payer, .. } = costs.payer(asked("shop", None), now);
        all += spend(&costs, payer, Level::Info, 300, if run < 2 { 300_000 } else { u64::MAX }, now);
        begins += delivered_messages(&costs, now).len();
        // Every other process is killed: it writes nothing at its end.
        if run % 2 == 0 {
            costs.save(Mark::Exact).unwrap();
        }
    }
    assert!((980_000..=1_000_000).contains(&all), "{all}");
    assert_eq!(begins, 1);
    let costs = Costs::new(Some(budget("1M/d")), None);
    costs.open(&directory.0, wall(1, 0)).unwrap();
    assert_eq!(
        delivered_messages(&costs, wall(1, 0)).iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        [MessageKind::Ends]
    );
    costs.save(Mark::Exact).unwrap();
    let costs = Costs::new(Some(budget("1M/d")), None);
    costs.open(&directory.0, wall(1, 0)).unwrap();
    assert_eq!(delivered_messages(&costs, wall(1, 0)), []);
}

#[test]
fn killed_process_has_sent_at_most_the_recorded_bytes() {
    let directory = Directory::new();
    let now = wall(0, 0);
    let mut accepted = 0;
    for _ in 0..200 {
        let costs = Costs::new(Some(budget("1M/d")), None);
        costs.open(&directory.0, now).unwrap();
        let KnownPayer { number: payer, .. } = costs.payer(asked("shop", None), now);
        accepted += spend(&costs, payer, Level::Warn, 1_000, 20_000, now);
    }
    assert!((900_000..=1_200_000).contains(&accepted), "{accepted}");
}

#[test]
fn repeats_a_notice_that_was_not_delivered() {
    let directory = Directory::new();
    let now = wall(0, 0);
    let costs = Costs::new(Some(budget("1K/d")), None);
    costs.open(&directory.0, now).unwrap();
    let KnownPayer { number: payer, .. } = costs.payer(asked("shop", None), now);
    spend(&costs, payer, Level::Info, 300, u64::MAX, now);
    let [(number, _)] = costs.due_messages(steady(now), now)[..] else { panic!("expected a message") };
    costs.reserve_message(number, 100);
    costs.release([(number, 100)].into_iter(), Release::Deferred, steady(now));
    assert!(costs.due_messages(steady(now), now).is_empty());
    costs.save(Mark::Exact).unwrap();
    let costs = Costs::new(Some(budget("1K/d")), None);
    costs.open(&directory.0, now).unwrap();
    assert_eq!(delivered_messages(&costs, now), [(MessageKind::Begins, 1)]);
}

#[test]
fn clock_set_back_does_not_refill_a_budget() {
    let costs = Costs::new(Some(budget("1K/h")), None);
    let KnownPayer { number: payer, .. } = costs.payer(asked("shop", None), wall(0, 7_200));
    spend(&costs, payer, Level::Info, 300, u64::MAX, wall(0, 7_200));
    assert!(!costs.reserve(payer, Level::Info, 300, wall(0, 7_100), OnRefusal::Count));
    assert!(costs.reserve(payer, Level::Info, 300, wall(0, 10_800), OnRefusal::Count));
}

#[test]
fn rejects_files_of_another_version() {
    let directory = Directory::new();
    for text in
        ["", "{}", "[]", r#"{"version":2,"accounts":[],"notices":[]}"#, r#"{"version":1,"accounts":[{}],"notices":[]}"#]
    {
        std::fs::write(directory.0.join(file::NAME), text).unwrap();
        let costs = Costs::new(Some(budget("1K/h")), None);
        assert!(costs.open(&directory.0, wall(0, 0)).is_err(), "{text}");
        let KnownPayer { number: payer, .. } = costs.payer(asked("shop", None), wall(0, 0));
        assert!(costs.reserve(payer, Level::Info, 300, wall(0, 0), OnRefusal::Count));
        costs.sending([(payer, 300)].into_iter(), wall(0, 0)).unwrap();
    }
}
