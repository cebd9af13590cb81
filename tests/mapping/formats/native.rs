//! Records of loggers for Go and Rust, and of servers with a format of their own.

use super::{AT, CASE, Case, GO, JAVA, MILLIS, TIME, TRACE_ID};
use serde_json::json;

pub(super) fn cases() -> Vec<Case> {
    let go = Some(("error", "cannot add to cart", 2));
    vec![
        Case {
            row: "zap, short keys",
            record: json!({"L": "ERROR", "T": TIME, "N": "cart", "C": "cart/add.go:8", "M": CASE.title, "S": GO}),
            logger: Some("cart"),
            exception: go,
            time: AT,
            other: (json!({"M": "male", "L": 42, "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "zap, controller-runtime, Caddy",
            record: json!({"level": "dpanic", "ts": MILLIS as f64 / 1_000.0, "logger": "cart", "caller": "cart/add.go:8",
                "msg": CASE.title, "stacktrace": GO}),
            level: "fatal",
            logger: Some("cart"),
            exception: go,
            time: AT,
            other: (json!({"level": "Level(-1)", "ts": 1, "msg": "x"}), "debug", "x"),
            ..CASE
        },
        Case {
            row: "zerolog (Traefik 3)",
            record: json!({"level": "error", "time": TIME, "error": "none left", "message": CASE.title, "stack": [
                {"func": "Take", "line": "21", "source": "take.go"}, {"func": "main", "line": "8", "source": "main.go"}]}),
            time: AT,
            other: (json!({"stack": ["blue", "red"], "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "hclog (Vault, Consul, Nomad, Terraform)",
            record: json!({"@level": "error", "@message": CASE.title, "@module": "core.cart", "@timestamp": TIME}),
            logger: Some("core.cart"),
            time: AT,
            other: (json!({"@module": "core", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "klog (Kubernetes, JSON)",
            record: json!({"ts": MILLIS as f64, "caller": "cart/add.go:8", "msg": CASE.title, "v": 2}),
            level: "info",
            time: AT,
            other: (json!({"ts": 1, "caller": "Bo", "severity": "warning", "msg": "x"}), "warn", "x"),
            ..CASE
        },
        Case {
            row: "slog",
            record: json!({"time": TIME, "level": "ERROR+2", "source": {"function": "main.add", "file": "/src/add.go", "line": 8},
                "msg": CASE.title}),
            time: AT,
            other: (json!({"source": "tap", "level": "DEBUG-4", "msg": "x"}), "debug", "x"),
            ..CASE
        },
        Case {
            row: "logrus (containerd, Argo CD, Velero)",
            record: json!({"file": "/src/add.go:8", "func": "main.add", "level": "warning", "msg": CASE.title, "time": TIME}),
            level: "warn",
            time: AT,
            other: (json!({"func": "sin", "msg": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "Istio, Dapr",
            record: json!({"level": "error", "time": TIME, "scope": "cart", "msg": CASE.title}),
            logger: Some("cart"),
            time: AT,
            other: (json!({"scope": "all", "msg": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "MinIO",
            record: json!({"deploymentid": "9", "level": "ERROR", "errKind": "ALL", "time": TIME,
                "error": {"message": CASE.title, "source": ["add.go:8:main.add()"]}}),
            time: AT,
            other: (json!({"error": {"message": "none"}, "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "CockroachDB",
            record: json!({"channel": "STORAGE", "sev": "E", "timestamp": MILLIS as f64 / 1_000.0, "goroutine": 9,
                "message": CASE.title}),
            logger: Some("STORAGE"),
            time: AT,
            other: (json!({"severity": "W", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "Falco",
            record: json!({"output": CASE.title, "output_fields": {"proc.name": "sh"}, "priority": "Error", "rule": "Cart",
                "time": TIME}),
            logger: Some("Cart"),
            time: AT,
            other: (json!({"output": "y", "priority": "high", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "Rust tracing, Vector",
            record: json!({"timestamp": TIME, "level": "ERROR", "fields": {"message": CASE.title, "sku": 9}, "target": "acme::cart"}),
            logger: Some("acme::cart"),
            time: AT,
            other: (json!({"target": "/cart", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "RabbitMQ",
            record: json!({"time": TIME, "level": "error", "msg": CASE.title, "line": 8, "pid": "<0.9.0>", "domain": "rabbitmq.cart"}),
            logger: Some("rabbitmq.cart"),
            time: AT,
            other: (json!({"domain": "acme.example", "msg": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "MongoDB 4.4 and later",
            record: json!({"t": {"$date": "2026-11-24T12:00:30.125+00:00"}, "s": "E", "c": "STORAGE", "id": 22_435, "ctx": "conn9",
                "msg": CASE.title, "attr": {"error": 5}}),
            logger: Some("STORAGE"),
            time: AT,
            other: (json!({"ctx": "page", "s": "F", "msg": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "CloudNativePG (PostgreSQL)",
            record: json!({"level": "info", "ts": TIME, "logger": "postgres", "msg": "record", "record": {
                "log_time": "2026-11-24 12:00:30.125 UTC", "error_severity": "FATAL", "message": CASE.title}}),
            level: "fatal",
            logger: Some("postgres"),
            time: AT,
            other: (json!({"record": {"artist": "Bo"}, "msg": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "PostgreSQL (jsonlog)",
            record: json!({"timestamp": "2026-11-24 12:00:30.125 GMT", "pid": 9, "error_severity": "ERROR", "state_code": "23505",
                "message": CASE.title, "backend_type": "client backend"}),
            time: AT,
            other: (json!({"error_severity": "DEBUG2", "message": "ERROR x"}), "debug", "ERROR x"),
            ..CASE
        },
        Case {
            row: "GELF",
            record: json!({"version": "1.1", "host": "app-0", "short_message": CASE.title, "full_message": format!("{}\n{JAVA}", CASE.title),
                "timestamp": MILLIS as f64 / 1_000.0, "level": 3, "_loggerName": "acme.Cart"}),
            logger: Some("acme.Cart"),
            exception: Some(("StockException", "none left", 2)),
            time: AT,
            other: (json!({"version": "1.1", "level": 7, "message": "x"}), "debug", "x"),
            ..CASE
        },
        Case {
            row: "Kibana 7",
            record: json!({"type": "log", "@timestamp": TIME, "tags": ["plugins", "error"], "pid": 9, "message": CASE.title}),
            time: AT,
            other: (json!({"type": "shoe", "tags": ["error"], "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "Google Cloud",
            record: json!({"severity": "CRITICAL", "timestamp": {"seconds": MILLIS / 1_000, "nanos": 125_000_000},
                "message": CASE.title, "logging.googleapis.com/trace": format!("projects/acme/traces/{TRACE_ID}"),
                "stack_trace": JAVA}),
            level: "fatal",
            exception: Some(("StockException", "none left", 2)),
            trace: Some(TRACE_ID),
            time: AT,
            other: (json!({"serviceContext": {"service": "cart"}, "message": "x"}), "info", "x"),
            ..CASE
        },
    ]
}
