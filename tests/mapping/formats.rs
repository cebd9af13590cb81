//! Records of each known logger: one case for each row of the table, no row without a case.
//!
//! A record comes in the ways in which Fluent Bit hands it over: as the text of a line, as fields that the kubernetes filter
//! has merged, and below the key that it was told to merge into.

use super::mapped::{Mapping, NOW, attribute};
use out_sentry::mapping::formats::ROWS;
use serde_json::{Value, json};

/// A record with its expected result, and one that looks like it and is something else.
struct Case {
    row: &'static str,
    record: Value,
    level: &'static str,
    title: &'static str,
    logger: Option<&'static str>,
    /// Type, value and number of frames of the outermost exception.
    exception: Option<(&'static str, &'static str, usize)>,
    trace: Option<&'static str>,
    /// Seconds after the start of the hour of [`NOW`] that the record names.
    time: Option<f64>,
    /// A record with some of the row's keys, and the level and body that it has by itself.
    other: (Value, &'static str, &'static str),
}

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

const JAVA: &str = "com.acme.StockException: none left\n\tat com.acme.Stock.take(Stock.java:21)\n\tat com.acme.Cart.add(Cart.java:8)\n";

const PYTHON: &str = "Traceback (most recent call last):\n  File \"/srv/stock.py\", line 21, in take\n    raise StockError(\"none left\")\nstock.StockError: none left";

const DOTNET: &str = "Acme.StockException: none left\n   at Acme.Stock.Take(Int32 n) in /src/Stock.cs:line 21\n   at Acme.Cart.Add() in /src/Cart.cs:line 8";

const NODE: &str = "StockError: none left\n    at Stock.take (/app/stock.js:21:9)\n    at Cart.add (/app/cart.js:8:3)";

const GO: &str = "acme.example/stock.Take\n\t/src/stock/take.go:21\nmain.main\n\t/src/main.go:8";

const CASE: Case = Case {
    row: "",
    record: Value::Null,
    level: "error",
    title: "cannot add to cart",
    logger: None,
    exception: None,
    trace: None,
    time: None,
    other: (Value::Null, "info", "x"),
};

/// The time of the records: thirty seconds and an eighth into the hour of [`NOW`].
const TIME: &str = "2026-11-24T12:00:30.125Z";
const MILLIS: u64 = 1_795_521_630_125;
const AT: Option<f64> = Some(30.125);

fn jvm() -> Vec<Case> {
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

fn dotnet() -> Vec<Case> {
    let dotnet = Some(("Acme.StockException", "none left", 2));
    vec![
        Case {
            row: "Serilog, compact",
            record: json!({"@t": TIME, "@m": CASE.title, "@i": "1a2b", "@l": "Error", "@x": DOTNET,
                "SourceContext": "Acme.Cart", "@tr": TRACE_ID, "@sp": "eee19b7ec3c1b174"}),
            logger: Some("Acme.Cart"),
            exception: dotnet,
            trace: Some(TRACE_ID),
            time: AT,
            // Without a level it is information, whatever the text says.
            other: (
                json!({"@t": TIME, "@mt": "ERROR is what {Who} said", "Who": "Bo"}),
                "info",
                "ERROR is what {Who} said",
            ),
            ..CASE
        },
        Case {
            row: "Serilog, JsonFormatter",
            record: json!({"Timestamp": "2026-11-24T13:00:30.1250000+01:00", "Level": "Error",
                "MessageTemplate": "cannot add to {What}", "RenderedMessage": CASE.title, "Exception": DOTNET,
                "TraceId": TRACE_ID, "Properties": {"What": "cart", "SourceContext": "Acme.Cart"}}),
            logger: Some("Acme.Cart"),
            exception: dotnet,
            trace: Some(TRACE_ID),
            time: AT,
            other: (json!({"Level": "Error", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: ".NET JSON console",
            record: json!({"Timestamp": TIME, "EventId": 5, "LogLevel": "Critical", "Category": "Acme.Cart",
                "Message": CASE.title, "Exception": DOTNET, "State": {"Message": CASE.title}}),
            level: "fatal",
            logger: Some("Acme.Cart"),
            exception: dotnet,
            time: AT,
            other: (json!({"Category": "shoes", "Message": "y", "message": "x"}), "info", "x"),
            ..CASE
        },
        Case {
            row: "OpenTelemetry log record",
            record: json!({"Timestamp": MILLIS * 1_000_000, "SeverityText": "Error", "SeverityNumber": 17, "Body": CASE.title,
                "TraceId": TRACE_ID, "SpanId": "eee19b7ec3c1b174"}),
            trace: Some(TRACE_ID),
            time: AT,
            other: (json!({"Body": "y", "message": "x"}), "info", "x"),
            ..CASE
        },
    ]
}

fn scripts() -> Vec<Case> {
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

fn native() -> Vec<Case> {
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

fn cases() -> Vec<Case> {
    [jvm(), dotnet(), scripts(), native()].into_iter().flatten().collect()
}

const POD: &str = r#"{"pod_name":"cart-0","namespace_name":"acme","container_name":"app","host":"node-7"}"#;

/// The ways in which the record comes, with the container's metadata.
fn handed_over(record: &Value) -> [(&'static str, Value); 5] {
    let pod: Value = serde_json::from_str(POD).unwrap();
    let line = json!({"stream": "stdout", "kubernetes": pod});
    let with = |fields: Value| {
        let mut body = line.clone();
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    [
        ("in a line", with(json!({"log": record.to_string()}))),
        ("in a message of another record", with(json!({"log": json!({"message": record.to_string()}).to_string()}))),
        ("merged", with(record.clone())),
        ("merged under a key", with(json!({"data": record}))),
        ("merged under a key, with the line kept", with(json!({"log": record.to_string(), "data": record}))),
    ]
}

#[test]
fn every_known_logger_has_a_case() {
    let mut rows: Vec<_> = ROWS.iter().map(|row| row.name).collect();
    let mut of_cases: Vec<_> = cases().iter().map(|case| case.row).collect();
    rows.sort_unstable();
    of_cases.sort_unstable();
    assert_eq!(of_cases, rows);
}

#[test]
fn known_loggers_are_read_however_their_records_come() {
    let mut wrong = Vec::new();
    for case in cases() {
        for (way, body) in handed_over(&case.record) {
            let mapped = Mapping::new(&[("event_level", "info")]).bodies(&[body]);
            let (Some(event), Some(log)) = (mapped.events().first().copied(), mapped.logs().first().copied()) else {
                wrong.push(format!("{}, {way}: expected an event and a log, found {mapped:?}", case.row));
                continue;
            };
            let exception = event["exception"]["values"].as_array().and_then(|values| values.last());
            let frames = |exception: &Value| exception["stacktrace"]["frames"].as_array().map_or(0, Vec::len);
            let exception = exception.map(|e| (e["type"].as_str().unwrap(), e["value"].as_str().unwrap(), frames(e)));
            // Only fields of an opened message give the time.
            let hour = (NOW.as_secs() / 3_600 * 3_600) as f64;
            let time = case.time.filter(|_| way != "merged").map_or(NOW.as_secs_f64() - 1.0, |time| hour + time);
            let expected = format!(
                "{:?}",
                (case.level, case.title, case.title, case.logger, case.exception, case.trace.unwrap_or("made"), time)
            );
            let trace = log["trace_id"].as_str().unwrap();
            let found = format!(
                "{:?}",
                (
                    log["level"].as_str().unwrap(),
                    log["body"].as_str().unwrap(),
                    event["logentry"]["formatted"].as_str().unwrap_or_default(),
                    event["logger"].as_str(),
                    exception.filter(|_| case.exception.is_some()),
                    if case.trace.is_some() { trace } else { "made" },
                    log["timestamp"].as_f64().unwrap()
                )
            );
            if expected != found {
                wrong.push(format!("{}, {way}:\n  expected {expected}\n  found    {found}", case.row));
            }
            if attribute(log, "data.message") != &Value::Null || log["attributes"].get("log").is_some() {
                wrong.push(format!("{}, {way}: sent twice: {log}", case.row));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn records_that_only_look_like_those_of_a_known_logger_are_read_as_they_are() {
    for case in cases() {
        let (record, level, body) = case.other;
        for (way, given) in handed_over(&record).into_iter().take(1) {
            let mapped = Mapping::new(&[("logs_level", "trace")]).bodies(&[given]);
            let log = mapped.logs()[0];
            assert_eq!(
                (log["level"].as_str(), log["body"].as_str()),
                (Some(level), Some(body)),
                "{}, {way}: {record}",
                case.row
            );
        }
    }
}

#[test]
fn keys_that_the_user_has_set_win_over_those_of_a_known_logger() {
    let record = json!({"@t": TIME, "@m": "theirs", "@l": "Error", "mine": "ours", "grade": "warn", "SourceContext": "a", "who": "b"});
    let options = [("message_key", "mine"), ("level_key", "grade"), ("logger_key", "who"), ("event_level", "warn")];
    for body in [record.clone(), json!({"log": record.to_string()})] {
        let mapped = Mapping::new(&options).bodies(&[body]);
        let event = mapped.events()[0];
        assert_eq!(event["logentry"]["formatted"], "ours");
        assert_eq!((&event["level"], &event["logger"]), (&json!("warning"), &json!("b")));
    }
    // Where the record has none of them, the logger's own are used.
    let record = json!({"@t": TIME, "@m": "theirs", "@l": "Error"});
    let mapped = Mapping::new(&options).bodies(&[json!({"log": record.to_string()})]);
    assert_eq!((&mapped.logs()[0]["body"], &mapped.logs()[0]["level"]), (&json!("theirs"), &json!("error")));
}

#[test]
fn a_message_key_never_keeps_a_line_from_being_opened() {
    let line = json!({"event": "no stock", "level": "error", "sku": 9}).to_string();
    let mapped = Mapping::new(&[("message_key", "event")]).bodies(&[json!({"log": line}), json!({"log": "plain"})]);
    assert_eq!((&mapped.logs()[0]["body"], attribute(mapped.logs()[0], "sku")), (&json!("no stock"), &json!(9)));
    assert_eq!(mapped.logs()[1]["body"], "plain");
}

#[test]
fn access_logs_in_json_have_no_severity() {
    for line in [
        json!({"time": TIME, "remote_addr": "10.0.0.7", "request": "GET /?level=fatal HTTP/1.1", "status": 500}),
        json!({"start_time": TIME, "method": "GET", "path": "/error", "response_code": 503, "response_flags": "UF"}),
        json!({"ClientAddr": "10.0.0.7:1", "DownstreamStatus": 502, "level": "info", "msg": "", "time": TIME}),
        json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": "9", "verb": "get"}),
    ] {
        let mapped = Mapping::new(&[]).bodies(&[json!({"log": line.to_string()})]);
        assert_eq!((mapped.events().len(), &mapped.logs()[0]["level"]), (0, &json!("info")), "{line}");
    }
}

#[test]
fn a_message_that_says_nothing_gives_way() {
    let line = |fields: Value| json!({"log": fields.to_string()});
    let access = json!({"DownstreamStatus": 502, "level": "info", "msg": "", "RequestPath": "/cart"});
    let failed = json!({"v": 0, "name": "cart", "pid": 4, "hostname": "a", "level": 50, "msg": "", "time": TIME,
        "err": {"name": "StockError", "message": "none left"}});
    for (body, text) in [
        (line(access.clone()), access.to_string()),
        (line(failed), "none left".to_owned()),
        (json!({"log": "", "order": 9}), String::new()),
        (json!({"msg": "", "message": "x"}), "x".to_owned()),
    ] {
        assert_eq!(Mapping::new(&[]).bodies(std::slice::from_ref(&body)).logs()[0]["body"], text, "{body}");
    }
}

#[test]
fn the_body_of_a_request_is_no_message_of_a_logger() {
    let line = json!({"method": "POST", "status": 200, "body": {"level": "fatal", "message": "ERROR"}}).to_string();
    let mapped = Mapping::new(&[]).bodies(&[json!({"log": line})]);
    assert_eq!((mapped.events().len(), &mapped.logs()[0]["level"]), (0, &json!("info")));
    let alone = json!({"body": {"level": "error", "message": "x"}});
    assert_eq!(Mapping::new(&[]).bodies(&[alone]).logs()[0]["body"], "x");
}

#[test]
fn an_object_in_a_container_record_is_no_merged_line_unless_it_reads_like_one() {
    let pod: Value = serde_json::from_str(POD).unwrap();
    for data in [json!({"body": "y", "time": TIME}), json!({"path": "/", "level": "error"}), json!({"message": "y"})] {
        let body = json!({"stream": "stdout", "kubernetes": pod, "data": data, "more": 1});
        let mapped = Mapping::new(&[]).bodies(std::slice::from_ref(&body));
        assert!(mapped.logs()[0]["body"].as_str().unwrap().starts_with("{\"data\":"), "{body}");
    }
    let alone = json!({"stream": "stdout", "kubernetes": pod, "data": {"message": "y", "sku": 9}});
    assert_eq!(Mapping::new(&[]).bodies(&[alone]).logs()[0]["body"], "y");
    let elsewhere = json!({"data": {"message": "y", "level": "error"}});
    assert!(Mapping::new(&[]).bodies(&[elsewhere]).logs()[0]["body"].as_str().unwrap().starts_with("{\"data\":"));
}
