//! Tests the tables of layouts. For each row they hold lines that it reads and lines that it must not read, in the form that
//! the loggers' own documentation shows, and prose that contains the names of levels.

use super::brackets::BRACKETS;
use super::words::WORDS;
use super::*;

const T: Level = Level::Trace;
const D: Level = Level::Debug;
const I: Level = Level::Info;
const W: Level = Level::Warn;
const E: Level = Level::Error;
const F: Level = Level::Fatal;

struct Case {
    /// The row's name.
    row: &'static str,
    /// Lines that this row reads.
    reads: &'static [(&'static str, Level)],
    /// Lines that it must not read: no row does.
    leaves: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        row: "LEVEL",
        reads: &[
            ("ERROR [gateway] upstream failed", E),
            ("ERROR", E),
            ("ERROR: relation \"users\" does not exist", E),
            ("ERROR:root:could not pay", E),
            ("WARNING:root:Watch out!", W),
            ("INFO:     10.42.0.1:43120 - \"GET /error HTTP/1.1\" 500", I),
            ("2026-11-20 08:00:00,123 [main] ERROR c.s.Pay - declined", E),
            ("2026-11-20T08:00:00Z WARN slow", W),
            ("2024-03-08 10:50:46.219 UTC [113] ERROR:  relation \"x\" does not exist", E),
            ("2024-03-08 10:50:46.219 UTC [113] app@shop LOG:  checkpoint starting", I),
            ("2024-03-08 10:50:46 UTC [113]: [5-1] user=app,db=shop,app=[unknown],client=10.0.0.1 FATAL:  no role", F),
            ("2024-03-08 10:50:46 UTC [113] DEBUG1:  forked", D),
            ("18-Feb-2017 16:39:33.802 SEVERE [main] org.apache.catalina.core.StandardService.x failed", E),
            ("Mar 10, 2024 9:00:01 AM hudson.Status doNotify\nSEVERE: could not notify", E),
            ("9:00:00 AM ERROR no", E),
            ("3:37PM ERR Ping timeout", E),
            ("2005-03-19 15:10:26,618 - simple_example - CRITICAL - message", F),
            ("2005-03-19 15:10:26,618 simple_example ERROR message", E),
            ("10-22 22:19 root         WARNING  Jail zesty vixen", W),
            ("root        : ERROR    How quickly", E),
            ("E, [2024-03-10T09:00:00.123456 #1] ERROR -- : boom", E),
            ("[----] F, [2024-03-10T09:00:00.123456 #2907:19247d4] FATAL -- : boom", F),
            ("2020-11-24T07:49:01.980Z 818 TID-ou7iswp26 SpentWorker JID-94c519 INFO: start", I),
            ("2020-11-24T07:49:01.980Z pid=1 tid=otk3 class=SpentWorker elapsed=5.002 ERROR: fail", E),
            ("[2024-11-04T01:17:28.807+0000] {context_logger.py:91} ERROR - Executor reports", E),
            ("[2013-05-07 10:00:00,123] ERROR in app: Exception on / [GET]", E),
            ("[Nest] 20156  - 11/11/2025, 10:40:43 AM   ERROR [ExceptionsHandler] no", E),
            ("(EngineCore_0 pid=123) ERROR 03-10 09:00:00 [core.py:1] failed", E),
            ("2024-03-10 09:00:00.123 7 ERROR nova.compute.manager [req-5b8efff7 - - - - -] no", E),
            ("2023-04-10T08:06:35.275Z\t7d3e76dc-39b2-4d35-a27b-90adfe53ff2d\tERROR\tUnhandled", E),
            ("2024-03-10 09:00:00.1234|FATAL|Shop.Worker|order 17 failed", F),
            ("2024-03-10 09:00:00.000 | ERROR    | shop.pay:run:10 - declined", E),
            ("2024-03-10 09:00:00.123+0000 [id=33]\tSEVERE\thudson.Lifecycle#onReady: no", E),
            ("Mar 10 09:00:00 node-1 shop[123]: ERROR no", E),
            ("2010-09-06 22:38:15,300:WARNING:shop:slow", W),
            ("[2024-03-10 09:00:00] ERROR[1234]: chan_sip.c: no", E),
            ("2009/11/10 23:00:00 ERROR+2 disk full err=x", E),
            ("==239649==ERROR: AddressSanitizer: heap-use-after-free", E),
            ("\u{274c} ERROR: no disk", E),
            ("web-1  | ERROR: no disk", E),
            ("ERRO[0004] The ice breaks!  number=100", E),
            ("DEBU[0000] x", D),
            ("FATA[0012] no", F),
            ("CONFIG: handlers", D),
            ("NOTICE: PHP message: PHP Warning:  Undefined variable $x in /a.php on line 4", W),
            ("NOTICE: PHP message: hello", I),
            (
                "[28-Aug-2026 15:20:21] WARNING: [pool www] child 184 said into stderr: \"NOTICE: PHP message: PHP \
                 Parse error:  syntax error\"",
                F,
            ),
            ("ERROR: logging before flag.Parse: I0808 11:57:09.535791      11 reflector.go:199] Listing", I),
        ],
        leaves: &[
            "npm ERR! code ELIFECYCLE",
            "ERR! code",
            "retrying after ERROR",
            "Got ERROR from the gateway",
            "HTTP ERROR 500",
            "2009/11/10 23:00:00 got ERROR from the gateway",
            "2024-03-10 09:00:00 it was an ERROR again",
            "2024-03-10 09:00:00 status ERROR",
            "Status: ERROR",
            "status: ERROR",
            "CRITICAL: 0, HIGH: 2",
            "CONFIG_PATH=/etc/x",
            "TRACE-ID: 5b8e",
            "ERROR.",
            "ERRORS found",
            "FAIL  src/app.test.js",
            "Total: 5 (UNKNOWN: 0, CRITICAL: 5)",
            "10.0.0.1 - - [08/Sep/2024:19:50:04 +0000] \"GET /error HTTP/1.1\" 502 559 \"-\" \"Bot (FATAL)\"",
            "\"ERROR\" was said",
            "GET /ERROR 200",
        ],
    },
    Case {
        row: "E0418",
        reads: &[
            ("E0418 19:29:00.909300       6 crdb.go:154] \"Exec failed\" err=\"x\"", E),
            ("W1019 16:44:42.380022    3468 reflector.go:324] failed", W),
            ("F0418 19:30:00.909300       6 server.go:300] failed", F),
            ("E20240310 09:00:00.123456 12345 file.cc:12] no", E),
            ("E240310 09:00:00.123456 1 server/node.go:10 \u{22ee} [-] 1  unable", E),
            ("Mar 10 09:00:00 node-1 kubelet[123]: E0310 09:00:00.123456 1 kubelet.go:1] no", E),
        ],
        leaves: &["E1120", "E1120 failed", "E1120 08 of 17", "EA120 08:00:00.1 x", "E112 08:00:00.1 x"],
    },
    Case {
        row: "level:",
        reads: &[
            ("error: cannot open", E),
            ("Warning: deprecated", W),
            ("Error: failed to open object", E),
            ("fatal: not a git repository", F),
            ("info: Microsoft.Hosting.Lifetime[14]\n      Now listening", I),
            ("fail: Shop.Payments.Worker[0]", E),
            ("crit: Shop.Payments.Worker[-1] no disk", F),
            ("dbug: Shop[0]", D),
            ("trce: Shop[0]", T),
            ("[09:00:00] fail: Shop.Worker[3]", E),
            ("2024-03-10T09:00:00.123456+00:00 error: cannot open", E),
            ("Mar 10 09:00:00 host sshd[123]: error: kex_exchange_identification", E),
            ("[1710061203] unbound[1:0] error: no disk", E),
            ("10-Mar-2024 09:00:00.123 general: error: zone refused", E),
            ("Mar 10 09:00:00 imap(user): Error: no disk", E),
            ("Error: 13 INTERNAL: Received RST_STREAM", E),
            ("audit: login", W),
            ("2024-03-10 09:00:00.12 spid51      Error: 1105, Severity: 17, State: 2.", E),
        ],
        leaves: &[
            "Critical: 0, High: 2",
            "Critical: 0 High: 2",
            "Panic: none",
            "Failure: 0",
            "error: null,",
            "config: loaded",
            "Config: loaded 12 routes",
            "log: written",
            "fine: all",
            "fail: no such test",
            "  error: 'ECONNREFUSED',",
            "    config: {",
            "the error: no",
            "gcc: error: no input",
            "src/main.c:10:5: error: undeclared",
            "uvicorn.error: x",
            "info about things",
            "Error in prose",
        ],
    },
    Case {
        row: "channel.LEVEL:",
        reads: &[
            ("[2024-05-05 08:12:12] production.ERROR: SQLSTATE[42S22]: Column not found", E),
            ("[2025-01-05T15:18:00.364372+00:00] request.INFO: Matched route", I),
            ("app.CRITICAL: no", F),
        ],
        leaves: &["production.Error: no", ".ERROR: x", "app.ERR", "file.IN: x"],
    },
    Case {
        row: "name:LEVEL:",
        reads: &[
            ("root:ERROR:no", E),
            ("2024-03-08 10:50:46 UTC:10.0.0.1(5432):app@shop:[113]:ERROR:  relation", E),
            ("2024-03-08 10:50:46 certbot:WARNING:x", W),
        ],
        leaves: &["a:b:c", "std::ERROR::x", "x:ERROR", "http://ERROR:80/"],
    },
    Case {
        row: "level/name:",
        reads: &[
            ("[2024-03-10 09:00:00 +0000] critical/ApiListener: Cannot bind", F),
            ("[2024-03-10 09:00:00 +0000] information/cli: Icinga", I),
        ],
        leaves: &["critical/ApiListener: no", "[2024-03-10 09:00:00 +0000] error/: no", "GET info/x: y"],
    },
    Case {
        row: "|level|",
        reads: &[
            ("2020-11-02T20:14:00.000000Z\terror\tads\tno connection", E),
            ("2024-03-10T09:00:00.000Z\tinfo\tsetup\tstarting", I),
            ("Mar 10 09:00:00 s2sout123\terror\tno", E),
            ("2024-03-10 09:00:00.1|Error|Shop|no", E),
            ("2024-03-10 09:00:00 | warn | x", W),
        ],
        leaves: &["2020-11-02 error rate\tx", "a\terror", "| error | 5 |", "2024-03-10 09:00:00 | config | x"],
    },
    Case {
        row: "level :",
        reads: &[
            ("[2024-03-10T09:00:00+0000] error    : 'x' process is not running", E),
            ("2024-03-10T09:00:00+0000 error com.shop : [Pay] no", E),
        ],
        leaves: &[
            "error    : x",
            "error shop : x",
            "2024-03-10T09:00:00Z error rate is: x",
            "[2024-03-10T09:00:00+0000] log : x",
        ],
    },
    Case {
        row: "time: Level",
        reads: &[("18:22:19.123456789: Warning Sensitive file opened", W), ("18:22:19.123456789: Critical no", F)],
        leaves: &[
            "18:22:19.123456789: warning x",
            "18:22:19.123: Warning x",
            "Warning Sensitive file",
            "18:22:19.123456789: Rule x",
        ],
    },
    Case {
        row: "E/tag(123):",
        reads: &[("E/ActivityManager( 1234): no", E), ("W/Net(12): slow", W)],
        leaves: &["I/O error on dev sda", "I/O(x): y", "a E/Tag(1): x", "E/Tag(1) x", "Q/Tag(1): x"],
    },
    Case {
        row: "time E",
        reads: &[
            ("2022-01-01T14:33:00.325+0000 W  ASIO     [main] No TransportLayer", W),
            ("2020-04-21T21:59:03.785+0000 E  -  [initandlisten] WiredTiger error", E),
            ("2024-03-10 09:00:00.123456: E tensorflow/cuda/cuda_driver.cc:268] failed call", E),
            ("2024-03-10 09:00:00.123456 E | op-osd: failed to start", E),
            ("03-10 09:00:00.123  1234  1235 W ActivityManager: slow", W),
            ("[3/10/24 9:00:00:123 UTC] 00000001 SystemOut     E   no", E),
            ("[2024-03-10 09:00:00.123456 +0000] W [MSGID: 106005] [glusterd.c:12:fn] 0-management: no", W),
            ("2012-08-30 15:37:32.486 E [35900:main] MyClass -- no", E),
            ("[3/10/24, 9:00:00:123 UTC] 0000001 com.ibm.ws.kernel.Manager      E CWWKZ0002E: no", E),
        ],
        leaves: &[
            "E | x",
            "2024-03-10 09:00:00 E flat major",
            "2024-03-10 09:00:00 A | b",
            "2024-03-10 09:00:00 D is the key: x",
        ],
    },
    Case {
        row: "E time",
        reads: &[
            ("E 04-27 13:23:32 httptools_impl.py:414] Exception in ASGI application", E),
            ("W [10/Mar/2024:09:00:00 +0000] no printer", W),
        ],
        leaves: &["E 17", "E to the power", "vitamin E 04-27 13:23:32"],
    },
    Case {
        row: "E!",
        reads: &[("2024-03-10T09:00:00Z E! [outputs.influxdb] no", E), ("2024-03-10T09:00:00Z D! [agent] x", D)],
        leaves: &["E! no", "2024-03-10T09:00:00Z Oh! no", "2024-03-10T09:00:00Z X! no"],
    },
    Case {
        row: "PHP",
        reads: &[
            ("PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted", F),
            ("PHP Parse error:  syntax error", F),
            ("PHP Warning:  Undefined variable $x", W),
            ("[10-Mar-2024 09:00:00 UTC] PHP Deprecated:  strlen()", W),
            ("Fatal error: Uncaught Error: no in /a.php:3", F),
            ("PHP Recoverable fatal error:  Object of class X", E),
        ],
        leaves: &["PHP 8.3 started", "PHP Warnings: many", "a Fatal error: x", "PHP: Fatal error"],
    },
    Case {
        row: "[level]",
        reads: &[
            ("[warn] 7#7: slow", W),
            ("[ERROR] plugin/errors: 2 x. A: i/o timeout", E),
            ("[2026-11-20 08:00:00] [error] 7#7: *1 open() failed", E),
            ("[2024/03/10 09:00:00] [ warn] [engine] slow", W),
            ("2018.02.10 09:25:02.040773 [ 3 ] <Error> executeQuery: Code: 101", E),
            ("2022.11.03 07:07:05.576740 [ 48 ] {b13a746a-db89-405c-a4c3-7a0c9cc3f808} <Fatal> x: y", F),
            ("<Mar 10, 2024 9:00:00 AM UTC> <Error> <Deployer> <BEA-149265> <no>", E),
            ("[2024-11-04 01:17:28,807][PID:7][ERROR][airflow.jobs.Runner] no", E),
            ("[2024-03-10 09:00:00.123][11][critical][main] [source/server.cc:12] no", F),
            ("[2023-10-03T12:00:04,456][ERROR][o.e.b.Handler] [node-1] no", E),
            ("2026-06-08 03:05:23.456 [ERROR][1] felix/table.go 789: no", E),
            ("2024-01-10T09:50:32.498171Z 0 [Warning] [MY-011810] [Server] Insecure", W),
            ("2024-01-10T09:50:32.527004Z 0 [Note] [MY-011825] [Server] error log", I),
            ("21:02:52.019 request_id=F1 [error] GenServer terminating", E),
            ("[ALERT] 071/085241 (29884) : backend 'static' has no server available!", F),
            ("[2026-04-14 21:39:39 +0000] [16] [CRITICAL] WORKER TIMEOUT", F),
            ("[2024/03/10 09:00:00.123 +00:00] [ERROR] [conn.go:123] [\"no route\"] [conn=1]", E),
            ("nginx: [emerg] host not found in upstream", F),
            ("2024-03-10 09:00:00 [error    ] could not pay                [shop.pay]", E),
            ("2020/07/09 08:00:46 [error] 10#10: *1 FastCGI sent in stderr: \"PHP message: PHP Warning:  x", W),
            ("[AUDIT] login", W),
            ("<error> [1710061203.1234] device: no", E),
            ("####<Mar 10, 2024 9:00:00,123 AM UTC> <Error> <Deployer> <no>", E),
        ],
        leaves: &[
            "[config] using port 8080",
            "[log] written",
            "[errors] none",
            "<Error><Code>NoSuchKey</Code></Error>",
            "<error> [x] y",
            "Compilation [error] x",
            "[gateway] error rate is low",
            "{\"a\":1} [error]",
            "[FAIL] test",
            "a [b error",
        ],
    },
    Case {
        row: "[LEVEL text]",
        reads: &[
            ("[ERROR CRI]: container runtime is not running", E),
            ("[ERROR my_crate::module] no", E),
            ("[WARN  2024-03-10T09:00:00Z my_crate] no", W),
        ],
        leaves: &["[error in x] y", "[ERRORS ARE] y", "(ERROR x) y"],
    },
    Case {
        row: "[LEVEL/name]",
        reads: &[("[INFO/MainProcess] process shutting down", I), ("[09:00:00] [Server thread/ERROR]: no", E)],
        leaves: &["[error/main] x", "[a/b] x", "[/] x"],
    },
    Case {
        row: "[module:level]",
        reads: &[
            ("[Fri Feb 10 14:03:51.563880 2017] [core:error] [pid 8667] (13)Permission denied", E),
            ("[Sat May 02 12:04:30.000000 2020] [mpm_event:notice] [pid 1:tid 1] AH00489", I),
            ("[Sat May 02 12:04:30.000000 2020] [:error] [pid 1] x", E),
            ("2015-10-30T12:08:31-0700 [my.namespace#critical] no", F),
        ],
        leaves: &["[core:error] x", "[Sat May 02 12:04:30.000000 2020] [a:b] x"],
    },
    Case {
        row: "[time LEVEL]",
        reads: &[
            ("[09:03:14 ERR] HTTP GET /orders responded 500", E),
            ("[2019-08-13 13:56:43,760: ERROR/MainProcess] Received unregistered task", E),
            ("[2024-03-10T09:00:00Z WARN  my_crate::module] slow", W),
            ("[2024-03-10 09:00:00,123 E 1 1] (raylet) file.cc:12: no", E),
        ],
        leaves: &["[09:03:14 LOOK] x", "[09:03:14] x", "[2024-03-10 09:00:00 Q 1] x"],
    },
    Case {
        row: "[E]",
        reads: &[
            ("2024/03/10 09:00:00 cmd/web.go:123:run() [E] no", E),
            ("2024/03/10 09:00:00.123 [W] [main.go:10] slow", W),
            ("[E 2019-09-19 20:54:40.060 JupyterHub base:670] Failed login", E),
            ("[W 240310 09:00:00 web:1789] 404 GET /x", W),
            ("[E310 09:00:00.123456789 ProcessGroupNCCL.cpp:1] no", E),
            ("[rank1]:[E1120 09:00:00.123456789 ProcessGroupNCCL.cpp:1] no", E),
        ],
        leaves: &["[E] flat", "[X 2019-09-19 20:54:40.060 a] b", "[E 17] x"],
    },
    Case {
        row: "<34>",
        reads: &[
            ("<34>Oct 11 22:14:15 mymachine su: 'su root' failed", F),
            ("<165>1 2003-10-11T22:14:15.003Z host app - ID47 - x", I),
            ("<3>no disk", E),
        ],
        leaves: &["<192>x", "<>x", "<3x", "<3>", "<b>x", "a <3> x"],
    },
    Case {
        row: "{\"level\":",
        reads: &[
            ("{\"ts\":1,\"level\":\"fatal\",\"msg\":\"cut", F),
            ("{\"a\":{\"level\":\"info\"},\"severity\": \"ERROR\",\"x", E),
            ("{\"level\":50,\"time\":17", E),
            ("{\"severity\":\"SEVERE_WARNING\",\"msg\":\"cut", W),
        ],
        leaves: &[
            "{\"a\":{\"level\":\"error\"",
            "{\"msg\":\"\\\"level\\\":\\\"error\\\"",
            "{level:error",
            "x {\"level\":\"error\"",
        ],
    },
    Case {
        row: "=ERROR REPORT====",
        reads: &[("=ERROR REPORT==== 10-Mar-2024::09:00:00 ===", E), ("=INFO REPORT==== 10-Mar-2024::09:00:00 ===", I)],
        leaves: &["=ERROR", "=X REPORT====", "=====", "==12==", "==x==ERROR: y"],
    },
    Case {
        row: "1:M time #",
        reads: &[
            ("1:M 20 Sep 2026 09:53:02.641 # Background saving error", W),
            ("1:C 20 Sep 2026 09:53:01.641 * oO0OoO0OoO0Oo Redis is starting", I),
            ("1:S 20 Sep 2026 09:53:01.641 - Accepted", D),
        ],
        leaves: &["1:Q 20 Sep 2026 09:53:02.641 # x", "20 Sep 2026 09:53:02.641 # x", "1:M # x"],
    },
    Case {
        row: "level=word",
        reads: &[
            ("time=\"2024-01-01 10:00\" level=error msg=\"boom\"", E),
            ("level=error msg=\"x\"", E),
            ("ts=2023-11-21T10:00:00.000Z caller=main.go:123 level=warn component=tsdb", W),
            ("2024-03-10T09:00:00Z level=fatal msg=x", F),
            ("time=2024 level=ERROR+2 source=x", E),
            ("[21/Oct/2012:05:15:23.585 -0500] category=CORE severity=ERROR msgID=18 msg=\"x\"", E),
            ("[2024-03-10 09:00:00] a=b level=warn", W),
            ("[21/Oct/2012:05:15:23 -0500] category=JVM severity=SEVERE_WARNING msgID=1 msg=\"x\"", W),
            ("[21/Oct/2012:05:15:23 -0500] category=CORE severity=MILD_ERROR msgID=1 msg=\"x\"", E),
            ("[21/Oct/2012:05:15:23 -0500] category=CORE severity=FATAL_ERROR msgID=1 msg=\"x\"", F),
            ("level=error_17 msg=x", E),
        ],
        leaves: &[
            "sublevel=error",
            "    uvicorn.run(app, log_level=\"info\")",
            "10.0.0.1 - - [08/Sep/2024:19:50:04 +0000] \"GET /?level=fatal HTTP/1.1\" 200 1",
            "GET /?level=fatal",
            "[08/Sep/2024:19:50:04 +0000] \"GET /?level=fatal HTTP/1.1\" 200 1",
            "[08/Sep/2024:19:50:04 +0000] GET /?level=fatal HTTP/1.1",
            "[2024-03-10 09:00:00] [main] level=fatal",
            "[main] [2024-03-10 09:00:00] level=fatal",
            "msg=\"level=error\" x=1",
            "request level=error",
            "a=1 b level=error",
        ],
    },
];

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
