//! A cluster that keeps Fluentd: its forward output hands over to the aggregator, whose connection breaks and which is killed.

use super::aggregator::{KEY, certificate};
use super::place;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testkit::arrivals;
use testkit::fluent_bit::Format;
use testkit::net::free_port;
use testkit::process::on_path;

/// Fluentd's side of the protocol.
struct Fluentd {
    python: PathBuf,
    port: String,
    ca: PathBuf,
    /// Seconds since 1970, of every record: a chunk that is sent again has the same bytes.
    time: String,
}

impl Fluentd {
    /// Runs a command of `fluentd.py` and returns what it prints.
    ///
    /// # Errors
    /// Text that Fluentd logs when the aggregator does not answer as it expects.
    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(&self.python);
        command.arg(super::file("tests/system/deploy/fluentd.py")).arg(&self.port).arg(&self.ca).arg(KEY.1);
        command.arg(&self.time).args(arguments);
        let output = command.output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Sends a chunk until it is acknowledged, as Fluentd does, and returns how often it was sent.
    fn deliver(&self, chunk: &str, arguments: &[&str]) -> u64 {
        let all = [&["send", chunk], arguments].concat();
        let mut last = String::new();
        for attempt in 1..=40 {
            match self.run(&all) {
                Ok(_) => return attempt,
                Err(why) => last = why,
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        panic!("chunk {chunk} was never acknowledged: {last}");
    }
}

/// A Python that needs no packages.
///
/// # Errors
/// Why there is none.
pub fn python() -> Result<PathBuf, String> {
    on_path("python3").ok_or_else(|| "no python3 on PATH".to_owned())
}

pub fn delivers(python: &Path, openssl: &Path) {
    let (receiver, mut place) = place::sentry();
    place.more = &["storm_burst 0", "event_rate 0", "batch_timeout 100ms"];
    let agent = place::Place::new("");
    certificate(openssl, &place, &agent);
    let port = free_port().expect("expected a port").to_string();
    let config = super::text("deploy/kube-logging/aggregator/base/aggregator.conf");
    let config = config.replace(" 24224", &format!(" {port}"));
    let env = [KEY, ("POD_NAME", "sentry-aggregator-0")];
    let mut aggregator = place.start(&config, Format::Classic, &env);
    let ca = agent.path("fluent-bit/tls/ca.crt");
    let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("expected a time after 1970").as_secs().to_string();
    let fluentd = Fluentd { python: python.to_owned(), port, ca, time };

    let refused = fluentd.run(&["wrong-key"]).expect("expected a wrong key to be refused");
    assert!(refused.contains("refused"), "{refused}");
    fluentd.run(&["heartbeat"]).expect("expected a heartbeat to pass");

    // PackedForward, CompressedPackedForward, and a tag that a Flow has changed.
    assert_eq!(fluentd.deliver(&id(1), &["0", "200"]), 1);
    assert_eq!(fluentd.deliver(&id(2), &["200", "200", "--gzip"]), 1);
    assert_eq!(fluentd.deliver(&id(3), &["400", "100", "--gzip", "--tag", "shop.web-6d5c9b7f88-lq9zt.web"]), 1);
    fluentd.run(&["heartbeat"]).expect("expected a heartbeat to pass");
    // Small when it is compressed and 18 MB when it is not: more than Fluent Bit takes by default.
    assert_eq!(fluentd.deliver(&id(4), &["500", "3000", "--gzip", "--pad", "5400"]), 1);

    // The connection is lost between chunk and acknowledgement: Fluentd sends the chunk again.
    fluentd.run(&["send", &id(5), "3500", "100", "--gzip", "--lose-ack"]).expect("expected a chunk to be sent");
    // Fluentd waits longer than one flush for an acknowledgement. Within one, Fluent Bit makes a single chunk of both, in which
    // the second event is another one.
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(fluentd.deliver(&id(5), &["3500", "100", "--gzip"]), 1);

    // A kill repeats the logs of envelopes that are on their way: let those before it arrive.
    let settled = receiver.wait_until(Duration::from_secs(90), |seen| arrivals::logs(seen).len() == 3600);
    assert!(settled, "{:?}\n{}", receiver.totals(), aggregator.log());

    // The aggregator dies before it has answered, and again right after it has.
    fluentd.run(&["send", &id(6), "3600", "100", "--lose-ack"]).expect("expected a chunk to be sent");
    aggregator.kill();
    assert!(fluentd.run(&["heartbeat"]).is_err(), "expected nobody to listen");
    aggregator.restart().expect("expected a restart");
    fluentd.deliver(&id(6), &["3600", "100"]);
    aggregator.kill();
    aggregator.restart().expect("expected a restart");
    fluentd.deliver(&id(7), &["3700", "100", "--gzip"]);

    const TOTAL: u64 = 3800;
    arrivals::wait_for_all(&receiver, TOTAL, || aggregator.log());
    let seen = receiver.snapshot();
    let logs = arrivals::logs(&seen);
    let repeated: Vec<u64> = logs.iter().filter(|(_, count)| **count > 1).map(|(number, _)| *number).collect();
    // Only chunks that were sent twice may repeat, and what was on its way when the aggregator was killed.
    assert!(repeated.iter().all(|number| (3500..TOTAL).contains(number)), "{repeated:?}");
    assert_eq!(arrivals::events(&seen).into_values().max(), Some(1), "an event came under two ids");
    let of_pod =
        |name: &str, value: &str| seen.logs.iter().all(|log| log.payload["attributes"][name]["value"] == value);
    assert!(of_pod("k8s.namespace.name", "shop") && of_pod("k8s.pod.name", "web-6d5c9b7f88-lq9zt"));
    let cut = |problem: &String| problem.contains("connection closed");
    assert_eq!(receiver.problems().into_iter().filter(|problem| !cut(problem)).collect::<Vec<_>>(), [""; 0]);
    eprintln!("fluentd: {TOTAL} records, {} logs came more than once after lost acknowledgements", repeated.len());
}

/// A chunk's id: 16 bytes as hexadecimal digits.
fn id(number: u64) -> String {
    format!("{number:032x}")
}
