//! Writes a client report: the items that this plugin left out or dropped, so that Sentry's own statistics include them.
//!
//! Format: <https://develop.sentry.dev/sdk/telemetry/client-reports/>. A report is sent in an envelope of its own.

use super::batch::header;
use crate::clock::WallTime;
use crate::mapping::json::{List, Object};

/// One line of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discarded {
    /// Sentry's word for why.
    pub reason: &'static str,
    /// Unit that is counted: `error`, `log_item` or `log_byte`.
    pub category: &'static str,
    /// The number of discarded units.
    pub quantity: u64,
}

/// Writes the whole envelope. `wall` is the present.
pub fn write(out: &mut Vec<u8>, discarded: &[Discarded], dsn: &str, sent_at: &str, wall: WallTime) {
    let mut payload = Vec::new();
    let mut report = Object::begin(&mut payload);
    report.key("timestamp").extend_from_slice(wall.as_secs().to_string().as_bytes());
    let mut list = List::begin(report.key("discarded_events"));
    for line in discarded {
        let mut entry = Object::begin(list.element());
        entry.text("reason", line.reason);
        entry.text("category", line.category);
        entry.key("quantity").extend_from_slice(line.quantity.to_string().as_bytes());
        entry.end();
    }
    list.end();
    report.end();
    header(out, None, dsn, sent_at);
    out.extend_from_slice(format!("{{\"type\":\"client_report\",\"length\":{}}}\n", payload.len()).as_bytes());
    out.extend_from_slice(&payload);
    out.push(b'\n');
}

/// Writes the whole envelope of a check-in: one item (<https://develop.sentry.dev/sdk/telemetry/check-ins/>).
pub fn write_check_in(out: &mut Vec<u8>, payload: &[u8], dsn: &str, sent_at: &str) {
    header(out, None, dsn, sent_at);
    out.extend_from_slice(format!("{{\"type\":\"check_in\",\"length\":{}}}\n", payload.len()).as_bytes());
    out.extend_from_slice(payload);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentry_types::protocol::v7::{Envelope, EnvelopeItem};

    #[test]
    fn sentrys_own_types_read_a_report() {
        let line = |category, quantity| Discarded { reason: "send_error", category, quantity };
        let mut out = Vec::new();
        let lines = [line("log_item", 2), line("log_byte", 300)];
        let dsn = "http://0123456789abcdef0123456789abcdef@h/1";
        write(&mut out, &lines, dsn, "2026-11-23T00:00:00Z", WallTime::from_secs(1_795_161_600));
        let envelope = Envelope::from_slice(&out).unwrap();
        let items: Vec<_> = envelope.items().collect();
        assert!(matches!(items[..], [EnvelopeItem::ClientReport(_)]), "{items:?}");
        let text = String::from_utf8(out).unwrap();
        let payload = text.lines().nth(2).unwrap();
        assert_eq!(
            payload,
            "{\"timestamp\":1795161600,\"discarded_events\":[\
             {\"reason\":\"send_error\",\"category\":\"log_item\",\"quantity\":2},\
             {\"reason\":\"send_error\",\"category\":\"log_byte\",\"quantity\":300}]}"
        );
    }
}
