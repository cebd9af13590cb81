//! Records of loggers for Python, Node.js, Ruby, PHP and other scripting languages.

use super::{AT, CASE, Case, MILLIS, NODE, PYTHON, TIME, TRACE_ID};
use serde_json::json;

pub(super) fn cases() -> Vec<Case> {
    let node = Some(("StockError", "none left", 2));
    let python = Some(("StockError", "none left", 1));
    vec![
        Case {
            row: "bunyan, ougai",
            record: json!({"name": "cart", "hostname": "app-0", "pid": 4, "level": 50, "msg": CASE.title, "v": 0, "time": TIME,
                "err": {"message": "none left", "name": "StockError", "stack": NODE}}),
            logger: Some("cart"),
            exception: node,
            time: AT,
            other: (json!({"name": "cart", "v": 0, "msg": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "pino (Fastify)",
            record: json!({"level": 45, "time": MILLIS, "pid": 1, "hostname": "app-0", "reqId": "req-9", "msg": CASE.title,
                "err": {"type": "StockError", "message": "none left", "stack": NODE}}),
            level: "warn",
            exception: node,
            time: AT,
            other: (json!({"pid": 1, "time": MILLIS, "msg": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "NestJS",
            record: json!({"level": "error", "pid": 1, "timestamp": MILLIS, "message": CASE.title, "context": "CartService",
                "stack": NODE}),
            logger: Some("CartService"),
            exception: node,
            time: AT,
            other: (json!({"context": "about shoes", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "log4js",
            record: json!({"startTime": TIME, "categoryName": "cart", "data": [CASE.title],
                "level": {"level": 40_000, "levelStr": "ERROR", "colour": "red"}, "pid": 1}),
            logger: Some("cart"),
            time: AT,
            other: (json!({"categoryName": "shoes", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "roarr",
            record: json!({"context": {"logLevel": 50, "namespace": "cart"}, "message": CASE.title, "sequence": "1",
                "time": MILLIS, "version": "2.0.0"}),
            logger: Some("cart"),
            time: AT,
            other: (json!({"context": {"logLevel": "loud"}, "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "tslog",
            record: json!({"0": CASE.title, "_meta": {"runtime": "Nodejs", "date": TIME, "logLevelId": 5, "logLevelName": "ERROR",
                "name": "cart"}}),
            logger: Some("cart"),
            time: AT,
            other: (json!({"_meta": {"page": 1}, "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "winston",
            record: json!({"level": "error", "message": CASE.title, "timestamp": TIME, "stack": NODE}),
            exception: node,
            time: AT,
            other: (json!({"stack": "lemp", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "python-json-logger",
            record: json!({"asctime": "2026-11-24 12:00:30,125", "levelname": "ERROR", "name": "acme.cart",
                "message": CASE.title, "exc_info": PYTHON}),
            logger: Some("acme.cart"),
            exception: python,
            other: (json!({"name": "Bo", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "structlog, django-structlog",
            record: json!({"event": CASE.title, "level": "error", "logger": "acme.cart", "timestamp": TIME, "exception": PYTHON}),
            logger: Some("acme.cart"),
            exception: python,
            time: AT,
            other: (json!({"event": "click", "level": "info", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "loguru (serialize=True)",
            record: json!({"text": format!("2026-11-24 12:00:30.125 | ERROR | acme.cart:add:8 - {}\n{PYTHON}\n", CASE.title),
                "record": {"level": {"icon": "x", "name": "ERROR", "no": 40}, "message": CASE.title, "name": "acme.cart",
                    "time": {"repr": "2026-11-24 12:00:30.125000+00:00", "timestamp": MILLIS as f64 / 1_000.0}}}),
            logger: Some("acme.cart"),
            exception: python,
            time: AT,
            other: (json!({"text": "y", "record": "new", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "dbt",
            record: json!({"data": {"model": "cart"}, "info": {"level": "error", "msg": CASE.title, "name": "RunError", "ts": TIME}}),
            logger: Some("RunError"),
            time: AT,
            other: (json!({"info": {"level": "error"}, "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "AWS Lambda",
            record: json!({"timestamp": TIME, "level": "ERROR", "message": CASE.title, "logger": "root", "errorType": "StockError",
                "errorMessage": "none left", "requestId": "79b4f56e-95b1-4643-9700-2807f4e68189",
                "stackTrace": ["  File \"/var/task/cart.py\", line 8, in add\n    take(1)\n",
                    "  File \"/var/task/stock.py\", line 21, in take\n    raise StockError(\"none left\")\n"]}),
            logger: Some("root"),
            exception: Some(("StockError", "none left", 2)),
            time: AT,
            other: (json!({"requestId": "9", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "AWS Lambda Powertools",
            record: json!({"level": "ERROR", "location": "add:8", "message": CASE.title, "timestamp": "2026-11-24 12:00:30,125+0000",
                "service": "cart", "function_request_id": "79b4f56e", "exception": PYTHON, "exception_name": "StockError",
                "xray_trace_id": "1-0af76519-16cd43dd8448eb211c80319c"}),
            logger: Some("cart"),
            exception: python,
            trace: Some(TRACE_ID),
            time: AT,
            other: (json!({"service": "cart", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "Nextcloud",
            record: json!({"reqId": "Zx1", "level": 3, "time": "2026-11-24T12:00:30+00:00", "remoteAddr": "10.0.0.7", "user": "--",
                "app": "files", "method": "PUT", "url": "/", "message": CASE.title, "version": "30.0.2", "exception": {
                    "Exception": "OCP\\Files\\NoStock", "Message": "none left", "Code": 0, "File": "/var/www/lib/Stock.php",
                    "Line": 21, "Trace": [{"file": "/var/www/lib/Cart.php", "line": 8, "function": "take", "class": "OC\\Stock",
                        "type": "->"}]}}),
            logger: Some("files"),
            exception: Some(("OCP\\Files\\NoStock", "none left", 2)),
            time: Some(30.0),
            // Without Nextcloud's shape it is syslog's warning.
            other: (json!({"reqId": "9", "level": 4, "message": "x"}), "warn", "x"),
            ..CASE
        },
        Case {
            row: "Monolog (Laravel, Symfony)",
            record: json!({"message": CASE.title, "context": {"order": 9, "exception": {"class": "Acme\\StockException",
                "message": "none left", "code": 0, "file": "/app/src/Stock.php:21", "trace": ["/app/src/Cart.php:8"]}}, "level": 400, "level_name": "ERROR", "channel": "app",
                "datetime": "2026-11-24T12:00:30.125000+00:00", "extra": {}}),
            logger: Some("app"),
            exception: Some(("Acme\\StockException", "none left", 2)),
            time: AT,
            other: (json!({"channel": "tv", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "Monolog without level names",
            record: json!({"message": CASE.title, "context": {}, "level": 550, "channel": "app", "datetime": TIME, "extra": []}),
            level: "fatal",
            logger: Some("app"),
            time: AT,
            other: (json!({"channel": "tv", "level": 300, "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "Laminas (Zend) Log",
            record: json!({"timestamp": TIME, "priority": 3, "priorityName": "ERR", "message": CASE.title, "extra": {"line": 7}}),
            time: AT,
            other: (json!({"priority": 3, "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "semantic_logger (Rails)",
            record: json!({"host": "app-0", "timestamp": TIME, "level": "error", "level_index": 4, "pid": 1, "name": "CartController",
                "message": CASE.title, "exception": {"name": "StockError", "message": "none left", "stack_trace": [
                    "/app/models/stock.rb:21:in `take'", "/app/controllers/cart.rb:8:in `add'"]}}),
            logger: Some("CartController"),
            exception: Some(("StockError", "none left", 2)),
            time: AT,
            other: (json!({"name": "Bo", "exception": {"name": "none"}, "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "GitLab",
            record: json!({"severity": "ERROR", "time": TIME, "correlation_id": "01J", "message": CASE.title,
                "exception.class": "StockError", "exception.message": "none left",
                "exception.backtrace": ["lib/stock.rb:21:in 'Stock#take'", "app/cart.rb:8:in 'Cart#add'"]}),
            exception: Some(("StockError", "none left", 2)),
            time: AT,
            other: (json!({"correlation_id": "01J", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "LoggerJSON (Elixir), Datadog layout",
            record: json!({"message": CASE.title, "logger": {"thread_name": "#PID<0.1.0>"}, "domain": ["elixir"],
                "syslog": {"hostname": "app-0", "severity": "error", "timestamp": TIME}}),
            time: AT,
            other: (json!({"syslog": {"facility": 3}, "message": "x"}), "info", "x"),
            ..CASE
        },
    ]
}
