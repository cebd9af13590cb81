//! Tests of one destination: backoff, limits, poison messages, and items that wait.

use super::*;
use crate::clock::WallTime;
use crate::delivery::dispatch::retry_history::{MAX_ATTEMPTS, RetryHistory};
use crate::envelope::{ChunkId, Reading, RecordIndex};
use std::sync::Arc;

const SECOND: Duration = Duration::from_secs(1);
const NOW: Monotonic = Monotonic::from_secs(1_000);
/// The server's date matters only to a `Retry-After` that is a date.
const WALL: WallTime = WallTime::EPOCH;

fn policy(hold_place: HoldPlace) -> Policy {
    Policy {
        retry_base: SECOND,
        retry_max: SECOND * 60,
        hold: PerCategory { event: SECOND * 100, log: SECOND * 50 },
        hold_place,
        has_multiple_destinations: false,
        compress: Compress::Gzip,
        replay: 2,
    }
}

fn batch(category: Category, items: u32) -> Batch<ChunkId> {
    let chunk_progress = Arc::new(ChunkId::next());
    let mut batch = Batch::new(category, Vec::new(), NOW, Reading::Live);
    for record in 0..items {
        batch.open().extend_from_slice(b"{}");
        batch.close(&chunk_progress, RecordIndex(record), None);
    }
    batch
}

fn response(kind: ResponseKind) -> Response {
    Response::new(kind, Limits::default())
}

fn limited(header: &str) -> Response {
    Response::new(ResponseKind::Limited, Limits::read(429, Some(header), None, WALL))
}

fn with(hold_place: HoldPlace, batches: impl IntoIterator<Item = Batch<ChunkId>>) -> Destination<ChunkId> {
    let mut destination = Destination::new(policy(hold_place));
    batches.into_iter().for_each(|batch| assert!(destination.push(batch, NOW).is_none()));
    destination
}

/// Sends the next batch and responds to it.
fn turn(
    destination: &mut Destination<ChunkId>,
    response: &Response,
    now: Monotonic,
) -> (Vec<Action<ChunkId>>, Option<DestinationMessage>) {
    let batch = destination.next(now).expect("a batch to send");
    destination.done(batch, response, now, 1.0)
}

#[test]
fn retries_one_event_first_after_a_failure() {
    let mut destination =
        with(HoldPlace::Chunk, [batch(Category::Log, 1), batch(Category::Log, 1), batch(Category::Event, 1)]);
    let (actions, message) = turn(&mut destination, &response(ResponseKind::Failed), NOW);
    assert!(actions.is_empty() && message == Some(DestinationMessage::Failing));
    assert_eq!(destination.state(NOW).name(), "unreachable");
    assert!(destination.next(NOW).is_none());
    assert_eq!(destination.wake(NOW), Some(NOW + SECOND));
    let probe = destination.next(NOW + SECOND).unwrap();
    assert_eq!(probe.category, Category::Event);
    assert!(destination.next(NOW + SECOND).is_none(), "one probe, not a stampede");
    let (_, message) = destination.done(probe, &response(ResponseKind::Accepted), NOW + SECOND, 1.0);
    assert_eq!(message, Some(DestinationMessage::Recovered));
    assert!(destination.next(NOW + SECOND).is_some() && destination.next(NOW + SECOND).is_some());
}

#[test]
fn backoff_doubles_up_to_its_maximum() {
    let mut destination = with(HoldPlace::Chunk, [batch(Category::Log, 1)]);
    let mut now = NOW;
    let mut waits = Vec::new();
    for _ in 0..9 {
        turn(&mut destination, &response(ResponseKind::Failed), now);
        let at = destination.wake(now).unwrap();
        waits.push(at.since(now).as_secs());
        now = at;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
}

#[test]
fn rate_limit_of_a_category_does_not_stop_the_other() {
    let mut destination = with(HoldPlace::Chunk, [batch(Category::Log, 1), batch(Category::Event, 1)]);
    let event = destination.next(NOW).unwrap();
    assert_eq!(event.category, Category::Event);
    let (actions, message) = turn(&mut destination, &limited("60:log_item:key"), NOW);
    assert!(matches!(&actions[..], [Action::Defer(_)]));
    assert_eq!(message, Some(DestinationMessage::Limited(Category::Log, SECOND * 60)));
    assert!(matches!(destination.push(batch(Category::Log, 1), NOW), Some(Action::Defer(_))));
    assert!(destination.push(batch(Category::Event, 1), NOW).is_none());
    assert!(destination.next(NOW).is_some());
    let block = destination.block(Category::Log, NOW).unwrap();
    assert_eq!((block.until, block.outcome), (NOW + SECOND * 60, Outcome::RateLimited));
    assert!(destination.block(Category::Log, NOW + SECOND * 60).is_none());
}

#[test]
fn holds_limited_items_in_memory_in_mode_memory() {
    let mut destination = with(HoldPlace::Chunk, [batch(Category::Log, 1)]);
    destination.set_hold_place(HoldPlace::Memory);
    let (actions, _) = turn(&mut destination, &limited("1:log_item:key"), NOW);
    assert!(actions.is_empty() && destination.queued() == 1);
    assert!(destination.push(batch(Category::Log, 1), NOW).is_none());
    assert!(destination.next(NOW + SECOND).is_some() && destination.next(NOW + SECOND).is_some());
}

#[test]
fn keeps_the_longest_limit_and_its_start() {
    let mut destination = with(HoldPlace::Memory, [batch(Category::Log, 1), batch(Category::Log, 1)]);
    let (first, second) = (destination.next(NOW).unwrap(), destination.next(NOW).unwrap());
    destination.done(first, &limited("60:log_item:key"), NOW, 1.0);
    destination.done(second, &limited("5:log_item:key"), NOW + SECOND, 1.0);
    let block = destination.block(Category::Log, NOW + SECOND).unwrap();
    assert_eq!((block.since, block.until), (NOW, NOW + SECOND * 60));
}

#[test]
fn gives_up_items_held_in_memory_after_hold_logs() {
    let mut destination = with(HoldPlace::Memory, [batch(Category::Log, 1)]);
    let (actions, _) = turn(&mut destination, &limited("60:log_item:key"), NOW);
    assert!(actions.is_empty());
    let mut actions = Vec::new();
    destination.release_blocked(NOW + SECOND * 49, &mut actions);
    assert!(actions.is_empty());
    destination.release_blocked(NOW + SECOND * 50, &mut actions);
    assert!(matches!(&actions[..], [Action::GiveUp(_, reason)] if reason.outcome == Outcome::RateLimited));
}

#[test]
fn finds_malformed_item_by_splitting_and_delivers_the_others() {
    let mut destination = with(HoldPlace::Chunk, [batch(Category::Log, 1), batch(Category::Log, 9)]);
    turn(&mut destination, &response(ResponseKind::Accepted), NOW);
    let (mut accepted, mut rejected) = (0, 0);
    while let Some(batch) = destination.next(NOW) {
        let poisoned = batch.owners().any(|(_, mut records)| records.any(|record| record == RecordIndex(6)));
        let kind = if poisoned { ResponseKind::Malformed } else { ResponseKind::Accepted };
        for action in destination.done(batch, &response(kind), NOW, 1.0).0 {
            match action {
                Action::Accept(batch) => accepted += batch.len(),
                Action::GiveUp(batch, reason) if reason.outcome == Outcome::Rejected => rejected += batch.len(),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((accepted, rejected), (8, 1));
}

#[test]
fn treats_400_before_any_acceptance_as_misconfiguration() {
    let mut destination = with(HoldPlace::Chunk, [batch(Category::Log, 2)]);
    let (actions, message) = turn(&mut destination, &response(ResponseKind::Malformed), NOW);
    assert!(actions.is_empty());
    assert_eq!(message, Some(DestinationMessage::Encoding(Compress::None)));
    let (actions, message) = turn(&mut destination, &response(ResponseKind::Malformed), NOW);
    assert!(matches!(&actions[..], [Action::Defer(_)]));
    assert_eq!((message, destination.state(NOW).name()), (Some(DestinationMessage::Misconfigured), "misconfigured"));
}

#[test]
fn retries_after_rejection_of_an_earlier_encoding() {
    for kind in [ResponseKind::Malformed, ResponseKind::Encoding] {
        let mut destination = with(HoldPlace::Chunk, [batch(Category::Log, 1), batch(Category::Log, 1)]);
        let (first, second) = (destination.next(NOW).unwrap(), destination.next(NOW).unwrap());
        let (actions, message) = destination.done(first, &response(kind), NOW, 0.5);
        assert!(actions.is_empty() && message == Some(DestinationMessage::Encoding(Compress::None)));
        turn(&mut destination, &response(ResponseKind::Accepted), NOW);
        // This request was in flight in the old encoding.
        let (actions, _) = destination.done(second, &response(kind), NOW, 0.5);
        assert!(actions.is_empty(), "{actions:?}");
        let (actions, _) = turn(&mut destination, &response(ResponseKind::Accepted), NOW);
        assert!(matches!(&actions[..], [Action::Accept(_)]), "{kind:?}");
    }
}

#[test]
fn holds_items_of_a_misconfigured_destination_until_it_accepts() {
    let mut destination = with(HoldPlace::Memory, [batch(Category::Log, 1), batch(Category::Event, 1)]);
    let (actions, message) = turn(&mut destination, &response(ResponseKind::Misconfigured), NOW);
    assert!(actions.is_empty() && message == Some(DestinationMessage::Misconfigured));
    assert!(destination.next(NOW).is_none());
    let (_, message) = turn(&mut destination, &response(ResponseKind::Accepted), NOW + SECOND);
    assert_eq!((message, destination.state(NOW).name()), (Some(DestinationMessage::Recovered), "ok"));
}

#[test]
fn splits_after_413_and_gives_up_single_items() {
    let mut destination = with(HoldPlace::Chunk, [batch(Category::Log, 2)]);
    assert!(turn(&mut destination, &response(ResponseKind::TooLarge), NOW).0.is_empty());
    for _ in 0..2 {
        let (actions, _) = turn(&mut destination, &response(ResponseKind::TooLarge), NOW);
        assert!(matches!(&actions[..], [Action::GiveUp(_, reason)] if reason.outcome == Outcome::TooLarge));
    }
    assert!(destination.next(NOW).is_none());
}

#[test]
fn sends_no_client_reports_during_a_general_limit_or_failure() {
    let all = [batch(Category::Log, 1), batch(Category::Log, 1), batch(Category::Log, 1)];
    let mut destination = with(HoldPlace::Memory, all);
    assert!(destination.takes_reports(NOW));
    turn(&mut destination, &limited("9:log_item:key"), NOW);
    assert!(destination.takes_reports(NOW), "a limit of logs is none of reports");
    turn(&mut destination, &limited("5::key"), NOW + SECOND * 9);
    assert!(!destination.takes_reports(NOW + SECOND * 13) && destination.takes_reports(NOW + SECOND * 14));
    turn(&mut destination, &response(ResponseKind::Failed), NOW + SECOND * 14);
    assert!(!destination.takes_reports(NOW + SECOND * 60));
    destination.on_report_response(&Limits::read(429, None, Some("3"), WALL), NOW + SECOND * 60);
    assert!(destination.block(Category::Event, NOW + SECOND * 62).is_some());
}

#[test]
fn shrinks_single_event_once_after_413() {
    let mut event = Batch::new(Category::Event, Vec::new(), NOW, Reading::Live);
    event.open().extend_from_slice(b"{\"event_id\":\"e\",\"extra\":{\"a\":1}}");
    event.close(&Arc::new(ChunkId::next()), RecordIndex(0), None);
    let before = event.bytes();
    let mut destination = with(HoldPlace::Chunk, [event]);
    let (actions, message) = turn(&mut destination, &response(ResponseKind::TooLarge), NOW);
    assert!(actions.is_empty() && message.is_none());
    let smaller = destination.next(NOW).unwrap();
    assert!(smaller.bytes() < before);
    let (actions, message) = destination.done(smaller, &response(ResponseKind::TooLarge), NOW, 1.0);
    assert!(matches!(&actions[..], [Action::GiveUp(_, reason)] if reason.outcome == Outcome::TooLarge));
    assert_eq!(message, Some(DestinationMessage::Refused(Category::Event, Outcome::TooLarge)));
}

#[test]
fn rejects_poison_envelope_without_delaying_others() {
    let poison = |batch: &Batch<ChunkId>| batch.len() == 3;
    let mut destination =
        with(HoldPlace::Chunk, [batch(Category::Log, 3), batch(Category::Log, 1), batch(Category::Event, 1)]);
    let (mut passed, mut failed, mut now) = (0, 0, NOW);
    let mut rejected = false;
    while !rejected {
        now += SECOND * 61;
        let Some(sent) = destination.next(now) else { panic!("nothing to send after {failed} failures") };
        let is_poison = poison(&sent);
        let kind = if is_poison { ResponseKind::Failed } else { ResponseKind::Accepted };
        failed += u32::from(is_poison);
        for action in destination.done(sent, &response(kind), now, 1.0).0 {
            match action {
                Action::Accept(_) => {
                    passed += 1;
                    assert!(destination.push(batch(Category::Log, 1), now).is_none());
                }
                Action::GiveUp(batch, reason) if reason.outcome == Outcome::Rejected => rejected = poison(&batch),
                other => panic!("{other:?}"),
            }
        }
    }
    // The first failure follows no success.
    assert!(failed <= MAX_ATTEMPTS + 1, "{failed}");
    assert!(passed >= failed);
}

#[test]
fn rejects_nothing_as_poison_during_an_outage() {
    let mut destination = with(HoldPlace::Chunk, [batch(Category::Log, 1), batch(Category::Event, 1)]);
    let mut now = NOW;
    let mut probed = PerCategory::<u32>::default();
    for _ in 0..100 {
        now += SECOND * 61;
        let batch = destination.next(now).unwrap();
        probed[batch.category] += 1;
        assert!(destination.done(batch, &response(ResponseKind::Failed), now, 1.0).0.is_empty());
    }
    assert_eq!(destination.queued(), 2);
    assert!(probed.values().all(|probes| *probes > 30), "each category is tried: {probed:?}");
}

#[test]
fn replay_leaves_senders_for_live_envelopes() {
    let replayed = |category| {
        let mut batch = batch(category, 1);
        batch.reading = Reading::Replayed;
        batch
    };
    let mut destination =
        with(HoldPlace::Chunk, (0..4).map(|_| replayed(Category::Log)).chain([batch(Category::Event, 1)]));
    let sent: Vec<_> = std::iter::from_fn(|| destination.next(NOW)).map(|batch| batch.category).collect();
    assert_eq!(sent, [Category::Event, Category::Log, Category::Log]);
}

#[test]
fn new_destination_is_impaired_if_its_items_can_wait_in_their_chunks() {
    for (hold_place, is_new_impaired) in [(HoldPlace::Chunk, true), (HoldPlace::Memory, false)] {
        let mut destination = with(hold_place, [batch(Category::Log, 1), batch(Category::Log, 1)]);
        assert_eq!(destination.is_impaired(Category::Log, NOW), is_new_impaired, "{hold_place:?}");
        turn(&mut destination, &response(ResponseKind::Accepted), NOW);
        assert!(!destination.is_impaired(Category::Log, NOW), "{hold_place:?}");
        turn(&mut destination, &response(ResponseKind::Failed), NOW);
        assert!(destination.is_impaired(Category::Log, NOW), "{hold_place:?}");
    }
}

fn one_of_several() -> Destination<ChunkId> {
    Destination::new(Policy { has_multiple_destinations: true, ..policy(HoldPlace::Chunk) })
}

#[test]
fn silence_defers_items_unless_the_destination_is_misconfigured() {
    for (kind, defers) in [(ResponseKind::Failed, true), (ResponseKind::Misconfigured, false)] {
        let mut destination = one_of_several();
        assert!(destination.push(batch(Category::Log, 1), NOW).is_none());
        turn(&mut destination, &response(kind), NOW);
        let retry = NOW + SECOND;
        assert!(destination.push(batch(Category::Log, 1), retry).is_none(), "{kind:?}");
        let _in_flight = destination.next(retry).expect("a batch to try with");
        assert_eq!(destination.deferred_until(retry), None, "{kind:?}");
        let silent = retry + SILENCE;
        assert_eq!(destination.deferred_until(silent), defers.then(|| silent + SILENCE), "{kind:?}");
    }
}

#[test]
fn silence_is_counted_from_the_first_request_without_a_response() {
    let mut destination = one_of_several();
    (0..3).for_each(|_| assert!(destination.push(batch(Category::Log, 1), NOW).is_none()));
    turn(&mut destination, &response(ResponseKind::Accepted), NOW);
    let begin = NOW + SECOND * 100;
    let _first = destination.next(begin).expect("a batch to send");
    let _second = destination.next(begin + SECOND * 3).expect("another batch to send");
    assert_eq!(destination.impaired_since(Category::Log, begin + SECOND * 4), None);
    assert_eq!(destination.impaired_since(Category::Log, begin + SECOND * 5), Some(begin));
}

#[test]
fn misconfiguration_counts_from_its_first_response() {
    let mut destination = with(HoldPlace::Memory, [batch(Category::Log, 1)]);
    for now in [NOW, NOW + SECOND, NOW + SECOND * 3] {
        turn(&mut destination, &response(ResponseKind::Misconfigured), now);
        assert_eq!(destination.block(Category::Log, now).map(|block| block.since), Some(NOW));
    }
}

#[test]
fn quota_counts_anew_after_an_acceptance() {
    let mut destination = with(HoldPlace::Memory, [batch(Category::Log, 1), batch(Category::Log, 1)]);
    turn(&mut destination, &limited("1:log_item:key"), NOW);
    assert_eq!(destination.wake(NOW), Some(NOW + SECOND));
    turn(&mut destination, &response(ResponseKind::Accepted), NOW + SECOND * 2);
    turn(&mut destination, &limited("1:log_item:key"), NOW + SECOND * 3);
    let block = destination.block(Category::Log, NOW + SECOND * 3).unwrap();
    assert_eq!((block.since, block.until), (NOW + SECOND * 3, NOW + SECOND * 4));
}

#[test]
fn does_not_wake_for_an_empty_queue() {
    let mut destination = with(HoldPlace::Chunk, [batch(Category::Log, 1)]);
    assert!(matches!(&turn(&mut destination, &limited("60:log_item:key"), NOW).0[..], [Action::Defer(_)]));
    assert_eq!(destination.wake(NOW), None);
}

#[test]
fn categories_take_turns_again_after_the_second_failure() {
    let mut destination = with(HoldPlace::Memory, [batch(Category::Log, 1), batch(Category::Event, 1)]);
    let mut now = NOW;
    let sent = [(); 4].map(|()| {
        let batch = destination.next(now).expect("a batch to send");
        let category = batch.category;
        destination.done(batch, &response(ResponseKind::Failed), now, 1.0);
        now = destination.wake(now).expect("a time to retry");
        category
    });
    assert_eq!(sent, [Category::Event, Category::Event, Category::Log, Category::Event]);
}

#[test]
fn remembers_which_batches_sentry_has_limited() {
    let mut destination = with(HoldPlace::Memory, [batch(Category::Log, 1), batch(Category::Log, 1)]);
    turn(&mut destination, &limited("1:log_item:key"), NOW);
    let limited = [(); 2].map(|()| {
        let (actions, _) = turn(&mut destination, &response(ResponseKind::Accepted), NOW + SECOND);
        matches!(&actions[..], [Action::Accept(batch)] if batch.limited)
    });
    assert_eq!(limited, [true, false]);
}

#[test]
fn sends_a_requeued_batch_first() {
    let mut destination = with(HoldPlace::Memory, [batch(Category::Log, 1), batch(Category::Log, 2)]);
    let first = destination.next(NOW).expect("a batch to send");
    destination.requeue(first, NOW);
    assert_eq!((destination.in_flight(), destination.queued()), (0, 2));
    assert_eq!(destination.next(NOW).map(|batch| batch.len()), Some(1));
}

#[test]
fn cuts_down_to_the_given_bytes() {
    for hold_place in [HoldPlace::Chunk, HoldPlace::Memory] {
        let mut destination = with(hold_place, (0..3).map(|_| batch(Category::Log, 1)));
        let all = destination.bytes(Category::Log);
        assert!(destination.cut(Category::Log, all, NOW).is_empty());
        match (&destination.cut(Category::Log, all - 1, NOW)[..], hold_place) {
            ([Action::Defer(_)], HoldPlace::Chunk) => {}
            ([Action::GiveUp(_, reason)], HoldPlace::Memory) => assert_eq!(reason.outcome, Outcome::Overflow),
            (other, _) => panic!("{other:?}"),
        }
        assert_eq!((destination.cut(Category::Log, 0, NOW).len(), destination.queued()), (1, 1), "one remains");
    }
}

#[test]
fn remembers_the_failures_of_several_batches() {
    let mut history = RetryHistory::default();
    let batches: Vec<_> = (1..=65)
        .map(|count| {
            let mut batch = batch(Category::Log, 1);
            batch.failures.count = count;
            history.remember(&batch);
            batch
        })
        .collect();
    let restored = batches.into_iter().map(|mut batch| {
        batch.failures.count = 0;
        history.restore(&mut batch);
        batch.failures.count
    });
    let expected: Vec<_> = std::iter::once(0).chain(2..=65).collect();
    assert_eq!(restored.collect::<Vec<_>>(), expected, "the oldest is forgotten");
}
