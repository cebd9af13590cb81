//! Names the workload that wrote an event or a log: its namespace and its name in Kubernetes, else its service.

use super::issues;
use serde_json::Value;

/// Names that tell the workload, the best first.
const NAMES: [&str; 7] = [
    "k8s.workload.name",
    "service.name",
    "k8s.container.name",
    "k8s.pod.name",
    "systemd.unit",
    "syslog.identifier",
    "server.address",
];

const NAMESPACE: &str = "k8s.namespace.name";

/// Returns the workload of an event by its tags, else its `server_name`; empty if nothing tells it.
pub(super) fn of_event(event: &Value) -> String {
    let tags = issues::tags(event);
    let tag = |name: &str| tags.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let server = event.get("server_name").and_then(Value::as_str);
    name(tag).or_else(|| server.map(str::to_owned)).unwrap_or_default()
}

/// Returns the workload of a log by its attributes; empty if nothing tells it.
pub(super) fn of_log(log: &Value) -> String {
    let attributes = log.get("attributes");
    name(|name| attributes?.get(name)?.get("value")?.as_str()).unwrap_or_default()
}

fn name<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let value = |name: &str| value(name).filter(|value| !value.is_empty());
    let name = NAMES.into_iter().find_map(value);
    match (value(NAMESPACE), name) {
        (Some(namespace), Some(name)) => Some(format!("{namespace}/{name}")),
        (namespace, name) => namespace.or(name).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_and_logs_of_a_workload_have_its_name() {
        let tags = json!({"k8s.namespace.name": "shop", "k8s.pod.name": "cart-1", "k8s.workload.name": "cart"});
        assert_eq!(of_event(&json!({"tags": tags, "server_name": "node"})), "shop/cart");
        let value = |text: &str| json!({"type": "string", "value": text});
        let attributes = json!({"k8s.namespace.name": value("shop"), "service.name": value("cart")});
        assert_eq!(of_log(&json!({"attributes": attributes})), "shop/cart");
        assert_eq!(of_event(&json!({"tags": {"systemd.unit": "cron.service"}})), "cron.service");
        assert_eq!(of_event(&json!({"server_name": "db-1"})), "db-1");
        assert_eq!(of_log(&json!({"attributes": {"k8s.namespace.name": value("shop")}})), "shop");
        assert_eq!((of_event(&json!({})), of_log(&json!(null))), (String::new(), String::new()));
    }
}
