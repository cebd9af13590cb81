//! Reads the pod, namespace and container from Fluent Bit's tag or from the file name of a container log.
//!
//! The kubelet names the files `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log` and
//! `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/N.log`
//! (<https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md>). The tail input makes a
//! tag of a path by replacing `/` with `.`. The kubernetes filter reads the same names
//! (`plugins/filter_kubernetes/kube_regex.h`).

use super::kubernetes::Pod;
use rmp::encode::{write_map_len, write_str};

/// Hexadecimal digits of a container's id.
const ID: usize = 64;

/// Longest tag or path that is read: the three names are at most 253, 63 and 63 bytes long.
const LONGEST: usize = 1 << 10;

/// The identity of a container as its log's name gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Container {
    namespace: String,
    pod: String,
    container: String,
    /// The same as the map that the kubernetes filter would add, in MessagePack.
    map: Vec<u8>,
}

impl Container {
    /// Reads a tag such as `kube.var.log.containers.web-0_shop_app-<id>.log`; `None` for any other tag.
    pub(crate) fn of_tag(tag: &[u8]) -> Option<Self> {
        Self::named(tag, '.')
    }

    /// Reads the path of a container's log file; `None` for any other text.
    pub(crate) fn of_path(path: &[u8]) -> Option<Self> {
        Self::named(path, '/')
    }

    /// The identity as the map that the kubernetes filter would add, in MessagePack.
    pub(crate) fn map(&self) -> &[u8] {
        &self.map
    }

    /// Returns true if the filter's map is about this container. The container's name may be missing there.
    pub(crate) fn is_of(&self, pod: &Pod) -> bool {
        let same_container = pod.container == self.container || pod.container.is_empty();
        pod.namespace == self.namespace && pod.pod == self.pod && same_container
    }

    fn named(name: &[u8], separator: char) -> Option<Self> {
        let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= LONGEST)?.strip_suffix(".log")?;
        let in_folder = |folder: [&str; 3]| {
            let folder: String =
                folder.iter().flat_map(|part| [*part, if separator == '.' { "." } else { "/" }]).collect();
            name.rfind(&folder).map(|at| &name[at + folder.len()..])
        };
        if let Some(file) = in_folder(["var", "log", "pods"]) {
            return Self::of_pods_file(file, separator);
        }
        // Without the folder in the tag, a pod's name with dots cannot be told from what stands before it.
        let file = in_folder(["var", "log", "containers"]);
        Self::of_containers_file(file.or_else(|| name.rsplit(separator).next())?)
    }

    /// `POD_NAMESPACE_CONTAINER-ID`.
    fn of_containers_file(file: &str) -> Option<Self> {
        let (file, id) = file.rsplit_once('-')?;
        let is_id = id.len() == ID && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut parts = file.split('_');
        let (pod, namespace, container) = (parts.next()?, parts.next()?, parts.next()?);
        (is_id && parts.next().is_none()).then(|| Self::new(namespace, pod, container, Some(id)))?
    }

    /// `NAMESPACE_POD_UID/CONTAINER/N`, in a tag with dots.
    fn of_pods_file(file: &str, separator: char) -> Option<Self> {
        let (file, number) = file.rsplit_once(separator)?;
        let (folder, container) = file.rsplit_once(separator)?;
        let mut parts = folder.split('_');
        let (namespace, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
        let is_uid = uid.len() >= 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        (is_uid && is_number && parts.next().is_none()).then(|| Self::new(namespace, pod, container, None))?
    }

    fn new(namespace: &str, pod: &str, container: &str, id: Option<&str>) -> Option<Self> {
        // Names as Kubernetes allows them (RFC 1123), so that nothing else is taken for one.
        let is_name = |name: &str| {
            let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
            !name.is_empty() && name.bytes().all(fits)
        };
        if ![namespace, pod, container].into_iter().all(is_name) {
            return None;
        }
        let fields = [("pod_name", pod), ("namespace_name", namespace), ("container_name", container)];
        let fields = fields.into_iter().chain(id.map(|id| ("docker_id", id)));
        let mut map = Vec::new();
        // Writing to a Vec cannot fail.
        let _ = write_map_len(&mut map, 3 + u32::from(id.is_some()));
        for (key, value) in fields {
            let _ = write_str(&mut map, key);
            let _ = write_str(&mut map, value);
        }
        Some(Self { namespace: namespace.to_owned(), pod: pod.to_owned(), container: container.to_owned(), map })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn of_tag(tag: &str) -> Option<[String; 3]> {
        Container::of_tag(tag.replace("ID", HEX).as_bytes()).map(|found| [found.namespace, found.pod, found.container])
    }

    #[test]
    fn reads_tags_of_container_logs() {
        for (tag, namespace, pod, container) in [
            ("kube.var.log.containers.web-0_shop_app-ID.log", "shop", "web-0", "app"),
            ("var.log.containers.a.b.c_kube-system_kube-proxy-ID.log", "kube-system", "a.b.c", "kube-proxy"),
            ("kube.web-0_shop_my-app-ID.log", "shop", "web-0", "my-app"),
            ("x.var.log.pods.shop_web.v2-0_0f4b1a35-3ac0-4c2a-9d1e-5a2d3a4b5c6d.app.12.log", "shop", "web.v2-0", "app"),
        ] {
            assert_eq!(of_tag(tag), Some([namespace, pod, container].map(str::to_owned)), "{tag}");
        }
    }

    #[test]
    fn ignores_other_tags() {
        for tag in [
            "",
            "kube.app",
            "kube.var.log.containers.web-0_shop_app-ID",
            "kube.var.log.containers.web-0_shop_app-0123.log",
            "kube.var.log.containers.web-0_shop-ID.log",
            "kube.var.log.containers.web-0_shop_x_app-ID.log",
            "kube.var.log.containers.web-0__app-ID.log",
            "kube.var.log.containers.Web 0_shop_app-ID.log",
            "var.log.pods.shop_web-0_short.app.0.log",
            "var.log.syslog.log",
        ] {
            assert_eq!(of_tag(tag), None, "{tag}");
        }
    }

    #[test]
    fn reads_paths_of_container_logs() {
        let path = format!("/var/log/containers/web-0_shop_app-{HEX}.log");
        let found = Container::of_path(path.as_bytes()).unwrap();
        assert_eq!((&*found.namespace, &*found.pod, &*found.container), ("shop", "web-0", "app"));
        let path = b"/var/log/pods/shop_web-0_0f4b1a35-3ac0-4c2a-9d1e-5a2d3a4b5c6d/app/0.log";
        assert_eq!(Container::of_path(path).unwrap().container, "app");
        assert_eq!(Container::of_path(b"/var/log/nginx/access.log"), None);
    }
}
