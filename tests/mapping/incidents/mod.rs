//! Kubernetes events and the kernel's OOM kills: which records are taken for one, whose issue they become, and what they hold.

mod events;
mod kills;

use crate::mapped::{Mapping, NOW};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::chunk;

const POD: &str = "checkout-7d9c6b5f4-x2k4q";
const UID: &str = "0330b2c1-a15b-4cdd-b5e5-72d4a90bee82";

/// The id of a container: the digit, 64 times.
fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// A line of a container as the kubernetes filter leaves it.
fn line(container: &str, stream: &str, id: &str, text: &str) -> Value {
    json!({"log": text, "stream": stream, "_p": "F", "time": "2026-11-24T11:59:59Z", "kubernetes": {
        "pod_name": POD, "namespace_name": "shop", "container_name": container, "pod_id": UID, "host": "node-1",
        "docker_id": id, "container_image": "registry.example/shop/checkout:2.14.3", "labels": {"app": "checkout"},
        "annotations": {"k8s.sentry.io/dsn": "https://k@h/1"},
    }})
}

fn with_lines(options: &[(&str, &str)], lines: &[Value]) -> Mapping {
    let mut mapping = Mapping::new(options);
    mapping.tag = format!("kube.var.log.containers.{POD}_shop_app-{}.log", id('1'));
    let first = NOW - Duration::from_secs(100);
    let records = lines.iter().enumerate().map(|(n, body)| chunk::record(first + Duration::from_secs(n as u64), body));
    let of_app = |body: &&Value| body["kubernetes"]["container_name"] == "app";
    let app: Vec<u8> =
        records.clone().zip(lines).filter(|(_, body)| of_app(body)).flat_map(|(record, _)| record).collect();
    mapping.map(&app);
    mapping.tag = format!("kube.var.log.containers.{POD}_shop_proxy-{}.log", id('2'));
    let others: Vec<u8> = records.zip(lines).filter(|(_, body)| !of_app(body)).flat_map(|(record, _)| record).collect();
    mapping.map(&others);
    mapping
}

fn messages(event: &Value) -> Vec<&str> {
    let crumbs = event["breadcrumbs"]["values"].as_array().map(Vec::as_slice).unwrap_or_default();
    crumbs.iter().map(|crumb| crumb["message"].as_str().unwrap()).collect()
}
