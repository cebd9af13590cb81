//! `flb-sentry explain` from outside: what it says of records good and bad, and that it says what the plugin does.

mod inputs;
mod shipped;
mod view;

use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use testkit::artefacts::workspace;
use testkit::samples;
use testkit::suite::Suite;
use testkit::tempdir::TempDir;

pub fn add(suite: Suite) -> Suite {
    let script = match Command::new("script").arg("--version").output() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("no `script` to open a terminal with: {error}")),
    };
    suite
        .test("kubectl_lines_have_their_time_and_their_pod", inputs::kubectl)
        .test("docker_lines_are_joined", inputs::docker)
        .test("several_files_are_told_apart", inputs::several_files)
        .test("an_unreadable_file_does_not_keep_the_others", inputs::one_file_of_several_fails)
        .test("events_alone_are_shown_on_request", inputs::events_alone)
        .test("records_are_as_old_as_now_says", inputs::now)
        .needing(&script, "the_view_fits_the_terminal", inputs::fits_the_terminal)
        .test("each_record_has_one_line_in_each_category", each_record_has_one_line_in_each_category)
        .test("keys_are_named", keys_are_named)
        .test("every_outcome_has_its_reason", every_outcome_has_its_reason)
        .test("bad_lines_are_told_and_the_others_go_on", bad_lines_are_told_and_the_others_go_on)
        .test("an_endless_line_is_left_out", an_endless_line_is_left_out)
        .test("garbage_in_a_chunk_is_invalid_and_says_where", garbage_in_a_chunk_is_invalid)
        .test("options_are_judged_by_the_plugins_table", options_are_judged_by_the_plugins_table)
        .test("each_record_names_its_destination_where_there_are_several", each_record_names_its_destination)
        .test("inputs_that_cannot_be_read", inputs_that_cannot_be_read)
        .test("captured_chunks", captured_chunks)
        .test("a_trace_whole_and_line_by_line_is_the_same", a_trace_whole_and_line_by_line_is_the_same)
        .test("what_is_explained_is_what_is_shipped", shipped::what_is_explained_is_what_is_shipped)
        .test("lean_logs_of_the_samples_cost_at_most_45_percent_of_full_ones", lean_logs_of_the_samples_cost_less)
        .test("the_view_for_people_says_it_all_and_steers_no_terminal", view::the_view_for_people)
        .test("a_reader_who_leaves_is_no_failure", view::a_reader_who_leaves)
        .test("results_come_while_the_input_goes_on_in_bounded_memory", view::results_come_while_the_input_goes_on)
        .needing(&script, "a_terminal_gets_the_view_in_colour", view::a_terminal_gets_the_view_in_colour)
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-sentry"));
    command.arg("explain").args(args).env_remove("SENTRY_DSN").env_remove("NO_COLOR");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it on this input.
fn fed(args: &[&str], input: &[u8]) -> Output {
    let mut child = command(args).stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_owned();
    // It may end before it has read all of it.
    let feeder = std::thread::spawn(move || drop(pipe.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    output
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn results(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The results of an input without fault.
fn explained(args: &[&str], input: &[u8]) -> Vec<Value> {
    let output = fed(args, input);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    results(&output)
}

fn json_lines(records: &[Value]) -> Vec<u8> {
    records.iter().flat_map(|record| format!("{record}\n").into_bytes()).collect()
}

/// The result of this record and category.
fn result<'r>(results: &'r [Value], record: u64, category: &str) -> &'r Value {
    let mut found = results.iter().filter(|result| result["record"] == record && result["category"] == category);
    let first = found.next().unwrap_or_else(|| panic!("no {category} of record {record}"));
    assert!(found.next().is_none(), "two results for the {category} of record {record}");
    first
}

fn chunk(name: &str) -> PathBuf {
    workspace().join(format!("tests/data/chunks/{name}.msgpack"))
}

fn each_record_has_one_line_in_each_category() {
    let levels = ["error", "debug", "info", "fatal", "trace"];
    let records: Vec<_> = (0..500).map(|n| json!({"message": format!("m{n}"), "level": levels[n % 5]})).collect();
    let results = explained(&["-o", "event_rate=100"], &json_lines(&records));
    let order: Vec<_> = results.iter().map(|result| (result["record"].as_u64(), result["category"].as_str())).collect();
    let expected: Vec<_> = (1..=500).flat_map(|n| [(Some(n), Some("event")), (Some(n), Some("log"))]).collect();
    assert_eq!(order, expected, "in the order of the records, numbered from 1");
    for result in &results {
        let accepted = result["outcome"] == "accepted";
        assert_eq!((result["payload"].is_object(), result["reason"].is_string()), (accepted, !accepted), "{result}");
    }
}

fn keys_are_named() {
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let stack = "java.lang.IllegalStateException: no\n\tat com.shop.Pay.run(Pay.java:10)";
    let records = [
        json!({"msg": "a", "severity": "error", "traceId": trace, "stack_trace": stack}),
        json!({"log": "ERROR in the text"}),
        json!({"log": stack}),
        json!({"n": 1}),
        json!({"log": "{\"msg\":\"inside\",\"lvl\":\"warn\"}"}),
    ];
    let results = explained(&[], &json_lines(&records));
    let keys = |record| {
        let result = result(&results, record, "log");
        (result["keys"].clone(), result["level_from"].as_str().unwrap_or_default())
    };
    let named = |message: Value, level: Value, trace: Value, stack: Value| json!({"message": message, "level": level, "trace": trace, "stack": stack});
    let null = Value::Null;
    let own = |message: &str| named(message.into(), null.clone(), null.clone(), null.clone());
    assert_eq!(keys(1), (named("msg".into(), "severity".into(), "traceId".into(), "stack_trace".into()), "key"));
    assert_eq!(keys(2), (own("log"), "text"));
    assert_eq!(keys(3), (own("log"), "stack trace"));
    assert_eq!(keys(4), (named(null.clone(), null.clone(), null.clone(), null.clone()), "default"));
    assert_eq!(keys(5), (named("msg".into(), "lvl".into(), null.clone(), null.clone()), "key"));
    assert_eq!(result(&results, 1, "event")["payload"]["exception"]["values"][0]["type"], "IllegalStateException");
}

/// Outcome and reason of the event of each record.
fn events(args: &[&str], records: &[Value]) -> Vec<(String, String)> {
    let results = explained(args, &json_lines(records));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let numbers = 1..=records.len() as u64;
    let events = numbers.map(|number| result(&results, number, "event"));
    events.map(|event| (text(&event["outcome"]), text(&event["reason"]))).collect()
}

fn every_outcome_has_its_reason() {
    let error = |text: &str| json!({"message": text, "level": "error", "time": "2026-11-20T08:00:00Z"});
    let one = |args: &[&str], record: Value| events(args, &[record]).remove(0);
    let said = |outcome: &str, reason: &str| (outcome.to_owned(), reason.to_owned());

    assert_eq!(one(&[], error("a")), said("accepted", ""));
    let below = said("filtered", "level info is below event_level error");
    assert_eq!(one(&[], json!({"message": "a"})), below);
    assert_eq!(one(&["-o", "event_level=off"], error("a")), said("filtered", "event_level is off"));
    let annotated = json!({"annotations": {"k8s.sentry.io/event-level": "fatal"}, "pod_name": "p",
        "namespace_name": "n", "container_name": "c"});
    let pod = json!({"message": "a", "level": "error", "kubernetes": annotated});
    let of_pod = "level error is below event_level fatal, which the pod's annotation k8s.sentry.io/event-level sets";
    assert_eq!(one(&[], pod), said("filtered", of_pod));
    let sampled = "left out by sample_rate 0, decided by its text and time";
    assert_eq!(one(&["-o", "sample_rate=0"], error("a")), said("sampled", sampled));
    let traced = json!({"message": "a", "level": "error", "trace_id": "0af7651916cd43dd8448eb211c80319c"});
    let sampled = "left out by sample_rate 0, decided by its trace id";
    assert_eq!(one(&["-o", "sample_rate=0"], traced), said("sampled", sampled));

    let storm = events(&["-o", "storm_burst=1"], &[error("a"), error("a")]);
    assert_eq!((storm[0].0.as_str(), storm[1].0.as_str()), ("accepted", "suppressed"));
    assert!(storm[1].1.starts_with("storm_burst 1: "), "{storm:?}");
    let rate = events(&["-o", "event_rate=1"], &[error("a"), error("b")]);
    assert!(rate[1].0 == "suppressed" && rate[1].1.starts_with("event_rate 1: "), "{rate:?}");
    let exception = error("E\njava.lang.IllegalStateException: no\n\tat com.shop.Pay.run(Pay.java:10)");
    let twice = events(&[], &[exception.clone(), exception]);
    assert!(twice[1].0 == "suppressed" && twice[1].1.starts_with("the same exception"), "{twice:?}");
    let own = one(&[], error("[2026/11/24 10:00:00.000000000] [error] [output:sentry:sentry.0] cannot be reached"));
    assert!(own.0 == "suppressed" && own.1.contains("Fluent Bit's own log"), "{own:?}");

    let lines =
        ["ERROR failed", "Traceback (most recent call last):", "  File \"/a.py\", line 3, in f", "ValueError: no"];
    let joined = explained(&[], &json_lines(&lines.map(|line| json!({"log": line}))));
    assert_eq!(result(&joined, 1, "event")["level_from"], "text");
    for record in 2..=4 {
        let line = result(&joined, record, "event");
        assert_eq!((&line["outcome"], &line["into"]), (&json!("joined"), &json!(1)));
        assert_eq!(line["reason"], "a line of the event of record 1");
        assert_eq!(result(&joined, record, "log")["outcome"], "joined");
    }
    let alone = explained(&[], &json_lines(&lines[1..].iter().map(|line| json!({"log": line})).collect::<Vec<_>>()));
    assert_eq!(result(&alone, 1, "event")["level_from"], "stack trace");

    let logs = explained(&["-o", "logs_level=warn"], &json_lines(&[json!({"message": "a"})]));
    assert_eq!(result(&logs, 1, "log")["reason"], "level info is below logs_level warn");
    let logs = explained(&["-o", "logs_sample_rate=0"], &json_lines(&[json!({"message": "a"})]));
    assert_eq!(result(&logs, 1, "log")["outcome"], "sampled");
}

fn bad_lines_are_told_and_the_others_go_on() {
    let input =
        b"{\"message\":\"one\"}\n[1,2]\n\"text\"\n\nnot json\n{\"cut\":\n\xff\xfe\x00\x01\n{\"message\":\"two\"}\n";
    let output = fed(&["--format", "json"], input);
    assert_eq!(output.status.code(), Some(1));
    let found = results(&output);
    assert_eq!(found.len(), 4);
    assert_eq!((&result(&found, 1, "log")["line"], &result(&found, 2, "log")["line"]), (&json!(1), &json!(8)));
    assert_eq!(result(&found, 2, "log")["payload"]["body"], "two");
    let told = stderr(&output);
    for line in ["line 2: expected a JSON object, found an array", "line 3: ", "line 5: ", "line 6: ", "line 7: "] {
        assert!(told.contains(line), "expected {line:?}, found {told}");
    }
    assert!(!told.contains("line 4") && !told.contains('\0'), "an empty line is nothing: {told}");

    // Where nobody says JSON, lines that do not begin like it are text, and only one that does or is binary is a mistake.
    let output = fed(&[], input);
    assert_eq!((output.status.code(), results(&output).len()), (Some(1), 10));
    let told = stderr(&output);
    assert!(told.contains("line 6: ") && told.contains("line 7: ") && told.lines().count() == 2, "{told}");
    assert_eq!(result(&results(&output), 4, "log")["payload"]["body"], "not json");
    assert_eq!(result(&explained(&[], b"hello\n{\"a\":1\n"), 1, "log")["payload"]["body"], "hello");
    assert_eq!(explained(&[], b"").len(), 0);

    let output = fed(&["--format", "json"], b"hello\n");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(stderr(&output).contains("--format text"), "{}", stderr(&output));

    let output = fed(&["--format", "json"], &b"\x01\xff\n".repeat(300));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output).lines().count(), 101, "a hundred are told one by one");
    assert!(stderr(&output).ends_with("200 more lines cannot be read as records\n"), "{}", stderr(&output));
}

fn an_endless_line_is_left_out() {
    let long = vec![b'x'; 25_000_000];
    let output = fed(&[], &[b"{\"message\":\"", &long[..], b"\"}\n{\"message\":\"short\"}\n"].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("line 1: longer than 10 MB: left out"), "{}", stderr(&output));
    let results = results(&output);
    assert_eq!((results.len(), &result(&results, 1, "log")["payload"]["body"]), (2, &json!("short")));
}

fn garbage_in_a_chunk_is_invalid() {
    let directory = TempDir::new("explain").unwrap();
    let path = directory.path().join("x.msgpack");
    let good = std::fs::read(chunk("forward")).unwrap();
    std::fs::write(&path, [&good[..], b"\xc1garbage"].concat()).unwrap();
    let output = command(&[path.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let results = results(&output);
    assert_eq!(results.len(), 6);
    for category in ["event", "log"] {
        let invalid = result(&results, 3, category);
        assert_eq!(invalid["outcome"], "invalid");
        let reason = invalid["reason"].as_str().unwrap();
        assert!(
            reason.starts_with("expected ") && reason.ends_with(&format!("at byte {}", good.len() + 1)),
            "{reason}"
        );
    }
    let noise: Vec<u8> = (0_u32..300_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(&path, noise).unwrap();
    let output = command(&[path.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

fn options_are_judged_by_the_plugins_table() {
    let output =
        fed(&["-o", "event_levle=warn", "-o", "event_level=loud", "-o", "senders=0", "-o", "Match=*"], b"{\"a\":1}\n");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    let told = stderr(&output);
    for problem in [
        "event_levle = warn: expected the name of an option; the nearest is event_level",
        "event_level = loud: expected a level",
        "senders = 0: expected a number from 1 to 64",
    ] {
        assert!(told.contains(problem), "expected {problem:?}, found {told}");
    }
    assert_eq!(told.lines().count(), 3, "{told}");
    assert_eq!(fed(&["-o", "dsn"], b"").status.code(), Some(2));
    let id = |args: &[&str]| {
        let results = explained(args, b"{\"message\":\"a\",\"level\":\"error\",\"time\":\"2026-11-20T08:00:00Z\"}\n");
        result(&results, 1, "event")["payload"]["event_id"].clone()
    };
    let key = "0123456789abcdef0123456789abcdef";
    let dsn = |rest: &str| format!("dsn=https://{rest}");
    let there = id(&["-o", &dsn(&format!("{key}@sentry.example/1"))]);
    assert_eq!(there, id(&["-o", &dsn(&format!("f{}@sentry.example/1", &key[1..]))]), "a key may be rotated");
    assert_ne!(there, id(&["-o", &dsn(&format!("{key}@sentry.example/2"))]));
    assert_ne!(there, id(&[]));
}

fn each_record_names_its_destination() {
    let directory = TempDir::new("explain").unwrap();
    let key = "0123456789abcdef0123456789abcdef";
    std::fs::write(directory.path().join("shop"), format!("https://{key}@shop.example/7\n")).unwrap();
    let of = |namespace: &str, annotation: Value| {
        let pod =
            json!({"namespace_name": namespace, "pod_name": "p", "container_name": "c", "annotations": annotation});
        json!({"message": "a", "level": "error", "time": "2026-11-20T08:00:00Z", "kubernetes": pod})
    };
    let asks = json!({"k8s.sentry.io/dsn": format!("https://{key}@own.example/8")});
    let records = json_lines(&[of("shop", json!({})), of("shop", asks), of("other", json!({}))]);
    let from = format!("dsn_dir={}", directory.path().display());
    let results = explained(&["-o", &from, "-o", "dsn_allow_hosts=own.example"], &records);
    for category in ["event", "log"] {
        assert_eq!(result(&results, 1, category)["destination"], "https://***@shop.example/7");
        assert_eq!(result(&results, 2, category)["destination"], "https://***@own.example/8");
        let nowhere = result(&results, 3, category);
        assert_eq!((&nowhere["outcome"], nowhere["destination"].is_null()), (&json!("filtered"), true), "{nowhere}");
        assert!(nowhere["reason"].as_str().unwrap().contains("names a destination for it"), "{nowhere}");
    }
    let alone = explained(&["-o", &format!("dsn=https://{key}@shop.example/7")], &records);
    let id = |results: &[Value]| result(results, 1, "event")["payload"]["event_id"].clone();
    assert_eq!(id(&results), id(&alone));
    assert!(result(&alone, 1, "event")["destination"].is_null(), "one destination needs no name");
    let output = fed(&["-o", "dsn_file=/nowhere/dsn"], &records);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("dsn_file = /nowhere/dsn: No such file"), "{}", stderr(&output));
}

fn inputs_that_cannot_be_read() {
    let output = command(&["/nowhere/x.jsonl"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("/nowhere/x.jsonl: No such file"), "{}", stderr(&output));
    let output = command(&["/"]).output().unwrap();
    assert!(output.status.code() == Some(4) && stderr(&output).contains("is a directory"), "{}", stderr(&output));
    let output = fed(&["-"], b"\x1f\x8b\x08\0");
    assert!(output.status.code() == Some(4) && stderr(&output).contains("zcat"), "{}", stderr(&output));
}

fn captured_chunks() {
    let explain = |name: &str| explained(&[chunk(name).to_str().unwrap()], b"");
    let otlp = explain("otlp");
    let event = &result(&otlp, 1, "event")["payload"];
    assert_eq!(event["contexts"]["trace"]["trace_id"], "5b8efff798038103d269b633813fc60c");
    assert_eq!((&event["release"], &event["environment"]), (&json!("2.14.3"), &json!("production")));
    assert_eq!(result(&otlp, 1, "event")["keys"]["level"], "otlp");
    let forward = explain("forward");
    assert_eq!(result(&forward, 2, "event")["payload"]["breadcrumbs"]["values"][0]["message"], "forwarded one");
    let syslog = explain("syslog");
    assert_eq!(result(&syslog, 1, "event")["keys"]["level"], "pri");
    assert_eq!(result(&syslog, 1, "event")["payload"]["logger"], "nginx");
    let kubernetes = explain("kubernetes");
    let trace = result(&kubernetes, 5, "event");
    assert_eq!(trace["payload"]["exception"]["values"][0]["type"], "OutOfStock");
    assert_eq!(trace["payload"]["tags"]["k8s.namespace.name"], "shop");
    assert_eq!(kubernetes.len(), 290);
    // Standard input has no name that ends in .msgpack.
    assert_eq!(explained(&["-"], &std::fs::read(chunk("kubernetes")).unwrap()).len(), 290);
}

fn a_trace_whole_and_line_by_line_is_the_same() {
    for name in [
        "dotnet/nested",
        "go/index",
        "java/causes",
        "node/cause",
        "php/previous",
        "python/cause",
        "ruby/full_top",
        "rust/full",
    ] {
        let text = std::fs::read_to_string(workspace().join(format!("tests/traces/{name}.txt"))).unwrap();
        let exceptions = |records: &[Value]| {
            let results = explained(&[], &json_lines(records));
            let mut events = results.iter().filter(|result| result["payload"]["exception"].is_object());
            let event = events.next().unwrap_or_else(|| panic!("{name}: no event"));
            assert!(events.next().is_none(), "{name}: two events");
            event["payload"]["exception"].clone()
        };
        let whole = exceptions(&[json!({"log": text})]);
        let lines: Vec<_> = text.lines().map(|line| json!({"log": line})).collect();
        assert_eq!(exceptions(&lines), whole, "{name}");
        let frames = whole["values"].as_array().unwrap().iter().map(|value| &value["stacktrace"]["frames"]);
        assert!(frames.filter_map(Value::as_array).any(|frames| !frames.is_empty()), "{name}");
    }
}

/// Returns the billed bytes of the logs of the samples with these attributes.
fn billed(samples: &samples::Samples, attributes: &str) -> u64 {
    let attributes = format!("log_attributes={attributes}");
    let args = ["--json", "--kube-meta", samples.kube_meta.to_str().unwrap(), "-o", &attributes];
    let mut sum = 0;
    for file in &samples.files {
        let output = command(&args).arg(file).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        for result in results(&output) {
            let is_log = result["category"] == "log" && result["outcome"] == "accepted";
            assert_eq!(result["billed"].is_u64(), is_log, "{result}");
            sum += result["billed"].as_u64().unwrap_or_default();
        }
    }
    sum
}

fn lean_logs_of_the_samples_cost_less() {
    let directory = TempDir::new("explain").unwrap();
    let samples = samples::fresh(directory.path()).unwrap();
    let [lean, full] = ["lean", "full"].map(|attributes| billed(&samples, attributes));
    assert!(full > 200_000 && lean * 100 <= full * 45, "expected at most 45 %, found {lean} of {full} bytes");
}
