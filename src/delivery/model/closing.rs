//! Models of an instance that ends: flushes at exit, reloads, the deadline, and the order of the end.

use super::{Chunk, Instance, LITTLE, RequestCounts, Server, TempDirectory};
use super::{Responder, explore, explore_often, flush, loaded, records, unreliable};
use crate::clock::Monotonic;
use crate::delivery::shared::inbox::Message;
use crate::delivery::shared::lifecycle::Lifecycle;
use crate::delivery::store::SUFFIX;
use crate::ledger::Category;
use crate::options::{Loaded, Mode};
use crate::sync::scheduled::below;
use crate::sync::{AtomicU64, lock, thread};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// A while, or not a moment.
fn pause() {
    if below(2) == 0 {
        thread::park_timeout(Duration::from_millis(below(3_000)));
    }
}

const FLUSHED_AT_EXIT: [&[Chunk]; 2] = [&[&[0, 1, 2, 3], &[4, 5]], &[&[6, 7, 9]]];

/// Returns the response of a server that mostly does not take the request.
fn mostly_failing(_: u32, _: &RequestCounts) -> (u16, Option<&'static str>) {
    if below(4) == 0 { (200, None) } else { (503, None) }
}

fn healthy(_: u32, _: &RequestCounts) -> (u16, Option<&'static str>) {
    (200, None)
}

#[test]
fn memory_counts_chunks_taken_while_closing() {
    explore("flush and exit, memory", || flush_and_exit(&[LITTLE], unreliable));
    // At the deadline, chunks wait behind one that waits for memory.
    explore("flush and exit with a queue, memory", || {
        flush_and_exit(&[("queue_max_size", "3000"), ("exit_timeout", "1s")], mostly_failing);
    });
}

fn flush_and_exit(more: &[(&str, &str)], responder: Responder) {
    let server = Server::new(responder);
    let instance = Arc::new(Instance::start(&loaded("memory", more), &server));
    let refused = flush(&instance, &FLUSHED_AT_EXIT, 3, || {
        pause();
        instance.delivery.close();
    });
    // It may have counted records of chunks whose flush returned RETRY, too.
    let all = records(&FLUSHED_AT_EXIT.concat());
    let (taken, summary) = (all - records(&refused), instance.ledger.snapshot().summary());
    assert!((taken..=all).contains(&instance.ledger.snapshot().records), "{taken} of {all}: {summary}");
    instance.assert_closed();
    for (&(received, again), &accepted) in server.counts().values().zip(instance.accepted().values()) {
        assert!(again == 0 && received >= accepted, "{received} came, {again} again: {summary}");
    }
}

#[test]
fn exit_with_time_sends_everything() {
    explore("exit with time, memory", || exit_with_time(&FLUSHED_AT_EXIT));
    // Of so little the moments between the last envelope and the end are a large part.
    explore_often(10, "exit with time and one log, memory", || exit_with_time(&[&[&[1]]]));
}

fn exit_with_time(flushers: &[&'static [Chunk]]) {
    let server = Server::new(healthy);
    let instance = Arc::new(Instance::start(&loaded("memory", &[("exit_timeout", "1h")]), &server));
    assert!(flush(&instance, flushers, usize::MAX, || ()).is_empty());
    instance.delivery.close();
    instance.assert_closed();
    assert_eq!(instance.accepted().log, records(&flushers.concat()), "{}", instance.ledger.snapshot().summary());
}

fn holds_chunks(spool: &Path) -> bool {
    let files = std::fs::read_dir(spool).into_iter().flatten().flatten();
    files.map(|file| file.path()).any(|file| file.extension().is_some_and(|extension| extension == SUFFIX))
}

/// An instance ends while chunks come, and the next one takes over: in the same process, before the first is gone or after.
fn reload(loaded: &Loaded) {
    let server = Server::new(unreliable);
    let first = Arc::new(Instance::start(loaded, &server).slow());
    let mut second = None;
    let refused = flush(&first, &FLUSHED_AT_EXIT, 3, || {
        pause();
        if below(2) == 0 {
            second = Some(Instance::start(loaded, &server).slow());
        }
        first.delivery.close();
    });
    if loaded.settings.delivery.mode == Mode::Ack {
        first.assert_closed();
    }
    let second = Arc::new(second.unwrap_or_else(|| Instance::start(loaded, &server).slow()));
    let all = FLUSHED_AT_EXIT.concat();
    let taken_again = refused.iter().all(|chunk| second.offer(chunk, usize::MAX));
    assert!(taken_again);
    let is_there = |numbers: Chunk| numbers.iter().all(|n| lock(&server.received).logs.contains_key(n));
    // An accepted item may still be in the spool if its response was lost, and the second instance may not have opened it yet.
    let spool = loaded.settings.delivery.spool_path.as_deref();
    while second.pending() > 0 || !all.iter().all(|chunk| is_there(chunk)) || spool.is_some_and(holds_chunks) {
        thread::park_timeout(Duration::from_secs(1));
    }
    second.delivery.close();
    second.assert_closed();
    // An item in flight at the end may be sent twice, because its response was lost.
    for category in Category::ALL.iter().copied() {
        let (_, again) = server.counts()[category];
        let unconfirmed = first.arrived[category].load(Relaxed) - first.accepted()[category];
        assert!(
            again <= unconfirmed,
            "{again} came again, {unconfirmed} were in transit: {}",
            first.ledger.snapshot().summary()
        );
    }
}

#[test]
fn reload_with_ack_sends_each_record_once() {
    explore("reload, ack", || reload(&loaded("ack", &[("exit_timeout", "2s")])));
}

#[test]
fn reload_with_spool_sends_each_record_once() {
    // The hard case is a flush that times out shortly before the reload: only one that waits for the sync can.
    for sync in ["normal", "full"] {
        explore_often(2, &format!("reload, spool, sync {sync}"), move || {
            let place = TempDirectory::new();
            let options = [
                ("spool_path", place.path("spool")),
                ("exit_timeout", "2s".to_owned()),
                ("spool_sync", sync.to_owned()),
            ];
            reload(&loaded("spool", &options.each_ref().map(|(name, value)| (*name, value.as_str()))));
        });
    }
}

#[test]
fn threads_end_at_the_deadline_with_full_queues() {
    explore("exit with full queues", || {
        let place = TempDirectory::new();
        let loaded = loaded("spool", &[("spool_path", &place.path("spool"))]);
        let instance = Instance::start(&loaded, &Server::new(unreliable));
        let (shared, threads) =
            (&instance.delivery.shared, crate::sync::lock(&instance.delivery.threads).take().unwrap());
        shared.lifecycle.begin_closing(Monotonic::from_secs(1));
        shared.to_dispatcher.send(Message::Close(Monotonic::from_secs(1))).unwrap();
        assert!(threads.spooler.unwrap().join().is_ok());
        assert!(threads.mapper.join().is_ok());
        assert!(threads.dispatcher.join().is_ok());
    });
}

/// A flush that entered before the instance closed has queued its chunk when the last messages are sent, and no flush queues
/// one afterwards.
#[test]
fn no_chunk_is_queued_after_the_last_message() {
    explore_often(10, "order of the end", || {
        let (lifecycle, queued) = (Arc::new(Lifecycle::new()), Arc::new(AtomicU64::new(0)));
        let flush = |_| {
            let (lifecycle, queued) = (Arc::clone(&lifecycle), Arc::clone(&queued));
            let flush = move || {
                if let Some(_active) = lifecycle.enter() {
                    thread::park_timeout(Duration::from_millis(below(3)));
                    queued.fetch_add(1, Relaxed);
                }
            };
            thread::Builder::new().spawn(flush).unwrap()
        };
        let flushes: Vec<_> = (0..3).map(flush).collect();
        pause();
        lifecycle.begin_closing(Monotonic::MAX);
        lifecycle.wait_for_flushes();
        let queued_before = queued.load(Relaxed);
        flushes.into_iter().for_each(|flush| flush.join().unwrap());
        assert_eq!(queued.load(Relaxed), queued_before, "expected no chunk behind the last message");
    });
}
