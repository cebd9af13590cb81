//! Tests of batches that change their destination or leave the scheduler, and of destinations that are impaired alone.

use super::*;

#[test]
fn requeued_batch_follows_its_destination() {
    let mut scheduler = scheduler(HoldPlace::Memory, 4);
    push(&mut scheduler, log(0));
    let (batch, _) = scheduler.next(NOW).expect("a batch to send");
    assert!(scheduler.requeue(batch, NOW).is_empty());
    let (batch, _) = scheduler.next(NOW).expect("the same batch");
    assert_eq!(batch.destination, DestinationId(0));
    scheduler.redirect(DestinationId(0), DestinationId(1), NOW);
    assert!(scheduler.requeue(batch, NOW).is_empty());
    assert_eq!(numbers(&sent(&mut scheduler, NOW)), [1]);
}

#[test]
fn redirection_leads_to_the_last_destination() {
    let mut scheduler = scheduler(HoldPlace::Memory, 4);
    let [first, second, third] = [0, 1, 2].map(DestinationId);
    for (from, to) in [(first, second), (second, third)] {
        assert!(scheduler.redirect(from, to, NOW).is_empty());
    }
    (0..2).for_each(|number| push(&mut scheduler, log(number)));
    assert_eq!(scheduler.waiting().collect::<Vec<_>>(), [third]);
}

#[test]
fn drain_takes_all_batches() {
    let mut scheduler = scheduler(HoldPlace::Memory, 4);
    [0, 0, 1].into_iter().for_each(|number| push(&mut scheduler, log(number)));
    assert_eq!(numbers(&scheduler.drain()), [0, 0, 1]);
    assert_eq!(scheduler.queued(), 0);
}

#[test]
fn tells_if_a_destination_is_impaired_while_another_accepts() {
    let mut scheduler = scheduler(HoldPlace::Memory, 4);
    respond(&mut scheduler, 0, ResponseKind::Accepted);
    respond(&mut scheduler, 1, ResponseKind::Failed);
    let later = NOW + SECOND * 11;
    assert!(!scheduler.is_any_impaired_alone(later), "nothing was accepted since the failure");
    push(&mut scheduler, log(0));
    while let Some((batch, _)) = scheduler.next(later) {
        let is_healthy = batch.destination == DestinationId(0);
        let kind = if is_healthy { ResponseKind::Accepted } else { ResponseKind::Failed };
        scheduler.done(batch, &response(kind), later, 1.0);
    }
    assert!(scheduler.is_any_impaired_alone(later));
}

#[test]
fn only_destination_keeps_its_items() {
    let policy = Policy { has_multiple_destinations: false, ..policy(HoldPlace::Chunk) };
    let mut scheduler: Scheduler<ChunkId> = Scheduler::new(policy, 4, 4_400);
    respond(&mut scheduler, 0, ResponseKind::Failed);
    (0..4).for_each(|_| push(&mut scheduler, batch(0, Category::Log, 500)));
    assert_eq!((scheduler.release_blocked(NOW).len(), scheduler.queued()), (0, 5));
}
