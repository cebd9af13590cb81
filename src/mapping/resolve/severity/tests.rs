//! Tests the tables of layouts with the lines of `cases`, and with prose that contains the names of levels.

mod cases;

use super::brackets::BRACKETS;
use super::words::WORDS;
use super::*;
use cases::{CASES, Case};

const I: Level = Level::Info;
const W: Level = Level::Warn;
const E: Level = Level::Error;
const F: Level = Level::Fatal;

fn rules() -> Rules {
    Rules { map: vec![("audit".into(), Level::Warn)], default: Level::Info }
}

#[test]
fn each_row_reads_its_lines() {
    let mut wrong = Vec::new();
    for Case { row, reads, .. } in CASES {
        for (line, level) in *reads {
            let (found, _) = head::find(&rules(), line.as_bytes());
            let of_wrapped = line.contains("PHP message") || line.contains("flag.Parse");
            if !found.is_some_and(|found| found.level == *level && (of_wrapped || found.layout == *row)) {
                wrong.push(format!("expected {level:?} of row {row}, found {found:?}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_row_leaves_other_lines_alone() {
    let mut wrong = Vec::new();
    for Case { row, leaves, .. } in CASES {
        for line in *leaves {
            if let (Some(found), _) = head::find(&rules(), line.as_bytes()) {
                wrong.push(format!("expected nothing for row {row}, found {found:?}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_row_has_lines_of_both_kinds() {
    for layout in WORDS.iter().chain(&BRACKETS) {
        let case = CASES.iter().find(|case| case.row == layout.name);
        assert!(case.is_some_and(|case| !case.reads.is_empty() && !case.leaves.is_empty()), "{}", layout.name);
    }
}

#[test]
fn prose_has_no_level() {
    for line in [
        "",
        " ",
        "\u{e9}",
        "error rate is low",
        "no error",
        "There was an error in one of the threads during LogManager shutdown",
        "npm error code ELIFECYCLE",
        "npm WARN deprecated x",
        "added 17 packages, and audited 18 packages in 2s",
        "uvicorn.error started",
        "done, 0 errors",
        "** Last message in was {'$gen_cast',init}",
        "DETAIL:  Key (id)=(1) already exists.",
        "STATEMENT:  INSERT INTO x",
        "#0 {main}",
        "--- FAIL: TestPay (0.00s)",
        "\tat com.shop.Pay.run(Pay.java:10)",
        "  File \"/app/x.py\", line 3, in f",
        "    raise Error: no",
        "Stack trace:",
        "172.17.0.1 - - [10/Mar/2024 09:00:00] \"GET / HTTP/1.1\" 200 -",
        "10.0.0.1 - alice [10/Mar/2024:09:00:00 +0000] \"POST /fatal HTTP/2\" 500 0",
        "2024/03/10 09:00:00 http: panic serving [::1]:61264: runtime error",
        "2024-03-10 09:00:00 Connecting to 10.0.0.1",
        "\u{8bf7}\u{6c42}\u{5931}\u{8d25} ERROR",
    ] {
        assert_eq!(rules().of_line(line.as_bytes()), None, "{line}");
    }
}

#[test]
fn a_logger_whose_name_holds_a_level_says_none() {
    for line in [
        "INFO:uvicorn.error:Started",
        "2024-03-10 09:00:00 - uvicorn.error - INFO - Started",
        "2024-03-10 09:00:00,123 uvicorn.error INFO Started",
        "[2024-03-10 09:00:00] [uvicorn.error] INFO Started",
        "uvicorn.error INFO Started",
    ] {
        assert_eq!(rules().of_line(line.as_bytes()), Some(Level::Info), "{line}");
    }
}

#[test]
fn numbers_mean_what_their_field_says() {
    assert_eq!(from_number(b"severity_number", 17), Some(Level::Error));
    assert_eq!(from_number(b"level", 17), None);
    assert_eq!(from_number(b"level", 50), Some(Level::Error));
    assert_eq!(from_number(b"pri", 11), Some(Level::Error));
    assert_eq!(from_number(b"PRIORITY", 4), Some(Level::Warn));
}

/// A line, its message and its logger.
const HEADS: &[(&str, &str, Option<&str>)] = &[
    ("ERROR [gateway] upstream failed", "upstream failed", Some("gateway")),
    ("2026-11-20 08:00:00,123 [main] ERROR c.s.Pay - declined", "declined", Some("c.s.Pay")),
    ("E1120 08:00:00.123456       1 reflector.go:1] failed to list", "failed to list", None),
    ("[2026-11-20 08:00:00] [error] 7#7: *1 open() failed", "*1 open() failed", None),
    ("connection refused", "connection refused", None),
    ("42", "42", None),
    ("ERROR", "ERROR", None),
    ("ERROR [Errno 111] Connection refused", "[Errno 111] Connection refused", None),
    ("ERROR:    [Errno 98] error while", "[Errno 98] error while", None),
    ("ERROR 502 Bad Gateway from http://orders", "502 Bad Gateway from http://orders", None),
    ("ERROR (23505) duplicate key", "(23505) duplicate key", None),
    ("ERROR [42S22] no column", "[42S22] no column", None),
    ("[Errno 111] Connection refused", "[Errno 111] Connection refused", None),
    ("ERROR TypeError: x is not a function", "TypeError: x is not a function", None),
    ("ERROR java.io.IOException: reset", "java.io.IOException: reset", None),
    ("ERROR api.example.com: timed out", "api.example.com: timed out", None),
    ("2024-03-10 09:00:03.348 ERROR 1 --- [nio-8080-exec-1] c.s.Pay : declined", "declined", Some("c.s.Pay")),
    (
        "2024-03-10 09:00:03.348 ERROR [shop,5b8efff798038103d269b633813fc60c,eee19b7ec3c1b174] 1 --- [   scheduling-1] \
         c.e.shop.checkout.PaymentClient          : Payment gateway answered 502",
        "Payment gateway answered 502",
        Some("c.e.shop.checkout.PaymentClient"),
    ),
    ("2005-03-19 15:10:26,618 - shop.pay - ERROR - declined", "declined", Some("shop.pay")),
    ("ERROR:root:declined", "declined", Some("root")),
    ("2024-03-10 09:00:00,123 root ERROR declined", "declined", Some("root")),
    ("[2024-05-05 08:12:12] production.ERROR: SQLSTATE[42S22]: no", "SQLSTATE[42S22]: no", Some("production")),
    ("[2019-08-13 13:56:43,760: ERROR/MainProcess] Received", "Received", None),
    ("[2023-10-03T12:00:04,456][ERROR][o.e.b.Handler          ] [node-1] no locks", "no locks", Some("o.e.b.Handler")),
    ("[2024-03-10 09:00:00.123][11][critical][main] [source/server.cc:12] no", "no", None),
    ("2026-06-08 03:05:23.456 [ERROR][1] felix/table.go 789: no table", "no table", None),
    ("2024-03-10 09:00:00.1234|ERROR|Shop.Worker|order 17 failed", "order 17 failed", Some("Shop.Worker")),
    ("2024-03-10 09:00:00.000 | ERROR    | shop.pay:run:10 - declined", "declined", Some("shop.pay")),
    ("2020-04-21T21:59:03.785+0000 E  STORAGE  [initandlisten] WiredTiger", "WiredTiger", Some("STORAGE")),
    ("2024-03-10 09:00:00.123456 E | op-osd: failed to start", "failed to start", Some("op-osd")),
    ("[E 2019-09-19 20:54:40.060 JupyterHub base:670] Failed login", "Failed login", Some("JupyterHub")),
    ("fail: Shop.Worker[0]\n      order 17 failed", "order 17 failed", Some("Shop.Worker")),
    ("fail: Shop.Worker[0] order 17 failed", "order 17 failed", Some("Shop.Worker")),
    ("E, [2024-03-10T09:00:00.123456 #1] ERROR -- : boom: x", "boom: x", None),
    ("E, [2024-03-10T09:00:00.123456 #1] ERROR -- pay: boom: x", "boom: x", Some("pay")),
    ("F, [2024-03-10T09:00:00.1 #1] FATAL -- : [4b0f2c9e-2b51-4a8c-9a0a-6d2b8d7b2f11] no", "no", None),
    (
        "[Fri Feb 10 14:03:51.563880 2017] [core:error] [pid 8667] (13)Permission denied",
        "(13)Permission denied",
        Some("core"),
    ),
    ("[Nest] 20156  - 11/11/2025, 10:40:43 AM   ERROR [OrdersService] no", "no", Some("OrdersService")),
    (
        "2024-03-10 09:00:00.123 ERROR 7d3e76dc-39b2-4d35-a27b-90adfe53ff2d [http-nio-8080-exec-1] c.s.Pay : declined",
        "declined",
        Some("c.s.Pay"),
    ),
    (
        "2024-03-10 09:00:00,123 WARN  5b8efff798038103d269b633813fc60c eee19b7ec3c1b174 [main] c.s.Pay - slow",
        "slow",
        Some("c.s.Pay"),
    ),
    // An id that no thread follows is a part of the message.
    (
        "2024-03-10 09:00:00,123 ERROR 7d3e76dc-39b2-4d35-a27b-90adfe53ff2d [cart] not found",
        "7d3e76dc-39b2-4d35-a27b-90adfe53ff2d [cart] not found",
        None,
    ),
    (
        "2024-03-10 09:00:00,123 ERROR 7d3e76dc-39b2-4d35-a27b-90adfe53ff2d failed",
        "7d3e76dc-39b2-4d35-a27b-90adfe53ff2d failed",
        None,
    ),
    (
        "2024-03-10 09:00:00.123 7 ERROR nova.compute.manager [req-5b8efff7 - - - - -] no",
        "no",
        Some("nova.compute.manager"),
    ),
    (
        "18-Feb-2017 16:39:33.802 SEVERE [main] org.apache.catalina.Server.init Failed",
        "Failed",
        Some("org.apache.catalina.Server.init"),
    ),
    ("24/03/10 09:00:00 ERROR Executor: Exception in task 0.0", "Exception in task 0.0", Some("Executor")),
    ("2024-03-10 09:00:00,123 ERROR org.apache.hadoop.Fs: no", "no", Some("org.apache.hadoop.Fs")),
    ("[2024-03-10T09:00:00Z ERROR my_crate::module] no", "no", Some("my_crate::module")),
    ("2024-03-10T09:00:00.123456Z ERROR my_crate::module: no", "no", Some("my_crate::module")),
    ("2024-03-10T09:00:00.000Z [ERROR] core: failed to unseal: error=x", "failed to unseal: error=x", Some("core")),
    (
        "2024-03-10T09:00:00.000Z\tERROR\tcontrollers.Foo\tReconciler error\t{\"a\":1}",
        "Reconciler error\t{\"a\":1}",
        Some("controllers.Foo"),
    ),
    ("2024-03-10T09:00:00.000Z\terror\tads\tpkg/x.go:12\tno connection", "no connection", Some("ads")),
    ("2023-04-10T08:06:35.275Z\t7d3e76dc-39b2-4d35-a27b-90adfe53ff2d\tERROR\tUnhandled", "Unhandled", None),
    ("[ERROR]\t2024-03-10T09:00:03.001Z\t7d3e76dc-39b2-4d35-a27b-90adfe53ff2d\tno store", "no store", None),
    ("2018.02.10 09:25:02.040773 [ 3 ] <Error> executeQuery: Code: 101", "Code: 101", Some("executeQuery")),
    ("2024-01-10T09:50:32.498171Z 0 [ERROR] [MY-011810] [Server] Insecure", "Insecure", Some("Server")),
    ("[ALERT] 071/085241 (29884) : backend 'static' has no server", "backend 'static' has no server", None),
    ("2018-08-12 11:53:13.018 [error] <0.7962.1> Error on AMQP connection", "Error on AMQP connection", None),
    ("2022-03-23 09:21:51,896 ERROR [org.keycloak.Handler] (executor-thread-1) no", "no", Some("org.keycloak.Handler")),
    (
        "2024-03-10T09:00:00Z ERROR\tE0618 10:43:41.323964       1 reflector.go:205] \"Failed\" err=\"x\"",
        "\"Failed\" err=\"x\"",
        None,
    ),
    (
        "E0618 10:43:41.323964       1 reflector.go:205] \"Failed\" err=\"x\" logger=\"UnhandledError\"",
        "\"Failed\" err=\"x\" logger=\"UnhandledError\"",
        Some("UnhandledError"),
    ),
    ("E240310 09:00:00.123456 1 server/node.go:10 \u{22ee} [-] 1  unable to connect", "unable to connect", None),
    ("[2013-05-07 10:00:00,123] ERROR in app: Exception on / [GET]", "Exception on / [GET]", Some("app")),
    ("ERRO[0004] The ice breaks!", "The ice breaks!", None),
    ("[2024-03-10 09:00:00] ERROR[1234]: chan_sip.c: no", "chan_sip.c: no", None),
    ("2021/05/17 06:39:58 http: panic serving [::1]", "http: panic serving [::1]", None),
    ("[2024-03-10 09:00:00.123] [shop] [error] no", "no", Some("shop")),
    ("2024-03-10T09:00:00Z ERROR req{id=7}:load{n=\"a b\"}: shop::pay: no", "no", Some("shop::pay")),
    ("09:00:00 [ERROR] my_crate: no", "no", Some("my_crate")),
    ("2024-03-10 09:00:00,123 [1] ERROR Shop.Pay (null) - no", "no", Some("Shop.Pay")),
    ("2015-05-18 23:12:43.921 ERROR [21428] [main@12] no", "no", None),
    ("[2024/03/10 09:00:00] [error] [output:es:es.0] no", "no", Some("output:es:es.0")),
    ("2024-03-10 09:00:00.123 ERROR (qtp1-20) [c:x s:shard1] o.a.s.h.Base no", "no", Some("o.a.s.h.Base")),
    ("2024-03-10 is not a date", "2024-03-10 is not a date", None),
    ("level=error msg=\"x\"", "level=error msg=\"x\"", None),
    ("PHP Fatal error:  Allowed memory size", "Allowed memory size", None),
    (
        "[28-Aug-2026 15:20:21] WARNING: [pool www] child 184 said into stderr: \"NOTICE: PHP message: PHP Fatal error:  no\"",
        "no\"",
        None,
    ),
];

#[test]
fn the_message_begins_behind_its_head() {
    let mut wrong = Vec::new();
    for (line, message, logger) in HEADS {
        let head = rules().head(line);
        let found = (&line[head.message..], head.logger.map(|(from, to)| &line[from..to]));
        if found != (*message, *logger) {
            wrong.push(format!("expected {:?}, found {found:?}: {line}", (message, logger)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whatever part of a line is cut off, nothing panics, and the result lies within the line.
#[test]
fn any_part_of_a_line_is_read() {
    let lines =
        CASES.iter().flat_map(|case| case.reads.iter().map(|(line, _)| *line).chain(case.leaves.iter().copied()));
    for line in lines.chain(HEADS.iter().map(|(line, ..)| *line)) {
        for cut in 0..=line.len() {
            for part in [line.get(..cut), line.get(cut..)].into_iter().flatten() {
                let head = rules().head(part);
                assert!(part.get(head.message..).is_some(), "{part}");
                assert!(head.logger.is_none_or(|(from, to)| part.get(from..to).is_some()), "{part}");
                let _ = rules().of_line(part.as_bytes());
            }
        }
    }
}

#[test]
fn reads_a_level_behind_a_qualifier() {
    let level = |word: &str| rules().of_format(Scale::Words, word.as_bytes());
    for (word, expected) in [
        ("MILD_WARNING", Some(W)),
        ("SEVERE_WARNING", Some(W)),
        ("MILD_ERROR", Some(E)),
        ("SEVERE_ERROR", Some(E)),
        ("FATAL_ERROR", Some(F)),
        ("log_info", Some(I)),
        ("error_code", None),
        ("warning_", None),
        ("_", None),
    ] {
        assert_eq!(level(word), expected, "{word}");
    }
}
