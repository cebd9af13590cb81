//! A process that the kernel of this machine kills because a memory cgroup is full, seen through Fluent Bit's input `kmsg`.

use super::feed::Feed;
use super::harness::{self, ARRIVES_WITHIN};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::fluent_bit::SERVICE;

const LIMIT: &str = "33554432";

/// A memory cgroup with the path that containerd gives to a container of a pod. Dropping it removes it.
struct Cgroup {
    /// The cgroup of the pod, and the one of the container in it.
    pod: PathBuf,
    container: PathBuf,
}

impl Cgroup {
    /// Creates it below the root of the memory controller, version 1 or 2.
    ///
    /// # Errors
    /// The reason why this process cannot.
    fn create(id: &str) -> Result<Self, String> {
        let (root, limits): (_, &[_]) = match Path::new("/sys/fs/cgroup/memory").is_dir() {
            true => ("/sys/fs/cgroup/memory", &[("memory.limit_in_bytes", LIMIT)]),
            false => ("/sys/fs/cgroup", &[("memory.max", LIMIT), ("memory.swap.max", "0")]),
        };
        let pod = Path::new(root).join(format!("kubepods-test-pod{}", std::process::id()));
        let new = Self { container: pod.join(format!("cri-containerd-{id}.scope")), pod };
        let refused = |error: std::io::Error| format!("no cgroup with a memory limit: {error}");
        fs::create_dir(&new.pod).map_err(refused)?;
        if root == "/sys/fs/cgroup" {
            fs::write(new.pod.join("cgroup.subtree_control"), "+memory").map_err(refused)?;
        }
        fs::create_dir(&new.container).map_err(refused)?;
        limits.iter().try_for_each(|(name, limit)| fs::write(new.container.join(name), limit)).map_err(refused)?;
        Ok(new)
    }

    /// Runs a process in it that takes memory until the kernel kills it.
    fn fill(&self) {
        let procs = self.container.join("cgroup.procs");
        let script = format!("echo $$ > {} && exec tail /dev/zero", procs.display());
        let status = Command::new("sh").args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert_eq!(status.expect("expected a shell").signal(), Some(9), "expected the kernel to kill it");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.container);
        let _ = fs::remove_dir(&self.pod);
    }
}

/// Returns an error with the reason if this process cannot read the kernel's log or limit memory.
pub fn is_possible() -> Result<(), String> {
    File::open("/dev/kmsg").map_err(|error| format!("/dev/kmsg: {error}"))?;
    Cgroup::create(&"0".repeat(64)).map(|_| ())
}

/// The container whose log has been seen gets the issue, with its lines; a container of the same pod gets none.
pub fn a_killed_process_is_an_issue_of_its_container() {
    let id = format!("{:032x}{:032x}", 0x5a1b, std::process::id());
    let (feed, receiver) = (Feed::new(), harness::receiver(""));
    let logs = feed.file().parent().expect("expected a directory").join("var/log/containers");
    fs::create_dir_all(&logs).expect("expected a directory");
    let other = format!("{:064x}", 7);
    for (container, id) in [("app", &id), ("proxy", &other)] {
        let text: String =
            (0..3).map(|n| format!("2026-11-24T06:00:00.{n:09}Z stdout F {container} loads batch {n}\n")).collect();
        let name = format!("web-7d9f6c5b8-x2x4z_shop_{container}-{id}.log");
        fs::write(logs.join(name), text).expect("expected to write a log");
    }
    let output = harness::output("out", &receiver.dsn(), &["spool_path ${STATE}/spool"]);
    let config = format!(
        "{SERVICE}[INPUT]\n    Name tail\n    Tag kube.*\n    Path {}/*.log\n    multiline.parser cri\n    Read_from_Head On\n    \
         Refresh_Interval 1\n[INPUT]\n    Name kmsg\n    Tag kernel\n{output}",
        logs.display()
    );
    let mut host = harness::start(&config, &[]);
    let has_lines = receiver.wait_until(ARRIVES_WITHIN, |seen| {
        let of = |container: &str| {
            seen.logs
                .iter()
                .filter(|log| log.payload["body"].as_str().is_some_and(|body| body.starts_with(container)))
                .count()
        };
        of("app loads") == 3 && of("proxy loads") == 3
    });
    assert!(has_lines, "{:?}\n{}", receiver.totals(), host.log());
    Cgroup::create(&id).expect("expected a cgroup").fill();
    let is_kill = |event: &Value| event["tags"]["k8s.pod.name"] == "web-7d9f6c5b8-x2x4z";
    let arrived = receiver.wait_until(ARRIVES_WITHIN, |seen| seen.events.iter().any(|event| is_kill(&event.payload)));
    assert!(arrived, "{:?}\n{}", receiver.totals(), host.log());
    harness::stop(&mut host);
    let events: Vec<Value> = receiver.events().into_iter().map(|event| event.payload.clone()).filter(is_kill).collect();
    let [event] = events.as_slice() else { panic!("expected one event, found {events:#?}") };
    assert_eq!(event["exception"]["values"][0]["type"], "OOMKilled", "{event:#}");
    assert_eq!(event["tags"]["k8s.container.name"], "app");
    assert_eq!((&event["tags"]["process.executable.name"], &event["level"]), (&json!("tail"), &json!("fatal")));
    let crumbs = event["breadcrumbs"]["values"].as_array().expect("expected breadcrumbs");
    let texts: Vec<_> = crumbs.iter().filter_map(|crumb| crumb["message"].as_str()).collect();
    assert_eq!(texts, ["app loads batch 0", "app loads batch 1", "app loads batch 2"]);
    assert_eq!(receiver.problems(), Vec::<String>::new());
}
