//! Tests the origin of a line: host, unit, file, and the time that its logger gives.

use super::mapped::{Mapping, NOW, attribute};
use serde_json::{Value, json};

fn event_of(mapping: &mut Mapping, body: Value) -> Value {
    let mapped = mapping.bodies(&[body]);
    mapped.events().first().copied().cloned().unwrap_or_else(|| panic!("expected an event, found {mapped:?}"))
}

#[test]
fn a_record_without_kubernetes_metadata_has_the_machines_name() {
    let mut mapping = Mapping::on("edge-7", &[]);
    let pod = json!({"pod_name": "web-0", "namespace_name": "shop", "container_name": "app"});
    for (body, name) in [
        (json!({"log": "ERROR x"}), Some("edge-7")),
        (json!({"log": "ERROR x", "_HOSTNAME": "node-1"}), Some("node-1")),
        (json!({"log": "ERROR x", "host": {"name": "vm-3"}}), Some("vm-3")),
        (json!({"message": "ERROR x", "host": "host7", "ident": "nginx"}), Some("host7")),
        (json!({"log": "ERROR x", "kubernetes": pod}), None),
    ] {
        assert_eq!(event_of(&mut mapping, body.clone())["server_name"].as_str(), name, "{body}");
    }
    let log = mapping.bodies(&[json!({"log": "x"})]).logs()[0].clone();
    assert_eq!(attribute(&log, "server.address"), "edge-7");
    let mut set = Mapping::on("edge-7", &[("server_name", "mine")]);
    assert_eq!(event_of(&mut set, json!({"log": "ERROR x"}))["server_name"], "mine");
}

#[test]
fn units_and_identifiers_of_journald_are_tags() {
    let body = json!({"MESSAGE": "dump failed", "PRIORITY": "3", "SYSLOG_IDENTIFIER": "kdumpctl",
        "_SYSTEMD_UNIT": "kdump.service", "_HOSTNAME": "node-1"});
    let event = event_of(&mut Mapping::new(&[]), body);
    assert_eq!(event["tags"], json!({"systemd.unit": "kdump.service", "syslog.identifier": "kdumpctl"}));
    assert_eq!(event["server_name"], "node-1");
    // A message cannot say which unit wrote it.
    let line = json!({"message": "x", "level": "error", "_SYSTEMD_UNIT": "sshd.service"}).to_string();
    assert_eq!(event_of(&mut Mapping::new(&[]), json!({"log": line})).get("tags"), None);
}

#[test]
fn the_kernels_priority_is_read() {
    for (body, level) in [
        (json!({"priority": 3, "sequence": 9, "sec": 1, "usec": 2, "msg": "I/O error"}), "error"),
        (json!({"priority": 6, "sequence": 9, "sec": 1, "usec": 2, "msg": "ERROR in the text"}), "info"),
        (json!({"priority": "high", "msg": "x"}), "info"),
        // A job's, in a message or merged into the record of a container.
        (json!({"log": "{\"msg\":\"x\",\"priority\":1}"}), "info"),
        (json!({"stream": "stdout", "msg": "x", "priority": "1"}), "info"),
    ] {
        assert_eq!(Mapping::new(&[]).bodies(std::slice::from_ref(&body)).logs()[0]["level"], level, "{body}");
    }
    let mapped = Mapping::new(&[("level_key", "priority")]).bodies(&[json!({"log": "{\"msg\":\"x\",\"priority\":4}"})]);
    assert_eq!(mapped.logs()[0]["level"], "warn");
}

#[test]
fn the_path_that_an_input_adds_is_the_files() {
    for (key, path) in [("filename", "/var/log/app/worker.log"), ("path", "/srv/app/log/current")] {
        let mapped = Mapping::new(&[]).bodies(&[json!({"log": "ERROR x", key: path})]);
        assert_eq!(mapped.events()[0]["tags"]["log.file.path"], path);
        assert_eq!(attribute(mapped.logs()[0], "log.file.path"), path);
        assert_eq!(mapped.logs()[0]["attributes"].get(key), None);
    }
    let line = json!({"message": "x", "level": "error", "path": "/var/log/a.log"}).to_string();
    for body in [json!({"log": "ERROR x", "path": "/api/v1/orders"}), json!({"log": line})] {
        let mapped = Mapping::new(&[]).bodies(&[body]);
        assert_eq!(mapped.events()[0].get("tags"), None);
        assert_eq!(mapped.logs()[0]["attributes"].get("log.file.path"), None);
    }
}

#[test]
fn the_time_in_an_opened_message_is_the_items() {
    let record = NOW.as_secs() as f64 - 1.0;
    let millis = (NOW.as_secs() - 60) * 1_000 + 250;
    for (options, fields, time) in [
        (&[][..], json!({"time": "2026-11-24T11:58:00.5Z"}), record - 119.0 + 0.5),
        (&[], json!({"timestamp": "2026-11-24T12:58:00+01:00"}), record - 119.0),
        (&[], json!({"ts": millis}), record - 58.75),
        (&[], json!({"t": "no time", "@timestamp": "2026-11-24T11:58:00Z"}), record - 119.0),
        (&[("time_key", "at.when")], json!({"at": {"when": "2026-11-24T11:58:00Z"}, "time": millis}), record - 119.0),
        // A day old by its own account.
        (&[], json!({"time": "2026-11-20T11:58:00Z"}), record - 345_719.0),
        // Without a zone, too far away, or what Sentry does not keep.
        (&[], json!({"time": "2026-11-24 11:58:00,123"}), record),
        (&[], json!({"ts": (NOW.as_secs() - 100_000) * 1_000}), record),
        (&[], json!({"time": "1970-01-01T00:00:12Z"}), record),
        (&[], json!({"time": "2026-11-25T12:00:00Z"}), record),
        (&[], json!({"time": 17}), record),
    ] {
        let mut message = json!({"message": "x", "level": "error"});
        message.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        for body in [
            json!({"log": message.to_string()}),
            json!({"time": "2026-11-24T11:59:59Z", "stream": "stdout", "log": message.to_string()}),
        ] {
            let mapped = Mapping::new(options).bodies(&[body]);
            for item in [mapped.events()[0], mapped.logs()[0]] {
                assert_eq!(item["timestamp"].as_f64(), Some(time), "{fields}");
            }
        }
    }
    // A time among the record's own fields is the input's affair.
    let mapped = Mapping::new(&[]).bodies(&[json!({"message": "x", "time": "2026-11-24T11:58:00Z"})]);
    assert_eq!(mapped.logs()[0]["timestamp"].as_f64(), Some(record));
}

#[test]
fn a_time_that_is_used_is_not_sent_again_and_one_that_is_not_is_kept() {
    let line = |time: &str| json!({"stream": "stdout", "log": json!({"message": "x", "time": time}).to_string()});
    let mapped = Mapping::new(&[]).bodies(&[line("2026-11-24T11:59:00Z"), line("11:59:00")]);
    assert_eq!(mapped.logs()[0]["attributes"].get("time"), None);
    assert_eq!(attribute(mapped.logs()[1], "time"), "11:59:00");
}
