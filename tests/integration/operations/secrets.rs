//! A key and a password that nobody else has, put wherever they can be put, and looked for in all that comes out.

use receiver::{Options, Receiver};
use serde_json::json;
use std::ffi::OsStr;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use testkit::net::free_port;
use testkit::output::{PATIENCE, load, options};
use testkit::process::Launch;
use testkit::shipping::Shipping;
use testkit::{chunk, companion, wait};

/// A key and a password for this run.
struct Secrets {
    key: String,
    password: String,
}

impl Secrets {
    fn new() -> Self {
        let random = || RandomState::new().hash_one(0);
        Self { key: format!("{:016x}{:016x}", random(), random()), password: format!("pw{:016x}", random()) }
    }

    fn dsn(&self, address: SocketAddr) -> String {
        format!("http://{}@{address}/1", self.key)
    }

    fn proxy(&self, address: SocketAddr) -> String {
        format!("http://me:{}@{address}", self.password)
    }

    fn assert_not_in(&self, what: &str, text: &str) {
        for secret in [&self.key, &self.password] {
            assert!(!text.contains(secret.as_str()), "{what} shows {secret}:\n{text}");
        }
    }

    /// Neither in names nor in contents of what a directory holds.
    fn assert_not_below(&self, what: &str, dir: &Path) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            self.assert_not_in(what, &path.display().to_string());
            match path.is_dir() {
                true => self.assert_not_below(what, &path),
                false => self.assert_not_in(what, &String::from_utf8_lossy(&fs::read(&path).unwrap_or_default())),
            }
        }
    }
}

/// An address nobody listens at.
fn nobody() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().expect("expected a free port")))
}

/// A server that refuses, and repeats in its words all that it was told.
fn parrot() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("expected a free port");
    let address = listener.local_addr().expect("expected an address");
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let Ok(input) = client.try_clone() else { continue };
            let head: Vec<_> =
                BufReader::new(input).lines().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
            let words = head.iter().find(|line| line.to_ascii_lowercase().starts_with("x-sentry-auth")).cloned();
            let words = words.unwrap_or_default();
            let head =
                format!("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", words.len());
            _ = client.write_all(head.as_bytes()).and_then(|()| client.write_all(words.as_bytes()));
        }
    });
    address
}

/// Ships with these options and variables; whatever comes of it, nothing that is written shows a secret. Returns the log.
fn ship(secrets: &Secrets, what: &str, options: &[&str], env: &[(&str, &str)], says: &str) {
    let shipping = Shipping::of(&chunk::numbered(0..20));
    let env: Vec<_> = env.iter().copied().chain([("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full")]).collect();
    assert!(shipping.run(options, &env).is_some(), "{what}: no end");
    let log = shipping.log();
    assert!(log.contains(says), "{what}: expected {says}: {log}");
    secrets.assert_not_below(what, shipping.dir());
}

pub fn shipping() {
    let secrets = &Secrets::new();
    let receiver = |faults: &str| {
        let faults = faults.parse().expect("expected faults");
        Receiver::start(Options { faults, ..Options::default() }).expect("expected a receiver")
    };
    std::thread::scope(|scope| {
        for (faults, says) in [
            ("", "accepts items"),
            ("forever:403", "rejects everything (403"),
            ("forever:429,retry-after=60", "limits"),
            ("forever:503", "is unreachable (503"),
            ("forever:cut-before-body", "is unreachable ("),
            ("forever:garbage", "is unreachable ("),
            ("ok then forever:400", "rejects a single"),
            ("forever:302,location=http://127.0.0.1:9/", "rejects everything (302"),
        ] {
            scope.spawn(move || {
                let receiver = receiver(faults);
                // One sender, so that the first answer is the first.
                let options = [&format!("dsn={}", secrets.dsn(receiver.addr())), "senders=1"];
                ship(secrets, faults, &options, &[], says);
            });
        }
        scope.spawn(|| {
            let dsn = secrets.dsn(nobody());
            ship(secrets, "nobody", &[], &[("SENTRY_DSN", &dsn)], "is unreachable (connection refused)");
            ship(secrets, "tls", &[], &[("SENTRY_DSN", &dsn.replace("http", "https"))], "is unreachable (");
        });
        scope.spawn(|| {
            let dsn = format!("dsn={}", secrets.dsn(parrot()));
            ship(secrets, "a server that repeats the key", &[&dsn], &[], "sentry_key=***");
        });
        scope.spawn(|| {
            let (dsn, away) = (format!("dsn={}", secrets.dsn(nobody())), secrets.proxy(nobody()));
            let option = format!("proxy={away}");
            ship(secrets, "a proxy that is away", &[&dsn, &option], &[], "connection refused");
            ship(secrets, "a proxy of the environment", &[&dsn], &[("http_proxy", &away)], "connection refused");
            let refusing = secrets.proxy(parrot());
            ship(secrets, "a proxy that refuses", &[&dsn, &format!("proxy={refusing}")], &[], "does not allow CONNECT");
        });
    });
}

/// Values that hold a secret, in options that are right for them and in those that are not.
pub fn refused() {
    let secrets = Secrets::new();
    let address: SocketAddr = ([127, 0, 0, 1], 9).into();
    let (dsn, proxy) = (secrets.dsn(address), secrets.proxy(address));
    let key = &secrets.key;
    let malformed = [
        format!("{dsn}/x"),
        format!("{dsn}?y"),
        format!("{dsn} {dsn}"),
        format!("\"{dsn}\""),
        dsn.replace("http://", ""),
        dsn.replace("http://", "http:/"),
        dsn.replace("/1", ""),
        dsn.replace('@', "@@"),
        format!("http://{key}{key}@h/1"),
        format!("http://{key}@h:port/1"),
        format!("http://{key}/1"),
        key.clone(),
    ];
    let wrong_proxies =
        [proxy.replace("http", "socks5"), proxy.replace("http://", ""), proxy.replace("//", "/"), proxy + " x"];
    let mut cases: Vec<(&str, String)> = malformed.into_iter().map(|text| ("dsn", text)).collect();
    cases.extend(wrong_proxies.into_iter().map(|text| ("proxy", text)));
    for option in ["dsn_file", "dsn_dir", "spool_path", "environment", "tls_ca_file", "senders", "event_level", "proxy"]
    {
        cases.push((option, dsn.clone()));
    }
    for (option, value) in &cases {
        let given = [(*option, value.as_str()), ("timeout", "0"), ("batch_timeout", "soon")];
        let right = secrets.dsn(address);
        let all = options(&right, &given);
        let lines = match load().instance("test", &all) {
            Ok(instance) => panic!("accepted {given:?}: {:#?}", instance.log_lines()),
            Err(error) => [format!("{error} {error:?}"), format!("{:#?}", error.log_lines)].concat(),
        };
        secrets.assert_not_in(option, &lines);
        assert!(lines.contains("batch_timeout = soon: expected"), "{lines}");
        // The same through the library, with every printed form.
        let find = |name: &str| all.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        let problems = out_sentry::options::load(find, |_| None).expect_err("expected a refusal");
        secrets.assert_not_in(option, &format!("{problems:?} {problems:#?}"));
    }
    let bad = |name: &str| Some(secrets.dsn(address) + "x").filter(|_| name == "SENTRY_DSN");
    let problems = out_sentry::options::load(|_| None, bad).expect_err("expected a refusal");
    secrets.assert_not_in("SENTRY_DSN", &format!("{problems:?} {}", problems[0]));
    let good = |name: &str| (name == "dsn").then(|| secrets.dsn(address));
    let loaded = out_sentry::options::load(good, |_| Some(secrets.proxy(address))).expect("expected settings");
    secrets.assert_not_in("settings", &format!("{loaded:?} {loaded:#?}"));
}

/// Runs the companion and returns all that it says.
fn run(dir: &Path, args: &[&str], until: Option<&str>) -> String {
    let program = companion();
    let log = dir.join(format!("log-{}", args[0]));
    let launch = Launch {
        program: program.as_os_str(),
        args: args.iter().map(OsStr::new).collect(),
        env: Vec::new(),
        without_env: &["SENTRY_DSN"],
        dir,
        temporary: None,
        log: log.clone(),
    };
    let mut process = launch.start().expect("expected flb-sentry to start");
    let text = || String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
    match until {
        Some(words) => assert!(wait::until_true(PATIENCE, || text().contains(words)), "{args:?}: {}", text()),
        None => assert!(process.wait(PATIENCE).is_some(), "{args:?}: no end: {}", text()),
    }
    text()
}

pub fn explaining() {
    let secrets = Secrets::new();
    let dir = testkit::tempdir::TempDir::new("secrets").expect("expected a directory");
    let dsn = secrets.dsn(nobody());
    let pod = json!({"namespace_name": "shop", "pod_name": "web-0", "annotations": {"k8s.sentry.io/dsn": dsn}});
    let records = [json!({"message": format!("sending to {dsn}"), "level": "error", "dsn": dsn, "kubernetes": pod})];
    let file = dir.path().join("in.json");
    fs::write(&file, records[0].to_string()).expect("expected to write a file");
    let file = file.to_str().expect("expected a plain path");
    let said = run(dir.path(), &["explain", "-o", &format!("dsn={dsn}"), file], None);
    assert!(said.contains("accepted"), "{said}");
    secrets.assert_not_in("explain", &said);
    let said = run(dir.path(), &["explain", "-o", &format!("dsn={dsn}x"), file], None);
    secrets.assert_not_in("explain with a DSN that is wrong", &said);
    for args in [["explain", "-o"], ["ship", "-o"], ["receive", "--forward"]] {
        let said = run(dir.path(), &[args[0], args[1], &dsn.replace("/1", " 1")], None);
        assert!(said.contains("expected"), "{said}");
        secrets.assert_not_in("an argument that is wrong", &said);
    }
    let forward = run(dir.path(), &["receive", "--listen", "127.0.0.1:0", "--forward", &dsn], Some("dsn http"));
    secrets.assert_not_in("receive --forward", &forward);
    // Records are not the plugin's secrets, but what they say about where to send must not reach the log.
    let shipping = Shipping::of(&chunk::of(&records));
    let allowed = [&format!("dsn={dsn}"), "dsn_allow_hosts=sentry.example.com"];
    assert!(shipping.run(&allowed, &[]).is_some(), "no end");
    let log = shipping.log();
    assert!(log.contains("the annotation of a pod is ignored"), "{log}");
    secrets.assert_not_in("a refused annotation", &log);
}
