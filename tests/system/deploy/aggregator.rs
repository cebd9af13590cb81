//! Agents forward to an aggregator, as they would to Fluentd: TLS, a shared key, acknowledgements, and the aggregator killed.

use super::place::{self, Place, plain};
use out_sentry::clock::WallTime;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use testkit::arrivals;
use testkit::fluent_bit::Format;
use testkit::net::free_port;

const KILLS: usize = 2;

/// Lines every ten milliseconds.
const PACE: u64 = 5;

/// One of the samples' pods, whose metadata is there.
const LOG: &str = "var/log/containers/web-6d5c9b7f88-lq9zt_shop_web-\
                   7c6775b3c117211490ad48b0326d0f4b883525c60b9a8383096151b2a982092e.log";

/// Name of the service in the agents' configuration and in the certificate.
const SERVICE: &str = "sentry-aggregator.logging.svc";

/// The shared key of both ends, as their environment has it.
pub const KEY: (&str, &str) = ("FORWARD_SHARED_KEY", "thirty-two-bytes-of-a-shared-key");

/// The time as a container runtime writes it.
pub fn now() -> String {
    WallTime::from(SystemTime::now()).rfc3339()
}

/// A certificate of this machine's that signs itself, for both ends.
pub fn certificate(openssl: &Path, aggregator: &Place, agent: &Place) {
    let (key, certificate) = (aggregator.path("tls.key"), aggregator.path("tls.crt"));
    let mut command = Command::new(openssl);
    command.args(
        "req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=aggregator".split(' '),
    );
    command.args(["-addext", "subjectAltName=DNS:localhost", "-keyout", plain(&key), "-out", plain(&certificate)]);
    let output = command.output().expect("expected to run openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |path: &Path| std::fs::read_to_string(path).expect("expected a file of openssl");
    aggregator.write("fluent-bit/tls/tls.key", &read(&key));
    aggregator.write("fluent-bit/tls/tls.crt", &read(&certificate));
    agent.write("fluent-bit/tls/ca.crt", &read(&certificate));
}

/// Appends numbered lines, every tenth an error, until told to stop; how many there are.
fn append(file: &Path, stop: &AtomicBool) -> u64 {
    let mut file = File::options().append(true).create(true).open(file).expect("expected a log");
    let mut next = 0;
    while !stop.load(Ordering::Relaxed) || next % 10 != 0 {
        let mut lines = String::new();
        for number in next..next + PACE {
            let level = if number % 10 == 0 { "error" } else { "info" };
            _ = writeln!(
                lines,
                "{} stdout F {{\"n\":{number},\"level\":\"{level}\",\"msg\":\"order {number}\"}}",
                now()
            );
        }
        file.write_all(lines.as_bytes()).expect("expected to append");
        next += PACE;
        std::thread::sleep(Duration::from_millis(10));
    }
    next
}

pub fn killed(openssl: &Path) {
    let (receiver, mut above) = place::sentry();
    let below = Place::new("");
    above.more = &["storm_burst 0", "event_rate 0", "batch_timeout 100ms"];
    place::with_pods(&below);
    certificate(openssl, &above, &below);
    let port = free_port().expect("expected a port").to_string();
    let own_port = |config: &str| super::text(config).replace(" 24224", &format!(" {port}"));
    let aggregator = own_port("deploy/kube-logging/aggregator/base/aggregator.conf");
    let mut aggregator = above.start(&aggregator, Format::Classic, &[KEY, ("POD_NAME", "sentry-aggregator-0")]);
    let agent = own_port("deploy/kube-logging/aggregator/agent.conf");
    assert!(agent.contains(SERVICE), "expected the agents to know the aggregator as {SERVICE}");
    let agent = agent.replacen(SERVICE, "localhost\n    net.dns.prefer_ipv4 On", 1);
    let agent = below.start(&agent, Format::Classic, &[KEY, ("NODE_NAME", "node-1")]);

    let stop = AtomicBool::new(false);
    let total = std::thread::scope(|scope| {
        let writer = scope.spawn(|| append(&below.path(LOG), &stop));
        for _ in 0..KILLS {
            let before = receiver.totals().logs;
            let more = receiver.wait_until(Duration::from_secs(30), |seen| seen.totals.logs >= before + 300);
            assert!(more, "{:?}\nagent:\n{}\naggregator:\n{}", receiver.totals(), agent.log(), aggregator.log());
            aggregator.kill();
            // What the agent has meanwhile it must keep.
            std::thread::sleep(Duration::from_millis(500));
            aggregator.restart().expect("expected a restart");
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().expect("expected the writer to end")
    });
    arrivals::wait_for_all(&receiver, total, || format!("agent:\n{}\naggregator:\n{}", agent.log(), aggregator.log()));
    let seen = receiver.snapshot();
    // Sent again is a chunk whose acknowledgement the kill took with it; its events keep their ids.
    assert_eq!(arrivals::events(&seen).into_values().max(), Some(1), "an event came under two ids");
    let pods = seen.logs.iter().all(|log| log.payload["attributes"]["k8s.namespace.name"]["value"] == "shop");
    assert!(pods, "expected the agent's metadata to have travelled: {:#}", seen.logs[0].payload);
    let cut = |problem: &String| problem.contains("connection closed");
    assert_eq!(receiver.problems().into_iter().filter(|problem| !cut(problem)).collect::<Vec<_>>(), [""; 0]);
}
