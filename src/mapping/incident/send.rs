//! Sends an incident's log and event, or ends the record with the reason why there is none.

use super::super::letter::Letter;
use super::super::route::Routed;
use super::super::sink::{Bill, Discard, Finished, Item, ItemWriter, Payer};
use super::super::{FoundKeys, Origin, Reason, Sink, scrub};
use super::write::{self, Incident};
use crate::chunk::{Record, Timestamp};
use crate::ledger::Category;
use crate::mapping::encode::billed;
use crate::mapping::group::breadcrumbs::Breadcrumbs;
use crate::mapping::group::storm::{Decision, StormSummary, Storms};
use crate::mapping::group::waiting::Waiting;
use crate::mapping::resolve::identity::StreamId;
use crate::options::{Budget, Mapping};
use xxhash_rust::xxh3::Xxh3;

/// A record that is about to be handled.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub record: Record<'a>,
    pub letter: Option<Letter>,
    pub index: u32,
}

/// Decisions that are left about an incident once it is understood.
pub(super) struct Plan<'s> {
    pub incident: Incident<'s>,
    pub routed: Routed,
    /// Payer of its log: namespace, workload, and the budget that the pod asks for.
    pub payer: (String, String, Option<Budget>),
    /// The field that says how bad it is.
    pub key: &'static str,
    /// Streams that hold its breadcrumbs.
    pub streams: Vec<StreamId>,
    /// Lines up to this time are its breadcrumbs.
    pub until: Timestamp,
    /// Why there is no event, if there is none.
    pub no_event: Option<Reason>,
    /// Why there is no log, if there is none.
    pub no_log: Option<Discard>,
}

/// Parts of the mapper that are needed for sending.
pub(super) struct Parts<'m> {
    pub settings: &'m Mapping,
    pub scrub: &'m scrub::Rules,
    pub crumbs: &'m Breadcrumbs,
    pub waiting: &'m Waiting,
    pub storms: &'m mut Storms,
    pub constant: &'m [u8],
}

/// Makes the log and the event, or says why there is none.
pub(super) fn send(parts: Parts<'_>, origin: Origin<'_>, source: Source<'_>, plan: Plan<'_>, sink: &mut impl Sink) {
    let Plan { incident, routed, payer, key, streams, until, no_event, no_log } = plan;
    let (index, letter, route) = (source.index, source.letter, routed.route);
    let keys = FoundKeys {
        message: Some(b"message".as_slice()).filter(|_| incident.exception.is_none()),
        level: Some(key.as_bytes()),
        severity: Some(incident.level),
        ..FoundKeys::default()
    };
    sink.found(index, &keys);
    let part = |rate: f64| {
        let seed = u128::from_be_bytes(incident.id.0) as u64;
        letter.is_some() || rate >= 1.0 || ((seed >> 11) as f64 / (1_u64 << 53) as f64) < rate
    };
    let threshold = parts.settings.logs_level;
    let is_below = letter.is_none() && threshold.is_none_or(|threshold| incident.level < threshold);
    let (log, event) = (Item::log(index), Item::event(index));
    if !Letter::allows(letter, Category::Log) {
        sink.discard(log, Discard::filtered(Reason::OtherItem));
    } else if let Some(discard) = no_log {
        sink.discard(log, discard);
    } else if is_below {
        sink.discard(log, Discard::filtered(Reason::Below { level: incident.level, threshold }));
    } else if !part(parts.settings.logs_sample_rate) {
        sink.discard(log, Discard::sampled(route));
    } else {
        let (namespace, workload, budget) = payer;
        let payer = sink.payer(route, &Payer { namespace: &namespace, workload: &workload, budget });
        let mut bill = Bill { route, payer, level: incident.level, bytes: 0 };
        if letter.is_none() && !sink.affords(index, &bill) {
            sink.discard(log, Discard::over_budget(route));
        } else if let Some(mut writer) = sink.begin(log, route) {
            let out = writer.json();
            let start = out.len();
            write::log(out, &incident, parts.settings, parts.constant);
            parts.scrub.clean(out, start, &[]);
            bill.bytes = billed::of(&out[start..]);
            writer.finish(Finished::Log(bill));
        }
    }
    if !Letter::allows(letter, Category::Event) {
        return sink.discard(event, Discard::filtered(Reason::OtherItem));
    }
    if let Some(reason) = no_event {
        return sink.discard(event, Discard::filtered(reason));
    }
    if !part(parts.settings.sample_rate) {
        return sink.discard(event, Discard::sampled(route));
    }
    let mut hash = Xxh3::with_seed(routed.identity as u64);
    for part in &incident.fingerprint {
        hash.update(part.as_bytes());
        hash.update(&[0]);
    }
    let fingerprint = hash.digest();
    let decision = if sink.again(index) || letter.is_some() {
        Decision::Send(0)
    } else {
        parts.storms.decide(fingerprint, routed.identity, source.record.time.min(origin.now.into()), origin.now)
    };
    let write = |out: &mut Vec<u8>, held_back| {
        let start = out.len();
        let crumbs = parts.crumbs.of(&streams, parts.waiting, until, parts.scrub);
        write::event(out, &incident, parts.settings, &crumbs, held_back);
        parts.scrub.clean(out, start, &[]);
    };
    match decision {
        Decision::Suppress(reason) => {
            sink.discard(event, Discard::suppressed(reason, route));
        }
        Decision::Keep(reason) => {
            let mut payload = Vec::new();
            write(&mut payload, 0);
            parts.storms.keep(fingerprint, StormSummary { routed, event_id: incident.id, payload, others: 0 });
            sink.discard(event, Discard::suppressed(reason, route));
        }
        Decision::Send(held_back) => {
            if let Some(mut writer) = sink.begin(event, route) {
                write(writer.json(), held_back);
                writer.finish(Finished::Event(incident.id));
            }
        }
    }
}
