//! Kubernetes events and container logs through a real Fluent Bit, against a scripted API server.

use super::feed::Feed;
use super::harness::{self, ARRIVES_WITHIN};
use out_sentry::clock::WallTime;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, SystemTime};
use std::{fs, io};
use testkit::bugsink::{Bugsink, Options};
use testkit::fluent_bit::{FluentBit, SERVICE};
use testkit::wait;

const POD: &str = "checkout-7d9c6b5f4-x2k4q";
const ID: &str = "5a1b2c3d4e5f60718293a4b5c6d7e8f95a1b2c3d4e5f60718293a4b5c6d7e8f9";

/// An API server that knows a pod, lists an event and then streams others.
struct ApiServer {
    port: u16,
}

impl ApiServer {
    /// `listed` comes at once, `watched` two seconds later, each as often as it is asked for.
    fn start(listed: Vec<Value>, watched: Vec<Value>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("expected a port");
        let port = listener.local_addr().expect("expected an address").port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (listed, watched) = (listed.clone(), watched.clone());
                thread::spawn(move || serve(stream, &listed, &watched));
            }
        });
        Self { port }
    }
}

/// Answers the requests of a connection until it is closed.
fn serve(mut stream: TcpStream, listed: &[Value], watched: &[Value]) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
        if request.contains("watch=1") {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            thread::sleep(Duration::from_secs(2));
            for (number, event) in watched.iter().enumerate() {
                // The input passes over what is not newer than what it has seen.
                let mut event = event.clone();
                event["metadata"]["resourceVersion"] = json!((103 + number).to_string());
                let line = json!({"type": "ADDED", "object": event}).to_string() + "\n";
                stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes())?;
                stream.flush()?;
                thread::sleep(Duration::from_secs(1));
            }
            thread::sleep(Duration::from_secs(60));
            return Ok(());
        }
        let body = match request.contains("/pods/") {
            true => pod(),
            false => {
                json!({"kind": "EventList", "apiVersion": "v1", "metadata": {"resourceVersion": "102"}, "items": listed})
            }
        };
        let body = body.to_string();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        stream.flush()?;
    }
}

fn pod() -> Value {
    json!({"kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": POD, "namespace": "shop", "uid": "0330b2c1-a15b-4cdd-b5e5-72d4a90bee82",
            "labels": {"app": "checkout", "pod-template-hash": "7d9c6b5f4"}, "annotations": {}},
        "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "registry.example/shop/checkout:2.14.3"}]},
        "status": {"podIP": "10.0.0.9", "containerStatuses": [{"name": "app", "containerID": format!("containerd://{ID}"),
            "image": "registry.example/shop/checkout:2.14.3", "imageID": "registry.example/shop/checkout@sha256:0"}]}})
}

/// A time of so many seconds ago as RFC 3339.
fn ago(seconds: u64) -> String {
    let text = WallTime::from(SystemTime::now()).saturating_sub(Duration::from_secs(seconds)).rfc3339();
    format!("{}Z", &text[..19])
}

fn event(uid: &str, reason: &str, changes: &Value) -> Value {
    let mut event = json!({
        "metadata": {"name": format!("{POD}.{uid}"), "namespace": "shop", "uid": uid, "resourceVersion": "103",
            "creationTimestamp": ago(60), "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:count": {}}}]},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": POD, "uid": "u", "apiVersion": "v1",
            "fieldPath": "spec.containers{app}"},
        "reason": reason, "message": format!("{reason} of a container"), "source": {"component": "kubelet", "host": "node-1"},
        "firstTimestamp": ago(60), "lastTimestamp": ago(0), "count": 7, "type": "Warning", "eventTime": null,
        "reportingComponent": "kubelet", "reportingInstance": "node-1",
    });
    event.as_object_mut().expect("expected an object").extend(changes.as_object().expect("expected an object").clone());
    event
}

/// Returns an API server with one event that is listed, and watched warnings of this node, of no node and of another one.
fn server() -> ApiServer {
    let nowhere = json!({"source": {}, "lastTimestamp": null, "firstTimestamp": null, "count": 0,
        "eventTime": "2026-11-24T06:00:00.123456Z", "reportingComponent": "default-scheduler", "reportingInstance": ""});
    let mut recent = nowhere.clone();
    recent["eventTime"] = json!(format!("{}.123456Z", &ago(30)[..19]));
    let elsewhere = json!({"source": {"component": "kubelet", "host": "node-2"}, "reportingInstance": "node-2"});
    let watched = vec![
        event("u-backoff", "BackOff", &json!({})),
        event("u-scheduling", "FailedScheduling", &recent),
        event("u-elsewhere", "Unhealthy", &elsewhere),
    ];
    ApiServer::start(vec![event("u-pulled", "Pulled", &json!({"type": "Normal"}))], watched)
}

/// Thirty lines of a container, on both of its streams in turn, the last of them an error.
fn write_log(feed: &Feed) -> String {
    let dir = feed.file().parent().expect("expected a directory").join("var/log/containers");
    fs::create_dir_all(&dir).expect("expected a directory");
    let line = |n: usize| {
        let stream = if n.is_multiple_of(2) { "stdout" } else { "stderr" };
        let text = if n == 29 { "ERROR cannot connect to db".to_owned() } else { format!("step {n}") };
        format!("{}.{n:09}Z {stream} F {text}\n", &ago(20)[..19])
    };
    let text: String = (0..30).map(line).collect();
    fs::write(dir.join(format!("{POD}_shop_app-{ID}.log")), text).expect("expected to write a log");
    dir.display().to_string()
}

fn start(server: &ApiServer, feed: &Feed, logs: &str, dsn: &str) -> FluentBit {
    let token = feed.write("token", "token");
    let prefix = format!("kube{}.", logs.replace('/', "."));
    let url = format!("http://127.0.0.1:{}", server.port);
    let token = token.display();
    let output = harness::output("out", dsn, &["spool_path ${STATE}/spool", "event_level error"]);
    let config = format!(
        "{SERVICE}[INPUT]\n    Name tail\n    Tag kube.*\n    Path {logs}/*.log\n    multiline.parser cri\n    Read_from_Head On\n    \
         Refresh_Interval 1\n[INPUT]\n    Name kubernetes_events\n    Tag k8s_events\n    Kube_URL {url}\n    Kube_Token_File {token}\n    \
         Interval_Sec 1\n[FILTER]\n    Name kubernetes\n    Match kube.*\n    Kube_URL {url}\n    Kube_Token_File {token}\n    \
         Kube_Tag_Prefix {prefix}\n{output}"
    );
    harness::start(&config, &[])
}

/// Two hosts with the same input, the second after the first has ended: what they send is the same event.
pub fn backoff_is_one_issue_with_the_last_lines() {
    let (feed, receiver, server) = (Feed::new(), harness::receiver(""), server());
    let logs = write_log(&feed);
    for round in 1..=2 {
        let mut host = start(&server, &feed, &logs, &receiver.dsn());
        let is_backoff = |event: &Value| event["tags"]["k8s.event.reason"] == "BackOff";
        let complete = receiver.wait_until(ARRIVES_WITHIN, |seen| {
            let of = |reason: &str| {
                let all = seen.events.iter().filter(|event| event.payload["tags"]["k8s.event.reason"] == reason);
                all.count() >= round
            };
            of("BackOff") && of("FailedScheduling")
        });
        assert!(complete, "{:?}\n{}", receiver.totals(), host.log());
        let events = receiver.events();
        let backoffs: Vec<&Value> =
            events.iter().map(|event| &event.payload).filter(|event| is_backoff(event)).collect();
        let event = backoffs[round - 1];
        assert_eq!(event["event_id"], backoffs[0]["event_id"], "a restart makes no other event");
        assert_eq!(event["logentry"]["message"], "BackOff: app in shop/checkout");
        assert_eq!((&event["level"], &event["release"]), (&json!("error"), &json!("checkout@2.14.3")), "{event:#}");
        let crumbs = event["breadcrumbs"]["values"].as_array().expect("expected breadcrumbs");
        let texts: Vec<&str> = crumbs.iter().filter_map(|crumb| crumb["message"].as_str()).collect();
        let expected: Vec<String> =
            (10..29).map(|n| format!("step {n}")).chain(["ERROR cannot connect to db".to_owned()]).collect();
        assert_eq!(texts, expected, "both streams in order");
        assert!(!event.to_string().contains("managedFields"));
        let scheduling = events.iter().find(|event| event.payload["tags"]["k8s.event.reason"] == "FailedScheduling");
        let time = scheduling.expect("expected an event of no node").payload["timestamp"].as_f64().unwrap_or_default();
        assert!((time.fract() - 0.123_456).abs() < 1e-4, "{time}");
        let elsewhere = |event: &Value| event["tags"]["k8s.node.name"] == "node-2";
        assert!(!events.iter().any(|event| elsewhere(&event.payload)), "an event of another node");
        assert!(receiver.logs().iter().any(|log| log.payload["body"] == "Pulled: Pulled of a container"));
        harness::stop(&mut host);
    }
    assert_eq!(receiver.problems(), Vec::<String>::new());
}

/// As its users see it, in a server that is not ours, from two hosts at once.
pub fn backoff_is_one_issue_in_bugsink() {
    let (feed, bugsink, server) = (Feed::new(), Bugsink::start(Options::default()).expect("Bugsink"), server());
    let logs = write_log(&feed);
    let mut hosts = [start(&server, &feed, &logs, &bugsink.dsn()), start(&server, &feed, &logs, &bugsink.dsn())];
    let issue = || {
        bugsink
            .issues()
            .unwrap_or_default()
            .into_iter()
            .find(|issue| issue.title.contains("BackOff: app in shop/checkout"))
    };
    assert!(wait::until_true(ARRIVES_WITHIN, || issue().is_some()), "{:?}\n{}", bugsink.issues(), hosts[0].log());
    hosts.iter_mut().for_each(harness::stop);
    let issue = issue().expect("expected an issue");
    assert_eq!((issue.level.as_str(), issue.count), ("error", 1), "one event of two hosts");
    let event = &bugsink.events(&issue.id).expect("expected its events")[0];
    assert_eq!(event["breadcrumbs"]["values"].as_array().map(Vec::len), Some(20), "{event:#}");
    assert_eq!(event["release"], "checkout@2.14.3");
}
