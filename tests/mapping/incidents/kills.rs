//! OOM kills as the kernel logs them: which lines are read, whose issue a kill becomes, and how two kills are told apart.

use super::{POD, UID, id, line, messages, with_lines};
use crate::mapped::{Mapped, Mapping, NOW};
use out_sentry::ledger::{Category, Outcome};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::chunk;

/// A kill as the kernel tells it: the line about the cgroup and the one about the process.
struct Pair {
    of: &'static str,
    cgroup: &'static str,
    chosen: &'static str,
    killed: &'static str,
    value: &'static str,
}

/// `ID` and `UID` stand for the container's id and the pod's uid, `U_ID` for the latter with `_`.
const PAIRS: &[Pair] = &[
    Pair {
        of: "containerd, systemd driver, cgroup v2, 6.x",
        cgroup: "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_ID.slice/cri-containerd-ID.scope",
        chosen: "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=cri-containerd-ID.scope,mems_allowed=0,oom_memcg=CGROUP,task_memcg=CGROUP,task=java,pid=41822,uid=1000",
        killed: "Memory cgroup out of memory: Killed process 41822 (java) total-vm:3849704kB, anon-rss:583680kB, file-rss:21504kB, shmem-rss:0kB, UID:1000 pgtables:1544kB oom_score_adj:999",
        value: "java (anon 570 MiB)",
    },
    Pair {
        of: "containerd, cgroupfs, 5.4",
        cgroup: "/kubepods/burstable/podUID/ID",
        chosen: "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=ID,mems_allowed=0-1,oom_memcg=/kubepods/burstable/podUID,task_memcg=CGROUP,task=node,pid=7331,uid=0",
        killed: "Memory cgroup out of memory: Killed process 7331 (node) total-vm:1206392kB, anon-rss:262016kB, file-rss:36864kB, shmem-rss:0kB, UID:0 pgtables:3412kB oom_score_adj:984",
        value: "node (anon 256 MiB)",
    },
    Pair {
        of: "containerd, best effort, whole container at once, 6.1",
        cgroup: "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_ID.slice/cri-containerd-ID.scope",
        chosen: "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=cri-containerd-ID.scope,mems_allowed=0,oom_memcg=CGROUP,task_memcg=CGROUP,task=python3,pid=90210,uid=65534",
        killed: "Memory cgroup out of memory: Killed process 90210 (python3) total-vm:812340kB, anon-rss:524288kB, file-rss:8192kB, shmem-rss:4kB, UID:65534 pgtables:1188kB oom_score_adj:1000",
        value: "python3 (anon 512 MiB)",
    },
    Pair {
        of: "containerd, systemd in the container",
        cgroup: "/kubepods.slice/kubepods-podU_ID.slice/cri-containerd-ID.scope/system.slice/app.service",
        chosen: "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=cri-containerd-ID.scope,mems_allowed=0,oom_memcg=/kubepods.slice/kubepods-podU_ID.slice,task_memcg=CGROUP,task=postgres,pid=511,uid=26",
        killed: "Memory cgroup out of memory: Killed process 511 (postgres) total-vm:400000kB, anon-rss:900kB, file-rss:0kB, shmem-rss:12288kB, UID:26 pgtables:188kB oom_score_adj:-997",
        value: "postgres (anon 900 KiB)",
    },
    Pair {
        of: "containerd below LXC, 5.15",
        cgroup: "/lxc.payload.ny2-lxc/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_ID.slice/cri-containerd-ID.scope",
        chosen: "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=cri-containerd-ID.scope,mems_allowed=0-1,oom_memcg=/lxc.payload.ny2-lxc/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_ID.slice,task_memcg=CGROUP,task=pt_main_thread,pid=461754,uid=0",
        killed: "Memory cgroup out of memory: Killed process 461754 (pt_main_thread) total-vm:91234567kB, anon-rss:66060288kB, file-rss:102400kB, shmem-rss:0kB, UID:0 pgtables:140000kB oom_score_adj:871",
        value: "pt_main_thread (anon 64512 MiB)",
    },
    Pair {
        of: "CRI-O, 5.14 of RHEL 9",
        cgroup: "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_ID.slice/crio-ID.scope",
        chosen: "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=crio-ID.scope,mems_allowed=0,oom_memcg=CGROUP,task_memcg=CGROUP,task=awx-manage,pid=3981798,uid=1000650000",
        killed: "Memory cgroup out of memory: Killed process 3981798 (awx-manage) total-vm:1023456kB, anon-rss:204800kB, file-rss:1024kB, shmem-rss:0kB, UID:1000650000 pgtables:944kB oom_score_adj:989",
        value: "awx-manage (anon 200 MiB)",
    },
    Pair {
        of: "CRI-O with crun, cgroup v2",
        cgroup: "/kubepods.slice/kubepods-podU_ID.slice/crio-ID.scope/container",
        chosen: "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=container,mems_allowed=0,oom_memcg=/kubepods.slice/kubepods-podU_ID.slice/crio-ID.scope,task_memcg=CGROUP,task=stress,pid=20233,uid=0",
        killed: "Memory cgroup out of memory: Killed process 20233 (stress) total-vm:264136kB, anon-rss:130808kB, file-rss:256kB, shmem-rss:0kB, UID:0 pgtables:300kB oom_score_adj:-997",
        value: "stress (anon 128 MiB)",
    },
    Pair {
        of: "CRI-O, 4.18 of RHEL 8",
        cgroup: "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_ID.slice/crio-ID.scope",
        chosen: "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=crio-ID.scope,mems_allowed=0,oom_memcg=CGROUP,task_memcg=CGROUP,task=prometheus,pid=1614944,uid=65534",
        killed: "Memory cgroup out of memory: Killed process 1614944 (prometheus), UID 65534, total-vm:4250000kB, anon-rss:2097152kB, file-rss:0kB, shmem-rss:0kB",
        value: "prometheus (anon 2048 MiB)",
    },
    Pair {
        of: "Docker, systemd driver, 4.19",
        cgroup: "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_ID.slice/docker-ID.scope",
        chosen: "Task in CGROUP killed as a result of limit of CGROUP\nMemory cgroup out of memory: Kill process 21284 (envoy) score 1985 or sacrifice child",
        killed: "Killed process 21284 (envoy) total-vm:1257112kB, anon-rss:1044480kB, file-rss:30720kB, shmem-rss:0kB",
        value: "envoy (anon 1020 MiB)",
    },
    Pair {
        of: "Docker, cgroupfs, 4.14, a child in its parent's place",
        cgroup: "/kubepods/podUID/ID",
        chosen: "Task in CGROUP killed as a result of limit of /kubepods/podUID\nMemory cgroup out of memory: Kill process 62685 (bash) score 0 or sacrifice child",
        killed: "Killed process 62769 (cp) total-vm:17528kB, anon-rss:364kB, file-rss:1280kB, shmem-rss:0kB",
        value: "cp (anon 364 KiB)",
    },
    Pair {
        of: "Docker without Kubernetes' hierarchy, 5.0, a child in its parent's place",
        cgroup: "/docker/ID",
        chosen: "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=ID,mems_allowed=0,oom_memcg=/docker/ID,task_memcg=CGROUP,task=sh,pid=300,uid=0\nMemory cgroup out of memory: Kill process 300 (sh) score 100 or sacrifice child",
        killed: "Memory cgroup out of memory: Killed process 302 (worker) total-vm:90000kB, anon-rss:64512kB, file-rss:0kB, shmem-rss:0kB",
        value: "worker (anon 63 MiB)",
    },
    Pair {
        of: "kind: the node is a container itself",
        cgroup: "/system.slice/docker-NODE.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podU_ID.slice/cri-containerd-ID.scope",
        chosen: "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=cri-containerd-ID.scope,mems_allowed=0,oom_memcg=CGROUP,task_memcg=CGROUP,task=tail,pid=1300,uid=0",
        killed: "Memory cgroup out of memory: Killed process 1300 (tail) total-vm:53256kB, anon-rss:50176kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:140kB oom_score_adj:996",
        value: "tail (anon 49 MiB)",
    },
    Pair {
        of: "the node has no memory left, 5.10",
        cgroup: "/kubepods/besteffort/podUID/ID",
        chosen: "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=CGROUP,task=ruby,pid=8123,uid=1001",
        killed: "Out of memory: Killed process 8123 (ruby) total-vm:2123456kB, anon-rss:1572864kB, file-rss:4kB, shmem-rss:0kB, UID:1001 pgtables:3500kB oom_score_adj:1000",
        value: "ruby (anon 1536 MiB)",
    },
    Pair {
        of: "a process with a name that looks like the rest of the line",
        cgroup: "/kubepods/burstable/podUID/ID",
        chosen: "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=ID,mems_allowed=0,oom_memcg=CGROUP,task_memcg=CGROUP,task=,task_memcg=/a,pid=77,uid=0",
        killed: "Memory cgroup out of memory: Killed process 77 (,task_memcg=/a) total-vm:1kB, anon-rss:2048kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:1",
        value: ",task_memcg=/a (anon 2 MiB)",
    },
];

impl Pair {
    /// The lines about a container with this id.
    fn lines(&self, id: &str) -> Vec<String> {
        let node = "f".repeat(64);
        let fill = |text: &str| {
            let text = text.replace("CGROUP", self.cgroup).replace("U_ID", &UID.replace('-', "_"));
            text.replace("podUID", &format!("pod{UID}")).replace("NODE", &node).replace("ID", id)
        };
        // `UID:` and `UID ` of the kernel's own lines are no placeholders.
        let killed = self.killed.replace("UID:", "uid:").replace("UID ", "uid ");
        let lines = self.chosen.split('\n').map(str::to_owned).chain([killed]);
        lines.map(|line| fill(&line).replace("uid:", "UID:").replace(", uid ", ", UID ")).collect()
    }
}

/// A message of the kernel's as the `kmsg` input sends it.
fn kmsg(text: &str) -> Value {
    let priority = if text.contains("out of memory") { 3 } else { 6 };
    json!({"priority": priority, "sequence": 4711, "sec": 2_700_123, "usec": 481_223, "msg": text})
}

fn journald(text: &str) -> Value {
    json!({"_TRANSPORT": "kernel", "SYSLOG_FACILITY": "0", "SYSLOG_IDENTIFIER": "kernel", "PRIORITY": "6",
        "_HOSTNAME": "node-1", "_BOOT_ID": "c0ffee", "MESSAGE": text})
}

fn kills(mapped: &Mapped) -> Vec<&Value> {
    let is_kill = |event: &&&Value| event["exception"]["values"][0]["type"] == "OOMKilled";
    mapped
        .items
        .iter()
        .filter(|(of, ..)| *of == Category::Event)
        .map(|(.., event)| event)
        .collect::<Vec<_>>()
        .iter()
        .filter(is_kill)
        .copied()
        .collect()
}

fn known() -> Mapping {
    let lines = [
        line("app", "stdout", &id('1'), "serving"),
        line("app", "stderr", &id('1'), "memory is short"),
        line("proxy", "stdout", &id('2'), "proxy is up"),
    ];
    let mut mapping = with_lines(&[], &lines);
    mapping.tag = "kernel".to_owned();
    mapping
}

#[test]
fn both_lines_of_a_kill_become_one_event_of_the_container() {
    assert!(PAIRS.len() >= 12);
    for (number, pair) in PAIRS.iter().enumerate() {
        for wrap in [kmsg, journald] {
            let mut mapping = known();
            let bodies: Vec<Value> = pair.lines(&id('1')).iter().map(|line| wrap(line)).collect();
            let mapped = mapping.bodies(&bodies);
            let [event] = kills(&mapped)[..] else { panic!("{number} {}: {mapped:#?}", pair.of) };
            let exception = &event["exception"]["values"][0];
            assert_eq!(
                exception["value"],
                format!("{} killed in container app of shop/checkout", pair.value),
                "{}",
                pair.of
            );
            assert_eq!(exception["mechanism"]["handled"], false);
            assert_eq!((&event["level"], &event["release"]), (&json!("fatal"), &json!("checkout@2.14.3")));
            assert_eq!(event["fingerprint"], json!(["OOMKilled", "shop/checkout", "app"]));
            assert_eq!(messages(event), ["serving", "memory is short"]);
            assert_eq!(event["tags"]["k8s.pod.name"], POD);
            assert_eq!(mapping.asked().last().unwrap(), "shop Some(\"https://k@h/1\")");
            assert_eq!(mapped.events().len(), 1, "the kernel's other lines are no issue: {mapped:#?}");
        }
    }
}

/// Chunks end where they end.
#[test]
fn the_lines_of_a_kill_may_be_in_different_chunks() {
    for pair in PAIRS {
        let mut mapping = known();
        let mapped: Vec<Mapped> = pair.lines(&id('1')).iter().map(|line| mapping.bodies(&[kmsg(line)])).collect();
        let kills: Vec<&Value> = mapped.iter().flat_map(kills).collect();
        assert_eq!(kills.len(), 1, "{}", pair.of);
        assert!(
            kills[0]["exception"]["values"][0]["value"].as_str().unwrap().ends_with("container app of shop/checkout")
        );
    }
}

#[test]
fn a_kill_is_told_by_pod_or_node_where_the_container_is_unknown() {
    let value = |cgroup_id: &str, uid: &str| {
        let lines = PAIRS[1].lines(cgroup_id).into_iter().map(|line| kmsg(&line.replace(UID, uid))).collect::<Vec<_>>();
        let mut mapping = known();
        let mapped = mapping.bodies(&lines);
        let [event] = kills(&mapped)[..] else { panic!("{mapped:#?}") };
        event.clone()
    };
    let of_pod = value(&id('9'), UID);
    let text = |event: &Value| event["exception"]["values"][0]["value"].as_str().unwrap().to_owned();
    assert_eq!(text(&of_pod), "node (anon 256 MiB) killed in a container of shop/checkout");
    assert_eq!(of_pod["fingerprint"], json!(["OOMKilled", "shop/checkout"]));
    let of_node = value(&id('9'), "9999b2c1-a15b-4cdd-b5e5-72d4a90bee99");
    assert_eq!(text(&of_node), "node (anon 256 MiB) killed on this node");
    assert_eq!(of_node["fingerprint"], json!(["OOMKilled", "Node/this node"]));
    let mut mapping = known();
    let killed = PAIRS[0].lines(&id('1')).pop().unwrap();
    let alone = mapping.bodies(&[journald(&killed)]);
    assert_eq!(text(kills(&alone)[0]), "java (anon 570 MiB) killed on node-1");
}

/// With `memory.oom.group` all processes of a container are killed, each in a line of its own.
#[test]
fn the_other_processes_of_a_container_belong_to_the_same_kill() {
    let mut mapping = known();
    let pair = &PAIRS[2];
    let mut lines = pair.lines(&id('1'));
    let cgroup = lines[0].split("task_memcg=").nth(1).unwrap().split(',').next().unwrap().to_owned();
    lines.push(format!("Tasks in {cgroup} are going to be killed due to memory.oom.group set"));
    let more = |pid: u32| pair.killed.replace("90210", &pid.to_string());
    lines.extend([more(90_211), more(90_212), pair.killed.to_owned()]);
    let mapped = mapping.bodies(&lines.iter().map(|line| kmsg(line)).collect::<Vec<_>>());
    let ended = mapped.ended(Category::Event);
    assert_eq!(ended, [(0, Outcome::Filtered), (2, Outcome::Filtered), (3, Outcome::Filtered), (4, Outcome::Filtered)]);
    // The first one is named again: the same line is the same event.
    let ids: Vec<&Value> = kills(&mapped).iter().map(|event| &event["event_id"]).collect();
    assert_eq!((ids.len(), ids[0]), (2, ids[1]));
}

/// The kernel's buffer is read from its start again after a restart, and journald may be read besides it.
#[test]
fn a_kill_that_is_read_twice_is_one_event() {
    let ids = |wrap: fn(&str) -> Value, later: u64| {
        let mut mapping = known();
        let time = NOW - Duration::from_secs(30) + Duration::from_millis(later);
        let records = PAIRS[0].lines(&id('1')).into_iter().map(|line| chunk::record(time, &wrap(&line)));
        let mapped = mapping.map(&records.collect::<Vec<_>>().concat());
        kills(&mapped)[0]["event_id"].clone()
    };
    assert_eq!(ids(kmsg, 0), ids(kmsg, 712));
    assert_eq!(ids(kmsg, 0), ids(journald, 0));
}

/// Any order in which the lines of two kills can come, each kill's own lines in their order.
#[test]
fn two_kills_are_told_apart_in_any_order() {
    fn interleaved<'l>(a: &'l [Value], b: &'l [Value]) -> Vec<Vec<&'l Value>> {
        match (a, b) {
            ([], rest) | (rest, []) => vec![rest.iter().collect()],
            ([first_a, rest_a @ ..], [first_b, rest_b @ ..]) => {
                let put = |first: &'l Value, rest: Vec<Vec<&'l Value>>| {
                    rest.into_iter().map(move |rest| [vec![first], rest].concat()).collect::<Vec<_>>()
                };
                [put(first_a, interleaved(rest_a, b)), put(first_b, interleaved(a, rest_b))].concat()
            }
        }
    }
    for (at, of_app) in PAIRS.iter().enumerate() {
        for of_proxy in &PAIRS[at + 1..] {
            // Before 5.1 not every line names the process. Two such kills can be told apart in order only.
            let is_old = |pair: &Pair| pair.chosen.contains("sacrifice child");
            let is_ambiguous = is_old(of_app) && is_old(of_proxy);
            let a: Vec<Value> = of_app.lines(&id('1')).iter().map(|line| kmsg(line)).collect();
            let b: Vec<Value> = of_proxy.lines(&id('2')).iter().map(|line| kmsg(line)).collect();
            let orders = interleaved(&a, &b);
            // All of the usual two lines; of more a few suffice.
            let step = orders.len().div_ceil(6);
            for order in orders.into_iter().step_by(step) {
                let mut mapping = known();
                let mapped = mapping.bodies(&order.into_iter().cloned().collect::<Vec<_>>());
                let value = |event: &&Value| event["exception"]["values"][0]["value"].as_str().unwrap().to_owned();
                let mut found: Vec<String> = kills(&mapped).iter().map(value).collect();
                let mut expected = [
                    format!("{} killed in container app of shop/checkout", of_app.value),
                    format!("{} killed in container proxy of shop/checkout", of_proxy.value),
                ];
                found.sort_unstable();
                expected.sort_unstable();
                let is_right = |(found, expected): (&String, &String)| {
                    found == expected || is_ambiguous && found.ends_with("killed on this node")
                };
                let all_right = found.len() == 2 && found.iter().zip(&expected).all(is_right);
                assert!(all_right, "{} and {}: {found:#?}", of_app.of, of_proxy.of);
            }
        }
    }
}

/// Of two lines that name no process nobody can say whose it is, and then it is nobody's.
#[test]
fn two_kills_without_a_pid_are_never_mixed_up() {
    let mut mapping = known();
    let (a, b) = (PAIRS[8].lines(&id('1')), PAIRS[9].lines(&id('2')));
    let order = [&a[0], &b[0], &a[1], &b[1], &a[2], &b[2]];
    let mapped = mapping.bodies(&order.map(|line| kmsg(line)));
    let values: Vec<&Value> = kills(&mapped).iter().map(|event| &event["exception"]["values"][0]["value"]).collect();
    assert_eq!(values, ["envoy (anon 1020 MiB) killed on this node", "cp (anon 364 KiB) killed on this node"]);
}

#[test]
fn only_the_kernels_own_lines_tell_a_kill() {
    let lines = PAIRS[0].lines(&id('1'));
    let forge: &[fn(&str) -> Value] = &[
        |text| json!({"log": text, "stream": "stdout", "_p": "F"}),
        |text| json!({"log": text}),
        |text| json!({"message": text, "ident": "kernel", "host": "node-1"}),
        |text| json!({"MESSAGE": text, "_TRANSPORT": "syslog", "SYSLOG_IDENTIFIER": "kernel"}),
        |text| json!({"MESSAGE": text, "_TRANSPORT": "stdout"}),
        |text| json!({"MESSAGE": text, "_TRANSPORT": "kernel", "SYSLOG_FACILITY": "3", "SYSLOG_IDENTIFIER": "app"}),
        |text| json!({"MESSAGE": text, "_TRANSPORT": "kernel", "stream": "stdout"}),
        |text| json!({"log": kmsg(text).to_string(), "stream": "stdout"}),
        |text| json!({"log": kmsg(text).to_string()}),
        |text| json!({"log": journald(text).to_string()}),
        |text| json!({"msg": text, "priority": 3}),
        |text| json!({"msg": text, "priority": "3", "sequence": "1", "sec": "1", "usec": "1"}),
        |text| {
            let mut merged = kmsg(text);
            merged["log"] = json!("x");
            merged
        },
        |text| {
            let mut merged = kmsg(text);
            merged["kubernetes"] = line("app", "stdout", &"1".repeat(64), "x")["kubernetes"].clone();
            merged
        },
        |text| json!({"message": "fine", "note": text, "sequence": 1}),
        |text| kmsg(&format!("app[12]: {text}")),
    ];
    for (number, forge) in forge.iter().enumerate() {
        for options in [&[][..], &[("kernel_tags", "kern.log,host.*")]] {
            let lines_of_pod = [line("app", "stdout", &id('1'), "serving")];
            let mut mapping = with_lines(options, &lines_of_pod);
            mapping.tag = "other".to_owned();
            let mapped = mapping.bodies(&lines.iter().map(|line| forge(line)).collect::<Vec<_>>());
            assert_eq!(kills(&mapped).len(), 0, "{number}: {mapped:#?}");
        }
    }
    let mut mapping = known();
    mapping.tag = format!("kube.var.log.containers.{POD}_shop_app-{}.log", id('1'));
    let mapped = mapping.bodies(&lines.iter().map(|line| kmsg(line)).collect::<Vec<_>>());
    assert_eq!(kills(&mapped).len(), 0, "a container's file: {mapped:#?}");
}

/// Text logs count only with their tag, and in them only what the kernel wrote.
#[test]
fn text_lines_of_kernel_tags_are_the_kernels() {
    let lines = PAIRS[0].lines(&id('1'));
    let count = |tag: &str, wrap: &dyn Fn(&str) -> Value| {
        let lines_of_pod = [line("app", "stdout", &id('1'), "serving")];
        let mut mapping = with_lines(&[("kernel_tags", "kern.log,host.kernel.*")], &lines_of_pod);
        mapping.tag = tag.to_owned();
        kills(&mapping.bodies(&lines.iter().map(|line| wrap(line)).collect::<Vec<_>>())).len()
    };
    for (wrap, expected) in [
        (
            &(|text: &str| json!({"log": format!("Nov 24 11:59:00 node-1 kernel: [2700123.481223] {text}")}))
                as &dyn Fn(&str) -> Value,
            1,
        ),
        (&|text: &str| json!({"log": format!("2026-11-24T11:59:00.123456+00:00 node-1 kernel: {text}")}), 1),
        (&|text: &str| json!({"log": format!("<3>Nov  4 11:59:00 node-1 kernel: {text}")}), 1),
        (&|text: &str| json!({"log": format!("[2700123.481223] {text}")}), 1),
        (&|text: &str| json!({"log": format!("[Tue Nov 24 11:59:00 2026] {text}")}), 1),
        (&|text: &str| json!({"log": text}), 1),
        (&|text: &str| json!({"message": format!("[2700123.481223] {text}"), "ident": "kernel", "host": "node-1"}), 1),
        (&|text: &str| json!({"message": text, "ident": "app", "host": "node-1"}), 0),
        (&|text: &str| json!({"log": format!("Nov 24 11:59:00 node-1 app[12]: {text}")}), 0),
        (&|text: &str| json!({"log": format!("Nov 24 11:59:00 node-1 app: kernel: {text}")}), 0),
        (&|text: &str| json!({"log": format!("user says: {text}")}), 0),
        (&|text: &str| json!({"log": text, "stream": "stdout"}), 0),
    ] {
        let body = wrap("TEXT");
        assert_eq!(count("kern.log", wrap), expected, "{body}");
        assert_eq!(count("host.kernel.ring", wrap), expected, "{body}");
        assert_eq!(count("kern.log.1", wrap), 0, "{body}");
    }
}
