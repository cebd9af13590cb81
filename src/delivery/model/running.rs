//! Models of an instance that runs: equal chunks, full queues, and destinations that hold up no other.

use super::{
    Chunk, Instance, Responder, Server, TempDirectory, explore, flush, limited_at_first,
    limited_until_another_is_asked, loaded, unreliable,
};
use super::{LITTLE, records};
use crate::options::{Loaded, Mode};
use crate::sync::lock;
use std::sync::Arc;

/// Offers each chunk until it is taken, and waits until every record has ended.
fn each_chunk_once(loaded: &Loaded, flushers: [&'static [Chunk]; 2], responder: Responder) {
    let server = Server::new(responder);
    let instance = Arc::new(Instance::start(loaded, &server));
    assert!(flush(&instance, &flushers, usize::MAX, || ()).is_empty());
    let records = records(&flushers.concat());
    instance.wait_until_ended(records);
    instance.assert_idle();
    instance.delivery.close();
    instance.assert_closed();
    let summary = instance.ledger.snapshot().summary();
    assert_eq!(instance.ledger.snapshot().records, records, "{summary}");
    // Chunks that are equal are two all the same.
    let times = if flushers[0] == flushers[1] { 2 } else { 1 };
    for (&(received, again), &accepted) in server.counts().values().zip(instance.accepted().values()) {
        assert_eq!((received * times, received + again), (accepted, accepted), "{summary}");
    }
    // Only memory may have to give something up for others.
    let gives_up =
        |n: &u64| loaded.settings.delivery.mode == Mode::Memory && flushers == BY_DESTINATION && n.is_multiple_of(2);
    let received = lock(&server.received);
    let missing: Vec<_> = flushers.concat().concat().into_iter().filter(|n| !received.logs.contains_key(n)).collect();
    assert!(missing.iter().all(gives_up), "{missing:?} have not come: {summary}");
}

/// The even ones are for one destination, the odd ones for the other.
const BY_DESTINATION: [&[Chunk]; 2] = [&[&[0, 2, 6], &[8, 12]], &[&[1, 3], &[4, 5, 9]]];

#[test]
fn sends_a_chunk_once_that_is_offered_while_it_finishes() {
    explore("flush, finish, flush again", || {
        each_chunk_once(&loaded("ack", &[]), [&[&[0, 1, 2, 3]], &[&[4, 5, 6]]], unreliable);
    });
}

#[test]
fn equal_chunks_are_two_in_any_order() {
    explore("equal chunks", || each_chunk_once(&loaded("ack", &[]), [&[&[0, 1, 3]], &[&[0, 1, 3]]], unreliable));
}

#[test]
fn full_queue_frees_its_memory() {
    for delivery in ["memory", "ack"] {
        explore(&format!("full queue, {delivery}"), move || {
            let flushers: [&[Chunk]; 2] = [&[&[0, 1, 2, 3], &[4, 5]], &[&[6, 7], &[8, 9, 10, 12]]];
            each_chunk_once(&loaded(delivery, &[LITTLE]), flushers, unreliable);
        });
    }
}

#[test]
fn full_spool_frees_its_bytes() {
    explore("full spool", || {
        let place = TempDirectory::new();
        let spool = place.path("spool");
        let loaded = loaded("spool", &[LITTLE, ("spool_path", &spool), ("spool_max_size", "900")]);
        each_chunk_once(&loaded, [&[&[0, 1, 2, 3], &[4, 5]], &[&[6, 7]]], unreliable);
    });
}

#[test]
fn limited_destination_does_not_block_others() {
    for delivery in ["memory", "ack", "spool"] {
        for (until, responder) in
            [("for a while", limited_at_first as Responder), ("until another is asked", limited_until_another_is_asked)]
        {
            explore(&format!("one limited {until}, {delivery}"), move || by_destination(delivery, responder));
        }
    }
}

fn by_destination(delivery: &str, responder: Responder) {
    let place = TempDirectory::new();
    let (spool, dsns) = (place.path("spool"), place.path("dsns"));
    std::fs::create_dir(&dsns).unwrap();
    std::fs::write(format!("{dsns}/shop"), "http://0123456789abcdef0123456789abcdef@h/2").unwrap();
    // Waiting long enough is no way out.
    let mut more = vec![LITTLE, ("dsn_dir", dsns.as_str()), ("hold_logs", "24h")];
    if delivery == "spool" {
        more.push(("spool_path", &spool));
    }
    each_chunk_once(&loaded(delivery, &more), BY_DESTINATION, responder);
}
