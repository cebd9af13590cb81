//! The thread that waits for the disk, so that no flush waits longer than one sync.

use super::slot::{Slot, Verdict};
use super::spool::{OpenError, Recovered, Segment, Spool, Unit};
use super::ticket::{Home, Ticket};
use super::{Job as MapperJob, Shared, lock};
use crate::delivery::host::Severity;
use crate::sync::{Receiver, Sender};
use crossbeam_channel::{RecvTimeoutError, TrySendError};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Work for the spooler.
#[derive(Debug)]
pub(crate) enum Job {
    /// A chunk whose flush waits for the disk.
    Chunk(Arc<Slot>),
    /// Nothing more will come.
    Close,
}

/// Most bytes that one sync serves: bounds memory and the wait of the first chunk in the group.
const GROUP_BYTES: usize = 8 << 20;

/// How often a spool that could not be opened is tried again.
const REOPEN: Duration = Duration::from_secs(1);

/// The backlog of an earlier process waits up to this long, so that a cluster that restarts does not come back at once.
const REPLAY_DELAY: Duration = Duration::from_secs(2);

/// A host that is not dead has heard of a chunk's safety after this long. Chunks that an earlier process spooled shortly
/// before its end may therefore be offered again although they are ours: by a host that was killed in between.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Spooler<'s> {
    shared: &'s Shared,
    to_mapper: &'s Sender<MapperJob>,
    spool: Option<Spool>,
}

/// Spools until told to close. The spool that comes back is locked as long as it lives.
pub(crate) fn run(
    shared: &Shared,
    path: &Path,
    settings: u64,
    inbox: &Receiver<Job>,
    to_mapper: &Sender<MapperJob>,
) -> Option<Spool> {
    let mut spooler = Spooler::new(shared, to_mapper);
    spooler.open(path, settings);
    spooler.serve(path, settings, inbox);
    for job in inbox.try_iter() {
        if let Job::Chunk(slot) = job {
            shared.slots.answer(&slot, Verdict::Retry);
        }
    }
    spooler.spool
}

/// Takes what else is waiting; whether the end was among it.
fn gather(inbox: &Receiver<Job>, group: &mut Vec<Arc<Slot>>) -> bool {
    let mut bytes = group.iter().map(|slot| slot.bytes()).sum::<usize>();
    while bytes < GROUP_BYTES {
        match inbox.try_recv() {
            Ok(Job::Chunk(slot)) => {
                bytes += slot.bytes();
                group.push(slot);
            }
            Ok(Job::Close) => return true,
            Err(_) => return false,
        }
    }
    false
}

impl<'s> Spooler<'s> {
    pub(super) fn new(shared: &'s Shared, to_mapper: &'s Sender<MapperJob>) -> Self {
        Self { shared, to_mapper, spool: None }
    }

    fn serve(&mut self, path: &Path, settings: u64, inbox: &Receiver<Job>) {
        loop {
            match inbox.recv_timeout(REOPEN) {
                Ok(Job::Chunk(slot)) => {
                    let mut group = vec![slot];
                    let closing = gather(inbox, &mut group);
                    if self.spool.is_none() {
                        self.open(path, settings);
                    }
                    self.commit(group);
                    if closing {
                        return;
                    }
                }
                Ok(Job::Close) | Err(RecvTimeoutError::Disconnected) => return,
                // There may have been no room to be told.
                Err(RecvTimeoutError::Timeout) if self.shared.past_deadline() => return,
                Err(RecvTimeoutError::Timeout) if self.spool.is_none() => self.open(path, settings),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    pub(super) fn open(&mut self, path: &Path, settings: u64) {
        match Spool::open(path, settings) {
            Ok((spool, recovered)) => {
                *lock(&self.shared.spool_bytes) = spool.bytes();
                self.spool = Some(spool);
                self.replay(recovered);
            }
            Err(OpenError::Locked) => self.shared.say(
                Severity::Warn,
                "spool locked",
                format!(
                    "spool {} is held by another instance, perhaps one that is ending; chunks wait at the host until it \
                     is free (two outputs must not share a spool_path)",
                    path.display()
                ),
            ),
            Err(OpenError::Io(error)) => self.shared.say(
                Severity::Error,
                "spool unusable",
                format!("spool {} cannot be used, chunks wait at the host: {error}", path.display()),
            ),
        }
    }

    /// Queues what an earlier process left. It counts in this one.
    fn replay(&mut self, recovered: Vec<Recovered>) {
        let Some(newest) = recovered.last().map(|found| found.unit.committed()) else { return };
        let unheard = recovered.iter().filter(|found| found.unit.committed() + HEARD_WITHIN >= newest);
        self.expect_again(unheard.map(|found| &found.unit));
        let (files, bytes) = (recovered.len(), lock(&self.shared.spool_bytes).load(Relaxed));
        self.shared.say(Severity::Info, "replay", format!("{files} files ({bytes} bytes) in the spool are sent again"));
        let now = self.shared.now();
        let delay = REPLAY_DELAY.mul_f64(f64::from(now.wall.subsec_nanos() % 1_000) / 1_000.0);
        for found in recovered {
            // What is sent again counts here, all of it, so that the books of this process close.
            let recorder = self.shared.recorder.clone();
            recorder.take(u64::from(found.unit.records));
            found.progress.ended.tell(&recorder);
            let ticket = Ticket::replayed(found.unit, now.steady, recorder, found.progress);
            lock(&self.shared.backlog).add_delayed(Arc::new(ticket), now.steady + delay);
        }
    }

    fn expect_again<'u>(&self, units: impl Iterator<Item = &'u Unit>) {
        let mut chunks = HashMap::<u128, u32>::new();
        for segment in units.flat_map(|unit| unit.read().unwrap_or_default()) {
            *chunks.entry(self.shared.registry.identity(&segment.tag, &segment.data)).or_default() += 1;
        }
        chunks.into_iter().for_each(|(identity, times)| self.shared.registry.expect_at_least(identity, times));
    }

    pub(super) fn commit(&mut self, group: Vec<Arc<Slot>>) {
        let mut segments = Vec::with_capacity(group.len());
        let mut waiting = Vec::with_capacity(group.len());
        for slot in group {
            let (tag, data) = slot.take();
            self.shared.waiting.fetch_sub(data.len() as u64, Relaxed);
            if slot.is_left() {
                self.shared.slots.answer(&slot, Verdict::Retry);
            } else if self.shared.registry.is_spooled(&tag, &data) {
                self.is_safe(&slot, &tag, &data);
            } else {
                let records = crate::chunk::count(&data);
                segments.push(Segment { tag, data, records });
                waiting.push(slot);
            }
        }
        if segments.is_empty() {
            return;
        }
        match self.write(&segments) {
            Ok(ticket) => self.committed(ticket, segments, &waiting),
            Err(reason) => {
                if let Some((kind, text)) = reason {
                    self.shared.say(Severity::Warn, kind, text);
                }
                for slot in &waiting {
                    self.shared.slots.answer(slot, Verdict::Retry);
                }
                segments.into_iter().for_each(|segment| self.shared.slots.spare(segment.data));
            }
        }
    }

    fn write(&mut self, segments: &[Segment]) -> Result<Arc<Ticket>, Option<(&'static str, String)>> {
        let Some(spool) = self.spool.as_mut() else { return Err(None) };
        let size: usize = segments.iter().map(|segment| segment.data.len()).sum();
        let (used, most) = (spool.bytes().load(Relaxed), self.shared.settings.spool_max_size);
        if used > 0 && used + size as u64 > most {
            let text =
                format!("spool is full ({used} of {most} bytes): chunks wait at the host until Sentry takes some");
            return Err(Some(("spool full", text)));
        }
        let now = self.shared.now();
        let unit = spool.commit(segments, now.wall).map_err(|error| {
            Some(("spool write", format!("cannot write the spool, chunks wait at the host: {error}")))
        })?;
        let recorder = self.shared.recorder.clone();
        Ok(Arc::new(Ticket::new(Home::Spool(unit), now.steady, recorder, Default::default())))
    }

    fn committed(&mut self, ticket: Arc<Ticket>, segments: Vec<Segment>, waiting: &[Arc<Slot>]) {
        let records: u32 = segments.iter().map(|segment| segment.records).sum();
        self.shared.recorder.take(u64::from(records));
        for (slot, segment) in waiting.iter().zip(&segments) {
            self.is_safe(slot, &segment.tag, &segment.data);
        }
        // A mapper that is behind reads it from the disk when it gets there and has room: what lies before it is in memory.
        let size: u64 = segments.iter().map(|segment| segment.data.len() as u64).sum();
        let job = MapperJob::Spooled(Arc::clone(&ticket), segments);
        if self.shared.has_room(size) && !self.shared.past_deadline() {
            self.shared.waiting.fetch_add(size, Relaxed);
            if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.to_mapper.try_send(job) {
                self.shared.waiting.fetch_sub(size, Relaxed);
                self.put_off(ticket);
            }
        } else {
            self.put_off(ticket);
        }
    }

    /// A chunk is on disk, or has been. Whose flush has left meanwhile comes again.
    fn is_safe(&self, slot: &Arc<Slot>, tag: &[u8], data: &[u8]) {
        if !self.shared.slots.answer(slot, Verdict::Ok) {
            self.shared.registry.expect(tag, data);
        }
    }

    /// It waits for nothing but its turn.
    fn put_off(&self, ticket: Arc<Ticket>) {
        let now = self.shared.now().steady;
        lock(&self.shared.backlog).add(ticket, now);
    }
}

#[cfg(test)]
mod tests {
    use super::Spooler;
    use crate::clock::{Clock, Moment, SystemClock};
    use crate::delivery::{Delivery, Host, Report, Severity, Verdict};
    use crate::ledger::Ledger;
    use std::fs;
    use std::net::TcpListener;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    const CHUNK: &[u8] = &[0x92, 0x92, 0xd7, 0, 0, 0, 0, 9, 0, 0, 0, 5, 0x80, 0x81, 0xa1, b'k', 1];

    #[derive(Debug)]
    struct Quiet;

    impl Host for Quiet {
        fn log(&self, _: Severity, _: &str) {}
        fn publish(&self, _: &Report<'_>) {}
    }

    /// An instance whose server is not there, on a spool.
    fn open(spool: &Path) -> (Delivery, Arc<Ledger>) {
        let given = |name: &str| match name {
            "dsn" => Some("http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1".to_owned()),
            "spool_path" => Some(spool.display().to_string()),
            "exit_timeout" => Some("1ms".to_owned()),
            _ => None,
        };
        let loaded = crate::options::load(given, |_| None).unwrap();
        let ledger = Arc::new(Ledger::default());
        let host = Arc::new(Quiet);
        let delivery = Delivery::start("late", &loaded, Arc::new(SystemClock::new()), Arc::clone(&ledger), host);
        (delivery.unwrap(), ledger)
    }

    fn files(spool: &Path) -> usize {
        let files = fs::read_dir(spool).unwrap().flatten();
        files.filter(|file| file.path().extension().is_some_and(|extension| extension == "msgpack")).count()
    }

    #[test]
    fn a_chunk_whose_safety_an_earlier_process_could_not_tell_is_ours_already_once() {
        let spool = std::env::temp_dir().join(format!("out_sentry-spooler-{}", std::process::id()));
        let _ = fs::remove_dir_all(&spool);
        let (first, _) = open(&spool);
        assert_eq!(first.flush(b"tag", CHUNK, true), Verdict::Ok);
        first.close();
        let (second, ledger) = open(&spool);
        assert_eq!(second.flush(b"tag", CHUNK, true), Verdict::Ok);
        assert_eq!((files(&spool), ledger.snapshot().records), (1, 1));
        assert_eq!(second.flush(b"tag", CHUNK, true), Verdict::Ok);
        assert_eq!((files(&spool), ledger.snapshot().records), (2, 2));
        second.close();
        let _ = fs::remove_dir_all(&spool);
    }

    #[test]
    fn a_chunk_whose_flush_gave_up_is_ours_in_the_next_instance_too() {
        let spool = std::env::temp_dir().join(format!("out_sentry-spooler-left-{}", std::process::id()));
        let _ = fs::remove_dir_all(&spool);
        let (first, _) = open(&spool);
        let slot = first.shared.slots.fill(b"left", CHUNK).unwrap();
        let ours = Arc::clone(&slot);
        assert_eq!(first.shared.slots.wait(slot, Duration::ZERO), Verdict::Retry);
        // By the end its file is gone: Sentry has all of it.
        Spooler::new(&first.shared, &first.to_mapper).is_safe(&ours, b"left", CHUNK);
        first.close();
        let (second, ledger) = open(&spool);
        assert_eq!(second.flush(b"left", CHUNK, true), Verdict::Ok);
        assert_eq!((files(&spool), ledger.snapshot().records), (0, 0));
        assert_eq!(second.flush(b"left", CHUNK, true), Verdict::Ok);
        assert_eq!((files(&spool), ledger.snapshot().records), (1, 1));
        second.close();
        let _ = fs::remove_dir_all(&spool);
    }

    /// At this fraction of a second the backlog waits longest.
    #[derive(Debug)]
    struct Latest(SystemClock);

    impl Clock for Latest {
        fn now(&self) -> Moment {
            let Moment { steady, wall } = self.0.now();
            Moment { steady, wall: Duration::new(wall.as_secs(), wall.subsec_micros() * 1_000 + 999) }
        }
    }

    #[test]
    fn who_ends_before_the_backlog_is_due_reads_it_at_the_end() {
        let place = std::env::temp_dir().join(format!("out_sentry-spooler-end-{}", std::process::id()));
        let _ = fs::remove_dir_all(&place);
        fs::create_dir(&place).unwrap();
        let (spool, dsn) = (place.join("spool"), place.join("dsn"));
        let open = |clock: Arc<dyn Clock>| {
            let given = |name: &str| match name {
                "dsn_file" => Some(dsn.display().to_string()),
                "spool_path" => Some(spool.display().to_string()),
                "exit_timeout" => Some("1s".to_owned()),
                _ => None,
            };
            let loaded = crate::options::load(given, |_| None).unwrap();
            let ledger = Arc::new(Ledger::default());
            (Delivery::start("end", &loaded, clock, Arc::clone(&ledger), Arc::new(Quiet)).unwrap(), ledger)
        };
        // Without a destination nothing of it is read.
        let (first, _) = open(Arc::new(SystemClock::new()));
        assert_eq!(first.flush(b"tag", CHUNK, true), Verdict::Ok);
        first.close();
        // Takes connections and says nothing: its destination is in no trouble yet.
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        fs::write(&dsn, format!("http://0123456789abcdef0123456789abcdef@{}/1", server.local_addr().unwrap())).unwrap();
        let (second, ledger) = open(Arc::new(Latest(SystemClock::new())));
        assert_eq!(second.flush(b"tag", CHUNK, true), Verdict::Ok, "the spool is open");
        second.close();
        let summary = ledger.snapshot().summary();
        assert!(summary.contains("records=1 ") && summary.contains("event.filtered=1"), "{summary}");
        let _ = fs::remove_dir_all(&place);
    }
}
