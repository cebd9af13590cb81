//! Shows events as people see them: computes titles, and groups events that belong together into issues.

use super::store::Event;
use super::timestamp;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Events of one project with the same stack or message, and the same fingerprint.
#[derive(Debug)]
pub(super) struct Issue {
    pub title: String,
    pub level: String,
    /// Seconds since 1970 of the newest event, by its own clock.
    pub last_seen: f64,
    /// The newest event.
    pub latest: Arc<Event>,
    /// All of them, in the order of their arrival.
    pub events: Vec<Arc<Event>>,
}

/// Groups events; the issue seen last comes first.
pub(super) fn group<'a>(events: impl IntoIterator<Item = &'a Arc<Event>>) -> Vec<Issue> {
    let mut places: HashMap<(u64, String, String), usize> = HashMap::new();
    let mut issues: Vec<Issue> = Vec::new();
    for event in events {
        let (title, seen) = (title(&event.payload), seen(&event.payload));
        let fingerprint = event.payload.get("fingerprint").map(Value::to_string).unwrap_or_default();
        let place = *places.entry((event.project, key(&event.payload), fingerprint)).or_insert(issues.len());
        match issues.get_mut(place) {
            Some(issue) => {
                issue.events.push(event.clone());
                if seen >= issue.last_seen {
                    (issue.last_seen, issue.latest, issue.level) = (seen, event.clone(), level(&event.payload).into());
                    issue.title = title;
                }
            }
            None => issues.push(Issue {
                title,
                level: level(&event.payload).into(),
                last_seen: seen,
                latest: event.clone(),
                events: vec![event.clone()],
            }),
        }
    }
    issues.sort_by(|a, b| b.last_seen.total_cmp(&a.last_seen));
    issues
}

/// Seconds since 1970 of an event, by its own clock; 0 if it has no time.
pub(super) fn seen(event: &Value) -> f64 {
    event.get("timestamp").and_then(timestamp::of_value).unwrap_or(0.0)
}

/// Level of an event; Sentry's default is `error`.
pub fn level(event: &Value) -> &str {
    event.get("level").and_then(Value::as_str).unwrap_or("error")
}

/// Exceptions of an event: `{"values": [...]}` or the array alone, innermost cause first.
pub fn exceptions(event: &Value) -> &[Value] {
    values(event.get("exception"))
}

/// Breadcrumbs of an event, oldest first.
pub fn breadcrumbs(event: &Value) -> &[Value] {
    values(event.get("breadcrumbs"))
}

fn values(value: Option<&Value>) -> &[Value] {
    let list = value.and_then(|value| value.as_array().or_else(|| value.get("values")?.as_array()));
    list.map_or(&[], Vec::as_slice)
}

/// The place of an exception among the others of its event.
#[derive(Debug, Default, PartialEq)]
pub struct Place {
    /// Holders above it; without ids the number of exceptions it was the cause of.
    pub depth: usize,
    /// Its relation to its holder, for people: `caused by `, `member 2: `; empty for the outermost.
    pub relation: String,
    /// Nobody caught it.
    pub unhandled: bool,
}

/// The places of an event's exceptions, the outermost first. With ids (`exception_id`, `parent_id`) they are a tree.
pub fn places(event: &Value) -> Vec<Place> {
    let mut depths = HashMap::new();
    let place = |(at, exception): (usize, &Value)| {
        let mechanism = exception.get("mechanism").unwrap_or(&Value::Null);
        let id = |name: &str| mechanism.get(name).and_then(Value::as_u64);
        let parent = id("parent_id");
        // A holder comes before what it holds.
        let depth = match (id("exception_id"), parent) {
            (Some(_), parent) => parent.map_or(0, |parent| depths.get(&parent).map_or(1, |depth| depth + 1)),
            (None, _) => at,
        };
        id("exception_id").map(|id| depths.insert(id, depth));
        let text = |name: &str| mechanism.get(name).and_then(Value::as_str).unwrap_or_default();
        let relation = match (text("source"), text("type")) {
            _ if at == 0 => String::new(),
            (_, "suppressed") => "suppressed: ".to_owned(),
            (source, _) if source.ends_with(']') => format!("{source}: "),
            _ => "caused by ".to_owned(),
        };
        Place { depth, relation, unhandled: mechanism.get("handled") == Some(&Value::Bool(false)) }
    };
    exceptions(event).iter().rev().enumerate().map(place).collect()
}

/// Frames of an exception, the crashing one last.
pub fn frames(exception: &Value) -> &[Value] {
    exception.pointer("/stacktrace/frames").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Returns `Type: value`, or the part of it that there is.
pub fn exception_title(exception: &Value) -> String {
    let part = |name| exception.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    [part("type"), part("value")].into_iter().flatten().collect::<Vec<_>>().join(": ")
}

/// First line of the outermost exception, else of the message.
pub fn title(event: &Value) -> String {
    let exception = exceptions(event).last().map(exception_title).filter(|title| !title.is_empty());
    let text = exception.or_else(|| message(event, ["/logentry/formatted", "/logentry/message"]));
    let line = text.as_deref().and_then(|text| text.lines().map(str::trim).find(|line| !line.is_empty()));
    line.unwrap_or("<no message>").to_owned()
}

/// Returns the key that is the same for events of one issue. Unlike in the title, the stack counts and not the exception's
/// text, and the template counts and not the line.
fn key(event: &Value) -> String {
    let exceptions = exceptions(event);
    let exception = exceptions.last().map(exception_title).filter(|title| !title.is_empty());
    let stack: Vec<String> = exceptions.iter().flat_map(frames).map(place).collect();
    if exception.is_some() && !stack.is_empty() {
        let types = exceptions.iter().filter_map(|exception| exception.get("type")?.as_str());
        return types.map(str::to_owned).chain(stack).collect::<Vec<_>>().join("\n");
    }
    exception.or_else(|| message(event, ["/logentry/message", "/logentry/formatted"])).unwrap_or_default()
}

/// A frame without its line, which every release moves.
fn place(frame: &Value) -> String {
    let part = |name| frame.get(name).and_then(Value::as_str).unwrap_or_default();
    [part("module"), part("filename"), part("function")].join(" ")
}

fn message(event: &Value, entries: [&str; 2]) -> Option<String> {
    let places = entries.into_iter().chain(["/message", "/message/formatted", "/message/message"]);
    places.filter_map(|place| event.pointer(place)?.as_str()).find(|text| !text.is_empty()).map(str::to_owned)
}

/// Tags as pairs, from an object or from pairs.
pub fn tags(event: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match event.get("tags") {
        Some(Value::Object(tags)) => tags.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
        Some(Value::Array(tags)) => {
            tags.iter().filter_map(|tag| Some((text(tag.get(0)?), text(tag.get(1)?)))).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn titles() {
        let exceptions = json!([{"type": "Inner", "value": "a"}, {"type": "Outer", "value": "b\nmore"}]);
        for (event, expected) in [
            (json!({"exception": {"values": exceptions}}), "Outer: b"),
            (json!({"exception": exceptions, "logentry": {"message": "m"}}), "Outer: b"),
            (json!({"exception": [{"value": "v"}]}), "v"),
            (json!({"logentry": {"message": "n %s", "formatted": "\n n 1"}}), "n 1"),
            (json!({"logentry": {"message": "n"}}), "n"),
            (json!({"message": "m"}), "m"),
            (json!({"message": {"formatted": "f"}}), "f"),
            (json!({"exception": {"values": []}}), "<no message>"),
            (json!(null), "<no message>"),
        ] {
            assert_eq!(title(&event), expected, "{event}");
        }
    }

    #[test]
    fn groups_by_stack_and_not_by_what_the_exception_says() {
        let event = |value: &str, function: &str| {
            let frames = json!([{"function": "main"}, {"function": function, "lineno": value.len()}]);
            let payload = json!({"exception": [{"type": "E", "value": value, "stacktrace": {"frames": frames}}]});
            Arc::new(Event { project: 1, sentry_key: String::new(), event_id: value.into(), payload, request: 0 })
        };
        let events = [event("order 1", "place"), event("order 22", "place"), event("order 1", "cancel")];
        let counts: Vec<_> = group(&events).into_iter().map(|issue| issue.events.len()).collect();
        assert_eq!(counts, [2, 1]);
    }

    #[test]
    fn exceptions_with_ids_are_a_tree() {
        let value = |id: u64, parent: Option<u64>, source: &str, ty: &str| json!({"type": "E", "mechanism": {"type": ty, "exception_id": id, "parent_id": parent, "source": source}});
        let event = json!({"exception": {"values": [
            value(4, Some(0), "", "suppressed"),
            value(3, Some(0), "errors[1]", "chained"),
            value(2, Some(1), "cause", "chained"),
            value(1, Some(0), "errors[0]", "chained"),
            value(0, None, "", "log"),
        ]}});
        let found: Vec<_> = places(&event).into_iter().map(|place| (place.depth, place.relation)).collect();
        let place = |depth, relation: &str| (depth, relation.to_owned());
        let members = [place(0, ""), place(1, "errors[0]: "), place(2, "caused by "), place(1, "errors[1]: ")];
        assert_eq!(found[..4], members);
        assert_eq!(found[4], place(1, "suppressed: "));
        let chain = json!({"exception": [{"type": "A"}, {"type": "B", "mechanism": {"handled": false}}]});
        let found: Vec<_> = places(&chain).into_iter().map(|place| (place.depth, place.unhandled)).collect();
        assert_eq!(found, [(0, true), (1, false)]);
    }

    #[test]
    fn groups_by_template_and_fingerprint() {
        let event = |project, line: &str, fingerprint: &str, timestamp: f64, level: &str| {
            let payload = json!({
                "logentry": {"message": "n %s", "formatted": line}, "fingerprint": [fingerprint],
                "timestamp": timestamp, "level": level,
            });
            Arc::new(Event { project, sentry_key: String::new(), event_id: line.into(), payload, request: 0 })
        };
        let events = [
            event(1, "n 1", "a", 10.0, "error"),
            event(1, "n 2", "a", 30.0, "warning"),
            event(1, "n 3", "a", 20.0, "error"),
            event(1, "n 4", "b", 5.0, "error"),
            event(2, "n 5", "a", 40.0, "error"),
        ];
        let seen: Vec<_> =
            group(&events).into_iter().map(|i| (i.title, i.level, i.events.len(), i.last_seen)).collect();
        let issue = |title: &str, level: &str, count, last| (title.to_owned(), level.to_owned(), count, last);
        let expected =
            [issue("n 5", "error", 1, 40.0), issue("n 2", "warning", 3, 30.0), issue("n 4", "error", 1, 5.0)];
        assert_eq!(seen, expected);
    }
}
