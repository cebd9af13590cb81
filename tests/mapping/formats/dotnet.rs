//! Records of loggers for .NET, and of OpenTelemetry.

use super::{AT, CASE, Case, DOTNET, MILLIS, TIME, TRACE_ID};
use serde_json::json;

pub(super) fn cases() -> Vec<Case> {
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
