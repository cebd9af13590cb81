//! Tests of the turns of destinations, and of the memory that impaired ones may take.

mod handover;

use super::*;
use crate::clock::WallTime;
use crate::delivery::transport::response::ResponseKind;
use crate::envelope::{ChunkId, Reading, RecordIndex};
use crate::ledger::Outcome;
use crate::ledger::PerCategory;
use std::sync::Arc;

const SECOND: Duration = Duration::from_secs(1);
const NOW: Monotonic = Monotonic::from_secs(1_000);
/// The server's date matters only to a `Retry-After` that is a date.
const WALL: WallTime = WallTime::EPOCH;

fn policy(hold_place: HoldPlace) -> Policy {
    Policy {
        retry_base: SECOND,
        retry_max: SECOND * 60,
        hold: PerCategory { event: SECOND * 100, log: SECOND * 100 },
        hold_place,
        has_multiple_destinations: true,
        compress: Compress::Gzip,
        replay: 2,
    }
}

fn scheduler(hold_place: HoldPlace, senders: usize) -> Scheduler<ChunkId> {
    Scheduler::new(policy(hold_place), senders, 4_400)
}

fn batch(destination: u32, category: Category, bytes: usize) -> Batch<ChunkId> {
    let mut batch = Batch::new(category, Vec::new(), NOW, Reading::Live);
    batch.destination = DestinationId(destination);
    batch.open().resize(bytes, b'1');
    batch.close(&Arc::new(ChunkId::next()), RecordIndex(0), None);
    batch
}

fn log(destination: u32) -> Batch<ChunkId> {
    batch(destination, Category::Log, 1)
}

fn response(kind: ResponseKind) -> Response {
    Response::new(kind, Limits::default())
}

fn push(scheduler: &mut Scheduler<ChunkId>, batch: Batch<ChunkId>) {
    assert!(scheduler.push(batch, NOW).is_empty());
}

/// Responds to one batch of a destination.
fn respond(scheduler: &mut Scheduler<ChunkId>, destination: u32, kind: ResponseKind) -> Vec<Action<ChunkId>> {
    push(scheduler, log(destination));
    let (batch, _) = scheduler.next(NOW).expect("a batch to send");
    assert_eq!(batch.destination, DestinationId(destination));
    scheduler.done(batch, &response(kind), NOW, 1.0).0
}

fn sent(scheduler: &mut Scheduler<ChunkId>, now: Monotonic) -> Vec<Batch<ChunkId>> {
    std::iter::from_fn(|| scheduler.next(now)).map(|(batch, _)| batch).collect()
}

fn numbers(batches: &[Batch<ChunkId>]) -> Vec<u32> {
    batches.iter().map(|batch| batch.destination.0).collect()
}

#[test]
fn destinations_take_turns() {
    let mut scheduler = scheduler(HoldPlace::Chunk, 64);
    (0..3).for_each(|number| drop(respond(&mut scheduler, number, ResponseKind::Accepted)));
    for number in [0, 0, 0, 0, 0, 1, 1, 2] {
        push(&mut scheduler, log(number));
    }
    assert_eq!(numbers(&sent(&mut scheduler, NOW)), [0, 1, 2, 0, 1, 0, 0, 0]);
}

#[test]
fn a_long_queue_delays_other_destinations_by_one_turn() {
    let mut scheduler = scheduler(HoldPlace::Chunk, 2);
    (0..2).for_each(|number| drop(respond(&mut scheduler, number, ResponseKind::Accepted)));
    (0..1_000).for_each(|_| push(&mut scheduler, log(0)));
    push(&mut scheduler, log(1));
    assert_eq!(numbers(&sent(&mut scheduler, NOW)), [0, 1]);
}

#[test]
fn unproven_destinations_get_one_sender_each_and_never_the_last() {
    let mut scheduler = scheduler(HoldPlace::Chunk, 4);
    for number in 0..10 {
        (0..3).for_each(|_| push(&mut scheduler, log(number)));
    }
    let probes = sent(&mut scheduler, NOW);
    assert_eq!(
        numbers(&probes),
        [0, 1, 2],
        "expected one sender to stay free for destinations that are known to respond"
    );
    push(&mut scheduler, log(10));
    assert!(scheduler.next(NOW).is_none());
    let mut probes = probes.into_iter();
    scheduler.done(probes.next().unwrap(), &response(ResponseKind::Accepted), NOW, 1.0);
    // Now 0 is known: it may have senders, and the next unknown one has its turn.
    assert_eq!(numbers(&sent(&mut scheduler, NOW)), [3, 0]);
}

#[test]
fn failing_destinations_leave_one_sender_free() {
    let mut scheduler = scheduler(HoldPlace::Memory, 2);
    respond(&mut scheduler, 9, ResponseKind::Accepted);
    for number in 0..3 {
        respond(&mut scheduler, number, ResponseKind::Failed);
    }
    (0..5).for_each(|_| push(&mut scheduler, log(9)));
    let later = NOW + SECOND;
    let sent = sent(&mut scheduler, later);
    assert_eq!(numbers(&sent), [9, 0], "a healthy one, and one probe of the three");
}

#[test]
fn last_sender_is_reserved_for_destinations_without_one() {
    let mut scheduler = scheduler(HoldPlace::Chunk, 3);
    (0..2).for_each(|number| drop(respond(&mut scheduler, number, ResponseKind::Accepted)));
    (0..9).for_each(|_| push(&mut scheduler, log(0)));
    assert_eq!(sent(&mut scheduler, NOW).len(), 2);
    push(&mut scheduler, log(1));
    assert_eq!(numbers(&sent(&mut scheduler, NOW)), [1]);
}

#[test]
fn destinations_take_turns_with_one_sender() {
    let mut scheduler = scheduler(HoldPlace::Chunk, 1);
    (0..3).for_each(|number| push(&mut scheduler, log(number)));
    for number in 0..3 {
        let (batch, _) = scheduler.next(NOW).unwrap();
        assert_eq!(batch.destination, DestinationId(number));
        assert!(scheduler.next(NOW).is_none());
        scheduler.done(batch, &response(ResponseKind::Accepted), NOW, 1.0);
    }
}

#[test]
fn unresponsive_destination_gets_one_sender() {
    let mut scheduler = scheduler(HoldPlace::Chunk, 4);
    respond(&mut scheduler, 0, ResponseKind::Accepted);
    (0..2).for_each(|_| push(&mut scheduler, log(0)));
    assert!(scheduler.next(NOW).is_some());
    assert!(scheduler.next(NOW + SECOND * 6).is_none());
}

#[test]
fn replay_of_all_destinations_uses_half_of_the_senders() {
    let mut scheduler = scheduler(HoldPlace::Chunk, 8);
    for number in 0..5 {
        respond(&mut scheduler, number, ResponseKind::Accepted);
        let mut replayed = log(number);
        replayed.reading = Reading::Replayed;
        push(&mut scheduler, replayed);
    }
    push(&mut scheduler, log(9));
    assert_eq!(numbers(&sent(&mut scheduler, NOW)), [9, 0, 1]);
}

#[test]
fn rate_limit_applies_to_its_destination_alone() {
    let mut scheduler = scheduler(HoldPlace::Chunk, 4);
    respond(&mut scheduler, 1, ResponseKind::Accepted);
    push(&mut scheduler, log(0));
    let (batch, _) = scheduler.next(NOW).unwrap();
    let limited = Response::new(ResponseKind::Limited, Limits::read(429, Some("60:log_item:key"), None, WALL));
    let (actions, _) = scheduler.done(batch, &limited, NOW, 1.0);
    assert!(matches!(&actions[..], [Action::Defer(_)]));
    assert!(
        scheduler.waits(DestinationId(0), NOW).blocks.log.is_some() && scheduler.waits(DestinationId(1), NOW).is_none()
    );
    assert!(matches!(&scheduler.push(log(0), NOW)[..], [Action::Defer(_)]));
    push(&mut scheduler, log(1));
    assert!(scheduler.next(NOW).is_some());
    assert_eq!(scheduler.states([0, 1, 2].map(DestinationId), NOW), [2, 1, 0, 0]);
}

#[test]
fn defers_items_of_an_unreachable_destination() {
    let mut scheduler = scheduler(HoldPlace::Chunk, 4);
    let actions = respond(&mut scheduler, 0, ResponseKind::Failed);
    assert!(matches!(&actions[..], [Action::Defer(_)]));
    assert_eq!(scheduler.waits(DestinationId(0), NOW).deferred_until, Some(NOW + SECOND));
    assert!(matches!(&scheduler.push(log(0), NOW)[..], [Action::Defer(_)]));
    // After the backoff one envelope is sent.
    assert!(scheduler.push(log(0), NOW + SECOND).is_empty());
    assert!(scheduler.next(NOW + SECOND).is_some());
}

#[test]
fn limits_memory_of_a_failing_destination_while_another_is_healthy() {
    let mut scheduler = scheduler(HoldPlace::Memory, 4);
    (0..2).for_each(|number| scheduler.set_host(DestinationId(number), 7));
    respond(&mut scheduler, 0, ResponseKind::Failed);
    let at = |second| {
        let mut batch = batch(0, Category::Log, 500);
        batch.opened = NOW + SECOND * second;
        batch
    };
    for second in 1..4 {
        assert!(scheduler.push(at(second), NOW).is_empty(), "all are dead: nothing is given up");
    }
    respond(&mut scheduler, 1, ResponseKind::Accepted);
    assert!(scheduler.release_blocked(NOW).is_empty(), "expected an acceptance before the outage to count for nothing");
    push(&mut scheduler, log(1));
    let later = NOW + SECOND * 11;
    while let Some((batch, _)) = scheduler.next(later) {
        let response =
            response(if batch.destination == DestinationId(1) { ResponseKind::Accepted } else { ResponseKind::Failed });
        scheduler.done(batch, &response, later, 1.0);
    }
    assert_eq!(
        (
            scheduler.waits(DestinationId(0), later).is_impaired_alone,
            scheduler.waits(DestinationId(1), later).is_impaired_alone
        ),
        (PerCategory { event: true, log: true }, PerCategory::default())
    );
    let actions = scheduler.release_blocked(later);
    let [Action::GiveUp(cut, reason)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(reason.outcome, Outcome::Overflow);
    assert_eq!(cut.opened, NOW + SECOND * 3, "the newest, although what has failed is behind it");
    assert!(
        matches!(&scheduler.push(at(4), NOW)[..], [Action::GiveUp(_, reason)] if reason.outcome == Outcome::Overflow)
    );
    assert!(scheduler.push(batch(0, Category::Event, 500), NOW).is_empty(), "events have a share of their own");
    assert!(scheduler.push(batch(1, Category::Log, 1_500), NOW).is_empty(), "the living are not cut");
}

#[test]
fn outage_counts_for_its_host_and_quota_for_its_destination() {
    let full = |scheduler: &mut Scheduler<ChunkId>| {
        (0..4).map(|_| scheduler.push(batch(0, Category::Log, 500), NOW).len()).sum()
    };
    for (other, kind, given_up) in
        [(7, ResponseKind::Failed, 0), (8, ResponseKind::Failed, 2), (7, ResponseKind::Misconfigured, 2)]
    {
        let mut scheduler = scheduler(HoldPlace::Memory, 4);
        scheduler.set_host(DestinationId(0), 7);
        scheduler.set_host(DestinationId(1), other);
        respond(&mut scheduler, 0, kind);
        let found: usize = full(&mut scheduler);
        assert_eq!(found, given_up, "{other} {kind:?}");
    }
}

#[test]
fn evicts_last_envelopes_of_failing_destinations_when_another_needs_memory() {
    for (elsewhere, kind, remaining) in
        [(7, ResponseKind::Misconfigured, 3), (8, ResponseKind::Failed, 3), (7, ResponseKind::Failed, 4)]
    {
        let mut scheduler = scheduler(HoldPlace::Memory, 64);
        for number in 0..4 {
            scheduler.set_host(DestinationId(number), 7);
            let mut large = batch(number, Category::Log, 600);
            large.opened = NOW + SECOND * number;
            push(&mut scheduler, large);
        }
        scheduler.set_host(DestinationId(9), elsewhere);
        let bytes =
            |scheduler: &Scheduler<ChunkId>| scheduler.members.values().map(|one| one.bytes(Category::Log)).sum();
        let one: u64 = bytes(&scheduler);
        for batch in sent(&mut scheduler, NOW) {
            assert!(scheduler.done(batch, &response(kind), NOW, 1.0).0.is_empty());
        }
        assert!(scheduler.release_blocked(NOW).is_empty() && bytes(&scheduler) == one, "one each, to try with");
        let actions = scheduler.expect(Some(AwaitedMemory { category: Category::Log, bytes: 300 }), NOW);
        assert_eq!((actions.len(), scheduler.queued()), (4 - remaining, remaining), "{elsewhere} {kind:?}");
        assert!(scheduler.members[&DestinationId(0)].queued() == 1, "the newest go first");
        let events = AwaitedMemory { category: Category::Event, bytes: 9_000 };
        assert!(scheduler.expect(Some(events), NOW).is_empty(), "events have a share of their own");
        assert!(scheduler.expect(None, NOW).is_empty());
    }
}

#[test]
fn gives_up_poison_envelope_that_is_deferred_between_attempts() {
    let mut scheduler = scheduler(HoldPlace::Chunk, 4);
    let (chunk_progress, mut now, mut failed) = (Arc::new(ChunkId::next()), NOW, 0);
    let poison = |now| {
        let mut batch = Batch::new(Category::Log, Vec::new(), now, Reading::Live);
        batch.open().push(b'1');
        batch.close(&chunk_progress, RecordIndex(0), None);
        batch
    };
    loop {
        assert!(scheduler.push(log(0), now).is_empty());
        let (batch, _) = scheduler.next(now).unwrap();
        scheduler.done(batch, &response(ResponseKind::Accepted), now, 1.0);
        assert!(scheduler.push(poison(now), now).is_empty());
        let (batch, _) = scheduler.next(now).unwrap();
        let (actions, _) = scheduler.done(batch, &response(ResponseKind::Failed), now, 1.0);
        failed += 1;
        match &actions[..] {
            [Action::GiveUp(_, reason)] if reason.outcome == Outcome::Rejected => break,
            [Action::Defer(_)] => now += SECOND * 61,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(failed, 20);
}

#[test]
fn redirects_queued_envelopes_of_a_retired_destination() {
    let mut scheduler = scheduler(HoldPlace::Memory, 4);
    push(&mut scheduler, log(0));
    let (in_flight, _) = scheduler.next(NOW).unwrap();
    push(&mut scheduler, log(0));
    assert!(scheduler.redirect(DestinationId(0), DestinationId(1), NOW).is_empty());
    let (first, _) = scheduler.next(NOW).unwrap();
    assert_eq!(first.destination, DestinationId(1));
    scheduler.done(first, &response(ResponseKind::Accepted), NOW, 1.0);
    scheduler.done(in_flight, &response(ResponseKind::Misconfigured), NOW, 1.0);
    assert_eq!(numbers(&sent(&mut scheduler, NOW)), [1]);
    push(&mut scheduler, log(0));
    assert_eq!(numbers(&sent(&mut scheduler, NOW)), [1]);
}

#[test]
fn destination_with_a_rate_limit_is_not_idle() {
    let mut scheduler = scheduler(HoldPlace::Chunk, 4);
    assert!(scheduler.is_idle(DestinationId(0), NOW));
    push(&mut scheduler, log(0));
    assert!(!scheduler.is_idle(DestinationId(0), NOW));
    let (batch, _) = scheduler.next(NOW).unwrap();
    let limited = Response::new(ResponseKind::Accepted, Limits::read(200, Some("60::key"), None, WALL));
    scheduler.done(batch, &limited, NOW, 1.0);
    assert!(!scheduler.is_idle(DestinationId(0), NOW) && scheduler.is_idle(DestinationId(0), NOW + SECOND * 60));
}

#[test]
fn one_client_report_is_in_flight_at_a_time() {
    let policy = Policy { compress: Compress::Zstd, ..policy(HoldPlace::Chunk) };
    let mut scheduler: Scheduler<ChunkId> = Scheduler::new(policy, 4, 4_400);
    respond(&mut scheduler, 0, ResponseKind::Accepted);
    let [first, second] = [0, 1].map(DestinationId);
    assert!(scheduler.may_report(first, NOW) && scheduler.may_report(second, NOW) && !scheduler.is_reporting());
    assert_eq!(scheduler.report(first), Compress::Zstd);
    assert!(scheduler.is_reporting() && !scheduler.may_report(first, NOW) && !scheduler.may_report(second, NOW));
    let limits = Limits::read(429, None, Some("60"), WALL);
    scheduler.on_report_response(first, &limits, NOW);
    assert!(!scheduler.is_reporting() && scheduler.may_report(second, NOW));
    assert!(!scheduler.may_report(first, NOW), "expected the limit to hold for reports too");
    assert!(scheduler.may_report(first, NOW + SECOND * 61));
}

#[test]
fn client_reports_leave_senders_to_batches() {
    let mut scheduler = scheduler(HoldPlace::Chunk, 2);
    respond(&mut scheduler, 0, ResponseKind::Accepted);
    let [proven, unproven] = [0, 5].map(DestinationId);
    push(&mut scheduler, log(3));
    assert_eq!(numbers(&sent(&mut scheduler, NOW)), [3]);
    assert!(!scheduler.may_report(unproven, NOW), "expected the last sender to stay free for a proven destination");
    assert!(scheduler.may_report(proven, NOW));
    push(&mut scheduler, log(0));
    assert_eq!(numbers(&sent(&mut scheduler, NOW)), [0]);
    assert!(!scheduler.may_report(proven, NOW), "expected no idle sender");

    let mut scheduler = self::scheduler(HoldPlace::Chunk, 2);
    scheduler.report(unproven);
    push(&mut scheduler, log(3));
    assert!(scheduler.next(NOW).is_none(), "expected the report to count as a batch of an unproven destination");

    let scheduler = self::scheduler(HoldPlace::Chunk, 1);
    assert!(scheduler.may_report(unproven, NOW), "expected the only sender to send reports too");
}

#[test]
fn forgets_a_destination_with_its_host_and_its_redirections() {
    let mut scheduler = scheduler(HoldPlace::Memory, 4);
    let [old, new, other] = [0, 1, 2].map(DestinationId);
    [old, new, other].into_iter().for_each(|id| scheduler.set_host(id, 7));
    push(&mut scheduler, log(0));
    assert!(scheduler.redirect(old, new, NOW).is_empty());
    scheduler.forget(other);
    assert!(!scheduler.knows(other) && scheduler.knows(new));
    push(&mut scheduler, log(0));
    assert_eq!(scheduler.waiting().collect::<Vec<_>>(), [new]);
    scheduler.forget(new);
    assert_eq!((scheduler.queued(), scheduler.knows(new)), (0, false));
    push(&mut scheduler, log(0));
    assert_eq!(scheduler.waiting().collect::<Vec<_>>(), [old]);
}

#[test]
fn tells_when_to_wake_and_what_is_oldest() {
    let mut scheduler = scheduler(HoldPlace::Memory, 4);
    assert_eq!((scheduler.wake(NOW), scheduler.oldest()), (None, None));
    respond(&mut scheduler, 0, ResponseKind::Failed);
    let mut older = log(1);
    older.opened = Monotonic::from_secs(995);
    push(&mut scheduler, older);
    assert_eq!((scheduler.wake(NOW), scheduler.oldest()), (Some(NOW + SECOND), Some(Monotonic::from_secs(995))));
}

#[test]
fn new_key_starts_without_the_failures_of_the_old_one() {
    let mut scheduler = scheduler(HoldPlace::Memory, 4);
    respond(&mut scheduler, 0, ResponseKind::Misconfigured);
    assert!(scheduler.next(NOW).is_none());
    scheduler.replace_endpoint(DestinationId(0));
    assert!(scheduler.next(NOW).is_some());
}

#[test]
fn items_wait_where_the_delivery_mode_says() {
    let mut scheduler = scheduler(HoldPlace::Memory, 4);
    assert!(respond(&mut scheduler, 0, ResponseKind::Failed).is_empty());
    scheduler.set_hold_place(HoldPlace::Chunk);
    assert!(matches!(&scheduler.push(log(0), NOW)[..], [Action::Defer(_)]));
}

#[test]
fn blocked_bytes_are_those_of_all_blocked_destinations() {
    let mut scheduler = scheduler(HoldPlace::Memory, 4);
    assert_eq!(scheduler.blocked_bytes(NOW), PerCategory::default());
    for number in 0..2 {
        respond(&mut scheduler, number, ResponseKind::Accepted);
        push(&mut scheduler, batch(number, Category::Log, 100 + 200 * number as usize));
        let (batch, _) = scheduler.next(NOW).expect("a batch to send");
        let limited = Response::new(ResponseKind::Limited, Limits::read(429, Some("60:log_item:key"), None, WALL));
        assert!(scheduler.done(batch, &limited, NOW, 1.0).0.is_empty());
    }
    let bytes = |number| scheduler.members[&DestinationId(number)].bytes(Category::Log);
    assert!(bytes(0) >= 100 && bytes(1) >= 300);
    assert_eq!(scheduler.blocked_bytes(NOW), PerCategory { event: None, log: Some(bytes(0) + bytes(1)) });
}
