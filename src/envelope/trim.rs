//! Trims a single item that is too large for a server, once.

use super::Batch;
use crate::ledger::Category;
use crate::mapping::json::Object;
use crate::mapping::limit;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Bytes of a log's body that are kept. What refuses more than this is not Sentry but something on the way to it.
const BODY: usize = 16 << 10;

/// Fields without which an event can be understood.
const OPTIONAL: [&str; 2] = ["breadcrumbs", "extra"];

type Fields<'p> = BTreeMap<Cow<'p, str>, &'p RawValue>;

impl<T> Batch<T> {
    /// Makes a lone item smaller, an event by its breadcrumbs and extra, a log by most of its body, the cut marked.
    /// Makes the envelope smaller. Returns false if it cannot be, or has been before.
    pub fn trim(&mut self) -> bool {
        if std::mem::replace(&mut self.trimmed, true) || self.len() != 1 {
            return false;
        }
        let trimmed = match self.category {
            Category::Event => without_optional(&self.payload),
            Category::Log => with_short_body(&self.payload),
        };
        let Some(payload) = trimmed else { return false };
        self.items[0].end = payload.len() as u32;
        self.payload = payload;
        true
    }
}

fn without_optional(event: &[u8]) -> Option<Vec<u8>> {
    let mut fields: Fields<'_> = serde_json::from_slice(event).ok()?;
    let before = fields.len();
    fields.retain(|key, _| !OPTIONAL.contains(&&**key));
    (fields.len() < before).then(|| write(&fields, None))
}

fn with_short_body(log: &[u8]) -> Option<Vec<u8>> {
    let fields: Fields<'_> = serde_json::from_slice(log).ok()?;
    let body: Cow<'_, str> = serde_json::from_str(fields.get("body")?.get()).ok()?;
    let (text, cut_before) = without_mark(&body);
    let (kept, cut) = limit::bytes(text.as_bytes(), BODY);
    let short = format!("{} [cut {} bytes]", String::from_utf8_lossy(kept), cut + cut_before);
    (cut > 0).then(|| write(&fields, Some(&short)))
}

/// A body that was cut already, and by how much.
fn without_mark(body: &str) -> (&str, usize) {
    let marked = || {
        let (text, mark) = body.strip_suffix(" bytes]")?.rsplit_once(" [cut ")?;
        Some((text, mark.parse().ok()?))
    };
    marked().unwrap_or((body, 0))
}

fn write(fields: &Fields<'_>, body: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    for (key, value) in fields {
        match body.filter(|_| key == "body") {
            Some(body) => object.text(key, body),
            None => object.key(key).extend_from_slice(value.get().as_bytes()),
        }
    }
    object.end();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::envelope::{Reading, RecordIndex};
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn trimmed(category: Category, item: &Value) -> Option<Value> {
        let mut batch = Batch::new(category, Vec::new(), Monotonic::START, Reading::Live);
        batch.open().extend_from_slice(item.to_string().as_bytes());
        batch.close(&Arc::new(()), RecordIndex(0), None);
        let smaller = batch.trim();
        assert!(!batch.trim(), "once");
        let mut out = Vec::new();
        batch.write(&mut out, "", "");
        let payload: Value = serde_json::from_slice(out.split(|byte| *byte == b'\n').nth(2)?).ok()?;
        smaller.then(|| if category == Category::Log { payload["items"][0].clone() } else { payload })
    }

    #[test]
    fn an_event_loses_what_it_can_be_understood_without() {
        let event =
            json!({"event_id": "e", "extra": {"a": 1}, "breadcrumbs": {}, "logentry": {"message": "\u{e9}\"x"}});
        let kept = json!({"event_id": "e", "logentry": {"message": "\u{e9}\"x"}});
        assert_eq!(trimmed(Category::Event, &event), Some(kept.clone()));
        assert_eq!(trimmed(Category::Event, &kept), None);
    }

    #[test]
    fn a_log_keeps_the_head_of_its_body_and_the_cut_is_marked_with_all_that_is_gone() {
        let log = |body: &str| json!({"body": body, "attributes": {"n": {"value": 1}}, "trace_id": "t"});
        let long = "x".repeat(BODY + 100);
        let short = |cut: usize| log(&format!("{} [cut {cut} bytes]", "x".repeat(BODY)));
        assert_eq!(trimmed(Category::Log, &log(&long)), Some(short(100)));
        assert_eq!(trimmed(Category::Log, &log(&format!("{long} [cut 7 bytes]"))), Some(short(107)));
        assert_eq!(trimmed(Category::Log, &log("short")), None);
        let accents = trimmed(Category::Log, &log(&"\u{e9}".repeat(BODY))).unwrap();
        assert!(accents["body"].as_str().unwrap().ends_with(&format!("\u{e9} [cut {BODY} bytes]")));
    }
}
