//! Records of loggers for the JVM.

use super::{AT, CASE, Case, JAVA, MILLIS, TIME, TRACE_ID};
use serde_json::json;

pub(super) fn cases() -> Vec<Case> {
    let java = Some(("StockException", "none left", 2));
    let frames = json!([
        {"class": "com.acme.Stock", "method": "take", "file": "Stock.java", "line": 21},
        {"class": "com.acme.Cart", "method": "add", "line": 8},
    ]);
    vec![
        Case {
            row: "ECS (Elastic Common Schema)",
            record: json!({"@timestamp": TIME, "log.level": "ERROR", "log.logger": "acme.Cart", "message": CASE.title,
                "ecs.version": "1.2.0", "error.type": "com.acme.StockException", "error.message": "none left",
                "error.stack_trace": JAVA, "trace.id": TRACE_ID}),
            logger: Some("acme.Cart"),
            exception: java,
            trace: Some(TRACE_ID),
            time: AT,
            other: (json!({"@timestamp": TIME, "log": {"file": "x"}, "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "Elasticsearch 7, OpenSearch",
            record: json!({"type": "server", "timestamp": "2026-11-24T12:00:30,125Z", "level": "ERROR",
                "component": "o.a.Cart", "cluster.name": "acme", "message": CASE.title,
                "stacktrace": ["com.acme.StockException: none left", "at com.acme.Stock.take(Stock.java:21) ~[stock-1.jar:?]",
                    "at com.acme.Cart.add(Cart.java:8) ~[cart-1.jar:?]"]}),
            logger: Some("o.a.Cart"),
            exception: java,
            time: AT,
            other: (json!({"component": "door", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "logstash-encoder, Log4j 2 LogstashJsonEventLayout",
            record: json!({"@timestamp": TIME, "@version": "1", "message": CASE.title, "logger_name": "acme.Cart",
                "level_value": 40_000, "stack_trace": JAVA, "mdc": {"traceId": TRACE_ID}}),
            logger: Some("acme.Cart"),
            exception: java,
            trace: Some(TRACE_ID),
            time: AT,
            other: (json!({"@version": "1", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "Log4j 2 JsonLayout, JsonTemplateLayout",
            record: json!({"instant": {"epochSecond": MILLIS / 1_000, "nanoOfSecond": 125_000_000}, "level": "ERROR",
                "loggerName": "acme.Cart", "message": CASE.title, "contextMap": {"traceId": TRACE_ID},
                "thrown": {"name": "com.acme.StockException", "message": "none left", "extendedStackTrace": frames}}),
            logger: Some("acme.Cart"),
            exception: java,
            trace: Some(TRACE_ID),
            time: AT,
            other: (json!({"instant": "now", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "Logstash",
            record: json!({"level": "ERROR", "loggerName": "logstash.cart", "timeMillis": MILLIS, "thread": "main",
                "logEvent": {"message": CASE.title, "pipeline_id": "main"}}),
            logger: Some("logstash.cart"),
            time: AT,
            other: (json!({"logEvent": {"message": "y"}, "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "Logback JsonEncoder",
            record: json!({"sequenceNumber": 0, "timestamp": MILLIS, "level": "ERROR", "loggerName": "acme.Cart",
                "message": "cannot add to {}", "formattedMessage": CASE.title,
                "throwable": {"className": "com.acme.StockException", "message": "none left", "stepArray": [
                    {"className": "com.acme.Stock", "methodName": "take", "fileName": "Stock.java", "lineNumber": 21},
                    {"className": "com.acme.Cart", "methodName": "add", "fileName": "Cart.java", "lineNumber": 8}]}}),
            logger: Some("acme.Cart"),
            exception: java,
            time: AT,
            other: (json!({"formattedMessage": "x", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "Quarkus, WildFly, Keycloak (JBoss Log Manager)",
            record: json!({"timestamp": TIME, "sequence": 7, "loggerName": "acme.Cart", "level": "ERROR",
                "message": CASE.title, "mdc": {"traceId": TRACE_ID}, "exception": {"refId": 1,
                    "exceptionType": "com.acme.StockException", "message": "none left", "frames": frames,
                    "causedBy": {"exception": {"refId": 2, "exceptionType": "java.io.IOException", "message": "reset",
                        "frames": [{"class": "com.acme.Net", "method": "read", "line": 3}]}}}}),
            logger: Some("acme.Cart"),
            exception: java,
            trace: Some(TRACE_ID),
            time: AT,
            other: (json!({"logger_name": "a", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "Logback JsonLayout (logback-contrib)",
            record: json!({"timestamp": MILLIS, "level": "ERROR", "thread": "main", "mdc": {"traceId": TRACE_ID},
                "logger": "acme.Cart", "message": CASE.title, "context": "default", "exception": JAVA}),
            logger: Some("acme.Cart"),
            exception: java,
            trace: Some(TRACE_ID),
            time: AT,
            other: (json!({"mdc": "none", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "Airlift (Trino)",
            record: json!({"timestamp": TIME, "level": "ERROR", "logger": "acme.Cart", "message": CASE.title,
                "throwableClass": "com.acme.StockException", "throwableMessage": "none left", "stackTrace": JAVA}),
            logger: Some("acme.Cart"),
            exception: java,
            time: AT,
            other: (json!({"throwable": "none", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "Payara, GlassFish",
            record: json!({"Timestamp": TIME, "Level": "SEVERE", "LoggerName": "acme.Cart", "TimeMillis": MILLIS.to_string(),
                "LevelValue": "1000", "LogMessage": CASE.title, "Throwable": {"Exception": "none left", "StackTrace": JAVA}}),
            logger: Some("acme.Cart"),
            exception: java,
            time: AT,
            other: (json!({"Level": "SEVERE", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "Open Liberty, WebSphere Liberty",
            record: json!({"type": "liberty_message", "host": "app-0", "ibm_datetime": "2026-11-24T14:00:30.125+0200",
                "module": "acme.Cart", "loglevel": "SEVERE", "message": CASE.title, "ibm_stackTrace": JAVA}),
            logger: Some("acme.Cart"),
            exception: java,
            time: AT,
            other: (json!({"module": "m", "severity": "E", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "Neo4j",
            record: json!({"time": "2026-11-24 12:00:30.125+0000", "level": "ERROR", "category": "o.n.Cart",
                "message": CASE.title, "stacktrace": JAVA}),
            logger: Some("o.n.Cart"),
            exception: java,
            time: AT,
            other: (json!({"category": "shoes", "message": "x"}), "info", "x"),
            ..CASE
        },
    ]
}
