//! Builds the metadata that Fluent Bit's kubernetes filter adds to a record, from the name of a log file and, if there is
//! one, the description of the pod.

use super::encode::{Body, json_value};
use super::record::Kubernetes;
use serde_json::Value;
use std::path::Path;

/// The parts of `<pod>_<namespace>_<container>-<container id>.log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PodLog<'a> {
    pub(crate) pod: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) container: &'a str,
    pub(crate) id: &'a str,
}

impl<'a> PodLog<'a> {
    /// Reads a file name; `None` if it is not one of a container's log.
    pub(crate) fn parse(file_name: &'a str) -> Option<Self> {
        let stem = file_name.strip_suffix(".log")?;
        let (names, id) = stem.split_at_checked(stem.len().checked_sub(64)?)?;
        let mut parts = names.strip_suffix('-')?.splitn(3, '_');
        let (pod, namespace, container) = (parts.next()?, parts.next()?, parts.next()?);
        let hex = id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let named = !pod.is_empty() && !namespace.is_empty() && !container.is_empty();
        (hex && named).then_some(Self { pod, namespace, container, id })
    }

    /// Returns the fields that the kubernetes filter adds to this log's records. `directory` is the directory with the
    /// descriptions of pods; `say` is called with a message about missing descriptions.
    pub(crate) fn kubernetes(&self, directory: Option<&Path>, say: impl FnOnce(&str)) -> Kubernetes {
        let described = directory.map(|directory| self.describe(directory));
        let merge_log = described.is_some();
        let description = described.and_then(|described| match described {
            Ok(description) => Some(description),
            Err(problem) => {
                say(&format!("{problem}; records have only the fields that the file name states"));
                None
            }
        });
        Kubernetes { map: self.map(description.as_ref()), merge_log }
    }

    /// The pod as the API server describes it, from `<namespace>_<pod>.meta` in this directory.
    ///
    /// # Errors
    /// Why it cannot be read, in words for the user.
    fn describe(&self, directory: &Path) -> Result<Value, String> {
        let path = directory.join(format!("{}_{}.meta", self.namespace, self.pod));
        let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_slice(&text).map_err(|error| format!("{}: expected the pod's JSON: {error}", path.display()))
    }

    /// The `kubernetes` map of each record, in the order in which the filter packs it.
    fn map(&self, pod: Option<&Value>) -> Vec<u8> {
        let pod = pod.unwrap_or(&Value::Null);
        let status = self.container_in(pod, "/status", ["containerStatuses", "initContainerStatuses"]);
        let image = [self.container_in(pod, "/spec", ["containers", "initContainers"]), status];
        let mut map = Body::default();
        map.text("pod_name", self.pod.as_bytes());
        map.text("namespace_name", self.namespace.as_bytes());
        add(&mut map, "pod_id", pod.pointer("/metadata/uid"));
        add(&mut map, "labels", pod.pointer("/metadata/labels"));
        add(&mut map, "annotations", pod.pointer("/metadata/annotations"));
        add(&mut map, "host", pod.pointer("/spec/nodeName"));
        add(&mut map, "pod_ip", pod.pointer("/status/podIP"));
        map.text("container_name", self.container.as_bytes());
        map.text("docker_id", self.id.as_bytes());
        if let Some(id) = status.and_then(|status| status["imageID"].as_str()) {
            map.text("container_hash", id.trim_start_matches("docker-pullable://").as_bytes());
        }
        add(&mut map, "container_image", image.into_iter().flatten().find_map(|container| container.get("image")));
        map.map()
    }

    fn container_in<'v>(&self, pod: &'v Value, part: &str, lists: [&str; 2]) -> Option<&'v Value> {
        let part = pod.pointer(part)?;
        let mut all = lists.into_iter().filter_map(|list| part[list].as_array()).flatten();
        all.find(|container| container["name"] == self.container)
    }
}

fn add(map: &mut Body, key: &str, value: Option<&Value>) {
    let Some(value) = value.filter(|value| !value.is_null()) else { return };
    let mut packed = Vec::new();
    json_value(&mut packed, &value.to_string());
    map.packed(key, &packed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "4f2b6c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b";

    #[test]
    fn names_of_container_logs_and_others() {
        let name = format!("checkout-7d9f8b6c5-x2x7k_shop_app-sidecar-{ID}.log");
        let log = PodLog::parse(&name).unwrap();
        assert_eq!((log.pod, log.namespace), ("checkout-7d9f8b6c5-x2x7k", "shop"));
        assert_eq!((log.container, log.id), ("app-sidecar", ID));
        for other in [
            "app.log",
            "a_b_c-1234.log",
            ".log",
            &format!("a_b-{ID}.log"),
            &format!("_b_c-{ID}.log"),
            &format!("a_b_c-{ID}"),
        ] {
            assert_eq!(PodLog::parse(other), None, "{other}");
        }
        assert_eq!(PodLog::parse(&format!("a_b_c-{}.log", ID.to_uppercase())), None);
        assert_eq!(PodLog::parse(&format!("a_b_c-é{}.log", &ID[1..])), None);
    }

    #[test]
    fn without_a_description_the_name_is_all_there_is() {
        let map = PodLog { pod: "p", namespace: "n", container: "c", id: "i" }.map(None);
        assert_eq!(map, b"\x84\xa8pod_name\xa1p\xaenamespace_name\xa1n\xaecontainer_name\xa1c\xa9docker_id\xa1i");
    }

    #[test]
    fn a_description_adds_what_the_filter_adds_in_its_order() {
        let pod = json!({
            "metadata": {"uid": "u", "labels": {"a": "1"}, "annotations": {"b": "2"}},
            "spec": {"nodeName": "h", "containers": [{"name": "other", "image": "x"}, {"name": "c", "image": "r/c:1"}]},
            "status": {"podIP": "10.0.0.1", "containerStatuses": [{"name": "c", "imageID": "docker-pullable://r/c@sha256:0"}]},
        });
        let map = PodLog { pod: "p", namespace: "n", container: "c", id: "i" }.map(Some(&pod));
        let expected = b"\x8b\xa8pod_name\xa1p\xaenamespace_name\xa1n\xa6pod_id\xa1u\xa6labels\x81\xa1a\xa11\
            \xabannotations\x81\xa1b\xa12\xa4host\xa1h\xa6pod_ip\xa810.0.0.1\xaecontainer_name\xa1c\xa9docker_id\xa1i\
            \xaecontainer_hash\xacr/c@sha256:0\xafcontainer_image\xa5r/c:1";
        assert_eq!(map, expected);
    }

    #[test]
    fn a_description_that_is_not_there_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let log = PodLog { pod: "p", namespace: "n", container: "c", id: "i" };
        assert!(log.describe(directory.path()).unwrap_err().contains("n_p.meta"));
        std::fs::write(directory.path().join("n_p.meta"), "{").unwrap();
        assert!(log.describe(directory.path()).unwrap_err().contains("expected the pod's JSON"));
        std::fs::write(directory.path().join("n_p.meta"), r#"{"metadata":{}}"#).unwrap();
        assert!(log.describe(directory.path()).is_ok());
    }
}
